//! What requests give to policies, and what the assertions for their tests say.

use crate::testing::{
    RequestBuilder, config_map, cron_job, daemon_set, deployment, job, object, pod, replica_set,
    replication_controller, secret, settings_errors, stateful_set,
};
use crate::{Error, Metadata, NoSettings, Operation, Request, Settings, SettingsError, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use std::panic::catch_unwind;

/// A request to a policy without settings.
fn made(builder: RequestBuilder) -> Request {
    builder.request()
}

#[test]
fn containers_and_images_have_their_places_in_every_kind() {
    let check = |builder: RequestBuilder, prefix: &str| {
        let builder = builder.image("a").init_image("b").ephemeral_image("c").env("KEY", "value").arg("-v");
        let volumes = json!([{"name": "none"}, {"name": "model", "image": {"reference": "d"}}]);
        let request = made(builder.spec("volumes", volumes).spec("hostPID", true));
        let pod = request.pod().unwrap().unwrap();
        let places: Vec<String> = pod.containers().map(|it| format!("{} {}", it.image, it.path())).collect();
        let path = |rest: &str| format!("{prefix}spec.{rest}");
        let (a, b, c) = (path("containers[0]"), path("initContainers[0]"), path("ephemeralContainers[0]"));
        assert_eq!(places, [format!("a {a}"), format!("b {b}"), format!("c {c}")]);
        let last = pod.containers().last().unwrap();
        assert_eq!((last.env[0].value.as_deref(), last.args[0].as_str()), (Some("value"), "-v"));
        assert_eq!(last.path_of("env[0].value"), format!("{c}.env[0].value"));
        assert_eq!((pod.spec.host_pid, pod.path("spec.hostPID")), (true, path("hostPID")));
        let images = request.images().unwrap();
        let images: Vec<String> = images.iter().map(|it| format!("{} {}", it.reference, it.path)).collect();
        let d = format!("d {}", path("volumes[1].image.reference"));
        assert_eq!(images, [format!("a {a}.image"), format!("b {b}.image"), format!("c {c}.image"), d]);
    };
    check(pod(), "");
    for builder in
        [deployment(), stateful_set(), daemon_set(), replica_set(), replication_controller(), job()]
    {
        check(builder, "spec.template.");
    }
    check(cron_job(), "spec.jobTemplate.spec.template.");
    let template = json!({"apiVersion": "v1", "kind": "PodTemplate", "template": {"spec": {"containers": [{"image": "a"}]}}});
    let images = made(object("podtemplates", template)).images().unwrap();
    assert_eq!(images[0].path, "template.spec.containers[0].image");
}

#[test]
fn what_is_null_or_absent_is_empty() {
    for spec in
        [json!(null), json!({}), json!({"containers": null, "volumes": null, "securityContext": null})]
    {
        let request = made(pod().set("/spec", spec));
        assert_eq!(request.pod().unwrap().unwrap().containers().count(), 0);
        assert_eq!(request.images().unwrap(), []);
    }
    let request = made(pod().container(json!({"image": null, "env": null, "resources": null})));
    assert_eq!(request.images().unwrap(), []);
    let metadata = made(config_map().set("/metadata/labels", json!(null))).metadata().unwrap();
    assert_eq!((metadata.name.as_str(), metadata.labels.len()), ("test", 0));
    assert!(made(config_map()).pod().unwrap().is_none());
    assert!(made(pod().image("a").deleted()).pod().unwrap().is_none());
}

/// Every place in a value, as a JSON pointer.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(index, value)| pointers(value, &format!("{here}/{index}"), all));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| pointers(value, &format!("{here}/{key}"), all));
        }
        _ => {}
    }
}

#[test]
fn null_is_as_if_absent_wherever_it_is() {
    let whole = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "a", "namespace": "b", "labels": {"c": "d"}, "annotations": {"e": "f"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": true}],
        },
        "spec": {
            "containers": [{
                "name": "main", "image": "i", "command": ["c"], "args": ["a"],
                "env": [{"name": "n", "value": "v"}, {"name": "m", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
                "envFrom": [{"secretRef": {"name": "s"}}], "ports": [{"name": "p", "hostPort": 1, "containerPort": 2}],
                "resources": {"limits": {"cpu": "1"}}, "volumeMounts": [{"name": "v", "mountPath": "/", "readOnly": true}],
                "securityContext": {"privileged": true, "capabilities": {"add": ["ALL"]}, "seccompProfile": {"type": "x"}},
            }],
            "volumes": [
                {"name": "h", "hostPath": {"path": "/"}}, {"name": "s", "secret": {"secretName": "s"}},
                {"name": "i", "image": {"reference": "r"}}, {"name": "c", "csi": {"driver": "d"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}]}},
            ],
            "hostNetwork": true, "nodeSelector": {"a": "b"}, "serviceAccountName": "s", "imagePullSecrets": [{"name": "s"}],
            "securityContext": {"runAsUser": 0, "sysctls": [{"name": "n", "value": "v"}], "windowsOptions": {"hostProcess": true}},
        },
    });
    let read = |value: Value| {
        let request = made(object("pods", value));
        (request.pod().map(drop), request.images().map(drop), request.metadata().map(drop))
    };
    let mut all = Vec::new();
    pointers(&whole, "", &mut all);
    assert!(all.len() > 90, "{}", all.len());
    // Without its kind it is no Pod, and which port it is a container must say.
    all.retain(|pointer| {
        !["", "/apiVersion", "/kind"].contains(&pointer.as_str()) && !pointer.ends_with("/containerPort")
    });
    for pointer in &all {
        let mut value = whole.clone();
        *value.pointer_mut(pointer).unwrap() = Value::Null;
        assert_eq!(read(value), (Ok(()), Ok(()), Ok(())), "{pointer}");
    }
    let pod = made(object("pods", whole)).pod().unwrap().unwrap();
    let projected = pod.spec.volumes[4].projected.as_ref().unwrap();
    assert_eq!(projected.sources[0].secret.as_ref().unwrap().name, "s");
    assert_eq!(pod.spec.security_context.windows_options.unwrap().host_process, Some(true));
}

