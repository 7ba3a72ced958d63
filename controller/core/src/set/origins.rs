//! Where documents stand: whether two places are the same, and how one is told.

use crate::document::{ConfigMap, Origin};

/// Whether a problem leaves open what stands at an origin: same file, and same ConfigMap and key as far as the
/// problem names them.
pub(super) fn covers(problem: &Origin, origin: &Origin) -> bool {
    let within = |broad: &str, narrow: &str| broad.is_empty() || broad == narrow;
    problem.file == origin.file
        && (problem.config_map.is_empty() || problem.namespace == origin.namespace)
        && within(&problem.config_map, &origin.config_map)
        && within(&problem.key, &origin.key)
}

/// Whether something stands in a ConfigMap.
pub(super) fn is_from(config_map: &ConfigMap, origin: &Origin) -> bool {
    config_map.file == origin.file
        && config_map.namespace == origin.namespace
        && config_map.name == origin.config_map
}

/// A place in words.
pub(super) fn describe(origin: &Origin) -> String {
    let place = format!(
        "ConfigMap {}/{}, key {}, document {}",
        origin.namespace, origin.config_map, origin.key, origin.document
    );
    match &origin.file {
        Some(file) => format!("{file}: {place}"),
        None => place,
    }
}
