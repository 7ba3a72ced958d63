//! What the demo prints: answers as a person wants to read them, in 80 columns.

use super::path_of;
use super::samples::{Expect, Sample};
use crate::client::Reply;
use crate::report::model::{Action, Report};
use crate::report::table::{self, Paint};
use crate::terminal::clean;
use crate::webhook::{Running, certificate};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lines are not longer than this, single words aside.
const WIDTH: usize = 80;
/// Where the text begins, behind the verdict.
const INDENT: usize = 10;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    verdict: Expect,
    /// The HTTP status.
    status: u16,
    /// Reasons of a denial or of a refusal.
    reasons: Vec<String>,
    warnings: Vec<String>,
    /// Key and value.
    annotations: Vec<(String, String)>,
}

impl Answer {
    /// Reads an AdmissionReview, or the Status of an HTTP error.
    pub(super) fn read(reply: &Reply) -> Self {
        let body = serde_json::from_slice::<Json>(&reply.body).unwrap_or_default();
        let response = body.get("response").unwrap_or(&Json::Null);
        let message = response.pointer("/status/message").or(body.get("message"));
        let strings = |list: Option<&Json>| -> Vec<String> {
            let list = list.and_then(Json::as_array).into_iter().flatten();
            list.filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let annotations = response.get("auditAnnotations").and_then(Json::as_object).into_iter().flatten();
        let mut answer = Self {
            verdict: Expect::Allow,
            status: reply.status.as_u16(),
            reasons: message.and_then(Json::as_str).unwrap_or_default().lines().map(str::to_owned).collect(),
            warnings: strings(response.get("warnings")),
            annotations: annotations
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
        };
        answer.verdict = match response.get("allowed").and_then(Json::as_bool) {
            _ if !reply.status.is_success() => Expect::Refuse,
            None => Expect::Refuse,
            Some(false) => Expect::Deny,
            Some(true) if !answer.warnings.is_empty() => Expect::Warn,
            Some(true) if !answer.annotations.is_empty() => Expect::Audit,
            Some(true) => Expect::Allow,
        };
        answer
    }

    /// What is not as the sample expects, in a line.
    pub(super) fn surprise(&self, sample: &Sample) -> Option<String> {
        let Sample { file, expect, by, .. } = sample;
        if self.verdict != *expect {
            return Some(format!("`{file}`: expected {}, was {}", word(*expect), word(self.verdict)));
        }
        let said = |name: &&String| {
            let recorded = self.annotations.iter().map(|(_, value)| value);
            self.reasons.iter().chain(&self.warnings).chain(recorded).any(|text| text.contains(name.as_str()))
        };
        let silent = by.iter().find(|name| !said(name))?;
        Some(format!("`{file}`: `{silent}` is not in the answer"))
    }

    fn label(&self) -> String {
        match self.verdict {
            Expect::Refuse => format!("HTTP {}", self.status),
            verdict => word(verdict).to_uppercase(),
        }
    }
}

fn word(expect: Expect) -> &'static str {
    match expect {
        Expect::Allow => "allowed",
        Expect::Deny => "denied",
        Expect::Warn => "warned",
        Expect::Audit => "audited",
        Expect::Refuse => "refused",
    }
}

/// What runs where.
pub(super) fn opening(
    address: SocketAddr,
    count: usize,
    policies: &[PathBuf],
    ready: Duration,
    paint: Paint,
) -> String {
    let places: Vec<String> = policies.iter().map(|path| format!("`{}`", path.display())).collect();
    let heading = paint.bold(&format!("The webhook answers on https://{address}"));
    let text =
        format!("{count} policies from {}, ready after {} ms.", places.join(" and "), ready.as_millis());
    format!("{heading}\n{}\n\n", wrap(&text, 0))
}

/// One answer: verdict and request, then what it is about, then the reasons.
pub(super) fn answer(sample: &Sample, answer: &Answer, paint: Paint) -> String {
    let label = format!("{:<INDENT$}", answer.label());
    let label = match answer.verdict {
        Expect::Allow => paint.good(&label),
        Expect::Deny | Expect::Refuse => paint.bad(&label),
        Expect::Warn | Expect::Audit => paint.warning(&label),
    };
    let (heading, below) = match (&sample.request, answer.verdict) {
        (None, _) | (_, Expect::Refuse) => (sample.title.as_str(), format!("({})", sample.file)),
        (Some(request), _) => (request.as_str(), format!("{} ({})", sample.title, sample.file)),
    };
    let mut out = format!("{label}{}\n", paint.bold(wrap(heading, INDENT).trim_start()));
    out.push_str(&format!("{}\n", paint.dim(&wrap(&below, INDENT))));
    section(&mut out, "", &answer.reasons, paint);
    section(&mut out, " (warning)", &answer.warnings, paint);
    for (key, value) in &answer.annotations {
        match recorded(value) {
            Some(failures) => section(&mut out, " (recorded)", &failures, paint),
            None => section(&mut out, "", &[format!("audit annotation {key}: {value}")], paint),
        }
    }
    out.push('\n');
    out
}

