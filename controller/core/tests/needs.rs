//! What a policy reads, put to the test over the project's own policies, samples and reviews: nothing else ever
//! changes a decision, a request decoded to what is needed is decided alike, and an update that changes a verdict
//! is never skipped as unchanged.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "the objects are files of this repository")]

use portcullis_cel::{Projection, Tree, Value};
use portcullis_core::decision::{Outcome, Skip, Verdict};
use portcullis_core::document::read_manifest;
use portcullis_core::matching::Resources;
use portcullis_core::request::{Operation, UserInfo};
use portcullis_core::set::{Pairs, Sources};
use portcullis_core::tree::Selection;
use portcullis_core::{Facts, PolicySet, Request, facts, yaml};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Policies that read in ways those of the library do not.
const MORE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: more, namespace: portcullis, labels: {portcullis.dev/policy: "true"}}
data:
  policies.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {name: variables}
    spec:
      validationActions: [Deny]
      matchPods: {podSelector: {matchExpressions: [{key: app, operator: Exists}]}}
      variables:
      - {name: all, expression: "podSpec.?containers.orValue([]) + podSpec.?initContainers.orValue([])"}
      - {name: named, expression: "variables.all.filter(c, has(c.name))"}
      validations:
      - expression: variables.named.all(c, !has(c.securityContext) || has(c.securityContext.runAsNonRoot))
        messageExpression: "'in ' + podMetadata.?name.orValue('?') + ': ' + string(size(variables.all))"
      - forEach: variables.named
        expression: "!each.name.startsWith('x')"
        messageExpression: each.name + ' ' + each.?image.orValue('')
      auditAnnotations:
      - {key: network, valueExpression: "has(podSpec.hostNetwork) ? string(podSpec.hostNetwork) : 'none'"}
    ---
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {name: rules}
    spec:
      validationActions: [Deny]
      matchConstraints:
        objectSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [free]}]}
        resourceRules:
        - {apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: ["*"]}
      matchConditions:
      - {name: named, expression: "size(object.metadata.name) > 2"}
      validations:
      - expression: "!has(object.metadata.labels) || object.metadata.labels.all(k, k.size() < 40)"
        fieldPath: "'metadata.labels.' + object.metadata.labels.filter(k, k.size() >= 40)[0]"
      - expression: "object.?spec.?replicas.orValue(1) < 100 && object.?metadata.?generation.orValue(1) != 7"
      - forEach: "object.?spec.?template.?spec.?volumes.orValue([])"
        expression: "!has(each.hostPath)"
        message: no host paths
    ---
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {name: whole}
    spec:
      validationActions: [Deny]
      onUpdate: Always
      matchConstraints:
        resourceRules:
        - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps, services]}
      validations:
      - expression: "object != oldObject || has(oldObject.metadata)"
    ---
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {name: lookups}
    spec:
      validationActions: [Deny]
      onUpdate: Always
      matchConstraints:
        resourceRules:
        - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps, services, pods]}
      lookups:
      - {name: pods, apiVersion: v1, kind: Pod, namespace: "*"}
      - name: secrets
        apiVersion: v1
        kind: Secret
        namespace: "*"
        selectorExpression: "{'reconcile.external-secrets.io/managed': 'true'}"
      - {name: same, apiVersion: apps/v1, kind: Deployment, objectNameExpression: object.metadata.name}
      variables:
      - name: images
        expression: "lookups.pods.map(p, p.spec.?containers.orValue([]).map(c, string(c.?image.orValue(''))))"
      validations:
      - expression: "size(variables.images) > 1000"
        messageExpression: variables.images.map(i, i.join(' ')).join(' ')
      - expression: "!lookups.pods.exists(p, has(p.metadata.labels) && 'app' in p.metadata.labels)"
      - expression: "size(lookups.secrets) > 1000"
        messageExpression: "lookups.secrets.map(s, string(s.metadata.?annotations.orValue('none')) + string(s.metadata.name)).join(' ')"
      - expression: "!lookups.same.exists(d, d.?spec.?replicas.orValue(0) == 7)"
    ---
    apiVersion: portcullis.dev/v1
    kind: PolicyException
    metadata: {name: some-images}
    spec:
      policies: [variables]
      match: {images: [registry.example.com/legacy, docker.io]}
      reason: to compare images
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn texts(directories: &[&str], extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    directories.iter().for_each(|directory| files(&root().join(directory), &mut found));
    let of_kind = found.into_iter().filter(|path| path.extension().is_some_and(|known| known == extension));
    of_kind.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn policies() -> PolicySet {
    let mut texts = texts(&["policies", "tests/reviews/policies"], "yaml");
    texts.push(MORE.to_owned());
    let config_maps = texts.iter().flat_map(|text| read_manifest(None, text, "portcullis").config_maps);
    let set = PolicySet::compile(&Sources { config_maps: config_maps.collect(), ..Sources::default() }, None);
    assert_eq!(set.problems(), []);
    set
}

/// Every object there is: the samples, and those of the reviews.
fn objects() -> Vec<Json> {
    let documents = texts(&["policies"], "yaml");
    let samples =
        documents.iter().flat_map(|text| yaml::read(text)).map(|document| document.unwrap().to_json());
    let reviews = texts(&["tests/reviews"], "json");
    let reviews = reviews.iter().filter_map(|text| serde_json::from_str::<Json>(text).ok());
    let of_review = |mut review: Json| ["object", "oldObject"].map(|part| review["request"][part].take());
    let is_object = |object: &Json| {
        object["apiVersion"].is_string() && object["kind"].is_string() && object["metadata"].is_object()
    };
    let is_sample = |object: &Json| {
        !["Suite", "Policy"].contains(&object["kind"].as_str().unwrap_or_default())
            && object["metadata"]["labels"]["portcullis.dev/policy"].is_null()
    };
    let objects: BTreeSet<String> = samples
        .chain(reviews.flat_map(of_review))
        .filter(|object| is_object(object) && is_sample(object))
        .map(|object| object.to_string())
        .collect();
    assert!(objects.len() > 50, "{} objects", objects.len());
    objects.iter().map(|object| serde_json::from_str(object).unwrap()).collect()
}

fn create(object: &Json) -> Request {
    let mut request = Request::for_object(object.clone(), &Resources::new(), Operation::Create);
    request.user = Some(UserInfo { username: "jane".to_owned(), ..UserInfo::default() });
    request.old_object_known = true;
    request
}

fn update(old: &Json, new: &Json) -> Request {
    let mut request = create(new);
    request.operation = Operation::Update;
    request.old_object = create(old).object;
    request
}

fn decide(set: &PolicySet, request: &Request) -> Vec<Outcome> {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    set.decide(Pairs::All, request, &Facts::new(true), now).outcomes
}

/// What was decided, all of it.
fn told(outcomes: &[Outcome]) -> String {
    let told = outcomes.iter().map(|outcome| {
        let Outcome { policy, verdict, findings, audit_annotations, .. } = outcome;
        format!("{}: {verdict:?} {findings:?} {audit_annotations:?}\n", policy.name)
    });
    told.collect()
}

/// Every object that differs from this one in one place.
fn mutations(original: &Json) -> Vec<Json> {
    let mut mutated = match original {
        Json::String(_) => vec![json!("xother"), json!(1)],
        Json::Bool(flag) => vec![json!(!flag), json!("true")],
        Json::Number(_) => vec![json!(7), json!(100)],
        _ => vec![json!("text")],
    };
    mutated.push(Json::Null);
    match original {
        Json::Object(fields) => {
            for (name, value) in fields {
                let with = |value: Option<Json>| {
                    let mut fields = fields.clone();
                    match value {
                        Some(value) => fields.insert(name.clone(), value),
                        None => fields.remove(name),
                    };
                    Json::Object(fields)
                };
                mutated.push(with(None));
                mutated.extend(mutations(value).into_iter().map(|value| with(Some(value))));
            }
            for (name, value) in [
                ("hostNetwork", json!(true)),
                ("image", json!("docker.io/library/x")),
                ("runAsUser", json!(0)),
                ("a-label-of-more-than-forty-characters-in-all", json!("x")),
                ("tier", json!("free")),
                ("hostPath", json!({"path": "/"})),
            ] {
                let mut fields = fields.clone();
                if fields.insert(name.to_owned(), value).is_none() {
                    mutated.push(Json::Object(fields));
                }
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let with = |value: Json| {
                    let mut items = items.clone();
                    items[index] = value;
                    Json::Array(items)
                };
                mutated.extend(mutations(item).into_iter().map(with));
            }
            mutated.push(Json::Array(items.iter().skip(1).cloned().collect()));
            mutated.push(Json::Array(items.iter().chain([&json!({"name": "xmore"})]).cloned().collect()));
        }
        _ => {}
    }
    mutated
}

/// As little of a document as a projection allows.
fn keep(read: &Projection, document: &Json) -> Json {
    if read.is_whole() {
        return document.clone();
    }
    if read.is_presence() {
        return Json::Null;
    }
    match document {
        Json::Object(fields) => fields
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), keep(read.field(name)?, value))))
            .collect::<Map<_, _>>()
            .into(),
        Json::Array(items) => match read.element() {
            Some(read) => items.iter().map(|item| keep(read, item)).collect(),
            None => Json::Array(Vec::new()),
        },
        scalar => scalar.clone(),
    }
}

