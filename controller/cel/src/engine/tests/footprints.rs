//! What programs read, and that nothing else can change a result. A larger property test, over generated
//! expressions, is `oracle footprint` in the `conformance` crate.

use serde_json::{Value as Json, json};

use super::super::{Bindings, Extent, Footprint, Meter, Origin, Program, Projection, Step, Type, Value};
use super::{environment, object};
use crate::tree::Tree;

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let program = Program::compile(&environment(), source).unwrap_or_else(|errors| panic!("{errors:?}"));
    let reads: Vec<String> = program.footprint().reads().map(|read| read.to_string()).collect();
    assert_eq!(reads, expected, "{source}");
}

#[test]
fn reads() {
    check("1 + 1 == 2", &[]);
    check("object", &["object"]);
    check("object.spec.replicas > 1", &["object.spec.replicas"]);
    check("object['spec'].replicas > 1", &["object.spec.replicas"]);
    check("has(object.spec.x) && object.spec.y == 1", &["object.spec.x (presence)", "object.spec.y"]);
    check("object.?spec.?x.orValue(1) == 1", &["object.spec.x"]);
    check("object.spec == 1 || object.spec.x == 2", &["object.spec"]);
    check("size(object.spec.x)", &["object.spec.x (shape)"]);
    check(
        "object.spec.containers.all(c, c.image.startsWith(params.registry))",
        &["object.spec.containers.*.image", "params.registry"],
    );
    check("(object.a + object.?b.orValue([])).exists(c, c.x == 1)", &["object.a.*.x", "object.b.*.x"]);
    check("object.a.filter(c, c.x).map(c, c.y)[0].z", &["object.a.*.x", "object.a.*.y.z"]);
    check("object.labels[params.key]", &["object.labels.*", "params.key"]);
    check("object.a.exists(k, v, v.x == k)", &["object.a.*.x"]);
    check("{'x': object.a}.x.b == 1", &["object.a.b"]);
    check("object.?a.optMap(v, v.b)", &["object.a.b"]);
    check("[1].all(object, object == 1)", &[]);
    check("[1].all(object, .object.x == 1)", &["object.x"]);
}

/// What `source` reads if its `variables` are results of these programs, each of which may build on earlier ones.
#[track_caller]
fn check_composed(variables: &[(&str, &str)], source: &str, expected: &[&str]) {
    let environment = environment().with_variable("variables", Type::Dyn);
    let mut known: Vec<(&str, Origin)> = Vec::new();
    let find = |known: &'_ [(&str, Origin)], variable: &str, steps: &[Step]| {
        let Some(Step::Field(first)) = steps.first().filter(|_| variable == "variables") else { return None };
        known.iter().position(|(name, _)| *name == &**first)
    };
    for (name, source) in variables {
        let program = Program::compile(&environment, source).unwrap();
        let origin = program.origin().resolve(&|variable, steps| {
            find(&known, variable, steps).map(|index| (vec![&known[index].1], 1))
        });
        known.push((name, origin));
    }
    let program = Program::compile(&environment, source).unwrap();
    let footprint = program
        .footprint()
        .resolve(&|variable, steps| find(&known, variable, steps).map(|index| (vec![&known[index].1], 1)));
    let reads: Vec<String> = footprint.reads().map(|read| read.to_string()).collect();
    assert_eq!(reads, expected, "{source}");
}

#[test]
fn reads_through_results_of_other_programs() {
    let all = [
        ("pod", "object.spec"),
        ("all", "variables.pod.containers + variables.pod.?init.orValue([])"),
        ("images", "variables.all.map(c, c.image)"),
        ("either", "object.flag ? variables.pod : params"),
        ("unused", "params.unused"),
    ];
    let all = all.as_slice();
    check_composed(all, "variables.pod.replicas == 1", &["object.spec.replicas"]);
    check_composed(all, "has(variables.pod.replicas)", &["object.spec.replicas (presence)"]);
    check_composed(
        all,
        "variables.all.all(c, c.image != '')",
        &["object.spec.containers.*.image", "object.spec.init.*.image"],
    );
    check_composed(
        all,
        "size(variables.all) == 1",
        &["object.spec.containers (shape)", "object.spec.init (shape)"],
    );
    check_composed(
        all,
        "variables.images.exists(i, i == 'x')",
        &["object.spec.containers.*.image", "object.spec.init.*.image"],
    );
    check_composed(all, "variables.either.x == 1", &["object.flag", "object.spec.x", "params.x"]);
    check_composed(all, "variables.pod == 1", &["object.spec"]);
    check_composed(all, "variables.missing == 1", &["variables.missing"]);
}

#[test]
fn what_multiplies_places_is_read_whole() {
    let doubling =
        (0..40).fold("object".to_owned(), |inner, _| format!("[{inner}].map(x, x.c ? x.a : x.b)[0]"));
    let program = Program::compile(&environment(), &doubling).unwrap();
    assert!(program.footprint().reads().count() < 1_000);
    let mut footprint = program.footprint().clone();
    for _ in 0..100 {
        let origin = program.origin().clone();
        footprint = footprint.resolve(&|variable, _| (variable == "object").then(|| (vec![&origin], 0)));
    }
    assert!(footprint.reads().all(|read| read.steps.len() < 1_000) && footprint.reads().count() < 10_000);
}

