//! One evaluation: what its values share, and the way back from the evaluator's values to ours.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional,
    CelString, CelTimestamp, CelType, CelUInt, Kind, NULL_TYPE, Type,
};
use cel::common::value::{StaticVal, Val};

use crate::budget::Budget;
use crate::container::Container;
use crate::error::EvaluationError;
use crate::image_functions::ImageVal;
use crate::node::{Key, KeyRef, Node};
use crate::value::Value;

/// How deep computed lists and maps may be nested.
const MAX_DEPTH: usize = 1_000;

/// What all the values of one evaluation share.
#[derive(Debug)]
pub(crate) struct Session<'s, 'a> {
    budget: &'s Budget,
    /// The node that a container last gave up, see [`Session::claim`].
    claimed: Mutex<Option<Node<'a>>>,
}

impl<'s, 'a> Session<'s, 'a> {
    pub(crate) fn new(budget: &'s Budget) -> Self {
        Self { budget, claimed: Mutex::new(None) }
    }

    pub(crate) fn budget(&self) -> &Budget {
        self.budget
    }

    /// Takes the node out of one of our containers.
    ///
    /// The evaluator hands values back as trait objects, and a type that borrows cannot be downcast from
    /// one. So a container that is compared with [`Claim`] leaves its node here; nothing else equals it.
    pub(crate) fn claim(&self, value: &dyn Val) -> Option<Node<'a>> {
        if !value.equals(&Claim) {
            return None;
        }
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves a node for [`claim`](Self::claim) if `other` asks for it.
    pub(crate) fn give_up(&self, node: &Node<'a>, other: &dyn Val) -> bool {
        let asked = other.downcast_ref::<Claim>().is_some();
        if asked {
            *self.claimed.lock().unwrap_or_else(PoisonError::into_inner) = Some(node.clone());
        }
        asked
    }

    /// The evaluator's value as one of ours.
    pub(crate) fn value_of(&self, value: &dyn Val) -> Result<Value<'a>, EvaluationError> {
        let node = match self.claim(value) {
            Some(node) => node,
            None => self.node_of(value)?,
        };
        // Each program is of limited depth, but each may nest what another computed.
        if node.depth() > MAX_DEPTH {
            return Err(EvaluationError::new("the result is nested too deeply"));
        }
        Ok(Value(node))
    }

    fn node_of(&self, value: &dyn Val) -> Result<Node<'a>, EvaluationError> {
        if let Some(text) = value.downcast_ref::<CelString<'_>>() {
            return Ok(Node::Text(text.inner().into()));
        }
        if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
            return Ok(Node::Bytes(bytes.inner().into()));
        }
        if let Some(list) = value.downcast_ref::<CelList<'_>>() {
            let items: Result<Vec<_>, _> =
                list.inner().iter().map(|item| self.value_of(item.as_ref())).collect();
            return Ok(Node::list(items?));
        }
        if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
            let entries: Result<BTreeMap<_, _>, _> = map
                .inner()
                .iter()
                .map(|(key, value)| Ok((key_of(key), self.value_of(value.as_ref())?)))
                .collect();
            return Ok(Node::map(entries?));
        }
        if let Some(optional) = value.downcast_ref::<CelOptional<'_>>() {
            let inner = optional.option().map(|inner| self.value_of(inner)).transpose()?;
            return Ok(Node::Optional(inner.map(Arc::new)));
        }
        scalar_of(value).ok_or_else(|| {
            EvaluationError::internal(format!("a value of type {} has no use here", value.get_type().name()))
        })
    }
}

fn key_of(key: &CelMapKey<'_>) -> Key {
    match key {
        CelMapKey::Bool(truth) => Key::Bool(*truth.inner()),
        CelMapKey::Int(number) => Key::Int(*number.inner()),
        CelMapKey::UInt(number) => KeyRef::from_uint(*number.inner()).to_key(),
        CelMapKey::String(text) => Key::Text(text.inner().into()),
    }
}

