//! Reading JSON that was written by the host. Nearly all of a request is skipped, so that this is what takes the time of a
//! call: strings are looked through eight bytes at a time, and what is skipped is not looked at otherwise. Numbers that are
//! no integers, and strings with escapes, are left to `serde_json`.

mod deserializer;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What nests deeper is refused, as `serde_json` does.
const MAX_DEPTH: u32 = 128;
/// By these names types ask for their JSON as it is written.
const RAW: &str = "$portcullis_sdk::Raw";
const RAW_OF_SERDE_JSON: &str = "$serde_json::private::RawValue";

/// Reads a value that is all of a text.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    read_all(Json { text, at: 0, depth: 0, null_is_absent: false })
}

/// The same for what the API server stores: where a type has texts, lists, objects or truth values, null is an empty one, or
/// false, for there it is as if it were absent.
pub(crate) fn read_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    read_all(Json { text, at: 0, depth: 0, null_is_absent: true })
}

fn read_all<'a, T: Deserialize<'a>>(mut json: Json<'a>) -> Result<T, Error> {
    let value = T::deserialize(&mut json)?;
    match json.peek() {
        None => Ok(value),
        Some(_) => Err(de::Error::custom("there is more than one value")),
    }
}

/// Why a text cannot be read as a type, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error {
    /// Such as `spec.containers[0]`; empty for the whole.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Error {
    fn below(mut self, part: impl fmt::Display) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{part}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: String::new(), message: message.to_string() }
    }
}

/// A value as it is written, not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a>(pub(crate) &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Raw<'de>, E> {
                Ok(Raw(text))
            }
        }
        deserializer.deserialize_newtype_struct(RAW, Text)
    }
}

/// A text, read as far as `at`.
struct Json<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    null_is_absent: bool,
}

impl<'a> Json<'a> {
    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.next_is(byte) {
            return Ok(());
        }
        Err(de::Error::custom(format_args!("expected `{}` at byte {}", char::from(byte), self.at)))
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        Err(de::Error::custom(format_args!("expected a value at byte {}", self.at)))
    }

    /// Whether the value that begins here is null and as if absent; it then is read.
    fn is_absent(&mut self) -> Result<bool, Error> {
        let is_absent = self.null_is_absent && self.peek() == Some(b'n');
        if is_absent {
            self.word("null")?;
        }
        Ok(is_absent)
    }

    /// What was read since a place.
    fn since(&self, begin: usize) -> &'a str {
        self.text.get(begin..self.at).unwrap_or_default()
    }

    /// The string that begins here.
    fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        let begin = self.at;
        self.expect(b'"')?;
        let inside = self.at;
        let (end, has_escapes) = end_of_string(self.text.as_bytes(), inside).ok_or_else(cut_off)?;
        self.at = end + 1;
        if has_escapes {
            return serde_json::from_str(self.since(begin)).map(Cow::Owned).map_err(de::Error::custom);
        }
        Ok(Cow::Borrowed(self.text.get(inside..end).unwrap_or_default()))
    }

    /// Skips the value that begins here. Of what is nested only the brackets count.
    fn skip(&mut self) -> Result<(), Error> {
        let first = self.peek();
        let bytes = self.text.as_bytes();
        self.at = match first {
            Some(b'"') => end_of_string(bytes, self.at + 1).map(|(end, _)| end + 1),
            Some(b'{' | b'[') => end_of_nested(bytes, self.at + 1),
            // A number or a word, which what follows it ends.
            Some(_) => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r');
                let rest = bytes.get(self.at..).unwrap_or_default();
                Some(self.at + rest.iter().position(ends).unwrap_or(rest.len()))
            }
            None => None,
        }
        .ok_or_else(cut_off)?;
        Ok(())
    }

    fn raw(&mut self) -> Result<&'a str, Error> {
        self.peek();
        let begin = self.at;
        self.skip()?;
        Ok(self.since(begin))
    }

    /// The error for a value that is of another type.
    #[cold]
    fn mistyped(&mut self, expected: &dyn de::Expected) -> Error {
        let text;
        let found = match self.peek() {
            Some(b'"') => match self.string() {
                Ok(string) => {
                    text = string;
                    Unexpected::Str(&text)
                }
                Err(error) => return error,
            },
            Some(b'{') => Unexpected::Map,
            Some(b'[') => Unexpected::Seq,
            Some(b't') => Unexpected::Bool(true),
            Some(b'f') => Unexpected::Bool(false),
            Some(b'n') => Unexpected::Other("null"),
            Some(_) => Unexpected::Other("number"),
            None => return cut_off(),
        };
        de::Error::invalid_type(found, expected)
    }

    /// Whole numbers of any width, which visitors tell apart.
    fn integer<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let begin = self.at;
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.mistyped(&visitor));
        }
        let text = self.raw()?;
        match (text.parse::<u64>(), text.parse::<i64>()) {
            (Ok(number), _) => visitor.visit_u64(number),
            (_, Ok(number)) => visitor.visit_i64(number),
            _ => {
                self.at = begin;
                Err(self.mistyped(&visitor))
            }
        }
    }

    fn number<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let text = self.raw()?;
        if let Ok(number) = text.parse::<u64>() {
            return visitor.visit_u64(number);
        }
        match text.parse::<i64>() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => visitor.visit_f64(serde_json::from_str(text).map_err(de::Error::custom)?),
        }
    }

    /// What is inside of brackets, of which the first is next.
    fn nested<T>(&mut self, inside: impl FnOnce(Entries<'_, 'a>) -> Result<T, Error>) -> Result<T, Error> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(de::Error::custom(format_args!("it nests deeper than {MAX_DEPTH} levels")));
        }
        let value = inside(Entries { json: self, key: Cow::Borrowed(""), index: 0 })?;
        self.depth -= 1;
        Ok(value)
    }
}

