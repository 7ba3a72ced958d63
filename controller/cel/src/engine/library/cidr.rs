//! `cidr()` and the methods of network prefixes, after apiserver's `pkg/cel/library/cidr.go` and
//! `pkg/cel/cidr.go`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::super::cost::{self, Cost};
use super::super::failure::Failure;
use super::super::format::quote;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::{Opaque, Value};
use super::Library;
use super::addr::Prefix;
use super::args::{own, same, text};
use super::ip::{self, Ip};

/// The name of the type.
const CIDR: &str = "net.CIDR";

const TYPE: Ty = Ty::Opaque(CIDR, &[]);

/// The prefix compared on both sides.
const CONTAINS: Cost = Cost::rule(|args, _| contains_cost(args));
/// The same, and the other argument read.
const READ_AND_CONTAINS: Cost = Cost::rule(|args, _| contains_cost(args) + read_cost(args, 1));
/// The prefix masked and compared.
const WITHIN: Cost = Cost::rule(|args, _| within_cost(args));
/// The same, and the other argument read.
const READ_AND_WITHIN: Cost = Cost::rule(|args, _| within_cost(args) + read_cost(args, 1));

fn contains_cost(args: &[Value<'_>]) -> u64 {
    args.first().map_or(1, |cidr| cost::traversals(cidr, 2))
}

fn within_cost(args: &[Value<'_>]) -> u64 {
    contains_cost(args) + read_cost(args, 0) + 1
}

fn read_cost(args: &[Value<'_>], index: usize) -> u64 {
    args.get(index).map_or(1, |value| cost::traversals(value, 1))
}

// Where the type of the second argument is not known, it costs as a value does that need not be read: those
// overloads come first.
pub(super) static LIBRARY: Library = Library { functions: FUNCTIONS, types: &[CIDR] };

static FUNCTIONS: &[Function] = &[
    Function {
        name: "cidr",
        overloads: &[Overload::function("string_to_cidr", &[Ty::String], TYPE, cidr).named_cost(Cost::FIRST)],
    },
    Function {
        name: "isCIDR",
        overloads: &[Overload::function("is_cidr", &[Ty::String], Ty::Bool, |_, args| {
            Ok(Value::Bool(parse(text(args, 0)?).is_ok()))
        })
        .named_cost(Cost::FIRST)],
    },
    Function {
        name: "containsIP",
        overloads: &[
            Overload::method("cidr_contains_ip_ip", &[TYPE, ip::TYPE], Ty::Bool, contains_ip)
                .named_cost(CONTAINS),
            Overload::method("cidr_contains_ip_string", &[TYPE, Ty::String], Ty::Bool, contains_ip_string)
                .named_cost(READ_AND_CONTAINS),
        ],
    },
    Function {
        name: "containsCIDR",
        overloads: &[
            Overload::method("cidr_contains_cidr", &[TYPE, TYPE], Ty::Bool, contains_cidr).named_cost(WITHIN),
            Overload::method(
                "cidr_contains_cidr_string",
                &[TYPE, Ty::String],
                Ty::Bool,
                contains_cidr_string,
            )
            .named_cost(READ_AND_WITHIN),
        ],
    },
    Function {
        name: "ip",
        overloads: &[Overload::method("cidr_ip", &[TYPE], ip::TYPE, |call, args| {
            call.meter.allocate(size_of::<Ip>())?;
            Ok(Value::Opaque(Arc::new(Ip(own::<Cidr>(args, 0)?.0.addr))))
        })],
    },
    Function {
        name: "prefixLength",
        overloads: &[Overload::method("cidr_prefix_length", &[TYPE], Ty::Int, |_, args| {
            Ok(Value::Int(own::<Cidr>(args, 0)?.0.bits.into()))
        })],
    },
    Function {
        name: "masked",
        overloads: &[Overload::method("cidr_masked", &[TYPE], TYPE, |call, args| {
            call.meter.allocate(size_of::<Cidr>())?;
            Ok(Value::Opaque(Arc::new(Cidr(own::<Cidr>(args, 0)?.0.masked()))))
        })],
    },
    Function {
        name: "string",
        overloads: &[Overload::function("cidr_to_string", &[TYPE], Ty::String, |call, args| {
            let text = own::<Cidr>(args, 0)?.to_string();
            call.meter.allocate(text.len())?;
            Ok(Value::text(text))
        })],
    },
];

/// A network prefix; its address may have bits beyond the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cidr(Prefix);

impl Cidr {
    fn contains(self, other: Self) -> bool {
        self.0.bits <= other.0.bits && self.0.contains(other.0.addr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.addr, self.0.bits)
    }
}

impl Opaque for Cidr {
    fn type_name(&self) -> &'static str {
        CIDR
    }

    fn equals(&self, other: &dyn Opaque) -> Option<bool> {
        same::<Self>(other).map(|other| self == other)
    }

    /// The bytes of its prefix.
    fn cost_size(&self) -> u64 {
        u64::from(self.0.bits).div_ceil(8)
    }

    fn equality_is_nominal(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Reads a prefix that is not IPv4 written as IPv6.
fn parse(text: &str) -> Result<Cidr, String> {
    let prefix = Prefix::parse(text)
        .map_err(|error| format!("network address parse error during conversion from string: {error}"))?;
    if ip::is_mapped(prefix.addr) {
        return Err(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text)));
    }
    Ok(Cidr(prefix))
}

/// The same, with the words that apiserver puts before the message once more.
fn parse_or_fail(text: &str) -> Result<Cidr, Box<Failure>> {
    let failed = |error| format!("network address parse error during conversion from string: {error}");
    parse(text).map_err(failed).map_err(Failure::new)
}

fn cidr<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    call.meter.allocate(size_of::<Cidr>())?;
    Ok(Value::Opaque(Arc::new(parse_or_fail(text(args, 0)?)?)))
}

fn contains_ip<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (cidr, ip) = (own::<Cidr>(args, 0)?, own::<Ip>(args, 1)?);
    Ok(Value::Bool(cidr.0.contains(ip.0)))
}

/// apiserver does not say what is wrong with the address.
fn contains_ip_string<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (cidr, text) = (own::<Cidr>(args, 0)?, text(args, 1)?);
    let ip = ip::parse(text).map_err(|_| Failure::new("no such overload"))?;
    Ok(Value::Bool(cidr.0.contains(ip.0)))
}

fn contains_cidr<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    Ok(Value::Bool(own::<Cidr>(args, 0)?.contains(*own::<Cidr>(args, 1)?)))
}

fn contains_cidr_string<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let (cidr, text) = (own::<Cidr>(args, 0)?, text(args, 1)?);
    Ok(Value::Bool(cidr.contains(parse_or_fail(text)?)))
}
