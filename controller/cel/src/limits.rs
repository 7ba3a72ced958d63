//! Keeps policy text from exhausting the stack: a scan before the parser, a large stack around it, and a
//! limit on the depth of what is accepted, so that it can be evaluated and dropped on an ordinary stack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::CompileError;

/// The longest source, in code points; cel-go's limit.
const MAX_CODE_POINTS: usize = 100_000;
/// The most names, literals, operators and brackets: the parser takes two kilobytes and more for each.
const MAX_TOKENS: u32 = 12_000;
/// The deepest nesting of brackets, operators and calls that is handed to the parser. More than any
/// accepted program has, and less than the large stack holds.
const MAX_PARSED_DEPTH: u32 = 1_000;
/// The stack that the parser takes for one level, without optimisation, and more.
const LEVEL: usize = 224 << 10;
/// The stack that expressions are compiled on where the caller's is too small for them; only what is used of it
/// takes memory.
const LARGE_STACK: usize = 256 << 20;

/// Runs `work` on a large stack, on the same thread, and returns what it returns.
///
/// [`Program::compile`](crate::Program::compile) takes such a stack by itself where it needs one; wrap the
/// compilation of a whole set in this to take only one.
///
/// # Panics
/// If `work` panics, or if there is no memory for the stack.
pub fn with_large_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::grow(LARGE_STACK, work)
}

/// Runs `work` where it can recurse `depth` levels deep. None if it panics, or if there is no memory for a stack.
pub(crate) fn with_stack_for<T>(depth: u32, work: impl FnOnce() -> T) -> Option<T> {
    let needed = LEVEL.saturating_mul(depth as usize + 1);
    catch_unwind(AssertUnwindSafe(|| stacker::maybe_grow(needed, LARGE_STACK, work))).ok()
}

/// What one pair of brackets holds, or the whole source.
#[derive(Default)]
struct Group {
    /// Operators since the last `,`, `&&` or `||`, whose operands the parser does not nest.
    chain: u32,
    /// The deepest group since then.
    inner: u32,
    /// The deepest of the operands before it.
    deepest: u32,
    /// Conditionals since the last `,`; each nests what follows.
    conditionals: u32,
}

impl Group {
    fn depth(&self) -> u32 {
        self.deepest.max(self.chain + self.inner) + self.conditionals
    }

    fn next_operand(&mut self) {
        self.deepest = self.deepest.max(self.chain + self.inner);
        self.chain = 0;
        self.inner = 0;
    }
}

/// How deep the parser may recurse over a source, estimated from above. Refuses one that is too long, or may be
/// too deep.
pub(crate) fn scan(source: &str) -> Result<u32, CompileError> {
    if source.chars().nth(MAX_CODE_POINTS).is_some() {
        return Err(CompileError {
            message: format!("the expression is longer than {MAX_CODE_POINTS} characters"),
            line: 1,
            column: 1,
            hint: None,
        });
    }
    let mut outer: Vec<Group> = Vec::new();
    let mut group = Group::default();
    let mut enclosing = 0;
    let mut deepest = 0;
    let mut tokens = Tokens { source, at: 0, passed: 0 };
    while let Some(token) = tokens.next() {
        if tokens.passed > MAX_TOKENS {
            return Err(too_many(source, token.at));
        }
        match token.kind {
            TokenKind::Open => {
                group.chain += 1;
                enclosing += group.depth();
                outer.push(std::mem::take(&mut group));
            }
            TokenKind::Close => {
                if let Some(mut parent) = outer.pop() {
                    enclosing -= parent.depth();
                    parent.inner = parent.inner.max(group.depth());
                    group = parent;
                }
            }
            TokenKind::Comma => {
                group.next_operand();
                group.deepest += group.conditionals;
                group.conditionals = 0;
            }
            TokenKind::Logical => group.next_operand(),
            TokenKind::Conditional => group.conditionals += 1,
            TokenKind::Operator => group.chain += 1,
        }
        deepest = deepest.max(enclosing + group.depth());
        if deepest > MAX_PARSED_DEPTH {
            return Err(too_deep(source, token.at));
        }
    }
    if tokens.passed > MAX_TOKENS { Err(too_many(source, 0)) } else { Ok(deepest) }
}

