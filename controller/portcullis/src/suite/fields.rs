//! Reads mappings field by field: unknown names refused, every fault with its place.

use crate::report::model::{Place, Problem};
use portcullis_core::yaml::{Node, Position, Value};
use std::path::Path;

/// Something wrong with a suite, where it is wrong.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Position,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    pub(super) fn at(self, file: &Path) -> Problem {
        let Position { line, column } = self.at;
        let place = Place { file: file.display().to_string(), line, column };
        Problem { place: Some(place), message: self.message, hint: self.hint }
    }
}

/// A mapping whose keys are all known.
pub(super) struct Fields<'a> {
    node: &'a Node,
    /// Where the mapping begins.
    pub(super) at: Position,
}

impl<'a> Fields<'a> {
    pub(super) fn of(node: &'a Node, known: &[&str]) -> Result<Self, Fault> {
        let Value::Mapping(entries) = &node.value else {
            return Err(Fault::new(node.at, "expected a mapping"));
        };
        match entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
            None => Ok(Self { node, at: node.at }),
            Some(entry) => {
                let hint = match nearest(&entry.key, known) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("known are {}", known.join(", ")),
                };
                let fault = Fault::new(entry.key_at, format!("unknown field `{}`", entry.key));
                Err(Fault { hint: Some(hint), ..fault })
            }
        }
    }

    /// The value of a field; `None` if it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key).filter(|node| node.value != Value::Null)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        match self.get(key).map(|node| (node.as_str(), node)) {
            None => Ok(None),
            Some((Some(text), _)) => Ok(Some(text.to_owned())),
            Some((None, node)) => Err(Fault::new(node.at, format!("`{key}` must be a string"))),
        }
    }

    pub(super) fn required(&self, key: &str) -> Result<String, Fault> {
        self.text(key)?.ok_or_else(|| self.lacks(key))
    }

    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, Fault> {
        match self.get(key).map(|node| (&node.value, node)) {
            None => Ok(None),
            Some((Value::Bool(value), _)) => Ok(Some(*value)),
            Some((_, node)) => Err(Fault::new(node.at, format!("`{key}` must be true or false"))),
        }
    }

    pub(super) fn lacks(&self, key: &str) -> Fault {
        Fault::new(self.at, format!("`{key}` is missing"))
    }

    pub(super) fn fault(&self, key: &str, message: impl Into<String>) -> Fault {
        Fault::new(self.node.get(key).map_or(self.at, |node| node.at), message)
    }
}

/// The known name that was probably meant. Long keys are nobody's typing error, and dear to compare.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(&key.to_lowercase(), &name.to_lowercase());
    let candidates = known.iter().filter(|_| key.len() <= 64).map(|name| (distance(name), *name));
    candidates.min().filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
}
