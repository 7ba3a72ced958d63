//! Who has a name that several documents of a cluster claim.
//!
//! In files that is an error for all of them: whoever wrote them can tell. In a cluster the document in force keeps
//! its name, else the first that is sound has it, which is of the oldest ConfigMap. The others wait: one takes over in the same set
//! in which the incumbent is gone, so that a ConfigMap under a generated name follows another without a gap.

use super::Sources;
use super::assemble::{Found, is_sound};
use super::origins::{covers, describe};
use super::unit::{Identity, Unit, identity_of};
use crate::document::{Code, DocumentError, Identity as Name, Origin, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A document that is not in force because another one has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// What it is, such as `Policy`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
    /// Where that stands which has the name.
    pub by: Origin,
}

/// Takes those documents out whose name another one has, and says which; each with what is to be said of it.
pub(super) fn settle(
    found: &mut Vec<Found<'_>>,
    sources: &Sources,
    previous: &[Arc<Unit>],
) -> Vec<(Shadowed, DocumentError)> {
    let mut claims: BTreeMap<Identity, Vec<usize>> = BTreeMap::new();
    for (index, Found { read, .. }) in found.iter().enumerate() {
        // A file has a name of its own; a ConfigMap of a cluster has none.
        let is_in_cluster = read.origin.file.is_none() && !read.origin.config_map.is_empty();
        if let Some(name) = read.identity.as_ref().filter(|_| is_in_cluster) {
            claims.entry(identity_of(name.kind, name.name.clone())).or_default().push(index);
        }
    }
    let nameless = found.iter().filter(|found| found.read.identity.is_none());
    let nameless = nameless.filter(|found| matches!(found.read.outcome, Outcome::Broken { .. }));
    let unreadable: Vec<&Origin> = nameless
        .map(|found| &found.read.origin)
        .chain(sources.failures.iter().map(|failure| &failure.origin))
        .collect();
    let incumbents: BTreeMap<&Identity, &Origin> =
        previous.iter().map(|unit| (&unit.identity, &unit.origin)).collect();
    let mut shadowed = BTreeMap::new();
    for (identity, claims) in &claims {
        let origins: Vec<&Origin> =
            claims.iter().filter_map(|index| Some(&found.get(*index)?.read.origin)).collect();
        let claimant = || {
            let sound = claims.iter().filter(|_| claims.len() > 1);
            let mut sound = sound.filter_map(|index| found.get(*index)).filter(|one| is_sound(one, sources));
            sound.next().map(|one| &one.read.origin).or(origins.first().copied())
        };
        let incumbent = incumbents.get(identity).copied();
        let Some(owner) = owner(&origins, incumbent, &unreadable).or_else(claimant) else { continue };
        let others = claims.iter().zip(&origins).filter(|(_, origin)| **origin != owner);
        shadowed.extend(others.map(|(index, _)| (*index, owner.clone())));
    }
    let reports = shadowed.iter().filter_map(|(index, by)| {
        let read = &found.get(*index)?.read;
        Some(report(read.identity.as_ref()?, &read.origin, by))
    });
    let reports = reports.collect();
    let gone: BTreeSet<usize> = shadowed.into_keys().collect();
    let mut index = 0;
    found.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    reports
}

/// Where the document stands, or stood, that had a name before which these claim; none if that is gone.
fn owner<'a>(
    claims: &[&'a Origin],
    incumbent: Option<&'a Origin>,
    unreadable: &[&Origin],
) -> Option<&'a Origin> {
    let incumbent = incumbent?;
    let of = |is_it: &dyn Fn(&Origin) -> bool| claims.iter().copied().find(|origin| is_it(origin));
    let same_config_map = |origin: &Origin| {
        origin.namespace == incumbent.namespace && origin.config_map == incumbent.config_map
    };
    of(&|origin| origin == incumbent)
        .or_else(|| of(&|origin| same_config_map(origin) && origin.key == incumbent.key))
        .or_else(|| of(&same_config_map))
        // What cannot be read may be the incumbent still.
        .or_else(|| unreadable.iter().any(|origin| covers(origin, incumbent)).then_some(incumbent))
}

fn report(Name { kind, name, place }: &Name, origin: &Origin, by: &Origin) -> (Shadowed, DocumentError) {
    let message = format!("{} has the name `{name}` already, so this {kind} is not in force", describe(by));
    let error = DocumentError::at(origin, Some(name), place.clone(), message)
        .with_code(Code::Duplicate)
        .with_hint("it takes over once that is gone; give it a name of its own if both are meant");
    (Shadowed { kind, name: name.clone(), origin: origin.clone(), by: by.clone() }, error)
}
