//! The audit of a cluster: every object that policies match, a page at a time, none kept longer than it takes.

use super::progress::Progress;
use crate::cluster::audit::{Failed, Inventory, Kind};
use crate::cluster::{Cluster, Options};
use crate::report::model::{Problem, Report};
use crate::terminal::{GlobalArgs, Hinted};
use crate::verbs::inputs::{Judge, JudgeArgs, read_policies};
use clap::Args;
use portcullis_core::matching::{Resources, is_excluded};
use portcullis_core::request::Operation;
use portcullis_core::{PolicySet, Request};
use std::path::PathBuf;

/// How often a kind is listed whose objects change faster than they can be read.
const ATTEMPTS: usize = 3;
/// Objects told of each policy, unless asked otherwise.
const MOST: usize = 1_000;

/// Which cluster is meant, and how it is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct LiveArgs {
    /// The kubeconfig to connect with [default: as kubectl has it, else the service account of this Pod]
    #[arg(long, conflicts_with = "paths", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one]
    #[arg(long, conflicts_with = "paths", value_name = "NAME")]
    context: Option<String>,
    /// Read Secrets, too; their values are shown nowhere
    #[arg(long, conflicts_with = "paths")]
    secrets: bool,
    /// Objects to read at a time
    #[arg(long, conflicts_with = "paths", value_name = "COUNT", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..))]
    chunk_size: u32,
}

/// Audits the cluster that is meant.
///
/// # Errors
/// No cluster is to be found, it does not answer, or there are no policies.
pub(super) fn audit(
    args: &JudgeArgs,
    live: &LiveArgs,
    most: Option<usize>,
    global: &GlobalArgs,
) -> anyhow::Result<Report> {
    if !args.resources.is_empty() || args.complete {
        let hint = "name files of objects to judge, or leave them out: a cluster tells what it has";
        return Err(Hinted::new("`--resources` and `--complete` are for files", hint).into());
    }
    let options = Options { kubeconfig: live.kubeconfig.clone(), context: live.context.clone() };
    let inventory = Inventory::new(Cluster::find(&options, &args.namespace)?);
    let set = match args.policies.as_slice() {
        [] => inventory.policies()?,
        paths => PolicySet::compile(&read_policies(paths, &args.namespace)?, None),
    };
    let (kinds, mut unreadable) = inventory.kinds(&set)?;
    let (facts, problems) = inventory.facts(&set);
    unreadable.extend(problems);
    let mut resources = Resources::new();
    kinds.iter().for_each(|kind| resources.add(&kind.group, &kind.kind, &kind.plural, kind.namespaced));
    let judge = Judge::new(set, resources, facts);
    let mut report = Report {
        most: Some(most.unwrap_or(MOST)),
        policies: judge.policies(),
        invalid_policies: judge.invalid_policies(),
        unreadable,
        ..Report::default()
    };
    let (secrets, kinds): (Vec<Kind>, Vec<Kind>) =
        kinds.into_iter().partition(|kind| kind.is_secret() && !live.secrets);
    if !secrets.is_empty() {
        report
            .notes
            .push("Secrets are not listed, though policies match them; `--secrets` lists them".to_owned());
    }
    if kinds.is_empty() && secrets.is_empty() {
        report.notes.push("nothing that the cluster serves is matched by a policy".to_owned());
    }
    let progress = Progress::new(global, kinds.len());
    for (index, kind) in kinds.iter().enumerate() {
        let reader = Reader { inventory: &inventory, judge: &judge, controller_namespace: &args.namespace };
        reader.read(kind, live.chunk_size, &mut report, &|read, of| progress.show(index, kind, read, of));
    }
    Ok(report)
}

/// What reading a kind takes.
struct Reader<'a> {
    inventory: &'a Inventory,
    judge: &'a Judge,
    controller_namespace: &'a str,
}

impl Reader<'_> {
    /// Judges every object of a kind.
    fn read(&self, kind: &Kind, size: u32, report: &mut Report, show: &dyn Fn(usize, Option<usize>)) {
        for attempt in 1..=ATTEMPTS {
            let mut part = Report { most: report.most, ..Report::default() };
            let failed = self.read_once(kind, size, &mut part, show).err();
            if failed == Some(Failed::Expired) && attempt < ATTEMPTS {
                let note = format!("`{kind}` changed while it was listed, and was listed anew");
                if attempt == 1 {
                    report.notes.push(note);
                }
                continue;
            }
            // What was read before the end is true all the same.
            report.absorb(part);
            report.unreadable.extend(failed.map(|failed| failed.of(kind)));
            return;
        }
    }

    fn read_once(
        &self,
        kind: &Kind,
        size: u32,
        report: &mut Report,
        show: &dyn Fn(usize, Option<usize>),
    ) -> Result<(), Failed> {
        let mut listing = self.inventory.listing(kind, size);
        let (mut read, mut more) = (0, true);
        show(read, None);
        while more {
            more = listing.next(&mut |object| {
                read += 1;
                match object {
                    Ok(object) => self.judge(object, report),
                    Err(reason) => report.unreadable.push(Problem::new(reason)),
                }
            })?;
            let remaining = listing.remaining.and_then(|remaining| usize::try_from(remaining).ok());
            show(read, remaining.map(|remaining| read + remaining));
        }
        Ok(())
    }

    /// What stays out of the webhook stays out of the counts, too.
    fn judge(&self, object: serde_json::Value, report: &mut Report) {
        let request = Request::for_object(object, &self.judge.resources, Operation::Create);
        if !is_excluded(&request, self.controller_namespace) {
            report.take(self.judge.judge(&|_| None, &request));
        }
    }
}
