//! Variables and selections, with cel-go's rules for what is missing, present or optional.

use std::sync::Arc;

use super::super::bindings::Slot;
use super::super::cost::SELECT;
use super::super::failure::Failure;
use super::super::map::Key;
use super::super::number::{Integral, integral};
use super::super::plan::{Attribute, Node, Own, Qualifier, QualifierKey, Root};
use super::super::value::Value;
use super::locals::Local;
use super::{Frame, constant};

/// What an attribute has led to. An optional that nobody looks at as a whole needs no memory of its own.
enum Found<'a> {
    Value(Value<'a>),
    Optional(Option<Value<'a>>),
}

impl<'a> Found<'a> {
    fn absent(test: bool) -> Self {
        if test { Self::Value(Value::Bool(false)) } else { Self::Optional(None) }
    }

    fn into_value(self) -> Value<'a> {
        match self {
            Self::Value(value) => value,
            Self::Optional(found) => Value::Optional(found.map(Arc::new)),
        }
    }
}

fn unwrapped(value: Value<'_>) -> Result<Option<Value<'_>>, Box<Failure>> {
    match value {
        Value::Optional(found) => Ok(found.map(Arc::unwrap_or_clone)),
        _ => Err(Failure::no_such_overload()),
    }
}

impl<'a> Frame<'a, '_> {
    pub(super) fn attribute(&mut self, attribute: &'a Attribute) -> Result<Value<'a>, Box<Failure>> {
        let mut units = 0;
        match self.walk(attribute, &mut units) {
            Some(found) => {
                self.charge_attribute(attribute, units)?;
                found
            }
            None => self.found(attribute).map(Found::into_value),
        }
    }

    /// The value of an optional, if it has one; what is no optional has no meaning here.
    pub(super) fn optional(&mut self, node: &'a Node) -> Result<Option<Value<'a>>, Box<Failure>> {
        match node {
            Node::Otherwise(otherwise) if !otherwise.value => match self.optional(&otherwise.optional)? {
                Some(value) => Ok(Some(value)),
                None => self.optional(&otherwise.otherwise),
            },
            Node::Attribute(attribute) => match self.found(attribute)? {
                Found::Optional(found) => Ok(found),
                Found::Value(value) => unwrapped(value),
            },
            other => unwrapped(self.eval(other)?),
        }
    }

    fn found(&mut self, attribute: &'a Attribute) -> Result<Found<'a>, Box<Failure>> {
        let mut units = 0;
        let result = match self.resolve(attribute, &mut units) {
            Err(failure) if failure.is_final() => return Err(failure),
            result => result,
        };
        self.charge_attribute(attribute, units)?;
        result
    }

    fn charge_attribute(&self, attribute: &Attribute, units: u64) -> Result<(), Box<Failure>> {
        match attribute.own {
            Own::One => self.meter.charge(units + SELECT),
            Own::Nothing => self.meter.charge(units),
            Own::Refund => {
                self.meter.charge(units)?;
                self.meter.refund(SELECT);
                Ok(())
            }
        }
    }

    /// The value of an attribute that is nothing but fields of maps in JSON, as most are; none of others, of which
    /// nothing has been done then.
    fn walk(&self, attribute: &'a Attribute, units: &mut u64) -> Option<Result<Value<'a>, Box<Failure>>> {
        if !attribute.plain {
            return None;
        }
        let root = match &attribute.root {
            Root::Local(slot) => match self.locals.get(*slot as usize) {
                Some(Local::Value(value)) => value,
                _ => return None,
            },
            Root::Variable(index) => match self.bindings.slot(*index) {
                Slot::Value(value) => value,
                _ => return None,
            },
            Root::Node(_) => return None,
        };
        let &Value::JsonMap(mut map) = root else { return None };
        let mut qualifiers = attribute.qualifiers.as_slice();
        let mut selections = 0;
        while let [Qualifier { key: QualifierKey::Field(name), .. }, rest @ ..] = qualifiers {
            selections += SELECT;
            qualifiers = rest;
            match map.get(name) {
                Some(_) if rest.is_empty() && attribute.test => {
                    *units = selections;
                    return Some(Ok(Value::Bool(true)));
                }
                Some(found) if rest.is_empty() => {
                    *units = selections;
                    return Some(Ok(Value::from_json(found)));
                }
                Some(found) => map = found.as_object()?,
                None => {
                    *units = selections;
                    let absent = rest.is_empty() && attribute.test;
                    return Some(if absent { Ok(Value::Bool(false)) } else { Err(no_such_field(name)) });
                }
            }
        }
        None
    }

    /// The value of an attribute; `units` counts the selections that are charged.
    fn resolve(&mut self, attribute: &'a Attribute, units: &mut u64) -> Result<Found<'a>, Box<Failure>> {
        let mut optional = false;
        let mut qualifiers = attribute.qualifiers.iter();
        let mut value = match &attribute.root {
            Root::Local(slot) => self.local(*slot)?,
            Root::Node(node) => self.eval(node)?,
            Root::Variable(index) => match self.bindings.slot(*index) {
                Slot::Value(value) => value.clone(),
                Slot::Absent => return Err(self.missing(*index)),
                Slot::Lazy(object) => match qualifiers.next() {
                    Some(Qualifier { key: QualifierKey::Field(name), optional: is_optional }) => {
                        *units += SELECT;
                        let last = qualifiers.len() == 0;
                        match (object.field(name), attribute.test && last) {
                            (None, true) => return Ok(Found::Value(Value::Bool(false))),
                            // Whether there is one shows only when it is computed, as in Kubernetes' lazy maps.
                            (Some(found), true) => return found.map(|_| Found::Value(Value::Bool(true))),
                            (Some(found), _) => {
                                optional = *is_optional;
                                found?
                            }
                            (None, _) => return Err(no_such_field(name)),
                        }
                    }
                    _ => return Err(self.missing(*index)),
                },
            },
        };
        if !optional && let Value::Optional(inner) = &value {
            match inner {
                None => return Ok(Found::absent(attribute.test)),
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
                    return Ok(Found::absent(attribute.test));
                }
                Err(failure) => {
                    *units += if test && !optional { SELECT } else { 0 };
                    return Err(failure);
                }
            }
            if test {
                return Ok(Found::Value(Value::Bool(true)));
            }
        }
        Ok(if optional { Found::Optional(Some(value)) } else { Found::Value(value) })
    }

    fn missing(&self, index: u32) -> Box<Failure> {
        Failure::new(format!("no such attribute(s): {}", self.bindings.name(index)))
    }

    fn local(&mut self, slot: u32) -> Result<Value<'a>, Box<Failure>> {
        let Some(local) = self.slot(slot) else { return Err(Failure::no_such_overload()) };
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
                Err(no_such_field(name))
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

#[cold]
fn no_such_field(name: &str) -> Box<Failure> {
    Failure::new(format!("no such key: {name}"))
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
