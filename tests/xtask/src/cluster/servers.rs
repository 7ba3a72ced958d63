//! etcd, kube-apiserver and kube-controller-manager on free ports of this machine.

use super::access::Access;
use super::children::{Process, Undertaker, signal, tail};
use super::components::{Components, Minor};
use anyhow::{Context, Result, bail, ensure};
use portcullis::client::Client;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long a server may take to be ready. The machine may be busy.
const START: Duration = Duration::from_secs(120);
/// How often a server is started on other ports if somebody took those that were free.
const ATTEMPTS: usize = 5;

/// A running control plane without nodes.
///
/// Fields end in this order: those who ask before those who are asked.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(super) components: Components,
    pub(super) access: Access,
    pub(super) runtime: Runtime,
    pub(super) controller_manager: Server,
    pub(super) api_server: Server,
    pub(super) etcd: Server,
    folder: TempDir,
    /// Last: until then it would clean up in our place.
    undertaker: Undertaker,
}

/// A server of the control plane, which can be stopped and started again.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
    pub(super) address: SocketAddr,
    process: Process,
}

impl Cluster {
    /// Starts all of it and waits until it is ready.
    ///
    /// # Errors
    /// A program is missing and cannot be built, or a server does not come up; with the end of its log.
    pub(crate) fn start(minor: Minor) -> Result<Self> {
        let components = Components::find(minor)?;
        let folder = tempfile::Builder::new().prefix("portcullis-cluster-").tempdir()?;
        let undertaker = Undertaker::start(folder.path())?;
        let logs = folder.path().join("logs");
        fs::create_dir(&logs)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let access = Access::make(folder.path().join("access"))?;
        let starting = Starting { logs: &logs, undertaker: &undertaker, runtime: &runtime };

        let data = folder.path().join("etcd");
        let etcd = starting.server("etcd", &components.etcd, None, "/health", |[client, peer]| {
            let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
            let mut args = vec!["--unsafe-no-fsync".into(), "--log-level=warn".into(), "--name=test".into()];
            args.push(flag("--data-dir", &data));
            args.extend(["--listen-client-urls", "--advertise-client-urls"].map(|name| flag(name, &client)));
            args.extend(
                ["--listen-peer-urls", "--initial-advertise-peer-urls"].map(|name| flag(name, &peer)),
            );
            args.push(flag("--initial-cluster", format!("test={peer}")));
            args
        })?;
        let ca = fs::read(access.path("ca.crt"))?;
        let audit = logs.join("audit.log");
        let api_server =
            starting.server("kube-apiserver", &components.api_server, Some(&ca), "/readyz", |[own, _]| {
                let mut args = api_server(&access, etcd.address, own, &audit);
                if minor == Minor::Oldest {
                    // What later ones have without asking.
                    args.push(flag("--feature-gates", "ImageVolume=true"));
                }
                args
            })?;
        let url = format!("https://{}", api_server.address);
        access.write_kubeconfigs(&url)?;
        let controller_manager = starting.unasked(
            "kube-controller-manager",
            &components.controller_manager,
            controller_manager(&access),
            || has_default_account(&components.kubectl, &access.kubeconfig("admin")),
        )?;
        Ok(Self { components, access, runtime, controller_manager, api_server, etcd, undertaker, folder })
    }

    /// Where the API server is.
    pub(super) fn url(&self) -> String {
        format!("https://{}", self.api_server.address)
    }

    /// The folder with the logs.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// The API server's audit log so far.
    pub(super) fn audit_log(&self) -> Result<String> {
        super::access::read(&self.logs().join("audit.log"))
    }

    /// Sees to it that a process ends with us, whatever happens to us.
    pub(super) fn mind(&self, pid: u32) -> Result<()> {
        self.undertaker.mind(pid)
    }

    /// The ends of the servers' logs and of those of the controllers that one test started, without the audit log.
    pub(super) fn tails(&self, test: &str) -> Result<String> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(self.logs())? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let of_others =
                name.starts_with("portcullis-") && !name.starts_with(&format!("portcullis-{test}-"));
            if name != "audit.log" && !of_others {
                logs.push(entry.path());
            }
        }
        logs.sort();
        Ok(logs.iter().map(|log| format!("== {}\n{}\n", log.display(), tail(log))).collect())
    }

    /// Stops the API server and starts it again where it was.
    ///
    /// # Errors
    /// It does not come back.
    pub(crate) fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.process.stop(&self.undertaker);
        let logs = self.folder.path().join("logs");
        let ca = fs::read(self.access.path("ca.crt"))?;
        let client = Client::https(self.api_server.address, &ca)?;
        let server = &mut self.api_server;
        let mut command = Command::new(&server.program);
        command.args(&server.args);
        server.process = Process::start(server.name, command, &logs, &self.undertaker)?;
        let runtime = &self.runtime;
        server.process.wait_until(Instant::now() + START, || {
            runtime.block_on(answers(&client, "/readyz")).then_some(())
        })
    }

    /// Lets etcd stand still until [`resume_etcd`](Self::resume_etcd).
    pub(crate) fn pause_etcd(&self) {
        signal(self.etcd.process.pid(), "STOP");
    }

    /// Lets etcd forget what was before now, as it does every few minutes.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn compact_etcd(&self) -> Result<()> {
        let client = Client::http(self.etcd.address);
        self.runtime.block_on(async {
            let mut connection = client.connect().await?;
            // Any key: the answer tells how far it is.
            let range = connection.post("/v3/kv/range", r#"{"key":"AA=="}"#.into()).await?;
            let range: serde_json::Value = serde_json::from_slice(&range.body)?;
            let revision = range["header"]["revision"].as_str().context("etcd tells no revision")?;
            let body = format!(r#"{{"revision":"{revision}","physical":true}}"#);
            let compacted = connection.post("/v3/kv/compaction", body.into()).await?;
            ensure!(compacted.status.is_success(), "{}", String::from_utf8_lossy(&compacted.body));
            Ok(())
        })
    }

    /// Lets etcd go on.
    pub(crate) fn resume_etcd(&self) {
        signal(self.etcd.process.pid(), "CONT");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing that they write is needed any more.
        for server in [&mut self.controller_manager, &mut self.api_server, &mut self.etcd] {
            server.process.kill(&self.undertaker);
        }
    }
}

