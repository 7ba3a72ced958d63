//! One compiled CEL expression and the variables that it needs, and what each kind of expression may see.

use crate::document::{Dialect, DocumentError, Expression, Matching, Origin, PolicyDocument};
use crate::yaml::Position;
use portcullis_cel::{Environment, Program};
use std::collections::BTreeSet;

/// A program, with the `variables` that have to be evaluated before it.
#[derive(Debug)]
pub(crate) struct CompiledExpression {
    pub(crate) program: Program,
    /// Indices of the variables it reads, those that these read in turn included, ascending.
    pub(crate) variables: Vec<usize>,
}

/// Compiles the expressions of one policy, collecting every error.
pub(crate) struct ExpressionCompiler<'a> {
    origin: &'a Origin,
    name: &'a str,
    environment: Environment,
    /// Names of the variables compiled so far, and what each of them needs.
    variables: Vec<(String, Vec<usize>)>,
    pub(crate) errors: Vec<DocumentError>,
}

impl<'a> ExpressionCompiler<'a> {
    pub(crate) fn new(origin: &'a Origin, policy: &'a PolicyDocument) -> Self {
        Self {
            origin,
            name: &policy.name,
            environment: environment_of(policy),
            variables: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Compiles an expression that sees what the whole policy sees.
    pub(crate) fn compile(&mut self, expression: &Expression) -> Option<CompiledExpression> {
        let environment = self.environment.clone();
        self.compile_in(&environment, expression)
    }

    /// Compiles an expression that sees the element of a `forEach` as well.
    pub(crate) fn compile_with_each(&mut self, expression: &Expression) -> Option<CompiledExpression> {
        let environment = self.environment.clone().with_variable("each");
        self.compile_in(&environment, expression)
    }

    /// Compiles a matchCondition, which sees no `variables`.
    pub(crate) fn compile_condition(&mut self, expression: &Expression) -> Option<CompiledExpression> {
        let compiled = self.compile(expression)?;
        if compiled.program.reads().iter().any(|path| path.root == "variables") {
            let message = "`variables` cannot be used in a matchCondition".to_owned();
            let hint = Some("write the variable's expression here".to_owned());
            self.error(expression, 1, 1, message, hint);
            return None;
        }
        Some(compiled)
    }

    /// Makes a compiled variable visible to the expressions that follow.
    pub(crate) fn declare(&mut self, name: &str, compiled: Option<&CompiledExpression>) {
        let needs = compiled.map(|compiled| compiled.variables.clone()).unwrap_or_default();
        self.variables.push((name.to_owned(), needs));
    }

    fn compile_in(
        &mut self,
        environment: &Environment,
        expression: &Expression,
    ) -> Option<CompiledExpression> {
        match Program::compile(environment, &expression.text) {
            Ok(program) => {
                let variables = self.variables_of(&program, expression)?;
                Some(CompiledExpression { program, variables })
            }
            Err(errors) => {
                for error in errors {
                    self.error(expression, error.line, error.column, error.message, error.hint);
                }
                None
            }
        }
    }

    /// Which variables a program needs; an unknown one, or `variables` as a whole, is an error.
    fn variables_of(&mut self, program: &Program, expression: &Expression) -> Option<Vec<usize>> {
        let mut needed = BTreeSet::new();
        let mut unknown = Vec::new();
        for path in program.reads().iter().filter(|path| path.root == "variables") {
            let Some(name) = path.segments.first() else {
                needed.extend(0..self.variables.len());
                continue;
            };
            match self.variables.iter().enumerate().find(|(_, (known, _))| known == name) {
                Some((index, (_, needs))) => {
                    needed.insert(index);
                    needed.extend(needs);
                }
                None => unknown.push(name.clone()),
            }
        }
        for name in &unknown {
            let known: Vec<&str> = self.variables.iter().map(|(known, _)| known.as_str()).collect();
            let hint = if known.is_empty() {
                "a variable sees only those declared before it".to_owned()
            } else {
                format!("declared before it: {}", known.join(", "))
            };
            let message = format!("variable `{name}` is not declared");
            self.error(expression, 1, 1, message, Some(hint));
        }
        unknown.is_empty().then(|| needed.into_iter().collect())
    }

    fn error(&mut self, at: &Expression, line: u32, column: u32, message: String, hint: Option<String>) {
        let inside = Position { line, column };
        let error = DocumentError::in_expression(self.origin, Some(self.name), at, inside, message);
        self.errors.push(DocumentError { hint, ..error });
    }
}

/// What the expressions of a policy may name.
fn environment_of(policy: &PolicyDocument) -> Environment {
    let mut names = vec!["object", "oldObject", "request", "params", "namespaceObject", "variables"];
    if matches!(policy.matching, Matching::Pods(_)) {
        names.extend(["podSpec", "podMetadata", "oldPodSpec", "containers", "images"]);
    }
    let environment =
        names.into_iter().fold(Environment::new(), |environment, name| environment.with_variable(name));
    match policy.dialect {
        Dialect::Portcullis => environment.with_images(),
        Dialect::Kubernetes => environment,
    }
}
