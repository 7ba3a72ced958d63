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

impl CompileError {
    /// All errors of a source as cel-go tells them (`ToDisplayString` of its `common/errors.go`): each with its
    /// line of the source and a mark below the place.
    #[must_use]
    pub fn display_all(errors: &[Self], source: &str) -> String {
        let shown: Vec<String> = errors.iter().map(|error| error.display_in(source)).collect();
        shown.join("\n")
    }

    fn display_in(&self, source: &str) -> String {
        /// cel-go shows no longer lines, in bytes.
        const MAX_LINE: usize = 16_384;
        let Self { message, line, column, .. } = self;
        let told = format!("ERROR: <input>:{line}:{column}: {message}");
        let Some(text) = source.split('\n').nth((*line as usize).saturating_sub(1)) else { return told };
        if text.len() > MAX_LINE {
            return told;
        }
        let before = (*column as usize).saturating_sub(1);
        let dots: String =
            text.chars().take(before).map(|c| if c.len_utf8() > 1 { '\u{ff0e}' } else { '.' }).collect();
        let is_wide = text.chars().nth(before).is_some_and(|c| c.len_utf8() > 1);
        let mark = if is_wide { '\u{ff3e}' } else { '^' };
        format!("{told}\n | {}\n | {dots}{mark}", text.replace('\t', " "))
    }
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

#[cfg(test)]
mod tests {
    use super::CompileError;

    #[test]
    fn errors_are_told_as_cel_go_tells_them() {
        let check = |source: &str, (line, column): (u32, u32), expected: &str| {
            let error = CompileError { message: "wrong".to_owned(), line, column, hint: None };
            assert_eq!(CompileError::display_all(&[error], source), expected, "{source}");
        };
        check("a.b", (1, 2), "ERROR: <input>:1:2: wrong\n | a.b\n | .^");
        check("1 +\n\tx", (2, 2), "ERROR: <input>:2:2: wrong\n |  x\n | .^");
        check("'ü' + ß", (1, 7), "ERROR: <input>:1:7: wrong\n | 'ü' + ß\n | .\u{ff0e}....\u{ff3e}");
    }
}
