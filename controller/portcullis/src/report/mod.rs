//! Results apart from their rendering: `model` says what was found, `counts` how much, `judge` fills it from decisions,
//! `table` writes it for people and `json` for programs.

mod carets;
pub mod counts;
pub mod explain;
pub mod json;
pub mod judge;
pub mod lint;
pub mod model;
pub mod table;
