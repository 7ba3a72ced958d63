//! `no-literal-credentials`: credentials are referred to, and not written into workloads and ConfigMaps, where everybody
//! reads them who may look.

mod formats;
mod names;
#[cfg(test)]
mod recall;
mod texts;
mod values;

use portcullis_sdk::{Error, Metadata, Request, Settings, SettingsError, Verdict, policy};
use serde::Deserialize;
use std::collections::BTreeMap;
use texts::{Found, Recogniser};

/// What can be set under `wasm.settings`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Rules {
    /// Where to look; everywhere, if not set.
    places: Vec<Place>,
    /// Names of variables, flags, annotations and keys that are not looked at; `*` stands for anything.
    allowed_names: Vec<String>,
    /// Values that may stand anywhere; `*` stands for anything.
    allowed_values: Vec<String>,
    /// Bits a character that a value must have at least to be a secret because its name says so.
    minimum_entropy: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Place {
    /// `env[].value`.
    Env,
    /// `command` and `args`, also of probes and hooks.
    Commands,
    /// Headers of probes and hooks.
    Headers,
    /// The Pod's annotations, and a ConfigMap's.
    Annotations,
    /// `data` of ConfigMaps.
    ConfigMaps,
}

impl Default for Rules {
    fn default() -> Self {
        use Place::{Annotations, Commands, ConfigMaps, Env, Headers};
        Self {
            places: vec![Env, Commands, Headers, Annotations, ConfigMaps],
            allowed_names: Vec::new(),
            allowed_values: Vec::new(),
            minimum_entropy: 3.5,
        }
    }
}

impl Settings for Rules {
    fn validate(&self) -> Vec<SettingsError> {
        let mut errors = Vec::new();
        if !(0.0..=8.0).contains(&self.minimum_entropy) {
            errors.push(SettingsError::new("minimumEntropy", "must be between 0 and 8 bits a character"));
        }
        for (field, patterns) in
            [("allowedNames", &self.allowed_names), ("allowedValues", &self.allowed_values)]
        {
            for (index, pattern) in patterns.iter().enumerate() {
                if pattern.bytes().all(|byte| byte == b'*') {
                    let message = "would allow everything; leave out of `places` what is not to be looked at";
                    errors.push(SettingsError::new(format!("{field}[{index}]"), message));
                }
            }
        }
        errors
    }
}

#[policy]
fn validate(request: Request<Rules>) -> Result<Verdict, Error> {
    let is_allowed =
        |value: &str| request.settings.allowed_values.iter().any(|pattern| matches(pattern, value));
    let recogniser =
        Recogniser { minimum_entropy: request.settings.minimum_entropy, is_allowed: &is_allowed };
    let mut search = Search { rules: &request.settings, recogniser, verdict: Verdict::allowed() };
    if let Some(config_map) = request.config_map()? {
        search.annotations(&config_map.metadata, "metadata.annotations");
        search.config_map(&config_map.data);
    } else if let Some(pod) = request.pod_as::<PodSpec>()? {
        search.annotations(&pod.metadata, &pod.path("metadata.annotations"));
        let lists = [
            ("containers", &pod.spec.containers),
            ("initContainers", &pod.spec.init_containers),
            ("ephemeralContainers", &pod.spec.ephemeral_containers),
        ];
        for (list, containers) in lists {
            for (index, container) in containers.iter().flatten().enumerate() {
                search.container(container, &pod.path(&format!("spec.{list}[{index}]")));
            }
        }
    }
    Ok(search.verdict)
}

