//! `paramKind`, `params` and `paramRef`.

use super::fields::{Field, Fields};
use super::match_resources::read_selector;
use super::params_schema::ParamsSchema;
use super::{ParamKind, ParamRef, ParamSelect, Params, names};
use crate::yaml::Value;

/// `paramKind`.
pub(super) fn kind(spec: &Fields<'_>) -> Option<ParamKind> {
    let fields = spec.optional("paramKind")?.fields()?;
    let api_version = api_version(&fields);
    let kind = kind_name(&fields);
    fields.finish();
    Some(ParamKind { api_version: api_version?, kind: kind? })
}

/// `apiVersion` of a kind that is referred to.
pub(super) fn api_version(fields: &Fields<'_>) -> Option<String> {
    let field = fields.required("apiVersion")?;
    let text = field.string()?;
    let (group, version) = crate::request::split_api_version(text);
    if !names::dns_1035_label(version) || text.contains('/') && names::dns_subdomain(group).is_err() {
        field.refuse("must be a version or `group/version`");
    }
    Some(text.to_owned())
}

/// `kind` of a kind that is referred to.
pub(super) fn kind_name(fields: &Fields<'_>) -> Option<String> {
    let field = fields.required("kind")?;
    let text = field.string()?;
    if !names::dns_1035_label(&text.to_lowercase()) {
        field.refuse("must be a kind: at most 63 letters, digits and `-`, beginning with a letter");
    }
    Some(text.to_owned())
}

/// `params` or `paramRef`, not both; inline values are checked against the policy's schema.
pub(super) fn either(fields: &Fields<'_>, schema: Option<&ParamsSchema>) -> Params {
    let inline = fields.optional("params");
    let reference = reference(fields);
    let Some(inline) = inline else { return reference };
    if let Params::Ref(_) = reference {
        inline.refuse("must not be given together with `paramRef`");
    }
    if !matches!(inline.node().value, Value::Mapping(_)) {
        inline.fields();
        return Params::None;
    }
    let mut value = inline.json();
    if let Some(schema) = schema {
        schema.check(&inline, &mut value);
    }
    Params::Inline(value)
}

/// `paramRef` alone, as Kubernetes' bindings have it.
pub(super) fn reference(fields: &Fields<'_>) -> Params {
    fields.optional("paramRef").and_then(|field| read_reference(&field)).map_or(Params::None, Params::Ref)
}

fn read_reference(field: &Field<'_>) -> Option<ParamRef> {
    let fields = field.fields()?;
    // An empty name counts as absent, as in Kubernetes.
    let name = fields.optional("name").filter(|field| field.node().as_str() != Some(""));
    let selector = fields.optional("selector");
    let select = match (&name, &selector) {
        (Some(name), None) => name.string().map(|text| {
            name.require(names::path_segment(text));
            ParamSelect::Name(text.to_owned())
        }),
        (None, Some(selector)) => read_selector(selector).map(ParamSelect::Selector),
        (Some(name), Some(selector)) => {
            name.refuse("must not be given together with `selector`");
            selector.refuse("must not be given together with `name`");
            read_selector(selector);
            None
        }
        (None, None) => {
            field.refuse("one of `name` and `selector` is required");
            None
        }
    };
    let namespace = fields.optional("namespace").filter(|field| field.node().as_str() != Some(""));
    let namespace = namespace.and_then(|field| {
        let text = field.string()?;
        field.require(names::dns_subdomain(text));
        Some(text.to_owned())
    });
    let action = fields.required("parameterNotFoundAction");
    let allow = action.and_then(|field| field.one_of(&[("Allow", true), ("Deny", false)]));
    fields.finish();
    Some(ParamRef { select: select?, namespace, allow_not_found: allow? })
}
