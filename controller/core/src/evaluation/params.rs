//! Which params a policy is judged with (`CollectParams` in apiserver's `policy/generic`).

use super::Context;
use crate::document::{ParamKind, ParamRef, ParamSelect, Params};
use serde_json::Value as Json;

/// The params of one pair.
pub(super) enum Found<'a> {
    /// One judgement for each: its `namespace/name` where there is one, and its value.
    Params(Vec<Param<'a>>),
    /// None, and `parameterNotFoundAction` is Allow.
    NotFoundAllowed,
    /// Not known here whether there are any: what is missing.
    Unknown(String),
    /// None, and `parameterNotFoundAction` is Deny; or the reference makes no sense for this request.
    Misconfigured(String),
}

/// One param.
pub(super) struct Param<'a> {
    pub(super) name: Option<String>,
    pub(super) value: &'a Json,
}

pub(super) fn find<'a>(kind: Option<&ParamKind>, params: &'a Params, context: &Context<'a>) -> Found<'a> {
    match (params, kind) {
        (Params::None, _) => Found::Params(vec![Param { name: None, value: &Json::Null }]),
        (Params::Inline(value), _) => Found::Params(vec![Param { name: None, value }]),
        (Params::Ref(_), None) => {
            Found::Misconfigured("`paramRef` needs the policy's `paramKind`".to_owned())
        }
        (Params::Ref(reference), Some(kind)) => by_reference(kind, reference, context),
    }
}

fn by_reference<'a>(kind: &ParamKind, reference: &ParamRef, context: &Context<'a>) -> Found<'a> {
    let all = context.facts.objects(&kind.api_version, &kind.kind);
    // Whether the kind is namespaced shows in its objects; without any there is nothing to choose from.
    let namespaced = all.iter().any(|object| !namespace_of(object).is_empty());
    let namespace = match &reference.namespace {
        Some(namespace) => Some(namespace.as_str()),
        None if namespaced && context.request.namespace.is_empty() => {
            return Found::Misconfigured(format!(
                "`paramRef.namespace` is needed to find a {} for a cluster-scoped object",
                kind.kind
            ));
        }
        None if namespaced => Some(context.request.namespace.as_str()),
        None => None,
    };
    let selected = |object: &&Json| {
        namespace.is_none_or(|namespace| namespace_of(object) == namespace)
            && match &reference.select {
                ParamSelect::Name(name) => name_of(object) == name,
                ParamSelect::Selector(selector) => selector.matches(object.pointer("/metadata/labels")),
            }
    };
    let mut found: Vec<Param<'a>> = all
        .iter()
        .filter(selected)
        .map(|object| Param { name: Some(full_name(object)), value: object })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if !found.is_empty() {
        return Found::Params(found);
    }
    let wanted = match &reference.select {
        ParamSelect::Name(name) => format!("{} `{name}`", kind.kind),
        ParamSelect::Selector(_) => format!("a {} that `paramRef.selector` matches", kind.kind),
    };
    if !context.facts.is_complete() {
        return Found::Unknown(format!("{wanted} ({})", kind.api_version));
    }
    if reference.allow_not_found {
        return Found::NotFoundAllowed;
    }
    Found::Misconfigured(format!(
        "no params found: {wanted} does not exist, and `parameterNotFoundAction` is Deny"
    ))
}

fn name_of(object: &Json) -> &str {
    object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default()
}

fn namespace_of(object: &Json) -> &str {
    object.pointer("/metadata/namespace").and_then(Json::as_str).unwrap_or_default()
}

fn full_name(object: &Json) -> String {
    match namespace_of(object) {
        "" => name_of(object).to_owned(),
        namespace => format!("{namespace}/{}", name_of(object)),
    }
}
