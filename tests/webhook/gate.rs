//! A spawned `portcullis serve` with its directories, its log and its end.

use crate::client::{Answer, Connection, Version};
use serde_json::{Value as Json, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What every condition is waited for at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running `portcullis serve`.
pub(crate) struct Gate {
    child: Child,
    log: Arc<Mutex<Vec<Json>>>,
    pub(crate) directory: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) ops: SocketAddr,
}

/// A webhook to be started: policies by file name, and more flags.
#[derive(Default)]
pub(crate) struct Start<'a> {
    pub(crate) policies: &'a [(&'a str, &'a str)],
    pub(crate) flags: &'a [&'a str],
}

impl Gate {
    /// Starts a webhook with one file of policies, and waits until it is ready.
    pub(crate) fn with_policy(text: &str) -> Self {
        Self::start(&Start { policies: &[("policy.yaml", text)], ..Start::default() })
    }

    pub(crate) fn start(start: &Start<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("policies")).unwrap();
        for (name, text) in start.policies {
            fs::write(directory.path().join("policies").join(name), text).unwrap();
        }
        Self::start_in(directory, start.flags)
    }

    /// Starts a webhook on the `policies` and `certificates` of a directory, and waits until it is ready.
    pub(crate) fn start_in(directory: TempDir, flags: &[&str]) -> Self {
        let mut child = command(directory.path(), flags).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let parsed = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "unstructured": line }));
                lines.lock().unwrap().push(parsed);
            }
        });
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut gate = Self { child, log, directory, address: unknown, ops: unknown };
        let listening = gate.logged("listening");
        gate.address = listening["address"].as_str().unwrap().parse().unwrap();
        gate.ops = listening["ops"].as_str().unwrap().parse().unwrap();
        gate.logged("ready");
        gate
    }

    /// Waits for a log line with this message.
    pub(crate) fn logged(&self, message: &str) -> Json {
        self.logged_where(message, |line| line["message"] == message)
    }

    /// Waits for a log line.
    pub(crate) fn logged_where(&self, what: &str, is_it: impl Fn(&Json) -> bool) -> Json {
        eventually(what, || self.lines().into_iter().find(|line| is_it(line)))
    }

    pub(crate) fn lines(&self) -> Vec<Json> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn ca(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("certificates/ca.crt")).unwrap()
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.directory.path().join("policies")
    }

    pub(crate) async fn connect(&self, version: Version) -> Connection {
        Connection::open(self.address, &self.ca(), version).await.unwrap()
    }

    /// Sends a review over a connection of its own.
    pub(crate) async fn ask(&self, path: &str, review: &Json) -> Answer {
        self.send(path, review.to_string()).await
    }

    /// Sends a body as JSON over a connection of its own.
    pub(crate) async fn send(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.connect(Version::Http1).await.post(path, body).await.unwrap()
    }

    /// A page of the operator's port.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        Connection::open_plain(self.ops).await.unwrap().get(path).await.unwrap()
    }

    /// The value of a metric, labels and all.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.page("/metrics").await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no `{name}` in:\n{text}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the webhook does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for line in self.lines() {
                eprintln!("{line}");
            }
        }
    }
}

/// `portcullis serve` on the directories below this one.
pub(crate) fn command(directory: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["--log-format", "json", "serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.arg("--policies").arg(directory.join("policies"));
    command.arg("--cert-dir").arg(directory.join("certificates"));
    if !flags.contains(&"--shutdown-delay") {
        command.args(["--shutdown-delay", "0s"]);
    }
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Waits until there is something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A review of the creation of a ConfigMap with this label and name.
pub(crate) fn review(name: &str) -> Json {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": format!("uid-of-{name}"),
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": name,
            "namespace": "team-a",
            "operation": "CREATE",
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "team-a"},
                "data": {"key": "value"}
            },
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    })
}

/// A policy in its ConfigMap: denies ConfigMaps whose name begins with `bad`, saying `message`.
pub(crate) fn policy(name: &str, message: &str) -> String {
    policy_with(name, &format!("message: {message}"), "")
}

/// The same with another line in the validation, and lines of the spec.
pub(crate) fn policy_with(name: &str, validation: &str, spec: &str) -> String {
    let actions = if spec.contains("validationActions") { "" } else { "validationActions: [Deny]" };
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: portcullis
  labels: {{portcullis.dev/policy: 'true'}}
data:
  policy.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {{name: {name}}}
    spec:
      {actions}
      {spec}
      matchConstraints:
        resourceRules:
        - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}
      validations:
      - expression: \"!object.metadata.name.startsWith('bad')\"
        {validation}
"
    )
}
