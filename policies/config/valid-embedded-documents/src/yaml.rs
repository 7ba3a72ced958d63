//! YAML that is read for nothing but whether it can be: all of its documents, event by event.

use crate::Broken;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::BTreeSet;

/// Deeper than this no parser of others goes either.
const MAX_DEPTH: usize = 500;

/// A list or mapping that is not closed yet.
enum Open {
    List,
    Mapping {
        seen: BTreeSet<String>,
        /// Whether a key comes next.
        at_key: bool,
    },
}

/// Reads a stream to its end.
pub(crate) fn read(text: &str, allow_duplicate_keys: bool) -> Result<(), Broken> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let message = error.info().replace(char::is_control, " ").replace('"', "`");
            broken(*error.marker(), message)
        })?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                value(&mut open);
                if open.len() >= MAX_DEPTH {
                    return Err(broken(span.start, format!("nested deeper than {MAX_DEPTH} levels")));
                }
                open.push(match event {
                    Event::SequenceStart(..) => Open::List,
                    _ => Open::Mapping { seen: BTreeSet::new(), at_key: true },
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
            }
            Event::Scalar(text, style, ..) => {
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                if let Some(Open::Mapping { seen, at_key: true }) = open.last_mut()
                    && !seen.insert(text.to_string())
                    && !is_merge
                    && !allow_duplicate_keys
                {
                    return Err(broken(span.start, format!("key `{text}` is there twice")));
                }
                value(&mut open);
            }
            Event::Alias(_) => value(&mut open),
            _ => {}
        }
    }
    Ok(())
}

/// A key or a value has begun: the other one is next.
fn value(open: &mut [Open]) {
    if let Some(Open::Mapping { at_key, .. }) = open.last_mut() {
        *at_key = !*at_key;
    }
}

fn broken(at: Marker, message: String) -> Broken {
    Broken { line: at.line(), column: at.col() + 1, message: message.trim_end_matches('.').to_owned() }
}
