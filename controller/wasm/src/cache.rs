//! Compiled modules on disk, for the next start.
//!
//! What is read from here is run as machine code, so the directory must be nobody else's: it is made with mode 0700,
//! and one that somebody else owns or may enter is not used. Files are named by the module's digest and by what the
//! engine makes of modules, and begin with a digest of their own, since a file that was cut off must not be run.

use crate::delivery::{Digest, hexadecimal, sha256};
use rustix::process::geteuid;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// More bytes of compiled modules than this are not kept; the oldest go first.
const MAX_BYTES: u64 = 256 << 20;

/// A directory of compiled modules.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// What the engine makes of modules.
    compatibility: u64,
}

impl Cache {
    /// Opens a directory, which is made if there is none.
    ///
    /// # Errors
    /// It cannot be made, or is open to others.
    pub(crate) fn open(directory: &Path, compatibility: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let found = fs::symlink_metadata(directory)?;
        if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o077 != 0 {
            let message = "it must be a directory of the same user, with mode 0700";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok(Self { directory: directory.to_owned(), compatibility })
    }

    /// What a module was compiled to, if that is here and whole.
    pub(crate) fn get(&self, module: &Digest) -> Option<Vec<u8>> {
        let path = self.path(module);
        let mut file = fs::read(&path).ok()?;
        let compiled = file.split_off(size_of::<Digest>().min(file.len()));
        if file == sha256(&compiled) {
            return Some(compiled);
        }
        // Nobody can use it; if it stays, so be it.
        let _ = fs::remove_file(path);
        None
    }

    /// Keeps what a module was compiled to. A file is there as a whole or not at all.
    pub(crate) fn put(&self, module: &Digest, compiled: &[u8]) -> io::Result<()> {
        let path = self.path(module);
        let unfinished = path.with_extension(std::process::id().to_string());
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        let written = file.write_all(&sha256(compiled)).and_then(|()| file.write_all(compiled));
        let renamed = written.and_then(|()| fs::rename(&unfinished, path));
        if renamed.is_err() {
            let _ = fs::remove_file(unfinished);
        }
        self.forget_oldest()?;
        renamed
    }

    fn path(&self, module: &Digest) -> PathBuf {
        self.directory.join(format!("{}-{:016x}", hexadecimal(module), self.compatibility))
    }

    /// Makes room. What is not a compiled module is none of ours.
    fn forget_oldest(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_own) {
                let found = entry.metadata()?;
                files.push((found.modified()?, entry.path(), found.len()));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(.., length)| length).sum();
        for (_, path, length) in files {
            if bytes <= MAX_BYTES {
                break;
            }
            fs::remove_file(path)?;
            bytes -= length;
        }
        Ok(())
    }
}

/// Whether a file's name is that of a compiled module, or of one that was not written to its end: a module's digest
/// and an engine's number, and the number of the process that was writing.
fn is_own(name: &str) -> bool {
    let is_hexadecimal = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let (name, process) = name.split_once('.').unwrap_or((name, "0"));
    let is_module = |(digest, engine)| is_hexadecimal(digest, 64) && is_hexadecimal(engine, 16);
    name.split_once('-').is_some_and(is_module) && process.parse::<u32>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_whole_and_fits_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        let cache = Cache::open(&directory, 1).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        let digest = sha256(b"module");
        assert_eq!(cache.get(&digest), None);
        cache.put(&digest, b"compiled").unwrap();
        assert_eq!(cache.get(&digest).as_deref(), Some(b"compiled".as_slice()));
        assert_eq!(Cache::open(&directory, 2).unwrap().get(&digest), None, "of another engine");
        let path = cache.path(&digest);
        for broken in [b"".as_slice(), b"short", &[0; 40]] {
            fs::write(&path, broken).unwrap();
            assert_eq!(cache.get(&digest), None);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_directory_that_others_may_enter_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, fits) in [(0o700, true), (0o750, false), (0o701, false), (0o777, false)] {
            fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(Cache::open(directory.path(), 1).is_ok(), fits, "{mode:o}");
        }
    }

    #[test]
    fn the_oldest_go_first() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        let cache = Cache::open(directory.path(), 1).unwrap();
        let digest = |number: usize| sha256(&number.to_le_bytes());
        let hour =
            |number: usize| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(3_600 * number as u64);
        // Three of them are all there is room for.
        let file = |name: &Path, number: usize, length: u64| {
            let file = fs::File::create(directory.path().join(name)).unwrap();
            file.set_len(length).unwrap();
            file.set_modified(hour(number)).unwrap();
        };
        let unfinished = cache.path(&digest(0)).with_extension("7");
        file(&unfinished, 0, 1);
        for number in 1..=3 {
            file(&cache.path(&digest(number)), number, MAX_BYTES / 3);
        }
        let foreign =
            ["notes.txt".to_owned(), hexadecimal(&digest(0)), format!("{}.txt", unfinished.display())];
        foreign.iter().for_each(|name| file(Path::new(name), 0, MAX_BYTES));
        cache.put(&digest(4), b"newest").unwrap();
        assert!(!unfinished.exists() && !cache.path(&digest(1)).exists());
        assert!((2..=4).all(|number| cache.path(&digest(number)).exists()));
        assert!(foreign.iter().all(|name| directory.path().join(name).exists()));
    }
}
