//! What can only be true, false or a failure, without making values of it.

use super::super::cost;
use super::super::failure::Failure;
use super::super::plan::{Equal, Node};
use super::super::stdlib;
use super::super::value::Value;
use super::{Frame, unless_final};

/// What `!` costs.
const NOT: u64 = 1;

impl<'a> Frame<'a, '_> {
    /// The truth of a term; to what asks for it, any other value has no meaning.
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool, Box<Failure>> {
        match node {
            Node::And(terms) => self.logic(terms, false),
            Node::Or(terms) => self.logic(terms, true),
            Node::Not(term) => {
                let truth = self.truth(term);
                if !matches!(&truth, Err(failure) if failure.is_final()) {
                    self.meter.charge(NOT)?;
                }
                truth.map(|truth| !truth)
            }
            Node::Equal(equal) => self.equal(equal),
            other => match self.eval(other)? {
                Value::Bool(truth) => Ok(truth),
                _ => Err(Failure::no_such_overload()),
            },
        }
    }

    /// `||`, which one `true` decides, and `&&`, which one `false` does, whatever fails beside it.
    fn logic(&mut self, terms: &'a [Node], decisive: bool) -> Result<bool, Box<Failure>> {
        let mut failed: Option<Box<Failure>> = None;
        for term in terms {
            match self.truth(term) {
                Ok(truth) if truth == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(failure) if failure.is_final() => return Err(failure),
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
        failed.map_or(Ok(!decisive), Err)
    }

    fn equal(&mut self, equal: &'a Equal) -> Result<bool, Box<Failure>> {
        let left = unless_final(self.eval(&equal.left))?;
        let same = if let Node::Constant(right) = &equal.right {
            self.charge_equal(equal, &left, Some(right))?;
            stdlib::equality(&left?, right, self.meter)?
        } else {
            let right = unless_final(self.eval(&equal.right))?;
            self.charge_equal(equal, &left, right.as_ref().ok())?;
            stdlib::equality(&left?, &right?, self.meter)?
        };
        match same {
            Some(same) => Ok(same != equal.negated),
            None if equal.negated => Ok(true),
            None => Err(Failure::no_such_overload()),
        }
    }

    fn charge_equal(
        &self,
        equal: &Equal,
        left: &Result<Value<'a>, Box<Failure>>,
        right: Option<&Value<'_>>,
    ) -> Result<(), Box<Failure>> {
        match left {
            Ok(Value::Opaque(left)) if left.equality_is_nominal() && !equal.negated => self.meter.charge(1),
            _ => {
                let (left, right) = (left.as_ref().map_or(1, cost::size), right.map_or(1, cost::size));
                self.meter.charge(cost::equality(left, right))
            }
        }
    }
}
