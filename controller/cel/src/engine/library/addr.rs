//! IP addresses and prefixes as Go's `net/netip` reads them, with its messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::format::quote;

/// An address, and whether it had a zone (`%eth0`), which is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ZonedAddr {
    pub(super) addr: IpAddr,
    pub(super) zoned: bool,
}

/// An address with the number of bits that count; the rest of the address is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) addr: IpAddr,
    pub(super) bits: u8,
}

/// What is wrong, and from where on, counted in what was not read yet.
struct Wrong<'t> {
    message: &'static str,
    at: &'t str,
}

impl Wrong<'_> {
    fn nowhere(message: &'static str) -> Self {
        Self { message, at: "" }
    }
}

/// Reads an address: dotted decimal without leading zeros, or IPv6, which may have a zone.
///
/// # Errors
/// The message of `netip.ParseAddr`.
pub(super) fn parse(text: &str) -> Result<ZonedAddr, String> {
    let read = match text.bytes().find(|byte| matches!(byte, b'.' | b':' | b'%')) {
        Some(b'.') => parse_v4(text).map(|addr| ZonedAddr { addr: addr.into(), zoned: false }),
        Some(b':') => parse_v6(text),
        Some(_) => Err(Wrong::nowhere("missing IPv6 address")),
        None => Err(Wrong::nowhere("unable to parse IP")),
    };
    read.map_err(|wrong| {
        let place = if wrong.at.is_empty() { String::new() } else { format!(" (at {})", quote(wrong.at)) };
        format!("ParseAddr({}): {}{place}", quote(text), wrong.message)
    })
}

fn parse_v4(text: &str) -> Result<Ipv4Addr, Wrong<'_>> {
    let mut octets = [0_u8; 4];
    let (mut field, mut value, mut digits) = (0, 0_u16, 0);
    let mut before = '.';
    for (at, character) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        match character {
            '0'..='9' if digits == 1 && value == 0 => {
                return Err(Wrong::nowhere("IPv4 field has octet with leading zero"));
            }
            '0'..='9' => {
                value = value * 10 + (character as u16 - '0' as u16);
                digits += 1;
                if value > 255 {
                    return Err(Wrong::nowhere("IPv4 field has value >255"));
                }
            }
            '.' if before == '.' || rest.len() == 1 => {
                return Err(Wrong { message: "IPv4 field must have at least one digit", at: rest });
            }
            '.' if field == 3 => return Err(Wrong::nowhere("IPv4 address too long")),
            '.' => {
                if let Some(octet) = octets.get_mut(field) {
                    *octet = value as u8;
                }
                field += 1;
                (value, digits) = (0, 0);
            }
            _ => return Err(Wrong { message: "unexpected character", at: rest }),
        }
        before = character;
    }
    if field < 3 {
        return Err(Wrong::nowhere("IPv4 address too short"));
    }
    octets[3] = value as u8;
    Ok(octets.into())
}

