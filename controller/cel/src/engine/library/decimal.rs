//! Decimal numbers of any size, as far as quantities need them.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// The suffixes that are powers of 1024, in their order.
pub(super) const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// More digits than this are not calculated with. Kubernetes has no such limit, and a few bytes of text keep it
/// busy for minutes.
pub(super) const MAX_DIGITS: i64 = 10_000;

/// `value * 10^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    pub(super) value: BigInt,
    pub(super) exponent: i32,
}

/// The number has more digits than are calculated with.
#[derive(Debug)]
pub(super) struct TooLong;

impl Decimal {
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let signs = self.value.sign().cmp(&other.value.sign());
        if signs.is_ne() || self.value.sign() == Sign::NoSign {
            return signs;
        }
        // Numbers of different lengths need not be written out.
        let (one, two) = (self.magnitude(), other.magnitude());
        if one.abs_diff(two) > 1 {
            let order = one.cmp(&two);
            return if self.value.sign() == Sign::Minus { order.reverse() } else { order };
        }
        let exponent = self.exponent.min(other.exponent);
        match (self.scaled_to(exponent), other.scaled_to(exponent)) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => one.cmp(&two),
        }
    }

    /// About how many digits there are before the point.
    fn magnitude(&self) -> i64 {
        i64::from(self.exponent) + digits_of(&self.value)
    }

    /// The value with a smaller exponent.
    pub(super) fn with_exponent(&self, exponent: i32) -> Result<BigInt, TooLong> {
        let zeros = i64::from(self.exponent) - i64::from(exponent);
        if self.value.sign() == Sign::NoSign {
            return Ok(BigInt::ZERO);
        }
        if zeros + digits_of(&self.value) > MAX_DIGITS {
            return Err(TooLong);
        }
        self.scaled_to(exponent).ok_or(TooLong)
    }

    fn scaled_to(&self, exponent: i32) -> Option<BigInt> {
        let zeros = u32::try_from(i64::from(self.exponent) - i64::from(exponent)).ok()?;
        Some(&self.value * BigInt::from(10).pow(zeros))
    }

    /// The same to so many digits, rounded away from zero.
    pub(super) fn rounded_up(&self, exponent: i32) -> Result<Self, TooLong> {
        let value = match u32::try_from(i64::from(exponent) - i64::from(self.exponent)) {
            Err(_) => self.with_exponent(exponent)?,
            Ok(cut) if i64::from(cut) > digits_of(&self.value) + 1 => sign_of(&self.value),
            Ok(cut) => {
                let unit = BigInt::from(10).pow(cut);
                let rest = &self.value % &unit;
                let away = if rest.sign() == Sign::NoSign { BigInt::ZERO } else { sign_of(&self.value) };
                &self.value / &unit + away
            }
        };
        Ok(Self { value, exponent })
    }
}

/// About how many decimal digits a number has, at most one too many.
fn digits_of(value: &BigInt) -> i64 {
    (value.bits() as f64 * std::f64::consts::LOG10_2).floor() as i64 + 1
}

fn sign_of(value: &BigInt) -> BigInt {
    match value.sign() {
        Sign::Minus => BigInt::from(-1),
        Sign::NoSign => BigInt::ZERO,
        Sign::Plus => BigInt::from(1),
    }
}

impl Decimal {
    /// Without the zeros at its end, with an exponent that is a multiple of three.
    pub(super) fn canonical(&self) -> (BigInt, i32) {
        let ten = BigInt::from(10);
        let (mut value, mut exponent) = (self.value.clone(), self.exponent);
        while value.sign() != Sign::NoSign && (&value % &ten).sign() == Sign::NoSign {
            value /= &ten;
            exponent = exponent.saturating_add(1);
        }
        while exponent % 3 != 0 {
            value *= &ten;
            exponent = exponent.saturating_sub(1);
        }
        (value, exponent)
    }

    /// With a binary suffix, if it is an integer of at least 1024.
    pub(super) fn binary(&self) -> Option<(BigInt, &'static str)> {
        let whole = self.rounded_up(0).ok()?;
        let unit = BigInt::from(1024);
        if whole.compare(self).is_ne() || whole.value.magnitude() < unit.magnitude() {
            return None;
        }
        let (mut value, mut suffix) = (whole.value, "");
        for name in BINARY.iter().skip(1) {
            if (&value % &unit).sign() != Sign::NoSign {
                break;
            }
            value /= &unit;
            suffix = name;
        }
        Some((value, suffix))
    }
}
