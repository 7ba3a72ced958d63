//! Load on the API server while something breaks: who was admitted, denied or failed, and how often.

use super::world::World;
use anyhow::Result;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Admitted,
    /// By a policy of ours.
    Denied,
    /// Because nobody answered.
    Closed,
    /// Anything else.
    Other(String),
}

/// How often what ended how, by the name of the question.
pub(crate) type Ends = BTreeMap<(&'static str, End), usize>;

/// An object that is created again and again, in dry runs.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) namespace: String,
    pub(crate) object: Value,
}

/// Load that goes on until it is ended.
pub(crate) struct Pressure {
    stop: Arc<AtomicBool>,
    ends: Arc<Mutex<Ends>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Pressure {
    /// Asks each question over and over.
    ///
    /// # Errors
    /// There is no client of the API server.
    pub(crate) fn start(world: &World<'_>, questions: Vec<Question>) -> Result<Self> {
        let (stop, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Ends::new())));
        let client = world.cluster.runtime.block_on(world.client())?;
        let ask = |question: Question| {
            let asking = ask(client.clone(), question, Arc::clone(&stop), Arc::clone(&ends));
            world.cluster.runtime.spawn(asking)
        };
        let tasks = questions.into_iter().map(ask).collect();
        Ok(Self { stop, ends, tasks })
    }

    /// What was counted so far; counting begins anew.
    pub(crate) fn take(&self) -> Ends {
        std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends it, and says what was counted since.
    pub(crate) fn end(mut self, world: &World<'_>) -> Result<Ends> {
        self.stop.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            world.cluster.runtime.block_on(task)?;
        }
        Ok(self.take())
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// How often a question ended so.
pub(crate) fn count(ends: &Ends, name: &'static str, end: End) -> usize {
    ends.get(&(name, end)).copied().unwrap_or_default()
}

async fn ask(client: Client, question: Question, stop: Arc<AtomicBool>, ends: Arc<Mutex<Ends>>) {
    let Question { name, namespace, object } = question;
    let kind = object["kind"].as_str().unwrap_or_default();
    // Nothing else is asked about here.
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    let Ok(object) = serde_json::from_value::<DynamicObject>(object) else { return };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    while !stop.load(Ordering::Relaxed) {
        let end = match api.create(&dry_run, &object).await {
            Ok(_) => End::Admitted,
            Err(kube::Error::Api(status)) if status.message.contains("policy `") => End::Denied,
            Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => End::Closed,
            Err(error) => End::Other(error.to_string()),
        };
        *ends.lock().unwrap_or_else(PoisonError::into_inner).entry((name, end)).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
