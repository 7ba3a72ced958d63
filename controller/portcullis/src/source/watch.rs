//! Noticing that files changed: inotify on every directory concerned, and a slow look as a safety net.

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Events that follow each other within this time are taken together: a write is several events.
const SETTLE: Duration = Duration::from_millis(3);
/// A change is acted upon after this time even if events keep coming.
const SETTLE_AT_MOST: Duration = Duration::from_millis(15);
/// So often the files are looked at without any event.
const LOOK: Duration = Duration::from_secs(10);
/// The same where the system's notifications are not available.
const LOOK_WITHOUT_EVENTS: Duration = Duration::from_millis(500);

/// Directories in which changes matter: all of them, or only those of some names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Points {
    directories: BTreeMap<PathBuf, Interest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Interest {
    Everything,
    Names(BTreeSet<OsString>),
}

impl Points {
    /// Any change in this directory matters.
    pub fn everything_in(&mut self, directory: &Path) {
        self.directories.insert(directory.to_owned(), Interest::Everything);
    }

    /// In the directory that holds `path`, a change of that name matters.
    pub fn name_in_parent(&mut self, path: &Path) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let interest =
            self.directories.entry(parent.to_owned()).or_insert_with(|| Interest::Names(BTreeSet::new()));
        if let Interest::Names(names) = interest {
            names.insert(name.to_owned());
        }
    }

    /// Adds the points of another survey.
    pub fn extend(&mut self, other: &Self) {
        for (directory, interest) in &other.directories {
            match (self.directories.get_mut(directory), interest) {
                (Some(Interest::Everything), _) => {}
                (Some(Interest::Names(names)), Interest::Names(more)) => names.extend(more.iter().cloned()),
                (_, interest) => {
                    self.directories.insert(directory.clone(), interest.clone());
                }
            }
        }
    }

    fn are_concerned_by(&self, event: &notify::Event) -> bool {
        let only_read =
            event.kind.is_access() && event.kind != EventKind::Access(AccessKind::Close(AccessMode::Write));
        event.need_rescan() || !only_read && event.paths.iter().any(|path| self.contain(path))
    }

    fn contain(&self, path: &Path) -> bool {
        let within = |directory: &Path| match self.directories.get(directory) {
            Some(Interest::Everything) => true,
            Some(Interest::Names(names)) => path.file_name().is_some_and(|name| names.contains(name)),
            None => false,
        };
        self.directories.contains_key(path) || path.parent().is_some_and(within)
    }
}

/// Why [`Watch::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Something changed, or may have.
    Changed,
    /// Nothing was heard for a while: time to look.
    Look,
    /// The other side asked to stop, or is gone.
    Stop,
}

/// Tells a [`Watch`] that something changed.
#[derive(Debug, Clone)]
pub struct Bell(SyncSender<()>);

impl Bell {
    /// Wakes the watch. One that is rung already need not be rung again, and one that is gone has stopped.
    pub fn ring(&self) {
        let _ = self.0.try_send(());
    }
}

/// Asks a [`Watch`] to stop when it is dropped.
#[derive(Debug)]
pub struct Stopper {
    asked: Arc<AtomicBool>,
    bell: Bell,
}

impl Stopper {
    /// The bell of what it stops.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.asked.store(true, Ordering::Release);
        self.bell.ring();
    }
}

/// A watch on a changing set of directories. It belongs to the thread that reads the files.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<notify::RecommendedWatcher>,
    points: Arc<Mutex<Points>>,
    /// Holds one ring at most, however much happens while nobody waits.
    rings: Receiver<()>,
    stop: Arc<AtomicBool>,
    /// How long to wait without any event.
    pause: Duration,
}

