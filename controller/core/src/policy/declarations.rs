//! What the expressions of a policy may name, and of which types: `request` and `namespaceObject` as the API
//! server declares them, inline `params` by their values or their schema.

use super::Input;
use crate::document::{Dialect, Matching, Params, ParamsSchema, PolicyDocument, SchemaType};
use portcullis_cel::{Environment, KubernetesVersion, ObjectType, Type};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The variable in which `variables` are found.
pub(super) const VARIABLES: &str = "variables";

/// What every expression of a policy may name in a version of Kubernetes, but for its variables and elements.
pub(super) fn environment(policy: &PolicyDocument, version: KubernetesVersion) -> Environment {
    let mut environment = Environment::kubernetes(version)
        .with_variable("object", Type::Dyn)
        .with_variable("oldObject", Type::Dyn)
        .with_variable("request", Type::Object(request()))
        .with_variable("namespaceObject", Type::Object(namespace()))
        .with_variable(Input::Authorizer.name(), Type::authorizer())
        .with_variable(Input::RequestResource.name(), Type::resource_check());
    if let Some(params) = params(policy) {
        environment = environment.with_variable("params", params);
    }
    if matches!(policy.matching, Matching::Pods(_)) {
        environment = environment
            .with_variable("podSpec", Type::Dyn)
            .with_variable("podMetadata", Type::Dyn)
            .with_variable("oldPodSpec", Type::Dyn)
            .with_variable("containers", Type::list(Type::Dyn))
            .with_variable("images", Type::list(Type::Object(image())));
    }
    let environment = environment.with_variable(VARIABLES, Type::Object(ObjectType::new(VARIABLES, [])));
    match policy.dialect {
        Dialect::Portcullis => environment.with_extensions(),
        Dialect::Kubernetes => environment,
    }
}

/// `BuildRequestType` of apiserver's `pkg/admission/plugin/cel/compile.go`: an AdmissionRequest without `uid`,
/// `object` and `oldObject`.
fn request() -> Arc<ObjectType> {
    let kind = ObjectType::new("kubernetes.GroupVersionKind", strings(&["group", "version", "kind"]));
    let resource =
        ObjectType::new("kubernetes.GroupVersionResource", strings(&["group", "version", "resource"]));
    let extra = Type::map(Type::String, Type::list(Type::String));
    let groups = Type::list(Type::String);
    let user = strings(&["username", "uid"]).chain([("groups", groups), ("extra", extra)]);
    let user = ObjectType::new("kubernetes.UserInfo", user);
    let names = ["subResource", "requestSubResource", "name", "namespace", "operation"];
    let fields = strings(&names).chain([
        ("kind", Type::Object(Arc::clone(&kind))),
        ("resource", Type::Object(Arc::clone(&resource))),
        ("requestKind", Type::Object(kind)),
        ("requestResource", Type::Object(resource)),
        ("userInfo", Type::Object(user)),
        ("dryRun", Type::Bool),
        ("options", Type::Dyn),
    ]);
    ObjectType::new("kubernetes.AdmissionRequest", fields)
}

/// `BuildNamespaceType` of the same file. Its `UID` is spelt so there, and therefore never has a value.
fn namespace() -> Arc<ObjectType> {
    let finalizers = || ("finalizers", Type::list(Type::String));
    let texts = || Type::map(Type::String, Type::String);
    let names = ["name", "generateName", "namespace", "UID", "resourceVersion"];
    let metadata = strings(&names).chain([
        ("labels", texts()),
        ("annotations", texts()),
        ("creationTimestamp", Type::Timestamp),
        ("deletionTimestamp", Type::Timestamp),
        ("deletionGracePeriodSeconds", Type::Int),
        ("generation", Type::Int),
        finalizers(),
    ]);
    let metadata = ObjectType::new("kubernetes.NamespaceMetadata", metadata);
    let spec = ObjectType::new("kubernetes.NamespaceSpec", [finalizers()]);
    let condition =
        strings(&["status", "type", "message", "reason"]).chain([("lastTransitionTime", Type::Timestamp)]);
    let condition = ObjectType::new("kubernetes.NamespaceCondition", condition);
    let status = [("conditions", Type::list(Type::Object(condition))), ("phase", Type::String)];
    let status = ObjectType::new("kubernetes.NamespaceStatus", status);
    let fields = [
        ("metadata", Type::Object(metadata)),
        ("spec", Type::Object(spec)),
        ("status", Type::Object(status)),
    ];
    ObjectType::new("kubernetes.Namespace", fields)
}

/// An element of `images`.
fn image() -> Arc<ObjectType> {
    ObjectType::new("image", strings(&["reference", "source", "container"]))
}

fn strings<'n>(names: &'n [&'n str]) -> impl Iterator<Item = (&'n str, Type)> {
    names.iter().map(|name| (*name, Type::String))
}

/// The type of `params`; `None` if the policy has none. Objects of a cluster may hold anything.
fn params(policy: &PolicyDocument) -> Option<Type> {
    if policy.dialect == Dialect::Kubernetes {
        return policy.param_kind.as_ref().map(|_| Type::Dyn);
    }
    let of_bindings = policy.bindings.iter().map(|binding| &binding.params);
    let given: Vec<&Params> = std::iter::once(&policy.params).chain(of_bindings).collect();
    if given.iter().any(|params| matches!(params, Params::Ref(_))) {
        return Some(Type::Dyn);
    }
    if let Some(schema) = &policy.params_schema {
        return Some(of_schema(schema, "params"));
    }
    let inline = given.into_iter().filter_map(|params| match params {
        Params::Inline(value) => Some(Inferred::of(value)),
        _ => None,
    });
    inline.reduce(Inferred::join).map(|inferred| inferred.into_type("params"))
}

