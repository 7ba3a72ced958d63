//! Whether the expressions of a policy fit the fields of the built-in kinds that it matches, as the status of a
//! ValidatingAdmissionPolicy tells it (`policy/validating/typechecking.go` of apiserver): kind by kind, and without
//! any consequence for what is in force.

use super::compile::{check, probe};
use super::declarations::environment;
use crate::document::{Code, Dialect, DocumentError, Matching, Origin, PolicyDocument, ResourceRule};
use crate::matching::built_in;
use crate::request::GroupVersionKind;
use crate::schema::{Exactness, Schemas};
use portcullis_cel::{Environment, KubernetesVersion, ObjectType, Type};
use std::collections::BTreeSet;

/// The fields of built-in kinds, and the version of Kubernetes that they are of.
#[derive(Debug, Clone)]
pub struct Typing {
    /// The fields.
    pub schemas: Schemas,
    /// The version.
    pub version: KubernetesVersion,
}

/// At most so many kinds are looked at for one policy (`maxTypesToCheck`).
const MAX_KINDS: usize = 10;

const POD_SPEC: &str = "api.core.v1.PodSpec";
const CONTAINER: &str = "api.core.v1.Container";
const EPHEMERAL_CONTAINER: &str = "api.core.v1.EphemeralContainer";
const METADATA: &str = "apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// What does not fit the fields of the kinds that a policy matches.
pub(crate) fn typecheck(origin: &Origin, policy: &PolicyDocument, typing: &Typing) -> Vec<DocumentError> {
    let untyped = check(origin, policy);
    let known = |error: &DocumentError| {
        let mut all = untyped.errors.iter().chain(&untyped.warnings);
        all.any(|other| other.place == error.place && other.message.ends_with(&error.message))
    };
    let base = base(policy, typing);
    // Whatever does not depend on the kind: the Pod inside, params, what a version's libraries lack.
    let mut found: Vec<DocumentError> =
        probe(origin, policy, base.clone()).into_iter().filter(|error| !known(error)).collect();
    let of_every_kind = found.len();
    let mut of_kinds: Vec<(DocumentError, Vec<String>)> = Vec::new();
    let exactness = exactness(policy);
    for kind in kinds(policy, &typing.schemas) {
        let Some(object) = typing.schemas.kind(&kind, exactness) else { continue };
        let environment =
            base.clone().with_variable("object", object.clone()).with_variable("oldObject", object);
        let shown = shown(&kind);
        for error in probe(origin, policy, environment) {
            let is_told =
                |other: &DocumentError| other.place == error.place && other.message == error.message;
            if known(&error) || found.iter().take(of_every_kind).any(is_told) {
                continue;
            }
            match of_kinds.iter_mut().find(|(other, _)| is_told(other)) {
                Some((_, kinds)) if kinds.contains(&shown) => {}
                Some((other, kinds)) => {
                    kinds.push(shown.clone());
                    // What is near is so among the fields of one kind.
                    other.hint = other.hint.take().or(error.hint);
                }
                None => of_kinds.push((error, vec![shown.clone()])),
            }
        }
    }
    found.extend(of_kinds.into_iter().map(|(error, kinds)| {
        let message = format!("{}: {}", kinds.join("; "), error.message);
        DocumentError { message, ..error }
    }));
    found.into_iter().map(|error| error.with_code(Code::TypeCheck)).collect()
}

fn exactness(policy: &PolicyDocument) -> Exactness {
    match policy.dialect {
        Dialect::Kubernetes => Exactness::Kubernetes,
        Dialect::Portcullis => Exactness::Json,
    }
}

/// What expressions may name, with the types of what does not depend on the kind.
fn base(policy: &PolicyDocument, typing: &Typing) -> Environment {
    let (schemas, exactness) = (&typing.schemas, exactness(policy));
    let version = match policy.dialect {
        Dialect::Kubernetes => typing.version,
        // Ours are evaluated here, whatever the cluster.
        Dialect::Portcullis => KubernetesVersion::NEWEST,
    };
    let mut base = environment(policy, version);
    let param_kind = policy.param_kind.as_ref();
    let param_kind = param_kind.map(|kind| GroupVersionKind::from_api_version(&kind.api_version, &kind.kind));
    if let Some(params) = param_kind.and_then(|kind| schemas.kind(&kind, exactness)) {
        base = base.with_variable("params", params);
    }
    if matches!(policy.matching, Matching::Pods(_)) {
        let spec = schemas.named(POD_SPEC, exactness);
        let mut fields = schemas.fields(CONTAINER, exactness);
        fields.extend(schemas.fields(EPHEMERAL_CONTAINER, exactness));
        // Containers of all sorts, each with its sort.
        let fields = fields.iter().map(|(name, kind)| (name.as_str(), kind.clone()));
        let container = ObjectType::new("container", fields.chain([("kind", Type::String)]));
        base = base
            .with_variable("podSpec", spec.clone())
            .with_variable("oldPodSpec", spec)
            .with_variable("podMetadata", schemas.named(METADATA, exactness))
            .with_variable("containers", Type::list(Type::Object(container)));
    }
    base
}

/// As Go prints a GroupVersionKind.
fn shown(kind: &GroupVersionKind) -> String {
    format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind)
}

/// The kinds that a policy names by group, version and resource, sorted (`typesToCheck`).
fn kinds(policy: &PolicyDocument, schemas: &Schemas) -> Vec<GroupVersionKind> {
    let constraints = match &policy.matching {
        Matching::Constraints(constraints) => constraints.clone(),
        Matching::Pods(pods) => pods.constraints(),
    };
    let mut kinds = BTreeSet::new();
    for rule in constraints.resource_rules.iter().filter(|rule| names_all(rule)) {
        let resources = rule.resources.iter().filter(|resource| !resource.contains(['*', '/']));
        for resource in resources {
            for group in &rule.api_groups {
                for kind in built_in::kinds_of(group, resource) {
                    let versions = rule.api_versions.iter().map(|version| GroupVersionKind {
                        group: group.clone(),
                        version: version.clone(),
                        kind: kind.to_owned(),
                    });
                    kinds.extend(versions.filter(|kind| schemas.has(kind)));
                }
            }
        }
    }
    kinds.into_iter().take(MAX_KINDS).collect()
}

/// Whether a rule names its groups and versions, rather than taking all.
fn names_all(rule: &ResourceRule) -> bool {
    !rule.api_groups.iter().chain(&rule.api_versions).any(|name| name.contains('*'))
}
