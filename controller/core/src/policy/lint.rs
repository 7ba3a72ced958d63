//! What of a policy is sound and hardly as it was meant.

use super::compile::{CompiledValidation, Programs, check};
use super::declarations::VARIABLES;
use super::lookups::LOOKUPS;
use super::matches_nothing::{self, Nothing};
use super::{CompiledExpression, CompiledLookup};
use crate::document::{
    BindingDocument, Code, DocumentError, ExceptionDocument, Expression, Matching, Origin, Params, Place,
    PolicyDocument, Validation, child_path, enumeration,
};
use crate::request::Operation;
use crate::yaml::Node;
use jiff::Timestamp;
use portcullis_cel::{Bindings, Meter, Step};
use std::collections::BTreeSet;

/// More than this an expression that depends on nothing need not take.
const CONSTANT_BUDGET: u64 = 100_000;

/// What is wrong with a policy's expressions, and what else strikes the eye. `node` is the document.
pub(crate) fn lint(origin: &Origin, policy: &PolicyDocument, node: &Node) -> Vec<DocumentError> {
    let checked = check(origin, policy);
    let mut findings = checked.errors;
    let sound_throughout = checked.warnings.is_empty();
    findings.extend(checked.warnings);
    let mut linting = Linting { origin, policy, node, findings };
    linting.matching();
    linting.messages();
    if let Some(programs) = &checked.programs {
        linting.constants(programs);
        linting.missing_objects(programs);
        // What does not compile may be what would have used them.
        if sound_throughout {
            linting.variables(programs);
            linting.params(programs);
            linting.lookups(programs);
        }
    }
    linting.findings
}

/// What strikes the eye in a ValidatingAdmissionPolicyBinding.
pub(crate) fn lint_binding(origin: &Origin, binding: &BindingDocument, node: &Node) -> Vec<DocumentError> {
    let found = matches_nothing::of_binding(binding).into_iter();
    found.map(|nothing| nothing.into_warning(origin, &binding.name, node)).collect()
}

/// What strikes the eye in a PolicyException, at this time.
pub(crate) fn lint_exception(
    origin: &Origin,
    exception: &ExceptionDocument,
    node: &Node,
    now: Timestamp,
) -> Vec<DocumentError> {
    let found = matches_nothing::of_exception(exception).into_iter();
    let mut found: Vec<_> =
        found.map(|nothing| nothing.into_warning(origin, &exception.name, node)).collect();
    if let Some(expiry) = exception.expires_at.filter(|expiry| *expiry <= now) {
        let field = "spec.expiresAt".to_owned();
        let place = Place { position: node.position_of(&field), field };
        let message = format!("it expired at {expiry}, and excepts nothing any more");
        found.push(DocumentError::at(origin, Some(&exception.name), place, message).with_code(Code::Expired));
    }
    found
}

impl Nothing {
    fn into_warning(self, origin: &Origin, name: &str, node: &Node) -> DocumentError {
        let Self { field, message, hint } = self;
        let place = Place { position: node.position_of(&field), field };
        let error = DocumentError::at(origin, Some(name), place, message).with_code(Code::NeverMatches);
        DocumentError { hint, ..error }
    }
}

struct Linting<'a> {
    origin: &'a Origin,
    policy: &'a PolicyDocument,
    node: &'a Node,
    findings: Vec<DocumentError>,
}

