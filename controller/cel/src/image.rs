//! Container image references: parsed as container runtimes parse them (distribution/reference), compared
//! without the short cuts that let one registry pass for another.

use std::fmt;

use crate::error::shown;

/// The registry that a reference without one names.
const DEFAULT_HOST: &str = "docker.io";
/// The namespace of Docker Hub's own images.
const OFFICIAL_NAMESPACE: &str = "library";
/// The longest path distribution/reference accepts, in bytes.
const MAX_PATH: usize = 255;
/// The longest tag the OCI distribution specification accepts, in bytes.
const MAX_TAG: usize = 128;

/// A valid image reference, normalised: `nginx` is `docker.io/library/nginx`.
///
/// Only `index.docker.io` is another name of `docker.io`. Hosts are compared exactly, port included, so
/// `registry.example.com:443` is not `registry.example.com`: allow-lists fail closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
    qualified: bool,
}

/// Why a text is not an image reference, or not a prefix of some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {what}: {reason}", shown(.text))]
pub struct ImageError {
    text: String,
    what: &'static str,
    reason: &'static str,
}

/// A reference as it is written, in parts that are all well formed.
struct Parts<'t> {
    /// None if none is written.
    host: Option<&'t str>,
    path: &'t str,
    tag: Option<&'t str>,
    digest: Option<&'t str>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Result<Self, &'static str> {
        // Before anything else: look-alike letters must not reach a comparison, nor a change of case.
        if !text.is_ascii() {
            return Err("it has characters beyond ASCII");
        }
        if text.is_empty() {
            return Err("it is empty");
        }
        let (rest, digest) = match split_at(text, b'@') {
            Some((rest, digest)) => (rest, Some(check_digest(digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        let tag = tag.map(check_tag).transpose()?;
        if is_hex(name, 64) {
            return Err("64 hexadecimal digits alone name an image by its identity, not by reference");
        }
        let (host, path) = match split_at(name, b'/') {
            Some((first, rest)) if names_host(first) => (Some(check_host(first)?), rest),
            _ => (None, name),
        };
        check_path(path)?;
        Ok(Self { host, path, tag, digest })
    }
}

impl ImageReference {
    /// Parses a reference such as `nginx`, `ghcr.io/acme/app:1.2` or `localhost:5000/app@sha256:…`.
    ///
    /// # Errors
    /// Anything a container runtime would refuse: characters beyond ASCII, upper case in the path, empty or
    /// dotted components, user names, a malformed tag or digest.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let Parts { host, path, tag, digest } = Parts::of(text).map_err(|reason| ImageError {
            text: text.to_owned(),
            what: "image reference",
            reason,
        })?;
        let normalised = normal_host(host.unwrap_or(DEFAULT_HOST));
        let repository = if normalised == DEFAULT_HOST && !path.contains('/') {
            format!("{OFFICIAL_NAMESPACE}/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            host: normalised.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
            qualified: host.is_some(),
        })
    }

    /// Whether [`parse`](Self::parse) would succeed, without keeping anything.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        Parts::of(text).is_ok()
    }

    /// The registry's host, with its port if one is written.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path in the registry: `library/nginx`, `acme/app`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag as written; none stands for `latest` unless there is a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest as written; it decides, whatever the tag says.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether the reference as written names a registry. Runtimes differ on those that do not: CRI-O looks
    /// them up in a list of registries of its own.
    #[must_use]
    pub fn is_qualified(&self) -> bool {
        self.qualified
    }

    /// Whether [`is_under`](Self::is_under) can be asked about a prefix.
    ///
    /// # Errors
    /// What is wrong with it, for every image alike.
    pub fn check_prefix(prefix: &str) -> Result<(), ImageError> {
        split_prefix(prefix).map(drop).map_err(|reason| ImageError::of_prefix(prefix, reason))
    }

    /// Whether the image is the prefix itself or below it. The prefix is a registry (`ghcr.io`,
    /// `localhost:5000`) or a path in one (`ghcr.io/acme`); whole components count, so `ghcr.io/acme-evil`
    /// is not under `ghcr.io/acme`. Docker Hub's own images are under `docker.io/library`.
    ///
    /// # Errors
    /// A prefix that names no registry, carries a tag or digest, ends with `/` or is malformed.
    pub fn is_under(&self, prefix: &str) -> Result<bool, ImageError> {
        let (host, path) = split_prefix(prefix).map_err(|reason| ImageError::of_prefix(prefix, reason))?;
        let under_path = path.is_none_or(|path| {
            self.repository.strip_prefix(path).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        });
        Ok(self.host == host && under_path)
    }
}

