//! cel-go, in the program `tests/go/cmd/oracle`.

use super::value::normal;
use super::{End, Question, Verdict};
use crate::golang;
use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

/// cel-go's answer to one question.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// The functions, overloads and macros in the expression.
    pub(crate) used: Vec<String>,
}

/// How long cel-go takes for one question, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) compile: f64,
    pub(crate) evaluate: f64,
}

/// Asks cel-go all questions, in order, and has it evaluate each `repeat` times.
///
/// # Errors
/// The program cannot be built or started, or it ends before it has answered.
pub(crate) fn ask(
    documents: &BTreeMap<String, Json>,
    questions: &[Question],
    repeat: u32,
) -> Result<Vec<Answer>> {
    converse(&[], documents, questions, repeat, read)
}

/// Has cel-go compile each question, evaluate it `repeat` times in a row, and say how long that takes: medians
/// over some rounds.
///
/// # Errors
/// The program cannot be built or started, or a question does not compile or fails.
pub(crate) fn measure(
    documents: &BTreeMap<String, Json>,
    questions: &[Question],
    repeat: u32,
) -> Result<Vec<Timing>> {
    converse(&["-bench"], documents, questions, repeat, |line| {
        let timing: Json = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
        if let Some(broken) = timing["broken"].as_str() {
            bail!("cel-go: {broken}");
        }
        let nanoseconds = |field: &str| timing[field].as_f64().context("the oracle does not say how long");
        Ok(Timing { compile: nanoseconds("compile")?, evaluate: nanoseconds("evaluate")? })
    })
}

fn converse<A: Send>(
    args: &[&str],
    documents: &BTreeMap<String, Json>,
    questions: &[Question],
    repeat: u32,
    read: impl Fn(&str) -> Result<A>,
) -> Result<Vec<A>> {
    let mut child = Command::new(golang::program("oracle")?)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the oracle")?;
    let stdin = child.stdin.take().context("the oracle has no input")?;
    let stdout = BufReader::new(child.stdout.take().context("the oracle has no output")?);
    let answers = thread::scope(|scope| {
        let writer = scope.spawn(move || write_all(stdin, documents, questions, repeat));
        let answers: Result<Vec<A>> = stdout.lines().map(|line| read(&line?)).collect();
        // Were it to end early, writing fails too; what it managed to say comes first.
        let written = writer.join().map_err(|_| anyhow::anyhow!("cannot write to the oracle"))?;
        answers.and_then(|answers| written.map(|()| answers))
    });
    let status = child.wait()?;
    let answers = answers?;
    if !status.success() || answers.len() != questions.len() {
        bail!("the oracle ended ({status}) after {} of {} answers", answers.len(), questions.len());
    }
    Ok(answers)
}

/// Lists the functions, overloads and macros of cel-go's environment, as [`Answer::used`] names them.
///
/// # Errors
/// The program cannot be built or started.
pub(crate) fn vocabulary() -> Result<Vec<String>> {
    let listed = crate::workspace::stdout_of(Command::new(golang::program("oracle")?).arg("-overloads"))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn write_all(
    stdin: impl Write,
    documents: &BTreeMap<String, Json>,
    questions: &[Question],
    repeat: u32,
) -> Result<()> {
    let mut out = BufWriter::new(stdin);
    for (name, document) in documents {
        writeln!(out, "{}", json!({"document": name, "json": document}))?;
    }
    let mut scopes = BTreeMap::new();
    for question in questions {
        let key = (Arc::as_ptr(&question.scope), &question.container, question.mixed, question.kubernetes);
        let next = scopes.len();
        let scope = *scopes.entry(key).or_insert(next);
        if scope == next {
            writeln!(out, "{}", json!({"scope": scope.to_string(), "names": names(question)}))?;
        }
        let request = json!({
            "expression": question.expression,
            "in": scope.to_string(),
            "object": question.object.as_deref(),
            "unchecked": question.unchecked,
            "repeat": repeat,
        });
        writeln!(out, "{request}")?;
    }
    Ok(out.flush()?)
}

/// What the expression of a question may name.
fn names(question: &Question) -> Json {
    let scope = &question.scope;
    let documents: BTreeMap<&String, &String> = scope.documents.iter().map(|name| (name, name)).collect();
    json!({
        "declarations": scope.declarations,
        "objects": scope.objects,
        "documents": documents,
        "values": scope.values,
        "container": question.container,
        "mixed": question.mixed,
        "kubernetes": question.kubernetes.map(|version| version.to_string()),
    })
}

fn read(line: &str) -> Result<Answer> {
    let answer: Json = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
    let used = answer["used"].as_array().into_iter().flatten().filter_map(Json::as_str);
    Ok(Answer { verdict: verdict(&answer), used: used.map(str::to_owned).collect() })
}

fn verdict(answer: &Json) -> Verdict {
    if let Some(broken) = answer["broken"].as_str() {
        return Verdict::Crashed(broken.to_owned());
    }
    let issue = &answer["issues"][0];
    if let Some(message) = issue["message"].as_str() {
        return Verdict::Refused(format!("{}:{}: {message}", issue["line"], issue["column"]));
    }
    if let Some(message) = answer["program"].as_str() {
        return Verdict::Refused(message.to_owned());
    }
    let ends = answer["outcomes"].as_array().into_iter().flatten().map(|end| End {
        result: match end["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(normal(end["value"].clone())),
        },
        cost: end["cost"].as_u64().unwrap_or_default(),
    });
    Verdict::Ran { checked: answer["type"].as_str().map(str::to_owned), ends: ends.collect() }
}
