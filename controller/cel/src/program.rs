//! Compiling an expression, and evaluating what was compiled.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::parser::Expression;
use cel::{Context, Env};

use crate::bindings::Bindings;
use crate::budget::Budget;
use crate::check::check;
use crate::environment::Environment;
use crate::error::{CompileError, EvaluationError};
use crate::limits;
use crate::reads::{self, Path};
use crate::rewrite::{self, Patterns};
use crate::session::{Bound, Session};
use crate::value::Value;

/// A compiled expression, to be evaluated many times and from many threads.
pub struct Program {
    source: String,
    env: Arc<Env>,
    expression: Expression,
    patterns: Patterns,
    reads: BTreeSet<Path>,
    plain: Option<Path>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("source", &self.source)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// Compiles `source`. Safe on any stack and for any text.
    ///
    /// # Errors
    /// Everything that is wrong with the source, in its order.
    pub fn compile(environment: &Environment, source: &str) -> Result<Self, Vec<CompileError>> {
        limits::scan(source).map_err(|error| vec![error])?;
        let compile = || catch_unwind(AssertUnwindSafe(|| compile_here(environment, source)));
        match limits::try_with_large_stack(compile) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(vec![failure("the parser gave up on this expression".to_owned())]),
            Err(error) => Err(vec![failure(format!("cannot start a thread to compile on: {error}"))]),
        }
    }

    /// The source it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The parts of its variables that its result can depend on, none of which covers another.
    #[must_use]
    pub fn reads(&self) -> &BTreeSet<Path> {
        &self.reads
    }

    /// The path, if the whole program is nothing but a variable or a selection such as `object.spec.rules`.
    #[must_use]
    pub fn plain_selection(&self) -> Option<&Path> {
        self.plain.as_ref()
    }

    /// Evaluates the program. What it reads of `bindings` is charged to `budget`.
    ///
    /// # Errors
    /// The expression fails, reads a declared variable that has no value, or overruns the budget.
    pub fn evaluate<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &Budget,
    ) -> Result<Value<'a>, EvaluationError> {
        let evaluate = || self.evaluate_here(bindings, budget);
        let result = catch_unwind(AssertUnwindSafe(evaluate))
            .unwrap_or_else(|_| Err(EvaluationError::internal("the evaluator gave up on this expression")));
        // Operators such as `||` absorb errors, but not this one.
        if budget.is_overrun() { Err(EvaluationError::budget()) } else { result }
    }

    fn evaluate_here<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &Budget,
    ) -> Result<Value<'a>, EvaluationError> {
        let session = Session::new(budget);
        let scope = Scope { patterns: &self.patterns, variables: self.bind(bindings, &session) };
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(&scope);
        let result =
            cel::Value::resolve_val(&self.expression, &context).map_err(EvaluationError::from_execution)?;
        session.value_of(result.as_ref())
    }

    /// The variables the program reads, as the evaluator wants them.
    fn bind<'s, 'a: 's>(
        &'s self,
        bindings: &Bindings<'a>,
        session: &'s Session<'s, 'a>,
    ) -> Vec<(&'s str, Bound<'s, 'a>)> {
        let mut variables: Vec<(&str, Bound<'_, '_>)> = Vec::new();
        for path in &self.reads {
            let bound = variables.last().is_some_and(|(name, _)| *name == path.root);
            if let Some(value) = bindings.find(&path.root).filter(|_| !bound) {
                variables.push((&path.root, Bound::new(&value.0, session)));
            }
        }
        variables
    }
}

/// What names stand for in one evaluation.
struct Scope<'s, 'a> {
    patterns: &'s Patterns,
    variables: Vec<(&'s str, Bound<'s, 'a>)>,
}

impl<'s, 'a: 's> VariableResolver for Scope<'s, 'a> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if name == rewrite::PATTERNS {
            return Some(CowVal::Borrowed(self.patterns));
        }
        let (_, value) = self.variables.iter().find(|(variable, _)| *variable == name)?;
        Some(CowVal::Borrowed(value.as_val()))
    }
}

fn failure(message: String) -> CompileError {
    CompileError { message, line: 1, column: 1, hint: None }
}

/// Compiles on the current stack, which must be large.
fn compile_here(environment: &Environment, source: &str) -> Result<Program, Vec<CompileError>> {
    let env = environment.env();
    let parsed = crate::parse::parse(env, source)?;
    check(environment, &parsed)?;
    let mut expression = parsed.expression;
    let reads = reads::reads(&expression, &environment.variables);
    let plain = reads::plain_selection(&expression, &environment.variables);
    let patterns = rewrite::rewrite(&mut expression).map_err(|bad| {
        bad.into_iter().map(|bad| parsed.places.error(bad.node, bad.message)).collect::<Vec<_>>()
    })?;
    Ok(Program { source: source.to_owned(), env: Arc::clone(env), expression, patterns, reads, plain })
}
