//! A list of objects, read page by page.

use super::{Inventory, Kind};
use crate::cluster::describe;
use crate::report::model::Problem;
use crate::webhook::{MAX_DEPTH, outline};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::fmt;
use std::time::Duration;

/// How often a page is asked for that the API server is in no state to give, and the pause between.
const ATTEMPTS: (usize, Duration) = (3, Duration::from_secs(1));

/// Of so many objects of a kind that cannot be read it is told why, others are counted.
const MOST_BROKEN: usize = 100;

/// Objects of one kind, as they were at one moment, so many at a time.
#[derive(Debug)]
pub struct Listing {
    inventory: Inventory,
    kind: Kind,
    path: String,
    params: ListParams,
    /// Whether no more than their metadata is asked for.
    metadata_only: bool,
    /// How many of them could not be read.
    broken: usize,
    /// How many there are after those that were read, as the API server has it.
    pub remaining: Option<i64>,
}

/// Why a list has no end.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// It took so long that what it began with is no longer known: it has to begin anew.
    Expired,
    /// The API server says no.
    Refused(u16, String),
    /// Anything else.
    Broken(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it changes faster than it can be read"),
            Self::Refused(_, reason) | Self::Broken(reason) => f.write_str(reason),
        }
    }
}

impl Failed {
    /// The same as a problem of the kind that was to be listed.
    pub fn of(&self, kind: &Kind) -> Problem {
        let problem = Problem::new(format!("`{kind}` cannot be listed: {self}"));
        match self {
            Self::Refused(401 | 403, _) => problem.with_hint(format!("grant `list` on `{kind}`")),
            _ => problem,
        }
    }
}

/// A page as far as it is looked at before its objects are.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

impl Listing {
    pub(super) fn new(inventory: Inventory, kind: &Kind, size: u32) -> Self {
        let params = ListParams::default().limit(size);
        Self {
            inventory,
            path: path(kind, None),
            kind: kind.clone(),
            params,
            metadata_only: false,
            broken: 0,
            remaining: None,
        }
    }

    /// Only those in one namespace, of a kind that lives in namespaces.
    pub(super) fn in_namespace(self, namespace: &str) -> Self {
        let path = path(&self.kind, Some(namespace).filter(|_| self.kind.namespaced));
        Self { path, ..self }
    }

    /// Only those with a label.
    pub(super) fn labelled(self, label: &str) -> Self {
        Self { params: self.params.labels(label), ..self }
    }

    /// Only those of a name.
    pub(super) fn named(self, name: &str) -> Self {
        Self { params: self.params.fields(&format!("metadata.name={name}")), ..self }
    }

    /// Only their metadata: nothing else leaves the API server.
    pub(super) fn metadata_only(self) -> Self {
        Self { metadata_only: true, ..self }
    }

    /// Reads the next page, and hands on its objects one by one, or why one of them cannot be read. True if there
    /// are more pages.
    ///
    /// # Errors
    /// The page cannot be had.
    pub fn next(&mut self, take: &mut dyn FnMut(Result<Json, String>)) -> Result<bool, Failed> {
        let (client, path, params) =
            (self.inventory.cluster.client.clone(), self.path.clone(), self.params.clone());
        let metadata_only = self.metadata_only;
        let fetch = async move { fetch(&client, &path, &params, metadata_only).await };
        let text = self.inventory.ask(fetch);
        let text = text.map_err(|error| Failed::Broken(error.to_string()))??;
        let Page { metadata, items } =
            serde_json::from_str(&text).map_err(|error| Failed::Broken(broken(&error)))?;
        for item in items.into_iter().flatten() {
            let object = self.object(item);
            self.broken += usize::from(object.is_err());
            if object.is_ok() || self.broken <= MOST_BROKEN {
                take(object);
            }
        }
        self.remaining = metadata.remaining_item_count;
        let token = metadata.continue_.filter(|token| !token.is_empty());
        let more = token.is_some();
        if let Some(untold) = self.broken.checked_sub(MOST_BROKEN).filter(|untold| !more && *untold > 0) {
            take(Err(format!("{untold} more of `{}` cannot be read", self.kind)));
        }
        self.params.continue_token = token;
        Ok(more)
    }

    /// Reads every page.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub(super) fn each(&mut self, take: &mut dyn FnMut(Result<Json, String>)) -> Result<(), Failed> {
        while self.next(take)? {}
        Ok(())
    }

    /// Objects in a list do not always say of what type they are.
    fn object(&self, text: &RawValue) -> Result<Json, String> {
        let unreadable = |why| format!("{} of `{}` cannot be read: {why}", name(text), self.kind);
        let mut object = parse(text.get()).map_err(unreadable)?;
        if let Some(fields) = object.as_object_mut() {
            // Metadata says of itself that it is metadata.
            fields.retain(|name, _| !self.metadata_only || name == "metadata");
            fields.entry("apiVersion").or_insert_with(|| self.kind.api_version().into());
            fields.entry("kind").or_insert_with(|| self.kind.kind.clone().into());
        }
        Ok(object)
    }
}