/// Of a Pod's spec what may hold credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    name: String,
    env: Option<Vec<EnvVar>>,
    command: Option<Vec<String>>,
    args: Option<Vec<String>>,
    liveness_probe: Option<Action>,
    readiness_probe: Option<Action>,
    startup_probe: Option<Action>,
    lifecycle: Option<Lifecycle>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnvVar {
    name: String,
    value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Lifecycle {
    post_start: Option<Action>,
    pre_stop: Option<Action>,
}

/// A probe or a hook.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Action {
    exec: Option<Exec>,
    http_get: Option<HttpGet>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Exec {
    command: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HttpGet {
    http_headers: Option<Vec<EnvVar>>,
}

/// Goes through an object and notes what it finds.
struct Search<'a> {
    rules: &'a Rules,
    recogniser: Recogniser<'a>,
    verdict: Verdict,
}

impl Search<'_> {
    fn looks_at(&self, place: Place) -> bool {
        self.rules.places.contains(&place)
    }

    fn is_allowed(&self, name: &str) -> bool {
        self.rules.allowed_names.iter().any(|pattern| matches(pattern, name))
    }

    fn note(&mut self, holder: &str, found: Option<Found<'_>>, path: impl FnOnce() -> String) {
        if let Some(found) = found {
            let message = format!("{holder} holds {} ({})", found.kind, found.shown());
            self.verdict.violation(message).at(path());
        }
    }

    fn container(&mut self, container: &Container, path: &str) {
        let name = &container.name;
        if self.looks_at(Place::Env) {
            for (index, variable) in container.env.iter().flatten().enumerate() {
                let value = variable.value.as_deref().unwrap_or_default();
                if !self.is_allowed(&variable.name) {
                    let holder = format!("variable `{}` of container `{name}`", variable.name);
                    let found = self.recogniser.value(&variable.name, value);
                    self.note(&holder, found, || format!("{path}.env[{index}].value"));
                }
            }
        }
        let own = [("command", &container.command), ("args", &container.args)];
        for (field, command) in own {
            self.command(name, command.as_deref(), &format!("{path}.{field}"));
        }
        let hooks = container.lifecycle.as_ref();
        let actions = [
            ("livenessProbe", container.liveness_probe.as_ref()),
            ("readinessProbe", container.readiness_probe.as_ref()),
            ("startupProbe", container.startup_probe.as_ref()),
            ("lifecycle.postStart", hooks.and_then(|hooks| hooks.post_start.as_ref())),
            ("lifecycle.preStop", hooks.and_then(|hooks| hooks.pre_stop.as_ref())),
        ];
        for (field, action) in actions {
            let Some(action) = action else { continue };
            let command = action.exec.as_ref().and_then(|exec| exec.command.as_deref());
            self.command(name, command, &format!("{path}.{field}.exec.command"));
            let headers = action.http_get.as_ref().and_then(|get| get.http_headers.as_deref());
            self.headers(name, headers.unwrap_or_default(), &format!("{path}.{field}.httpGet.httpHeaders"));
        }
    }

    fn command(&mut self, container: &str, command: Option<&[String]>, path: &str) {
        let command = command.unwrap_or_default();
        if self.looks_at(Place::Commands)
            && let Some((index, found)) = self.recogniser.command(command)
        {
            let holder = format!("the command line of container `{container}`");
            self.note(&holder, Some(found), || format!("{path}[{index}]"));
        }
    }

    fn headers(&mut self, container: &str, headers: &[EnvVar], path: &str) {
        if !self.looks_at(Place::Headers) {
            return;
        }
        for (index, header) in headers.iter().enumerate() {
            if !self.is_allowed(&header.name) {
                let holder =
                    format!("header `{}` of a probe or hook of container `{container}`", header.name);
                let found = self.recogniser.value(&header.name, header.value.as_deref().unwrap_or_default());
                self.note(&holder, found, || format!("{path}[{index}].value"));
            }
        }
    }

    fn annotations(&mut self, metadata: &Metadata, path: &str) {
        if !self.looks_at(Place::Annotations) {
            return;
        }
        for (key, value) in &metadata.annotations {
            // kubectl's copy of the object has everything twice.
            if key != "kubectl.kubernetes.io/last-applied-configuration" && !self.is_allowed(key) {
                let found = self.recogniser.value(key, value).or_else(|| self.recogniser.lines(value));
                self.note(&format!("annotation `{key}`"), found, || format!("{path}['{key}']"));
            }
        }
    }

    fn config_map(&mut self, data: &BTreeMap<String, String>) {
        if !self.looks_at(Place::ConfigMaps) {
            return;
        }
        for (key, value) in data {
            if !self.is_allowed(key) {
                let found = self.recogniser.value(key, value).or_else(|| self.recogniser.lines(value));
                self.note(&format!("key `{key}`"), found, || format!("data['{key}']"));
            }
        }
    }
}

/// Whether a text is of a pattern, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(begin) else { return false };
    let mut left = text;
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(end)
}
