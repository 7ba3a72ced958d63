//! Runs the tests of the CEL specification through the engine and prints the counts by file.
//!
//! The data comes from the Go module `cel.dev/expr`, fetched by the `go` command.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use portcullis_cel::engine::{Bindings, Environment, Meter, Program, Type, Value};

use crate::textproto::Message;
use crate::{expect, textproto};

/// The module, at the version that `k8s.io/apiserver` 0.37 uses.
const MODULE: &str = "cel.dev/expr@v0.25.1";
/// Files about protocol buffers alone, and about extensions that Kubernetes does not have.
const ELSEWHERE: [&str; 9] = [
    "bindings_ext",
    "block_ext",
    "encoders_ext",
    "math_ext",
    "network_ext",
    "proto2_ext",
    "proto2",
    "proto3",
    "enums",
];
/// What shows that an expression needs protocol buffers.
const MESSAGES: [&str; 3] = ["TestAllTypes", "cel.expr", "GlobalEnum"];
/// Functions that Kubernetes does not have, or that its own libraries bring.
const FUNCTIONS: [&str; 2] = [".format(", ".reverse("];

/// Tests that fail, each for a reason; one that passes, or is not there, is an error too.
const EXPLAINED: [(&str, &str); 6] = [
    (
        "string_ext/value_errors/indexof_out_of_range",
        "cel-go gives -1 beyond the end: ext/strings.go, indexOfOffset",
    ),
    (
        "string_ext/value_errors/lastindexof_out_of_range",
        "cel-go gives -1 beyond the end: ext/strings.go, lastIndexOfOffset",
    ),
    (
        "timestamps/duration_converters/get_milliseconds",
        "cel-go gives all of its milliseconds too: common/types/duration.go, DurationGetMilliseconds",
    ),
    (
        "fields/qualified_identifier_resolution/map_value_repeat_key",
        "cel-go accepts repeated keys: interpreter/interpretable.go, evalMap.Exec",
    ),
    (
        "fields/qualified_identifier_resolution/map_value_repeat_key_heterogeneous",
        "cel-go accepts repeated keys: interpreter/interpretable.go, evalMap.Exec",
    ),
    (
        "type_deduction/legacy_nullable_types/null_assignable_to_abstract_parameter_candidate",
        "cel-go gives null too: checker/types.go, mostGeneral",
    ),
];

enum Outcome {
    Pass,
    Skip,
    Fail(String),
}

#[derive(Default)]
struct Count {
    pass: u32,
    fail: u32,
    explained: u32,
    skip: u32,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pass, fail, explained, skip } = self;
        write!(f, "{pass} pass, {fail} fail, {explained} fail and are explained, {skip} skipped")
    }
}

/// Runs the tests of a folder, or of the module if none is given; prints the failures and the counts by file.
/// Gives whether all passed.
///
/// # Errors
/// The data cannot be fetched or read.
pub fn run(folder: Option<PathBuf>) -> Result<bool> {
    let folder = folder.map_or_else(fetch, Ok)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read `{}`", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "textproto"));
    files.sort();
    let mut out = String::new();
    let mut total = Count::default();
    let mut explained = 0;
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let parsed = textproto::parse(&std::fs::read_to_string(file)?)
            .with_context(|| format!("cannot parse `{}`", file.display()))?;
        let mut count = Count::default();
        for section in parsed.messages("section") {
            for test in section.messages("test") {
                let outcome = if ELSEWHERE.contains(&name.as_str()) { Outcome::Skip } else { outcome(test) };
                match outcome {
                    Outcome::Pass => count.pass += 1,
                    Outcome::Skip => count.skip += 1,
                    Outcome::Fail(reason) => {
                        let title = [section.text("name"), test.text("name")].map(Option::unwrap_or_default);
                        let title = format!("{name}/{}", title.join("/"));
                        match EXPLAINED.iter().find(|(known, _)| *known == title) {
                            Some((_, why)) => {
                                explained += 1;
                                count.explained += 1;
                                out.push_str(&format!("explained {title}: {reason} ({why})\n"));
                            }
                            None => {
                                count.fail += 1;
                                out.push_str(&format!("FAIL {title}: {reason}\n"));
                            }
                        }
                    }
                }
            }
        }
        out.push_str(&format!("{name}: {count}\n"));
        total.pass += count.pass;
        total.fail += count.fail;
        total.skip += count.skip;
        total.explained += count.explained;
    }
    out.push_str(&format!(
        "total: {total}
"
    ));
    std::io::Write::write_all(&mut std::io::stdout(), out.as_bytes())?;
    Ok(total.fail == 0 && explained == EXPLAINED.len())
}

