//! Policies and certificates replaced while requests run.

use crate::client::{Connection, Version, tls};
use crate::gate::{Gate, PATIENCE, Start, command, policy, review};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a denied review is told.
async fn message(gate: &Gate) -> String {
    let response = gate.ask("/validate/fail", &review("bad")).await.response();
    response["status"]["message"].as_str().unwrap_or("allowed").to_owned()
}

/// Waits until the reply says this.
async fn until(gate: &Gate, expect: &str) -> Duration {
    let begin = Instant::now();
    loop {
        let message = message(gate).await;
        if message.contains(expect) {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < PATIENCE, "still {message:?}, not {expect:?}");
    }
}

fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("tmp");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[tokio::test]
async fn an_edit_is_in_force_at_once() {
    let gate = Gate::with_policy(&policy("versioned", "version 1 ends"));
    let file = gate.policies().join("policy.yaml");
    until(&gate, "version 1 ends").await;
    let mut times = Vec::new();
    for version in 2..=8 {
        let text = policy("versioned", &format!("version {version} ends"));
        if version % 2 == 0 {
            replace(&file, &text)
        } else {
            fs::write(&file, text).unwrap()
        }
        times.push(until(&gate, &format!("version {version} ends")).await);
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_secs(1), "{times:?}");
    fs::write(gate.policies().join("new.yaml"), policy("another", "another one ends")).unwrap();
    until(&gate, "another one ends").await;
    fs::create_dir(gate.policies().join("below")).unwrap();
    fs::write(gate.policies().join("below/third.yaml"), policy("third", "a third one ends")).unwrap();
    until(&gate, "a third one ends").await;
    for name in ["policy.yaml", "new.yaml", "below/third.yaml"] {
        fs::remove_file(gate.policies().join(name)).unwrap();
    }
    until(&gate, "allowed").await;
}

#[tokio::test]
async fn a_directory_is_swapped_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let write = |version: u32| {
        let target = directory.path().join(version.to_string());
        fs::create_dir(&target).unwrap();
        for name in ["one", "two"] {
            fs::write(target.join(format!("{name}.yaml")), policy(name, &format!("version {version} ends")))
                .unwrap();
        }
        symlink(version.to_string(), directory.path().join("next")).unwrap();
        fs::rename(directory.path().join("next"), directory.path().join("policies")).unwrap();
    };
    write(1);
    let gate = Gate::start_in(directory_of(&directory), &[]);
    let connection = gate.connect(Version::Http2).await;
    for version in 2..20 {
        write(version);
        let expect = format!("version {version} ends");
        eventually_async(&expect, async || {
            let answer = connection.post("/validate", review("bad").to_string()).await.unwrap();
            let message = answer.response()["status"]["message"].as_str().unwrap().to_owned();
            let versions: Vec<_> =
                message.split("version ").skip(1).map(|text| text.split(' ').next()).collect();
            assert!(versions.len() == 2 && versions[0] == versions[1], "half a set: {message}");
            message.contains(&expect)
        })
        .await;
    }
}

