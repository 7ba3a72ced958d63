//! Policies from directories of files.

use super::tree::{Problem, Snapshot, Survey, names};
use super::watch::Points;
use crate::manifests::UTF_16;
use portcullis_core::document::{
    Code, ConfigMap, DocumentError, Manifest, ReadDocument, read_documents, read_manifest,
};
use portcullis_core::set::Sources;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

/// Policy files, read again whenever they change.
#[derive(Debug)]
pub struct PolicyFiles {
    roots: Vec<PathBuf>,
    /// Where ConfigMaps without a namespace belong.
    controller_namespace: String,
    /// Whether ValidatingAdmissionPolicies and their bindings count outside ConfigMaps, too.
    plain: bool,
    /// Files in which policies were found, or meant, when they were last readable.
    held: BTreeSet<String>,
    survey: Survey,
    /// What was read last, as a hash.
    content: Option<u64>,
    hasher: RandomState,
}

impl PolicyFiles {
    /// Directories to read, or files; nothing is read yet.
    pub fn new(roots: Vec<PathBuf>, controller_namespace: &str) -> Self {
        Self {
            roots,
            controller_namespace: controller_namespace.to_owned(),
            plain: false,
            held: BTreeSet::new(),
            survey: Survey::default(),
            content: None,
            hasher: RandomState::new(),
        }
    }

