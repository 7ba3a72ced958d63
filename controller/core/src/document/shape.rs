//! What documents say, as written: checked for shape, not yet compiled.

use super::{ParamsSchema, Wasm};
use crate::decision::Reason;
use crate::policy::{Actions, FailurePolicy};
use crate::yaml::{Position, TextPlace};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Whose rules a policy follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// `Policy`: ours, a superset.
    Portcullis,
    /// `ValidatingAdmissionPolicy`: exactly Kubernetes'.
    Kubernetes,
}

impl Dialect {
    /// The dialect of a policy's kind.
    pub fn of_kind(kind: &str) -> Option<Self> {
        [Self::Portcullis, Self::Kubernetes].into_iter().find(|dialect| dialect.kind() == kind)
    }

    /// The document's kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Portcullis => "Policy",
            Self::Kubernetes => "ValidatingAdmissionPolicy",
        }
    }
}

/// A place in a document: the field's path and the position in the text of the ConfigMap's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Such as `spec.validations[0].expression`.
    pub field: String,
    /// Where the value begins.
    pub position: Position,
}

/// A CEL expression as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// The source text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// Where its characters stand in the key's text.
    pub at: TextPlace,
}

/// A policy as written.
#[derive(Debug, Clone)]
pub struct PolicyDocument {
    /// Ours or Kubernetes'.
    pub dialect: Dialect,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Where `metadata.name` stands.
    pub place: Place,
    /// `failurePolicy`; Fail if absent.
    pub failure_policy: FailurePolicy,
    /// `matchPods` or `matchConstraints`.
    pub matching: Matching,
    /// `matchConditions`.
    pub match_conditions: Vec<NamedExpression>,
    /// `lookups`: other objects that expressions may read; none in a ValidatingAdmissionPolicy.
    pub lookups: Vec<Lookup>,
    /// `variables`, in order: each sees the earlier ones.
    pub variables: Vec<NamedExpression>,
    /// `validations`.
    pub validations: Vec<Validation>,
    /// `wasm`: what judges in place of validations.
    pub wasm: Option<Wasm>,
    /// `auditAnnotations`: key and valueExpression.
    pub audit_annotations: Vec<NamedExpression>,
    /// `paramKind`.
    pub param_kind: Option<ParamKind>,
    /// `paramsSchema`, if it is sound.
    pub params_schema: Option<ParamsSchema>,
    /// `params`, `paramRef` or neither: what bindings without their own inherit.
    pub params: Params,
    /// `validationActions`: required in a Policy, absent in a ValidatingAdmissionPolicy.
    pub actions: Option<Actions>,
    /// A Policy's own `bindings`; empty means one implicit binding.
    pub bindings: Vec<BindingDocument>,
    /// `onUpdate`; always `Always` in a ValidatingAdmissionPolicy.
    pub on_update: OnUpdate,
    /// `audit.validations`: used by audits where the full ones are undecidable.
    pub audit_validations: Option<Vec<Validation>>,
}

/// The value of `namespace` in a look-up that means all of them.
pub const EVERY_NAMESPACE: &str = "*";

/// An entry of `lookups`: other objects, which expressions read as the list `lookups.NAME`.
///
/// | field | meaning |
/// |---|---|
/// | `name` | a CEL identifier, unique in the policy |
/// | `apiVersion`, `kind` | of which kind the objects are |
/// | `namespace` or `namespaceExpression` | where they are; `*` for everywhere if it is a value; absent or empty for the namespace of the request |
/// | `objectName` or `objectNameExpression` | the one of this name; an empty or null result looks up nothing |
/// | `selector` or `selectorExpression` | those with such labels; the result is a map of labels, all of which must be there |
/// | `kindNotFoundAction` | `Allow` to find nothing where the cluster has no such kind; `Deny`, the default, for an error |
///
/// Without name and selector it is every object of the kind. Expressions read `object`, `oldObject`, `request`, `params`,
/// `namespaceObject` and the views of Pods. Of Secrets only `metadata` is to be had.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// `name`.
    pub name: String,
    /// Where the entry stands.
    pub place: Place,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `namespace` or `namespaceExpression`.
    pub namespace: Option<Given<String>>,
    /// `objectName` or `objectNameExpression`.
    pub object_name: Option<Given<String>>,
    /// `selector` or `selectorExpression`.
    pub selector: Option<Given<LabelSelector>>,
    /// `kindNotFoundAction: Allow`.
    pub optional: bool,
}

/// What is given as a value or as an expression.
#[derive(Debug, Clone)]
pub enum Given<T, E = Expression> {
    /// The value.
    Value(T),
    /// What gives it.
    Expression(E),
}

impl<T, E> Given<T, E> {
    /// What gives it, if it is no value.
    pub fn expression(&self) -> Option<&E> {
        match self {
            Self::Value(_) => None,
            Self::Expression(expression) => Some(expression),
        }
    }
}

/// What a policy matches.
#[derive(Debug, Clone)]
pub enum Matching {
    /// `matchConstraints`.
    Constraints(MatchResources),
    /// `matchPods`: Pods and everything that carries a Pod template.
    Pods(MatchPods),
}

/// `matchConstraints` of a policy or `matchResources` of a binding.
#[derive(Debug, Clone, Default)]
pub struct MatchResources {
    /// `namespaceSelector`; empty matches all.
    pub namespace_selector: LabelSelector,
    /// `objectSelector`; empty matches all.
    pub object_selector: LabelSelector,
    /// `resourceRules`.
    pub resource_rules: Vec<ResourceRule>,
    /// `excludeResourceRules`.
    pub exclude_resource_rules: Vec<ResourceRule>,
    /// `matchPolicy: Exact`; Equivalent is the default.
    pub exact: bool,
}

