//! From saphyr-parser's events to nodes: scalars are resolved by our own rules, and a string's place in the
//! text is worked out from the text itself.

use super::build::Builder;
use super::place::Flow;
use super::scalar::{self, Resolved};
use super::{Node, Position, Text, TextPlace, Value, YamlError};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

/// Reads the one document of a text; `None` if it holds nothing but comments. `lines_before` is added to
/// every line number.
pub(super) fn read(text: &str, lines_before: u32) -> Result<Option<Node>, YamlError> {
    let mut reading = Reading { source: Source::new(text, lines_before), builder: Builder::default() };
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| reading.source.error(&error))?;
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                let at = reading.source.position(span.start);
                return Err(YamlError::new(at, "a further document must begin with a line `---`"));
            }
        }
        reading.event(event, span)?;
    }
    Ok(reading.builder.finish())
}

struct Reading<'a> {
    source: Source<'a>,
    builder: Builder,
}

impl Reading<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        if let Event::Alias(_)
        | Event::Scalar(_, _, 1.., _)
        | Event::SequenceStart(1.., _)
        | Event::MappingStart(1.., _) = &event
        {
            self.source.anchor(span.start)?;
        }
        match event {
            Event::SequenceStart(anchor, tag) => {
                let tagged = tag.is_some_and(|tag| !is_own(&tag));
                self.builder.begin_sequence(self.source.position(span.start), anchor, tagged)
            }
            Event::MappingStart(anchor, tag) => {
                let tagged = tag.is_some_and(|tag| !is_own(&tag));
                self.builder.begin_mapping(self.source.position(span.start), anchor, tagged)
            }
            Event::SequenceEnd | Event::MappingEnd => self.builder.end(),
            Event::Alias(anchor) => self.builder.alias(anchor, self.source.position(span.start)),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let is_key = self.builder.expects_key();
                if is_key && text == "<<" && (plain || tag.as_deref().is_some_and(is_merge_tag)) {
                    self.builder.merge_key();
                    return Ok(());
                }
                let bare = tag.is_none() && anchor == 0;
                let mut node = self.source.scalar(&text, style, tag.as_deref(), span, bare)?;
                if is_key
                    && plain
                    && let Some(key) = scalar::float_key(&text)
                {
                    let text = Text { text: key, place: TextPlace::at(node.at) };
                    node.value = Value::String(text);
                }
                self.builder.scalar(node, anchor)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }
}

/// Whether a tag is one of YAML's own, which say what a value is.
fn is_own(tag: &Tag) -> bool {
    let types = ["str", "int", "float", "bool", "null", "timestamp", "binary", "merge", "seq", "map"];
    core_name(tag).is_some_and(|name| types.contains(&name))
}

/// The name of a tag of YAML's, in its short form (`!!int`) or its long one.
fn core_name(tag: &Tag) -> Option<&str> {
    if tag.is_yaml_core_schema() {
        return Some(&tag.suffix);
    }
    tag.handle.is_empty().then(|| tag.suffix.strip_prefix("tag:yaml.org,2002:")).flatten()
}

fn is_merge_tag(tag: &Tag) -> bool {
    core_name(tag) == Some("merge")
}

/// The text of a document, by lines, with a cursor from characters to bytes: scalars come in the order of
/// the text, so that looking one up never starts over.
struct Source<'a> {
    text: &'a str,
    lines: Vec<&'a str>,
    lines_before: u32,
    /// How many characters and bytes the cursor is behind the beginning.
    cursor: (usize, usize),
}

