//! Real objects: manifests out of published modules, judged by policies as users write them (`tests/vap/policies`).

use super::compare::{Difference, compare};
use super::ours::World;
use super::peer;
use crate::test::Tally;
use crate::{golang, workspace};
use anyhow::{Context, Result, ensure};
use portcullis::manifests;
use portcullis_core::matching::Resources;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Modules with their folders of manifests: Kubernetes' add-ons and the applications of its tests, and Argo CD.
const MODULES: &[(&str, &str, &[&str])] = &[
    (
        "k8s.io/kubernetes",
        "v1.37.2",
        &["cluster/addons", "hack/testdata", "test/e2e/testing-manifests", "test/fixtures/doc-yaml"],
    ),
    ("github.com/argoproj/argo-cd/v3", "v3.2.0", &["manifests/install.yaml", "manifests/ha/install.yaml"]),
];
/// What policies may say of an object is asked by all of them at once.
const POLICIES: &str = "tests/vap/policies";
/// How many objects there have to be, and how many failures of how many policies.
const LEAST: (usize, usize, usize) = (400, 2_000, 25);

/// Has all real objects created, changed and deleted.
pub(super) fn contest(examples: usize) -> Result<Tally> {
    let (policies, bindings) = policies()?;
    let cases = cases(&objects()?, &policies, &bindings)?;
    let mut world = World::of(cases.first().context("there is no object")?);
    ensure!(world.problems().is_empty(), "policies of {POLICIES} are refused: {:?}", world.problems());
    let judged = peer::judge(cases.iter())?;
    let (mut differences, mut unreadable, mut failures) = (Vec::new(), 0, 0);
    let mut failing: BTreeSet<String> = BTreeSet::new();
    for (number, (case, judged)) in cases.iter().zip(&judged).enumerate() {
        if judged.answer.broken.is_some() {
            unreadable += 1;
            continue;
        }
        world.facts.add(case["namespaces"][0].clone());
        for failure in judged.answer.failures() {
            failures += 1;
            failing.extend(failure["policy"].as_str().map(str::to_owned));
        }
        let object = ["object", "oldObject"].map(|field| &case["request"][field]["metadata"]["name"]);
        let (kind, operation) = (&case["request"]["kind"]["kind"], &case["request"]["operation"]);
        let about = format!("{operation} of {kind} {} {}", object[0], object[1]);
        let found = compare(&world.judge(&judged.review), &judged.answer).into_iter();
        differences.extend(found.map(|(field, ours, theirs)| Difference {
            case: number,
            field,
            ours,
            theirs,
            problems: about.clone(),
            features: BTreeSet::new(),
        }));
    }
    super::compare::print(&differences, examples);
    let asked = cases.len() - unreadable;
    println!(
        "{asked} requests for real objects ({unreadable} are not of their Go types), {failures} failures of {} \
         policies, {} differences",
        failing.len(),
        differences.len()
    );
    let enough = asked / 3 >= LEAST.0 && failures >= LEAST.1 && failing.len() >= LEAST.2;
    if !enough {
        println!("{} objects, {} failures and {} failing policies are needed", LEAST.0, LEAST.1, LEAST.2);
    }
    let failed = differences.len() + usize::from(!enough);
    Ok(Tally { passed: asked.saturating_sub(differences.len()), failed })
}

/// The policies, each with a binding: its own, or one whose actions take turns.
fn policies() -> Result<(Vec<Json>, Vec<Json>)> {
    let read = manifests::read(&[workspace::root()?.join(POLICIES)]);
    ensure!(read.problems.is_empty(), "{POLICIES} cannot be read");
    let documents = read.objects.into_iter().map(|manifest| manifest.object);
    let (policies, mut bindings): (Vec<Json>, Vec<Json>) =
        documents.partition(|document| document["kind"] == "ValidatingAdmissionPolicy");
    let actions = [json!(["Deny", "Audit"]), json!(["Warn", "Audit"]), json!(["Audit"])];
    for (policy, actions) in policies.iter().zip(actions.iter().cycle()) {
        let name = &policy["metadata"]["name"];
        if bindings.iter().any(|binding| binding["spec"]["policyName"] == *name) {
            continue;
        }
        bindings.push(json!({
            "apiVersion": policy["apiVersion"],
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": actions},
        }));
    }
    // The API server evaluates them in any order, ours by their names.
    let sorted = |mut documents: Vec<Json>| {
        documents.sort_by_key(|document| document["metadata"]["name"].to_string());
        documents
    };
    Ok((sorted(policies), sorted(bindings)))
}

/// The objects of all modules that have a name and a kind of which the resource is known.
fn objects() -> Result<Vec<Json>> {
    let mut paths = Vec::new();
    for (module, version, folders) in MODULES {
        let module = golang::module_at(module, version)?;
        paths.extend(folders.iter().map(|folder| module.join(folder)).filter(|path| Path::exists(path)));
    }
    // Some files are templates, which nobody could apply.
    let objects = manifests::read(&paths).objects.into_iter().map(|manifest| manifest.object);
    Ok(objects.filter(|object| object["metadata"]["name"].is_string()).collect())
}

fn cases(objects: &[Json], policies: &[Json], bindings: &[Json]) -> Result<Vec<Json>> {
    let resources = Resources::new();
    let mut cases = Vec::new();
    for object in objects {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = object["kind"].as_str().unwrap_or_default();
        let Some(resource) = resources.find(group, kind) else { continue };
        let is_kept_out =
            group == "coordination.k8s.io" || ["Node", "Event", "CertificateSigningRequest"].contains(&kind);
        if is_kept_out {
            continue;
        }
        let (mut object, name) = (object.clone(), object["metadata"]["name"].clone());
        let namespace = match (resource.namespaced, object["metadata"]["namespace"].as_str(), kind) {
            (true, Some(namespace), _) => namespace.to_owned(),
            (true, None, _) => "default".to_owned(),
            (false, _, "Namespace") => name.as_str().unwrap_or_default().to_owned(),
            (false, ..) => String::new(),
        };
        if resource.namespaced {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let request = json!({
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource.plural},
            "name": name,
            "namespace": namespace,
            "userInfo": {"username": "jane", "groups": ["dev", "system:authenticated"]},
        });
        for operation in ["CREATE", "UPDATE", "DELETE"] {
            let mut request = request.clone();
            request["operation"] = json!(operation);
            if operation != "DELETE" {
                request["object"] = object.clone();
            }
            if operation != "CREATE" {
                request["oldObject"] = earlier(&object);
            }
            cases.push(json!({
                "policies": policies,
                "bindings": bindings,
                "kinds": [{"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "namespaced": true}],
                "params": [team("a"), team("b")],
                "namespaces": [{
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace}},
                }],
                "request": request,
            }));
        }
    }
    Ok(cases)
}

/// The object as it may have been before: with one label more, and a finalizer.
fn earlier(object: &Json) -> Json {
    let mut earlier = object.clone();
    if !earlier["metadata"]["labels"].is_object() {
        earlier["metadata"]["labels"] = json!({});
    }
    earlier["metadata"]["labels"]["earlier"] = json!("yes");
    earlier["metadata"]["finalizers"] = json!(["example.com/keep"]);
    earlier
}

fn team(name: &str) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "teams", "labels": {"kind": "team"}},
        "data": {"team": name},
    })
}
