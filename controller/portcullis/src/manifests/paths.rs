//! Which files a path stands for.

use super::reason;
use crate::report::model::Problem;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The path that means standard input.
pub const STDIN: &str = "-";

/// How deep directories may nest.
const MAX_DEPTH: usize = 64;

/// Whether a file in a directory is taken for a manifest, by its extension.
fn is_manifest_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

/// What of directories is left out.
#[derive(Debug, Default)]
pub struct Exclusions {
    /// Of what a file or directory is named.
    names: GlobSet,
    /// Of where it is below the directory that was given.
    places: GlobSet,
}

impl Exclusions {
    /// From patterns as in .gitignore: one without `/` is of names at any depth, another of paths.
    ///
    /// # Errors
    /// The first pattern that is malformed, and what is wrong with it.
    pub fn new(patterns: &[String]) -> Result<Self, (String, String)> {
        let (mut names, mut places) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let wrong = |pattern: &String, error: globset::Error| (pattern.clone(), error.kind().to_string());
        for pattern in patterns {
            let text = pattern.trim_end_matches('/').trim_start_matches("./");
            let place = text.contains('/');
            let text = text.strip_prefix('/').unwrap_or(text);
            let glob = GlobBuilder::new(text).literal_separator(true).build();
            let set = if place { &mut places } else { &mut names };
            set.add(glob.map_err(|error| wrong(pattern, error))?);
        }
        let built =
            |set: GlobSetBuilder| set.build().map_err(|error| (patterns.join(" "), error.kind().to_string()));
        Ok(Self { names: built(names)?, places: built(places)? })
    }

    /// As [`files_under`], without what is excluded. A file that is given itself is not.
    pub fn files_under(&self, path: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let mut walk =
            Walk { root: path, exclusions: self, files: Vec::new(), seen: BTreeSet::new(), problems };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk.directory(path, MAX_DEPTH),
            Ok(_) => walk.files.push(path.to_owned()),
            Err(error) => walk.refuse(path, &error),
        }
        walk.files
    }

    fn holds(&self, root: &Path, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.is_match(name))
            || path.strip_prefix(root).is_ok_and(|place| self.places.is_match(place))
    }
}

/// The files that a path stands for, sorted: itself if it is a file, whatever its name; what a directory
/// holds, without hidden entries (`.git`, and the `..data` of a mounted ConfigMap). Symbolic links are
/// followed, a directory at most once.
pub fn files_under(path: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    Exclusions::default().files_under(path, problems)
}

struct Walk<'a> {
    root: &'a Path,
    exclusions: &'a Exclusions,
    files: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, depth: usize) {
        let entries = match self.entries(directory) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(directory, &error),
        };
        if depth == 0 {
            return self.problems.push(Problem::new(format!(
                "`{}` is nested too deep (more than {MAX_DEPTH} levels)",
                directory.display()
            )));
        }
        for path in entries {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.directory(&path, depth - 1),
                Ok(metadata) if metadata.is_file() && is_manifest_file(&path) => self.files.push(path),
                Ok(_) => {}
                // A dangling link beside the manifests is nobody's manifest unless it is named like one.
                Err(error) if is_manifest_file(&path) => self.refuse(&path, &error),
                Err(_) => {}
            }
        }
    }

    /// What a directory shows, sorted; nothing if it was seen before.
    fn entries(&mut self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.seen.insert(directory.canonicalize()?) {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            if !entry.file_name().as_encoded_bytes().starts_with(b".")
                && !self.exclusions.holds(self.root, &path)
            {
                entries.push(path);
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn refuse(&mut self, path: &Path, error: &io::Error) {
        self.problems.push(Problem::new(format!("cannot read `{}`: {}", path.display(), reason(error))));
    }
}

#[cfg(test)]
mod tests {
    use super::{Exclusions, files_under};
    use std::fs;

    #[test]
    fn directories_are_walked_once_in_order() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for directory in ["b", ".git"] {
            fs::create_dir(path(directory)).unwrap();
        }
        for file in ["b/z.yml", "b/a.json", "c.yaml", "README.md", ".git/config.yaml", ".hidden.yaml"] {
            fs::write(path(file), "").unwrap();
        }
        std::os::unix::fs::symlink(root.path(), path("b/loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("b/dangling.yaml")).unwrap();

        let mut problems = Vec::new();
        let files = files_under(root.path(), &mut problems);
        let names: Vec<_> =
            files.iter().map(|file| file.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["b/a.json", "b/z.yml", "c.yaml"]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].message.contains("dangling.yaml"), "{problems:?}");

        assert_eq!(files_under(&path("README.md"), &mut problems), [path("README.md")]);
    }

    #[test]
    fn what_is_excluded_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["a.yaml", "values.yaml", "chart/values.yaml", "chart/templates/pod.yaml", "chart/x/pod.yaml"]
        {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let check = |patterns: &[&str], expected: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            let mut problems = Vec::new();
            let files = Exclusions::new(&patterns).unwrap().files_under(root.path(), &mut problems);
            let names: Vec<_> =
                files.iter().map(|file| file.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
            assert_eq!((names.as_slice(), problems.len()), (expected, 0), "{patterns:?}");
        };
        check(&["values.yaml", "templates"], &["a.yaml", "chart/x/pod.yaml"]);
        check(&["/values.yaml", "chart/*"], &["a.yaml"]);
        check(&["chart/*.yaml", "templates/"], &["a.yaml", "chart/x/pod.yaml", "values.yaml"]);
        check(&["**/pod.yaml"], &["a.yaml", "chart/values.yaml", "values.yaml"]);
        check(&["./chart/{templates,x}", "[av]*.yaml"], &[]);
        let (pattern, _) = Exclusions::new(&["a[".to_owned()]).unwrap_err();
        assert_eq!(pattern, "a[");
        let given = root.path().join("values.yaml");
        let exclusions = Exclusions::new(&["values.yaml".to_owned()]).unwrap();
        assert_eq!(exclusions.files_under(&given, &mut Vec::new()), [given]);
    }
}
