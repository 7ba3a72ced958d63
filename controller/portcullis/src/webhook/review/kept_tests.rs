//! What is kept of reviews: the decision must be the one that the whole review leads to.

use super::{Reply, Review, Unreadable};
use crate::source::files::PolicyFiles;
use crate::suite;
use portcullis_core::document::ConfigMap;
use portcullis_core::enforcement::{Door, enforce};
use portcullis_core::request::{GroupVersionKind, GroupVersionResource, Operation};
use portcullis_core::set::{Pairs, Sort, Sources};
use portcullis_core::yaml::{Position, Text, TextPlace};
use portcullis_core::{Facts, PolicySet, Request};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn set(directories: &[&str]) -> PolicySet {
    let directories = directories.iter().map(|directory| root().join(directory)).collect();
    let sources = PolicyFiles::new(directories, "portcullis").read().unwrap().unwrap();
    PolicySet::compile(&sources, None)
}

/// Policies that read and tell what those of the library do not.
fn odd_set() -> PolicySet {
    let place = TextPlace::at(Position { line: 1, column: 1 });
    let text = Text { text: include_str!("kept_policies.yaml").to_owned(), place };
    let data = vec![("policies.yaml".to_owned(), text)];
    let config_map = ConfigMap {
        file: None,
        namespace: "portcullis".to_owned(),
        name: "odd".to_owned(),
        exceptions_only: false,
        data,
        modules: Vec::new(),
    };
    let set = PolicySet::compile(&Sources { config_maps: vec![config_map], ..Sources::default() }, None);
    assert_eq!(set.problems(), []);
    set
}

fn sets() -> [PolicySet; 4] {
    let of = |directory| set(&[directory]);
    [of("policies"), of("tests/bench/policies"), of("tests/reviews/policies"), odd_set()]
}

/// A review with its fields in the API server's order, or with the objects before what tells their sort.
fn body(request: &Request, objects_first: bool) -> String {
    let kind =
        |kind: &GroupVersionKind| json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let resource = |known: &GroupVersionResource| json!({"group": known.group, "version": known.version, "resource": known.resource});
    let user = request.user.clone().unwrap_or_default();
    let mut fields: Vec<(&str, Json)> = vec![
        ("uid", json!("u")),
        ("kind", kind(&request.kind)),
        ("resource", request.resource.as_ref().map(resource).into()),
        ("subResource", json!(request.sub_resource)),
        ("requestKind", request.request_kind.as_ref().map(kind).into()),
        ("requestResource", request.request_resource.as_ref().map(resource).into()),
        ("requestSubResource", json!(request.request_sub_resource)),
        ("name", json!(request.name)),
        ("namespace", json!(request.namespace)),
        ("operation", json!(request.operation.as_str())),
        (
            "userInfo",
            json!({"username": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}),
        ),
        ("object", request.object.to_json()),
        ("oldObject", request.old_object.to_json()),
        ("dryRun", json!(request.dry_run)),
        ("options", request.options.to_json()),
    ];
    if objects_first {
        fields.rotate_left(5);
    }
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!(
        "{{\"apiVersion\": \"admission.k8s.io/v1\", \"kind\": \"AdmissionReview\", \"request\": {{{}}}}}",
        fields.join(", ")
    )
}

fn files(directory: &Path, named: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (folders, others): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| files(folder, named));
    let named = |path: &PathBuf| named(&path.file_name().unwrap().to_string_lossy());
    below.chain(others.into_iter().filter(named)).collect()
}

