//! What policies refer to, be it params or look-ups: a watch for each reference, for as long as a policy in force has
//! it. Each asks for no more than its reference means, so that it needs no more rights than that.

use super::describe;
use super::follow::{config, follow_until};
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::core::{DynamicResourceScope, GroupVersionKind};
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::error::DiscoveryError;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use portcullis_core::facts::is_secret;
use portcullis_core::{Purpose, Reference};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The first pause until what cannot be told is asked for again; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// How long until a kind that is not there is looked for again, at most.
const PAUSE_WITHOUT_KIND: Duration = Duration::from_secs(2);
/// The same of what may not be read, or is too much: asking costs more.
const PAUSE_IN_VAIN: Duration = Duration::from_secs(30);
/// What fails so often in a row has not passed at once.
const FAILURES: u32 = 3;

/// What was found out about a reference.
pub(super) enum Found {
    /// The cluster serves its kind.
    Kind(ApiResource, bool),
    Event(Box<Event<DynamicObject>>),
    /// The cluster does not serve its kind, and need not.
    Absent,
    /// They cannot be told, and why.
    Trouble(String),
}

/// Follows a reference for ever, through the coming and going of its kind and of the right to read it. `tell` breaks a
/// watch off that brings more than may be kept.
///
/// After whatever is more than a failed connection everything is listed anew: a watch that goes on does not tell that
/// what was missing or forbidden is no more.
pub(super) async fn follow_reference(
    client: Client,
    reference: Reference,
    tell: impl Fn(Found) -> ControlFlow<()>,
) {
    if let Some(reason) = unread(&reference) {
        let _ = tell(Found::Trouble(reason));
        return;
    }
    let mut pause = PAUSE;
    loop {
        let (longest, was_listed) = match discover(&client, &reference).await {
            Ok((resource, namespaced)) => {
                let _ = tell(Found::Kind(resource.clone(), namespaced));
                follow_kind(&client, &reference, &resource, namespaced, &tell).await
            }
            Err(trouble) => {
                let _ = tell(trouble.map_or_else(|| missing(&reference), Found::Trouble));
                (PAUSE_WITHOUT_KIND, false)
            }
        };
        pause = if was_listed { PAUSE } else { longest.min(pause) };
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Follows a kind that there is, until that is of no use. How long to wait at most until it is tried again, and whether
/// everything was listed.
async fn follow_kind(
    client: &Client,
    reference: &Reference,
    resource: &ApiResource,
    namespaced: bool,
    tell: &impl Fn(Found) -> ControlFlow<()>,
) -> (Duration, bool) {
    let (mut longest, was_listed, mut failures) = (PAUSE_IN_VAIN, AtomicBool::new(false), 0);
    let broken = |error: &watcher::Error| {
        let (trouble, pause) = match code(error) {
            Some(403) => (Found::Trouble(forbidden(resource, reference, namespaced)), PAUSE_IN_VAIN),
            // The kind is gone, or cannot be listed.
            Some(404 | 405) => (missing(reference), PAUSE_WITHOUT_KIND),
            // What was listed stays. Where nothing was, it is told why, unless it passes at once.
            _ => {
                failures += 1;
                if failures >= FAILURES && !was_listed.load(Ordering::Relaxed) {
                    let _ = tell(Found::Trouble(format!("{}: {}", named(reference), describe(error))));
                }
                return false;
            }
        };
        longest = pause;
        let _ = tell(trouble);
        true
    };
    let tell_event = |event| {
        was_listed.fetch_or(matches!(event, Event::InitDone), Ordering::Relaxed);
        tell(Found::Event(Box::new(event)))
    };
    if reference.is_metadata_only() {
        let api: Api<PartialObjectMeta<DynamicObject>> = api(client, reference, resource, namespaced);
        let typed = |event| tell_event(map(event, |object| of_metadata(object, resource)));
        follow_until(api, narrowed(reference), typed, broken).await;
    } else {
        let api: Api<DynamicObject> = api(client, reference, resource, namespaced);
        let typed = |event| tell_event(map(event, |object| of_type(object, resource)));
        follow_until(api, narrowed(reference), typed, broken).await;
    }
    (longest, was_listed.into_inner())
}

/// Why a reference is not read, if it is not: whoever may list Secrets reads all of them.
pub(super) fn unread(reference: &Reference) -> Option<String> {
    let is_secret = is_secret(&reference.api_version, &reference.kind);
    (is_secret && !reference.is_metadata_only() && !is_one(reference)).then(|| {
        "a Secret is read as a param only where `paramRef` has both its `name` and its `namespace`".to_owned()
    })
}

/// The kind's resource, and whether it is namespaced. Fails without words if there is no such kind.
pub(super) async fn discover(
    client: &Client,
    reference: &Reference,
) -> Result<(ApiResource, bool), Option<String>> {
    let (group, version) = reference.api_version.split_once('/').unwrap_or(("", &reference.api_version));
    match pinned_kind(client, &GroupVersionKind::gvk(group, version, &reference.kind)).await {
        Ok((resource, capabilities)) => Ok((resource, capabilities.scope == Scope::Namespaced)),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(None),
        Err(kube::Error::Discovery(DiscoveryError::MissingKind(_) | DiscoveryError::MissingApiGroup(_))) => {
            Err(None)
        }
        Err(error) => Err(Some(format!("{}: {}", named(reference), describe(&error)))),
    }
}

fn api<K>(client: &Client, reference: &Reference, resource: &ApiResource, namespaced: bool) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    match &reference.namespace {
        Some(namespace) if namespaced => Api::namespaced_with(client.clone(), namespace, resource),
        _ => Api::all_with(client.clone(), resource),
    }
}

fn narrowed(reference: &Reference) -> watcher::Config {
    let config = match reference.selector.as_str() {
        "" => config(),
        selector => config().labels(selector),
    };
    match &reference.name {
        Some(name) => config.fields(&format!("metadata.name={name}")),
        None => config,
    }
}

fn is_one(reference: &Reference) -> bool {
    reference.name.is_some() && reference.namespace.is_some()
}

pub(super) fn map<K>(event: Event<K>, object: impl FnOnce(K) -> DynamicObject) -> Event<DynamicObject> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(it) => Event::InitApply(object(it)),
        Event::InitDone => Event::InitDone,
        Event::Apply(it) => Event::Apply(object(it)),
        Event::Delete(it) => Event::Delete(object(it)),
    }
}

