//! What nobody but those who may can do to the controller: the chart's own ValidatingAdmissionPolicies.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use serde_json::json;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_tenant_who_may_write_config_maps_changes_no_policy_no_exception_and_no_switch,
        who_may_write_exceptions_only_writes_no_policies,
        nothing_foreign_runs_in_the_controllers_namespace,
        a_webhook_configuration_is_changed_by_nobody_who_may_not_disarm,
        a_namespace_goes_with_its_policies_whoever_cleans_up,
        collections_and_names_that_the_api_server_makes_are_guarded_alike,
    ]
}

const REFUSED: &str = "policies are guarded: user `tenant` may not";

/// Lets the tenant do this in the controller's namespace, and in the whole cluster if `everywhere`.
fn grant(world: &World<'_>, group: &str, resources: &[&str], verbs: &[&str], everywhere: bool) -> Result<()> {
    let namespace = world.controller_namespace();
    let name = format!("tenant-{}", resources.join("-").replace('/', "-"));
    let (role, binding) =
        if everywhere { ("ClusterRole", "ClusterRoleBinding") } else { ("Role", "RoleBinding") };
    let metadata = if everywhere {
        json!({"name": format!("{namespace}-{name}")})
    } else {
        json!({"name": name, "namespace": namespace})
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": role, "metadata": metadata,
            "rules": [{"apiGroups": [group], "resources": resources, "verbs": verbs}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": binding, "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": metadata["name"]},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}],
        },
    ]});
    world.apply(&list.to_string()).map(drop)
}

fn config_map(world: &World<'_>, name: &str, labels: &str, document: &str) -> String {
    let namespace = world.controller_namespace();
    let labels = if labels.is_empty() { "{}" } else { labels };
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels: {labels}\n\
         data:\n  policy.yaml: |\n    {document}\n"
    )
}

/// Waits until the API server asks both policies that guard ConfigMaps: Helm makes them in any order, and the API
/// server begins to ask a new one after a moment. Nothing is changed meanwhile.
fn guards_config_maps(world: &World<'_>) -> Result<()> {
    let create = format!("create -n {} -f - --dry-run=server", world.controller_namespace());
    let policy = config_map(world, "any", "{portcullis.dev/policy: 'true'}", "x");
    let switch = config_map(world, "portcullis-disarmed", "", "x");
    for (text, refusal) in [(policy, REFUSED), (switch, "lacks the verb `disarm`")] {
        world.eventually("the guard is there", || {
            world.kubectl_as("tenant", &create).input(&text).refused(&[refusal]).map(drop)
        })?;
    }
    Ok(())
}