/// An object as the webhook takes it: no deeper than that would.
fn parse(text: &str) -> Result<Json, String> {
    if outline::excess(text.as_bytes(), MAX_DEPTH, usize::MAX).is_some() {
        return Err("it nests too deep".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    Json::deserialize(&mut deserializer).map_err(|error| broken(&error))
}

/// Which object that is, of one that nests too deep to be read as a whole.
fn name(text: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        namespace: String,
        #[serde(default)]
        name: String,
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    match serde_json::from_str(text.get()) {
        Ok(Object { metadata: Metadata { namespace, name } }) if namespace.is_empty() => format!("`{name}`"),
        Ok(Object { metadata: Metadata { namespace, name } }) => format!("`{namespace}/{name}`"),
        Err(_) => "an object".to_owned(),
    }
}

/// What is wrong with JSON, without any of it.
fn broken(error: &serde_json::Error) -> String {
    match error.to_string() {
        text if text.starts_with("recursion limit") => "it nests too deep".to_owned(),
        _ => format!("it is no JSON at line {}, column {}", error.line(), error.column()),
    }
}

fn path(kind: &Kind, namespace: Option<&str>) -> String {
    let Kind { group, version, plural, .. } = kind;
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    match namespace {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

async fn fetch(
    client: &Client,
    path: &str,
    params: &ListParams,
    metadata_only: bool,
) -> Result<String, Failed> {
    let (attempts, pause) = ATTEMPTS;
    let mut attempt = 1;
    loop {
        let request = match metadata_only {
            true => Request::new(path).list_metadata(params),
            false => Request::new(path).list(params),
        };
        let request = request.map_err(|error| Failed::Broken(error.to_string()))?;
        let failed = match client.request_text(request).await {
            Ok(text) => return Ok(text),
            Err(kube::Error::Api(status)) if status.code == 410 => return Err(Failed::Expired),
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                return Err(Failed::Refused(status.code, status.message));
            }
            Err(error) => Failed::Broken(reason(&error)),
        };
        if attempt == attempts {
            return Err(failed);
        }
        attempt += 1;
        tokio::time::sleep(pause).await;
    }
}

/// What went wrong with a request, in one line.
pub(super) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => describe(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::audit::fake::{inventory, page, server, status};

    /// What a listing of Pods by pages of two hands on, how it ends, and what it asked.
    fn list(answers: Vec<(u16, String)>) -> (Vec<String>, Result<(), Failed>, Vec<String>) {
        let (inventory, asked) = server(answers);
        let kind = Kind::built_in("", "v1", "pods", "Pod", true);
        let mut found = Vec::new();
        let end = inventory.listing(&kind, 2).each(&mut |object| {
            found.push(object.map_or_else(|error| error, |object| object.to_string()));
        });
        (found, end, asked.join().unwrap())
    }

    #[test]
    fn pages_follow_each_other_until_the_last() {
        let (found, end, asked) = list(vec![page(&["a", "b"], "t"), page(&["c"], "")]);
        assert_eq!(end, Ok(()));
        assert_eq!(found.len(), 3);
        assert_eq!(found[2], r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}"#);
        assert_eq!(asked, ["/api/v1/pods?&limit=2", "/api/v1/pods?&limit=2&continue=t"]);
        let (found, end, _) = list(vec![(200, r#"{"metadata":{},"items":null}"#.to_owned())]);
        assert_eq!((found.len(), end), (0, Ok(())));
    }

    #[test]
    fn lists_without_an_end() {
        let check = |last: (u16, String), expect: Failed| {
            let (found, end, _) = list(vec![page(&["a"], "t"), last]);
            assert_eq!((found.len(), end), (1, Err(expect)));
        };
        check(status(410), Failed::Expired);
        check(status(403), Failed::Refused(403, "because".to_owned()));
        check(status(404), Failed::Refused(404, "because".to_owned()));
        check((200, "{".to_owned()), Failed::Broken("it is no JSON at line 1, column 1".to_owned()));
        // It may be better a moment later.
        let (found, end, asked) = list(vec![status(500), page(&["a"], "")]);
        assert_eq!((found.len(), end, asked.len()), (1, Ok(()), 2));
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        // Connections are taken by the system, and nobody reads from them.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inventory = inventory(listener.local_addr().unwrap(), Duration::from_millis(50));
        let end = inventory.listing(&Kind::namespaces(), 2).each(&mut |_| unreachable!());
        let reason = "the API server gave no answer within 50ms; `--request-timeout` allows for more";
        assert_eq!(end, Err(Failed::Broken(reason.to_owned())));
    }

    #[test]
    fn of_many_that_cannot_be_read_the_rest_is_counted() {
        let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
        let items = |count: usize, token: &str| {
            let items = vec![format!(r#"{{"spec":{deep}}}"#); count].join(",");
            (200, format!(r#"{{"metadata":{{"continue":"{token}"}},"items":[{items},{{"spec":1}}]}}"#))
        };
        let (found, end, _) = list(vec![items(70, "t"), items(70, "")]);
        assert_eq!((end, found.len()), (Ok(()), 103));
        assert_eq!(found[102], "40 more of `pods` cannot be read");
        let (found, _, _) = list(vec![items(70, "t"), items(30, "")]);
        assert_eq!(found.len(), 102);
    }

    #[test]
    fn what_nests_too_deep_is_told_by_its_name() {
        let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
        let items = format!(r#"[{{"spec":{deep}}}]"#);
        let (found, end, _) = list(vec![(200, format!(r#"{{"metadata":{{}},"items":{items}}}"#))]);
        assert_eq!(
            (end, found),
            (Ok(()), vec![format!(r#"{{"apiVersion":"v1","kind":"Pod","spec":{deep}}}"#)])
        );
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let items = format!(
            r#"[{{"spec":{deep},"metadata":{{"name":"deep","namespace":"shop","labels":{{}}}}}},{{"spec":1}}]"#
        );
        let (found, end, _) = list(vec![(200, format!(r#"{{"metadata":{{}},"items":{items}}}"#))]);
        assert_eq!(end, Ok(()));
        assert_eq!(found[0], "`shop/deep` of `pods` cannot be read: it nests too deep");
        assert_eq!(found[1], r#"{"apiVersion":"v1","kind":"Pod","spec":1}"#);
    }
}
