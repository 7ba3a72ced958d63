//! What check, audit and test read: policies, and what policies may look at.

use crate::excerpt::Excerpt;
use crate::manifests::{self, Exclusions, Manifest, Manifests, STDIN};
use crate::modules;
use crate::report::judge::{Places, judge};
use crate::report::model::{Judged, Place, PolicyRef, Problem};
use crate::source::files::PolicyFiles;
use crate::terminal::{GlobalArgs, Hinted, Tone};
use crate::verbs::values;
use clap::{Args, ValueEnum};
use portcullis_core::decision::Outcome;
use portcullis_core::document::Code;
use portcullis_core::matching::Resources;
use portcullis_core::set::{Pairs, Sources, State};
use portcullis_core::{Explanation, Facts, PolicySet, Request};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The namespace in which policies are cluster-wide, unless `--namespace` says otherwise.
pub const CONTROLLER_NAMESPACE: &str = "portcullis";

/// Where policies are, unless `--policies` says otherwise.
const POLICIES: &str = "policies";

/// At most this many problems of a kind are told on standard error.
const MAX_COMPLAINTS: usize = 50;

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it, and doc comments would bloat --help")]
pub enum Output {
    Table,
    Json,
}

/// Which policies judge, and what they may look at.
#[derive(Debug, Clone, Args)]
pub struct JudgeArgs {
    /// A file or directory of policies, ConfigMaps labelled portcullis.dev/policy=true; repeatable [default: policies]
    #[arg(long, value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// A file or directory of Namespaces, params and CRDs that policies may look at; repeatable
    #[arg(long, value_name = "PATH")]
    pub resources: Vec<PathBuf>,
    /// What is not among the files does not exist, rather than being unknown
    #[arg(long)]
    pub complete: bool,
    /// The controller's namespace, in which policies are cluster-wide
    #[arg(long, value_name = "NAME", default_value = CONTROLLER_NAMESPACE, value_parser = values::namespace)]
    pub namespace: String,
}

/// Reads the policies of files and directories.
///
/// # Errors
/// If a path does not exist or no policy is found: nothing would be judged, and all would look well.
pub fn read_policies(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Sources> {
    for path in paths {
        if let Err(error) = std::fs::metadata(path) {
            let message =
                format!("cannot read policies from `{}`: {}", path.display(), manifests::reason(&error));
            return Err(Hinted::new(message, "name the directory of your policies with `--policies`").into());
        }
    }
    let mut files = PolicyFiles::new(paths.to_vec(), namespace).with_those_of_kubernetes();
    let sources = files
        .read()
        .map_err(|problem| {
            anyhow::anyhow!("cannot read policies from `{}`: {}", problem.path, problem.message)
        })?
        .unwrap_or_default();
    if sources.config_maps.is_empty() && sources.plain.is_empty() && sources.failures.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(Hinted::new(
            format!("no policies in {}", paths.join(", ")),
            "policies are ConfigMaps with the label `portcullis.dev/policy: \"true\"`, and ValidatingAdmissionPolicies \
             with their bindings",
        )
        .into());
    }
    Ok(Sources { modules: Some(modules::waiting()?), ..sources })
}

/// Policies and facts, ready to judge objects.
#[derive(Debug)]
pub struct Judge {
    set: PolicySet,
    /// Policies that are broken, by name.
    broken: BTreeSet<String>,
    /// Which resources kinds belong to.
    pub resources: Resources,
    /// What policies may look at.
    facts: Facts,
    /// What exceptions' expiry is compared with.
    now: jiff::Timestamp,
    /// Files of policies, and what of `--resources`, that could not be read.
    pub unreadable: Vec<Problem>,
}

impl Judge {
    /// Reads policies and resources. The objects to be judged are among the facts, too.
    ///
    /// # Errors
    /// As [`read_policies`].
    pub fn prepare(args: &JudgeArgs, objects: &[Manifest]) -> anyhow::Result<Self> {
        let default = [PathBuf::from(POLICIES)];
        let paths = if args.policies.is_empty() { &default } else { args.policies.as_slice() };
        let sources = read_policies(paths, &args.namespace)?;
        let beside = manifests::read(&args.resources);
        let (mut resources, mut facts) = (Resources::new(), Facts::new(args.complete));
        for manifest in beside.objects.iter().chain(objects) {
            resources.add_crd(&manifest.object);
            facts.add(manifest.object.clone());
        }
        let mut judge = Self::new(PolicySet::compile(&sources, None), resources, facts);
        judge.unreadable.extend(beside.problems);
        Ok(judge)
    }

    /// Judges by these policies, which may look at these facts.
    pub fn new(set: PolicySet, resources: Resources, facts: Facts) -> Self {
        let broken = set.entries().iter().filter(|entry| entry.state == State::Broken);
        Self {
            broken: broken.map(|entry| entry.info.name.clone()).collect(),
            unreadable: problems(&set, true).collect(),
            set,
            resources,
            facts,
            now: jiff::Timestamp::now(),
        }
    }

    /// Judges a request that was made from an object, by the policies that are sound. What is broken has been
    /// reported, and saying so again for every object would bury what the others find.
    pub fn judge(&self, places: Places<'_>, request: &Request) -> Judged {
        let mut decision = self.set.decide(Pairs::All, request, &self.facts, self.now);
        decision.outcomes.retain(|outcome| !self.broken.contains(&outcome.policy.name));
        judge(places, request, &decision)
    }

    /// Judges a request by the policies that are sound, or by one of them, and explains the validations that do
    /// not hold, or all of them.
    pub fn explain(
        &self,
        policy: Option<&str>,
        request: &Request,
        all: bool,
    ) -> Vec<(Outcome, Vec<Explanation>)> {
        self.set.explain(policy, request, &self.facts, self.now, all)
    }