impl Linting<'_> {
    fn warn(&mut self, code: Code, field: &str, message: impl Into<String>, hint: Option<String>) {
        let place = Place { field: field.to_owned(), position: self.node.position_of(field) };
        let error = DocumentError::at(self.origin, Some(&self.policy.name), place, message).with_code(code);
        self.findings.push(DocumentError { hint, ..error });
    }

    fn warn_in(&mut self, code: Code, expression: &Expression, message: &str, hint: Option<String>) {
        let place = Place { field: expression.place.field.clone(), position: expression.at.start() };
        let error = DocumentError::at(self.origin, Some(&self.policy.name), place, message).with_code(code);
        self.findings.push(DocumentError { hint, ..error });
    }

    fn matching(&mut self) {
        for nothing in matches_nothing::of(self.policy) {
            self.findings.push(nothing.into_warning(self.origin, &self.policy.name, self.node));
        }
    }

    /// Messages that look like those of Kyverno and of Helm.
    fn messages(&mut self) {
        for (index, validation) in self.policy.validations.iter().enumerate() {
            let message = validation.message.as_deref().unwrap_or_default();
            if message.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}")) {
                let field = format!("spec.validations[{index}].message");
                let hint = "`messageExpression` is a CEL expression: `'container ' + each.name`".to_owned();
                self.warn(Code::LiteralMessage, &field, "`{{` is told as it is written", Some(hint));
            }
        }
    }

    /// Expressions that read an object which is null in all that the policy matches, and do not look whether it is.
    fn missing_objects(&mut self, programs: &Programs) {
        let Matching::Constraints(constraints) = &self.policy.matching else { return };
        let rules = &constraints.resource_rules;
        let only = |operation| rules.iter().all(|rule| rule.operations == [operation]);
        let (variable, operation, other) = if rules.is_empty() {
            return;
        } else if only(Operation::Delete) {
            ("object", "DELETE", "`oldObject` is what is deleted")
        } else if only(Operation::Create) {
            ("oldObject", "CREATE", "`object` is what is created")
        } else {
            return;
        };
        let validations = programs.validations.list.iter().zip(&self.policy.validations);
        let found: Vec<&Expression> = validations
            .filter(|(compiled, _)| {
                let reads = || compiled.expression.program.footprint().reads();
                let looks = reads().any(|read| {
                    *read.variable == *"request" || *read.variable == *variable && read.steps.is_empty()
                });
                !looks && reads().any(|read| *read.variable == *variable)
            })
            .map(|(_, written)| &written.expression)
            .collect();
        for expression in found {
            let message = format!("`{variable}` is null in a {operation}, and nothing else is matched");
            self.warn_in(Code::NullObject, expression, &message, Some(other.to_owned()));
        }
    }

    fn constants(&mut self, programs: &Programs) {
        for ((_, condition), written) in programs.match_conditions.iter().zip(&self.policy.match_conditions) {
            let (code, message) = match constant(programs, condition) {
                Some(true) => (Code::Constant, "always true: this condition leaves nothing out"),
                Some(false) => (Code::NeverMatches, "always false: the policy never matches"),
                None => continue,
            };
            self.warn_in(code, &written.expression, message, None);
        }
        self.constant_validations(programs, &programs.validations.list, &self.policy.validations);
        if let (Some(compiled), Some(written)) = (&programs.audit_validations, &self.policy.audit_validations)
        {
            self.constant_validations(programs, &compiled.list, written);
        }
    }

    fn constant_validations(
        &mut self,
        programs: &Programs,
        compiled: &[CompiledValidation],
        written: &[Validation],
    ) {
        for (compiled, written) in compiled.iter().zip(written) {
            match constant(programs, &compiled.expression) {
                Some(true) => {
                    let message = "always true: this validation never fails";
                    self.warn_in(Code::Constant, &written.expression, message, None);
                }
                // Whoever writes no more than `false` means to refuse all that matches.
                Some(false) if written.expression.text.trim() != "false" => {
                    let message = "always false: this validation refuses whatever matches";
                    let hint = "write `false` if that is meant".to_owned();
                    self.warn_in(Code::Constant, &written.expression, message, Some(hint));
                }
                _ => {}
            }
        }
    }

    fn variables(&mut self, programs: &Programs) {
        let mut used = vec![false; programs.variables.len()];
        programs.readers().for_each(|expression| mark_used(expression, programs, &mut used));
        // Each variable sees only those before it.
        for (index, (_, variable)) in programs.variables.iter().enumerate().rev() {
            if used.get(index) == Some(&true) {
                mark_used(variable, programs, &mut used);
            }
        }
        for (index, variable) in self.policy.variables.iter().enumerate() {
            if used.get(index) != Some(&true) {
                let message = format!("variable `{}` is never used", variable.name);
                self.warn(Code::UnusedVariable, &format!("spec.variables[{index}].name"), message, None);
            }
        }
    }

    fn lookups(&mut self, programs: &Programs) {
        let variables = programs.variables.iter().map(|(_, variable)| variable);
        let readers: Vec<_> = programs.readers().chain(variables).collect();
        for (index, lookup) in self.policy.lookups.iter().enumerate() {
            let reads = |reader: &&CompiledExpression| {
                let of_lookups = reader.program.footprint().of(LOOKUPS);
                of_lookups.is_some_and(|lookups| lookups.field(&lookup.name).is_some())
            };
            if !readers.iter().any(reads) {
                let message = format!("no expression reads look-up `{}`", lookup.name);
                self.warn(Code::UnusedLookup, &format!("spec.lookups[{index}].name"), message, None);
            }
        }
    }

    fn params(&mut self, programs: &Programs) {
        let mut used = BTreeSet::new();
        let variables = programs.variables.iter().map(|(_, variable)| variable);
        let of_lookups = programs.lookups.iter().flat_map(CompiledLookup::expressions);
        for expression in programs.readers().chain(variables).chain(of_lookups) {
            for read in expression.program.footprint().reads().filter(|read| &*read.variable == "params") {
                match read.steps.first() {
                    Some(Step::Field(name)) => used.insert(name.to_string()),
                    // All of them.
                    _ => return,
                };
            }
        }
        for (name, field) in self.param_names() {
            if !used.contains(&name) {
                let names: Vec<&str> = used.iter().map(String::as_str).collect();
                let hint =
                    (!names.is_empty()).then(|| format!("expressions read {}", enumeration(&names, "and")));
                self.warn(Code::UnusedParam, &field, format!("no expression reads param `{name}`"), hint);
            }
        }
    }

    /// The names of inline params, each with the field in which it is first given or described.
    fn param_names(&self) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, parent: &str| {
            let field = child_path(parent, name);
            // What is not written there is a default of the schema.
            let is_written = self.node.position_of(&field) != self.node.position_of(parent);
            if is_written && !names.iter().any(|(known, _)| known == name) {
                names.push((name.to_owned(), field));
            }
        };
        let bindings = self.policy.bindings.iter().enumerate();
        let of_bindings =
            bindings.map(|(index, binding)| (format!("spec.bindings[{index}].params"), &binding.params));
        for (field, params) in
            std::iter::once(("spec.params".to_owned(), &self.policy.params)).chain(of_bindings)
        {
            if let Params::Inline(serde_json::Value::Object(values)) = params {
                values.keys().for_each(|name| add(name, &field));
            }
        }
        for (name, _) in self.policy.params_schema.iter().flat_map(|schema| schema.properties()) {
            add(name, "spec.paramsSchema.properties");
        }
        names
    }
}

