//! What expressions are evaluated over: the variables of `tests/oracle/bindings.json`, and real objects.

use crate::celgo::{Question, Scope};
use crate::workspace::{files, root};
use anyhow::{Context, Result};
use portcullis_cel::Tree;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The object of expressions that do not choose one, among the documents.
const OBJECT: &str = "tests/reviews/pod-7kb.json";

/// Documents and the variables that expressions can name.
#[derive(Debug)]
pub(crate) struct Fixture {
    /// By name: a variable's, or the path of the file an object is from.
    pub(crate) documents: BTreeMap<String, Json>,
    /// The same for our engine.
    pub(crate) trees: BTreeMap<String, Tree>,
    /// The names of the documents that are objects of Kubernetes.
    pub(crate) objects: Vec<Arc<str>>,
    scope: Arc<Scope>,
}

impl Fixture {
    /// Reads the variables, and the objects of the reviews and of the policies' samples.
    ///
    /// # Errors
    /// A file cannot be read or understood.
    pub(crate) fn read() -> Result<Self> {
        let bindings = read_json(&root()?.join("tests/oracle/bindings.json"))?;
        let section = |name: &str| bindings[name].as_object().cloned().unwrap_or_default();
        let mut documents: BTreeMap<String, Json> = section("documents").into_iter().collect();
        let scope = Scope {
            declarations: section("declarations"),
            objects: section("objects"),
            documents: documents.keys().cloned().collect(),
            values: section("values"),
        };
        let found = objects()?;
        let objects = found.keys().map(|name| Arc::from(name.as_str())).collect();
        documents.extend(found);
        let trees = documents.iter().map(|(name, json)| (name.clone(), Tree::from(json))).collect();
        Ok(Self { documents, trees, objects, scope: Arc::new(scope) })
    }

    /// A question over the variables, with `object` bound to a document.
    pub(crate) fn question(&self, expression: &str, object: Option<&Arc<str>>) -> Question {
        Question {
            expression: expression.to_owned(),
            scope: self.scope.clone(),
            object: Some(object.cloned().unwrap_or_else(|| OBJECT.into())),
            container: String::new(),
            mixed: false,
            unchecked: false,
            kubernetes: None,
        }
    }

    /// The expressions of `tests/oracle/expressions`, one a line.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn listed(&self) -> Result<Vec<Question>> {
        let mut questions = Vec::new();
        for path in files(&root()?.join("tests/oracle/expressions"))? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
            questions.extend(lines.map(|line| self.question(line, None)));
        }
        Ok(questions)
    }

    /// The variables of a JSON type that expressions can name, as documents.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &Map<String, Json>)> {
        let names = self.scope.documents.iter();
        names.filter_map(|name| Some((name.as_str(), self.documents.get(name)?.as_object()?)))
    }
}

/// The objects in reviews and samples, by the paths of their files.
fn objects() -> Result<BTreeMap<String, Json>> {
    let mut found = BTreeMap::new();
    for path in files(&root()?.join("tests/reviews"))? {
        // Some are malformed on purpose.
        let Ok(review) = read_json(&path) else { continue };
        let object = &review["request"]["object"];
        if object.is_object() {
            found.insert(name(&path)?, object.clone());
        }
    }
    for path in files(&root()?.join("policies"))? {
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        for (index, node) in portcullis_core::yaml::read(&text).into_iter().enumerate() {
            let Ok(node) = node else { continue };
            found.insert(format!("{}#{index}", name(&path)?), node.to_json());
        }
    }
    Ok(found)
}

fn name(path: &Path) -> Result<String> {
    Ok(path.strip_prefix(root()?).unwrap_or(path).to_string_lossy().into_owned())
}

fn read_json(path: &Path) -> Result<Json> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is malformed", path.display()))
}
