//! The one list of commands.
fn main() {}
