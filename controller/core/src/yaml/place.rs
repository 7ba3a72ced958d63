//! Where the characters of a string stand in the text around it: folding, quotes and escapes undone.

use super::Position;
use std::str::Chars;
use std::sync::Arc;

/// Where a string stands in the text around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextPlace {
    start: Position,
    layout: Layout,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    /// In one line as it is; of further lines nothing is known.
    Line,
    /// Every line begins in the same column: a literal block.
    Block,
    /// Pieces that stand in the text as they are, in their order.
    Pieces(Arc<[Piece]>),
}

/// A part of a line of a string that stands in the text as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    /// Where it begins in the string.
    from: Position,
    /// Where it begins in the text around it.
    at: Position,
}

/// How a string that may be folded is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Plain,
    SingleQuoted,
    DoubleQuoted,
}

const FIRST: Position = Position { line: 1, column: 1 };

impl TextPlace {
    /// A string that stands in one line, beginning at a place.
    pub fn at(start: Position) -> Self {
        Self { start, layout: Layout::Line }
    }

    /// A text that stands by itself.
    pub fn whole() -> Self {
        Self::literal(FIRST)
    }

    /// A literal block (`|`).
    pub(super) fn literal(start: Position) -> Self {
        Self { start, layout: Layout::Block }
    }

    /// A folded block (`>`).
    pub(super) fn folded<'t>(start: Position, text: &str, lines: impl Fn(u32) -> &'t str) -> Self {
        Self::of_pieces(start, folded_pieces(start, text, lines))
    }

    /// A plain or quoted scalar: `written` begins with it and may go on, `lines` are asked for the lines behind the
    /// first one.
    pub(super) fn flow<'t>(
        flow: Flow,
        start: Position,
        text: &str,
        written: &'t str,
        lines: impl Fn(u32) -> &'t str,
    ) -> Self {
        if written.starts_with(text) && !text.contains('\\') {
            return Self::at(start);
        }
        // The line may be much longer than the scalar: no further than the longest escapes would reach.
        let reach = text.len().saturating_mul(12).saturating_add(12).min(written.len());
        let reach = (reach..=written.len()).find(|end| written.is_char_boundary(*end)).unwrap_or(0);
        let rest = written.get(..reach).and_then(|near| near.split(['\n', '\r']).next()).unwrap_or_default();
        let walk = Walk { flow, lines, at: start, rest: rest.chars(), from: FIRST, pieces: Vec::new() };
        Self::of_pieces(start, walk.run(text))
    }

    fn of_pieces(start: Position, pieces: Option<Vec<Piece>>) -> Self {
        let layout = pieces.map_or(Layout::Line, |pieces| Layout::Pieces(pieces.into()));
        Self { start, layout }
    }

    /// Where the string begins.
    pub fn start(&self) -> Position {
        self.start
    }

    /// Where a place inside the string stands in the text around it; `line` and `column` count from 1. For what
    /// cannot be told, where the string begins.
    pub fn position(&self, line: u32, column: u32) -> Position {
        let right = |at: Position, from: u32| Position {
            column: at.column.saturating_add(column.saturating_sub(from)),
            ..at
        };
        match &self.layout {
            Layout::Line if line <= 1 => right(self.start, 1),
            Layout::Line => self.start,
            Layout::Block => {
                let at =
                    Position { line: self.start.line.saturating_add(line.saturating_sub(1)), ..self.start };
                right(at, 1)
            }
            Layout::Pieces(pieces) => {
                let wanted = Position { line, column };
                let behind = pieces.partition_point(|piece| piece.from <= wanted);
                match behind.checked_sub(1).and_then(|index| pieces.get(index)) {
                    Some(piece) if piece.from.line == line => right(piece.at, piece.from.column),
                    Some(piece) => piece.at,
                    None => self.start,
                }
            }
        }
    }
}

/// The lines of a folded block, found again in the string; `None` if they are not.
fn folded_pieces<'t>(start: Position, text: &str, lines: impl Fn(u32) -> &'t str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut from = FIRST;
    let mut at = start;
    while !rest.trim_end_matches('\n').is_empty() {
        let line = lines(at.line);
        let content = line.get(char_offset(line, start.column)..).unwrap_or_default();
        if !content.trim_start_matches(' ').is_empty() {
            while !rest.starts_with(content) {
                let separator = rest.chars().next().filter(|c| matches!(c, ' ' | '\n'))?;
                from = after(from, separator);
                rest = rest.get(1..)?;
            }
            pieces.push(Piece { from, at });
            from.column = from.column.saturating_add(u32::try_from(content.chars().count()).ok()?);
            rest = rest.get(content.len()..)?;
        } else if at.line.saturating_sub(start.line) as usize > text.len() {
            return None;
        }
        at.line = at.line.saturating_add(1);
    }
    Some(pieces)
}

