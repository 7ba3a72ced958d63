//! Functions and operators on evaluated arguments.

use super::super::cost::{Cost, FAILED};
use super::super::failure::{Failure, FailureKind};
use super::super::library::SORT_BY_KEYS;
use super::super::plan::{Call, Membership};
use super::super::registry::Invocation;
use super::super::stdlib;
use super::super::value::Value;
use super::{Frame, unless_final};

impl<'a> Frame<'a, '_> {
    pub(super) fn call(&mut self, call: &'a Call) -> Result<Value<'a>, Box<Failure>> {
        match &*call.args {
            [] => self.invoke(call, &[]),
            [only] if call.regex.is_none() => match self.eval(only) {
                Ok(value) => self.invoke(call, &[value]),
                Err(failure) => self.charge_failed(call, [FAILED], failure),
            },
            // cel-go evaluates both operands of a binary call, whatever becomes of the first.
            [left, right] if call.regex.is_none() && !call.stops_at_failure() => {
                match (unless_final(self.eval(left))?, unless_final(self.eval(right))?) {
                    (Ok(left), Ok(right)) => self.invoke(call, &[left, right]),
                    (Ok(left), Err(failure)) => self.charge_failed(call, [left, FAILED], failure),
                    (Err(failure), right) => {
                        self.charge_failed(call, [FAILED, right.unwrap_or(FAILED)], failure)
                    }
                }
            }
            [left, right] if call.regex.is_some() => {
                let args = [self.eval(left)?, self.eval(right)?];
                self.invoke(call, &args)
            }
            more => {
                let mut args = Vec::with_capacity(more.len());
                for (index, arg) in more.iter().enumerate() {
                    match self.eval(arg) {
                        Ok(value) => args.push(value),
                        // cel-go stops at the first that fails, and charges the call if that is the last.
                        Err(failure) if index + 1 == more.len() => {
                            return self.charge_failed(call, args, failure);
                        }
                        Err(failure) => return Err(failure),
                    }
                }
                self.invoke(call, &args)
            }
        }
    }

    /// Does what the first overload that has a meaning for the arguments does.
    fn invoke(&mut self, call: &'a Call, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
        let mut result = None;
        for overload in &call.overloads {
            let invocation = Invocation { meter: self.meter, regex: call.regex.as_ref(), overload };
            match (overload.run)(&invocation, args) {
                Err(failure) if failure.kind == FailureKind::NoSuchOverload => {}
                other => {
                    result = Some(other);
                    break;
                }
            }
        }
        let result = result.unwrap_or_else(|| match &call.regex {
            // cel-go's match against a constant pattern does not name itself.
            Some(_) => Err(Failure::no_such_overload()),
            None => Err(mismatch(&call.function, args)),
        });
        self.meter.charge(cost_of(call).of(args, &result)?)?;
        result
    }

    /// A call whose argument failed costs as if that were a value of size 1.
    fn charge_failed(
        &mut self,
        call: &Call,
        args: impl AsRef<[Value<'a>]>,
        failure: Box<Failure>,
    ) -> Result<Value<'a>, Box<Failure>> {
        if failure.is_final() {
            return Err(failure);
        }
        let result = Err(failure);
        self.meter.charge(cost_of(call).of(args.as_ref(), &result)?)?;
        result
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

/// The failure of a function that has no meaning for its arguments. cel-go names operators and functions only
/// if the first argument knows nothing of them, and other functions with the types they were given.
pub(crate) fn mismatch(function: &str, args: &[Value<'_>]) -> Box<Failure> {
    use Value::{Bool, Bytes, Double, Duration, Int, JsonList, JsonMap, List, Map, Text, Timestamp, Uint};
    let Some(first) = args.first() else { return Failure::no_such_overload() };
    let known = match function {
        "_+_" => matches!(
            first,
            Bytes(_)
                | Double(_)
                | Duration(_)
                | Int(_)
                | List(_)
                | JsonList(_)
                | Text(_)
                | Timestamp(_)
                | Uint(_)
        ),
        "_-_" => matches!(first, Double(_) | Duration(_) | Int(_) | Timestamp(_) | Uint(_)),
        "_*_" | "_/_" => matches!(first, Double(_) | Int(_) | Uint(_)),
        "_%_" => matches!(first, Int(_) | Uint(_)),
        "_<_" | "_<=_" | "_>_" | "_>=_" => matches!(
            first,
            Bool(_) | Bytes(_) | Double(_) | Duration(_) | Int(_) | Text(_) | Timestamp(_) | Uint(_)
        ),
        "-_" => matches!(first, Bool(_) | Double(_) | Duration(_) | Int(_)),
        "size" => matches!(first, Bytes(_) | List(_) | JsonList(_) | Map(_) | JsonMap(_) | Text(_)),
        "matches" => matches!(first, Text(_)),
        "sort" | SORT_BY_KEYS => false,
        "!_" | "@in" | "contains" | "startsWith" | "endsWith" => true,
        _ => {
            let types: Vec<&str> = args.iter().map(Value::type_name).collect();
            return Failure::no_such_overload_of(format!("{function}({})", types.join(", ")));
        }
    };
    if known || matches!(first, Text(_) | Timestamp(_) | Duration(_)) {
        return Failure::no_such_overload();
    }
    Failure::no_such_overload_of(function.to_owned())
}

/// cel-go knows the cost of an overload only if the checker found exactly one.
fn cost_of(call: &Call) -> Cost {
    match &*call.overloads {
        [only] => only.cost,
        [first, ..] if first.named_cost => first.cost,
        _ => Cost::ONE,
    }
}
