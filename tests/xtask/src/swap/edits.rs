//! The directory of policies, and what is done to it.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The policies, in the order of their files.
pub(super) const NAMES: [&str; 2] = ["swap-one", "swap-two"];

/// Between the pieces of a file that is rewritten in place.
const BETWEEN_PIECES: Duration = Duration::from_millis(3);

/// How a directory can be replaced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// The directory is a symlink.
    Linked,
    /// The files are symlinks through `..data`, which is one too: a mounted ConfigMap.
    Mounted,
}

impl Layout {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Linked => "a directory that is a symlink",
            Self::Mounted => "a directory as a kubelet mounts ConfigMaps",
        }
    }
}

/// What an edit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// Both files get the next version at once.
    Swap,
    /// A file is truncated and written again, in pieces.
    InPlace,
    /// One policy gets an expression that does not compile, and then back the one it had.
    Break,
}

impl Edit {
    /// The edits take turns, swaps twice as often as the others.
    pub(super) fn of(number: u32) -> Self {
        match number % 4 {
            1 => Self::InPlace,
            3 => Self::Break,
            _ => Self::Swap,
        }
    }
}

/// A directory of two policies, each in a ConfigMap and file of its own, with one version in both.
pub(super) struct Policies {
    layout: Layout,
    root: TempDir,
    /// What the server is told to watch.
    directory: PathBuf,
    version: u64,
    /// How many directories were made so far.
    made: u64,
}

impl Policies {
    /// Version 1.
    pub(super) fn create(layout: Layout) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let directory = root.path().join("policies");
        let mut policies = Self { layout, root, directory, version: 1, made: 0 };
        if layout == Layout::Mounted {
            fs::create_dir(&policies.directory)?;
            for name in NAMES {
                let file = format!("{name}.yaml");
                symlink(Path::new("..data").join(&file), policies.directory.join(&file))?;
            }
        }
        policies.put([1, 1].map(Content::Version))?;
        Ok(policies)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Replaces both by the next version, at once, and returns it.
    pub(super) fn swap(&mut self) -> Result<u64> {
        self.version += 1;
        self.put([self.version, self.version].map(Content::Version))?;
        Ok(self.version)
    }

    /// Replaces both, the first by something broken. Returns the version that must stay in force.
    pub(super) fn break_one(&mut self) -> Result<u64> {
        self.put([Content::Broken, Content::Version(self.version)])?;
        Ok(self.version)
    }

    /// Puts the version back that was there before [`break_one`](Self::break_one).
    pub(super) fn mend(&mut self) -> Result<()> {
        self.put([self.version, self.version].map(Content::Version))
    }

    /// Truncates a file and writes it again in pieces, as editors and `cp` do.
    pub(super) async fn rewrite_in_place(&self) -> Result<()> {
        let name = NAMES[usize::from(self.version.is_multiple_of(2))];
        let text = manifest(name, Content::Version(self.version));
        let path = self.directory.join(format!("{name}.yaml"));
        let mut file = File::create(&path).with_context(|| format!("cannot rewrite `{}`", path.display()))?;
        for piece in text.as_bytes().chunks(text.len() / 4 + 1) {
            tokio::time::sleep(BETWEEN_PIECES).await;
            file.write_all(piece)?;
        }
        Ok(())
    }

    /// Writes a new directory and swaps it in by renaming a symlink; the one before it is removed.
    fn put(&mut self, contents: [Content; 2]) -> Result<()> {
        let place = match self.layout {
            Layout::Linked => self.root.path(),
            Layout::Mounted => &self.directory,
        };
        let name = |number: u64| format!("..set-{number}");
        self.made += 1;
        let fresh = place.join(name(self.made));
        fs::create_dir(&fresh)?;
        for (policy, content) in NAMES.into_iter().zip(contents) {
            fs::write(fresh.join(format!("{policy}.yaml")), manifest(policy, content))?;
        }
        let link = match self.layout {
            Layout::Linked => self.directory.clone(),
            Layout::Mounted => self.directory.join("..data"),
        };
        let prepared = place.join("..fresh");
        symlink(name(self.made), &prepared)?;
        fs::rename(&prepared, &link).context("cannot swap the symlink")?;
        if self.made > 1 {
            fs::remove_dir_all(place.join(name(self.made - 1)))?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Content {
    Version(u64),
    Broken,
}

/// A ConfigMap with a policy that lets everything pass and says its version: the first by a warning, the
/// second by an audit annotation.
fn manifest(name: &str, content: Content) -> String {
    let spec = match content {
        Content::Version(version) if name == NAMES[0] => format!(
            "validationActions: [Warn]
      validations:
      - expression: 'false'
        message: version-{version}-"
        ),
        Content::Version(version) => format!(
            "validationActions: [Audit]
      validations:
      - expression: 'true'
      auditAnnotations:
      - key: version
        valueExpression: \"'version-{version}-'\""
        ),
        Content::Broken => "validationActions: [Warn]
      validations:
      - expression: 'object.metadata.name =='
        message: broken"
            .to_owned(),
    };
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: portcullis
  labels:
    portcullis.dev/policy: \"true\"
data:
  policy.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata:
      name: {name}
    spec:
      failurePolicy: Fail
      matchConstraints:
        resourceRules:
        - apiGroups: ['']
          apiVersions: [v1]
          resources: [configmaps]
          operations: [CREATE]
      {spec}
"
    )
}
