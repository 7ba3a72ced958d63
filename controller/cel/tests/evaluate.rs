//! Expressions and what they give, through the public interface.
#![cfg(test)]

use std::sync::Arc;

use portcullis_cel::{Bindings, Budget, Environment, EvaluationError, EvaluationErrorKind, Program, Value};
use serde_json::{Value as Json, json};

fn object() -> Json {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}, "finalizers": []},
        "spec": {
            "replicas": 3,
            "ratio": 0.5,
            "whole": 2.0,
            "huge": 18_446_744_073_709_551_615_u64,
            "paused": false,
            "nothing": null,
            "containers": [
                {"name": "a", "image": "ghcr.io/acme/a:1", "ports": [{"port": 80}, {"port": 443}]},
                {"name": "b", "image": "nginx", "ports": []}
            ]
        }
    })
}

fn evaluate(source: &str) -> Result<Json, String> {
    let environment = Environment::new()
        .with_variable("object")
        .with_variable("computed")
        .with_variable("variables")
        .with_images();
    let program = Program::compile(&environment, source).map_err(|errors| format!("{errors:?}"))?;
    let object = object();
    let mut bindings = Bindings::new();
    bindings.set("object", Value::from_json(&object));
    bindings.set("computed", Value::owned(object.clone()));
    bindings.set(
        "variables",
        Value::fields(vec![
            (Arc::from("containers"), Ok(Value::from_json(&object["spec"]["containers"]))),
            (Arc::from("broken"), Err(EvaluationError::new("no such key: x"))),
        ]),
    );
    let value = program.evaluate(&bindings, &Budget::new(100_000)).map_err(|error| error.to_string())?;
    Ok(value.to_json())
}

#[track_caller]
fn check(source: &str, expected: Json) {
    assert_eq!(evaluate(source), Ok(expected), "{source}");
}

#[track_caller]
fn check_true(source: &str) {
    check(source, json!(true));
}

#[track_caller]
fn check_error(source: &str, message: &str) {
    assert_eq!(evaluate(source), Err(message.to_owned()), "{source}");
}

#[test]
fn json_is_read_as_vap_sees_it() {
    for root in ["object", "computed"] {
        let at = |source: &str| source.replace("object", root);
        check_true(&at("type(object.spec.replicas) == int && object.spec.replicas == 3"));
        check_true(&at("type(object.spec.ratio) == double"));
        check_true(&at("type(object.spec.whole) == double && object.spec.whole == 2"));
        check_true(&at("type(object.spec.huge) == uint"));
        check_true(&at("object.spec.nothing == null && has(object.spec.nothing)"));
        check_true(&at("!object.spec.paused"));
        check_true(&at("type(object) == map && type(object.spec.containers) == list"));
        check_true(&at("size(object.metadata.labels) == 2 && object.spec.containers.size() == 2"));
        check_true(&at("object.spec.containers[1].name == 'b' && object['metadata']['name'] == 'web'"));
        check_true(&at("has(object.metadata.labels.app) && !has(object.metadata.annotations)"));
        check_true(&at("'app' in object.metadata.labels && !('x' in object.metadata.labels)"));
        check(&at("object.spec.containers.map(c, c.name)"), json!(["a", "b"]));
        check(
            &at("object.spec.containers.filter(c, c.ports.size() > 0).map(c, c.image)"),
            json!(["ghcr.io/acme/a:1"]),
        );
        check_true(&at("object.spec.containers.all(c, c.name.size() == 1)"));
        check_true(&at("object.spec.containers.exists(c, c.ports.exists(p, p.port == 443))"));
        check_true(&at("object.spec.containers.exists_one(c, c.name == 'a')"));
        check_true(&at("object.metadata.labels.all(k, object.metadata.labels[k].size() > 0)"));
        check(&at("object.spec.containers"), object()["spec"]["containers"].clone());
        check_true(&at("object.?spec.?missing.orValue('x') == 'x' && object.spec.?replicas.orValue(1) == 3"));
    }
}

