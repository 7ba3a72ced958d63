//! The pure heart of Portcullis: documents become policies, requests become decisions.
//!
//! The journey: ConfigMaps are read ([`yaml`]) into documents ([`document`]), documents are compiled into
//! an immutable [`PolicySet`], the set's index finds what matches a [`Request`] ([`matching`]), programs are
//! evaluated into a [`Decision`], and [`enforcement`] turns that into what the requester is told.
//!
//! Invariant: nothing here does I/O, reads a clock or the environment, logs, or awaits.

pub mod authorization;
mod confined;
pub mod decision;
pub mod document;
pub mod enforcement;
mod evaluation;
pub mod exception;
pub mod facts;
pub mod lint;
pub mod matching;
pub mod module;
pub mod needs;
pub mod pod;
pub mod policy;
pub mod request;
pub mod schema;
pub mod set;
#[cfg(test)]
mod testing;
pub mod yaml;

pub use decision::Decision;
pub use evaluation::explain::{Explanation, Part, Subject, Trace};
pub use facts::{Facts, Purpose, Reference, Sought};
pub use needs::Needs;
pub use portcullis_cel::{Extent, KubernetesVersion, Projection, tree};
pub use request::Request;
pub use set::PolicySet;
