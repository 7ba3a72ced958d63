//! Lines for the controller's log. Of a call at most 10 are written, and of a line 1 KiB; natively they go to standard
//! error.

use std::fmt::Display;

/// Logs an error. It does not end the call; if the call then panics, the panic's message is told to the requester.
pub fn error(line: impl Display) {
    write(1, &line.to_string());
}

/// Logs a warning.
pub fn warn(line: impl Display) {
    write(2, &line.to_string());
}

/// Logs a piece of information.
pub fn info(line: impl Display) {
    write(3, &line.to_string());
}

/// Logs what is of interest to whoever looks for a mistake in the policy.
pub fn debug(line: impl Display) {
    write(4, &line.to_string());
}

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "a function of the host")]
fn write(level: i32, line: &str) {
    #[link(wasm_import_module = "portcullis")]
    unsafe extern "C" {
        fn log(level: i32, text: *const u8, length: usize);
    }
    // SAFETY: the host reads so many bytes from there, which is what the line has.
    unsafe { log(level, line.as_ptr(), line.len()) }
}

#[cfg(not(target_arch = "wasm32"))]
#[expect(clippy::print_stderr, reason = "natively that is the log")]
fn write(level: i32, line: &str) {
    let level = match level {
        1 => "error",
        2 => "warning",
        3 => "info",
        _ => "debug",
    };
    eprintln!("{level}: {line}");
}
