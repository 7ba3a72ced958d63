//! A cursor over a document that collects every problem instead of stopping at the first.

use super::{Expression, Place};
use crate::yaml::{Entry, Node, Position, Text, Value, one_line};
use serde_json::Value as Json;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// One thing that is wrong with a document.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// At most this many problems of a document are kept; nobody reads more.
const MAX_PROBLEMS: usize = 100;

/// Half of an expression can be lost in a tag, and what is left of it be sound.
const TAGGED: &str = "an unquoted `!` begins a YAML tag, which is no part of the value";

/// Everything that is wrong with a document.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Problem>>,
    count: Cell<usize>,
}

impl Problems {
    pub(super) fn add(&self, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.count.set(self.count.get() + 1);
        if !self.is_full() {
            self.found.borrow_mut().push(Problem { place, message: message.into(), hint });
        }
    }

    /// How many there are so far: what is read without adding to it is sound.
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// Whether further ones are only counted.
    fn is_full(&self) -> bool {
        self.found.borrow().len() >= MAX_PROBLEMS
    }

    /// All of them in the order of the text. Of a value behind a tag nothing else is said: it is not what was meant.
    pub(super) fn sorted(self) -> Vec<Problem> {
        let mut problems = self.found.into_inner();
        let tagged: BTreeSet<Position> =
            problems.iter().filter(|it| it.message == TAGGED).map(|it| it.place.position).collect();
        problems.retain(|it| it.message == TAGGED || !tagged.contains(&it.place.position));
        problems.sort_by_key(|problem| problem.place.position);
        problems.dedup_by(|next, first| next.message == TAGGED && next.place == first.place);
        problems
    }
}

/// A value at its path.
#[derive(Clone)]
pub(super) struct Field<'a> {
    node: &'a Node,
    path: String,
    problems: &'a Problems,
}

impl<'a> Field<'a> {
    /// The whole document; its path is empty.
    pub(super) fn root(node: &'a Node, problems: &'a Problems) -> Self {
        Self { node, path: String::new(), problems }
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    pub(super) fn place(&self) -> Place {
        Place { field: self.path.clone(), position: self.node.at }
    }

    pub(super) fn refuse(&self, message: impl Into<String>) {
        self.problems.add(self.place(), message, None);
    }

    pub(super) fn refuse_with_hint(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.add(self.place(), message, Some(hint.into()));
    }

    pub(super) fn refuse_hinted(&self, message: impl Into<String>, hint: Option<String>) {
        self.problems.add(self.place(), message, hint);
    }

    /// Reports a rule about names that does not hold.
    pub(super) fn require(&self, rule: Result<(), &'static str>) {
        if let Err(message) = rule {
            self.refuse(message);
        }
    }

    pub(super) fn text(&self) -> Option<&'a Text> {
        match &self.node.value {
            Value::String(text) => Some(text),
            other => {
                let hint = matches!(other, Value::Bool(_) | Value::Number(_)).then(|| "quote it".to_owned());
                self.problems.add(self.place(), format!("must be a string, found {}", what(other)), hint);
                None
            }
        }
    }

    /// A string that holds something.
    pub(super) fn string(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.text.trim().is_empty() {
            self.refuse("must not be empty");
            return None;
        }
        Some(&text.text)
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        match &self.node.value {
            Value::Sequence(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| self.child(node, format!("{}[{index}]", self.path)))
                    .collect(),
            ),
            other => {
                self.refuse(format!("must be a list, found {}", what(other)));
                None
            }
        }
    }

    /// The elements of a list that holds at least one.
    pub(super) fn filled_list(&self) -> Option<Vec<Self>> {
        let items = self.list()?;
        if items.is_empty() {
            self.refuse("must not be empty");
        }
        Some(items)
    }

    /// The strings of a list that holds at least one, each with its place.
    pub(super) fn strings(&self) -> Vec<(&'a str, Self)> {
        let items = self.filled_list().unwrap_or_default();
        items.into_iter().filter_map(|item| Some((item.string()?, item))).collect()
    }

    pub(super) fn fields(&self) -> Option<Fields<'a>> {
        match &self.node.value {
            Value::Mapping(entries) => {
                Some(Fields { entries, parent: self.clone(), known: RefCell::default() })
            }
            other => {
                self.refuse(format!("must be a mapping, found {}", what(other)));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = &self.text()?.text;
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("must be {}, found `{text}`", alternatives(&names));
            self.problems.add(self.place(), message, near_miss(text, &names));
        }
        found
    }

    /// CEL source that holds something.
    pub(super) fn expression(&self) -> Option<Expression> {
        self.string()?;
        let text = self.text()?;
        Some(Expression { text: text.text.clone(), place: self.place(), at: text.place.clone() })
    }

    /// The value as JSON, whatever it is.
    pub(super) fn json(&self) -> Json {
        let mut waiting = vec![self.clone()];
        while let Some(field) = waiting.pop() {
            match &field.node.value {
                Value::Sequence(_) => waiting.extend(field.list().unwrap_or_default()),
                Value::Mapping(_) => {
                    waiting.extend(field.fields().iter().flat_map(Fields::all).map(|(_, _, field)| field));
                }
                _ => {}
            }
        }
        self.node.to_json()
    }

    fn child(&self, node: &'a Node, path: String) -> Self {
        let child = Self { node, path, problems: self.problems };
        if node.tagged {
            child.refuse_with_hint(TAGGED, "quote the whole value, or write it under `|`");
        }
        child
    }
}

