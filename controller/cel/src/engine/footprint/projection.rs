//! What is read of one value, as a tree that can be walked along the value itself.

use std::collections::BTreeMap;

use super::super::value::Value;
use super::{Extent, Step};

/// What is read of a value: how much of itself, and what of the values in it.
///
/// Whatever a projection leaves out may be anything, or absent. To keep of a document what a projection reads:
/// a scalar that is reached is kept as it is, or as any other value where only its [presence](Self::is_presence)
/// is read; of a map, what [`field`](Self::field) knows is kept; of a list, every element is kept if
/// [`element`](Self::element) knows something and none otherwise; a container stays one of its sort.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Projection {
    /// How much of the value itself.
    extent: Extent,
    /// What is read of entries with known names, that of every entry included.
    fields: BTreeMap<Box<str>, Projection>,
    /// What is read of every element or entry.
    every: Option<Box<Projection>>,
}

static PRESENCE: Projection = Projection::new(Extent::Presence);
static WHOLE: Projection = Projection::new(Extent::Whole);

impl Projection {
    /// So much of a value, and nothing in particular of what is in it.
    #[must_use]
    pub const fn new(extent: Extent) -> Self {
        Self { extent, fields: BTreeMap::new(), every: None }
    }

    /// Whether all of the value is read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.extent == Extent::Whole
    }

    /// Whether no more is read than that there is a value.
    #[must_use]
    pub fn is_presence(&self) -> bool {
        self.extent == Extent::Presence && self.fields.is_empty() && self.every.is_none()
    }

    /// How much is read of the value itself.
    #[must_use]
    pub fn extent(&self) -> Extent {
        match (self.extent, &self.every) {
            (Extent::Presence | Extent::Type, Some(_)) => Extent::Shape,
            (Extent::Presence, None) if !self.fields.is_empty() => Extent::Type,
            (extent, _) => extent,
        }
    }

    /// What is read of an entry of a map; nothing if it may as well not be there.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.fields.get(name).or_else(|| self.element())
    }

    /// What is read of every element of a list, and of entries that are not named; nothing if these may as well
    /// not be there.
    #[must_use]
    pub fn element(&self) -> Option<&Self> {
        match (&self.every, self.extent) {
            (_, Extent::Whole) => Some(&WHOLE),
            (Some(every), _) => Some(every),
            (None, Extent::Shape) => Some(&PRESENCE),
            (None, Extent::Presence | Extent::Type) => None,
        }
    }

    /// The entries that are read by name, sorted.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.fields.iter().map(|(name, below)| (&**name, below))
    }

    /// What lies at a path, if anything there is read.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |projection, name| projection.field(name))
    }

    /// This, below a path of fields.
    #[must_use]
    pub fn below(self, path: &[&str]) -> Self {
        path.iter().rev().fold(self, |below, name| {
            let mut above = Self::new(Extent::Presence);
            above.fields.insert((*name).into(), below);
            above
        })
    }

    /// This, of every element.
    #[must_use]
    pub fn of_every(self) -> Self {
        Self { every: Some(Box::new(self)), ..Self::new(Extent::Presence) }
    }

    /// Reads what another projection reads, too.
    pub fn merge(&mut self, other: &Self) {
        self.extent = self.extent.max(other.extent);
        if self.is_whole() {
            *self = Self::new(Extent::Whole);
            return;
        }
        for (name, theirs) in &other.fields {
            let mine = self.fields.entry(name.clone());
            mine.or_insert_with(|| self.every.as_deref().unwrap_or(&PRESENCE).clone()).merge(theirs);
        }
        if let Some(theirs) = &other.every {
            self.fields.values_mut().for_each(|mine| mine.merge(theirs));
            match &mut self.every {
                Some(mine) => mine.merge(theirs),
                mine @ None => *mine = Some(theirs.clone()),
            }
        }
        if let Some(every) = &self.every {
            self.fields.retain(|_, field| field != &**every);
        }
    }

    /// Whether everything that another projection reads is read by this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let mut both = self.clone();
        both.merge(other);
        both == *self
    }

    /// Reads so much at the end of a path, too.
    pub(super) fn add(&mut self, steps: &[Step], extent: Extent) {
        let read = steps.iter().rev().fold(Self::new(extent), |below, step| match step {
            Step::Field(name) => below.below(&[name]),
            Step::Any => below.of_every(),
        });
        self.merge(&read);
    }

    /// Whether two values, either of which may be absent, are the same in everything that is read of them.
    #[must_use]
    pub fn agrees(&self, one: Option<&Value<'_>>, other: Option<&Value<'_>>) -> bool {
        let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
        match self.extent() {
            Extent::Presence => return true,
            Extent::Whole => return one.identical(other),
            Extent::Type if one.type_name() != other.type_name() => return false,
            Extent::Shape if !same_shape(one, other) => return false,
            Extent::Type | Extent::Shape => {}
        }
        let same_fields = self
            .fields
            .iter()
            .all(|(name, below)| below.agrees(one.field(name).as_ref(), other.field(name).as_ref()));
        same_fields
            && self.every.as_ref().is_none_or(|every| {
                one.children()
                    .zip(other.children())
                    .all(|((_, one), (_, other))| every.agrees(Some(&one), Some(&other)))
            })
    }

    /// Calls with every path at which something is read that follows from none below it.
    pub(super) fn each_read(&self, steps: &mut Vec<Step>, found: &mut impl FnMut(&[Step], Extent)) {
        let implied = match (&self.every, self.fields.is_empty()) {
            (Some(_), _) => Some(Extent::Shape),
            (None, false) => Some(Extent::Type),
            (None, true) => None,
        };
        if implied.is_none_or(|implied| self.extent > implied) {
            found(steps, self.extent);
        }
        let named = self.fields.iter().map(|(name, below)| (Step::Field(name.clone()), below));
        for (step, below) in named.chain(self.every.iter().map(|every| (Step::Any, &**every))) {
            steps.push(step);
            below.each_read(steps, found);
            steps.pop();
        }
    }
}

fn same_shape(one: &Value<'_>, other: &Value<'_>) -> bool {
    if one.type_name() != other.type_name() {
        return false;
    }
    match one {
        Value::JsonList(_) | Value::List(_) => one.size() == other.size(),
        Value::JsonMap(_) | Value::Map(_) => {
            one.size() == other.size()
                && one.children().zip(other.children()).all(|((one, _), (other, _))| one == other)
        }
        _ => one.identical(other),
    }
}
