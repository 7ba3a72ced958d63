//! What timestamps and durations are made of. Without a zone a timestamp is read in UTC.

use super::super::failure::Failure;
use super::super::format::NANOS;
use super::super::registry::{Function, Overload};
use super::super::time::Civil;
use super::super::types::Ty;
use super::super::value::Value;

/// A getter of timestamps, with and without a zone; the last argument is what it does with a duration.
macro_rules! getter {
    ($name:literal, $id:literal, $part:expr, $unit:expr) => {
        Function {
            name: $name,
            overloads: &[
                Overload::method(concat!("timestamp_to_", $id), &[Ty::Timestamp], Ty::Int, |_, args| {
                    part(args, $part, $unit)
                }),
                Overload::method(
                    concat!("timestamp_to_", $id, "_with_tz"),
                    &[Ty::Timestamp, Ty::String],
                    Ty::Int,
                    |_, args| part(args, $part, $unit),
                ),
                Overload::method(concat!("duration_to_", $id), &[Ty::Duration], Ty::Int, |_, args| {
                    part(args, $part, $unit)
                }),
            ],
        }
    };
    ($name:literal, $id:literal, $part:expr) => {
        Function {
            name: $name,
            overloads: &[
                Overload::method(concat!("timestamp_to_", $id), &[Ty::Timestamp], Ty::Int, |_, args| {
                    part(args, $part, 0)
                }),
                Overload::method(
                    concat!("timestamp_to_", $id, "_with_tz"),
                    &[Ty::Timestamp, Ty::String],
                    Ty::Int,
                    |_, args| part(args, $part, 0),
                ),
            ],
        }
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    getter!("getFullYear", "year", |civil, _| civil.year),
    getter!("getMonth", "month", |civil, _| civil.month - 1),
    getter!("getDayOfYear", "day_of_year", |civil, _| civil.day_of_year),
    getter!("getDayOfMonth", "day_of_month", |civil, _| civil.day - 1),
    getter!("getDate", "day_of_month_1_based", |civil, _| civil.day),
    getter!("getDayOfWeek", "day_of_week", |civil, _| civil.weekday),
    getter!("getHours", "hours", |civil, _| civil.hour, 3_600 * NANOS),
    getter!("getMinutes", "minutes", |civil, _| civil.minute, 60 * NANOS),
    getter!("getSeconds", "seconds", |civil, _| civil.second, NANOS),
    getter!("getMilliseconds", "milliseconds", |_, nanoseconds| nanoseconds / MILLION, MILLION),
];

/// Nanoseconds in a millisecond.
const MILLION: i64 = 1_000_000;

/// A part of a timestamp, or how often a unit of so many nanoseconds goes into a duration.
fn part<'a>(args: &[Value<'a>], part: fn(&Civil, i64) -> i64, unit: i64) -> Result<Value<'a>, Box<Failure>> {
    let (time, offset) = match args {
        [Value::Timestamp(time)] => (time, 0),
        [Value::Timestamp(time), Value::Text(zone)] => {
            (time, time.offset_in(zone.as_str()).map_err(Failure::new)?)
        }
        [Value::Duration(length)] if unit == MILLION => return Ok(Value::Int(length / unit)),
        // Go counts these in floating point, which rounds the last nanoseconds of a long time up.
        [Value::Duration(length)] if unit > 0 => {
            let units = (length / unit) as f64 + (length % unit) as f64 / unit as f64;
            return Ok(Value::Int(units as i64));
        }
        _ => return Err(Failure::no_such_overload()),
    };
    Ok(Value::Int(part(&time.civil(offset), time.nanoseconds().into())))
}
