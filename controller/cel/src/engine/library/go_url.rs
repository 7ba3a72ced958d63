//! URLs as Go's `net/url` reads and writes them, which is neither what browsers do nor quite RFC 3986.

use std::borrow::Cow;
use std::fmt;

use super::super::format::quote;
use super::addr;

/// More parameters than this are no query (Go's `urlmaxqueryparams`).
const MAX_PARAMETERS: usize = 10_000;

/// A URL in its parts; those that can hold any byte once they are decoded are bytes.
#[derive(Debug, Default)]
pub(super) struct Url {
    scheme: String,
    /// What follows the scheme where that is no path.
    opaque: String,
    user: Option<User>,
    host: Vec<u8>,
    path: Vec<u8>,
    /// The path as written, where encoding it gives something else.
    raw_path: String,
    force_query: bool,
    raw_query: String,
    fragment: Vec<u8>,
    raw_fragment: String,
    /// Whether there is a scheme and a path but nothing between them.
    omit_host: bool,
}

#[derive(Debug)]
struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// A part of a URL, which decides what has to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Zone,
    User,
    Query,
    Fragment,
}

impl Url {
    /// Reads a URL that may have a fragment.
    ///
    /// # Errors
    /// The message of `url.Parse`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut parsed = Self::parse_parts(url, false).map_err(|error| failed(url, &error))?;
        if !fragment.is_empty() {
            let decoded = decode(fragment, Part::Fragment).map_err(|error| failed(text, &error))?;
            if encode(&decoded, Part::Fragment) != fragment {
                fragment.clone_into(&mut parsed.raw_fragment);
            }
            parsed.fragment = decoded;
        }
        Ok(parsed)
    }

    /// Checks a URL as a request has it: absolute, or an absolute path.
    ///
    /// # Errors
    /// The message of `url.ParseRequestURI`.
    pub(super) fn check_request(text: &str) -> Result<(), String> {
        Self::parse_parts(text, true).map(|_| ()).map_err(|error| failed(text, &error))
    }

    fn parse_parts(text: &str, via_request: bool) -> Result<Self, Cow<'static, str>> {
        let mut url = Self::default();
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err("net/url: invalid control character in URL".into());
        }
        if text.is_empty() && via_request {
            return Err("empty url".into());
        }
        if text == "*" {
            url.path = b"*".to_vec();
            return Ok(url);
        }
        let (scheme, mut rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        match rest.split_once('?') {
            Some((before, "")) => {
                url.force_query = true;
                rest = before;
            }
            Some((before, query)) => {
                query.clone_into(&mut url.raw_query);
                rest = before;
            }
            None => {}
        }
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                rest.clone_into(&mut url.opaque);
                return Ok(url);
            }
            if via_request {
                return Err("invalid URI for request".into());
            }
            if first_segment(rest).contains(':') {
                return Err("first path segment in URL cannot contain colon".into());
            }
        }
        let may_have_host = !url.scheme.is_empty() || (!via_request && !rest.starts_with("///"));
        if let Some(after) = rest.strip_prefix("//").filter(|_| may_have_host) {
            let authority = first_segment(after);
            rest = after.get(authority.len()..).unwrap_or_default();
            url.read_authority(authority)?;
        } else if !url.scheme.is_empty() && rest.starts_with('/') {
            url.omit_host = true;
        }
        let path = decode(rest, Part::Path)?;
        if encode(&path, Part::Path) != rest {
            rest.clone_into(&mut url.raw_path);
        }
        url.path = path;
        Ok(url)
    }

    fn read_authority(&mut self, authority: &str) -> Result<(), Cow<'static, str>> {
        let Some((user, host)) = authority.rsplit_once('@') else {
            self.host = read_host(&self.scheme, authority)?;
            return Ok(());
        };
        self.host = read_host(&self.scheme, host)?;
        if !user.bytes().all(may_be_in_user) {
            return Err("net/url: invalid userinfo".into());
        }
        let (name, password) =
            user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)));
        let name = decode(name, Part::User)?;
        let password = password.map(|password| decode(password, Part::User)).transpose()?;
        self.user = Some(User { name, password });
        Ok(())
    }

    /// The scheme in lower case.
    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host, and the port if there is one.
    pub(super) fn host(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.host)
    }

    /// The host without its port and without brackets, and the port or nothing.
    pub(super) fn host_and_port(&self) -> (String, String) {
        let whole = self.host();
        let (host, port) = match whole.rsplit_once(':').filter(|(_, port)| is_digits(port)) {
            Some((host, port)) => (host, port),
            None => (&*whole, ""),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        (bare.unwrap_or(host).to_owned(), port.to_owned())
    }

    /// The path as written, if that decodes to what it says, or encoded.
    pub(super) fn escaped_path(&self) -> String {
        if !self.raw_path.is_empty() && is_encoded(&self.raw_path, Part::Path) {
            return self.raw_path.clone();
        }
        if self.path == b"*" { "*".to_owned() } else { encode(&self.path, Part::Path) }
    }

    fn escaped_fragment(&self) -> String {
        if !self.raw_fragment.is_empty() && is_encoded(&self.raw_fragment, Part::Fragment) {
            return self.raw_fragment.clone();
        }
        encode(&self.fragment, Part::Fragment)
    }

    /// The parameters in their order; those that are not well formed are left out.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        let parameters = self.raw_query.split('&');
        if parameters.clone().count() > MAX_PARAMETERS {
            return Vec::new();
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        parameters
            .filter(|parameter| !parameter.is_empty() && !parameter.contains(';'))
            .filter_map(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                Some((text(decode(name, Part::Query).ok()?), text(decode(value, Part::Query).ok()?)))
            })
            .collect()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            self.fmt_authority_and_path(f)?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if self.force_query || !self.raw_query.is_empty() {
            write!(f, "?{}", self.raw_query)?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", self.escaped_fragment())?;
        }
        Ok(())
    }
}

