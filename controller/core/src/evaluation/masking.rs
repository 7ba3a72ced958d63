//! Values of Secrets, hidden: what messages and annotations are made from must not hold them.

use super::params::Param;
use crate::policy::{CompiledPolicy, Input, Reads, reads_values, repeats_the_object};
use crate::request::{GroupVersionKind, Request};
use portcullis_cel::engine::{Key, MapValue};
use portcullis_cel::{Projection, Value};
use serde_json::Value as Json;

/// What stands in place of a value.
const MASK: &str = "***";

/// A Secret of which values are read.
pub(super) struct ReadSecret<'a, 'r> {
    /// What it is to expressions.
    pub(super) input: Input,
    secret: Value<'a>,
    read: &'r Projection,
}

impl<'a> ReadSecret<'a, '_> {
    /// What is read of it, without values.
    pub(super) fn masked(&self) -> Value<'a> {
        mask(&self.secret, self.read)
    }
}

/// The Secrets, among the objects of a request and its param, of which a group of programs reads values.
pub(super) fn secrets<'a, 'r>(
    request: &'a Request,
    policy: &CompiledPolicy,
    param: &Param<'a>,
    reads: &'r Reads,
) -> impl Iterator<Item = ReadSecret<'a, 'r>> + use<'a, 'r> {
    let of_request = holds_secrets(&request.kind);
    let of_params = policy.param_kind.as_ref().is_some_and(|kind| {
        holds_secrets(&GroupVersionKind::from_api_version(&kind.api_version, &kind.kind))
    });
    let all = [
        (Input::Object, Value::from_json(request.object.root()), of_request),
        (Input::OldObject, Value::from_json(request.old_object.root()), of_request),
        (Input::Params, param.value.clone(), of_params),
    ];
    all.into_iter().filter(|(_, _, is_secret)| *is_secret).filter_map(|(input, secret, _)| {
        let read = reads.of_input(input).filter(|read| reads_values(read))?;
        Some(ReadSecret { input, secret, read })
    })
}

/// Whether objects of a kind hold values that must not leave the process.
pub(super) fn holds_secrets(kind: &GroupVersionKind) -> bool {
    kind.group.is_empty() && kind.kind == "Secret"
}

/// What is read of a Secret, without values: each in `data` and `stringData` is masked, as are annotations that
/// repeat the whole object. Keys stay.
pub(super) fn mask<'a>(secret: &Value<'a>, read: &Projection) -> Value<'a> {
    along(secret, read, |name, value, read| match name {
        "data" | "stringData" => along(value, read, |_, _, _| Value::borrowed(MASK)),
        "metadata" => along(value, read, |name, value, read| match name {
            "annotations" => along(value, read, |key, value, _| {
                if repeats_the_object(key) { Value::borrowed(MASK) } else { value.clone() }
            }),
            _ => value.clone(),
        }),
        _ => value.clone(),
    })
}

/// A map of what is read of a map, made entry by entry. What should be a map and is not is masked.
fn along<'a>(
    map: &Value<'a>,
    read: &Projection,
    mut entry: impl FnMut(&str, &Value<'a>, &Projection) -> Value<'a>,
) -> Value<'a> {
    if matches!(map, Value::Null) {
        return Value::Null;
    }
    if !matches!(map, Value::JsonMap(_) | Value::Map(_)) {
        return Value::borrowed(MASK);
    }
    let mut copy = MapValue::default();
    for (key, value) in map.children() {
        if let Key::Text(name) = &key
            && let Some(read) = read.field(name.as_str())
        {
            let value = entry(name.as_str(), &value, read);
            copy.insert(key, value);
        }
    }
    Value::map(copy)
}

/// Whether one value is another with nothing but values masked, or left out because nobody reads them.
fn hides(masked: &Json, plain: &Json) -> bool {
    match (masked, plain) {
        (Json::String(text), _) if text == MASK => true,
        (Json::Array(masked), Json::Array(plain)) => {
            masked.len() == plain.len()
                && masked.iter().zip(plain).all(|(masked, plain)| hides(masked, plain))
        }
        (Json::Object(masked), Json::Object(plain)) => {
            masked.iter().all(|(key, masked)| plain.get(key).is_some_and(|plain| hides(masked, plain)))
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
    use portcullis_cel::{Environment, Program, Tree, Type};
    use serde_json::json;

    fn secret() -> Json {
        json!({
            "metadata": {"name": "s", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"p\":\"aHVudGVyMg==\"}}",
                "banzaicloud.com/last-applied": "UEsDBBQ=",
                "kapp.k14s.io/original": "{\"data\":{\"p\":\"aHVudGVyMg==\"}}",
                "note": "kept",
            }},
            "data": {"p": "aHVudGVyMg==", "q": {"odd": "shape"}},
            "stringData": "aHVudGVyMg==",
            "type": "Opaque",
        })
    }

    /// What an expression reads of `object`.
    fn read_by(source: &str) -> Projection {
        let environment = Environment::new().with_variable("object", Type::Dyn);
        let program = Program::compile(&environment, source).unwrap();
        program.footprint().of("object").unwrap().clone()
    }

    #[test]
    fn keys_stay_and_values_go() {
        for (source, masked) in [
            (
                "object",
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
                }),
            ),
            ("object.data.q.odd + object.type", json!({"data": {"q": "***"}, "type": "Opaque"})),
            ("object.data.map(k, k)", json!({"data": {"p": "***", "q": "***"}})),
            ("size(object.stringData)", json!({"stringData": "***"})),
        ] {
            let secret = Tree::from(secret());
            let copy = mask(&Value::from_json(secret.root()), &read_by(source));
            assert_eq!(copy.to_json(), masked, "{source}");
        }
    }
}