impl<'a> Source<'a> {
    fn new(text: &'a str, lines_before: u32) -> Self {
        let text_lines = text.split_inclusive('\n').flat_map(|line| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            line.strip_suffix('\r').unwrap_or(line).split('\r')
        });
        Self { text, lines: text_lines.collect(), lines_before, cursor: (0, 0) }
    }

    fn position(&self, mark: Marker) -> Position {
        let line = u32::try_from(mark.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(mark.col()).unwrap_or(u32::MAX);
        Position { line: line.saturating_add(self.lines_before), column: column.saturating_add(1) }
    }

    fn error(&self, error: &ScanError) -> YamlError {
        let info = error.info();
        let message = match info.rsplit_once(", ") {
            Some((context, detail)) if context.starts_with("while ") => detail,
            _ => info,
        };
        // What the parser says of either quote.
        let message = message.replace("after double-quoted scalar", "after a quoted scalar");
        let mut message = message.replace(['\n', '\r'], " ").replace('"', "`");
        for sign in [',', ':', ']', '}', '?', '-', '%'] {
            message = message.replace(&format!("'{sign}'"), &format!("`{sign}`"));
        }
        YamlError::new(self.position(*error.marker()), message.trim_end_matches('.').to_owned())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
        bare: bool,
    ) -> Result<Node, YamlError> {
        let at = self.position(span.start);
        let resolved = match tag {
            Some(tag) if let Some(name) = core_name(tag) => match name {
                "binary" => {
                    return Err(YamlError::new(at, "`!!binary` is not supported: JSON has no binary values"));
                }
                known @ ("str" | "timestamp" | "int" | "bool" | "float" | "null") => {
                    scalar::resolve_tagged(known, text).map_err(|found| {
                        YamlError::new(at, format!("`!!{known}` does not fit `{text}`, which is {found}"))
                    })?
                }
                // goyaml.v2 takes the text of what has a tag that it does not know.
                _ => Resolved::String,
            },
            Some(_) => Resolved::String,
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Resolved::String,
        };
        let value = match resolved {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            Resolved::Number(value) => Value::Number(value),
            Resolved::NotJson => {
                return Err(YamlError::new(at, format!("`{text}` cannot be written as JSON")));
            }
            Resolved::String => Value::String(self.text(text, style, span, bare)),
        };
        Ok(Node { value, at, tagged: tag.is_some_and(|tag| !is_own(tag)) })
    }

    /// Refuses an anchor or an alias with a name that kubectl refuses. The parser takes whatever is not blank, so that
    /// `&&` would be an anchor, and with it a part of an expression would go.
    fn anchor(&mut self, mark: Marker) -> Result<(), YamlError> {
        let mut text = self.from(mark.index());
        if text.starts_with('!') {
            text = text.trim_start_matches(|c: char| !c.is_whitespace()).trim_start();
            while let Some(comment) = text.strip_prefix('#') {
                text = comment.trim_start_matches(|c| !matches!(c, '\n' | '\r')).trim_start();
            }
        }
        let name = text.split(|c: char| c.is_whitespace() || ",[]{}".contains(c)).next().unwrap_or_default();
        let (sign, name) = name.split_at_checked(1).unwrap_or_default();
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return Ok(());
        }
        let what = if sign == "*" { "an alias" } else { "an anchor" };
        let message =
            format!("`{sign}` begins {what}, whose name is letters, digits, `-` and `_`, found `{name}`");
        Err(YamlError::new(self.position(mark), message))
    }

    fn text(&mut self, text: &str, style: ScalarStyle, span: Span, bare: bool) -> Text {
        let (start, written) = if bare {
            (self.position(span.start), self.from(span.start.index()))
        } else {
            self.after_properties(span.start)
        };
        let quoted = Position { column: start.column.saturating_add(1), ..start };
        let inside = written.get(1..).unwrap_or_default();
        let line = |number| self.line(number);
        let place = match style {
            ScalarStyle::Plain => TextPlace::flow(Flow::Plain, start, text, written, line),
            ScalarStyle::SingleQuoted => TextPlace::flow(Flow::SingleQuoted, quoted, text, inside, line),
            ScalarStyle::DoubleQuoted => TextPlace::flow(Flow::DoubleQuoted, quoted, text, inside, line),
            ScalarStyle::Literal => TextPlace::literal(self.block_start(text, span.start, bare)),
            ScalarStyle::Folded => TextPlace::folded(self.block_start(text, span.start, bare), text, line),
        };
        Text { text: text.to_owned(), place }
    }

    /// Where a block's first line begins. The parser marks the first line that holds something, but for a
    /// block with a tag or an anchor it marks that, and for an empty block its header.
    fn block_start(&self, text: &str, mark: Marker, bare: bool) -> Position {
        let marked = self.position(mark);
        let blank = text.len() - text.trim_start_matches('\n').len();
        let blank_lines = u32::try_from(blank).unwrap_or(u32::MAX);
        if bare && blank < text.len() {
            return Position { line: marked.line.saturating_sub(blank_lines), ..marked };
        }
        let first = marked.line.saturating_add(1);
        let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let own = text.get(blank..).map_or(0, spaces);
        let written = spaces(self.line(first.saturating_add(blank_lines)));
        let indent = u32::try_from(written.saturating_sub(own)).unwrap_or(0);
        Position { line: first, column: indent.saturating_add(1) }
    }

    /// Where a scalar itself begins, behind its tag and anchor in the same line, and the text from there on.
    fn after_properties(&mut self, mark: Marker) -> (Position, &'a str) {
        let start = self.from(mark.index());
        let mut rest = start;
        while rest.starts_with(['!', '&']) {
            let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest = rest.get(length..).unwrap_or_default().trim_start_matches([' ', '\t']);
        }
        let skipped = start.get(..start.len() - rest.len()).unwrap_or_default().chars().count();
        let at = self.position(mark);
        let column = at.column.saturating_add(u32::try_from(skipped).unwrap_or(u32::MAX));
        (Position { column, ..at }, rest)
    }

    /// The text from a character on.
    fn from(&mut self, index: usize) -> &'a str {
        let (chars, bytes) = if index < self.cursor.0 { (0, 0) } else { self.cursor };
        let rest = self.text.get(bytes..).unwrap_or_default();
        let skipped = rest.char_indices().nth(index - chars).map_or(rest.len(), |(offset, _)| offset);
        self.cursor = (index, bytes + skipped);
        rest.get(skipped..).unwrap_or_default()
    }

    /// A line by its number in the whole text.
    fn line(&self, number: u32) -> &'a str {
        let index = number.checked_sub(self.lines_before.saturating_add(1)).map(|index| index as usize);
        index.and_then(|index| self.lines.get(index)).copied().unwrap_or_default()
    }
}
