//! One compiled CEL expression, and what each kind of expression must be.

use super::Input;
use super::declarations::{VARIABLES, environment, of_variable};
use super::lookups::LOOKUPS;
use crate::confined::namespace_of;
use crate::document::{
    Code, Dialect, DocumentError, Expression, NamedExpression, Origin, Place, PolicyDocument,
};
use crate::yaml::Position;
use portcullis_cel::{CompileError, Environment, Footprint, KubernetesVersion, ObjectType, Program, Type};

/// A program of a policy.
#[derive(Debug)]
pub(crate) struct CompiledExpression {
    pub(crate) program: Program,
    /// Why this variable of a ValidatingAdmissionPolicy cannot be evaluated, which is told where it is used; the
    /// program is then `null`.
    pub(crate) broken: Option<Box<str>>,
}

/// Compiles the expressions of one policy, collecting every error.
pub(crate) struct ExpressionCompiler<'a> {
    origin: &'a Origin,
    name: &'a str,
    dialect: Dialect,
    environment: Environment,
    /// The variables compiled so far: name and type.
    variables: Vec<(String, Type)>,
    pub(crate) errors: Vec<DocumentError>,
    /// What compiles, or may be left out, and hardly does what was meant.
    pub(crate) warnings: Vec<DocumentError>,
    /// Whether an error has no consequence.
    probing: bool,
}

/// What an expression must evaluate to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A boolean, and known to be one: `dyn` is not enough (`condition.go` in apiserver's `plugin/cel`).
    Bool,
    /// A string, and known to be one (`message.go` in apiserver's `policy/validating`).
    String,
    /// A string or null, and known to be one of them (`AuditAnnotationCondition` of `validator.go` there).
    StringOrNull,
    /// A list, as far as its type is known.
    List,
    /// A string or null, as far as its type is known: of a look-up.
    Text,
    /// A map, as far as its type is known: of a look-up.
    Labels,
    /// Whatever comes.
    Anything,
}

impl<'a> ExpressionCompiler<'a> {
    pub(crate) fn new(origin: &'a Origin, policy: &'a PolicyDocument) -> Self {
        Self {
            origin,
            name: &policy.name,
            dialect: policy.dialect,
            environment: environment(policy, KubernetesVersion::NEWEST),
            variables: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            probing: false,
        }
    }

    /// One for expressions that may name something else, whose errors are no more than that: all of them are told.
    pub(super) fn probing(origin: &'a Origin, policy: &'a PolicyDocument, environment: Environment) -> Self {
        Self { environment, probing: true, ..Self::new(origin, policy) }
    }

    /// The environment whose bindings serve every expression of the policy.
    pub(crate) fn widest_environment(&self) -> Environment {
        self.environment.clone().with_variable("each", Type::Dyn)
    }

    /// Compiles an expression; one that is judged for each element of a list sees it as `each`, of that type.
    pub(crate) fn compile(
        &mut self,
        expression: &Expression,
        expected: Expected,
        each: Option<&Type>,
    ) -> Option<CompiledExpression> {
        match self.try_compile(expression, expected, each) {
            Ok(compiled) => Some(compiled),
            Err(errors) => {
                self.refuse(expression, errors);
                None
            }
        }
    }

    /// Compiles a matchCondition, which sees no `variables`.
    pub(crate) fn compile_condition(&mut self, expression: &Expression) -> Option<CompiledExpression> {
        let compiled = self.compile(expression, Expected::Bool, None)?;
        if compiled.program.footprint().mentions(VARIABLES) {
            let message = "`variables` cannot be used in a matchCondition".to_owned();
            let hint = Some("write the variable's expression here".to_owned());
            self.error(expression, CompileError { message, line: 1, column: 1, hint });
            return None;
        }
        Some(compiled)
    }

    /// Compiles a variable and makes it visible to the expressions that follow. A broken one may be anything, so
    /// that only its own errors are told. In a ValidatingAdmissionPolicy these are told where it is used
    /// (`composition.go` in apiserver's `plugin/cel`).
    pub(crate) fn compile_variable(&mut self, variable: &NamedExpression) -> Option<CompiledExpression> {
        let expression = &variable.expression;
        let compiled = match self.try_compile(expression, Expected::Anything, None) {
            Ok(compiled) => Some(compiled),
            Err(errors) if self.dialect == Dialect::Portcullis => {
                self.refuse(expression, errors);
                None
            }
            Err(errors) => {
                let shown = CompileError::display_all(&errors, &expression.text);
                let consequence = "this variable does not compile, and its use is an error";
                self.warn_of_each(Code::BrokenVariable, consequence, expression, errors);
                let program = Program::compile(&self.environment, "null").ok();
                let broken = Some(format!("compilation failed: {shown}").into());
                program.map(|program| CompiledExpression { program, broken })
            }
        };
        let kind = match &compiled {
            Some(compiled) if compiled.broken.is_none() => {
                of_variable(self.dialect, compiled.program.result_type())
            }
            _ => Type::Dyn,
        };
        self.declare(&variable.name, kind);
        compiled
    }

    /// Compiles a messageExpression; the outer `None` says that it is broken. One of a ValidatingAdmissionPolicy
    /// that does not compile is as good as none: the message takes its place (`validator.go`).
    pub(crate) fn compile_message(
        &mut self,
        expression: &Expression,
        each: Option<&Type>,
    ) -> Option<Option<CompiledExpression>> {
        match self.try_compile(expression, Expected::String, each) {
            Ok(compiled) => Some(Some(compiled)),
            Err(errors) if self.dialect == Dialect::Kubernetes => {
                let consequence = "this messageExpression does not compile, and is never used";
                self.warn_of_each(Code::UnusedMessage, consequence, expression, errors);
                Some(None)
            }
            Err(errors) => {
                errors.into_iter().for_each(|error| self.error(expression, error));
                None
            }
        }
    }

