//! `authorizer` and what is asked of it, after apiserver's `pkg/cel/library/authz.go`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::super::cost::{self, Cost};
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::{Ty, Type};
use super::super::value::{Opaque, Value};
use super::Library;
use super::access::{
    AccessAnswer, AccessAttributes, AccessReview, AccessUser, Authorizer, ResourceAttributes,
};
use super::args::{own, text};

const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
const DECISION: &str = "kubernetes.authorization.Decision";

const ASKER_TYPE: Ty = Ty::Opaque(AUTHORIZER, &[]);
const PATH_TYPE: Ty = Ty::Opaque(PATH_CHECK, &[]);
const GROUP_TYPE: Ty = Ty::Opaque(GROUP_CHECK, &[]);
const RESOURCE_TYPE: Ty = Ty::Opaque(RESOURCE_CHECK, &[]);
const DECISION_TYPE: Ty = Ty::Opaque(DECISION, &[]);

/// An answer of the authorizer: two of them fit into what an expression may cost.
const CHECK: Cost = Cost::rule(|_, _| 350_000);
/// A list, the selector read, and a requirement for every two characters of it.
const SELECTOR: Cost = Cost::rule(|args, _| {
    let Some(selector) = args.get(1) else { return 1 };
    let requirements = cost::size(selector).div_ceil(2);
    let requirement = cost::LIST + cost::STRUCT;
    cost::LIST + cost::traversals(selector, 1) + requirements.saturating_mul(requirement)
});

pub(super) static LIBRARY: Library = Library::of(FUNCTIONS);
/// What Kubernetes 1.31 adds.
pub(super) static SELECTORS: Library = Library::of(SELECTOR_FUNCTIONS);

static FUNCTIONS: &[Function] = &[
    Function {
        name: "path",
        overloads: &[Overload::method("authorizer_path", &[ASKER_TYPE, Ty::String], PATH_TYPE, path)],
    },
    Function {
        name: "group",
        overloads: &[Overload::method("authorizer_group", &[ASKER_TYPE, Ty::String], GROUP_TYPE, group)],
    },
    Function {
        name: "serviceAccount",
        overloads: &[Overload::method(
            "authorizer_serviceaccount",
            &[ASKER_TYPE, Ty::String, Ty::String],
            ASKER_TYPE,
            service_account,
        )],
    },
    Function {
        name: "resource",
        overloads: &[Overload::method(
            "groupcheck_resource",
            &[GROUP_TYPE, Ty::String],
            RESOURCE_TYPE,
            resource,
        )],
    },
    Function {
        name: "subresource",
        overloads: &[Overload::method(
            "resourcecheck_subresource",
            &[RESOURCE_TYPE, Ty::String],
            RESOURCE_TYPE,
            |call, args| narrow(call, args, |resource, part| resource.subresource = part),
        )],
    },
    Function {
        name: "namespace",
        overloads: &[Overload::method(
            "resourcecheck_namespace",
            &[RESOURCE_TYPE, Ty::String],
            RESOURCE_TYPE,
            |call, args| narrow(call, args, |resource, part| resource.namespace = part),
        )],
    },
    Function {
        name: "name",
        overloads: &[Overload::method(
            "resourcecheck_name",
            &[RESOURCE_TYPE, Ty::String],
            RESOURCE_TYPE,
            |call, args| narrow(call, args, |resource, part| resource.name = part),
        )],
    },
    Function {
        name: "check",
        overloads: &[
            Overload::method("pathcheck_check", &[PATH_TYPE, Ty::String], DECISION_TYPE, check_path)
                .named_cost(CHECK),
            Overload::method(
                "resourcecheck_check",
                &[RESOURCE_TYPE, Ty::String],
                DECISION_TYPE,
                check_resource,
            )
            .named_cost(CHECK),
        ],
    },
    Function {
        name: "allowed",
        overloads: &[Overload::method("decision_allowed", &[DECISION_TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Decision>(args, 0)?.0.allowed))
        })],
    },
    Function {
        name: "reason",
        overloads: &[Overload::method("decision_reason", &[DECISION_TYPE], Ty::String, |call, args| {
            told(call, &own::<Decision>(args, 0)?.0.reason)
        })],
    },
    Function {
        name: "errored",
        overloads: &[Overload::method("decision_errored", &[DECISION_TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Decision>(args, 0)?.0.error.is_some()))
        })],
    },
    Function {
        name: "error",
        overloads: &[Overload::method("decision_error", &[DECISION_TYPE], Ty::String, |call, args| {
            told(call, own::<Decision>(args, 0)?.0.error.as_deref().unwrap_or_default())
        })],
    },
];

