//! Macros: calls whose arguments are code over variables that the macro brings in.

use super::ast::{Expr, Fold, FoldKind, Kind, Mode, OptMap, Select};
use super::library::{Feature, Features};
use super::parse::Lowering;

/// The names that cel-go's own accumulator has had.
const ACCUMULATORS: [&str; 2] = ["__result__", "@result"];

/// What became of a method call.
pub(crate) enum Expansion {
    Done(Expr),
    /// A macro, but not called as it has to be; reported.
    Wrong,
    NoMacro(Expr, Vec<Expr>),
}

/// `has(operand.field)`.
pub(crate) fn has(lowering: &mut Lowering<'_>, at: u32, arg: Expr) -> Option<Expr> {
    match arg.kind {
        Kind::Select(select) if select.mode == Mode::Plain => {
            let Select { operand, field, .. } = *select;
            let test = Select { operand, field, mode: Mode::Test };
            Some(lowering.node(at, Kind::Select(Box::new(test))))
        }
        _ => {
            let hint = "has() takes a selection, such as `has(object.spec.replicas)`".to_owned();
            lowering.issues.report_with_hint(arg.at, "invalid argument to has() macro", Some(hint));
            None
        }
    }
}

/// Expands `target.name(args)`, if that is a macro.
pub(crate) fn expand(
    lowering: &mut Lowering<'_>,
    at: u32,
    name: &str,
    target: Expr,
    args: Vec<Expr>,
) -> Expansion {
    let shape = shape(name, args.len()).filter(|shape| lowering.features.has_macro(shape));
    let Some(shape) = shape else { return Expansion::NoMacro(target, args) };
    let expr = match shape {
        Shape::Optional { flat } => opt_map(lowering, at, target, args, name, flat),
        Shape::Fold { kind, two, filtered } => {
            fold(lowering, at, target, args, FoldShape { kind, two, filtered, keeps: name == "filter" })
        }
    };
    expr.map_or(Expansion::Wrong, Expansion::Done)
}

enum Shape {
    Fold { kind: FoldKind, two: bool, filtered: bool },
    Optional { flat: bool },
}

/// The macro of this name with so many arguments.
fn shape(name: &str, args: usize) -> Option<Shape> {
    let (kind, two, filtered) = match (name, args) {
        ("all", 2) => (FoldKind::All, false, false),
        ("all", 3) => (FoldKind::All, true, false),
        ("exists", 2) => (FoldKind::Exists, false, false),
        ("exists", 3) => (FoldKind::Exists, true, false),
        ("exists_one", 2) => (FoldKind::ExistsOne, false, false),
        ("exists_one" | "existsOne", 3) => (FoldKind::ExistsOne, true, false),
        ("map", 2) => (FoldKind::List, false, false),
        ("map", 3) | ("filter", 2) => (FoldKind::List, false, true),
        ("transformList", 3) => (FoldKind::List, true, false),
        ("transformList", 4) => (FoldKind::List, true, true),
        ("transformMap", 3) => (FoldKind::Map, true, false),
        ("transformMap", 4) => (FoldKind::Map, true, true),
        ("transformMapEntry", 3) => (FoldKind::MapEntry, true, false),
        ("transformMapEntry", 4) => (FoldKind::MapEntry, true, true),
        ("sortBy", 2) => (FoldKind::SortBy, false, false),
        ("optMap", 2) => return Some(Shape::Optional { flat: false }),
        ("optFlatMap", 2) => return Some(Shape::Optional { flat: true }),
        _ => return None,
    };
    Some(Shape::Fold { kind, two, filtered })
}

impl Features {
    fn has_macro(self, shape: &Shape) -> bool {
        match shape {
            Shape::Fold { kind: FoldKind::SortBy, .. } => self.has(Feature::SortBy),
            Shape::Fold { two: false, .. } => true,
            Shape::Fold { two: true, .. } => self.has(Feature::TwoVariableMacros),
            Shape::Optional { .. } => self.has(Feature::Optionals),
        }
    }
}

struct FoldShape {
    kind: FoldKind,
    two: bool,
    filtered: bool,
    /// Whether the elements are kept as they are.
    keeps: bool,
}

fn fold(
    lowering: &mut Lowering<'_>,
    at: u32,
    range: Expr,
    args: Vec<Expr>,
    shape: FoldShape,
) -> Option<Expr> {
    if shape.kind == FoldKind::SortBy
        && matches!(range.kind, Kind::Literal(_) | Kind::Map(_) | Kind::Struct(_))
    {
        let message =
            "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
        lowering.issues.report(range.at, message);
        return None;
    }
    let simple = match shape.kind {
        FoldKind::SortBy => "argument is not an identifier",
        FoldKind::List if !shape.two => "argument is not an identifier",
        _ => "argument must be a simple name",
    };
    let mut args = args.into_iter();
    let first = args.next()?;
    let (var, var_at) = (variable(lowering, &first, simple)?, first.at);
    let var2 = if shape.two {
        let second = args.next()?;
        let var2 = variable(lowering, &second, simple)?;
        if var2 == var {
            lowering.issues.report(second.at, format!("duplicate variable name: {var}"));
            return None;
        }
        Some(var2)
    } else {
        None
    };
    let filter = if shape.filtered { Some(args.next()?) } else { None };
    let body = if shape.keeps { lowering.node(var_at, Kind::Ident(var.clone())) } else { args.next()? };
    let fold = Fold { kind: shape.kind, range, var, var2, filter, body };
    Some(lowering.node(at, Kind::Fold(Box::new(fold))))
}

fn opt_map(
    lowering: &mut Lowering<'_>,
    at: u32,
    target: Expr,
    args: Vec<Expr>,
    name: &str,
    flat: bool,
) -> Option<Expr> {
    let mut args = args.into_iter();
    let first = args.next()?;
    let simple = format!("{name}() variable name must be a simple identifier");
    let var = variable(lowering, &first, &simple)?;
    let body = args.next()?;
    Some(lowering.node(at, Kind::OptMap(Box::new(OptMap { target, var, body, flat }))))
}

/// The name a macro gives its variable.
fn variable(lowering: &mut Lowering<'_>, arg: &Expr, otherwise: &str) -> Option<Box<str>> {
    match &arg.kind {
        Kind::Ident(name) if ACCUMULATORS.contains(&&**name) => {
            lowering.issues.report(arg.at, "iteration variable overwrites accumulator variable");
            None
        }
        Kind::Ident(name) if !name.starts_with('.') => Some(name.clone()),
        _ => {
            lowering.issues.report(arg.at, otherwise);
            None
        }
    }
}
