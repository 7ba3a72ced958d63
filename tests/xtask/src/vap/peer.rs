//! The API server's side: the program `tests/go/cmd/vap`.

use super::answer::Answer;
use crate::golang;
use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};
use std::thread;

/// What the API server makes of a case.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) answer: Answer,
    /// What it would have sent to a webhook: an AdmissionReview.
    pub(crate) review: Json,
}

/// How long the API server takes for a case, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) dispatch: f64,
    pub(crate) validate: f64,
}

/// Has it judge all cases, in order.
///
/// # Errors
/// The program cannot be built or started, or it ends before it has answered.
pub(crate) fn judge<'a>(cases: impl Iterator<Item = &'a Json> + Send) -> Result<Vec<Judged>> {
    converse(&mut Command::new(golang::program("vap")?), cases, |mut line| Ok(judged(&mut line)))
}

/// Has it judge all cases many times on one core, and say how long that takes.
///
/// # Errors
/// The program cannot be built or started, or it ends before it has answered.
pub(crate) fn measure<'a>(cases: impl Iterator<Item = &'a Json> + Send) -> Result<Vec<(Judged, Timing)>> {
    let mut command = Command::new(golang::program("vap")?);
    converse(command.arg("-bench").env("GOMAXPROCS", "1"), cases, |mut line| {
        let nanoseconds = |field: &str| line[field].as_f64().context("the program does not say how long");
        let timing = Timing { dispatch: nanoseconds("dispatch")?, validate: nanoseconds("validate")? };
        Ok((judged(&mut line["answer"]), timing))
    })
}

fn converse<'a, A: Send>(
    command: &mut Command,
    cases: impl Iterator<Item = &'a Json> + Send,
    read: impl Fn(Json) -> Result<A>,
) -> Result<Vec<A>> {
    let mut child = command
        .env("GOGC", "400")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start it")?;
    let stdin = child.stdin.take().context("the program has no input")?;
    let stdout = BufReader::new(child.stdout.take().context("the program has no output")?);
    let answers = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut out = BufWriter::new(stdin);
            for case in cases {
                writeln!(out, "{case}")?;
            }
            out.flush()
        });
        let read = |line: std::io::Result<String>| read(serde_json::from_str(&line?)?);
        let answers: Result<Vec<A>> = stdout.lines().map(read).collect();
        let written = writer.join().map_err(|_| anyhow::anyhow!("cannot write to the program"))?;
        answers.and_then(|answers| Ok(written.map(|()| answers)?))
    });
    let status = child.wait()?;
    let answers = answers?;
    if !status.success() {
        bail!("the program ended ({status}) after {} answers", answers.len());
    }
    Ok(answers)
}

fn judged(line: &mut Json) -> Judged {
    let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let mut answer = Answer {
        allowed: line["allowed"].as_bool().unwrap_or_default(),
        code: line["code"].as_u64().unwrap_or_default(),
        reason: text("reason"),
        message: text("message"),
        cause: line["causes"][0].as_str().unwrap_or_default().to_owned(),
        broken: line["broken"].as_str().map(str::to_owned),
        ..Answer::default()
    };
    answer.warn(line["warnings"].as_array().into_iter().flatten().filter_map(Json::as_str));
    let annotations = line["annotations"].as_object().into_iter().flatten();
    answer.annotate(annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))));
    Judged { answer, review: line["review"].take() }
}
