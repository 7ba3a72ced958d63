//! Reads suites: fields checked by name, positions kept, samples fetched from beside the suite.

use super::authorizations::Rules;
use super::fields::{Fault, Fields};
use super::request::{from_node, from_object, user_from};
use super::{Case, Expect, Suite};
use crate::manifests;
use crate::report::model::{Place, Problem};
use crate::webhook::review::Review;
use portcullis_core::Request;
use portcullis_core::matching::Resources;
use portcullis_core::yaml::{self, Node, Value};
use regex::Regex;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the suites understood.
const API_VERSION: &str = "portcullis.dev/v1";

const CASE_FIELDS: &[&str] = &[
    "name",
    "object",
    "request",
    "old",
    "user",
    "params",
    "resources",
    "authorizations",
    "policy",
    "expect",
    "expectOffline",
    "message",
];

/// What a file of suites holds.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Its suites, with the cases that could be read.
    pub suites: Vec<Suite>,
    /// What is wrong with the file, or with a suite as a whole.
    pub problems: Vec<Problem>,
}

/// Reads a file: its `Suite` documents and the samples that they name.
pub fn load(file: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    let text = match manifests::read_text(file) {
        Ok(text) => text,
        Err(problem) => {
            loaded.problems.push(problem);
            return loaded;
        }
    };
    for document in yaml::read(&text) {
        let read = document
            .map_err(|error| Fault::new(error.position, error.message(|at| at)))
            .and_then(|node| tagged(&node).map_or(Ok(node), Err))
            .and_then(|node| Reader { file }.suite(&node));
        match read {
            Ok(suite) => loaded.suites.push(suite),
            Err(fault) => loaded.problems.push(fault.at(file)),
        }
    }
    if loaded.suites.is_empty() && loaded.problems.is_empty() {
        loaded.problems.push(Problem::new(format!("`{}` holds no suite", file.display())));
    }
    loaded
}

/// What of a suite is behind a tag, which would go unnoticed: `expect: !deny` is empty.
fn tagged(document: &Node) -> Option<Fault> {
    let mut waiting = vec![document];
    while let Some(node) = waiting.pop() {
        if node.tagged {
            let hint = Some("quote the whole value".to_owned());
            let message = "an unquoted `!` begins a YAML tag, which is no part of the value";
            return Some(Fault { hint, ..Fault::new(node.at, message) });
        }
        match &node.value {
            Value::Sequence(items) => waiting.extend(items.iter().rev()),
            Value::Mapping(entries) => waiting.extend(entries.iter().rev().map(|entry| &entry.value)),
            _ => {}
        }
    }
    None
}

struct Reader<'a> {
    file: &'a Path,
}

