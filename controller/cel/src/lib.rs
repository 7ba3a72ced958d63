#![doc = include_str!("../README.md")]

pub mod engine;
mod error;
pub mod image;
mod limits;
mod syntax;
pub mod tree;

pub use engine::{
    AccessAnswer, AccessAttributes, AccessReview, AccessUser, Authorizer, Bindings, Environment, Extent,
    Failure, FailureKind, Footprint, KubernetesVersion, Lazy, Meter, ObjectType, Observer, Origin, Place,
    Program, Projection, Read, ResourceAttributes, Step, Type, Value,
};
pub use error::CompileError;
pub use image::{ImageError, ImageReference};
pub use limits::with_large_stack;
pub use tree::{Node, Tree};
