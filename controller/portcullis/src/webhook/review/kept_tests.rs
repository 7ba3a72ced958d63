//! What is kept of reviews: the decision must be the one that the whole review leads to.

use super::Review;
use crate::source::files::PolicyFiles;
use crate::suite;
use portcullis_core::request::{GroupVersionKind, GroupVersionResource};
use portcullis_core::set::{Pairs, Sort};
use portcullis_core::{Facts, PolicySet, Request};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn set(directories: &[&str]) -> PolicySet {
    let directories = directories.iter().map(|directory| root().join(directory)).collect();
    let sources = PolicyFiles::new(directories, "portcullis").read().unwrap().unwrap();
    PolicySet::compile(&sources, None)
}

/// A review with its fields in the API server's order, or with the objects before what tells their sort.
fn body(request: &Request, objects_first: bool) -> String {
    let kind =
        |kind: &GroupVersionKind| json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let resource = |known: &GroupVersionResource| json!({"group": known.group, "version": known.version, "resource": known.resource});
    let user = request.user.clone().unwrap_or_default();
    let mut fields: Vec<(&str, Json)> = vec![
        ("uid", json!("u")),
        ("kind", kind(&request.kind)),
        ("resource", request.resource.as_ref().map(resource).into()),
        ("subResource", json!(request.sub_resource)),
        ("requestKind", request.request_kind.as_ref().map(kind).into()),
        ("requestResource", request.request_resource.as_ref().map(resource).into()),
        ("requestSubResource", json!(request.request_sub_resource)),
        ("name", json!(request.name)),
        ("namespace", json!(request.namespace)),
        ("operation", json!(request.operation.as_str())),
        (
            "userInfo",
            json!({"username": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}),
        ),
        ("object", request.object.to_json()),
        ("oldObject", request.old_object.to_json()),
        ("dryRun", json!(request.dry_run)),
        ("options", request.options.to_json()),
    ];
    if objects_first {
        fields.rotate_left(5);
    }
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!(
        "{{\"apiVersion\": \"admission.k8s.io/v1\", \"kind\": \"AdmissionReview\", \"request\": {{{}}}}}",
        fields.join(", ")
    )
}

fn files(directory: &Path, named: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (folders, others): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| files(folder, named));
    let named = |path: &PathBuf| named(&path.file_name().unwrap().to_string_lossy());
    below.chain(others.into_iter().filter(named)).collect()
}

/// Decides a body as it was kept and as a whole. Returns how much was kept: bytes of object and old object.
fn check(set: &PolicySet, body: &str, facts: &Facts) -> Option<(usize, usize)> {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let whole = Review::read_whole(body.to_owned()).ok()?.request;
    let kept =
        Review::read(&Arc::new(body.to_owned()), &|sort: Sort<'_>| Some(set.plan(sort))).unwrap().request;
    let decide = |request: &Request| format!("{:#?}", set.decide(Pairs::All, request, facts, now));
    assert_eq!(decide(&kept), decide(&whole), "{body}");
    let size = |request: &Request| request.object.to_string().len() + request.old_object.to_string().len();
    Some((size(&kept), size(&whole)))
}

#[test]
fn what_is_kept_of_a_review_decides() {
    let sets = [set(&["policies"]), set(&["tests/bench/policies"]), set(&["tests/reviews/policies"])];
    let (mut compared, mut kept, mut whole) = (0, 0, 0);
    let mut count = |sizes: Option<(usize, usize)>| {
        let Some(sizes) = sizes else { return };
        compared += 1;
        kept += sizes.0;
        whole += sizes.1;
    };
    for file in files(&root().join("policies"), &|name| name == "suite.yaml") {
        for case in suite::load(&file).suites.iter().flat_map(|suite| &suite.cases) {
            let facts = case.facts(true);
            for set in &sets {
                count(check(set, &body(&case.request, false), &facts));
                count(check(set, &body(&case.request, true), &facts));
            }
        }
    }
    for file in files(&root().join("tests/reviews"), &|name| name.ends_with(".json")) {
        let text = fs::read_to_string(&file).unwrap();
        sets.iter().for_each(|set| count(check(set, &text, &Facts::new(false))));
    }
    assert!(compared > 1_000 && kept * 4 < whole * 3, "{compared} compared, {kept} of {whole} bytes kept");
}
