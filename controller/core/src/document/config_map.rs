//! What one ConfigMap holds: each document is decoded by itself, so that one broken document never affects
//! another.

use super::fields::{Field, Fields, Problems, near_miss};
use super::manifest::place_in;
use super::metadata;
use super::{
    BindingDocument, Code, ConfigMap, Dialect, Document, DocumentError, EXCEPTIONS_LABEL, GROUP,
    KUBERNETES_GROUP, Origin, Place, PolicyDocument, binding, exception, policy,
};
use crate::yaml::{self, Node, Text, TextPlace};

/// One document as it was read.
#[derive(Debug, Clone)]
pub struct ReadDocument {
    /// Where it stands.
    pub origin: Origin,
    /// Kind and name, where they could be read.
    pub identity: Option<Identity>,
    /// The text that it was read from, parsed; `None` if that cannot be parsed.
    pub node: Option<Node>,
    /// The document, or what is wrong with it.
    pub outcome: Outcome,
}

impl ReadDocument {
    /// Whether it is one of Kubernetes', which are in force wherever they stand.
    pub fn is_of_kubernetes(&self) -> bool {
        let api_version = self.node.as_ref().and_then(|node| node.get("apiVersion")).and_then(Node::as_str);
        crate::request::split_api_version(api_version.unwrap_or_default()).0 == KUBERNETES_GROUP
    }
}

/// What tells documents apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Such as `Policy`.
    pub kind: &'static str,
    /// `metadata.name`.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
}

/// What became of a document.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is sound.
    Document(Document),
    /// It is broken.
    Broken {
        /// Everything that is wrong, in the order of the text; at least one.
        errors: Vec<DocumentError>,
        /// What of it still counts.
        salvage: Option<Salvage>,
        /// A policy as far as it could be read, for whoever wants to say more about it.
        partial: Option<Box<PolicyDocument>>,
    },
}

/// What of a broken document can be told, so that it still counts.
#[derive(Debug, Clone)]
pub enum Salvage {
    /// A policy whose name, failurePolicy, matching, actions and bindings could be read: it can still follow its
    /// failurePolicy for what it matches. The rest of it is whatever could be read, and must not be evaluated.
    Policy(Box<PolicyDocument>),
    /// A ValidatingAdmissionPolicyBinding whose policy is known, which must not be as if it had no binding. What it
    /// matches is left out unless it is sound, its actions are `Deny` unless they are.
    Binding(Box<BindingDocument>),
}

/// Reads every document of every key, in order.
pub fn read_config_map(config_map: &ConfigMap) -> Vec<ReadDocument> {
    config_map.data.iter().flat_map(|(key, text)| read_key(config_map, key, text)).collect()
}

