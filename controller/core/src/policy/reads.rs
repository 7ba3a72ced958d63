//! What a policy reads, all its programs together: the ground for undecidability and `onUpdate`.

use super::CompiledExpression;
use portcullis_cel::{Read, Step};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A path of plain selections below a variable, such as `object.spec.replicas`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    /// The variable.
    pub(crate) root: String,
    /// The fields selected from it, one after the other.
    pub(crate) segments: Vec<String>,
}

impl Path {
    /// The path of a read, up to where it goes through all elements: from there on, everything counts as read.
    pub(crate) fn of(read: &Read) -> Self {
        let fields = read.steps.iter().map_while(|step| match step {
            Step::Field(name) => Some(name.to_string()),
            Step::Any => None,
        });
        Self { root: read.variable.to_string(), segments: fields.collect() }
    }
}

/// The paths that a group of programs reads from each declared variable.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reads {
    paths: BTreeSet<Path>,
}

impl Reads {
    /// What an expression reads, the variables that it needs included.
    pub(crate) fn of(expression: &CompiledExpression, variables: &[(Arc<str>, CompiledExpression)]) -> Self {
        let mut reads = Self::default();
        reads.add(expression, variables);
        reads
    }

    pub(crate) fn add(
        &mut self,
        expression: &CompiledExpression,
        variables: &[(Arc<str>, CompiledExpression)],
    ) {
        self.paths.extend(expression.program.footprint().reads().map(Path::of));
        for index in &expression.variables {
            if let Some((_, variable)) = variables.get(*index) {
                self.paths.extend(variable.program.footprint().reads().map(Path::of));
            }
        }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.paths.extend(other.paths.iter().cloned());
    }

    /// The paths below one variable.
    pub(crate) fn of_root<'a>(&'a self, root: &'a str) -> impl Iterator<Item = &'a [String]> {
        self.paths.iter().filter(move |path| path.root == root).map(|path| path.segments.as_slice())
    }

    /// Whether anything below one variable is read.
    pub(crate) fn reads(&self, root: &str) -> bool {
        self.paths.iter().any(|path| path.root == root)
    }

    /// Whether the requester is read: `request.userInfo`, or `request` as a whole.
    pub(crate) fn user(&self) -> bool {
        self.of_root("request").any(|segments| segments.first().is_none_or(|first| first == "userInfo"))
    }

    /// Whether the object before the change is read.
    pub(crate) fn old_object(&self) -> bool {
        self.reads("oldObject") || self.reads("oldPodSpec")
    }

    /// Whether anything of the request is read that may differ between two requests for the same object.
    pub(crate) fn circumstances(&self) -> bool {
        const SAME_FOR_AN_OBJECT: [&str; 6] =
            ["kind", "resource", "requestKind", "requestResource", "name", "namespace"];
        self.of_root("request").any(|segments| {
            segments.first().is_none_or(|first| !SAME_FOR_AN_OBJECT.contains(&first.as_str()))
        })
    }
}
