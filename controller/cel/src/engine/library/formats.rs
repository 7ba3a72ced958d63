//! `format.named()` and the formats of its names, after apiserver's `pkg/cel/library/format.go`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::super::cost::{self, Cost};
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::{Opaque, Value};
use super::args::{own, same, text};
use super::{Library, names};

/// The name of the type.
const FORMAT: &str = "kubernetes.NamedFormat";

const TYPE: Ty = Ty::Opaque(FORMAT, &[]);
const REASONS: Ty = Ty::Optional(&Ty::List(&Ty::String));

/// A format that strings can be held to.
struct Format {
    /// The name that an expression calls it by.
    called: &'static str,
    /// The name it has itself, by which formats are equal.
    name: &'static str,
    /// The length of the pattern that apiserver takes it for when it counts the cost.
    pattern: u64,
    /// What is wrong with a string.
    validate: fn(&str) -> Vec<String>,
}

static FORMATS: &[Format] = &[
    Format {
        called: "dns1123Label",
        name: "DNS1123Label",
        pattern: 30,
        validate: |name| names::label(name, false),
    },
    Format {
        called: "dns1123Subdomain",
        name: "DNS1123Subdomain",
        pattern: 60,
        validate: |name| names::subdomain(name, false),
    },
    Format {
        called: "dns1035Label",
        name: "DNS1035Label",
        pattern: 30,
        validate: |name| names::service_label(name, false),
    },
    Format { called: "qualifiedName", name: "QualifiedName", pattern: 60, validate: names::qualified },
    Format {
        called: "dns1123LabelPrefix",
        name: "DNS1123LabelPrefix",
        pattern: 30,
        validate: |name| names::label(name, true),
    },
    Format {
        called: "dns1123SubdomainPrefix",
        name: "DNS1123SubdomainPrefix",
        pattern: 60,
        validate: |name| names::subdomain(name, true),
    },
    Format {
        called: "dns1035LabelPrefix",
        name: "DNS1035LabelPrefix",
        pattern: 30,
        validate: |name| names::service_label(name, true),
    },
    Format { called: "labelValue", name: "LabelValue", pattern: 40, validate: names::label_value },
    Format { called: "uri", name: "URI", pattern: 1_103, validate: names::uri },
    Format { called: "uuid", name: "uuid", pattern: 70, validate: names::uuid },
    Format { called: "byte", name: "byte", pattern: 84, validate: names::base64 },
    Format { called: "date", name: "date", pattern: 71, validate: names::date },
    Format { called: "datetime", name: "datetime", pattern: 71, validate: names::datetime },
];

/// The function that gives a format by its own name.
macro_rules! named {
    ($name:literal) => {
        Function {
            name: concat!("format.", $name),
            overloads: &[Overload::function(concat!("format.", $name), &[], TYPE, |_, _| {
                find($name).ok_or_else(Failure::no_such_overload)
            })],
        }
    };
}

pub(super) static LIBRARY: Library = Library::of(&[
    Function {
        name: "format.named",
        overloads: &[Overload::function("format-named", &[Ty::String], Ty::Optional(&TYPE), |_, args| {
            Ok(find(text(args, 0)?).map_or(Value::Optional(None), Value::some))
        })],
    },
    Function {
        name: "validate",
        overloads: &[Overload::method("format-validate", &[TYPE, Ty::String], REASONS, validate)
            .named_cost(Cost::rule(cost_of_validate))],
    },
    named!("dns1123Label"),
    named!("dns1123Subdomain"),
    named!("dns1035Label"),
    named!("qualifiedName"),
    named!("dns1123LabelPrefix"),
    named!("dns1123SubdomainPrefix"),
    named!("dns1035LabelPrefix"),
    named!("labelValue"),
    named!("uri"),
    named!("uuid"),
    named!("byte"),
    named!("date"),
    named!("datetime"),
]);

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Opaque for &'static Format {
    fn type_name(&self) -> &'static str {
        FORMAT
    }

    fn equals(&self, other: &dyn Opaque) -> Option<bool> {
        same::<Self>(other).map(|other| self.name == other.name)
    }

    fn equality_is_nominal(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn find<'a>(called: &str) -> Option<Value<'a>> {
    let format = FORMATS.iter().find(|format| format.called == called)?;
    Some(Value::Opaque(Arc::new(format)))
}

fn cost_of_validate<'a>(args: &[Value<'a>], _: &Result<Value<'a>, Box<Failure>>) -> u64 {
    match own::<&'static Format>(args, 0) {
        Ok(format) => cost::pattern(args.get(1).map_or(1, cost::size), format.pattern),
        Err(_) => 1,
    }
}

fn validate<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (format, given) = (own::<&'static Format>(args, 0)?, text(args, 1)?);
    let reasons = (format.validate)(given);
    call.meter.allocate_list(reasons.len())?;
    for reason in &reasons {
        call.meter.allocate(reason.len())?;
    }
    if reasons.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(reasons.into_iter().map(Value::text).collect())))
}
