//! Decisions that run modules: not on the threads that attend to the sockets, and no more of them at once than there
//! are instances.

use super::gate::{Gate, LATE, OVERLOADED, Step, by_class};
use super::pending::Pending;
use crate::entry::Entry;
use crate::metrics::Outcome;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

impl Gate {
    /// Decides where that may be done. Who does not get an instance in half of the time that is left is answered by
    /// class, and so is who has one and no verdict when the time is over: an answer still arrives.
    pub(super) async fn decide_somewhere(
        self: &Arc<Self>,
        entry: Entry,
        body: &Arc<String>,
        pending: Pending,
        deadline: Instant,
    ) -> Step {
        if !pending.calls_modules() {
            return self.guarded(entry, body.as_bytes(), || self.decide(entry, pending));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let place = timeout_at(Instant::now() + left / 2, Arc::clone(&self.instances).acquire_owned()).await;
        let shed = || by_class(entry, body.as_bytes(), &OVERLOADED, Outcome::Shed).into();
        let Ok(Ok(place)) = place else { return shed() };
        let (gate, text) = (Arc::clone(self), Arc::clone(body));
        let decide = move || {
            let _place = place;
            gate.guarded(entry, text.as_bytes(), || gate.decide(entry, pending))
        };
        // Whatever is late goes on to its end, which is never far, and keeps its place until then.
        match timeout_at(deadline, spawn_blocking(decide)).await {
            Ok(Ok(step)) => step,
            // Panics are caught within; it fails only where the process is about to end.
            Ok(Err(_)) => shed(),
            Err(_) => by_class(entry, body.as_bytes(), &LATE, Outcome::Late).into(),
        }
    }
}
