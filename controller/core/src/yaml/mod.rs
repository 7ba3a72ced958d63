//! YAML as kubectl reads it, with positions kept.
//!
//! Scalars follow YAML 1.1 as sigs.k8s.io/yaml resolves them (`yes` is true, `0644` is 420); duplicate
//! keys, which kubectl lets pass, are refused. A stream is split at `---` lines first, as kubectl does, so
//! that one broken document does not hide the others.

mod build;
mod events;
mod json;
mod locate;
mod place;
mod scalar;
mod stream;
#[cfg(test)]
mod tests;

pub use place::TextPlace;
pub use stream::read;

use serde_json::{Number, Value as Json};
use thiserror::Error;

/// The longest text that is read, in bytes: the webhook's body limit.
pub const MAX_BYTES: usize = 32 << 20;

/// How deep lists and mappings may nest.
pub const MAX_DEPTH: usize = 1_000;

/// How much anchors may hold and aliases may repeat in one document, in bytes of text plus 32 for each
/// node: a few lines of aliases of aliases would otherwise fill any memory.
pub const MAX_ALIASED: usize = 8 << 20;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {}, column {}: {}", position.line, position.column, self.message(|at| at))]
pub struct YamlError {
    /// Where in the whole text.
    pub position: Position,
    message: String,
    /// The other place that it is about: that of an earlier key of the same name.
    first: Option<Position>,
}

/// A place in a text: line and column, both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub at: Position,
    /// Whether it stands behind a tag that is none of YAML's own, such as `!mine`. kubectl leaves such tags out, and
    /// with them what a person may have meant as a part of the text: `!ready` is empty.
    pub tagged: bool,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean, in any of YAML 1.1's spellings.
    Bool(bool),
    /// A number that JSON can hold.
    Number(Number),
    /// A string.
    String(Text),
    /// A list.
    Sequence(Vec<Node>),
    /// An object, in the order of the text.
    Mapping(Vec<Entry>),
}

/// A string and where its characters stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The string after unescaping and folding.
    pub text: String,
    /// Where it stands.
    pub place: TextPlace,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as JSON has it: always a string.
    pub key: String,
    /// Where the key begins.
    pub key_at: Position,
    /// The value.
    pub value: Node,
}

impl YamlError {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: one_line(message.into()), first: None }
    }

    /// What is wrong: one line. Another place that it names is put as the reader counts, who may have the text inside
    /// another one.
    pub fn message(&self, place: impl Fn(Position) -> Position) -> String {
        match self.first.map(place) {
            None => self.message.clone(),
            Some(Position { line, column }) => {
                format!("{}, first in line {line}, column {column}", self.message)
            }
        }
    }
}

/// The longest error message, in characters: what a user wrote may be quoted in it.
const MAX_MESSAGE: usize = 500;

/// A message without line breaks and other control characters, cut to a bearable length.
pub(crate) fn one_line(message: String) -> String {
    if message.len() <= MAX_MESSAGE && !message.contains(char::is_control) {
        return message;
    }
    let mut line: String = message
        .chars()
        .take(MAX_MESSAGE)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if message.chars().nth(MAX_MESSAGE).is_some() {
        line.push('…');
    }
    line
}

impl Node {
    /// The value as JSON, without positions.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(value) => Json::Number(value.clone()),
            Value::String(value) => Json::String(value.text.clone()),
            Value::Sequence(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Mapping(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// The value under a key; `None` if there is no such key or this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(&text.text),
            _ => None,
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}
