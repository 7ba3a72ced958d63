//! `portcullis lint`: everything that is wrong with policies, as compilers tell it.

use super::inputs::{CONTROLLER_NAMESPACE, Output, complain_of_objects, one_stdin};
use crate::exit::Exit;
use crate::manifests::{self, STDIN, files_under};
use crate::modules;
use crate::report::lint::LintReport;
use crate::report::model::Problem;
use crate::report::table::Paint;
use crate::schemas;
use crate::source::files::add_modules;
use crate::source::tree::Snapshot;
use crate::terminal::{GlobalArgs, Hinted, write_out};
use clap::Args;
use portcullis_core::KubernetesVersion;
use portcullis_core::document::read_documents;
use portcullis_core::lint::lint;
use portcullis_core::set::Sources;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  portcullis lint
  portcullis lint policies/images --strict
  kubectl get validatingadmissionpolicies,validatingadmissionpolicybindings -o yaml | portcullis lint -
  portcullis lint -o json | jq '.findings[] | {code, message, place}'

Errors keep a policy, or a part of it, from being in force. Warnings are about what is in force and hardly as it \
was meant; --strict makes them errors.";

/// Flags of `portcullis lint`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LintArgs {
    /// Files or directories of policies: ConfigMaps, or documents as they are; `-` for standard input
    #[arg(default_value = "policies", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The version of Kubernetes whose fields expressions are checked against
    #[arg(long, value_name = "VERSION", default_value_t = KubernetesVersion::NEWEST, value_parser = schemas::version)]
    kubernetes: KubernetesVersion,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// The controller's namespace, in which policies are cluster-wide
    #[arg(long, value_name = "NAME", default_value = CONTROLLER_NAMESPACE)]
    namespace: String,
    /// How to write the report
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

/// Lints policies.
///
/// # Errors
/// If there are no policies, or standard output is broken.
pub fn run(args: &LintArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    one_stdin(&args.paths)?;
    let (texts, mut unreadable) = read(&args.paths);
    let files: Vec<PathBuf> = args.paths.iter().filter(|path| path.as_os_str() != STDIN).cloned().collect();
    // The texts have been read as far as they can be, and what lies beside them is read with them.
    let snapshot = Snapshot::take(&files);
    let of_modules = snapshot.problems.iter().filter(|problem| problem.path.ends_with(".wasm"));
    unreadable
        .extend(of_modules.map(|it| Problem::new(format!("cannot read `{}`: {}", it.path, it.message))));
    let sources = sources(&texts, &snapshot, &args.namespace);
    let holds_nothing =
        sources.config_maps.is_empty() && sources.plain.is_empty() && sources.failures.is_empty();
    if holds_nothing && unreadable.is_empty() {
        let paths: Vec<String> = args.paths.iter().map(|path| format!("`{}`", path.display())).collect();
        let message = format!("no policies in {}", paths.join(", "));
        let hint = "policies are documents of kind Policy, PolicyException, ValidatingAdmissionPolicy or \
                    ValidatingAdmissionPolicyBinding, or ConfigMaps with the label `portcullis.dev/policy: \"true\"`";
        return Err(Hinted::new(message, hint).into());
    }
    let typing = schemas::typing(args.kubernetes)?;
    let sources = Sources { modules: Some(modules::waiting()?), ..sources };
    let report =
        LintReport::new(&lint(&sources, Some(&typing), jiff::Timestamp::now()), unreadable, args.strict);
    complain_of_objects(global, &report.unreadable);
    let text = match args.output {
        Output::Table => {
            let paint = Paint::new(global.color.enabled(std::io::stdout().is_terminal()));
            report.to_text(&texts, paint)
        }
        Output::Json => report.to_json(),
    };
    write_out(&text)?;
    let mut exit = if report.unreadable.is_empty() { Exit::Clean } else { Exit::Failure };
    if report.has_errors() {
        exit = exit.worst(Exit::InvalidPolicy);
    }
    Ok(exit)
}

/// The texts of files by name.
fn read(paths: &[PathBuf]) -> (BTreeMap<String, String>, Vec<Problem>) {
    let (mut texts, mut unreadable) = (BTreeMap::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == STDIN {
            match manifests::read_stdin() {
                Ok(text) => drop(texts.insert("<stdin>".to_owned(), text)),
                Err(problem) => unreadable.push(problem),
            }
            continue;
        }
        for file in files_under(path, &mut unreadable) {
            match manifests::read_text(&file) {
                Ok(text) => drop(texts.insert(file.display().to_string(), text)),
                Err(problem) => unreadable.push(problem),
            }
        }
    }
    (texts, unreadable)
}

fn sources(texts: &BTreeMap<String, String>, snapshot: &Snapshot, namespace: &str) -> Sources {
    let mut sources = Sources { controller_namespace: namespace.to_owned(), ..Sources::default() };
    for (name, text) in texts {
        let (mut manifest, plain) = read_documents(Some(name), text, namespace);
        add_modules(&mut manifest, snapshot, name);
        sources.config_maps.extend(manifest.config_maps);
        sources.plain.extend(plain);
        sources.failures.extend(manifest.failures);
    }
    sources
}
