//! Modules in place of validations, with a module that does what its settings say.

use crate::decision::{Outcome, Reason, Verdict};
use crate::document::ConfigMap;
use crate::enforcement::{Door, enforce};
use crate::facts::Facts;
use crate::module::{Input, Loading, Module, Modules, Refusal, Reply, Run, Source, Violation};
use crate::request::{Operation, Request};
use crate::set::{PolicySet, Sources, State};
use crate::testing::{brief, config_map, create, decide, decide_with, pod, policy, update};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Loads whatever there is, once it may.
#[derive(Debug, Default)]
struct Fake {
    ready: AtomicBool,
}

/// Replies what its settings say: `violations` with `message` and `fieldPath`, `echo` for a violation whose message is
/// the request, `asks` to be given look-ups beside it, which then are violations of their own, `error`, `cost`.
#[derive(Debug)]
struct Puppet {
    module: String,
    settings: Json,
}

impl Modules for Fake {
    fn load(&self, source: &Source<'_>) -> Loading {
        if !self.ready.load(Ordering::Relaxed) {
            return Loading::Pending;
        }
        let refused = source.settings.get("refused").and_then(Json::as_str);
        if let Some(field) = refused {
            let message = "not like this".to_owned();
            return Loading::Refused(vec![Refusal { field: field.to_owned(), message, hint: None }]);
        }
        let module = String::from_utf8(source.parts.concat()).unwrap();
        Loading::Ready(Arc::new(Puppet { module, settings: source.settings.clone() }))
    }

    fn settle(&self) {}
}

impl Module for Puppet {
    fn asks_for_lookups(&self) -> bool {
        self.settings["asks"].is_boolean()
    }

    fn validate(&self, Input { request, lookups }: Input, budget: u64) -> Run {
        let cost = self.settings["cost"].as_u64().unwrap_or(1);
        assert!(cost <= budget || self.settings["error"].is_string());
        if let Some(error) = self.settings["error"].as_str() {
            return Run { result: Err(error.to_owned()), cost: cost.min(budget) };
        }
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let mut violations: Vec<Violation> = Vec::new();
        for violation in self.settings["violations"].as_array().into_iter().flatten() {
            violations.push(Violation {
                message: format!("{}{}", self.module, text(&violation["message"])),
                field_path: text(&violation["fieldPath"]),
                remedy: violation["remedy"].as_str().map(str::to_owned),
                reason: Reason::Forbidden,
            });
        }
        if self.settings["echo"].is_boolean() {
            violations.push(Violation { message: request, ..Violation::default() });
        }
        for (name, found) in lookups {
            violations.push(Violation { message: format!("{name}: {found}"), ..Violation::default() });
        }
        let warnings = self.settings["warning"].as_str().map(str::to_owned).into_iter().collect();
        let annotation = self.settings["annotation"].as_str();
        let audit_annotations =
            annotation.map(|value| ("key".to_owned(), value.to_owned())).into_iter().collect();
        Run { result: Ok(Reply { violations, warnings, audit_annotations }), cost }
    }
}

const MATCH: &str = "matchConstraints:\n  resourceRules:\n  - {apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], \
                     resources: ['*']}";

/// A policy whose module is delivered as it is.
fn with_module(spec: &str, wasm: &Json) -> ConfigMap {
    let mut wasm = wasm.clone();
    wasm["module"] = json!("m.wasm");
    let spec = format!("validationActions: [Deny]\n{spec}\nwasm: {wasm}");
    let modules = vec![("m.wasm".to_owned(), Arc::from(*b"m: "))];
    ConfigMap { modules, ..config_map("policies", &policy("p", &spec)) }
}

fn sources(config_maps: Vec<ConfigMap>, ready: bool) -> Sources {
    let fake = Fake { ready: AtomicBool::new(ready) };
    Sources { config_maps, modules: Some(Arc::new(fake)), ..Sources::default() }
}

fn set(spec: &str, wasm: &Json) -> PolicySet {
    let set = PolicySet::compile(&sources(vec![with_module(spec, wasm)], true), None);
    assert_eq!(set.problems(), []);
    set
}

