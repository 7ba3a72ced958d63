//! What only the API server can tell while a request waits.

use super::{policy, sentences};
use crate::cluster::Sentence;
use crate::cluster::world::World;
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

/// So many Namespaces are used as soon as they are made.
const YOUNG: usize = 30;

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_policy_asks_the_authorizer_and_follows_what_it_says_later,
        a_policy_whose_authorizer_may_not_be_asked_any_more_fails,
        a_namespace_is_known_to_policies_as_soon_as_it_is_made,
    ]
}

/// A policy that lets those make ConfigMaps who may list Secrets.
pub(super) const ASKING: &str = "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
validations:
- expression: authorizer.group('').resource('secrets').namespace(request.namespace).check('list').allowed()
  message: only those make ConfigMaps who may list Secrets";

fn a_policy_asks_the_authorizer_and_follows_what_it_says_later(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&policy(world, "asking", ASKING))?;
    world.kubectl(&format!("create role writer -n {namespace} --verb=create --resource=configmaps")).ok()?;
    world.kubectl(&format!("create rolebinding writer -n {namespace} --role=writer --user=tenant")).ok()?;
    let create = format!("create configmap any -n {namespace} --dry-run=server");
    let message = "only those make ConfigMaps who may list Secrets";
    world.eventually("a tenant is denied", || {
        world.kubectl_as("tenant", &create).refused(&[message]).map(drop)
    })?;
    world.kubectl(&create).ok()?;
    world.kubectl(&format!("create role reader -n {namespace} --verb=list --resource=secrets")).ok()?;
    world.kubectl(&format!("create rolebinding reader -n {namespace} --role=reader --user=tenant")).ok()?;
    world.eventually("the tenant is admitted", || world.kubectl_as("tenant", &create).ok().map(drop))?;
    world.kubectl(&format!("delete rolebinding reader -n {namespace}")).ok()?;
    world.eventually("a tenant is denied", || {
        world.kubectl_as("tenant", &create).refused(&[message]).map(drop)
    })
}

fn a_policy_whose_authorizer_may_not_be_asked_any_more_fails(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    let create = format!("create configmap any -n {namespace} --dry-run=server");
    let denying = ASKING.replace(".allowed()", ".allowed() == false");
    let message = "only those make ConfigMaps who may list Secrets";
    world.apply(&policy(world, "asking", &denying))?;
    world.eventually("the policy is in force", || world.kubectl(&create).refused(&[message]).map(drop))?;
    world.apply(&policy(world, "asking", ASKING))?;
    world.eventually("who may is admitted", || world.kubectl(&create).ok().map(drop))?;
    let own = world.controller_namespace();
    world.kubectl(&format!("delete clusterrolebinding {own}-portcullis")).ok()?;
    world.eventually("nobody is admitted", || {
        world.kubectl(&create).refused(&["policy `asking`", "the authorizer"]).map(drop)
    })
}

fn a_namespace_is_known_to_policies_as_soon_as_it_is_made(world: &mut World<'_>) -> Result<()> {
    let shop = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&policy(
        world,
        "teams",
        "validationActions: [Deny]
matchConstraints:
  namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
validations:
- expression: namespaceObject.metadata.labels.team == 'a'
  messageExpression: \"'this is of team ' + namespaceObject.metadata.labels.team\"",
    ))?;
    world.kubectl(&format!("label namespace {shop} team=b")).ok()?;
    let create = format!("create configmap any -n {shop} --dry-run=server");
    world.eventually("another team is denied", || {
        world.kubectl(&create).refused(&["this is of team b"]).map(drop)
    })?;
    let names: Vec<String> = (0..YOUNG).map(|number| format!("{shop}-{number}")).collect();
    let label = world.label();
    let result = world.cluster.runtime.block_on(async {
        let client = world.client().await?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for (number, name) in names.iter().enumerate() {
            let team = if number % 2 == 0 { "a" } else { "b" };
            let labels = json!({label.0: label.1, "team": team});
            let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
            namespaces.create(&PostParams::default(), &namespace).await?;
            let any: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "any"}}))?;
            let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
            let made = config_maps.create(&PostParams::default(), &any).await;
            let said = made.err().map(|error| error.to_string()).unwrap_or_default();
            let expected = if team == "a" { "" } else { "this is of team b" };
            ensure!(said.contains(expected) && said.is_empty() == expected.is_empty(), "`{name}`: {said}");
        }
        Ok(())
    });
    world.kubectl(&format!("delete namespace {} --wait=false", names.join(" "))).run()?;
    result
}
