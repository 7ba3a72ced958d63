//! The types of built-in kinds, by version of Kubernetes: read from a table that the caller brings, since this crate
//! knows nothing of files and the table is needed by those alone who check policies before they are applied.

use crate::request::GroupVersionKind;
use portcullis_cel::{KubernetesVersion, ObjectType, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// How the types of fields are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exactness {
    /// As apiserver's type checking takes them.
    Kubernetes,
    /// As expressions see them: whatever JSON holds, which may be null.
    Json,
}

/// The fields of one version's built-in kinds.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    /// The names of the types of kinds.
    kinds: HashMap<GroupVersionKind, String>,
    /// Fields and their types as written, by the name of the type.
    types: HashMap<String, Vec<(String, String)>>,
}

/// Objects nest no deeper than this.
const MAX_DEPTH: usize = 32;

impl Schemas {
    /// Reads one version's part of the table that `cargo xtask schemas` makes; `None` if the table does not know that
    /// version.
    ///
    /// # Errors
    /// A line that is none of such a table.
    pub fn read(table: &str, version: KubernetesVersion) -> Result<Option<Self>, String> {
        let mut schemas = Self::default();
        let mut known = false;
        let mut current = None;
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match *words.as_slice() {
                ["versions", first, last] if !line.starts_with(' ') => {
                    known = (minor(first)?..=minor(last)?).contains(&version.minor());
                }
                ["type", name] if !line.starts_with(' ') => current = Some(name),
                ["kind", group_version, kind, name, ref ranges @ ..] if !line.starts_with(' ') => {
                    if contain(ranges, version)? {
                        let kind = GroupVersionKind::from_api_version(group_version, kind);
                        schemas.kinds.insert(kind, name.to_owned());
                    }
                }
                [field, kind, ref ranges @ ..] if line.starts_with(' ') => {
                    let current = current.ok_or_else(|| format!("a field without a type: `{line}`"))?;
                    if contain(ranges, version)? {
                        let fields = schemas.types.entry(current.to_owned()).or_default();
                        fields.push((field.to_owned(), kind.to_owned()));
                    }
                }
                _ => return Err(format!("cannot be read: `{line}`")),
            }
        }
        Ok(known.then_some(schemas))
    }

    /// Whether a kind is known.
    pub(crate) fn has(&self, kind: &GroupVersionKind) -> bool {
        self.kinds.contains_key(kind)
    }

    /// The type of a kind's objects.
    pub(crate) fn kind(&self, kind: &GroupVersionKind, exactness: Exactness) -> Option<Type> {
        Some(self.named(self.kinds.get(kind)?, exactness))
    }

    /// A type by its name in the table; `dyn` if it is not there.
    pub(crate) fn named(&self, name: &str, exactness: Exactness) -> Type {
        Making { schemas: self, exactness, made: HashMap::new(), depth: 0 }.written(name)
    }

    /// The fields of a type by its name in the table.
    pub(crate) fn fields(&self, name: &str, exactness: Exactness) -> Vec<(String, Type)> {
        let mut making = Making { schemas: self, exactness, made: HashMap::new(), depth: 0 };
        let fields = self.types.get(name).into_iter().flatten();
        fields.map(|(field, kind)| (field.clone(), making.written(kind))).collect()
    }
}

/// Types in the making: those that many others hold are made once.
struct Making<'s> {
    schemas: &'s Schemas,
    exactness: Exactness,
    /// `None` while it is being made: what holds itself cannot be followed to its end.
    made: HashMap<String, Option<Arc<ObjectType>>>,
    depth: usize,
}

