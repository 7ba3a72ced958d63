//! Noticing that files changed: inotify on every directory concerned, and a slow look as a safety net.

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
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

/// Asks a [`Watch`] to stop; dropping it does the same.
#[derive(Debug)]
pub struct Stopper(Sender<Message>);

impl Drop for Stopper {
    fn drop(&mut self) {
        // Nobody listens any more: it has stopped already.
        let _ = self.0.send(Message::Stop);
    }
}

#[derive(Debug)]
enum Message {
    Event,
    Stop,
}

/// A watch on a changing set of directories. It belongs to the thread that reads the files.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<notify::RecommendedWatcher>,
    points: Arc<Mutex<Points>>,
    messages: Receiver<Message>,
}

impl Watch {
    /// A watch on nothing yet, and what stops it.
    pub fn new() -> (Self, Stopper) {
        let (sender, messages) = channel();
        let points = Arc::new(Mutex::new(Points::default()));
        let (watched, events) = (Arc::clone(&points), sender.clone());
        let notice = move |event: notify::Result<notify::Event>| {
            let points = watched.lock().unwrap_or_else(PoisonError::into_inner);
            if event.map_or(true, |event| points.are_concerned_by(&event)) {
                // The other end goes first when the watch is dropped.
                let _ = events.send(Message::Event);
            }
        };
        let watcher = notify::recommended_watcher(notice)
            .inspect_err(|error| {
                tracing::warn!(%error, "changes of files are not notified; looking for them instead");
            })
            .ok();
        (Self { watcher, points, messages }, Stopper(sender))
    }

    /// Watches these directories from now on, and no others.
    pub fn set(&mut self, points: Points) {
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
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, directory = %directory.display(), "cannot watch");
            }
        }
    }

    /// Waits until something changes, then until the changes settle.
    pub fn wait(&self) -> Wake {
        let pause = if self.watcher.is_some() { LOOK } else { LOOK_WITHOUT_EVENTS };
        match self.next(pause) {
            Ok(()) => self.settle(),
            Err(wake) => wake,
        }
    }

    fn next(&self, pause: Duration) -> Result<(), Wake> {
        match self.messages.recv_timeout(pause) {
            Ok(Message::Event) => Ok(()),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => Err(Wake::Stop),
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
