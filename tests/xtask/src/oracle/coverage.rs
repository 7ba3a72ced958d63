//! How many expressions end how, and how often each overload is used.

use crate::celgo::peer::Answer;
use crate::celgo::{End, Verdict};
use std::collections::BTreeMap;
use std::fmt;

/// How often every function, overload and macro has to be used in a run.
const USES: usize = 5;
/// The share of expressions that have to end in errors, compile errors included, in percent.
const ERRORS: usize = 30;

/// Counts over the expressions of a run.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    total: usize,
    refused: usize,
    failed: usize,
    nested: usize,
    uses: BTreeMap<String, usize>,
}

impl Coverage {
    pub(crate) fn count(&mut self, answer: &Answer) {
        self.total += 1;
        match &answer.verdict {
            Verdict::Ran { ends, .. } => {
                self.failed += usize::from(ends.iter().any(|End { result, .. }| result.is_err()));
            }
            Verdict::Refused(_) | Verdict::Crashed(_) => self.refused += 1,
        }
        let macros = answer.used.iter().filter(|used| used.starts_with("macro ") && !used.contains("has/"));
        self.nested += usize::from(macros.count() > 1);
        for used in &answer.used {
            *self.uses.entry(used.clone()).or_default() += 1;
        }
    }

    /// What a run lacks, of all that expressions can be made of.
    pub(crate) fn shortfalls(&self, vocabulary: &[String]) -> Vec<String> {
        let rare = vocabulary.iter().filter_map(|word| {
            let uses = self.uses.get(word).copied().unwrap_or_default();
            (uses < USES).then(|| format!("`{word}` is used {uses} times, {USES} are needed"))
        });
        let mut shortfalls: Vec<String> = rare.collect();
        if (self.refused + self.failed) * 100 < self.total * ERRORS {
            shortfalls.push(format!("fewer than {ERRORS} % of the expressions end in errors"));
        }
        shortfalls
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize| part * 100 / self.total.max(1);
        write!(
            f,
            "{} expressions ({} % do not compile, {} % end in an error, {} % nest macros)",
            self.total,
            share(self.refused),
            share(self.failed),
            share(self.nested)
        )
    }
}
