//! Where policies and facts come from.
//!
//! [`Source`] is the one door: [`directories`] stands behind it where there is no cluster, and
//! [`cluster`](crate::cluster) where there is one. [`tree`] finds and reads files as one consistent snapshot,
//! [`files`] makes policies of them and [`resources`] facts; [`watch`] says when something changed.

pub mod directories;
pub mod files;
pub mod resources;
pub mod tree;
pub mod watch;

use portcullis_core::set::{Accepted, Sources};
use portcullis_core::{Facts, PolicySet};
use std::fmt::Debug;
use watch::{Points, Wake};

/// Policies and facts from one place, read by the thread that compiles them.
pub trait Source: Debug + Send {
    /// What changed since the last reading; at first everything, or nothing as long as not all of it is known.
    ///
    /// # Errors
    /// At the first time only: there is nothing to read and will not be.
    fn read(&mut self, wake: Wake) -> anyhow::Result<Reading>;

    /// Gets ready what a set of policies will look at, before it is in force. All facts, if that changed any; what
    /// is not ready in time is not told, and policies that need it fail.
    fn prepare(&mut self, _: &PolicySet) -> Option<ReadFacts> {
        None
    }

    /// Directories in which changes would show. What rings the bell by itself has none.
    fn points(&self) -> Points;
}

/// What a source has to say.
#[derive(Debug, Default)]
pub struct Reading {
    /// All policies, if any of them changed.
    pub policies: Option<Sources>,
    /// Which versions of which ConfigMaps these are, where they have any.
    pub versions: Vec<Version>,
    /// What was in force before we started, at the first reading.
    pub accepted: Vec<Accepted>,
    /// All facts, if any of them changed.
    pub facts: Option<ReadFacts>,
    /// Whether directories were read, so that there may be others to watch.
    pub looked: bool,
}

/// A version of a ConfigMap of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}

/// Facts as they were read.
#[derive(Debug)]
pub struct ReadFacts {
    /// The objects. What is not among them does not exist.
    pub facts: Facts,
    /// What could not be read: a line each.
    pub problems: Vec<String>,
}