/// Follows a string and how it is written at the same time.
struct Walk<'t, L: Fn(u32) -> &'t str> {
    flow: Flow,
    lines: L,
    /// Where the next character stands.
    at: Position,
    /// What is left of its line.
    rest: Chars<'t>,
    /// Where the next character is in the string.
    from: Position,
    pieces: Vec<Piece>,
}

impl<'t, L: Fn(u32) -> &'t str> Walk<'t, L> {
    /// The pieces; `None` if the two do not agree, which would be wrong in a way that nobody sees.
    fn run(mut self, text: &str) -> Option<Vec<Piece>> {
        self.begin_piece();
        let mut text = text.chars();
        while let Some(next) = text.clone().next() {
            if self.is_at_line_end() {
                self.fold(&mut text)?;
                continue;
            }
            text.next();
            let written = self.rest.clone().next()?;
            match (self.flow, written) {
                (Flow::DoubleQuoted, '\\') => self.escape(next)?,
                (Flow::SingleQuoted, '\'') if next == '\'' => self.skip(2, next)?,
                (_, written) if written == next => {
                    self.rest.next();
                    self.at.column = self.at.column.saturating_add(1);
                    self.from = after(self.from, next);
                }
                _ => return None,
            }
        }
        Some(self.pieces)
    }

    fn begin_piece(&mut self) {
        self.pieces.push(Piece { from: self.from, at: self.at });
    }

    /// Whether nothing of the string is left in this line.
    fn is_at_line_end(&self) -> bool {
        let rest = self.rest.as_str();
        rest.trim_start().is_empty() || (self.flow == Flow::DoubleQuoted && rest == "\\")
    }

    /// Goes over a line break and the blank lines behind it, and over what stands for them in the string.
    fn fold(&mut self, text: &mut Chars<'_>) -> Option<()> {
        let escaped = self.rest.as_str() == "\\";
        let mut blank_lines = 0_usize;
        let line = loop {
            self.at = Position { line: self.at.line.checked_add(1)?, column: 1 };
            let line = (self.lines)(self.at.line);
            if !line.trim().is_empty() {
                break line;
            }
            blank_lines += 1;
            if blank_lines > text.as_str().len() {
                return None;
            }
        };
        let stands_for = match blank_lines {
            0 if escaped => 0,
            0 => 1,
            several => several,
        };
        for _ in 0..stands_for {
            let separator = text.next().filter(|c| *c == if blank_lines > 0 { '\n' } else { ' ' })?;
            self.from = after(self.from, separator);
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        self.rest = line.trim_start().chars();
        self.at.column = u32::try_from(indent).ok()?.checked_add(1)?;
        self.begin_piece();
        Some(())
    }

    /// Goes over an escape sequence, which stands for one character.
    fn escape(&mut self, stands_for: char) -> Option<()> {
        let length = match self.rest.clone().nth(1)? {
            'x' => 4,
            // Two of them, as JSON writes what needs more than 16 bits.
            'u' if u32::from(stands_for) > 0xFFFF => 12,
            'u' => 6,
            'U' => 10,
            _ => 2,
        };
        self.skip(length, stands_for)
    }

    /// Goes over so many characters, which stand for one.
    fn skip(&mut self, written: u32, stands_for: char) -> Option<()> {
        for _ in 0..written {
            self.rest.next()?;
        }
        self.at.column = self.at.column.saturating_add(written);
        self.from = after(self.from, stands_for);
        self.begin_piece();
        Some(())
    }
}

/// The place behind a character.
fn after(at: Position, character: char) -> Position {
    match character {
        '\n' => Position { line: at.line.saturating_add(1), column: 1 },
        _ => Position { column: at.column.saturating_add(1), ..at },
    }
}

/// Where a column begins in a line, in bytes; the end of a line that is shorter.
fn char_offset(line: &str, column: u32) -> usize {
    let before = column.saturating_sub(1) as usize;
    line.char_indices().nth(before).map_or(line.len(), |(offset, _)| offset)
}
