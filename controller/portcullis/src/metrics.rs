//! What is counted and measured, in OpenMetrics' text format.
//!
//! Handles are resolved ahead, so that a request touches atomics only. Labels are bounded: paths and
//! outcomes are closed sets, policies are those that are loaded.

use crate::entry::Entry;
use crate::status::State;
use portcullis_core::decision::Verdict;
use portcullis_core::facts::Held;
use portcullis_core::set::PolicySet;
use portcullis_core::{Decision, Facts};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    entries: [EntryMetrics; Entry::ALL.len()],
    verdicts: Family<VerdictLabels, Counter>,
    policies: [Gauge; STATES.len()],
    states: Family<PolicyState, Gauge>,
    /// Requests that did not reach any entry: unknown path or wrong method.
    pub strays: Counter,
    /// Requests that are being answered.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// TLS handshakes that failed.
    pub failed_handshakes: Counter,
    /// Decisions that panicked.
    pub panics: Counter,
    /// Events that were not published.
    pub events_dropped: Counter,
    /// Seconds since the API server last answered.
    pub cluster_silence: Gauge<f64, AtomicU64>,
    /// The number of the set in force; 0 before the first.
    pub generation: Gauge,
    /// Problems in what was read last.
    pub problems: Gauge,
    /// Readings of policies and resources that had no problem, and those that had.
    pub reloads: [Counter; 2],
    /// When policies were last read without and with problems, in seconds since 1970.
    pub reloaded_at: [Gauge<f64, AtomicU64>; 2],
    /// What is held of objects that policies refer to: how many, and how many bytes.
    held: [Family<KindLabels, Gauge>; 2],
    /// Until when the certificate is valid, in seconds since 1970.
    pub certificate_expires: Gauge<f64, AtomicU64>,
    /// Replacements of the certificate that took and that failed.
    pub certificate_reloads: [Counter; 2],
}

#[derive(Debug)]
struct EntryMetrics {
    outcomes: [Counter; Outcome::ALL.len()],
    duration: Histogram,
}

/// How a request to an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Decided: it may proceed.
    Allowed,
    /// Decided: it may not.
    Denied,
    /// Not ours to judge: our own namespace, or a kind that stays out.
    Excluded,
    /// Denied for its size or depth.
    OverLimit,
    /// Answered by class: too many requests at once.
    Shed,
    /// Answered by class: it did not arrive in time.
    Late,
    /// Answered by class: no policies are loaded yet, or a decision failed.
    Failed,
    /// Not a review: answered with an HTTP error.
    Refused,
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Allowed,
        Self::Denied,
        Self::Excluded,
        Self::OverLimit,
        Self::Shed,
        Self::Late,
        Self::Failed,
        Self::Refused,
    ];

    /// The outcome as a label.
    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Excluded => "excluded",
            Self::OverLimit => "over-limit",
            Self::Shed => "shed",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

