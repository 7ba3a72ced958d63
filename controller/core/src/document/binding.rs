//! `ValidatingAdmissionPolicyBinding` and the entries of a Policy's own `bindings`.

use super::fields::{Field, Fields, Problems, refuse_duplicates};
use super::metadata::Metadata;
use super::params_schema::ParamsSchema;
use super::{BindingDocument, match_resources, names, params};
use crate::policy::Actions;

#[derive(Clone, Copy, PartialEq)]
enum Action {
    Deny,
    Warn,
    Audit,
}

const ACTIONS: [(&str, Action); 3] =
    [("Deny", Action::Deny), ("Warn", Action::Warn), ("Audit", Action::Audit)];

/// Reads `validationActions`.
pub(super) fn actions(field: &Field<'_>) -> Option<Actions> {
    let items = field.filled_list()?;
    let mut actions = Actions::default();
    for action in items.iter().filter_map(|item| item.one_of(&ACTIONS)) {
        match action {
            Action::Deny => actions.deny = true,
            Action::Warn => actions.warn = true,
            Action::Audit => actions.audit = true,
        }
    }
    refuse_duplicates(items.iter().filter_map(|item| Some((item.node().as_str()?, item.clone()))));
    if actions.deny && actions.warn {
        field.refuse_with_hint(
            "must not contain both `Deny` and `Warn`",
            "a denial tells the requester the same; leave out `Warn`",
        );
    }
    Some(actions)
}

/// The spec of a ValidatingAdmissionPolicyBinding, as far as it can be read: `None` if not even the policy can be
/// told.
pub(super) fn kubernetes(
    root: &Fields<'_>,
    metadata: Option<Metadata>,
    problems: &Problems,
) -> Option<BindingDocument> {
    let spec = root.required("spec")?.fields()?;
    let policy_name = spec.required("policyName").and_then(|field| {
        let name = field.string()?;
        field.require(names::dns_subdomain(name));
        Some(name.to_owned())
    });
    let params = params::reference(&spec);
    let matched = spec.optional("matchResources");
    let before = problems.count();
    let match_resources = matched.as_ref().and_then(match_resources::resources);
    let match_resources = match_resources.filter(|_| problems.count() == before);
    let before = problems.count();
    let actions = spec.required("validationActions").and_then(|field| actions(&field));
    let actions = actions.filter(|_| problems.count() == before);
    spec.finish();
    let metadata = metadata?;
    Some(BindingDocument {
        name: metadata.name,
        place: metadata.place,
        policy_name: policy_name?,
        actions: Some(actions.unwrap_or(Actions { deny: true, ..Actions::default() })),
        match_resources,
        params,
    })
}

/// A Policy's own `bindings`.
pub(super) fn own(
    spec: &Fields<'_>,
    policy_name: &str,
    schema: Option<&ParamsSchema>,
) -> Vec<BindingDocument> {
    let Some(field) = spec.optional("bindings") else { return Vec::new() };
    let items = field.filled_list().unwrap_or_default();
    let mut names = Vec::new();
    let mut bindings = Vec::new();
    for fields in items.iter().filter_map(Field::fields) {
        let name = fields.required("name").and_then(|field| Some((field.string()?, field)));
        let matched = fields.optional("matchResources");
        let match_resources = matched.as_ref().and_then(match_resources::resources);
        let actions = fields.optional("validationActions").and_then(|field| actions(&field));
        let params = params::either(&fields, schema);
        fields.finish();
        if let Some((name, field)) = name {
            field.require(names::dns_subdomain(name));
            names.push((name, field.clone()));
            bindings.push(BindingDocument {
                name: name.to_owned(),
                policy_name: policy_name.to_owned(),
                place: field.place(),
                actions,
                match_resources,
                params,
            });
        }
    }
    refuse_duplicates(names);
    bindings
}
