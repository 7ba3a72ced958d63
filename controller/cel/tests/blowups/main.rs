//! Every expression of [`inputs`] ends as it should, within what one evaluation may cost and with at most 32 MB.
#![cfg(test)]
#![expect(unsafe_code, reason = "an allocator that counts is one that forwards, which is unsafe to write")]

mod inputs;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use inputs::End;
use portcullis_cel::{Bindings, Environment, KubernetesVersion, Meter, Program, Tree, Type, Value};

/// What Kubernetes lets one expression cost.
const COST_LIMIT: u64 = 1_000_000;
/// The most memory that compiling or evaluating may take at any moment, in bytes.
const MEMORY_LIMIT: i64 = 32 << 20;

struct Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    LIVE.with(|live| {
        live.set(live.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn bytes(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(bytes(layout.size()));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-bytes(layout.size()));
        // SAFETY: the pointer came from `alloc` above, and so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that `work` takes beside what was there before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get() - before)
}

fn end_of(environment: &Environment, object: &Tree, source: &str, meter: &Meter) -> Result<(), End> {
    let program = match Program::compile(environment, source) {
        Ok(program) => program,
        Err(errors) => return Err(End::Refused(errors[0].message.clone().leak())),
    };
    let mut bindings = Bindings::new(environment);
    bindings.set("object", Value::from_json(object.root()));
    match program.evaluate(&bindings, meter) {
        Ok(_) => Ok(()),
        Err(failure) => Err(End::Fails(failure.to_string().leak())),
    }
}

#[test]
fn they_end_within_limits() {
    let environment =
        Environment::kubernetes(KubernetesVersion::default()).with_variable("object", Type::Dyn);
    let object = inputs::object();
    let mut wrong = Vec::new();
    for input in inputs::all() {
        let meter = Meter::new(COST_LIMIT);
        let (end, peak) = peak(|| end_of(&environment, &object, &input.source, &meter));
        let as_it_should = match (&end, &input.end) {
            (Ok(()), End::Gives) => true,
            (Err(End::Refused(found)), End::Refused(expected)) => found.contains(expected),
            (Err(End::Fails(found)), End::Fails(expected)) => found.contains(expected),
            _ => false,
        };
        // The operation that passes the limit may pass it by what it reads.
        if !as_it_should || peak > MEMORY_LIMIT || meter.cost() > 2 * COST_LIMIT {
            let end = format!("{end:?}").chars().take(200).collect::<String>();
            wrong.push(format!("{}: {end}, {peak} bytes, cost {}", input.name, meter.cost()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
