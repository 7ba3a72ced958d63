//! What all exceptions together leave of a policy for one request.

use super::context::Objects;
use crate::exception::{Coverage, Exception};
use crate::pod::Lists;
use crate::request::Request;
use portcullis_cel::tree::NodeList;
use portcullis_cel::{Node, Value};

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
pub(super) struct WithoutExcepted<'a> {
    pub(super) containers: Kept<'a>,
    pub(super) images: Kept<'a>,
}

/// What is kept of a list.
pub(super) struct Kept<'a> {
    pub(super) elements: Value<'a>,
    /// Where each element is in the whole list.
    pub(super) places: Vec<usize>,
}

impl<'a> WithoutExcepted<'a> {
    pub(super) fn of(excepted: &Excepted<'_>, objects: &'a Objects<'a>) -> Option<Self> {
        let Excepted::Images(prefixes) = excepted else { return None };
        let Lists { containers, images } = objects.pod()?.lists();
        Some(Self {
            containers: without_images(containers.root(), "image", prefixes),
            images: without_images(images.root(), "reference", prefixes),
        })
    }
}

/// A list without the elements whose image, in `field`, is excepted.
fn without_images<'a>(list: Node<'a>, field: &str, excepted: &[Coverage<'_>]) -> Kept<'a> {
    let is_excepted = |element: Node<'_>| {
        let reference = element.get(field).and_then(Node::as_str);
        reference.is_some_and(|reference| excepted.iter().any(|coverage| coverage.includes(reference)))
    };
    let elements = list.as_array().into_iter().flat_map(NodeList::iter).enumerate();
    let kept = elements.filter(|(_, element)| !is_excepted(*element));
    let (places, elements) = kept.map(|(place, element)| (place, Value::from_json(element))).unzip();
    Kept { elements: Value::list(elements), places }
}
