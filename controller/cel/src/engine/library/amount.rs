//! Kubernetes' quantities (`k8s.io/apimachinery/pkg/api/resource`): decimal numbers with a suffix.
//!
//! As there, a quantity is a 64-bit number with a power of ten as long as it fits one, and a decimal of any
//! size otherwise; which of the two it is shows in whether it can be read as an integer.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Neg;

use num_bigint::{BigInt, Sign};

use super::decimal::{BINARY, Decimal, MAX_DIGITS, TooLong};

/// The suffixes that are powers of ten.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
/// What a digit can be at its finest: nanounits.
const FINEST: i32 = -9;
/// A 64-bit number holds so many digits whatever they are.
const SMALL_DIGITS: i64 = 18;
/// A quantity.
#[derive(Clone, Debug)]
pub(super) struct Amount {
    number: Number,
    format: Format,
}

/// `value * 10^exponent`.
#[derive(Clone, Debug)]
enum Number {
    Small { value: i64, exponent: i32 },
    Large(Decimal),
}

/// How a quantity was written, and will be again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `12Mi`.
    Binary,
    /// `12M`.
    Decimal,
    /// `12e6`.
    Exponent,
}

/// Why there is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AmountError {
    /// Not the form of a quantity.
    Format,
    /// No digits.
    Number,
    /// A suffix that does not exist.
    Suffix,
    /// More digits than are calculated with.
    TooLong,
}

impl From<TooLong> for AmountError {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => {
                "quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            Self::Number => "unable to parse numeric part of quantity",
            Self::Suffix => "unable to parse quantity's suffix",
            Self::TooLong => "the quantity has too many digits",
        })
    }
}

/// A quantity's text in its parts.
struct Written<'t> {
    negative: bool,
    /// The digits before the point without leading zeros.
    whole: &'t str,
    /// The digits after it.
    fraction: &'t str,
    /// Whether there is any digit, leading zeros among them.
    has_digits: bool,
    suffix: &'t str,
}

impl<'t> Written<'t> {
    fn read(text: &'t str) -> Result<Self, AmountError> {
        if text.is_empty() {
            return Err(AmountError::Format);
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let stripped = unsigned.trim_start_matches('0');
        let (whole, rest) = split_digits(stripped);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let letters = suffix.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
        let exponent = letters.strip_prefix(['-', '+']).unwrap_or(letters);
        if !split_digits(exponent).1.is_empty() {
            return Err(AmountError::Format);
        }
        // Nothing but zeros is a zero even without one.
        let has_digits = stripped.len() < unsigned.len()
            || stripped.is_empty()
            || !whole.is_empty()
            || !fraction.is_empty();
        Ok(Self { negative: text.starts_with('-'), whole, fraction, has_digits, suffix })
    }

    /// How many digits Kubernetes counts; nothing before the point counts as a zero.
    fn digits(&self) -> i64 {
        (self.whole.len().max(1) + self.fraction.len()) as i64
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}

/// A suffix: the format it belongs to, and the exponent of 10, or of 2 for a binary one.
fn interpret(suffix: &str) -> Result<(Format, i32), AmountError> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Decimal, *exponent));
    }
    if let Some(index) = BINARY.iter().position(|name| *name == suffix) {
        return Ok((Format::Binary, index as i32 * 10));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<i64>().ok());
    // Go cuts an exponent to 32 bits.
    exponent.map(|exponent| (Format::Exponent, exponent as i32)).ok_or(AmountError::Suffix)
}

