//! `portcullis audit` of the cluster.

use super::{memory, pod, policy, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use crate::workspace::root;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;

/// So many ConfigMaps are read page by page, of so many bytes each, so many at a time.
const MANY: (usize, usize, usize) = (3_000, 16 << 10, 100);

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        an_audit_says_of_live_objects_what_the_webhook_says_of_them,
        an_audit_tells_what_it_may_not_list_and_judges_the_rest,
        an_audit_reads_secrets_only_if_asked_and_shows_none_of_their_values,
        an_audit_of_thousands_of_objects_takes_the_memory_of_a_page,
    ]
}

const OWNED: &str = "validationActions: [Deny]
matchConstraints:
  namespaceSelector: {matchLabels: {env: prod}}
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
validations:
- expression: \"'owner' in object.data\"
  message: it has no owner";

fn prefixes(own: &str) -> String {
    format!(
        "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}
paramKind: {{apiVersion: v1, kind: ConfigMap}}
paramRef: {{name: names, namespace: {own}, parameterNotFoundAction: Deny}}
validations:
- expression: object.metadata.name.startsWith(params.data.prefix)
  message: its name begins otherwise"
    )
}

fn deployment(name: &str) -> String {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "hostNetwork": true,
                    "containers": [{"name": "main", "image": "registry.example.com/app:1"}],
                },
            },
        },
    })
    .to_string()
}

fn config_map(name: &str, key: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: "web-"}})
        .to_string()
}

fn an_audit_says_of_live_objects_what_the_webhook_says_of_them(world: &mut World<'_>) -> Result<()> {
    let (prod, lab) = (world.namespace("prod")?, world.namespace("lab")?);
    world.kubectl(&format!("label namespace {prod} env=prod")).ok()?;
    let objects = [
        ("Pod", "web-good", pod("web-good", "")),
        ("Pod", "web-bad", pod("web-bad", "hostNetwork: true")),
        ("Pod", "job-good", pod("job-good", "")),
        ("Pod", "job-bad", pod("job-bad", "hostPID: true")),
        ("ConfigMap", "owned", config_map("owned", "owner")),
        ("ConfigMap", "unowned", config_map("unowned", "other")),
        ("Deployment", "web", deployment("web")),
    ];
    for namespace in [&prod, &lab] {
        for (_, _, manifest) in &objects {
            world.kubectl(&format!("create -n {namespace} -f -")).input(manifest).ok()?;
        }
    }
    let _controller = world.controller(&[])?;
    let own = world.controller_namespace();
    world.kubectl(&format!("create -n {own} -f -")).input(&config_map("names", "prefix")).ok()?;
    let policies = ["no-host-access", "owned", "prefixes"];
    world.apply(&world.library("isolation/no-host-access")?)?;
    world.apply(&policy(world, "owned", OWNED))?;
    world.apply(&policy(world, "prefixes", &prefixes(&own)))?;
    world.eventually("every policy is in force", || {
        let ask = |object: usize| {
            world.kubectl(&format!("create -n {prod} -f - --dry-run=server")).input(&objects[object].2)
        };
        ask(1).refused(&["policy `no-host-access`"])?;
        ask(2).refused(&["policy `prefixes`"])?;
        ask(5).refused(&["policy `owned`"]).map(drop)
    })?;
    let said = world.portcullis("audit -o json").ok()?;
    let denied = denials(&said.stdout)?;
    let mut count = 0;
    for namespace in [&prod, &lab] {
        for (kind, name, manifest) in &objects {
            let create = format!("create -n {namespace} -f - --dry-run=server");
            let said = world.kubectl(&create).input(manifest).run()?;
            let said_so = |policy: &&&str| said.stderr.contains(&format!("policy `{policy}`"));
            let by_webhook: BTreeSet<String> =
                policies.iter().filter(said_so).map(|policy| (*policy).to_owned()).collect();
            let key = format!("{kind} {namespace}/{name}");
            let by_audit = denied.get(&key).cloned().unwrap_or_default();
            ensure!(by_webhook == by_audit, "{key}: {by_webhook:?}, audited {by_audit:?}: {}", said.stderr);
            count += by_audit.len();
        }
    }
    println!("           {} objects, {count} denials, alike in both", 2 * objects.len());
    // What keeps out of the webhook is not reported either.
    ensure!(!denied.keys().any(|key| key.contains(&format!(" {own}/"))), "{denied:?}");
    let table = world.portcullis("audit").ok()?.stdout;
    ensure!(table.contains("would be denied under [Deny]") && table.contains("it has no owner"), "{table}");
    ensure!(world.portcullis("audit --strict").run()?.code == Some(2), "--strict does not count");
    Ok(())
}

/// Which policies deny what, by an audit's report.
pub(super) fn denials(report: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let report: Value = serde_json::from_str(report)?;
    let mut denied: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in report["objects"].as_array().into_iter().flatten() {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let key = format!("{} {}/{}", text("kind"), text("namespace"), text("name"));
        let judgements = object["judgements"].as_array().into_iter().flatten();
        let policies = judgements.filter(|judgement| judgement["action"] == "deny");
        let policies = policies.filter_map(|judgement| judgement["policy"].as_str());
        denied.entry(key).or_default().extend(policies.map(str::to_owned));
    }
    Ok(denied)
}

