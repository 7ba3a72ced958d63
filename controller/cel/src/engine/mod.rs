//! The engine: checks expressions as cel-go does, plans them once, and evaluates them over borrowed JSON
//! at cel-go's cost.

mod ast;
mod bindings;
mod check;
mod cost;
mod environment;
mod eval;
mod failure;
mod footprint;
mod format;
mod issue;
mod json;
mod macros;
mod map;
mod meter;
mod number;
mod parse;
mod pattern;
mod plan;
mod program;
mod registry;
mod stdlib;
#[cfg(test)]
mod tests;
mod time;
mod types;
mod unify;
mod value;

pub use bindings::{Bindings, Lazy};
pub use cost::Cost;
pub use environment::Environment;
pub use failure::{Failure, FailureKind};
pub use footprint::{Extent, Footprint, Read, Step};
pub use json::{JsonList, JsonMap};
pub use map::{Key, MapValue};
pub use meter::Meter;
pub use program::Program;
pub use registry::{Function, Invocation, Overload};
pub use time::Timestamp;
pub use types::{ObjectType, Ty, Type};
pub use value::{Opaque, Text, Value};
