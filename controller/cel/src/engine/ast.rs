//! The engine's own syntax tree: what the parser's output is lowered to, and all that the checker, the
//! planner and the footprint see. Macros are nodes of their own.

/// A node of the tree: what it is, where it stands, and the number under which the checker files it.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    /// Where the node's own token begins, as a byte offset into the source: a call's is its `(`, an
    /// operator's the operator.
    pub(crate) at: u32,
    /// Counted from 0 in the order of lowering; an index into the checker's tables.
    pub(crate) id: u32,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    /// A name as written; one with a leading dot is never a local variable.
    Ident(Box<str>),
    Select(Box<Select>),
    Index(Box<Index>),
    Call(Call),
    /// `a && b && c` or `a || b || c`, any number of terms from two on.
    Logic(Logic),
    Conditional(Box<Conditional>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Struct(Struct),
    Fold(Box<Fold>),
    OptMap(Box<OptMap>),
}

/// A literal of a scalar type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
}

/// `operand.field`, `operand.?field` or `has(operand.field)`.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) operand: Expr,
    pub(crate) field: Box<str>,
    pub(crate) mode: Mode,
}

/// How a field is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Its absence is an error.
    Plain,
    /// The result is an optional.
    Optional,
    /// The result is whether it is there.
    Test,
}

/// `operand[index]` or `operand[?index]`.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) operand: Expr,
    pub(crate) index: Expr,
    pub(crate) optional: bool,
}

/// A function or an operator (`_+_`) with its arguments. The target of a method is the first argument of
/// what is evaluated, unless it turns out to be part of the function's name (`optional.of`).
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: Box<str>,
    pub(crate) target: Option<Box<Expr>>,
    pub(crate) args: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct Logic {
    /// Whether it is `&&`.
    pub(crate) and: bool,
    pub(crate) terms: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct Conditional {
    pub(crate) condition: Expr,
    pub(crate) truthy: Expr,
    pub(crate) falsy: Expr,
}

/// An element of a list literal; `[?e]` is optional.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) value: Expr,
    pub(crate) optional: bool,
}

/// An entry of a map literal; `{?k: v}` is optional.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Expr,
    pub(crate) value: Expr,
    pub(crate) optional: bool,
}

/// A message literal. No type here can be built by one, but the checker has to say so.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: Box<str>,
    pub(crate) fields: Vec<Expr>,
}

/// A macro that iterates over a list or a map.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) kind: FoldKind,
    pub(crate) range: Expr,
    /// The element of a list or the key of a map; of two variables, the index or the key.
    pub(crate) var: Box<str>,
    /// The second of two variables: the element or the value.
    pub(crate) var2: Option<Box<str>>,
    /// What picks the elements, where the macro has that.
    pub(crate) filter: Option<Expr>,
    /// The predicate, or what each element becomes; for `filter` the element itself.
    pub(crate) body: Expr,
}

/// What a [`Fold`] makes of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, `filter` and `transformList`.
    List,
    /// `transformMap`.
    Map,
    /// `transformMapEntry`.
    MapEntry,
    /// `sortBy`, whose body is the key.
    SortBy,
}

impl FoldKind {
    /// What one element has to say to decide the whole, if one can.
    pub(crate) fn decisive(self) -> Option<bool> {
        match self {
            Self::All => Some(false),
            Self::Exists => Some(true),
            _ => None,
        }
    }
}

/// `target.optMap(var, body)` or `target.optFlatMap(var, body)`.
#[derive(Debug)]
pub(crate) struct OptMap {
    pub(crate) target: Expr,
    pub(crate) var: Box<str>,
    pub(crate) body: Expr,
    /// Whether the body gives the optional itself.
    pub(crate) flat: bool,
}

impl Expr {
    /// The dotted name this expression spells, such as `a.b.c`, if it is one.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        let mut fields: Vec<&str> = Vec::new();
        let mut expr = self;
        loop {
            match &expr.kind {
                Kind::Ident(name) => {
                    let mut joined = name.to_string();
                    for field in fields.iter().rev() {
                        joined.push('.');
                        joined.push_str(field);
                    }
                    return Some(joined);
                }
                Kind::Select(select) if select.mode == Mode::Plain => {
                    fields.push(&select.field);
                    expr = &select.operand;
                }
                _ => return None,
            }
        }
    }

    /// Calls `visit` with every node directly below this one, in the order of the source.
    pub(crate) fn for_each_child<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select(select) => visit(&select.operand),
            Kind::Index(index) => {
                visit(&index.operand);
                visit(&index.index);
            }
            Kind::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(visit),
            Kind::Logic(logic) => logic.terms.iter().for_each(visit),
            Kind::Conditional(conditional) => {
                visit(&conditional.condition);
                visit(&conditional.truthy);
                visit(&conditional.falsy);
            }
            Kind::List(elements) => elements.iter().for_each(|element| visit(&element.value)),
            Kind::Map(entries) => {
                for entry in entries {
                    visit(&entry.key);
                    visit(&entry.value);
                }
            }
            Kind::Struct(message) => message.fields.iter().for_each(visit),
            Kind::Fold(fold) => {
                visit(&fold.range);
                fold.filter.iter().for_each(&mut *visit);
                visit(&fold.body);
            }
            Kind::OptMap(map) => {
                visit(&map.target);
                visit(&map.body);
            }
        }
    }

    /// The name at the root of [`qualified_name`](Self::qualified_name).
    pub(crate) fn root_name(&self) -> Option<&str> {
        let mut expr = self;
        loop {
            match &expr.kind {
                Kind::Ident(name) => return Some(name),
                Kind::Select(select) if select.mode == Mode::Plain => expr = &select.operand,
                _ => return None,
            }
        }
    }
}
