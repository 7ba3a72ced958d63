//! Policies and resources from directories: the source where there is no cluster.

use super::files::PolicyFiles;
use super::resources::ResourceFiles;
use super::watch::{Points, Wake};
use super::{Reading, Source};
use anyhow::anyhow;
use std::path::PathBuf;

/// Directories of policies and of resources.
#[derive(Debug)]
pub struct Directories {
    policies: PolicyFiles,
    resources: ResourceFiles,
    /// Whether they were ever read.
    begun: bool,
}

impl Directories {
    /// Directories or files; nothing is read yet.
    pub fn new(policies: Vec<PathBuf>, resources: Vec<PathBuf>, controller_namespace: &str) -> Self {
        Self {
            policies: PolicyFiles::new(policies, controller_namespace),
            resources: ResourceFiles::new(resources),
            begun: false,
        }
    }
}

impl Source for Directories {
    fn read(&mut self, wake: Wake) -> anyhow::Result<Reading> {
        let policies = wake == Wake::Changed || self.policies.look_changed();
        let resources = self.resources.look_changed() || !self.begun;
        let sources = if policies { self.policies.read() } else { Ok(None) }
            .map_err(|problem| anyhow!("no policies can be read: `{}`: {}", problem.path, problem.message))?;
        self.begun = true;
        Ok(Reading {
            policies: sources,
            facts: resources.then(|| self.resources.read()),
            looked: policies || resources,
            ..Reading::default()
        })
    }

    fn points(&self) -> Points {
        let mut points = self.policies.points().clone();
        points.extend(self.resources.points());
        points
    }
}