#[test]
fn borrowed_and_computed_values_are_equal() {
    check_true("object == computed && computed == object && object.spec == computed.spec");
    check_true("object.spec.containers.map(c, c.name) == ['a', 'b']");
    check_true("['a', 'b'] == object.spec.containers.map(c, c.name)");
    check_true("{'app': 'web', 'tier': 'front'} == object.metadata.labels");
    check_true("object.metadata.labels == {'app': 'web', 'tier': 'front'}");
    check_true("object.metadata.labels != {'app': 'web'} && {'app': 'web'} != object.metadata.labels");
    check_true("{'a': object.metadata.labels} == {'a': {'app': 'web', 'tier': 'front'}}");
    check_true("[{'port': 80}, {'port': 443.0}] == object.spec.containers[0].ports");
    check_true("object.metadata.labels in [1, {'app': 'web', 'tier': 'front'}]");
    check_true("{'port': 80} in object.spec.containers[0].ports");
    check_true("object.metadata.finalizers == [] && [] == object.metadata.finalizers");
    check_true("object.metadata.finalizers != {} && object.spec != [] && object != 1 && 1 != object");
    check_true("optional.of(object.metadata.labels) == optional.of(computed.metadata.labels)");
    check_true("object.metadata.finalizers + ['x'] == ['x'] && ['x'] + object.metadata.finalizers == ['x']");
    check_true("(object.spec.containers + computed.spec.containers).size() == 4");
}

#[test]
fn variables_hand_on_values_and_errors() {
    check_true("variables.containers.size() == 2");
    check_error("variables.broken", "no such key: x");
    check_error("has(variables.broken)", "no such key: x");
    check_error("variables.missing", "no such key: missing");
    check_true("true || variables.broken");
}

#[test]
fn strings_lists_and_patterns() {
    check_true("object.metadata.name.startsWith('w') && 'WEB'.lowerAscii() == object.metadata.name");
    check("'a,b'.split(',')", json!(["a", "b"]));
    check("object.spec.containers.map(c, c.name).join('-')", json!("a-b"));
    check("[3, 1, 2].sort()", json!([1, 2, 3]));
    check_true("object.metadata.name.matches('^[a-z]+$') && matches('x1', '[0-9]')");
    check_true("object.spec.containers.all(c, 'abc'.matches(c.name))");
    check("duration('1h30m')", json!("5400s"));
    check("duration('1500ms')", json!("1.500s").as_str().map(|_| json!("1.5s")).unwrap());
    check("timestamp('2026-01-01T00:00:00Z').getFullYear()", json!(2026));
    check("type(1)", json!("int"));
    check("'%s=%d'.format(['a', 1])", json!("a=1"));
    check_error(
        "'x'.matches(object.metadata.name + '(')",
        "`web(` is not a valid regular expression: unclosed group",
    );
}

#[test]
fn errors_say_what_cel_go_says() {
    check_error("object.spec.missing", "no such key: missing");
    check_error("object.missing.field", "no such key: missing");
    check_error("object.metadata.labels['x']", "no such key: x");
    check_error("object.spec.containers[5]", "index out of bounds: 5");
    check_error("1 / 0", "division by zero");
    check_error("1 % 0", "modulus by zero");
    check_error("9223372036854775807 + 1", "integer overflow");
    check_error("object.spec.replicas.startsWith('x')", "no such overload: startsWith(int, string)");
    check_error("object.spec.replicas > 'x'", "no such overload: _>_(int, string)");
    check_error("object.spec.replicas + 'x'", "no such overload");
    check_error("object.spec.replicas in 5", "no such overload: _in_(int, int)");
    check_error("object.spec.replicas && true", "no such overload: _&&_(int, bool)");
    check_error("object.spec.replicas ? 1 : 2", "no such overload: got int where bool is needed");
    check_error("object.spec.replicas.x", "no such overload: _._(int, string)");
    check_error("object.spec.containers.name", "no such overload: _._(list, string)");
    check_error("{'a': 1, 'a': 2}", "repeated key: a");
}

#[test]
fn a_declared_variable_without_a_value_is_an_error() {
    let program = Program::compile(&Environment::new().with_variable("x"), "x.y == 1").unwrap();
    let error = program.evaluate(&Bindings::new(), &Budget::new(10)).unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (EvaluationErrorKind::Evaluation, "no such attribute: x")
    );
}