fn read_key(config_map: &ConfigMap, key: &str, text: &Text) -> Vec<ReadDocument> {
    let origin = |document| Origin {
        file: config_map.file.clone(),
        namespace: config_map.namespace.clone(),
        config_map: config_map.name.clone(),
        key: key.to_owned(),
        document,
        text: config_map.file.is_some().then(|| text.place.clone()),
    };
    let documents = yaml::read(&text.text);
    if documents.is_empty() {
        let origin = origin(0);
        let error = DocumentError {
            code: Code::Document,
            file_position: origin.text.as_ref().map(TextPlace::start),
            origin: origin.clone(),
            name: None,
            place: None,
            message: "holds no document".to_owned(),
            hint: None,
        };
        let outcome = Outcome::Broken { errors: vec![error], salvage: None, partial: None };
        return vec![ReadDocument { origin, identity: None, node: None, outcome }];
    }
    documents
        .into_iter()
        .zip(1..)
        .map(|(document, number)| {
            let origin = origin(number);
            match document {
                Ok(node) if config_map.exceptions_only && !is_exception(&node) => no_exception(origin, node),
                Ok(node) => read_document(origin, node),
                Err(error) => {
                    let errors = vec![DocumentError::unreadable(&origin, &text.text, &error)];
                    let outcome = Outcome::Broken { errors, salvage: None, partial: None };
                    ReadDocument { origin, identity: None, node: None, outcome }
                }
            }
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Policy(Dialect),
    Binding,
    Exception,
}

/// Group, version, kind as it is reported, and what it is.
const KINDS: [(&str, &str, &str, Kind); 4] = [
    (GROUP, "v1", "Policy", Kind::Policy(Dialect::Portcullis)),
    (GROUP, "v1", "PolicyException", Kind::Exception),
    (KUBERNETES_GROUP, "v1", "ValidatingAdmissionPolicy", Kind::Policy(Dialect::Kubernetes)),
    (KUBERNETES_GROUP, "v1", "ValidatingAdmissionPolicyBinding", Kind::Binding),
];

/// Whether a document is one of those that policy ConfigMaps hold.
pub(super) fn is_ours(node: &Node) -> bool {
    let text = |key| node.get(key).and_then(Node::as_str).unwrap_or_default();
    let (group, _) = crate::request::split_api_version(text("apiVersion"));
    KINDS.iter().any(|(known, _, kind, _)| *known == group && *kind == text("kind"))
}

fn is_exception(node: &Node) -> bool {
    node.get("kind").and_then(Node::as_str) == Some("PolicyException")
}

/// A document that its ConfigMap may not hold. Nothing of it is in force, not even its failurePolicy: whoever
/// wrote it may not write policies.
fn no_exception(origin: Origin, node: Node) -> ReadDocument {
    let message = format!("a ConfigMap labelled `{EXCEPTIONS_LABEL}` holds PolicyExceptions only");
    let hint = "move it to a ConfigMap without that label".to_owned();
    let error = DocumentError {
        hint: Some(hint),
        ..DocumentError::at(&origin, None, place_in(&node, "kind"), message)
    };
    let outcome = Outcome::Broken { errors: vec![error], salvage: None, partial: None };
    ReadDocument { origin, identity: None, node: Some(node), outcome }
}

/// Reads one document, wherever it stands.
pub(super) fn read_document(origin: Origin, node: Node) -> ReadDocument {
    let problems = Problems::default();
    let mut identity = None;
    let mut document = None;
    let (mut salvage, mut partial) = (None, None);
    let root = Field::root(&node, &problems).fields();
    if let Some((root, (name, kind))) = root.and_then(|root| kind(&root).map(|kind| (root, kind))) {
        let kubernetes = !matches!(kind, Kind::Policy(Dialect::Portcullis) | Kind::Exception);
        let metadata = metadata::read(&root, kubernetes);
        identity = metadata.as_ref().map(|metadata| Identity {
            kind: name,
            name: metadata.name.clone(),
            place: metadata.place.clone(),
        });
        match kind {
            Kind::Policy(dialect) => {
                if let Some(decoded) = policy::read(&root, metadata, dialect, &problems) {
                    salvage = decoded.salvageable.then(|| Salvage::Policy(Box::new(decoded.policy.clone())));
                    partial = Some(Box::new(decoded.policy));
                }
            }
            Kind::Binding => {
                if let Some(binding) = binding::kubernetes(&root, metadata, &problems) {
                    salvage = Some(Salvage::Binding(Box::new(binding.clone())));
                    document = Some(Document::Binding(Box::new(binding)));
                }
            }
            Kind::Exception => {
                document = exception::read(&root, metadata).map(|it| Document::Exception(Box::new(it)));
            }
        }
        if kubernetes {
            root.ignore(&["status"]);
        }
        root.finish();
    }
    let name = identity.as_ref().map(|identity| identity.name.as_str());
    let errors: Vec<DocumentError> = problems
        .sorted()
        .into_iter()
        .map(|problem| DocumentError {
            hint: problem.hint,
            ..DocumentError::at(&origin, name, problem.place, problem.message)
        })
        .collect();
    let outcome = match (document, partial) {
        (Some(document), _) if errors.is_empty() => Outcome::Document(document),
        (_, Some(policy)) if errors.is_empty() => Outcome::Document(Document::Policy(policy)),
        (_, partial) => Outcome::Broken { errors, salvage, partial },
    };
    ReadDocument { origin, identity, node: Some(node), outcome }
}

/// The document's kind by `apiVersion` and `kind`.
fn kind(root: &Fields<'_>) -> Option<(&'static str, Kind)> {
    let api_version = root.required("apiVersion").and_then(|field| Some((field.string()?, field)));
    let kind = root.required("kind").and_then(|field| Some((field.string()?, field)));
    let ((version_text, version_field), (kind_text, kind_field)) = (api_version?, kind?);
    let versions = [format!("{GROUP}/v1"), format!("{KUBERNETES_GROUP}/v1")];
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let known: Vec<&str> = KINDS.iter().map(|(_, _, kind, _)| *kind).collect();
    let of_kind = KINDS.iter().find(|(_, _, kind, _)| *kind == kind_text);
    let Some((group, version, name, kind)) = of_kind else {
        let hint = near_miss(kind_text, &known)
            .unwrap_or_else(|| format!("a policy ConfigMap holds {}", super::fields::alternatives(&known)));
        kind_field.refuse_with_hint(format!("unknown kind `{kind_text}`"), hint);
        return None;
    };
    let expected = format!("{group}/{version}");
    if version_text != expected {
        let hint = format!("`{name}` is of `{expected}`");
        let what = if versions.contains(&version_text) { "wrong" } else { "unknown" };
        version_field.refuse_with_hint(format!("{what} apiVersion `{version_text}`"), hint);
        return None;
    }
    Some((name, *kind))
}
