//! Results apart from their rendering: `model` says what was found, `judge` fills it from decisions,
//! `table` writes it for people and `json` for programs.

mod carets;
pub mod explain;
pub mod json;
pub mod judge;
pub mod lint;
pub mod model;
pub mod table;
