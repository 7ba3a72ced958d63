//! `portcullis explain`: why a request is denied, down to the value of each sub-expression.

use super::inputs::{
    Judge, JudgeArgs, Output, complain, complain_of_objects, note_unbound, one_stdin, read_objects,
};
use crate::exit::Exit;
use crate::manifests::Manifest;
use crate::report::explain::{Explained, to_json, to_text};
use crate::report::judge::action;
use crate::report::model::Action;
use crate::report::table::Paint;
use crate::suite::user;
use crate::terminal::{GlobalArgs, Hinted, write_out};
use crate::webhook::review::Review;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use portcullis_core::Request;
use portcullis_core::enforcement::Door;
use portcullis_core::request::{Operation, UserInfo};
use std::io::IsTerminal;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  portcullis explain review.json
  portcullis explain pod.yaml --policies policies/images --policy approved-registries
  kubectl get deployment web -o yaml | portcullis explain - --all

Each line of an expression is followed by a caret for every part of it that is not a constant, and by its value; \
what a macro evaluates for several elements has a value for each, or that for the element which decided it. What \
depends on the values of a Secret is ***, unless it is true or false. \
Exit code 2 means that something is denied.";

/// Flags of `portcullis explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// AdmissionReviews, or objects as `check` takes them; `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Explain this policy only
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Explain validations that hold, too
    #[arg(long)]
    all: bool,
    /// Who asks for objects, for policies that look at the user
    #[arg(long = "as", value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// A group of that user; repeatable
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    groups: Vec<String>,
    /// How to write the explanations
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

/// Explains decisions.
///
/// # Errors
/// If there are no policies or no objects, no policy has the name that was given, a review is malformed, or
/// standard output is broken.
pub fn run(args: &ExplainArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    one_stdin(args.paths.iter().chain(&args.judge.resources))?;
    let found = read_objects(&args.paths)?;
    let judge = Judge::prepare(&args.judge, &found.objects)?;
    if let Some(name) = args.policy.as_ref().filter(|name| !judge.has_policy(name)) {
        let names: Vec<String> = judge.policies().into_iter().map(|policy| policy.name).collect();
        let hint = format!("there are {}", names.join(", "));
        return Err(Hinted::new(format!("no policy is called `{name}`"), hint).into());
    }
    let user = args.user.as_ref().map(|name| user(name, args.groups.clone()));
    let mut explained = Vec::new();
    for manifest in &found.objects {
        let request = request(manifest, &judge, user.clone())?;
        let outcomes = judge.explain(args.policy.as_deref(), &request, args.all);
        explained.push(Explained { request, outcomes });
    }
    let invalid = judge.invalid_policies();
    let unreadable = [found.problems, judge.unreadable.clone()].concat();
    note_unbound(global, &judge);
    complain(global, &invalid);
    complain_of_objects(global, &unreadable);
    let text = match args.output {
        Output::Table => {
            to_text(&explained, Paint::new(global.color.enabled(std::io::stdout().is_terminal())))
        }
        Output::Json => to_json(&explained),
    };
    write_out(&text)?;
    let mut outcomes = explained.iter().flat_map(|explained| &explained.outcomes);
    let denied = outcomes.any(|(outcome, _)| action(outcome, Door::Offline) == Action::Deny);
    let when = |condition: bool, exit: Exit| if condition { exit } else { Exit::Clean };
    Ok(when(!invalid.is_empty(), Exit::InvalidPolicy)
        .worst(when(!unreadable.is_empty(), Exit::Failure))
        .worst(when(denied, Exit::Denied)))
}

/// The request of a review, or that which would create an object.
fn request(manifest: &Manifest, judge: &Judge, user: Option<UserInfo>) -> anyhow::Result<Request> {
    let object = &manifest.object;
    if object.get("kind").and_then(|kind| kind.as_str()) == Some("AdmissionReview") {
        return Review::read_whole(object.to_string())
            .map(|review| review.request)
            .map_err(|error| anyhow::anyhow!("`{}` is no review: {error}", manifest.place("").file));
    }
    let mut request = Request::for_object(object.clone(), &judge.resources, Operation::Create);
    request.user = user;
    Ok(request)
}