fn parse_v6(text: &str) -> Result<ZonedAddr, Wrong<'_>> {
    let (mut rest, zoned) = match text.split_once('%') {
        Some((_, "")) => return Err(Wrong::nowhere("zone must be a non-empty string")),
        Some((address, _)) => (address, true),
        None => (text, false),
    };
    let mut groups: Vec<u16> = Vec::with_capacity(8);
    // How many groups stand before `::`.
    let mut ellipsis = None;
    if let Some(after) = rest.strip_prefix("::") {
        ellipsis = Some(0);
        rest = after;
    }
    while groups.len() < 8 && !(rest.is_empty() && ellipsis == Some(groups.len())) {
        let (group, after) = hex_group(rest)?;
        if after.starts_with('.') {
            if ellipsis.is_none() && groups.len() != 6 {
                let message = "embedded IPv4 address must replace the final 2 fields of the address";
                return Err(Wrong { message, at: rest });
            }
            if groups.len() > 6 {
                let message = "too many hex fields to fit an embedded IPv4 at the end of the address";
                return Err(Wrong { message, at: rest });
            }
            let [a, b, c, d] = parse_v4(rest)?.octets();
            groups.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
            rest = "";
            break;
        }
        groups.push(group);
        rest = after;
        if rest.is_empty() {
            break;
        }
        let Some(after) = rest.strip_prefix(':') else {
            return Err(Wrong { message: "unexpected character, want colon", at: rest });
        };
        if after.is_empty() {
            return Err(Wrong { message: "colon must be followed by more characters", at: rest });
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(':') {
            if ellipsis.is_some() {
                return Err(Wrong { message: "multiple :: in address", at: rest });
            }
            ellipsis = Some(groups.len());
            rest = after;
        }
    }
    if !rest.is_empty() {
        return Err(Wrong { message: "trailing garbage after address", at: rest });
    }
    let missing = 8 - groups.len();
    match (missing, ellipsis) {
        (0, None) => {}
        (0, Some(_)) => {
            return Err(Wrong::nowhere("the :: must expand to at least one field of zeros"));
        }
        (_, None) => return Err(Wrong::nowhere("address string too short")),
        (_, Some(at)) => {
            groups.splice(at..at, std::iter::repeat_n(0, missing));
        }
    }
    let groups: [u16; 8] = groups.try_into().unwrap_or_default();
    Ok(ZonedAddr { addr: Ipv6Addr::from(groups).into(), zoned })
}

/// Up to four hexadecimal digits, and what follows them.
fn hex_group(text: &str) -> Result<(u16, &str), Wrong<'_>> {
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let (group, after) = text.split_at_checked(digits).unwrap_or((text, ""));
    match digits {
        0 => Err(Wrong { message: "each colon-separated field must have at least one digit", at: text }),
        1..=4 => Ok((u16::from_str_radix(group, 16).unwrap_or_default(), after)),
        _ => Err(Wrong { message: "each group must have 4 or less digits", at: text }),
    }
}

impl Prefix {
    /// Reads an address with the length of its prefix, such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// The message of `netip.ParsePrefix`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let failed = |message: String| format!("netip.ParsePrefix({}): {message}", quote(text));
        let Some((address, bits)) = text.rsplit_once('/') else {
            return Err(failed("no '/'".to_owned()));
        };
        let ZonedAddr { addr, zoned } = parse(address).map_err(failed)?;
        if zoned {
            return Err(failed("IPv6 zones cannot be present in a prefix".to_owned()));
        }
        let number = match bits.bytes().next() {
            Some(b'1'..=b'9') => go_int(bits),
            Some(b'0') if bits.len() == 1 => Some(0),
            _ => None,
        };
        let Some(number) = number else {
            return Err(failed(format!("bad bits after slash: {}", quote(bits))));
        };
        let bits = u8::try_from(number).ok().filter(|bits| *bits <= width(addr));
        let bits = bits.ok_or_else(|| failed("prefix length out of range".to_owned()))?;
        Ok(Self { addr, bits })
    }

    /// The address with the bits beyond the prefix cleared.
    pub(super) fn masked(self) -> Self {
        let kept = |width: u8| u128::MAX.checked_shl(u32::from(width - self.bits)).unwrap_or(0);
        let addr = match self.addr {
            IpAddr::V4(addr) => Ipv4Addr::from_bits(addr.to_bits() & kept(32) as u32).into(),
            IpAddr::V6(addr) => Ipv6Addr::from_bits(addr.to_bits() & kept(128)).into(),
        };
        Self { addr, bits: self.bits }
    }

    /// Whether an address lies within.
    pub(super) fn contains(self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.addr.is_ipv4()
            && Self { addr, bits: self.bits }.masked().addr == self.masked().addr
    }
}

/// How many bits an address has.
fn width(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// Digits as a number that fits Go's `int`.
fn go_int(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
