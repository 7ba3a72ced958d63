//! Costs, each of them as cel-go 0.29 with apiserver's settings gives it.

use super::super::{Bindings, FailureKind, Meter, Program, Value};
use super::{environment, object, run};

#[track_caller]
fn check(source: &str, expected: u64) {
    assert_eq!(run(source).1, expected, "{source}");
}

#[test]
fn selections_and_literals() {
    check("1", 0);
    check("object", 1);
    check("object.spec.replicas", 3);
    check("object.spec.containers[0].name", 5);
    check("object.spec.containers[object.spec.replicas - 3]", 8);
    check("object.metadata.labels[object.metadata.name]", 6);
    check("has(object.spec.replicas)", 2);
    check("has(object.missing.x)", 1);
    check("object.spec.missing", 3);
    check("object.?missing.x", 1);
    check("object.?spec.replicas", 3);
    check("[1, 2, 3]", 0);
    check("[object]", 11);
    check("{'a': object}", 31);
    check("true ? object.spec : object", 1);
    check("(true ? object : object.spec).spec", 1);
}

#[test]
fn calls() {
    check("object.spec.replicas == 3", 4);
    check("object.metadata.name == 'a string of more than ten'", 4);
    check("'a string of more than ten' == 'a string of more than ten'", 3);
    check("'web'.startsWith('registry.example.com/')", 3);
    check("'web'.matches('^[a-z]+$')", 2);
    check("'registry.example.com'.contains('example.com')", 4);
    check("'a' + 'b'", 1);
    check("object.metadata.name + 'b'", 4);
    check("object.metadata.name in ['web', 'shop']", 3);
    check("object.metadata.name in object.spec.containers", 7);
    check("1 in [int(object.spec.replicas), 1]", 16);
    check("int('7') + 1", 1);
    check("object.missing == 1 || true", 3);
    check("object.?missing.orValue(1)", 1);
}

#[test]
fn macros() {
    check("[1, 2].all(x, x > 0)", 11);
    check("[1, 2].exists(x, x > 0)", 10);
    check("[1, 2].exists_one(x, x > 1)", 8);
    check("[1, 2].map(x, x)", 27);
    check("[1, 2].map(x, 1)", 5);
    check("[1, 2].filter(x, x > 1)", 18);
    check("[1, 2].transformMap(i, x, x)", 9);
    check("object.?spec.optMap(s, s.replicas)", 9);
    check("object.?missing.optMap(s, s.replicas)", 3);
}

#[test]
fn strings_cost_what_apiserver_says() {
    check("object.metadata.name.upperAscii()", 4);
    check("object.metadata.name.indexOf('w')", 3);
    check("'hello world'.indexOf('o')", 1);
    check("'registry'.replace('r', 'x')", 2);
    check("['a', 'b'].join('-')", 1);
    check("object.metadata.name.split('')", 4);
    check("object.spec.replicas.trim()", 4);
}

#[test]
fn the_limit_ends_the_evaluation_and_nothing_absorbs_that() {
    let environment = environment();
    let object = object();
    for source in [
        "object.spec.containers.all(c, c.name != '') || true",
        "object.spec.containers.exists(c, c.name != '')",
        "object.spec.containers.map(c, c.name).size() > 0 || true",
    ] {
        let program = Program::compile(&environment, source).unwrap();
        let mut bindings = Bindings::new(&environment);
        bindings.set("object", Value::from_json(object.root()));
        let meter = Meter::new(9);
        let failure = program.evaluate(&bindings, &meter).expect_err(source);
        assert_eq!(failure.kind, FailureKind::Budget, "{source}");
        assert_eq!(failure.to_string(), "operation cancelled: actual cost limit exceeded");
    }
}