/// Has the `go` command fetch the module, and says where the tests are.
fn fetch() -> Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .current_dir(std::env::temp_dir())
        .output()
        .context("cannot run `go`")?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let Some(folder) = answer.get("Dir").and_then(serde_json::Value::as_str) else {
        bail!("`go mod download {MODULE}` failed: {}", String::from_utf8_lossy(&output.stderr));
    };
    Ok(PathBuf::from(folder).join("tests/simple/testdata"))
}

fn outcome(test: &Message) -> Outcome {
    let Some(source) = test.text("expr") else { return Outcome::Skip };
    let builds_message = source.match_indices("google.protobuf.").any(|(at, _)| {
        let rest = source.get(at..).unwrap_or_default();
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len());
        rest.get(name..).is_some_and(|rest| rest.trim_start().starts_with('{'))
    });
    let needs_messages = test.text("container").is_some_and(|name| !name.is_empty())
        || builds_message
        || MESSAGES.iter().chain(&FUNCTIONS).any(|word| source.contains(word));
    if needs_messages || test.is_true("disable_macros") {
        return Outcome::Skip;
    }
    match prepare(test) {
        Ok((environment, values)) => judge(test, &source, &environment, &values),
        Err(_) => Outcome::Skip,
    }
}

/// The environment and the values of a test; an error if it needs protocol buffers.
fn prepare(test: &Message) -> Result<(Environment, Vec<(String, Value<'static>)>)> {
    let mut environment = Environment::new().with_strings().by_specification();
    let mut values = Vec::new();
    for declaration in test.messages("type_env") {
        let name = declaration.text("name").unwrap_or_default();
        if let Some(function) = declaration.message("function") {
            environment = environment.with_library(vec![expect::function(&name, function)?].leak());
            continue;
        }
        let ident = declaration.message("ident").context("neither variable nor function")?;
        let declared = expect::declared(ident.message("type").context("a type")?)?;
        environment = environment.with_variable(&name, declared);
    }
    for binding in test.messages("bindings") {
        let name = binding.text("key").unwrap_or_default();
        let value = binding.message("value").and_then(|value| value.message("value")).context("no value")?;
        values.push((name, expect::value(value)?));
    }
    if test.is_true("disable_check") {
        environment = environment.unchecked();
        for (name, _) in &values {
            environment = environment.with_variable(name, Type::Dyn);
        }
    }
    Ok((environment, values))
}

fn judge(
    test: &Message,
    source: &str,
    environment: &Environment,
    values: &[(String, Value<'static>)],
) -> Outcome {
    let wants_error = test.message("eval_error").is_some() || test.message("any_eval_errors").is_some();
    let typed = test.message("typed_result");
    let expected = test.message("value").or_else(|| typed.and_then(|typed| typed.message("result")));
    let expected = match expected.map(expect::value) {
        Some(Err(_)) => return Outcome::Skip,
        Some(Ok(value)) => Some(value),
        None => None,
    };
    let program = match Program::compile(environment, source) {
        Ok(program) => program,
        Err(_) if wants_error => return Outcome::Pass,
        Err(issues) => {
            let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
            return Outcome::Fail(format!("{source}: {}", issues.join("; ")));
        }
    };
    if let Some(deduced) = typed.and_then(|typed| typed.message("deduced_type")) {
        match expect::declared(deduced) {
            Ok(deduced) if deduced == *program.result_type() => {}
            Ok(deduced) => {
                return Outcome::Fail(format!(
                    "{source}: type {} instead of {deduced}",
                    program.result_type()
                ));
            }
            Err(_) => return Outcome::Skip,
        }
    }
    if test.is_true("check_only") {
        return Outcome::Pass;
    }
    let mut bindings = Bindings::new(environment);
    for (name, value) in values {
        bindings.set(name, value.clone());
    }
    match (program.evaluate(&bindings, &Meter::new(u64::MAX)), wants_error) {
        (Err(_), true) => Outcome::Pass,
        (Ok(found), true) => Outcome::Fail(format!("{source}: {found} instead of an error")),
        (Err(failure), false) => Outcome::Fail(format!("{source}: {failure}")),
        (Ok(found), false) => {
            let expected = expected.unwrap_or(Value::Bool(true));
            if expect::same(&found, &expected) {
                return Outcome::Pass;
            }
            Outcome::Fail(format!("{source}: {} instead of {}", found.to_json(), expected.to_json()))
        }
    }
}
