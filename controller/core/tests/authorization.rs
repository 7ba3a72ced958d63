//! Policies that ask the authorizer: what is asked, what becomes of the answers, and of their absence.
#![cfg(test)]

use portcullis_core::authorization::{AccessAnswer, Answers, Authorizer, MAX_ROUNDS};
use portcullis_core::decision::{Decision, Skip, Verdict};
use portcullis_core::document::read_manifest;
use portcullis_core::matching::Resources;
use portcullis_core::request::{GroupVersionResource, Operation, UserInfo};
use portcullis_core::set::{Pairs, Sources};
use portcullis_core::{Facts, PolicySet, Request};
use serde_json::json;
use std::sync::Arc;

/// A ValidatingAdmissionPolicy for Pods with this in its spec.
fn set(spec: &str) -> PolicySet {
    let spec = spec.trim_matches('\n').replace('\n', "\n      ");
    let manifest = format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: p, namespace: portcullis, labels: {{portcullis.dev/policy: "true"}}}}
data:
  policy.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata: {{name: p}}
    spec:
      validationActions: [Deny]
      matchConstraints:
        resourceRules:
        - {{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/exec]}}
      {spec}
"#
    );
    let config_maps = read_manifest(None, &manifest, "portcullis").config_maps;
    PolicySet::compile(&Sources { config_maps, ..Sources::default() }, None)
}

fn pod() -> Request {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}});
    let mut request = Request::for_object(pod, &Resources::new(), Operation::Create);
    request.user = Some(UserInfo { username: "jane".to_owned(), ..UserInfo::default() });
    request.old_object_known = true;
    request
}

fn decide(set: &PolicySet, request: &Request, answers: Answers) -> Decision {
    let answers: Arc<dyn Authorizer> = Arc::new(answers);
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    set.decide_by_answers(Pairs::All, request, &Facts::new(true), Some(&answers), now)
}

/// Decides, asks what is not known, and decides again, as a webhook does; `allows` is the authorizer.
fn ask(set: &PolicySet, allows: fn(&str) -> bool) -> (Decision, Vec<String>) {
    let (mut answers, mut asked) = (Answers::default(), Vec::new());
    for _ in 1..MAX_ROUNDS {
        let decision = decide(set, &pod(), answers.clone());
        if decision.unanswered.is_empty() {
            return (decision, asked);
        }
        for review in decision.unanswered {
            asked.push(review.to_string());
            let answer = AccessAnswer { allowed: allows(&review.to_string()), ..AccessAnswer::default() };
            answers.insert(review, answer);
        }
    }
    (decide(set, &pod(), answers), asked)
}

fn verdict(decision: &Decision) -> &Verdict {
    assert_eq!(decision.outcomes.len(), 1);
    &decision.outcomes[0].verdict
}

#[track_caller]
fn check(spec: &str, allows: fn(&str) -> bool, expected: &Verdict, expected_questions: &[&str]) {
    let set = set(spec);
    assert_eq!(set.problems(), []);
    let (decision, asked) = ask(&set, allows);
    assert_eq!(
        (verdict(&decision), asked.iter().map(String::as_str).collect::<Vec<_>>()),
        (expected, expected_questions.to_vec())
    );
}

const TWO_QUESTIONS: &str = "
validations:
- expression: authorizer.group('').resource('secrets').namespace('shop').check('get').allowed()
  message: only who reads secrets
- expression: authorizer.requestResource.check('delete').allowed() || authorizer.path('/x').check('get').allowed()
";

#[test]
fn what_is_not_known_is_asked_for_and_decided_again() {
    check(
        TWO_QUESTIONS,
        |_| true,
        &Verdict::Allow,
        &["may jane get secrets, namespace shop", "may jane delete pods web, namespace shop"],
    );
    check(
        TWO_QUESTIONS,
        |question| question.contains("secrets"),
        &Verdict::Deny,
        &[
            "may jane get secrets, namespace shop",
            "may jane delete pods web, namespace shop",
            "may jane get /x",
        ],
    );
}

#[test]
fn conditions_and_variables_ask_too() {
    check(
        "
matchConditions:
- {name: a, expression: \"authorizer.path('/a').check('get').allowed()\"}
- {name: b, expression: \"object.metadata.name == 'other'\"}
validations: [{expression: 'false'}]
",
        |_| true,
        &Verdict::Skip(Skip::Condition("b".to_owned())),
        &["may jane get /a"],
    );
    check(
        "
variables:
- {name: may, expression: \"authorizer.serviceAccount('shop', 'web').path('/a').check('get').allowed()\"}
validations: [{expression: '!variables.may'}]
",
        |_| true,
        &Verdict::Deny,
        &["may system:serviceaccount:shop:web get /a"],
    );
}

#[test]
fn without_answers_it_is_undecidable() {
    let set = set(TWO_QUESTIONS);
    let undecidable = |user: &str| {
        Verdict::Undecidable(vec![
            format!("the authorizer's answer (`may {user} get secrets, namespace shop`)"),
            format!("the authorizer's answer (`may {user} delete pods web, namespace shop`)"),
        ])
    };
    let decision = decide(&set, &pod(), Answers::default());
    assert_eq!((verdict(&decision), decision.unanswered.len()), (&undecidable("jane"), 2));
    // Nobody can be asked about somebody who is not known.
    let decision = decide(&set, &Request { user: None, ..pod() }, Answers::default());
    assert_eq!((verdict(&decision), decision.unanswered.len()), (&undecidable("the user"), 0));
    let mut answers = Answers::default();
    for review in decide(&set, &pod(), Answers::default()).unanswered {
        answers.insert(
            review,
            AccessAnswer { error: Some("no connection".to_owned()), ..AccessAnswer::default() },
        );
    }
    assert_eq!(verdict(&decide(&set, &pod(), answers)), &Verdict::Deny);
}

#[test]
fn the_request_resource_is_that_of_the_original_request() {
    let set = set("validations: [{expression: \"authorizer.requestResource.check('create').allowed()\"}]");
    let original = GroupVersionResource {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        resource: "deployments".to_owned(),
    };
    let request =
        Request { request_resource: Some(original), request_sub_resource: Some("scale".to_owned()), ..pod() };
    let asked: Vec<String> =
        decide(&set, &request, Answers::default()).unanswered.iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["may jane create deployments.apps/scale web, namespace shop"]);
}

#[test]
fn an_update_is_judged_though_nothing_changes() {
    let set = set("validations: [{expression: \"authorizer.path('/a').check('get').allowed()\"}]");
    let request = Request { operation: Operation::Update, old_object: pod().object, ..pod() };
    assert_eq!(decide(&set, &request, Answers::default()).unanswered.len(), 1);
}

#[test]
fn messages_and_field_paths_do_not_ask() {
    for field in ["messageExpression", "fieldPath"] {
        let spec = format!(
            "validations: [{{expression: 'false', {field}: \"authorizer.path('/a').check('get').reason()\"}}]"
        );
        let set = set(&spec);
        let messages: Vec<&str> = set.problems().iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, ["`authorizer` cannot be used in messages and field paths"], "{field}");
    }
}
