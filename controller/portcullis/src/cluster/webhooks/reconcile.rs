//! Making the webhook configuration what it should be, and keeping it so whoever edits or deletes it.

use super::desired::{Settings, desired};
use crate::cluster::control::Control;
use crate::cluster::describe;
use crate::cluster::follow::{config, follow};
use crate::cluster::mirror::Mirror;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::PostParams;
use portcullis_core::tree::Node;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Between two writes: somebody else who insists on something different shall not make us busy.
const PAUSE: Duration = Duration::from_millis(100);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Who writes, in managedFields.
const MANAGER: &str = "portcullis";

type Configuration = ValidatingWebhookConfiguration;

/// Keeps the configuration of that name in step with the policies in force, as long as we lead. For ever.
pub(in crate::cluster) async fn reconcile(control: Control, name: String, settings: Settings) {
    let api: Api<Configuration> = Api::all(control.client.clone());
    let seen = Mutex::new(Mirror::<Configuration>::default());
    let changed = Notify::new();
    let only = config().fields(&format!("metadata.name={name}"));
    let watching = follow(api.clone(), only, |event| {
        if seen.lock().unwrap_or_else(PoisonError::into_inner).take(event, |object| object) {
            changed.notify_one();
        }
    });
    let writing = async {
        let mut numbers = control.live.numbers();
        let (mut leading, mut ca) = (control.leading.clone(), control.ca.clone());
        loop {
            let observed = {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.version().map(|_| seen.objects().next().cloned())
            };
            let pause = match observed {
                Some(observed) if *leading.borrow_and_update() => {
                    let webhooks = wanted(&control, &settings, &ca.borrow_and_update());
                    write(&control, &api, &name, observed, webhooks).await
                }
                _ => None,
            };
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                // What these may say when their other side is gone does not matter: then we are, too.
                None => tokio::select! {
                    _ = numbers.changed() => {}
                    _ = leading.changed() => {}
                    _ = ca.changed() => {}
                    () = changed.notified() => {}
                },
            }
        }
    };
    tokio::join!(watching, writing);
}

/// What the entries should be; nothing as long as no policies are in force or nobody knows our CA.
fn wanted(control: &Control, settings: &Settings, ca: &[u8]) -> Option<Vec<ValidatingWebhook>> {
    let generation = control.live.current();
    let generation = generation.as_ref().filter(|_| !ca.is_empty())?;
    Some(desired(&generation.set, settings, ca))
}

/// Writes the entries if they are not there. Says how long to wait before looking again: not at all if there
/// is nothing to do.
async fn write(
    control: &Control,
    api: &Api<Configuration>,
    name: &str,
    observed: Option<Configuration>,
    webhooks: Option<Vec<ValidatingWebhook>>,
) -> Option<Duration> {
    let webhooks = webhooks?;
    let by = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let entries = webhooks.len();
    let exists = observed.is_some();
    let wanted = complete(observed, name, webhooks, owner(control))?;
    let result = if exists { api.replace(name, &by, &wanted).await } else { api.create(&by, &wanted).await };
    match result {
        Ok(_) => {
            tracing::info!(configuration = name, entries, "wrote the webhook configuration");
            Some(PAUSE)
        }
        // The watch will tell what is there now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Some(PAUSE),
        Err(error) => {
            tracing::warn!(
                configuration = name,
                "cannot write the webhook configuration: {}",
                describe(&error)
            );
            Some(RETRY)
        }
    }
}

/// The configuration with these entries and this owner; `None` if it has them.
fn complete(
    observed: Option<Configuration>,
    name: &str,
    webhooks: Vec<ValidatingWebhook>,
    owner: Option<OwnerReference>,
) -> Option<Configuration> {
    let exists = observed.is_some();
    let Configuration { mut metadata, webhooks: old } = observed.unwrap_or_default();
    metadata.name = Some(name.to_owned());
    let owners = metadata.owner_references.get_or_insert_default();
    let missing = owner.filter(|owner| owners.iter().all(|other| other.uid != owner.uid));
    let has_owner = missing.is_none();
    owners.extend(missing);
    let is_so = exists && has_owner && old.unwrap_or_default() == webhooks;
    (!is_so).then_some(Configuration { metadata, webhooks: Some(webhooks) })
}

/// Our Namespace: the configuration goes when it does.
fn owner(control: &Control) -> Option<OwnerReference> {
    let generation = control.live.current();
    let namespace = generation.as_ref()?.facts.namespace(&control.namespace)?;
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        name: control.namespace.clone(),
        uid: namespace.pointer("/metadata/uid").and_then(Node::as_str)?.to_owned(),
        ..OwnerReference::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let hook = |name: &str| ValidatingWebhook { name: name.to_owned(), ..ValidatingWebhook::default() };
        let owner = || OwnerReference { uid: "1".to_owned(), ..OwnerReference::default() };
        let made = complete(None, "gate", vec![hook("a")], Some(owner())).unwrap();
        assert_eq!(made.metadata.name.as_deref(), Some("gate"));
        let again = |webhooks, owner| complete(Some(made.clone()), "gate", webhooks, owner);
        assert_eq!(again(vec![hook("a")], Some(owner())), None);
        // Nothing is taken from it because we do not know our Namespace yet.
        assert_eq!(again(vec![hook("a")], None), None);
        let other = OwnerReference { uid: "2".to_owned(), ..OwnerReference::default() };
        assert_eq!(again(vec![hook("a")], Some(other)).unwrap().metadata.owner_references.unwrap().len(), 2);
        assert_eq!(again(vec![hook("b")], Some(owner())).unwrap().webhooks, Some(vec![hook("b")]));
        let empty = Configuration { metadata: made.metadata.clone(), webhooks: None };
        assert_eq!(complete(Some(empty), "gate", Vec::new(), Some(owner())), None);
    }
}
