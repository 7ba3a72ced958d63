//! What one test works in: namespaces of its own on a shared cluster, a controller of its own, kubectl.

use super::servers::Cluster;
use crate::served::{Launched, serve};
use crate::workspace::root;
use anyhow::{Context, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that happens by itself. The machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The chart, from the workspace's root.
pub(crate) const CHART: &str = "deploy/helm/portcullis";

/// The Secret with the controller's certificate.
pub(crate) const SECRET: &str = "portcullis-tls";

/// The label of a test's namespaces, by which its webhook finds them.
const LABEL: &str = "test.portcullis.dev/of";

/// A test's part of a cluster.
pub(crate) struct World<'a> {
    pub(crate) cluster: &'a mut Cluster,
    program: &'a Path,
    id: String,
    /// Namespaces with a release of ours, which leaves something behind outside them.
    releases: RefCell<Vec<String>>,
    /// Namespaces to remove at the end.
    namespaces: RefCell<Vec<String>>,
}

/// A controller of ours. When this is dropped it ends, and its log is where those of the servers are.
pub(crate) struct Controller {
    pub(crate) served: Launched,
    log: PathBuf,
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Only whoever looks for the cause of a failure would miss it.
        let _ = fs::write(&self.log, self.served.log().join("\n"));
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) command: String,
    pub(crate) succeeded: bool,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A call of kubectl or Helm that is being put together.
pub(crate) struct Call {
    command: Command,
    input: Option<String>,
    shown: String,
}

impl<'a> World<'a> {
    pub(super) fn new(cluster: &'a mut Cluster, program: &'a Path, id: &str) -> Self {
        let id = id.to_owned();
        Self { cluster, program, id, releases: RefCell::default(), namespaces: RefCell::default() }
    }

    /// The namespace of this test's controller.
    pub(crate) fn controller_namespace(&self) -> String {
        format!("{}-portcullis", self.id)
    }

    /// The label by which this test's webhook finds its namespaces.
    pub(crate) fn label(&self) -> (&'static str, String) {
        (LABEL, self.id.clone())
    }

    /// The name of this test's webhook configuration.
    pub(crate) fn configuration(&self) -> String {
        format!("{}-portcullis", self.controller_namespace())
    }

    /// kubectl as the cluster's administrator; the arguments as one would type them.
    pub(crate) fn kubectl(&self, args: &str) -> Call {
        self.kubectl_as("admin", args)
    }

    /// kubectl as a user or service account that has a kubeconfig.
    pub(crate) fn kubectl_as(&self, user: &str, args: &str) -> Call {
        let mut command = Command::new(&self.cluster.components.kubectl);
        command.arg("--kubeconfig").arg(self.cluster.access.kubeconfig(user));
        command.arg("--cache-dir").arg(self.cluster.access.path("kubectl-cache"));
        command.args(args.split_whitespace());
        Call { command, input: None, shown: format!("kubectl {args}") }
    }

    /// `portcullis` without a cluster; the arguments as one would type them.
    pub(crate) fn offline(&self, args: &str) -> Call {
        let mut command = Command::new(self.program);
        command.args(args.split_whitespace());
        Call { command, input: None, shown: format!("portcullis {args}") }
    }

    /// `portcullis` as the cluster's administrator, for this test's controller.
    pub(crate) fn portcullis(&self, verb: &str) -> Call {
        self.portcullis_as("admin", verb)
    }

    /// The same as a user or service account that has a kubeconfig.
    pub(crate) fn portcullis_as(&self, user: &str, verb: &str) -> Call {
        let mut call = self.offline(verb);
        call.command.arg("--kubeconfig").arg(self.cluster.access.kubeconfig(user));
        call.command.arg("--namespace").arg(self.controller_namespace());
        call
    }

