//! Clashes, broken policies and the last good version.

use super::*;
use crate::testing::{brief, create, decide, policy, sources};
use serde_json::json;

pub(super) fn named(name: &str, message: &str) -> String {
    policy(
        name,
        &format!(
            "validationActions: [Deny]\nmatchPods: {{}}\nvalidations:\n- expression: 'false'\n  message: {message}"
        ),
    )
}

pub(super) fn broken(name: &str) -> String {
    named(name, "x").replace("'false'", "object.spec.(")
}

pub(super) fn says(set: &PolicySet) -> Vec<String> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}});
    brief(&decide(set, &create(pod)))
}

pub(super) fn states(set: &PolicySet) -> Vec<(&str, State)> {
    set.entries().iter().map(|entry| (entry.info.name.as_str(), entry.state)).collect()
}

pub(super) fn messages(set: &PolicySet) -> Vec<&str> {
    set.problems().iter().map(|problem| problem.message.as_str()).collect()
}

#[test]
fn an_edit_replaces_and_a_removal_removes() {
    let first = PolicySet::compile(&sources(&[("a", &named("a", "one")), ("b", &named("b", "one"))]), None);
    assert_eq!(says(&first), ["a: deny [] one", "b: deny [] one"]);
    let second = PolicySet::compile(&sources(&[("a", &named("a", "two"))]), Some(&first));
    assert_eq!(says(&second), ["a: deny [] two"]);
    assert_eq!(messages(&second), [] as [&str; 0]);
}

#[test]
fn a_broken_edit_keeps_the_version_before() {
    let first = PolicySet::compile(&sources(&[("a", &named("a", "one")), ("b", &named("b", "one"))]), None);
    let second =
        PolicySet::compile(&sources(&[("a", &broken("a")), ("b", &named("b", "two"))]), Some(&first));
    assert_eq!(says(&second), ["a: deny [] one", "b: deny [] two"]);
    assert_eq!(states(&second), [("a", State::KeptOld), ("b", State::Loaded)]);
    assert_eq!(second.problems().len(), 1);
    assert_eq!(second.problems()[0].name.as_deref(), Some("a"));
    let third =
        PolicySet::compile(&sources(&[("a", &broken("a")), ("b", &named("b", "two"))]), Some(&second));
    assert_eq!(says(&third), says(&second), "however often it is read");
    let mended = PolicySet::compile(&sources(&[("a", &named("a", "three"))]), Some(&third));
    assert_eq!(says(&mended), ["a: deny [] three"]);
}

#[test]
fn a_text_that_cannot_be_read_keeps_all_that_came_from_it() {
    let both = format!("{}{}", named("a", "one"), named("b", "one"));
    let first = PolicySet::compile(&sources(&[("both", &both), ("c", &named("c", "one"))]), None);
    for cut in [both.len() - 40, both.len() / 2 - 30, both.len() / 2 + 20] {
        let truncated = format!("{}\n  unfinished: [", both.get(..cut).unwrap());
        let second = PolicySet::compile(&sources(&[("both", &truncated)]), Some(&first));
        assert_eq!(says(&second), ["a: deny [] one", "b: deny [] one"], "cut at {cut}: {truncated}");
        assert!(!second.problems().is_empty());
    }
}

#[test]
fn a_failure_of_a_whole_file_keeps_what_came_from_that_file() {
    let mut with_file = sources(&[("a", &named("a", "one")), ("b", &named("b", "one"))]);
    with_file.config_maps[0].file = Some("a.yaml".to_owned());
    with_file.config_maps[1].file = Some("b.yaml".to_owned());
    let first = PolicySet::compile(&with_file, None);
    let mut failed = Sources::default();
    failed.failures.push(DocumentError::of_file("a.yaml", "the file is empty"));
    let second = PolicySet::compile(&failed, Some(&first));
    assert_eq!(says(&second), ["a: deny [] one"]);
    assert_eq!(messages(&second), ["the file is empty"]);
}

#[test]
fn without_an_earlier_version_a_broken_policy_is_an_error_where_it_matches() {
    let set = PolicySet::compile(&sources(&[("a", &broken("a")), ("b", &named("b", "one"))]), None);
    assert_eq!(states(&set), [("a", State::Broken), ("b", State::Loaded)]);
    assert_eq!(
        says(&set),
        ["a: error [] the policy is broken and there is no earlier version of it", "b: deny [] one"]
    );
}

/// The same from files.
fn in_files(mut sources: Sources) -> Sources {
    for config_map in &mut sources.config_maps {
        config_map.file = Some(format!("{}.yaml", config_map.name));
    }
    sources
}

