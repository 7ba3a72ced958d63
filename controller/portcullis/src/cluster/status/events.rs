//! Events on policy ConfigMaps. Nobody waits for them: what does not fit into the queue is counted.

use super::super::describe;
use crate::metrics::Metrics;
use crate::status::{ConfigMapStatus, State};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// So many wait at most.
const QUEUE: usize = 1024;
/// An Event that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who reports.
const CONTROLLER: &str = "portcullis.dev/controller";

/// Where Events go.
#[derive(Debug, Clone)]
pub(super) struct Events {
    queue: mpsc::Sender<ConfigMapStatus>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// A queue, and what publishes what is in it, for ever. kube's own recorder is not for us: of an Event that happens
    /// again it repeats the first message, and ours tell what is wrong now.
    pub(super) fn new(
        client: Client,
        metrics: Arc<Metrics>,
        identity: String,
    ) -> (Self, impl Future<Output = ()>) {
        let (queue, mut waiting) = mpsc::channel::<ConfigMapStatus>(QUEUE);
        let events = Self { queue, metrics: Arc::clone(&metrics) };
        let publishing = async move {
            while let Some(status) = waiting.recv().await {
                let api: Api<Event> = Api::namespaced(client.clone(), &status.namespace);
                let event = event(&status, &identity, Timestamp::now());
                let by = PostParams::default();
                let published = timeout(PATIENCE, api.create(&by, &event)).await;
                match published {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        metrics.events_dropped.inc();
                        tracing::debug!("an Event cannot be published: {}", describe(&error));
                    }
                    Err(_) => {
                        metrics.events_dropped.inc();
                    }
                }
            }
        };
        (events, publishing)
    }

    /// Says what became of a ConfigMap.
    pub(super) fn tell(&self, status: &ConfigMapStatus) {
        if self.queue.try_send(status.clone()).is_err() {
            self.metrics.events_dropped.inc();
        }
    }
}

fn event(status: &ConfigMapStatus, identity: &str, now: Timestamp) -> Event {
    let ConfigMapStatus { namespace, name, uid, resource_version, state, message } = status;
    let (reason, kind) = match state {
        State::Loaded => ("PolicyLoaded", "Normal"),
        State::Shadowed => ("PolicyShadowed", "Warning"),
        State::Pending => ("PolicyPending", "Normal"),
        State::KeptOld => ("PolicyKeptOld", "Warning"),
        State::Broken => ("PolicyRefused", "Warning"),
    };
    let note = match state {
        State::Loaded | State::Shadowed | State::Pending => message.clone(),
        State::KeptOld => format!("the version before stays in force: {message}"),
        State::Broken => format!("nothing of it is in force that is broken: {message}"),
    };
    let regarding = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("ConfigMap".to_owned()),
        namespace: Some(namespace.clone()),
        name: Some(name.clone()),
        uid: Some(uid.clone()),
        resource_version: Some(resource_version.clone()),
        ..ObjectReference::default()
    };
    // As in Kubernetes itself: the object's name and a time. A name has 253 characters at most.
    let short: String = name.chars().take(220).collect();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{short}.{:x}", now.as_nanosecond())),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Load".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some(reason.to_owned()),
        regarding: Some(regarding),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(identity.chars().take(128).collect()),
        type_: Some(kind.to_owned()),
        ..Event::default()
    }
}
