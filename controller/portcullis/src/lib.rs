//! The library behind the `portcullis` binary.
