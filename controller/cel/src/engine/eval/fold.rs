//! Macros over lists, maps and optionals. Each charges what cel-go's expansion of it costs: a reading of the
//! accumulator, a test of the condition, a concatenation.

use std::sync::Arc;

use super::super::ast::FoldKind;
use super::super::cost::{FAILED, LIST, SELECT};
use super::super::failure::Failure;
use super::super::library::{SORT_BY_KEYS, cost_of_sort, sort_by_keys};
use super::super::map::{Key, MapValue};
use super::super::plan::{Fold, Node, OptMap};
use super::super::value::Value;
use super::call::mismatch;
use super::locals::Local;
use super::{Frame, unless_final};

/// A call of a function at the usual cost.
const CALL: u64 = 1;

impl<'a> Frame<'a, '_> {
    pub(super) fn fold(&mut self, fold: &'a Fold) -> Result<Value<'a>, Box<Failure>> {
        if fold.kind == FoldKind::SortBy {
            return self.sort_by(fold);
        }
        let range = self.eval(&fold.range)?;
        match fold.kind {
            FoldKind::All => self.quantify(fold, &range, false).map(Value::Bool),
            FoldKind::Exists => self.quantify(fold, &range, true).map(Value::Bool),
            FoldKind::ExistsOne => self.exists_one(fold, &range).map(Value::Bool),
            FoldKind::List | FoldKind::SortBy => self.transform_list(fold, &range),
            FoldKind::Map | FoldKind::MapEntry => self.transform_map(fold, &range),
        }
    }

    /// Calls `step` for each element, with the macro's variables set, until that breaks off.
    fn each(
        &mut self,
        fold: &Fold,
        range: &Value<'a>,
        mut step: impl FnMut(&mut Self) -> Result<Go, Box<Failure>>,
    ) -> Result<(), Box<Failure>> {
        let mut visit = |this: &mut Self, first: Value<'a>, second: Option<Value<'a>>| {
            this.set_local(fold.var, first);
            if let (Some(var2), Some(second)) = (fold.var2, second) {
                this.set_local(var2, second);
            }
            step(this)
        };
        let two = fold.var2.is_some();
        let number = |index: usize| Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
        let pair = |index: usize, element: Value<'a>| {
            if two { (number(index), Some(element)) } else { (element, None) }
        };
        match range {
            Value::JsonList(list) => {
                for (index, element) in list.iter().enumerate() {
                    let (first, second) = pair(index, Value::from_json(element));
                    if visit(self, first, second)? == Go::Stop {
                        break;
                    }
                }
            }
            Value::List(items) => {
                for (index, element) in items.iter().enumerate() {
                    let (first, second) = pair(index, element.clone());
                    if visit(self, first, second)? == Go::Stop {
                        break;
                    }
                }
            }
            Value::JsonMap(map) => {
                for (name, value) in map.iter() {
                    if visit(self, Value::borrowed(name), Some(Value::from_json(value)))? == Go::Stop {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    if visit(self, key.to_value(), Some(value.clone()))? == Go::Stop {
                        break;
                    }
                }
            }
            other => {
                let name = other.go_type();
                return Err(Failure::new(if two {
                    format!("unsupported comprehension range type: {name}")
                } else {
                    format!("got '{name}', expected iterable type")
                }));
            }
        }
        Ok(())
    }

    /// `exists`, which one `true` decides, and `all`, which one `false` does.
    fn quantify(&mut self, fold: &'a Fold, range: &Value<'a>, decisive: bool) -> Result<bool, Box<Failure>> {
        // The condition reads the accumulator and tests it; that of `exists` negates it in between.
        let condition = SELECT + CALL + if decisive { CALL } else { 0 };
        let mut decided = false;
        let mut failed: Option<Box<Failure>> = None;
        self.each(fold, range, |this| {
            this.meter.charge(condition)?;
            if decided {
                return Ok(Go::Stop);
            }
            this.meter.charge(SELECT)?;
            match this.truth(&fold.body) {
                Ok(truth) if truth == decisive => {
                    decided = true;
                    failed = None;
                }
                Ok(_) => {}
                Err(failure) => {
                    failed.get_or_insert(absorbable(failure)?);
                }
            }
            Ok(Go::On)
        })?;
        self.meter.charge(SELECT)?;
        failed.map_or(Ok(decided == decisive), Err)
    }

    fn exists_one(&mut self, fold: &'a Fold, range: &Value<'a>) -> Result<bool, Box<Failure>> {
        let mut count = 0_u64;
        let mut failed: Option<Box<Failure>> = None;
        self.each(fold, range, |this| {
            match this.truth(&fold.body) {
                Ok(true) => {
                    this.meter.charge(SELECT + CALL)?;
                    count += 1;
                }
                Ok(false) => {}
                Err(failure) => failed = Some(absorbable(failure)?),
            }
            Ok(Go::On)
        })?;
        self.meter.charge(SELECT + CALL)?;
        failed.map_or(Ok(count == 1), Err)
    }

    /// Whether an element is wanted; none if the filter failed, which the accumulator then is.
    fn wanted(&mut self, fold: &'a Fold, failed: &mut Option<Box<Failure>>) -> Result<bool, Box<Failure>> {
        let Some(filter) = &fold.filter else { return Ok(true) };
        match self.truth(filter) {
            Ok(wanted) => Ok(wanted),
            Err(failure) => {
                *failed = Some(absorbable(failure)?);
                Ok(false)
            }
        }
    }

    /// `map`, `filter` and `transformList`.
    fn transform_list(&mut self, fold: &'a Fold, range: &Value<'a>) -> Result<Value<'a>, Box<Failure>> {
        // The list of one element that is appended is a constant if the element is.
        let append = CALL + if matches!(fold.body, Node::Constant(_)) { 0 } else { LIST };
        let mut built = Vec::new();
        let mut failed: Option<Box<Failure>> = None;
        self.each(fold, range, |this| {
            if !this.wanted(fold, &mut failed)? {
                return Ok(Go::On);
            }
            this.meter.charge(SELECT)?;
            let element = unless_final(this.eval(&fold.body))?;
            this.meter.charge(append)?;
            match element {
                Ok(element) if failed.is_none() => {
                    this.meter.allocate_list(1)?;
                    built.push(element);
                }
                Ok(_) => {}
                Err(failure) => {
                    failed.get_or_insert(absorbable(failure)?);
                }
            }
            Ok(Go::On)
        })?;
        self.meter.charge(SELECT)?;
        failed.map_or_else(|| Ok(Value::list(built)), Err)
    }

    /// `sortBy`: a call on the list and on the list of its keys, each of which reads the list by a name.
    fn sort_by(&mut self, fold: &'a Fold) -> Result<Value<'a>, Box<Failure>> {
        let list = unless_final(self.eval(&fold.range))?;
        self.meter.charge(2 * SELECT)?;
        let keys = list.as_ref().map_err(Clone::clone).and_then(|list| self.transform_list(fold, list));
        let keys = unless_final(keys)?;
        let read = keys.as_ref().unwrap_or(&FAILED);
        self.meter.charge(if fold.known { cost_of_sort(Some(read))? } else { CALL })?;
        let args = [list?, keys?];
        match &args {
            [Value::List(_) | Value::JsonList(_), _] => sort_by_keys(&args, self.meter),
            _ => Err(mismatch(SORT_BY_KEYS, &args)),
        }
    }

    /// `transformMap` and `transformMapEntry`.
    fn transform_map(&mut self, fold: &'a Fold, range: &Value<'a>) -> Result<Value<'a>, Box<Failure>> {
        let entries = fold.kind == FoldKind::MapEntry;
        let mut built = MapValue::default();
        let mut failed: Option<Box<Failure>> = None;
        self.each(fold, range, |this| {
            if !this.wanted(fold, &mut failed)? {
                return Ok(Go::On);
            }
            this.meter.charge(SELECT)?;
            let inserted = if entries {
                let entry = unless_final(this.eval(&fold.body))?;
                this.meter.charge(CALL)?;
                if failed.is_some() {
                    return Ok(Go::On);
                }
                entry.and_then(|entry| this.insert_all(&mut built, &entry))
            } else {
                if failed.is_some() {
                    return Ok(Go::On);
                }
                this.insert_transformed(fold, &mut built)
            };
            if let Err(failure) = inserted {
                failed = Some(absorbable(failure)?);
            }
            Ok(Go::On)
        })?;
        self.meter.charge(SELECT)?;
        failed.map_or_else(|| Ok(Value::map(built)), Err)
    }

    fn insert_transformed(&mut self, fold: &'a Fold, built: &mut MapValue<'a>) -> Result<(), Box<Failure>> {
        self.meter.charge(SELECT)?;
        let key = match self.slot(fold.var) {
            Some(Local::Value(key)) => key.clone(),
            _ => return Err(Failure::no_such_overload()),
        };
        let value = unless_final(self.eval(&fold.body))?;
        self.meter.charge(CALL)?;
        let value = value?;
        let key = Key::of(&key).ok_or_else(Failure::no_such_overload)?;
        self.insert(built, key, value)
    }

    fn insert_all(&mut self, built: &mut MapValue<'a>, entry: &Value<'a>) -> Result<(), Box<Failure>> {
        match entry {
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    self.insert(built, key.clone(), value.clone())?;
                }
                Ok(())
            }
            Value::JsonMap(map) => {
                for (name, value) in map.iter() {
                    let key = Key::of(&Value::borrowed(name)).ok_or_else(Failure::no_such_overload)?;
                    self.insert(built, key, Value::from_json(value))?;
                }
                Ok(())
            }
            other => Err(mismatch("cel.@mapInsert", &[Value::map(MapValue::default()), other.clone()])),
        }
    }

    fn insert(
        &mut self,
        built: &mut MapValue<'a>,
        key: Key<'a>,
        value: Value<'a>,
    ) -> Result<(), Box<Failure>> {
        self.meter.allocate_list(2)?;
        match built.get(&key) {
            Some(_) => Err(Failure::new(format!("insert failed: key {key} already exists"))),
            None => {
                built.insert(key, value);
                Ok(())
            }
        }
    }

    /// `optMap` and `optFlatMap`. cel-go evaluates the target once more when the variable is first read, so
    /// its cost is due a second time then.
    pub(super) fn opt_map(&mut self, map: &'a OptMap) -> Result<Value<'a>, Box<Failure>> {
        let (before, paid) = (self.meter.cost(), self.paid);
        let target = unless_final(self.eval(&map.target))?;
        // What was paid for a first reading is not due again.
        let cost = (self.meter.cost() - before).saturating_sub(self.paid - paid);
        self.meter.charge(CALL)?;
        match target? {
            Value::Optional(Some(value)) => {
                let due = cost + CALL;
                if let Some(slot) = self.slot(map.var) {
                    let value = Arc::unwrap_or_clone(value);
                    *slot = Local::Due { value, cost: due };
                }
                let body = unless_final(self.eval(&map.body))?;
                if let Some(Local::Value(_)) = self.slot(map.var) {
                    // Whoever evaluates all of this once more pays for its own variable once more.
                    self.paid = self.paid.saturating_sub(due);
                }
                if map.flat {
                    return body;
                }
                self.meter.charge(CALL)?;
                body.map(Value::some)
            }
            Value::Optional(None) => {
                self.meter.charge(CALL)?;
                Ok(Value::Optional(None))
            }
            other => Err(mismatch("hasValue", &[other])),
        }
    }
}

/// Whether a macro goes on to the next element.
#[derive(PartialEq)]
enum Go {
    On,
    Stop,
}

/// A failure that the macro may still overrule.
fn absorbable(failure: Box<Failure>) -> Result<Box<Failure>, Box<Failure>> {
    if failure.is_final() { Err(failure) } else { Ok(failure) }
}