impl Programs {
    /// Every expression that is evaluated by itself: all but the variables.
    fn readers(&self) -> impl Iterator<Item = &CompiledExpression> {
        let named =
            self.match_conditions.iter().chain(&self.audit_annotations).map(|(_, expression)| expression);
        let audit = self.audit_validations.iter().flat_map(|validations| &validations.list);
        let given = self.validations.given.iter().map(|given| &given.expression);
        named.chain(given).chain(self.validations.list.iter().chain(audit).flat_map(|validation| {
            let parts = [&validation.for_each, &validation.field_path, &validation.message_expression];
            std::iter::once(&validation.expression).chain(parts.into_iter().flatten())
        }))
    }
}

/// Marks the variables that an expression reads itself.
fn mark_used(expression: &CompiledExpression, programs: &Programs, used: &mut [bool]) {
    for read in expression.program.footprint().reads().filter(|read| &*read.variable == VARIABLES) {
        for ((name, _), used) in programs.variables.iter().zip(&mut *used) {
            *used |= match read.steps.first() {
                Some(Step::Field(read)) => **read == **name,
                _ => true,
            };
        }
    }
}

/// What an expression always evaluates to, if it reads nothing.
fn constant(programs: &Programs, expression: &CompiledExpression) -> Option<bool> {
    if expression.program.footprint().reads().next().is_some() {
        return None;
    }
    let bindings = Bindings::new(&programs.environment);
    expression.program.evaluate(&bindings, &Meter::new(CONSTANT_BUDGET)).ok()?.as_bool()
}
