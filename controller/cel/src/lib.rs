#![doc = include_str!("../README.md")]

mod bindings;
mod budget;
mod check;
mod container;
pub mod engine;
mod environment;
mod equality;
mod error;
mod functions;
pub mod image;
mod image_functions;
mod limits;
mod node;
mod parse;
mod program;
mod reads;
mod rewrite;
mod session;
mod syntax;
mod value;

pub use bindings::Bindings;
pub use budget::Budget;
pub use environment::Environment;
pub use error::{CompileError, EvaluationError, EvaluationErrorKind};
pub use image::{ImageError, ImageReference};
pub use limits::with_large_stack;
pub use program::Program;
pub use reads::Path;
pub use value::Value;
