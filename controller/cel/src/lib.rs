//! CEL for policies: compile once, evaluate many.