/// Reads a body as it is kept and as a whole: the same decision, reply and errors. Returns how much was kept, in
/// bytes of object and old object.
fn check(set: &PolicySet, body: &str, facts: &Facts) -> Option<(usize, usize)> {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let kept = Review::read(&Arc::new(body.to_owned()), &|sort: Sort<'_>| Some(set.plan(sort)));
    let (kept, whole) = match (kept, Review::read_whole(body.to_owned())) {
        (Ok(kept), Ok(whole)) => (kept.request, whole.request),
        (kept, whole) => {
            let error = |review: Result<Review, Unreadable>| review.err().map(|error| error.to_string());
            assert_eq!(error(kept), error(whole), "{body}");
            return None;
        }
    };
    let decide = |request: &Request| {
        let decision = set.decide(Pairs::All, request, facts, now);
        let answer = enforce(&decision, Door::Admission, false);
        let reply = Reply::Decided { answer: &answer, request }.to_json("u");
        format!("{decision:#?} {}", String::from_utf8(reply).unwrap())
    };
    assert_eq!(decide(&kept), decide(&whole), "{body}");
    let size = |request: &Request| request.object.to_string().len() + request.old_object.to_string().len();
    Some((size(&kept), size(&whole)))
}

fn cases() -> impl Iterator<Item = suite::Case> {
    let suites = files(&root().join("policies"), &|name| name == "suite.yaml");
    suites.into_iter().flat_map(|file| suite::load(&file).suites).flat_map(|suite| suite.cases)
}

#[test]
fn what_is_kept_of_a_review_decides() {
    let sets = sets();
    let (mut compared, mut kept, mut whole) = (0, 0, 0);
    let mut count = |sizes: Option<(usize, usize)>| {
        let Some(sizes) = sizes else { return };
        compared += 1;
        kept += sizes.0;
        whole += sizes.1;
    };
    for case in cases() {
        let facts = case.facts(true);
        for set in &sets {
            count(check(set, &body(&case.request, false), &facts));
            count(check(set, &body(&case.request, true), &facts));
        }
    }
    for file in files(&root().join("tests/reviews"), &|name| name.ends_with(".json")) {
        let text = fs::read_to_string(&file).unwrap();
        sets.iter().for_each(|set| count(check(set, &text, &Facts::new(false))));
    }
    assert!(compared > 1_500 && kept * 4 < whole * 3, "{compared} compared, {kept} of {whole} bytes kept");
}

/// Numbers that look like chance and are the same every time (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Changes something somewhere in a value.
    fn mutate(&mut self, value: &mut Json) {
        match value {
            Json::Object(map) if !map.is_empty() && !self.once_in(6) => {
                let key = map.keys().nth(self.below(map.len())).unwrap().clone();
                if self.once_in(8) {
                    map.remove(&key);
                } else if self.once_in(8) {
                    let moved = map.remove(&key).unwrap();
                    map.insert(["deletionTimestamp", "labels", "data", "x"][self.below(4)].to_owned(), moved);
                } else {
                    self.mutate(&mut map[&key]);
                }
            }
            Json::Array(list) if !list.is_empty() && !self.once_in(6) => {
                let index = self.below(list.len());
                match self.below(6) {
                    0 => drop(list.remove(index)),
                    1 => list.push(list[index].clone()),
                    _ => self.mutate(&mut list[index]),
                }
            }
            value => {
                let odd = [
                    json!(null),
                    json!(true),
                    json!(-1),
                    json!(1.5),
                    json!(u64::MAX),
                    json!(""),
                    json!("*"),
                    json!("a\"\n\u{1F600}"),
                    json!([]),
                    json!({}),
                    json!([null]),
                    json!({"name": null}),
                ];
                *value = odd[self.below(odd.len())].clone();
            }
        }
    }

    /// Writes a value with escapes that need not be, and some keys twice.
    fn write(&mut self, value: &Json, text: &mut String) {
        match value {
            Json::String(string) => self.write_string(string, text),
            Json::Array(list) => {
                text.push('[');
                for (index, element) in list.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    self.write(element, text);
                }
                text.push(']');
            }
            Json::Object(map) => {
                text.push('{');
                for (index, (key, value)) in map.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { ", " });
                    let mut values = vec![value.clone()];
                    if self.once_in(30) {
                        let mut other = value.clone();
                        self.mutate(&mut other);
                        values.insert(self.below(2), other);
                    }
                    for (index, value) in values.iter().enumerate() {
                        text.push_str(if index == 0 { "" } else { "," });
                        self.write_string(key, text);
                        text.push(':');
                        self.write(value, text);
                    }
                }
                text.push('}');
            }
            scalar => text.push_str(&scalar.to_string()),
        }
    }

    fn write_string(&mut self, string: &str, text: &mut String) {
        text.push('"');
        for unit in string.encode_utf16() {
            match u8::try_from(unit)
                .ok()
                .filter(|byte| (b' '..=b'~').contains(byte) && !b"\"\\".contains(byte))
            {
                Some(byte) if !self.once_in(40) => text.push(byte.into()),
                _ => text.push_str(&format!("\\u{unit:04x}")),
            }
        }
        text.push('"');
    }

    /// Puts something that is no JSON, or other JSON, in a random place.
    fn spoil(&mut self, text: &mut String) {
        const ODD: [&str; 14] = [
            "\"",
            "\\",
            "{",
            "]",
            ",",
            ":",
            "\\ud800",
            "\\udc00\\ud800",
            "\\u00",
            "1e999",
            "-",
            "\u{1}",
            "nul",
            "\u{e9}",
        ];
        let at = (0..=self.below(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        match self.below(3) {
            0 => text.truncate(at),
            1 => drop(text.remove(at)),
            _ => text.insert_str(at, ODD[self.below(ODD.len())]),
        }
    }
}

#[test]
fn no_change_of_a_review_makes_a_difference() {
    let sets = sets();
    let mut chance = Chance(0x2026_1122_0815_4711);
    let (mut decided, mut refused) = (0, 0);
    for case in cases() {
        let facts = case.facts(true);
        for _ in 0..5 {
            let mut request = case.request.clone();
            if chance.once_in(3) && request.operation == Operation::Create {
                request.operation = Operation::Update;
                request.old_object = request.object.clone();
            }
            for object in [&mut request.object, &mut request.old_object, &mut request.options] {
                let mut json = object.to_json();
                (0..chance.below(4)).for_each(|_| chance.mutate(&mut json));
                *object = json.into();
            }
            let plain: Json = serde_json::from_str(&body(&request, false)).unwrap();
            let fields = plain["request"].as_object().unwrap();
            let mut text =
                r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"#.to_owned();
            for (index, name) in ORDER.into_iter().enumerate() {
                text.push_str(if index == 0 { "\"" } else { ", \"" });
                text.push_str(name);
                text.push_str("\": ");
                match &fields[name] {
                    object if name.to_lowercase().ends_with("object") => chance.write(object, &mut text),
                    other => text.push_str(&other.to_string()),
                }
            }
            text.push_str("}}");
            if chance.once_in(3) {
                chance.spoil(&mut text);
            }
            for set in &sets {
                *(if check(set, &text, &facts).is_some() { &mut decided } else { &mut refused }) += 1;
            }
        }
    }
    assert!(decided > 3_000 && refused > 700, "{decided} decided, {refused} refused");
}

/// The order in which API servers send the fields.
const ORDER: [&str; 15] = [
    "uid",
    "kind",
    "resource",
    "subResource",
    "requestKind",
    "requestResource",
    "requestSubResource",
    "name",
    "namespace",
    "operation",
    "userInfo",
    "object",
    "oldObject",
    "dryRun",
    "options",
];