/// Lines grouped by the policy that they name, each group with what to do about it at its end.
fn section(out: &mut String, kind: &str, lines: &[String], paint: Paint) {
    let lines: Vec<(Option<&str>, &str)> = lines.iter().map(|line| policy_of(line)).collect();
    for group in lines.chunk_by(|(one, _), (other, _)| one == other) {
        let remedy = shared_remedy(group);
        if let Some((Some(policy), _)) = group.first() {
            out.push_str(&format!("{:INDENT$}{}\n", "", paint.bold(&format!("{policy}{kind}"))));
        }
        for (_, text) in group {
            let text =
                remedy.and_then(|remedy| text.strip_suffix(remedy)?.strip_suffix("; ")).unwrap_or(text);
            out.push_str(&format!("{}\n", bullet(text)));
        }
        if let Some(remedy) = remedy {
            out.push_str(&format!("{}\n", wrap(&format!("hint: {remedy}"), INDENT + 2)));
        }
    }
}

/// Splits ``policy `P`: text``, which the webhook writes; other lines name no policy.
fn policy_of(line: &str) -> (Option<&str>, &str) {
    let split = line.strip_prefix("policy `").and_then(|rest| rest.split_once("`: "));
    split.map_or((None, line), |(policy, text)| (Some(policy), text))
}

/// What all lines of a policy end with, behind a semicolon.
fn shared_remedy<'a>(group: &[(Option<&str>, &'a str)]) -> Option<&'a str> {
    let (policy, first) = group.first()?;
    let (_, remedy) = first.rsplit_once("; ")?;
    let shared =
        group.iter().all(|(_, text)| text.strip_suffix(remedy).is_some_and(|text| text.ends_with("; ")));
    (policy.is_some() && shared).then_some(remedy)
}

/// The failures in an audit annotation, worded as the webhook words reasons; `None` if it holds something else.
fn recorded(value: &str) -> Option<Vec<String>> {
    let failures = serde_json::from_str::<Vec<Json>>(value).ok()?;
    let line = |failure: &Json| {
        let text = |field: &str| failure.get(field).and_then(Json::as_str);
        Some(format!("policy `{}`: {}", text("policy")?, text("message")?))
    };
    failures.iter().map(line).collect()
}

/// The audit in short: counts by policy, then who would be denied by what.
pub(super) fn audit(report: &Report, paint: Paint) -> String {
    let heading = paint.bold("What an audit says of the same objects, if they were in a cluster already");
    let mut out = format!("{heading}\n\n{}", table::counts(report, paint));
    out.push_str(&format!("{}\n", paint.bold("WHO FAILS WHAT")));
    for judged in &report.objects {
        let failing = judged.judgements.iter().filter(|judgement| judgement.action <= Action::Audit);
        let policies: BTreeSet<&str> = failing.map(|judgement| judgement.policy.as_str()).collect();
        if !policies.is_empty() {
            let policies: Vec<&str> = policies.into_iter().collect();
            out.push_str(&format!(
                "{}\n{}\n",
                wrap(&judged.object.to_string(), 0),
                bullet(&policies.join(", "))
            ));
        }
    }
    out.push_str(&format!("\n{}\n\n", table::audit_summary(report, paint)));
    out
}

/// The last words: what was sent, and what was not as expected.
pub(super) fn summary(sent: usize, surprises: &[String], paint: Paint) -> String {
    if surprises.is_empty() {
        return format!("{}\n", paint.good(&format!("{sent} requests over HTTPS, every answer as expected")));
    }
    let mut out =
        format!("{}\n", paint.bad(&format!("{} of {sent} answers are not as expected", surprises.len())));
    surprises.iter().for_each(|surprise| out.push_str(&format!("{}\n", bullet(surprise))));
    out
}

