//! The plain manifests in `deploy/manifests`: what the chart renders, for those who do without Helm.

use super::components::helm;
use super::world::CHART;
use crate::workspace::{root, stdout_of};
use anyhow::{Context, Result};
use clap::Args as Flags;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Where they are, from the workspace's root.
pub(super) const FILE: &str = "deploy/manifests/install.yaml";

/// What the chart leaves to `helm install --create-namespace`.
const NAMESPACE: &str = "\
# Rendered from deploy/helm/portcullis by `cargo xtask manifests`.
apiVersion: v1
kind: Namespace
metadata:
  name: portcullis
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// Render the plain manifests anew from the chart; needs Helm, or Go to build it
#[derive(Debug, Flags)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let rendered = render(&helm()?)?;
    let path = root()?.join(FILE);
    fs::write(&path, &rendered).with_context(|| format!("cannot write `{}`", path.display()))?;
    println!("{FILE}: {} lines", rendered.lines().count());
    Ok(ExitCode::SUCCESS)
}

/// What the file should hold.
///
/// # Errors
/// Helm cannot be run, or does not like the chart.
pub(super) fn render(helm: &Path) -> Result<String> {
    let mut command = Command::new(helm);
    command.args(["template", "portcullis", CHART, "--namespace", "portcullis"]).current_dir(root()?);
    Ok(format!("{NAMESPACE}{}", stdout_of(&mut command)?))
}
