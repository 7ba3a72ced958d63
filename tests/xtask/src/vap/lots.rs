//! An authorizer that draws its answers from a hash of the question, as `tests/go/cmd/vap` does.

use portcullis_core::authorization::{AccessAnswer, AccessAttributes, AccessReview, Authorizer};

/// Answers by lot, the same on both sides.
#[derive(Debug)]
pub(super) struct Lots;

impl Authorizer for Lots {
    fn answer(&self, review: &AccessReview) -> Option<AccessAnswer> {
        let answer = |allowed, reason: &str, error: Option<&str>| {
            Some(AccessAnswer { allowed, reason: reason.to_owned(), error: error.map(str::to_owned) })
        };
        match fnv(&question(review)) % 5 {
            0 | 1 => answer(true, "by lot", None),
            2 => answer(false, "by lot", None),
            3 => answer(false, "no lot", Some("no lot is left")),
            _ => answer(false, "", None),
        }
    }
}

/// What is asked, in one line, as the Go program writes it.
fn question(review: &AccessReview) -> String {
    let user = review.user.as_ref().map_or("", |user| user.username.as_str());
    let verb = &review.verb;
    match &review.attributes {
        AccessAttributes::Path(path) => format!("{user} {verb} {path}"),
        AccessAttributes::Resource(asked) => {
            let mut line = format!(
                "{user} {verb} {}/{}/{} {}/{}",
                asked.group, asked.resource, asked.subresource, asked.namespace, asked.name
            );
            for selector in [&asked.field_selector, &asked.label_selector] {
                if !selector.is_empty() {
                    line.push(' ');
                    line.push_str(selector);
                }
            }
            line
        }
    }
}

/// FNV-1a in 32 bits, as Go's `hash/fnv` has it.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