#[tokio::test]
async fn a_broken_edit_keeps_the_version_before() {
    let gate = Gate::with_policy(&policy("versioned", "version 1 ends"));
    let file = gate.policies().join("policy.yaml");
    let sound = policy("versioned", "version 2 ends");
    let broken = [
        sound.replace("startsWith('bad')", "startsWith('bad'"),
        sound.replace("validationActions", "validationAction"),
        sound.replace("policy.yaml: |", "policy.yaml: |\n  broken"),
        String::new(),
        "{ this is not: [YAML".to_owned(),
        // Not next to the empty one: the same problem twice is no new generation.
        " \n".to_owned(),
    ];
    for (index, text) in broken.iter().enumerate() {
        let generation = 2 + index;
        fs::write(&file, text).unwrap();
        gate.logged_where("a warning", |line| line["level"] == "WARN" && line["file"].is_string());
        eventually_async("the edit is seen", async || {
            gate.metric("portcullis_policy_set_generation").await >= generation as f64
        })
        .await;
        assert!(message(&gate).await.contains("version 1 ends"), "after {text:?}");
        let report = gate.page("/policies").await.json();
        assert_eq!(report["policies"][0]["state"], "kept-old", "{report:#} after {text:?}");
        assert!(!report["problems"].as_array().unwrap().is_empty());
        assert_eq!(gate.metric(r#"portcullis_policies{state="kept-old"}"#).await, 1.0);
    }
    fs::write(&file, &sound).unwrap();
    until(&gate, "version 2 ends").await;
    assert_eq!(gate.metric(r#"portcullis_policies{state="kept-old"}"#).await, 0.0);
    assert!(gate.metric(r#"portcullis_reloads_total{result="failure"}"#).await >= 1.0);
}

#[tokio::test]
async fn a_directory_that_goes_away_keeps_its_policies() {
    let gate = Gate::with_policy(&policy("versioned", "version 1 ends"));
    let aside = gate.directory.path().join("aside");
    fs::rename(gate.policies(), &aside).unwrap();
    gate.logged_where("the second generation", |line| line["generation"] == 2);
    assert!(message(&gate).await.contains("version 1 ends"));
    assert_eq!(gate.page("/policies").await.json()["policies"][0]["state"], "kept-old");
    fs::write(aside.join("policy.yaml"), policy("versioned", "version 2 ends")).unwrap();
    fs::rename(aside, gate.policies()).unwrap();
    until(&gate, "version 2 ends").await;
}

#[tokio::test]
async fn a_certificate_is_replaced_while_requests_run() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    fs::write(directory.path().join("policies/policy.yaml"), policy("any", "not so")).unwrap();
    let certificates = directory.path().join("certificates");
    fs::create_dir(&certificates).unwrap();
    // As Kubernetes mounts a Secret: `tls.crt` leads through `..data`, which is replaced as a whole.
    let first = make_certificate(&certificates.join("..first"));
    let second = make_certificate(&certificates.join("..second"));
    symlink("..first", certificates.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), certificates.join(name)).unwrap();
    }
    let gate = Gate::start_in(directory, &[]);
    let old = Connection::open(gate.address, &first, Version::Http1).await.unwrap();
    old.post("/validate", review("good").to_string()).await.unwrap().response();
    tls(gate.address, &second, &[]).await.unwrap_err();

    symlink("..second", certificates.join("..next")).unwrap();
    fs::rename(certificates.join("..next"), certificates.join("..data")).unwrap();
    gate.logged("serving a replaced certificate");
    tls(gate.address, &second, &[]).await.unwrap();
    tls(gate.address, &first, &[]).await.unwrap_err();
    old.post("/validate", review("good").to_string()).await.unwrap().response();

    // The key of one beside the certificate of the other: never served.
    fs::create_dir(certificates.join("..mixed")).unwrap();
    fs::copy(certificates.join("..first/tls.crt"), certificates.join("..mixed/tls.crt")).unwrap();
    fs::copy(certificates.join("..second/tls.key"), certificates.join("..mixed/tls.key")).unwrap();
    symlink("..mixed", certificates.join("..next")).unwrap();
    fs::rename(certificates.join("..next"), certificates.join("..data")).unwrap();
    gate.logged_where("the refusal", |line| {
        line["message"].as_str().is_some_and(|message| message.starts_with("keeping the certificate"))
    });
    tls(gate.address, &second, &[]).await.unwrap();
    assert_eq!(gate.metric(r#"portcullis_certificate_reloads_total{result="failure"}"#).await, 1.0);
    assert_eq!(gate.metric(r#"portcullis_certificate_reloads_total{result="success"}"#).await, 1.0);
}

#[test]
fn what_keeps_it_from_starting_is_said_and_exits_with_1() {
    let check = |prepare: &dyn Fn(&Path), expect: &str| {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let output = command(directory.path(), &[]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expect), "{stderr}");
    };
    check(&|_| {}, "no policies can be read");
    let with_policies = |directory: &Path| {
        fs::create_dir(directory.join("policies")).unwrap();
        fs::create_dir(directory.join("certificates")).unwrap();
    };
    for (alone, missing) in [("tls.crt", "`tls.key` is missing"), ("tls.key", "`tls.crt` is missing")] {
        check(
            &|directory| {
                with_policies(directory);
                fs::write(directory.join("certificates").join(alone), "").unwrap();
            },
            missing,
        );
    }
    check(
        &|directory| {
            with_policies(directory);
            fs::write(directory.join("certificates/tls.crt"), "nonsense").unwrap();
            fs::write(directory.join("certificates/tls.key"), "nonsense").unwrap();
        },
        "`tls.crt` holds no certificate",
    );
}

#[tokio::test]
async fn a_broken_policy_harms_no_other_at_the_start() {
    let broken = policy("broken", "not so").replace("startsWith('bad')", "startsWith('bad'");
    let policies =
        [("a.yaml", broken), ("b.yaml", policy("sound", "sound says no")), ("c.yaml", "{[".to_owned())];
    let policies = policies.each_ref().map(|(name, text)| (*name, text.as_str()));
    let gate = Gate::start(&Start { policies: &policies, flags: &[] });
    assert!(message(&gate).await.contains("sound says no"));
}

/// Makes a certificate by starting a webhook on a directory of its own, and returns its CA.
fn make_certificate(into: &Path) -> Vec<u8> {
    let listen = std::net::IpAddr::from([127, 0, 0, 1]);
    portcullis::webhook::certificate::make(into, listen, "portcullis").unwrap();
    fs::read(into.join("ca.crt")).unwrap()
}

/// Another handle on a directory, for the webhook to own.
fn directory_of(directory: &tempfile::TempDir) -> tempfile::TempDir {
    let own = tempfile::tempdir().unwrap();
    symlink(directory.path().join("policies"), own.path().join("policies")).unwrap();
    own
}

async fn eventually_async(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !look().await {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