fn echoed(spec: &str, reads: &[&str], request: &Request, facts: &Facts) -> Json {
    let set = set(spec, &json!({"settings": {"echo": true}, "reads": reads}));
    let decision = decide_with(&set, request, facts);
    let findings: Vec<_> = decision.outcomes.iter().flat_map(|outcome| &outcome.findings).collect();
    assert_eq!(findings.len(), 1, "{:?}", brief(&decision));
    serde_json::from_str(&findings[0].message)
        .unwrap_or_else(|error| panic!("{error}: {}", findings[0].message))
}

#[test]
fn a_module_is_given_what_its_policy_declares() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}, "data": {"a": "1"}});
    let request = update(json!({"old": [1, 2.5, true]}), object.clone());
    let mut facts = Facts::new(true);
    facts.add(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}}),
    );
    facts.add(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop"}}));
    let least = json!({
        "abi": 1, "policy": "p",
        "request": {
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": "c", "namespace": "shop", "object": object,
        },
    });
    assert_eq!(echoed(MATCH, &[], &request, &facts), least);

    let all = ["oldObject", "operation", "subResource", "userInfo", "options", "dryRun", "namespaceObject"];
    let spec = format!(
        "{MATCH}\nparams: {{limit: 3}}\nlookups:\n- {{name: services, apiVersion: v1, kind: Service}}\n"
    );
    let mut most = least;
    most["params"] = json!({"limit": 3});
    most["lookups"] = json!({"services": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop"}}]});
    most["namespaceObject"] = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}});
    let request_most = most["request"].as_object_mut().unwrap();
    request_most.insert("oldObject".to_owned(), json!({"old": [1, 2.5, true]}));
    request_most.insert("operation".to_owned(), json!("UPDATE"));
    request_most.insert("subResource".to_owned(), json!(""));
    request_most.insert("userInfo".to_owned(), json!({"username": "jane"}));
    request_most.insert("options".to_owned(), json!({}));
    request_most.insert("dryRun".to_owned(), json!(false));
    assert_eq!(echoed(&spec, &all, &request, &facts), most);
}

const SERVICES: &str = "lookups:\n- {name: services, apiVersion: v1, kind: Service, namespace: shop}\n- {name: secrets, \
                        apiVersion: v1, kind: Secret, namespace: shop}";

#[test]
fn a_module_that_asks_for_look_ups_is_given_them_beside_the_request() {
    let set = set(&format!("{MATCH}\n{SERVICES}"), &json!({"settings": {"echo": true, "asks": true}}));
    let of_shop = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
    let mut facts = Facts::new(true);
    facts.add(of_shop("Service", "a"));
    facts.add(of_shop("Service", "b"));
    let mut secret = of_shop("Secret", "s");
    secret["data"] = json!({"password": "aHVudGVyMg=="});
    secret["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "aHVudGVyMg==", "a": "b"});
    facts.add(secret);
    let decision = decide_with(&set, &create(of_shop("ConfigMap", "c")), &facts);
    let told: Vec<&str> =
        decision.outcomes[0].findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(!told[0].contains("lookups"), "{told:?}");
    let services = json!([of_shop("Service", "a"), of_shop("Service", "b")]);
    assert_eq!(told[1], format!("services: {services}"));
    let mut metadata = of_shop("Secret", "s");
    metadata["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "***", "a": "b"});
    let secrets: Json = serde_json::from_str(told[2].strip_prefix("secrets: ").unwrap()).unwrap();
    assert_eq!(secrets, json!([metadata]));
}

#[test]
fn what_is_looked_up_and_not_known_is_undecidable_however_a_module_is_given_it() {
    for settings in [json!({}), json!({"asks": true})] {
        let lookups =
            "lookups:\n- {name: one, apiVersion: v1, kind: Service, namespace: shop, objectName: a}";
        let set = set(&format!("{MATCH}\n{lookups}"), &json!({"settings": settings}));
        let file = Request::for_object(pod(json!({})), &crate::matching::Resources::new(), Operation::Create);
        let verdicts = brief(&decide_with(&set, &file, &Facts::new(false)));
        assert_eq!(verdicts, ["p: undecidable what there is of Service of v1 (`lookups.one`)"], "{settings}");
    }
}

#[test]
fn a_module_is_given_no_more_than_it_can_hold() {
    for settings in [json!({"echo": true}), json!({"asks": true})] {
        let set = set(&format!("{MATCH}\n{SERVICES}"), &json!({"settings": settings}));
        let mut facts = Facts::new(true);
        for number in 0..17 {
            let name = format!("s{number}");
            facts.add(
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop",
                "annotations": {"a": "x".repeat(1 << 20)}}}),
            );
        }
        let verdicts = brief(&decide_with(&set, &create(pod(json!({}))), &facts));
        let expected = "p: error [] the module would be given more than 16 MiB; look up less";
        assert_eq!(verdicts, [expected], "{settings}");
    }
}

