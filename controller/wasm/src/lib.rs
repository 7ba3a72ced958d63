//! WASM policies: modules behind [`portcullis_core::module`], run by wasmtime.
//!
//! The journey of a module: [`Host`] takes what ConfigMaps delivered, `delivery` unpacks it, `compiler` has it compiled
//! by another process within limits ([`compile_here`] is that process), `cache` keeps the outcome, `abi` looks whether
//! it is a policy and `section` what it says that it needs, `instance` asks it whether it accepts its settings, and then judges requests by it; `functions` and
//! `wasi` are what it may call meanwhile, with what `call` keeps. The contract with the module is `sdk/ABI.md`.
//!
//! Invariants: every call has an instance of its own, which is dropped after it; nothing that a module does is unbounded
//! (instructions, memory, tables, stack, reply, log); nothing is deserialised as machine code but what the compiler of
//! this very program wrote.

mod abi;
mod cache;
mod call;
mod compiler;
#[cfg(test)]
mod conformance;
mod delivery;
mod engine;
mod functions;
mod host;
mod instance;
mod log;
mod reply;
mod section;
mod wasi;

pub use compiler::{Compiler, compile_here};
pub use delivery::digest_of;
pub use engine::running as engine;
pub use host::{Host, Waiting};
pub use section::{Stated, read as stated};

/// How many instances there are at most at any time. Whoever runs modules from several threads sees to it that no more
/// of them do so at once.
pub const INSTANCES: usize = 16;
