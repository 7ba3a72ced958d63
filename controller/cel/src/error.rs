//! What is wrong with an expression, and how texts from outside are shown in messages.

/// One reason why an expression does not compile, with its place in the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct CompileError {
    /// What is wrong: lower case, one line, the author's text in backticks.
    pub message: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1 in characters.
    pub column: u32,
    /// What to do about it, where a near miss is known.
    pub hint: Option<String>,
}

/// One line of a message that may have several.
pub(crate) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// A text for a message: one line of bounded length, whatever it holds.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 120;
    let mut shown = String::new();
    for character in text.chars().take(LIMIT) {
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    if text.chars().nth(LIMIT).is_some() {
        shown.push('…');
    }
    shown
}