static SELECTOR_FUNCTIONS: &[Function] = &[
    Function {
        name: "fieldSelector",
        overloads: &[Overload::method(
            "authorizer_fieldselector",
            &[RESOURCE_TYPE, Ty::String],
            RESOURCE_TYPE,
            |call, args| narrow(call, args, |resource, part| resource.field_selector = part),
        )
        .named_cost(SELECTOR)],
    },
    Function {
        name: "labelSelector",
        overloads: &[Overload::method(
            "authorizer_labelselector",
            &[RESOURCE_TYPE, Ty::String],
            RESOURCE_TYPE,
            |call, args| narrow(call, args, |resource, part| resource.label_selector = part),
        )
        .named_cost(SELECTOR)],
    },
];

impl Type {
    /// The type of `authorizer`.
    #[must_use]
    pub fn authorizer() -> Self {
        Self::Opaque(AUTHORIZER, [].into())
    }

    /// The type of `authorizer.requestResource`.
    #[must_use]
    pub fn resource_check() -> Self {
        Self::Opaque(RESOURCE_CHECK, [].into())
    }
}

impl Value<'_> {
    /// The value of `authorizer`: asks on behalf of a user, or of the requester where that is not known.
    #[must_use]
    pub fn authorizer(user: Option<Arc<AccessUser>>, answers: Arc<dyn Authorizer>) -> Self {
        Self::Opaque(Arc::new(Asker { user, answers }))
    }

    /// The value of `authorizer.requestResource`: asks about the resource of the request.
    #[must_use]
    pub fn resource_check(
        user: Option<Arc<AccessUser>>,
        answers: Arc<dyn Authorizer>,
        attributes: ResourceAttributes,
    ) -> Self {
        Self::Opaque(Arc::new(ResourceCheck { asker: Asker { user, answers }, attributes }))
    }
}

#[derive(Clone, Debug)]
struct Asker {
    user: Option<Arc<AccessUser>>,
    answers: Arc<dyn Authorizer>,
}

#[derive(Debug)]
struct PathCheck {
    asker: Asker,
    path: Box<str>,
}

#[derive(Debug)]
struct GroupCheck {
    asker: Asker,
    group: Box<str>,
}

#[derive(Clone, Debug)]
struct ResourceCheck {
    asker: Asker,
    attributes: ResourceAttributes,
}

#[derive(Debug)]
struct Decision(AccessAnswer);

impl Asker {
    fn ask(&self, verb: &str, attributes: AccessAttributes) -> Result<Decision, Box<Failure>> {
        let review = AccessReview { user: self.user.clone(), verb: verb.into(), attributes };
        self.answers.answer(&review).map(Decision).ok_or_else(|| Failure::needs(&review))
    }
}

/// What has methods and nothing else: apiserver lets no two of them be compared.
macro_rules! methods_only {
    ($type:ident, $name:ident, |$value:ident| $shown:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self;
                write!(f, "{}", $shown)
            }
        }

        impl Opaque for $type {
            fn type_name(&self) -> &'static str {
                $name
            }

            fn equals(&self, _: &dyn Opaque) -> Option<bool> {
                None
            }

            fn equality_is_nominal(&self) -> bool {
                true
            }

            fn as_any(&self) -> &dyn Any {
                self
            }
        }
    };
}