impl Making<'_> {
    /// A type as the table writes it.
    fn written(&mut self, text: &str) -> Type {
        if let Some(element) = text.strip_prefix('[') {
            return Type::list(self.written(element));
        }
        if let Some(value) = text.strip_prefix('{') {
            return Type::map(Type::String, self.written(value));
        }
        let json = self.exactness == Exactness::Json;
        let scalar = |kind: Type| if json { Type::Nullable(Arc::new(kind)) } else { kind };
        match text {
            "string" => scalar(Type::String),
            "int" => scalar(Type::Int),
            "bool" => scalar(Type::Bool),
            // Whole numbers are integers in JSON, and times and bytes strings.
            "double" | "timestamp" if json => Type::Dyn,
            "bytes" if json => scalar(Type::String),
            "double" => Type::Double,
            "timestamp" => Type::Timestamp,
            "bytes" => Type::Bytes,
            name => self.object(name),
        }
    }

    fn object(&mut self, name: &str) -> Type {
        if let Some(made) = self.made.get(name) {
            return made.clone().map_or(Type::Dyn, Type::Object);
        }
        let Some(fields) = self.schemas.types.get(name).filter(|_| self.depth < MAX_DEPTH) else {
            return Type::Dyn;
        };
        self.made.insert(name.to_owned(), None);
        self.depth += 1;
        let fields: Vec<(&str, Type)> =
            fields.iter().map(|(field, kind)| (field.as_str(), self.written(kind))).collect();
        self.depth -= 1;
        let object = ObjectType::new(name, fields);
        self.made.insert(name.to_owned(), Some(Arc::clone(&object)));
        Type::Object(object)
    }
}

fn minor(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| format!("no version: `{text}`"))
}

/// Whether a version is in one of the ranges, or there are none.
fn contain(ranges: &[&str], version: KubernetesVersion) -> Result<bool, String> {
    let mut contained = ranges.is_empty();
    for range in ranges {
        let (first, last) = range.split_once('-').ok_or_else(|| format!("no range: `{range}`"))?;
        contained |= (minor(first)?..=minor(last)?).contains(&version.minor());
    }
    Ok(contained)
}

#[cfg(test)]
mod tests {
    use super::{Exactness, Schemas};
    use crate::request::GroupVersionKind;

    const TABLE: &str = "# made\nversions 32 34\nkind v1 Pod a.Pod\nkind apps/v1 New a.New 33-34\ntype a.Pod\n \
                         kind string\n type dyn 32-32 34-34\n spec a.Spec\ntype a.New\n old int -\n";

    fn read(table: &str, version: &str) -> Result<Option<Schemas>, String> {
        Schemas::read(table, version.parse().unwrap())
    }

    #[test]
    fn a_version_has_what_its_ranges_say() {
        let table = TABLE.replace(" old int -\n", "");
        let fields = |version: &str| {
            let schemas = read(&table, version).unwrap().unwrap();
            let fields = schemas.fields("a.Pod", Exactness::Kubernetes);
            let new = schemas.has(&GroupVersionKind::from_api_version("apps/v1", "New"));
            (fields.into_iter().map(|(name, kind)| format!("{name}: {kind}")).collect::<Vec<_>>(), new)
        };
        let all = ["kind: string", "type: dyn", "spec: dyn"].map(str::to_owned);
        assert_eq!(fields("1.32"), (all.to_vec(), false));
        assert_eq!(fields("1.33"), (vec![all[0].clone(), all[2].clone()], true));
        assert_eq!(fields("v1.34.1"), (all.to_vec(), true));
        assert!(read(&table, "1.31").unwrap().is_none());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for (table, expected) in [
            (TABLE, "no version: ``"),
            ("versions a b", "no version: `a`"),
            (" field string", "a field without a type: ` field string`"),
            ("what is this", "cannot be read: `what is this`"),
        ] {
            assert_eq!(read(table, "1.33").map(drop), Err(expected.to_owned()), "{table}");
        }
    }

    #[test]
    fn what_holds_itself_ends_somewhere() {
        let table =
            "versions 32 34\ntype a.Node\n children [a.Node\n name string\n labels {bytes\n at timestamp\n";
        let schemas = read(table, "1.33").unwrap().unwrap();
        let shown = |exactness| {
            let fields = schemas.fields("a.Node", exactness).into_iter();
            fields.map(|(_, kind)| kind.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Exactness::Kubernetes),
            ["list(a.Node)", "string", "map(string, bytes)", "timestamp"]
        );
        assert_eq!(
            shown(Exactness::Json),
            ["list(a.Node)", "wrapper(string)", "map(string, wrapper(string))", "dyn"]
        );
    }
}
