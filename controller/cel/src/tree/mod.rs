//! JSON as the engine reads it: parsed once into a few flat lists, and never changed.
//!
//! A [`Tree`] owns a value and is cheap to clone; a [`Node`] is a place in one. Strings without escapes stay
//! in the text they were parsed from. The entries of a map are sorted by key, so that every source of an
//! object gives the same order.

mod build;
mod node;
mod select;
mod write;

pub use build::{Builder, Key, Root};
pub use node::{Content, Node, NodeList, NodeMap};
pub use select::Selection;

use serde_json::Value as Json;
use std::cmp::Ordering;
use std::sync::Arc;

/// A JSON value of its own, perhaps one of several made from one text. Default is null.
#[derive(Clone, Default)]
pub struct Tree {
    /// None for what needs none.
    data: Option<Arc<Data>>,
    root: Item,
}

/// What the nodes of one or more trees are made of.
#[derive(Clone, Debug)]
struct Data {
    /// The text it was parsed from.
    body: Option<Arc<String>>,
    /// Strings that do not stand in `body` as they are; their places are counted from its end.
    side: String,
    /// The elements of lists, those of one list together.
    items: Vec<Item>,
    /// The entries of maps, those of one map together and sorted by key.
    entries: Vec<Entry>,
}

/// A value; those of lists and maps are elsewhere in the data.
#[derive(Clone, Copy, Debug, Default)]
enum Item {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// Only what is no `i64`.
    Uint(u64),
    Double(f64),
    Text(Span),
    List(Span),
    Map(Span),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Span,
    value: Item,
}

/// Bytes of text, elements or entries.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    at: u32,
    length: u32,
}

/// Maps with more entries than this are searched by halves.
const SCANNED: usize = 12;

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        let at = self.at as usize;
        at..at + self.length as usize
    }
}

impl Data {
    const fn new(body: Option<Arc<String>>) -> Self {
        Self { body, side: String::new(), items: Vec::new(), entries: Vec::new() }
    }

    fn body(&self) -> &str {
        self.body.as_deref().map_or("", String::as_str)
    }

    fn text(&self, span: Span) -> &str {
        let (body, range) = (self.body(), span.range());
        match range.start.checked_sub(body.len()) {
            None => body.get(range),
            Some(at) => self.side.get(at..at + span.length as usize),
        }
        .unwrap_or_default()
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let (body, range) = (self.body(), span.range());
        match range.start.checked_sub(body.len()) {
            None => body.as_bytes().get(range),
            Some(at) => self.side.as_bytes().get(at..at + span.length as usize),
        }
        .unwrap_or_default()
    }

    fn items(&self, span: Span) -> &[Item] {
        self.items.get(span.range()).unwrap_or_default()
    }

    fn entries(&self, span: Span) -> &[Entry] {
        self.entries.get(span.range()).unwrap_or_default()
    }

    fn find(&self, span: Span, key: &str) -> Option<Item> {
        let (entries, key) = (self.entries(span), key.as_bytes());
        if entries.len() <= SCANNED {
            let is_it =
                |entry: &&Entry| entry.key.length as usize == key.len() && self.bytes(entry.key) == key;
            return entries.iter().find(is_it).map(|entry| entry.value);
        }
        let found = entries.binary_search_by(|entry| self.bytes(entry.key).cmp(key)).ok()?;
        entries.get(found).map(|entry| entry.value)
    }

    fn order(&self, one: &Entry, other: &Entry) -> Ordering {
        self.bytes(one.key).cmp(self.bytes(other.key))
    }
}

impl Tree {
    /// Parses a JSON text, nested as deep as the stack allows.
    ///
    /// # Errors
    /// It is not JSON, or larger than 4 GiB.
    pub fn parse(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        let body = Arc::new(text.into());
        let mut builder = Builder::over(Arc::clone(&body));
        let mut deserializer = serde_json::Deserializer::from_str(&body);
        deserializer.disable_recursion_limit();
        let root = builder.read(&mut deserializer)?;
        deserializer.end()?;
        let [tree] = builder.finish([root]);
        Ok(tree)
    }

    /// The value itself.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::of(self.data.as_deref(), self.root)
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.root, Item::Null)
    }

    /// A field of a map by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Node<'_>> {
        self.root().get(name)
    }

    /// What an RFC 6901 pointer leads to.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<Node<'_>> {
        self.root().pointer(pointer)
    }

    /// A copy in the representation of `serde_json`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        self.root().to_json()
    }

    /// The memory that it takes together with the trees it was made with, their text not counted, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.data.as_ref().map_or(0, |data| {
            size_of::<Data>()
                + data.side.capacity()
                + data.items.capacity() * size_of::<Item>()
                + data.entries.capacity() * size_of::<Entry>()
        })
    }
}

impl From<&Json> for Tree {
    fn from(json: &Json) -> Self {
        let mut builder = Builder::new();
        // A value in memory has no syntax to be wrong.
        let root = builder.read(json).unwrap_or_default();
        let [tree] = builder.finish([root]);
        tree
    }
}

impl From<Json> for Tree {
    fn from(json: Json) -> Self {
        Self::from(&json)
    }
}

#[cfg(test)]
mod tests;
