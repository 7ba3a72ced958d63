//! How much was found, apart from what: it is the same for ten objects and for a million.

use super::model::{Action, Judged, Judgement, ObjectRef};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Judgements that deny.
    pub deny: usize,
    /// Judgements that warn.
    pub warn: usize,
    /// Judgements that only record.
    pub audit: usize,
    /// Errors that are let pass.
    pub ignore: usize,
    /// Judgements that need what is not known.
    pub undecidable: usize,
    /// Policies that matched and did not judge.
    pub skip: usize,
    /// Judgements without a finding.
    pub pass: usize,
}

/// Some objects, and how many of them fail at least one policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many objects there are.
    pub objects: usize,
    /// How many of them `[Deny]` would deny.
    pub failing: usize,
}

/// The counts of a whole report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// All objects together.
    pub total: Tally,
    /// Objects that have at least one such judgement; one object may count several times. Skips are exceptions;
    /// what passes has nothing else.
    pub objects: Counts,
    /// Judgements over all objects.
    pub judgements: Counts,
    /// Judgements by policy.
    pub policies: BTreeMap<String, Counts>,
    /// Objects by namespace; cluster-scoped ones under the empty name.
    pub namespaces: BTreeMap<String, Tally>,
    /// Objects by kind, as in `Deployment.apps`.
    pub kinds: BTreeMap<String, Tally>,
    /// Judgements by policy that are told, and those that are not: there are too many.
    listed: BTreeMap<String, (usize, usize)>,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, action: Action) {
        *self.slot(action) += 1;
    }

    fn slot(&mut self, action: Action) -> &mut usize {
        match action {
            Action::Deny => &mut self.deny,
            Action::Warn => &mut self.warn,
            Action::Audit => &mut self.audit,
            Action::Ignore => &mut self.ignore,
            Action::Undecidable => &mut self.undecidable,
            Action::Skip => &mut self.skip,
            Action::Pass => &mut self.pass,
        }
    }

    fn absorb(&mut self, mut other: Self) {
        Action::ALL.iter().for_each(|action| *self.slot(*action) += *other.slot(*action));
    }

    /// What fails, whatever its action is now: what `[Deny]` would deny.
    pub fn failing(&self) -> usize {
        self.deny + self.warn + self.audit
    }
}

impl Tally {
    fn absorb(&mut self, Self { objects, failing }: Self) {
        self.objects += objects;
        self.failing += failing;
    }
}

impl Totals {
    /// Counts one object.
    pub(super) fn add(&mut self, judged: &Judged) {
        let fails = judged.judgements.iter().any(|judgement| judgement.action.fails());
        let one = Tally { objects: 1, failing: usize::from(fails) };
        self.total.absorb(one);
        self.namespaces.entry(judged.object.namespace.clone()).or_default().absorb(one);
        self.kinds.entry(kind(&judged.object)).or_default().absorb(one);
        let notable = judged.judgements.iter().filter(|judgement| judgement.is_notable());
        let actions: BTreeSet<Action> = notable.map(|judgement| judgement.action).collect();
        if actions.is_empty() {
            self.objects.add(Action::Pass);
        }
        actions.into_iter().for_each(|action| self.objects.add(action));
        for Judgement { policy, action, .. } in &judged.judgements {
            self.judgements.add(*action);
            self.policies.entry(policy.clone()).or_default().add(*action);
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.total.absorb(other.total);
        self.objects.absorb(other.objects);
        self.judgements.absorb(other.judgements);
        for (name, counts) in other.policies {
            self.policies.entry(name).or_default().absorb(counts);
        }
        for (name, tally) in other.namespaces {
            self.namespaces.entry(name).or_default().absorb(tally);
        }
        for (name, tally) in other.kinds {
            self.kinds.entry(name).or_default().absorb(tally);
        }
        for (name, (_, unlisted)) in other.listed {
            self.listed.entry(name).or_default().1 += unlisted;
        }
    }

    /// Counts a judgement that would be told, and says whether it may be: at most so many of a policy are.
    pub(super) fn may_list(&mut self, policy: &str, most: usize) -> bool {
        let (listed, unlisted) = self.listed.entry(policy.to_owned()).or_default();
        let may = *listed < most;
        *(if may { listed } else { unlisted }) += 1;
        may
    }

    /// How many judgements of a policy are counted only.
    pub fn unlisted(&self, policy: &str) -> usize {
        self.listed.get(policy).map_or(0, |(_, unlisted)| *unlisted)
    }
}

fn kind(object: &ObjectRef) -> String {
    match object.api_version.split_once('/') {
        Some((group, _)) => format!("{}.{group}", object.kind),
        None => object.kind.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Report;

    fn judged(name: &str, judgements: &[(&str, Action)]) -> Judged {
        let judgement = |(policy, action): &(&str, Action)| Judgement {
            policy: (*policy).to_owned(),
            binding: None,
            param: None,
            action: *action,
            findings: Vec::new(),
            omitted: 0,
            missing: Vec::new(),
            skipped: None,
            remedy: None,
        };
        let object = ObjectRef {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        };
        Judged { object, place: None, judgements: judgements.iter().map(judgement).collect() }
    }

    #[test]
    fn what_is_not_told_is_counted() {
        use Action::{Audit, Deny, Pass, Undecidable};
        let mut parts = [Report { most: Some(2), ..Report::default() }, Report::default()];
        let mut whole = Report { most: Some(2), ..Report::default() };
        for number in 0..4 {
            for report in [&mut parts[usize::from(number > 2)], &mut whole] {
                report.take(judged(&format!("a{number}"), &[("all", Deny), ("none", Pass)]));
            }
        }
        for report in [&mut parts[1], &mut whole] {
            report.take(judged("b", &[("all", Audit), ("some", Undecidable)]));
            report.take(judged("c", &[("none", Pass)]));
        }
        let mut joined = Report { most: Some(2), ..Report::default() };
        parts.into_iter().for_each(|part| joined.absorb(part));
        for report in [&whole, &joined] {
            let names: Vec<&str> = report.objects.iter().map(|judged| judged.object.name.as_str()).collect();
            assert_eq!(names, ["a0", "a1", "b"]);
            assert_eq!(report.counts.unlisted("all"), 3);
            assert_eq!(report.counts.total, Tally { objects: 6, failing: 5 });
            assert_eq!(report.counts.kinds["Deployment.apps"].objects, 6);
            let Counts { deny, audit, undecidable, pass, .. } = report.counts.judgements;
            assert_eq!((deny, audit, undecidable, pass), (4, 1, 1, 5));
            assert_eq!(report.counts.objects.pass, 1);
        }
    }
}