    /// A client of the API server as the cluster's administrator, for what kubectl is too slow to measure.
    ///
    /// # Errors
    /// The administrator's kubeconfig cannot be used.
    pub(crate) async fn client(&self) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.cluster.access.kubeconfig("admin"))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Makes a namespace of this test's own, in which Pods can be created, and returns its name.
    ///
    /// # Errors
    /// It cannot be made, or has no service account in time.
    pub(crate) fn namespace(&self, name: &str) -> Result<String> {
        let name = format!("{}-{name}", self.id);
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {LABEL: self.id}},
        });
        self.apply(&namespace.to_string())?;
        self.namespaces.borrow_mut().push(name.clone());
        self.kubectl(&format!("wait --for=create serviceaccount/default -n {name} --timeout=60s")).ok()?;
        Ok(name)
    }

    /// `kubectl apply -f -`, which must succeed.
    ///
    /// # Errors
    /// It fails.
    pub(crate) fn apply(&self, manifest: &str) -> Result<Said> {
        self.kubectl("apply -f -").input(manifest).ok()
    }

    /// The ConfigMap of a policy of the library, for this test's controller.
    ///
    /// # Errors
    /// There is no such policy.
    pub(crate) fn library(&self, policy: &str) -> Result<String> {
        let path = root()?.join("policies").join(policy).join("policy.yaml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(text.replace("namespace: portcullis\n", &format!("namespace: {}\n", self.controller_namespace())))
    }

    /// Starts a controller as its service account, and waits until it is ready.
    ///
    /// # Errors
    /// It is not in time; with its log.
    pub(crate) fn controller(&self, flags: &[&str]) -> Result<Controller> {
        let kubeconfig = self.controller_kubeconfig()?;
        let controller = self.start_controller(&kubeconfig, flags)?;
        self.cluster.runtime.block_on(controller.served.ready())?;
        Ok(controller)
    }

    /// Starts a controller with a kubeconfig, and does not wait until it is ready.
    ///
    /// # Errors
    /// It does not listen in time.
    pub(crate) fn start_controller(&self, kubeconfig: &Path, flags: &[&str]) -> Result<Controller> {
        let (namespace, configuration) = (self.controller_namespace(), self.configuration());
        let own =
            ["--namespace", &namespace, "--webhook-configuration", &configuration, "--cert-secret", SECRET];
        self.start_with(kubeconfig, &[&own, flags].concat())
    }

    /// A kubeconfig like that one, for which the API server is at another address.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn through(&self, kubeconfig: &Path, address: SocketAddr) -> Result<PathBuf> {
        let text = fs::read_to_string(kubeconfig)?;
        let elsewhere = kubeconfig.with_extension("elsewhere.kubeconfig");
        fs::write(&elsewhere, text.replace(&self.cluster.url(), &format!("https://{address}")))?;
        Ok(elsewhere)
    }

    /// The same with these flags alone, but that it listens on this machine.
    ///
    /// # Errors
    /// It does not listen in time.
    pub(crate) fn start_with(&self, kubeconfig: &Path, flags: &[&str]) -> Result<Controller> {
        let mut command = serve(self.program);
        // What does not stand alone comes first: another argument would be its value.
        if !flags.iter().any(|flag| flag.starts_with("--webhook-url=")) {
            command.arg("--webhook-url");
        }
        command.arg("--kubeconfig").arg(kubeconfig).args(flags);
        let served = Launched::start(command)?;
        self.cluster.mind(served.pid())?;
        let log = self.cluster.logs().join(format!("portcullis-{}-{}.log", self.id, served.pid()));
        Ok(Controller { served, log })
    }

    /// Installs the chart into the controller's namespace, and returns a kubeconfig for its service account.
    ///
    /// # Errors
    /// The chart cannot be installed.
    pub(crate) fn controller_kubeconfig(&self) -> Result<PathBuf> {
        self.install("")
    }

    /// The same with values, as Helm's flags have them.
    ///
    /// # Errors
    /// The chart cannot be installed.
    pub(crate) fn install(&self, values: &str) -> Result<PathBuf> {
        let namespace = self.namespace("portcullis")?;
        self.helm(&format!("install portcullis {CHART} -n {namespace} {values}"))?;
        self.releases.borrow_mut().push(namespace.clone());
        let token =
            self.kubectl(&format!("create token portcullis -n {namespace} --duration=2h")).ok()?.stdout;
        let user = format!("{namespace}.portcullis");
        self.cluster.access.write_kubeconfig(&user, token.trim(), &self.cluster.url())
    }

    /// Helm as the cluster's administrator; it must succeed.
    ///
    /// # Errors
    /// It fails.
    pub(crate) fn helm(&self, args: &str) -> Result<Said> {
        self.call_helm(args)?.ok()
    }

    /// A call of Helm as the cluster's administrator, from the workspace's root.
    ///
    /// # Errors
    /// There is no workspace.
    pub(crate) fn call_helm(&self, args: &str) -> Result<Call> {
        let mut command = Command::new(&self.cluster.components.helm);
        command.current_dir(root()?).args(args.split_whitespace());
        command.env("KUBECONFIG", self.cluster.access.kubeconfig("admin"));
        // Nothing of the user's own Helm matters here.
        for (variable, folder) in [
            ("HELM_CACHE_HOME", "helm-cache"),
            ("HELM_CONFIG_HOME", "helm-config"),
            ("HELM_DATA_HOME", "helm-data"),
        ] {
            command.env(variable, self.cluster.access.path(folder));
        }
        Ok(Call { command, input: None, shown: format!("helm {args}") })
    }

    /// Asks again and again until it is so.
    ///
    /// # Errors
    /// It is not in time; with the last answer.
    pub(crate) fn eventually(&self, what: &str, mut ask: impl FnMut() -> Result<()>) -> Result<()> {
        let begin = Instant::now();
        loop {
            match ask() {
                Ok(()) => return Ok(()),
                Err(error) if begin.elapsed() > PATIENCE => {
                    return Err(error.context(format!("waited in vain: {what}")));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        // What stays behind of a test that failed harms no other, for it is in namespaces of its own.
        for namespace in self.releases.borrow().iter() {
            let _ = self.helm(&format!("uninstall portcullis -n {namespace} --ignore-not-found"));
            // One that the controller made again is not Helm's, and would be in everybody's way.
            let delete =
                format!("delete validatingwebhookconfiguration {} --ignore-not-found", self.configuration());
            let _ = self.kubectl(&delete).run();
        }
        let namespaces = self.namespaces.borrow().join(" ");
        if !namespaces.is_empty() {
            let _ =
                self.kubectl(&format!("delete namespace {namespaces} --wait=false --ignore-not-found")).run();
        }
    }
}

impl Call {
    /// What it reads from standard input.
    pub(crate) fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    /// Runs it to its end, whichever that is.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn run(self) -> Result<Said> {
        self.run_beside(|_| ())
    }

    /// The same, and meanwhile does something with its process id.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn run_beside(mut self, beside: impl FnOnce(u32)) -> Result<Said> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().context("cannot start it")?;
        let pid = child.id();
        let mut stdin = child.stdin.take().context("it has no standard input")?;
        // It fails where it ends without reading, and then says itself what it did not like.
        let _ = stdin.write_all(self.input.unwrap_or_default().as_bytes());
        drop(stdin);
        beside(pid);
        let output = child.wait_with_output().context("its end cannot be awaited")?;
        Ok(Said {
            command: self.shown,
            succeeded: output.status.success(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it; it must succeed.
    ///
    /// # Errors
    /// It fails.
    pub(crate) fn ok(self) -> Result<Said> {
        let said = self.run()?;
        ensure!(said.succeeded, "`{}` failed: {}", said.command, said.stderr.trim());
        Ok(said)
    }

    /// Runs it; it must fail, and its error must hold all of this.
    ///
    /// # Errors
    /// It succeeds, or says something else.
    pub(crate) fn refused(self, expect: &[&str]) -> Result<Said> {
        let said = self.run()?;
        ensure!(!said.succeeded, "`{}` succeeded: {}{}", said.command, said.stdout, said.stderr);
        match expect.iter().find(|part| !said.stderr.contains(**part)) {
            Some(missing) => bail!("`{}` does not say `{missing}`: {}", said.command, said.stderr.trim()),
            None => Ok(said),
        }
    }
}
