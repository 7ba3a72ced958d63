//! `portcullis disarm` and `portcullis arm`: the emergency stop, and its end.

use crate::cluster::disarming::{self, Switched};
use crate::cluster::switch::SWITCH;
use crate::cluster::{Cluster, Options};
use crate::exit::Exit;
use crate::terminal::{GlobalArgs, Tone, write_out};
use crate::verbs::values::{duration, namespace};
use clap::Args;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const DISARM_EXAMPLES: &str = "\
Examples:
  portcullis disarm --reason 'no Pod can start, see incident 42'
  portcullis arm

The same without this program, also where no replica runs:
  kubectl create configmap portcullis-disarmed -n portcullis
  kubectl delete validatingwebhookconfiguration portcullis

Whoever does it needs the verb `disarm` on policies.portcullis.dev where the chart's self-guard is on.";

/// Which controller is meant.
#[derive(Debug, Args)]
pub(super) struct ControllerArgs {
    /// The kubeconfig to connect with [default: as kubectl has it]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The controller's namespace
    #[arg(short, long, value_name = "NAME", default_value = "portcullis", value_parser = namespace)]
    namespace: String,
}

/// Flags of `portcullis disarm`.
#[derive(Debug, Args)]
#[command(after_help = DISARM_EXAMPLES)]
pub struct DisarmArgs {
    #[command(flatten)]
    controller: ControllerArgs,
    /// Why, for whoever finds it so
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Flags of `portcullis arm`.
#[derive(Debug, Args)]
pub struct ArmArgs {
    #[command(flatten)]
    controller: ControllerArgs,
    /// How long to wait until a replica enforces again
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
}

/// Calls everything off: nothing is enforced until `arm`.
///
/// # Errors
/// The cluster cannot be reached, or does not let us.
pub fn disarm(args: &DisarmArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let Switched { changed, configurations } = disarming::disarm(&args.controller.find()?, &args.reason)?;
    tell(if changed { "created" } else { "unchanged" }, &configurations, "entries removed")?;
    let arm = format!("`portcullis arm -n {}`", args.controller.namespace);
    global.say(Tone::Note, &format!("nothing is enforced until {arm}"), None, None);
    Ok(Exit::Clean)
}

/// Ends that.
///
/// # Errors
/// The cluster cannot be reached or does not let us, or no replica takes it up in time.
pub fn arm(args: &ArmArgs) -> anyhow::Result<Exit> {
    let Switched { changed, configurations } = disarming::arm(&args.controller.find()?, args.timeout)?;
    tell(if changed { "deleted" } else { "not found" }, &configurations, "entries")?;
    Ok(Exit::Clean)
}

/// Says what became of the switch, and which entries are concerned, a line for each object as kubectl does.
fn tell(switch: &str, configurations: &[(String, usize)], entries: &str) -> io::Result<()> {
    let mut said = format!("configmap/{SWITCH} {switch}\n");
    for (name, count) in configurations {
        said += "validatingwebhookconfiguration.admissionregistration.k8s.io/";
        said += &format!("{name} {count} {entries}\n");
    }
    write_out(&said)
}

impl ControllerArgs {
    /// The controller's namespace.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its cluster.
    pub(super) fn find(&self) -> anyhow::Result<Arc<Cluster>> {
        let options =
            Options { kubeconfig: self.kubeconfig.clone(), context: self.context.clone(), asks_again: false };
        Cluster::find(&options, &self.namespace)
    }
}