fn a_tenant_who_may_write_config_maps_changes_no_policy_no_exception_and_no_switch(
    world: &mut World<'_>,
) -> Result<()> {
    world.install("")?;
    let namespace = world.controller_namespace();
    let policy = world.library("isolation/no-host-access")?;
    world.apply(&policy)?;
    grant(world, "", &["configmaps"], &["*"], false)?;
    let tenant = |args: &str| world.kubectl_as("tenant", &format!("{args} -n {namespace}"));
    let apply = |text: &str| tenant("apply -f -").input(text);
    let labelled = "{portcullis.dev/policy: 'true'}";
    guards_config_maps(world)?;
    apply(&policy.replace("hostPID must", "hostPID should")).refused(&[REFUSED, "update policies"])?;
    let exceptions = "{portcullis.dev/policy: 'true', portcullis.dev/exceptions: 'true'}";
    apply(&config_map(world, "new", labelled, "x")).refused(&[REFUSED, "create policies.portcullis.dev"])?;
    apply(&config_map(world, "new", exceptions, "x")).refused(&[REFUSED, "create policyexceptions"])?;
    // A label that says no is still ours to look at.
    apply(&config_map(world, "new", "{portcullis.dev/policy: 'false'}", "x")).refused(&[REFUSED])?;
    tenant("label configmap no-host-access portcullis.dev/policy-").refused(&[REFUSED])?;
    tenant("label configmap no-host-access portcullis.dev/exceptions=true").refused(&[REFUSED])?;
    tenant("delete configmap no-host-access").refused(&[REFUSED, "delete policies"])?;
    tenant("delete configmap --all").refused(&[REFUSED, "delete policies"])?;
    for name in ["portcullis-disarmed", "portcullis-status", "portcullis-accepted", "portcullis-accepted-1"] {
        apply(&config_map(world, name, "", "x")).refused(&["lacks the verb `disarm`"])?;
    }
    // Whoever deletes a collection names nothing.
    world.kubectl(&format!("create configmap portcullis-accepted-7 -n {namespace}")).ok()?;
    let delete = |selector: &str| {
        let path =
            format!("/api/v1/namespaces/{namespace}/configmaps?fieldSelector=metadata.name%3D{selector}");
        world.kubectl_as("tenant", &format!("delete --raw {path}"))
    };
    delete("portcullis-accepted-7").refused(&["lacks the verb `disarm`"])?;
    delete("no-host-access").refused(&[REFUSED, "delete policies"])?;
    apply(&config_map(world, "own", "", "x")).ok()?;
    delete("own").ok()?;
    apply(&config_map(world, "own", "", "x")).ok()?;
    tenant("label configmap own portcullis.dev/policy=true").refused(&[REFUSED])?;
    tenant("delete configmap own").ok()?;
    grant(world, "portcullis.dev", &["policies"], &["create", "update", "delete", "disarm"], false)?;
    world.eventually("who may, can", || apply(&config_map(world, "new", labelled, "x")).ok().map(drop))?;
    tenant("delete configmap new").ok()?;
    apply(&config_map(world, "portcullis-disarmed", "", "x")).ok()?;
    tenant("delete configmap portcullis-disarmed").ok().map(drop)
}

fn who_may_write_exceptions_only_writes_no_policies(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    super::bad_pod_is_denied(world, &shop, "hostNetwork must not be true")?;
    grant(world, "", &["configmaps"], &["*"], false)?;
    grant(world, "portcullis.dev", &["policyexceptions"], &["*"], false)?;
    guards_config_maps(world)?;
    let apply = |text: &str| world.kubectl_as("tenant", "apply -f -").input(text);
    let exceptions = "{portcullis.dev/policy: 'true', portcullis.dev/exceptions: 'true'}";
    let exception = format!(
        "{{apiVersion: portcullis.dev/v1, kind: PolicyException, metadata: {{name: legacy}}, spec: {{policies: \
         [no-host-access], match: {{namespaces: [{shop}]}}, reason: to be replaced}}}}"
    );
    // What is no exception is not in force from there, even if somebody managed to write it.
    let policy = "{apiVersion: portcullis.dev/v1, kind: Policy, metadata: {name: all}, spec: {validationActions: \
                  [Deny], matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: \
                  [CREATE], resources: [configmaps]}]}, validations: [{expression: 'false'}]}}";
    world.eventually("the exception is admitted", || {
        apply(&config_map(world, "legacy", exceptions, &exception)).ok().map(drop)
    })?;
    super::bad_pod_is_admitted(world, &shop)?;
    apply(&config_map(world, "all", "{portcullis.dev/policy: 'true'}", policy)).refused(&[REFUSED])?;
    apply(&config_map(world, "all", exceptions, policy)).run()?;
    world.kubectl(&format!("delete configmap legacy -n {}", world.controller_namespace())).ok()?;
    // That was seen after the one before it.
    super::bad_pod_is_denied(world, &shop, "hostNetwork must not be true")?;
    world.kubectl(&format!("create configmap free -n {shop} --dry-run=server")).ok().map(drop)
}

