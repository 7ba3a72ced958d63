//! `image()` and its methods.

use std::any::Any;
use std::sync::Arc;

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::{Opaque, Value};
use super::Library;
use crate::image::ImageReference;

/// The name of the type.
const IMAGE: &str = "image";

const TYPE: Ty = Ty::Opaque(IMAGE, &[]);

pub(super) static LIBRARY: Library = Library { functions: FUNCTIONS, types: &[IMAGE] };

static FUNCTIONS: &[Function] = &[
    Function {
        name: "image",
        overloads: &[Overload::function("string_to_image", &[Ty::String], TYPE, image).costs(Cost::FIRST)],
    },
    Function {
        name: "isImage",
        overloads: &[
            Overload::function("is_image_string", &[Ty::String], Ty::Bool, is_image).costs(Cost::FIRST)
        ],
    },
    Function {
        name: "string",
        overloads: &[Overload::function("image_to_string", &[TYPE], Ty::String, |call, args| {
            text(call, args, |image| image.to_string())
        })],
    },
    Function {
        name: "host",
        overloads: &[Overload::method("image_host", &[TYPE], Ty::String, |call, args| {
            text(call, args, |image| image.host().to_owned())
        })],
    },
    Function {
        name: "repository",
        overloads: &[Overload::method("image_repository", &[TYPE], Ty::String, |call, args| {
            text(call, args, |image| image.repository().to_owned())
        })],
    },
    Function {
        name: "tag",
        overloads: &[Overload::method("image_tag", &[TYPE], Ty::String, |call, args| {
            text(call, args, |image| image.tag().unwrap_or_default().to_owned())
        })],
    },
    Function {
        name: "digest",
        overloads: &[Overload::method("image_digest", &[TYPE], Ty::String, |call, args| {
            text(call, args, |image| image.digest().unwrap_or_default().to_owned())
        })],
    },
    Function {
        name: "isQualified",
        overloads: &[Overload::method("image_is_qualified", &[TYPE], Ty::Bool, is_qualified)],
    },
    Function {
        name: "isUnder",
        overloads: &[Overload::method("image_is_under_string", &[TYPE, Ty::String], Ty::Bool, is_under)
            .costs(Cost::SECOND)],
    },
];

impl Opaque for ImageReference {
    fn type_name(&self) -> &'static str {
        IMAGE
    }

    /// Two references are equal when their normalised forms are.
    fn equals(&self, other: &dyn Opaque) -> Option<bool> {
        other.as_any().downcast_ref::<Self>().map(|other| {
            self.host() == other.host()
                && self.repository() == other.repository()
                && self.tag() == other.tag()
                && self.digest() == other.digest()
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn reference<'v>(value: Option<&'v Value<'_>>) -> Result<&'v ImageReference, Box<Failure>> {
    match value {
        Some(Value::Opaque(value)) => value.as_any().downcast_ref().ok_or_else(Failure::no_such_overload),
        _ => Err(Failure::no_such_overload()),
    }
}

fn image<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let text = args.first().and_then(Value::as_str).ok_or_else(Failure::no_such_overload)?;
    call.meter.allocate(text.len())?;
    let image = ImageReference::parse(text).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Value::Opaque(Arc::new(image)))
}

fn is_image<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let text = args.first().and_then(Value::as_str).ok_or_else(Failure::no_such_overload)?;
    Ok(Value::Bool(ImageReference::is_valid(text)))
}

fn text<'a>(
    call: &Invocation<'_>,
    args: &[Value<'a>],
    part: fn(&ImageReference) -> String,
) -> Result<Value<'a>, Box<Failure>> {
    let text = part(reference(args.first())?);
    call.meter.allocate(text.len())?;
    Ok(Value::text(text))
}

fn is_qualified<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    Ok(Value::Bool(reference(args.first())?.is_qualified()))
}

fn is_under<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let image = reference(args.first())?;
    let prefix = args.get(1).and_then(Value::as_str).ok_or_else(Failure::no_such_overload)?;
    image.is_under(prefix).map(Value::Bool).map_err(|error| Failure::new(error.to_string()))
}