impl Reader<'_> {
    fn suite(&self, node: &Node) -> Result<Suite, Fault> {
        // What is no suite at all shall not hear of its fields.
        for (field, expect) in [("kind", "Suite"), ("apiVersion", API_VERSION)] {
            if let Some(found) = node.get(field).filter(|found| found.as_str() != Some(expect)) {
                let shown = found.as_str().map(|text| format!(", found `{text}`")).unwrap_or_default();
                return Err(Fault::new(found.at, format!("`{field}` must be `{expect}`{shown}")));
            }
        }
        let fields = Fields::of(node, &["apiVersion", "kind", "metadata", "policies", "cases"])?;
        fields.required("apiVersion")?;
        fields.required("kind")?;
        let policies = match fields.get("policies") {
            Some(node) => self.paths("policies", node)?,
            None => vec![self.beside("policy.yaml")],
        };
        let Some(Node { value: Value::Sequence(nodes), .. }) = fields.get("cases") else {
            return Err(fields.fault("cases", "`cases` must be a list"));
        };
        if nodes.is_empty() {
            return Err(fields.fault("cases", "`cases` is empty: the suite would test nothing"));
        }
        let (mut cases, mut problems) = (Vec::new(), Vec::new());
        let mut names = BTreeSet::new();
        for node in nodes {
            match self.case(node) {
                Ok(case) if names.insert(case.name.clone()) => cases.push(case),
                Ok(case) => {
                    let fault = Fault::new(node.at, format!("case `{}` is there twice", case.name));
                    problems.push(fault.at(self.file));
                }
                Err(fault) => problems.push(fault.at(self.file)),
            }
        }
        Ok(Suite { file: self.file.to_owned(), policies, cases, problems })
    }

    fn case(&self, node: &Node) -> Result<Case, Fault> {
        let fields = Fields::of(node, CASE_FIELDS)?;
        let name = fields.required("name")?;
        let mut resources = self.resources(&fields)?;
        let mut known = Resources::new();
        resources.iter().for_each(|object| {
            known.add_crd(object);
        });
        let (mut request, object_file) = self.request(&fields, &known)?;
        if let Some(node) = fields.get("user") {
            request.user = Some(user_from(node)?);
        }
        add_namespace(&mut resources, &request);
        let expect = self.expectation(&fields, "expect")?.ok_or_else(|| fields.lacks("expect"))?;
        let plain =
            ["request", "user", "old", "authorizations"].iter().all(|field| fields.get(field).is_none());
        let expect_offline = self.expectation(&fields, "expectOffline")?.or(plain.then_some(expect));
        Ok(Case {
            name,
            place: Place {
                file: self.file.display().to_string(),
                line: node.at.line,
                column: node.at.column,
            },
            request,
            object_file,
            params: fields.get("params").map(Node::to_json),
            resources,
            authorizations: fields.get("authorizations").map(Rules::read).transpose()?.map(Arc::new),
            policy: fields.text("policy")?,
            expect,
            expect_offline,
            message: fields.text("message")?.map(|text| regex(&fields, &text)).transpose()?,
        })
    }

    fn request(&self, fields: &Fields<'_>, known: &Resources) -> Result<(Request, Option<PathBuf>), Fault> {
        match (fields.get("object"), fields.get("request")) {
            (Some(node), None) => {
                let (object, file) = self.sample(node)?;
                let old = fields.get("old").map(|node| self.sample(node)).transpose()?;
                Ok((from_object(object, old.map(|(old, _)| old), known), file))
            }
            (None, Some(node)) => {
                if fields.get("old").is_some() {
                    let fault = fields.fault("old", "`old` goes with `object`; a request has an `oldObject`");
                    return Err(fault);
                }
                let request = match node.as_str() {
                    None => from_node(node, known)?,
                    Some(name) => {
                        let document = self.one_document(node, name)?;
                        if document.get("kind").and_then(Node::as_str) == Some("AdmissionReview") {
                            return Ok((self.recorded(node, name, &document)?, None));
                        }
                        from_node(&document, known).map_err(|fault| {
                            let at = Fault { at: fault.at, ..fault };
                            Fault::new(node.at, at.at(&self.beside(name)).to_string())
                        })?
                    }
                };
                Ok((request, None))
            }
            (Some(_), Some(_)) => {
                Err(fields.fault("request", "a case has an `object` or a `request`, not both"))
            }
            (None, None) => Err(Fault::new(fields.at, "a case needs an `object` or a `request`")),
        }
    }

    /// The request of an AdmissionReview, as somebody recorded it.
    fn recorded(&self, node: &Node, name: &str, review: &Node) -> Result<Request, Fault> {
        Review::read_whole(review.to_json().to_string())
            .map(|review| review.request)
            .map_err(|error| Fault::new(node.at, format!("`{}`: {error}", self.beside(name).display())))
    }

    /// An object: inline, or the only one of a file beside the suite.
    fn sample(&self, node: &Node) -> Result<(Json, Option<PathBuf>), Fault> {
        let Some(name) = node.as_str() else {
            return match node.value {
                Value::Mapping(_) => {
                    no_object(node).map_or(Ok(()), |why| Err(Fault::new(node.at, why)))?;
                    Ok((node.to_json(), None))
                }
                _ => Err(Fault::new(node.at, "a sample is a path or an object")),
            };
        };
        let (document, path) = (self.one_document(node, name)?, self.beside(name));
        match no_object(&document) {
            None => Ok((document.to_json(), Some(path))),
            Some(why) => Err(Fault::new(node.at, format!("`{}`: {why}", path.display()))),
        }
    }

    fn one_document(&self, node: &Node, name: &str) -> Result<Node, Fault> {
        let path = self.beside(name);
        let text = manifests::read_text(&path).map_err(|problem| Fault::new(node.at, problem.message))?;
        let mut documents = yaml::read(&text);
        match (documents.pop(), documents.len()) {
            (Some(Ok(document)), 0) => Ok(document),
            (Some(Err(error)), 0) => Err(Fault::new(node.at, format!("{}: {error}", path.display()))),
            (_, others) => {
                let message = format!("`{}` must hold one object, it holds {}", path.display(), others + 1);
                Err(Fault::new(
                    node.at,
                    if others == 0 { format!("`{}` is empty", path.display()) } else { message },
                ))
            }
        }
    }

    fn resources(&self, fields: &Fields<'_>) -> Result<Vec<Json>, Fault> {
        let Some(node) = fields.get("resources") else { return Ok(Vec::new()) };
        let Value::Sequence(items) = &node.value else {
            return Err(Fault::new(node.at, "`resources` must be a list of paths or objects"));
        };
        let mut objects = Vec::new();
        for item in items {
            match (&item.value, item.as_str()) {
                (_, Some(name)) => {
                    let found = manifests::read(&[self.beside(name)]);
                    if let Some(problem) = found.problems.into_iter().next() {
                        return Err(Fault::new(item.at, problem.to_string()));
                    }
                    objects.extend(found.objects.into_iter().map(|manifest| manifest.object));
                }
                (Value::Mapping(_), None) => objects.push(item.to_json()),
                _ => return Err(Fault::new(item.at, "a resource is a path or an object")),
            }
        }
        Ok(objects)
    }

    fn expectation(&self, fields: &Fields<'_>, field: &str) -> Result<Option<Expect>, Fault> {
        let Some(text) = fields.text(field)? else { return Ok(None) };
        let offline = field == "expectOffline";
        let allowed: Vec<Expect> =
            Expect::ALL.into_iter().filter(|expect| offline || *expect != Expect::Undecidable).collect();
        match allowed.iter().find(|expect| expect.as_str() == text) {
            Some(expect) => Ok(Some(*expect)),
            None => {
                let names: Vec<&str> = allowed.iter().map(|expect| expect.as_str()).collect();
                let message = format!("`{field}` must be one of {}, found `{text}`", names.join(", "));
                let fault = fields.fault(field, message);
                let hint = (text == "undecidable")
                    .then(|| "at admission everything is known; say it under `expectOffline`".to_owned());
                Err(Fault { hint, ..fault })
            }
        }
    }

    fn paths(&self, field: &str, node: &Node) -> Result<Vec<PathBuf>, Fault> {
        let wrong = |at| Fault::new(at, format!("`{field}` must be a list of paths"));
        let Value::Sequence(items) = &node.value else { return Err(wrong(node.at)) };
        items.iter().map(|item| Ok(self.beside(item.as_str().ok_or_else(|| wrong(item.at))?))).collect()
    }

    /// A path in a suite is relative to the suite.
    fn beside(&self, name: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(name)
    }
}

