//! What all exceptions together leave of a policy for one request.

use crate::exception::{Coverage, Exception};
use crate::pod::BoundList;
use crate::request::Request;
use portcullis_cel::ImageReference;
use serde_json::Value as Json;

/// What is excepted from a policy.
pub(crate) enum Excepted<'a> {
    /// Nothing.
    Nothing,
    /// The request, by the first exception that covers it.
    Whole {
        /// The exception's name.
        name: &'a str,
        /// Why it was made.
        reason: &'a str,
    },
    /// The elements whose image is under one of these prefixes.
    Images(Vec<&'a str>),
}

impl<'a> Excepted<'a> {
    pub(crate) fn of(
        exceptions: &'a [Exception],
        policy: &str,
        request: &Request,
        now: jiff::Timestamp,
    ) -> Self {
        let mut images = Vec::new();
        for exception in exceptions {
            match exception.covers(policy, request, now) {
                Coverage::None => {}
                Coverage::Whole => {
                    let document = exception.document();
                    return Self::Whole { name: &document.name, reason: &document.reason };
                }
                Coverage::Images(prefixes) => images.extend(prefixes.iter().map(String::as_str)),
            }
        }
        if images.is_empty() { Self::Nothing } else { Self::Images(images) }
    }
}

/// A list without the elements whose image, in `field`, is under one of the prefixes. What is not a valid
/// reference is under none.
pub(crate) fn without_images(list: &BoundList, field: &str, prefixes: &[&str]) -> BoundList {
    let elements = list.list.as_array().map(Vec::as_slice).unwrap_or_default();
    let kept = elements.iter().zip(&list.paths).filter(|(element, _)| !is_under(element, field, prefixes));
    let (elements, paths) = kept.map(|(element, path)| (element.clone(), path.clone())).unzip();
    BoundList { list: Json::Array(elements), paths }
}

fn is_under(element: &Json, field: &str, prefixes: &[&str]) -> bool {
    let Some(reference) = element.get(field).and_then(Json::as_str) else {
        return false;
    };
    ImageReference::parse(reference)
        .is_ok_and(|reference| prefixes.iter().any(|prefix| reference.is_under(prefix).unwrap_or(false)))
}