#[test]
fn the_budget_stops_what_nothing_can_absorb() {
    let items = Json::from((0..1_000).collect::<Vec<_>>());
    let environment = Environment::new().with_variable("items");
    let mut bindings = Bindings::new();
    bindings.set("items", Value::from_json(&items));
    for source in [
        "items.all(x, items.all(y, x + y >= 0))",
        "items.exists(x, items.all(y, x + y >= 0) && false) || true",
        "true || items.exists(x, items.exists(y, false)) ? items.exists(x, items.exists(y, false)) || true : false",
        "items.map(x, items.filter(y, y == x)).size() >= 0",
        "items.filter(x, [0].all(y, items == items)).size() > 0",
        "items.?a.hasValue() || items.all(x, x in items)",
    ] {
        let program = Program::compile(&environment, source).unwrap();
        let budget = Budget::new(10_000);
        let error = program.evaluate(&bindings, &budget).unwrap_err();
        assert_eq!(error.kind, EvaluationErrorKind::Budget, "{source}");
        assert_eq!(error.message, "running out of cost budget");
        assert!(budget.spent() < 20_000, "{source}: stopped late, at {}", budget.spent());
    }
    let budget = Budget::new(10_000);
    let program = Program::compile(&environment, "items.all(x, x >= 0)").unwrap();
    assert_eq!(program.evaluate(&bindings, &budget).unwrap().as_bool(), Some(true));
    assert_eq!(budget.spent(), 1_000);
}

#[test]
fn values_outlive_the_evaluation() {
    let environment = Environment::new().with_variable("object");
    let object = object();
    let program = Program::compile(&environment, "object.spec.containers").unwrap();
    let elements = {
        let mut bindings = Bindings::new();
        bindings.set("object", Value::from_json(&object));
        program.evaluate(&bindings, &Budget::new(10)).unwrap().elements().unwrap()
    };
    assert_eq!(elements.len(), 2);
    assert_eq!(elements[0].type_name(), "map");
    let name = Program::compile(&Environment::new().with_variable("each"), "each.name").unwrap();
    let mut bindings = Bindings::new();
    bindings.set("each", elements[1].clone());
    assert_eq!(name.evaluate(&bindings, &Budget::new(10)).unwrap().as_str(), Some("b"));
}

#[test]
fn programs_are_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Program>();
    shared::<Environment>();
    shared::<Value<'_>>();
    shared::<Bindings<'_>>();
}

#[test]
fn images() {
    check("object.spec.containers.map(c, image(c.image).host())", json!(["ghcr.io", "docker.io"]));
    check("image('nginx:1.27').repository() + '|' + image('nginx:1.27').tag()", json!("library/nginx|1.27"));
    check_true("image('nginx').tag() == '' && image('nginx').digest() == ''");
    check_true("image('ghcr.io/acme/app').isUnder('ghcr.io/acme') && !image('nginx').isUnder('ghcr.io')");
    check_true("image('ghcr.io/acme/app').isQualified() && !image('acme/app').isQualified()");
    check_true("isImage('nginx') && !isImage('Nginx') && !isImage('user@ghcr.io/x')");
    check_true("image('nginx') == image('docker.io/library/nginx') && image('nginx') != image('nginx:1')");
    check("string(image('nginx'))", json!("docker.io/library/nginx"));
    check("image('nginx')", json!("docker.io/library/nginx"));
    check("type(image('nginx'))", json!("image"));
    check_error("image('Nginx')", "`Nginx` is not a valid image reference: its path has upper case");
    check_error(
        "image('nginx').isUnder('acme')",
        "`acme` is not a valid image prefix: it names no registry; those of Docker Hub begin with `docker.io/`",
    );
    check_error("image(1)", "no such overload: image(int)");
    check_error("isImage(object.spec.nothing)", "no such overload: isImage(null_type)");
}

#[test]
fn images_pass_from_program_to_program() {
    let environment = Environment::new().with_variable("parsed").with_images();
    let parse = Program::compile(&environment, "[image('ghcr.io/acme/app')]").unwrap();
    let test = Program::compile(&environment, "parsed.all(i, i.isUnder('ghcr.io'))").unwrap();
    let budget = Budget::new(100);
    let mut bindings = Bindings::new();
    bindings.set("parsed", parse.evaluate(&Bindings::new(), &budget).unwrap());
    assert_eq!(test.evaluate(&bindings, &budget).unwrap().as_bool(), Some(true));
}
