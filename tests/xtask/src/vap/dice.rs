//! Chance for one case: what it shows is decided by a table of features, some of which it has to show.

use super::features::{FEATURES, Feature};
use crate::oracle::random::Random;
use std::collections::BTreeSet;

/// The decisions of one case.
#[derive(Debug)]
pub(super) struct Dice<'r> {
    random: &'r mut Random,
    forced: BTreeSet<&'static str>,
    shown: BTreeSet<&'static str>,
}

impl<'r> Dice<'r> {
    /// A case that shows these features, and whatever else chance brings.
    pub(super) fn new(random: &'r mut Random, features: &[&'static str]) -> Self {
        let mut forced = BTreeSet::new();
        let mut open: Vec<&'static str> = features.to_vec();
        while let Some(name) = open.pop() {
            if forced.insert(name) {
                open.extend(feature(name).map(|feature| feature.needs).unwrap_or_default());
            }
        }
        Self { random, forced, shown: BTreeSet::new() }
    }

    /// Whether the case shows a feature.
    pub(super) fn happens(&mut self, name: &'static str) -> bool {
        let percent = feature(name).map_or(0, |feature| feature.percent);
        let happens = self.forced.contains(name) || self.random.percent(percent);
        if happens {
            self.shown.insert(name);
        }
        happens
    }

    /// Which of several features the case shows that exclude each other: one that it has to, or by their weights.
    pub(super) fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        let weight = |name: &&'static str| feature(name).map_or(0, |feature| feature.percent);
        let forced: Vec<&'static str> =
            names.iter().copied().filter(|name| self.forced.contains(name)).collect();
        let chosen = match self.random.pick(&forced) {
            Some(name) => name,
            None => {
                let mut left = self.random.below(names.iter().map(weight).sum());
                let found = names.iter().find(|name| {
                    let found = left < weight(name);
                    left = left.saturating_sub(weight(name));
                    found
                });
                found.copied().unwrap_or_default()
            }
        };
        self.shown.insert(chosen);
        chosen
    }

    /// Whether something happens that is no feature.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.random.percent(percent)
    }

    /// One of some texts.
    pub(super) fn pick<'i>(&mut self, items: &[&'i str]) -> &'i str {
        self.random.pick(items).copied().unwrap_or_default()
    }

    /// A number from `least` to `most`.
    pub(super) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.random.below(most - least + 1)
    }

    /// An index of a list that is so long; none of an empty one.
    pub(super) fn index(&mut self, length: usize) -> Option<usize> {
        (length > 0).then(|| self.random.below(length))
    }

    /// Some of some texts, at least one, in their order.
    pub(super) fn some<'i>(&mut self, items: &[&'i str]) -> Vec<&'i str> {
        let mut some: Vec<&str> = items.iter().copied().filter(|_| self.random.percent(50)).collect();
        if some.is_empty() {
            some.push(self.pick(items));
        }
        some
    }

    /// Whether the case has to show a feature.
    pub(super) fn must(&self, name: &'static str) -> bool {
        self.forced.contains(name)
    }

    /// What the case shows.
    pub(super) fn into_shown(self) -> BTreeSet<&'static str> {
        self.shown
    }
}

fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}
