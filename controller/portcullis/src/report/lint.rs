//! What lint found, and how it is told: to people as compilers do, to programs as one JSON document.
//!
//! `LintReport` (`portcullis.dev/v1`): `summary` (counts of policies, errors and warnings), `findings` (each with
//! `severity`, `code` and `message`, and where known `hint`, `place`, `document` and `field`) and `unreadable`.
//! Fields are only ever added.

use super::model::{Place, Problem};
use super::table::Paint;
use crate::excerpt::Excerpt;
use crate::terminal::clean;
use portcullis_core::document::{Code, DocumentError};
use portcullis_core::lint::{Linted, Severity, severity};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LintReport {
    api_version: &'static str,
    kind: &'static str,
    summary: Summary,
    findings: Vec<Finding>,
    /// Files that could not be read.
    pub unreadable: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Summary {
    policies: usize,
    errors: usize,
    warnings: usize,
}

/// One thing that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    severity: &'static str,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// The document's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    /// Its field.
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    #[serde(skip)]
    of: Code,
}

impl LintReport {
    /// The report of what was found; with `strict`, warnings are errors.
    pub fn new(linted: &Linted, unreadable: Vec<Problem>, strict: bool) -> Self {
        let findings: Vec<Finding> =
            linted.findings.iter().map(|found| Finding::new(found, strict)).collect();
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        let summary = Summary { policies: linted.policies, errors, warnings: findings.len() - errors };
        Self { api_version: "portcullis.dev/v1", kind: "LintReport", summary, findings, unreadable }
    }

    /// Whether anything is an error.
    pub fn has_errors(&self) -> bool {
        self.summary.errors > 0
    }

    /// Each error as [`to_text`](Self::to_text) has it, without colours, with the document that it is about and
    /// its file (empty where there is none).
    pub(crate) fn errors<'a>(
        &'a self,
        texts: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = (String, &'a str, String)> + 'a {
        self.findings.iter().filter(|finding| finding.is_error()).map(|finding| {
            let mut text = String::new();
            finding.write(&mut text, texts, Paint::new(false));
            let file = finding.place.as_ref().map(|place| place.file.as_str()).unwrap_or_default();
            (finding.document.clone().unwrap_or_default(), file, text.trim_end().to_owned())
        })
    }

    /// Each warning in a line: what it is about, and what is to be done.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.findings.iter().filter(|finding| !finding.is_error()).map(Finding::line)
    }

    /// The JSON document.
    pub fn to_json(&self) -> String {
        super::json::document(self)
    }

    /// As compilers tell it; `texts` are the files by name.
    pub fn to_text(&self, texts: &BTreeMap<String, String>, paint: Paint) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            finding.write(&mut out, texts, paint);
            out.push('\n');
        }
        let Summary { policies, errors, warnings } = self.summary;
        let told = [(errors, "error"), (warnings, "warning"), (self.unreadable.len(), "unreadable input")];
        let told: Vec<String> = told
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| super::table::count(number, what))
            .collect();
        let told = if told.is_empty() { "no findings".to_owned() } else { told.join(", ") };
        out.push_str(&format!("{}: {told}\n", super::table::count(policies, "policy")));
        out
    }
}

impl Finding {
    fn new(found: &DocumentError, strict: bool) -> Self {
        let is_error = strict || severity(found.code) == Severity::Error;
        let place = match (&found.origin.file, found.file_position) {
            (Some(file), Some(at)) => Some(Place { file: file.clone(), line: at.line, column: at.column }),
            _ => None,
        };
        Self {
            severity: if is_error { "error" } else { "warning" },
            code: found.code.as_str(),
            message: found.message.clone(),
            hint: found.hint.clone(),
            place,
            document: found.name.clone(),
            field: found.place.as_ref().map(|place| place.field.clone()).unwrap_or_default(),
            of: found.code,
        }
    }

    fn is_error(&self) -> bool {
        self.severity == "error"
    }

    fn line(&self) -> String {
        let about = [self.document.as_deref().unwrap_or_default(), &self.field];
        let about: Vec<&str> = about.into_iter().filter(|text| !text.is_empty()).collect();
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", about.join(", "), self.message)
    }

    fn write(&self, out: &mut String, texts: &BTreeMap<String, String>, paint: Paint) {
        let title = format!("{}[{}]", self.severity, self.code);
        let title = if self.is_error() { paint.bad(&title) } else { paint.warning(&title) };
        out.push_str(&format!("{title}{}\n", paint.bold(&format!(": {}", clean(&self.message)))));
        let mut margin = 1;
        if let Some(place) = &self.place {
            let Place { file, line, column } = place;
            out.push_str(&format!("  {} {}:{line}:{column}\n", paint.dim("-->"), clean(file)));
            let text = texts.get(file);
            if let Some(excerpt) = text.and_then(|text| Excerpt::in_text(text, place)) {
                margin = excerpt.margin();
                out.push_str(&self.mark(excerpt).to_string());
            }
        }
        let mut note = |name: &str, text: &str| {
            let sign = paint.dim(&format!("{:margin$} =", ""));
            out.push_str(&format!("  {sign} {} {}\n", paint.bold(&format!("{name}:")), clean(text)));
        };
        match &self.document {
            Some(document) if self.field.is_empty() => note("in", document),
            Some(document) => note("in", &format!("{document}, {}", self.field)),
            None if !self.field.is_empty() => note("in", &self.field),
            None => {}
        }
        if let Some(hint) = &self.hint {
            note("help", hint);
        }
    }

    /// Marks what the finding is about. What is missing stands nowhere: its place is that of what it is missing in.
    fn mark(&self, excerpt: Excerpt) -> Excerpt {
        let token = excerpt.token().trim_matches(['\'', '"']).to_owned();
        let field = self.field.rsplit(['.', '[']).next().unwrap_or_default().trim_matches([']', '\'']);
        let is_named = !token.is_empty() && (field == token || self.message.contains(&format!("`{token}`")));
        match self.of {
            Code::Document | Code::Yaml | Code::NotInForce if !is_named => excerpt,
            _ => excerpt.marking_token(),
        }
    }
}
