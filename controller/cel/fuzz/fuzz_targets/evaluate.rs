//! Programs end within their cost and memory, the same way twice, and as the crate `cel` has it where both have a
//! value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_cel::{Bindings, Environment, Meter, Program, Tree, Value};
use portcullis_cel_fuzz::{Counting, abort_on_our_panics, bounded, case, environments, oracle};
use std::sync::OnceLock;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ENVIRONMENTS: OnceLock<[Environment; 4]> = OnceLock::new();
/// What an expression may cost here: a hundredth of what Kubernetes lets it.
const COST_LIMIT: u64 = 10_000;

fuzz_target!(init: abort_on_our_panics(), |data: &[u8]| {
    let Some(case) = case(data) else { return };
    let object = Tree::from(&case.object);
    for (index, environment) in ENVIRONMENTS.get_or_init(environments).iter().enumerate() {
        let Ok(program) = Program::compile(environment, &case.source) else { continue };
        let mut bindings = Bindings::new(environment);
        bindings.set("object", Value::from_json(object.root()));
        let run = || {
            let meter = Meter::new(COST_LIMIT);
            let result = bounded("evaluating", || program.evaluate(&bindings, &meter));
            (result, meter.cost())
        };
        let ((one, cost), (two, again)) = (run(), run());
        let same = match (&one, &two) {
            (Ok(one), Ok(two)) => one.identical(two),
            (Err(one), Err(two)) => one == two,
            _ => false,
        };
        assert!(same && cost == again, "{}: {one:?} at {cost}, then {two:?} at {again}", case.source);
        if let Ok(value) = &one {
            let _ = bounded("writing", || value.to_json());
            if index == 0 {
                oracle::compare(&case, value, cost);
            }
        }
    }
});
