//! The tests, a file for each area. A test is a function whose name says what it shows.

mod enforcement;

use super::Sentence;

/// Tests by their functions; `breaks_servers` before those that need servers of their own.
macro_rules! sentences {
    ($($(#[$mark:ident])? $test:ident),* $(,)?) => {
        vec![$(crate::cluster::Sentence {
            name: stringify!($test),
            test: $test,
            breaks_servers: sentences!(@breaks $($mark)?),
        }),*]
    };
    (@breaks breaks_servers) => { true };
    (@breaks) => { false };
}
use sentences;

/// Every test, in the order in which they run.
pub(super) fn all() -> Vec<Sentence> {
    enforcement::all()
}
