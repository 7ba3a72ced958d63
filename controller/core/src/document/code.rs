//! What kinds of things can be wrong with documents.

/// What kind of thing is wrong: stable names, for programs and for documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A file that cannot be read.
    Unreadable,
    /// A text that cannot be read.
    Yaml,
    /// A document whose fields are not as they must be.
    Document,
    /// An expression that does not compile.
    Expression,
    /// Two documents of one kind and name.
    Duplicate,
    /// A binding of, or an exception from, a policy that is not there.
    MissingPolicy,
    /// A document that is not where documents are in force.
    NotInForce,
    /// A variable of a ValidatingAdmissionPolicy that does not compile. The API server refuses it, and
    /// where one is stored all the same, its use is an error.
    BrokenVariable,
    /// A messageExpression of a ValidatingAdmissionPolicy that does not compile. The API server refuses it,
    /// and where one is stored all the same, it is never used.
    UnusedMessage,
    /// A variable that no expression reads.
    UnusedVariable,
    /// A param that no expression reads.
    UnusedParam,
    /// A look-up that no expression reads.
    UnusedLookup,
    /// An expression that does not fit the fields of the kinds that the policy matches.
    TypeCheck,
    /// A validation or matchCondition that does not depend on anything.
    Constant,
    /// A policy, or a rule of it, that no request can match.
    NeverMatches,
    /// A ValidatingAdmissionPolicy without a binding.
    Unbound,
    /// An exception whose time is over.
    Expired,
    /// A message with braces that nobody replaces.
    LiteralMessage,
    /// An expression that reads an object which is never there.
    NullObject,
    /// A ConfigMap that `kubectl apply` takes from its server only.
    LargeConfigMap,
}

impl Code {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Yaml => "yaml",
            Self::Document => "document",
            Self::Expression => "expression",
            Self::Duplicate => "duplicate",
            Self::MissingPolicy => "missing-policy",
            Self::NotInForce => "not-in-force",
            Self::BrokenVariable => "broken-variable",
            Self::UnusedMessage => "unused-message",
            Self::UnusedVariable => "unused-variable",
            Self::UnusedParam => "unused-param",
            Self::UnusedLookup => "unused-lookup",
            Self::TypeCheck => "type-check",
            Self::Constant => "constant",
            Self::NeverMatches => "never-matches",
            Self::Unbound => "unbound",
            Self::Expired => "expired",
            Self::LiteralMessage => "literal-message",
            Self::NullObject => "null-object",
            Self::LargeConfigMap => "large-config-map",
        }
    }
}