/// Objects in a list do not say of what type they are.
pub(super) fn of_type(mut object: DynamicObject, resource: &ApiResource) -> DynamicObject {
    let types = object.types.get_or_insert_default();
    types.api_version.clone_from(&resource.api_version);
    types.kind.clone_from(&resource.kind);
    object
}

/// An object of which nothing but the metadata is known.
pub(super) fn of_metadata(part: PartialObjectMeta<DynamicObject>, resource: &ApiResource) -> DynamicObject {
    let object = DynamicObject { types: None, metadata: part.metadata, data: serde_json::Value::Null };
    of_type(object, resource)
}

pub(super) fn named(reference: &Reference) -> String {
    format!("`{}` of `{}`", reference.kind, reference.api_version)
}

fn missing(reference: &Reference) -> Found {
    if reference.optional { Found::Absent } else { Found::Trouble(absent(reference)) }
}

/// Why what no kind is there for cannot be told.
pub(super) fn absent(reference: &Reference) -> String {
    let what = match reference.purpose {
        Purpose::Params => "of which `paramKind` is",
        Purpose::Lookup => "which a policy looks up",
    };
    format!("the cluster has no {}, {what}", named(reference))
}

fn forbidden(resource: &ApiResource, reference: &Reference, namespaced: bool) -> String {
    let dot = if resource.group.is_empty() { "" } else { "." };
    let place = match &reference.namespace {
        Some(namespace) if namespaced => format!(" in namespace `{namespace}`"),
        _ => String::new(),
    };
    let name = reference.name.as_ref().map(|name| format!(" with the name `{name}`")).unwrap_or_default();
    let rules = match reference.purpose {
        Purpose::Params => "params.rules",
        Purpose::Lookup => "lookups.rules",
    };
    format!(
        "the controller may not read `{}{dot}{}`{name}{place}: grant it `list` and `watch`, as `{rules}` of \
         the chart does",
        resource.plural, resource.group
    )
}

