//! Lists and maps as the evaluator sees them: JSON is borrowed and read on access, each read is charged.

use std::sync::OnceLock;

use cel::ExecutionError;
use cel::common::traits::{self, Adder, Indexer, Iterable, Sizer, Zeroer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelString, CelUInt, LIST_TYPE, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, Val};

use crate::equality;
use crate::node::{KeyRef, Node};
use crate::session::{Bound, Session};

/// A list or map bound to a variable, or part of one.
pub(crate) struct Container<'s, 'a> {
    node: Node<'a>,
    session: &'s Session<'s, 'a>,
    /// The elements of a list or keys of a map, made when they are first iterated over: the evaluator
    /// wants to borrow them.
    elements: OnceLock<Box<[Bound<'s, 'a>]>>,
}

impl std::fmt::Debug for Container<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.node.fmt(f)
    }
}

impl<'s, 'a: 's> Container<'s, 'a> {
    pub(crate) fn new(node: Node<'a>, session: &'s Session<'s, 'a>) -> Self {
        Self { node, session, elements: OnceLock::new() }
    }

    fn is_list(&self) -> bool {
        self.node.is_list()
    }

    fn elements(&self) -> &[Bound<'s, 'a>] {
        self.elements.get_or_init(|| {
            if let Node::Json(serde_json::Value::Object(fields)) = &self.node {
                return fields.keys().map(|key| Bound::Text(CelString::from(key.as_str()))).collect();
            }
            let mut elements = Vec::with_capacity(self.node.len());
            if self.is_list() {
                let nodes = (0..self.node.len()).filter_map(|index| self.node.element(index));
                elements.extend(nodes.map(|node| Bound::new(&node, self.session)));
            } else {
                self.node.all_entries(|key, _| {
                    elements.push(bound_key(key));
                    true
                });
            }
            elements.into()
        })
    }

    fn charge(&self, units: u64) -> Result<(), ExecutionError> {
        self.session.budget().charge(units).map_err(|error| error.pass_through())
    }

    /// The node under `key`, a field's name or a position.
    fn find(&self, key: &dyn Val) -> Result<Option<Node<'a>>, ExecutionError> {
        self.charge(1)?;
        if self.is_list() {
            return Ok(usize::try_from(position(key)?).ok().and_then(|index| self.node.element(index)));
        }
        let key = key_of(key).ok_or_else(|| ExecutionError::UnexpectedType {
            got: key.get_type().name().to_owned(),
            want: "map key".to_owned(),
        })?;
        self.node.get(&key).transpose().map_err(|error| error.pass_through())
    }
}

impl<'s, 'a: 's> Val for Container<'s, 'a> {
    fn get_type(&self) -> &Type {
        if self.is_list() { &LIST_TYPE } else { &MAP_TYPE }
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        if self.is_list() { Some(self) } else { None }
    }

    fn as_container(&self) -> Option<&dyn traits::Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        if self.session.give_up(&self.node, other) {
            return true;
        }
        match self.session.claim(other) {
            Some(node) => equality::same(&self.node, &node, self.session),
            None => equality::equal_to_computed(self, other),
        }
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Container::new(self.node.clone(), self.session))
    }
}

impl<'s, 'a: 's> Indexer for Container<'s, 'a> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match self.find(key)? {
            Some(node) => Ok(CowVal::Owned(Bound::new(&node, self.session).into_boxed())),
            None if self.is_list() => {
                Err(ExecutionError::IndexOutOfBounds(key.try_into().unwrap_or(cel::Value::Null)))
            }
            None => Err(ExecutionError::no_such_key(&shown_key(key))),
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl<'s, 'a: 's> Iterable for Container<'s, 'a> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Elements { elements: self.elements().iter(), session: self.session })
    }
}

struct Elements<'b, 's, 'a> {
    elements: std::slice::Iter<'b, Bound<'s, 'a>>,
    session: &'s Session<'s, 'a>,
}

impl<'b, 'v, 's: 'v, 'a: 's> traits::Iterator<'b, 'v> for Elements<'b, 's, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        let element = self.elements.next()?;
        // An overrun ends the loop early; what it then yields is thrown away with the evaluation.
        self.session.budget().charge(1).ok()?;
        Some(element.as_val())
    }
}

impl Sizer for Container<'_, '_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.node.len()).unwrap_or(i64::MAX))
    }
}

impl Zeroer for Container<'_, '_> {
    fn is_zero_value(&self) -> bool {
        self.node.len() == 0
    }
}

impl<'s, 'a: 's> traits::Container for Container<'s, 'a> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        if !self.is_list() {
            return self.find(value).map(|found| found.is_some());
        }
        for element in self.elements() {
            self.charge(1)?;
            if equality::equal(element.as_val(), value) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<'s, 'a: 's> Adder for Container<'s, 'a> {
    fn add<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let overload = || {
            let types = vec![self.get_type().name().to_owned(), other.get_type().name().to_owned()];
            ExecutionError::no_such_overload("_+_", types)
        };
        let mut joined: Vec<Box<dyn Val + 'v>> = Vec::new();
        let mut own = Iterable::iter(self);
        while let Some(item) = own.next() {
            joined.push(item.clone_as_boxed());
        }
        if other.get_type() != &LIST_TYPE {
            return Err(overload());
        }
        let mut items = other.as_iterable().ok_or_else(overload)?.iter();
        while let Some(item) = items.next() {
            joined.push(item.clone_as_boxed());
        }
        Ok(CowVal::owned(CelList::from(joined)))
    }
}

fn bound_key<'s, 'a: 's>(key: KeyRef<'_>) -> Bound<'s, 'a> {
    match key {
        KeyRef::Bool(truth) => Bound::Bool(CelBool::from(truth)),
        KeyRef::Int(number) => Bound::Int(CelInt::from(number)),
        KeyRef::Uint(number) => Bound::Uint(CelUInt::from(number)),
        KeyRef::Text(text) => Bound::Text(CelString::from(text.to_owned())),
    }
}

/// A value as a map's key; whole doubles are the integers they equal.
fn key_of(value: &dyn Val) -> Option<KeyRef<'_>> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Some(KeyRef::Text(text.inner()));
    }
    if let Some(truth) = value.downcast_ref::<CelBool>() {
        return Some(KeyRef::Bool(*truth.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Some(KeyRef::from_uint(*number.inner()));
    }
    position(value).ok().map(KeyRef::Int)
}

/// A value as a position in a list.
fn position(value: &dyn Val) -> Result<i64, ExecutionError> {
    let whole = if let Some(number) = value.downcast_ref::<CelInt>() {
        Some(*number.inner())
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        // Beyond every list.
        Some(i64::try_from(*number.inner()).unwrap_or(i64::MAX))
    } else {
        value.downcast_ref::<CelDouble>().and_then(|number| whole(*number.inner()))
    };
    whole.ok_or_else(|| ExecutionError::UnexpectedType {
        got: value.get_type().name().to_owned(),
        want: "int".to_owned(),
    })
}

/// A double as the integer it equals, within the range in which doubles are exact.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

fn shown_key(key: &dyn Val) -> String {
    key_of(key).map(|key| key.to_string()).unwrap_or_default()
}
