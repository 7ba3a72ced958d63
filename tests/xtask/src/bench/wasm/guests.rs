//! The modules that are measured.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

/// A module, and what it takes for it to find something in a Pod.
pub(super) struct Guest {
    pub(super) name: &'static str,
    pub(super) module: Vec<u8>,
    pub(super) settings: Json,
    /// Makes a Pod one that the module denies.
    pub(super) spoil: fn(&mut Json),
}

/// Replies its settings, which is the least that a module can do.
const NO_OP: &str = r#"(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"errors\":[]}")
  (global $next (mut i32) (i32.const 1024))
  (func (export "portcullis_abi_v1"))
  (func (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get 2)) (i64.const 32))
      (i64.extend_i32_u (local.get 3))))
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (i64.const 0x000000100000000D)))"#;

pub(super) fn all() -> Result<Vec<Guest>> {
    Ok(vec![Guest {
        name: "no-op",
        module: wat::parse_str(NO_OP).context("the no-op is malformed")?,
        settings: json!({"violations": [{"message": "no"}]}),
        spoil: |_| {},
    }])
}

/// The same module as another one: with a custom section that nobody looks at.
pub(super) fn numbered(module: &[u8], number: u8) -> Vec<u8> {
    // Custom sections have the number 0; then the length, the name with its own, and what they hold.
    let section = [0, 3, 1, b'n', number];
    [module, &section].concat()
}
