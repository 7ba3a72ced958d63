//! Libraries as data: functions with their overloads, what each costs, and what each does.

use std::collections::HashMap;

use regex::Regex;

use super::cost::Cost;
use super::failure::Failure;
use super::meter::Meter;
use super::types::Ty;
use super::value::Value;

/// A function of a library, with the overloads that the library gives it.
#[derive(Debug)]
pub struct Function {
    /// The name it is called by; an operator's is `_+_`, one in a namespace `optional.of`.
    pub name: &'static str,
    /// Its overloads; those of several libraries for one name are joined.
    pub overloads: &'static [Overload],
}

/// One way of calling a function.
#[derive(Debug)]
pub struct Overload {
    /// cel-go's name of it.
    pub id: &'static str,
    /// Whether the first argument is the target of a method call.
    pub member: bool,
    /// The types of the arguments.
    pub args: &'static [Ty],
    /// The type of the result.
    pub result: Ty,
    /// What a call costs.
    pub cost: Cost,
    /// Whether the cost is known by the name of the function alone, so that it holds even where several
    /// overloads may apply.
    pub named_cost: bool,
    /// Which argument is a regular expression, to be compiled ahead if it is a constant.
    pub regex: Option<usize>,
    /// Whether it is one of those that [`super::library::Feature::CrossTypeComparison`] brings.
    pub(crate) across_types: bool,
    /// Whether cel-go binds it to a function of any number of arguments, which are evaluated up to the first that
    /// fails.
    pub(crate) variadic: bool,
    /// Does it. Fails with [`Failure::no_such_overload`] if the arguments are of other types, in which case
    /// the next overload is tried.
    pub run: for<'a> fn(&Invocation<'_>, &[Value<'a>]) -> Result<Value<'a>, Box<Failure>>,
}

impl Overload {
    const fn new(
        id: &'static str,
        member: bool,
        args: &'static [Ty],
        result: Ty,
        run: for<'a> fn(&Invocation<'_>, &[Value<'a>]) -> Result<Value<'a>, Box<Failure>>,
    ) -> Self {
        let (cost, named_cost, regex) = (Cost::ONE, false, None);
        Self { id, member, args, result, cost, named_cost, regex, across_types: false, variadic: false, run }
    }

    /// An overload that is called as `function(args)`, at a cost of 1.
    pub const fn function(
        id: &'static str,
        args: &'static [Ty],
        result: Ty,
        run: for<'a> fn(&Invocation<'_>, &[Value<'a>]) -> Result<Value<'a>, Box<Failure>>,
    ) -> Self {
        Self::new(id, false, args, result, run)
    }

    /// An overload that is called as `target.function(args)`, at a cost of 1.
    pub const fn method(
        id: &'static str,
        args: &'static [Ty],
        result: Ty,
        run: for<'a> fn(&Invocation<'_>, &[Value<'a>]) -> Result<Value<'a>, Box<Failure>>,
    ) -> Self {
        Self::new(id, true, args, result, run)
    }

    /// The same at another cost.
    #[must_use]
    pub const fn costs(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// The same at another cost, which the name of the function alone decides.
    #[must_use]
    pub const fn named_cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self.named_cost = true;
        self
    }

    /// The same as a comparison of different types.
    #[must_use]
    pub(crate) const fn across_types(mut self) -> Self {
        self.across_types = true;
        self
    }

    /// The same as a function of any number of arguments to cel-go.
    #[must_use]
    pub(crate) const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    /// The same with an argument that is a regular expression.
    #[must_use]
    pub const fn regex(mut self, argument: usize) -> Self {
        self.regex = Some(argument);
        self
    }
}

/// What a function is given beside its arguments.
#[derive(Debug)]
pub struct Invocation<'i> {
    /// Where it counts the memory it needs and the values it visits.
    pub meter: &'i Meter,
    /// Its regular expression, if that was a constant.
    pub regex: Option<&'i Regex>,
    /// Which of its overloads is asked.
    pub overload: &'static Overload,
}

impl Invocation<'_> {
    /// Whether cel-go would choose the overload for these arguments when it is evaluated.
    #[must_use]
    pub fn accepts(&self, args: &[Value<'_>]) -> bool {
        let wanted = self.overload.args;
        wanted.len() == args.len() && wanted.iter().zip(args).all(|(wanted, given)| wanted.accepts(given))
    }
}

/// The functions of an environment by name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Functions {
    by_name: HashMap<&'static str, Vec<&'static Overload>>,
}

impl Functions {
    pub(crate) fn add(&mut self, library: &'static [Function]) {
        for function in library {
            self.by_name.entry(function.name).or_default().extend(function.overloads);
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&[&'static Overload]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// The names that are written as names, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied().filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
    }
}