#[test]
fn two_documents_of_files_with_one_name_are_both_refused() {
    let alone = PolicySet::compile(&in_files(sources(&[("a", &named("same", "one"))])), None);
    let clashing =
        sources(&[("a", &named("same", "one")), ("b", &named("same", "two")), ("c", &named("c", "one"))]);
    let clashing = in_files(clashing);
    let set = PolicySet::compile(&clashing, Some(&alone));
    assert_eq!(
        messages(&set),
        [
            "policy `same` is also defined in b.yaml: ConfigMap portcullis/b, key policy.yaml, document 1",
            "policy `same` is also defined in a.yaml: ConfigMap portcullis/a, key policy.yaml, document 1",
        ]
    );
    assert_eq!(says(&set), ["c: deny [] one", "same: deny [] one"], "the version before stays in force");
    let cold = PolicySet::compile(&clashing, None);
    assert_eq!(cold.entries().len(), 3);
    assert!(says(&cold)[1].starts_with("same: error"), "{:?}", says(&cold));
}

#[test]
fn pairs_are_asked_by_class() {
    let documents = format!("{}{}", named("deny", "m"), named("warn", "m").replace("[Deny]", "[Warn]"));
    let set = PolicySet::compile(&sources(&[("a", &documents)]), None);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}});
    let asked = |pairs| {
        let decision =
            set.decide(pairs, &create(pod.clone()), &Facts::new(true), jiff::Timestamp::UNIX_EPOCH);
        decision.outcomes.iter().map(|outcome| outcome.policy.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(asked(Pairs::Of(Class::Fail)), ["deny"]);
    assert_eq!(asked(Pairs::Of(Class::Ignore)), ["warn"]);
    assert_eq!(asked(Pairs::All), ["deny", "warn"]);
}

#[test]
fn a_policy_that_matches_only_what_stays_out_is_refused() {
    let nodes = policy(
        "nodes",
        "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  \
         - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [nodes]}\nvalidations:\n\
         - expression: 'false'\n  message: nope",
    );
    let set = PolicySet::compile(&sources(&[("a", &nodes)]), None);
    assert_eq!(messages(&set), ["everything it matches is kept out of the webhook"]);
}

#[test]
fn a_binding_without_its_policy_is_reported() {
    let binding = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
                   metadata: {name: b}\nspec: {policyName: gone, validationActions: [Deny]}\n";
    let set = PolicySet::compile(&sources(&[("a", binding)]), None);
    assert_eq!(messages(&set), ["there is no ValidatingAdmissionPolicy `gone` for this binding"]);
}

#[test]
fn what_did_not_change_is_not_compiled_again() {
    let first = PolicySet::compile(&sources(&[("a", &named("a", "one")), ("b", &named("b", "one"))]), None);
    let second =
        PolicySet::compile(&sources(&[("a", &named("a", "one")), ("b", &named("b", "two"))]), Some(&first));
    assert!(Arc::ptr_eq(&first.policies[0].policy, &second.policies[0].policy));
    assert!(!Arc::ptr_eq(&first.policies[1].policy, &second.policies[1].policy));
    let moved = PolicySet::compile(&sources(&[("z", &named("a", "one"))]), Some(&second));
    assert_eq!(moved.entries()[0].info.origin.config_map, "z", "the same text elsewhere");
}

/// A set from ConfigMaps, each with its keys and their texts.
pub(super) fn compile(config_maps: &[(&str, &[(&str, &str)])], previous: Option<&PolicySet>) -> PolicySet {
    let mut found = Sources::default();
    for (name, keys) in config_maps {
        let mut config_map = crate::testing::config_map(name, "");
        let template = config_map.data[0].1.clone();
        config_map.data = keys
            .iter()
            .map(|(key, text)| {
                ((*key).to_owned(), crate::yaml::Text { text: (*text).to_owned(), ..template.clone() })
            })
            .collect();
        found.config_maps.push(config_map);
    }
    PolicySet::compile(&found, previous)
}

#[test]
fn what_moves_and_breaks_at_once_stays_in_force() {
    let vap = "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n\
               metadata: {name: v}\nspec:\n  matchConstraints:\n    resourceRules:\n    \
               - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}\n  validations:\n  \
               - {expression: 'false', message: bound}\n";
    let binding = "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
                   metadata: {name: b}\nspec: {policyName: v, validationActions: [Deny]}\n";
    let sound = named("a", "one");
    let first =
        compile(&[("x", &[("1.yaml", &sound), ("2.yaml", binding)]), ("v", &[("v.yaml", vap)])], None);
    assert_eq!(says(&first), ["a: deny [] one", "v/b: deny [] bound"]);

    let no_actions = sound.replace("[Deny]", "[Deny, Sometimes]");
    let unbound = binding.replace("[Deny]", "[Sometimes]");
    let unreadable = "a: [";
    for (case, x, y) in [
        (
            "to another ConfigMap",
            &[][..],
            &[("1.yaml", no_actions.as_str()), ("2.yaml", unbound.as_str())][..],
        ),
        ("to other keys", &[("3.yaml", no_actions.as_str()), ("4.yaml", unbound.as_str())][..], &[][..]),
        ("to a key that cannot be read", &[("3.yaml", unreadable)][..], &[][..]),
    ] {
        let second = compile(&[("x", x), ("y", y), ("v", &[("v.yaml", vap)])], Some(&first));
        assert_eq!(says(&second), says(&first), "{case}");
        assert!(!second.problems().is_empty(), "{case}");
    }
    let neighbour = compile(
        &[("x", &[("2.yaml", binding)]), ("y", &[("1.yaml", unreadable)]), ("v", &[("v.yaml", vap)])],
        Some(&first),
    );
    assert_eq!(says(&neighbour), ["v/b: deny [] bound"], "a removal is a removal, whatever breaks elsewhere");
    let removed = compile(&[("x", &[("2.yaml", unreadable)]), ("v", &[("v.yaml", vap)])], Some(&first));
    assert_eq!(says(&removed), ["v/b: deny [] bound"], "a removal is a removal, though another key breaks");
}

fn vap(name: &str) -> String {
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  matchConstraints:\n    resourceRules:\n    \
         - {{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods]}}\n  \
         validations:\n  - expression: 'true'\n"
    )
}

