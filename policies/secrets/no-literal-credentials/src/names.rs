//! What a name says of its value.

/// What is kept under a name, if it is a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// Whatever it is, it is one: people choose passwords, and badly.
    Password,
    /// One if it looks like one: there are harmless things of this name.
    Token,
}

/// Ends of names; whatever follows (`_FILE`, `_NAME`, `_TTL`) makes it something about a credential.
const TOKENS: [&[&str]; 27] = [
    &["token"],
    &["tokens"],
    &["secret"],
    &["apikey"],
    &["api", "key"],
    &["access", "key"],
    &["accesskey"],
    &["secret", "key"],
    &["secretkey"],
    &["private", "key"],
    &["privatekey"],
    &["signing", "key"],
    &["encryption", "key"],
    &["auth", "key"],
    &["account", "key"],
    &["master", "key"],
    &["app", "key"],
    &["application", "key"],
    &["license", "key"],
    &["shared", "key"],
    &["storage", "key"],
    &["key", "base"],
    &["credential"],
    &["credentials"],
    &["creds"],
    &["auth"],
    &["salt"],
];

/// What a name stands for: `DB_PASSWORD`, `dbPassword`, `db.password`, `--db-password`.
pub(crate) fn named(name: &str) -> Option<Named> {
    // Annotations have a domain before their name.
    let words = words(name.rsplit('/').next().unwrap_or(name));
    let last = words.last()?.as_str();
    let is_switch = |word: &String| {
        matches!(
            word.as_str(),
            "allow" | "allowed" | "enable" | "enabled" | "disable" | "require" | "required" | "skip"
        )
    };
    let asks = |word: &String| matches!(word.as_str(), "use" | "no" | "is" | "has");
    if words.iter().any(is_switch) || words.first().is_some_and(asks) {
        return None;
    }
    let is_password = ["password", "passwd", "passphrase"].iter().any(|end| last.ends_with(end))
        || words.len() > 1 && matches!(last, "pass" | "pwd" | "pw");
    if is_password || is_vault(&words) {
        return Some(Named::Password);
    }
    let ends_with = |end: &[&str]| {
        let from = words.len().checked_sub(end.len());
        from.and_then(|from| words.get(from..))
            .is_some_and(|tail| tail.iter().zip(end).all(|(one, two)| one == two))
    };
    TOKENS.iter().any(|end| ends_with(end)).then_some(Named::Token)
}

/// In its development mode Vault takes whatever it is given, such as `root`.
fn is_vault(words: &[String]) -> bool {
    let joined = words.join("_");
    joined == "vault_token" || joined == "vault_dev_root_token_id"
}

/// The words of a name in lower case; numbers at its end say which of several it is.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for character in name.chars() {
        if !character.is_ascii_alphanumeric() {
            before = '_';
            continue;
        }
        let begins = before == '_' || before.is_ascii_lowercase() && character.is_ascii_uppercase();
        match words.last_mut() {
            Some(word) if !begins => word.push(character.to_ascii_lowercase()),
            _ => words.push(character.to_ascii_lowercase().to_string()),
        }
        before = character;
    }
    while words.last().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
        words.pop();
    }
    if let Some(last) = words.last_mut() {
        last.truncate(last.trim_end_matches(|character: char| character.is_ascii_digit()).len());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_says_what_it_is() {
        let check = |name: &str, expected| assert_eq!(named(name), expected, "{name}");
        for name in
            ["PASSWORD", "PGPASSWORD", "dbPassword", "spring.datasource.password", "DB_PASS", "redis-pwd"]
        {
            check(name, Some(Named::Password));
        }
        for name in ["MYSQL_ROOT_PASSWORD_1", "KEYSTORE_PASSPHRASE", "VAULT_DEV_ROOT_TOKEN_ID", "PASSWORD2"] {
            check(name, Some(Named::Password));
        }
        for name in
            ["GITHUB_TOKEN", "apiKey", "AWS_SECRET_ACCESS_KEY", "clientSecret", "SECRET_KEY_BASE", "creds"]
        {
            check(name, Some(Named::Token));
        }
        for name in [
            "PWD",
            "OLDPWD",
            "PASSWORD_FILE",
            "TOKEN_TTL",
            "secretName",
            "BYPASS",
            "KEY",
            "MYSQL_ALLOW_EMPTY_PASSWORD",
        ] {
            check(name, None);
        }
        for name in ["", "_", "AUTH_MODE", "TOKEN_URL", "compass", "API_KEY_HEADER", "passwordPolicy"] {
            check(name, None);
        }
    }
}