fn an_audit_tells_what_it_may_not_list_and_judges_the_rest(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let own = world.controller_namespace();
    world.namespace("portcullis")?;
    world.kubectl(&format!("create -n {namespace} -f -")).input(&pod("bad", "hostNetwork: true")).ok()?;
    let audit = |verb: &str| world.portcullis_as("tenant", verb).run();
    world.apply(&world.library("isolation/no-host-access")?)?;
    let said = audit("audit")?;
    let expected = format!("the policies in namespace `{own}` cannot be read: configmaps is forbidden");
    ensure!(said.code == Some(1) && said.stderr.contains(&expected), "{said:?}");
    // All but the workloads, and no Namespaces.
    let role = format!("{own}-auditor");
    world.kubectl(&format!("create clusterrole {role} --verb=list --resource=pods,configmaps")).ok()?;
    world.kubectl(&format!("create clusterrolebinding {role} --clusterrole={role} --user=tenant")).ok()?;
    let result = (|| {
        let said = audit("audit")?;
        ensure!(said.code == Some(1), "{said:?}");
        for expected in [
            "error: `deployments.apps` cannot be listed: deployments.apps is forbidden",
            "hint: grant `list` on `deployments.apps`",
            "error: `namespaces` cannot be listed",
        ] {
            ensure!(said.stderr.contains(expected), "no `{expected}`: {said:?}");
        }
        ensure!(said.stdout.contains("Pod bad"), "{said:?}");
        world.apply(&documented_role(&role)?)?;
        for policy in ["images/approved-registries", "isolation/no-root", "secrets/external-only"] {
            world.apply(&world.library(policy)?)?;
        }
        let said = audit("audit")?;
        ensure!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
        Ok(())
    })();
    world.kubectl(&format!("delete clusterrolebinding {role}")).run()?;
    world.kubectl(&format!("delete clusterrole {role}")).run()?;
    result
}

/// The ClusterRole for auditors that the documentation shows, under another name.
fn documented_role(name: &str) -> Result<String> {
    let text = std::fs::read_to_string(root()?.join("deploy/README.md"))?;
    let mut blocks =
        text.split("```yaml\n").filter_map(|block| block.split_once("```")).map(|(block, _)| block);
    let block =
        blocks.find(|block| block.contains("name: portcullis-auditor")).context("it is not documented")?;
    Ok(block.replace("name: portcullis-auditor", &format!("name: {name}")))
}

fn an_audit_reads_secrets_only_if_asked_and_shows_none_of_their_values(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    world.namespace("portcullis")?;
    let (value, encoded) = ("correct-horse", "Y29ycmVjdC1ob3JzZQ==");
    world.kubectl(&format!("create secret generic door -n {namespace} --from-literal=key={value}")).ok()?;
    world.apply(&policy(
        world,
        "telling",
        "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [secrets]}
validations:
- expression: \"!has(object.data.key)\"
  messageExpression: \"'the key is ' + object.data.key\"",
    ))?;
    let note = "Secrets are not listed, though policies match them; `--secrets` lists them";
    let said = world.portcullis("audit").ok()?;
    ensure!(said.stdout.contains(note) && !said.stdout.contains("Secret door"), "{said:?}");
    for output in ["table", "json"] {
        let said = world.portcullis(&format!("audit --secrets -o {output}")).ok()?;
        ensure!(said.stdout.contains("the key is ***"), "{said:?}");
        let told = format!("{}{}", said.stdout, said.stderr);
        ensure!(!told.contains(value) && !told.contains(encoded) && !told.contains(note), "{said:?}");
    }
    Ok(())
}

fn an_audit_of_thousands_of_objects_takes_the_memory_of_a_page(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    world.namespace("portcullis")?;
    let (count, bytes, page) = MANY;
    world.apply(&policy(
        world,
        "small",
        "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
validations:
- expression: size(object.data.?text.orValue('')) < 10000
  message: it is large",
    ))?;
    let (_, before) = peak(world, &format!("audit --chunk-size {page} --max-per-policy 50 -o json"))?;
    world.cluster.runtime.block_on(fill(world, &namespace, count, bytes))?;
    let (report, paged) = peak(world, &format!("audit --chunk-size {page} --max-per-policy 50 -o json"))?;
    let (_, at_once) = peak(world, &format!("audit --chunk-size {count} --max-per-policy 50 -o json"))?;
    let report: Value = serde_json::from_str(&report)?;
    let policy = &report["policies"][0];
    ensure!(policy["judgements"]["deny"] == count, "{policy}");
    ensure!(policy["unlisted"] == count - 50, "{policy}");
    ensure!(report["objects"].as_array().is_some_and(|objects| objects.len() == 50), "not 50 are told");
    let whole = (count * bytes) >> 10;
    println!(
        "           {count} objects, {whole} KiB of text: {before} KiB resident at most without them, {paged} KiB by \
         pages of {page}, {at_once} KiB at once"
    );
    ensure!(paged < before + whole / 4, "pages are kept");
    // Otherwise there would be nothing to see.
    ensure!(at_once > before + whole, "the whole is not seen");
    Ok(())
}

/// Makes ConfigMaps of so many bytes.
async fn fill(world: &World<'_>, namespace: &str, count: usize, bytes: usize) -> Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(world.client().await?, namespace);
    let text = "x".repeat(bytes);
    let mut running = JoinSet::new();
    for worker in 0..8 {
        let (api, text) = (api.clone(), text.clone());
        running.spawn(async move {
            for number in (worker..count).step_by(8) {
                let object = json!({"metadata": {"name": format!("m{number}")}, "data": {"text": text}});
                api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

/// What `portcullis` prints, and how many KiB of it were resident at most.
fn peak(world: &World<'_>, verb: &str) -> Result<(String, usize)> {
    let mut most = 0;
    let child = world.portcullis(verb);
    let said = child.run_beside(|pid| {
        while let Some(peak) = memory(pid, "VmHWM") {
            most = peak.max(most);
            std::thread::sleep(Duration::from_millis(2));
        }
    })?;
    ensure!(said.succeeded && most > 0, "{said:?}");
    Ok((said.stdout, most))
}
