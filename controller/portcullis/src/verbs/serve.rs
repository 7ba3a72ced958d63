//! `portcullis serve`: the webhook, until it is told to stop.

use super::stop::Stop;
use super::values::{address, duration, namespace, requests, threads};
use crate::cluster::{self, CertificateSecret, Target, Upkeep};
use crate::exit::Exit;
use crate::webhook::{Config, Server, SourceConfig};
use clap::Args;
use jiff::SignedDuration;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::SignalKind;

const EXAMPLES: &str = "\
Examples:
  portcullis serve                         # with the policies of the cluster
  portcullis serve --policies policies/    # without a cluster
  portcullis serve --policies /policies --cert-dir /tls --listen 0.0.0.0:8443
  curl http://127.0.0.1:8081/policies      # what is in force, and what is wrong

Reviews go to /validate/fail, /validate/ignore and /validate/critical, by what the API server shall do if \
nobody answers, or to /validate for every policy. Edited policies are in force at once; a broken edit keeps \
the version before.";

/// Flags of `serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Directory (or file) of policy ConfigMaps, watched for changes, in place of a cluster; may be repeated
    #[arg(long, value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// Directory (or file) of Namespaces, params and other objects; may be repeated
    #[arg(long, requires = "policies", value_name = "DIR")]
    resources: Vec<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Where `tls.crt` and `tls.key` are; made there if neither exists [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// A file with the CA of those who may ask, read again when it changes [default: anybody may]
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Where to answer reviews; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443", value_parser = address)]
    listen: SocketAddr,
    /// Where to tell health, metrics and policies; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = address)]
    ops_listen: SocketAddr,
    /// The controller's own namespace: policies without one mean it, and requests in it stay out
    #[arg(long, value_name = "NAME", default_value = "portcullis", value_parser = namespace)]
    namespace: String,
    /// Deny nothing and warn about nothing: record only
    #[arg(long)]
    audit_only: bool,
    /// Threads that decide [default: one per processor, two at least]
    #[arg(long, value_name = "COUNT", value_parser = threads)]
    threads: Option<usize>,
    /// Requests that are decided at once; more are answered without a decision, by their class
    #[arg(long, value_name = "COUNT", default_value_t = 512, value_parser = requests)]
    max_requests: usize,
    /// Where compiled WASM modules are kept for the next start, with mode 0700 [default: ~/.cache/portcullis/modules]
    #[arg(long, value_name = "DIR")]
    module_cache: Option<PathBuf>,
    /// How long to go on serving after SIGTERM, not ready any more; then requests have 20 s to end
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    shutdown_delay: Duration,
}

/// Which cluster is meant, as kubectl has it, and what is looked after in it.
#[derive(Debug, Args)]
struct ClusterArgs {
    /// The kubeconfig to connect with [default: as kubectl has it, else the service account of this Pod]
    #[arg(long, conflicts_with = "policies", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one]
    #[arg(long, conflicts_with = "policies", value_name = "NAME")]
    context: Option<String>,
    /// The ValidatingWebhookConfiguration to keep in step with the policies [default: none]
    #[arg(long, conflicts_with = "policies", value_name = "NAME")]
    webhook_configuration: Option<String>,
    /// The Service by which the API server reaches us
    #[arg(long, conflicts_with = "policies", value_name = "NAME", default_value = "portcullis")]
    webhook_service: String,
    /// The URL by which it does, in place of a Service [default without a value: where we listen]
    #[arg(long, requires = "webhook_configuration", conflicts_with = "policies", num_args = 0..=1, default_missing_value = "", value_name = "URL")]
    webhook_url: Option<String>,
    /// The Secret in which the replicas keep a certificate of their own making, renewed ahead [default: files]
    #[arg(long, requires = "webhook_configuration", conflicts_with_all = ["cert_dir", "policies"], value_name = "NAME")]
    cert_secret: Option<String>,
    /// How long such a certificate is valid
    #[arg(long, conflicts_with = "policies", value_name = "DURATION", default_value = "2160h")]
    cert_lifetime: SignedDuration,
    /// Let policies in other namespaces than the controller's govern those: each its own, and nothing else
    #[arg(long, conflicts_with = "policies")]
    namespaced_policies: bool,
    /// Namespaces that are open when we cannot answer, so that nodes come back
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_value = "kube-system")]
    critical_namespaces: Vec<String>,
}

impl ClusterArgs {
    fn source(self) -> SourceConfig {
        let namespaced_policies = self.namespaced_policies;
        let target = match self.webhook_url {
            Some(url) => Target::Url(url.trim_end_matches('/').to_owned()),
            None => Target::Service(self.webhook_service),
        };
        // An empty value means none.
        let mut critical_namespaces = self.critical_namespaces;
        critical_namespaces.retain(|name| !name.is_empty());
        let lifetime = self.cert_lifetime;
        let certificate = self.cert_secret.map(|name| CertificateSecret { name, lifetime });
        let upkeep = self.webhook_configuration.map(|configuration| Upkeep {
            configuration,
            target,
            critical_namespaces,
            certificate,
            identity: identity(),
            namespaced_policies,
        });
        let options =
            cluster::Options { kubeconfig: self.kubeconfig, context: self.context, asks_again: true };
        SourceConfig::Cluster { options, namespaced_policies, upkeep }
    }
}

/// What tells this replica from others: the Pod's name, which is its host's.
fn identity() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

/// Serves until SIGTERM or SIGINT, after the first for a while more, then lets requests end.
///
/// # Errors
/// What keeps the webhook from starting.
pub fn run(args: ServeArgs) -> anyhow::Result<Exit> {
    log_panics_without_their_message();
    let stop = Stop::listen()?;
    let source = match args.policies {
        none if none.is_empty() => args.cluster.source(),
        policies => SourceConfig::Directories { policies, resources: args.resources },
    };
    let running = Server::start(Config {
        source,
        cert_dir: args.cert_dir,
        client_ca: args.client_ca,
        listen: args.listen,
        ops_listen: args.ops_listen,
        namespace: args.namespace,
        audit_only: args.audit_only,
        threads: args.threads,
        max_requests: args.max_requests,
        module_cache: args.module_cache,
    })?;
    running.serve_until(async move {
        if stop.told().await == SignalKind::terminate() { args.shutdown_delay } else { Duration::ZERO }
    });
    Ok(Exit::Clean)
}

/// A panic's message may repeat what an object holds; where it happened does not.
fn log_panics_without_their_message() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked; please report this as a defect");
    }));
}
