//! What can be told about a JSON text without parsing it: how deep it nests, and whose review it is.
//!
//! Used where parsing is out of the question (too large, too deep, cut off), so that the answer can still
//! carry the review's uid. Nothing here recurses, and wrong JSON gives no answer rather than an error.

/// A uid longer than this is none: API servers send 36 characters.
const MAX_UID_BYTES: usize = 256;

/// Whether brackets nest at most `limit` deep.
pub(super) fn nests_at_most(json: &[u8], limit: usize) -> bool {
    // Counting is much cheaper than following strings, and settles nearly every review.
    let opening = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if opening <= limit {
        return true;
    }
    let mut deepest = 0;
    walk(json, |depth, _| {
        deepest = deepest.max(depth);
        deepest <= limit
    });
    deepest <= limit
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
            Token::Other => uid_follows &= depth != 2,
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
    Other,
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
            b',' => Token::Other,
            b'{' | b'[' => {
                depth += 1;
                Token::Other
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                Token::Other
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
        let check =
            |json: &str, limit, expect| assert_eq!(nests_at_most(json.as_bytes(), limit), expect, "{json}");
        check("", 0, true);
        check("[[]]", 2, true);
        check("[[]]", 1, false);
        check(r#"["[[[[", "\"[[[", {"{{": []}]"#, 3, true);
        check(r#"[[],[],[],[]]"#, 2, true);
        check(&"[".repeat(100_000), 99_999, false);
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