impl Watch {
    /// A watch on nothing yet, and what stops it.
    pub fn new() -> (Self, Stopper) {
        let (bell, rings) = sync_channel(1);
        let bell = Bell(bell);
        let stop = Arc::new(AtomicBool::new(false));
        let stopper = Stopper { asked: Arc::clone(&stop), bell: bell.clone() };
        let points = Arc::new(Mutex::new(Points::default()));
        let watched = Arc::clone(&points);
        let notice = move |event: notify::Result<notify::Event>| {
            let points = watched.lock().unwrap_or_else(PoisonError::into_inner);
            if event.map_or(true, |event| points.are_concerned_by(&event)) {
                bell.ring();
            }
        };
        let watcher = notify::recommended_watcher(notice)
            .inspect_err(|error| {
                tracing::warn!(%error, "changes of files are not notified; looking for them instead");
            })
            .ok();
        (Self { watcher, points, rings, stop, pause: LOOK }, stopper)
    }

    /// Watches these directories from now on, and no others.
    pub fn set(&mut self, points: Points) {
        self.pause = if self.watcher.is_some() { LOOK } else { LOOK_WITHOUT_EVENTS };
        let Some(watcher) = &mut self.watcher else { return };
        let old = {
            let mut current = self.points.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, points.clone())
        };
        for gone in old.directories.keys().filter(|path| !points.directories.contains_key(*path)) {
            // It fails where the directory itself is gone, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        for directory in points.directories.keys() {
            // Watched again even if it was before: another directory may have taken its place.
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                Err(_) if !directory.exists() => {}
                Err(error) => {
                    let directory = directory.display();
                    tracing::warn!(%error, %directory, "a directory is not watched; looking for changes instead");
                    self.pause = LOOK_WITHOUT_EVENTS;
                }
            }
        }
    }

    /// Waits until something changes, then until the changes settle.
    pub fn wait(&self) -> Wake {
        match self.next(self.pause) {
            Ok(()) => self.settle(),
            Err(wake) => wake,
        }
    }

    fn next(&self, pause: Duration) -> Result<(), Wake> {
        let rung = self.rings.recv_timeout(pause);
        if self.stop.load(Ordering::Acquire) {
            return Err(Wake::Stop);
        }
        match rung {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Wake::Stop),
            Err(RecvTimeoutError::Timeout) => Err(Wake::Look),
        }
    }

    fn settle(&self) -> Wake {
        let begin = Instant::now();
        while begin.elapsed() < SETTLE_AT_MOST {
            match self.next(SETTLE) {
                Ok(()) => {}
                Err(Wake::Stop) => return Wake::Stop,
                Err(_) => break,
            }
        }
        Wake::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Waits until a change is heard.
    fn hears(watch: &Watch, what: &str) {
        let begin = Instant::now();
        while watch.wait() != Wake::Changed {
            assert!(begin.elapsed() < Duration::from_secs(30), "not heard: {what}");
        }
    }

    #[test]
    fn changes_are_heard_where_they_matter() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir(root.join("all")).unwrap();
        let mut points = Points::default();
        points.everything_in(&root.join("all"));
        points.name_in_parent(&root.join("link"));
        let (mut watch, stopper) = Watch::new();
        watch.set(points.clone());
        fs::write(root.join("all/new.yaml"), "x").unwrap();
        hears(&watch, "a new file");
        fs::write(root.join("all/new.yaml"), "y").unwrap();
        hears(&watch, "a changed file");
        std::os::unix::fs::symlink("all", root.join("link")).unwrap();
        hears(&watch, "a new link");
        assert!(!points.contain(&root.join("other")));
        fs::read(root.join("all/new.yaml")).unwrap();
        fs::write(root.join("other"), "x").unwrap();
        drop(stopper);
        assert_eq!(watch.wait(), Wake::Stop, "neither reading nor other names are heard");
    }

    #[test]
    fn points_are_joined_by_the_wider_interest() {
        let mut points = Points::default();
        points.name_in_parent(Path::new("/a/one"));
        let mut more = Points::default();
        more.name_in_parent(Path::new("/a/two"));
        more.everything_in(Path::new("/b"));
        points.extend(&more);
        for (path, expect) in
            [("/a/one", true), ("/a/two", true), ("/a/three", false), ("/b/any", true), ("/c", false)]
        {
            assert_eq!(points.contain(Path::new(path)), expect, "{path}");
        }
        more.everything_in(Path::new("/a"));
        points.extend(&more);
        points.name_in_parent(Path::new("/a/one"));
        assert!(points.contain(Path::new("/a/three")));
    }
}