impl ImageError {
    fn of_prefix(text: &str, reason: &'static str) -> Self {
        Self { text: text.to_owned(), what: "image prefix", reason }
    }
}

/// The normalised form: `docker.io/library/nginx:1.27`.
impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// A prefix's host and path.
fn split_prefix(prefix: &str) -> Result<(&str, Option<&str>), &'static str> {
    if !prefix.is_ascii() {
        return Err("it has characters beyond ASCII");
    }
    if prefix.is_empty() {
        return Err("it is empty");
    }
    if prefix.contains('@') {
        return Err("a prefix has no digest");
    }
    let (host, path) = match split_at(prefix, b'/') {
        Some((host, path)) => (host, Some(path)),
        None => (prefix, None),
    };
    if !names_host(host) {
        return Err("it names no registry; those of Docker Hub begin with `docker.io/`");
    }
    let host = normal_host(check_host(host)?);
    if let Some(path) = path {
        if path.is_empty() || path.ends_with('/') {
            return Err("it ends with `/`");
        }
        if path.contains(':') {
            return Err("a prefix has no tag");
        }
        check_path(path)?;
    }
    Ok((host, path))
}

/// Whether the first component of a name is a host; the rule of distribution/reference.
fn names_host(component: &str) -> bool {
    component == "localhost"
        || component.bytes().any(|byte| matches!(byte, b'.' | b':') || byte.is_ascii_uppercase())
}

fn normal_host(host: &str) -> &str {
    if host == "index.docker.io" { DEFAULT_HOST } else { host }
}

/// What stands before and behind the first of these bytes in a text of ASCII.
fn split_at(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Splits the tag off: what follows a `:` in the last component.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.bytes().rposition(|byte| matches!(byte, b':' | b'/')) {
        Some(at) if text.as_bytes().get(at) == Some(&b':') => {
            (text.get(..at).unwrap_or_default(), text.get(at + 1..))
        }
        _ => (text, None),
    }
}

fn check_host(text: &str) -> Result<&str, &'static str> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let hexadecimal = address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if address.is_empty() || !hexadecimal {
                return Err("its host is malformed");
            }
            match rest.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if rest.is_empty() => (None, None),
                None => return Err("its host is malformed"),
            }
        }
        None => match split_at(text, b':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("its port is not a number");
    }
    if host.is_some_and(|host| !host.as_bytes().split(|byte| *byte == b'.').all(is_host_label)) {
        return Err("its host is malformed");
    }
    Ok(text)
}

fn is_host_label(label: &[u8]) -> bool {
    !matches!(label, [] | [b'-', ..] | [.., b'-'])
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.len() > MAX_PATH {
        return Err("its path is longer than 255 characters");
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("its path has upper case");
    }
    let mut components = path.as_bytes().split(|byte| *byte == b'/');
    if components.clone().any(<[u8]>::is_empty) {
        return Err("its path has an empty component");
    }
    if !components.all(is_path_component) {
        return Err("its path is malformed");
    }
    Ok(())
}

/// Lower-case letters and digits, between which may stand `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &[u8]) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = component;
    loop {
        let word = rest.iter().take_while(|byte| is_word(**byte)).count();
        if word == 0 {
            return false;
        }
        rest = rest.get(word..).unwrap_or_default();
        rest = match rest {
            [] => return true,
            [b'_', b'_', after @ ..] | [b'.' | b'_', after @ ..] => after,
            [b'-', ..] => {
                let dashes = rest.iter().take_while(|byte| **byte == b'-').count();
                rest.get(dashes..).unwrap_or_default()
            }
            _ => return false,
        };
    }
}

fn check_tag(tag: &str) -> Result<&str, &'static str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
    if valid { Ok(tag) } else { Err("its tag is malformed") }
}

fn check_digest(digest: &str) -> Result<&str, &'static str> {
    let digits = match split_at(digest, b':') {
        Some(("sha256", hex)) => is_hex(hex, 64),
        Some(("sha384", hex)) => is_hex(hex, 96),
        Some(("sha512", hex)) => is_hex(hex, 128),
        _ => return Err("what follows `@` is not a digest"),
    };
    if digits { Ok(digest) } else { Err("its digest is malformed") }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