struct Starting<'a> {
    logs: &'a Path,
    undertaker: &'a Undertaker,
    runtime: &'a Runtime,
}

impl Starting<'_> {
    /// Starts a server on free ports and waits until it answers `path` with 200: over TLS if there is a CA.
    fn server(
        &self,
        name: &'static str,
        program: &Path,
        ca: Option<&[u8]>,
        path: &str,
        args: impl Fn([SocketAddr; 2]) -> Vec<OsString>,
    ) -> Result<Server> {
        for _ in 0..ATTEMPTS {
            let addresses = free_addresses()?;
            let [address, _] = addresses;
            let client = match ca {
                Some(ca) => Client::https(address, ca)?,
                None => Client::http(address),
            };
            let args = args(addresses);
            let mut command = Command::new(program);
            command.args(&args);
            let mut process = Process::start(name, command, self.logs, self.undertaker)?;
            let ready = process.wait_until(Instant::now() + START, || {
                self.runtime.block_on(answers(&client, path)).then_some(())
            });
            match ready {
                Ok(()) => return Ok(Server { name, program: program.to_owned(), args, address, process }),
                // Somebody took the port between our look and its start.
                Err(_) if process.tail().contains("address already in use") => {
                    process.kill(self.undertaker);
                    fs::remove_file(self.logs.join(format!("{name}.log")))?;
                }
                Err(error) => {
                    process.kill(self.undertaker);
                    return Err(error);
                }
            }
        }
        bail!("{name} found no free port in {ATTEMPTS} attempts")
    }

    /// Starts a server that listens nowhere, and waits until its work shows.
    fn unasked(
        &self,
        name: &'static str,
        program: &Path,
        args: Vec<OsString>,
        works: impl Fn() -> bool,
    ) -> Result<Server> {
        let mut command = Command::new(program);
        command.args(&args);
        let mut process = Process::start(name, command, self.logs, self.undertaker)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        match process.wait_until(Instant::now() + START, || works().then_some(())) {
            Ok(()) => Ok(Server { name, program: program.to_owned(), args, address, process }),
            Err(error) => {
                process.kill(self.undertaker);
                Err(error)
            }
        }
    }
}

/// What the controller manager gives every namespace, and every Pod needs.
fn has_default_account(kubectl: &Path, kubeconfig: &Path) -> bool {
    let mut get = Command::new(kubectl);
    get.arg("--kubeconfig").arg(kubeconfig).args(["get", "serviceaccount", "default", "-n", "default"]);
    get.output().is_ok_and(|output| output.status.success())
}

async fn answers(client: &Client, path: &str) -> bool {
    let Ok(mut connection) = client.connect().await else { return false };
    connection.get(path).await.is_ok_and(|reply| reply.status.is_success())
}

/// Two addresses that are free now; somebody else may take them before we do.
fn free_addresses() -> Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port");
    let listeners = [listen()?, listen()?];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}

fn flag(name: &str, value: impl AsRef<std::ffi::OsStr>) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(value);
    flag
}

fn api_server(access: &Access, etcd: SocketAddr, own: SocketAddr, audit: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--allow-privileged=true",
        "--bind-address=127.0.0.1",
        // Events and Leases are watched in tests, too.
        "--event-ttl=1h",
    ]
    .map(OsString::from)
    .to_vec();
    args.push(flag("--etcd-servers", format!("http://{etcd}")));
    args.push(flag("--secure-port", own.port().to_string()));
    for (name, file) in [
        ("--tls-cert-file", "tls.crt"),
        ("--tls-private-key-file", "tls.key"),
        ("--service-account-key-file", "service-accounts.pub"),
        ("--service-account-signing-key-file", "service-accounts.key"),
        ("--token-auth-file", "tokens.csv"),
        ("--audit-policy-file", "audit-policy.yaml"),
        ("--admission-control-config-file", "admission.yaml"),
        ("--cert-dir", "made"),
    ] {
        args.push(flag(name, access.path(file)));
    }
    args.push(flag("--audit-log-path", audit));
    args
}

fn controller_manager(access: &Access) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        "--controllers=*,-node-ipam-controller,-node-lifecycle-controller",
    ]
    .map(OsString::from)
    .to_vec();
    args.push(flag("--kubeconfig", access.kubeconfig("controller-manager")));
    args.push(flag("--service-account-private-key-file", access.path("service-accounts.key")));
    args.push(flag("--root-ca-file", access.path("ca.crt")));
    args
}