/// The HTTP status of what went wrong with a watch.
fn code(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) => Some(status.code),
        WatchError(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn reference(namespace: Option<&str>, name: Option<&str>) -> Reference {
        Reference {
            purpose: Purpose::Params,
            api_version: "example.com/v1".to_owned(),
            kind: "Limit".to_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            name: name.map(ToOwned::to_owned),
            selector: String::new(),
            optional: false,
        }
    }

    fn resource() -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", "v1", "Limit"), "limits")
    }

    #[test]
    fn what_to_grant_is_no_more_than_what_is_asked_for() {
        let check = |namespace: Option<&str>, name: Option<&str>, expected: &str| {
            let text = forbidden(&resource(), &reference(namespace, name), true);
            assert_eq!(text.split_once(": grant").unwrap().0, expected);
        };
        let may_not = "the controller may not read `limits.example.com`";
        check(None, None, may_not);
        check(None, Some("a"), &format!("{may_not} with the name `a`"));
        check(Some("shop"), Some("a"), &format!("{may_not} with the name `a` in namespace `shop`"));
    }

    #[tokio::test]
    async fn secrets_are_not_listed() {
        let reference = Reference {
            purpose: Purpose::Params,
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            namespace: Some("shop".to_owned()),
            name: None,
            selector: String::new(),
            optional: false,
        };
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let found = std::cell::RefCell::new(Vec::new());
        let tell = |one| {
            found.borrow_mut().push(one);
            ControlFlow::Continue(())
        };
        follow_reference(Client::try_from(config).unwrap(), reference, tell).await;
        let [Found::Trouble(trouble)] = &found.into_inner()[..] else { panic!("asked for Secrets") };
        assert!(trouble.starts_with("a Secret is read as a param only where"), "{trouble}");
    }

    /// An API server that has one Limit, and answers each watch with an error of that code, and so these lists.
    fn refusing(code: u16, refused: Range<usize>) -> Client {
        let lists = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: hyper::Request<kube::client::Body>| {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let refuse = |code: u16| (code, json!({"kind": "Status", "status": "Failure", "code": code}));
            let (status, body) = if path == "/apis/example.com/v1" {
                let limits = json!({"name": "limits", "singularName": "limit", "kind": "Limit", "namespaced": true, "verbs": ["list", "watch"]});
                (
                    200,
                    json!({"kind": "APIResourceList", "groupVersion": "example.com/v1", "resources": [limits]}),
                )
            } else if query.contains("watch=true") {
                refuse(code)
            } else {
                let items = json!([{"metadata": {"name": "a", "namespace": "shop"}}]);
                match refused.contains(&lists.fetch_add(1, Ordering::Relaxed)) {
                    true => refuse(code),
                    false => (200, json!({"metadata": {"resourceVersion": "7"}, "items": items})),
                }
            };
            let body = kube::client::Body::from(body.to_string().into_bytes());
            let response = hyper::Response::builder().status(status).body(body).unwrap();
            async { Ok::<_, std::convert::Infallible>(response) }
        });
        Client::new(service, "default")
    }

    /// What is told of Limits until they are listed so often, in words.
    async fn told(
        client: Client,
        lists: usize,
        is_enough: impl Fn(&Found) -> bool + Send + Sync + 'static,
    ) -> Vec<&'static str> {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let tell = move |found: Found| {
            let (word, is_enough) = match &found {
                Found::Kind(..) => ("kind", false),
                Found::Event(event) => match **event {
                    Event::Init => ("init", false),
                    Event::InitApply(_) => ("one", is_enough(&found)),
                    _ => ("listed", false),
                },
                Found::Absent => ("absent", false),
                Found::Trouble(_) => ("trouble", false),
            };
            send.send(word).unwrap();
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let following = tokio::spawn(follow_reference(client, reference(None, None), tell));
        let mut words = Vec::new();
        while words.iter().filter(|word| **word == "listed").count() < lists {
            let next = tokio::time::timeout(Duration::from_secs(30), receive.recv()).await;
            words.push(next.unwrap_or_else(|_| panic!("no more is told than {words:?}")).unwrap());
        }
        following.abort();
        words
    }

    #[tokio::test]
    async fn what_was_refused_is_listed_anew() {
        for code in [403, 404] {
            let words = told(refusing(code, 1..2), 2, |_| false).await;
            let first = ["kind", "init", "one", "listed", "trouble"];
            let expected = [&first[..], &["kind", "init", "trouble"], &first[..4]].concat();
            assert_eq!(words, expected, "{code}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_listed_is_told_unless_it_passes_at_once() {
        let words = told(refusing(500, 0..3), 1, |_| false).await;
        assert_eq!(words, ["kind", "init", "init", "init", "trouble", "init", "one", "listed"]);
        let words = told(refusing(500, 0..2), 1, |_| false).await;
        assert_eq!(words, ["kind", "init", "init", "init", "one", "listed"]);
    }

    #[tokio::test]
    async fn what_is_too_much_is_listed_anew() {
        let seen = AtomicUsize::new(0);
        let words = told(refusing(410, 1..2), 1, move |_| seen.fetch_add(1, Ordering::Relaxed) == 0).await;
        assert_eq!(words, ["kind", "init", "one", "kind", "init", "init", "one", "listed"]);
    }
}
