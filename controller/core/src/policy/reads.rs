//! What groups of a policy's programs read: the ground for undecidability, `onUpdate`, masking and selective
//! decoding.

use super::lookups::LOOKUPS;
use super::{CompiledExpression, CompiledLookup};
use crate::pod;
use portcullis_cel::{Footprint, Origin, Projection, Read, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an expression may name besides `variables` and `each`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    Object,
    OldObject,
    Request,
    Params,
    NamespaceObject,
    PodSpec,
    PodMetadata,
    OldPodSpec,
    Containers,
    Images,
    Authorizer,
    RequestResource,
    Lookups,
}

impl Input {
    /// Every one.
    pub(crate) const ALL: [Self; 13] = [
        Self::Object,
        Self::OldObject,
        Self::Request,
        Self::Params,
        Self::NamespaceObject,
        Self::PodSpec,
        Self::PodMetadata,
        Self::OldPodSpec,
        Self::Containers,
        Self::Images,
        Self::Authorizer,
        Self::RequestResource,
        Self::Lookups,
    ];

    /// As expressions write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::OldObject => "oldObject",
            Self::Request => "request",
            Self::Params => "params",
            Self::NamespaceObject => "namespaceObject",
            Self::PodSpec => "podSpec",
            Self::PodMetadata => "podMetadata",
            Self::OldPodSpec => "oldPodSpec",
            Self::Containers => "containers",
            Self::Images => "images",
            Self::Authorizer => "authorizer",
            Self::RequestResource => "authorizer.requestResource",
            Self::Lookups => LOOKUPS,
        }
    }
}

/// What the source of a request may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsure {
    /// Who asks.
    User,
    /// What was there before.
    OldObject,
    /// The plural of the object's kind.
    Resource,
    /// Which namespace the object is in, if its kind lives in one.
    Namespace,
    /// CreateOptions and the like.
    Options,
    /// The Namespace object.
    NamespaceObject,
    /// The params that a reference leads to.
    Params,
}

/// Where the values of a policy's `variables` and `lookups` come from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    variables: Vec<(Arc<str>, Origin)>,
    /// What is read to find what is looked up.
    lookups: Vec<(Arc<str>, Footprint)>,
}

impl Origins {
    /// Those of compiled variables, each of which sees those before it.
    pub(crate) fn of(variables: &[(Arc<str>, CompiledExpression)], lookups: &[CompiledLookup]) -> Self {
        let lookups = lookups.iter().map(|lookup| (Arc::clone(&lookup.name), lookup.inputs.clone()));
        let begin = Self { variables: Vec::new(), lookups: lookups.collect() };
        variables.iter().fold(begin, |mut known, (name, variable)| {
            let origin = known.origin(variable);
            known.variables.push((Arc::clone(name), origin));
            known
        })
    }

    /// Where the result of an expression comes from, its variables traced to where theirs do.
    fn origin(&self, expression: &CompiledExpression) -> Origin {
        expression.program.origin().resolve(&|variable, steps| self.known(variable, steps))
    }

    /// What something reads whose own reads are these; if it is judged for each element of a list, that included.
    fn footprint(&self, of: &Footprint, list: Option<&CompiledExpression>) -> Footprint {
        let each = list.map(|list| self.origin(list).element());
        let known = |variable: &str, steps: &[Step]| match &each {
            Some(each) if variable == "each" => Some((vec![each], 0)),
            _ => self.known(variable, steps),
        };
        let mut footprint = of.resolve(&known);
        if let Some(each) = &each {
            footprint.merge(each.reads());
        }
        for (name, inputs) in &self.lookups {
            if footprint.of(LOOKUPS).is_some_and(|all| all.field(name).is_some()) {
                footprint.merge(inputs);
            }
        }
        footprint
    }

    fn known(&self, variable: &str, steps: &[Step]) -> Option<(Vec<&Origin>, usize)> {
        if variable != "variables" {
            return None;
        }
        let named = |name: &str| self.variables.iter().rev().find(|(known, _)| **known == *name);
        Some(match steps.first() {
            Some(Step::Field(name)) => (named(name).map(|(_, origin)| origin).into_iter().collect(), 1),
            first => (self.variables.iter().map(|(_, origin)| origin).collect(), first.iter().count()),
        })
    }
}

/// What a group of programs reads, the variables that they need included.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reads {
    footprint: Footprint,
    /// What is read of Pods: of their spec, by `containers` and `images` too, and of their metadata.
    pod_spec: Option<Projection>,
    /// A bit for each input that is read.
    inputs: u16,
    /// The paths by which what may be unknown is read.
    unsure: BTreeMap<Unsure, Vec<String>>,
    circumstances: bool,
}

impl Reads {
    /// What an expression reads that is judged once.
    pub(crate) fn of(expression: &CompiledExpression, origins: &Origins) -> Self {
        Self::of_part(expression.program.footprint(), None, origins)
    }

