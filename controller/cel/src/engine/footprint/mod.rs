//! What a program reads of its variables: which paths, and how much of what is there.

mod trace;

use std::collections::BTreeSet;
use std::fmt;

use super::environment::Environment;
use super::plan::{Node, Qualifier, QualifierKey, Root};
use super::value::Value;

/// Everything a program's result can depend on, besides its source. Whatever is not in it can change without
/// changing the result, whether that is a value or a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    reads: BTreeSet<Read>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Whether it is there.
    Presence,
    /// What it is: a scalar's value, how many elements a list has, which keys a map.
    Shape,
    /// All of it.
    Whole,
}

impl Footprint {
    /// The footprint of a plan.
    pub(crate) fn of(environment: &Environment, root: &Node, locals: u32) -> Self {
        let reads = trace::trace(environment, root, locals);
        let covered = |read: &Read| reads.iter().any(|other| other != read && other.covers(read));
        Self { reads: reads.iter().filter(|read| !covered(read)).cloned().collect() }
    }

    /// The reads, sorted, none of them covered by another.
    pub fn reads(&self) -> impl Iterator<Item = &Read> {
        self.reads.iter()
    }

    /// Whether anything of a variable is read.
    #[must_use]
    pub fn mentions(&self, variable: &str) -> bool {
        self.reads.iter().any(|read| &*read.variable == variable)
    }

    /// Whether two values of a variable are the same in everything that is read of them.
    #[must_use]
    pub fn agrees(&self, variable: &str, one: &Value<'_>, other: &Value<'_>) -> bool {
        let mut reads = self.reads.iter().filter(|read| &*read.variable == variable);
        reads.all(|read| agree(&read.steps, read.extent, Some(one), Some(other)))
    }
}

impl Read {
    /// Whether whoever agrees on this read agrees on the other one too.
    fn covers(&self, other: &Read) -> bool {
        if self.variable != other.variable {
            return false;
        }
        // A path cannot be followed without knowing whether what it goes through is there, and any element
        // of it not without knowing its shape.
        if let Some(Some(next)) = self.steps.strip_prefix(&*other.steps).map(<[Step]>::first) {
            return other.extent == Extent::Presence || (other.extent == Extent::Shape && *next == Step::Any);
        }
        if self.steps == other.steps {
            return self.extent > other.extent;
        }
        self.extent == Extent::Whole && other.steps.starts_with(&self.steps)
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

/// As CEL would write it, with `*` for any element: `object.spec.containers.*.image`. What is read less than
/// whole says so.
impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.variable)?;
        for step in &self.steps {
            match step {
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Any => f.write_str(".*")?,
            }
        }
        match self.extent {
            Extent::Presence => f.write_str(" (presence)"),
            Extent::Shape => f.write_str(" (shape)"),
            Extent::Whole => Ok(()),
        }
    }
}

/// Whether two values, either of which may be absent, are the same along a path.
fn agree(steps: &[Step], extent: Extent, one: Option<&Value<'_>>, other: Option<&Value<'_>>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    let Some((step, rest)) = steps.split_first() else {
        return match extent {
            Extent::Presence => true,
            Extent::Shape => same_shape(one, other),
            Extent::Whole => one.identical(other),
        };
    };
    if one.type_name() != other.type_name() {
        return false;
    }
    match step {
        Step::Field(name) => agree(rest, extent, one.field(name).as_ref(), other.field(name).as_ref()),
        Step::Any => {
            same_shape(one, other)
                && one
                    .children()
                    .zip(other.children())
                    .all(|((_, one), (_, other))| agree(rest, extent, Some(&one), Some(&other)))
        }
    }
}

fn same_shape(one: &Value<'_>, other: &Value<'_>) -> bool {
    if one.type_name() != other.type_name() {
        return false;
    }
    match (one, other) {
        (Value::JsonList(_) | Value::List(_), _) => one.size() == other.size(),
        (Value::JsonMap(_) | Value::Map(_), _) => {
            one.size() == other.size()
                && one.children().zip(other.children()).all(|((one, _), (other, _))| one == other)
        }
        _ => one.identical(other),
    }
}
