//! What an expression may name: variables with their types, and the functions of libraries.

use std::collections::HashMap;
use std::sync::Arc;

use super::bindings::Place;
use super::library::{Feature, Features, Library};
use super::registry::Functions;
use super::stdlib;
use super::types::Type;

/// The variables, functions and rules that a program is compiled with. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Environment {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    variables: Vec<Variable>,
    language: Arc<Language>,
    by_specification: bool,
    unchecked: bool,
}

/// What libraries bring, which many environments share.
#[derive(Clone, Debug)]
struct Language {
    functions: Functions,
    types: HashMap<&'static str, Type>,
    features: Features,
}

#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: Box<str>,
    pub(crate) declared: Type,
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment {
    /// CEL's standard library with every feature of the language, optionals among them, and no variables.
    #[must_use]
    pub fn new() -> Self {
        Feature::ALL.into_iter().fold(Self::bare(), Self::with_feature)
    }

    /// CEL's standard library alone.
    pub(crate) fn bare() -> Self {
        let types = [
            ("bool", Type::Bool),
            ("bytes", Type::Bytes),
            ("double", Type::Double),
            ("int", Type::Int),
            ("list", Type::list(Type::Dyn)),
            ("map", Type::map(Type::Dyn, Type::Dyn)),
            ("null_type", Type::Null),
            ("string", Type::String),
            ("type", Type::Type(None)),
            ("uint", Type::Uint),
            ("google.protobuf.Duration", Type::Duration),
            ("google.protobuf.Timestamp", Type::Timestamp),
        ];
        let mut functions = Functions::default();
        for library in stdlib::LIBRARIES {
            functions.add(library);
        }
        let types = types.into_iter().collect();
        let language = Arc::new(Language { functions, types, features: Features::default() });
        let inner = Inner { variables: Vec::new(), language, by_specification: false, unchecked: false };
        Self { inner: Arc::new(inner) }
    }

    /// Declares a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, declared: Type) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        let variable = Variable { name: name.into(), declared };
        match inner.variables.iter_mut().find(|known| *known.name == *name) {
            Some(slot) => *slot = variable,
            None => inner.variables.push(variable),
        }
        self
    }

    /// Adds a library.
    #[must_use]
    pub fn with_library(mut self, library: &'static Library) -> Self {
        let language = self.language_mut();
        language.functions.add(library.functions);
        for name in library.types {
            language.types.insert(name, Type::Opaque(name, [].into()));
        }
        self
    }

    /// Adds a feature of the language.
    #[must_use]
    pub(crate) fn with_feature(mut self, feature: Feature) -> Self {
        let language = self.language_mut();
        language.features.add(feature);
        if feature == Feature::Optionals {
            language.functions.add(stdlib::OPTIONALS);
            language.types.insert(super::types::OPTIONAL, Type::optional(Type::Dyn));
        }
        self
    }

    fn language_mut(&mut self) -> &mut Language {
        Arc::make_mut(&mut Arc::make_mut(&mut self.inner).language)
    }

    /// Keeps to the specification alone, without what Kubernetes makes of it: literals may mix types, a constant
    /// that fails does so when it is evaluated, and a presence test on a scalar is a failure.
    #[must_use]
    pub fn by_specification(mut self) -> Self {
        Arc::make_mut(&mut self.inner).by_specification = true;
        self
    }

    /// Leaves types to the evaluation, as cel-go does with an expression that has only been parsed.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.by_specification = true;
        inner.unchecked = true;
        self
    }

    /// Where bindings keep a declared variable.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Place> {
        self.index(name).map(Place)
    }

    /// The place of a variable in the bindings.
    pub(crate) fn index(&self, name: &str) -> Option<u32> {
        // There are a dozen at most, which takes less time than to hash one name.
        let index = self.inner.variables.iter().position(|variable| &*variable.name == name)?;
        u32::try_from(index).ok()
    }

    pub(crate) fn variables(&self) -> &[Variable] {
        &self.inner.variables
    }

    pub(crate) fn variable(&self, index: u32) -> Option<&Variable> {
        self.inner.variables.get(index as usize)
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.inner.language.functions
    }

    pub(crate) fn features(&self) -> Features {
        self.inner.language.features
    }

    /// The type of a name, and the name as values of type `type` carry it.
    pub(crate) fn named_type(&self, name: &str) -> Option<(&'static str, &Type)> {
        self.inner.language.types.get_key_value(name).map(|(name, named)| (*name, named))
    }

    pub(crate) fn is_by_specification(&self) -> bool {
        self.inner.by_specification
    }

    pub(crate) fn is_unchecked(&self) -> bool {
        self.inner.unchecked
    }
}
