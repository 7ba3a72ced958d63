//! Values and failures. The specification's own tests run in the `conformance` crate; these are what they do
//! not say, and what differs from other evaluators.

use serde_json::json;

use super::super::{Bindings, Environment, Failure, KubernetesVersion, Lazy, Meter, Program, Type, Value};
use super::run;

#[track_caller]
fn check(source: &str, expected: serde_json::Value) {
    let (found, _) = run(source);
    assert_eq!(found.as_ref().map_err(|failure| failure.to_string()), Ok(&expected), "{source}");
}

#[track_caller]
fn check_failure(source: &str, expected: &str) {
    let (found, _) = run(source);
    assert_eq!(found.map_err(|failure| failure.to_string()), Err(expected.to_owned()), "{source}");
}

#[test]
fn selections() {
    check("object.metadata.name", json!("web"));
    check("object.metadata['labels'].app", json!("web"));
    check("object.spec.containers[1].name", json!("b"));
    check("object.spec.containers[1.0].name", json!("b"));
    check("object.spec.containers[1u].name", json!("b"));
    check("(object.spec.hostNetwork ? object : object.spec).replicas", json!(3));
    check("{'a': {'b': 1}}.a.b", json!(1));
    check("{1: 'one'}[dyn(1.0)]", json!("one"));
    check_failure("object.spec.missing", "no such key: missing");
    check_failure("object.metadata.name.x", "no such key: x");
    check_failure("object.spec.containers.x", "unsupported index type 'string' in list");
    check_failure("object.spec.containers[7]", "index out of bounds: 7");
    check_failure("object.spec.containers[-1]", "index out of bounds: -1");
    check_failure("object.spec.containers[0.5]", "unsupported index value 0.5 in list");
    check_failure("object[object.spec.nothing]", "invalid qualifier type: types.Null");
    check_failure("params.x", "no such attribute(s): params");
}

#[test]
fn presence_and_optionals() {
    check("has(object.spec.nothing)", json!(true));
    check("has(object.spec.missing)", json!(false));
    check("has(object.spec.replicas.x)", json!(false));
    check_failure("has(object.missing.x)", "no such key: missing");
    check("object.?missing.x.y.orValue(1)", json!(1));
    check("object.?spec.replicas.orValue(1)", json!(3));
    check("object.spec.replicas.?x.hasValue()", json!(false));
    check("object[?'spec'].replicas.value()", json!(3));
    check("object.spec.containers[?7].hasValue()", json!(false));
    check("object.?spec.optMap(s, s.replicas + 1)", json!(4));
    check("object.?spec.optFlatMap(s, s.?missing).hasValue()", json!(false));
    check("[?object.?missing, ?object.spec.?replicas]", json!([3]));
    check("{?'a': object.?missing, ?'b': object.spec.?replicas}", json!({"b": 3}));
    check("optional.none().or(optional.of(1)).value()", json!(1));
    check("[1, 2].first().value() + [1, 2].last().value()", json!(3));
    check("[optional.of(1), optional.none()].unwrapOpt()", json!([1]));
    check_failure("optional.none().value()", "optional.none() dereference");
    check_failure("object.spec.replicas.orValue(1)", "no such overload");
}

#[test]
fn logic_absorbs_failures() {
    check("false && object.missing", json!(false));
    check("object.missing && false", json!(false));
    check("object.missing || true", json!(true));
    check("object.spec.replicas || true", json!(true));
    check_failure("object.missing && true", "no such key: missing");
    check_failure("object.spec.replicas && true", "no such overload");
    check("[1, 2].exists(x, x == 2 || object.missing)", json!(true));
    check("[1, 0, 2].all(x, 1 / x > 5)", json!(false));
    check_failure("[1, 0].all(x, 1 / x > 0)", "division by zero");
    check_failure("[1, 0].exists_one(x, 1 / x > 0)", "division by zero");
}

