//! The Secret with the certificate: every replica serves what it holds, and the leader sees to what it holds.

use super::authority::{Material, Step, Wanted, provider};
use crate::cluster::control::Control;
use crate::cluster::describe;
use crate::cluster::follow::{config, follow};
use crate::cluster::mirror::Mirror;
use crate::webhook::tls::Serving;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// So often it is asked whether anything is to be renewed, at most.
const LOOK: Duration = Duration::from_secs(60);
/// Between two writes.
const PAUSE: Duration = Duration::from_millis(500);
/// After writes that failed in a row, at most: what is refused once is mostly refused again.
const LONGEST: Duration = Duration::from_secs(30);

/// Who keeps the certificate.
pub(in crate::cluster) struct Keeper {
    pub(in crate::cluster) control: Control,
    /// The Secret's name.
    pub(in crate::cluster) name: String,
    pub(in crate::cluster) names: Vec<String>,
    pub(in crate::cluster) lifetime: SignedDuration,
    /// Where the certificate is served from.
    pub(in crate::cluster) serving: Arc<Serving>,
    /// Tells what clients have to trust.
    pub(in crate::cluster) ca: watch::Sender<Vec<u8>>,
}

impl Keeper {
    /// Keeps it, for ever.
    pub(in crate::cluster) async fn keep(self) {
        let api: Api<Secret> = Api::namespaced(self.control.client.clone(), &self.control.namespace);
        let seen = Mutex::new(Mirror::<Secret>::default());
        let changed = Notify::new();
        let only = config().fields(&format!("metadata.name={}", self.name));
        let watching = follow(api.clone(), only, |event| {
            if seen.lock().unwrap_or_else(PoisonError::into_inner).take(event, |object| object) {
                changed.notify_one();
            }
        });
        tokio::join!(watching, self.renew(&api, &seen, &changed));
    }

    async fn renew(&self, api: &Api<Secret>, seen: &Mutex<Mirror<Secret>>, changed: &Notify) {
        let wanted = Wanted { names: self.names.clone(), lifetime: self.lifetime };
        let look = LOOK.min(Duration::try_from(self.lifetime / 60).unwrap_or(LOOK));
        let mut leading = self.control.leading.clone();
        let mut held = None;
        let mut next = PAUSE;
        loop {
            let observed = {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.version().map(|_| seen.objects().next().cloned())
            };
            let mut pause = look;
            if let Some(observed) = observed {
                let stored = observed.as_ref().and_then(|secret| self.read(secret));
                if stored.is_some() && stored != held {
                    held.clone_from(&stored);
                    self.serve(held.as_ref());
                }
                if *leading.borrow_and_update() {
                    let now = Timestamp::now();
                    let step = held.as_ref().map_or(Step::Everything, |held| held.next(&wanted, now));
                    match Material::after(held.as_ref(), step, &wanted, now) {
                        // What was deleted or damaged is put back as it was.
                        Ok(material) if stored.as_ref() != Some(&material) => {
                            let is_written = self.write(api, observed, &material, step).await;
                            (pause, next) =
                                if is_written { (PAUSE, PAUSE) } else { (next, LONGEST.min(next * 2)) };
                        }
                        Ok(_) => {}
                        Err(error) => tracing::error!("no certificate can be made: {error:#}"),
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = leading.changed() => {}
                () = changed.notified() => {}
            }
        }
    }

    fn read(&self, secret: &Secret) -> Option<Material> {
        let none = std::collections::BTreeMap::new();
        Material::from_secret(secret.data.as_ref().unwrap_or(&none))
            .inspect_err(|error| {
                tracing::warn!(secret = self.name, "the Secret's certificate cannot be used: {error:#}");
            })
            .ok()
    }

    fn serve(&self, held: Option<&Material>) {
        let Some(material) = held else { return };
        // It was read with the same crypto.
        if let Ok(certificate) = material.certificate(&provider()) {
            self.serving.serve(certificate);
            self.control.live.certify();
            self.ca.send_replace(material.bundle().as_bytes().to_vec());
        }
    }

    /// False if it may not be written.
    async fn write(
        &self,
        api: &Api<Secret>,
        observed: Option<Secret>,
        material: &Material,
        step: Step,
    ) -> bool {
        let by = PostParams::default();
        let exists = observed.is_some();
        let mut secret = observed.unwrap_or_default();
        secret.metadata.name = Some(self.name.clone());
        secret.type_.get_or_insert_with(|| "kubernetes.io/tls".to_owned());
        secret.data = Some(material.to_secret());
        let result =
            if exists { api.replace(&self.name, &by, &secret).await } else { api.create(&by, &secret).await };
        match result {
            Ok(_) => {
                tracing::info!(secret = self.name, ?step, "wrote the certificate's Secret");
                true
            }
            // Somebody was faster: the watch will tell what is there now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => true,
            Err(error) => {
                tracing::warn!(secret = self.name, "cannot write the certificate: {}", describe(&error));
                false
            }
        }
    }
}
