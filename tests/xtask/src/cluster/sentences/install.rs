//! The chart: what it renders, what it needs, what it leaves behind.

use super::{bad_pod_is_admitted, bad_pod_is_denied, pod, sentences};
use crate::cluster::world::{CHART, World};
use crate::cluster::{Sentence, manifests};
use crate::golang;
use crate::workspace::root;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;

const MESSAGE: &str = "hostNetwork must not be true";

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        the_chart_is_sound_and_the_api_server_takes_every_manifest,
        the_plain_manifests_are_what_the_chart_renders_and_the_api_server_takes_them,
        what_cert_manager_and_the_prometheus_operator_get_is_as_they_define_it,
        a_wrong_value_is_refused_by_name,
        the_deployments_flags_start_a_replica_that_enforces,
        an_upgrade_changes_policies_and_an_uninstalled_release_leaves_nothing,
    ]
}

fn the_chart_is_sound_and_the_api_server_takes_every_manifest(world: &mut World<'_>) -> Result<()> {
    let said = world.helm(&format!("lint --strict {CHART}"))?;
    ensure!(said.stdout.contains("1 chart(s) linted, 0 chart(s) failed"), "{said:?}");
    let namespace = world.namespace("dry")?;
    let library = "--set-json policies={\"isolation/no-host-access\":{\"validationActions\":[\"Audit\"]},\"isolation/no-root\":{}}";
    let options = "--set networkPolicy.enabled=true --set auditOnly=true --set webhook.clientCa.configMap=clients --set extraArgs={--max-requests=99}";
    let manifests =
        world.helm(&format!("template portcullis {CHART} -n {namespace} {library} {options}"))?.stdout;
    let kinds = manifests.lines().filter(|line| line.starts_with("kind: ")).count();
    let applied = world.kubectl("apply --dry-run=server -f -").input(&manifests).ok()?.stdout;
    ensure!(applied.lines().count() == kinds && kinds > 15, "{kinds} manifests, {applied}");
    Ok(())
}

fn the_plain_manifests_are_what_the_chart_renders_and_the_api_server_takes_them(
    world: &mut World<'_>,
) -> Result<()> {
    let rendered = manifests::render(&world.cluster.components.helm)?;
    let path = root()?.join(manifests::FILE);
    let kept = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    ensure!(
        kept == rendered,
        "`{}` is not what the chart renders: run `cargo xtask manifests`",
        path.display()
    );
    // Nothing is created, so that the namespace has to be there already.
    world.kubectl("create namespace portcullis").ok()?;
    let applied = world.kubectl("apply --dry-run=server -f -").input(&kept).run();
    world.kubectl("delete namespace portcullis --wait=false").ok()?;
    let applied = applied?;
    let kinds = kept.lines().filter(|line| line.starts_with("kind: ")).count();
    ensure!(applied.succeeded && applied.stdout.lines().count() == kinds, "{kinds} manifests, {applied:?}");
    Ok(())
}

