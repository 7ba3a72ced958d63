//! Making the webhook configuration what it should be, and keeping it so whoever edits or deletes it.
//!
//! Whoever deletes it may be uninstalling us, and what is put back then would block the cluster with nobody there
//! to answer. So it is put back at once, but owned by the release's ClusterRole, which goes too when a release
//! is uninstalled. If that is still there after a while, our Namespace becomes the owner again, as of the
//! configuration that the chart made: that way it goes with the namespace, too.

use super::desired::{Settings, desired};
use crate::cluster::control::Control;
use crate::cluster::describe;
use crate::cluster::follow::{config, follow};
use crate::cluster::mirror::Mirror;
use crate::cluster::switch;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use portcullis_core::tree::Node;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Between two writes: somebody else who insists on something different shall not make us busy.
const PAUSE: Duration = Duration::from_millis(100);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long a release may take to be uninstalled.
const UNINSTALLING: Duration = Duration::from_secs(60);
/// Who writes, in managedFields.
const MANAGER: &str = "portcullis";

const NAMESPACE: &str = "Namespace";
const ROLE: &str = "ClusterRole";
/// By which a configuration is known to be of the controller in the namespace of that name.
pub(in crate::cluster) const CONTROLLER_LABEL: &str = "portcullis.dev/controller";
/// What we make owners of the configuration, one at a time: it goes when all of its owners are gone.
const OURS: [&str; 2] = [NAMESPACE, ROLE];

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
        let mut disarmed = control.disarmed.clone();
        let mut put_back = None;
        loop {
            let number = *numbers.borrow_and_update();
            let observed = {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.version().map(|_| seen.objects().next().cloned())
            };
            let pause = match observed {
                Some(observed) if *leading.borrow_and_update() => {
                    let webhooks = match *disarmed.borrow_and_update() {
                        None => None,
                        Some(true) => Some(Vec::new()),
                        Some(false) => wanted(&control, &settings, &ca.borrow_and_update()),
                    };
                    let is_known = webhooks.is_some();
                    let pause = write(&control, &api, &name, observed, webhooks, &mut put_back).await;
                    if pause.is_none() && is_known {
                        control.configured.send_replace(number);
                    }
                    pause
                }
                _ => None,
            };
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                // What these may say when their other side is gone does not matter: then we are, too.
                None => tokio::select! {
                    () = until_settled(put_back) => {}
                    _ = numbers.changed() => {}
                    _ = leading.changed() => {}
                    _ = ca.changed() => {}
                    _ = disarmed.changed() => {}
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
    put_back: &mut Option<Instant>,
) -> Option<Duration> {
    let webhooks = webhooks?;
    let by = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let entries = webhooks.len();
    let exists = observed.is_some();
    let is_roles = observed.as_ref().is_some_and(|it| it.owner_references().iter().any(|it| it.kind == ROLE));
    if !exists {
        *put_back = Some(Instant::now());
    } else if is_roles {
        put_back.get_or_insert_with(Instant::now);
    } else {
        *put_back = None;
    }
    let owner = match *put_back {
        Some(since) if since.elapsed() < UNINSTALLING => match role(control, name).await {
            Ok(role) => role.or_else(|| namespace(control)),
            // Without an owner that goes it might stay for ever.
            Err(error) => {
                tracing::warn!(name, "cannot read the ClusterRole: {}", describe(&error));
                return Some(RETRY);
            }
        },
        _ => namespace(control),
    };
    let labels = [(CONTROLLER_LABEL.to_owned(), control.namespace.clone())];
    let was_empty = observed.as_ref().is_none_or(|it| it.webhooks.iter().flatten().next().is_none());
    let wanted = complete(observed, name, webhooks, owner, labels)?;
    // Whoever called everything off empties it, too, and must not be undone because we have not heard of that yet.
    if was_empty && entries > 0 {
        match switch::is_set(&control.client, &control.namespace).await {
            Ok(false) => {}
            Ok(true) => return Some(RETRY),
            Err(error) => {
                tracing::warn!(name, "cannot see whether it is called off: {}", describe(&error));
                return Some(RETRY);
            }
        }
    }
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

/// The configuration with these entries and this owner, in place of another of ours; `None` if it has them.
fn complete(
    observed: Option<Configuration>,
    name: &str,
    webhooks: Vec<ValidatingWebhook>,
    owner: Option<OwnerReference>,
    labels: impl IntoIterator<Item = (String, String)>,
) -> Option<Configuration> {
    let Configuration { mut metadata, webhooks: old } = observed.clone().unwrap_or_default();
    metadata.name = Some(name.to_owned());
    metadata.labels.get_or_insert_default().extend(labels);
    if let Some(owner) = owner {
        let owners = metadata.owner_references.get_or_insert_default();
        owners.retain(|other| other.uid == owner.uid || !OURS.contains(&other.kind.as_str()));
        if owners.iter().all(|other| other.uid != owner.uid) {
            owners.push(owner);
        }
    }
    let has_entries = old.unwrap_or_default() == webhooks;
    let is_so = has_entries && observed.is_some_and(|observed| observed.metadata == metadata);
    (!is_so).then_some(Configuration { metadata, webhooks: Some(webhooks) })
}

/// Our Namespace.
fn namespace(control: &Control) -> Option<OwnerReference> {
    let generation = control.live.current();
    let namespace = generation.as_ref()?.facts.namespace(&control.namespace)?;
    let uid = namespace.pointer("/metadata/uid").and_then(Node::as_str)?;
    Some(reference("v1", NAMESPACE, &control.namespace, uid))
}

/// The release's ClusterRole, which is called as the configuration; `None` where there is none.
pub(in crate::cluster) async fn role(control: &Control, name: &str) -> kube::Result<Option<OwnerReference>> {
    let role = Api::<ClusterRole>::all(control.client.clone()).get_opt(name).await?;
    let uid = role.and_then(|role| role.metadata.uid);
    Ok(uid.map(|uid| reference("rbac.authorization.k8s.io/v1", ROLE, name, &uid)))
}

fn reference(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    }
}

/// Waits until what was put back then may change its owner; without an end if that time is over, or there is none.
/// Where the owner could not be changed in time, whatever else happens is the next occasion.
async fn until_settled(put_back: Option<Instant>) {
    match put_back.map(|since| since + UNINSTALLING) {
        Some(time) if time > Instant::now() => tokio::time::sleep_until(time).await,
        _ => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[test]
    fn only_what_differs_is_written() {
        let hook = |name: &str| ValidatingWebhook { name: name.to_owned(), ..ValidatingWebhook::default() };
        let owner = |kind: &str, uid: &str| reference("v1", kind, "gate", uid);
        let made = complete(None, "gate", vec![hook("a")], Some(owner(NAMESPACE, "1")), []).unwrap();
        assert_eq!(made.metadata.name.as_deref(), Some("gate"));
        let again = |webhooks, owner| complete(Some(made.clone()), "gate", webhooks, owner, []);
        assert_eq!(again(vec![hook("a")], Some(owner(NAMESPACE, "1"))), None);
        // Nothing is taken from it because we do not know our Namespace yet.
        assert_eq!(again(vec![hook("a")], None), None);
        assert_eq!(again(vec![hook("b")], None).unwrap().webhooks, Some(vec![hook("b")]));
        // It would stay if an owner of ours did.
        let owners = |made: Option<Configuration>| {
            let owners = made.unwrap().metadata.owner_references.unwrap();
            owners.into_iter().map(|owner| owner.kind + " " + &owner.uid).collect::<Vec<_>>()
        };
        assert_eq!(owners(again(vec![hook("a")], Some(owner(NAMESPACE, "2")))), ["Namespace 2"]);
        assert_eq!(owners(again(vec![hook("a")], Some(owner(ROLE, "3")))), ["ClusterRole 3"]);
        let mut theirs = made.clone();
        theirs.metadata.owner_references.get_or_insert_default().push(owner("Thing", "4"));
        let owned = complete(Some(theirs), "gate", vec![hook("a")], Some(owner(ROLE, "3")), []);
        assert_eq!(owners(owned), ["Thing 4", "ClusterRole 3"]);
        let empty = Configuration { metadata: made.metadata.clone(), webhooks: None };
        assert_eq!(complete(Some(empty), "gate", Vec::new(), Some(owner(NAMESPACE, "1")), []), None);
    }

    #[tokio::test]
    async fn what_was_put_back_long_ago_is_no_reason_to_look_again() {
        let waits =
            async |put_back| timeout(Duration::from_millis(50), until_settled(put_back)).await.is_err();
        let long_ago = Instant::now().checked_sub(UNINSTALLING);
        assert!(long_ago.is_some() && waits(long_ago).await);
        assert!(waits(None).await);
    }
}