#[test]
fn macros() {
    check("object.spec.containers.map(c, c.name)", json!(["a", "b"]));
    check("object.spec.containers.filter(c, has(c.ports)).map(c, c.ports)", json!([[80, 443]]));
    check("[1, 2, 3].map(x, x > 1, x * 10)", json!([20, 30]));
    check("object.metadata.labels.all(k, k in ['app', 'tier'])", json!(true));
    check("object.metadata.labels.exists(k, v, k == 'app' && v == 'web')", json!(true));
    check("['x', 'y'].transformMap(i, v, v + string(i))", json!({"0": "x0", "1": "y1"}));
    check("{'a': 1}.transformMapEntry(k, v, {v: k})", json!({"1": "a"}));
    check("[4, 5].transformList(i, v, i > 0, v)", json!([5]));
    check("[[1], [2, 3]].exists_one(l, l.size() == 2)", json!(true));
    check_failure("[1, 1].transformMapEntry(i, v, {v: i})", "insert failed: key 1 already exists");
    check_failure("object.spec.replicas.all(x, true)", "got 'types.Int', expected iterable type");
}

#[test]
fn numbers_across_types() {
    check("dyn(1) == 1.0 && dyn(1u) == 1 && dyn(1.0) == 1u", json!(true));
    check("1 < 1.5 && 2u > 1.5 && -1 < 0u", json!(true));
    check("object.spec.weight < 1", json!(true));
    check("9223372036854775807 < 9223372036854775808u", json!(true));
    check("dyn(1) in [1.0] && dyn(1.0) in {1: 'x'}", json!(true));
    check("0.0 / 0.0 == 0.0 / 0.0", json!(false));
    check_failure("0.0 / 0.0 < 1.0", "NaN values cannot be ordered");
    check_failure("9223372036854775807 + 1", "integer overflow");
    check_failure("0u - 1u", "unsigned integer overflow");
    check_failure("-(-9223372036854775807 - 1)", "integer overflow");
    check_failure("1 % 0", "modulus by zero");
    check_failure("object.spec.replicas + 'x'", "no such overload");
    check_failure("object.spec + 1", "no such overload: _+_");
    check_failure("size(object.spec.replicas)", "no such overload: size");
    check_failure("int(object.spec)", "no such overload: int(map)");
}

#[test]
fn text_as_go_writes_and_reads_it() {
    check("string(1e6)", json!("1e+06"));
    check("string(123456789.0)", json!("1.23456789e+08"));
    check("string(0.0001)", json!("0.0001"));
    check("string(duration('1h1.5s'))", json!("3601.5s"));
    check("string(timestamp('2026-01-02T03:04:05.120+01:00'))", json!("2026-01-02T03:04:05.12+01:00"));
    check("timestamp('2026-01-02T3:04:05,5Z') == timestamp('2026-01-02T03:04:05.5Z')", json!(true));
    check("duration('100µs') == duration('0.1ms')", json!(true));
    check("bool('t') && !bool('F')", json!(true));
    check("int('+5') + int('-3')", json!(2));
    check_failure("['+5'].map(x, uint(x))", "type conversion error from 'string' to 'uint'");
    check_failure("['1e400'].map(x, double(x))", "type conversion error from 'string' to 'double'");
    check_failure(
        "['1d'].map(x, duration(x))",
        "type conversion error from 'string' to 'google.protobuf.Duration'",
    );
    check_failure(
        "['2026-02-30T00:00:00Z'].map(x, timestamp(x))",
        "type conversion error from 'string' to 'google.protobuf.Timestamp'",
    );
}

