//! Compiling an expression, and evaluating what was compiled.

use super::bindings::Bindings;
use super::check;
use super::environment::Environment;
use super::eval::{self, Observer};
use super::failure::Failure;
use super::footprint::{self, Footprint, Origin, Part, Read};
use super::meter::Meter;
use super::parse;
use super::plan::{self, Node};
use super::types::Type;
use super::value::Value;
use crate::error::CompileError;
use std::collections::BTreeMap;

/// A checked and planned expression, to be evaluated many times and from many threads.
#[derive(Debug)]
pub struct Program {
    source: Box<str>,
    root: Node,
    locals: u32,
    result: Type,
    origin: Origin,
    footprint: Footprint,
    selection: Option<Read>,
    parts: BTreeMap<usize, Part>,
    /// Whether a presence test on a scalar is a failure.
    strict: bool,
}

impl Program {
    /// Compiles `source`, whatever its type. Safe on any stack and for any text.
    ///
    /// # Errors
    /// Everything that is wrong with the source, in its order.
    pub fn compile(environment: &Environment, source: &str) -> Result<Self, Vec<CompileError>> {
        Self::compile_to(environment, source, &[], false)
    }

    /// Compiles `source` so that it can be observed, which costs time and does not count costs to the unit.
    ///
    /// # Errors
    /// Everything that is wrong with the source, in its order.
    pub fn compile_observed(environment: &Environment, source: &str) -> Result<Self, Vec<CompileError>> {
        Self::compile_to(environment, source, &[], true)
    }

    /// Compiles `source`, whose type has to be exactly `expected`.
    ///
    /// # Errors
    /// Everything that is wrong with the source, in its order.
    pub fn compile_expecting(
        environment: &Environment,
        source: &str,
        expected: &Type,
    ) -> Result<Self, Vec<CompileError>> {
        Self::compile_to(environment, source, std::slice::from_ref(expected), false)
    }

    /// Compiles `source`, whose type has to be exactly one of `expected`.
    ///
    /// # Errors
    /// Everything that is wrong with the source, in its order.
    pub fn compile_expecting_one_of(
        environment: &Environment,
        source: &str,
        expected: &[Type],
    ) -> Result<Self, Vec<CompileError>> {
        Self::compile_to(environment, source, expected, false)
    }

    fn compile_to(
        environment: &Environment,
        source: &str,
        expected: &[Type],
        observed: bool,
    ) -> Result<Self, Vec<CompileError>> {
        parse::with_parsed(source, environment.features(), |tree| {
            let mut checked = check::check(environment, source, &tree, expected)?;
            let patterns = std::mem::take(&mut checked.patterns);
            let root = plan::plan(environment, source, &tree.root, &checked, patterns, observed)?;
            let result = checked.types.get(tree.root.id as usize).cloned().unwrap_or(Type::Dyn);
            let selection = footprint::plain_selection(environment, &root);
            let strict = environment.is_by_specification();
            let (origin, parts) = Origin::of(environment, &root, checked.locals);
            let footprint = origin.footprint();
            Ok(Self {
                source: source.into(),
                root,
                locals: checked.locals,
                result,
                origin,
                footprint,
                selection,
                parts,
                strict,
            })
        })
    }

    /// The source it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of its result.
    #[must_use]
    pub fn result_type(&self) -> &Type {
        &self.result
    }

    /// What its result can depend on.
    #[must_use]
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Where its result comes from, for programs that build on that.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path, if the whole program is nothing but a variable or a plain selection from one, such as
    /// `object.spec.rules`.
    #[must_use]
    pub fn plain_selection(&self) -> Option<&Read> {
        self.selection.as_ref()
    }

    /// The sub-expressions that are observed, by the numbers that observers are told; none if it was not compiled
    /// for that. Operands have lower numbers.
    #[must_use]
    pub fn parts(&self) -> &BTreeMap<usize, Part> {
        &self.parts
    }

    /// Evaluates the program over the values of its environment's variables.
    ///
    /// # Errors
    /// The expression fails, or overruns what `meter` allows.
    pub fn evaluate<'a>(&'a self, bindings: &Bindings<'a>, meter: &Meter) -> Result<Value<'a>, Box<Failure>> {
        self.evaluate_with(bindings, meter, None)
    }

    /// The same for a program that was compiled to be observed.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn evaluate_observed<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        meter: &Meter,
        observer: &dyn Observer<'a>,
    ) -> Result<Value<'a>, Box<Failure>> {
        self.evaluate_with(bindings, meter, Some(observer))
    }

    fn evaluate_with<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        meter: &Meter,
        observer: Option<&dyn Observer<'a>>,
    ) -> Result<Value<'a>, Box<Failure>> {
        let value = eval::evaluate(&self.root, self.locals, self.strict, bindings, meter, observer)?;
        value.check_nesting(meter)?;
        Ok(value)
    }
}
