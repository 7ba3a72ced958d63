//! What a value says of itself: whether it is written out, and whether it looks as if dice had made it.

/// How values begin that only refer to a credential, or are put in place by somebody else.
const REFERENCES: [&str; 27] = [
    "$",
    "{{",
    "<",
    "%(",
    "/",
    "./",
    "../",
    "~/",
    "file:",
    "vault:",
    ">>vault:",
    "op://",
    "berglas://",
    "@azurekeyvault",
    "@Microsoft.KeyVault",
    "ref+",
    "secretref:",
    "secret:",
    "sm://",
    "ssm:",
    "awssm:",
    "arn:aws",
    "projects/",
    "keyvault:",
    "ENC[",
    "env:",
    "!",
];
/// What stands where there is no value.
const NOTHING: [&str; 19] = [
    "",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "null",
    "nil",
    "none",
    "undefined",
    "n/a",
    "redacted",
    "masked",
    "hidden",
    "unset",
    "required",
    "optional",
    "disabled",
];

/// Whether a value is a credential written out, if it is one at all.
pub(crate) fn is_literal(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let is_filler = value.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'_' | b'?'));
    !is_filler
        && value.bytes().filter(u8::is_ascii_alphanumeric).count() >= 2
        && !NOTHING.contains(&lower.as_str())
        && !REFERENCES.iter().any(|reference| value.starts_with(reference))
        && !["$(", "${", "{{"].iter().any(|inside| value.contains(inside))
}

/// Whether there is more in it than in a placeholder such as `xxxxxxxx` or `...EXAMPLE`.
pub(crate) fn is_varied(text: &str) -> bool {
    let mut seen = [false; 256];
    text.bytes().for_each(|byte| {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    });
    let distinct = seen.iter().filter(|seen| **seen).count();
    let upper = text.to_ascii_uppercase();
    distinct >= 7 && !["EXAMPLE", "XXXXX", "00000000", "YOUR"].iter().any(|filler| upper.contains(filler))
}

/// Whether a value looks as if it was drawn by lot: long, of letters and digits, with so much entropy, and not words put
/// together.
pub(crate) fn is_random(value: &str, minimum_entropy: f64) -> bool {
    let value = value.trim();
    let is_of_token =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'(' | b')');
    let has = |class: fn(&u8) -> bool| value.as_bytes().iter().any(class);
    value.len() >= 16
        && value.bytes().all(is_of_token)
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !value.contains("://")
        && is_varied(value)
        && !is_words(value)
        && entropy(value) >= minimum_entropy
}

/// Names: `orders-api-v2`, `registry.example.com/team/app:1.2.3`.
fn is_words(value: &str) -> bool {
    let mut parts = value.split(|character: char| !character.is_ascii_alphanumeric());
    parts.all(|part| {
        let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
        let digits = part.len() - letters;
        // Names end with numbers or begin with `v`; what mixes them was not made by a person.
        let name = part.trim_end_matches(|character: char| character.is_ascii_digit());
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphabetic()) && letters <= 14 && digits <= 4;
        let upper = name.bytes().filter(u8::is_ascii_uppercase).count();
        is_name && (upper <= 1 + name.len() / 6 || upper == name.len())
    })
}

/// Shannon's, in bits a character.
pub(crate) fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = text.len() as f64;
    let share = |count: &u32| f64::from(*count) / length;
    -counts.iter().filter(|count| **count > 0).map(|count| share(count) * share(count).log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_placeholders_are_not_literal() {
        let check = |value: &str, expected| assert_eq!(is_literal(value), expected, "{value}");
        for value in
            ["", "$(DB)", "${DB:-x}", "a${DB}", "{{ .Values.x }}", "<password>", "vault:secret/data/db#p"]
        {
            check(value, false);
        }
        for value in ["****", "xxxx", "op://vault/item", "/run/secrets/db", "true", "None", "@azurekeyvault"]
        {
            check(value, false);
        }
        for value in ["changeme", "postgres", "123456", "a$b"] {
            check(value, true);
        }
    }

    #[test]
    fn what_lots_have_drawn_is_told_from_names() {
        let check = |value: &str, expected| assert_eq!(is_random(value, 3.5), expected, "{value}");
        check(&["9f86d081884c7d65", "9a2feaa0c55ad015"].concat(), true);
        check(&["wJalrXUtnFEMI/K7", "MDENG/bPxRfiCYzz"].concat(), true);
        check(&["3c1b7a52-90fe-4d2b", "-8a6e-0b1d2c3e4f5a"].concat(), true);
        for value in
            ["orders-api-token-v2", "registry.example.com/team/app:1.2.3", "kubernetes-dashboard-csrf-2024"]
        {
            check(value, false);
        }
        check("short1", false);
        check("aaaaaaaaaaaaaaaaaaaaaaaa1", false);
        check("no digits but long enough", false);
    }
}
