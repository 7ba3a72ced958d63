//! Which params a policy is judged with (`CollectParams` in apiserver's `policy/generic`).

use super::Context;
use crate::document::{Dialect, ParamKind, ParamRef, ParamSelect, Params};
use crate::facts::{name_of, namespace_of};
use crate::policy::{CompiledBinding, CompiledPolicy};
use portcullis_cel::{Tree, Value};

/// The params of one pair.
pub(super) enum Found<'a> {
    /// The one that there is without a reference; null if none was written.
    One(Param<'a>),
    /// One judgement for each.
    Params(Vec<Param<'a>>),
    /// None, and `parameterNotFoundAction` is Allow.
    NotFoundAllowed,
    /// None, and `parameterNotFoundAction` is Deny; or the reference makes no sense for this request.
    Misconfigured(String),
}

/// One param.
pub(super) struct Param<'a> {
    /// Its `namespace/name` where there is one.
    pub(super) name: Option<String>,
    pub(super) value: Value<'a>,
    /// What is wanted, if it is not known here whether there is any.
    pub(super) unknown: Option<Unknown>,
}

/// A param that may exist.
pub(super) struct Unknown {
    pub(super) name: String,
    /// `parameterNotFoundAction: Allow`
    pub(super) allow_not_found: bool,
}

impl<'a> Param<'a> {
    fn unnamed(value: Value<'a>) -> Self {
        Self { name: None, value, unknown: None }
    }
}

pub(super) fn find<'a>(
    policy: &'a CompiledPolicy,
    binding: &'a CompiledBinding,
    context: &Context<'a>,
) -> Found<'a> {
    match (&binding.params, &policy.param_kind) {
        // A binding's paramRef means nothing to a ValidatingAdmissionPolicy without a paramKind.
        (Params::None, _) | (Params::Ref(_), None) => Found::One(Param::unnamed(Value::Null)),
        (Params::Inline(_), _) => Found::One(Param::unnamed(Value::from_json(binding.inline_params.root()))),
        (Params::Ref(reference), Some(kind)) => {
            Search { policy, kind, reference, context }.run().unwrap_or_else(Found::Misconfigured)
        }
    }
}

/// Why a ValidatingAdmissionPolicy cannot be applied: nothing in the cluster is of its `paramKind`.
pub(super) fn unknown_kind(policy: &CompiledPolicy, context: &Context<'_>) -> Option<String> {
    let ParamKind { api_version, kind } = policy.param_kind.as_ref()?;
    if !context.facts.is_complete() || context.facts.knows(api_version, kind) {
        return None;
    }
    let core = if api_version.contains('/') { "" } else { "/" };
    Some(format!("failed to find resource referenced by paramKind: '{core}{api_version}, Kind={kind}'"))
}

/// The search for what a `paramRef` means.
struct Search<'a, 'b> {
    policy: &'a CompiledPolicy,
    kind: &'a ParamKind,
    reference: &'a ParamRef,
    context: &'b Context<'a>,
}

impl<'a> Search<'a, '_> {
    fn run(&self) -> Result<Found<'a>, String> {
        let ParamKind { api_version, kind } = self.kind;
        let read = || self.policy.kept_of_params(self.reference);
        if let Some(reason) = self.context.facts.withheld_params(self.kind, self.reference, read) {
            return Err(reason.to_owned());
        }
        let all = self.context.facts.objects(api_version, kind);
        let defined = self.context.facts.defined_scope(api_version, kind);
        let namespaced = self.context.facts.is_namespaced(api_version, kind);
        if defined == Some(false) && self.reference.namespace.is_some() {
            return Err(self.without_namespaces());
        }
        let namespace = self.namespace(namespaced)?;
        // Where kubectl would send what names no namespace.
        let home = if namespaced { "default" } else { "" };
        let selected = |object: &&'a Tree| {
            let own = Some(namespace_of(object)).filter(|own| !own.is_empty()).unwrap_or(home);
            namespace.is_none_or(|namespace| own == namespace)
                && match &self.reference.select {
                    ParamSelect::Name(name) => name_of(object) == name,
                    ParamSelect::Selector(selector) => selector.matches(object.pointer("/metadata/labels")),
                }
        };
        let mut found: Vec<Param<'a>> =
            all.iter().filter(selected).map(|object| self.param(object)).collect::<Result<_, _>>()?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if found.is_empty() { self.none() } else { Ok(Found::Params(found)) }
    }

    /// The namespace to look in; none for what lives in none.
    fn namespace(&self, namespaced: bool) -> Result<Option<&str>, String> {
        match &self.reference.namespace {
            Some(namespace) => Ok(Some(namespace.as_str())),
            None if !namespaced => Ok(None),
            None if self.context.request.namespace.is_empty() => Err(match self.policy.info.dialect {
                Dialect::Kubernetes => {
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                        .to_owned()
                }
                Dialect::Portcullis => format!(
                    "`paramRef.namespace` is needed to find a {} for a cluster-scoped object",
                    self.kind.kind
                ),
            }),
            None => Ok(Some(self.context.request.namespace.as_str())),
        }
    }

    fn without_namespaces(&self) -> String {
        match self.policy.info.dialect {
            Dialect::Kubernetes => {
                "paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()
            }
            Dialect::Portcullis => {
                format!("`paramRef.namespace` must not be given: a {} lives in no namespace", self.kind.kind)
            }
        }
    }

    fn param(&self, object: &'a Tree) -> Result<Param<'a>, String> {
        let name = full_name(object);
        let value = match &self.policy.params_schema {
            None => Value::from_json(object.root()),
            Some(schema) => {
                let filled = schema
                    .apply(object)
                    .map_err(|problem| format!("{} `{name}`: {problem}", self.kind.kind))?;
                Value::owned(filled.root())
            }
        };
        Ok(Param { name: Some(name), value, unknown: None })
    }

    fn none(&self) -> Result<Found<'a>, String> {
        let kind = &self.kind.kind;
        let wanted = match &self.reference.select {
            ParamSelect::Name(name) => format!("{kind} `{name}`"),
            ParamSelect::Selector(_) => format!("a {kind} that `paramRef.selector` matches"),
        };
        let allow_not_found = self.reference.allow_not_found;
        if !self.context.facts.is_complete() {
            let name = format!("{wanted} of {}", self.kind.api_version);
            let unknown = Some(Unknown { name, allow_not_found });
            return Ok(Found::One(Param { unknown, ..Param::unnamed(Value::Null) }));
        }
        if allow_not_found {
            return Ok(Found::NotFoundAllowed);
        }
        Err(match self.policy.info.dialect {
            Dialect::Kubernetes => {
                "no params found for policy binding with `Deny` parameterNotFoundAction".to_owned()
            }
            Dialect::Portcullis => {
                format!("no params found: {wanted} does not exist, and `parameterNotFoundAction` is Deny")
            }
        })
    }
}

fn full_name(object: &Tree) -> String {
    match namespace_of(object) {
        "" => name_of(object).to_owned(),
        namespace => format!("{namespace}/{}", name_of(object)),
    }
}