#[test]
fn what_is_asked_for_and_not_there_is_empty_or_null() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-"}});
    let given = echoed(MATCH, &["oldObject", "subResource"], &create(object), &Facts::new(true));
    for (name, expected) in [
        ("name", json!("")),
        ("namespace", json!("default")),
        ("subResource", json!("")),
        ("oldObject", json!(null)),
    ] {
        assert_eq!(given["request"].get(name), Some(&expected), "{name}");
    }
}

#[test]
fn values_of_secrets_are_masked() {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "data": {"password": "aHVudGVyMg=="}, "type": "Opaque",
    });
    let given = echoed(MATCH, &["oldObject"], &update(secret.clone(), secret), &Facts::new(true));
    assert_eq!(given["request"]["object"]["data"], json!({"password": "***"}));
    assert_eq!(given["request"]["oldObject"]["data"], json!({"password": "***"}));
    assert!(!given.to_string().contains("aHVudGVyMg=="));
}

#[test]
fn a_reply_becomes_findings() {
    let settings = json!({
        "violations": [{"message": "bad", "fieldPath": "spec.x", "remedy": "leave it"}, {"message": "worse"}],
        "warning": "mind this", "annotation": "noted",
    });
    let set = set(MATCH, &json!({"settings": settings}));
    let decision = decide(&set, &create(pod(json!({}))));
    assert_eq!(brief(&decision), ["p: deny [spec.x] m: bad [] m: worse"]);
    let answer = enforce(&decision, Door::Admission, false);
    let lines: Vec<&str> = answer.denials.iter().map(|cause| cause.line.as_str()).collect();
    assert_eq!(lines, ["policy `p`: `spec.x`: m: bad; leave it", "policy `p`: m: worse"]);
    assert_eq!(answer.reason(), Reason::Forbidden);
    assert_eq!(answer.warnings, ["policy `p`: mind this"]);
    assert_eq!(answer.audit_annotations, [("p.key".to_owned(), "noted".to_owned())]);
    let quiet = enforce(&decision, Door::Admission, true);
    assert_eq!((quiet.allowed, quiet.warnings), (true, Vec::new()));
}

#[test]
fn more_violations_than_anybody_reads_are_counted() {
    let violations: Vec<Json> = (0..60).map(|_| json!({"message": "bad"})).collect();
    let set = set(MATCH, &json!({"settings": {"violations": violations}}));
    let decision = decide(&set, &create(pod(json!({}))));
    assert_eq!((decision.outcomes[0].findings.len(), decision.outcomes[0].omitted), (50, 10));
}

#[test]
fn a_module_that_fails_is_an_error() {
    let pod = create(pod(json!({})));
    let failing = set(MATCH, &json!({"settings": {"error": "the module\nfailed"}}));
    assert_eq!(brief(&decide(&failing, &pod)), ["p: error [] the module failed"]);
    let ignoring = set(&format!("failurePolicy: Ignore\n{MATCH}"), &json!({"settings": {"error": "x"}}));
    assert!(enforce(&decide(&ignoring, &pod), Door::Admission, false).allowed);
}

