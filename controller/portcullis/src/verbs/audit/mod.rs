//! `portcullis audit`: who would be denied, among the objects of a cluster or those that were dumped from one.

mod live;
mod progress;

use super::inputs::{
    Judge, JudgeArgs, Output, complain, complain_of_objects, one_stdin, read_objects, refuse_reviews,
};
use crate::exit::Exit;
use crate::report::json;
use crate::report::model::Report;
use crate::report::table::{self, Paint};
use crate::terminal::{GlobalArgs, write_out};
use clap::Args;
use portcullis_core::Request;
use portcullis_core::request::Operation;
use std::io::IsTerminal;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  portcullis audit                                 # the cluster, by its policies
  portcullis audit --context prod --policies new/  # by those it has not got yet
  portcullis audit dump/ --policies policies/ --complete
  kubectl get deploy,ds,sts,cj,ns -A -o yaml | portcullis audit -
  portcullis audit -o json | jq '.policies[] | {name, judgements}'

Without PATH the objects of the cluster are judged: of every kind that policies match, a page at a time, \
and by the policies in the controller's namespace, unless --policies names others. That takes the right to \
`list` these kinds.

Nobody asks in an audit, and nothing is known of what was there before: what depends on either is \
undecidable. A report fails no build: it ends with exit code 0, except for invalid policies, what cannot be \
read and --strict.";

/// Flags of `portcullis audit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    /// Files or directories of dumped objects (YAML, JSON, Lists); `-` for standard input [default: the cluster]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Objects to tell of each policy, others are counted only [default: 1000 of a cluster, all of files]
    #[arg(long, value_name = "COUNT")]
    max_per_policy: Option<usize>,
    /// End with exit code 2 where something fails a policy or is undecidable
    #[arg(long)]
    strict: bool,
    /// How to write the report
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    live: live::LiveArgs,
}

/// Audits dumped objects, or those of a cluster.
///
/// # Errors
/// If there are no policies or no objects, no cluster is to be found or it does not answer, or standard output is
/// broken.
pub fn run(args: &AuditArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let report = if args.paths.is_empty() {
        live::audit(&args.judge, &args.live, args.max_per_policy, global)?
    } else {
        of_files(args)?
    };
    complain(global, &report.invalid_policies);
    complain_of_objects(global, &report.unreadable);
    let text = match args.output {
        Output::Table => {
            table::audit(&report, Paint::new(global.color.enabled(std::io::stdout().is_terminal())))
        }
        Output::Json => json::audit(&report),
    };
    write_out(&text)?;
    Ok(exit(&report, args.strict))
}

fn of_files(args: &AuditArgs) -> anyhow::Result<Report> {
    one_stdin(args.paths.iter().chain(&args.judge.resources))?;
    let mut found = read_objects(&args.paths)?;
    refuse_reviews(&mut found);
    let judge = Judge::prepare(&args.judge, &found.objects)?;
    let mut report = Report {
        most: args.max_per_policy,
        policies: judge.policies(),
        invalid_policies: judge.invalid_policies(),
        unreadable: found.problems,
        ..Report::default()
    };
    report.unreadable.extend(judge.unreadable.iter().cloned());
    for manifest in &mut found.objects {
        let object = std::mem::take(&mut manifest.object);
        let request = Request::for_object(object, &judge.resources, Operation::Create);
        report.take(judge.judge(&|field| Some(manifest.place(field)), &request));
    }
    Ok(report)
}

fn exit(report: &Report, strict: bool) -> Exit {
    let counts = report.counts.judgements;
    if !report.invalid_policies.is_empty() {
        Exit::InvalidPolicy
    } else if !report.unreadable.is_empty() {
        Exit::Failure
    } else if strict && (counts.failing() > 0 || counts.undecidable > 0) {
        Exit::Denied
    } else {
        Exit::Clean
    }
}