impl Amount {
    /// Reads a quantity.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn parse(text: &str) -> Result<Self, AmountError> {
        if text == "0" {
            return Ok(Self { number: Number::Small { value: 0, exponent: 0 }, format: Format::Decimal });
        }
        let written = Written::read(text)?;
        let (format, exponent) = interpret(written.suffix)?;
        match written.small(format, exponent) {
            Some(number) => Ok(Self { number, format }),
            None => written.large(format, exponent),
        }
    }

    /// An integer as a quantity.
    pub(super) fn from_int(value: i64) -> Self {
        Self { number: Number::Small { value, exponent: 0 }, format: Format::Exponent }
    }

    /// -1, 0 or 1.
    pub(super) fn sign(&self) -> i64 {
        match &self.number {
            Number::Small { value, .. } => value.signum(),
            Number::Large(decimal) => match decimal.value.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
        }
    }

    /// The integer it is, if Kubernetes sees that without calculating: `1500m` and `1.5Gi` are none to it.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self.number {
            Number::Small { value, exponent } if exponent >= 0 => scale_up(value, exponent),
            _ => None,
        }
    }

    /// The nearest double that Kubernetes finds.
    pub(super) fn as_float(&self) -> f64 {
        let (base, exponent) = match &self.number {
            Number::Small { value, exponent } => (*value as f64, *exponent),
            Number::Large(decimal) => {
                (decimal.value.to_string().parse().unwrap_or(f64::NAN), decimal.exponent)
            }
        };
        if exponent == 0 { base } else { base * power_of_ten(exponent) }
    }

    /// The order of two quantities.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.decimal().compare(&other.decimal())
    }

    /// The sum; a zero takes the format of what is added.
    ///
    /// # Errors
    /// The result has too many digits.
    pub(super) fn add(&self, other: &Self) -> Result<Self, AmountError> {
        self.combine(other, i64::checked_add, |one, other| one + other)
    }

    /// The difference; a zero takes the format of what is subtracted.
    ///
    /// # Errors
    /// The result has too many digits.
    pub(super) fn sub(&self, other: &Self) -> Result<Self, AmountError> {
        let subtract = |one: i64, other: i64| one.checked_add(other.wrapping_neg());
        self.combine(other, subtract, |one, other| one - other)
    }

    fn combine(
        &self,
        other: &Self,
        small: fn(i64, i64) -> Option<i64>,
        large: fn(BigInt, BigInt) -> BigInt,
    ) -> Result<Self, AmountError> {
        let format = if self.sign() == 0 { other.format } else { self.format };
        if let (Number::Small { .. }, Number::Small { .. }) = (&self.number, &other.number)
            && let Some(number) = self.number.combine_small(&other.number, small)
        {
            return Ok(Self { number, format });
        }
        let (one, other) = (self.decimal(), other.decimal());
        let exponent = one.exponent.min(other.exponent);
        let value = large(one.with_exponent(exponent)?, other.with_exponent(exponent)?);
        Ok(Self { number: Number::Large(Decimal { value, exponent }), format })
    }

    /// The same number as a decimal of any size, which it then stays.
    pub(super) fn promoted(&self) -> Self {
        Self { number: Number::Large(self.decimal()), format: self.format }
    }

    /// Whether it is a decimal of any size.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.number, Number::Large(_))
    }

    /// The bytes of memory that its digits take.
    pub(super) fn size(&self) -> usize {
        match &self.number {
            Number::Small { .. } => 0,
            Number::Large(decimal) => usize::try_from(decimal.value.bits() / 8).unwrap_or(usize::MAX),
        }
    }

    fn decimal(&self) -> Decimal {
        match &self.number {
            Number::Small { value, exponent } => Decimal { value: (*value).into(), exponent: *exponent },
            Number::Large(decimal) => decimal.clone(),
        }
    }
}

