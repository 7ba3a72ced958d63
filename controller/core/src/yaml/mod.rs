//! YAML as kubectl reads it, with positions kept.
//!
//! Scalars follow YAML 1.1 as sigs.k8s.io/yaml resolves them (`yes` is true, `0644` is 420); duplicate
//! keys, which kubectl lets pass, are refused. A stream is split at `---` lines first, as kubectl does, so
//! that one broken document does not hide the others.

use serde_json::Number;

/// A place in a text: line and column, both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub at: Position,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean, in any of YAML 1.1's spellings.
    Bool(bool),
    /// A number that JSON can hold.
    Number(Number),
    /// A string.
    String(Text),
    /// A list.
    Sequence(Vec<Node>),
    /// An object, in the order of the text.
    Mapping(Vec<Entry>),
}

/// A string with what is needed to find a place inside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The string after unescaping and folding.
    pub text: String,
    /// Where its first character stands.
    pub content_at: Position,
    /// For a literal block (`|`): the columns by which every line is indented. `None` for other styles, in
    /// which only the first line's positions can be told.
    pub block_indent: Option<u32>,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as JSON has it: always a string.
    pub key: String,
    /// Where the key begins.
    pub key_at: Position,
    /// The value.
    pub value: Node,
}
