//! Doubles as `golang.org/x/text/message` writes them in American English, which cel-go's `format` leaves it to.

/// The digits behind the point where nothing else is asked for.
const DIGITS: usize = 6;
/// A precision that Go's parser of formats takes for none at all, and the verb behind it too.
const TOO_LARGE: u64 = 10_000_010;
/// What Go writes for a format without a verb.
const NO_VERB: &str = "%!(NOVERB)";

/// A double with so many digits behind the point, and with commas between the thousands before it.
pub(super) fn fixed(number: f64, digits: Option<u64>) -> String {
    let asked = digits.unwrap_or(DIGITS as u64);
    if asked >= TOO_LARGE {
        return NO_VERB.to_owned();
    }
    if let Some(special) = special(number) {
        return special;
    }
    // The most digits are kept in 16 bits and the fewest in 8, whatever was asked for.
    let least = usize::from((asked & 0xFF) as u8);
    let written = match usize::try_from((asked & 0xFFFF) as u16 as i16) {
        Ok(most) => format!("{:.most$}", number.abs()),
        Err(_) => number.abs().to_string(),
    };
    let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut text = if number < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if least > 0 || !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
        text.extend(std::iter::repeat_n('0', least.saturating_sub(fraction.len())));
    }
    text
}

/// A double as a power of ten. cel-go writes six digits and takes the precision for the width.
pub(super) fn scientific(number: f64, width: Option<u64>) -> String {
    let asked = width.unwrap_or(DIGITS as u64);
    if asked >= TOO_LARGE {
        return NO_VERB.to_owned();
    }
    let text = special(number).unwrap_or_else(|| {
        // The sign of zero is not written.
        let number = if number == 0.0 { 0.0 } else { number };
        let written = format!("{number:.DIGITS$e}");
        let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |exponent| ("⁻", exponent));
        let raised = format!("{exponent:0>2}").chars().map(superscript).collect::<String>();
        format!("{digits}×10{sign}{raised}")
    });
    let width = usize::from((asked & 0xFFFF) as u16);
    format!("{text:>width$}")
}

fn special(number: f64) -> Option<String> {
    if number.is_nan() {
        return Some("NaN".to_owned());
    }
    number.is_infinite().then(|| if number > 0.0 { "∞" } else { "-∞" }.to_owned())
}

fn superscript(digit: char) -> char {
    match digit {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        _ => '⁹',
    }
}
