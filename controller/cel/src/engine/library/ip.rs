//! `ip()` and the methods of IP addresses, after apiserver's `pkg/cel/library/ip.go` and `pkg/cel/ip.go`.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::super::cost::{self, Cost};
use super::super::failure::Failure;
use super::super::format::quote;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::{Opaque, Value};
use super::Library;
use super::addr::{self, ZonedAddr};
use super::args::{own, same, text};

/// The name of the type.
const IP: &str = "net.IP";

pub(super) const TYPE: Ty = Ty::Opaque(IP, &[]);

pub(super) static LIBRARY: Library = Library { functions: FUNCTIONS, types: &[IP] };

static FUNCTIONS: &[Function] = &[
    Function {
        name: "ip",
        overloads: &[Overload::function("string_to_ip", &[Ty::String], TYPE, ip).named_cost(Cost::FIRST)],
    },
    Function {
        name: "isIP",
        overloads: &[Overload::function("is_ip", &[Ty::String], Ty::Bool, |_, args| {
            Ok(Value::Bool(parse(text(args, 0)?).is_ok()))
        })
        .named_cost(Cost::FIRST)],
    },
    Function {
        name: "ip.isCanonical",
        overloads: &[Overload::function("ip_is_canonical", &[Ty::String], Ty::Bool, is_canonical)
            .named_cost(Cost::rule(|args, _| args.first().map_or(1, |text| cost::traversals(text, 2))))],
    },
    Function {
        name: "string",
        overloads: &[Overload::function("ip_to_string", &[TYPE], Ty::String, to_string)],
    },
    Function { name: "family", overloads: &[Overload::method("ip_family", &[TYPE], Ty::Int, family)] },
    Function {
        name: "isUnspecified",
        overloads: &[Overload::method("ip_is_unspecified", &[TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Ip>(args, 0)?.0.is_unspecified()))
        })],
    },
    Function {
        name: "isLoopback",
        overloads: &[Overload::method("ip_is_loopback", &[TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Ip>(args, 0)?.0.is_loopback()))
        })],
    },
    Function {
        name: "isLinkLocalMulticast",
        overloads: &[Overload::method("ip_is_link_local_multicast", &[TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Ip>(args, 0)?.is_link_local_multicast()))
        })],
    },
    Function {
        name: "isLinkLocalUnicast",
        overloads: &[Overload::method("ip_is_link_local_unicast", &[TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Ip>(args, 0)?.is_link_local_unicast()))
        })],
    },
    Function {
        name: "isGlobalUnicast",
        overloads: &[Overload::method("ip_is_global_unicast", &[TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Ip>(args, 0)?.is_global_unicast()))
        })],
    },
];

/// An IP address without a zone, and never IPv4 written as IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ip(pub(super) IpAddr);

impl Ip {
    /// 224.0.0.0/24 (RFC 5771) and ff02::/16 with any flags (RFC 4291).
    fn is_link_local_multicast(self) -> bool {
        match self.0 {
            IpAddr::V4(addr) => matches!(addr.octets(), [224, 0, 0, _]),
            IpAddr::V6(addr) => addr.segments()[0] & 0xff0f == 0xff02,
        }
    }

    fn is_link_local_unicast(self) -> bool {
        match self.0 {
            IpAddr::V4(addr) => addr.is_link_local(),
            IpAddr::V6(addr) => addr.is_unicast_link_local(),
        }
    }

    /// As Go's `netip` says it: private addresses are global too.
    fn is_global_unicast(self) -> bool {
        let special = self.0.is_unspecified() || self.0.is_loopback() || self.0.is_multicast();
        !special && !self.is_link_local_unicast() && self.0 != Ipv4Addr::BROADCAST
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Opaque for Ip {
    fn type_name(&self) -> &'static str {
        IP
    }

    fn equals(&self, other: &dyn Opaque) -> Option<bool> {
        same::<Self>(other).map(|other| self == other)
    }

    /// Its bytes.
    fn cost_size(&self) -> u64 {
        if self.0.is_ipv4() { 4 } else { 16 }
    }

    fn equality_is_nominal(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Reads an address that has no zone and is not IPv4 written as IPv6.
///
/// # Errors
/// apiserver's message.
pub(super) fn parse(text: &str) -> Result<Ip, String> {
    let ZonedAddr { addr, zoned } = addr::parse(text).map_err(|error| {
        format!("IP Address {} parse error during conversion from string: {error}", quote(text))
    })?;
    if zoned {
        return Err(format!("IP address {} with zone value is not allowed", quote(text)));
    }
    if is_mapped(addr) {
        return Err(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text)));
    }
    Ok(Ip(addr))
}

/// Whether it is an IPv4 address written as IPv6.
pub(super) fn is_mapped(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.to_ipv4_mapped().is_some())
}

fn ip<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    call.meter.allocate(size_of::<Ip>())?;
    let ip = parse(text(args, 0)?).map_err(Failure::new)?;
    Ok(Value::Opaque(Arc::new(ip)))
}

fn is_canonical<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let text = text(args, 0)?;
    let ip = parse(text).map_err(Failure::new)?;
    Ok(Value::Bool(ip.to_string() == text))
}

fn to_string<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let text = own::<Ip>(args, 0)?.to_string();
    call.meter.allocate(text.len())?;
    Ok(Value::text(text))
}

fn family<'a>(_: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    Ok(Value::Int(if own::<Ip>(args, 0)?.0.is_ipv4() { 4 } else { 6 }))
}
