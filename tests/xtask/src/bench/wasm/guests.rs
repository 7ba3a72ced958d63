//! The modules that are measured.

use crate::modules;
use crate::workspace::root;
use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use std::fs;

/// A module, and what it takes for it to find something in a Pod.
pub(super) struct Guest {
    pub(super) name: &'static str,
    pub(super) module: Vec<u8>,
    pub(super) settings: Json,
    /// Makes a Pod one that the module denies.
    pub(super) spoil: fn(&mut Json),
}

/// The least that a module can do, what `portcullis new` begins with, and one that reads all of a Pod.
pub(super) fn all() -> Result<Vec<Guest>> {
    let no_op = wat::parse_file(root()?.join("sdk/conformance/kept.wat"))?;
    Ok(vec![
        Guest {
            name: "no-op",
            module: no_op,
            settings: json!({"violations": [{"message": "no"}]}),
            spoil: |_| {},
        },
        Guest {
            name: "pinned-images",
            module: built("pinned-images")?,
            settings: json!({}),
            spoil: |pod| pod["spec"]["containers"][0]["image"] = json!("nginx"),
        },
        Guest {
            name: "no-literal-credentials",
            module: built("no-literal-credentials")?,
            settings: json!({}),
            spoil: |pod| {
                pod["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": "swordfish"}])
            },
        },
    ])
}

/// A module that is written in Rust.
fn built(name: &str) -> Result<Vec<u8>> {
    let file = format!("{name}.wasm");
    let modules = modules::build()?;
    let module = modules.iter().find(|module| module.ends_with(&file));
    Ok(fs::read(module.with_context(|| format!("there is no `{file}`"))?)?)
}

/// The same module as another one: with a custom section that nobody looks at.
pub(super) fn numbered(module: &[u8], number: u8) -> Vec<u8> {
    // Custom sections have the number 0; then the length, the name with its own, and what they hold.
    let section = [0, 3, 1, b'n', number];
    [module, &section].concat()
}
