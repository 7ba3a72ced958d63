//! Every combination of actions, failure policy, dialect and kind of finding, and Kubernetes' limits.

use super::*;
use crate::decision::Skip;
use crate::document::Origin;
use crate::policy::{Actions, PolicyInfo};
use std::sync::Arc;

const DENY: Actions = Actions { deny: true, warn: false, audit: false };
const WARN: Actions = Actions { deny: false, warn: true, audit: false };
const AUDIT: Actions = Actions { deny: false, warn: false, audit: true };
const DENY_AUDIT: Actions = Actions { deny: true, warn: false, audit: true };

fn info(dialect: Dialect, name: &str, remediation: Option<&str>) -> Arc<PolicyInfo> {
    Arc::new(PolicyInfo {
        dialect,
        name: name.to_owned(),
        title: None,
        severity: None,
        category: None,
        remediation: remediation.map(str::to_owned),
        origin: Origin {
            file: None,
            namespace: "portcullis".to_owned(),
            config_map: name.to_owned(),
            key: "policy.yaml".to_owned(),
            document: 1,
            text: None,
        },
    })
}

fn finding(kind: FindingKind, message: &str, field_path: &str) -> Finding {
    Finding {
        kind,
        message: message.to_owned(),
        field_path: field_path.to_owned(),
        remedy: None,
        reason: Reason::Invalid,
        validation: Some(0),
    }
}

fn outcome(actions: Actions, findings: Vec<Finding>) -> Outcome {
    Outcome {
        policy: info(Dialect::Portcullis, "p", Some("mend it")),
        binding: None,
        param: None,
        actions,
        failure_policy: FailurePolicy::Fail,
        verdict: if findings.is_empty() { Verdict::Allow } else { Verdict::Deny },
        findings,
        omitted: 0,
        warnings: Vec::new(),
        audit_annotations: Vec::new(),
    }
}

fn answer(outcomes: Vec<Outcome>) -> Answer {
    enforce(&Decision { outcomes, ..Decision::default() }, Door::Admission, false)
}

#[test]
fn findings_follow_kind_then_failure_policy_then_actions() {
    use Effect::{Audit, Deny, None, Warn};
    use FailurePolicy::{Fail, Ignore};
    use FindingKind::{Configuration, Error, Violation};
    let check = |dialect, kind, failure_policy, actions, audit_only, expected| {
        let mut outcome = outcome(actions, vec![finding(kind, "m", "")]);
        outcome.policy = info(dialect, "p", Option::None);
        outcome.failure_policy = failure_policy;
        let actual = effect_of(&outcome, &outcome.findings[0], audit_only);
        assert_eq!(actual, expected, "{dialect:?} {kind:?} {failure_policy:?} {actions:?} {audit_only}");
    };
    for dialect in [Dialect::Portcullis, Dialect::Kubernetes] {
        for failure_policy in [Fail, Ignore] {
            check(dialect, Violation, failure_policy, DENY, false, Deny);
            check(dialect, Violation, failure_policy, WARN, false, Warn);
            check(dialect, Violation, failure_policy, AUDIT, false, Audit);
            check(dialect, Violation, failure_policy, DENY, true, Audit);
            check(dialect, Violation, failure_policy, Actions::default(), false, None);
        }
        check(dialect, Error, Fail, DENY, false, Deny);
        check(dialect, Error, Fail, WARN, false, Warn);
        check(dialect, Error, Fail, AUDIT, false, Audit);
        check(dialect, Error, Ignore, DENY, false, None);
        check(dialect, Configuration, Ignore, DENY, false, None);
        check(dialect, Configuration, Fail, AUDIT, true, Audit);
    }
    check(Dialect::Kubernetes, Configuration, Fail, AUDIT, false, Deny);
    check(Dialect::Portcullis, Configuration, Fail, AUDIT, false, Audit);
}

#[test]
fn a_denial_names_policy_field_problem_and_remedy() {
    let violation = finding(FindingKind::Violation, "must not be true", "spec.hostNetwork");
    let error = finding(FindingKind::Error, "no such key: x", "");
    let answer = answer(vec![outcome(DENY, vec![violation, error])]);
    assert!(!answer.allowed);
    assert_eq!(
        answer.message(),
        "policy `p`: `spec.hostNetwork`: must not be true; mend it\npolicy `p`: no such key: x"
    );
    assert_eq!(answer.reason().code(), 422);
}

#[test]
fn a_path_that_the_message_names_is_not_repeated() {
    let violation = finding(FindingKind::Violation, "spec.hostNetwork must not be true", "spec.hostNetwork");
    let answer = answer(vec![outcome(DENY, vec![violation])]);
    assert_eq!(answer.message(), "policy `p`: spec.hostNetwork must not be true; mend it");
}

