//! Reading directories as one consistent snapshot, however they are replaced meanwhile.
//!
//! A survey resolves every symlink once and lists what it leads to; contents are then read from the resolved
//! paths, and a second survey must find the same. Kubernetes' volumes (`..data`) and directories swapped by
//! `ln -sfn` or `mv -T` are therefore seen as they were before or after, never as a mixture.

use super::watch::Points;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A file larger than this is refused: etcd holds no object above 1.5 MiB.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// A module larger than this is refused, as it would be in ConfigMaps.
const MAX_MODULE_BYTES: u64 = 16 << 20;
/// More files than this in all directories together are not read.
pub const MAX_FILES: usize = 10_000;
/// Directories nested deeper than this are not entered.
const MAX_LEVELS: usize = 16;
/// More symlinks than this on the way to one path are taken for a cycle, as Linux does.
const MAX_LINKS: usize = 40;
/// So often a tree that changes while it is read is read again before that is left to another time.
const MAX_ATTEMPTS: u32 = 20;

/// What a survey of some directories found, sorted by name. Two equal surveys mean that nothing changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Survey {
    files: Vec<Found>,
    /// Modules (`*.wasm`) that lie beside them.
    modules: Vec<Found>,
    problems: Vec<Problem>,
    points: Points,
    /// Directories listed so far, as they really are. Each is read once, whichever way leads to it: links to
    /// a directory above would multiply every file, and the work.
    listed: BTreeSet<PathBuf>,
    /// Whether there are more files than are read.
    full: bool,
}

/// A file that a survey found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    name: String,
    path: PathBuf,
    stamp: Stamp,
}

/// What changes with a file's content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file, or a directory with everything below it, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path, as the user named it.
    pub path: String,
    /// Whether it stands for everything below the path.
    pub directory: bool,
    /// What is wrong: one line, lower case.
    pub message: String,
}

/// The files of some directories at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Each file's name, as the user named its directory, with its text; sorted by name.
    pub texts: Vec<(String, String)>,
    /// Each module (`*.wasm`) that lies beside a file and is named in it, with its content; sorted by name.
    pub modules: Vec<(String, Arc<[u8]>)>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What was found, to be compared with a later survey.
    pub survey: Survey,
    /// Whether nothing changed while it was read. If not, files may not belong together.
    pub settled: bool,
}

impl Survey {
    /// Lists the manifests (`*.yaml`, `*.yml`, `*.json`) under directories, and files named themselves.
    pub fn take(roots: &[PathBuf]) -> Self {
        let mut survey = Self::default();
        for root in roots {
            survey.enter(root, &root.to_string_lossy(), 0);
        }
        survey.files.sort();
        survey.files.dedup_by(|a, b| a.name == b.name);
        survey.find_modules();
        survey.problems.sort();
        survey
    }

