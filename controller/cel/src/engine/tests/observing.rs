//! What an observer is told.

use std::cell::RefCell;

use super::super::{Bindings, Failure, Meter, Observer, Program, Value};
use super::{environment, object, run};

#[derive(Default)]
struct Seen(RefCell<Vec<(usize, String)>>);

impl<'a> Observer<'a> for Seen {
    fn observe(&self, part: usize, result: &Result<Value<'a>, Box<Failure>>) {
        let shown = result.as_ref().map_or_else(ToString::to_string, |value| value.to_json().to_string());
        self.0.borrow_mut().push((part, shown));
    }
}

/// Checks what is observed, in its order, and that observing changes nothing.
#[track_caller]
fn check(source: &str, expected: &[(usize, &str)]) {
    let environment = environment();
    let program = Program::compile_observed(&environment, source).expect(source);
    let object = object();
    let mut bindings = Bindings::new(&environment);
    bindings.set("object", Value::from_json(object.root()));
    let seen = Seen::default();
    let result = program.evaluate_observed(&bindings, &Meter::new(1_000_000), &seen);
    let seen = seen.0.into_inner();
    let at = |part: &usize| program.parts().get(part).map(|part| part.at).expect(source);
    assert_eq!(
        seen.iter().map(|(part, shown)| (at(part), shown.as_str())).collect::<Vec<_>>(),
        expected,
        "{source}"
    );
    assert_eq!(result.map(|value| value.to_json()), run(source).0, "{source}");
}

#[test]
fn each_part_that_is_no_constant_is_told_of_when_it_is_known() {
    check("object.spec.replicas <= 3 && 1 < 2", &[(11, "3"), (21, "true"), (31, "true"), (26, "true")]);
    check("object.spec.hostNetwork && object.spec.missing", &[(11, "false"), (24, "false")]);
    check("object.spec.missing == 1", &[(11, "no such key: missing"), (20, "no such key: missing")]);
    check("[1, 2].exists(x, x == 2)", &[(17, "1"), (19, "false"), (17, "2"), (19, "true"), (7, "true")]);
    check("has(object.spec) ? 'a' : object.x", &[(3, "true"), (17, "\"a\"")]);
    check("object.spec.containers[0].name.size()", &[(25, "\"a\""), (31, "1")]);
    check(
        "object.?missing.x.orValue(int(object.metadata.name.size()))",
        &[(15, "null"), (45, "\"web\""), (51, "3"), (26, "3"), (18, "3")],
    );
}