/// The error for a source that has too many tokens before byte `at`.
fn too_many(source: &str, at: usize) -> CompileError {
    let (line, column) = position(source, at);
    CompileError {
        message: format!("the expression has more than {MAX_TOKENS} names, literals and operators"),
        line,
        column,
        hint: Some("split it into variables, or move long lists into params".to_owned()),
    }
}

/// The error for a source that nests too deeply at byte `at`.
pub(crate) fn too_deep(source: &str, at: usize) -> CompileError {
    let (line, column) = position(source, at);
    CompileError {
        message: "the expression is nested too deeply here".to_owned(),
        line,
        column,
        hint: Some("split it into variables, or write long sums and concatenations as a list".to_owned()),
    }
}

/// Line and column, counted from 1, of a byte in the source.
pub(crate) fn position(source: &str, at: usize) -> (u32, u32) {
    let before = source.get(..at.min(source.len())).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let lines = before.bytes().filter(|byte| *byte == b'\n').count();
    let columns = before.get(line_start..).unwrap_or_default().chars().count();
    (count(lines + 1), count(columns + 1))
}

struct Token {
    kind: TokenKind,
    at: usize,
}

enum TokenKind {
    Open,
    Close,
    Comma,
    Logical,
    Conditional,
    Operator,
}

/// The tokens that bear on nesting. Strings and comments are skipped as CEL's grammar delimits them.
struct Tokens<'a> {
    source: &'a str,
    at: usize,
    /// How many tokens there were, of all kinds.
    passed: u32,
}

impl Tokens<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Moves past a string literal that begins here.
    fn skip_string(&mut self, raw: bool) {
        let rest = self.rest();
        let quote = if rest.starts_with('\'') { '\'' } else { '"' };
        let delimiter = match quote {
            '\'' if rest.starts_with("'''") => "'''",
            '"' if rest.starts_with("\"\"\"") => "\"\"\"",
            '\'' => "'",
            _ => "\"",
        };
        self.at += delimiter.len();
        while let Some(character) = self.rest().chars().next() {
            if self.rest().starts_with(delimiter) {
                self.at += delimiter.len();
                return;
            }
            // A string of one line that does not end on it is an error, which the parser will tell.
            if delimiter.len() == 1 && character == '\n' {
                return;
            }
            self.at += character.len_utf8();
            if character == '\\' && !raw {
                self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            }
        }
    }

    /// Moves past a word or number and returns it.
    fn skip_word(&mut self) -> &str {
        let start = self.at;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        self.at += self.rest().bytes().take_while(|byte| word(*byte)).count();
        self.source.get(start..self.at).unwrap_or_default()
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let at = self.at;
            let source = self.source;
            let rest = source.get(at..).unwrap_or_default();
            let first = rest.chars().next()?;
            let two = rest.get(..2).unwrap_or_default();
            self.passed += u32::from(!first.is_whitespace());
            let kind = match first {
                '\'' | '"' => {
                    self.skip_string(false);
                    continue;
                }
                '/' if two == "//" => {
                    self.at += rest.find('\n').unwrap_or(rest.len());
                    continue;
                }
                _ if first.is_ascii_alphanumeric() || first == '_' => {
                    let word = self.skip_word();
                    let (membership, raw) = (word == "in", word.contains(['r', 'R']));
                    let prefix = matches!(
                        word,
                        "r" | "R" | "b" | "B" | "br" | "bR" | "Br" | "BR" | "rb" | "rB" | "Rb" | "RB"
                    );
                    if prefix && self.rest().starts_with(['\'', '"']) {
                        self.skip_string(raw);
                    }
                    if membership {
                        return Some(Token { kind: TokenKind::Operator, at });
                    }
                    continue;
                }
                '(' | '[' | '{' => TokenKind::Open,
                ')' | ']' | '}' => TokenKind::Close,
                ',' => TokenKind::Comma,
                _ if two == "&&" || two == "||" => TokenKind::Logical,
                '.' if two == ".?" => TokenKind::Operator,
                '?' => TokenKind::Conditional,
                '.' | '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' => TokenKind::Operator,
                _ => {
                    self.at += first.len_utf8();
                    continue;
                }
            };
            let two_wide =
                matches!(kind, TokenKind::Logical) || matches!(two, ".?" | "==" | "!=" | "<=" | ">=");
            self.at += if two_wide { 2 } else { first.len_utf8() };
            return Some(Token { kind, at });
        }
    }
}
