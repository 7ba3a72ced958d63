//! Where something is in a document, by its field path.

use super::{Node, Position, Value};

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
