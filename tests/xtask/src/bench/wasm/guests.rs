//! The modules that are measured.

use crate::workspace::{root, stdout_of};
use crate::{golang, modules};
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
    /// Whether it imports WASI, for a runtime that comes up in each instance.
    pub(super) has_runtime: bool,
}

/// The least that a module can do, what `portcullis new` begins with, one that reads all of a Pod, and one in Go.
pub(super) fn all() -> Result<Vec<Guest>> {
    let no_op = wat::parse_file(root()?.join("sdk/conformance/kept.wat"))?;
    Ok(vec![
        Guest {
            name: "no-op",
            module: no_op,
            settings: json!({"violations": [{"message": "no"}]}),
            spoil: |_| {},
            has_runtime: false,
        },
        Guest {
            name: "pinned-images",
            module: built("pinned-images")?,
            settings: json!({}),
            spoil: |pod| pod["spec"]["containers"][0]["image"] = json!("nginx"),
            has_runtime: false,
        },
        Guest {
            name: "no-literal-credentials",
            module: built("no-literal-credentials")?,
            settings: json!({}),
            spoil: |pod| {
                pod["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": "swordfish"}])
            },
            has_runtime: false,
        },
        Guest {
            name: "approved-registries (Go)",
            module: in_go()?,
            settings: json!({"registries": ["registry.example.com"]}),
            spoil: |pod| pod["spec"]["containers"][0]["image"] = json!("ghcr.io/acme/web"),
            has_runtime: true,
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

/// The policy of `sdk/go`.
fn in_go() -> Result<Vec<u8>> {
    let folder = root()?.join("target/go");
    fs::create_dir_all(&folder)?;
    let module = folder.join("approved-registries.wasm");
    let mut go = golang::go(&root()?.join("sdk/go"))?;
    go.envs([("GOOS", "wasip1"), ("GOARCH", "wasm")]);
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o"]).arg(&module);
    stdout_of(&mut go)?;
    Ok(fs::read(module)?)
}

/// The same module as another one: with a custom section that nobody looks at.
pub(super) fn numbered(module: &[u8], number: u8) -> Vec<u8> {
    // Custom sections have the number 0; then the length, the name with its own, and what they hold.
    let section = [0, 3, 1, b'n', number];
    [module, &section].concat()
}
