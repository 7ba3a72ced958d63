//! `PolicyException`: who is exempt from which policies, why, and until when.

use super::fields::{Field, Fields, alternatives, refuse_duplicates};
use super::metadata::Metadata;
use super::{ExceptionDocument, Subject, names};
use portcullis_cel::ImageReference;

/// The API group of the subjects' kinds, which RBAC's own documents spell out.
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// The spec of a PolicyException.
pub(super) fn read(root: &Fields<'_>, metadata: Option<Metadata>) -> Option<ExceptionDocument> {
    let spec = root.required("spec")?.fields()?;
    let field = spec.required("policies");
    let policies_at = field.as_ref().map(Field::place);
    let policies = field.map(|field| policies(&field)).unwrap_or_default();
    let matched = spec.required("match").and_then(|field| covered(&field));
    let reason = spec.required("reason").and_then(|field| field.string().map(str::to_owned));
    let expires_at = spec.optional("expiresAt").and_then(|field| {
        let parsed = field.string()?.trim().parse::<jiff::Timestamp>().ok();
        if parsed.is_none() {
            field.refuse("must be a time as RFC 3339 writes it, such as `2030-12-31T00:00:00Z`");
        }
        parsed
    });
    spec.finish();
    let (metadata, matched) = (metadata?, matched?);
    Some(ExceptionDocument {
        name: metadata.name,
        place: metadata.place,
        policies,
        policies_at: policies_at?,
        kinds: matched.kinds,
        namespaces: matched.namespaces,
        names: matched.names,
        images: matched.images,
        subjects: matched.subjects,
        reason: reason?,
        expires_at,
    })
}

/// What `match` says.
struct Covered {
    kinds: Vec<String>,
    namespaces: Vec<String>,
    names: Vec<String>,
    images: Vec<String>,
    subjects: Vec<Subject>,
}

fn policies(field: &Field<'_>) -> Vec<String> {
    let found = field.strings();
    for (name, item) in found.iter().filter(|(name, _)| *name != "*") {
        item.require(names::dns_subdomain(name));
    }
    if found.len() > 1 && found.iter().any(|(name, _)| *name == "*") {
        field.refuse("`*` must stand alone");
    }
    refuse_duplicates(found.iter().map(|(name, item)| (*name, item.clone())));
    found.into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn covered(field: &Field<'_>) -> Option<Covered> {
    let fields = field.fields()?;
    let kinds = strings(&fields, "kinds");
    for (kind, item) in &kinds {
        if !is_kind(kind) {
            item.refuse("must be `Kind` or `Kind.group`, such as `Pod` or `Deployment.apps`");
        }
    }
    let namespaces = strings(&fields, "namespaces");
    let names = strings(&fields, "names");
    let images = strings(&fields, "images");
    for (prefix, item) in &images {
        if let Err(error) = ImageReference::check_prefix(prefix) {
            item.refuse(error.to_string());
        }
    }
    let subjects = fields.optional("subjects").and_then(|field| field.filled_list());
    let subjects =
        subjects.unwrap_or_default().iter().filter_map(Field::fields).filter_map(subject).collect::<Vec<_>>();
    let selectors = ["kinds", "namespaces", "names", "images", "subjects"];
    // What is null is absent: alone, it must not become an exception for everything.
    if selectors.iter().all(|name| fields.optional(name).is_none()) {
        field.refuse(format!("must name at least one of {}", alternatives(&selectors)));
    }
    fields.finish();
    let owned = |list: Vec<(&str, Field<'_>)>| list.into_iter().map(|(text, _)| text.to_owned()).collect();
    Some(Covered {
        kinds: owned(kinds),
        namespaces: owned(namespaces),
        names: owned(names),
        images: owned(images),
        subjects,
    })
}

fn strings<'a>(fields: &Fields<'a>, name: &'static str) -> Vec<(&'a str, Field<'a>)> {
    fields.optional(name).map(|field| field.strings()).unwrap_or_default()
}

fn is_kind(text: &str) -> bool {
    let (kind, group) = text.split_once('.').map_or((text, None), |(kind, group)| (kind, Some(group)));
    kind.starts_with(|c: char| c.is_ascii_uppercase())
        && kind.chars().all(|c| c.is_ascii_alphanumeric())
        && group.is_none_or(|group| names::dns_subdomain(group).is_ok())
}

#[derive(Clone, Copy)]
enum SubjectKind {
    User,
    Group,
    ServiceAccount,
}

const SUBJECT_KINDS: [(&str, SubjectKind); 3] = [
    ("User", SubjectKind::User),
    ("Group", SubjectKind::Group),
    ("ServiceAccount", SubjectKind::ServiceAccount),
];

fn subject(fields: Fields<'_>) -> Option<Subject> {
    let kind = fields.required("kind").and_then(|field| field.one_of(&SUBJECT_KINDS));
    let name = fields.required("name").and_then(|field| field.string().map(str::to_owned));
    let namespace_field = fields.optional("namespace");
    let namespace = namespace_field.as_ref().and_then(|field| field.string().map(str::to_owned));
    if let Some(group) = fields.optional("apiGroup") {
        group.one_of(&[("", ()), (RBAC_GROUP, ())]);
    }
    match (kind, &namespace_field) {
        (Some(SubjectKind::ServiceAccount), None) => {
            fields.missing("namespace", "is required with `kind: ServiceAccount`");
        }
        (Some(SubjectKind::User | SubjectKind::Group), Some(field)) => {
            field.refuse("must be absent: only a ServiceAccount has a namespace");
        }
        _ => {}
    }
    fields.finish();
    Some(match kind? {
        SubjectKind::User => Subject::User(name?),
        SubjectKind::Group => Subject::Group(name?),
        SubjectKind::ServiceAccount => Subject::ServiceAccount { namespace: namespace?, name: name? },
    })
}