/// Why a document is not one object, which no policy would match, so that `expect: allow` would prove nothing.
fn no_object(document: &Node) -> Option<String> {
    let told = |field: &str| document.get(field).and_then(Node::as_str).is_some_and(|text| !text.is_empty());
    match ["apiVersion", "kind"].into_iter().find(|field| !told(field)) {
        Some(field) => Some(format!("not a Kubernetes object: it has no `{field}`")),
        None if document.get("kind").and_then(Node::as_str) == Some("List") => {
            Some("a sample is one object, not a List".to_owned())
        }
        None => None,
    }
}

/// Adds the request's Namespace unless the case brings it, with the label that every Namespace has.
fn add_namespace(resources: &mut Vec<Json>, request: &Request) {
    let name = &request.namespace;
    let text = |object: &Json, pointer| object.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
    let is_it = |object: &Json| {
        text(object, "/kind").as_deref() == Some("Namespace")
            && text(object, "/metadata/name").as_ref() == Some(name)
    };
    if !name.is_empty() && !resources.iter().any(is_it) {
        let labels = json!({"kubernetes.io/metadata.name": name});
        let metadata = json!({"name": name, "labels": labels});
        resources.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
    }
}

fn regex(fields: &Fields<'_>, text: &str) -> Result<Regex, Fault> {
    Regex::new(text).map_err(|_| Fault {
        hint: Some("write `\\` before `.`, `(`, `[` and their like to mean them".to_owned()),
        ..fields.fault("message", format!("`{text}` is no regular expression"))
    })
}
