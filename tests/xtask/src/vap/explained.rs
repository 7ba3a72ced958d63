//! The differences that are meant, in `tests/vap/explained.json`: each says why, and which line of the API server
//! or which rule of ours shows it.

use super::compare::Difference;
use crate::{golang, workspace};
use anyhow::{Context, Result, bail};
use regex::Regex;
use serde_json::Value as Json;
use std::fs;

const FILE: &str = "tests/vap/explained.json";

/// The entries of the file.
#[derive(Debug)]
pub(crate) struct Entries(Vec<Entry>);

/// What a difference has to be like to be explained by an entry.
#[derive(Debug)]
struct Entry {
    field: Regex,
    ours: Regex,
    theirs: Regex,
    problems: Regex,
    feature: Option<String>,
    because: String,
}

impl Entries {
    /// Reads the file.
    ///
    /// # Errors
    /// It is malformed, or an entry names a line that the API server does not have.
    pub(crate) fn read() -> Result<Self> {
        let path = workspace::root()?.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{FILE}`"))?;
        let entries: Vec<Json> =
            serde_json::from_str(&text).with_context(|| format!("`{FILE}` is malformed"))?;
        let entries =
            entries.iter().map(|entry| Entry::read(entry).with_context(|| format!("in `{FILE}`: {entry}")));
        Ok(Self(entries.collect::<Result<_>>()?))
    }

    /// Returns the differences that no entry explains, and for the reason of each entry how many it explains.
    pub(crate) fn sift(&self, differences: Vec<Difference>) -> (Vec<Difference>, Vec<(usize, &str)>) {
        let mut used = vec![0; self.0.len()];
        let unexplained = differences.into_iter().filter(|difference| {
            let found = self.0.iter().position(|entry| entry.explains(difference));
            if let Some(used) = found.and_then(|index| used.get_mut(index)) {
                *used += 1;
            }
            found.is_none()
        });
        let unexplained = unexplained.collect();
        let reasons = self.0.iter().map(|entry| entry.because.as_str());
        (unexplained, used.into_iter().zip(reasons).collect())
    }
}

impl Entry {
    fn read(entry: &Json) -> Result<Self> {
        let text = |field: &str| entry[field].as_str().with_context(|| format!("`{field}` is missing"));
        let regex = |field: &str| {
            let pattern = entry[field].as_str().unwrap_or_default();
            Regex::new(&format!("(?s){pattern}"))
                .with_context(|| format!("`{field}` is no regular expression"))
        };
        let (file, line) = text("source")?.split_once(':').context("`source` is not `file:line`")?;
        let module = entry["module"].as_str().unwrap_or("k8s.io/apiserver");
        let source = golang::module(module)?.join(file);
        let lines = fs::read_to_string(source).with_context(|| format!("{module} has no `{file}`"))?;
        let line: usize = line.parse().context("`source` is not `file:line`")?;
        if line == 0 || line > lines.lines().count() {
            bail!("`{file}` has no line {line}");
        }
        Ok(Self {
            field: Regex::new(&format!("^({})$", text("field")?))
                .context("`field` is no regular expression")?,
            ours: regex("ours")?,
            theirs: regex("theirs")?,
            problems: regex("problems")?,
            feature: entry["feature"].as_str().map(str::to_owned),
            because: text("because")?.to_owned(),
        })
    }

    fn explains(&self, difference: &Difference) -> bool {
        self.field.is_match(&difference.field)
            && self.ours.is_match(&difference.ours)
            && self.theirs.is_match(&difference.theirs)
            && self.problems.is_match(&difference.problems)
            && self.feature.as_deref().is_none_or(|feature| difference.features.contains(feature))
    }
}
