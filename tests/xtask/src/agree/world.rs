//! The cases of a suite that can be asked together: the same policies with the same params, and the same
//! resources to look at, as files that the binary can be given.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::suite::{Case, Suite, with_params};
use portcullis_core::document::ConfigMap;
use portcullis_core::set::Sources;
use portcullis_core::tree::Tree;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Cases with what they are asked against.
pub(super) struct World<'a> {
    /// Where policies are.
    pub(super) policies: Vec<PathBuf>,
    /// The cases, each with a number that is unique within its suite.
    pub(super) cases: Vec<(usize, &'a Case)>,
    directory: TempDir,
}

/// Groups the cases of a suite.
pub(super) fn of<'a>(suite: &'a Suite, sources: &Sources) -> Result<Vec<World<'a>>> {
    let mut groups: BTreeMap<String, Vec<(usize, &Case)>> = BTreeMap::new();
    for (number, case) in suite.cases.iter().enumerate() {
        if case.policy.is_some() {
            bail!("case `{}` looks at one policy of several, which a webhook cannot be asked for", case.name);
        }
        let key = json!([case.params, case.resources]).to_string();
        groups.entry(key).or_default().push((number, case));
    }
    groups.into_values().map(|cases| World::create(suite, sources, cases)).collect()
}

impl<'a> World<'a> {
    fn create(suite: &Suite, sources: &Sources, cases: Vec<(usize, &'a Case)>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (_, first) = cases.first().context("a group has a case")?;
        let policies = match &first.params {
            None => suite.policies.clone(),
            Some(params) => {
                let sources = with_params(sources, None, params).map_err(anyhow::Error::msg)?;
                let file = directory.path().join("policies.json");
                fs::write(&file, list(sources.config_maps.iter().map(config_map).collect()).to_string())?;
                vec![file]
            }
        };
        let world = Self { policies, cases, directory };
        fs::create_dir(world.directory.path().join("resources"))?;
        let resources = world.cases.first().map(|(_, case)| case.resources.clone()).unwrap_or_default();
        fs::write(world.resources().join("resources.json"), list(resources).to_string())?;
        Ok(world)
    }

    /// The directory of what policies may look at.
    pub(super) fn resources(&self) -> PathBuf {
        self.directory.path().join("resources")
    }

    /// Writes an object to a file of its own.
    pub(super) fn object(&self, name: &str, object: &Tree) -> Result<PathBuf> {
        let path = self.directory.path().join(format!("{name}.json"));
        fs::write(&path, object.to_string())?;
        Ok(path)
    }

    /// The policies as borrowed paths.
    pub(super) fn policies(&self) -> Vec<&Path> {
        self.policies.iter().map(PathBuf::as_path).collect()
    }
}

fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn config_map(config_map: &ConfigMap) -> Value {
    let data: Map<String, Value> =
        config_map.data.iter().map(|(key, text)| (key.clone(), Value::from(text.text.as_str()))).collect();
    let encode = |(key, module): &(String, Arc<[u8]>)| (key.clone(), STANDARD.encode(module).into());
    let modules: Map<String, Value> = config_map.modules.iter().map(encode).collect();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map.name,
            "namespace": config_map.namespace,
            "labels": {"portcullis.dev/policy": "true"},
        },
        "data": data,
        "binaryData": modules,
    })
}
