//! The engine: checks expressions as cel-go does, plans them once, and evaluates them over borrowed JSON
//! at cel-go's cost.

mod ast;
mod check;
mod cost;
mod environment;
mod failure;
mod format;
mod issue;
mod json;
mod limits;
mod macros;
mod meter;
mod number;
mod parse;
mod pattern;
mod registry;
mod stdlib;
mod time;
mod types;
mod unify;
mod value;

pub use cost::Cost;
pub use environment::Environment;
pub use failure::{Failure, FailureKind};
pub use issue::Issue;
pub use json::{JsonList, JsonMap};
pub use meter::Meter;
pub use registry::{Function, Invocation, Overload};
pub use time::Timestamp;
pub use types::{ObjectType, Ty, Type};
pub use value::{Key, MapValue, Opaque, Text, Value};
