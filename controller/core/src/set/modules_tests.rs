//! Which requests may run modules, and what is in force of policies whose modules are not as they were.

use super::*;
use crate::module::{Input, Loading, Module, Refusal, Reply, Run, Source, Violation};
use crate::testing::{brief, config_map, create, decide, pod, policy};
use serde_json::json;

#[derive(Debug)]
struct Silent;

impl Modules for Silent {
    fn load(&self, _: &Source<'_>) -> Loading {
        Loading::Ready(Arc::new(Self))
    }

    fn settle(&self) {}
}

impl Module for Silent {
    fn asks_for_lookups(&self) -> bool {
        false
    }

    fn validate(&self, _: Input, _: u64) -> Run {
        Run { result: Err("nobody asks".to_owned()), cost: 0 }
    }
}

#[test]
fn a_request_runs_the_modules_of_the_pairs_that_it_is_decided_by() {
    let spec = "matchConstraints:\n  resourceRules:\n  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
                resources: [pods]}\nwasm: {module: m.wasm}";
    let set = |actions: &str, modules: Option<Arc<dyn Modules>>| {
        let documents = policy("p", &format!("validationActions: [{actions}]\n{spec}"));
        let with_module = ConfigMap {
            modules: vec![("m.wasm".to_owned(), Arc::from(*b"module"))],
            ..config_map("policies", &documents)
        };
        PolicySet::compile(&Sources { config_maps: vec![with_module], modules, ..Sources::default() }, None)
    };
    let object = |kind: &str, namespace: &str| {
        create(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "p", "namespace": namespace}}))
    };
    let check = |set: &PolicySet, request: &Request, all: bool, fail: bool, ignore: bool| {
        let runs = [Pairs::All, Pairs::Of(Class::Fail), Pairs::Of(Class::Ignore)]
            .map(|pairs| set.calls_modules(pairs, request));
        assert_eq!(runs, [all, fail, ignore], "{} in {}", request.kind.kind, request.namespace);
    };
    let (deny, audit) = (set("Deny", Some(Arc::new(Silent))), set("Audit", Some(Arc::new(Silent))));
    check(&deny, &object("Pod", "shop"), true, true, false);
    check(&audit, &object("Pod", "shop"), true, false, true);
    check(&deny, &object("ConfigMap", "shop"), false, false, false);
    check(&deny, &object("Pod", DEFAULT_NAMESPACE), false, false, false);
    check(&set("Deny", None), &object("Pod", "shop"), false, false, false);
}

/// Modules that say what they hold, but for those that begin with `bad`; `false` loads none of them yet.
#[derive(Debug)]
struct Shelf(bool);

#[derive(Debug)]
struct Word(String);

impl Modules for Shelf {
    fn load(&self, source: &Source<'_>) -> Loading {
        let word = String::from_utf8(source.parts.concat()).unwrap();
        match (self.0, word.starts_with("bad")) {
            (false, _) => Loading::Pending,
            (true, false) => Loading::Ready(Arc::new(Word(word))),
            (true, true) => Loading::Refused(vec![Refusal {
                field: "module".to_owned(),
                message: "it is bad".to_owned(),
                hint: None,
            }]),
        }
    }

    fn settle(&self) {}
}

impl Module for Word {
    fn asks_for_lookups(&self) -> bool {
        false
    }

    fn validate(&self, _: Input, _: u64) -> Run {
        let violation = Violation { message: self.0.clone(), ..Violation::default() };
        Run { result: Ok(Reply { violations: vec![violation], ..Reply::default() }), cost: 1 }
    }
}

/// A policy ConfigMap with these keys in `binaryData`.
fn delivering(text: &str, modules: &[(&str, &str)]) -> ConfigMap {
    let modules = modules.iter().map(|(key, content)| ((*key).to_owned(), Arc::from(content.as_bytes())));
    ConfigMap { modules: modules.collect(), ..config_map("policies", text) }
}

fn wasm(more: &str) -> String {
    policy("p", &format!("validationActions: [Deny]\nmatchPods: {{}}\nwasm: {{module: m.wasm{more}}}"))
}

