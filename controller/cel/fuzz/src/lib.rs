//! What the fuzz targets share: memory that is counted, panics that are told apart, and what expressions see.

mod generate;
pub mod oracle;

pub use generate::{Case, case};

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use portcullis_cel::{Environment, KubernetesVersion, ObjectType, Type};

/// The most memory that compiling or evaluating may take at any moment, in bytes.
pub const MEMORY_LIMIT: i64 = 32 << 20;

/// The system's allocator, counting what one thread holds.
pub struct Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(size: usize, freed: bool) {
    let bytes = i64::try_from(size).unwrap_or(i64::MAX);
    // A thread that is ending has no counters any more.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + if freed { -bytes } else { bytes });
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one only forwards")]
// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), false);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), true);
        // SAFETY: the pointer came from `alloc` above, and so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work`, which may take [`MEMORY_LIMIT`] and no more.
///
/// # Panics
/// If it takes more.
pub fn bounded<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    let peak = PEAK.get() - before;
    assert!(peak <= MEMORY_LIMIT, "{what} took {peak} bytes");
    result
}

/// Aborts on every panic but those of the parser's library, which the engine catches and reports as an error.
pub fn abort_on_our_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |location| location.file());
        if !(file.contains("/antlr4rust-") || file.contains("/cel-0.")) {
            report(panic);
            std::process::abort();
        }
    }));
}

/// The environments that expressions are compiled in: `object` is `dyn` in each.
pub fn environments() -> [Environment; 4] {
    let request = ObjectType::new("Request", [("name", Type::String), ("dryRun", Type::Bool)]);
    let newest = Environment::kubernetes(KubernetesVersion::NEWEST).with_extensions();
    let declare = |environment: Environment| environment.with_variable("object", Type::Dyn);
    [
        declare(newest)
            .with_variable("request", Type::Object(request))
            .with_variable("params", Type::map(Type::String, Type::list(Type::String))),
        declare(Environment::kubernetes(KubernetesVersion::OLDEST)),
        declare(Environment::new().by_specification()),
        declare(Environment::new().unchecked()),
    ]
}
