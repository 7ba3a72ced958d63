//! A module in place of validations: what it is given of a request, and what becomes of its reply.
//!
//! A module sees Secrets as messages do, without their values: what it is given may come back in its reply or go to
//! the log.

use super::judge::{Judge, Secrets};
use super::phase::{BUDGET, REQUEST_OUT_OF_BUDGET};
use super::plain_finding;
use super::wording::{MAX_MESSAGE_BYTES, cut, one_line};
use crate::decision::{Finding, FindingKind, MAX_FINDINGS};
use crate::module::{Module, Reply, Run, Violation};
use crate::policy::given::REQUEST;
use portcullis_cel::tree::NodeList;
use portcullis_cel::{Failure, FailureKind, Value};
use serde::ser::{Serialize, Serializer};
use std::collections::BTreeSet;

/// The version of the ABI (`sdk/ABI.md`), which requests state.
const ABI: u64 = 1;
/// What is told of a module's warnings; more would not reach anybody.
const MAX_WARNINGS: usize = 20;

impl Judge<'_, '_> {
    /// Judges by a module.
    pub(super) fn call(&mut self, module: &dyn Module) {
        if !self.is_known(&self.validations.reads) {
            return;
        }
        let request = match self.request_text() {
            Ok(request) => request,
            Err(error) if error.kind == FailureKind::Needs => {
                return self.cannot_decide(error.message.into_owned());
            }
            Err(error) => return self.fail(&error.message),
        };
        let left = self.context.left.get();
        let Run { result, cost } = module.validate(&request, BUDGET.min(left));
        self.context.left.set(left.saturating_sub(cost));
        match result {
            Ok(reply) => self.take(reply),
            Err(_) if cost >= left => self.only_error(REQUEST_OUT_OF_BUDGET.to_owned()),
            Err(message) => self.fail(&message),
        }
    }

    fn fail(&mut self, message: &str) {
        let message = one_line(message, MAX_MESSAGE_BYTES);
        self.outcome.findings.push(plain_finding(FindingKind::Error, message));
    }

    /// The request as the ABI has it; an error if a part of it cannot be had.
    fn request_text(&self) -> Result<String, Box<Failure>> {
        let mut phase = self.phase(&self.validations.reads, Secrets::Masked, BUDGET);
        let mut text = Text::new(&self.outcome.policy.name);
        for given in &self.validations.given {
            match phase.evaluate(&given.expression) {
                Ok(value) => text.put(&given.path, &value),
                // A field that this request does not have.
                Err(error) if given.path.0 == REQUEST && error.kind == FailureKind::Evaluation => {}
                Err(error) => return Err(error),
            }
        }
        Ok(text.finish())
    }

    fn take(&mut self, reply: Reply) {
        let excepted = self.excepted_paths();
        let is_excepted =
            |violation: &Violation| excepted.iter().any(|path| is_within(&violation.field_path, path));
        for violation in reply.violations.into_iter().filter(|violation| !is_excepted(violation)) {
            if self.outcome.findings.len() >= MAX_FINDINGS {
                self.outcome.omitted += 1;
                continue;
            }
            self.outcome.findings.push(Finding {
                kind: FindingKind::Violation,
                message: one_line(&violation.message, MAX_MESSAGE_BYTES),
                field_path: one_line(&violation.field_path, MAX_MESSAGE_BYTES),
                remedy: violation.remedy.map(|remedy| one_line(&remedy, MAX_MESSAGE_BYTES)),
                reason: violation.reason,
                validation: None,
            });
        }
        let warnings = reply.warnings.into_iter().take(MAX_WARNINGS);
        self.outcome.warnings.extend(warnings.map(|warning| one_line(&warning, MAX_MESSAGE_BYTES)));
        for (key, value) in reply.audit_annotations {
            let value = cut(value.trim(), super::annotations::MAX_ANNOTATION_BYTES);
            if !value.is_empty() {
                self.outcome.audit_annotations.push((key, value.to_owned()));
            }
        }
    }

    /// Where the containers and images are that an exception takes out. A module is given the object as it is, so what
    /// it says of these does not count.
    fn excepted_paths(&self) -> Vec<String> {
        let (Some(kept), Some(pod)) = (&self.without_excepted, self.context.objects().pod()) else {
            return Vec::new();
        };
        let of_containers = pod.view.containers().map(|container| container.path());
        let of_images = pod.view.images().map(|image| image.path());
        let missing = |places: &[usize], paths: Vec<String>| {
            let kept: BTreeSet<usize> = places.iter().copied().collect();
            let missing = paths.into_iter().enumerate().filter(move |(place, _)| !kept.contains(place));
            missing.map(|(_, path)| path).collect::<Vec<_>>()
        };
        let mut paths = missing(&kept.containers.places, of_containers.collect());
        paths.extend(missing(&kept.images.places, of_images.collect()));
        paths
    }
}

/// Whether a field path is another one or leads below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The request's JSON in the making. What is given comes sorted by what it is below.
struct Text {
    json: Vec<u8>,
    /// The field that is open.
    below: &'static str,
}

impl Text {
    fn new(policy: &str) -> Self {
        let mut text = Self { json: format!("{{\"abi\":{ABI},\"policy\":").into_bytes(), below: "" };
        text.write(&policy);
        text
    }

    fn put(&mut self, (below, name): &(&'static str, String), value: &Value<'_>) {
        if self.below != *below {
            self.close();
            if !below.is_empty() {
                self.json.push(b',');
                self.write(below);
                self.json.extend_from_slice(b":{");
            }
            self.below = below;
        }
        if !self.json.ends_with(b"{") {
            self.json.push(b',');
        }
        self.write(name);
        self.json.push(b':');
        self.write(&Written(value));
    }

    fn close(&mut self) {
        if !self.below.is_empty() {
            self.json.push(b'}');
        }
    }

    fn write(&mut self, value: &impl Serialize) {
        // Nothing that is written here can fail, and a vector takes all of it.
        let _ = serde_json::to_writer(&mut self.json, value);
    }

    fn finish(mut self) -> String {
        self.close();
        self.json.push(b'}');
        String::from_utf8(self.json).unwrap_or_default()
    }
}

/// A value as JSON, without a copy of what came as JSON.
struct Written<'v, 'a>(&'v Value<'a>);

impl Serialize for Written<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::JsonMap(map) => serializer.collect_map(map.iter()),
            Value::JsonList(list) => serializer.collect_seq(NodeList::iter(*list)),
            other => other.to_json().serialize(serializer),
        }
    }
}
