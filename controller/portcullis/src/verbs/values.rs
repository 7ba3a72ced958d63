//! What flags take: a person's text in, a value or what is wrong with it out.

use jiff::SignedDuration;
use std::net::SocketAddr;
use std::time::Duration;

/// A length of time that is not negative: `90s`, `1h30m`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let signed: SignedDuration =
        text.parse().map_err(|_| "write a number and its unit, such as `90s` or `1h30m`".to_owned())?;
    Duration::try_from(signed).map_err(|_| "it is negative".to_owned())
}

/// How many threads there shall be.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    in_range(text, 1, 1_024)
}

/// How many requests.
pub(super) fn requests(text: &str) -> Result<usize, String> {
    in_range(text, 1, 1_000_000)
}

fn in_range(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("write a number from {least} to {most}"))
}

/// A namespace's name (RFC 1123, a label).
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    is_name.then(|| text.to_owned()).ok_or_else(|| {
        "a namespace's name has lower-case letters, digits and, between them, `-`; 63 at most".to_owned()
    })
}

/// Where to listen.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as `127.0.0.1:8443`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_flags() {
        for (text, seconds) in [("0", Some(0)), ("90", Some(90)), ("90s", Some(90)), ("1h30m", Some(5_400))] {
            assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        for text in ["", "-1", "-1s", "1 parsec", "1.5"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, expected) in
            [("1", Some(1)), ("1024", Some(1024)), ("0", None), ("1025", None), ("-1", None)]
        {
            assert_eq!(threads(text).ok(), expected, "{text}");
        }
        for (text, is_name) in [
            ("portcullis", true),
            ("a", true),
            ("a-1", true),
            ("", false),
            ("A B", false),
            ("-a", false),
            ("a-", false),
            ("a.b", false),
        ] {
            assert_eq!(namespace(text).is_ok(), is_name, "{text}");
        }
        assert!(namespace(&"a".repeat(63)).is_ok() && namespace(&"a".repeat(64)).is_err());
        for (text, is_address) in
            [("127.0.0.1:0", true), ("[::]:8443", true), (":8443", false), ("localhost:0", false)]
        {
            assert_eq!(address(text).is_ok(), is_address, "{text}");
        }
    }
}
