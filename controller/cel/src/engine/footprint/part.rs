//! What is known of a program's sub-expressions before anything is evaluated.

use super::{Footprint, Read};

/// A sub-expression that is observed: one that is no constant, and of which a longer selection is not the whole.
#[derive(Debug)]
pub struct Part {
    /// Where its name, its operator or its bracket stands in the source, in bytes.
    pub at: usize,
    /// The part that it is an operand of.
    pub parent: Option<usize>,
    /// The macro that evaluates it for each element, or for what an optional holds, if one does.
    pub within: Option<usize>,
    /// Whether it is a macro over elements.
    pub over_elements: bool,
    /// What one element has to say to decide it, if it is an `all` or an `exists`.
    pub quantifier: Option<bool>,
    /// What it reads, macros around it not included.
    pub footprint: Footprint,
    /// The path, if it is nothing but a variable or a plain selection from one.
    pub selection: Option<Read>,
}
