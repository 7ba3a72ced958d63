//! The audit of a cluster: every object that policies match, a page at a time, none kept longer than it takes.

use super::progress::Progress;
use crate::cluster::audit::{Failed, Inventory, Kind};
use crate::cluster::{Cluster, Options};
use crate::report::model::{Problem, Report};
use crate::terminal::{GlobalArgs, Hinted};
use crate::verbs::inputs::{Judge, JudgeArgs, read_policies};
use crate::verbs::values::duration;
use clap::Args;
use portcullis_core::matching::{Resources, is_excluded};
use portcullis_core::request::Operation;
use portcullis_core::{PolicySet, Request};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

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
    /// How long the API server may take to answer, repetitions included; `0` for as long as it takes
    #[arg(long, conflicts_with = "paths", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    request_timeout: Duration,
    /// Judge by the policies in other namespaces, too, as a controller does that has this flag
    #[arg(long, conflicts_with_all = ["paths", "policies"])]
    namespaced_policies: bool,
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
    let options =
        Options { kubeconfig: live.kubeconfig.clone(), context: live.context.clone(), asks_again: false };
    let inventory = Inventory::new(Cluster::find(&options, &args.namespace)?, live.request_timeout);
    let set = match args.policies.as_slice() {
        [] => inventory.policies(live.namespaced_policies)?,
        paths => PolicySet::compile(&read_policies(paths, &args.namespace)?, None),
    };
    let (kinds, mut unreadable) = inventory.kinds(&set)?;
    let (facts, problems) = inventory.facts(&set);
    unreadable.extend(problems);
    let mut resources = Resources::new();
    kinds.iter().for_each(|kind| resources.add(&kind.group, &kind.kind, &kind.plural, kind.namespaced));
    let mut judge = Judge::new(set, resources, facts);
    unreadable.append(&mut judge.unreadable);
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
    let mut reader = Reader::new(&inventory, &mut judge, &args.namespace);
    for (index, kind) in kinds.iter().enumerate() {
        reader.read(kind, live.chunk_size, &mut report, &|read, of| progress.show(index, kind, read, of));
    }
    Ok(report)
}

/// Reads kinds and judges their objects.
struct Reader<'a> {
    inventory: &'a Inventory,
    judge: &'a mut Judge,
    controller_namespace: &'a str,
    /// Namespaces that went while their objects were read.
    gone: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn new(inventory: &'a Inventory, judge: &'a mut Judge, controller_namespace: &'a str) -> Self {
        Self { inventory, judge, controller_namespace, gone: BTreeSet::new() }
    }

    /// Judges every object of a kind.
    fn read(&mut self, kind: &Kind, size: u32, report: &mut Report, show: &dyn Fn(usize, Option<usize>)) {
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
        &mut self,
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
    fn judge(&mut self, object: Json, report: &mut Report) {
        let request = Request::for_object(object, &self.judge.resources, Operation::Create);
        if !is_excluded(&request, self.controller_namespace) && self.knows(&request.namespace, report) {
            report.take(self.judge.judge(&|_| None, &request));
        }
    }

    /// Whether a Namespace is there, among those that were read or since then: an audit takes its time. Without it, its
    /// objects are not there any more either.
    fn knows(&mut self, namespace: &str, report: &mut Report) -> bool {
        if namespace.is_empty() || !self.judge.lacks_namespace(namespace) {
            return true;
        }
        if self.gone.contains(namespace) {
            return false;
        }
        let found = self.inventory.namespace(namespace).unwrap_or_else(|problem| {
            report.unreadable.push(problem);
            None
        });
        match found {
            Some(found) => self.judge.learn_namespace(found),
            None => drop(self.gone.insert(namespace.to_owned())),
        }
        !self.gone.contains(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::audit::fake::{page, server, status};
    use portcullis_core::Facts;
    use portcullis_core::document::read_manifest;
    use portcullis_core::set::Sources;
    use serde_json::json;

    /// Denies every Pod in a namespace that is of production.
    const POLICY: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: none, labels: {portcullis.dev/policy: 'true'}}
data:
  policy.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {name: none}
    spec:
      validationActions: [Deny]
      matchConstraints:
        namespaceSelector: {matchLabels: {env: prod}}
        resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
      validations: [{expression: 'false'}]
";

    fn namespace(name: &str) -> Json {
        let labels = json!({"env": "prod"});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    }

    /// The report on the Pods that an API server tells of with these answers. Namespace `shop` was there at the beginning.
    fn audit(answers: Vec<(u16, String)>) -> (Report, Vec<String>) {
        let (inventory, asked) = server(answers);
        let config_maps = read_manifest(Some("f"), POLICY, "portcullis").config_maps;
        let controller_namespace = "portcullis".to_owned();
        let sources = Sources { config_maps, controller_namespace, ..Sources::default() };
        let mut facts = Facts::new(true);
        facts.add(namespace("shop"));
        let mut judge = Judge::new(PolicySet::compile(&sources, None), Resources::new(), facts);
        assert_eq!(judge.invalid_policies(), []);
        let mut report = Report::default();
        let pods = Kind {
            group: String::new(),
            version: "v1".to_owned(),
            plural: "pods".to_owned(),
            kind: "Pod".to_owned(),
            namespaced: true,
        };
        Reader::new(&inventory, &mut judge, "portcullis").read(&pods, 2, &mut report, &|_, _| {});
        (report, asked.join().unwrap())
    }

    fn denied(report: &Report) -> Vec<String> {
        report.objects.iter().map(|judged| judged.object.to_string()).collect()
    }

    #[test]
    fn what_changes_while_it_is_listed_is_listed_anew() {
        let (report, asked) =
            audit(vec![page(&["shop/a", "shop/b"], "t"), status(410), page(&["shop/b", "shop/c"], "")]);
        assert_eq!(denied(&report), ["Pod shop/b", "Pod shop/c"]);
        assert_eq!((report.counts.total.objects, asked.len()), (2, 3));
        assert_eq!(report.notes, ["`pods` changed while it was listed, and was listed anew"]);
        assert_eq!(report.unreadable, []);
        // Not for ever; what was read is told.
        let answers = vec![[page(&["shop/a"], "t"), status(410)]; ATTEMPTS].into_iter().flatten().collect();
        let (report, _) = audit(answers);
        assert_eq!(denied(&report), ["Pod shop/a"]);
        assert_eq!(
            report.unreadable,
            [Problem::new("`pods` cannot be listed: it changes faster than it can be read")]
        );
    }

    #[test]
    fn namespaces_that_come_and_go_meanwhile() {
        let came = json!({"metadata": {}, "items": [namespace("new")]}).to_string();
        let (report, asked) = audit(vec![
            page(&["shop/a", "new/a"], "t"),
            (200, came),
            page(&["new/b", "old/a"], "u"),
            page(&[], ""),
            page(&["old/b"], ""),
        ]);
        assert_eq!(denied(&report), ["Pod shop/a", "Pod new/a", "Pod new/b"]);
        assert_eq!(report.counts.total.objects, 3, "what went with its Namespace is counted");
        assert_eq!(asked[1], "/api/v1/namespaces?&fieldSelector=metadata.name%3Dnew&limit=500");
        assert_eq!(asked.len(), 5, "a Namespace is asked for more than once: {asked:?}");
        assert_eq!(report.unreadable, []);
        // Where nobody tells of it, that is told, once.
        let (report, _) = audit(vec![page(&["new/a", "new/b"], ""), status(403)]);
        assert_eq!((denied(&report).len(), report.unreadable.len()), (0, 1));
    }
}