#[test]
fn what_is_deleted_is_the_old_object_however_it_is_said() {
    for builder in [
        pod().image("a").deleted(),
        pod().operation(Operation::Delete).image("a"),
        pod().deleted().image("a"),
    ] {
        let request = made(builder);
        assert_eq!((request.name.as_str(), request.pod(), request.images()), ("test", Ok(None), Ok(vec![])));
        assert_eq!(request.old_pod().unwrap().unwrap().spec.containers[0].image, "a");
    }
}

#[test]
fn a_scale_is_no_deployment() {
    let refused = catch_unwind(|| deployment().sub_resource("scale")).unwrap_err();
    assert!(refused.downcast_ref::<String>().unwrap().contains("through `scale` a Scale is written"));
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 2}});
    let request =
        made(object("deployments", scale).resource("apps", "v1", "deployments").sub_resource("scale"));
    assert_eq!((request.pod(), request.resource.group.as_str()), (Ok(None), "apps"));
}

#[test]
fn what_is_of_another_type_is_an_error_that_says_where() {
    let request = made(pod().container(json!({"image": 5})));
    let error = request.images().unwrap_err().to_string();
    assert!(
        error.starts_with("`object.spec.containers[0].image` is not of the type that it is read as: invalid type: number, expected a string"),
        "{error}"
    );
    assert!(request.pod().is_err() && request.object::<Value>().unwrap().is_some());
}

#[test]
fn what_is_not_named_in_reads_is_told() {
    let request = made(pod());
    let message =
        |name: &str| Error::new(format!("`{name}` is not given: name it in `wasm.reads` of the policy"));
    assert_eq!(request.operation(), Err(message("operation")));
    assert_eq!(request.user(), Err(message("userInfo")));
    assert_eq!(request.sub_resource(), Err(message("subResource")));
    assert_eq!(request.dry_run(), Err(message("dryRun")));
    assert_eq!(request.old_object::<Value>(), Err(message("oldObject")));
    assert_eq!(request.old_pod(), Err(message("oldObject")));
    assert_eq!(request.options::<Value>(), Err(message("options")));
    assert_eq!(request.namespace_object::<Value>(), Err(message("namespaceObject")));
    assert_eq!(request.params::<Value>(), Ok(None));
    let unknown = request.lookup::<Value>("services").unwrap_err().to_string();
    assert_eq!(unknown, "the policy declares no look-up `services`");
    // What is named and not there is another matter.
    let request = made(pod().operation(Operation::Create).sub_resource(""));
    assert_eq!(request.sub_resource(), Ok(""));
    assert_eq!((request.old_object::<Value>(), request.old_pod()), (Ok(None), Ok(None)));
}