#[test]
fn a_validating_admission_policy_speaks_as_the_api_server_does() {
    let mut denies = outcome(DENY, vec![finding(FindingKind::Violation, "too big", "spec.replicas")]);
    denies.policy = info(Dialect::Kubernetes, "limits", Some("ignored"));
    denies.binding = Some(Arc::from("all"));
    let mut warns = denies.clone();
    warns.actions = WARN;
    let answer = answer(vec![denies, warns]);
    assert_eq!(
        answer.message(),
        "ValidatingAdmissionPolicy 'limits' with binding 'all' denied request: too big"
    );
    assert_eq!(
        answer.warnings,
        ["Validation failed for ValidatingAdmissionPolicy 'limits' with binding 'all': too big"]
    );
}

#[test]
fn what_two_bindings_report_alike_keeps_its_strongest_action() {
    let violation = || vec![finding(FindingKind::Violation, "m", "spec.x")];
    let answer =
        answer(vec![outcome(WARN, violation()), outcome(DENY, violation()), outcome(AUDIT, violation())]);
    assert_eq!(answer.denials.len(), 1);
    assert!(answer.warnings.is_empty());
}

#[test]
fn undecidable_is_an_error_at_admission_and_nothing_offline() {
    let mut undecidable = outcome(DENY, Vec::new());
    undecidable.verdict = Verdict::Undecidable(vec!["the user".to_owned(), "the old object".to_owned()]);
    let decision = Decision { outcomes: vec![undecidable.clone()], ..Decision::default() };
    assert!(enforce(&decision, Door::Offline, false).allowed);
    assert_eq!(effect(&undecidable, Door::Offline, false), Effect::None);
    let answer = enforce(&decision, Door::Admission, false);
    assert_eq!(answer.message(), "policy `p`: cannot be decided: the user and the old object is not known");
}

#[test]
fn skips_lead_to_nothing() {
    let mut skipped = outcome(DENY, Vec::new());
    skipped.verdict = Verdict::Skip(Skip::Unchanged);
    assert!(answer(vec![skipped]).allowed);
}

#[test]
fn failures_are_recorded_where_audit_is_asked_for() {
    let violation = || vec![finding(FindingKind::Violation, "m", "spec.x")];
    let recorded = |actions, audit_only| {
        enforce(
            &Decision { outcomes: vec![outcome(actions, violation())], ..Decision::default() },
            Door::Admission,
            audit_only,
        )
        .audit_annotations
    };
    assert_eq!(recorded(DENY, false), []);
    assert_eq!(
        recorded(DENY_AUDIT, false),
        [(
            "validation_failure".to_owned(),
            r#"[{"binding":"","expressionIndex":0,"message":"m","policy":"p","validationActions":["Deny","Audit"]}]"#
                .to_owned()
        )]
    );
    assert_eq!(recorded(WARN, true).len(), 1);
}

#[test]
fn annotations_of_several_bindings_are_joined() {
    let with = |value: &str| {
        let mut outcome = outcome(AUDIT, Vec::new());
        outcome.audit_annotations = vec![("key".to_owned(), value.to_owned())];
        outcome
    };
    let answer = answer(vec![with("a"), with("b"), with("a")]);
    assert_eq!(answer.audit_annotations, [("p.key".to_owned(), "a, b".to_owned())]);
}

#[test]
fn omitted_failures_are_counted() {
    let mut many = outcome(DENY, vec![finding(FindingKind::Violation, "m", "")]);
    many.omitted = 7;
    assert_eq!(
        answer(vec![many]).message(),
        "policy `p`: m; mend it\npolicy `p`: 7 more failures are not listed"
    );
}

#[test]
fn warnings_stay_within_kubernetes_limits() {
    let warnings = |count: usize, length: usize| {
        let outcomes = (0..count).map(|number| {
            outcome(
                WARN,
                vec![finding(FindingKind::Violation, &format!("{number}{}", "é".repeat(length)), "")],
            )
        });
        answer(outcomes.collect()).warnings
    };
    assert!(warnings(3, 1_000).iter().all(|whole| whole.chars().count() > 1_000));
    let long = warnings(5, 1_000);
    assert!(long.iter().all(|cut| cut.chars().count() == 256 && cut.ends_with('…')));
    assert_eq!(long.len(), 5);

    let many = warnings(100, 1_000);
    let total: usize = many.iter().map(|warning| warning.chars().count()).sum();
    assert!(total <= 4_096, "{total}");
    assert_eq!(many.last().map(String::as_str), Some("85 more warnings are not shown"));

    let repeated = answer(vec![outcome(WARN, vec![finding(FindingKind::Violation, "a\nb", "")]); 3]).warnings;
    assert_eq!(repeated, ["policy `p`: a b; mend it"]);
}
