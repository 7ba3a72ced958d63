//! Making trees: from text through serde, from values in memory, or piece by piece.

use super::select::SelectSeed;
use super::{Content, Data, Entry, Item, Node, Selection, Span, Tree};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::sync::Arc;

/// Makes trees that share their memory: what is read or put together becomes trees in [`finish`](Self::finish).
pub struct Builder {
    data: Data,
    /// Elements and entries of the lists and maps that are not complete.
    open_items: Vec<Item>,
    open_entries: Vec<Entry>,
}

/// A value in a [`Builder`]. Default is null.
#[derive(Clone, Copy, Debug, Default)]
pub struct Root(Item);

/// A key of a map, kept in a [`Builder`].
#[derive(Clone, Copy, Debug)]
pub struct Key(Span);

/// A list or map that is not complete: where its own part of what is open begins.
#[derive(Clone, Copy, Debug)]
pub struct Open(usize);

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A builder for values that come from no text.
    #[must_use]
    pub fn new() -> Self {
        Self { data: Data::new(None), open_items: Vec::new(), open_entries: Vec::new() }
    }

    /// A builder for values that are parsed from a text. Strings without escapes are not copied, if the parser
    /// borrows them from this very text.
    #[must_use]
    pub fn over(text: Arc<String>) -> Self {
        Self { data: Data::new(Some(text)), ..Self::new() }
    }

    /// A builder of trees that share values of another tree. The other tree's lists are copied, its values and
    /// text are not.
    #[must_use]
    pub fn beside(tree: &Tree) -> Self {
        let data = tree.data.as_deref().cloned().unwrap_or(Data::new(None));
        Self { data, ..Self::new() }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// What the deserializer finds wrong, or more than 4 GiB.
    pub fn read<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<Root, D::Error> {
        Seed { builder: self }.deserialize(deserializer).map(Root)
    }

    /// A seed that reads a value, for visitors that read trees among other things.
    pub fn seed<'de>(&mut self) -> impl DeserializeSeed<'de, Value = Root> {
        RootSeed(Seed { builder: self })
    }

    /// A seed that reads of a value what a selection keeps. What is left out has to be JSON, too.
    pub fn seed_of<'de>(&mut self, selection: &Selection) -> impl DeserializeSeed<'de, Value = Root> {
        RootSeed(SelectSeed { builder: self, selection })
    }

    /// A string.
    pub fn text(&mut self, text: &str) -> Root {
        Root(self.intern(text).map_or(Item::Null, Item::Text))
    }

    /// A boolean.
    #[must_use]
    pub fn bool(truth: bool) -> Root {
        Root(Item::Bool(truth))
    }

    /// A copy of a value of any tree.
    pub fn copy(&mut self, node: Node<'_>) -> Root {
        match node.content() {
            Content::Text(text) => self.text(text),
            Content::List(list) => {
                let open = self.open_list();
                for element in list.iter() {
                    let element = self.copy(element);
                    self.item(element);
                }
                self.close_list(open)
            }
            Content::Map(map) => {
                let open = self.open_map();
                for (key, value) in map.iter() {
                    let value = self.copy(value);
                    self.entry(key, value);
                }
                self.close_map(open)
            }
            _ => Root(node.item),
        }
    }

    /// A value of the tree that the builder was made [`beside`](Self::beside). One of another tree means nothing.
    #[must_use]
    pub fn shared(node: Node<'_>) -> Root {
        Root(node.item)
    }

    /// Begins a list.
    #[must_use]
    pub fn open_list(&self) -> Open {
        Open(self.open_items.len())
    }

    /// Adds an element to the list that was begun last.
    pub fn item(&mut self, value: Root) {
        self.open_items.push(value.0);
    }

    /// Completes the list that was begun last.
    pub fn close_list(&mut self, open: Open) -> Root {
        let (at, length) = (self.data.items.len(), self.open_items.len().saturating_sub(open.0));
        let own = self.open_items.drain(open.0..);
        self.data.items.extend(own);
        Root(span(at, length).map_or(Item::Null, Item::List))
    }

    /// Begins a map.
    #[must_use]
    pub fn open_map(&self) -> Open {
        Open(self.open_entries.len())
    }

    /// Adds an entry to the map that was begun last. Of equal keys the last one counts.
    pub fn entry(&mut self, key: &str, value: Root) {
        if let Some(key) = self.intern(key) {
            self.open_entries.push(Entry { key, value: value.0 });
        }
    }

    /// A key that many maps have.
    pub fn key(&mut self, key: &str) -> Option<Key> {
        self.intern(key).map(Key)
    }

    /// Adds an entry with a known key.
    pub fn entry_of(&mut self, key: Option<Key>, value: Root) {
        if let Some(Key(key)) = key {
            self.open_entries.push(Entry { key, value: value.0 });
        }
    }

    /// A map of the tree that the builder was made [`beside`](Self::beside), with one entry more or replaced.
    pub fn with_entry(&mut self, node: Node<'_>, key: Option<Key>, value: Root) -> Root {
        let (Item::Map(shared), Some(Key(key))) = (node.item, key) else { return Root::default() };
        let data = &mut self.data;
        let at = data.entries.len();
        let shared = node.data.entries(shared);
        let own = data.bytes(key);
        let before = shared.partition_point(|entry| node.data.bytes(entry.key) < own);
        let (before, after) = shared.split_at_checked(before).unwrap_or_default();
        let replaced = after.first().is_some_and(|entry| node.data.bytes(entry.key) == own);
        data.entries.extend_from_slice(before);
        data.entries.push(Entry { key, value: value.0 });
        data.entries.extend_from_slice(after.get(usize::from(replaced)..).unwrap_or_default());
        Root(span(at, data.entries.len() - at).map_or(Item::Null, Item::Map))
    }

    /// Completes the map that was begun last.
    pub fn close_map(&mut self, open: Open) -> Root {
        let data = &mut self.data;
        let at = data.entries.len();
        let own = self.open_entries.get_mut(open.0..).unwrap_or_default();
        if !own.is_sorted_by(|one, other| data.order(one, other).is_lt()) {
            // Equal keys stay in their order, so that the last one is the last of its like.
            own.sort_by(|one, other| data.order(one, other));
        }
        let mut kept = 0;
        for (index, entry) in own.iter().enumerate() {
            let is_last = own.get(index + 1).is_none_or(|next| data.order(entry, next).is_ne());
            if is_last {
                data.entries.push(*entry);
                kept += 1;
            }
        }
        self.open_entries.truncate(open.0);
        Root(span(at, kept).map_or(Item::Null, Item::Map))
    }

    /// The trees of these values.
    #[must_use]
    pub fn finish<const N: usize>(self, roots: [Root; N]) -> [Tree; N] {
        let data = Arc::new(self.data);
        roots.map(|Root(root)| match root {
            Item::Text(_) | Item::List(_) | Item::Map(_) => Tree { data: Some(Arc::clone(&data)), root },
            Item::Null | Item::Bool(_) | Item::Int(_) | Item::Uint(_) | Item::Double(_) => {
                Tree { data: None, root }
            }
        })
    }

    /// The place of a string: where it already stands, if that is in the text, else beside it. None if there is
    /// no room.
    fn intern(&mut self, text: &str) -> Option<Span> {
        let body = self.data.body();
        let at = text.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
        if at.checked_add(text.len()).is_some_and(|end| end <= body.len()) {
            return span(at, text.len());
        }
        let at = body.len() + self.data.side.len();
        self.data.side.push_str(text);
        span(at, text.len())
    }

    pub(super) fn push(&mut self, item: Item) {
        self.open_items.push(item);
    }

    pub(super) fn push_entry(&mut self, entry: Entry) {
        self.open_entries.push(entry);
    }

    pub(super) fn close_read_list<E: Error>(&mut self, open: Open) -> Result<Item, E> {
        match self.close_list(open).0 {
            Item::Null => Err(too_large()),
            list => Ok(list),
        }
    }

    pub(super) fn close_read_map<E: Error>(&mut self, open: Open) -> Result<Item, E> {
        match self.close_map(open).0 {
            Item::Null => Err(too_large()),
            map => Ok(map),
        }
    }

    pub(super) fn intern_or<E: Error>(&mut self, text: &str) -> Result<Span, E> {
        self.intern(text).ok_or_else(too_large)
    }
}

