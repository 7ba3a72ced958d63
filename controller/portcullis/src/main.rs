//! The `portcullis` binary: everything is in the library, so that tests reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::run(std::env::args_os()).into()
}
