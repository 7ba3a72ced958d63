//! What a module says of itself, in its custom section `portcullis_policy`: a module need not have one.

use crate::abi::refusal;
use crate::reply::line;
use portcullis_core::module::Refusal;
use serde::Deserialize;

/// The section's name.
const NAME: &str = "portcullis_policy";
/// The version of the ABI that is served.
const ABI: u64 = 1;
/// Magic number and version.
const HEADER: usize = 8;

/// What stands in the section, as JSON; there may be more some day.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Written {
    abi: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    reads: Vec<String>,
    #[serde(default)]
    lookups: Vec<String>,
}

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// The name of the policy that it is; empty if it does not say.
    pub name: String,
    /// What it cannot do without, in the words of `wasm.reads`.
    pub reads: Vec<String>,
    /// Look-ups that it asks for, or reads in the request.
    pub lookups: Vec<String>,
}

/// Reads what a module says of itself, if it says anything.
///
/// # Errors
/// It is not what the ABI asks for, or is for another version of the ABI.
pub fn read(module: &[u8]) -> Result<Option<Stated>, Refusal> {
    let Some(section) = find(module) else { return Ok(None) };
    let Written { abi, name, reads, lookups } = serde_json::from_slice(section).map_err(|error| {
        let message = format!("the module's section `{NAME}` cannot be read: {}", line(&error.to_string()));
        refusal(message, Some("sdk/ABI.md says what is in it; a module need not have one"))
    })?;
    if abi != ABI {
        let message = format!("the module is for version {abi} of the ABI, and version {ABI} is served");
        let hint = if abi > ABI {
            "update the controller, or build it with an earlier SDK"
        } else {
            "build it with a later SDK"
        };
        return Err(refusal(message, Some(hint)));
    }
    let is_name =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if let Some(text) = [&name].into_iter().chain(&reads).chain(&lookups).find(|text| !is_name(text)) {
        let message = format!("the module's section `{NAME}` has `{}` for a name, which is none", line(text));
        return Err(refusal(message, None));
    }
    Ok(Some(Stated { name, reads, lookups }))
}

/// All that a module says it needs and its policy does not give it.
pub(crate) fn missing(stated: &Stated, reads: &[String], lookups: &[String]) -> Vec<Refusal> {
    let absent = |needed: &[String], given: &[String]| -> Vec<String> {
        needed.iter().filter(|name| !given.contains(name)).map(|name| line(name)).collect()
    };
    let reads = absent(&stated.reads, reads).into_iter().map(|name| {
        let message = format!("the module reads `{name}`, which the policy does not name in `wasm.reads`");
        refusal(message, Some("add it there: what a policy does not name, its module is not given"))
    });
    let lookups = absent(&stated.lookups, lookups).into_iter().map(|name| {
        let message = format!("the module asks for look-up `{name}`, which the policy does not declare");
        refusal(message, Some("declare under `lookups` what it is to find"))
    });
    reads.chain(lookups).collect()
}

/// The content of the section.
fn find(module: &[u8]) -> Option<&[u8]> {
    let mut rest = module.get(HEADER..)?;
    loop {
        let (kind, after) = rest.split_first()?;
        let (content, after) = sized(after)?;
        if *kind == 0 {
            let (name, text) = sized(content)?;
            if name == NAME.as_bytes() {
                return Some(text);
            }
        }
        rest = after;
    }
}

/// What is preceded by its length, and what follows.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut rest) = (0_u32, bytes);
    // LEB128, of at most 32 bits.
    for shift in [0, 7, 14, 21, 28] {
        let (byte, after) = rest.split_first()?;
        length |= u32::from(byte & 0x7F) << shift;
        rest = after;
        if byte & 0x80 == 0 {
            return rest.split_at_checked(length as usize);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(section: &str) -> Vec<u8> {
        let content = [&[NAME.len() as u8], NAME.as_bytes(), section.as_bytes()].concat();
        let length = [content.len() as u8 | 0x80, (content.len() >> 7) as u8];
        [b"\0asm\x01\0\0\0\0\x03\x01nx".as_slice(), &[0], &length, &content].concat()
    }

    #[test]
    fn a_section_is_found_among_others() {
        let check = |module: &[u8], expected: &str| {
            let found = match read(module) {
                Ok(stated) => format!("{stated:?}"),
                Err(refusal) => refusal.message,
            };
            assert!(found.starts_with(expected), "{found}");
        };
        check(b"\0asm\x01\0\0\0", "None");
        check(&with(r#"{"abi":1}"#), "Some(Stated { name: \"\", reads: [], lookups: [] })");
        let all = r#"{"abi":1,"name":"a","reads":["userInfo"],"lookups":["b"],"later":null}"#;
        check(&with(all), "Some(Stated { name: \"a\", reads: [\"userInfo\"], lookups: [\"b\"] })");
        check(&with(r#"{"abi":2}"#), "the module is for version 2 of the ABI, and version 1 is served");
        check(&with("abi"), "the module's section `portcullis_policy` cannot be read: expected value");
        check(&with("{}"), "the module's section `portcullis_policy` cannot be read: missing field `abi`");
        check(
            &with(r#"{"abi":1,"lookups":["a: b"]}"#),
            "the module's section `portcullis_policy` has `a: b` for a name",
        );
        // Cut off wherever it may be, or of a length that there is not.
        let whole = with(all);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]).ok(), Some(None), "{length}");
        }
        check(b"\0asm\x01\0\0\0\0\xff\xff\xff\xff\x7f", "None");
        check(b"\0asm\x01\0\0\0\0\x80\x80\x80\x80\x80\x80", "None");
    }

    #[test]
    fn what_a_module_needs_its_policy_gives() {
        let list = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        let stated =
            Stated { name: String::new(), reads: list(&["userInfo", "dryRun"]), lookups: list(&["a"]) };
        let told = |reads: &[&str], lookups: &[&str]| {
            missing(&stated, &list(reads), &list(lookups))
                .into_iter()
                .map(|refusal| refusal.message)
                .collect::<Vec<_>>()
        };
        assert!(told(&["dryRun", "userInfo"], &["a", "b"]).is_empty());
        let expected = [
            "the module reads `dryRun`, which the policy does not name in `wasm.reads`",
            "the module asks for look-up `a`, which the policy does not declare",
        ];
        assert_eq!(told(&["userInfo"], &["A"]), expected);
    }
}
