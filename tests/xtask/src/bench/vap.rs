//! `cargo xtask bench vap`: our decisions against those of the API server's own ValidatingAdmissionPolicy plugin, on
//! the same policies and the same Pod.

use crate::vap::ours::World;
use crate::vap::peer;
use crate::workspace::root;
use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

/// Measure our decisions against those of the API server's own ValidatingAdmissionPolicy plugin
///
/// One run, one core each, medians over rounds, the same policies and the Pod of a 7 KB review, decoded before.
/// Fails if one of them does not allow what holds, or does not deny what does not. It needs Go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Decisions in a row, in each round
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

/// Rounds, over which medians are taken.
const ROUNDS: usize = 9;
const ONE: &[&str] = &["!has(object.spec.hostNetwork) || object.spec.hostNetwork == false"];
const CONTAINERS: &[&str] = &[
    "object.spec.containers.all(c, c.image.startsWith('registry.example.com/'))",
    "object.spec.containers.all(c, c.image.matches('^[a-z0-9./:@-]+$'))",
    "object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) || \
     !c.securityContext.privileged)",
    "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'memory' in c.resources.limits)",
    "object.spec.containers.all(c, !has(c.ports) || c.ports.all(p, !has(p.hostPort) || p.hostPort == 0))",
];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let review = fs::read_to_string(root()?.join("tests/reviews/pod-7kb.json"))?;
    let review: Json = serde_json::from_str(&review).context("the review is malformed")?;
    let listed = fs::read_to_string(root()?.join("tests/bench/expressions.txt"))?;
    let listed: Vec<&str> = listed.lines().filter(|line| !line.starts_with('#')).collect();
    let many: Vec<Vec<&str>> = listed.iter().map(|expression| vec![*expression]).collect();
    let tests = [
        ("one expression".to_owned(), vec![ONE.to_vec()]),
        ("five container validations".to_owned(), vec![CONTAINERS.to_vec()]),
        (format!("{} policies", many.len()), many),
    ];
    println!(
        "nanoseconds a request, medians of {ROUNDS} rounds; the API server's dispatch matches, too, as ours does\n"
    );
    println!(
        "{:<28} {:>10} {:>10} {:>10} {:>8} {:>8}",
        "", "ours", "dispatch", "validate", "× disp.", "× valid."
    );
    for (title, policies) in tests {
        let case = case(&review["request"], &policies, args.repeat);
        let refusing = refusing(&case);
        let judged = peer::measure([&case, &refusing].into_iter())?;
        let [(holds, timing), (fails, _)] = judged.as_slice() else {
            anyhow::bail!("the program gave no answer")
        };
        let world = World::of(&case);
        ensure!(world.problems().is_empty(), "refused: {:?}", world.problems());
        ensure!(holds.answer.allowed && world.judge(&holds.review).allowed, "{title}: what holds is denied");
        let denied = !fails.answer.allowed && !World::of(&refusing).judge(&fails.review).allowed;
        ensure!(denied, "{title}: what does not hold is allowed");
        let ours = ours(&world, &holds.review, args.repeat)?;
        println!(
            "{title:<28} {ours:>10.0} {:>10.0} {:>10.0} {:>8.1} {:>8.1}",
            timing.dispatch,
            timing.validate,
            timing.dispatch / ours.max(1.0),
            timing.validate / ours.max(1.0)
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn ours(world: &World, review: &Json, repeat: u32) -> Result<f64> {
    let request = World::read(review)?;
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..repeat {
                black_box(world.answer(&request));
            }
            start.elapsed().as_nanos() as f64 / f64::from(repeat)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(ROUNDS / 2).copied().context("nothing was measured")
}

/// A request as a case, with a policy for each list of validations.
fn case(request: &Json, policies: &[Vec<&str>], repeat: u32) -> Json {
    let named = |kind: &str, number: usize, spec: Json| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": format!("policy-{number}")},
            "spec": spec,
        })
    };
    let rules =
        json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]}]);
    let policy = |(number, expressions): (usize, &Vec<&str>)| {
        let validations: Vec<Json> = expressions.iter().map(|text| json!({"expression": text})).collect();
        let spec = json!({"matchConstraints": {"resourceRules": rules}, "validations": validations});
        named("ValidatingAdmissionPolicy", number, spec)
    };
    let binding = |number: usize| {
        let spec = json!({"policyName": format!("policy-{number}"), "validationActions": ["Deny"]});
        named("ValidatingAdmissionPolicyBinding", number, spec)
    };
    json!({
        "policies": policies.iter().enumerate().map(policy).collect::<Vec<_>>(),
        "bindings": (0..policies.len()).map(binding).collect::<Vec<_>>(),
        "namespaces": [{
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": request["namespace"]},
        }],
        "request": request,
        "repeat": repeat,
    })
}

/// The same with a validation more that does not hold.
fn refusing(case: &Json) -> Json {
    let mut refusing = case.clone();
    if let Some(validations) = refusing["policies"][0]["spec"]["validations"].as_array_mut() {
        validations.push(json!({"expression": "object.spec.containers.size() > 100"}));
    }
    refusing["repeat"] = json!(1);
    refusing
}
