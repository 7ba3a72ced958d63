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
        let mut word = String::from_utf8(source.parts.concat()).unwrap();
        word.extend(source.sha256.map(|digest| format!(" of {}", &digest[..2])));
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
        let sha256 = "a".repeat(64);
        as_it_was(
            "a missing part",
            delivering(&wasm(""), &[("m.wasm.sha256", &sha256), ("m.wasm.aaaaaaaaaaaaaaaa.1-of-2", "new")]),
        );
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

#[test]
fn parts_are_put_together_by_their_digest() {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let part = |config_map_name: &str, key: &str, content: &str| ConfigMap {
        data: Vec::new(),
        modules: vec![(key.to_owned(), Arc::from(content.as_bytes()))],
        ..config_map(config_map_name, "")
    };
    let of = |letter: &str, place: &str| format!("m.wasm.{}.{place}", letter.repeat(16));
    let check = |own: ConfigMap, parts: &[(&str, String, &str)], expected: Result<&str, &str>| {
        let others = parts.iter().map(|(name, key, content)| part(name, key, content));
        let config_maps: Vec<ConfigMap> = std::iter::once(own).chain(others).collect();
        let set = shelved(config_maps, true, &PolicySet::default());
        let problems: Vec<&str> = set.problems().iter().map(|it| it.message.as_str()).collect();
        match expected {
            Ok(words) => {
                assert_eq!(problems, [] as [&str; 0], "{parts:?}");
                let decided = brief(&decide(&set, &create(pod(json!({"containers": []})))));
                assert_eq!(decided, [format!("p: deny [] {words}")], "{parts:?}");
            }
            Err(message) => assert_eq!(problems, [message], "{parts:?}"),
        }
    };
    let indexed = || delivering(&wasm(""), &[("m.wasm.sha256", &a)]);
    let given = || delivering(&wasm(&format!(", sha256: {}", a.to_uppercase())), &[]);
    let silent = || delivering(&wasm(""), &[]);
    let (one, two) = (("x", of("a", "1-of-2"), "on"), ("y", of("a", "2-of-2"), "e"));
    let other =
        [("x", of("b", "1-of-2"), "tw"), ("z", of("b", "2-of-2"), "o"), ("z", of("b", "1-of-1"), "o")];
    let both = |more: &[(&'static str, String, &'static str)]| [&[one.clone(), two.clone()], more].concat();
    for own in [&indexed as &dyn Fn() -> ConfigMap, &given] {
        check(own(), &both(&[]), Ok("one of aa"));
        check(own(), &[two.clone(), one.clone()], Ok("one of aa"));
        // Those of another module of the name are none of it.
        check(own(), &both(&other), Ok("one of aa"));
        check(own(), &both(&[("z", of("a", "2-of-2"), "e")]), Ok("one of aa"));
        check(own(), &[("x", of("a", "1-of-1"), "one")], Ok("one of aa"));
        check(
            own(),
            &[two.clone(), other[0].clone()],
            Err("of the 2 parts of `m.wasm` these are missing: 1"),
        );
        check(own(), &other, Err("there are no parts `m.wasm.aaaaaaaaaaaaaaaa.1-of-N` of module `m.wasm`"));
        check(
            own(),
            &both(&[("z", of("a", "2-of-2"), "f")]),
            Err("part 2 of `m.wasm` is in ConfigMap `y` and in `z`, and not the same in both"),
        );
        check(
            own(),
            &both(&[("z", of("a", "3-of-3"), "f")]),
            Err("there are parts of `m.wasm` that do not belong together: not all are `-of-3`"),
        );
    }
    let nothing = "there is no module `m.wasm` in `binaryData`, nor beside the policy's file";
    check(silent(), &[], Err(nothing));
    check(silent(), &[("x", "m.wasm".to_owned(), "one")], Err(nothing));
    check(silent(), &[("x", of("a", "1-of-9"), "one")], Err(nothing));
    let undivided = "`m.wasm` is delivered in parts, and nothing says which belong together";
    check(silent(), &both(&[]), Err(undivided));
    check(silent(), &[("x", "m.wasm.1-of-1".to_owned(), "one")], Err(undivided));
    // A key of its own is all that counts.
    let whole = delivering(&wasm(""), &[("m.wasm", "whole"), ("m.wasm.sha256", &b)]);
    check(whole, &both(&other), Ok("whole"));
    let with_name = delivering(&wasm(""), &[("m.wasm.sha256", &format!("{a}  m.wasm\n"))]);
    check(with_name, &both(&[]), Ok("one of aa"));
    for index in ["", "aa", &"x".repeat(64)] {
        let own = delivering(&wasm(""), &[("m.wasm.sha256", index)]);
        check(own, &both(&[]), Err("`binaryData.m.wasm.sha256` must be 64 hexadecimal digits"));
    }
}
