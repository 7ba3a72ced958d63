//! `matchConditions`, `variables`, `validations` and `auditAnnotations`: CEL sources and what goes with them.

use super::fields::{Field, Fields, refuse_duplicates};
use super::{Dialect, NamedExpression, Validation, names};
use crate::decision::Reason;

/// At most this many matchConditions (Kubernetes' validation).
const MAX_MATCH_CONDITIONS: usize = 64;

/// At most this many variables: Kubernetes sets no limit, the size of a ConfigMap does.
const MAX_VARIABLES: usize = 1_000;

/// At most this many audit annotations (Kubernetes' validation).
const MAX_AUDIT_ANNOTATIONS: usize = 20;

/// The longest expression of an audit annotation, in bytes (Kubernetes' validation).
const MAX_AUDIT_EXPRESSION: usize = 5 << 10;

/// Kubernetes' validation takes all but the last, which its documentation names and its evaluation knows.
const REASONS: [(&str, Reason); 4] = [
    ("Invalid", Reason::Invalid),
    ("Forbidden", Reason::Forbidden),
    ("RequestEntityTooLarge", Reason::RequestEntityTooLarge),
    ("Unauthorized", Reason::Unauthorized),
];

pub(super) fn match_conditions(spec: &Fields<'_>) -> Vec<NamedExpression> {
    named(spec, "matchConditions", MAX_MATCH_CONDITIONS, ["name", "expression"], names::qualified_name)
}

pub(super) fn variables(spec: &Fields<'_>) -> Vec<NamedExpression> {
    named(spec, "variables", MAX_VARIABLES, ["name", "expression"], names::cel_identifier)
}

pub(super) fn audit_annotations(spec: &Fields<'_>) -> Vec<NamedExpression> {
    let fields = ["key", "valueExpression"];
    named(spec, "auditAnnotations", MAX_AUDIT_ANNOTATIONS, fields, names::unqualified_name)
}

fn named(
    spec: &Fields<'_>,
    list: &'static str,
    limit: usize,
    [name_field, expression_field]: [&'static str; 2],
    rule: fn(&str) -> Result<(), &'static str>,
) -> Vec<NamedExpression> {
    let Some(field) = spec.optional(list) else { return Vec::new() };
    let items = field.list().unwrap_or_default();
    if items.len() > limit {
        field.refuse(format!("must not have more than {limit} entries, found {}", items.len()));
    }
    let mut names = Vec::new();
    let mut found = Vec::new();
    for fields in items.iter().filter_map(Field::fields) {
        let name = fields.required(name_field).and_then(|field| Some((field.string()?, field)));
        let source = fields.required(expression_field);
        let expression = source.as_ref().and_then(Field::expression);
        fields.finish();
        if let Some((name, field)) = &name {
            field.require(rule(name));
            names.push((*name, field.clone()));
        }
        if let (Some(field), Some(expression)) = (&source, &expression)
            && list == "auditAnnotations"
            && expression.text.trim().len() > MAX_AUDIT_EXPRESSION
        {
            field.refuse(format!("must not be longer than {MAX_AUDIT_EXPRESSION} bytes"));
        }
        if let (Some((name, _)), Some(expression)) = (name, expression) {
            found.push(NamedExpression { name: name.to_owned(), expression });
        }
    }
    refuse_duplicates(names);
    found
}

/// Reads a list of validations.
pub(super) fn validations(items: Option<Vec<Field<'_>>>, dialect: Dialect) -> Vec<Validation> {
    let items = items.unwrap_or_default();
    items.iter().filter_map(Field::fields).filter_map(|fields| validation(fields, dialect)).collect()
}

fn validation(fields: Fields<'_>, dialect: Dialect) -> Option<Validation> {
    let expression = fields.required("expression").and_then(|field| field.expression());
    let message = fields.optional("message").and_then(|field| message(&field));
    // An empty one counts as absent, as in Kubernetes.
    let message_expression = fields
        .optional("messageExpression")
        .filter(|field| field.node().as_str() != Some(""))
        .and_then(|field| field.expression());
    let reasons = match dialect {
        Dialect::Portcullis => REASONS.as_slice(),
        Dialect::Kubernetes => REASONS.split_last().map_or(&[][..], |(_, supported)| supported),
    };
    let reason = fields.optional("reason").and_then(|field| field.one_of(reasons));
    let (mut for_each, mut field_path) = (None, None);
    if dialect == Dialect::Portcullis {
        for_each = fields.optional("forEach").and_then(|field| field.expression());
        let path = fields.optional("fieldPath");
        field_path = path.as_ref().and_then(Field::expression);
    }
    fields.finish();
    Some(Validation {
        expression: expression?,
        for_each,
        field_path,
        message,
        message_expression,
        reason: reason.unwrap_or_default(),
    })
}

fn message(field: &Field<'_>) -> Option<String> {
    let text = &field.text()?.text;
    let trimmed = text.trim();
    if trimmed.is_empty() && !text.is_empty() {
        field.refuse("must not be blank");
    }
    if trimmed.contains(['\n', '\r']) {
        field.refuse("must not contain line breaks");
    }
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}
