//! Splits a stream into documents as kubectl does (apimachinery's `YAMLReader`): at lines that begin with
//! `---`, before anything is parsed. JSON values may follow each other without them.

use super::{MAX_BYTES, Node, Position, Value, YamlError, events, json};

/// Reads every document of a stream of YAML or JSON; empty ones are left out. Positions count from the
/// beginning of the whole text. A broken document is one `Err` and does not hide the others.
pub fn read(text: &str) -> Vec<Result<Node, YamlError>> {
    if text.len() > MAX_BYTES {
        let message = format!("longer than {} MiB", MAX_BYTES >> 20);
        return vec![Err(YamlError::new(Position { line: 1, column: 1 }, message))];
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    chunks(text).into_iter().flat_map(|chunk| read_chunk(&chunk)).collect()
}

/// The text between two separators; it begins with its `---` line, if any.
struct Chunk<'a> {
    text: &'a str,
    lines_before: u32,
}

fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut offset, mut line_number) = (0, 0, 0, 0);
    for line in text.split_inclusive('\n') {
        if offset > start && is_separator(line) {
            chunks.extend(text.get(start..offset).map(|text| Chunk { text, lines_before: start_line }));
            (start, start_line) = (offset, line_number);
        }
        offset += line.len();
        line_number += 1;
    }
    chunks.extend(text.get(start..).map(|text| Chunk { text, lines_before: start_line }));
    chunks
}

/// `---` and nothing, a comment or content behind it.
fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

fn read_chunk(chunk: &Chunk<'_>) -> Vec<Result<Node, YamlError>> {
    let (content, separator_lines) = without_separator(chunk.text);
    if let Some(object) = content.trim_start().strip_prefix('{') {
        let values = json::read(content, chunk.lines_before + separator_lines);
        if !matches!(values.first(), Some(Err(_))) {
            return values;
        }
        // What begins like JSON may be YAML's flow style.
        let yaml = read_yaml(chunk);
        if matches!(yaml, Some(Err(_))) && object.trim_start().starts_with(['"', '}']) {
            return values;
        }
        return yaml.into_iter().collect();
    }
    read_yaml(chunk).into_iter().collect()
}

fn read_yaml(chunk: &Chunk<'_>) -> Option<Result<Node, YamlError>> {
    match events::read(chunk.text, chunk.lines_before) {
        Ok(None | Some(Node { value: Value::Null, .. })) => None,
        Ok(Some(node)) => Some(Ok(node)),
        Err(error) => Some(Err(error)),
    }
}

/// The text behind the `---` line, if the text begins with one that holds nothing else.
fn without_separator(text: &str) -> (&str, u32) {
    match text.split_once('\n') {
        Some((first, rest)) if is_separator(first) && first.trim_end() == "---" => (rest, 1),
        _ => (text, 0),
    }
}
