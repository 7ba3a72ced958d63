//! The line of a file that a message is about, with a caret below the place.

use crate::cli::clean;
use crate::report::model::Place;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// At most this much of a file is read to find the line.
const MAX_BYTES: u64 = 32 << 20;

/// At most this many characters are shown before the place, and as many behind it.
const MAX_CHARACTERS: usize = 60;

/// A line of a file and a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    line: u32,
    /// What stands before the place, as it is shown.
    before: String,
    /// What stands at and behind it.
    after: String,
}

impl Excerpt {
    /// The excerpt of a place; `None` if the file cannot be read again (standard input) or has no such line.
    pub fn of(place: &Place) -> Option<Self> {
        let file =
            File::open(&place.file).ok().filter(|file| file.metadata().is_ok_and(|found| found.is_file()))?;
        let mut lines = BufReader::new(file.take(MAX_BYTES)).lines();
        let line = lines.nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?.ok()?;
        Self::in_line(&line, place)
    }

    fn in_line(line: &str, place: &Place) -> Option<Self> {
        let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
        let start = column.saturating_sub(MAX_CHARACTERS);
        let before: String = line.chars().skip(start).take(column - start).collect();
        let after: String = line.chars().skip(column).take(MAX_CHARACTERS).collect();
        let excerpt = Self {
            line: place.line,
            before: clean(&before.replace('\t', " ")).into_owned(),
            after: clean(after.trim_end()).into_owned(),
        };
        (!line.trim().is_empty()).then_some(excerpt)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, before, after } = self;
        let number = line.to_string();
        let (margin, indent) = (" ".repeat(number.len()), " ".repeat(before.chars().count()));
        writeln!(f, "  {number} | {before}{after}")?;
        writeln!(f, "  {margin} | {indent}^")
    }
}

#[cfg(test)]
mod tests {
    use super::Excerpt;
    use crate::report::model::Place;

    #[test]
    fn the_caret_stands_below_the_place() {
        let check = |line: &str, column: u32, expect: Option<&str>| {
            let place = Place { file: "policy.yaml".to_owned(), line: 12, column };
            let shown = Excerpt::in_line(line, &place).map(|excerpt| excerpt.to_string());
            assert_eq!(shown.as_deref(), expect, "{line:?} {column}");
        };
        check("  spec: x", 3, Some("  12 |   spec: x\n     |   ^\n"));
        check("kind: ü?", 8, Some("  12 | kind: ü?\n     |        ^\n"));
        check("\t\"a\x1b\": 1", 2, Some("  12 |  \"a\\u{1b}\": 1\n     |  ^\n"));
        check("short", 40, Some("  12 | short\n     |      ^\n"));
        check("   ", 2, None);
        let long = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let shown = format!("  12 | {}!{}\n     | {}^\n", "a".repeat(60), "b".repeat(59), " ".repeat(60));
        check(&long, 501, Some(&shown));
    }
}
