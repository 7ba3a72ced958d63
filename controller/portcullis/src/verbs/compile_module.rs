//! `portcullis compile-module`: compiles a module within limits, for the process that started it. Not for people.

use crate::exit::Exit;
use std::io::Write;

/// Compiles from standard input to standard output. What is wrong with the module goes to standard error, bare, for
/// the other process to word it.
pub fn run() -> Exit {
    match portcullis_wasm::compile_here() {
        Ok(()) => Exit::Clean,
        Err(message) => {
            // Nobody is there to be told that nobody is there.
            let _ = writeln!(std::io::stderr(), "{message}");
            Exit::Failure
        }
    }
}
