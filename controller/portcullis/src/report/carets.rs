//! Expressions with what their parts evaluate to: the line, a caret for each part, and its value below it.

use crate::report::table::Paint;
use crate::terminal::clean;
use portcullis_core::{Part, Trace};
use std::fmt::Write;

/// A value is cut to so many characters on a terminal; JSON has more of it.
const MAX_WIDTH: usize = 96;

/// Writes an expression, each line of it followed by the values of the parts that begin on it, indented.
pub(super) fn write(out: &mut String, trace: &Trace, indent: usize, paint: Paint) {
    let mut begin = 0;
    for line in trace.source.split_inclusive('\n') {
        let end = begin + line.len();
        let parts = trace.parts.iter().filter(|part| (begin..end).contains(&part.at));
        let mut values: Vec<(usize, String)> = Vec::new();
        for part in parts {
            let column = line.get(..part.at - begin).map_or(0, |before| before.chars().count());
            match values.last_mut() {
                Some((last, text)) if *last == column => *text = format!("{text}, {}", value(part)),
                _ => values.push((column, value(part))),
            }
        }
        put(out, indent, &plain(line.trim_end()));
        if !values.is_empty() {
            let marks = values.iter().map(|(column, _)| (*column, "^"));
            put(out, indent, &paint.dim(&at_columns(marks)));
            below(&values).iter().for_each(|line| put(out, indent, line));
        }
        begin = end;
    }
}

/// Lines with each value in its column, as far up as it fits, joined to its caret by bars.
fn below(values: &[(usize, String)]) -> Vec<String> {
    // What each line holds, from right to left.
    let mut lines: Vec<Vec<(usize, &str)>> = Vec::new();
    for (column, text) in values.iter().rev() {
        let end = column + text.chars().count();
        // One line may be shorter than the next one; no bar may run through a value.
        let fits = |line: &Vec<(usize, &str)>| line.last().is_none_or(|(next, _)| end < *next);
        let at = lines.iter().rposition(|line| !fits(line)).map_or(0, |blocked| blocked + 1);
        for line in lines.iter_mut().take(at) {
            line.push((*column, "|"));
        }
        match lines.get_mut(at) {
            Some(line) => line.push((*column, text)),
            None => lines.push(vec![(*column, text)]),
        }
    }
    lines.into_iter().map(|line| at_columns(line.into_iter().rev())).collect()
}

/// A value as long as a line may be.
pub(super) fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_WIDTH {
        return text.to_owned();
    }
    text.chars().take(MAX_WIDTH - 1).chain(['…']).collect()
}

/// What a part evaluates to: where it was evaluated several times, each time.
fn value(part: &Part) -> String {
    let mut text = "not evaluated".to_owned();
    if part.values.is_empty() {
        return text;
    }
    let (first, rest) = part.values.split_first().unwrap_or((&text, &[]));
    let all_same = !rest.is_empty() && rest.iter().all(|other| other == first);
    text = if all_same { cut(&clean(first)) } else { cut(&clean(&part.values.join(", "))) };
    // Writing to a string does not fail.
    let _ = match part.element {
        Some(element) => write!(text, " (element {element})"),
        None if part.times > part.values.len() && !all_same => write!(text, ", … ({} times)", part.times),
        None if all_same => write!(text, " ({} times)", part.times),
        None => Ok(()),
    };
    text
}

/// Texts, each of which begins in its column.
fn at_columns<'t>(texts: impl Iterator<Item = (usize, &'t str)>) -> String {
    let mut line = String::new();
    let mut end = 0;
    for (column, text) in texts {
        line.extend(std::iter::repeat_n(' ', column.saturating_sub(end)));
        line.push_str(text);
        end = column.max(end) + text.chars().count();
    }
    line
}

/// A line of source without what would take the carets out of their places.
fn plain(line: &str) -> String {
    let shown = |character: char| match character {
        '\t' => ' ',
        _ if clean(character.encode_utf8(&mut [0; 4])).chars().count() > 1 => '?',
        _ => character,
    };
    line.chars().map(shown).collect()
}

fn put(out: &mut String, indent: usize, line: &str) {
    let line = format!("{}{line}", " ".repeat(indent));
    out.push_str(line.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_their_carets() {
        let part = |at: usize, values: &[&str], times: usize| Part {
            at,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            times,
            element: None,
        };
        let trace = Trace {
            source: "a.é == 'x' &&\n\tb.all(c, c > 1) ? d : e".to_owned(),
            result: "false".to_owned(),
            parts: vec![
                part(2, &["\"x\""], 1),
                part(5, &["true"], 1),
                part(12, &["false"], 1),
                part(16, &["[2,1]"], 1),
                Part { element: Some(1), ..part(18, &["false"], 1) },
                part(25, &["2", "1"], 70),
                part(27, &["true", "false"], 2),
                part(31, &["1"], 1),
                part(33, &[], 0),
            ],
        };
        let mut out = String::new();
        write(&mut out, &trace, 2, Paint::new(false));
        let expected = [
            "  a.é == 'x' &&",
            "    ^ ^      ^",
            "    | true   false",
            "    \"x\"",
            "   b.all(c, c > 1) ? d : e",
            "   ^ ^      ^ ^   ^ ^",
            "   | |      | |   1 not evaluated",
            "   | |      | true, false",
            "   | |      2, 1, … (70 times)",
            "   | false (element 1)",
            "   [2,1]",
        ];
        assert_eq!(out.lines().collect::<Vec<_>>(), expected, "{out}");
    }
}
