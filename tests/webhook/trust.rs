//! Who may ask, where that is limited to the clients of a CA.

use crate::gate::{Gate, PATIENCE, command, policy, review};
use portcullis::client::{Client, Connection};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

/// A CA, and a client of it.
struct Authority {
    ca: String,
    certificate: String,
    key: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let mut leaf = CertificateParams::new(vec!["kube-apiserver".to_owned()]).unwrap();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    Authority { ca, certificate: leaf.signed_by(&key, &issuer).unwrap().pem(), key: key.serialize_pem() }
}

async fn connection(gate: &Gate, own: Option<&Authority>) -> Result<Connection, String> {
    let own = own.map(|own| (own.certificate.as_bytes(), own.key.as_bytes()));
    let client = Client::https_as(gate.address, &gate.ca(), own).unwrap();
    client.connect().await.map_err(|error| error.to_string())
}

/// What a client with this certificate is answered, or why it is not.
async fn ask(gate: &Gate, own: Option<&Authority>) -> Result<String, String> {
    let mut connection = connection(gate, own).await?;
    let reply = connection.post("/validate", review("bad").to_string().into()).await;
    reply.map(|reply| String::from_utf8_lossy(&reply.body).into_owned()).map_err(|error| error.to_string())
}

fn give(directory: &Path, name: &str, ca: &str) {
    fs::create_dir(directory.join(name)).unwrap();
    fs::write(directory.join(name).join("ca.crt"), ca).unwrap();
    symlink(name, directory.join("..next")).unwrap();
    fs::rename(directory.join("..next"), directory.join("..data")).unwrap();
}

#[tokio::test]
async fn only_clients_of_the_ca_are_answered_and_the_ca_may_be_replaced() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    fs::write(directory.path().join("policies/policy.yaml"), policy("any", "not so")).unwrap();
    let clients = tempfile::tempdir().unwrap();
    let (first, second) = (authority(), authority());
    give(clients.path(), "..first", &first.ca);
    symlink("..data/ca.crt", clients.path().join("ca.crt")).unwrap();
    let flag = format!("--client-ca={}", clients.path().join("ca.crt").display());
    let gate = Gate::start_in(directory, &[&flag]);

    assert!(ask(&gate, Some(&first)).await.unwrap().contains("not so"));
    for refused in [None, Some(&second)] {
        ask(&gate, refused).await.unwrap_err();
    }
    // Health and metrics are elsewhere.
    assert_eq!(gate.page("/readyz").await.status, 200);

    // Who is let in still stays connected, and who is not does not.
    let mut open = connection(&gate, Some(&first)).await.unwrap();
    open.post("/validate", review("bad").to_string().into()).await.unwrap();
    give(clients.path(), "..both", &format!("{}{}", first.ca, second.ca));
    let begin = Instant::now();
    while ask(&gate, Some(&second)).await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "the CA is not replaced");
    }
    open.post("/validate", review("bad").to_string().into()).await.unwrap();
    give(clients.path(), "..second", &second.ca);
    while open.post("/validate", review("bad").to_string().into()).await.is_ok() {
        assert!(begin.elapsed() < PATIENCE, "a client of the CA before stays connected");
    }
    ask(&gate, Some(&second)).await.unwrap();
    ask(&gate, Some(&first)).await.unwrap_err();

    // Nobody is let in by what is no CA.
    give(clients.path(), "..none", "nonsense");
    gate.logged_where("the refusal", |line| {
        line["message"].as_str().is_some_and(|message| message.starts_with("keeping the CA of clients"))
    });
    ask(&gate, Some(&second)).await.unwrap();
    ask(&gate, None).await.unwrap_err();
}

#[test]
fn without_a_ca_that_can_be_used_it_does_not_start() {
    for (text, expect) in [
        (None, "no such file or directory"),
        (Some(""), "it holds no certificate"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "none of a CA"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("policies")).unwrap();
        let file = directory.path().join("clients.crt");
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let output =
            command(directory.path(), &[&format!("--client-ca={}", file.display())]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("the CA of clients in") && stderr.contains(expect), "{stderr}");
    }
}