fn kept(set: &PolicySet, request: &Request) -> Request {
    let needs = set.needs(request);
    let kept = Request {
        object: keep(&needs.object, &request.object.to_json()).into(),
        old_object: keep(&needs.old_object, &request.old_object.to_json()).into(),
        options: keep(&needs.options, &request.options.to_json()).into(),
        ..request.clone()
    };
    if needs.suffice_for(&kept) { kept } else { request.clone() }
}

/// Identity is not what is put to the test: who changes that makes another request.
fn is_same_object(one: &Json, other: &Json) -> bool {
    ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]
        .iter()
        .all(|path| one.pointer(path) == other.pointer(path))
        && other["metadata"].is_object()
}

#[test]
fn what_is_needed_decides() {
    let set = policies();
    let (mut denied, mut smaller) = (0, 0);
    for object in objects() {
        for request in [create(&object), update(&object, &object), update(&json!({}), &object)] {
            let whole = decide(&set, &request);
            let kept = kept(&set, &request);
            smaller += usize::from(kept.object.to_json().to_string().len() * 2 < object.to_string().len());
            denied += whole.iter().filter(|outcome| outcome.verdict == Verdict::Deny).count();
            assert_eq!(told(&decide(&set, &kept)), told(&whole), "{object}");
        }
    }
    assert!(denied > 50 && smaller > 30, "{denied} denied, {smaller} to less than half");
}

