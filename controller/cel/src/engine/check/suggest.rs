//! Near misses: what an author may have meant by a name that is not known.

use super::super::environment::Environment;

/// The macros, which are known by name though they are no functions.
const MACROS: [&str; 13] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "sortBy",
    "optMap",
    "optFlatMap",
];

/// A variable whose name is near.
pub(super) fn variable<'n>(
    environment: &'n Environment,
    locals: impl Iterator<Item = &'n str>,
    name: &str,
) -> Option<String> {
    near(name, locals.chain(environment.variables().iter().map(|variable| &*variable.name)))
}

/// A function whose name is near, or how a macro of the same name is called.
pub(super) fn function(environment: &Environment, name: &str) -> Option<String> {
    if name == "has" {
        return Some("has() takes one selection, such as `has(object.spec.replicas)`".to_owned());
    }
    if MACROS.contains(&name) {
        return Some(format!("`{name}` is a macro: call it on a list or map, as in `list.{name}(x, …)`"));
    }
    near(name, environment.functions().names().chain(MACROS))
}

/// The nearest of some names, if one is near enough.
pub(super) fn near<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let folded = name.to_lowercase();
    let distance = |known: &str| match strsim::damerau_levenshtein(&folded, &known.to_lowercase()) {
        0 if known == name => usize::MAX,
        distance => distance,
    };
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let (distance, best) = known.map(|known| (distance(known), known)).min()?;
    (distance <= limit).then(|| format!("did you mean `{best}`?"))
}
