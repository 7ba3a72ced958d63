//! Where a result may come from, so that what is read of it by whoever uses it is known to be read there.

use std::collections::BTreeSet;

use super::{Extent, Footprint, Read, Step};

/// How many places a value may come from are told apart, how deep containers that an expression builds are
/// followed, and how long a path may get: programs build on each other, and each may multiply what it is given.
const MAX_PLACES: usize = 64;
const MAX_DEPTH: usize = 4;
const MAX_STEPS: usize = 256;

/// Where a value may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shadow {
    /// Places in variables that it may be.
    places: BTreeSet<(Box<str>, Vec<Step>)>,
    /// What the elements may be, if it is a container that the expression built.
    elements: Option<Box<Shadow>>,
}

impl Shadow {
    /// The value of a variable.
    pub(super) fn variable(name: &str) -> Self {
        Self { places: BTreeSet::from([(name.into(), Vec::new())]), elements: None }
    }

    /// A container that an expression built of such values.
    pub(super) fn built(elements: Self) -> Self {
        Self { places: BTreeSet::new(), elements: Some(Box::new(elements)) }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.places.extend(other.places);
        match (&mut self.elements, other.elements) {
            (Some(mine), Some(theirs)) => mine.merge(*theirs),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }

    /// Itself, or nothing more to follow where that would be too much: then all of it counts as read.
    pub(super) fn bounded(self, reads: &mut Footprint) -> Self {
        if self.depth() <= MAX_DEPTH
            && self.all_places().count() <= MAX_PLACES
            && self.all_places().all(|(_, steps)| steps.len() <= MAX_STEPS)
        {
            return self;
        }
        self.read(Extent::Whole, reads);
        Self::default()
    }

    fn depth(&self) -> usize {
        self.elements.as_ref().map_or(0, |elements| elements.depth() + 1)
    }

    fn all_places(&self) -> impl Iterator<Item = &(Box<str>, Vec<Step>)> {
        let levels = std::iter::successors(Some(self), |level| level.elements.as_deref());
        levels.flat_map(|level| &level.places)
    }

    /// So much of it is read.
    pub(super) fn read(&self, extent: Extent, reads: &mut Footprint) {
        for (variable, steps) in &self.places {
            reads.add(variable, steps, extent);
        }
        if let Some(elements) = self.elements.as_deref().filter(|_| extent == Extent::Whole) {
            elements.read(extent, reads);
        }
    }

    /// A field of it.
    pub(super) fn field(self, name: &str) -> Self {
        self.step(&Step::Field(name.into()))
    }

    /// Some element of it, to find which its shape is read.
    pub(super) fn any(self, reads: &mut Footprint) -> Self {
        self.read(Extent::Shape, reads);
        self.step(&Step::Any)
    }

    fn step(self, step: &Step) -> Self {
        let longer = |(variable, mut steps): (Box<str>, Vec<Step>)| {
            steps.push(step.clone());
            (variable, steps)
        };
        let mut selected = Self { places: self.places.into_iter().map(longer).collect(), elements: None };
        if let Some(elements) = self.elements {
            selected.merge(*elements);
        }
        selected
    }

    fn walk(self, steps: &[Step], reads: &mut Footprint) -> Self {
        let end = steps.iter().fold(self, |shadow, step| match step {
            Step::Field(_) => shadow.step(step),
            Step::Any => shadow.any(reads),
        });
        end.bounded(reads)
    }

    fn resolve(self, reads: &mut Footprint, known: &Known<'_>) -> Self {
        let mut resolved = Self::default();
        for (variable, steps) in self.places {
            match known(&variable, &steps) {
                None => {
                    resolved.places.insert((variable, steps));
                }
                Some((origins, selected)) => {
                    let rest = steps.get(selected..).unwrap_or_default();
                    for origin in origins {
                        reads.merge(&origin.reads);
                        resolved.merge(origin.result.clone().walk(rest, reads));
                    }
                }
            }
        }
        if let Some(elements) = self.elements {
            resolved.merge(Self::built(elements.resolve(reads, known)));
        }
        resolved.bounded(reads)
    }
}

/// Tells of a path whether it goes through results of other programs: of which, and after how many steps.
pub(super) type Known<'k> = dyn Fn(&str, &[Step]) -> Option<(Vec<&'k Origin>, usize)> + 'k;

/// Where a program's result comes from: what is read to find it, and what it may be a part of. The variables of
/// other programs can be such results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    reads: Footprint,
    result: Shadow,
}

impl Origin {
    pub(super) fn new(reads: Footprint, result: Shadow) -> Self {
        Self { reads, result }
    }

    /// What is read to find the result.
    #[must_use]
    pub fn reads(&self) -> &Footprint {
        &self.reads
    }

    /// What is read if all of the result is used.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let mut footprint = self.reads.clone();
        self.result.read(Extent::Whole, &mut footprint);
        footprint
    }

    /// Where any element of the result comes from.
    #[must_use]
    pub fn element(&self) -> Self {
        let mut reads = self.reads.clone();
        let result = self.result.clone().any(&mut reads);
        Self { reads, result }
    }

    /// The same, with what `known` tells to be results of other programs traced to where these come from.
    #[must_use]
    pub fn resolve(&self, known: &Known<'_>) -> Self {
        let mut reads = self.reads.resolve(known);
        let result = self.result.clone().resolve(&mut reads, known);
        Self { reads, result }
    }
}

impl Footprint {
    /// The same, with what `known` tells to be results of other programs traced to where these come from.
    #[must_use]
    pub fn resolve(&self, known: &Known<'_>) -> Self {
        let mut resolved = Self::default();
        for Read { variable, steps, extent } in self.reads() {
            match known(&variable, &steps) {
                None => resolved.add(&variable, &steps, extent),
                Some((origins, selected)) => {
                    let rest = steps.get(selected..).unwrap_or_default();
                    for origin in origins {
                        resolved.merge(&origin.reads);
                        let result = origin.result.clone().walk(rest, &mut resolved);
                        result.read(extent, &mut resolved);
                    }
                }
            }
        }
        resolved
    }
}
