//! Variables and selections, with cel-go's rules for what is missing, present or optional.

use super::super::bindings::Slot;
use super::super::cost::SELECT;
use super::super::failure::Failure;
use super::super::map::Key;
use super::super::number::{Integral, integral};
use super::super::plan::{Attribute, Own, Qualifier, QualifierKey, Root};
use super::super::value::Value;
use super::locals::Local;
use super::{Frame, constant, unless_final};

impl<'a> Frame<'a, '_> {
    pub(super) fn attribute(&mut self, attribute: &'a Attribute) -> Result<Value<'a>, Box<Failure>> {
        let mut units = 0;
        let result = unless_final(self.resolve(attribute, &mut units))?;
        match attribute.own {
            Own::One => self.meter.charge(units + SELECT)?,
            Own::Nothing => self.meter.charge(units)?,
            Own::Refund => {
                self.meter.charge(units)?;
                self.meter.refund(SELECT);
            }
        }
        result
    }

    /// The value of an attribute; `units` counts the selections that are charged.
    fn resolve(&mut self, attribute: &'a Attribute, units: &mut u64) -> Result<Value<'a>, Box<Failure>> {
        let mut qualifiers = attribute.qualifiers.iter();
        let mut value = match &attribute.root {
            Root::Local(slot) => self.local(*slot)?,
            Root::Node(node) => self.eval(node)?,
            Root::Variable(index) => match self.bindings.slot(*index) {
                Slot::Value(value) => value.clone(),
                Slot::Absent => return Err(self.missing(*index)),
                Slot::Lazy(object) => match qualifiers.next() {
                    Some(Qualifier { key: QualifierKey::Field(name), optional }) => {
                        *units += SELECT;
                        let last = qualifiers.len() == 0;
                        match (object.field(name), attribute.test && last) {
                            (None, true) => return Ok(Value::Bool(false)),
                            // Whether there is one shows only when it is computed, as in Kubernetes' lazy maps.
                            (Some(found), true) => return found.map(|_| Value::Bool(true)),
                            (Some(found), _) if *optional => Value::some(found?),
                            (Some(found), _) => found?,
                            (None, _) => return Err(Failure::new(format!("no such key: {name}"))),
                        }
                    }
                    _ => return Err(self.missing(*index)),
                },
            },
        };
        // Most selections are of fields that are simply there.
        while let (Value::JsonMap(map), [Qualifier { key: QualifierKey::Field(name), optional: false }, ..]) =
            (&value, qualifiers.as_slice())
        {
            qualifiers.next();
            *units += SELECT;
            let found = map.get(name).map(Value::from_json);
            match (found, attribute.test && qualifiers.len() == 0) {
                (found, true) => return Ok(Value::Bool(found.is_some())),
                (Some(next), _) => value = next,
                (None, _) => return Err(Failure::new(format!("no such key: {name}"))),
            }
        }
        let mut optional = false;
        if let Value::Optional(inner) = &value {
            match inner {
                None => return Ok(absent(attribute.test)),
                Some(inner) => value = (**inner).clone(),
            }
            optional = true;
        }
        while let Some(qualifier) = qualifiers.next() {
            optional |= qualifier.optional;
            let test = attribute.test && qualifiers.len() == 0;
            let found = if optional || test {
                self.find(qualifier, &value)
            } else {
                *units += SELECT;
                self.qualify(qualifier, &value).map(Some)
            };
            match found {
                Ok(Some(next)) => {
                    *units += if optional || test { SELECT } else { 0 };
                    value = next;
                }
                Ok(None) => {
                    *units += if optional { 0 } else { SELECT };
                    return Ok(absent(attribute.test));
                }
                Err(failure) => {
                    *units += if test && !optional { SELECT } else { 0 };
                    return Err(failure);
                }
            }
            if test {
                return Ok(Value::Bool(true));
            }
        }
        Ok(if optional { Value::some(value) } else { value })
    }

    fn missing(&self, index: u32) -> Box<Failure> {
        Failure::new(format!("no such attribute(s): {}", self.bindings.name(index)))
    }

    fn local(&mut self, slot: u32) -> Result<Value<'a>, Box<Failure>> {
        let Some(local) = self.locals.slot(slot) else { return Err(Failure::no_such_overload()) };
        match local {
            Local::Value(value) => Ok(value.clone()),
            Local::Due { value, cost } => {
                let (value, cost) = (value.clone(), *cost);
                *local = Local::Value(value.clone());
                self.paid = self.paid.saturating_add(cost);
                self.meter.charge(cost)?;
                Ok(value)
            }
            Local::Empty => Err(Failure::no_such_overload()),
        }
    }

    /// A selection whose absence is an error.
    fn qualify(&mut self, qualifier: &'a Qualifier, value: &Value<'a>) -> Result<Value<'a>, Box<Failure>> {
        match &qualifier.key {
            QualifierKey::Field(name) => {
                if let Some(found) = field(value, name)? {
                    return Ok(found);
                }
                Err(Failure::new(format!("no such key: {name}")))
            }
            QualifierKey::Constant(key) => get(value, &constant(key)),
            QualifierKey::Computed(node) => {
                let key = self.eval(node)?;
                get(value, &key)
            }
        }
    }

    /// A selection that may find nothing.
    fn find(
        &mut self,
        qualifier: &'a Qualifier,
        value: &Value<'a>,
    ) -> Result<Option<Value<'a>>, Box<Failure>> {
        let found = match &qualifier.key {
            QualifierKey::Field(name) => field(value, name),
            QualifierKey::Constant(key) => lookup(value, &constant(key)),
            QualifierKey::Computed(node) => {
                let key = self.eval(node)?;
                lookup(value, &key)
            }
        }?;
        let container = matches!(
            value,
            Value::JsonMap(_) | Value::Map(_) | Value::JsonList(_) | Value::List(_) | Value::Optional(_)
        );
        if self.strict && found.is_none() && !container {
            return Err(Failure::new(format!("a value of type {} has no fields", value.type_name())));
        }
        Ok(found)
    }
}

