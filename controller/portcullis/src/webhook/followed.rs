//! Files beside policies: certificates and CAs, read again whenever they change.

use crate::source::tree::{Snapshot, Survey};
use crate::source::watch::Points;
use std::fmt::Debug;
use std::path::PathBuf;

/// What is read from files that may change.
pub(super) trait Followed: Debug + Send {
    /// Where changes would show.
    fn points(&self) -> &Points;

    /// Takes in what the files hold now, if that is fit. True if they were read.
    fn refresh(&mut self) -> bool;
}

/// Some files, as they were read.
#[derive(Debug)]
pub(super) struct Files {
    roots: Vec<PathBuf>,
    snapshot: Snapshot,
}

/// What became of files since they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// They were read again, and hold what they did.
    Touched,
    /// They hold something else.
    Content,
}

impl Files {
    /// Reads files, or that they are not there.
    pub(super) fn read(roots: Vec<PathBuf>) -> Self {
        Self { snapshot: Snapshot::take(&roots), roots }
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(super) fn points(&self) -> &Points {
        self.snapshot.survey.points()
    }

    /// Reads them again if they changed.
    pub(super) fn refresh(&mut self) -> Change {
        if Survey::take(&self.roots) == self.snapshot.survey {
            return Change::None;
        }
        let before = std::mem::replace(&mut self.snapshot, Snapshot::take(&self.roots));
        let same = self.snapshot.problems.is_empty() && self.snapshot.texts == before.texts;
        if same { Change::Touched } else { Change::Content }
    }
}