impl Written<'_> {
    /// The number in 64 bits, where Kubernetes tries that.
    fn small(&self, format: Format, exponent: i32) -> Option<Number> {
        let (room, multiplier, scale) = match format {
            Format::Binary if !self.fraction.is_empty() => return None,
            Format::Binary => {
                let room = 15 - self.digits() - i64::from(exponent) * 3 / 10 - 1;
                (room, 1_i64.checked_shl(exponent.cast_unsigned())?, 0)
            }
            _ => (SMALL_DIGITS - self.digits(), 1, exponent),
        };
        let scale = scale.wrapping_sub(self.fraction.len() as i32);
        if room < 0 || scale < FINEST {
            return None;
        }
        let digits = format!("0{}{}", self.whole, self.fraction);
        let value = digits.parse::<i64>().ok()?.checked_mul(multiplier)?;
        Some(Number::Small { value: if self.negative { -value } else { value }, exponent: scale })
    }

    fn large(&self, format: Format, exponent: i32) -> Result<Amount, AmountError> {
        if !self.has_digits {
            return Err(AmountError::Number);
        }
        if self.digits() > MAX_DIGITS {
            return Err(AmountError::TooLong);
        }
        let digits = format!("0{}{}", self.whole, self.fraction);
        let mut value: BigInt = digits.parse().map_err(|_| AmountError::Number)?;
        let mut scale = (self.fraction.len() as i32).wrapping_neg();
        if format == Format::Binary {
            value <<= exponent.cast_unsigned();
        } else {
            scale = scale.wrapping_add(exponent);
        }
        let mut number = Decimal { value, exponent: scale };
        if number.value.sign() != Sign::NoSign {
            number = number.rounded_up(FINEST)?;
        }
        let max = Decimal { value: i64::MAX.into(), exponent: 0 };
        let one = Decimal { value: 1.into(), exponent: 0 };
        let mut format = format;
        if format == Format::Binary && number.compare(&max).is_gt() {
            number = max;
        }
        if format == Format::Binary && number.value.sign() == Sign::Plus && number.compare(&one).is_lt() {
            format = Format::Decimal;
        }
        if self.negative {
            number.value = number.value.neg();
        }
        Ok(Amount { number: Number::Large(number), format })
    }
}

impl Number {
    /// The sum or difference in 64 bits, with the smaller of the two exponents.
    fn combine_small(&self, other: &Self, combine: fn(i64, i64) -> Option<i64>) -> Option<Self> {
        let (Self::Small { value, exponent }, Self::Small { value: by, exponent: of }) = (self, other) else {
            return None;
        };
        let (value, by, exponent) = match (value, by) {
            (_, 0) => return Some(self.clone()),
            (0, by) => (0, *by, *of),
            (value, by) if exponent > of => (scale_up(*value, exponent.checked_sub(*of)?)?, *by, *of),
            (value, by) => (*value, scale_up(*by, of.checked_sub(*exponent)?)?, *exponent),
        };
        combine(value, by).map(|value| Self::Small { value, exponent })
    }
}

/// `value * 10^exponent`, if that fits.
fn scale_up(value: i64, exponent: i32) -> Option<i64> {
    if value == 0 {
        return Some(0);
    }
    10_i64.checked_pow(u32::try_from(exponent).ok()?)?.checked_mul(value)
}

/// A power of ten as Go's `math.Pow10` finds it: by two tables.
fn power_of_ten(exponent: i32) -> f64 {
    let power = |exponent: i32| format!("1e{exponent}").parse::<f64>().unwrap_or(f64::NAN);
    match exponent {
        0..=308 => power(exponent / 32 * 32) * power(exponent % 32),
        -323..=-1 => power(exponent / 32 * 32) / power(-(exponent % 32)),
        309.. => f64::INFINITY,
        _ => 0.0,
    }
}

impl fmt::Display for Amount {
    /// The canonical form: no fraction, and the largest suffix of the quantity's own format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sign() == 0 {
            return f.write_str("0");
        }
        let number = self.decimal();
        if self.format == Format::Binary
            && let Some((value, suffix)) = number.binary()
        {
            return write!(f, "{value}{suffix}");
        }
        let (value, exponent) = number.canonical();
        let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent);
        match suffix.filter(|_| self.format != Format::Exponent) {
            Some((suffix, _)) => write!(f, "{value}{suffix}"),
            None if exponent == 0 => write!(f, "{value}"),
            None => write!(f, "{value}e{exponent}"),
        }
    }
}
