//! Compares the engine with cel-go: generated expressions over a Kubernetes object, their type, value or
//! failure, and cost.

mod generator;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use generator::Generator;
use portcullis_cel::engine::{Bindings, Environment, Meter, Program, Type, Value};
use serde_json::{Value as Json, json};

/// apiserver's PerCallLimit.
const COST_LIMIT: u64 = 1_000_000;

/// How deep the generated expressions nest.
const DEPTH: usize = 4;

/// Asks cel-go and the engine about `count` expressions, and prints every difference. Gives whether there was
/// none.
///
/// # Errors
/// The Go program cannot be built or run.
pub fn compare(seed: u64, count: u64) -> Result<bool> {
    let program = build()?;
    let mut generator = Generator::new(seed);
    let expressions: Vec<String> = (0..count).map(|_| generator.any(DEPTH)).collect();
    let object = object();
    let answers = ask(&program, &expressions, &object)?;
    let (mut differ, mut failed, mut refused) = (0, 0, 0);
    let mut out = String::new();
    for (expression, theirs) in expressions.iter().zip(&answers) {
        let ours = evaluate(expression, &object);
        failed += u32::from(theirs.get("error").is_some());
        refused += u32::from(theirs.get("compile").is_some());
        if let Some(reason) = difference(&ours, theirs) {
            differ += 1;
            out.push_str(&format!("{reason}\n  {expression}\n  ours   {ours}\n  theirs {theirs}\n"));
        }
    }
    out.push_str(&format!("{count} expressions, {refused} refused, {failed} failing, {differ} different\n"));
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(differ == 0)
}

/// Builds the Go program, and says where it is.
fn build() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../go/oracle");
    let program = std::env::temp_dir().join(format!("portcullis-oracle-{}", std::process::id()));
    let status =
        Command::new("go").arg("build").arg("-o").arg(&program).arg(".").current_dir(source).status();
    ensure!(status.context("cannot run `go`")?.success(), "the Go program does not build");
    Ok(program)
}

fn ask(program: &Path, expressions: &[String], object: &Json) -> Result<Vec<Json>> {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let requests: Vec<String> = expressions
        .iter()
        .map(|expression| json!({"expression": expression, "variables": {"object": object}}).to_string())
        .collect();
    let writer = std::thread::spawn(move || {
        for request in requests {
            if writeln!(stdin, "{request}").is_err() {
                return;
            }
        }
    });
    let stdout = std::io::BufReader::new(child.stdout.take().context("no stdout")?);
    let answers =
        stdout.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<Vec<Json>>>()?;
    let _ = writer.join();
    child.wait()?;
    Ok(answers)
}

/// Changes the object at random, and compares results where the footprint says nothing that is read changed.
/// Gives whether they never differed.
///
/// # Errors
/// The result cannot be written.
pub fn mutate(seed: u64, count: u64) -> Result<bool> {
    let object = &object();
    let mut random = Generator::new(seed);
    let expressions: Vec<String> = (0..count).map(|_| random.any(DEPTH)).collect();
    let (mut agreed, mut changed, mut wrong) = (0_u32, 0_u32, 0_u32);
    let mut out = String::new();
    for expression in &expressions {
        let environment = Environment::new().with_variable("object", Type::Dyn);
        let Ok(program) = Program::compile(&environment, expression) else { continue };
        let before = evaluate(expression, object);
        for _ in 0..40 {
            let mut mutated = object.clone();
            random.mutate(&mut mutated);
            let (one, other) = (Value::from_json(object), Value::from_json(&mutated));
            if mutated == *object || !program.footprint().agrees("object", &one, &other) {
                changed += 1;
                continue;
            }
            agreed += 1;
            let after = evaluate(expression, &mutated);
            if before.get("value") != after.get("value") || before.get("error") != after.get("error") {
                wrong += 1;
                let reads: Vec<String> = program.footprint().reads().map(ToString::to_string).collect();
                out.push_str(&format!(
                    "{expression}\n  reads {reads:?}\n  {mutated}\n  {before}\n  {after}\n"
                ));
            }
        }
    }
    out.push_str(&format!("{agreed} changes outside the footprint, {changed} inside, {wrong} wrong\n"));
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(wrong == 0)
}

