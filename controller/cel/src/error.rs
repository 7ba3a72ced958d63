//! What goes wrong: [`CompileError`] when a policy is read, [`EvaluationError`] when it runs.

use std::fmt;

use cel::ExecutionError;

/// The message of every evaluation that ends because its [`Budget`](crate::Budget) is spent.
pub(crate) const OUT_OF_BUDGET: &str = "running out of cost budget";

/// The pretended function name under which an [`EvaluationError`] travels through the evaluator.
const PASSED_THROUGH: &str = "@passed";

/// One reason why an expression does not compile, with its place in the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct CompileError {
    /// What is wrong: lower case, one line, the author's text in backticks.
    pub message: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1 in characters.
    pub column: u32,
    /// What to do about it, where a near miss is known.
    pub hint: Option<String>,
}

/// Why a program that compiles gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationError {
    /// What sort of failure it is.
    pub kind: EvaluationErrorKind,
    /// What happened, in the words of cel-go where it has any.
    pub message: String,
}

/// The sorts of [`EvaluationError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationErrorKind {
    /// The expression itself failed: a missing key, a wrong type, a division by zero.
    Evaluation,
    /// The budget was spent; no operator of the expression can absorb this.
    Budget,
    /// The evaluator itself failed; a defect here, not in the policy.
    Internal,
}

impl EvaluationError {
    /// An error of the expression itself.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { kind: EvaluationErrorKind::Evaluation, message: message.into() }
    }

    pub(crate) fn budget() -> Self {
        Self { kind: EvaluationErrorKind::Budget, message: OUT_OF_BUDGET.to_owned() }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { kind: EvaluationErrorKind::Internal, message: message.into() }
    }

    /// This error as one the evaluator hands on; [`from_execution`](Self::from_execution) undoes it.
    pub(crate) fn pass_through(&self) -> ExecutionError {
        ExecutionError::function_error(PASSED_THROUGH, &self.message)
    }

    pub(crate) fn from_execution(error: ExecutionError) -> Self {
        let message = match error {
            ExecutionError::NoSuchKey(key) => format!("no such key: {}", shown(&key)),
            ExecutionError::NoSuchOverload(overload) => {
                let types = overload.argument_types().join(", ");
                format!("no such overload: {}({types})", shown_function(overload.function()))
            }
            ExecutionError::UndeclaredReference(name) => format!("no such attribute: {}", shown(&name)),
            ExecutionError::UnexpectedType { got, want } => {
                format!("no such overload: got {got} where {want} is needed")
            }
            ExecutionError::IndexOutOfBounds(index) => {
                format!("index out of bounds: {}", shown_value(&index))
            }
            ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
            ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
            ExecutionError::Overflow(..) => "integer overflow".to_owned(),
            ExecutionError::DuplicateKey(key) => format!("repeated key: {}", shown_value(&key)),
            ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedIndex(..)
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::UnsupportedTargetType { .. } => "no such overload".to_owned(),
            ExecutionError::UnsupportedKeyType(_) => "unsupported key type".to_owned(),
            ExecutionError::FunctionError { function, message } if function == PASSED_THROUGH => message,
            ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
            other => first_line(&other.to_string()),
        };
        Self::new(message)
    }
}

/// A function as its author wrote it: names of our own making begin with `@`.
fn shown_function(name: &str) -> &str {
    match name {
        crate::rewrite::EQUAL => "_==_",
        crate::rewrite::UNEQUAL => "_!=_",
        crate::rewrite::MATCHES => "matches",
        crate::rewrite::WITHIN => "_in_",
        other => other.trim_start_matches('@'),
    }
}

struct Shown<'a>(&'a cel::Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            cel::Value::Int(number) => write!(f, "{number}"),
            cel::Value::UInt(number) => write!(f, "{number}"),
            cel::Value::Float(number) => write!(f, "{number}"),
            cel::Value::Bool(truth) => write!(f, "{truth}"),
            cel::Value::String(text) => f.write_str(&shown(text)),
            _ => f.write_str("value"),
        }
    }
}

fn shown_value(value: &cel::Value) -> Shown<'_> {
    Shown(value)
}

/// One line of a message that may have several.
pub(crate) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// A text for a message: one line of bounded length, whatever it holds.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 120;
    let mut shown = String::new();
    for character in text.chars().take(LIMIT) {
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    if text.chars().nth(LIMIT).is_some() {
        shown.push('…');
    }
    shown
}