/// The fields of a mapping. What is asked for is known; [`finish`](Self::finish) reports the rest.
pub(super) struct Fields<'a> {
    entries: &'a [Entry],
    parent: Field<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The mapping itself.
    pub(super) fn parent(&self) -> &Field<'a> {
        &self.parent
    }

    /// A field that may be absent; null counts as absent, as in Kubernetes.
    pub(super) fn optional(&self, name: &'static str) -> Option<Field<'a>> {
        self.known.borrow_mut().push(name);
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (entry.value.value != Value::Null).then(|| self.field(entry))
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &'static str) -> Option<Field<'a>> {
        let found = self.optional(name);
        if found.is_none() {
            self.missing(name, "is required");
        }
        found
    }

    /// Reports a field that is absent.
    pub(super) fn missing(&self, name: &str, message: &str) {
        let place = Place { field: self.path_of(name), position: self.parent.node.at };
        self.parent.problems.add(place, message, None);
    }

    /// Lets fields pass that are of no interest here.
    pub(super) fn ignore(&self, names: &[&'static str]) {
        self.known.borrow_mut().extend_from_slice(names);
    }

    /// Every field with its key, for mappings whose keys are free.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, Position, Field<'a>)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), entry.key_at, self.field(entry)))
    }

    /// Reports a problem with an entry of a mapping whose keys are free, under the field of the mapping as Kubernetes
    /// does.
    pub(super) fn refuse_entry(&self, at: Position, message: impl Into<String>) {
        self.parent.problems.add(Place { field: self.parent.path.clone(), position: at }, message, None);
    }

    /// Reports a problem with a key rather than its value.
    pub(super) fn refuse_key(
        &self,
        key: &str,
        at: Position,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let place = Place { field: self.path_of(key), position: at };
        self.parent.problems.add(place, message, hint);
    }

    /// Reports every field that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            if self.parent.problems.is_full() {
                return;
            }
            self.refuse_key(&entry.key, entry.key_at, "unknown field", near_miss(&entry.key, &known));
        }
    }

    fn field(&self, entry: &'a Entry) -> Field<'a> {
        self.parent.child(&entry.value, self.path_of(&entry.key))
    }

    fn path_of(&self, key: &str) -> String {
        child_path(&self.parent.path, key)
    }
}

/// The path of a key below another path.
pub(crate) fn child_path(parent: &str, key: &str) -> String {
    if key.is_empty() || key.contains(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')) {
        one_line(format!("{parent}['{key}']"))
    } else if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// Reports what occurs twice, by name.
pub(super) fn refuse_duplicates<'a>(named: impl IntoIterator<Item = (&'a str, Field<'a>)>) {
    let mut seen = std::collections::HashSet::new();
    for (name, field) in named {
        if !seen.insert(name) {
            field.refuse(format!("`{name}` is given twice"));
        }
    }
}

/// "did you mean `x`?", if one of the names is close.
pub(crate) fn near_miss(text: &str, names: &[&str]) -> Option<String> {
    let lower = text.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let limit = (text.chars().count() / 3).clamp(1, 3);
    if text.len() > 64 {
        return None;
    }
    let (name, _) = names
        .iter()
        .map(|name| (name, distance(name)))
        .filter(|(_, distance)| *distance <= limit)
        .min_by_key(|(_, distance)| *distance)?;
    Some(format!("did you mean `{name}`?"))
}

/// "`a`, `b` or `c`".
pub(super) fn alternatives(names: &[&str]) -> String {
    enumeration(names, "or")
}

/// Names in a row, with a word before the last one.
pub(crate) fn enumeration(names: &[&str], word: &str) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|name| format!("`{name}`")).collect();
            format!("{} {word} `{last}`", rest.join(", "))
        }
    }
}

/// A value's type, with its article.
pub(super) fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}