    /// What an expression reads that is judged for each element of a list, and how that is found.
    pub(crate) fn of_each(
        expression: &CompiledExpression,
        list: Option<&CompiledExpression>,
        origins: &Origins,
    ) -> Self {
        Self::of_part(expression.program.footprint(), list, origins)
    }

    /// What is read that a program or a part of one reads by itself.
    pub(crate) fn of_part(part: &Footprint, list: Option<&CompiledExpression>, origins: &Origins) -> Self {
        Self::from(origins.footprint(part, list))
    }

    /// What any of several groups reads.
    pub(crate) fn union<'r>(groups: impl IntoIterator<Item = &'r Self>) -> Self {
        let mut footprint = Footprint::default();
        groups.into_iter().for_each(|group| footprint.merge(&group.footprint));
        Self::from(footprint)
    }

    /// The single paths, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = Read> {
        self.footprint.reads()
    }

    /// What is read of an input, if anything.
    pub(crate) fn of_input(&self, input: Input) -> Option<&Projection> {
        self.footprint.of(input.name()).filter(|_| self.reads(input))
    }

    /// What is read of what a look-up finds, if anything.
    pub(crate) fn of_lookup(&self, name: &str) -> Option<&Projection> {
        self.of_input(Input::Lookups)?.field(name)
    }

    /// What is read of the spec of a Pod, be it as `podSpec` or through its lists.
    pub(crate) fn of_pod_spec(&self) -> Option<&Projection> {
        self.pod_spec.as_ref()
    }

    /// Whether anything of an input is read.
    pub(crate) fn reads(&self, input: Input) -> bool {
        self.inputs & 1 << input as u16 != 0
    }

    /// Whether a view of the Pod inside the object is among it.
    pub(crate) fn reads_pod(&self) -> bool {
        const VIEWS: [Input; 5] =
            [Input::PodSpec, Input::PodMetadata, Input::OldPodSpec, Input::Containers, Input::Images];
        VIEWS.into_iter().any(|view| self.reads(view))
    }

    /// The paths by which something is read that may be unknown; none if it is not read.
    pub(crate) fn unsure(&self, what: Unsure) -> &[String] {
        self.unsure.get(&what).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing is read that may be unknown.
    pub(crate) fn is_sure(&self) -> bool {
        self.unsure.is_empty()
    }

    /// Whether anything of the request is read that may differ between two requests for the same object.
    pub(crate) fn circumstances(&self) -> bool {
        self.circumstances
    }
}

impl From<Footprint> for Reads {
    fn from(footprint: Footprint) -> Self {
        let mut reads = Self {
            pod_spec: pod_spec(&footprint),
            inputs: Input::ALL
                .into_iter()
                .filter(|input| footprint.mentions(input.name()))
                .fold(0, |inputs, input| inputs | 1 << input as u16),
            ..Self::default()
        };
        for read in footprint.reads() {
            for what in unsure(&read) {
                reads.unsure.entry(*what).or_default().push(read.path());
            }
            reads.circumstances |= match &*read.variable {
                "request" => !is_same_for_an_object(&read),
                "authorizer" | "authorizer.requestResource" => true,
                _ => false,
            };
        }
        Self { footprint, ..reads }
    }
}

/// The first field of a path.
fn first(read: &Read) -> Option<&str> {
    match read.steps.first() {
        Some(Step::Field(name)) => Some(name),
        _ => None,
    }
}

fn unsure(read: &Read) -> &'static [Unsure] {
    match (&*read.variable, first(read)) {
        ("oldObject" | "oldPodSpec", _) => &[Unsure::OldObject],
        ("namespaceObject", _) => &[Unsure::NamespaceObject],
        ("params", _) => &[Unsure::Params],
        ("authorizer.requestResource", _) => &[Unsure::Resource, Unsure::Namespace],
        ("request", Some("userInfo")) => &[Unsure::User],
        ("request", Some("resource" | "requestResource")) => &[Unsure::Resource],
        ("request", Some("namespace")) => &[Unsure::Namespace],
        ("request", Some("options")) => &[Unsure::Options],
        ("request", Some(_)) => &[],
        ("request", None) => &[Unsure::User, Unsure::Resource, Unsure::Namespace, Unsure::Options],
        _ => &[],
    }
}

fn is_same_for_an_object(read: &Read) -> bool {
    const SAME: [&str; 6] = ["kind", "resource", "requestKind", "requestResource", "name", "namespace"];
    first(read).is_some_and(|first| SAME.contains(&first))
}

/// What is read of a Pod's spec.
fn pod_spec(footprint: &Footprint) -> Option<Projection> {
    let lists = footprint.of("containers").map(pod::containers_read);
    let images = footprint.of("images").map(|_| pod::images_read());
    let parts = [footprint.of("podSpec").cloned(), lists, images];
    parts.into_iter().flatten().reduce(|mut all, part| {
        all.merge(&part);
        all
    })
}
