//! What Kubernetes says of names, label values and other strings that are not as they should be, after
//! apimachinery's `pkg/util/validation` and `pkg/api/validate/content` and kube-openapi's `strfmt`.

use std::sync::LazyLock;

use regex::Regex;

use super::go_url::Url;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SERVICE_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const UUID: &str = "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}";
const BASE64: &str = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})";
const TIME: &str = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})";
/// The most bytes of a label, and of the name in a key.
const MAX_LABEL: usize = 63;
/// The most bytes of a subdomain.
const MAX_SUBDOMAIN: usize = 253;

/// Whether the whole of a text is as a pattern says. The pattern is a constant of this file.
macro_rules! matches_whole {
    ($pattern:expr, $text:expr) => {{
        static REGEX: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(&format!("^(?:{})$", $pattern)).ok());
        REGEX.as_ref().is_some_and(|regex| regex.is_match($text))
    }};
}

/// A label of DNS, RFC 1123; of a prefix, the dash that it may end in is no matter.
pub(super) fn label(name: &str, prefix: bool) -> Vec<String> {
    let name = &*masked(name, prefix);
    let mut wrong = Vec::new();
    if name.len() > MAX_LABEL {
        wrong.push(too_many_characters(MAX_LABEL));
    }
    if !matches_whole!(LABEL, name) {
        wrong.push(if is_subdomain(name) {
            "must not contain dots".to_owned()
        } else {
            let what = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
                        must start and end with an alphanumeric character";
            unlike(what, LABEL, &["my-name", "123-abc"])
        });
    }
    wrong
}

/// A subdomain of DNS, RFC 1123.
pub(super) fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    let name = &*masked(name, prefix);
    let mut wrong = Vec::new();
    if name.len() > MAX_SUBDOMAIN {
        wrong.push(too_many_characters(MAX_SUBDOMAIN));
    }
    wrong.extend(not_a_subdomain(name));
    wrong
}

/// A label of DNS, RFC 1035, as Services have.
pub(super) fn service_label(name: &str, prefix: bool) -> Vec<String> {
    let name = &*masked(name, prefix);
    let mut wrong = Vec::new();
    if name.len() > MAX_LABEL {
        wrong.push(too_many_characters(MAX_LABEL));
    }
    if !matches_whole!(SERVICE_LABEL, name) {
        let what = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                    alphabetic character, and end with an alphanumeric character";
        wrong.push(unlike(what, SERVICE_LABEL, &["my-name", "abc-123"]));
    }
    wrong
}

/// The key of a label or an annotation, with or without a prefix.
pub(super) fn qualified(key: &str) -> Vec<String> {
    let characters = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                      alphanumeric character";
    let unlike = || unlike(characters, KEY, &["MyName", "my.name", "123-abc"]);
    let parts: Vec<&str> = key.split('/').collect();
    let (prefix, name) = match *parts {
        [name] => (None, name),
        [prefix, name] => (Some(prefix), name),
        _ => {
            let domain = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {domain}", unlike())];
        }
    };
    let mut wrong = Vec::new();
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            if prefix.len() > MAX_SUBDOMAIN {
                wrong.push(format!("prefix part {}", too_many_bytes(MAX_SUBDOMAIN)));
            }
            wrong.extend(not_a_subdomain(prefix).map(|reason| format!("prefix part {reason}")));
        }
        None => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL {
        wrong.push(format!("name part {}", too_many_bytes(MAX_LABEL)));
    }
    if !matches_whole!(KEY, name) {
        wrong.push(format!("name part {}", unlike()));
    }
    wrong
}

/// The value of a label.
pub(super) fn label_value(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > MAX_LABEL {
        wrong.push(too_many_bytes(MAX_LABEL));
    }
    if !matches_whole!(LABEL_VALUE, value) {
        let what = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                    and must start and end with an alphanumeric character";
        wrong.push(unlike(what, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// A URI as `url.ParseRequestURI` reads it.
pub(super) fn uri(text: &str) -> Vec<String> {
    Url::check_request(text).err().into_iter().collect()
}

pub(super) fn uuid(text: &str) -> Vec<String> {
    unless(matches_whole!(UUID, text), "does not match the UUID format")
}

pub(super) fn base64(text: &str) -> Vec<String> {
    unless(matches_whole!(BASE64, text), "invalid base64")
}

pub(super) fn date(text: &str) -> Vec<String> {
    unless(is_date(text), "invalid date")
}

/// What comes behind a second `T` is not looked at, nor whether the fraction begins with a point.
pub(super) fn datetime(text: &str) -> Vec<String> {
    let folded = text.to_lowercase();
    let mut parts = folded.split('t');
    let valid = match (parts.next(), parts.next()) {
        (Some(date), Some(time)) => is_date(date) && matches_whole!(TIME, time),
        _ => false,
    };
    unless(valid, "invalid datetime")
}

/// A day of a year of four digits, as Go's `time.Parse` reads it.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = *parts else { return false };
    let plain = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(year, 4) || !plain(month, 2) || !plain(day, 2) {
        return false;
    }
    match (year.parse(), month.parse(), day.parse()) {
        (Ok(year), Ok(month), Ok(day)) => jiff::civil::Date::new(year, month, day).is_ok(),
        _ => false,
    }
}

fn unless(valid: bool, reason: &str) -> Vec<String> {
    if valid { Vec::new() } else { vec![reason.to_owned()] }
}

fn is_subdomain(name: &str) -> bool {
    matches_whole!(SUBDOMAIN, name)
}

fn not_a_subdomain(name: &str) -> Option<String> {
    let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                must start and end with an alphanumeric character";
    (!is_subdomain(name)).then(|| unlike(what, SUBDOMAIN, &["example.com"]))
}

/// A prefix that ends in a dash may be followed by anything: its last two bytes are taken for one letter.
fn masked(name: &str, prefix: bool) -> std::borrow::Cow<'_, str> {
    match name.strip_suffix('-').filter(|rest| prefix && !rest.is_empty()) {
        Some(rest) => {
            let kept = rest.as_bytes().split_last().map(|(_, kept)| kept).unwrap_or_default();
            (String::from_utf8_lossy(kept) + "a").into_owned().into()
        }
        None => name.into(),
    }
}

fn too_many_characters(most: usize) -> String {
    format!("must be no more than {most} characters")
}

fn too_many_bytes(most: usize) -> String {
    format!("must be no more than {most} bytes")
}

/// What a text should be like, with examples and the pattern.
fn unlike(what: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{what} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}
