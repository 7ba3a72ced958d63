//! No text can exhaust the stack, the memory or the time of the process.

use super::super::{Bindings, Meter, Program, Value};
use super::environment;
use crate::tree::Tree;

/// Memory that an evaluation may count before it fails, and a little more for what it fails on.
const MAX_ALLOCATED: u64 = 64 << 20;

#[track_caller]
fn check_refused(source: &str, expected: &str) {
    let errors = Program::compile(&environment(), source).expect_err("too deep");
    assert_eq!(errors[0].message, expected);
}

#[track_caller]
fn check_stopped(source: &str, expected: &str) {
    let environment = environment();
    let program = Program::compile(&environment, source).unwrap_or_else(|errors| panic!("{errors:?}"));
    let object = Tree::from(serde_json::json!({"list": vec![0; 3_000], "text": "x".repeat(1_000)}));
    let mut bindings = Bindings::new(&environment);
    bindings.set("object", Value::from_json(object.root()));
    let meter = Meter::new(1_000_000);
    let failure = program.evaluate(&bindings, &meter).expect_err(source);
    assert_eq!(failure.to_string(), expected);
    // The operation that passes the limit may pass it by what it reads.
    assert!(meter.cost() <= 2_000_000, "cost {}", meter.cost());
    assert!(meter.allocated() <= MAX_ALLOCATED, "allocated {}", meter.allocated());
}

#[test]
fn deep_sources_are_refused() {
    let deep = "the expression is nested too deeply here";
    check_refused(&format!("1{}", "+1".repeat(1_500)), deep);
    check_refused(&format!("''{}", ".size()".repeat(1_500)), deep);
    check_refused(&format!("object{}", "[0]".repeat(1_500)), deep);
    check_refused(&format!("object{}", ".a".repeat(5_000)), deep);
    check_refused(&format!("{}1{}", "[".repeat(1_500), "]".repeat(1_500)), deep);
    check_refused(&format!("{}true", "!".repeat(5_000)), deep);
    check_refused(&format!("{}1", "true ? 1 : ".repeat(2_000)), deep);
    check_refused(&"x".repeat(100_001), "the expression is longer than 100000 characters");
}

#[test]
fn what_is_accepted_is_evaluated_on_an_ordinary_stack() {
    let sources = [
        format!("1{}", "+1".repeat(240)),
        format!("object{}", "[0]".repeat(240)),
        format!("{}1{}", "[".repeat(100), "]".repeat(100)),
        (0..40).fold("object.x".to_owned(), |body, depth| format!("[1].map(x{depth}, {body})")),
        (0..80).fold("object.x".to_owned(), |body, _| format!("(true ? {body} : 1)")),
        vec!["object.x"; 2_900].join(" || "),
    ];
    for source in sources {
        let environment = environment();
        let program = Program::compile(&environment, &source).unwrap_or_else(|errors| panic!("{errors:?}"));
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread
            .spawn(move || {
                // The program is dropped here too, after the bindings that may borrow from it.
                let program = program;
                let bindings = Bindings::new(&environment);
                let _ = program.evaluate(&bindings, &Meter::new(1_000_000));
            })
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn blow_ups_end_in_a_failure() {
    let cost = "operation cancelled: actual cost limit exceeded";
    let memory = "operation cancelled: memory limit exceeded";
    let doubled = (0..25).fold("[dyn(object.text)]".to_owned(), |list, _| format!("{list}.map(x, x + x)"));
    check_stopped(&doubled, memory);
    let doubled = (0..25).fold("['0123456789']".to_owned(), |list, _| format!("{list}.map(x, x + x)"));
    check_stopped(&doubled, cost);
    let doubled = (0..25).fold("[object.list]".to_owned(), |list, _| format!("{list}.map(x, x + x)"));
    check_stopped(&doubled, memory);
    check_stopped("object.list.all(x, object.list.all(y, x == y))", cost);
    check_stopped(
        "object.list.map(x, object.list.map(y, object.list)).all(x, object.list == object.list)",
        cost,
    );
    check_stopped(
        "object.list.all(x, object.list == object.list)",
        "operation cancelled: too much data to compare",
    );
}