#[test]
fn nothing_else_changes_a_decision() {
    let set = policies();
    let (mut outside, mut inside, mut unchanged, mut changed) = (0, 0, 0, 0);
    for object in objects() {
        let (created, updated) = (create(&object), update(&object, &object));
        let (before, still) = (decide(&set, &created), told(&decide(&set, &updated)));
        let (needs, compared) = (set.needs(&created), set.needs(&updated));
        for mutated in mutations(&object).iter().filter(|mutated| is_same_object(&object, mutated)) {
            let trees = [&object, mutated].map(Tree::from);
            let [one, other] = trees.each_ref().map(|tree| Value::from_json(tree.root()));
            let agrees = |read: &Projection| read.agrees(Some(&one), Some(&other));
            let after = decide(&set, &create(mutated));
            if agrees(&needs.object) {
                outside += 1;
                assert_eq!(told(&after), told(&before), "{mutated}\ninstead of {object}");
            } else {
                inside += 1;
            }
            let update = update(&object, mutated);
            let judged = decide(&set, &update);
            if agrees(&compared.object) && compared.suffice_for(&update) {
                unchanged += 1;
                assert_eq!(told(&judged), still, "{mutated}\ninstead of {object}");
            }
            assert_eq!(
                told(&decide(&set, &kept(&set, &update))),
                told(&judged),
                "{mutated}\ninstead of {object}"
            );
            changed += never_skipped(&before, &after, &judged, mutated);
        }
    }
    let counts = [outside, inside, unchanged, changed];
    assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
}

