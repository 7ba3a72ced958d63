//! Who loads and runs the modules of WASM policies: this program, started once more for each module that it has to
//! compile.

use crate::source::watch::Bell;
use anyhow::Context;
use portcullis_core::module::Modules;
use portcullis_wasm::{Compiler, Host, Waiting};
use std::path::PathBuf;
use std::sync::Arc;

/// The verb that compiles.
const VERB: &str = "compile-module";
/// This program, even if its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// For verbs that judge and end: whoever asks for a module waits for it.
///
/// # Errors
/// None: nothing is started.
pub(crate) fn waiting() -> anyhow::Result<Arc<dyn Modules>> {
    host(default_cache(), Waiting::Blocks)
}

/// For a process that serves: modules are loaded while it does, and the bell is rung when some are.
///
/// # Errors
/// The thread that loads them cannot be started.
pub(crate) fn serving(cache: Option<PathBuf>, bell: Bell) -> anyhow::Result<Arc<dyn Modules>> {
    host(cache.or_else(default_cache), Waiting::Calls(Box::new(move || bell.ring())))
}

fn host(cache: Option<PathBuf>, waiting: Waiting) -> anyhow::Result<Arc<dyn Modules>> {
    let compiler = Compiler::new(THIS_PROGRAM, [VERB]);
    Ok(Arc::new(Host::new(compiler, cache, waiting).context("cannot start a thread")?))
}

/// Where programs keep what they can make again (the XDG base directory specification); none without a home.
fn default_cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let root = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(root.join("portcullis/modules"))
}
