//! What is wrong with a document: where it came from, where in it, and what to do.

use super::{Code, Expression, Place};
use crate::yaml::{self, Position, TextPlace, YamlError};
use std::fmt;

/// Where a document came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file, as the user named it; `None` for a ConfigMap from a cluster.
    pub file: Option<String>,
    /// The ConfigMap's namespace.
    pub namespace: String,
    /// The ConfigMap's name; empty for what is not in a ConfigMap.
    pub config_map: String,
    /// The key in `data`; empty for what concerns the whole ConfigMap.
    pub key: String,
    /// Which document of the key, from 1; 0 for what concerns the whole key.
    pub document: usize,
    /// Where the key's text stands in the file; `None` without a file.
    pub text: Option<TextPlace>,
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// What kind of thing is wrong.
    pub code: Code,
    /// File, ConfigMap, key and document.
    pub origin: Origin,
    /// The policy, binding or exception concerned, where its name could be read.
    pub name: Option<String>,
    /// Field and position in the key's text, where there is one.
    pub place: Option<Place>,
    /// Line and column in `origin.file`.
    pub file_position: Option<Position>,
    /// What is wrong: lower case, one line, no final period.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Origin {
    /// Where a position in the key's text stands in the file.
    pub fn file_position(&self, in_key: Position) -> Option<Position> {
        self.text.as_ref().map(|text| text.position(in_key.line, in_key.column))
    }
}

impl DocumentError {
    /// An error that concerns a whole file, whatever it holds.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        let origin = Origin {
            file: Some(file.to_owned()),
            namespace: String::new(),
            config_map: String::new(),
            key: String::new(),
            document: 0,
            text: None,
        };
        Self {
            code: Code::Yaml,
            origin,
            name: None,
            place: None,
            file_position: None,
            message: message.into(),
            hint: None,
        }
    }

    /// An error at a place in a document.
    pub fn at(origin: &Origin, name: Option<&str>, place: Place, message: impl Into<String>) -> Self {
        Self {
            code: Code::Document,
            file_position: origin.file_position(place.position),
            origin: origin.clone(),
            name: name.map(str::to_owned),
            place: Some(place),
            message: yaml::one_line(message.into()),
            hint: None,
        }
    }

    /// An error at a place inside an expression's source, whose lines and columns count from 1.
    pub fn in_expression(
        origin: &Origin,
        name: Option<&str>,
        expression: &Expression,
        inside: Position,
        message: impl Into<String>,
    ) -> Self {
        let position = expression.at.position(inside.line, inside.column);
        let place = Place { field: expression.place.field.clone(), position };
        Self::at(origin, name, place, message).with_code(Code::Expression)
    }

    /// The same error as one of another kind.
    #[must_use]
    pub fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A text that cannot be read as YAML.
    pub(super) fn unreadable(origin: &Origin, text: &str, error: &YamlError) -> Self {
        let place = Place { field: String::new(), position: error.position };
        let message = error.message(|at| origin.file_position(at).unwrap_or(at));
        let hint = unquoted(text, error.position);
        Self { hint, ..Self::at(origin, None, place, message).with_code(Code::Yaml) }
    }
}

/// The fields that hold expressions, but for those in the free text of a policy.
const EXPRESSIONS: [&str; 5] = ["expression", "messageExpression", "valueExpression", "forEach", "fieldPath"];

/// What to do where a line that YAML cannot read holds an expression as it is: much of CEL means something in YAML.
pub(super) fn unquoted(text: &str, at: Position) -> Option<String> {
    let line = text.lines().nth(at.line.checked_sub(1)? as usize)?;
    let (key, value) = line.trim_start_matches([' ', '-']).split_once(':')?;
    let value = value.trim();
    let as_it_is = EXPRESSIONS.contains(&key) && !value.is_empty() && !value.starts_with(['|', '>']);
    as_it_is.then(|| "quote the expression, or write it under `|`".to_owned())
}

/// One line: `file:line:column: ConfigMap namespace/name, key k, document 1, line 12, column 5, field: what
/// is wrong`, without what is not known.
impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { file, namespace, config_map, key, document, .. } = &self.origin;
        let mut parts = Vec::new();
        if !config_map.is_empty() {
            parts.push(format!("ConfigMap {namespace}/{config_map}"));
        }
        if !key.is_empty() {
            parts.push(format!("key {key}"));
        }
        if *document > 0 {
            parts.push(format!("document {document}"));
        }
        if let Some(Place { field, position }) = &self.place {
            if !key.is_empty() {
                parts.push(format!("line {}, column {}", position.line, position.column));
            }
            if !field.is_empty() {
                parts.push(field.clone());
            }
        }
        if let Some(file) = file {
            write!(f, "{file}:")?;
            if let Some(Position { line, column }) = self.file_position {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        if !parts.is_empty() {
            write!(f, "{}: ", parts.join(", "))?;
        }
        f.write_str(&self.message)
    }
}
