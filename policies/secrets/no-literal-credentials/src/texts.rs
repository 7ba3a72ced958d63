//! Credentials in texts: in values under their names, in command lines, and in files of settings.

use crate::formats;
use crate::names::{Named, named};
use crate::values::{is_literal, is_random};

/// What was found. The credential itself never leaves a module: messages have its length and how its format begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found<'t> {
    pub(crate) kind: &'static str,
    secret: &'t str,
    /// Whether its first characters are those of its format, which everybody knows.
    has_prefix: bool,
}

impl Found<'_> {
    /// What may be said of it.
    pub(crate) fn shown(&self) -> String {
        let length = self.secret.chars().count();
        match self.secret.get(..4) {
            Some(begin) if self.has_prefix && length >= 16 => format!("`{begin}…`, {length} characters"),
            _ => format!("{length} characters"),
        }
    }
}

/// What counts as a credential, beyond formats.
pub(crate) struct Recogniser<'s> {
    pub(crate) minimum_entropy: f64,
    /// Whether somebody has said that this value may stand there.
    pub(crate) is_allowed: &'s dyn Fn(&str) -> bool,
}

/// How private keys begin once they are in base64, as in kubeconfigs.
const ENCODED_KEYS: [&str; 5] = [
    "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt",
    "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t",
    "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0t",
    "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZ",
    "LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFURSBLRVkt",
];
/// Addresses that whoever knows them may write to, and what of them is secret.
const WEBHOOKS: [(&str, usize); 4] = [
    ("hooks.slack.com/services/T", 40),
    ("discord.com/api/webhooks/", 80),
    ("discordapp.com/api/webhooks/", 80),
    (".webhook.office.com/webhookb2/", 100),
];

