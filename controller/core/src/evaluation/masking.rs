//! Values of Secrets, hidden: what messages and annotations are made from must not hold them.

use crate::request::GroupVersionKind;
use portcullis_cel::{Node, Tree, Value};
use serde_json::Value as Json;

/// What stands in place of a value.
const MASK: &str = "***";

/// Whether objects of a kind hold values that must not leave the process.
pub(crate) fn holds_secrets(kind: &GroupVersionKind) -> bool {
    kind.group.is_empty() && kind.kind == "Secret"
}

/// A copy in which every value of a Secret's `data` and `stringData` is masked and kept keys stay, and its
/// annotations that repeat the whole object are masked too. Objects of
/// other kinds are copied as they are.
pub(crate) fn mask(kind: &GroupVersionKind, object: Node<'_>) -> Tree {
    let mut masked = object.to_json();
    if !holds_secrets(kind) {
        return Tree::from(masked);
    }
    for field in ["data", "stringData"] {
        match masked.get_mut(field) {
            None | Some(Json::Null) => {}
            Some(Json::Object(values)) => values.values_mut().for_each(|value| *value = Json::from(MASK)),
            Some(other) => *other = Json::from(MASK),
        }
    }
    if let Some(annotations) = masked.pointer_mut("/metadata/annotations").and_then(Json::as_object_mut) {
        for (key, value) in annotations.iter_mut() {
            if repeats_the_object(key) {
                *value = Json::from(MASK);
            }
        }
    }
    Tree::from(masked)
}

/// Whether an annotation holds the whole object as somebody last applied it: kubectl's
/// `last-applied-configuration`, the like of other tools, and kapp's `original`.
fn repeats_the_object(key: &str) -> bool {
    key.contains("last-applied") || key == "kapp.k14s.io/original"
}

/// Whether one value is another with nothing but values masked.
pub(crate) fn hides(masked: &Json, plain: &Json) -> bool {
    match (masked, plain) {
        (Json::String(text), _) if text == MASK => true,
        (Json::Array(masked), Json::Array(plain)) => {
            masked.len() == plain.len()
                && masked.iter().zip(plain).all(|(masked, plain)| hides(masked, plain))
        }
        (Json::Object(masked), Json::Object(plain)) => {
            masked.len() == plain.len()
                && masked.iter().all(|(key, masked)| plain.get(key).is_some_and(|plain| hides(masked, plain)))
        }
        _ => masked == plain,
    }
}

/// What may be told of an element: itself, or what it is in the list made from masked Secrets. A list that was
/// filtered or sorted by values may hold another element in that place, of which nothing is told.
pub(super) fn told<'e, 'a>(
    (index, plain): &'e (usize, Value<'a>),
    masked: Option<&'e [Value<'a>]>,
) -> Option<&'e Value<'a>> {
    match masked {
        None => Some(plain),
        Some(masked) => masked.get(*index).filter(|masked| hides(&masked.to_json(), &plain.to_json())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_stay_and_values_go() {
        let kind = GroupVersionKind::from_api_version("v1", "Secret");
        let object = json!({
            "metadata": {"name": "s", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"p\":\"aHVudGVyMg==\"}}",
                "banzaicloud.com/last-applied": "UEsDBBQ=",
                "kapp.k14s.io/original": "{\"data\":{\"p\":\"aHVudGVyMg==\"}}",
                "note": "kept",
            }},
            "data": {"p": "aHVudGVyMg==", "q": {"odd": "shape"}},
            "stringData": "aHVudGVyMg==",
            "type": "Opaque",
        });
        assert_eq!(
            mask(&kind, Tree::from(object).root()),
            json!({
                "metadata": {"name": "s", "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "***",
                    "banzaicloud.com/last-applied": "***",
                    "kapp.k14s.io/original": "***",
                    "note": "kept",
                }},
                "data": {"p": "***", "q": "***"},
                "stringData": "***",
                "type": "Opaque",
            })
        );
    }

    #[test]
    fn other_kinds_are_left_alone() {
        let kind = GroupVersionKind::from_api_version("v1", "ConfigMap");
        let object = json!({"data": {"p": "plain"}});
        assert_eq!(mask(&kind, Tree::from(&object).root()), object);
    }
}
