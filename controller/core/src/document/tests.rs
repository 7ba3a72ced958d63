//! Tables of documents and of what is wrong with them.

use super::*;

fn problems(text: &str) -> Vec<String> {
    let manifest = read_manifest(Some("p.yaml"), text, "portcullis");
    let documents = manifest.config_maps.iter().flat_map(read_config_map);
    let broken = documents.flat_map(|document| match document.outcome {
        Outcome::Document(_) => Vec::new(),
        Outcome::Broken { errors, .. } => errors,
    });
    let show = |error: DocumentError| match &error.hint {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    };
    manifest.failures.clone().into_iter().chain(broken).map(show).collect()
}

#[test]
fn other_objects_are_left_alone() {
    assert_eq!(
        problems("kind: Pod\napiVersion: v1\n---\n[1, 2]\n---\nkind: Suite\napiVersion: portcullis.dev/v1\n"),
        [""; 0]
    );
}