fn absent<'a>(test: bool) -> Value<'a> {
    if test { Value::Bool(false) } else { Value::Optional(None) }
}

/// A field by its name.
fn field<'a>(value: &Value<'a>, name: &'a str) -> Result<Option<Value<'a>>, Box<Failure>> {
    match value {
        Value::JsonMap(map) => Ok(map.get(name).map(Value::from_json)),
        Value::Map(_) => Ok(Key::of(&Value::borrowed(name)).and_then(|key| value.entry(&key))),
        Value::JsonList(_) | Value::List(_) => {
            Err(Failure::new("unsupported index type 'string' in list".to_owned()))
        }
        _ => Ok(None),
    }
}

/// An element or entry, which has to be there.
fn get<'a>(value: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>, Box<Failure>> {
    if let Some(found) = lookup(value, key)? {
        return Ok(found);
    }
    Err(match value {
        Value::JsonList(_) | Value::List(_) => Failure::new(format!("index out of bounds: {key}")),
        _ => Failure::no_such_key(key),
    })
}

/// An element or entry, if it is there.
fn lookup<'a>(value: &Value<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, Box<Failure>> {
    if !key.is_key() {
        return Err(Failure::new(format!("invalid qualifier type: {}", key.go_type())));
    }
    match value {
        Value::JsonList(_) | Value::List(_) => Ok(index(key)?.and_then(|index| value.element(index))),
        Value::JsonMap(_) | Value::Map(_) => Ok(Key::of(key).and_then(|key| value.entry(&key))),
        _ => Ok(None),
    }
}

/// A place in a list; none is before its beginning.
fn index(key: &Value<'_>) -> Result<Option<usize>, Box<Failure>> {
    match key {
        Value::Int(index) => Ok(usize::try_from(*index).ok()),
        Value::Uint(index) if i64::try_from(*index).is_err() => {
            Err(Failure::new(format!("unsupported index value {key} in list")))
        }
        Value::Uint(index) => Ok(usize::try_from(*index).ok()),
        Value::Double(number) => match integral(*number) {
            Some(Integral::Int(index)) => Ok(usize::try_from(index).ok()),
            Some(Integral::Uint(_)) => Ok(None),
            None => Err(Failure::new(format!("unsupported index value {key} in list"))),
        },
        other => Err(Failure::new(format!("unsupported index type '{}' in list", other.type_name()))),
    }
}
