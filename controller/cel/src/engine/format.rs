//! Numbers, durations and quoted strings as Go writes and reads them.

/// A double as Go's `%g` writes it: the shortest digits that read back the same, with an exponent below
/// 1e-4 and from 1e+06 on.
pub(crate) fn double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..GENERAL_PRECISION).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Where `%g` turns to an exponent when the digits are the shortest.
const GENERAL_PRECISION: i32 = 6;

/// A duration of nanoseconds as `string()` gives it: seconds, through a double as cel-go does.
pub(crate) fn duration(nanoseconds: i64) -> String {
    let seconds = (nanoseconds / NANOS) as f64 + (nanoseconds % NANOS) as f64 / 1e9;
    format!("{seconds}s")
}

/// Nanoseconds in a second.
pub(crate) const NANOS: i64 = 1_000_000_000;

/// Reads a duration as Go's `time.ParseDuration` does: `1h30m`, `-1.5s`, `100µs`.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    let mut rest = rest;
    while !rest.is_empty() {
        let (value, left) = parse_term(rest)?;
        total = total.checked_add(value).filter(|total| *total <= 1 << 63)?;
        rest = left;
    }
    if negative {
        return if total == 1 << 63 { Some(i64::MIN) } else { i64::try_from(total).ok().map(|total| -total) };
    }
    i64::try_from(total).ok()
}

/// One number with its unit, and what follows.
fn parse_term(text: &str) -> Option<(u64, &str)> {
    let whole = text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole_digits, mut rest) = text.split_at_checked(whole)?;
    let mut fraction_digits = "";
    if let Some(after) = rest.strip_prefix('.') {
        let length = after.bytes().take_while(u8::is_ascii_digit).count();
        (fraction_digits, rest) = after.split_at_checked(length)?;
    }
    if whole_digits.is_empty() && fraction_digits.is_empty() {
        return None;
    }
    let length = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (name, rest) = rest.split_at_checked(length)?;
    let unit: u64 = match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole: u64 = if whole_digits.is_empty() { 0 } else { whole_digits.parse().ok()? };
    let mut value = whole.checked_mul(unit).filter(|value| *value <= 1 << 63)?;
    if !fraction_digits.is_empty() {
        let (mut number, mut scale) = (0_u64, 1_f64);
        for digit in fraction_digits.bytes() {
            // Digits beyond what Go's integers hold count for nothing.
            if number > i64::MAX as u64 / 10 || number * 10 + u64::from(digit - b'0') > 1 << 63 {
                break;
            }
            number = number * 10 + u64::from(digit - b'0');
            scale *= 10.0;
        }
        value = value.checked_add((number as f64 * (unit as f64 / scale)) as u64)?;
    }
    (value <= 1 << 63).then_some((value, rest))
}

/// Reads a double as Go's `strconv.ParseFloat` does; a number too large for one is an error.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let says_infinity = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    (number.is_finite() || number.is_nan() || says_infinity).then_some(number)
}

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A string between double quotes as Go's `%q` writes it: what cannot be printed is escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0C' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0B' => quoted.push_str("\\v"),
            '\0'..='\x1F' | '\x7F' => quoted.push_str(&format!("\\x{:02x}", character as u32)),
            ' '..='~' => quoted.push(character),
            _ if is_printed(character) => quoted.push(character),
            '\0'..='\u{FFFF}' => quoted.push_str(&format!("\\u{:04x}", character as u32)),
            _ => quoted.push_str(&format!("\\U{:08x}", character as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character has a shape of its own. Rust's debug output goes by the same classes of Unicode, but
/// for combining characters at the beginning.
fn is_printed(character: char) -> bool {
    let mut after_another = String::from('-');
    after_another.push(character);
    after_another.escape_debug().count() == 2
}