/// The entries of a list or an object.
struct Entries<'j, 'a> {
    json: &'j mut Json<'a>,
    /// The key whose value comes next.
    key: Cow<'a, str>,
    index: usize,
}

impl Entries<'_, '_> {
    /// Whether there is another entry before the bracket that ends them.
    fn has_next(&mut self, end: u8) -> Result<bool, Error> {
        if self.json.peek() == Some(end) {
            return Ok(false);
        }
        if self.index > 0 {
            self.json.expect(b',')?;
        }
        self.index += 1;
        Ok(true)
    }
}

fn cut_off() -> Error {
    de::Error::custom("the text is cut off")
}

/// The place after the bracket that ends what is open here.
fn end_of_nested(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 1_usize;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        if byte == b'"' {
            at = end_of_string(bytes, at)?.0 + 1;
        } else if byte | 0x20 == b'{' {
            // Or `[`, which is the same but for this bit.
            depth += 1;
        } else if byte | 0x20 == b'}' {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
}

/// Where the string ends whose first byte is here, and whether there are escapes in it.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut has_escapes = false;
    loop {
        while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*eight);
            let found = places(word, b'"') | places(word, b'\\');
            if found != 0 {
                at += (found.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => return Some((at, has_escapes)),
            b'\\' => {
                has_escapes = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// A bit in each byte that is this one; above the lowest such byte others may have one, too.
fn places(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::MAX / 0xFF;
    let differs = word ^ (ONES * u64::from(byte));
    differs.wrapping_sub(ONES) & !differs & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[test]
    fn it_reads_what_serde_json_reads() {
        let long = "a text without end, ".repeat(20);
        let quoted = serde_json::to_string(&format!("{long}\"\\\u{1}ä😀{long}")).unwrap();
        for text in [
            "null",
            "true",
            " [ false , 1 ,\n-2\t, 3.5e2, 18446744073709551615, -9223372036854775808, 1e400 ] ",
            "{}",
            "[]",
            r#"{"a":{"b":[{"c":"d"},[]],"":null},"e":"\u00e4\n\"}]","😀":"ä"}"#,
            include_str!("../../../../tests/reviews/pod-7kb.json"),
            "18446744073709551616",
            "0.1",
            &quoted,
            &format!("[{quoted},{{{quoted}:{quoted}}}]"),
            "",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "\"a",
            "tru",
            "1 2",
            "]",
            "[}",
        ] {
            assert_eq!(read::<Value>(text).ok(), serde_json::from_str(text).ok(), "{text}");
        }
        for depth in [127, 128, 129] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(read::<Value>(&text).is_ok(), depth <= 128, "{depth}");
            assert!(read::<de::IgnoredAny>(&text).is_ok());
        }
    }

    #[test]
    fn what_is_skipped_is_skipped_as_a_whole() {
        #[derive(Deserialize)]
        struct Last<'a> {
            #[serde(borrow)]
            raw: Raw<'a>,
            last: u8,
        }
        for skipped in
            ["1", "-1.5", "null", "\"a\\\"b\"", "[]", "{}", r#"{"a":["}",{"]":"{"}], "b":"\\"}"#, "[[1, 2]]"]
        {
            let text = format!(r#"{{"x": {skipped} ,"raw":{skipped}, "y":{skipped},"last":7}}"#);
            let Last { raw, last } = read(&text).unwrap();
            assert_eq!((raw.0, last), (skipped, 7), "{text}");
        }
    }

    #[test]
    fn the_types_of_serde_can_be_read() {
        #[derive(Debug, PartialEq, Deserialize)]
        enum Shape {
            Unit,
            New(u8),
            Tuple(u8, u8),
            Struct { a: u8 },
        }
        let shapes: Vec<Shape> =
            read(r#"["Unit",{"Unit":null},{"New":1},{"Tuple":[1,2]},{"Struct":{"a":1}}]"#).unwrap();
        use Shape::{New, Struct, Tuple, Unit};
        assert_eq!(shapes, [Unit, Unit, New(1), Tuple(1, 2), Struct { a: 1 }]);
        #[derive(Debug, PartialEq, Deserialize)]
        struct All<'a> {
            text: &'a str,
            owned: String,
            float: f64,
            letter: char,
            nothing: (),
            pair: (u8, Option<i8>),
            #[serde(flatten)]
            rest: BTreeMap<String, Value>,
        }
        let text =
            r#"{"text":"a","owned":"\n","float":1,"letter":"ä","nothing":null,"pair":[1,-1],"x":[1],"y":{}}"#;
        let rest = BTreeMap::from([("x".to_owned(), json!([1])), ("y".to_owned(), json!({}))]);
        let owned = "\n".to_owned();
        let all = All { text: "a", owned, float: 1.0, letter: 'ä', nothing: (), pair: (1, Some(-1)), rest };
        assert_eq!(read::<All<'_>>(text), Ok(all));
        let raw: BTreeMap<&str, &serde_json::value::RawValue> = read(r#"{"a": [1, 2] }"#).unwrap();
        assert_eq!(raw["a"].get(), "[1, 2]");
        let boxed: Box<serde_json::value::RawValue> = read(" {} ").unwrap();
        assert_eq!(boxed.get(), "{}");
    }

    #[test]
    fn an_error_says_where() {
        let check = |text: &str, path: &str, message: &str| {
            let error = read::<BTreeMap<String, Vec<BTreeMap<String, u8>>>>(text).unwrap_err();
            assert_eq!((error.path.as_str(), error.message.as_str()), (path, message), "{text}");
        };
        check(r#"{"a":[{},{"b":"c"}]}"#, "a[1].b", "invalid type: string \"c\", expected u8");
        check(r#"{"a":[{"b":256}]}"#, "a[0].b", "invalid value: integer `256`, expected u8");
        check("[]", "", "invalid type: sequence, expected a map");
        check(r#"{"a":[{"b":1}"#, "a", "expected `,` at byte 13");
    }
}
