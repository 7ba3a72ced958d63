//! `cargo xtask precision`: `no-literal-credentials` on manifests that others have published. They are read from Go modules
//! when this runs; what is found in them is either a credential, and listed here, or a mistake.

use crate::test::Tally;
use crate::workspace::{build_portcullis, root};
use crate::{golang, modules};
use anyhow::{Context, Result, ensure};
use portcullis::manifests;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitCode};

const POLICY: &str = "policies/secrets/no-literal-credentials";
/// Kubernetes with its add-ons and the applications of its tests, Argo CD with its examples, Istio with its samples and
/// their add-ons (Grafana, Prometheus, Jaeger, Kiali, Loki), and Knative.
const MODULES: &[(&str, &str)] = &[
    ("k8s.io/kubernetes", "v1.37.2"),
    ("github.com/argoproj/argo-cd/v3", "v3.2.0"),
    ("istio.io/istio", "v0.0.0-20260827124520-eed52ebb66ad"),
    ("knative.dev/serving", "v0.51.0"),
];
/// Kind, name and field path of what is a credential indeed, however bad a one.
const CREDENTIALS: &[(&str, &str)] = &[
    ("Deployment/grafana", "spec.template.spec.containers[0].env[8].value"),
    ("Deployment/ratings-v2-mysql", "spec.template.spec.containers[0].env[4].value"),
    ("Deployment/ratings-v2-mysql-vm", "spec.template.spec.containers[0].env[4].value"),
];
/// What is said of an object that the API server would refuse to read.
const UNREADABLE: &str = "is not of the type that it is read as";
/// So many of the other findings may there be at most.
const MISTAKES: usize = 0;
/// How many objects there have to be.
const LEAST: usize = 700;

pub(crate) fn run() -> Result<ExitCode> {
    let tally = check()?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn check() -> Result<Tally> {
    modules::build()?;
    let objects = objects()?;
    let judged = objects.len();
    ensure!(judged >= LEAST, "{judged} objects are too few to say anything; {LEAST} are needed");
    let (found, unreadable) = findings(objects)?;
    let is_known = |(name, path): &(&str, &str)| found.iter().any(|(at, _)| at == &format!("{name} {path}"));
    let missed: Vec<_> = CREDENTIALS.iter().filter(|known| !is_known(known)).collect();
    let mut mistakes = 0;
    for (at, message) in &found {
        let known = CREDENTIALS.iter().any(|(name, path)| at == &format!("{name} {path}"));
        mistakes += usize::from(!known);
        println!("{} {at}: {message}", if known { "credential" } else { "mistake?  " });
    }
    missed.iter().for_each(|(name, path)| println!("missed     {name} {path}"));
    println!(
        "{judged} objects, {unreadable} of them of wrong types, {} findings, {mistakes} of them mistakes, {} missed",
        found.len(),
        missed.len()
    );
    let failed = missed.len() + mistakes.saturating_sub(MISTAKES);
    Ok(Tally { passed: judged - mistakes.min(judged), failed })
}

/// What the modules hold that the policy may look at, each once.
fn objects() -> Result<Vec<Json>> {
    let paths: Result<Vec<_>> =
        MODULES.iter().map(|(module, version)| golang::module_at(module, version)).collect();
    // Some files are templates, which nobody could apply.
    let read = manifests::read(&paths?).objects.into_iter().map(|manifest| manifest.object);
    let mut seen = BTreeSet::new();
    let is_of_kind = |object: &Json| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let kinds = [
            "ConfigMap",
            "CronJob",
            "DaemonSet",
            "Deployment",
            "Job",
            "Pod",
            "PodTemplate",
            "ReplicaSet",
            "ReplicationController",
            "StatefulSet",
        ];
        kinds.contains(&kind) && object["metadata"].is_object()
    };
    Ok(read.filter(|object| is_of_kind(object) && seen.insert(object.to_string())).collect())
}

/// Of each finding the kind, name and path, and the message; and how many objects nobody could read.
fn findings(objects: Vec<Json>) -> Result<(BTreeSet<(String, String)>, usize)> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("objects.json");
    fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    let output = Command::new(build_portcullis(false)?)
        .args(["check", "-o", "json", "--log-level", "error", "--policies"])
        .arg(root()?.join(POLICY).join("policy.yaml"))
        .arg(&file)
        .output()
        .context("cannot start the binary")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Json = serde_json::from_slice(&output.stdout).with_context(|| said.to_string())?;
    ensure!(report["policies"].as_array().is_some_and(|policies| policies.len() == 2), "no policies: {said}");
    let (mut found, mut unreadable) = (BTreeSet::new(), 0);
    for object in report["objects"].as_array().into_iter().flatten() {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        for judgement in object["judgements"].as_array().into_iter().flatten() {
            for finding in judgement["findings"].as_array().into_iter().flatten() {
                let path = finding["fieldPath"].as_str().unwrap_or_default();
                let message = finding["message"].as_str().unwrap_or_default();
                if message.contains(UNREADABLE) {
                    unreadable += 1;
                    continue;
                }
                let at = format!("{}/{} {path}", text("kind"), text("name"));
                found.insert((at, message.to_owned()));
            }
        }
    }
    Ok((found, unreadable))
}
