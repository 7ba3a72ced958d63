//! Where policies and resources come from when there is no cluster: directories of files.
//!
//! [`tree`] finds and reads files as one consistent snapshot, [`files`] makes policies of them and
//! [`resources`] facts; [`watch`] says when something changed.

pub mod files;
pub mod resources;
pub mod tree;
pub mod watch;
