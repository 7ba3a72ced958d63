//! Regular expressions in RE2's dialect as Go's `regexp` reads it, translated to the `regex` crate's:
//! `\d \w \s \b` are ASCII, `\Q..\E` quotes, classes have no set operators, and what Go refuses is refused.

use std::fmt::Write;

/// The largest count of a repetition, in Go as here.
const MAX_REPEAT: u32 = 1_000;

/// The deepest nesting of groups.
pub(crate) const MAX_NESTING: u32 = 200;

/// Translates a pattern.
///
/// # Errors
/// The pattern is wrong, in Go's words where they are known.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    Translation::new(pattern).run()
}

/// What the last thing written was, which decides whether a repetition may follow.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Other,
    Repetition,
}

struct Translation<'p> {
    pattern: &'p str,
    rest: &'p str,
    out: String,
    last: Last,
}

impl<'p> Translation<'p> {
    fn new(pattern: &'p str) -> Self {
        Self { pattern, rest: pattern, out: String::with_capacity(pattern.len() + 16), last: Last::Other }
    }

    fn fail<T>(&self, reason: &str, what: &str) -> Result<T, String> {
        let shown = if what.is_empty() { self.pattern } else { what };
        Err(format!("error parsing regexp: {reason}: `{shown}`"))
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn run(mut self) -> Result<String, String> {
        let mut open = 0;
        while let Some(character) = self.next() {
            match character {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => {
                    self.group()?;
                    open += u32::from(!self.out.ends_with(')'));
                    if open > MAX_NESTING {
                        return self.fail("expression nests too deeply", "");
                    }
                }
                '*' | '+' | '?' => self.repetition(character)?,
                '{' => self.braces()?,
                ')' => {
                    open = open.saturating_sub(1);
                    self.put(character);
                }
                '.' | '^' | '$' | '|' => self.put(character),
                other => self.literal(other),
            }
        }
        Ok(self.out)
    }

    fn put(&mut self, character: char) {
        self.out.push(character);
        self.last = Last::Other;
    }

    fn literal(&mut self, character: char) {
        push_literal(&mut self.out, character);
        self.last = Last::Other;
    }

    fn repetition(&mut self, operator: char) -> Result<(), String> {
        if self.last == Last::Repetition {
            return self.fail("invalid nested repetition operator", "");
        }
        self.out.push(operator);
        self.lazy();
        Ok(())
    }

    /// Takes the `?` that makes a repetition lazy.
    fn lazy(&mut self) {
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            self.out.push('?');
        }
        self.last = Last::Repetition;
    }