fn vap_binding(name: &str, policy: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: {name}}}\nspec:\n  policyName: {policy}\n{rest}"
    )
}

#[test]
fn a_broken_binding_does_not_leave_its_policy_unbound() {
    let broken = "v/b: error [] the binding is broken and there is no earlier version of it";
    let actions = "  validationActions: [Deny]\n";
    for (rest, expected) in [
        (actions, "v/b: allow"),
        ("  validationActions: [Deny]\n  unknown: 1\n", broken),
        ("  validationActions: [Denied]\n", broken),
        ("  validationActions: [Deny]\n  matchResources: {objectSelector: {matchLabels: []}}\n", broken),
    ] {
        let documents = format!("{}{}", vap("v"), vap_binding("b", "v", rest));
        let set = PolicySet::compile(&sources(&[("v", &documents)]), None);
        assert_eq!(says(&set), [expected], "{rest}");
        assert_eq!(set.problems().is_empty(), rest == actions, "{rest}");
    }
    let elsewhere =
        format!("{actions}  matchResources: {{objectSelector: {{matchLabels: {{a: b}}}}}}\n  unknown: 1\n");
    let documents = format!("{}{}", vap("v"), vap_binding("b", "v", &elsewhere));
    let set = PolicySet::compile(&sources(&[("v", &documents)]), None);
    assert_eq!(says(&set), [] as [&str; 0], "what it matches is known");

    let sound = format!("{}{}", vap("v"), vap_binding("b", "v", actions));
    let first = PolicySet::compile(&sources(&[("v", &sound)]), None);
    let second = PolicySet::compile(&sources(&[("v", &documents)]), Some(&first));
    assert_eq!(says(&second), ["v/b: allow"], "the earlier version stays");

    let twice = [("v", sound.as_str()), ("w", &vap_binding("b", "v", actions))];
    let set = PolicySet::compile(&in_files(sources(&twice)), None);
    assert_eq!(says(&set), [broken, broken], "nobody can tell which of two is meant");
}

#[test]
fn exceptions_name_policies_that_exist() {
    let exception = |policies: &str| {
        format!(
            "---\napiVersion: portcullis.dev/v1\nkind: PolicyException\nmetadata: {{name: e}}\nspec:\n  \
             policies: {policies}\n  match: {{namespaces: [shop]}}\n  reason: because\n"
        )
    };
    for (policies, expected) in [
        ("['*']", vec![]),
        ("[a]", vec![]),
        ("[a, b]", vec![]),
        ("[a, c]", vec!["there is no policy `c` here for this exception"]),
    ] {
        let documents = format!("{}{}{}", named("a", "one"), broken("b"), exception(policies));
        let set = PolicySet::compile(&sources(&[("all", &documents)]), None);
        let found: Vec<&DocumentError> =
            set.problems().iter().filter(|problem| problem.message.contains("exception")).collect();
        assert_eq!(found.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>(), expected);
        assert!(found.iter().all(|problem| problem.place.as_ref().unwrap().field == "spec.policies"));
        assert!(says(&set).iter().any(|line| line.starts_with("a: skip Exception")), "it holds all the same");
    }
}

#[test]
fn every_object_that_is_looked_at_is_paid_for() {
    let looking = policy(
        "p",
        "validationActions: [Deny]\nmatchPods: {}\nlookups:\n- {name: found, apiVersion: v1, kind: Service, selector: \
         {matchLabels: {app: web}}}\nvalidations:\n- expression: size(lookups.found) == 0",
    );
    let set = PolicySet::compile(&sources(&[("p", &looking)]), None);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}});
    let left = |objects: usize| {
        let mut facts = Facts::new(true);
        for n in 0..objects {
            let metadata = json!({"namespace": "shop", "name": format!("s{n}")});
            facts.add(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata}));
        }
        let request = create(pod.clone());
        let context = Context::new(&request, &facts, None, &[], jiff::Timestamp::UNIX_EPOCH);
        let mut outcomes = Vec::new();
        for Bound { policy, bindings } in &set.policies {
            evaluation::judge(policy, Match::Yes, bindings.iter(), &context, &mut outcomes);
        }
        assert_eq!(outcomes.len(), 1);
        context.left.get()
    };
    assert_eq!(left(0) - left(200), 200);
}