#[test]
fn all_policies_of_a_request_have_one_budget() {
    // Each may spend ten million on its own, and a hundred million is what all may.
    let name = |index: usize| format!("p{index:02}");
    let config_maps = (0..12).map(|index| {
        let spec = format!(
            "validationActions: [Deny]\n{MATCH}\nwasm: {}",
            json!({"module": "m.wasm", "settings": {"cost": 10_000_000, "error": "it was long"}})
        );
        let modules = vec![("m.wasm".to_owned(), Arc::from(*b"m"))];
        ConfigMap { modules, ..config_map(&name(index), &policy(&name(index), &spec)) }
    });
    let set = PolicySet::compile(&sources(config_maps.collect(), true), None);
    let decision = decide(&set, &create(pod(json!({}))));
    let messages = decision.outcomes.iter().map(|outcome| outcome.findings[0].message.as_str());
    let out_of_budget = messages.filter(|message| message.starts_with("not judged:")).count();
    assert_eq!(out_of_budget, 3, "the tenth uses up what is left");
}

#[test]
fn what_is_not_known_makes_the_verdict_undecidable_only_where_it_is_read() {
    let check = |reads: &[&str], expected: &str| {
        let set = set(MATCH, &json!({"settings": {"violations": [{"message": "bad"}]}, "reads": reads}));
        let file = Request::for_object(pod(json!({})), &crate::matching::Resources::new(), Operation::Create);
        let verdicts = brief(&decide_with(&set, &file, &Facts::new(false)));
        assert_eq!(verdicts, [expected], "{reads:?}");
    };
    check(&[], "p: deny [] m: bad");
    check(&["operation", "dryRun", "subResource"], "p: deny [] m: bad");
    check(&["userInfo"], "p: undecidable the user (`request.userInfo`)");
    check(&["oldObject"], "p: undecidable the old object (`oldObject`)");
    check(&["namespaceObject"], "p: undecidable namespace `shop` (`namespaceObject`)");
}

#[test]
fn an_update_that_changes_nothing_that_is_read_is_skipped() {
    let check = |reads: &[&str], old: Json, new: Json, skipped: bool| {
        let set = set("matchPods: {}", &json!({"settings": {}, "reads": reads}));
        let decision = decide(&set, &update(old, new));
        let verdicts: Vec<&Verdict> =
            decision.outcomes.iter().map(|Outcome { verdict, .. }| verdict).collect();
        assert_eq!(matches!(verdicts[..], [Verdict::Skip(_)]), skipped, "{reads:?} {verdicts:?}");
    };
    let (one, other) = (pod(json!({"hostname": "a"})), pod(json!({"hostname": "b"})));
    check(&[], one.clone(), one.clone(), true);
    check(&[], one.clone(), other.clone(), false);
    check(&["oldObject"], one.clone(), one.clone(), false);
    check(&["userInfo"], one.clone(), one, false);
}

#[test]
fn an_update_of_bookkeeping_gives_a_module_nothing_new() {
    let deployment = |replicas: u64, image: &str, generation: u64| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "shop", "generation": generation, "finalizers": [generation.to_string()]},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "main", "image": image}]}}},
            "status": {"replicas": replicas}})
    };
    let check = |more: &str, old: Json, new: Json, skipped: bool| {
        let set = set(more, &json!({"settings": {}}));
        let decision = decide(&set, &update(old, new));
        let verdicts: Vec<&Verdict> = decision.outcomes.iter().map(|outcome| &outcome.verdict).collect();
        assert_eq!(matches!(verdicts[..], [Verdict::Skip(_)]), skipped, "{more} {verdicts:?}");
    };
    let deployments = "matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: ['*'], \
                       resources: [deployments]}]}";
    let old = deployment(1, "a", 1);
    // Scaled down: nothing of the Pods is other than it was.
    check("matchPods: {}", old.clone(), deployment(0, "a", 2), true);
    check("matchPods: {}", old.clone(), deployment(1, "b", 2), false);
    check(deployments, old.clone(), deployment(1, "a", 2), true);
    check(deployments, old.clone(), deployment(0, "a", 2), false);
    let conditioned = "matchPods: {}\nmatchConditions: [{name: large, expression: object.spec.replicas > 0}]";
    check(conditioned, deployment(0, "a", 1), deployment(1, "a", 2), false);
}

