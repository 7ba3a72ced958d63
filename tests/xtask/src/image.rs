//! The image's binary, run as the image runs it: alone in a read-only root, as nobody in particular.

use crate::served::Launched;
use crate::workspace::{cargo, files, root, stdout_of};
use anyhow::{Context, Result, ensure};
use portcullis::client::Client;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// User and group of `deploy/Dockerfile`, which the chart's Pods have too.
const USER: u32 = 65_532;

/// The only place in it that can be written to, as a volume would be.
const VOLUME: &str = "tls";

/// What is done in a mount namespace of its own, where `$1` is the new root: nothing of it is left afterwards.
const ENTER: &str = r#"
    mount --make-rprivate / &&
    mount --bind "$1" "$1" && mount --bind "$1/tls" "$1/tls" &&
    mount -o remount,bind,ro "$1" &&
    root="$1" && shift && exec chroot --userspec=65532:65532 "$root" "$@"
"#;

/// Build the static binary of the image, and run it as the image does: uid 65532 in a read-only root that holds
/// nothing else
///
/// It needs root and util-linux, no container engine: the binary and a policy are put into a folder that becomes its
/// root.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let binary = build()?;
    let folder = tempfile::tempdir()?;
    let new_root = folder.path();
    fs::copy(&binary, new_root.join("portcullis")).context("cannot copy the binary")?;
    fs::create_dir_all(new_root.join("policies"))?;
    fs::copy(
        root()?.join("policies/isolation/no-host-access/policy.yaml"),
        new_root.join("policies/policy.yaml"),
    )?;
    let volume = new_root.join(VOLUME);
    fs::create_dir(&volume)?;
    chown(&volume, Some(USER), Some(USER)).context("this needs root")?;
    fs::set_permissions(new_root, fs::Permissions::from_mode(0o755))?;

    let launched = Launched::start(serve(new_root))?;
    let ca = fs::read(volume.join("ca.crt")).context("the binary wrote no `ca.crt`")?;
    let webhook = Client::https(launched.address, &ca)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(launched.ready())?;
    ensure!(runtime.block_on(allows(&webhook, &pod(false)))?, "a good Pod is denied");
    ensure!(!runtime.block_on(allows(&webhook, &pod(true)))?, "a bad Pod is allowed");
    let process = Process::of(launched.pid())?;
    ensure!(process.users == [USER; 4], "it runs as {:?}", process.users);
    ensure!(process.root_is_read_only, "its root can be written to");
    let found = files(new_root)?.len();
    println!(
        "{}: {} bytes, static; uid {USER}, read-only root; decides; {} kB resident, {found} files in all",
        binary.display(),
        fs::metadata(&binary)?.len(),
        process.resident
    );
    Ok(ExitCode::SUCCESS)
}

/// Builds what the Dockerfile builds.
fn build() -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = cargo(
        "build --release --locked --package portcullis --message-format=json-render-diagnostics".split(' '),
    )?;
    command.args(["--target", &target]).env("RUSTFLAGS", "-C target-feature=+crt-static");
    let messages = stdout_of(&mut command)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executable = |message: Value| message["executable"].as_str().map(PathBuf::from);
    messages.filter_map(executable).next_back().context("cargo built no `portcullis`")
}

fn serve(new_root: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", ENTER, "sh"]).arg(new_root);
    command.args(["/portcullis", "serve", "--policies", "/policies", "--cert-dir", "/tls"]);
    command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-format", "json"]);
    command
}

/// What the kernel says of a process.
struct Process {
    /// Real, effective, saved and that of the file system.
    users: Vec<u32>,
    root_is_read_only: bool,
    /// In kB.
    resident: u64,
}

impl Process {
    fn of(id: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let users = line("Uid:").context("it has no users")?;
        let users: Result<Vec<u32>, _> = users.split_whitespace().map(str::parse).collect();
        let resident = line("VmRSS:").and_then(|kb| kb.split_whitespace().next()?.parse().ok());
        // Of each mount the fifth field is where it is, the sixth how (`proc_pid_mountinfo(5)`).
        let mounts = fs::read_to_string(format!("/proc/{id}/mountinfo"))?;
        let of_root = |line: &str| {
            let mut fields = line.split(' ').skip(4);
            (fields.next()? == "/").then_some(fields.next()?.split(',').any(|option| option == "ro"))
        };
        Ok(Self {
            users: users?,
            root_is_read_only: mounts.lines().filter_map(of_root).any(|read_only| read_only),
            resident: resident.context("it has no size")?,
        })
    }
}

async fn allows(webhook: &Client, review: &Value) -> Result<bool> {
    let reply = webhook.connect().await?.post("/validate", review.to_string().into()).await?;
    let reply: Value = serde_json::from_slice(&reply.body)?;
    reply["response"]["allowed"].as_bool().context("that is no answer")
}

fn pod(host_network: bool) -> Value {
    let pod = json!({"group": "", "version": "v1", "kind": "Pod"});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": pod,
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "name": "main",
            "namespace": "shop",
            "userInfo": {"username": "someone"},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "main", "namespace": "shop"},
                "spec": {
                    "hostNetwork": host_network,
                    "containers": [{"name": "main", "image": "registry.example.com/app:1"}],
                },
            },
        },
    })
}