    /// Lists the modules beside the files that were found.
    fn find_modules(&mut self) {
        let beside = |file: &Found| Some((directory(&file.name).to_owned(), file.path.parent()?.to_owned()));
        let directories: BTreeSet<(String, PathBuf)> = self.files.iter().filter_map(beside).collect();
        for (name, path) in directories {
            // A directory that cannot be listed is a problem already, or holds just what was named itself.
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                let file = entry.file_name();
                let Some(file) = file.to_str().filter(|file| file.ends_with(".wasm")) else { continue };
                let found = resolve(&path.join(file), &mut self.points);
                let Some((metadata, path)) =
                    found.ok().and_then(|path| Some((fs::metadata(&path).ok()?, path)))
                else {
                    continue;
                };
                if metadata.is_file() {
                    let stamp = Stamp::of(&metadata);
                    self.modules.push(Found { name: format!("{name}{file}"), path, stamp });
                }
            }
        }
        self.modules.sort();
    }

    /// Where changes of what was found would show.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// No later survey will be equal to this one, though changes would show where they would before.
    pub(super) fn forget(&mut self) {
        self.problem("", false, "not settled");
    }

    fn enter(&mut self, path: &Path, name: &str, level: usize) {
        let found = resolve(path, &mut self.points).and_then(|real| Ok((fs::metadata(&real)?, real)));
        match found {
            Ok((metadata, real)) if metadata.is_dir() => self.enter_directory(&real, name, level),
            Ok((metadata, real)) if metadata.is_file() => self.add_file(name, real, &metadata),
            Ok(_) => self.problem(name, false, "neither a file nor a directory"),
            Err(error) => self.problem(name, level == 0, &describe(&error)),
        }
    }

    fn enter_directory(&mut self, real: &Path, name: &str, level: usize) {
        if level >= MAX_LEVELS {
            return self.problem(name, true, &format!("nested more than {MAX_LEVELS} directories deep"));
        }
        self.points.everything_in(real);
        // A volume of Kubernetes: what it shows are links into `..data`, which is replaced as a whole.
        let data = real.join("..data");
        if fs::symlink_metadata(&data).is_ok_and(|metadata| metadata.is_symlink()) {
            match resolve(&data, &mut self.points) {
                Ok(target) => return self.list(&target, name, level),
                Err(error) => return self.problem(name, true, &describe(&error)),
            }
        }
        self.list(real, name, level);
    }

    fn list(&mut self, real: &Path, name: &str, level: usize) {
        self.points.everything_in(real);
        if self.full || !self.listed.insert(real.to_owned()) {
            return;
        }
        let names = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
        // Sorted, so that which of two ways to a directory counts is always the same.
        let entries = match fs::read_dir(real).and_then(|entries| entries.map(names).collect()) {
            Ok::<BTreeSet<OsString>, _>(entries) => entries,
            Err(error) => return self.problem(name, true, &describe(&error)),
        };
        for entry_name in entries {
            let Some(text) = entry_name.to_str() else { continue };
            let path = real.join(&entry_name);
            let below = format!("{}/{text}", name.trim_end_matches('/'));
            if text.starts_with('.') {
                continue;
            }
            if is_manifest(Path::new(text)) || path.is_dir() {
                self.enter(&path, &below, level + 1);
            }
        }
    }

    fn add_file(&mut self, name: &str, path: PathBuf, metadata: &fs::Metadata) {
        if self.full {
            return;
        }
        if self.files.len() >= MAX_FILES {
            self.full = true;
            return self.problem(name, false, &format!("more than {MAX_FILES} files"));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return self.problem(name, false, &format!("larger than {} MiB", MAX_FILE_BYTES >> 20));
        }
        self.points.name_in_parent(&path);
        self.files.push(Found { name: name.to_owned(), path, stamp: Stamp::of(metadata) });
    }

    fn problem(&mut self, name: &str, directory: bool, message: &str) {
        self.problems.push(Problem { path: name.to_owned(), directory, message: message.to_owned() });
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Problem {
    /// Whether it keeps this file from being read.
    pub fn covers(&self, file: &str) -> bool {
        let below = |rest: &str| self.directory && (rest.starts_with('/') || self.path.ends_with('/'));
        file.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || below(rest))
    }
}

impl Snapshot {
    /// Reads everything under the roots, again if something changed meanwhile, but not forever.
    pub fn take(roots: &[PathBuf]) -> Self {
        let mut survey = Survey::take(roots);
        for attempt in 1.. {
            let (texts, mut problems) = read(&survey);
            let modules = read_modules(&survey, &texts, &mut problems);
            let after = Survey::take(roots);
            let settled = survey == after;
            if settled || attempt == MAX_ATTEMPTS {
                return Self { texts, modules, problems, survey, settled };
            }
            survey = after;
            std::thread::sleep(Duration::from_millis(2));
        }
        Self::default()
    }

    /// Whether not one of the roots could be read: then there is nothing to start from.
    pub fn is_unreadable(&self, roots: &[PathBuf]) -> bool {
        roots.iter().all(|root| {
            let name = root.to_string_lossy();
            self.problems.iter().any(|problem| problem.directory && problem.path == name)
        })
    }
}

