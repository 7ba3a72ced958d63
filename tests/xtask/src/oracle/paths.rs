//! The fields of a real object, as expressions that read them.

use super::templates::Kind;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Expressions by the kind of what they read.
#[derive(Debug, Default)]
pub(crate) struct Paths(BTreeMap<Kind, Vec<String>>);

impl Paths {
    /// All fields below a variable.
    pub(crate) fn of(variable: &str, fields: &Map<String, Json>) -> Self {
        let mut paths = Self::default();
        for (name, value) in fields {
            paths.walk(&select(variable, name), value);
        }
        paths
    }

    /// Those of a kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> &[String] {
        self.0.get(&kind).map_or(&[], Vec::as_slice)
    }

    fn walk(&mut self, path: &str, value: &Json) {
        self.0.entry(Kind::Any).or_default().push(path.to_owned());
        let kind = match value {
            Json::Null => return,
            Json::Bool(_) => Kind::Bool,
            Json::Number(number) if number.is_i64() => Kind::Int,
            Json::Number(_) => Kind::Double,
            Json::String(_) => Kind::Text,
            Json::Array(items) if items.iter().all(Json::is_object) => Kind::Objects,
            Json::Array(items) if items.iter().all(Json::is_string) => Kind::Texts,
            Json::Array(_) => Kind::Any,
            Json::Object(fields) if fields.values().all(Json::is_string) => Kind::Labels,
            Json::Object(_) => Kind::Object,
        };
        self.0.entry(kind).or_default().push(path.to_owned());
        match value {
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate().take(3) {
                    self.walk(&format!("{path}[{index}]"), item);
                }
            }
            Json::Object(fields) => {
                for (name, value) in fields {
                    self.walk(&select(path, name), value);
                }
            }
            _ => {}
        }
    }
}

/// The selection of a field, by index if its name is no identifier.
pub(crate) fn select(path: &str, name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !["in", "true", "false", "null"].contains(&name);
    if plain { format!("{path}.{name}") } else { format!("{path}['{}']", name.replace('\'', "\\'")) }
}