fn evaluate(expression: &str, object: &Json) -> Json {
    let environment = Environment::new().with_variable("object", Type::Dyn);
    let program = match Program::compile(&environment, expression) {
        Ok(program) => program,
        Err(issues) => {
            let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
            return json!({"compile": issues.join("\n"), "cost": 0});
        }
    };
    let mut bindings = Bindings::new(&environment);
    bindings.set("object", Value::from_json(object));
    let meter = Meter::new(COST_LIMIT);
    let result = program.evaluate(&bindings, &meter);
    let of = program.result_type().to_string();
    match result {
        Ok(value) => json!({"type": of, "value": show(&value), "cost": meter.cost()}),
        Err(failure) => json!({"type": of, "error": failure.to_string(), "cost": meter.cost()}),
    }
}

fn show(value: &Value<'_>) -> Json {
    match value {
        Value::Null => "null".into(),
        Value::Text(text) => json!({"string": text.as_str()}),
        Value::Optional(None) => json!({"optional": null}),
        Value::Optional(Some(value)) => json!({"optional": show(value)}),
        Value::JsonMap(map) => {
            let entries: serde_json::Map<String, Json> =
                map.iter().map(|(name, value)| (format!("string:{name}"), show(&value))).collect();
            json!({"map": entries})
        }
        Value::Map(map) => {
            let entries: serde_json::Map<String, Json> = map
                .iter()
                .map(|(key, value)| (format!("{}:{key}", key.to_value().type_name()), show(value)))
                .collect();
            json!({"map": entries})
        }
        Value::Type(name) => json!({"type": name}),
        Value::Bytes(bytes) => {
            json!({"bytes": format!("[{}]", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" "))})
        }
        other => match other.elements() {
            Some(elements) => json!({"list": elements.iter().map(show).collect::<Vec<_>>()}),
            None => json!({other.type_name(): other.to_string()}),
        },
    }
}

/// What differs, if anything does.
fn difference(ours: &Json, theirs: &Json) -> Option<&'static str> {
    match (ours.get("compile"), theirs.get("compile")) {
        (Some(_), Some(_)) => return None,
        (None, None) => {}
        _ => return Some("only one compiles"),
    }
    let over = |answer: &Json| {
        answer.get("error").and_then(Json::as_str).is_some_and(|error| error.contains("cost limit"))
    };
    if over(ours) && over(theirs) {
        return None;
    }
    if ours.get("error").is_some() != theirs.get("error").is_some() {
        return Some("only one fails");
    }
    if ours.get("value") != theirs.get("value") {
        return Some("values differ");
    }
    if ours.get("error") != theirs.get("error") {
        return Some("errors differ");
    }
    if ours.get("cost") != theirs.get("cost") {
        return Some("costs differ");
    }
    let theirs = theirs.get("type").and_then(Json::as_str).unwrap_or_default();
    let names = [("google.protobuf.Duration", "duration"), ("google.protobuf.Timestamp", "timestamp")];
    let theirs = names.iter().fold(theirs.to_owned(), |name, (long, short)| name.replace(long, short));
    let theirs = theirs.replace("null_type", "null");
    (ours.get("type").and_then(Json::as_str) != Some(theirs.as_str())).then_some("types differ")
}

fn object() -> Json {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "generation": 3, "labels": {"app": "web", "tier": "front"},
            "creationTimestamp": "2026-01-02T03:04:05Z", "annotations": {}},
        "spec": {"hostNetwork": false, "priority": 1000, "weight": 0.5, "nothing": null,
            "containers": [
                {"name": "web", "image": "registry.example.com/web:1.2", "ports": [{"containerPort": 8080}],
                    "securityContext": {"privileged": false, "runAsUser": 1000}},
                {"name": "sidecar", "image": "ghcr.io/acme/side@sha256:abc", "args": ["--v=2", "--x"]}
            ],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "cfg", "configMap": {"name": "cfg"}}]}
    })
}
