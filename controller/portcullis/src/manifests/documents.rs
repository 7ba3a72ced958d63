//! From the text of one file to its objects: documents, Lists flattened, what is no object reported.

use super::{MAX_BYTES, Manifest, Manifests, UTF_16, not_utf_8};
use crate::report::model::{Place, Problem};
use portcullis_core::yaml::{self, Node, Position, Value};
use std::sync::Arc;

/// How deep Lists may hold Lists.
const MAX_LISTS: usize = 8;

/// Reads the objects in a text. `file` is what places and problems name.
pub fn parse(file: &str, text: &[u8]) -> Manifests {
    let mut parser = Parser { file: file.into(), found: Manifests::default() };
    if text.len() > MAX_BYTES {
        let large = Problem::new(format!("`{file}` is larger than {} MiB", MAX_BYTES >> 20));
        parser.found.problems.push(large.with_hint("split it, one namespace or kind to a file"));
        return parser.found;
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("`{file}` is not UTF-8 text (byte {})", error.valid_up_to());
            let utf_16 = not_utf_8(text) == UTF_16;
            let hint = utf_16.then(|| format!("{UTF_16}; save it as UTF-8"));
            parser.found.problems.push(Problem { hint, ..Problem::new(message) });
            return parser.found;
        }
    };
    let template = text.contains("{{").then_some(TEMPLATE);
    for document in yaml::read(text) {
        match document {
            Ok(node) if node.value == Value::Null => {}
            Ok(node) => parser.take(node, &Inherited::default(), MAX_LISTS),
            Err(error) => parser.refuse(error.position, &error.message(|at| at), template),
        }
    }
    parser.found
}

/// What to do about files that are no manifests, above all charts.
const TEMPLATE: &str = "pass manifests only; render templates first (`helm template … | portcullis check -`)";

struct Parser {
    file: Arc<str>,
    found: Manifests,
}

/// What a typed List (`PodList`) says once for all its items.
#[derive(Default)]
struct Inherited {
    api_version: Option<String>,
    kind: Option<String>,
}

impl Parser {
    fn take(&mut self, node: Node, inherited: &Inherited, lists: usize) {
        let text = |key: &str| {
            node.get(key).and_then(Node::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let api_version = text("apiVersion").or_else(|| inherited.api_version.clone());
        let kind = text("kind").or_else(|| inherited.kind.clone());
        let (api_version, kind) = match (api_version, kind) {
            (Some(api_version), Some(kind)) => (api_version, kind),
            (api_version, _) => {
                let field = if api_version.is_none() { "apiVersion" } else { "kind" };
                let fault = match node.get(field).map(Node::as_str) {
                    None => "is missing",
                    Some(None) => "is not a string",
                    Some(Some(_)) => "is empty",
                };
                let message = format!("not a Kubernetes object: `{field}` {fault}");
                return self.refuse(node.at, &message, Some(TEMPLATE));
            }
        };
        match (kind.strip_suffix("List"), items(&node)) {
            (Some(item_kind), true) if lists > 0 => {
                let typed = !item_kind.is_empty();
                let inherited = Inherited {
                    api_version: typed.then_some(api_version),
                    kind: typed.then(|| item_kind.to_owned()),
                };
                let items = into_items(node);
                self.found.empty_lists |= items.is_empty();
                for item in items {
                    self.take(item, &inherited, lists - 1);
                }
            }
            (Some(_), true) => self.refuse(node.at, "too many Lists inside Lists", None),
            _ => self.push(node, api_version, kind),
        }
    }

    fn push(&mut self, node: Node, api_version: String, kind: String) {
        let mut object = node.to_json();
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), api_version.into());
            fields.insert("kind".to_owned(), kind.into());
        }
        self.found.objects.push(Manifest { object, file: Arc::clone(&self.file), node });
    }

    fn refuse(&mut self, at: Position, message: &str, hint: Option<&str>) {
        let place = Place { file: self.file.to_string(), line: at.line, column: at.column };
        self.found.problems.push(Problem {
            place: Some(place),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        });
    }
}

fn items(node: &Node) -> bool {
    matches!(node.get("items").map(|items| &items.value), Some(Value::Sequence(_)))
}

fn into_items(node: Node) -> Vec<Node> {
    let Value::Mapping(entries) = node.value else { return Vec::new() };
    match entries.into_iter().find(|entry| entry.key == "items").map(|entry| entry.value.value) {
        Some(Value::Sequence(items)) => items,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// Each object as `kind/name@line`, then each problem.
    fn check(text: &str, expect: &[&str]) {
        let found = parse("f.yaml", text.as_bytes());
        let objects = found.objects.iter().map(|manifest| {
            let text =
                |pointer| manifest.object.pointer(pointer).and_then(|value| value.as_str()).unwrap_or("-");
            format!("{} {}@{}", text("/kind"), text("/metadata/name"), manifest.place("metadata.name").line)
        });
        let problems = found.problems.iter().map(ToString::to_string);
        assert_eq!(objects.chain(problems).collect::<Vec<_>>(), expect, "{text}");
    }

    #[test]
    fn documents_lists_and_json_give_their_objects() {
        check("", &[]);
        check("---\n# nothing\n---\n", &[]);
        check(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\n",
            &["Pod a@4", "Pod b@8"],
        );
        check(
            "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n",
            &["Pod a@4"],
        );
        check(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n",
            &["Pod a@6", "Secret s@7"],
        );
        check("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n", &["Pod a@4"]);
        check("apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a}\n", &["AllowList a@3"]);
    }

    #[test]
    fn what_is_no_object_hides_nothing() {
        check(
            "kind: [\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n---\nreplicas: 3\n",
            &[
                "Pod a@6",
                "f.yaml:2:1: did not find expected node content",
                "f.yaml:8:1: not a Kubernetes object: `apiVersion` is missing",
            ],
        );
    }
}