#[test]
fn everything_that_is_given_can_be_read() {
    #[derive(Deserialize)]
    struct Service {
        metadata: Metadata,
    }
    let builder = deployment()
        .name("web")
        .namespace("shop")
        .label("team", "shop")
        .image("new")
        .old(deployment().image("old"))
        .user("jane", &["developers"])
        .sub_resource("status")
        .dry_run()
        .options(json!({"fieldManager": "kubectl"}))
        .params(json!({"limit": 3}))
        .namespace_object(json!({"metadata": {"name": "shop"}}))
        .lookup("services", vec![json!({"metadata": {"name": "one"}}), json!({"metadata": {"name": "two"}})]);
    let request = made(builder);
    assert_eq!(
        (request.policy.as_str(), request.name.as_str(), request.namespace.as_str()),
        ("test", "web", "shop")
    );
    assert_eq!((request.kind.group.as_str(), request.kind.kind.as_str()), ("apps", "Deployment"));
    assert_eq!(
        (request.resource.version.as_str(), request.resource.resource.as_str()),
        ("v1", "deployments")
    );
    assert_eq!(request.operation(), Ok(Operation::Update));
    let user = request.user().unwrap();
    assert_eq!(
        (user.username.as_str(), user.groups.as_slice()),
        ("jane", ["developers".to_owned()].as_slice())
    );
    assert_eq!((request.sub_resource(), request.dry_run()), (Ok("status"), Ok(true)));
    assert_eq!(request.metadata().unwrap().labels["team"], "shop");
    assert_eq!(request.old_pod().unwrap().unwrap().spec.containers[0].image, "old");
    assert_eq!(request.options::<Value>().unwrap().unwrap()["fieldManager"], "kubectl");
    assert_eq!(request.params::<Value>().unwrap().unwrap()["limit"], 3);
    assert_eq!(request.namespace_object::<Service>().unwrap().unwrap().metadata.name, "shop");
    let services = request.lookup::<Service>("services").unwrap();
    assert_eq!(services.iter().map(|it| it.metadata.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    let deleted = made(secret().data("key", "***").deleted().user("jane", &[]));
    assert_eq!((deleted.operation(), deleted.name.as_str()), (Ok(Operation::Delete), "test"));
    assert_eq!(deleted.secret().unwrap(), None);
    let applied = "kubectl.kubernetes.io/last-applied-configuration";
    let with_value =
        secret().data("key", "aHVudGVyMg==").annotation(applied, "aHVudGVyMg==").annotation("a", "b");
    let secret = made(with_value.clone()).secret().unwrap().unwrap();
    assert_eq!((secret.data["key"].as_str(), secret.metadata.annotations[applied].as_str()), ("***", "***"));
    assert_eq!(secret.metadata.annotations["a"], "b");
    let found = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"key": "aHVudGVyMg=="}});
    let others = made(config_map().lookup("secrets", vec![found]).old(with_value));
    assert_eq!(others.lookup::<Value>("secrets").unwrap()[0]["data"]["key"], "***");
    assert_eq!(others.old_object::<Value>().unwrap().unwrap()["data"]["key"], "***");
    let map = made(config_map().data("a", "b").annotation("c", "d")).config_map().unwrap().unwrap();
    assert_eq!((map.data["a"].as_str(), map.metadata.annotations["c"].as_str()), ("b", "d"));
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    most: Vec<u8>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: vec![7] }
    }
}

impl Settings for Limits {
    fn validate(&self) -> Vec<SettingsError> {
        let zero = self.most.iter().position(|it| *it == 0);
        zero.map(|at| SettingsError::new(format!("most[{at}]"), "must not be 0")).into_iter().collect()
    }
}

#[test]
fn settings_have_defaults_and_errors_with_paths() {
    let check = |settings: Value, expected: &[(&str, &str)]| {
        let expected: Vec<_> =
            expected.iter().map(|(path, message)| SettingsError::new(*path, *message)).collect();
        assert_eq!(settings_errors::<Limits>(&settings), expected);
    };
    check(json!({}), &[]);
    check(json!({"most": [1, 0]}), &[("most[1]", "must not be 0")]);
    check(json!({"most": [1, -1]}), &[("most[1]", "invalid value: integer `-1`, expected u8")]);
    check(json!({"other": 1}), &[("other", "unknown field `other`, expected `most`")]);
    check(json!({"most": 1}), &[("most", "invalid type: number, expected a sequence")]);
    assert_eq!(pod().request::<Limits>().settings.most, [7]);
    assert_eq!(pod().settings(json!({"most": [1]})).request::<Limits>().settings.most, [1]);
    let refused = catch_unwind(|| pod().settings(json!({"most": [0]})).request::<Limits>()).unwrap_err();
    assert!(refused.downcast_ref::<String>().unwrap().contains("must not be 0"));
    assert_eq!(settings_errors::<NoSettings>(&json!({"a": 1})).len(), 1);
}

#[test]
fn a_failed_assertion_shows_the_verdict() {
    let failure = |assertion: fn()| *catch_unwind(assertion).unwrap_err().downcast::<String>().unwrap();
    fn denied() -> Verdict {
        let mut verdict = Verdict::allowed();
        verdict.violation("so it is").at("spec.a").remedy("mend it");
        verdict.warn("beware");
        verdict.annotate("key", "value");
        verdict
    }
    let all = "\n  violation (spec.a): so it is; mend it\n  warning: beware\n  audit annotation key: value";
    let check = |assertion: fn(), expected: &str| assert_eq!(failure(assertion), expected);
    check(
        || crate::assert_allowed!(denied()),
        &format!("the request is denied, and should be allowed:{all}"),
    );
    check(
        || crate::assert_denied!(denied(), "not so"),
        &format!("no violation has `not so` in its message:{all}"),
    );
    check(
        || crate::assert_denied_at!(denied(), "spec.b", "so it is"),
        &format!("no violation at `spec.b` has `so it is` in its message:{all}"),
    );
    check(
        || crate::assert_denied!(Verdict::allowed(), "so"),
        "no violation has `so` in its message:\n  the verdict is empty: allowed",
    );
    check(|| crate::assert_allowed!(Err::<Verdict, _>("no idea")), "the policy does not decide: no idea");
    crate::assert_denied_at!(denied(), "spec.a", "so it is");
}
