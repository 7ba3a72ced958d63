//! Footprints: what is listed, and that nothing outside of it changes a result.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::{Bindings, Budget, Environment, Program, Value};

fn compile(source: &str) -> Program {
    let environment =
        Environment::new().with_variable("object").with_variable("oldObject").with_variable("params");
    Program::compile(&environment, source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"))
}

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let reads: BTreeSet<String> = compile(source).reads().iter().map(ToString::to_string).collect();
    assert_eq!(reads, expected.iter().map(|path| (*path).to_owned()).collect(), "{source}");
}

#[track_caller]
fn check_plain(source: &str, expected: Option<&str>) {
    let program = compile(source);
    assert_eq!(program.plain_selection().map(ToString::to_string).as_deref(), expected, "{source}");
}

#[test]
fn selections_are_paths() {
    check("1 + 1 == 2", &[]);
    check("object", &["object"]);
    check("object.spec.replicas > 1", &["object.spec.replicas"]);
    check("object['spec']['replicas'] > 1", &["object.spec.replicas"]);
    check("has(object.spec.x) && object.spec.y", &["object.spec.x", "object.spec.y"]);
    check("object.?spec.?x.orValue(1) == 1", &["object.spec.x"]);
    check("object[?'spec'].x.hasValue()", &["object.spec.x"]);
    check(".object.spec.x", &["object.spec.x"]);
    check("object.spec.`a-b`", &["object.spec.a-b"]);
    check("object.spec.x == oldObject.spec.x", &["object.spec.x", "oldObject.spec.x"]);
    check("object.spec == 1 || object.spec.x == 2", &["object.spec"]);
    check(
        "object.a.b == 1 || object.a == 1 || object.a.c == 1 || object.ab == 1",
        &["object.a", "object.ab"],
    );
}

#[test]
fn what_is_not_a_selection_reads_all_below() {
    check("size(object.spec.x)", &["object.spec.x"]);
    check("object.spec.x.size() > 0", &["object.spec.x"]);
    check("object.spec.containers[0].image", &["object.spec.containers"]);
    check("object.labels[params.key].x", &["object.labels", "params.key"]);
    check("object.labels[object.labels['a']]['b']", &["object.labels"]);
    check(
        "object.spec.containers.all(c, c.image == params.image)",
        &["object.spec.containers", "params.image"],
    );
    check("object.spec.containers.map(c, c)[0].image", &["object.spec.containers"]);
    check("[object.a, params][0].b", &["object.a", "params"]);
    check("{'x': object.a, params.key: 1}.x.y", &["object.a", "params.key"]);
    check("(object.a ? object.b : params).c", &["object.a", "object.b", "params"]);
    check("type(object) == map", &["object"]);
    check("'app' in object.labels", &["object.labels"]);
    check("optional.of(object.a).value().b", &["object.a"]);
}

#[test]
fn macro_variables_are_not_reads() {
    check("[1].all(object, object.x)", &[]);
    check("[object.y].all(object, object.x) && object.z", &["object.y", "object.z"]);
    check("[1].all(object, .object.x)", &["object.x"]);
    check("object.a.filter(x, x.b.exists(y, y == object.c)).size()", &["object.a", "object.c"]);
    check("object.?a.optMap(v, v.b + params.c).hasValue()", &["object.a", "params.c"]);
    check("object.a.sortBy(x, x.b).size()", &["object.a"]);
}

#[test]
fn plain_selections() {
    check_plain("object", Some("object"));
    check_plain("object.spec.rules", Some("object.spec.rules"));
    check_plain(" (object.spec).rules // all", Some("object.spec.rules"));
    check_plain("object['spec'].rules", Some("object.spec.rules"));
    check_plain("object.spec.rules[0]", None);
    check_plain("has(object.spec.rules)", None);
    check_plain("object.?spec", None);
    check_plain("object.spec.rules + []", None);
    check_plain("'object'", None);
    check_plain("int", None);
}

/// Replaces one leaf after another by something else: results may differ only where a leaf below a path
/// that is read was replaced.
#[test]
fn nothing_else_changes_a_result() {
    let object = json!({
        "a": {"b": {"c": 1, "d": [1, 2, {"e": 3}]}, "f": "x"},
        "list": [{"name": "x", "on": true}, {"name": "y", "on": false}],
        "key": "f"
    });
    let sources = [
        "object.a.b.c == 1",
        "has(object.a.b) && object.a.b.c + 1 > 1",
        "object.a[object.key] == 'x'",
        "object.list.exists(l, l.on && l.name == object.a.f)",
        "object.list.map(object, object.name)",
        "object.a.b.d[2].e + size(object.key)",
        "object.?a.?z.orValue(object.key)",
        "{'k': object.a}.k.b.c",
        "[object.list, object.a.b.d][0].size()",
        "object.a.b == {'c': 1, 'd': [1, 2, {'e': 3}]}",
        "object.list[0].name.matches(object.a.f)",
        "object.list.sortBy(l, l.name)[0].on",
        "string(object.a.b.c) + object.a.f",
        "object.?a.optMap(v, v.f)",
    ];
    for source in sources {
        let program = compile(source);
        let before = evaluate(&program, &object);
        assert!(before.is_ok(), "{source}: {before:?}");
        for pointer in leaves(&object) {
            let mut changed = object.clone();
            *changed.pointer_mut(&pointer).unwrap() = json!({"changed": true});
            if evaluate(&program, &changed) != before {
                let segments: Vec<&str> = pointer.split('/').skip(1).collect();
                let covered = program
                    .reads()
                    .iter()
                    .any(|path| path.segments.iter().zip(&segments).all(|(read, changed)| read == changed));
                assert!(covered, "{source} reads {pointer}, but says {:?}", program.reads());
            }
        }
    }
}

fn evaluate(program: &Program, object: &Json) -> Result<Json, String> {
    let mut bindings = Bindings::new();
    bindings.set("object", Value::from_json(object));
    program
        .evaluate(&bindings, &Budget::new(1_000))
        .map(|value| value.to_json())
        .map_err(|error| error.message)
}

/// JSON pointers to all values inside.
fn leaves(json: &Json) -> Vec<String> {
    let children: Vec<(String, &Json)> = match json {
        Json::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Json::Array(items) => {
            items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    children
        .into_iter()
        .flat_map(|(name, child)| {
            let below: Vec<String> = leaves(child).into_iter().map(|rest| format!("/{name}{rest}")).collect();
            std::iter::once(format!("/{name}")).chain(below)
        })
        .collect()
}
