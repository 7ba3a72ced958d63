//! Points in time: reading and writing RFC 3339 as Go does, arithmetic, and the calendar in a zone.

use std::fmt;
use std::sync::LazyLock;

use jiff::tz::TimeZoneDatabase;

use super::format::NANOS;

/// The first and the last second of the years 1 to 9999, from the Unix epoch.
const MIN_SECONDS: i64 = -62_135_596_800;
const MAX_SECONDS: i64 = 253_402_300_799;
const DAY: i64 = 86_400;

/// The zones compiled into the program, so that no file is read.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A point in time between the years 1 and 9999, with the offset it was written with.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
    /// Seconds east of UTC; only for writing it out again.
    offset: i32,
}

/// A date and time of day in some zone.
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    /// From 0, which is 1 January.
    pub(crate) day_of_year: i64,
    /// From 0, which is Sunday.
    pub(crate) weekday: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.instant() == other.instant()
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.instant().cmp(&other.instant())
    }
}

impl Timestamp {
    /// Seconds and nanoseconds since the Unix epoch, in UTC; none outside the years 1 to 9999.
    #[must_use]
    pub fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        let fits = (MIN_SECONDS..=MAX_SECONDS).contains(&seconds) && i64::from(nanoseconds) < NANOS;
        fits.then_some(Self { seconds, nanoseconds, offset: 0 })
    }

    /// Seconds since the Unix epoch, rounded down.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// The nanoseconds after [`seconds`](Self::seconds).
    #[must_use]
    pub fn nanoseconds(&self) -> u32 {
        self.nanoseconds
    }

    fn instant(&self) -> (i64, u32) {
        (self.seconds, self.nanoseconds)
    }

    /// Later by some nanoseconds; none outside the range.
    pub(crate) fn add(&self, nanoseconds: i64) -> Option<Self> {
        let total = i64::from(self.nanoseconds) + nanoseconds % NANOS;
        let seconds = self.seconds.checked_add(nanoseconds / NANOS)?.checked_add(total.div_euclid(NANOS))?;
        let rest = u32::try_from(total.rem_euclid(NANOS)).ok()?;
        Some(Self { offset: self.offset, ..Self::new(seconds, rest)? })
    }

    /// The nanoseconds since another point in time; none if they are too many for a duration.
    pub(crate) fn since(&self, other: &Self) -> Option<i64> {
        let seconds = self.seconds.checked_sub(other.seconds)?.checked_mul(NANOS)?;
        seconds.checked_add(i64::from(self.nanoseconds) - i64::from(other.nanoseconds))
    }

    /// The calendar so many seconds east of UTC.
    pub(crate) fn civil(&self, offset: i64) -> Civil {
        let local = self.seconds + offset;
        let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, day) = date(days);
        Civil {
            year,
            month,
            day,
            day_of_year: days - days_before(year, 1, 1),
            weekday: (days + 4).rem_euclid(7),
            hour: second / 3_600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    /// Seconds east of UTC at this time in a zone, as `getHours(zone)` names it: a name of the IANA
    /// database or an offset such as `-08:00`.
    pub(crate) fn offset_in(&self, zone: &str) -> Result<i64, String> {
        if let Some((hours, minutes)) = zone.split_once(':') {
            let number = |text: &str| {
                text.parse::<i64>().map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
            };
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            let signed = if zone.starts_with('-') { -minutes } else { minutes };
            let total = hours.checked_mul(60).and_then(|total| total.checked_add(signed));
            return total
                .and_then(|total| total.checked_mul(60))
                .filter(|total| total.abs() <= 366 * DAY)
                .ok_or_else(|| format!("time zone offset out of range: {zone}"));
        }
        if matches!(zone, "" | "UTC" | "Local") {
            return Ok(0);
        }
        // What Go refuses before it looks the zone up.
        if zone.starts_with(['/', '\\']) || zone.contains("..") {
            return Err("time: invalid location name".to_owned());
        }
        let unknown = || format!("unknown time zone {zone}");
        let found = ZONES.get(zone).map_err(|_| unknown())?;
        if found.iana_name() != Some(zone) {
            return Err(unknown());
        }
        // The last day that Go knows is beyond jiff's; no zone changes on it.
        let (first, last) = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
        let instant = jiff::Timestamp::new(self.seconds.clamp(first, last), 0).map_err(|_| unknown())?;
        Ok(i64::from(found.to_offset(instant).seconds()))
    }

    /// Reads RFC 3339 as Go's `time.Parse` does: an hour may have one digit, a fraction may follow a comma.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let (seconds, nanoseconds, offset) = parse(text).ok_or(ParseError::Syntax)?;
        let parsed = Self::new(seconds, nanoseconds).ok_or(ParseError::Range)?;
        Ok(Self { offset, ..parsed })
    }
}

/// Why a timestamp cannot be read.
pub(crate) enum ParseError {
    Syntax,
    Range,
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with as many digits of a second as it has, in the zone it was written in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.civil(self.offset.into());
        write!(f, "{:04}-{:02}-{:02}T", at.year, at.month, at.day)?;
        write!(f, "{:02}:{:02}:{:02}", at.hour, at.minute, at.second)?;
        if self.nanoseconds > 0 {
            let digits = format!("{:09}", self.nanoseconds);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let (sign, minutes) = (if self.offset < 0 { '-' } else { '+' }, self.offset.unsigned_abs() / 60);
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// Seconds, nanoseconds and offset.
fn parse(text: &str) -> Option<(i64, u32, i32)> {
    let mut rest = text;
    let year = take_number(&mut rest, 4..=4)?;
    let month = after(&mut rest, "-").and_then(|()| take_number(&mut rest, 2..=2))?;
    let day = after(&mut rest, "-").and_then(|()| take_number(&mut rest, 2..=2))?;
    let hour = after(&mut rest, "T").and_then(|()| take_number(&mut rest, 1..=2))?;
    let minute = after(&mut rest, ":").and_then(|()| take_number(&mut rest, 2..=2))?;
    let second = after(&mut rest, ":").and_then(|()| take_number(&mut rest, 2..=2))?;
    let mut nanoseconds = 0_u32;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, left) = fraction.split_at_checked(length).filter(|(digits, _)| !digits.is_empty())?;
        for position in 0..9 {
            let digit = digits.as_bytes().get(position).map_or(0, |digit| u32::from(digit - b'0'));
            nanoseconds = nanoseconds * 10 + digit;
        }
        rest = left;
    }
    let offset = parse_offset(rest)?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let days = valid.then(|| days_before(year, month, day))?;
    let seconds = days * DAY + hour * 3_600 + minute * 60 + second - i64::from(offset);
    Some((seconds, nanoseconds, offset))
}

fn parse_offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut rest = text.get(1..)?;
    let hours = take_number(&mut rest, 2..=2)?;
    let minutes = after(&mut rest, ":").and_then(|()| take_number(&mut rest, 2..=2))?;
    let valid = rest.is_empty() && hours <= 24 && minutes <= 60;
    valid.then(|| i32::try_from(sign * (hours * 3_600 + minutes * 60)).ok()).flatten()
}

fn after(rest: &mut &str, prefix: &str) -> Option<()> {
    *rest = rest.strip_prefix(prefix)?;
    Some(())
}

fn take_number(rest: &mut &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let length = rest.bytes().take(*digits.end()).take_while(u8::is_ascii_digit).count();
    let (number, left) = rest.split_at_checked(length).filter(|_| digits.contains(&length))?;
    *rest = left;
    number.parse().ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the Unix epoch to a date of the Gregorian calendar. Years begin in March here, so that the
/// leap day is their last.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_before`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}