#[test]
fn what_a_module_should_look_up_and_cannot_is_an_error() {
    let lookups = "matchPods: {}\nlookups: [{name: owner, apiVersion: v1, kind: Service, namespace: shop}]";
    let set = set(lookups, &json!({"settings": {}}));
    let mut facts = Facts::new(true);
    let reference = set.references().into_keys().next().expect("a policy that looks up refers to something");
    facts.withhold(reference, "it may not be listed".to_owned());
    let verdicts = brief(&decide_with(&set, &create(pod(json!({}))), &facts));
    assert_eq!(verdicts, ["p: error [] look-up `owner`: it may not be listed"]);
}

#[test]
fn conditions_and_exceptions_go_before_a_module() {
    let settings = json!({"settings": {"violations": [
        {"message": "one", "fieldPath": "spec.containers[0].image"},
        {"message": "two", "fieldPath": "spec.containers[1].securityContext"},
        {"message": "ten", "fieldPath": "spec.containers[10]"},
        {"message": "none"}]}});
    let pods = create(pod(json!({"containers": [
        {"name": "a", "image": "r.io/b/a"}, {"name": "b", "image": "r.io/a/b"}]})));
    let conditioned =
        format!("{MATCH}\nmatchConditions:\n- {{name: never, expression: object.kind == 'Service'}}");
    assert_eq!(brief(&decide(&set(&conditioned, &settings), &pods)), ["p: skip Condition(\"never\")"]);

    let exception = |spec: &str| {
        let document = format!(
            "---\napiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {{name: e}}\nspec:\n  policies: [p]\n  \
             reason: because\n  match: {spec}\n"
        );
        let config_maps = vec![with_module("matchPods: {}", &settings), config_map("exceptions", &document)];
        let set = PolicySet::compile(&sources(config_maps, true), None);
        assert_eq!(set.problems(), []);
        brief(&decide(&set, &pods))
    };
    assert_eq!(exception("{namespaces: [shop]}").len(), 1);
    assert!(exception("{namespaces: [shop]}")[0].starts_with("p: skip Exception"));
    let rest = "p: deny [spec.containers[0].image] m: one [spec.containers[10]] m: ten [] m: none";
    assert_eq!(exception("{images: [r.io/a]}"), [rest]);
}

#[test]
fn until_its_module_is_there_a_policy_is_as_it_was() {
    let named = |message: &str| {
        let settings = json!({"settings": {"violations": [{"message": message}]}});
        with_module(MATCH, &settings)
    };
    let states = |set: &PolicySet| set.entries().iter().map(|entry| entry.state).collect::<Vec<_>>();
    let says = |set: &PolicySet| brief(&decide(set, &create(pod(json!({})))));

    let first = PolicySet::compile(&sources(vec![named("one")], false), None);
    assert_eq!((states(&first), first.problems(), first.is_pending()), (vec![State::Pending], &[][..], true));
    let pending =
        "p: error [] the policy's module is still being compiled and there is no earlier version of it";
    assert_eq!(says(&first), [pending]);

    let loaded = PolicySet::compile(&sources(vec![named("one")], true), Some(&first));
    assert_eq!((states(&loaded), says(&loaded)), (vec![State::Loaded], vec!["p: deny [] m: one".to_owned()]));

    let edited = PolicySet::compile(&sources(vec![named("two")], false), Some(&loaded));
    assert_eq!((states(&edited), says(&edited)), (vec![State::Pending], says(&loaded)));
    assert!(edited.is_pending());

    let refused = json!({"settings": {"refused": "settings.a[0]", "a": [1]}});
    let broken = PolicySet::compile(&sources(vec![with_module(MATCH, &refused)], true), Some(&edited));
    assert_eq!((states(&broken), says(&broken)), (vec![State::KeptOld], says(&loaded)));
    let problem = &broken.problems()[0];
    assert_eq!(
        problem.to_string(),
        "ConfigMap portcullis/policies, key policy.yaml, document 1, line 11, column 45, spec.wasm.settings.a[0]: not like \
         this"
    );

    let gone = PolicySet::compile(&sources(Vec::new(), true), Some(&broken));
    assert_eq!(states(&gone), []);
}

#[test]
fn without_anybody_who_runs_modules_they_are_pending() {
    let set = PolicySet::compile(
        &Sources { config_maps: vec![with_module(MATCH, &json!({}))], ..Sources::default() },
        None,
    );
    assert!(set.is_pending() && set.problems().is_empty());
}