fn span(at: usize, length: usize) -> Option<Span> {
    let end = at.checked_add(length)?;
    u32::try_from(end).ok()?;
    Some(Span { at: u32::try_from(at).ok()?, length: u32::try_from(length).ok()? })
}

fn too_large<E: Error>() -> E {
    E::custom("more than 4 GiB of values")
}

/// Reads one value into a builder.
pub(super) struct Seed<'b> {
    pub(super) builder: &'b mut Builder,
}

struct RootSeed<S>(S);

impl<'de, S: DeserializeSeed<'de, Value = Item>> DeserializeSeed<'de> for RootSeed<S> {
    type Value = Root;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Root, D::Error> {
        self.0.deserialize(deserializer).map(Root)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Item, E> {
        Ok(Item::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Item, E> {
        Ok(Item::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Item, E> {
        Ok(Item::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Item, E> {
        Ok(i64::try_from(number).map_or(Item::Uint(number), Item::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Item, E> {
        Ok(Item::Double(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
        self.builder.intern_or(text).map(Item::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Item, A::Error> {
        let builder = self.builder;
        let open = builder.open_list();
        while let Some(item) = elements.next_element_seed(Seed { builder: &mut *builder })? {
            builder.push(item);
        }
        builder.close_read_list(open)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Item, A::Error> {
        let builder = self.builder;
        let open = builder.open_map();
        while let Some(key) = entries.next_key_seed(KeySeed { builder: &mut *builder })? {
            let value = entries.next_value_seed(Seed { builder: &mut *builder })?;
            builder.push_entry(Entry { key, value });
        }
        builder.close_read_map(open)
    }
}

struct KeySeed<'b> {
    builder: &'b mut Builder,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Span;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Span, E> {
        self.builder.intern_or(key)
    }
}
