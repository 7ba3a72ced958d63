//! Kubernetes' rules for names (apimachinery, `pkg/util/validation`) and CEL's for identifiers.

/// A DNS subdomain: what most objects' names must be.
pub(super) fn dns_subdomain(name: &str) -> Result<(), &'static str> {
    let is_label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(());
    }
    Err(
        "must be a DNS subdomain: at most 253 lower case letters, digits, `-` and `.`, beginning and ending with a letter or digit",
    )
}

/// A DNS label that begins with a letter (RFC 1035): versions, and kinds in lower case.
pub(crate) fn dns_1035_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(inner)
        && !name.ends_with('-')
}

/// A name with an optional DNS subdomain before a `/`: label keys, matchConditions.
pub(super) fn qualified_name(name: &str) -> Result<(), &'static str> {
    const RULE: &str = "must be a qualified name: at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit, with an optional DNS subdomain and `/` before it";
    let (prefix, name) = name.rsplit_once('/').map_or((None, name), |(prefix, name)| (Some(prefix), name));
    let prefix_fits = prefix.is_none_or(|prefix| dns_subdomain(prefix).is_ok());
    if prefix_fits && !name.is_empty() && is_name_part(name) { Ok(()) } else { Err(RULE) }
}

/// A qualified name's part behind the `/`.
pub(super) fn unqualified_name(name: &str) -> Result<(), &'static str> {
    if !name.is_empty() && is_name_part(name) {
        return Ok(());
    }
    Err("must be at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit")
}

/// A label's value.
pub(super) fn label_value(value: &str) -> Result<(), &'static str> {
    if is_name_part(value) {
        return Ok(());
    }
    Err(
        "must be a label value: at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit",
    )
}

/// A key of a ConfigMap's `data`.
pub(super) fn is_config_map_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !key.is_empty() && key.len() <= 253 && key.chars().all(allowed)
}

/// What can stand in a URL's path as an object's name.
pub(super) fn path_segment(name: &str) -> Result<(), &'static str> {
    if name == "." || name == ".." || name.contains(['/', '%']) {
        return Err("must not be `.` or `..`, nor contain `/` or `%`");
    }
    Ok(())
}

/// A CEL identifier that is not reserved.
pub(super) fn cel_identifier(name: &str) -> Result<(), &'static str> {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = name.chars().all(inner) && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if fits && !RESERVED.contains(&name) {
        return Ok(());
    }
    Err("must be a CEL identifier: letters, digits and `_`, not beginning with a digit, not a reserved word")
}

fn is_name_part(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.is_empty()
        || name.len() <= 63 && name.chars().all(inner) && name.starts_with(edge) && name.ends_with(edge)
}