    /// Makes look-ups visible to the expressions that follow.
    pub(super) fn declare_lookups<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let fields: Vec<_> = names.map(|name| (name, Type::list(Type::Dyn))).collect();
        if !fields.is_empty() {
            let kind = Type::Object(ObjectType::new(LOOKUPS, fields));
            self.environment = self.environment.clone().with_variable(LOOKUPS, kind);
        }
    }

    /// What is read to find the namespace of a request.
    pub(super) fn namespace_of_request(&self) -> Footprint {
        let program = Program::compile(&self.environment, "request.namespace").ok();
        program.map(|program| program.footprint().clone()).unwrap_or_default()
    }

    /// Reports what is wrong at a place that is no expression.
    pub(super) fn refuse_at(&mut self, place: Place, message: String) {
        self.errors.push(DocumentError::at(self.origin, Some(self.name), place, message));
    }

    fn declare(&mut self, name: &str, kind: Type) {
        self.variables.push((name.to_owned(), kind));
        let fields = self.variables.iter().map(|(name, kind)| (name.as_str(), kind.clone()));
        let kind = Type::Object(ObjectType::new(VARIABLES, fields));
        self.environment = self.environment.clone().with_variable(VARIABLES, kind);
    }

    fn try_compile(
        &self,
        expression: &Expression,
        expected: Expected,
        each: Option<&Type>,
    ) -> Result<CompiledExpression, Vec<CompileError>> {
        let environment = match each {
            None => self.environment.clone(),
            Some(each) => self.environment.clone().with_variable("each", each.clone()),
        };
        let allowed: &[Type] = match expected {
            Expected::Bool => &[Type::Bool],
            Expected::String => &[Type::String],
            Expected::StringOrNull => &[Type::String, Type::Null],
            Expected::List | Expected::Text | Expected::Labels | Expected::Anything => &[],
        };
        let program = Program::compile_expecting_one_of(&environment, &expression.text, allowed)?;
        let found = program.result_type();
        let wanted = match (expected, found) {
            // What may be null is told when it is.
            (_, Type::Dyn | Type::Nullable(_))
            | (Expected::List, Type::List(_))
            | (Expected::Text, Type::String | Type::Null)
            | (Expected::Labels, Type::Map(_)) => None,
            (Expected::List, _) => Some("a list"),
            (Expected::Text, _) => Some("a string"),
            (Expected::Labels, _) => Some("a map"),
            _ => None,
        };
        if let Some(wanted) = wanted {
            let message = format!("must evaluate to {wanted} but got {found}");
            return Err(vec![CompileError { message, line: 1, column: 1, hint: None }]);
        }
        // What is told is worded after the verdict, without anything that could change it (`validator.go`).
        let without_authorizer = match expected {
            Expected::String => Some("messages and field paths"),
            Expected::Text | Expected::Labels => Some("look-ups"),
            _ => None,
        };
        let namespace = namespace_of(self.name);
        if let Some(namespace) = namespace.filter(|_| names_authorizer(&program)) {
            let message =
                format!("`authorizer` tells of the whole cluster, but the policy sees only `{namespace}`");
            return Err(vec![CompileError { message, line: 1, column: 1, hint: None }]);
        }
        if let Some(place) = without_authorizer.filter(|_| names_authorizer(&program)) {
            let message = format!("`authorizer` cannot be used in {place}");
            return Err(vec![CompileError { message, line: 1, column: 1, hint: None }]);
        }
        Ok(CompiledExpression { program, broken: None })
    }

    fn refuse(&mut self, expression: &Expression, errors: Vec<CompileError>) {
        errors.into_iter().for_each(|error| self.error(expression, error));
    }

    fn error(&mut self, expression: &Expression, error: CompileError) {
        let error = self.place(expression, error);
        self.errors.push(error);
    }

    fn warn_of_each(
        &mut self,
        code: Code,
        consequence: &str,
        expression: &Expression,
        errors: Vec<CompileError>,
    ) {
        for error in errors {
            if self.probing {
                self.error(expression, error);
                continue;
            }
            let message = format!("{consequence}: {}", error.message);
            let placed = self.place(expression, CompileError { message, ..error });
            self.warnings.push(placed.with_code(code));
        }
    }

    fn place(&self, expression: &Expression, error: CompileError) -> DocumentError {
        let inside = Position { line: error.line, column: error.column };
        let placed =
            DocumentError::in_expression(self.origin, Some(self.name), expression, inside, error.message);
        let name = placed.message.split_once("undeclared reference to '").map(|(_, rest)| rest);
        let name = name.and_then(|rest| rest.split_once('\'')).map(|(name, _)| name);
        let hint = name.and_then(|name| self.declared_by(name)).or(error.hint);
        DocumentError { hint, ..placed }
    }

    /// What would declare a name, or how it is written.
    fn declared_by(&self, name: &str) -> Option<String> {
        if self.variables.iter().any(|(known, _)| known == name) {
            return Some(format!("write `variables.{name}`"));
        }
        let ours = self.dialect == Dialect::Portcullis;
        let by = match name {
            "containers" | "images" | "podSpec" | "podMetadata" | "oldPodSpec" if ours => {
                "`matchPods` declares it"
            }
            "each" if ours => "`forEach` declares it, for the validation that has it",
            "params" if ours => "`params` declares it, or `paramKind` with a `paramRef`",
            "params" => "`paramKind` declares it",
            _ => return None,
        };
        Some(by.to_owned())
    }
}

fn names_authorizer(program: &Program) -> bool {
    [Input::Authorizer, Input::RequestResource].iter().any(|input| program.footprint().mentions(input.name()))
}