methods_only!(Asker, AUTHORIZER, |asker| asker.user.as_ref().map_or("the user", |user| &user.username));
methods_only!(PathCheck, PATH_CHECK, |check| check.path);
methods_only!(GroupCheck, GROUP_CHECK, |check| check.group);
methods_only!(ResourceCheck, RESOURCE_CHECK, |check| AccessAttributes::Resource(check.attributes.clone()));
methods_only!(Decision, DECISION, |decision| if decision.0.allowed { "allowed" } else { "not allowed" });

fn path<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (asker, path) = (own::<Asker>(args, 0)?, text(args, 1)?);
    if path.trim().is_empty() {
        return Err(Failure::new("path must not be empty"));
    }
    call.meter.allocate(size_of::<PathCheck>() + path.len())?;
    Ok(Value::Opaque(Arc::new(PathCheck { asker: asker.clone(), path: path.into() })))
}

fn group<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (asker, group) = (own::<Asker>(args, 0)?, text(args, 1)?);
    call.meter.allocate(size_of::<GroupCheck>() + group.len())?;
    Ok(Value::Opaque(Arc::new(GroupCheck { asker: asker.clone(), group: group.into() })))
}

fn service_account<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (asker, namespace, name) = (own::<Asker>(args, 0)?, text(args, 1)?, text(args, 2)?);
    if !is_subdomain(name) {
        return Err(Failure::new("Invalid service account name"));
    }
    if !is_label(namespace) {
        return Err(Failure::new("Invalid service account namespace"));
    }
    call.meter.allocate(size_of::<AccessUser>() + name.len() + namespace.len() * 2)?;
    let user = Some(Arc::new(AccessUser::service_account(namespace, name)));
    Ok(Value::Opaque(Arc::new(Asker { user, answers: Arc::clone(&asker.answers) })))
}

fn resource<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (check, resource) = (own::<GroupCheck>(args, 0)?, text(args, 1)?);
    if resource.trim().is_empty() {
        return Err(Failure::new("resource must not be empty"));
    }
    call.meter.allocate(size_of::<ResourceCheck>() + resource.len() + check.group.len())?;
    let attributes = ResourceAttributes {
        group: check.group.clone(),
        resource: resource.into(),
        ..ResourceAttributes::default()
    };
    Ok(Value::Opaque(Arc::new(ResourceCheck { asker: check.asker.clone(), attributes })))
}

fn narrow<'a>(
    call: &Invocation<'_>,
    args: &[Value<'a>],
    set: fn(&mut ResourceAttributes, Box<str>),
) -> Result<Value<'a>, Box<Failure>> {
    let (check, part) = (own::<ResourceCheck>(args, 0)?, text(args, 1)?);
    call.meter.allocate(size_of::<ResourceCheck>() + part.len() + check.attributes.size())?;
    let mut check = check.clone();
    set(&mut check.attributes, part.into());
    Ok(Value::Opaque(Arc::new(check)))
}

fn check_path<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (check, verb) = (own::<PathCheck>(args, 0)?, text(args, 1)?);
    let decision = check.asker.ask(verb, AccessAttributes::Path(check.path.clone()))?;
    Ok(Value::Opaque(Arc::new(decision)))
}

fn check_resource<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (check, verb) = (own::<ResourceCheck>(args, 0)?, text(args, 1)?);
    let decision = check.asker.ask(verb, AccessAttributes::Resource(check.attributes.clone()))?;
    Ok(Value::Opaque(Arc::new(decision)))
}

fn told<'a>(call: &Invocation<'_>, text: &str) -> Result<Value<'a>, Box<Failure>> {
    call.meter.allocate(text.len())?;
    Ok(Value::text(text))
}

/// An RFC 1123 subdomain: labels, dots between them, of any length up to 253 in all.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_of_any_length)
}

/// An RFC 1123 label.
fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

fn is_label_of_any_length(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') && name.bytes().all(inside)
}