/// A value of one of the types that borrow nothing.
fn scalar_of<'a>(value: &dyn Val) -> Option<Node<'a>> {
    if let Some(image) = value.downcast_ref::<ImageVal>() {
        return Some(Node::Image(Arc::clone(&image.0)));
    }
    Some(match value.get_type().kind() {
        Kind::NullType => Node::Null,
        Kind::Boolean => Node::Bool(*value.downcast_ref::<CelBool>()?.inner()),
        Kind::Int => Node::Int(*value.downcast_ref::<CelInt>()?.inner()),
        Kind::UInt => Node::Uint(*value.downcast_ref::<CelUInt>()?.inner()),
        Kind::Double => Node::Double(*value.downcast_ref::<CelDouble>()?.inner()),
        Kind::Duration => Node::Other(Arc::new(*value.downcast_ref::<CelDuration>()?)),
        Kind::Timestamp => Node::Other(Arc::new(value.downcast_ref::<CelTimestamp>()?.clone())),
        Kind::Type => Node::Other(Arc::new(value.downcast_ref::<CelType>()?.clone())),
        _ => return None,
    })
}

/// Asks a container for its node; no expression can get hold of one.
#[derive(Debug)]
pub(crate) struct Claim;

impl Val for Claim {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &NULL_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(Claim)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Claim {}

/// A value as the evaluator wants it. Scalars are its own types, so that its functions accept them.
#[derive(Debug)]
pub(crate) enum Bound<'s, 'a> {
    Null(CelNull),
    Bool(CelBool),
    Int(CelInt),
    Uint(CelUInt),
    Double(CelDouble),
    Text(CelString<'a>),
    Bytes(CelBytes<'a>),
    Optional(CelOptional<'s>),
    Image(ImageVal),
    Other(Arc<dyn Val>),
    Container(Container<'s, 'a>),
}

impl<'s, 'a: 's> Bound<'s, 'a> {
    pub(crate) fn new(node: &Node<'a>, session: &'s Session<'s, 'a>) -> Self {
        match node {
            Node::Json(json) => match json {
                serde_json::Value::Null => Bound::Null(CelNull),
                serde_json::Value::Bool(truth) => Bound::Bool(CelBool::from(*truth)),
                serde_json::Value::Number(number) => Bound::new(&Node::from_number(number), session),
                serde_json::Value::String(text) => Bound::Text(CelString::from(text.as_str())),
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                    Bound::Container(Container::new(node.clone(), session))
                }
            },
            Node::Null => Bound::Null(CelNull),
            Node::Bool(truth) => Bound::Bool(CelBool::from(*truth)),
            Node::Int(number) => Bound::Int(CelInt::from(*number)),
            Node::Uint(number) => Bound::Uint(CelUInt::from(*number)),
            Node::Double(number) => Bound::Double(CelDouble::from(*number)),
            Node::Text(text) => Bound::Text(CelString::from(text.to_string())),
            Node::Bytes(bytes) => Bound::Bytes(CelBytes::from(bytes.to_vec())),
            Node::List(_) | Node::Map(_) | Node::Fields(_) => {
                Bound::Container(Container::new(node.clone(), session))
            }
            Node::Optional(None) => Bound::Optional(CelOptional::none()),
            Node::Optional(Some(value)) => {
                Bound::Optional(CelOptional::of(Bound::new(&value.0, session).into_boxed()))
            }
            Node::Image(image) => Bound::Image(ImageVal(Arc::clone(image))),
            Node::Other(other) => Bound::Other(Arc::clone(other)),
        }
    }

    /// The value by reference, for as long as this lives.
    pub(crate) fn as_val<'b, 'v>(&'b self) -> &'b (dyn Val + 'v)
    where
        Self: 'v,
    {
        match self {
            Bound::Null(value) => value,
            Bound::Bool(value) => value,
            Bound::Int(value) => value,
            Bound::Uint(value) => value,
            Bound::Double(value) => value,
            Bound::Text(value) => value,
            Bound::Bytes(value) => value,
            Bound::Optional(value) => value,
            Bound::Image(value) => value,
            Bound::Other(value) => value.as_ref(),
            Bound::Container(value) => value,
        }
    }

    /// The value in a box of its own.
    pub(crate) fn into_boxed<'v>(self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        match self {
            Bound::Null(value) => Box::new(value),
            Bound::Bool(value) => Box::new(value),
            Bound::Int(value) => Box::new(value),
            Bound::Uint(value) => Box::new(value),
            Bound::Double(value) => Box::new(value),
            Bound::Text(value) => Box::new(value),
            Bound::Bytes(value) => Box::new(value),
            Bound::Optional(value) => Box::new(value),
            Bound::Image(value) => Box::new(value),
            Bound::Other(value) => value.clone_as_boxed(),
            Bound::Container(value) => Box::new(value),
        }
    }
}
