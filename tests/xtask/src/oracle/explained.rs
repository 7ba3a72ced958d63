//! The differences that are meant, in files such as `tests/oracle/explained.json`: each says why, and which line of cel-go
//! shows it.

use super::compare::Difference;
use crate::{golang, workspace};
use anyhow::{Context, Result, bail};
use regex::Regex;
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

/// The differences between the engines themselves.
pub(crate) const FILE: &str = "tests/oracle/explained.json";

/// The entries of the file.
#[derive(Debug)]
pub(crate) struct Entries(Vec<Entry>);

/// What a difference has to be like to be explained by an entry.
#[derive(Debug)]
struct Entry {
    kind: Regex,
    expression: Regex,
    ours: Regex,
    theirs: Regex,
    because: String,
}

impl Entries {
    /// Reads a file of them.
    ///
    /// # Errors
    /// It is malformed, or an entry names a line that cel-go does not have.
    pub(crate) fn read(file: &str) -> Result<Self> {
        let path = workspace::root()?.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{file}`"))?;
        let entries: Vec<Json> =
            serde_json::from_str(&text).with_context(|| format!("`{file}` is malformed"))?;
        let source = golang::module("github.com/google/cel-go")?;
        let entries = entries
            .iter()
            .map(|entry| Entry::read(entry, &source).with_context(|| format!("in `{file}`: {entry}")));
        Ok(Self(entries.collect::<Result<_>>()?))
    }

    /// Returns the differences that no entry explains, and the reasons of entries that explain nothing.
    pub(crate) fn sift(&self, differences: Vec<Difference>) -> (Vec<Difference>, Vec<&str>) {
        let mut used = vec![false; self.0.len()];
        let unexplained = differences.into_iter().filter(|difference| {
            let found = self.0.iter().position(|entry| entry.explains(difference));
            if let Some(used) = found.and_then(|index| used.get_mut(index)) {
                *used = true;
            }
            found.is_none()
        });
        let unexplained = unexplained.collect();
        let unused = self.0.iter().zip(&used).filter(|(_, used)| !**used);
        (unexplained, unused.map(|(entry, _)| entry.because.as_str()).collect())
    }
}

impl Entry {
    fn read(entry: &Json, source: &Path) -> Result<Self> {
        let text = |field: &str| entry[field].as_str().with_context(|| format!("`{field}` is missing"));
        let regex = |field: &str| {
            let pattern = entry[field].as_str().unwrap_or_default();
            Regex::new(pattern).with_context(|| format!("`{field}` is no regular expression"))
        };
        let (file, line) = text("source")?.split_once(':').context("`source` is not `file:line`")?;
        let lines =
            fs::read_to_string(source.join(file)).with_context(|| format!("cel-go has no `{file}`"))?;
        let line: usize = line.parse().context("`source` is not `file:line`")?;
        if line == 0 || line > lines.lines().count() {
            bail!("`{file}` has no line {line}");
        }
        Ok(Self {
            kind: Regex::new(&format!("^({})$", text("kind")?)).context("`kind` is no regular expression")?,
            expression: regex("expression")?,
            ours: regex("ours")?,
            theirs: regex("theirs")?,
            because: text("because")?.to_owned(),
        })
    }

    fn explains(&self, difference: &Difference) -> bool {
        self.kind.is_match(difference.kind.name())
            && self.expression.is_match(&difference.expression)
            && self.ours.is_match(&difference.ours)
            && self.theirs.is_match(&difference.theirs)
    }
}
