//! Reading of a document only what somebody reads of it. The rest is skipped, and has to be what could be read.

use super::build::Seed;
use super::{Builder, Entry, Item, Span};
use crate::engine::{Extent, Projection};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A [`Projection`] made ready for reading documents.
#[derive(Clone, Debug)]
pub struct Selection {
    extent: Extent,
    /// Sorted by length, then by name.
    fields: Vec<(Box<str>, Selection)>,
    /// What is kept of elements, and of entries that are not named.
    every: Option<Box<Selection>>,
}

impl Selection {
    /// Keeps what a projection reads: whoever reads no more than that notices no difference.
    #[must_use]
    pub fn of(projection: &Projection) -> Self {
        if projection.is_whole() {
            return Self { extent: Extent::Whole, fields: Vec::new(), every: None };
        }
        let fields = projection.fields().map(|(name, below)| (Box::from(name), Self::of(below)));
        let mut fields: Vec<(Box<str>, Self)> = fields.collect();
        fields.sort_by(|(one, _), (other, _)| order(one, other));
        Self {
            extent: projection.extent(),
            fields,
            every: projection.element().map(|below| Box::new(Self::of(below))),
        }
    }

    fn field(&self, name: &str) -> Option<&Self> {
        match self.fields.binary_search_by(|(known, _)| order(known, name)) {
            Ok(index) => self.fields.get(index).map(|(_, below)| below),
            Err(_) => self.every.as_deref(),
        }
    }
}

fn order(one: &str, other: &str) -> std::cmp::Ordering {
    one.len().cmp(&other.len()).then_with(|| one.as_bytes().cmp(other.as_bytes()))
}

/// Reads of a value what a selection keeps.
pub(super) struct SelectSeed<'b, 's> {
    pub(super) builder: &'b mut Builder,
    pub(super) selection: &'s Selection,
}

impl<'de> DeserializeSeed<'de> for SelectSeed<'_, '_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        match self.selection.extent {
            Extent::Whole => Seed { builder: self.builder }.deserialize(deserializer),
            // What is skipped is null where something has to be.
            Extent::Presence => Skip.deserialize(deserializer).map(|()| Item::Null),
            Extent::Type | Extent::Shape => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for SelectSeed<'_, '_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Item, E> {
        Seed { builder: self.builder }.visit_unit()
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Item, E> {
        Seed { builder: self.builder }.visit_bool(truth)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Item, E> {
        Seed { builder: self.builder }.visit_i64(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Item, E> {
        Seed { builder: self.builder }.visit_u64(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Item, E> {
        Seed { builder: self.builder }.visit_f64(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
        Seed { builder: self.builder }.visit_str(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Item, A::Error> {
        let Self { builder, selection } = self;
        let open = builder.open_list();
        match &selection.every {
            Some(selection) => {
                while let Some(item) =
                    elements.next_element_seed(SelectSeed { builder: &mut *builder, selection })?
                {
                    builder.push(item);
                }
            }
            None => while elements.next_element_seed(Skip)?.is_some() {},
        }
        builder.close_read_list(open)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Item, A::Error> {
        let Self { builder, selection } = self;
        let open = builder.open_map();
        while let Some(key) = entries.next_key_seed(SelectKey { builder: &mut *builder, selection })? {
            match key {
                Some((key, selection)) => {
                    let value = entries.next_value_seed(SelectSeed { builder: &mut *builder, selection })?;
                    builder.push_entry(Entry { key, value });
                }
                None => entries.next_value_seed(Skip)?,
            }
        }
        builder.close_read_map(open)
    }
}

/// Reads the name of an entry: where it is, and what is kept of the entry, if anything.
struct SelectKey<'b, 's> {
    builder: &'b mut Builder,
    selection: &'s Selection,
}

impl<'de, 's> DeserializeSeed<'de> for SelectKey<'_, 's> {
    type Value = Option<(Span, &'s Selection)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s> Visitor<'_> for SelectKey<'_, 's> {
    type Value = Option<(Span, &'s Selection)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        match self.selection.field(key) {
            Some(below) => Ok(Some((self.builder.intern_or(key)?, below))),
            None => Ok(None),
        }
    }
}

/// Reads a value and keeps nothing of it. Whatever is wrong with it is found as if it were read, which serde's
/// own `IgnoredAny` does not do: it lets halves of surrogate pairs and infinite numbers pass.
struct Skip;

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_key_seed(SkipKey)?.is_some() {
            entries.next_value_seed(Self)?;
        }
        Ok(())
    }
}

struct SkipKey;

impl<'de> DeserializeSeed<'de> for SkipKey {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(Skip)
    }
}