const STATES: [State; 5] = [State::Loaded, State::KeptOld, State::Broken, State::Shadowed, State::Pending];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    path: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabel {
    path: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    api_version: String,
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    policy: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyState {
    policy: String,
    state: &'static str,
}

const VERDICTS: [&str; 5] = ["allow", "deny", "error", "skip", "undecidable"];

/// Counters of the verdicts of the policies of one set.
#[derive(Debug, Default)]
pub struct VerdictCounters {
    by_policy: HashMap<String, [Counter; VERDICTS.len()]>,
    /// What is told of the policies' states.
    states: HashMap<PolicyState, i64>,
}

impl VerdictCounters {
    /// Counts every outcome of a decision.
    pub fn count(&self, decision: &Decision) {
        for outcome in &decision.outcomes {
            let index = match outcome.verdict {
                Verdict::Allow => 0,
                Verdict::Deny => 1,
                Verdict::Error => 2,
                Verdict::Skip(_) => 3,
                Verdict::Undecidable(_) => 4,
            };
            if let Some(counter) = self.by_policy.get(&outcome.policy.name).and_then(|all| all.get(index)) {
                counter.inc();
            }
        }
    }
}

impl Metrics {
    /// Metrics that say nothing has happened yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let requests = Family::<RequestLabels, Counter>::default();
        let duration = Family::<PathLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(25e-6, 2.0, 16))
        });
        let verdicts = Family::<VerdictLabels, Counter>::default();
        let policies = Family::<StateLabel, Gauge>::default();
        let states = Family::<PolicyState, Gauge>::default();
        let reloads = Family::<ResultLabel, Counter>::default();
        let reloaded_at = Family::<ResultLabel, Gauge<f64, AtomicU64>>::default();
        let certificate_reloads = Family::<ResultLabel, Counter>::default();
        let results = ["success", "failure"].map(|result| ResultLabel { result });
        let metrics = Self {
            entries: Entry::ALL.map(|entry| EntryMetrics {
                outcomes: Outcome::ALL.map(|outcome| {
                    requests
                        .get_or_create_owned(&RequestLabels { path: entry.path(), outcome: outcome.as_str() })
                }),
                duration: duration.get_or_create_owned(&PathLabel { path: entry.path() }),
            }),
            policies: STATES.map(|state| policies.get_or_create_owned(&StateLabel { state: state.as_str() })),
            reloads: results.clone().map(|label| reloads.get_or_create_owned(&label)),
            reloaded_at: results.clone().map(|label| reloaded_at.get_or_create_owned(&label)),
            certificate_reloads: results.map(|label| certificate_reloads.get_or_create_owned(&label)),
            verdicts: verdicts.clone(),
            states: states.clone(),
            events_dropped: Counter::default(),
            cluster_silence: Gauge::default(),
            strays: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            failed_handshakes: Counter::default(),
            panics: Counter::default(),
            generation: Gauge::default(),
            problems: Gauge::default(),
            held: Default::default(),
            certificate_expires: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests by path and outcome", requests);
        registry.register(
            "request_duration_seconds",
            "Time from a review's arrival as a whole to its answer",
            duration,
        );
        registry.register("policy_verdicts", "Verdicts of policies before enforcement", verdicts);
        registry.register(
            "policies",
            "Policies by state: what was read is in force, the version before is, none is, or another has the name",
            policies,
        );
        registry.register("policy_state", "How many documents of a policy's name are in this state", states);
        registry.register("events_dropped", "Events not published", metrics.events_dropped.clone());
        registry.register(
            "api_server_silence_seconds",
            "How long ago the API server last answered",
            metrics.cluster_silence.clone(),
        );
        registry.register("reloads", "Readings of policies and resources", reloads);
        registry.register(
            "reload_timestamp_seconds",
            "When policies and resources were last read",
            reloaded_at,
        );
        registry.register(
            "certificate_reloads",
            "Replacements of the serving certificate",
            certificate_reloads,
        );
        registry.register("strays", "Requests to no entry, or with a wrong method", metrics.strays.clone());
        registry.register("in_flight_requests", "Requests being answered", metrics.in_flight.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register(
            "failed_handshakes",
            "TLS handshakes that failed",
            metrics.failed_handshakes.clone(),
        );
        registry.register(
            "panics",
            "Decisions that panicked and were answered by class",
            metrics.panics.clone(),
        );
        registry.register(
            "policy_set_generation",
            "Number of the policy set in force",
            metrics.generation.clone(),
        );
        registry.register(
            "policy_problems",
            "Problems in the policies and resources read last",
            metrics.problems.clone(),
        );
        let [objects, bytes] = metrics.held.clone();
        registry.register("held_objects", "Objects held because policies refer to them", objects);
        registry.register("held_bytes", "Memory that these objects take", bytes);
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "Until when the serving certificate is valid",
            metrics.certificate_expires.clone(),
        );
        Self { registry, ..metrics }
    }

    /// Counts a request to an entry, and the time it took where it was judged.
    pub fn count(&self, entry: Entry, outcome: Outcome, judging: Option<Duration>) {
        let Some(metrics) = self.entries.get(entry as usize) else { return };
        if let Some(counter) = metrics.outcomes.get(outcome as usize) {
            counter.inc();
        }
        if let Some(duration) = judging {
            metrics.duration.observe(duration.as_secs_f64());
        }
    }

    /// Takes over a new set: counts its policies, and makes counters for their verdicts. Those of policies
    /// that are gone go too, so that there are never more than policies.
    pub fn load(&self, set: &PolicySet, previous: &VerdictCounters) -> VerdictCounters {
        let states = self.load_states(set, &previous.states);
        let names: HashSet<&str> = set.entries().iter().map(|entry| entry.info.name.as_str()).collect();
        let labels =
            |policy: &str| VERDICTS.map(|verdict| VerdictLabels { policy: policy.to_owned(), verdict });
        for gone in previous.by_policy.keys().filter(|name| !names.contains(name.as_str())) {
            for label in labels(gone) {
                self.verdicts.remove(&label);
            }
        }
        let counters = |name: &str| labels(name).map(|label| self.verdicts.get_or_create_owned(&label));
        VerdictCounters {
            by_policy: names.into_iter().map(|name| (name.to_owned(), counters(name))).collect(),
            states,
        }
    }

    /// Takes over new facts: measures what is held of each kind.
    pub fn hold(&self, facts: &Facts) {
        self.held.iter().for_each(Family::clear);
        for ((api_version, kind), Held { objects, bytes }) in facts.held() {
            let label = KindLabels { api_version: api_version.to_owned(), kind: kind.to_owned() };
            for (family, amount) in self.held.iter().zip([objects, bytes]) {
                family.get_or_create_owned(&label).set(i64::try_from(amount).unwrap_or(i64::MAX));
            }
        }
    }

    /// Counts policies by state, all and each by its name.
    fn load_states(
        &self,
        set: &PolicySet,
        previous: &HashMap<PolicyState, i64>,
    ) -> HashMap<PolicyState, i64> {
        let in_force = set.entries().iter().map(|entry| (&entry.info.name, State::from(entry.state)));
        let waiting = set.shadowed().iter().map(|shadowed| (&shadowed.name, State::Shadowed));
        let mut totals = STATES.map(|_| 0);
        let mut states = HashMap::<PolicyState, i64>::new();
        for (name, state) in in_force.chain(waiting) {
            if let Some(total) = STATES.iter().zip(&mut totals).find(|(of, _)| **of == state) {
                *total.1 += 1;
            }
            let labels = PolicyState { policy: name.clone(), state: state.as_str() };
            *states.entry(labels).or_default() += 1;
        }
        self.policies.iter().zip(totals).for_each(|(gauge, total)| {
            gauge.set(total);
        });
        for gone in previous.keys().filter(|labels| !states.contains_key(labels)) {
            self.states.remove(gone);
        }
        for (labels, count) in &states {
            self.states.get_or_create_owned(labels).set(*count);
        }
        states
    }

    /// Everything, as `application/openmetrics-text` has it.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
