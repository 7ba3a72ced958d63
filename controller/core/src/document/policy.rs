//! `Policy` and `ValidatingAdmissionPolicy`.

use super::fields::{Field, Fields, Problems};
use super::metadata::Metadata;
use super::params_schema::ParamsSchema;
use super::{
    BindingDocument, Dialect, Matching, OnUpdate, ParamKind, Params, PolicyDocument, binding, expressions,
    lookups, match_resources, params, wasm,
};
use crate::policy::{Actions, FailurePolicy};
use crate::yaml::Value;

/// A policy as far as it could be read.
pub(super) struct Decoded {
    pub(super) policy: PolicyDocument,
    /// Whether name, failurePolicy, matching, actions and bindings are sound, so that a policy broken
    /// elsewhere can still follow its failurePolicy for what it matches.
    pub(super) salvageable: bool,
}

/// Reads `spec`; `None` if not even name and matching can be told.
pub(super) fn read(
    root: &Fields<'_>,
    metadata: Option<Metadata>,
    dialect: Dialect,
    problems: &Problems,
) -> Option<Decoded> {
    let spec = root.required("spec")?.fields()?;
    let ours = dialect == Dialect::Portcullis;
    let name = metadata.as_ref().map_or("", |metadata| metadata.name.as_str());

    let before_schema = problems.count();
    let schema = ours.then(|| spec.optional("paramsSchema")).flatten();
    let schema = schema.and_then(|field| ParamsSchema::read(&field));
    // A schema with an error of its own would only add errors to the params.
    let schema = schema.filter(|_| problems.count() == before_schema);

    let before = problems.count();
    let failure_policy = failure_policy(&spec);
    let matching = matching(&spec, dialect);
    let actions = if ours { spec.required("validationActions") } else { None };
    let actions = actions.and_then(|field| binding::actions(&field));
    let bindings = if ours { binding::own(&spec, name, schema.as_ref()) } else { Vec::new() };
    let salvageable = problems.count() == before && metadata.is_some();

    let param_kind = params::kind(&spec);
    let params = if ours { own_params(&spec, &bindings, schema.as_ref()) } else { Params::None };
    if ours {
        check_param_kind(&spec, param_kind.as_ref(), &params, &bindings);
    }
    let match_conditions = expressions::match_conditions(&spec);
    let lookups = if ours { lookups::read(&spec) } else { Vec::new() };
    let variables = expressions::variables(&spec);
    let validations = spec.optional("validations");
    let validations =
        validations.map(|field| expressions::validations(field.list(), dialect)).unwrap_or_default();
    let audit_annotations = expressions::audit_annotations(&spec);
    let wasm = if ours { wasm::read(&spec) } else { None };
    refuse_nothing_to_do(&spec);
    let mut on_update = OnUpdate::Always;
    let mut audit_validations = None;
    if ours {
        let words = [("Changed", OnUpdate::Changed), ("Always", OnUpdate::Always)];
        on_update = spec.optional("onUpdate").and_then(|field| field.one_of(&words)).unwrap_or_default();
        audit_validations = audit(&spec);
    }
    spec.finish();

    let Metadata { name, place, annotations } = metadata?;
    let policy = PolicyDocument {
        dialect,
        name,
        annotations,
        place,
        failure_policy,
        matching: matching?,
        match_conditions,
        lookups,
        variables,
        validations,
        wasm,
        audit_annotations,
        param_kind,
        params_schema: schema,
        params,
        actions,
        bindings,
        on_update,
        audit_validations,
    };
    Some(Decoded { policy, salvageable: salvageable && (!ours || is_some_action(actions)) })
}

fn is_some_action(actions: Option<Actions>) -> bool {
    actions.is_some_and(|actions| actions.deny || actions.warn || actions.audit)
}

fn failure_policy(spec: &Fields<'_>) -> FailurePolicy {
    let words = [("Fail", FailurePolicy::Fail), ("Ignore", FailurePolicy::Ignore)];
    spec.optional("failurePolicy").and_then(|field| field.one_of(&words)).unwrap_or_default()
}

fn matching(spec: &Fields<'_>, dialect: Dialect) -> Option<Matching> {
    if dialect == Dialect::Kubernetes {
        let constraints = spec.required("matchConstraints")?;
        return match_resources::constraints(&constraints).map(Matching::Constraints);
    }
    match (spec.optional("matchPods"), spec.optional("matchConstraints")) {
        (Some(pods), None) => match_resources::pods(&pods).map(Matching::Pods),
        (None, Some(constraints)) => match_resources::constraints(&constraints).map(Matching::Constraints),
        (Some(pods), Some(_)) => {
            pods.refuse("must not be given together with `matchConstraints`");
            None
        }
        (None, None) => {
            spec.parent().refuse("one of `matchPods` and `matchConstraints` is required");
            None
        }
    }
}

/// The policy's own `params`. With a schema, absent ones are checked as if they were empty: what the schema
/// requires must come from somewhere.
fn own_params(spec: &Fields<'_>, bindings: &[BindingDocument], schema: Option<&ParamsSchema>) -> Params {
    let params = params::either(spec, schema);
    let inherited = bindings.is_empty() || bindings.iter().any(|b| matches!(b.params, Params::None));
    match (&params, schema) {
        (Params::None, Some(schema)) if inherited && spec.optional("params").is_none() => {
            if spec.optional("paramRef").is_some() {
                return params;
            }
            let mut value = serde_json::json!({});
            schema.check_absent(spec, &mut value);
            Params::Inline(value)
        }
        _ => params,
    }
}

/// `paramKind` and `paramRef` need each other; inline params need neither.
fn check_param_kind(
    spec: &Fields<'_>,
    kind: Option<&ParamKind>,
    params: &Params,
    bindings: &[BindingDocument],
) {
    let all = || std::iter::once(params).chain(bindings.iter().map(|binding| &binding.params));
    let refers = all().any(|params| matches!(params, Params::Ref(_)));
    match spec.optional("paramKind") {
        None if refers => spec.missing("paramKind", "is required with `paramRef`"),
        Some(field) if kind.is_some() && !refers && !any_param_ref(spec) => {
            field.refuse_with_hint("needs a `paramRef`", "inline `params` need no `paramKind`");
        }
        _ => {}
    }
}

/// Whether a `paramRef` is written anywhere, even a broken one.
fn any_param_ref(spec: &Fields<'_>) -> bool {
    let node = spec.parent().node();
    let bindings = match node.get("bindings").map(|bindings| &bindings.value) {
        Some(Value::Sequence(items)) => items.as_slice(),
        _ => &[],
    };
    std::iter::once(node).chain(bindings).any(|node| node.get("paramRef").is_some())
}

fn refuse_nothing_to_do(spec: &Fields<'_>) {
    let empty = |field: Option<Field<'_>>| match field.map(|field| &field.node().value) {
        None => true,
        Some(Value::Sequence(items)) => items.is_empty(),
        Some(_) => false,
    };
    if empty(spec.optional("validations")) && empty(spec.optional("auditAnnotations")) {
        // `wasm` stands in place of validations.
        if spec.parent().node().get("wasm").is_none() {
            spec.missing("validations", "`validations` or `auditAnnotations` must have at least one entry");
        }
    }
}

fn audit(spec: &Fields<'_>) -> Option<Vec<super::Validation>> {
    let fields = spec.optional("audit")?.fields()?;
    let validations = fields
        .required("validations")
        .map(|field| expressions::validations(field.filled_list(), Dialect::Portcullis));
    fields.finish();
    validations
}
