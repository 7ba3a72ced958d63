//! What is wrong with documents, and what is sound and hardly as it was meant.

use crate::confined::confine;
use crate::document::{
    self, Code, ConfigMap, Dialect, Document, DocumentError, Origin, Outcome, ReadDocument,
};
use crate::policy::{self, Typing};
use crate::set::{PolicySet, Sources};
use crate::yaml::TextPlace;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is not in force, or not as a whole.
    Error,
    /// It is, and hardly as it was meant.
    Warning,
}

/// How grave findings of one kind are.
pub fn severity(code: Code) -> Severity {
    match code {
        Code::Unreadable
        | Code::Yaml
        | Code::Document
        | Code::Expression
        | Code::Duplicate
        | Code::BrokenVariable
        | Code::UnusedMessage => Severity::Error,
        Code::MissingPolicy
        | Code::NotInForce
        | Code::UnusedVariable
        | Code::UnusedParam
        | Code::UnusedLookup
        | Code::TypeCheck
        | Code::Constant
        | Code::NeverMatches
        | Code::Unbound
        | Code::Expired
        | Code::LiteralMessage
        | Code::NullObject
        | Code::LargeConfigMap => Severity::Warning,
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Linted {
    /// How many policies there are, broken ones included.
    pub policies: usize,
    /// By file and position.
    pub findings: Vec<DocumentError>,
}

/// Looks at all documents of the sources. With `typing`, expressions are also checked against the fields of the
/// built-in kinds that policies match. `now` is what exceptions' expiry is compared with.
pub fn lint(sources: &Sources, typing: Option<&Typing>, now: Timestamp) -> Linted {
    portcullis_cel::with_large_stack(|| lint_all(sources, typing, now))
}

fn lint_all(sources: &Sources, typing: Option<&Typing>, now: Timestamp) -> Linted {
    let of_config_maps = sources.config_maps.iter().flat_map(document::read_config_map);
    let of_config_maps = of_config_maps.map(|read| confine(read, &sources.controller_namespace));
    let read: Vec<ReadDocument> = of_config_maps.chain(sources.plain.iter().cloned()).collect();
    // Broken documents, clashes and bindings without a policy; expressions are compiled once more below, with
    // those of documents that are broken elsewhere.
    let mut findings = PolicySet::compile(sources, None).problems().to_vec();
    let policies: BTreeSet<&str> = read
        .iter()
        .filter_map(|read| read.identity.as_ref())
        .filter(|identity| Dialect::of_kind(identity.kind).is_some())
        .map(|identity| identity.name.as_str())
        .collect();
    let bindings = read.iter().filter_map(|read| match &read.outcome {
        Outcome::Document(Document::Binding(binding)) => Some((&read.origin, binding.policy_name.as_str())),
        _ => None,
    });
    let bindings: Vec<(&Origin, &str)> = bindings.collect();
    // A policy that is broken is there all the same.
    let of_broken = |origin: &Origin| {
        bindings.iter().any(|(binding, policy)| *binding == origin && policies.contains(policy))
    };
    findings.retain(|finding| finding.code != Code::MissingPolicy || !of_broken(&finding.origin));
    let bound: BTreeSet<&str> = bindings.iter().map(|(_, policy)| *policy).collect();
    for read in &read {
        findings.extend(lint_document(read, &bound, typing, now));
    }
    findings.extend(sources.config_maps.iter().filter_map(size));
    findings.sort_by(|a, b| place(a).cmp(&place(b)));
    findings.dedup();
    Linted { policies: policies.len(), findings }
}

fn lint_document(
    read: &ReadDocument,
    bound: &BTreeSet<&str>,
    typing: Option<&Typing>,
    now: Timestamp,
) -> Vec<DocumentError> {
    let Some(node) = &read.node else { return Vec::new() };
    match &read.outcome {
        Outcome::Document(Document::Policy(policy)) => {
            let mut findings = policy::lint(&read.origin, policy, node);
            if let Some(typing) = typing {
                findings.extend(policy::typecheck(&read.origin, policy, typing));
            }
            if policy.dialect == Dialect::Kubernetes && !bound.contains(policy.name.as_str()) {
                let message = "no binding here names this policy, and without one it judges nothing";
                let unbound =
                    DocumentError::at(&read.origin, Some(&policy.name), policy.place.clone(), message);
                findings.push(unbound.with_code(Code::Unbound));
            }
            findings
        }
        Outcome::Document(Document::Binding(binding)) => policy::lint_binding(&read.origin, binding, node),
        Outcome::Document(Document::Exception(exception)) => {
            policy::lint_exception(&read.origin, exception, node, now)
        }
        Outcome::Broken { errors, partial: Some(policy), .. } if !may_mislead(errors) => {
            let mut findings = policy::lint(&read.origin, policy, node);
            findings.retain(|finding| severity(finding.code) == Severity::Error);
            findings
        }
        _ => Vec::new(),
    }
}

/// What all values of a ConfigMap may have together (`MaxSecretSize` of `pkg/apis/core/validation`), in bytes.
const MAX_CONFIG_MAP: usize = 1 << 20;
/// What all annotations of an object may have together (`TotalAnnotationSizeLimitB` of
/// `apimachinery/pkg/api/validation`), in bytes: `kubectl apply` keeps a copy of the whole object in one.
const MAX_ANNOTATIONS: usize = 256 << 10;

/// What is to be said of a ConfigMap's size.
fn size(config_map: &ConfigMap) -> Option<DocumentError> {
    let ConfigMap { data, modules, .. } = config_map;
    let binary: usize = modules.iter().map(|(_, module)| module.len()).sum();
    let values = binary + data.iter().map(|(_, text)| text.text.len()).sum::<usize>();
    // Quoted, as it is in the copy, which is larger by the names of its fields.
    let quoted = |text: &str| serde_json::to_string(text).map_or(text.len(), |quoted| quoted.len());
    let copy = binary.div_ceil(3) * 4 + data.iter().map(|(_, text)| quoted(&text.text)).sum::<usize>();
    let (code, message, hint) = if values > MAX_CONFIG_MAP {
        let message =
            format!("its values have {values} bytes, and a ConfigMap takes {MAX_CONFIG_MAP} at most");
        let hint = if binary > 0 {
            "`portcullis wrap` compresses a module, and spreads it over several ConfigMaps"
        } else {
            "give policies ConfigMaps of their own"
        };
        (Code::Document, message, hint)
    } else if copy > MAX_ANNOTATIONS {
        let message = format!("`kubectl apply` cannot keep its copy of {copy} bytes in an annotation");
        (Code::LargeConfigMap, message, "apply it with `--server-side`, which keeps none")
    } else {
        return None;
    };
    let first = data.first().filter(|_| config_map.file.is_some()).map(|(_, text)| text.place.clone());
    Some(DocumentError {
        code,
        file_position: first.as_ref().map(TextPlace::start),
        origin: Origin {
            file: config_map.file.clone(),
            namespace: config_map.namespace.clone(),
            config_map: config_map.name.clone(),
            key: String::new(),
            document: 0,
            text: first,
        },
        name: None,
        place: None,
        message,
        hint: Some(hint.to_owned()),
    })
}

/// Whether something is broken that expressions may name, so that what is said of them may follow from that.
fn may_mislead(errors: &[DocumentError]) -> bool {
    let named = ["spec.variables", "spec.param", "spec.bindings"];
    errors.iter().any(|error| match &error.place {
        Some(place) => named.iter().any(|field| place.field.starts_with(field)),
        None => true,
    })
}

/// What findings are sorted by.
fn place(finding: &DocumentError) -> impl Ord + '_ {
    let in_key = finding.place.as_ref().map(|place| place.position);
    (&finding.origin.file, finding.file_position, &finding.origin, in_key, finding.code, &finding.message)
}

#[cfg(test)]
mod tests;