fn nothing_foreign_runs_in_the_controllers_namespace(world: &mut World<'_>) -> Result<()> {
    world.install("")?;
    let namespace = world.controller_namespace();
    grant(world, "", &["pods", "pods/ephemeralcontainers"], &["*"], false)?;
    let create = |account: &str, image: &str, dry_run: &str| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guest"},
            "spec": {"serviceAccountName": account, "containers": [{"name": "main", "image": image}]},
        });
        let args = format!("create -n {namespace} --dry-run={dry_run} -f -");
        world.kubectl_as("tenant", &args).input(&pod.to_string())
    };
    world.eventually("the guard is there", || {
        create("portcullis", "evil:1", "server")
            .refused(&["only images of `portcullis` run in namespace"])
            .map(drop)
    })?;
    create("portcullis", "portcullis-evil:1", "none").refused(&["only images of"])?;
    create("default", "portcullis:0.1.0", "none").refused(&["service accounts that may run in namespace"])?;
    create("portcullis", "portcullis:0.1.0", "none").ok()?;
    let patch = r#"{"spec":{"ephemeralContainers":[{"name":"debug","image":"evil:1"}]}}"#;
    let debug = format!("patch pod guest -n {namespace} --subresource=ephemeralcontainers -p={patch}");
    world.kubectl_as("tenant", &debug).refused(&["only images of"])?;
    // The Deployment's own Pods get in.
    let get = format!("get pods -n {namespace} -l pod-template-hash -o name");
    world.eventually("the Deployment has its Pods", || {
        let pods = world.kubectl(&get).ok()?.stdout;
        anyhow::ensure!(pods.lines().count() == 2, "{pods}");
        Ok(())
    })
}

fn a_webhook_configuration_is_changed_by_nobody_who_may_not_disarm(world: &mut World<'_>) -> Result<()> {
    world.install("")?;
    let name = world.configuration();
    grant(world, "admissionregistration.k8s.io", &["validatingwebhookconfigurations"], &["*"], true)?;
    let tenant = |args: &str| world.kubectl_as("tenant", args);
    world.eventually("the guard is there", || {
        tenant(&format!("label validatingwebhookconfiguration {name} a=b --dry-run=server"))
            .refused(&["lacks the verb `disarm`"])
            .map(drop)
    })?;
    tenant(&format!("delete validatingwebhookconfiguration {name}")).refused(&["lacks the verb `disarm`"])?;
    // Others' are nothing to us.
    let other = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": format!("{name}-other")},
    });
    tenant("apply -f -").input(&other.to_string()).ok()?;
    tenant(&format!("delete validatingwebhookconfiguration {name}-other")).ok().map(drop)
}

fn a_namespace_goes_with_its_policies_whoever_cleans_up(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    super::bad_pod_is_denied(world, &shop, "hostNetwork must not be true")?;
    let namespace = world.controller_namespace();
    world.kubectl(&format!("delete namespace {namespace} --timeout=60s")).ok()?;
    super::bad_pod_is_admitted(world, &shop)
}

fn collections_and_names_that_the_api_server_makes_are_guarded_alike(world: &mut World<'_>) -> Result<()> {
    world.install("")?;
    let namespace = world.controller_namespace();
    let shop = world.namespace("shop")?;
    grant(world, "", &["configmaps"], &["*"], true)?;
    let policy = world.library("isolation/no-host-access")?;
    let anew = policy.replacen("  name: no-host-access\n", "  generateName: no-host-access-\n", 1);
    let kept = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{generateName: portcullis-accepted-, namespace: {namespace}}}\n"
    );
    let create = |user: &str, text: &str| world.kubectl_as(user, "create -f -").input(text);
    guards_config_maps(world)?;
    create("tenant", &anew).refused(&[REFUSED])?;
    create("tenant", &kept).refused(&["Portcullis is guarded"])?;
    create("admin", &anew).ok()?;
    create("admin", &kept).ok()?;
    let delete = |user: &str, namespace: &str| {
        world.kubectl_as(user, &format!("delete --raw /api/v1/namespaces/{namespace}/configmaps"))
    };
    delete("tenant", &namespace).refused(&["guarded"])?;
    delete("tenant", &shop).ok()?;
    delete("admin", &namespace).ok()?;
    let left = world
        .kubectl(&format!("get configmaps -n {namespace} -l portcullis.dev/policy -o name"))
        .ok()?
        .stdout;
    ensure!(left.is_empty(), "{left}");
    world
        .kubectl(&format!("delete clusterrole,clusterrolebinding {namespace}-tenant-configmaps"))
        .ok()
        .map(drop)
}
