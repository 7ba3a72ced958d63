//! The line of a file that a message is about, with a caret below the place.

use crate::report::model::Place;
use crate::terminal::clean;
use regex::Regex;
use std::fmt;
use std::fs::File;
use std::io::Read;

/// At most this much of a file is read to find the line.
const MAX_BYTES: u64 = 32 << 20;

/// At most this many characters are shown before the place, and as many behind it.
const MAX_CHARACTERS: usize = 60;

/// What makes a document a Secret, or a list of them, even if its text cannot be parsed.
const SECRET: &str = r#"\bkind["']?\s*:\s*["']?Secret(List)?\b"#;

/// A line of a file and a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    line: u32,
    /// What stands before the place, as it is shown.
    before: String,
    /// What stands at and behind it.
    after: String,
    /// How many characters are marked; at least one.
    marked: usize,
}

impl Excerpt {
    /// The excerpt of a place; `None` if the file cannot be read again (standard input), has no such line, or
    /// has a Secret there: logs must not hold its values.
    pub fn of(place: &Place) -> Option<Self> {
        let file =
            File::open(&place.file).ok().filter(|file| file.metadata().is_ok_and(|found| found.is_file()))?;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        Self::in_text(&text, place)
    }

    /// The excerpt of a place in the text of its file.
    pub(crate) fn in_text(text: &str, place: &Place) -> Option<Self> {
        let index = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let line = text.lines().nth(index)?;
        let separates = |line: &&str| line.starts_with("---");
        let begin = text.lines().take(index + 1).filter(separates).count();
        // Documents are counted by their separators: those up to the line concerned, the next one ends it.
        let mut separators = 0;
        let document = text.lines().filter(|line| {
            separators += usize::from(separates(line));
            separators == begin
        });
        let document = document.collect::<Vec<_>>().join("\n");
        if Regex::new(SECRET).is_ok_and(|secret| secret.is_match(&document)) {
            return None;
        }
        Self::in_line(line, place)
    }

    /// The word, name, number or operator at the place.
    pub(crate) fn token(&self) -> &str {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let is_operator = |c: char| "=!<>&|+-*/%?:".contains(c);
        let rest = &self.after;
        let length = match rest.chars().next() {
            // A selection stands where its point does.
            Some('.') => {
                let name = rest.trim_start_matches(['.', '?']);
                rest.len() - name.trim_start_matches(is_name).len()
            }
            Some(quote @ ('\'' | '"')) => {
                rest.get(1..).and_then(|inside| inside.find(quote)).map_or(1, |length| length + 2)
            }
            Some(first) if is_name(first) => rest.len() - rest.trim_start_matches(is_name).len(),
            Some(first) if is_operator(first) => rest.len() - rest.trim_start_matches(is_operator).len(),
            first => first.map_or(0, char::len_utf8),
        };
        rest.get(..length).unwrap_or_default()
    }

    /// The same with the token at the place marked as a whole.
    #[must_use]
    pub(crate) fn marking_token(self) -> Self {
        let marked = self.token().chars().count().max(1);
        Self { marked, ..self }
    }

    /// How wide the number of the line is, in characters.
    pub(crate) fn margin(&self) -> usize {
        self.line.to_string().len()
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
            marked: 1,
        };
        (!line.trim().is_empty()).then_some(excerpt)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, before, after, marked } = self;
        let (margin, indent) = (" ".repeat(self.margin()), " ".repeat(before.chars().count()));
        writeln!(f, "  {line} | {before}{after}")?;
        writeln!(f, "  {margin} | {indent}{}", "^".repeat(*marked))
    }
}

#[cfg(test)]
mod tests {
    use super::Excerpt;
    use crate::report::model::Place;

    #[test]
    fn the_lines_of_a_secret_are_not_shown() {
        let check = |text: &str, line: u32, shown: bool| {
            let place = Place { file: "any.yaml".to_owned(), line, column: 1 };
            assert_eq!(Excerpt::in_text(text, &place).is_some(), shown, "{text} at {line}");
        };
        check("kind: Secret\nstringData: {password: [hunter2}\n", 2, false);
        check("stringData: {password: [hunter2}\nkind: Secret\n", 1, false);
        check(r#"{"kind":"List","items":[{"data":{"a":x y}},{"kind": "Secret"}]}"#, 1, false);
        check("kind: 'SecretList'\nitems: {]\n", 2, false);
        check("kind: SecretStore\nspec: {]\n", 2, true);
        check("kind: Secret\n---\nkind: ConfigMap\ndata: {]\n---\nkind: Secret\n", 4, true);
        check("kind: ConfigMap\n---\nkind: Secret\ndata: {]\n---\n", 4, false);
        check("kind: ConfigMap\n", 2, false);
    }

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
        let marked = |line: &str, column: u32, expect: &str| {
            let place = Place { file: "policy.yaml".to_owned(), line: 1, column };
            let shown = Excerpt::in_line(line, &place).unwrap().marking_token().to_string();
            assert_eq!(shown, format!("  1 | {line}\n    | {}{expect}\n", " ".repeat(column as usize - 1)));
        };
        marked("a.name == 'x'", 2, "^^^^^");
        marked("a.?name", 2, "^^^^^^");
        marked("a == 'x y'", 3, "^^");
        marked("a == 'x y'.z", 6, "^^^^^");
        marked("ü_1 + 1", 1, "^^^");
        marked("f(x)", 2, "^");
        let long = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let shown = format!("  12 | {}!{}\n     | {}^\n", "a".repeat(60), "b".repeat(59), " ".repeat(60));
        check(&long, 501, Some(&shown));
    }
}