fn read(survey: &Survey) -> (Vec<(String, String)>, Vec<Problem>) {
    let mut texts = Vec::with_capacity(survey.files.len());
    let mut problems = survey.problems.clone();
    for file in &survey.files {
        match read_text(&file.path) {
            Ok(text) => texts.push((file.name.clone(), text)),
            Err(message) => {
                problems.push(Problem { path: file.name.clone(), directory: false, message });
            }
        }
    }
    (texts, problems)
}

/// Reads the modules that a text beside them names.
fn read_modules(
    survey: &Survey,
    texts: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> Vec<(String, Arc<[u8]>)> {
    let mut modules = Vec::new();
    for module in &survey.modules {
        let beside = texts.iter().filter(|(name, _)| directory(name) == directory(&module.name));
        let file = module.name.strip_prefix(directory(&module.name)).unwrap_or(&module.name);
        if beside.into_iter().any(|(_, text)| text.contains(file)) {
            match read_bytes(&module.path, MAX_MODULE_BYTES) {
                Ok(bytes) => modules.push((module.name.clone(), bytes.into())),
                Err(message) => {
                    problems.push(Problem { path: module.name.clone(), directory: false, message });
                }
            }
        }
    }
    modules
}

fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path, MAX_FILE_BYTES)?).map_err(|_| "not UTF-8".to_owned())
}

fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| describe(&error))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| describe(&error))?;
    if bytes.len() as u64 > limit {
        return Err(format!("larger than {} MiB", limit >> 20));
    }
    Ok(bytes)
}

/// The directory in a file's name, with its slash; empty if there is none.
pub(super) fn directory(name: &str) -> &str {
    name.rfind('/').and_then(|slash| name.get(..=slash)).unwrap_or_default()
}

/// Follows every symlink of a path to what it means now, and notes where a change of meaning would show.
fn resolve(path: &Path, points: &mut Points) -> io::Result<PathBuf> {
    let mut real = if path.is_absolute() { PathBuf::new() } else { std::env::current_dir()? };
    let mut pending: VecDeque<PathBuf> = path.components().map(|part| part.as_os_str().into()).collect();
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        match part.components().next() {
            Some(Component::Normal(name)) => match step(&real, name, points)? {
                None => real.push(name),
                Some(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::other("too many symlinks, or a cycle of them"));
                    }
                    for part in target.components().rev() {
                        pending.push_front(part.as_os_str().into());
                    }
                }
            },
            Some(Component::ParentDir) => {
                real.pop();
            }
            Some(Component::CurDir) | None => {}
            Some(root @ (Component::RootDir | Component::Prefix(_))) => real = root.as_os_str().into(),
        }
    }
    points.name_in_parent(&real);
    Ok(real)
}

/// One component of a path: the target of a symlink, or `None` for anything else.
fn step(directory: &Path, name: &OsStr, points: &mut Points) -> io::Result<Option<PathBuf>> {
    let path = directory.join(name);
    let metadata = fs::symlink_metadata(&path).inspect_err(|_| points.name_in_parent(&path))?;
    if !metadata.is_symlink() {
        return Ok(None);
    }
    points.name_in_parent(&path);
    fs::read_link(&path).map(Some)
}

