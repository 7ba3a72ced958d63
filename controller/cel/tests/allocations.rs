//! A program that passes allocates nothing, unless its expression builds a value.

#![expect(unsafe_code, reason = "an allocator that counts is one that forwards, which is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use portcullis_cel::Tree;
use portcullis_cel::engine::{Bindings, Environment, Meter, Program, Type, Value};
use serde_json::json;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, and so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often evaluating `source` allocates, once it has been evaluated before.
fn allocations(source: &str) -> u64 {
    let object = Tree::from(json!({
        "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "replicas": 3,
            "containers": [
                {"name": "a", "image": "registry.example.com/a:1", "resources": {"limits": {"memory": "1Gi"}}},
                {"name": "b", "image": "registry.example.com/b:1", "securityContext": {"privileged": false}},
            ],
        },
    }));
    let environment = Environment::new().with_variable("object", Type::Dyn);
    let program = match Program::compile(&environment, source) {
        Ok(program) => program,
        Err(errors) => unreachable!("{source}: {errors:?}"),
    };
    let mut bindings = Bindings::new(&environment);
    bindings.set("object", Value::from_json(object.root()));
    let mut counted = 0;
    for _ in 0..2 {
        let before = COUNT.get();
        let result = program.evaluate(&bindings, &Meter::new(1_000_000));
        counted = COUNT.get() - before;
        assert!(result.is_ok(), "{source}: {result:?}");
    }
    counted
}

#[test]
fn the_common_path_allocates_nothing() {
    for source in [
        "object.spec.replicas <= 5",
        "has(object.spec.hostNetwork) ? !object.spec.hostNetwork : true",
        "!has(object.metadata.annotations) || object.metadata.annotations.size() == 0",
        "object.spec.containers.all(c, c.image.startsWith('registry.example.com/'))",
        "object.spec.containers.all(c, c.image.matches('^[a-z./:0-9]+$'))",
        "object.spec.containers.exists(c, c.?securityContext.?privileged.orValue(false) == true) == false",
        "object.metadata.labels.all(k, k in ['app', 'tier'])",
        "object.metadata.labels.exists(k, v, k == 'app' && v == object.metadata.name)",
        "object.spec.containers.exists_one(c, has(c.resources) && size(c.name) == 1)",
        "object.spec.containers[0].name != object.spec.containers[1].name",
        "('app' in object.metadata.labels) && object.metadata.labels['app'].contains('e')",
    ] {
        let expected = if source.contains(".?") { 2 } else { 0 };
        assert!(allocations(source) <= expected, "{source}: {}", allocations(source));
    }
}

#[test]
fn building_a_value_does() {
    assert!(allocations("object.spec.containers.map(c, c.name)") > 0);
    assert!(allocations("object.metadata.name + '-x'") > 0);
}

#[test]
fn values_are_small() {
    assert_eq!(size_of::<Value<'_>>(), 24);
}
