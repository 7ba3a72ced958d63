//! How long a request may take: the `timeout` that the API server puts into the URL.

use std::time::Duration;

/// Without a `timeout`: Kubernetes' own default for webhooks.
const DEFAULT: Duration = Duration::from_secs(10);
/// Kubernetes allows no more.
const LONGEST: Duration = Duration::from_secs(30);

/// The time until the answer must be on its way. A tenth is left for the way, so that the requester hears
/// our reason and not that its own patience ended.
pub(super) fn of_query(query: Option<&str>) -> Duration {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let given = pairs.find(|(key, _)| *key == "timeout").and_then(|(_, value)| parse(value));
    given.filter(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT).min(LONGEST).mul_f64(0.9)
}

/// A duration as Go writes it: `5s`, `1m30s`, `1.5s`, `300ms`.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at_checked(unit_end)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" | "%C2%B5s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_gos_durations_and_keeps_within_kubernetes_limits() {
        let check = |query: Option<&str>, millis: u64| {
            assert_eq!(of_query(query), Duration::from_millis(millis), "{query:?}");
        };
        check(None, 9_000);
        check(Some("timeout=5s"), 4_500);
        check(Some("x=1&timeout=1m30s"), 27_000);
        check(Some("timeout=1.5s"), 1_350);
        check(Some("timeout=300ms"), 270);
        check(Some("timeout=0s"), 9_000);
        for wrong in ["timeout=", "timeout=5", "timeout=s", "timeout=-5s", "timeout=1.2.3s", "timeout=9e999s"]
        {
            check(Some(wrong), 9_000);
        }
        check(Some("timeout=99999999999999999999999h"), 9_000);
    }
}
