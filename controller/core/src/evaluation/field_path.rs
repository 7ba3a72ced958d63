//! Where in the object a violation is: as near as what was read can tell.

use super::context::{Objects, Pod};
use super::excepted::WithoutExcepted;
use crate::policy::CompiledValidation;
use portcullis_cel::{Read, Step};
use std::collections::BTreeSet;

/// A path of plain selections below an input, such as `object.spec.replicas`.
pub(super) struct Path {
    root: Box<str>,
    segments: Vec<String>,
}

impl Path {
    /// The path of a read, up to where it goes through all elements.
    pub(super) fn of(read: Read) -> Self {
        let fields = read.steps.iter().map_while(|step| match step {
            Step::Field(name) => Some(name.to_string()),
            Step::Any => None,
        });
        Self { segments: fields.collect(), root: read.variable }
    }
}

/// The path of each element of a validation's `forEach` list, where it is known: `containers`, `images` and
/// plain selections such as `object.spec.rules`.
pub(super) enum ElementPaths<'p, 'a> {
    /// A list of the Pod, perhaps with only these places of it.
    Listed { pod: &'p Pod<'a>, list: List, kept: Option<&'p [usize]> },
    /// A list at this path: element `i` is `path[i]`.
    Indexed(String),
    /// Not known.
    Unknown,
}

#[derive(Clone, Copy)]
pub(super) enum List {
    Containers,
    Images,
}

impl<'p, 'a> ElementPaths<'p, 'a> {
    pub(super) fn of(
        list: Option<&Path>,
        objects: &'p Objects<'a>,
        without_excepted: Option<&'p WithoutExcepted<'_>>,
    ) -> Self {
        let Some(path) = list else {
            return Self::Unknown;
        };
        match (&*path.root, objects.pod(), path.segments.is_empty()) {
            ("containers", Some(pod), true) => {
                let kept = without_excepted.map(|kept| kept.containers.places.as_slice());
                Self::Listed { pod, list: List::Containers, kept }
            }
            ("images", Some(pod), true) => {
                let kept = without_excepted.map(|kept| kept.images.places.as_slice());
                Self::Listed { pod, list: List::Images, kept }
            }
            (_, _, false) => locate(path, objects).map_or(Self::Unknown, Self::Indexed),
            _ => Self::Unknown,
        }
    }

    pub(super) fn at(&self, index: usize) -> String {
        match self {
            Self::Listed { pod, list, kept } => {
                let Some(place) = kept.map_or(Some(index), |kept| kept.get(index).copied()) else {
                    return String::new();
                };
                let path = match list {
                    List::Containers => pod.view.containers().nth(place).map(|container| container.path()),
                    List::Images => pod.view.images().nth(place).map(|image| image.path()),
                };
                path.unwrap_or_default()
            }
            Self::Indexed(path) => format!("{path}[{index}]"),
            Self::Unknown => String::new(),
        }
    }
}

/// The deepest path that everything a validation reads lies below; empty if it reads all over the object.
pub(super) fn common(validation: &CompiledValidation, objects: &Objects<'_>) -> String {
    let mut common: Option<Vec<String>> = None;
    for read in validation.reads.paths() {
        let Some(path) = segments_of(&Path::of(read), objects) else { continue };
        common = Some(match common {
            None => path,
            Some(known) => known.into_iter().zip(path).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    common.map(|segments| join(&segments)).unwrap_or_default()
}

/// An element's path made longer by what the expression reads of it, where that is one thing.
pub(super) fn within_element(element: String, validation: &CompiledValidation) -> String {
    let listed_images = validation
        .for_each
        .as_ref()
        .and_then(|list| list.program.plain_selection())
        .is_some_and(|read| &*read.variable == "images");
    if element.is_empty() || listed_images {
        return element;
    }
    let reads = validation.expression.program.footprint().reads().filter(|read| &*read.variable == "each");
    let own: BTreeSet<Vec<String>> =
        reads.map(|read| Path::of(read).segments).filter(|segments| !is_identity(segments)).collect();
    match own.first() {
        Some(only) if own.len() == 1 && !only.is_empty() => format!("{element}.{}", join(only)),
        _ => element,
    }
}

/// What messages name an element by is not what is wrong with it.
fn is_identity(segments: &[String]) -> bool {
    matches!(segments, [only] if only == "name" || only == "kind")
}

fn locate(path: &Path, objects: &Objects<'_>) -> Option<String> {
    segments_of(path, objects).map(|segments| join(&segments))
}

/// A path from the object's root.
fn segments_of(path: &Path, objects: &Objects<'_>) -> Option<Vec<String>> {
    let base = match &*path.root {
        "object" => return Some(path.segments.clone()),
        "podSpec" | "containers" | "images" => objects.pod()?.view.spec_path.to_owned(),
        "podMetadata" => {
            let spec_path = objects.pod()?.view.spec_path;
            format!("{}metadata", spec_path.strip_suffix("spec").unwrap_or(spec_path))
        }
        _ => return None,
    };
    let below = if path.root.starts_with("pod") { path.segments.as_slice() } else { &[] };
    Some(base.split('.').map(str::to_owned).chain(below.iter().cloned()).collect())
}

/// `metadata.labels['app.kubernetes.io/name']`.
fn join(segments: &[String]) -> String {
    let mut path = String::new();
    for segment in segments {
        let plain =
            segment.chars().all(|character| character.is_ascii_alphanumeric() || "_-".contains(character));
        if !plain {
            path.push_str(&format!("['{segment}']"));
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(segment);
    }
    path
}
