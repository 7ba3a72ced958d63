//! The documents that policy ConfigMaps hold, as written: checked for shape, not yet compiled.
//!
//! [`read_manifest`] finds the ConfigMaps in a file, [`read_config_map`] reads what one holds. Every error
//! of a document is collected, each with its field, its position in the key's text and in the file.

mod binding;
mod code;
mod config_map;
mod error;
mod exception;
mod expressions;
mod fields;
mod live;
mod lookups;
mod manifest;
mod match_resources;
mod metadata;
mod names;
mod params;
mod params_schema;
mod policy;
mod shape;
#[cfg(test)]
mod tests;
mod wasm;

pub use code::Code;
pub use config_map::{Identity, Outcome, ReadDocument, Salvage, read_config_map};
pub use error::{DocumentError, Origin};
pub(crate) use fields::{child_path, enumeration, near_miss};
pub use live::read_live_config_map;
pub use manifest::{ConfigMap, EXCEPTIONS_LABEL, Manifest, POLICY_LABEL, read_documents, read_manifest};
pub(crate) use names::dns_1035_label;
pub use params_schema::ParamsSchema;
pub(crate) use params_schema::SchemaType;
pub use shape::{
    BindingDocument, Dialect, EVERY_NAMESPACE, ExceptionDocument, Expression, Given, LabelSelector, Lookup,
    MatchPods, MatchResources, Matching, NamedExpression, OnUpdate, ParamKind, ParamRef, ParamSelect, Params,
    Place, PolicyDocument, Requirement, ResourceRule, Scope, SelectorOperator, Subject, Validation,
};
pub use wasm::{ModuleReads, Wasm};

/// API group of our own documents.
const GROUP: &str = "portcullis.dev";

/// API group of Kubernetes' policies.
const KUBERNETES_GROUP: &str = "admissionregistration.k8s.io";

/// One document of a policy ConfigMap.
#[derive(Debug, Clone)]
pub enum Document {
    /// `Policy` (portcullis.dev/v1) or `ValidatingAdmissionPolicy` (admissionregistration.k8s.io/v1).
    Policy(Box<PolicyDocument>),
    /// `ValidatingAdmissionPolicyBinding`.
    Binding(Box<BindingDocument>),
    /// `PolicyException`.
    Exception(Box<ExceptionDocument>),
}
