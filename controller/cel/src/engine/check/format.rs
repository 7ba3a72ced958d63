//! Format strings with literal lists of arguments, which cel-go's `stringFormatValidator` checks ahead.

use super::super::ast::{Call, Expr, Kind, Literal};
use super::super::issue::Issues;
use super::super::library::formatting::{self, Broken, Clause, Part};
use super::super::registry::Overload;
use super::super::types::Type;

pub(super) fn validate(
    expr: &Expr,
    call: &Call,
    overloads: &[&'static Overload],
    types: &[Type],
    issues: &mut Issues<'_>,
) {
    let Some(Kind::Literal(Literal::String(pattern))) = call.target.as_deref().map(|target| &target.kind)
    else {
        return;
    };
    let [Expr { kind: Kind::List(elements), .. }] = call.args.as_slice() else { return };
    if !overloads.iter().any(|overload| overload.id == formatting::OVERLOAD) {
        return;
    }
    let wanted = formatting::walk(pattern, elements.len(), |part| match part {
        Part::Clause { index, clause } => match elements.get(index) {
            Some(element) => check(clause, &element.value, types),
            None => Ok(()),
        },
        Part::Text(_) => Ok(()),
    });
    match wanted {
        Ok(wanted) if wanted == elements.len() => {}
        Ok(wanted) => {
            let given = elements.len();
            let message =
                format!("too many arguments supplied to string.format (expected {wanted}, got {given})");
            issues.report(expr.at, message);
        }
        Err(Broken::Pattern(message)) => issues.report(expr.at, message),
        Err(Broken::Visit((at, message))) => issues.report(at, message),
    }
}

/// Checks the type of an argument; the error has the place of what is wrong in it.
fn check(clause: Clause, arg: &Expr, types: &[Type]) -> Result<(), (u32, String)> {
    let found = plain(types.get(arg.id as usize).unwrap_or(&Type::Dyn));
    let fits = match clause {
        Clause::String => match found {
            Type::Opaque(..) | Type::Object(_) => false,
            _ => return check_parts(arg, types),
        },
        Clause::Decimal | Clause::Octal => matches!(found, Type::Int | Type::Uint),
        Clause::Fixed(_) | Clause::Scientific(_) => matches!(found, Type::Double | Type::String),
        Clause::Binary => matches!(found, Type::Int | Type::Uint | Type::Bool),
        Clause::Hexadecimal { .. } => matches!(found, Type::Int | Type::Uint | Type::String | Type::Bytes),
    };
    if fits || found.is_dyn() { Ok(()) } else { Err((arg.at, clause.refusal(&runtime_name(found)))) }
}

/// Checks what the literal of a list or a map holds.
fn check_parts(arg: &Expr, types: &[Type]) -> Result<(), (u32, String)> {
    match &arg.kind {
        Kind::List(elements) => {
            elements.iter().try_for_each(|element| check(Clause::String, &element.value, types))
        }
        Kind::Map(entries) => entries.iter().try_for_each(|entry| {
            check(Clause::String, &entry.key, types)?;
            check(Clause::String, &entry.value, types)
        }),
        _ => Ok(()),
    }
}

fn plain(of: &Type) -> &Type {
    if let Type::Nullable(plain) = of { plain } else { of }
}

/// The name of a type as `type()` gives it.
fn runtime_name(of: &Type) -> String {
    match of {
        Type::Null => "null_type".to_owned(),
        Type::List(_) => "list".to_owned(),
        Type::Map(_) => "map".to_owned(),
        Type::Type(_) => "type".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::Opaque(name, _) => (*name).to_owned(),
        other => other.to_string(),
    }
}