    /// `{2}`, `{2,}` and `{2,3}` repeat; any other brace is a literal.
    fn braces(&mut self) -> Result<(), String> {
        let Some((minimum, maximum, rest)) = counts(self.rest) else {
            self.literal('{');
            return Ok(());
        };
        let text = self.rest.get(..self.rest.len() - rest.len()).unwrap_or_default();
        let excessive = minimum > MAX_REPEAT || maximum.is_some_and(|maximum| maximum > MAX_REPEAT);
        if excessive || maximum.is_some_and(|maximum| maximum < minimum) {
            return self.fail("invalid repeat count", &format!("{{{text}"));
        }
        if self.last == Last::Repetition {
            return self.fail("invalid nested repetition operator", "");
        }
        self.out.push('{');
        self.out.push_str(text);
        self.rest = rest;
        self.lazy();
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.put('(');
        let Some(after) = self.rest.strip_prefix('?') else { return Ok(()) };
        if after.starts_with("P<")
            || after.starts_with('<') && !after.starts_with("<=") && !after.starts_with("<!")
        {
            let Some(end) = after.find('>') else { return self.fail("invalid named capture", "") };
            let (head, rest) = after.split_at(end + 1);
            let name = head.trim_start_matches(['P', '<']).trim_end_matches('>');
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return self.fail("invalid named capture", &format!("(?{head}"));
            }
            // The name is dropped: nothing refers to it, and the `regex` crate wants a letter first.
            self.rest = rest;
            return Ok(());
        }
        let Some(end) = after.find([':', ')']) else { return self.fail("missing closing )", "") };
        let (flags, rest) = after.split_at(end);
        let known = flags.chars().all(|flag| "imsU-".contains(flag));
        let dashes = flags.matches('-').count();
        let closes_empty = flags.ends_with('-') || (flags.is_empty() && rest.starts_with(')'));
        if !known || dashes > 1 || closes_empty {
            return self.fail("invalid or unsupported Perl syntax", &format!("(?{flags}"));
        }
        self.out.push('?');
        self.out.push_str(flags);
        self.rest = rest;
        let Some(delimiter) = self.next() else { return Ok(()) };
        self.put(delimiter);
        Ok(())
    }

    /// An escape outside a class.
    fn escape(&mut self) -> Result<(), String> {
        let Some(character) = self.next() else {
            return self.fail("trailing backslash at end of expression", "");
        };
        let class = match character {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => "[\\t\\n\\x0C\\r ]",
            'S' => "[^\\t\\n\\x0C\\r ]",
            'b' => "(?-u:\\b)",
            'B' => "(?-u:\\B)",
            'A' => "\\A",
            'z' => "\\z",
            'Q' => {
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                for character in quoted.chars() {
                    self.literal(character);
                }
                return Ok(());
            }
            'p' | 'P' => {
                self.property(character == 'P')?;
                self.last = Last::Other;
                return Ok(());
            }
            other => {
                let literal = self.escaped_literal(other)?;
                self.literal(literal);
                return Ok(());
            }
        };
        self.out.push_str(class);
        self.last = Last::Other;
        Ok(())
    }

    /// The character that an escape such as `\n`, `\x41`, `\101` or `\.` stands for.
    fn escaped_literal(&mut self, character: char) -> Result<char, String> {
        let invalid = format!("\\{character}");
        let code = match character {
            'a' => 0x07,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'v' => 0x0B,
            '0'..='7' => {
                let zero = character == '0';
                if !zero && !self.rest.starts_with(|next: char| ('0'..='7').contains(&next)) {
                    return self.fail("invalid escape sequence", &invalid);
                }
                let mut code = character.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|next| next.to_digit(8)) else {
                        break;
                    };
                    self.next();
                    code = code * 8 + digit;
                }
                code
            }
            'x' => match self.hexadecimal() {
                Some(code) => code,
                None => return self.fail("invalid escape sequence", "\\x"),
            },
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => return Ok(other),
            _ => return self.fail("invalid escape sequence", &invalid),
        };
        char::from_u32(code).map_or_else(|| self.fail("invalid escape sequence", &invalid), Ok)
    }

    /// What follows `\x`: two digits, or any number in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        if let Some(after) = self.rest.strip_prefix('{') {
            let (digits, rest) = after.split_once('}')?;
            self.rest = rest;
            return u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
        }
        let digits = self.rest.get(..2)?;
        self.rest = self.rest.get(2..)?;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }

    /// `\pL`, `\p{Greek}` or `\p{^Greek}`.
    fn property(&mut self, negated: bool) -> Result<(), String> {
        let name = if let Some(after) = self.rest.strip_prefix('{') {
            let Some((name, rest)) = after.split_once('}') else {
                return self.fail("invalid character class range", "");
            };
            self.rest = rest;
            name.to_owned()
        } else {
            match self.next() {
                Some(name) => name.to_string(),
                None => return self.fail("invalid character class range", ""),
            }
        };
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (!negated, name),
            None => (negated, name.as_str()),
        };
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !plain {
            return self.fail("invalid character class range", &format!("\\p{{{name}}}"));
        }
        if name == "Any" {
            self.out.push_str(if negated { "[^\\x{0}-\\x{10FFFF}]" } else { "[\\x{0}-\\x{10FFFF}]" });
            return Ok(());
        }
        let letter = if negated { 'P' } else { 'p' };
        // Writing to a string cannot fail.
        let _ = write!(self.out, "\\{letter}{{{name}}}");
        Ok(())
    }

    /// A class; the opening bracket has been read.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(character) = self.next() else { return self.fail("missing closing ]", "") };
            match character {
                ']' if !first => break,
                '[' if self.rest.starts_with(':') => self.named_class()?,
                '\\' if self.rest.starts_with(['d', 'D', 'w', 'W', 's', 'S']) => self.perl_class(),
                '\\' if self.rest.starts_with(['p', 'P']) => {
                    let negated = self.next() == Some('P');
                    self.property(negated)?;
                }
                other => self.range(other)?,
            }
            first = false;
        }
        self.put(']');
        Ok(())
    }

    /// `[:alpha:]`, or a literal bracket if it is no such name.
    fn named_class(&mut self) -> Result<(), String> {
        let Some(end) = self.rest.find(":]") else {
            push_literal(&mut self.out, '[');
            return Ok(());
        };
        let (name, rest) = self.rest.split_at(end + 2);
        let known = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let bare = name.trim_start_matches(":^").trim_start_matches(':').trim_end_matches(":]");
        if !known.contains(&bare) {
            return self.fail("invalid character class range", &format!("[{name}"));
        }
        self.out.push('[');
        self.out.push_str(name);
        self.rest = rest;
        Ok(())
    }

    fn perl_class(&mut self) {
        let class = match self.next() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some('s') => "\\t\\n\\x0C\\r ",
            _ => "[^\\t\\n\\x0C\\r ]",
        };
        self.out.push_str(class);
    }

    /// One character of a class, or a range of them.
    fn range(&mut self, first: char) -> Result<(), String> {
        let low = self.class_character(first)?;
        push_literal(&mut self.out, low);
        let Some(after) = self.rest.strip_prefix('-').filter(|after| !after.starts_with(']')) else {
            return Ok(());
        };
        self.rest = after;
        let Some(next) = self.next() else { return self.fail("missing closing ]", "") };
        let high = self.class_character(next)?;
        if high < low {
            return self.fail("invalid character class range", &format!("{low}-{high}"));
        }
        self.out.push('-');
        push_literal(&mut self.out, high);
        Ok(())
    }

    fn class_character(&mut self, character: char) -> Result<char, String> {
        if character != '\\' {
            return Ok(character);
        }
        match self.next() {
            Some(escaped) => self.escaped_literal(escaped),
            None => self.fail("trailing backslash at end of expression", ""),
        }
    }
}

/// Writes a character so that it means itself, in a class or outside one.
fn push_literal(out: &mut String, character: char) {
    if character.is_ascii_alphanumeric() || !character.is_ascii() {
        out.push(character);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\x{:02X}", u32::from(character));
    }
}

/// The counts of a repetition whose brace has been read, and what follows it.
fn counts(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (inside, rest) = text.split_once('}')?;
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    match inside.split_once(',') {
        None => number(inside).map(|count| (count, Some(count), rest)),
        Some((minimum, "")) => number(minimum).map(|minimum| (minimum, None, rest)),
        Some((minimum, maximum)) => Some((number(minimum)?, Some(number(maximum)?), rest)),
    }
}