impl Url {
    fn fmt_authority_and_path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_authority = !self.host.is_empty() || self.user.is_some();
        let nothing_yet = self.scheme.is_empty() && !has_authority;
        if has_authority || (!self.scheme.is_empty() && !self.omit_host && !self.path.is_empty()) {
            f.write_str("//")?;
        }
        if let Some(User { name, password }) = &self.user {
            f.write_str(&encode(name, Part::User))?;
            if let Some(password) = password {
                write!(f, ":{}", encode(password, Part::User))?;
            }
            f.write_str("@")?;
        }
        f.write_str(&encode(&self.host, Part::Host))?;
        let path = self.escaped_path();
        if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
            f.write_str("/")?;
        }
        if nothing_yet && first_segment(&path).contains(':') {
            f.write_str("./")?;
        }
        f.write_str(&path)
    }
}

fn failed(url: &str, error: &str) -> String {
    format!("parse {}: {error}", quote(url))
}

fn first_segment(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// The scheme, or nothing, and what follows its colon.
fn split_scheme(text: &str) -> Result<(&str, &str), Cow<'static, str>> {
    let length =
        text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let Some((scheme, rest)) = text.split_at_checked(length) else { return Ok(("", text)) };
    match rest.strip_prefix(':') {
        Some(_) if scheme.is_empty() => Err("missing protocol scheme".into()),
        Some(after) if scheme.starts_with(|first: char| first.is_ascii_alphabetic()) => Ok((scheme, after)),
        _ => Ok(("", text)),
    }
}

fn read_host(scheme: &str, host: &str) -> Result<Vec<u8>, Cow<'static, str>> {
    match host.rfind('[') {
        Some(0) => return read_literal(host),
        Some(_) => return Err("invalid IP-literal".into()),
        None => {}
    }
    // What follows the first colon is the port in URLs of the web, what follows the last one in others.
    let colon = if matches!(scheme, "http" | "https") { host.find(':') } else { host.rfind(':') };
    if let Some(at) = colon {
        check_port(host.get(at..).unwrap_or_default())?;
    }
    decode(host, Part::Host)
}

/// Reads an IPv6 address in brackets, which may have a zone, and a port.
fn read_literal(host: &str) -> Result<Vec<u8>, Cow<'static, str>> {
    let inside = host.strip_prefix('[').unwrap_or(host);
    let Some((address, port)) = inside.rsplit_once(']') else { return Err("missing ']' in host".into()) };
    check_port(port)?;
    let decoded = match address.find("%25") {
        Some(at) => {
            let (address, zone) = address.split_at_checked(at).unwrap_or((address, ""));
            let mut decoded = decode(address, Part::Host)?;
            decoded.extend(decode(zone, Part::Zone)?);
            decoded
        }
        None => decode(address, Part::Host)?,
    };
    let parsed =
        addr::parse(&String::from_utf8_lossy(&decoded)).map_err(|error| format!("invalid host: {error}"))?;
    if parsed.addr.is_ipv4() {
        return Err("invalid IP-literal".into());
    }
    Ok([b"[", &*decoded, b"]", port.as_bytes()].concat())
}

fn check_port(port: &str) -> Result<(), Cow<'static, str>> {
    if port.is_empty() || port.strip_prefix(':').is_some_and(is_digits) {
        return Ok(());
    }
    Err(format!("invalid port {} after host", quote(port)).into())
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn may_be_in_user(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

/// Whether a byte has to be encoded in a part of a URL.
fn must_encode(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    let allowed: &[u8] = match part {
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::User => b"$&+,;=",
        Part::Query => b"",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    !allowed.contains(&byte)
}

/// Whether text is a valid encoding of a part as it stands.
fn is_encoded(text: &str, part: Part) -> bool {
    text.bytes().all(|byte| b"!$&'()*+,;=:@[]%".contains(&byte) || !must_encode(byte, part))
}

fn encode(bytes: &[u8], part: Part) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b' ' if part == Part::Query => encoded.push('+'),
            byte if must_encode(byte, part) => encoded.push_str(&format!("%{byte:02X}")),
            byte => encoded.push(byte.into()),
        }
    }
    encoded
}

fn decode(text: &str, part: Part) -> Result<Vec<u8>, Cow<'static, str>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'%' => {
                let Some(value) = hex_byte(after) else { return Err(bad_escape(rest)) };
                let is_percent = value == b'%' && after.starts_with(b"25");
                // Hosts hold no encoded ASCII; zones only what a host may hold anyway, and spaces.
                let refused = match part {
                    Part::Host => value < 0x80 && !is_percent,
                    Part::Zone => !is_percent && value != b' ' && must_encode(value, Part::Host),
                    _ => false,
                };
                if refused {
                    return Err(bad_escape(rest));
                }
                decoded.push(value);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            b'+' if part == Part::Query => decoded.push(b' '),
            byte if matches!(part, Part::Host | Part::Zone) && byte < 0x80 && must_encode(byte, part) => {
                let shown = quote(&char::from(byte).to_string());
                return Err(format!("invalid character {shown} in host name").into());
            }
            byte => decoded.push(byte),
        }
        rest = after;
    }
    Ok(decoded)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |index: usize| char::from(*digits.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn bad_escape(rest: &[u8]) -> Cow<'static, str> {
    let shown = String::from_utf8_lossy(rest.get(..3).unwrap_or(rest));
    format!("invalid URL escape {}", quote(&shown)).into()
}