/// Definitions of kinds that the chart can use, in their projects' published modules.
const DEFINITIONS: [(&str, &str, &str); 3] = [
    (
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    ("github.com/cert-manager/cert-manager", "v1.21.2", "deploy/crds/cert-manager.io_certificates.yaml"),
    ("github.com/cert-manager/cert-manager", "v1.21.2", "deploy/crds/cert-manager.io_issuers.yaml"),
];

fn what_cert_manager_and_the_prometheus_operator_get_is_as_they_define_it(
    world: &mut World<'_>,
) -> Result<()> {
    let mut definitions = Vec::new();
    for (module, version, file) in DEFINITIONS {
        let path = golang::module_at(module, version)?.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        definitions.push(text);
    }
    let definitions = definitions.join("\n---\n");
    // Too large for what `kubectl apply` notes on an object.
    world.kubectl("create -f -").input(&definitions).ok()?;
    world.kubectl("wait --for=condition=Established --timeout=60s -f -").input(&definitions).ok()?;
    let namespace = world.namespace("dry")?;
    let render = |options: &str| {
        let options =
            format!("--set serviceMonitor.enabled=true --set certificate.certManager.enabled=true {options}");
        world.helm(&format!("template portcullis {CHART} -n {namespace} {options}"))
    };
    let issuer =
        "--set-json certificate.certManager.issuerRef={\"name\":\"ours\",\"kind\":\"ClusterIssuer\"}";
    let applied = [
        ("", ["servicemonitor", "certificate", "issuer"].as_slice()),
        (issuer, &["servicemonitor", "certificate"]),
    ]
    .into_iter()
    .try_for_each(|(options, kinds)| {
        let manifests = render(options)?.stdout;
        world.eventually("it is taken", || {
            let apply = world.kubectl("apply --dry-run=server --validate=strict -f -").input(&manifests);
            let applied = apply.ok()?.stdout;
            let named = |kind: &&&str| applied.lines().any(|line| line.starts_with(&format!("{kind}.")));
            ensure!(kinds.iter().filter(named).count() == kinds.len(), "{applied}");
            Ok(())
        })
    });
    world.kubectl("delete --wait=false -f -").input(&definitions).ok()?;
    applied
}

fn a_wrong_value_is_refused_by_name(world: &mut World<'_>) -> Result<()> {
    for (value, expect) in [
        ("--set replica=3", "additional properties 'replica' not allowed"),
        ("--set image.digest=sha256:1", "/image/digest"),
        (
            "--set-json policies={\"isolation/no-root\":{\"validationActions\":[\"Block\"]}}",
            "'Deny', 'Warn', 'Audit'",
        ),
        ("--set-json policies={\"isolation/no\":{}}", "there is no `isolation/no` in the library"),
    ] {
        world.call_helm(&format!("template portcullis {CHART} {value}"))?.refused(&[expect])?;
    }
    Ok(())
}

fn the_deployments_flags_start_a_replica_that_enforces(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.install("--set-json policies={\"isolation/no-host-access\":{}}")?;
    let get = format!("get deployment portcullis -n {} -o json", world.controller_namespace());
    let deployment: Value = serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?;
    let container =
        deployment.pointer("/spec/template/spec/containers/0/args").context("it has no arguments")?;
    // No Pod can run here: the API server reaches the replica by another address, and the replica it.
    let args: Vec<&str> = container
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|arg| {
            !["serve", "--listen=", "--ops-listen=", "--log-format=", "--webhook-service="]
                .iter()
                .any(|own| arg.starts_with(own))
        })
        .collect();
    let controller = world.start_with(&kubeconfig, &args)?;
    world.cluster.runtime.block_on(controller.served.ready())?;
    bad_pod_is_denied(world, &namespace, MESSAGE)
}

fn an_upgrade_changes_policies_and_an_uninstalled_release_leaves_nothing(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let own = world.controller_namespace();
    let kubeconfig = world.install("--set-json policies={\"isolation/no-host-access\":{}}")?;
    let controller = world.start_controller(&kubeconfig, &[])?;
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    let get =
        format!("get validatingwebhookconfiguration {} -o jsonpath={{.webhooks}}", world.configuration());
    let before = world.kubectl(&get).ok()?.stdout;
    world.helm(&format!("upgrade portcullis {CHART} -n {own} --set-json policies={{\"isolation/no-host-access\":{{}}}} --set replicas=3"))?;
    // The chart's configuration has no entries: an upgrade takes none away.
    ensure!(world.kubectl(&get).ok()?.stdout == before, "the entries changed");
    bad_pod_is_denied(world, &namespace, MESSAGE)?;
    world.helm(&format!(
        "upgrade portcullis {CHART} -n {own} --set-json policies={{\"isolation/no-host-access\":{{\"validationActions\":[\"Warn\"]}}}}"
    ))?;
    bad_pod_is_admitted(world, &namespace)?;
    let create = format!("create -n {namespace} -f - --dry-run=server");
    let said = world.kubectl(&create).input(&pod("bad", "hostNetwork: true")).ok()?;
    ensure!(said.stderr.contains("Warning: ") && said.stderr.contains(MESSAGE), "{said:?}");
    world.helm(&format!("uninstall portcullis -n {own} --wait"))?;
    drop(controller);
    let kinds = "validatingwebhookconfiguration,validatingadmissionpolicy,validatingadmissionpolicybinding,\
                 clusterrole,clusterrolebinding,deployment,service,role,rolebinding,poddisruptionbudget";
    let left =
        world.kubectl(&format!("get {kinds} -A -l app.kubernetes.io/name=portcullis -o name")).ok()?.stdout;
    let left: Vec<&str> = left.lines().filter(|name| name.contains(&own)).collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