    /// Takes ValidatingAdmissionPolicies and their bindings as they are, too, for whoever tells what would be admitted.
    /// For a webhook they are none of its own: it would say once more what the API server says.
    #[must_use]
    pub fn with_those_of_kubernetes(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Where changes would show.
    pub fn points(&self) -> &Points {
        self.survey.points()
    }

    /// Whether the files are no longer those that were read, as far as their metadata tell.
    pub fn look_changed(&self) -> bool {
        Survey::take(&self.roots) != self.survey
    }

    /// Reads everything. `None` if it says what it said before.
    ///
    /// What cannot be read, and what is empty though it held policies (a file that is just being rewritten),
    /// becomes a failure: the policies it held keep their version in force.
    ///
    /// # Errors
    /// At the first time only: no root can be read at all.
    pub fn read(&mut self) -> Result<Option<Sources>, Problem> {
        let snapshot = Snapshot::take(&self.roots);
        if self.content.is_none() && snapshot.is_unreadable(&self.roots) {
            let first = snapshot.problems.into_iter().next();
            let none = || Problem { path: String::new(), directory: true, message: "not given".to_owned() };
            return Err(first.unwrap_or_else(none));
        }
        if self.content.is_some() && !snapshot.settled {
            // Half an old and half a new set would be neither; what was read before stays until it settles.
            self.survey.forget();
            return Ok(None);
        }
        let content = (&snapshot.texts, &snapshot.modules, content_of(&snapshot.problems));
        let content = self.hasher.hash_one(content);
        let unchanged = self.content.replace(content) == Some(content);
        let sources = if unchanged { None } else { Some(self.sources(&snapshot)) };
        self.survey = snapshot.survey;
        Ok(sources)
    }

    fn sources(&mut self, snapshot: &Snapshot) -> Sources {
        let controller_namespace = self.controller_namespace.clone();
        let mut sources = Sources { controller_namespace, ..Sources::default() };
        let mut held = BTreeSet::new();
        for (name, text) in &snapshot.texts {
            if text.trim().is_empty() {
                if self.held.contains(name) {
                    sources.failures.push(emptied(name));
                    held.insert(name.clone());
                }
                continue;
            }
            let mut manifest = if self.plain {
                let (manifest, plain) = read_documents(Some(name), text, &self.controller_namespace);
                sources.plain.extend(plain.into_iter().filter(ReadDocument::is_of_kubernetes));
                manifest
            } else {
                read_manifest(Some(name), text, &self.controller_namespace)
            };
            if !manifest.config_maps.is_empty() || !manifest.failures.is_empty() {
                held.insert(name.clone());
            }
            add_modules(&mut manifest, snapshot, name);
            sources.config_maps.extend(manifest.config_maps);
            sources.failures.extend(manifest.failures);
        }
        for problem in &snapshot.problems {
            let covered: Vec<&String> = self.held.iter().filter(|name| problem.covers(name)).collect();
            sources.failures.push(unreadable(&problem.path, problem, !covered.is_empty()));
            for name in covered {
                if *name != problem.path {
                    sources.failures.push(unreadable(name, problem, true));
                }
                held.insert(name.clone());
            }
        }
        self.held = held;
        sources
    }
}

/// Gives the ConfigMaps of a file the modules that lie beside it.
pub(crate) fn add_modules(manifest: &mut Manifest, snapshot: &Snapshot, file: &str) {
    for (key, bytes) in snapshot.modules.get(file).into_iter().flatten() {
        if !manifest.config_maps.iter().any(|it| has_parts(it, key)) {
            manifest.config_maps.iter_mut().for_each(|it| add_module(it, key, bytes));
        }
    }
}

/// Gives a ConfigMap the module that lies beside its file, if one of its policies names it and it has none itself.
fn add_module(config_map: &mut ConfigMap, key: &str, module: &Arc<[u8]>) {
    let is_named = config_map.data.iter().any(|(_, text)| names(&text.text, key));
    if let (true, Err(place)) =
        (is_named, config_map.modules.binary_search_by(|(own, _)| own.as_str().cmp(key)))
    {
        config_map.modules.insert(place, (key.to_owned(), Arc::clone(module)));
    }
}

/// Whether a ConfigMap holds a part of a module: what `portcullis wrap` wrote is whole without what lies beside it.
fn has_parts(config_map: &ConfigMap, key: &str) -> bool {
    let part = |own: &str| Some(own.strip_prefix(key)?.strip_prefix('.')?.contains("-of-"));
    config_map.modules.iter().any(|(own, _)| part(own) == Some(true))
}

fn content_of(problems: &[Problem]) -> Vec<(&str, &str)> {
    problems.iter().map(|problem| (problem.path.as_str(), problem.message.as_str())).collect()
}

fn emptied(file: &str) -> DocumentError {
    DocumentError::of_file(file, "the file is empty, though it held policies before")
        .with_hint("they stay in force; remove the file to remove them")
}

fn unreadable(file: &str, problem: &Problem, held: bool) -> DocumentError {
    let message = format!("`{}` cannot be read: {}", problem.path, problem.message);
    let hint = if held {
        Some("policies that were read from it before stay in force".to_owned())
    } else {
        (problem.message == UTF_16).then(|| "save it as UTF-8".to_owned())
    };
    DocumentError { hint, ..DocumentError::of_file(file, message).with_code(Code::Unreadable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const POLICY: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: any, labels: {portcullis.dev/policy: 'true'}}
data: {policy.yaml: 'kind: Policy'}
";

    fn files(root: &Path) -> PolicyFiles {
        PolicyFiles::new(vec![root.to_owned()], "portcullis")
    }

    fn failures(sources: &Sources) -> Vec<(&str, &str)> {
        fn name(failure: &DocumentError) -> &str {
            failure.origin.file.as_deref().unwrap().rsplit('/').next().unwrap()
        }
        sources.failures.iter().map(|failure| (name(failure), failure.message.as_str())).collect()
    }

    #[test]
    fn what_says_the_same_is_not_read_twice() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        fs::write(&file, POLICY).unwrap();
        let mut files = files(directory.path());
        let sources = files.read().unwrap().unwrap();
        assert_eq!((sources.config_maps.len(), sources.failures.len()), (1, 0));
        assert_eq!(sources.config_maps[0].namespace, "portcullis");
        fs::write(&file, POLICY).unwrap();
        assert!(files.look_changed());
        assert!(files.read().unwrap().is_none());
        assert!(!files.look_changed());
    }

    #[test]
    fn those_of_kubernetes_are_taken_as_they_are_by_tools_only() {
        let directory = tempfile::tempdir().unwrap();
        let plain = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n";
        fs::write(directory.path().join("a.yaml"), plain).unwrap();
        fs::write(directory.path().join("b.yaml"), "apiVersion: portcullis.dev/v1\nkind: Policy\n").unwrap();
        let count = |mut files: PolicyFiles| {
            let sources = files.read().unwrap().unwrap();
            (sources.plain.len(), sources.failures.len())
        };
        assert_eq!(count(files(directory.path())), (0, 2));
        assert_eq!(count(files(directory.path()).with_those_of_kubernetes()), (1, 1));
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        let mut files = files(directory.path());
        let mut hint = |text: &[u8]| {
            fs::write(&file, text).unwrap();
            let sources = files.read().unwrap().unwrap();
            sources.failures.into_iter().find_map(|failure| failure.hint)
        };
        assert_eq!(hint(b"a: \xff"), None);
        assert_eq!(hint(b"\xff\xfea"), Some("save it as UTF-8".to_owned()));
        assert_eq!(hint(POLICY.as_bytes()), None);
        assert_eq!(hint(b"a: \xff"), Some("policies that were read from it before stay in force".to_owned()));
    }

    #[test]
    fn a_module_beside_a_policy_is_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let of = |data: &str, more: &str| POLICY.replace("kind: Policy", data) + more;
        write("a.yaml", &of("module: m.wasm", "binaryData: {m.wasm: aGk=}\n"));
        write("b.yaml", &of("module: m.wasm", "binaryData: {z.wasm: aGk=}\n"));
        write("c.yaml", &of("module: other", ""));
        write("m.wasm", "one");
        let mut files = files(directory.path());
        let modules = |sources: &Sources| {
            let text =
                |(key, bytes): &(String, Arc<[u8]>)| format!("{key}={}", String::from_utf8_lossy(bytes));
            let of_map = |it: &ConfigMap| it.modules.iter().map(text).collect::<Vec<_>>().join(" ");
            sources.config_maps.iter().map(of_map).collect::<Vec<_>>()
        };
        assert_eq!(modules(&files.read().unwrap().unwrap()), ["m.wasm=hi", "m.wasm=one z.wasm=hi", ""]);
        write("m.wasm", "another");
        assert!(files.look_changed());
        assert_eq!(modules(&files.read().unwrap().unwrap()), ["m.wasm=hi", "m.wasm=another z.wasm=hi", ""]);
        // What was wrapped in parts is whole without it.
        let part = of("module: m.wasm", "binaryData: {m.wasm.1-of-2: aGk=}\n");
        write("a.yaml", &(part + "---\n" + &of("module: m.wasm", "binaryData: {m.wasm.2-of-2: aGk=}\n")));
        let found = modules(&files.read().unwrap().unwrap());
        assert_eq!(found, ["m.wasm.1-of-2=hi", "m.wasm.2-of-2=hi", "m.wasm=another z.wasm=hi", ""]);
    }

