//! What policies look up in the cluster: found, young, not served, forbidden, and forgotten.

use super::{policy, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::{Controller, World};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_policy_looks_other_objects_up_and_their_changes_count,
        an_object_can_be_looked_up_as_soon_as_it_is_made,
        of_secrets_that_are_looked_up_no_value_is_asked_for,
        a_kind_that_is_looked_up_and_not_served_is_an_error_until_it_is,
        a_lookup_that_rbac_forbids_fails_by_failure_policy_and_says_what_to_grant,
        an_operator_writes_a_secret_only_for_an_owner_that_asks_for_it,
        what_is_looked_up_is_kept_in_part_and_only_as_long_as_a_policy_does,
    ]
}

/// So many objects are looked up as soon as they are made.
const YOUNG: usize = 20;

/// A policy over ConfigMaps, each of which names the service that it is for.
const SERVICE: &str = "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
matchConditions:
- {name: named, expression: \"has(object.data) && has(object.data.service)\"}
lookups:
- {name: service, apiVersion: v1, kind: Service, objectNameExpression: object.data.service}
validations:
- expression: lookups.service.exists(s, s.metadata.labels.team == object.data.team)
  messageExpression: \"'team ' + object.data.team + ' has no service ' + object.data.service\"";

fn grant(world: &World<'_>, resource: &str) -> Result<()> {
    let (own, (group, resource)) =
        (world.controller_namespace(), resource.split_once('/').unwrap_or(("", resource)));
    let rules = format!(r#"[{{"apiGroups":["{group}"],"resources":["{resource}"]}}]"#);
    world.helm(&format!(
        "upgrade portcullis deploy/helm/portcullis -n {own} --set-json lookups.rules={rules}"
    ))?;
    Ok(())
}

fn definition(group: &str, kind: &str) -> String {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    let names =
        json!({"plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List")});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
    .to_string()
}

fn service(namespace: &str, name: &str, team: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"team": team}},
        "spec": {"ports": [{"port": 80}], "clusterIP": "None"},
    })
    .to_string()
}

fn create(namespace: &str, service: &str) -> String {
    format!(
        "create configmap any -n {namespace} --dry-run=server --from-literal=service={service} --from-literal=team=a"
    )
}

/// What the controller answers on the operator's port.
fn asked(world: &World<'_>, controller: &Controller, path: &str) -> Result<String> {
    world.cluster.runtime.block_on(async {
        let ops = controller.served.ops.as_ref().context("there is no operator's port")?;
        let reply = ops.connect().await?.get(path).await?;
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
    })
}

fn denied(world: &World<'_>, create: &str, message: &str) -> Result<()> {
    world.eventually("it is denied", || world.kubectl(create).refused(&[message]).map(drop))
}

fn admitted(world: &World<'_>, create: &str) -> Result<()> {
    world.eventually("it is admitted", || world.kubectl(create).ok().map(drop))
}

fn a_policy_looks_other_objects_up_and_their_changes_count(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    grant(world, "services")?;
    world.apply(&service(&shop, "web", "a"))?;
    world.apply(&policy(world, "services", SERVICE))?;
    denied(world, &create(&shop, "other"), "team a has no service other")?;
    admitted(world, &create(&shop, "web"))?;
    world.kubectl(&format!("label service web -n {shop} --overwrite team=b")).ok()?;
    denied(world, &create(&shop, "web"), "team a has no service web")?;
    world.kubectl(&format!("label service web -n {shop} --overwrite team=a")).ok()?;
    admitted(world, &create(&shop, "web"))?;
    world.kubectl(&format!("delete service web -n {shop}")).ok()?;
    denied(world, &create(&shop, "web"), "team a has no service web")
}

