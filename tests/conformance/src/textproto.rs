//! Reads the text form of protocol buffers into a tree, without knowing any schema.

use anyhow::{Context, Result, bail};

/// A message: its fields in order, with repeated ones as often as they occur.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<(String, Value)>);

/// What a field holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A number, a keyword or an enumerator, as written.
    Word(String),
    /// A string, decoded.
    Bytes(Vec<u8>),
    Message(Message),
}

impl Message {
    pub(crate) fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Value> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value)
    }

    pub(crate) fn messages<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Message> {
        self.all(name)
            .filter_map(|value| if let Value::Message(message) = value { Some(message) } else { None })
    }

    pub(crate) fn message(&self, name: &str) -> Option<&Message> {
        self.0.iter().find_map(|(field, value)| match value {
            Value::Message(message) if field == name => Some(message),
            _ => None,
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.iter().find_map(|(field, value)| match value {
            Value::Bytes(bytes) if field == name => Some(String::from_utf8_lossy(bytes).into_owned()),
            Value::Word(word) if field == name => Some(word.clone()),
            _ => None,
        })
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.text(name).as_deref() == Some("true")
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// A scalar as text.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Word(word) => Some(word.clone()),
        Value::Message(_) => None,
    }
}

/// Reads a whole file.
pub(crate) fn parse(text: &str) -> Result<Message> {
    let mut reader = Reader { text, at: 0 };
    let message = reader.message(None)?;
    Ok(message)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with('#') {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with([' ', '\t', '\r', '\n', ',', ';']) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.rest().chars().next()
    }

    fn message(&mut self, close: Option<char>) -> Result<Message> {
        let mut message = Message::default();
        loop {
            match (self.peek(), close) {
                (None, None) => return Ok(message),
                (None, Some(_)) => bail!("unclosed message"),
                (Some(next), Some(close)) if next == close => {
                    self.at += 1;
                    return Ok(message);
                }
                _ => {}
            }
            let name = self.name()?;
            if self.peek() == Some(':') {
                self.at += 1;
            }
            if self.peek() == Some('[') {
                self.at += 1;
                while self.peek() != Some(']') {
                    let value = self.value()?;
                    message.0.push((name.clone(), value));
                }
                self.at += 1;
            } else {
                let value = self.value()?;
                message.0.push((name, value));
            }
        }
    }

    fn name(&mut self) -> Result<String> {
        self.skip();
        if self.rest().starts_with('[') {
            let end = self.rest().find(']').context("unclosed extension name")?;
            let name = self.rest().get(..=end).unwrap_or_default().to_owned();
            self.at += end + 1;
            return Ok(name);
        }
        self.word()
    }

    fn word(&mut self) -> Result<String> {
        let part = |c: char| c.is_alphanumeric() || "_.+-".contains(c);
        let length = self.rest().find(|c| !part(c)).unwrap_or(self.rest().len());
        if length == 0 {
            bail!("unexpected text at byte {}: {:.40}", self.at, self.rest());
        }
        let word = self.rest().get(..length).unwrap_or_default().to_owned();
        self.at += length;
        Ok(word)
    }

    fn value(&mut self) -> Result<Value> {
        match self.peek() {
            Some('{') => {
                self.at += 1;
                self.message(Some('}')).map(Value::Message)
            }
            Some('<') => {
                self.at += 1;
                self.message(Some('>')).map(Value::Message)
            }
            Some('"' | '\'') => {
                let mut bytes = Vec::new();
                while let Some(quote @ ('"' | '\'')) = self.peek() {
                    self.at += 1;
                    self.string(quote, &mut bytes)?;
                }
                Ok(Value::Bytes(bytes))
            }
            _ => self.word().map(Value::Word),
        }
    }

    fn string(&mut self, quote: char, bytes: &mut Vec<u8>) -> Result<()> {
        loop {
            let next = self.rest().chars().next().context("unclosed string")?;
            self.at += next.len_utf8();
            match next {
                _ if next == quote => return Ok(()),
                '\\' => self.escape(bytes)?,
                other => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let next = self.rest().chars().next().context("unclosed string")?;
        self.at += next.len_utf8();
        let (digits, radix) = match next {
            'a' => return push(bytes, 7),
            'b' => return push(bytes, 8),
            'f' => return push(bytes, 12),
            'n' => return push(bytes, 10),
            'r' => return push(bytes, 13),
            't' => return push(bytes, 9),
            'v' => return push(bytes, 11),
            'x' | 'X' => (self.digits(2, 16), 16),
            'u' => (self.digits(4, 16), 16),
            'U' => (self.digits(8, 16), 16),
            '0'..='7' => {
                self.at -= 1;
                (self.digits(3, 8), 8)
            }
            other => {
                bytes.extend(other.encode_utf8(&mut [0; 4]).bytes());
                return Ok(());
            }
        };
        let code = u32::from_str_radix(&digits, radix)?;
        if matches!(next, 'u' | 'U') {
            let character = char::from_u32(code).context("not a character")?;
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            return Ok(());
        }
        push(bytes, u8::try_from(code & 0xFF)?)
    }

    fn digits(&mut self, most: usize, radix: u32) -> String {
        let digits: String = self.rest().chars().take(most).take_while(|c| c.is_digit(radix)).collect();
        self.at += digits.len();
        digits
    }
}

fn push(bytes: &mut Vec<u8>, byte: u8) -> Result<()> {
    bytes.push(byte);
    Ok(())
}
