//! Holds the engine to the CEL specification's tests and to cel-go.

#![allow(clippy::indexing_slicing, reason = "JSON is indexed, and yields null where there is nothing")]

mod expect;
pub mod oracle;
pub mod spec;
mod textproto;
