//! Reading directories as one consistent snapshot, however they are replaced meanwhile.
//!
//! A survey resolves every symlink once and lists what it leads to; contents are then read from the resolved
//! paths, and a second survey must find the same. Kubernetes' volumes (`..data`) and directories swapped by
//! `ln -sfn` or `mv -T` are therefore seen as they were before or after, never as a mixture.

use super::watch::Points;
use crate::manifests::not_utf_8;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
/// Modules that are larger together than this are not read.
const MAX_MODULES_BYTES: u64 = 256 << 20;
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
    /// Modules (`*.wasm`) that lie beside them, by the directory in which they are listed and their name there.
    modules: BTreeMap<(PathBuf, String), Found>,
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

/// Modules by their names, such as `m.wasm`.
type Modules = Vec<(String, Arc<[u8]>)>;

/// The files of some directories at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Each file's name, as the user named its directory, with its text; sorted by name.
    pub texts: Vec<(String, String)>,
    /// By the name of a file: each module (`*.wasm`) that lies beside it and is named in it, with its own name and content.
    /// Where the file is reached by a link, that is beside the file, not beside the link.
    pub modules: BTreeMap<String, Modules>,
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
        let beside = |file: &Found| Some((file.path.parent()?.to_owned(), directory(&file.name).to_owned()));
        let directories: BTreeMap<PathBuf, String> = self.files.iter().filter_map(beside).collect();
        for (path, name) in directories {
            self.points.everything_in(&path);
            // A directory that cannot be listed is a problem already, or holds just what was named itself.
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                let file = entry.file_name();
                let Some(file) = file.to_str().filter(|file| file.ends_with(".wasm")) else { continue };
                let name = format!("{name}{file}");
                let found = resolve(&path.join(file), &mut self.points)
                    .and_then(|path| fs::metadata(&path).map(|metadata| (metadata, path)));
                match found {
                    Ok((metadata, real)) if metadata.is_file() => {
                        let found = Found { name, path: real, stamp: Stamp::of(&metadata) };
                        self.modules.insert((path.clone(), file.to_owned()), found);
                    }
                    // As if it were not there: whoever names it is told so.
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => self.problem(&name, false, &describe(&error)),
                }
            }
        }
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

/// Reads the modules that a text beside them names, each once.
fn read_modules(
    survey: &Survey,
    texts: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Modules> {
    let mut modules: BTreeMap<String, Modules> = BTreeMap::new();
    let mut read: BTreeMap<&Path, Option<Arc<[u8]>>> = BTreeMap::new();
    let mut left = MAX_MODULES_BYTES;
    for ((directory, key), module) in &survey.modules {
        let beside = survey.files.iter().filter(|file| file.path.parent() == Some(directory));
        for file in beside {
            let text =
                texts.binary_search_by(|(name, _)| name.cmp(&file.name)).ok().and_then(|at| texts.get(at));
            if !text.is_some_and(|(_, text)| names(text, key)) {
                continue;
            }
            let bytes = read.entry(&module.path).or_insert_with(|| {
                let refuse = |message| Problem { path: module.name.clone(), directory: false, message };
                let bytes = match left.checked_sub(module.stamp.bytes) {
                    Some(_) => read_bytes(&module.path, MAX_MODULE_BYTES),
                    None => {
                        Err(format!("all modules together are larger than {} MiB", MAX_MODULES_BYTES >> 20))
                    }
                };
                let bytes = bytes.map_err(|message| problems.push(refuse(message))).ok()?;
                left = left.saturating_sub(bytes.len() as u64);
                Some(bytes.into())
            });
            if let Some(bytes) = bytes {
                modules.entry(file.name.clone()).or_default().push((key.clone(), Arc::clone(bytes)));
            }
        }
    }
    modules
}

/// Whether a text holds the name of a file, and not just the end of a longer one.
pub(super) fn names(text: &str, file: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.match_indices(file).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + file.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
    })
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read_bytes(path, MAX_FILE_BYTES)?;
    String::from_utf8(bytes).map_err(|error| not_utf_8(error.as_bytes()).to_owned())
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
fn directory(name: &str) -> &str {
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
            assert_eq!(snapshot.problems, []);
            let short = |name: &str| name.strip_prefix(root.to_str().unwrap()).unwrap().to_owned();
            let of_file = |(name, modules): (&String, &Modules)| {
                let text =
                    |(key, bytes): &(String, Arc<[u8]>)| format!("{key}={}", String::from_utf8_lossy(bytes));
                format!("{} {}", short(name), modules.iter().map(text).collect::<Vec<_>>().join(" "))
            };
            snapshot.modules.iter().map(of_file).collect::<Vec<_>>()
        };
        let expect = ["/a/policy.yaml a.wasm=one"];
        assert_eq!(modules(root), expect);
        assert_eq!(modules(&root.join("a/policy.yaml")), expect);
        let before = Survey::take(&[root.to_owned()]);
        write(&root.join("b/a.wasm"), "four");
        assert_ne!(Survey::take(&[root.to_owned()]), before);
        assert_eq!(modules(root).len(), 2);
    }

    #[test]
    fn a_module_belongs_to_the_files_beside_it_and_to_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (name, text) in [
            ("x/a.yaml", "module: m.wasm"),
            ("x/m.wasm", "of x"),
            ("y/b.yaml", "module: m.wasm # and not longer-m.wasm"),
            ("y/m.wasm", "of y"),
            ("y/longer-m.wasm.old", "none"),
            ("p/m.wasm", "beside the links"),
        ] {
            write(&root.join(name), text);
        }
        symlink("../x/a.yaml", root.join("p/a.yaml")).unwrap();
        symlink("../y/b.yaml", root.join("p/b.yaml")).unwrap();
        let snapshot = Snapshot::take(&[root.join("p")]);
        let modules: Vec<_> = snapshot.modules.into_iter().collect();
        let of = |name: &str, text: &str| {
            (
                root.join(name).to_str().unwrap().to_owned(),
                vec![("m.wasm".to_owned(), Arc::from(text.as_bytes()))],
            )
        };
        assert_eq!(modules, [of("p/a.yaml", "of x"), of("p/b.yaml", "of y")]);
    }

    #[test]
    fn the_name_of_a_module_is_a_whole_word() {
        let check = |text: &str, expected: bool| assert_eq!(names(text, "m.wasm"), expected, "{text}");
        check("module: m.wasm", true);
        check("{\"module\":\"m.wasm\"}", true);
        check("xm.wasm m.wasm.old a-m.wasm", false);
        check("xm.wasm, m.wasm", true);
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
