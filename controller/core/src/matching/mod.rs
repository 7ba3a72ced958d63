//! Which policies a request concerns.
