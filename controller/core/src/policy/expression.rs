//! One compiled CEL expression and the variables that it needs, and what each kind of expression may see.

use crate::document::{Dialect, DocumentError, Expression, Matching, Origin, PolicyDocument};
use crate::yaml::Position;
use portcullis_cel::{Environment, KubernetesVersion, ObjectType, Program, Step, Type};

/// A program, with the `variables` that it may evaluate.
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
    /// The variables compiled so far: name, type and what each of them needs.
    variables: Vec<(String, Type, Vec<usize>)>,
    pub(crate) errors: Vec<DocumentError>,
}

/// What an expression must evaluate to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A boolean, and known to be one: `dyn` is not enough (`condition.go` in apiserver's `plugin/cel`).
    Bool,
    /// Whatever comes.
    Anything,
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

    /// The environment whose bindings serve every expression of the policy.
    pub(crate) fn widest_environment(&self) -> Environment {
        self.environment.clone().with_variable("each", Type::Dyn)
    }

    /// Compiles an expression that sees what the whole policy sees.
    pub(crate) fn compile(
        &mut self,
        expression: &Expression,
        expected: Expected,
    ) -> Option<CompiledExpression> {
        let environment = self.environment.clone();
        self.compile_in(&environment, expression, expected)
    }

    /// Compiles an expression that sees the element of a `forEach` as well.
    pub(crate) fn compile_with_each(
        &mut self,
        expression: &Expression,
        expected: Expected,
    ) -> Option<CompiledExpression> {
        let environment = self.widest_environment();
        self.compile_in(&environment, expression, expected)
    }

    /// Compiles a matchCondition, which sees no `variables`.
    pub(crate) fn compile_condition(&mut self, expression: &Expression) -> Option<CompiledExpression> {
        let compiled = self.compile(expression, Expected::Bool)?;
        if compiled.program.footprint().mentions("variables") {
            let message = "`variables` cannot be used in a matchCondition".to_owned();
            let hint = Some("write the variable's expression here".to_owned());
            self.error(expression, 1, 1, message, hint);
            return None;
        }
        Some(compiled)
    }

    /// Makes a compiled variable visible to the expressions that follow. A broken one may be anything, so that
    /// only its own errors are told.
    pub(crate) fn declare(&mut self, name: &str, compiled: Option<&CompiledExpression>) {
        let (kind, needs) = match compiled {
            Some(compiled) => (compiled.program.result_type().clone(), compiled.variables.clone()),
            None => (Type::Dyn, Vec::new()),
        };
        self.variables.push((name.to_owned(), kind, needs));
        let fields = self.variables.iter().map(|(name, kind, _)| (name.as_str(), kind.clone()));
        let kind = Type::Object(ObjectType::new("variables", fields));
        self.environment = self.environment.clone().with_variable("variables", kind);
    }

    fn compile_in(
        &mut self,
        environment: &Environment,
        expression: &Expression,
        expected: Expected,
    ) -> Option<CompiledExpression> {
        let compiled = match expected {
            Expected::Bool => Program::compile_expecting(environment, &expression.text, &Type::Bool),
            Expected::Anything => Program::compile(environment, &expression.text),
        };
        match compiled {
            Ok(program) => {
                let variables = self.variables_of(&program);
                Some(CompiledExpression { program, variables })
            }
            // What else is said of such an expression follows from that name alone.
            Err(errors) if errors.iter().any(|error| error.message.contains("'authorizer'")) => {
                self.error(expression, 1, 1, "`authorizer` is not supported yet".to_owned(), None);
                None
            }
            Err(errors) => {
                for error in errors {
                    self.error(expression, error.line, error.column, error.message, error.hint);
                }
                None
            }
        }
    }

    /// Which variables a program needs.
    fn variables_of(&self, program: &Program) -> Vec<usize> {
        let mut needed: Vec<usize> = Vec::new();
        for read in program.footprint().reads().filter(|read| &*read.variable == "variables") {
            let name = match read.steps.first() {
                Some(Step::Field(name)) => Some(&**name),
                _ => None,
            };
            for (index, (known, _, needs)) in self.variables.iter().enumerate() {
                if name.is_none_or(|name| name == known) {
                    needed.push(index);
                    needed.extend(needs);
                }
            }
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    fn error(&mut self, at: &Expression, line: u32, column: u32, message: String, hint: Option<String>) {
        let inside = Position { line, column };
        let error = DocumentError::in_expression(self.origin, Some(self.name), at, inside, message);
        self.errors.push(DocumentError { hint, ..error });
    }
}

/// What the expressions of a policy may name.
fn environment_of(policy: &PolicyDocument) -> Environment {
    let mut names = vec!["object", "oldObject", "request", "params", "namespaceObject"];
    if matches!(policy.matching, Matching::Pods(_)) {
        names.extend(["podSpec", "podMetadata", "oldPodSpec", "containers", "images"]);
    }
    let environment = names
        .into_iter()
        .fold(Environment::kubernetes(KubernetesVersion::NEWEST), |environment, name| {
            environment.with_variable(name, Type::Dyn)
        })
        .with_variable("variables", Type::Object(ObjectType::new("variables", [])));
    match policy.dialect {
        Dialect::Portcullis => environment.with_extensions(),
        Dialect::Kubernetes => environment,
    }
}
