//! What cel-go's validators refuse after an expression has its types: literals of durations, timestamps and
//! patterns that cannot be read, and lists and maps of mixed types.

use super::super::ast::{Call, Element, Entry, Expr, Kind};
use super::super::environment::Environment;
use super::super::issue::Issues;
use super::super::library::Feature;
use super::super::patterns::Patterns;
use super::super::types::Type;
use super::{Resolved, format, literal};

/// The functions whose arguments may hold lists of mixed types.
const EXEMPT: [&str; 1] = ["format"];

/// Reports what is refused, and returns the patterns it has compiled for that.
pub(super) fn validate(
    environment: &Environment,
    root: &Expr,
    types: &[Type],
    resolved: &[Resolved],
    issues: &mut Issues<'_>,
) -> Patterns {
    let mut patterns = Patterns::default();
    let mut waiting = vec![(root, environment.is_by_specification())];
    while let Some((expr, exempt)) = waiting.pop() {
        let mut exempt = exempt;
        match &expr.kind {
            Kind::Call(call) => {
                if environment.features().has(Feature::LiteralValidation) {
                    validate_call(call, issues, &mut patterns);
                }
                if let Some(Resolved::Function { overloads, .. }) = resolved.get(expr.id as usize) {
                    format::validate(expr, call, overloads, types, issues);
                }
                exempt |= EXEMPT.contains(&&*call.function);
            }
            Kind::List(elements) if !exempt => validate_list(elements, types, issues),
            Kind::Map(entries) if !exempt => validate_map(entries, types, issues),
            _ => {}
        }
        expr.for_each_child(&mut |child| waiting.push((child, exempt)));
    }
    patterns
}

fn validate_call(call: &Call, issues: &mut Issues<'_>, patterns: &mut Patterns) {
    let Some((arg, literal)) = call.args.first().and_then(|arg| match &arg.kind {
        Kind::Literal(literal) => Some((arg, literal)),
        _ => None,
    }) else {
        return;
    };
    let (valid, hint) = match &*call.function {
        "duration" => literal::duration(literal),
        "timestamp" => literal::timestamp(literal),
        "matches" => literal::pattern(literal, patterns),
        _ => return,
    };
    if !valid {
        issues.report_with_hint(arg.at, format!("invalid {} argument", call.function), hint);
    }
}

fn type_of<'t>(types: &'t [Type], expr: &Expr, optional: bool) -> &'t Type {
    let found = types.get(expr.id as usize).unwrap_or(&Type::Dyn);
    if optional { found.unwrap_optional().unwrap_or(found) } else { found }
}

fn validate_list(elements: &[Element], types: &[Type], issues: &mut Issues<'_>) {
    let mut all =
        elements.iter().map(|element| (element.value.at, type_of(types, &element.value, element.optional)));
    let Some((_, first)) = all.next() else { return };
    if let Some((at, other)) = all.find(|(_, other)| !first.same(other, false)) {
        mixed(issues, at, first, other);
    }
}

fn validate_map(entries: &[Entry], types: &[Type], issues: &mut Issues<'_>) {
    let Some((first, rest)) = entries.split_first() else { return };
    let key = type_of(types, &first.key, false);
    let value = type_of(types, &first.value, first.optional);
    for entry in rest {
        let other = type_of(types, &entry.key, false);
        if !key.same(other, false) {
            mixed(issues, entry.key.at, key, other);
        }
        let other = type_of(types, &entry.value, entry.optional);
        if !value.same(other, false) {
            mixed(issues, entry.value.at, value, other);
        }
    }
}

fn mixed(issues: &mut Issues<'_>, at: u32, expected: &Type, found: &Type) {
    let hint = Some("wrap the elements in dyn() to mix types".to_owned());
    issues.report_with_hint(at, format!("expected type '{expected}' but found '{found}'"), hint);
}