    #[test]
    fn a_file_that_is_emptied_is_a_failure_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("a.yaml"), directory.path().join("b.yaml"));
        fs::write(&file, POLICY).unwrap();
        fs::write(&other, "").unwrap();
        let mut files = files(directory.path());
        assert_eq!(failures(&files.read().unwrap().unwrap()), []);
        let emptied = [("a.yaml", "the file is empty, though it held policies before")];
        for text in ["", " \n\n"] {
            fs::write(&file, text).unwrap();
            assert_eq!(failures(&files.read().unwrap().unwrap()), emptied);
        }
        fs::write(&file, "# nothing any more, and meant so").unwrap();
        assert_eq!(failures(&files.read().unwrap().unwrap()), []);
        fs::write(&file, POLICY).unwrap();
        assert_eq!(files.read().unwrap().unwrap().config_maps.len(), 1);
        fs::remove_file(&file).unwrap();
        let sources = files.read().unwrap().unwrap();
        assert_eq!((sources.config_maps.len(), sources.failures.len()), (0, 0));
    }

    #[test]
    fn a_directory_that_goes_away_is_a_failure_of_each_of_its_files() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("policies");
        let mut files = files(&root);
        assert_eq!(files.read().unwrap_err().message, "no such file or directory");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a.yaml"), POLICY).unwrap();
        files.read().unwrap().unwrap();
        for _ in 0..2 {
            fs::rename(&root, directory.path().join("elsewhere")).unwrap();
            let sources = files.read().unwrap().unwrap();
            let names: Vec<_> = failures(&sources).into_iter().map(|(file, _)| file).collect();
            assert_eq!(names, ["policies", "a.yaml"]);
            fs::rename(directory.path().join("elsewhere"), &root).unwrap();
            assert_eq!(files.read().unwrap().unwrap().config_maps.len(), 1);
        }
    }
}
