//! What an expression may name: variables with their types, and the functions of libraries.

use std::collections::HashMap;
use std::sync::Arc;

use super::registry::{Function, Functions};
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
    functions: Functions,
    types: HashMap<&'static str, Type>,
    by_specification: bool,
    unchecked: bool,
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
    /// CEL's standard library with optionals, and no variables.
    #[must_use]
    pub fn new() -> Self {
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
            ("optional_type", Type::optional(Type::Dyn)),
        ];
        let mut functions = Functions::default();
        for library in stdlib::LIBRARIES {
            functions.add(library);
        }
        Self {
            inner: Arc::new(Inner {
                variables: Vec::new(),
                functions,
                types: types.into_iter().collect(),
                by_specification: false,
                unchecked: false,
            }),
        }
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

    /// Adds a library of functions.
    #[must_use]
    pub fn with_library(mut self, library: &'static [Function]) -> Self {
        Arc::make_mut(&mut self.inner).functions.add(library);
        self
    }

    /// Adds the name of a library's own type.
    #[must_use]
    pub fn with_type(mut self, name: &'static str, named: Type) -> Self {
        Arc::make_mut(&mut self.inner).types.insert(name, named);
        self
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
        &self.inner.functions
    }

    /// The type of a name, and the name as values of type `type` carry it.
    pub(crate) fn named_type(&self, name: &str) -> Option<(&'static str, &Type)> {
        self.inner.types.get_key_value(name).map(|(name, named)| (*name, named))
    }

    pub(crate) fn is_by_specification(&self) -> bool {
        self.inner.by_specification
    }

    pub(crate) fn is_unchecked(&self) -> bool {
        self.inner.unchecked
    }
}
