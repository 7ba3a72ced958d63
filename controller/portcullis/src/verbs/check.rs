//! `portcullis check`: manifests before they are applied.

use super::inputs::{
    Judge, JudgeArgs, Output, complain, complain_of_objects, note_unbound, one_stdin, read_objects_without,
    refuse_reviews,
};
use crate::exit::Exit;
use crate::manifests::{self, Exclusions};
use crate::report::json;
use crate::report::model::{Problem, Report};
use crate::report::table::{self, Paint};
use crate::suite::user;
use crate::terminal::{GlobalArgs, Hinted, Tone, write_out};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use portcullis_core::Request;
use portcullis_core::matching::Resources;
use portcullis_core::request::{Operation, UserInfo};
use portcullis_core::tree::Tree;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  portcullis check manifests/
  portcullis check . --exclude values.yaml --exclude templates/
  helm template web charts/web | portcullis check - --policies policies/
  portcullis check new/ --old old/ --as alice --as-group developers --strict

Objects are judged as requests that create them, and as written: no defaults are filled in. \
An object without a namespace is taken to go to `default`. Exit code 2 means that something is denied.";

/// Flags of `portcullis check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Files or directories of manifests (YAML, JSON, Lists); `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave out of directories what this matches, as in .gitignore: `values.yaml`, `templates/`; repeatable
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Who asks, for policies that look at the user
    #[arg(long = "as", value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// A group of that user; repeatable
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    groups: Vec<String>,
    /// A file or directory of the objects as they were: those are judged as updates; repeatable
    #[arg(long, value_name = "PATH")]
    old: Vec<PathBuf>,
    /// End with exit code 2 where something is undecidable, too
    #[arg(long)]
    strict: bool,
    /// How to write the report
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

/// Checks manifests.
///
/// # Errors
/// If there are no policies or no objects, or standard output is broken.
pub fn run(args: &CheckArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    one_stdin(args.paths.iter().chain(&args.judge.resources).chain(&args.old))?;
    let exclusions = Exclusions::new(&args.exclude).map_err(|(pattern, problem)| {
        Hinted::new(
            format!("`{pattern}` is no pattern of paths: {problem}"),
            "write it as in .gitignore: `values.yaml`, `templates/`, `charts/*/crds`",
        )
    })?;
    let mut found = read_objects_without(&args.paths, &exclusions)?;
    refuse_reviews(&mut found);
    let judge = Judge::prepare(&args.judge, &found.objects)?;
    let old = OldObjects::read(&args.old, &judge.resources);
    let user = args.user.as_ref().map(|name| user(name, args.groups.clone()));

    let mut report = Report {
        policies: judge.policies(),
        invalid_policies: judge.invalid_policies(),
        unreadable: found.problems,
        ..Report::default()
    };
    report.unreadable.extend(judge.unreadable.iter().chain(&old.unreadable).cloned());
    for manifest in &mut found.objects {
        let object = std::mem::take(&mut manifest.object);
        let request = old.request(object, &judge.resources, args.judge.complete, user.clone());
        report.take(judge.judge(&|field| Some(manifest.place(field)), &request));
    }

    complain(global, &report.invalid_policies);
    complain_of_objects(global, &report.unreadable);
    note_unbound(global, &judge);
    global.say(
        Tone::Note,
        "objects are judged as written; the API server would fill in defaults first",
        None,
        None,
    );
    let text = match args.output {
        Output::Table => {
            table::check(&report, Paint::new(global.color.enabled(std::io::stdout().is_terminal())))
        }
        Output::Json => json::check(&report),
    };
    write_out(&text)?;
    Ok(exit(&report, args.strict))
}

fn exit(report: &Report, strict: bool) -> Exit {
    let when = |condition: bool, exit: Exit| if condition { exit } else { Exit::Clean };
    when(!report.invalid_policies.is_empty(), Exit::InvalidPolicy)
        .worst(when(!report.unreadable.is_empty(), Exit::Failure))
        .worst(when(report.counts.judgements.deny > 0, Exit::Denied))
        .worst(when(strict && report.counts.judgements.undecidable > 0, Exit::Denied))
}

/// The objects of `--old`, by what identifies them.
struct OldObjects {
    by_identity: HashMap<Identity, Tree>,
    unreadable: Vec<Problem>,
}

/// What makes two objects the same one, whatever version they are written in.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

impl OldObjects {
    fn read(paths: &[PathBuf], resources: &Resources) -> Self {
        let found = manifests::read(paths);
        let identified = found.objects.into_iter().map(|manifest| {
            let request = Request::for_object(manifest.object, resources, Operation::Create);
            Some((Identity::of(&request)?, request.object))
        });
        Self { by_identity: identified.flatten().collect(), unreadable: found.problems }
    }

    /// The request for an object: an update if it was there before, else a creation. Whether something not
    /// given exists is known only if the files are `complete`.
    fn request(
        &self,
        object: Json,
        resources: &Resources,
        complete: bool,
        user: Option<UserInfo>,
    ) -> Request {
        let mut request = Request::for_object(object, resources, Operation::Create);
        request.user = user;
        request.old_object_known = complete;
        if let Some(old) = Identity::of(&request).and_then(|identity| self.by_identity.get(&identity)) {
            request.operation = Operation::Update;
            request.old_object = old.clone();
            request.old_object_known = true;
        }
        request
    }
}

impl Identity {
    /// `None` for what the server names (`generateName`): it is always a new object.
    fn of(request: &Request) -> Option<Self> {
        (!request.name.is_empty()).then(|| Self {
            group: request.kind.group.clone(),
            kind: request.kind.kind.clone(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
        })
    }
}
