//! A module in place of validations: what it is given of a request, and what becomes of its reply.
//!
//! A module sees Secrets as messages do, without their values: what it is given may come back in its reply or go to
//! the log.

use super::judge::{Judge, Secrets};
use super::phase::{BUDGET, REQUEST_OUT_OF_BUDGET};
use super::plain_finding;
use super::wording::{MAX_MESSAGE_BYTES, cut, one_line};
use crate::decision::{Finding, FindingKind, MAX_FINDINGS};
use crate::module::{INSTRUCTIONS_PER_COST, Input, Module, Reply, Run, Violation};
use crate::policy::given::{LOOKUPS, REQUEST};
use portcullis_cel::tree::NodeList;
use portcullis_cel::{Failure, FailureKind, Value};
use serde::ser::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// The version of the ABI (`sdk/ABI.md`), which requests state.
const ABI: u64 = 1;
/// What is told of a module's warnings; more would not reach anybody.
const MAX_WARNINGS: usize = 20;
/// What a module may be given, request and look-ups together, in bytes: half of the memory that it may have.
const MAX_INPUT: usize = 16 << 20;

impl Judge<'_, '_> {
    /// Judges by a module.
    pub(super) fn call(&mut self, module: &dyn Module) {
        if !self.is_known(&self.validations.reads) {
            return;
        }
        let input = match self.input(module.asks_for_lookups()) {
            Ok(input) => input,
            Err(error) if error.kind == FailureKind::Needs => {
                return self.cannot_decide(error.message.into_owned());
            }
            Err(error) => return self.fail(&error.message),
        };
        // What is written for a module costs as much as if it read it.
        let given = input.lookups.iter().map(|(_, found)| found.len()).sum::<usize>() + input.request.len();
        let written = given as u64 / INSTRUCTIONS_PER_COST;
        let left = self.context.left.get().saturating_sub(written);
        let Run { result, cost } = module.validate(input, BUDGET.min(left));
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

    /// The request as the ABI has it, and beside it what is looked up if the module asks for that; an error if a part of
    /// it cannot be had.
    fn input(&self, asks_for_lookups: bool) -> Result<Input, Box<Failure>> {
        let mut phase = self.phase(&self.validations.reads, Secrets::Masked, BUDGET);
        let mut text = Text::new(&self.outcome.policy.name, MAX_INPUT);
        let mut lookups = Vec::new();
        for given in &self.validations.given {
            match phase.evaluate(&given.expression) {
                Ok(value) if asks_for_lookups && given.path.0 == LOOKUPS => {
                    lookups.push((given.path.1.clone(), text.beside(&value)?));
                }
                Ok(value) => text.put(&given.path, &value)?,
                // A field that this request does not have.
                Err(error) if given.path.0 == REQUEST && error.kind == FailureKind::Evaluation => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Input { request: text.finish(), lookups })
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
    json: Limited,
    /// The field that is open.
    below: &'static str,
}

/// Bytes, of which there are no more than there is room for.
struct Limited {
    bytes: Vec<u8>,
    room: usize,
}

impl Limited {
    fn json(&mut self, value: &impl Serialize) -> Result<(), Box<Failure>> {
        serde_json::to_writer(self, value).map_err(|_| {
            let limit = MAX_INPUT >> 20;
            Failure::new(format!("the module would be given more than {limit} MiB; look up less"))
        })
    }

    fn into_text(self) -> String {
        String::from_utf8(self.bytes).unwrap_or_default()
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn new(policy: &str, room: usize) -> Self {
        let mut bytes = format!("{{\"abi\":{ABI},\"policy\":").into_bytes();
        // A vector takes all of it.
        let _ = serde_json::to_writer(&mut bytes, policy);
        Self { json: Limited { bytes, room }, below: "" }
    }

    fn put(&mut self, (below, name): &(&'static str, String), value: &Value<'_>) -> Result<(), Box<Failure>> {
        if self.below != *below {
            self.close();
            if !below.is_empty() {
                self.json.bytes.push(b',');
                self.json.json(below)?;
                self.json.bytes.extend_from_slice(b":{");
            }
            self.below = below;
        }
        if !self.json.bytes.ends_with(b"{") {
            self.json.bytes.push(b',');
        }
        self.json.json(name)?;
        self.json.bytes.push(b':');
        self.json.json(&Written(value))
    }

    /// A value as a text of its own, for which the same room is used.
    fn beside(&mut self, value: &Value<'_>) -> Result<String, Box<Failure>> {
        let mut json = Limited { bytes: Vec::new(), room: self.json.room };
        json.json(&Written(value))?;
        self.json.room = json.room;
        Ok(json.into_text())
    }

    fn close(&mut self) {
        if !self.below.is_empty() {
            self.json.bytes.push(b'}');
        }
    }

    fn finish(mut self) -> String {
        self.close();
        self.json.bytes.push(b'}');
        self.json.into_text()
    }
}

/// A value as JSON, without a copy of what came as JSON.
struct Written<'v, 'a>(&'v Value<'a>);

impl Serialize for Written<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::JsonMap(map) => serializer.collect_map(map.iter()),
            Value::JsonList(list) => serializer.collect_seq(NodeList::iter(*list)),
            Value::List(list) => serializer.collect_seq(list.iter().map(Written)),
            other => other.to_json().serialize(serializer),
        }
    }
}
