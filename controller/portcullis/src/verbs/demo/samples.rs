//! The samples of the demo: reviews with what must come back, in the order of `demo.yaml`.

use crate::terminal::Hinted;
use anyhow::{Context, bail};
use hyper::body::Bytes;
use portcullis_core::yaml;
use serde::Deserialize;
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

/// The list of samples, in their directory.
const LIST: &str = "demo.yaml";

/// What is sent, and what must come back.
#[derive(Debug)]
pub(super) struct Sample {
    /// The review's file in its directory.
    pub(super) file: String,
    /// What it is, for people.
    pub(super) title: String,
    pub(super) expect: Expect,
    /// Policies that the answer must name.
    pub(super) by: Vec<String>,
    pub(super) body: Bytes,
    /// The object of the review, if it has one.
    pub(super) object: Option<Json>,
    /// Who wants what, such as `create Pod shop/web, by alice`; `None` if the review cannot be read.
    pub(super) request: Option<String>,
}

/// What must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expect {
    /// Nothing is wrong.
    Allow,
    Deny,
    /// Allowed with a warning.
    Warn,
    /// Allowed and recorded, without a word to the requester.
    Audit,
    /// An HTTP error.
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    file: String,
    title: String,
    expect: Expect,
    #[serde(default)]
    by: Vec<String>,
}

/// Reads the list and the reviews that it names.
pub(super) fn read(directory: &Path) -> anyhow::Result<Vec<Sample>> {
    let list = directory.join(LIST);
    let text = fs::read_to_string(&list).map_err(|_| {
        let message = format!("there are no sample reviews in `{}`: no `{LIST}`", directory.display());
        Hinted::new(message, "run this in a clone of the repository, or give `--reviews DIR`")
    })?;
    let mut documents = yaml::read(&text);
    let Some(document) = documents.pop() else { bail!("`{}` is empty", list.display()) };
    let document = document.with_context(|| format!("cannot read `{}`", list.display()))?;
    let listed: Vec<Listed> = serde_json::from_value(document.to_json())
        .with_context(|| format!("`{}` is not a list of samples", list.display()))?;
    listed.into_iter().map(|listed| Sample::read(directory, listed)).collect()
}

impl Sample {
    fn read(directory: &Path, listed: Listed) -> anyhow::Result<Self> {
        let path = directory.join(&listed.file);
        let body = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let review = serde_json::from_slice::<Json>(&body).unwrap_or_default();
        let request = review.get("request");
        Ok(Self {
            request: request.map(request_line),
            object: request
                .and_then(|request| request.get("object"))
                .filter(|object| object.is_object())
                .cloned(),
            file: listed.file,
            title: listed.title,
            expect: listed.expect,
            by: listed.by,
            body: body.into(),
        })
    }
}

fn request_line(request: &Json) -> String {
    let text = |pointer: &str| request.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let generated = text("/object/metadata/generateName");
    let name = match text("/name") {
        "" if !generated.is_empty() => format!("{generated}*"),
        name => name.to_owned(),
    };
    let namespace = match text("/namespace") {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    let subresource = match text("/subResource") {
        "" => String::new(),
        subresource => format!(" ({subresource})"),
    };
    let operation = text("/operation").to_lowercase();
    format!(
        "{operation} {} {namespace}{name}{subresource}, by {}",
        text("/kind/kind"),
        text("/userInfo/username")
    )
}

#[cfg(test)]
mod tests {
    use super::request_line;
    use serde_json::json;

    #[test]
    fn a_request_is_told_in_a_line() {
        let check = |request: serde_json::Value, expect: &str| assert_eq!(request_line(&request), expect);
        check(
            json!({"operation": "CREATE", "kind": {"kind": "Pod"}, "namespace": "shop", "userInfo": {"username": "a"},
                   "object": {"metadata": {"generateName": "web-"}}}),
            "create Pod shop/web-*, by a",
        );
        check(
            json!({"operation": "UPDATE", "kind": {"kind": "Pod"}, "subResource": "ephemeralcontainers", "name": "web",
                   "namespace": "shop", "userInfo": {"username": "a"}}),
            "update Pod shop/web (ephemeralcontainers), by a",
        );
        check(
            json!({"operation": "DELETE", "kind": {"kind": "Namespace"}, "name": "shop", "userInfo": {"username": "a"}}),
            "delete Namespace shop, by a",
        );
    }
}
