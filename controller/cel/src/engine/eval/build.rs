//! List and map literals that are not constant.

use super::super::cost::{LIST, MAP};
use super::super::failure::Failure;
use super::super::map::{Key, MapValue};
use super::super::plan::{Element, Entry};
use super::super::value::Value;
use super::{Frame, unless_final};

impl<'a> Frame<'a, '_> {
    pub(super) fn list(&mut self, elements: &'a [Element]) -> Result<Value<'a>, Box<Failure>> {
        let built = unless_final(self.build_list(elements))?;
        self.meter.charge(LIST)?;
        built
    }

    fn build_list(&mut self, elements: &'a [Element]) -> Result<Value<'a>, Box<Failure>> {
        self.meter.allocate_list(elements.len())?;
        let mut built = Vec::with_capacity(elements.len());
        for element in elements {
            match (self.eval(&element.value)?, element.optional) {
                (value, false) => built.push(value),
                (Value::Optional(Some(value)), true) => built.push((*value).clone()),
                (Value::Optional(None), true) => {}
                (other, true) => {
                    let message =
                        format!("cannot initialize optional list element from non-optional value {other}");
                    return Err(Failure::new(message));
                }
            }
        }
        Ok(Value::list(built))
    }

    pub(super) fn map(&mut self, entries: &'a [Entry]) -> Result<Value<'a>, Box<Failure>> {
        let built = unless_final(self.build_map(entries))?;
        self.meter.charge(MAP)?;
        built
    }

    fn build_map(&mut self, entries: &'a [Entry]) -> Result<Value<'a>, Box<Failure>> {
        self.meter.allocate_list(entries.len() * 2)?;
        let mut built = MapValue::default();
        for entry in entries {
            let key = self.eval(&entry.key)?;
            let value = self.eval(&entry.value)?;
            let known = Key::of(&key)
                .ok_or_else(|| Failure::new(format!("unsupported key type: {}", key.type_name())))?;
            match (value, entry.optional) {
                (value, false) => {
                    built.insert(known, value);
                }
                (Value::Optional(Some(value)), true) => {
                    built.insert(known, (*value).clone());
                }
                (Value::Optional(None), true) => built.remove(&known),
                (other, true) => {
                    let message =
                        format!("cannot initialize optional entry '{key}' from non-optional value {other}");
                    return Err(Failure::new(message));
                }
            }
        }
        Ok(Value::map(built))
    }
}
