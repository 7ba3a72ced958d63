//! The engine: checks expressions as cel-go does, plans them once, and evaluates them over borrowed JSON
//! at cel-go's cost.
//!
//! ```
//! use portcullis_cel::Tree;
//! use portcullis_cel::engine::{Bindings, Environment, Meter, Program, Type, Value};
//!
//! let environment = Environment::new().with_variable("object", Type::Dyn);
//! let source = "object.spec.containers.all(c, c.image.startsWith('registry.example.com/'))";
//! let program = Program::compile_expecting(&environment, source, &Type::Bool).unwrap();
//!
//! let object = Tree::from(serde_json::json!({"spec": {"containers": [{"image": "nginx"}]}}));
//! let mut bindings = Bindings::new(&environment);
//! bindings.set("object", Value::from_json(object.root()));
//! let allowed = program.evaluate(&bindings, &Meter::new(1_000_000)).unwrap();
//! assert_eq!(allowed.as_bool(), Some(false));
//! ```

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
mod library;
mod macros;
mod map;
mod meter;
mod number;
mod parse;
mod pattern;
mod patterns;
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

pub use bindings::{Bindings, Lazy, Place};
pub use cost::Cost;
pub use environment::Environment;
pub use eval::Observer;
pub use failure::{Failure, FailureKind};
pub use footprint::{Extent, Footprint, Origin, Part, Projection, Read, Step};
pub use library::{
    AccessAnswer, AccessAttributes, AccessReview, AccessUser, Authorizer, KubernetesVersion, Library,
    ResourceAttributes, UnknownVersion,
};
pub use map::{Key, MapValue};
pub use meter::Meter;
pub use program::Program;
pub use registry::{Function, Invocation, Overload};
pub use time::Timestamp;
pub use types::{ObjectType, Ty, Type};
pub use value::{Opaque, Text, Value};
