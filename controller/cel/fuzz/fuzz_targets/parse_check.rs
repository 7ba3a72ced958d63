//! Any text compiles or is refused, within memory, and every error is at a place of the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_cel::{Environment, Program};
use portcullis_cel_fuzz::{Counting, abort_on_our_panics, bounded, environments};
use std::sync::OnceLock;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ENVIRONMENTS: OnceLock<[Environment; 4]> = OnceLock::new();

fuzz_target!(init: abort_on_our_panics(), |data: &[u8]| {
    let Ok(source) = std::str::from_utf8(data) else { return };
    for environment in ENVIRONMENTS.get_or_init(environments) {
        let errors = match bounded("compiling", || Program::compile(environment, source)) {
            Ok(program) => {
                assert_eq!(program.source(), source);
                continue;
            }
            Err(errors) => errors,
        };
        assert!(!errors.is_empty(), "refused without a reason");
        for error in errors {
            // The end of the text counts as a place.
            let line = source.split('\n').nth(error.line as usize - 1);
            let columns = line.map(|line| line.chars().count() + 1);
            let inside = columns.is_some_and(|columns| (1..=columns).contains(&(error.column as usize)));
            assert!(inside, "not a place of the text: {error:?}");
            assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error:?}");
        }
    }
});
