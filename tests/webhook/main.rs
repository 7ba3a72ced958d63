//! The webhook over real TLS: the spawned binary, asked as an API server would, and as nobody should.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests end by panicking"
)]

mod client;
mod gate;
mod golang;
mod limits;
mod modules;
mod operations;
mod protocol;
mod reload;
mod sdk;
mod shutdown;
mod trust;
