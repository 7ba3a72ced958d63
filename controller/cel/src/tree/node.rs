//! Places in a tree, to be read from.

use super::{Data, Entry, Item};
use std::fmt;

/// A value in a [`Tree`](super::Tree).
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub(super) data: &'a Data,
    pub(super) item: Item,
}

/// The elements of a list in a tree.
#[derive(Clone, Copy)]
pub struct NodeList<'a> {
    data: &'a Data,
    span: super::Span,
}

/// The entries of a map in a tree, sorted by key.
#[derive(Clone, Copy)]
pub struct NodeMap<'a> {
    data: &'a Data,
    span: super::Span,
}

/// What a [`Node`] is.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within the range of `i64`.
    Int(i64),
    /// An integer beyond that.
    Uint(u64),
    /// Any other number.
    Double(f64),
    /// A string.
    Text(&'a str),
    /// A list.
    List(NodeList<'a>),
    /// A map.
    Map(NodeMap<'a>),
}

static NOTHING: Data = Data::new(None);

impl Default for Node<'_> {
    /// Null.
    fn default() -> Self {
        Self { data: &NOTHING, item: Item::Null }
    }
}

impl<'a> Node<'a> {
    pub(super) fn of(data: Option<&'a Data>, item: Item) -> Self {
        Self { data: data.unwrap_or(&NOTHING), item }
    }

    /// What it is.
    #[must_use]
    pub fn content(self) -> Content<'a> {
        let data = self.data;
        match self.item {
            Item::Null => Content::Null,
            Item::Bool(truth) => Content::Bool(truth),
            Item::Int(number) => Content::Int(number),
            Item::Uint(number) => Content::Uint(number),
            Item::Double(number) => Content::Double(number),
            Item::Text(span) => Content::Text(data.text(span)),
            Item::List(span) => Content::List(NodeList { data, span }),
            Item::Map(span) => Content::Map(NodeMap { data, span }),
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.item, Item::Null)
    }

    /// Whether it is a map.
    #[must_use]
    pub fn is_object(self) -> bool {
        matches!(self.item, Item::Map(_))
    }

    /// The truth of a boolean.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if let Item::Bool(truth) = self.item { Some(truth) } else { None }
    }

    /// The number, if it is an integer that fits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if let Item::Int(number) = self.item { Some(number) } else { None }
    }

    /// The number, rounded to the next that fits.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        match self.item {
            Item::Int(number) => Some(number as f64),
            Item::Uint(number) => Some(number as f64),
            Item::Double(number) => Some(number),
            _ => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        if let Item::Text(span) = self.item { Some(self.data.text(span)) } else { None }
    }

    /// The elements of a list.
    #[must_use]
    pub fn as_array(self) -> Option<NodeList<'a>> {
        if let Item::List(span) = self.item { Some(NodeList { data: self.data, span }) } else { None }
    }

    /// The entries of a map.
    #[must_use]
    pub fn as_object(self) -> Option<NodeMap<'a>> {
        if let Item::Map(span) = self.item { Some(NodeMap { data: self.data, span }) } else { None }
    }

    /// A field of a map by its name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.as_object()?.get(name)
    }

    /// What an RFC 6901 pointer leads to. No member is named by `~`.
    #[must_use]
    pub fn pointer(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |node, token| match node.item {
            Item::Map(_) => node.get(token),
            Item::List(_) => node.as_array()?.get(token.parse().ok()?),
            _ => None,
        })
    }
}

impl<'a> NodeList<'a> {
    /// How many elements it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.span.length as usize
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.span.length == 0
    }

    /// The element at an index, counted from 0.
    #[must_use]
    pub fn get(self, index: usize) -> Option<Node<'a>> {
        self.data.items(self.span).get(index).map(|item| Node { data: self.data, item: *item })
    }

    /// Its elements.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Node<'a>> + Clone + use<'a> {
        self.data.items(self.span).iter().map(move |item| Node { data: self.data, item: *item })
    }
}

impl<'a> NodeMap<'a> {
    /// How many entries it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.span.length as usize
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.span.length == 0
    }

    /// The value of a key.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Node<'a>> {
        self.data.find(self.span, name).map(|item| Node { data: self.data, item })
    }

    /// Its entries, sorted by key.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (&'a str, Node<'a>)> + Clone + use<'a> {
        let value = move |entry: &Entry| Node { data: self.data, item: entry.value };
        self.data.entries(self.span).iter().map(move |entry| (self.data.text(entry.key), value(entry)))
    }
}

impl fmt::Debug for NodeList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for NodeMap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