fn an_object_can_be_looked_up_as_soon_as_it_is_made(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    grant(world, "services")?;
    world.apply(&policy(world, "services", SERVICE))?;
    denied(world, &create(&shop, "other"), "team a has no service other")?;
    let label = world.label();
    world.cluster.runtime.block_on(async {
        use k8s_openapi::api::core::v1::{ConfigMap, Service};
        use kube::{Api, api::PostParams};
        let client = world.client().await?;
        let services: Api<Service> = Api::namespaced(client.clone(), &shop);
        let config_maps: Api<ConfigMap> = Api::namespaced(client, &shop);
        for number in 0..YOUNG {
            let name = format!("web-{number}");
            let new = serde_json::from_str(&service(&shop, &name, "a"))?;
            services.create(&PostParams::default(), &new).await?;
            let any = json!({
                "metadata": {"name": name, "labels": {label.0: label.1}},
                "data": {"service": name, "team": "a"},
            });
            config_maps.create(&PostParams::default(), &serde_json::from_value(any)?).await?;
        }
        Ok(())
    })
}

fn of_secrets_that_are_looked_up_no_value_is_asked_for(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    grant(world, "secrets")?;
    let labelled = SERVICE.replace("kind: Service", "kind: Secret");
    world.apply(&policy(world, "secrets", &labelled))?;
    denied(world, &create(&shop, "web"), "team a has no service web")?;
    world.kubectl(&format!("create secret generic web -n {shop} --from-literal=password=hunter2")).ok()?;
    world.kubectl(&format!("label secret web -n {shop} team=a")).ok()?;
    admitted(world, &create(&shop, "web"))?;
    let reading = labelled.replace("s.metadata.labels.team", "s.data.password");
    world
        .kubectl("apply -f -")
        .input(&policy(world, "secrets", &reading))
        .refused(&["`lookups.service` reads `data` of Secrets, of which only `metadata` is to be had"])?;
    Ok(())
}

fn a_kind_that_is_looked_up_and_not_served_is_an_error_until_it_is(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let own = world.controller_namespace();
    let group = format!("{own}.example.com");
    let _controller = world.controller(&[])?;
    grant(world, &format!("{group}/services"))?;
    let of_group = SERVICE.replace("apiVersion: v1", &format!("apiVersion: {group}/v1"));
    let open = of_group.replace("lookups:", "failurePolicy: Ignore\nlookups:");
    world.apply(&policy(world, "services", &open))?;
    admitted(world, &create(&shop, "web"))?;
    world.apply(&policy(world, "services", &of_group))?;
    let absent = format!("look-up `service`: the cluster has no `Service` of `{group}/v1`");
    denied(world, &create(&shop, "web"), &absent)?;
    world.apply(&definition(&group, "Service"))?;
    denied(world, &create(&shop, "web"), "team a has no service web")?;
    world.apply(&service(&shop, "web", "a").replace("\"v1\"", &format!("\"{group}/v1\"")))?;
    admitted(world, &create(&shop, "web"))?;
    world.kubectl(&format!("delete crd services.{group}")).ok()?;
    denied(world, &create(&shop, "web"), &absent)
}

fn a_lookup_that_rbac_forbids_fails_by_failure_policy_and_says_what_to_grant(
    world: &mut World<'_>,
) -> Result<()> {
    let shop = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    let open = SERVICE.replace("lookups:", "failurePolicy: Ignore\nlookups:");
    world.apply(&policy(world, "open", &open))?;
    admitted(world, &create(&shop, "web"))?;
    world.apply(&policy(world, "closed", SERVICE))?;
    let what = "the controller may not read `services`: grant it `list` and `watch`, as `lookups.rules`";
    denied(world, &create(&shop, "web"), &format!("look-up `service`: {what}"))?;
    let report: Value = serde_json::from_str(&asked(world, &controller, "/policies")?)?;
    let problems = report["resourceProblems"].to_string();
    ensure!(problems.contains(what), "{problems}");
    // However often facts change, it is said once.
    let seen = world.namespace("seen")?;
    world.eventually("the namespace is known", || {
        let known = asked(world, &controller, "/policies")?;
        let generation = |text: &str| serde_json::from_str::<Value>(text).map(|it| it["generation"].as_u64());
        ensure!(generation(&known)? > report["generation"].as_u64(), "{seen} changed nothing");
        Ok(())
    })?;
    let told = format!("resources: {what}");
    let lines = controller.served.log().iter().filter(|line| line.contains(&told)).count();
    ensure!(lines == 1, "the log says {lines} times what to grant");
    grant(world, "services")?;
    denied(world, &create(&shop, "web"), "team a has no service web")?;
    world.apply(&service(&shop, "web", "a"))?;
    admitted(world, &create(&shop, "web"))
}

