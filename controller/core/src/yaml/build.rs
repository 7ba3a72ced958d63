//! Puts nodes together from events, with an explicit stack: nesting never becomes recursion.

use super::{Entry, MAX_ALIASED, MAX_DEPTH, Node, Position, Value, YamlError};
use std::collections::HashMap;

/// The part of a document that has been read so far.
#[derive(Default)]
pub(super) struct Builder {
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    aliased: usize,
}

/// What an anchor stands for.
struct Anchored {
    node: Node,
    weight: usize,
}

/// A list or mapping that is not closed yet.
struct Frame {
    at: Position,
    anchor: usize,
    tagged: bool,
    weight: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping(MappingSoFar),
}

#[derive(Default)]
struct MappingSoFar {
    entries: Vec<Entry>,
    /// Each key's index in `entries`, and whether it was written here rather than merged in.
    index: HashMap<String, (usize, bool)>,
    key: Option<PendingKey>,
}

enum PendingKey {
    Named(String, Position),
    Merge,
}

impl Builder {
    /// Opens a list. `anchor` is 0 if it has none.
    pub(super) fn begin_sequence(
        &mut self,
        at: Position,
        anchor: usize,
        tagged: bool,
    ) -> Result<(), YamlError> {
        self.begin(at, anchor, tagged, Content::Sequence(Vec::new()))
    }

    /// Opens a mapping. `anchor` is 0 if it has none.
    pub(super) fn begin_mapping(
        &mut self,
        at: Position,
        anchor: usize,
        tagged: bool,
    ) -> Result<(), YamlError> {
        self.begin(at, anchor, tagged, Content::Mapping(MappingSoFar::default()))
    }

    fn begin(
        &mut self,
        at: Position,
        anchor: usize,
        tagged: bool,
        content: Content,
    ) -> Result<(), YamlError> {
        if self.expects_key() {
            return Err(YamlError::new(at, "a key must be a string, found a list or a mapping"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(YamlError::new(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.stack.push(Frame { at, anchor, tagged, weight: 0, content });
        Ok(())
    }

    /// Closes the innermost list or mapping.
    pub(super) fn end(&mut self) -> Result<(), YamlError> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping(mapping) => Value::Mapping(mapping.entries),
        };
        self.put(Node { value, at: frame.at, tagged: frame.tagged }, frame.anchor, frame.weight)
    }

    /// Adds a scalar: a key where one is expected, else a value.
    pub(super) fn scalar(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.put(node, anchor, 0)
    }

    /// Repeats what an anchor stands for.
    pub(super) fn alias(&mut self, anchor: usize, at: Position) -> Result<(), YamlError> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(YamlError::new(at, "an alias stands inside its own anchor"));
        };
        let (weight, node) = (anchored.weight, anchored.node.clone());
        self.charge(weight, at)?;
        self.attach(node, weight)
    }

    /// Marks the next value as one whose keys are merged into the mapping (`<<`).
    pub(super) fn merge_key(&mut self) {
        if let Some(Frame { content: Content::Mapping(mapping), .. }) = self.stack.last_mut() {
            mapping.key = Some(PendingKey::Merge);
        }
    }

    /// Whether the next scalar is a key.
    pub(super) fn expects_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame { content: Content::Mapping(MappingSoFar { key: None, .. }), .. })
        )
    }

    /// How many lists and mappings are open.
    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    /// Whether the innermost open collection is a mapping.
    pub(super) fn in_mapping(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: Content::Mapping(_), .. }))
    }

    /// The document, once everything is closed.
    pub(super) fn finish(self) -> Option<Node> {
        self.root
    }

    fn put(&mut self, node: Node, anchor: usize, children: usize) -> Result<(), YamlError> {
        let weight = 32 + children + node.as_str().map_or(0, str::len);
        if anchor > 0 {
            self.charge(weight, node.at)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight });
        }
        self.attach(node, weight)
    }

    fn charge(&mut self, weight: usize, at: Position) -> Result<(), YamlError> {
        self.aliased = self.aliased.saturating_add(weight);
        if self.aliased > MAX_ALIASED {
            return Err(YamlError::new(at, "anchors and aliases repeat too much"));
        }
        Ok(())
    }

    fn attach(&mut self, node: Node, weight: usize) -> Result<(), YamlError> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(weight);
        match &mut frame.content {
            Content::Sequence(items) => {
                items.push(node);
                Ok(())
            }
            Content::Mapping(mapping) => mapping.put(node),
        }
    }
}

impl MappingSoFar {
    fn put(&mut self, node: Node) -> Result<(), YamlError> {
        match self.key.take() {
            None => {
                self.key = Some(self.named(node)?);
                Ok(())
            }
            Some(PendingKey::Named(key, key_at)) => {
                self.set(Entry { key, key_at, value: node }, true);
                Ok(())
            }
            Some(PendingKey::Merge) => self.merge(node),
        }
    }

    fn named(&self, node: Node) -> Result<PendingKey, YamlError> {
        let at = node.at;
        let key = super::scalar::key(node)?;
        if let Some((first, true)) = self.index.get(&key) {
            let first = self.entries.get(*first).map_or(at, |entry| entry.key_at);
            let error = YamlError::new(at, format!("key `{key}` is given twice"));
            return Err(YamlError { first: Some(first), ..error });
        }
        Ok(PendingKey::Named(key, at))
    }

    /// Later entries replace earlier ones, merged or not, as goyaml.v2 does.
    fn set(&mut self, entry: Entry, written_here: bool) {
        let next = self.entries.len();
        let (index, written) = self.index.entry(entry.key.clone()).or_insert((next, written_here));
        *written |= written_here;
        match self.entries.get_mut(*index) {
            Some(slot) => *slot = entry,
            None => self.entries.push(entry),
        }
    }

    fn merge(&mut self, node: Node) -> Result<(), YamlError> {
        let at = node.at;
        let wrong = || YamlError::new(at, "`<<` needs a mapping or a list of mappings");
        match node.value {
            Value::Mapping(entries) => entries.into_iter().for_each(|entry| self.set(entry, false)),
            // Earlier mappings of the list take precedence over later ones.
            Value::Sequence(items) => {
                for item in items.into_iter().rev() {
                    let Value::Mapping(entries) = item.value else { return Err(wrong()) };
                    entries.into_iter().for_each(|entry| self.set(entry, false));
                }
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }
}
