//! The reader as serde drives it.

use super::{Entries, Error, Json, RAW, RAW_OF_SERDE_JSON, cut_off};
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;

/// One for each width, all the same.
macro_rules! integers {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
            self.integer(visitor)
        })*
    };
}

impl<'a> Deserializer<'a> for &mut Json<'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'"') => self.deserialize_str(visitor),
            Some(b'{') => self.deserialize_map(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(b'n') => self.deserialize_unit(visitor),
            Some(_) => self.number(visitor),
            None => Err(cut_off()),
        }
    }

    // What a type cannot be is not looked for: each of these is there once for each type.

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_absent()? {
            return visitor.visit_borrowed_str("");
        }
        if self.peek() != Some(b'"') {
            return Err(self.mistyped(&visitor));
        }
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_absent()? {
            return visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, &str)>()));
        }
        if self.peek() != Some(b'{') {
            return Err(self.mistyped(&visitor));
        }
        self.nested(|mut entries| {
            let value = visitor.visit_map(&mut entries)?;
            entries.json.expect(b'}').map(|()| value)
        })
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_absent()? {
            return visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<&str>()));
        }
        if self.peek() != Some(b'[') {
            return Err(self.mistyped(&visitor));
        }
        self.nested(|mut entries| {
            let value = visitor.visit_seq(&mut entries)?;
            entries.json.expect(b']').map(|()| value)
        })
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b't') => self.word("true").and_then(|()| visitor.visit_bool(true)),
            Some(b'f') => self.word("false").and_then(|()| visitor.visit_bool(false)),
            _ if self.is_absent()? => visitor.visit_bool(false),
            _ => Err(self.mistyped(&visitor)),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'n') => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => Err(self.mistyped(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'n') => self.word("null").and_then(|()| visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            RAW => visitor.visit_borrowed_str(self.raw()?),
            RAW_OF_SERDE_JSON => {
                let raw = BorrowedStrDeserializer::new(self.raw()?);
                visitor.visit_map(MapDeserializer::new(std::iter::once((RAW_OF_SERDE_JSON, raw))))
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.peek() == Some(b'{') {
            return self.nested(|mut entries| {
                let value = visitor.visit_enum(MapAccessDeserializer::new(&mut entries))?;
                entries.json.expect(b'}').map(|()| value)
            });
        }
        visitor.visit_enum(self.string()?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        i128 u128 f32 f64 char bytes byte_buf unit_struct tuple
        tuple_struct identifier
    }
}

impl<'a> de::MapAccess<'a> for Entries<'_, 'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if !self.has_next(b'}')? {
            return Ok(None);
        }
        self.json.peek();
        self.key = self.json.string()?;
        let key = match &self.key {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Cow::Owned(key) => seed.deserialize(key.as_str().into_deserializer()),
        };
        key.map(Some).map_err(|error: Error| error.below(&self.key))
    }

    fn next_value_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.json.expect(b':')?;
        seed.deserialize(&mut *self.json).map_err(|error| error.below(&self.key))
    }
}

impl<'a> de::SeqAccess<'a> for Entries<'_, 'a> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if !self.has_next(b']')? {
            return Ok(None);
        }
        let index = self.index - 1;
        seed.deserialize(&mut *self.json).map(Some).map_err(|error| error.below(format_args!("[{index}]")))
    }
}