#[test]
fn times_and_zones() {
    let at = "timestamp('2026-03-29T01:30:00Z')";
    check(&format!("{at}.getHours()"), json!(1));
    check(&format!("{at}.getHours('Europe/Berlin')"), json!(3));
    check(&format!("{at}.getMinutes('-00:45')"), json!(45));
    check(&format!("{at}.getDate('America/Los_Angeles')"), json!(28));
    check(&format!("{at}.getDayOfWeek() + {at}.getDayOfYear()"), json!(87));
    check(&format!("{at} + duration('-90m') == timestamp('2026-03-29T00:00:00Z')"), json!(true));
    check(&format!("{at} - timestamp('2026-03-29T00:00:00Z') == duration('1h30m')"), json!(true));
    check_failure(&format!("{at}.getHours('europe/berlin')"), "unknown time zone europe/berlin");
    check_failure("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "timestamp overflow");
}

#[test]
fn patterns_are_re2() {
    check(r"'é1'.matches('\\w') && !'é'.matches('\\w') && !'٣'.matches('\\d')", json!(true));
    check(r"'a.b'.matches('^\\Qa.b\\E$') && !'axb'.matches('\\Qa.b\\E')", json!(true));
    check(r"'a-b&&c'.matches('^[a-c&&-]+$')", json!(true));
    check(r"'{'.matches('{') && 'a{,2}'.matches('a{,2}')", json!(true));
    check(r"'web'.matches('(?i)^WEB$') && 'a\nb'.matches('(?m)^b')", json!(true));
    check_failure(
        "'x'.matches(object.metadata.name + '(')",
        "error parsing regexp: missing closing ): `web(`",
    );
}

struct Variables;

impl<'a> Lazy<'a> for Variables {
    fn field(&self, name: &str) -> Option<Result<Value<'a>, Box<Failure>>> {
        match name {
            "good" => Some(Ok(Value::Int(1))),
            "bad" => Some(Err(Failure::new("it failed"))),
            _ => None,
        }
    }
}

#[test]
fn variables_with_fields_computed_when_read() {
    let environment = Environment::new().with_variable("variables", Type::Dyn);
    let check = |source: &str, expected: Result<i64, &str>| {
        let program = Program::compile(&environment, source).unwrap();
        let mut bindings = Bindings::new(&environment);
        bindings.set_lazy("variables", std::rc::Rc::new(Variables));
        let found = program.evaluate(&bindings, &Meter::new(100)).map(|value| value.to_json());
        let expected = expected.map(|number| json!(number)).map_err(str::to_owned);
        assert_eq!(found.map_err(|failure| failure.to_string()), expected, "{source}");
    };
    check("variables.good + 1", Ok(2));
    check("variables.bad", Err("it failed"));
    check("has(variables.good) && !has(variables.missing) ? 1 : 0", Ok(1));
    check("has(variables.bad) ? 1 : 0", Err("it failed"));
    check("variables.missing", Err("no such key: missing"));
    check("variables == 1 ? 1 : 0", Err("no such attribute(s): variables"));
}

#[test]
fn images_and_strings() {
    let environment = Environment::kubernetes(KubernetesVersion::NEWEST).with_extensions();
    let check = |source: &str, expected: Result<serde_json::Value, &str>| {
        let program =
            Program::compile(&environment, source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        let bindings = Bindings::new(&environment);
        let found = program.evaluate(&bindings, &Meter::new(1_000)).map(|value| value.to_json());
        assert_eq!(found.map_err(|failure| failure.to_string()), expected.map_err(str::to_owned), "{source}");
    };
    check("image('nginx').host()", Ok(json!("docker.io")));
    check(
        "image('ghcr.io/acme/x:1').isUnder('ghcr.io/acme') && isImage('a') && !isImage('A B')",
        Ok(json!(true)),
    );
    check("image('nginx') == image('docker.io/library/nginx')", Ok(json!(true)));
    check(
        "string(image('ghcr.io/a@sha256:' + 'b'))",
        Err("`ghcr.io/a@sha256:b` is not a valid image reference: its digest is malformed"),
    );
    check("type(image('a')) == image", Ok(json!(true)));
    check("'a,b,c'.split(',').join('-').upperAscii()", Ok(json!("A-B-C")));
    check("'aXbX'.replace('X', '', 1).indexOf('X')", Ok(json!(2)));
    check("'héllo'.substring(1, 3) + 'héllo'.charAt(0)", Ok(json!("élh")));
    check("'x'.substring(2)", Err("index out of range: 2"));
}
