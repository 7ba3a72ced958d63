//! JSON with positions: values that follow each other, tabs and all, as kubectl accepts them.

use super::build::Builder;
use super::place::Flow;
use super::{Node, Position, Text, TextPlace, Value, YamlError};
use serde_json::Number;

/// Reads values until the text ends or one is broken; the broken one is the last entry. `lines_before` is
/// added to every line number.
pub(super) fn read(text: &str, lines_before: u32) -> Vec<Result<Node, YamlError>> {
    let mut reader = Reader { rest: text, at: Position { line: lines_before + 1, column: 1 } };
    let mut values = Vec::new();
    loop {
        reader.skip_whitespace();
        if reader.rest.is_empty() {
            return values;
        }
        let value = reader.value();
        let broken = value.is_err();
        values.extend(value.transpose());
        if broken {
            return values;
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    at: Position,
}

/// What may come next inside a value.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Value,
    FirstValueOrEnd,
    FirstKeyOrEnd,
    Key,
    CommaOrEnd,
}

impl Reader<'_> {
    /// One whole value; `None` never follows text that holds something.
    fn value(&mut self) -> Result<Option<Node>, YamlError> {
        let mut builder = Builder::default();
        let mut expect = Expect::Value;
        loop {
            self.skip_whitespace();
            let at = self.at;
            let next = self.rest.chars().next();
            expect = match (expect, next) {
                (_, None) => return Err(self.wrong("the text ends within a value")),
                (Expect::Value | Expect::FirstValueOrEnd, Some('{')) => {
                    self.skip(1);
                    builder.begin_mapping(at, 0, false)?;
                    Expect::FirstKeyOrEnd
                }
                (Expect::Value | Expect::FirstValueOrEnd, Some('[')) => {
                    self.skip(1);
                    builder.begin_sequence(at, 0, false)?;
                    Expect::FirstValueOrEnd
                }
                (Expect::FirstValueOrEnd, Some(']')) | (Expect::FirstKeyOrEnd, Some('}')) => {
                    self.skip(1);
                    builder.end()?;
                    Expect::CommaOrEnd
                }
                (Expect::Value | Expect::FirstValueOrEnd, Some(first)) => {
                    let node = self.scalar(first)?;
                    builder.scalar(node, 0)?;
                    Expect::CommaOrEnd
                }
                (Expect::FirstKeyOrEnd | Expect::Key, Some('"')) => {
                    let key = self.string()?;
                    builder.scalar(key, 0)?;
                    self.skip_whitespace();
                    if !self.rest.starts_with(':') {
                        return Err(self.wrong("expected `:` after a key"));
                    }
                    self.skip(1);
                    Expect::Value
                }
                (Expect::FirstKeyOrEnd | Expect::Key, Some(_)) => {
                    return Err(self.wrong("expected a key in double quotes"));
                }
                (Expect::CommaOrEnd, Some(',')) => {
                    self.skip(1);
                    if builder.in_mapping() { Expect::Key } else { Expect::Value }
                }
                (Expect::CommaOrEnd, Some(end)) => {
                    let wanted = if builder.in_mapping() { '}' } else { ']' };
                    if end != wanted {
                        return Err(self.wrong(&format!("expected `,` or `{wanted}`")));
                    }
                    self.skip(1);
                    builder.end()?;
                    Expect::CommaOrEnd
                }
            };
            if expect == Expect::CommaOrEnd && builder.depth() == 0 {
                return Ok(builder.finish());
            }
        }
    }

    fn scalar(&mut self, first: char) -> Result<Node, YamlError> {
        if first == '"' {
            return self.string();
        }
        let at = self.at;
        let length = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
        let word = self.rest.get(..length.unwrap_or(self.rest.len())).unwrap_or_default();
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match serde_json::from_str::<Number>(word) {
                Ok(number) => Value::Number(number),
                Err(_) => return Err(self.wrong("expected a value")),
            },
        };
        self.skip(word.len());
        Ok(Node { value, at, tagged: false })
    }

    fn string(&mut self) -> Result<Node, YamlError> {
        let at = self.at;
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| match c {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            c => *c == '"',
        });
        let Some((end, _)) = end else { return Err(self.wrong("a string is not closed")) };
        let quoted = self.rest.get(..=end).unwrap_or_default();
        let text = serde_json::from_str::<String>(quoted)
            .map_err(|_| self.wrong("a string with a wrong escape or a control character"))?;
        self.skip(quoted.len());
        let start = Position { column: at.column.saturating_add(1), ..at };
        let written = quoted.get(1..).unwrap_or_default();
        let place = TextPlace::flow(Flow::DoubleQuoted, start, &text, written, |_| "");
        Ok(Node { value: Value::String(Text { text, place }), at, tagged: false })
    }

    fn skip_whitespace(&mut self) {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.skip(self.rest.len() - trimmed.len());
    }

    /// Goes on by so many bytes.
    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        for c in skipped.chars() {
            if c == '\n' {
                self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
            } else {
                self.at.column = self.at.column.saturating_add(1);
            }
        }
        self.rest = rest;
    }

    fn wrong(&self, message: &str) -> YamlError {
        YamlError::new(self.at, message)
    }
}
