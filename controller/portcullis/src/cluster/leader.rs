//! One of the replicas leads: whoever holds the Lease. It expires by the watch's own clock, never by comparing
//! with the holder's, so that clocks may differ.

use super::describe;
use crate::live::Live;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// Without a word for so long, the holder is gone (Kubernetes' own controllers: 15 s).
const EXPIRES: Duration = Duration::from_secs(15);
/// A holder that could not renew for so long leads no more: before anybody else does.
const GIVES_UP: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the Lease is renewed, or looked at.
const ROUND: Duration = Duration::from_secs(2);
/// A holder that is silent for so long need not be gone, but nobody relies on it.
const SILENT: Duration = Duration::from_secs(5);

/// A candidate for the Lease.
#[derive(Debug)]
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    leading: watch::Sender<bool>,
    /// Is told when the API server answers.
    live: Arc<Live>,
    /// Whether it was said that it does not.
    complained: bool,
    seen: Option<Seen>,
    /// When the API server was last asked that answered.
    renewed: Instant,
}

/// What was last seen of the Lease, and since when it has been so.
#[derive(Debug, PartialEq)]
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

impl Candidate {
    /// A candidate that does not lead yet; the receiver tells whether it does.
    pub(super) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        live: Arc<Live>,
    ) -> (Self, watch::Receiver<bool>) {
        let (leading, led) = watch::channel(false);
        let candidate = Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            leading,
            live,
            complained: false,
            seen: None,
            renewed: Instant::now(),
        };
        (candidate, led)
    }

    /// Stands for election until told to stop; then gives the Lease back, so that nobody waits for its end.
    pub(super) async fn stand(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            // A call that hangs must not keep us in office, and others count from when it arrived, not from its answer.
            let asked = Instant::now();
            let in_office = (self.renewed + GIVES_UP).saturating_duration_since(asked);
            let patience = if *self.leading.borrow() { in_office.min(PATIENCE) } else { PATIENCE };
            match timeout(patience, self.round(false)).await {
                Ok(Ok(holds)) => {
                    self.hear();
                    self.renewed = asked;
                    self.lead(holds);
                }
                Ok(Err(error)) => self.doubt(&describe(&error)),
                Err(_) => self.doubt("no answer"),
            }
            tokio::select! {
                () = sleep(ROUND) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if *self.leading.borrow() {
            let _ = timeout(ROUND, self.round(true)).await;
            self.lead(false);
        }
    }

    /// Takes, renews or gives back the Lease, if it is ours to. True if it is ours now.
    async fn round(&mut self, give_back: bool) -> kube::Result<bool> {
        let by = PostParams::default();
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(None, give_back)) };
            return conflict_is_no(self.api.create(&by, &lease).await);
        };
        let old = lease.spec.clone().unwrap_or_default();
        let now = Instant::now();
        let since = match self.seen.take() {
            Some(seen) if seen.spec == old => seen.since,
            _ => now,
        };
        self.seen = Some(Seen { spec: old.clone(), since });
        if now.duration_since(since) > SILENT {
            self.live.stand_alone();
        }
        if !may_take(&old, &self.identity, now.duration_since(since)) {
            return Ok(false);
        }
        let spec = Some(self.spec(Some(&old), give_back));
        // It carries the version that was read: whoever writes in between wins.
        conflict_is_no(self.api.replace(&self.name, &by, &Lease { spec, ..lease }).await)
    }

    fn spec(&self, old: Option<&LeaseSpec>, give_back: bool) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let held = old.filter(|old| old.holder_identity.as_deref() == Some(&self.identity));
        let transitions = old.and_then(|old| old.lease_transitions).unwrap_or(0);
        LeaseSpec {
            acquire_time: held.map_or(now.clone(), |held| held.acquire_time.clone()),
            holder_identity: Some(if give_back { String::new() } else { self.identity.clone() }),
            lease_duration_seconds: i32::try_from(EXPIRES.as_secs()).ok(),
            lease_transitions: Some(if held.is_some() { transitions } else { transitions + 1 }),
            renew_time: now,
            ..LeaseSpec::default()
        }
    }

    fn lead(&self, holds: bool) {
        if holds {
            self.live.stand_alone();
        }
        let before = self.leading.send_replace(holds);
        if before != holds {
            tracing::info!(lease = self.name, "{}", if holds { "leading" } else { "no longer leading" });
        }
    }

    /// The API server answered.
    fn hear(&mut self) {
        self.live.hear();
        if std::mem::take(&mut self.complained) {
            tracing::info!("the API server answers again");
        }
    }

    fn doubt(&mut self, why: &str) {
        self.live.miss();
        if self.live.unheard().is_some() && !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("what is in force stays, as the API server cannot be reached: {why}");
        }
        if *self.leading.borrow() && self.renewed.elapsed() >= GIVES_UP {
            self.lead(false);
        }
    }
}

/// Whether the Lease is ours already, nobody's, or of somebody who has not been heard of for too long.
fn may_take(spec: &LeaseSpec, identity: &str, unchanged: Duration) -> bool {
    match spec.holder_identity.as_deref() {
        None | Some("") => true,
        Some(holder) => holder == identity || unchanged > EXPIRES,
    }
}

/// A conflict says that somebody else was faster.
fn conflict_is_no<T>(written: kube::Result<T>) -> kube::Result<bool> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_from_nobody_who_is_alive() {
        let check = |holder: Option<&str>, unchanged: u64, expect: bool| {
            let spec = LeaseSpec { holder_identity: holder.map(str::to_owned), ..LeaseSpec::default() };
            assert_eq!(
                may_take(&spec, "me", Duration::from_secs(unchanged)),
                expect,
                "{holder:?} {unchanged}"
            );
        };
        check(None, 0, true);
        check(Some(""), 0, true);
        check(Some("me"), 0, true);
        check(Some("other"), 0, false);
        check(Some("other"), 15, false);
        check(Some("other"), 16, true);
    }
}
