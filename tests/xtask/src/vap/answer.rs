//! What became of a case, in a form in which both sides can be compared.

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// An answer to a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) code: u64,
    pub(crate) reason: String,
    /// What `details.causes` says first.
    pub(crate) cause: String,
    /// `status.message`.
    pub(crate) message: String,
    /// As the requester gets them.
    pub(crate) warnings: Vec<String>,
    /// Those that the requester does not get, since they hold control characters, with a blank for each of these.
    pub(crate) unsent: Vec<String>,
    /// By keys with a `.` where the API server has a `/`.
    pub(crate) annotations: BTreeMap<String, Json>,
    /// Why a side could not answer at all.
    pub(crate) broken: Option<String>,
}

/// The audit annotation that lists failures: the API server's name of it, and a webhook's.
const FAILURES: (&str, &str) =
    ("validation.policy.admission.k8s.io/validation_failure", "validation_failure");

/// All warnings together may have so many characters before each is cut (`pkg/endpoints/filters/warning.go`).
const MAX_WARNINGS: usize = 4 * 1024;
/// What each is cut to then.
const MAX_WARNING: usize = 256;

impl Answer {
    /// Takes over audit annotations; the list of failures as what it says, since its order of fields is no matter.
    pub(crate) fn annotate<'a>(&mut self, annotations: impl Iterator<Item = (&'a str, &'a str)>) {
        for (key, value) in annotations {
            let (key, value) = match key {
                _ if key == FAILURES.0 || key == FAILURES.1 => {
                    (FAILURES.1.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()))
                }
                _ => (key.replacen('/', ".", 1), value.into()),
            };
            self.annotations.insert(key, value);
        }
    }

    /// The failures that the audit annotation lists.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Json> {
        self.annotations.get(FAILURES.1).and_then(Json::as_array).into_iter().flatten()
    }

    /// Takes over warnings as the API server passes them on, whether they are its own or a webhook's: without
    /// repeats and empty ones, and cut once they are too many.
    pub(crate) fn warn<'a>(&mut self, warnings: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        let warnings: Vec<&str> =
            warnings.filter(|warning| !warning.is_empty() && seen.insert(*warning)).collect();
        // A header holds no control characters; such a warning is counted, and not sent.
        let sent = |warning: &str| !warning.contains(char::is_control);
        let length =
            |warnings: &[&str]| warnings.iter().map(|warning| warning.chars().count()).sum::<usize>();
        if length(&warnings) <= MAX_WARNINGS {
            let (sent, unsent): (Vec<&str>, Vec<&str>) =
                warnings.into_iter().partition(|warning| sent(warning));
            self.warnings = sent.into_iter().map(str::to_owned).collect();
            self.unsent = unsent.into_iter().map(|warning| warning.replace(char::is_control, " ")).collect();
            return;
        }
        let mut written = 0;
        for warning in warnings {
            if written >= MAX_WARNINGS {
                break;
            }
            let cut: String = warning.chars().take(MAX_WARNING).collect();
            if sent(&cut) {
                written += cut.chars().count();
                self.warnings.push(cut);
            }
        }
    }
}
