//! Functions and operators on evaluated arguments.

use super::super::cost::{self, Cost};
use super::super::failure::{Failure, FailureKind};
use super::super::plan::{Call, Equal, Membership};
use super::super::registry::Invocation;
use super::super::stdlib;
use super::super::value::Value;
use super::Frame;

impl<'a> Frame<'a, '_> {
    pub(super) fn call(&mut self, call: &'a Call) -> Result<Value<'a>, Box<Failure>> {
        match &*call.args {
            [] => self.invoke(call, &[]),
            [only] if call.regex.is_none() => match self.eval(only) {
                Ok(value) => self.invoke(call, &[value]),
                Err(failure) => self.charge_failed(call, [Value::Null], failure),
            },
            // cel-go evaluates both operands of a binary call, whatever becomes of the first.
            [left, right] if call.regex.is_none() => match (self.eval(left), self.eval(right)) {
                (Ok(left), Ok(right)) => self.invoke(call, &[left, right]),
                (Ok(left), Err(failure)) => self.charge_failed(call, [left, Value::Null], failure),
                (Err(failure), right) => {
                    let right = match right {
                        Err(last) if last.is_final() => return Err(last),
                        right => right.unwrap_or(Value::Null),
                    };
                    self.charge_failed(call, [Value::Null, right], failure)
                }
            },
            [left, right] => {
                let args = [self.eval(left)?, self.eval(right)?];
                self.invoke(call, &args)
            }
            more => {
                let args: Vec<Value<'a>> = more.iter().map(|arg| self.eval(arg)).collect::<Result<_, _>>()?;
                self.invoke(call, &args)
            }
        }
    }

    /// Does what the first overload that has a meaning for the arguments does.
    fn invoke(&mut self, call: &'a Call, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
        let invocation = Invocation { meter: self.meter, regex: call.regex.as_ref() };
        let mut result = Err(None);
        for overload in &call.overloads {
            match (overload.run)(&invocation, args) {
                Err(failure) if failure.kind == FailureKind::NoSuchOverload => result = Err(Some(failure)),
                other => {
                    result = other.map_err(Some);
                    break;
                }
            }
        }
        let result = result.map_err(|failure| failure.unwrap_or_else(Failure::no_such_overload));
        self.meter.charge(cost_of(call).of(args, &result))?;
        result
    }

    /// A call whose argument failed costs as if that were a value of size 1.
    fn charge_failed<const N: usize>(
        &mut self,
        call: &Call,
        args: [Value<'a>; N],
        failure: Box<Failure>,
    ) -> Result<Value<'a>, Box<Failure>> {
        if failure.is_final() {
            return Err(failure);
        }
        let result = Err(failure);
        self.meter.charge(cost_of(call).of(&args, &result))?;
        result
    }

    pub(super) fn equal(&mut self, equal: &'a Equal) -> Result<Value<'a>, Box<Failure>> {
        let left = self.eval(&equal.left);
        let right = self.eval(&equal.right);
        let size = |side: &Result<Value<'a>, Box<Failure>>| side.as_ref().map_or(1, cost::size);
        match (&left, &right) {
            (Err(failure), _) | (_, Err(failure)) if failure.is_final() => return Err(failure.clone()),
            _ => self.meter.charge(cost::equality(size(&left), size(&right)))?,
        }
        let same = stdlib::equal(&left?, &right?, self.meter)?;
        Ok(Value::Bool(same != equal.negated))
    }

    pub(super) fn membership(&mut self, membership: &'a Membership) -> Result<Value<'a>, Box<Failure>> {
        let element = self.eval(&membership.element)?;
        if let Some(texts) = &membership.texts {
            return Ok(Value::Bool(element.as_str().is_some_and(|text| texts.contains(text))));
        }
        for other in &membership.list {
            if stdlib::equal(&element, other, self.meter)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }
}

/// cel-go knows the cost of an overload only if the checker found exactly one.
fn cost_of(call: &Call) -> Cost {
    match &*call.overloads {
        [only] => only.cost,
        _ => Cost::ONE,
    }
}