fn shelved(config_maps: Vec<ConfigMap>, loads: bool, previous: &PolicySet) -> PolicySet {
    let modules: Option<Arc<dyn Modules>> = Some(Arc::new(Shelf(loads)));
    PolicySet::compile(&Sources { config_maps, modules, ..Sources::default() }, Some(previous))
}

#[test]
fn a_start_with_a_broken_module_takes_the_one_that_was_accepted() {
    let good = delivering(&wasm(""), &[("m.wasm", "as it was")]);
    let running = shelved(vec![good.clone()], true, &PolicySet::default());
    let accepted = running.accepted();
    assert_eq!(accepted[0].modules, BTreeMap::from([(1, vec![Arc::from(*b"as it was")])]));
    let says = |set: &PolicySet| {
        let decided = brief(&decide(set, &create(pod(json!({"containers": []})))));
        (decided, set.entries().iter().map(|entry| entry.state).collect::<Vec<_>>())
    };
    let denies = |words: &str, state: State| (vec![format!("p: deny [] {words}")], vec![state]);
    let pending = |_: ()| {
        let why = "the policy's module is still being compiled and there is no earlier version of it";
        (vec![format!("p: error [] {why}")], vec![State::Pending])
    };
    let check = |case: &str, now: ConfigMap, late: bool, words: &str, state: State| {
        let restored = PolicySet::restore(&accepted, DEFAULT_NAMESPACE);
        assert_eq!(says(&restored), (vec![], vec![]), "it decides nothing");
        let mut before = restored;
        if late {
            before = shelved(vec![now.clone()], false, &before);
            assert_eq!(says(&before), pending(()), "{case}");
            assert!(before.is_pending(), "{case}");
            assert_eq!(before.accepted(), accepted, "what waits is not forgotten: {case}");
        }
        let set = shelved(vec![now], true, &before);
        assert_eq!(says(&set), denies(words, state), "{case}");
        assert!(!set.is_pending());
        if state == State::KeptOld {
            assert_eq!(set.accepted(), accepted, "{case}");
        }
    };
    for late in [false, true] {
        let as_it_was = |case: &str, now: ConfigMap| check(case, now, late, "as it was", State::KeptOld);
        check("the same", good.clone(), late, "as it was", State::Loaded);
        check("another one", delivering(&wasm(""), &[("m.wasm", "new")]), late, "new", State::Loaded);
        as_it_was("a bad module", delivering(&wasm(""), &[("m.wasm", "bad")]));
        as_it_was("no module", delivering(&wasm(""), &[]));
        as_it_was("a missing part", delivering(&wasm(""), &[("m.wasm.1-of-2", "new")]));
        as_it_was("a broken policy", delivering(&wasm(", moduel: x"), &[("m.wasm", "new")]));
        as_it_was("no YAML", delivering("a: [", &[("m.wasm", "new")]));
    }
    let gone = shelved(Vec::new(), true, &PolicySet::restore(&accepted, DEFAULT_NAMESPACE));
    assert_eq!((says(&gone), gone.accepted()), ((vec![], vec![]), vec![]));
}

#[test]
fn an_accepted_module_that_is_refused_now_leaves_the_policy_to_its_failure_policy() {
    let running =
        shelved(vec![delivering(&wasm(""), &[("m.wasm", "as it was")])], true, &PolicySet::default());
    let mut accepted = running.accepted();
    accepted[0].modules.insert(1, vec![Arc::from(*b"bad")]);
    for text in ["a: [", &wasm("")] {
        let restored = PolicySet::restore(&accepted, DEFAULT_NAMESPACE);
        let set = shelved(vec![delivering(text, &[("m.wasm", "bad, too")])], true, &restored);
        let decided = brief(&decide(&set, &create(pod(json!({"containers": []})))));
        assert_eq!(
            decided,
            ["p: error [] the policy is broken and there is no earlier version of it"],
            "{text}"
        );
        assert_eq!(set.entries()[0].state, State::Broken);
    }
    // Stored without it, as an earlier version did.
    accepted[0].modules.clear();
    assert!(PolicySet::restore(&accepted, DEFAULT_NAMESPACE).accepted().is_empty());
}