    /// Whether there was no Namespace of that name when all of them were read.
    pub fn lacks_namespace(&self, name: &str) -> bool {
        self.facts.is_complete() && self.facts.namespace(name).is_none()
    }

    /// Adds a Namespace that is there now.
    pub fn learn_namespace(&mut self, namespace: Json) {
        self.facts.learn_namespace(namespace.into());
    }

    /// Whether there is a policy of a name, sound or not.
    pub fn has_policy(&self, name: &str) -> bool {
        self.set.entries().iter().any(|entry| entry.info.name == name)
    }

    /// What is wrong with the policies.
    pub fn invalid_policies(&self) -> Vec<Problem> {
        problems(&self.set, false).collect()
    }

    /// ValidatingAdmissionPolicies that judge nothing, by name: no binding names them.
    pub fn unbound(&self) -> Vec<&str> {
        let unbound = self.set.entries().iter().filter(|entry| entry.bindings.is_empty());
        unbound.filter(|entry| entry.state != State::Broken).map(|entry| entry.info.name.as_str()).collect()
    }

    /// The policies that judge, by name.
    pub fn policies(&self) -> Vec<PolicyRef> {
        let sound = self.set.entries().iter().filter(|entry| entry.state != State::Broken);
        sound
            .map(|entry| PolicyRef {
                name: entry.info.name.clone(),
                title: entry.info.title.clone(),
                severity: entry.info.severity.clone(),
            })
            .collect()
    }
}

/// What is wrong with policies, or the files of them that could not be read.
pub(crate) fn problems(set: &PolicySet, unreadable: bool) -> impl Iterator<Item = Problem> + '_ {
    let found = set.problems().iter().filter(move |problem| (problem.code == Code::Unreadable) == unreadable);
    found.map(Problem::from)
}

/// Reads the objects to be judged.
///
/// # Errors
/// If there is nothing at all: a path that holds no manifest is a mistake, not a success. An empty List is
/// what a cluster without such objects answers.
pub fn read_objects(paths: &[PathBuf]) -> anyhow::Result<Manifests> {
    read_objects_without(paths, &Exclusions::default())
}

/// The same, but for what directories hold that is excluded.
///
/// # Errors
/// As [`read_objects`].
pub fn read_objects_without(paths: &[PathBuf], exclusions: &Exclusions) -> anyhow::Result<Manifests> {
    let found = manifests::read_without(paths, exclusions);
    if found.objects.is_empty() && found.problems.is_empty() && !found.empty_lists {
        let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(Hinted::new(
            format!("no objects in {}", paths.join(", ")),
            "directories are searched for *.yaml, *.yml and *.json; `-` reads standard input",
        )
        .into());
    }
    Ok(found)
}

/// Tells the person what is wrong with policies or suites, with the lines concerned.
pub fn complain(global: &GlobalArgs, problems: &[Problem]) {
    complain_with(global, problems, Excerpt::of);
}

/// Tells the person what could not be read of the objects. Their lines are not shown: they may be those of
/// a Secret, and logs must not hold its values.
pub fn complain_of_objects(global: &GlobalArgs, problems: &[Problem]) {
    complain_with(global, problems, |_| None);
}

/// Takes AdmissionReviews from what is to be judged: no policy matches those, and all would look well.
pub fn refuse_reviews(found: &mut Manifests) {
    let is_review = |manifest: &Manifest| {
        let text = |field| manifest.object.get(field).and_then(Json::as_str).unwrap_or_default();
        text("kind") == "AdmissionReview" && text("apiVersion").starts_with("admission.k8s.io/")
    };
    for review in found.objects.extract_if(.., |manifest| is_review(manifest)) {
        let problem =
            Problem { place: Some(review.place("")), ..Problem::new("an AdmissionReview is no object") };
        let hint = "`portcullis explain` takes reviews, and so does a suite, under `request`";
        found.problems.push(problem.with_hint(hint));
    }
}

/// Tells the person which policies judge nothing.
pub fn note_unbound(global: &GlobalArgs, judge: &Judge) {
    for name in judge.unbound().into_iter().take(MAX_COMPLAINTS) {
        let message = format!("no binding here names `{name}`, and without one it judges nothing");
        global.say(Tone::Note, &message, None, None);
    }
}

/// Advice that holds for several problems in a row is given once. Reports hold them all.
fn complain_with(global: &GlobalArgs, problems: &[Problem], excerpt: impl Fn(&Place) -> Option<Excerpt>) {
    for (index, problem) in problems.iter().take(MAX_COMPLAINTS).enumerate() {
        let next = problems.get(index + 1).and_then(|next| next.hint.as_deref());
        let hint = problem.hint.as_deref().filter(|hint| next != Some(*hint));
        let excerpt = problem.place.as_ref().and_then(&excerpt);
        global.say(Tone::Error, &problem.to_string(), excerpt.as_ref().map(|excerpt| excerpt as _), hint);
    }
    match problems.len().saturating_sub(MAX_COMPLAINTS) {
        0 => {}
        more => global.say(Tone::Error, &format!("and {more} more; `-o json` lists them all"), None, None),
    }
}

/// Refuses paths that name standard input more than once: it can be read only once, and what is not read
/// would count as not there.
///
/// # Errors
/// If they do.
pub fn one_stdin<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> anyhow::Result<()> {
    match paths.into_iter().filter(|path| path.as_os_str() == STDIN).count() {
        0 | 1 => Ok(()),
        _ => Err(Hinted::new(
            "standard input (`-`) is named more than once, and can be read only once",
            "save one of the inputs in a file",
        )
        .into()),
    }
}
