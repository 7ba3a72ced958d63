//! `url()` and the methods of URLs, after apiserver's `pkg/cel/library/urls.go` and `pkg/cel/url.go`.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::map::{Key, MapValue};
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::{Opaque, Text, Value};
use super::Library;
use super::args::{own, same, text};
use super::go_url::Url;

/// The name of the type.
const URL: &str = "kubernetes.URL";

const TYPE: Ty = Ty::Opaque(URL, &[]);
const PARAMETERS: Ty = Ty::Map(&Ty::String, &Ty::List(&Ty::String));

pub(super) static LIBRARY: Library = Library::of(FUNCTIONS);

static FUNCTIONS: &[Function] = &[
    Function {
        name: "url",
        overloads: &[Overload::function("string_to_url", &[Ty::String], TYPE, url).named_cost(Cost::FIRST)],
    },
    Function {
        name: "isURL",
        overloads: &[Overload::function("is_url_string", &[Ty::String], Ty::Bool, |call, args| {
            let text = text(args, 0)?;
            call.meter.allocate(text.len())?;
            Ok(Value::Bool(Url::check_request(text).is_ok()))
        })],
    },
    Function {
        name: "getScheme",
        overloads: &[Overload::method("url_get_scheme", &[TYPE], Ty::String, |call, args| {
            part(call, args, |url| url.scheme().to_owned())
        })],
    },
    Function {
        name: "getHost",
        overloads: &[Overload::method("url_get_host", &[TYPE], Ty::String, |call, args| {
            part(call, args, |url| url.host().into_owned())
        })],
    },
    Function {
        name: "getHostname",
        overloads: &[Overload::method("url_get_hostname", &[TYPE], Ty::String, |call, args| {
            part(call, args, |url| url.host_and_port().0)
        })],
    },
    Function {
        name: "getPort",
        overloads: &[Overload::method("url_get_port", &[TYPE], Ty::String, |call, args| {
            part(call, args, |url| url.host_and_port().1)
        })],
    },
    Function {
        name: "getEscapedPath",
        overloads: &[Overload::method("url_get_escaped_path", &[TYPE], Ty::String, |call, args| {
            part(call, args, Url::escaped_path)
        })],
    },
    Function {
        name: "getQuery",
        overloads: &[Overload::method("url_get_query", &[TYPE], PARAMETERS, get_query)],
    },
];

impl Opaque for Url {
    fn type_name(&self) -> &'static str {
        URL
    }

    fn equals(&self, other: &dyn Opaque) -> Option<bool> {
        same::<Self>(other).map(|other| self.to_string() == other.to_string())
    }

    fn equality_is_nominal(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A URL is checked as a request has it, then read once more with its fragment.
fn url<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let text = text(args, 0)?;
    call.meter.allocate(size_of::<Url>() + text.len() * 2)?;
    let url = Url::check_request(text).and_then(|()| Url::parse(text));
    let url =
        url.map_err(|error| Failure::new(format!("URL parse error during conversion from string: {error}")))?;
    Ok(Value::Opaque(Arc::new(url)))
}

fn part<'a>(
    call: &Invocation<'_>,
    args: &[Value<'a>],
    part: fn(&Url) -> String,
) -> Result<Value<'a>, Box<Failure>> {
    let part = part(own::<Url>(args, 0)?);
    call.meter.allocate(part.len())?;
    Ok(Value::text(part))
}

fn get_query<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let mut parameters: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for (name, value) in own::<Url>(args, 0)?.query() {
        call.meter.allocate(name.len() + value.len())?;
        call.meter.allocate_list(2)?;
        parameters.entry(name).or_default().push(Value::text(value));
    }
    let entry = |(name, values): (String, Vec<Value<'a>>)| {
        (Key::Text(Text::Shared(name.into())), Value::list(values))
    };
    Ok(Value::map(parameters.into_iter().map(entry).collect::<MapValue<'a>>()))
}
