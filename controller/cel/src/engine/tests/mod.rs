//! Tests of the engine as a whole, by area.

mod authorizing;
mod checking;
mod costs;
mod evaluating;
mod footprints;
mod libraries;
mod limits;
mod observing;
mod opaque;

use serde_json::{Value as Json, json};

use super::{Bindings, Environment, Failure, KubernetesVersion, Meter, Program, Type, Value};
use crate::tree::Tree;

/// Programs are shared between the threads that answer requests.
#[test]
fn programs_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Program>();
    shared::<Environment>();
}

/// The object that tests read.
fn object() -> Tree {
    Tree::from(json!({
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "replicas": 3,
            "weight": 0.5,
            "hostNetwork": false,
            "nothing": null,
            "containers": [
                {"name": "a", "image": "registry.example.com/a:1", "ports": [80, 443]},
                {"name": "b", "image": "ghcr.io/b@sha256:1"},
            ],
        },
    }))
}

fn environment() -> Environment {
    let environment = Environment::kubernetes(KubernetesVersion::NEWEST);
    environment.with_variable("object", Type::Dyn).with_variable("params", Type::Dyn)
}

/// What a program makes of the object, and what that costs.
fn run(source: &str) -> (Result<Json, Box<Failure>>, u64) {
    let environment = environment();
    let program =
        Program::compile(&environment, source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    let object = object();
    let mut bindings = Bindings::new(&environment);
    bindings.set("object", Value::from_json(object.root()));
    let meter = Meter::new(1_000_000);
    let result = program.evaluate(&bindings, &meter).map(|value| value.to_json());
    (result, meter.cost())
}

/// Checks what the first thing is that is wrong with an expression.
#[track_caller]
fn check_compiles_not(source: &str, message: &str) {
    let errors = Program::compile(&environment(), source).expect_err(source);
    let first = errors.first().map(|error| error.message.as_str()).unwrap_or_default();
    assert!(first.contains(message), "{source}: {first}");
}
