//! Numbers across types: what a `double` is as an integer, and how `int`, `uint` and `double` compare.

use std::cmp::Ordering;

/// 2⁶³ and 2⁶⁴ as doubles.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// An integer of the type it fits.
pub(crate) enum Integral {
    Int(i64),
    Uint(u64),
}

/// The integer a double is, if it is one without a rest.
pub(crate) fn integral(number: f64) -> Option<Integral> {
    if number.fract() != 0.0 || !number.is_finite() {
        return None;
    }
    to_int(number)
        .filter(|int| (*int as f64).to_bits() == number.to_bits() || number == 0.0)
        .map(Integral::Int)
        .or_else(|| to_uint(number).map(Integral::Uint))
}

/// A double cut to an `int`; none outside its range, whose ends are excluded as in cel-go.
pub(crate) fn to_int(number: f64) -> Option<i64> {
    (number > -TWO_63 && number < TWO_63).then_some(number as i64)
}

/// A double cut to a `uint`; none outside its range.
pub(crate) fn to_uint(number: f64) -> Option<u64> {
    (0.0..TWO_64).contains(&number).then_some(number as u64)
}

pub(crate) fn int_double(int: i64, double: f64) -> Option<Ordering> {
    if double < -TWO_63 {
        Some(Ordering::Greater)
    } else if double > TWO_63 {
        Some(Ordering::Less)
    } else {
        (int as f64).partial_cmp(&double)
    }
}

pub(crate) fn uint_double(uint: u64, double: f64) -> Option<Ordering> {
    if double < 0.0 {
        Some(Ordering::Greater)
    } else if double > TWO_64 {
        Some(Ordering::Less)
    } else {
        (uint as f64).partial_cmp(&double)
    }
}

pub(crate) fn int_uint(int: i64, uint: u64) -> Ordering {
    i128::from(int).cmp(&i128::from(uint))
}