impl Recogniser<'_> {
    fn found<'t>(&self, kind: &'static str, secret: &'t str, has_prefix: bool) -> Option<Found<'t>> {
        (!(self.is_allowed)(secret)).then_some(Found { kind, secret, has_prefix })
    }

    /// A value with its name: of a variable, a flag, an annotation, a key.
    pub(crate) fn value<'t>(&self, name: &str, value: &'t str) -> Option<Found<'t>> {
        self.text(value).or_else(|| self.named(name, value))
    }

    /// The same by the name alone.
    fn named<'t>(&self, name: &str, value: &'t str) -> Option<Found<'t>> {
        let value = value.trim();
        let kind = named(name).filter(|_| is_literal(value) && !value.contains(char::is_whitespace))?;
        let login = || name.to_ascii_lowercase().ends_with("auth") && is_login(value);
        match kind {
            // What has an address is found by what it has before the host.
            Named::Password if !value.contains("://") => self.found("a password", value, false),
            Named::Token if login() => self.found("a login in base64", value, false),
            Named::Token if is_random(value, self.minimum_entropy) => self.found("a secret", value, false),
            _ => None,
        }
    }

    /// What can be told without a name.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        if text.len() < 8 {
            return None;
        }
        let in_word = |word: &'t str| self.found(formats::kind_of(word)?, word, true);
        words(text)
            .find_map(in_word)
            .or_else(|| self.private_key(text))
            .or_else(|| self.address(text))
            .or_else(|| self.connection_string(text))
            .or_else(|| self.header(text))
            .or_else(|| self.telegram(text))
    }

    // Most values are short. Each search of a text takes longer than to see that it cannot hold what is sought.

    fn private_key<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        if text.len() < 80 {
            return None;
        }
        let begins = |(at, begin): (usize, &str)| {
            let (key, rest) = text.get(at + begin.len()..)?.split_once("-----")?;
            let is_key = key.len() < 40 && key.contains("PRIVATE KEY");
            let body = rest.split("-----").next().unwrap_or_default();
            let held = body.bytes().filter(u8::is_ascii_alphanumeric).count();
            (is_key && held >= 60).then_some(body)
        };
        let body = text.match_indices("-----BEGIN ").find_map(begins);
        let encoded = || {
            let at = ENCODED_KEYS.iter().find_map(|begin| text.find(begin))?;
            text.get(at..)?
                .split(|character: char| !is_base64(character))
                .next()
                .filter(|key| key.len() > 100)
        };
        self.found("a private key", body.or_else(encoded)?, false)
    }

    /// An address with a password before its host, or one that is a secret itself.
    fn address<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        let userinfo = |(at, _): (usize, &str)| {
            let ends = |character: char| {
                character.is_whitespace()
                    || matches!(character, '/' | '?' | '#' | '"' | '\'' | '`' | '<' | '>' | ',')
            };
            let authority = text.get(at + 3..)?.split(ends).next()?;
            let (userinfo, host) = authority.rsplit_once('@')?;
            if host.is_empty() {
                return None;
            }
            match userinfo.split_once(':') {
                Some((user, password)) => {
                    let is_example =
                        matches!((user, password), ("user" | "username" | "foo", "pass" | "bar" | "pwd"));
                    let literal =
                        is_literal(password) && !is_example && !password.contains(['{', '}', '(', ')', '[']);
                    literal.then(|| self.found("a password in an address", password, false))?
                }
                // The user alone is a token for some; Sentry's is public.
                None if host.contains("sentry") || !is_random(userinfo, self.minimum_entropy) => None,
                None => self.found("a token in an address", userinfo, false),
            }
        };
        let webhook = || {
            if text.len() < 40 {
                return None;
            }
            let whole = |(begin, least): &(&str, usize)| {
                let rest = text.get(text.find(begin)?..)?;
                let path = rest
                    .split(|character: char| character.is_whitespace() || matches!(character, '"' | '\''))
                    .next();
                path.filter(|path| path.len() >= *least && crate::values::is_varied(path))
            };
            self.found("a webhook's address", WEBHOOKS.iter().find_map(whole)?, false)
        };
        text.match_indices("://").find_map(userinfo).or_else(webhook)
    }

    /// `Server=db;Password=...`, `host=db password=...`, `?user=a&password=...`, `AccountKey=...`.
    fn connection_string<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        let is_end = |character: char| {
            character.is_whitespace() || matches!(character, ';' | '&' | '?' | '"' | '\'' | '`' | ',')
        };
        let pairs = text.lines().filter(|line| line.len() < 4096 && line.matches('=').count() > 1);
        pairs.flat_map(|line| line.split(is_end)).find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let is_plain = !value.contains(['(', ')', '[', ']', '{', '}', '<', '>', '$']);
            (is_plain && is_name(name)).then(|| self.named(name, value))?
        })
    }

    /// `Authorization: Basic ...`, `Bearer ...`.
    fn header<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        if !text.contains(' ') {
            return None;
        }
        let after = |scheme: &str| {
            let rest = text.get(text.find(scheme)? + scheme.len()..)?;
            rest.split(|character: char| character.is_whitespace() || matches!(character, '"' | '\'')).next()
        };
        let basic = after("Basic ").filter(|login| is_login(login));
        let bearer = || after("Bearer ").filter(|token| is_random(token, self.minimum_entropy));
        basic
            .and_then(|login| self.found("a login in base64", login, false))
            .or_else(|| self.found("a bearer token", bearer()?, false))
    }

    /// A bot's number, a colon, and 35 characters that begin with `AA`.
    fn telegram<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        if text.len() < 44 {
            return None;
        }
        let of_token = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        let token = |(at, _): (usize, &str)| {
            let digits = text.get(..at)?.bytes().rev().take_while(u8::is_ascii_digit).count();
            let rest = text.get(at + 1..)?.split(|character| !of_token(character)).next()?;
            ((8..=10).contains(&digits) && rest.len() == 35 && crate::values::is_varied(rest)).then_some(rest)
        };
        self.found("a Telegram token", text.match_indices(":AA").find_map(token)?, false)
    }

    /// A file of settings: `name: value`, `name = value`, `"name": "value",`, `export NAME=value`, a line each.
    pub(crate) fn lines<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        self.text(text).or_else(|| text.lines().find_map(|line| self.assignment(line)))
    }

    fn assignment<'t>(&self, line: &'t str) -> Option<Found<'t>> {
        let line = line.trim();
        if line.starts_with(['#', '/', ';', '<', '!']) {
            return None;
        }
        let line =
            line.strip_prefix("- ").unwrap_or(line).trim_start_matches("export ").trim_start_matches("ENV ");
        let at = line.find(['=', ':'])?;
        let (name, rest) = line.split_at_checked(at)?;
        let name = name.trim().trim_matches(['"', '\'']);
        let value = rest.get(1..)?.trim().trim_end_matches([',', ';']);
        let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let value = match unquoted {
            Some(inside) if !inside.contains(['"', '\'']) => inside,
            // What follows a `#` is a comment.
            _ => value.split(" #").next().unwrap_or(value).trim(),
        };
        let is_plain = !value.contains(['(', ')', '[', ']', '{', '}', '<', '>', '"', '\'', '|']);
        (is_plain && is_name(name)).then(|| self.named(name, value))?
    }

    /// A command line. Tells which of its words it is in.
    pub(crate) fn command<'t>(&self, command: &'t [String]) -> Option<(usize, Found<'t>)> {
        let mut flag: Option<&str> = None;
        for (index, argument) in command.iter().enumerate() {
            if let Some(found) = self.text(argument) {
                return Some((index, found));
            }
            // Of a script each word, else the whole.
            let is_script = argument.contains(char::is_whitespace);
            let whole = (!is_script).then_some(argument.as_str());
            let words = argument.split(|character: char| character.is_whitespace() || character == ';');
            for word in whole.into_iter().chain(words.filter(|_| is_script)) {
                let word = word.trim_matches(['"', '\'']);
                let found = match (word.split_once('='), flag.take()) {
                    (Some((name, value)), _) => {
                        let value = value.trim_matches(['"', '\'']);
                        is_name(name).then(|| self.named(name, value)).flatten()
                    }
                    (None, Some("u" | "user")) => word
                        .split_once(':')
                        .filter(|(_, it)| is_literal(it))
                        .and_then(|(_, password)| self.found("a password", password, false)),
                    (None, Some(name)) if !word.starts_with('-') => self.named(name, word),
                    _ => None,
                };
                if let Some(found) = found {
                    return Some((index, found));
                }
                flag = word
                    .strip_prefix('-')
                    .map(|name| name.trim_start_matches('-'))
                    .filter(|name| is_name(name));
            }
        }
        None
    }
}

/// What formats are compared with.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let of_word =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '~');
    text.split(move |character| !of_word(character)).map(|word| word.trim_end_matches('.'))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_base64(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=')
}

/// Whether it is base64 of a name and a password with a colon between them.
fn is_login(text: &str) -> bool {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut count, mut decoded) = (0_u32, 0, Vec::new());
    for byte in text.trim_end_matches('=').bytes() {
        let Some(digit) = digit(byte) else { return false };
        (bits, count) = (bits << 6 | u32::from(digit), count + 6);
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    let colon = decoded.iter().position(|byte| *byte == b':');
    let is_text = decoded.iter().all(|byte| byte.is_ascii_graphic());
    is_text && colon.is_some_and(|at| at > 0 && decoded.len() > at + 3)
}
