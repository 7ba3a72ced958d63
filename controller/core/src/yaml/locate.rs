//! Where something is: a field path in a document, a place within a string.

use super::{Node, Position, Text, Value};

impl Node {
    /// Where the field at `field_path` stands, such as `spec.containers[0].image` or
    /// `metadata.annotations['a.b/c']`: its key, or the beginning of a list's element. If it does not
    /// exist, the nearest ancestor that does.
    pub fn position_of(&self, field_path: &str) -> Position {
        let (mut node, mut at, mut rest) = (self, self.at, field_path);
        while let Some((segment, behind)) = next_segment(rest) {
            let found = match (segment, &node.value) {
                (Segment::Key(key), _) => node.entry(key).map(|entry| (&entry.value, entry.key_at)),
                (Segment::Index(index), Value::Sequence(items)) => {
                    items.get(index).map(|item| (item, item.at))
                }
                _ => None,
            };
            let Some((next, next_at)) = found else { break };
            (node, at, rest) = (next, next_at, behind);
        }
        at
    }
}

impl Text {
    /// Where a place inside this string stands in the text around it; `line` and `column` count from 1.
    /// Exact in literal blocks, and in the first line of other styles as far as nothing is escaped; for
    /// what cannot be told, where the string begins.
    pub fn position(&self, line: u32, column: u32) -> Position {
        position_within(self.content_at, self.block_indent, line, column)
    }
}

/// What [`Text::position`] says of a string that begins at `content_at`.
pub(crate) fn position_within(
    content_at: Position,
    block_indent: Option<u32>,
    line: u32,
    column: u32,
) -> Position {
    match block_indent {
        Some(indent) => Position {
            line: content_at.line.saturating_add(line.saturating_sub(1)),
            column: column.saturating_add(indent),
        },
        None if line <= 1 => {
            Position { column: content_at.column.saturating_add(column.saturating_sub(1)), ..content_at }
        }
        None => content_at,
    }
}

enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

/// The first segment of a path and what follows; `None` at the end or where it cannot be read.
fn next_segment(path: &str) -> Option<(Segment<'_>, &str)> {
    if let Some(quoted) = path.strip_prefix("['") {
        return quoted.split_once("']").map(|(key, rest)| (Segment::Key(key), rest));
    }
    if let Some(bracketed) = path.strip_prefix('[') {
        let (index, rest) = bracketed.split_once(']')?;
        return Some((Segment::Index(index.parse().ok()?), rest));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let length = path.find(['.', '[']).unwrap_or(path.len());
    let (key, rest) = path.split_at(length);
    (!key.is_empty()).then_some((Segment::Key(key), rest))
}
