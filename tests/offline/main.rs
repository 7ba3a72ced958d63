//! Whole-CLI snapshots: each file in `snapshots/` holds a command, its exit code and what it printed.
//!
//! `PORTCULLIS_UPDATE=1 cargo test -p portcullis --test offline` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory that commands run in, so that the paths they print are the same everywhere.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/offline")
}

#[test]
fn commands_print_what_their_snapshots_hold() {
    let update = std::env::var_os("PORTCULLIS_UPDATE").is_some();
    let mut snapshots: Vec<PathBuf> = fs::read_dir(root().join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    snapshots.sort();
    assert!(!snapshots.is_empty(), "there are snapshots");

    let mut wrong = String::new();
    for path in &snapshots {
        let expected = fs::read_to_string(path).unwrap();
        let command = expected.lines().next().and_then(|line| line.strip_prefix("$ portcullis ")).unwrap();
        let actual = run(command);
        if actual != expected && update {
            fs::write(path, &actual).unwrap();
        } else if actual != expected {
            writeln!(wrong, "{}:\n{}", path.display(), difference(&expected, &actual)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "snapshots differ; PORTCULLIS_UPDATE=1 accepts what is printed now\n\n{wrong}");
}

/// Runs a command line, words split at blanks, with `< file` for standard input; the result as a snapshot.
fn run(command: &str) -> String {
    let (words, input) = command.split_once(" < ").unwrap_or((command, "/dev/null"));
    let input = fs::File::open(root().join(input)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(words.split_whitespace())
        .current_dir(root())
        .env_remove("NO_COLOR")
        .env("COLUMNS", "80")
        .stdin(Stdio::from(input))
        .output()
        .unwrap();
    let mut snapshot = format!("$ portcullis {command}\nexit: {}\n", output.status.code().unwrap());
    for (name, stream) in [("stdout", output.stdout), ("stderr", output.stderr)] {
        let text = String::from_utf8(stream).unwrap();
        write!(snapshot, "--- {name}\n{text}").unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{command}: the last line ends");
    }
    // Escape sequences would be invisible in a diff.
    snapshot.replace('\x1b', "<ESC>")
}

/// The lines that differ, and how.
fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let same = expected.iter().zip(&actual).take_while(|(left, right)| left == right).count();
    let mut text = format!("  the first {same} lines agree\n");
    for line in expected.iter().skip(same) {
        writeln!(text, "  - {line}").unwrap();
    }
    for line in actual.iter().skip(same) {
        writeln!(text, "  + {line}").unwrap();
    }
    text
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::io::Read;
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", "manifests", "-o", "json"])
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
}

#[test]
fn errors_are_log_lines_with_the_json_format() {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", "clean", "--policies", "nowhere", "--log-format", "json"])
        .current_dir(root())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["message"], "cannot read policies from `nowhere`: no such file or directory");
    assert_eq!(line["hint"], "name the directory of your policies with `--policies`");
}
