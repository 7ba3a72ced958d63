//! The three doors, each asked as its users ask it, and what each must say to a case.

use super::review::review;
use super::world::World;
use crate::served::Served;
use anyhow::{Context, Result, bail};
use portcullis::client::Connection;
use portcullis::suite::{Case, Expect};
use portcullis_core::Request;
use portcullis_core::matching::Resources;
use portcullis_core::request::Operation;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::runtime::Runtime;

/// What a door said.
#[derive(Debug, Default)]
struct Said {
    /// `deny`, `warn`, `audit`, `ignore`, `undecidable`, `skip`, or nothing.
    action: String,
    /// All messages.
    text: String,
}

/// What a door is asked, and what it must say.
#[derive(Clone, Copy)]
struct Question<'a> {
    number: usize,
    case: &'a Case,
    expect: Expect,
}

impl<'a> Question<'a> {
    /// As at admission.
    fn admission((number, case): &(usize, &'a Case)) -> Self {
        Self { number: *number, case, expect: case.expect }
    }

    /// As check and audit see the object alone, if the case says what they must say.
    fn offline((number, case): &(usize, &'a Case)) -> Option<Self> {
        Some(Self { number: *number, case, expect: case.expect_offline? })
    }
}

/// Asks the webhook every case, at each of its paths. Returns how many cases were asked.
pub(super) fn webhook(
    world: &World<'_>,
    program: &Path,
    runtime: &Runtime,
    problems: &mut Vec<String>,
) -> Result<usize> {
    let resources = world.resources();
    let resources = resources.to_str().context("the temporary directory is not UTF-8")?;
    let server = Served::portcullis(program, &world.policies(), &["--resources", resources])?;
    runtime.block_on(async {
        server.ready().await?;
        server.settled().await?;
        let mut connection = server.webhook.connect().await?;
        for question in world.cases.iter().map(Question::admission) {
            let Question { number, case, .. } = question;
            let body = review(&case.request, &format!("case-{number}")).to_string();
            let said = post(&mut connection, "/validate", &body).await?;
            problems.extend(disagreement("webhook", question, &said, true));
            // Every pair has one class: what one of the two entries says is what all together say.
            let fail = post(&mut connection, "/validate/fail", &body).await?;
            let ignore = post(&mut connection, "/validate/ignore", &body).await?;
            let critical = post(&mut connection, "/validate/critical", &body).await?;
            let by_class = if fail.action == "deny" { &fail } else { &ignore };
            for (entry, answer) in [("by class", by_class), ("in critical namespaces", &critical)] {
                if (answer.action == "deny") != (said.action == "deny") {
                    problems.push(format!(
                        "case `{}`: the webhook {entry} does not agree with itself",
                        case.name
                    ));
                }
            }
        }
        Ok(world.cases.len())
    })
}

async fn post(connection: &mut Connection, path: &str, body: &str) -> Result<Said> {
    let reply = connection.post(path, body.to_owned().into()).await?;
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let response = &answer["response"];
    let Some(allowed) = response["allowed"].as_bool() else {
        bail!("no answer to a review: HTTP {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
    };
    let action = if !allowed {
        "deny"
    } else if !response["warnings"].is_null() {
        "warn"
    } else if !response["auditAnnotations"]["validation_failure"].is_null() {
        "audit"
    } else {
        ""
    };
    let texts = [&response["status"]["message"], &response["warnings"], &response["auditAnnotations"]];
    let text = texts.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).join("\n");
    Ok(Said { action: action.to_owned(), text })
}

/// Asks `check`: with user and old object where the case has what flags can say, and without them for what it
/// expects offline. Returns how many answers were compared.
pub(super) fn check(world: &World<'_>, program: &Path, problems: &mut Vec<String>) -> Result<usize> {
    let mut admission: BTreeMap<Vec<String>, Vec<Question<'_>>> = BTreeMap::new();
    for question in world.cases.iter().map(Question::admission) {
        if let Some(flags) = flags(world, question)? {
            admission.entry(flags).or_default().push(question);
        }
    }
    let mut asked = 0;
    for (flags, questions) in admission {
        asked += ask("check", &flags, &questions, world, program, problems)?;
    }
    Ok(asked + offline("check", world, program, problems)?)
}

/// Asks `audit` what cases expect offline. Returns how many answers were compared.
pub(super) fn audit(world: &World<'_>, program: &Path, problems: &mut Vec<String>) -> Result<usize> {
    offline("audit", world, program, problems)
}

fn offline(verb: &str, world: &World<'_>, program: &Path, problems: &mut Vec<String>) -> Result<usize> {
    let questions: Vec<Question<'_>> = world.cases.iter().filter_map(Question::offline).collect();
    ask(verb, &[], &questions, world, program, problems)
}

/// The flags by which `check` makes the case's own request of its object; `None` if none do.
fn flags(world: &World<'_>, Question { number, case, .. }: Question<'_>) -> Result<Option<Vec<String>>> {
    let request = &case.request;
    let mut known = Resources::new();
    case.resources.iter().for_each(|object| {
        known.add_crd(object);
    });
    let made = Request::for_object(request.object.to_json(), &known, Operation::Create);
    let same = made.kind == request.kind
        && made.resource == request.resource
        && made.sub_resource == request.sub_resource
        && (&made.name, &made.namespace) == (&request.name, &request.namespace);
    let writes = matches!(request.operation, Operation::Create | Operation::Update);
    let Some(user) = request.user.as_ref().filter(|user| user.uid.is_empty() && user.extra.is_empty()) else {
        return Ok(None);
    };
    if !same || !writes || request.dry_run || !request.options.is_null() || !request.object.root().is_object()
    {
        return Ok(None);
    }
    let mut flags = vec!["--complete".to_owned(), "--as".to_owned(), user.username.clone()];
    for group in &user.groups {
        flags.extend(["--as-group".to_owned(), group.clone()]);
    }
    if request.operation == Operation::Update {
        let old = world.object(&format!("old-{number}"), &request.old_object)?;
        flags.extend(["--old".to_owned(), old.display().to_string()]);
    }
    Ok(Some(flags))
}

fn ask(
    verb: &str,
    flags: &[String],
    questions: &[Question<'_>],
    world: &World<'_>,
    program: &Path,
    problems: &mut Vec<String>,
) -> Result<usize> {
    if questions.is_empty() {
        return Ok(0);
    }
    let mut command = Command::new(program);
    command
        .args([verb, "-o", "json", "--log-level", "error"])
        .args(flags)
        .arg("--resources")
        .arg(world.resources());
    world.policies.iter().for_each(|path| {
        command.arg("--policies").arg(path);
    });
    let mut files: Vec<PathBuf> = Vec::new();
    for Question { number, case, .. } in questions {
        files.push(world.object(&format!("case-{number}"), &case.request.object)?);
    }
    let output = command.args(&files).output().context("cannot start the binary")?;
    if !matches!(output.status.code(), Some(0 | 2)) {
        bail!("`portcullis {verb}`: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let report: Value = serde_json::from_slice(&output.stdout).context("the report is not JSON")?;
    let mut by_file = by_file(&report);
    for (question, file) in questions.iter().zip(&files) {
        let said = by_file.remove(&file.display().to_string()).unwrap_or_default();
        problems.extend(disagreement(verb, *question, &said, !flags.is_empty()));
    }
    Ok(questions.len())
}

/// What a report of check or audit says of each file; nothing of those where nothing is wrong.
fn by_file(report: &Value) -> BTreeMap<String, Said> {
    const GRAVEST_FIRST: [&str; 6] = ["deny", "warn", "audit", "ignore", "undecidable", "skip"];
    let mut by_file = BTreeMap::new();
    for object in report["objects"].as_array().into_iter().flatten() {
        let judgements = &object["judgements"];
        let has = |action: &&&str| {
            judgements.as_array().into_iter().flatten().any(|each| each["action"] == **action)
        };
        let action = GRAVEST_FIRST.iter().find(has).copied().unwrap_or_default().to_owned();
        // Every message is a string of its own in here.
        let said = Said { action, text: strings(judgements).join("\n") };
        by_file.insert(object["place"]["file"].as_str().unwrap_or_default().to_owned(), said);
    }
    by_file
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// What is wrong with an answer, in a line. Messages are compared at admission: that is what suites quote.
fn disagreement(door: &str, question: Question<'_>, said: &Said, admission: bool) -> Option<String> {
    let Question { case, expect, .. } = question;
    let Said { action, text } = said;
    let agrees = match expect {
        Expect::Deny | Expect::Error => action == "deny",
        Expect::Warn => action == "warn",
        Expect::Audit => action == "audit",
        Expect::Undecidable => action == "undecidable",
        Expect::Allow | Expect::Skip => action.is_empty() || action == "skip",
    };
    let (name, place, text) = (&case.name, &case.place, text.replace('\n', " | "));
    if !agrees {
        let action = if action.is_empty() { "allow" } else { action };
        return Some(format!(
            "case `{name}` ({place}): {door} says {action}, expected {}: {text}",
            expect.as_str()
        ));
    }
    let silent = case.message.as_ref().filter(|pattern| admission && !pattern.is_match(&said.text))?;
    Some(format!("case `{name}` ({place}): {door} has no message like `{silent}`: {text}"))
}

#[cfg(test)]
mod tests {
    use super::by_file;
    use serde_json::json;

    #[test]
    fn a_report_is_read_by_file_and_for_the_gravest_action() {
        let report = json!({"objects": [
            {"place": {"file": "a.json", "line": 1}, "judgements": [
                {"action": "audit", "findings": [{"message": "one"}]},
                {"action": "deny", "findings": [{"message": "two"}]}]},
            {"place": {"file": "b.json", "line": 1}, "judgements": [{"action": "undecidable", "missing": ["a user"]}]},
        ]});
        let said = by_file(&report);
        let of = |file: &str| said.get(file).map(|said| said.action.as_str());
        assert_eq!((of("a.json"), of("b.json"), of("c.json")), (Some("deny"), Some("undecidable"), None));
        assert!(said["a.json"].text.contains("one") && said["a.json"].text.contains("two"));
    }
}
