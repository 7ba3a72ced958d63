//! What all exceptions together leave of a policy for one request.

use super::context::Objects;
use crate::exception::{Coverage, Exception};
use crate::pod::BoundList;
use crate::request::Request;
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
    /// The elements whose images these include.
    Images(Vec<Coverage<'a>>),
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
                some => images.push(some),
            }
        }
        if images.is_empty() { Self::Nothing } else { Self::Images(images) }
    }
}

/// The lists of a Pod without the elements whose images an exception names.
pub(super) struct WithoutExcepted {
    pub(super) containers: BoundList,
    pub(super) images: BoundList,
}

impl WithoutExcepted {
    pub(super) fn of(excepted: &Excepted<'_>, objects: &Objects<'_>) -> Option<Self> {
        match (excepted, &objects.pod) {
            (Excepted::Images(prefixes), Some(pod)) => Some(Self {
                containers: without_images(pod.containers(), "image", prefixes),
                images: without_images(pod.images(), "reference", prefixes),
            }),
            _ => None,
        }
    }
}

/// A list without the elements whose image, in `field`, is excepted.
fn without_images(list: &BoundList, field: &str, excepted: &[Coverage<'_>]) -> BoundList {
    let elements = list.list.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_excepted = |element: &Json| {
        let reference = element.get(field).and_then(Json::as_str);
        reference.is_some_and(|reference| excepted.iter().any(|coverage| coverage.includes(reference)))
    };
    let kept = elements.iter().zip(&list.paths).filter(|(element, _)| !is_excepted(element));
    let (elements, paths) = kept.map(|(element, path)| (element.clone(), path.clone())).unzip();
    BoundList { list: Json::Array(elements), paths }
}
