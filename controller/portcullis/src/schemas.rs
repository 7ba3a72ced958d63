//! The fields of Kubernetes' built-in kinds, which `cargo xtask schemas` makes a table of. It is part of the program,
//! so that policies can be checked without a cluster and without a network.

use crate::terminal::Hinted;
use portcullis_core::KubernetesVersion;
use portcullis_core::policy::Typing;
use portcullis_core::schema::Schemas;

/// Names and types, for all versions at once.
const TABLE: &str = include_str!("../schemas/kubernetes.txt");

/// The fields of one version.
///
/// # Errors
/// If the table does not go back as far.
pub(crate) fn typing(version: KubernetesVersion) -> anyhow::Result<Typing> {
    let schemas = Schemas::read(TABLE, version).map_err(anyhow::Error::msg)?;
    let schemas = schemas.ok_or_else(|| {
        let message = format!("the fields of Kubernetes {version} are not known");
        Hinted::new(message, format!("those from {} are", versions()))
    })?;
    Ok(Typing { schemas, version })
}

/// The versions whose fields are known: `1.32 to 1.37`.
fn versions() -> String {
    let versions = TABLE.lines().find_map(|line| line.strip_prefix("versions ")).unwrap_or_default();
    format!("1.{}", versions.replace(' ', " to 1."))
}

/// A version as the command line has it.
///
/// # Errors
/// If it is none.
pub(crate) fn version(text: &str) -> Result<KubernetesVersion, String> {
    text.parse().map_err(|_| format!("it is no version of Kubernetes: write one from {}", versions()))
}