/// Whether kubectl would read a file of this name from a directory.
pub fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|end| matches!(end, "yaml" | "yml" | "json"))
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The names under `root`, without its own, with their texts.
    fn contents(root: &Path) -> Vec<(String, String)> {
        let prefix = format!("{}/", root.display());
        let snapshot = Snapshot::take(&[root.to_owned()]);
        assert_eq!(snapshot.problems, [], "no problems");
        snapshot.texts.into_iter().map(|(name, text)| (name.replace(&prefix, ""), text)).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn reads_manifests_recursively_and_sorted_without_hidden_ones() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["b.yaml", "a/x.yml", "a/.hidden/y.yaml", ".z.yaml", "notes.txt", "c.json"] {
            write(&root.join(name), name);
        }
        let expect = pairs(&[("a/x.yml", "a/x.yml"), ("b.yaml", "b.yaml"), ("c.json", "c.json")]);
        assert_eq!(contents(root), expect);
    }

    #[test]
    fn a_module_is_read_if_a_file_beside_it_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (name, text) in [
            ("a/policy.yaml", "module: a.wasm"),
            ("a/a.wasm", "one"),
            ("a/other.wasm", "two"),
            ("b/policy.yaml", "module: a.wasm"),
            ("c/c.wasm", "three"),
        ] {
            write(&root.join(name), text);
        }
        let modules = |path: &Path| {
            let snapshot = Snapshot::take(&[path.to_owned()]);
            let short = |name: &str| name.strip_prefix(root.to_str().unwrap()).unwrap().to_owned();
            snapshot.modules.iter().map(|(name, bytes)| (short(name), bytes.to_vec())).collect::<Vec<_>>()
        };
        let expect = [("/a/a.wasm".to_owned(), b"one".to_vec())];
        assert_eq!(modules(root), expect);
        assert_eq!(modules(&root.join("a/policy.yaml")), expect);
        let before = Survey::take(&[root.to_owned()]);
        write(&root.join("b/a.wasm"), "four");
        assert_ne!(Survey::take(&[root.to_owned()]), before);
        assert_eq!(modules(root).len(), 2);
    }

    #[test]
    fn reads_a_kubernetes_volume_through_its_data_link() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(&root.join("..2026/policy.yaml"), "new");
        write(&root.join("..2025/policy.yaml"), "old");
        symlink("..2026", root.join("..data")).unwrap();
        symlink("..data/policy.yaml", root.join("policy.yaml")).unwrap();
        assert_eq!(contents(root), pairs(&[("policy.yaml", "new")]));
        let before = Survey::take(&[root.to_owned()]);
        symlink("..2025", root.join("..tmp")).unwrap();
        fs::rename(root.join("..tmp"), root.join("..data")).unwrap();
        assert_ne!(Survey::take(&[root.to_owned()]), before);
        assert_eq!(contents(root), pairs(&[("policy.yaml", "old")]));
    }

    #[test]
    fn a_directory_is_read_once_whichever_way_leads_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(&root.join("sub/a.yaml"), "a");
        // Followed time and again, these would be 3^16 directories.
        for link in ["loop", "sub/up", "sub/again"] {
            symlink(root, root.join(link)).unwrap();
        }
        symlink("sub", root.join("other")).unwrap();
        assert_eq!(contents(root), pairs(&[("other/a.yaml", "a")]));
        let twice = [root.to_owned(), root.join("."), root.join("sub")];
        assert_eq!(Snapshot::take(&twice).texts.len(), 1);
    }

    #[test]
    fn a_directory_swapped_meanwhile_is_never_seen_half() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        for version in ["1", "2"] {
            for file in ["a.yaml", "b.yaml", "c.yaml"] {
                write(&root.join(version).join(file), version);
            }
        }
        let link = root.join("current");
        symlink("1", &link).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0_u32.. {
                    let next = root.join("next");
                    symlink(if turn % 2 == 0 { "2" } else { "1" }, &next).unwrap();
                    fs::rename(&next, &link).unwrap();
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
            });
            for _ in 0..50 {
                let snapshot = Snapshot::take(std::slice::from_ref(&link));
                if !snapshot.settled {
                    continue;
                }
                let texts: Vec<_> = snapshot.texts.iter().map(|(_, text)| text.as_str()).collect();
                assert!(texts == ["1"; 3] || texts == ["2"; 3], "a mixture: {texts:?}");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn cycles_missing_roots_and_large_files_are_problems() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        symlink("loop.yaml", root.join("loop.yaml")).unwrap();
        write(&root.join("large.yaml"), &" ".repeat(MAX_FILE_BYTES as usize + 1));
        write(&root.join("fine.yaml"), "fine");
        let roots = [root.to_owned(), root.join("missing")];
        let snapshot = Snapshot::take(&roots);
        let problems: Vec<_> = snapshot.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            problems,
            ["larger than 4 MiB", "too many symlinks, or a cycle of them", "no such file or directory"]
        );
        assert_eq!(snapshot.texts.len(), 1);
        assert!(!snapshot.is_unreadable(&roots));
        assert!(snapshot.is_unreadable(&roots[1..]));
    }
}
