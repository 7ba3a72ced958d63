//! `authorizer`: what is asked, what becomes of the answer, and what it costs in apiserver 0.37.2.

use std::sync::Arc;

use super::super::{
    AccessAnswer, AccessReview, AccessUser, Authorizer, Bindings, Environment, FailureKind,
    KubernetesVersion, Meter, Program, ResourceAttributes, Type, Value,
};

/// Allows what alice does to Pods, and `get` to everybody; cannot tell of secrets, knows nothing of nodes.
#[derive(Debug)]
struct Rules;

impl Authorizer for Rules {
    fn answer(&self, review: &AccessReview) -> Option<AccessAnswer> {
        let question = review.to_string();
        if question.contains("nodes") {
            return None;
        }
        let allowed =
            question.starts_with("may alice") && question.contains("pods") || &*review.verb == "get";
        let reason = if allowed { "a rule says so".to_owned() } else { question.clone() };
        Some(AccessAnswer {
            allowed,
            reason,
            error: question.contains("secrets").then(|| "no idea".to_owned()),
        })
    }
}

fn run(source: &str) -> (Result<String, (FailureKind, String)>, u64) {
    let environment = Environment::kubernetes(KubernetesVersion::NEWEST)
        .with_variable("authorizer", Type::authorizer())
        .with_variable("authorizer.requestResource", Type::resource_check());
    let program =
        Program::compile(&environment, source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    let user = Some(Arc::new(AccessUser { username: "alice".to_owned(), ..AccessUser::default() }));
    let resource = ResourceAttributes { resource: "pods".into(), name: "web".into(), ..Default::default() };
    let mut bindings = Bindings::new(&environment);
    bindings.set("authorizer", Value::authorizer(user.clone(), Arc::new(Rules)));
    bindings.set("authorizer.requestResource", Value::resource_check(user, Arc::new(Rules), resource));
    let meter = Meter::new(1_000_000);
    let result = program.evaluate(&bindings, &meter).map(|value| value.to_string());
    (result.map_err(|failure| (failure.kind, failure.message.into_owned())), meter.cost())
}

#[track_caller]
fn check(source: &str, expected: &str, cost: u64) {
    assert_eq!(run(source), (Ok(expected.to_owned()), cost), "{source}");
}

#[track_caller]
fn check_failure(source: &str, kind: FailureKind, message: &str, cost: u64) {
    assert_eq!(run(source), (Err((kind, message.to_owned())), cost), "{source}");
}

#[test]
fn answers() {
    check("authorizer.path('/healthz').check('get').allowed()", "true", 350_003);
    check("authorizer.requestResource.check('delete').allowed()", "true", 350_002);
    check(
        "authorizer.group('apps').resource('deployments').subresource('scale').namespace('shop').name('web')\
         .check('create').reason()",
        "may alice create deployments.apps/scale web, namespace shop",
        350_007,
    );
    check(
        "authorizer.serviceAccount('shop', 'deployer').group('').resource('pods').check('list').reason()",
        "may system:serviceaccount:shop:deployer list pods",
        350_005,
    );
    check(
        "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=a').labelSelector('app').check('list')\
         .reason()",
        "a rule says so",
        350_527,
    );
    check("authorizer.group('').resource('secrets').check('list').errored()", "true", 350_004);
    check("authorizer.group('').resource('secrets').check('list').error()", "no idea", 350_004);
    check("type(authorizer.group(''))", "kubernetes.authorization.GroupCheck", 3);
}

#[test]
fn failures() {
    use FailureKind::{Evaluation, Needs, NoSuchOverload};
    check_failure(
        "authorizer.path(' ').check('get').allowed()",
        Evaluation,
        "path must not be empty",
        350_003,
    );
    check_failure(
        "authorizer.group('').resource('').check('get')",
        Evaluation,
        "resource must not be empty",
        350_003,
    );
    check_failure("authorizer.serviceAccount('shop', 'A')", Evaluation, "Invalid service account name", 2);
    check_failure(
        "authorizer.serviceAccount('a.b', 'a.b')",
        Evaluation,
        "Invalid service account namespace",
        2,
    );
    check_failure("authorizer == authorizer", NoSuchOverload, "no such overload", 3);
    let unanswered = "authorizer.group('').resource('nodes').check('list').allowed()";
    let needs = "the authorizer's answer (`may alice list nodes`)";
    check_failure(unanswered, Needs, needs, 350_003);
    check_failure(&format!("{unanswered} || true"), Needs, needs, 350_003);
    check(&format!("true || {unanswered}"), "true", 0);
}