#[test]
fn projections() {
    let check = |sources: &[&str], path: &[&str], expected: Option<Extent>| {
        let mut footprint = Footprint::default();
        for source in sources {
            footprint.merge(Program::compile(&environment(), source).unwrap().footprint());
        }
        let found = footprint.of("object").and_then(|object| object.at(path));
        assert_eq!(found.map(Projection::extent), expected, "{sources:?} at {path:?}");
    };
    let all = [
        "object.a.all(c, c.x == 1)",
        "object.a.b.y == 1",
        "size(object.s) == 1",
        "has(object.p)",
        "object.w == 1",
    ];
    check(&all, &[], Some(Extent::Type));
    check(&all, &["a"], Some(Extent::Shape));
    check(&all, &["a", "any"], Some(Extent::Type));
    check(&all, &["a", "any", "x"], Some(Extent::Whole));
    check(&all, &["a", "any", "y"], None);
    check(&all, &["a", "b", "x"], Some(Extent::Whole));
    check(&all, &["a", "b", "y"], Some(Extent::Whole));
    check(&all, &["s", "any"], Some(Extent::Presence));
    check(&all, &["p"], Some(Extent::Presence));
    check(&all, &["p", "any"], None);
    check(&all, &["w", "any", "thing"], Some(Extent::Whole));
    check(&["object == 1", "object.a.b"], &["c"], Some(Extent::Whole));
    check(&["params.a"], &[], None);
}

#[test]
fn plain_selections() {
    let check = |source: &str, expected: Option<&str>| {
        let program = Program::compile(&environment(), source).unwrap();
        assert_eq!(program.plain_selection().map(ToString::to_string).as_deref(), expected, "{source}");
    };
    check("object", Some("object"));
    check(" (object.spec)['rules'] // all", Some("object.spec.rules"));
    check("object.?spec", None);
    check("has(object.spec)", None);
    check("object.spec[0]", None);
    check("object.spec == 1", None);
}

/// Every value that differs from `original` in one place.
fn mutations(original: &Json) -> Vec<Json> {
    let mut mutated = vec![json!("other"), json!(null), json!([1]), json!({"name": 1})];
    match original {
        Json::Object(fields) => {
            for (name, value) in fields {
                let with = |value: Option<Json>| {
                    let mut fields = fields.clone();
                    match value {
                        Some(value) => fields.insert(name.clone(), value),
                        None => fields.remove(name),
                    };
                    Json::Object(fields)
                };
                mutated.push(with(None));
                mutated.extend(mutations(value).into_iter().map(|value| with(Some(value))));
            }
            let mut more = fields.clone();
            more.insert("added".to_owned(), json!(1));
            mutated.push(Json::Object(more));
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                mutated.extend(mutations(item).into_iter().map(|value| {
                    let mut items = items.clone();
                    items[index] = value;
                    Json::Array(items)
                }));
            }
            mutated.push(Json::Array(items.iter().skip(1).cloned().collect()));
        }
        _ => {}
    }
    mutated
}

#[test]
fn what_is_not_read_never_changes_a_result() {
    let environment = environment();
    let original = object();
    let sources = [
        "object.spec.replicas > 1",
        "has(object.spec.nothing)",
        "object.spec.containers.all(c, c.image.startsWith('r'))",
        "object.spec.containers.filter(c, has(c.ports)).map(c, c.name)",
        "object.metadata.labels.exists(k, v, k == 'app' && v == 'web')",
        "size(object.spec.containers) + size(object.metadata.labels)",
        "'app' in object.metadata.labels",
        "object.spec.containers[0].ports[?1].orValue(0)",
        "object.?metadata.?labels.tier.optMap(t, t + object.metadata.name)",
        "[object.spec.replicas, object.spec.weight].map(x, string(x))",
        "type(object.spec.replicas) == int ? object.metadata.name : object.metadata.namespace",
        "(object.spec.containers + [object.metadata]).exists_one(x, x.name == 'web')",
        "object.metadata == object.metadata",
        "object.spec.missing || object.spec.hostNetwork == false",
    ];
    let mutated: Vec<Tree> = mutations(&original.to_json()).into_iter().map(Tree::from).collect();
    let (mut outside, mut inside) = (0, 0);
    for source in sources {
        let program = Program::compile(&environment, source).unwrap();
        let evaluate = |object: &Tree| {
            let mut bindings = Bindings::new(&environment);
            bindings.set("object", Value::from_json(object.root()));
            program.evaluate(&bindings, &Meter::new(100_000)).map(|value| value.to_json())
        };
        let expected = evaluate(&original);
        for object in &mutated {
            let values = (Value::from_json(original.root()), Value::from_json(object.root()));
            if !program.footprint().agrees("object", &values.0, &values.1) {
                inside += 1;
                continue;
            }
            outside += 1;
            assert_eq!(evaluate(object), expected, "{source} on {object}");
        }
    }
    assert!(outside > 500 && inside > 100, "{outside} outside, {inside} inside");
}
