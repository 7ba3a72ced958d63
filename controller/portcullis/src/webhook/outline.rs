//! What can be told about a JSON text without parsing it: how deep it nests, and whose review it is.
//!
//! Used where parsing is out of the question (too large, too deep, cut off), so that the answer can still
//! carry the review's uid. Nothing here recurses, and wrong JSON gives no answer rather than an error.

/// A uid longer than this is none: API servers send 36 characters.
const MAX_UID_BYTES: usize = 256;

/// What of a JSON text is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Brackets nest too deep.
    Depth,
    /// It would take too much memory.
    Memory,
}

/// What a value takes in memory while its list grows, in bytes.
const VALUE: usize = 80;

/// Whether brackets nest deeper than `depth`, or the values would take more than `memory` bytes, roughly.
pub(crate) fn excess(json: &[u8], depth: usize, memory: usize) -> Option<Excess> {
    // Counting is much cheaper than following strings, and settles nearly every review.
    let opening = opening_brackets(json);
    // A value takes two bytes of text at least.
    if opening <= depth && json.len() / 2 * VALUE <= memory {
        return None;
    }
    let mut taken = 0;
    let mut excess = None;
    walk(json, |at, token| {
        taken += match token {
            Token::Mark(b'{' | b'[' | b',') => VALUE,
            _ => 0,
        };
        if at > depth {
            excess = Some(Excess::Depth);
        } else if taken > memory {
            excess = Some(Excess::Memory);
        }
        excess.is_none()
    });
    excess
}

/// How many there are, inside strings too. Bytes are summed up in a form that takes many at once.
fn opening_brackets(json: &[u8]) -> usize {
    let in_chunk = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    json.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(in_chunk(chunk))).sum()
}

/// `request.uid` of a review of which only the beginning, or only the outline, can be read.
pub(super) fn uid(json: &[u8]) -> Option<String> {
    let mut uid = None;
    let mut last_string: &[u8] = b"";
    let mut in_request = false;
    let mut uid_follows = false;
    walk(json, |depth, token| {
        match token {
            Token::String(text) if depth == 2 && uid_follows => uid = Some(text),
            Token::String(text) => last_string = text,
            Token::Colon if depth == 1 => in_request = last_string == b"\"request\"",
            Token::Colon if depth == 2 => uid_follows = in_request && last_string == b"\"uid\"",
            Token::Colon => {}
            Token::Mark(_) => uid_follows &= depth != 2,
        }
        uid.is_none()
    });
    let uid = serde_json::from_slice::<String>(uid?).ok()?;
    (!uid.is_empty() && uid.len() <= MAX_UID_BYTES).then_some(uid)
}

/// What [`walk`] tells about.
enum Token<'a> {
    /// A string with its quotes.
    String(&'a [u8]),
    Colon,
    /// A bracket or a comma, after the depth has changed.
    Mark(u8),
}

/// Calls `visit` with the depth and each token until it returns false.
fn walk<'a>(json: &'a [u8], mut visit: impl FnMut(usize, Token<'a>) -> bool) {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        let begin = at;
        at += 1;
        let token = match byte {
            b'"' => {
                let Some(end) = end_of_string(json, at) else { return };
                at = end;
                Token::String(json.get(begin..end).unwrap_or_default())
            }
            b':' => Token::Colon,
            b',' => Token::Mark(*byte),
            b'{' | b'[' => {
                depth += 1;
                Token::Mark(*byte)
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                Token::Mark(*byte)
            }
            _ => continue,
        };
        if !visit(depth, token) {
            return;
        }
    }
}

/// Behind the closing quote of the string whose content begins at `at`.
fn end_of_string(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        let check = |json: &str, limit, fits: bool| {
            let expect = (!fits).then_some(Excess::Depth);
            assert_eq!(excess(json.as_bytes(), limit, usize::MAX), expect, "{json}");
        };
        check("", 0, true);
        check("[[]]", 2, true);
        check("[[]]", 1, false);
        check(r#"["[[[[", "\"[[[", {"{{": []}]"#, 3, true);
        check(r#"[[],[],[],[]]"#, 2, true);
        check(&"[".repeat(100_000), 99_999, false);
    }

    #[test]
    fn memory_is_estimated_by_what_is_outside_strings() {
        let check = |json: &str, expect| {
            assert_eq!(excess(json.as_bytes(), 9, 5 * VALUE), expect, "{json}");
        };
        check("[1,2,3,4]", None);
        check("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]", Some(Excess::Memory));
        check("[{},{},3]", None);
        check("[{},{},{},1]", Some(Excess::Memory));
        check(r#"[",,,,,,,,,,,,,,,,,,,,,,{{{{", "\",,,,{"]"#, None);
    }

    #[test]
    fn the_uid_is_found_without_the_rest() {
        let check =
            |json: &str, expect: Option<&str>| assert_eq!(uid(json.as_bytes()).as_deref(), expect, "{json}");
        check(r#"{"kind":"AdmissionReview","request":{"uid":"a-1","object":{"data":"cut o"#, Some("a-1"));
        check(
            r#" { "request" : { "kind" : {"uid": "no"}, "x": [1,"uid"], "uid" : "b\u002d2" } }"#,
            Some("b-2"),
        );
        check(r#"{"uid":"no","request":{"object":{"uid":"no"}}}"#, None);
        check(r#"{"request":{"uid":7,"name":"no"}}"#, None);
        check(r#"{"request":{"uid":{},"name":"no"}}"#, None);
        check(r#"{"object":{"uid":"no"},"request":{"uid":""}}"#, None);
        check(r#"{"request":{"uid":"cut"#, None);
        check("not json", None);
    }
}
