//! `pinned-images`: images are named with their digest, so that what runs is what was looked at.

use portcullis_sdk::{Error, Request, Settings, SettingsError, Verdict, policy};
use serde::Deserialize;

/// What can be set under `wasm.settings` in policy.yaml.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Exceptions {
    /// Images that need no digest, without their tag: `registry.example.com/tools/debug`.
    except: Vec<String>,
}

impl Settings for Exceptions {
    fn validate(&self) -> Vec<SettingsError> {
        let wrong = self.except.iter().enumerate().filter(|(_, image)| name(image) != image.as_str());
        wrong
            .map(|(place, _)| {
                SettingsError::new(format!("except[{place}]"), "must have no tag and no digest")
            })
            .collect()
    }
}

#[policy]
fn validate(request: Request<Exceptions>) -> Result<Verdict, Error> {
    let mut verdict = Verdict::allowed();
    for image in request.images()? {
        let is_excepted = request.settings.except.iter().any(|except| except == name(&image.reference));
        if !is_excepted && !image.reference.contains("@sha256:") {
            verdict
                .violation(format!("image `{}` has no digest", image.reference))
                .at(image.path)
                .remedy("add the digest: image@sha256:…");
        }
    }
    Ok(verdict)
}

/// A reference without its tag and digest. A colon before the last slash belongs to a port.
fn name(reference: &str) -> &str {
    let reference = reference.split_once('@').map_or(reference, |(name, _)| name);
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_sdk::testing::{cron_job, pod, settings_errors};
    use portcullis_sdk::{assert_allowed, assert_denied, assert_denied_at};
    use serde_json::json;

    #[test]
    fn an_image_needs_a_digest() {
        assert_allowed!(validate(pod().image("nginx:1.29@sha256:0a1b").request()));
        assert_denied!(validate(pod().image("nginx:1.29").request()), "image `nginx:1.29` has no digest");
    }

    #[test]
    fn every_container_counts_wherever_the_pod_is() {
        let job = cron_job().image("a@sha256:0a1b").init_image("registry.example.com:5000/b");
        let path = "spec.jobTemplate.spec.template.spec.initContainers[0].image";
        assert_denied_at!(validate(job.request()), path, "registry.example.com:5000/b");
    }

    #[test]
    fn images_can_be_excepted() {
        let settings = json!({"except": ["localhost:5000/debug"]});
        assert_allowed!(validate(pod().image("localhost:5000/debug:2").settings(settings).request()));
        let errors = settings_errors::<Exceptions>(&json!({"except": ["a", "b:1"]}));
        assert_eq!(errors, [SettingsError::new("except[1]", "must have no tag and no digest")]);
    }
}