fn an_operator_writes_a_secret_only_for_an_owner_that_asks_for_it(world: &mut World<'_>) -> Result<()> {
    const OPERATOR: &str = "system:serviceaccount:external-secrets:external-secrets";
    let shop = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    world.apply(&world.library("secrets/external-only")?)?;
    world.kubectl(&format!("create role writer -n {shop} --verb=create --resource=secrets")).ok()?;
    world.kubectl(&format!("create rolebinding writer -n {shop} --role=writer --user={OPERATOR}")).ok()?;
    let secret = |uid: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "db", "namespace": shop, "ownerReferences": [
                {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "db", "uid": uid},
            ]},
            "data": {"password": "c3dvcmRmaXNo"},
        })
        .to_string()
    };
    let create = format!("create -f - --dry-run=server --as={OPERATOR}");
    let refused = |uid: &str, message: &str| {
        world.eventually("it is denied", || {
            world.kubectl(&create).input(&secret(uid)).refused(&[message]).map(drop)
        })
    };
    // Where no system has brought its kinds nothing is wrong; but nobody can have such an owner.
    refused("6f1c2a34", "its owner [ExternalSecret db] is not in namespace")?;
    let report: Value = serde_json::from_str(&asked(world, &controller, "/policies")?)?;
    ensure!(report["resourceProblems"] == json!([]), "{}", report["resourceProblems"]);
    world.apply(&definition("external-secrets.io", "ExternalSecret"))?;
    refused("6f1c2a34", "the controller may not read `externalsecrets.external-secrets.io`: grant it")?;
    grant(world, "external-secrets.io/externalsecrets")?;
    refused("6f1c2a34", "its owner [ExternalSecret db] is not in namespace")?;
    let owner = json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "db", "namespace": shop},
        "spec": {"target": {"name": "db"}},
    });
    world.apply(&owner.to_string())?;
    let get = format!("get externalsecret db -n {shop} -o jsonpath={{.metadata.uid}}");
    let uid = world.kubectl(&get).ok()?.stdout;
    world.kubectl(&create).input(&secret(&uid)).ok()?;
    refused("6f1c2a34", "is not in namespace")?;
    let elsewhere = r#"{"spec":{"target":{"name":"other"}}}"#;
    world.kubectl(&format!("patch externalsecret db -n {shop} --type=merge -p={elsewhere}")).ok()?;
    refused(&uid, "does not ask for a Secret `db`")?;
    world.kubectl("delete crd externalsecrets.external-secrets.io").ok()?;
    refused(&uid, "its owner [ExternalSecret db] is not in namespace")
}

fn what_is_looked_up_is_kept_in_part_and_only_as_long_as_a_policy_does(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let controller = world.controller(&[])?;
    grant(world, "services")?;
    for number in 0..5 {
        let big = "x".repeat(100_000);
        let service = service(&shop, &format!("web-{number}"), "a");
        let mut service: Value = serde_json::from_str(&service)?;
        service["metadata"]["annotations"] = json!({"big": big});
        world.kubectl("create -f -").input(&service.to_string()).ok()?;
    }
    let held = |name: &str| -> Result<Option<f64>> {
        let metrics = asked(world, &controller, "/metrics")?;
        let line = metrics.lines().find(|line| {
            line.starts_with(&format!("portcullis_held_{name}{{")) && line.contains("kind=\"Service\"")
        });
        Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()))
    };
    ensure!(held("objects")?.is_none(), "something is held that nobody looks up");
    world.apply(&policy(world, "services", SERVICE))?;
    denied(world, &create(&shop, "other"), "team a has no service other")?;
    let (objects, bytes) = (held("objects")?, held("bytes")?);
    ensure!(objects >= Some(5.0), "{objects:?} objects are held");
    ensure!(bytes.is_some_and(|bytes| bytes < 50_000.0), "{bytes:?} bytes are held of {objects:?} objects");
    world.kubectl(&format!("delete configmap services -n {}", world.controller_namespace())).ok()?;
    world.eventually("nothing is held any more", || {
        let held = held("objects")?;
        ensure!(held.is_none(), "{held:?}");
        Ok(())
    })
}
