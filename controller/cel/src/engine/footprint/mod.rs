//! What a program reads of its variables: which paths, and how much of what is there.

mod origin;
mod part;
mod projection;
mod trace;

use std::collections::BTreeMap;
use std::fmt;

use super::environment::Environment;
use super::plan::{Node, Qualifier, QualifierKey, Root};
use super::value::Value;

pub use origin::Origin;
pub use part::Part;
pub use projection::Projection;

/// Everything a program's result can depend on, besides its source. Whatever is not in it can change without
/// changing the result, whether that is a value or a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    variables: BTreeMap<Box<str>, Projection>,
}

/// One path of a variable, and how much of what is there is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    /// The variable.
    pub variable: Box<str>,
    /// How it goes on from there, outermost first.
    pub steps: Vec<Step>,
    /// How much of it is read.
    pub extent: Extent,
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of a constant name.
    Field(Box<str>),
    /// Any element of a list, or any entry of a map; how many there are, and their keys, are read too.
    Any,
}

/// How much is read of what is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Whether it is there.
    Presence,
    /// Of what type it is.
    Type,
    /// What it is: a scalar's value, how many elements a list has, which keys a map.
    Shape,
    /// All of it.
    Whole,
}

impl Footprint {
    /// The reads, sorted, none of them implied by another.
    pub fn reads(&self) -> impl Iterator<Item = Read> {
        let mut reads = Vec::new();
        for (variable, projection) in &self.variables {
            projection.each_read(&mut Vec::new(), &mut |steps, extent| {
                reads.push(Read { variable: variable.clone(), steps: steps.to_vec(), extent });
            });
        }
        reads.into_iter()
    }

    /// Whether anything of a variable is read.
    #[must_use]
    pub fn mentions(&self, variable: &str) -> bool {
        self.variables.contains_key(variable)
    }

    /// What is read of a variable, if anything.
    #[must_use]
    pub fn of(&self, variable: &str) -> Option<&Projection> {
        self.variables.get(variable)
    }

    /// Whether two values of a variable are the same in everything that is read of them.
    #[must_use]
    pub fn agrees(&self, variable: &str, one: &Value<'_>, other: &Value<'_>) -> bool {
        self.of(variable).is_none_or(|projection| projection.agrees(Some(one), Some(other)))
    }

    /// Reads what another footprint reads, too.
    pub fn merge(&mut self, other: &Self) {
        for (variable, projection) in &other.variables {
            match self.variables.get_mut(variable) {
                Some(mine) => mine.merge(projection),
                None => {
                    self.variables.insert(variable.clone(), projection.clone());
                }
            }
        }
    }

    fn add(&mut self, variable: &str, steps: &[Step], extent: Extent) {
        let projection = self.variables.entry(variable.into());
        projection.or_insert(Projection::new(Extent::Presence)).add(steps, extent);
    }
}

/// The path that a plan is, if it is nothing but a variable or a selection of fields from one.
pub(crate) fn plain_selection(environment: &Environment, root: &Node) -> Option<Read> {
    let Node::Attribute(attribute) = root else { return None };
    let Root::Variable(index) = attribute.root else { return None };
    let step = |qualifier: &Qualifier| match &qualifier.key {
        QualifierKey::Field(name) if !qualifier.optional => Some(Step::Field(name.clone())),
        QualifierKey::Constant(value) if !qualifier.optional => {
            value.as_str().map(|name| Step::Field(name.into()))
        }
        _ => None,
    };
    let steps = attribute.qualifiers.iter().map(step).collect::<Option<Vec<_>>>()?;
    let variable = environment.variable(index)?.name.clone();
    (!attribute.test).then_some(Read { variable, steps, extent: Extent::Whole })
}

impl Read {
    /// The path, as CEL would write it, with `*` for any element: `object.spec.containers.*.image`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = self.variable.to_string();
        for step in &self.steps {
            path.push('.');
            path.push_str(match step {
                Step::Field(name) => name,
                Step::Any => "*",
            });
        }
        path
    }
}

/// The path. What is read less than whole says so.
impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())?;
        match self.extent {
            Extent::Presence => f.write_str(" (presence)"),
            Extent::Type => f.write_str(" (type)"),
            Extent::Shape => f.write_str(" (shape)"),
            Extent::Whole => Ok(()),
        }
    }
}