/// What values have in common.
enum Inferred {
    /// Nothing, or nothing known.
    Anything,
    /// An empty list's element.
    Unseen,
    Bool,
    Int,
    Double,
    String,
    List(Box<Inferred>),
    Object(BTreeMap<String, Inferred>),
}

impl Inferred {
    fn of(value: &Json) -> Self {
        match value {
            Json::Null => Self::Anything,
            Json::Bool(_) => Self::Bool,
            Json::Number(number) if number.is_f64() => Self::Double,
            // What does not fit an `int` is something else when it is read.
            Json::Number(number) if number.as_i64().is_none() => Self::Anything,
            Json::Number(_) => Self::Int,
            Json::String(_) => Self::String,
            Json::Array(items) => {
                let joined = items.iter().map(Self::of).fold(Self::Unseen, Self::join);
                Self::List(Box::new(joined))
            }
            Json::Object(fields) => {
                Self::Object(fields.iter().map(|(name, value)| (name.clone(), Self::of(value))).collect())
            }
        }
    }

    /// What two values have in common; of objects, every field that either has.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unseen, known) | (known, Self::Unseen) => known,
            (Self::Bool, Self::Bool) => Self::Bool,
            (Self::Int, Self::Int) => Self::Int,
            (Self::Double, Self::Double) => Self::Double,
            (Self::String, Self::String) => Self::String,
            (Self::List(one), Self::List(other)) => Self::List(Box::new(one.join(*other))),
            (Self::Object(mut fields), Self::Object(others)) => {
                for (name, other) in others {
                    let joined = match fields.remove(&name) {
                        Some(known) => known.join(other),
                        None => other,
                    };
                    fields.insert(name, joined);
                }
                Self::Object(fields)
            }
            _ => Self::Anything,
        }
    }

    /// As the checker has it. Objects are named by their path, which tells them apart.
    fn into_type(self, path: &str) -> Type {
        match self {
            Self::Anything | Self::Unseen => Type::Dyn,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Double => Type::Double,
            Self::String => Type::String,
            Self::List(element) => Type::list(element.into_type(&format!("{path}[]"))),
            Self::Object(fields) => {
                let fields: Vec<(String, Type)> = fields
                    .into_iter()
                    .map(|(name, value)| {
                        let below = format!("{path}.{name}");
                        (name, value.into_type(&below))
                    })
                    .collect();
                object(path, &fields)
            }
        }
    }
}

/// An object whose fields are known, and which may be used as a map as well: nothing tells which is meant.
fn object(path: &str, fields: &[(String, Type)]) -> Type {
    let mut values = fields.iter().map(|(_, kind)| kind);
    let entries = match values.next() {
        Some(first) if values.all(|kind| kind == first) => first.clone(),
        _ => Type::Dyn,
    };
    let fields = fields.iter().map(|(name, kind)| (name.as_str(), kind.clone()));
    Type::Object(ObjectType::map_like(path, fields, entries))
}

/// What a schema allows. A number may be an `int` as well as a `double`.
fn of_schema(schema: &ParamsSchema, path: &str) -> Type {
    match schema.kind() {
        SchemaType::Boolean => Type::Bool,
        SchemaType::Integer => Type::Int,
        SchemaType::Number => Type::Dyn,
        SchemaType::String => Type::String,
        SchemaType::Array => {
            let element = schema.items().map(|items| of_schema(items, &format!("{path}[]")));
            Type::list(element.unwrap_or(Type::Dyn))
        }
        SchemaType::Object => {
            let others = match schema.additional() {
                Some(schema) => Some(of_schema(schema, &format!("{path}.*"))),
                None if schema.is_open() => Some(Type::Dyn),
                None => None,
            };
            let fields: Vec<(String, Type)> = schema
                .properties()
                .map(|(name, schema)| (name.to_owned(), of_schema(schema, &format!("{path}.{name}"))))
                .collect();
            match others {
                // What may be called anything can be selected by any name.
                Some(others) if fields.is_empty() => Type::map(Type::String, others),
                Some(_) => Type::map(Type::String, Type::Dyn),
                None => object(path, &fields),
            }
        }
    }
}

/// How the type of a variable is known to the expressions that use it.
///
/// Kubernetes keeps those of scalars, lists and maps alone (`convertCelTypeToDeclType` of `composition.go`).
pub(super) fn of_variable(dialect: Dialect, kind: &Type) -> Type {
    if dialect == Dialect::Portcullis {
        return kind.clone();
    }
    match kind {
        Type::Null
        | Type::Bool
        | Type::Int
        | Type::Uint
        | Type::Double
        | Type::String
        | Type::Bytes
        | Type::Duration
        | Type::Timestamp => kind.clone(),
        Type::List(element) => Type::list(of_variable(dialect, element)),
        Type::Map(map) => Type::map(of_variable(dialect, &map.0), of_variable(dialect, &map.1)),
        _ => Type::Dyn,
    }
}
