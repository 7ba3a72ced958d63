//! The certificate that the controller makes for itself.

use super::{bad_pod_is_denied, sentences};
use crate::cluster::Sentence;
use crate::cluster::access::{client_certificate, issue};
use crate::cluster::world::{SECRET, World};
use anyhow::{Context, Result, ensure};
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::PostParams;
use portcullis::client::Client;
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

pub(super) fn all() -> Vec<Sentence> {
    sentences![
        a_deleted_or_damaged_certificate_is_put_back_as_it_was,
        certificates_and_authorities_are_renewed_under_load_and_no_request_fails,
        two_replicas_that_start_at_once_serve_one_certificate,
        with_a_client_ca_the_api_server_is_answered_and_nobody_else,
        a_replaced_ca_in_files_reaches_the_api_server_and_policies_are_enforced,
    ]
}

fn a_deleted_or_damaged_certificate_is_put_back_as_it_was(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let before = read(world)?.data;
    let own = world.controller_namespace();
    for breaking in [
        format!("delete secret {SECRET} -n {own}"),
        format!(r#"patch secret {SECRET} -n {own} --type=merge -p={{"data":{{"tls.crt":"bm9uc2Vuc2U="}}}}"#),
    ] {
        world.kubectl(&breaking).ok()?;
        world.eventually("it is put back", || {
            ensure!(read(world)?.data == before, "it is not");
            Ok(())
        })?;
    }
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")
}

fn certificates_and_authorities_are_renewed_under_load_and_no_request_fails(
    world: &mut World<'_>,
) -> Result<()> {
    // An authority's is four times as long, and is renewed after two thirds.
    let (lifetime, until) = (Duration::from_secs(20), Duration::from_secs(62));
    let namespace = world.namespace("shop")?;
    let _controller = world.controller(&[&format!("--cert-lifetime={}s", lifetime.as_secs())])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let good: Pod = serde_json::from_value(json!({
        "metadata": {"name": "good"},
        "spec": {"containers": [{"name": "main", "image": "registry.example.com/app:1"}]},
    }))?;
    let (asked, certificates, bundles) = world.cluster.runtime.block_on(async {
        let client = world.client().await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let secrets: Api<Secret> = Api::namespaced(client, &world.controller_namespace());
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let (mut asked, mut certificates, mut bundles) = (0, BTreeSet::new(), BTreeSet::new());
        let begin = Instant::now();
        while begin.elapsed() < until {
            pods.create(&dry_run, &good).await.with_context(|| format!("request {asked} failed"))?;
            asked += 1;
            let data = secrets.get(SECRET).await?.data.unwrap_or_default();
            certificates.extend(data.get("tls.crt").map(|text| text.0.clone()));
            bundles.extend(data.get("ca.crt").map(|text| text.0.clone()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok((asked, certificates.len(), bundles.len()))
    })?;
    println!("           {asked} requests, {certificates} certificates, {bundles} bundles of authorities");
    ensure!(certificates >= 4, "there were {certificates} certificates only");
    ensure!(bundles >= 3, "no authority was replaced");
    Ok(())
}

fn two_replicas_that_start_at_once_serve_one_certificate(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    let replicas = [world.start_controller(&kubeconfig, &[])?, world.start_controller(&kubeconfig, &[])?];
    for replica in &replicas {
        world.cluster.runtime.block_on(replica.served.ready())?;
    }
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    // Each proves that it has a certificate of the one authority.
    let ca = read(world)?.data.and_then(|mut data| data.remove("ca.crt")).context("there is no authority")?;
    for replica in &replicas {
        let client = Client::https(replica.served.address, &ca.0)?;
        world.cluster.runtime.block_on(client.connect())?;
    }
    Ok(())
}

fn read(world: &World<'_>) -> Result<Secret> {
    let get = format!("get secret {SECRET} -n {} -o json", world.controller_namespace());
    Ok(serde_json::from_str(&world.kubectl(&get).ok()?.stdout)?)
}

fn with_a_client_ca_the_api_server_is_answered_and_nobody_else(world: &mut World<'_>) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let file = |name: &str| fs::read(world.cluster.access.path(name)).context("a file is missing");
    let flag = format!("--client-ca={}", world.cluster.access.path("clients.crt").display());
    let controller = world.controller(&[&flag])?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(
        world,
        &namespace,
        "policy `no-host-access`: `spec.hostNetwork`: hostNetwork must not be true",
    )?;
    let ca = read(world)?.data.and_then(|mut data| data.remove("ca.crt")).context("there is no authority")?;
    let (_, other, other_key) = client_certificate()?;
    let (own, own_key) = (file("client.crt")?, file("client.key")?);
    let health = Bytes::from_static(b"{}");
    for (name, certificate, may) in [
        ("the API server's", Some((own.as_slice(), own_key.as_slice())), true),
        ("another's", Some((other.as_bytes(), other_key.as_bytes())), false),
        ("none", None, false),
    ] {
        let client = Client::https_as(controller.served.address, &ca.0, certificate)?;
        let answered = world
            .cluster
            .runtime
            .block_on(async { client.connect().await?.post("/validate/fail", health.clone()).await });
        ensure!(answered.is_ok() == may, "with the certificate {name}: {answered:?}");
    }
    world.cluster.runtime.block_on(controller.served.ready())
}

fn a_replaced_ca_in_files_reaches_the_api_server_and_policies_are_enforced(
    world: &mut World<'_>,
) -> Result<()> {
    let namespace = world.namespace("shop")?;
    let kubeconfig = world.controller_kubeconfig()?;
    // As Kubernetes mounts a Secret: what is read leads through `..data`, which is replaced as a whole.
    let mounted = tempfile::tempdir()?;
    let put = |name: &str| -> Result<String> {
        let (ca, certificate, key) = issue(&["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth)?;
        let folder = mounted.path().join(name);
        fs::create_dir(&folder)?;
        for (file, text) in [("ca.crt", &ca), ("tls.crt", &certificate), ("tls.key", &key)] {
            fs::write(folder.join(file), text)?;
        }
        symlink(name, mounted.path().join("..next"))?;
        fs::rename(mounted.path().join("..next"), mounted.path().join("..data"))?;
        Ok(ca)
    };
    put("..first")?;
    for file in ["ca.crt", "tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), mounted.path().join(file))?;
    }
    let (own, configuration) = (world.controller_namespace(), world.configuration());
    let directory = mounted.path().display().to_string();
    let flags = ["--namespace", &own, "--webhook-configuration", &configuration, "--cert-dir", &directory];
    let controller = world.start_with(&kubeconfig, &flags)?;
    world.cluster.runtime.block_on(controller.served.ready())?;
    world.apply(&world.library("isolation/no-host-access")?)?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    let get = format!(
        "get validatingwebhookconfiguration {configuration} -o jsonpath={{.webhooks[*].clientConfig.caBundle}}"
    );
    let before = world.kubectl(&get).ok()?.stdout;
    put("..second")?;
    world.eventually("the API server is told", || {
        ensure!(world.kubectl(&get).ok()?.stdout != before, "it is not");
        Ok(())
    })?;
    // It trusts both: another replica may serve what was before for a while.
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")?;
    put("..third")?;
    bad_pod_is_denied(world, &namespace, "hostNetwork must not be true")
}
