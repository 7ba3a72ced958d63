//! `lookups`: the other objects that a policy reads.

use super::fields::{Field, Fields, refuse_duplicates};
use super::match_resources::read_selector;
use super::{EVERY_NAMESPACE, Given, Lookup, names, params};
use crate::matching::built_in;
use crate::request::split_api_version;

/// At most this many look-ups: each may be a watch of its own.
const MAX_LOOKUPS: usize = 16;

pub(super) fn read(spec: &Fields<'_>) -> Vec<Lookup> {
    let Some(field) = spec.optional("lookups") else { return Vec::new() };
    let items = field.list().unwrap_or_default();
    if items.len() > MAX_LOOKUPS {
        field.refuse(format!("must not have more than {MAX_LOOKUPS} entries, found {}", items.len()));
    }
    let mut names = Vec::new();
    let lookups = items.iter().filter_map(Field::fields).filter_map(|fields| lookup(fields, &mut names));
    let lookups = lookups.collect();
    refuse_duplicates(names);
    lookups
}

fn lookup<'a>(fields: Fields<'a>, named: &mut Vec<(&'a str, Field<'a>)>) -> Option<Lookup> {
    let place = fields.parent().place();
    let name = fields.required("name").and_then(|field| {
        let name = field.string()?;
        field.require(names::cel_identifier(name));
        named.push((name, field));
        Some(name.to_owned())
    });
    let api_version = params::api_version(&fields);
    let kind = params::kind_name(&fields);
    let namespace = given(&fields, "namespace", "namespaceExpression", |field| {
        let text = field.string()?;
        if text != EVERY_NAMESPACE {
            field.require(names::dns_subdomain(text));
        }
        Some(text.to_owned())
    });
    let object_name = given(&fields, "objectName", "objectNameExpression", |field| {
        let text = field.string()?;
        field.require(names::path_segment(text));
        Some(text.to_owned())
    });
    let selector = given(&fields, "selector", "selectorExpression", read_selector);
    for (name, other) in [("selector", "objectName"), ("selectorExpression", "objectNameExpression")] {
        if let Some(field) = fields.optional(name).filter(|_| object_name.is_some()) {
            field.refuse(format!("must not be given together with `{other}`"));
        }
    }
    if let (Some(api_version), Some(kind)) = (&api_version, &kind)
        && built_in::find(split_api_version(api_version).0, kind).is_some_and(|known| !known.namespaced)
    {
        for name in ["namespace", "namespaceExpression"] {
            if let Some(field) = fields.optional(name) {
                field.refuse(format!("must not be given: a {kind} lives in no namespace"));
            }
        }
    }
    let optional = fields.optional("kindNotFoundAction");
    let optional = optional.and_then(|field| field.one_of(&[("Allow", true), ("Deny", false)]));
    fields.finish();
    Some(Lookup {
        name: name?,
        place,
        api_version: api_version?,
        kind: kind?,
        namespace,
        object_name,
        selector,
        optional: optional.unwrap_or_default(),
    })
}

/// What is given as a value, or as an expression under another name.
fn given<T>(
    fields: &Fields<'_>,
    value: &'static str,
    expression: &'static str,
    read: impl FnOnce(&Field<'_>) -> Option<T>,
) -> Option<Given<T>> {
    match (fields.optional(value), fields.optional(expression)) {
        (None, None) => None,
        (Some(field), None) => read(&field).map(Given::Value),
        (None, Some(field)) => field.expression().map(Given::Expression),
        (Some(_), Some(field)) => {
            field.refuse(format!("must not be given together with `{value}`"));
            None
        }
    }
}