/// How to ask the webhook that keeps running.
pub(super) fn keep(running: &Running, reviews: &Path) -> String {
    let ca = running.cert_dir.clone().unwrap_or_default().join(certificate::CA);
    format!(
        "
Still serving, until Ctrl-C. Ask it yourself:

  curl --cacert {ca} \\
    -H 'Content-Type: application/json' \\
    --data-binary @{sample} \\
    https://{address}/validate

Policies in force: curl http://{ops}/policies
",
        ca = ca.display(),
        sample = path_of(reviews, "denied-deployment.json"),
        address = running.address,
        ops = running.ops_address,
    )
}

/// Text as an item of a list below a request.
fn bullet(text: &str) -> String {
    let item = wrap(text, INDENT + 2);
    format!("{:INDENT$}- {}", "", item.trim_start())
}

/// Text in lines of [`WIDTH`], each indented. Control characters are shown, not obeyed.
fn wrap(text: &str, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let word = clean(word);
        match lines.last_mut() {
            Some(line) if indent + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word.into_owned()),
        }
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("{:indent$}{line}", "")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;
    use serde_json::json;

    fn reply(status: u16, body: &Json) -> Reply {
        Reply { status: StatusCode::from_u16(status).unwrap(), body: body.to_string().into() }
    }

    #[test]
    fn a_reply_is_read_for_what_it_means() {
        let check = |status: u16, body: Json, expect: Expect| {
            assert_eq!(Answer::read(&reply(status, &body)).verdict, expect, "{body}");
        };
        let review = |response: Json| json!({"kind": "AdmissionReview", "response": response});
        check(200, review(json!({"allowed": true})), Expect::Allow);
        check(
            200,
            review(json!({"allowed": false, "status": {"message": "no"}, "warnings": ["w"]})),
            Expect::Deny,
        );
        check(
            200,
            review(json!({"allowed": true, "warnings": ["w"], "auditAnnotations": {"a": "b"}})),
            Expect::Warn,
        );
        check(200, review(json!({"allowed": true, "auditAnnotations": {"a": "b"}})), Expect::Audit);
        check(400, json!({"kind": "Status", "message": "not a review"}), Expect::Refuse);
        check(200, json!("nonsense"), Expect::Refuse);
    }

    #[test]
    fn a_surprise_names_the_file_and_what_is_missing() {
        let sample = |expect: Expect, by: &[&str]| Sample {
            file: "a.json".to_owned(),
            title: String::new(),
            expect,
            by: by.iter().map(|&name| name.to_owned()).collect(),
            body: "".into(),
            object: None,
            request: None,
        };
        let denial = json!({"response": {"allowed": false, "status": {"message": "policy `one`: no\npolicy `two`: no"}}});
        let answer = Answer::read(&reply(200, &denial));
        let check =
            |sample: &Sample, expect: Option<&str>| assert_eq!(answer.surprise(sample).as_deref(), expect);
        check(&sample(Expect::Deny, &["one", "two"]), None);
        check(&sample(Expect::Deny, &["one", "three"]), Some("`a.json`: `three` is not in the answer"));
        check(&sample(Expect::Warn, &[]), Some("`a.json`: expected warned, was denied"));
    }

    #[test]
    fn what_is_recorded_is_told_failure_by_failure() {
        let check = |value: &str, expect: Option<&[&str]>| {
            let lines = recorded(value);
            let lines: Option<Vec<&str>> =
                lines.as_ref().map(|lines| lines.iter().map(String::as_str).collect());
            assert_eq!(lines.as_deref(), expect, "{value}");
        };
        check(
            r#"[{"policy": "one", "message": "no"}, {"policy": "two", "message": "neither"}]"#,
            Some(&["policy `one`: no", "policy `two`: neither"]),
        );
        check(r#"[{"policy": "one"}]"#, None);
        check("plain", None);
    }

    #[test]
    fn reasons_are_grouped_by_policy() {
        let lines = [
            "policy `one`: `spec.a`: wrong; mend it",
            "policy `one`: `spec.b`: wrong too; mend it",
            "policy `two`: wrong",
            "2 more",
        ];
        let mut out = String::new();
        section(&mut out, "", &lines.map(str::to_owned), Paint::new(false));
        let lines: Vec<&str> = out.lines().map(str::trim_start).collect();
        let expect = [
            "one",
            "- `spec.a`: wrong",
            "- `spec.b`: wrong too",
            "hint: mend it",
            "two",
            "- wrong",
            "- 2 more",
        ];
        assert_eq!(lines, expect);
    }

    #[test]
    fn lines_fit_and_cannot_move_the_cursor() {
        let text = wrap(&"word ".repeat(40), 10);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && line.starts_with("          word")));
        assert_eq!(wrap("a\x1b[2J b", 2), "  a\\u{1b}[2J b");
    }
}
