//! What of the language itself depends on the version of Kubernetes.

/// A part of the language that an environment may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Optional values, with their functions, macros and syntax.
    Optionals,
    /// `1 < 2.0`, where both types are known.
    CrossTypeComparison,
    /// Literals of durations, timestamps and patterns are read when an expression is compiled.
    LiteralValidation,
    /// The macros of two variables.
    TwoVariableMacros,
    /// The macro `sortBy`.
    SortBy,
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features(u8);

impl Feature {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Optionals,
        Self::CrossTypeComparison,
        Self::LiteralValidation,
        Self::TwoVariableMacros,
        Self::SortBy,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Features {
    pub(crate) fn add(&mut self, feature: Feature) {
        self.0 |= feature.bit();
    }

    pub(crate) fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }
}