/// `matchPods`.
#[derive(Debug, Clone, Default)]
pub struct MatchPods {
    /// `kinds`: such as `Pod`, `Deployment`, `CronJob`; empty means all of them.
    pub kinds: Vec<String>,
    /// `namespaceSelector`.
    pub namespace_selector: LabelSelector,
    /// `objectSelector`: the labels of the object itself.
    pub object_selector: LabelSelector,
    /// `podSelector`: the labels of the Pod or its template.
    pub pod_selector: LabelSelector,
}

/// `NamedRuleWithOperations`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceRule {
    /// `apiGroups`; `*` matches all.
    pub api_groups: Vec<String>,
    /// `apiVersions`; `*` matches all.
    pub api_versions: Vec<String>,
    /// `operations`; empty stands for `*`.
    pub operations: Vec<crate::request::Operation>,
    /// `resources`: `pods`, `pods/exec`, `pods/*`, `*/scale`, `*`, `*/*`.
    pub resources: Vec<String>,
    /// `resourceNames`; empty matches all.
    pub resource_names: Vec<String>,
    /// `scope`.
    pub scope: Scope,
}

/// `scope` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// `*`.
    #[default]
    All,
    /// `Namespaced`.
    Namespaced,
    /// `Cluster`; Namespaces themselves are cluster-scoped.
    Cluster,
}

/// `metav1.LabelSelector`; empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// `matchLabels` and `matchExpressions`, all of which must hold.
    pub requirements: Vec<Requirement>,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it is compared.
    pub operator: SelectorOperator,
}

/// `LabelSelectorOperator` with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectorOperator {
    /// The label is there with one of these values.
    In(Vec<String>),
    /// The label is absent or has none of these values.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// A named expression: a variable, a matchCondition, an audit annotation.
#[derive(Debug, Clone)]
pub struct NamedExpression {
    /// The name or key.
    pub name: String,
    /// The expression.
    pub expression: Expression,
}

/// One entry of `validations`.
#[derive(Debug, Clone)]
pub struct Validation {
    /// Must evaluate to true.
    pub expression: Expression,
    /// `forEach`: a list; `expression` is judged for each element as `each`.
    pub for_each: Option<Expression>,
    /// `fieldPath`: a CEL string, for lists whose elements' paths are not known.
    pub field_path: Option<Expression>,
    /// `message`, trimmed.
    pub message: Option<String>,
    /// `messageExpression`.
    pub message_expression: Option<Expression>,
    /// `reason`; Invalid if absent.
    pub reason: Reason,
}

/// `paramKind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamKind {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
}

/// Where `params` come from.
#[derive(Debug, Clone, Default)]
pub enum Params {
    /// Neither `params` nor `paramRef`: null.
    #[default]
    None,
    /// `params`: inline values, already checked against `paramsSchema`.
    Inline(Json),
    /// `paramRef`.
    Ref(ParamRef),
}

/// `paramRef`.
#[derive(Debug, Clone)]
pub struct ParamRef {
    /// By name or by selector.
    pub select: ParamSelect,
    /// `namespace`; the request's if absent and the kind is namespaced.
    pub namespace: Option<String>,
    /// `parameterNotFoundAction: Allow`; Deny otherwise.
    pub allow_not_found: bool,
}

/// `paramRef.name` or `paramRef.selector`.
#[derive(Debug, Clone)]
pub enum ParamSelect {
    /// Exactly this object.
    Name(String),
    /// Every object that matches.
    Selector(LabelSelector),
}

/// A `ValidatingAdmissionPolicyBinding`, or an entry of a Policy's `bindings`.
#[derive(Debug, Clone)]
pub struct BindingDocument {
    /// The binding's name.
    pub name: String,
    /// `policyName`; in a Policy's own bindings, that policy.
    pub policy_name: String,
    /// Where the name stands.
    pub place: Place,
    /// `validationActions`; a Policy's own binding may leave them to the policy.
    pub actions: Option<Actions>,
    /// `matchResources`; absent matches all that the policy matches.
    pub match_resources: Option<MatchResources>,
    /// `params` or `paramRef`; `None` leaves them to the policy.
    pub params: Params,
}

/// `onUpdate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUpdate {
    /// An UPDATE that changes nothing the policy reads is skipped.
    #[default]
    Changed,
    /// Every UPDATE is judged.
    Always,
}

/// A `PolicyException`.
#[derive(Debug, Clone)]
pub struct ExceptionDocument {
    /// `metadata.name`.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// `spec.policies`: names, or `*`.
    pub policies: Vec<String>,
    /// Where they stand.
    pub policies_at: Place,
    /// `match.kinds`: `Kind` of the core group or `Kind.group`.
    pub kinds: Vec<String>,
    /// `match.namespaces`: names or globs.
    pub namespaces: Vec<String>,
    /// `match.names`: globs.
    pub names: Vec<String>,
    /// `match.images`: prefixes as `isUnder` reads them.
    pub images: Vec<String>,
    /// `match.subjects`.
    pub subjects: Vec<Subject>,
    /// `reason`.
    pub reason: String,
    /// `expiresAt`.
    pub expires_at: Option<jiff::Timestamp>,
}

/// `rbac.authorization.k8s.io/v1` Subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `kind: User`.
    User(String),
    /// `kind: Group`.
    Group(String),
    /// `kind: ServiceAccount`.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}