fn decide_by(set: &PolicySet, request: &Request, facts: impl Iterator<Item = Tree>) -> String {
    let mut known = Facts::new(true);
    facts.for_each(|object| known.add(object));
    told(&set.decide(Pairs::All, request, &known, "2026-11-22T12:00:00Z".parse().unwrap()).outcomes)
}

#[test]
fn nothing_else_of_what_is_looked_up_changes_a_decision() {
    let set = policies();
    let kept: BTreeMap<(String, String), Projection> = set
        .references()
        .into_iter()
        .map(|(reference, kept)| ((reference.api_version, reference.kind), kept))
        .collect();
    let kind = |object: &Json| ["apiVersion", "kind"].map(|field| object[field].as_str().unwrap().to_owned());
    let of_kind = |object: &Json| kept.get(&<(String, String)>::from(kind(object)));
    let objects = objects();
    let request =
        objects.iter().find(|object| object["kind"] == "ConfigMap" || object["kind"] == "Pod").unwrap();
    let request = create(request);
    let (mut outside, mut inside, mut told) = (0, 0, BTreeSet::new());
    for object in objects.iter().filter(|object| of_kind(object).is_some()) {
        let read = of_kind(object).unwrap();
        let before = decide_by(&set, &request, [Tree::from(object)].into_iter());
        let selection = Selection::of(read);
        let trimmed = facts::keep(object.clone(), &selection);
        assert_eq!(decide_by(&set, &request, [trimmed].into_iter()), before, "{object}");
        for mutated in mutations(object).into_iter().filter(|mutated| is_same_object(object, mutated)) {
            let trees = [object, &mutated].map(Tree::from);
            let [one, other] = trees.each_ref().map(|tree| Value::from_json(tree.root()));
            let after = decide_by(&set, &request, [Tree::from(&mutated)].into_iter());
            if read.agrees(Some(&one), Some(&other)) {
                outside += 1;
                assert_eq!(after, before, "{mutated}\ninstead of {object}");
            } else {
                inside += usize::from(after != before);
            }
            let trimmed = facts::keep(mutated.clone(), &selection);
            assert_eq!(decide_by(&set, &request, [trimmed].into_iter()), after, "{mutated}");
        }
        told.insert(before);
    }
    assert!(outside > 500 && inside > 50 && told.len() > 5, "{outside} {inside} {}", told.len());
}

/// How many policies decide otherwise after a change; none of them may skip it as unchanged.
fn never_skipped(before: &[Outcome], after: &[Outcome], judged: &[Outcome], mutated: &Json) -> usize {
    let verdict = |outcomes: &[Outcome], name: &str| {
        outcomes.iter().find(|outcome| outcome.policy.name == name).map(|outcome| outcome.verdict.clone())
    };
    let names: BTreeSet<&str> =
        before.iter().chain(after).map(|outcome| outcome.policy.name.as_str()).collect();
    let mut changed = 0;
    for name in names {
        if verdict(before, name) != verdict(after, name) {
            changed += 1;
            assert_ne!(verdict(judged, name), Some(Verdict::Skip(Skip::Unchanged)), "{name} on {mutated}");
        }
    }
    changed
}
