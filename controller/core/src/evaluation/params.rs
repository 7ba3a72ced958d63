//! Which params a policy is judged with (`CollectParams` in apiserver's `policy/generic`).

use super::Context;
use crate::document::{Dialect, ParamKind, ParamRef, ParamSelect, Params};
use crate::matching::Resources;
use crate::policy::{CompiledBinding, CompiledPolicy};
use crate::request::split_api_version;
use portcullis_cel::{Node, Tree};

/// The params of one pair.
pub(super) enum Found<'a> {
    /// The one that there is without a reference; null if none was written.
    One(Node<'a>),
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
    pub(super) value: Node<'a>,
}

pub(super) fn find<'a>(
    policy: &CompiledPolicy,
    binding: &'a CompiledBinding,
    context: &Context<'a>,
) -> Found<'a> {
    match (&binding.params, &policy.param_kind) {
        // A binding's paramRef means nothing to a ValidatingAdmissionPolicy without a paramKind.
        (Params::None, _) | (Params::Ref(_), None) => Found::One(Node::default()),
        (Params::Inline(_), _) => Found::One(binding.inline_params.root()),
        (Params::Ref(reference), Some(kind)) => by_reference(policy.info.dialect, kind, reference, context),
    }
}

fn by_reference<'a>(
    dialect: Dialect,
    kind: &ParamKind,
    reference: &ParamRef,
    context: &Context<'a>,
) -> Found<'a> {
    let all = context.facts.objects(&kind.api_version, &kind.kind);
    let namespaced = is_namespaced(kind, all);
    let namespace = match &reference.namespace {
        Some(namespace) => Some(namespace.as_str()),
        None if namespaced && context.request.namespace.is_empty() => {
            return Found::Misconfigured(match dialect {
                Dialect::Kubernetes => {
                    "failed to configure binding: cannot use namespaced paramRef in policy \
                                        binding that matches cluster-scoped resources"
                        .to_owned()
                }
                Dialect::Portcullis => format!(
                    "`paramRef.namespace` is needed to find a {} for a cluster-scoped object",
                    kind.kind
                ),
            });
        }
        None if namespaced => Some(context.request.namespace.as_str()),
        None => None,
    };
    // Where kubectl would send what names no namespace.
    let home = if namespaced { "default" } else { "" };
    let selected = |object: &&'a Tree| {
        let own = Some(namespace_of(object)).filter(|own| !own.is_empty()).unwrap_or(home);
        namespace.is_none_or(|namespace| own == namespace)
            && match &reference.select {
                ParamSelect::Name(name) => name_of(object) == name,
                ParamSelect::Selector(selector) => selector.matches(object.pointer("/metadata/labels")),
            }
    };
    let mut found: Vec<Param<'a>> = all
        .iter()
        .filter(selected)
        .map(|object| Param { name: Some(full_name(object)), value: object.root() })
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
    Found::Misconfigured(match dialect {
        Dialect::Kubernetes => {
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
                .to_owned()
        }
        Dialect::Portcullis => {
            format!("no params found: {wanted} does not exist, and `parameterNotFoundAction` is Deny")
        }
    })
}

/// Whether a kind's objects live in namespaces; for kinds that are not built in their objects show it.
fn is_namespaced(kind: &ParamKind, all: &[Tree]) -> bool {
    let (group, _) = split_api_version(&kind.api_version);
    match Resources::new().find(group, &kind.kind) {
        Some(resource) => resource.namespaced,
        None => all.iter().any(|object| !namespace_of(object).is_empty()),
    }
}

fn name_of(object: &Tree) -> &str {
    object.pointer("/metadata/name").and_then(Node::as_str).unwrap_or_default()
}

fn namespace_of(object: &Tree) -> &str {
    object.pointer("/metadata/namespace").and_then(Node::as_str).unwrap_or_default()
}

fn full_name(object: &Tree) -> String {
    match namespace_of(object) {
        "" => name_of(object).to_owned(),
        namespace => format!("{namespace}/{}", name_of(object)),
    }
}
