//! The house rules that a machine can check: short files that open with what they are for, no loose ends.

use crate::workspace::root;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Where our Rust sources are.
const SOURCES: [&str; 3] = ["controller", "sdk", "tests"];

/// Lines of production code that a file may have: those before its unit tests.
const MAX_LINES: usize = 400;

/// The page that says which tests show that what hurt others' users does not happen here.
const LESSONS: &str = "tests/LESSONS.md";

/// Longer files, each with the reason why it is not split.
const LONG_FILES: [(&str, &str); 0] = [];

/// Every violation, a line each: `path[:line]: problem`.
pub(crate) fn check() -> Result<Vec<String>> {
    let root = root()?;
    let mut files = Vec::new();
    for folder in SOURCES.iter().map(|name| root.join(name)).filter(|folder| folder.is_dir()) {
        rust_files(&folder, &mut files)?;
    }
    files.sort();
    let mut problems = Vec::new();
    let mut sources = String::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let path = file.strip_prefix(&root).unwrap_or(&file);
        problems.extend(problems_of(path, &text));
        sources += &text;
    }
    let lessons = root.join(LESSONS);
    let lessons = fs::read_to_string(&lessons).with_context(|| format!("cannot read `{LESSONS}`"))?;
    problems.extend(missing_tests(&lessons, &sources));
    Ok(problems)
}

/// The tests that a page names and that are in no source.
fn missing_tests(page: &str, sources: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| seen in"));
    let named = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    named
        .filter(|name| name.contains('_') && !sources.contains(&format!("fn {name}(")))
        .map(|name| format!("{LESSONS}: there is no test `{name}`"))
        .collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                rust_files(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn problems_of(path: &Path, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = path.to_string_lossy();
    if !text.starts_with("//!") && !text.starts_with("#![doc = ") {
        problems.push(format!("{name}:1: opens without a module doc (`//! …`)"));
    }
    let long = if is_test(path) { 0 } else { production_lines(text) };
    match LONG_FILES.iter().find(|(file, _)| *file == name) {
        None if long > MAX_LINES => {
            problems.push(format!("{name}: {long} lines of production code, {MAX_LINES} are allowed"));
        }
        Some(_) if long <= MAX_LINES => {
            problems.push(format!("{name}: short again, take it off the list in house.rs"));
        }
        _ => {}
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| is_loose_end(line)) {
        problems.push(format!("{name}:{}: a loose end without an issue: `{}`", number + 1, line.trim()));
    }
    problems
}

/// Whether a file holds only tests: `tests.rs` or `*_tests.rs`, or anything in a folder `tests`, our own commands aside.
fn is_test(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name == "tests.rs" || name.ends_with("_tests.rs"))
        || path.components().any(|part| part.as_os_str() == "tests") && !path.starts_with("tests/xtask")
}

fn production_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// Whether a line promises work without naming the issue that tracks it: `TODO(#12)` does name it.
fn is_loose_end(line: &str) -> bool {
    // In two parts, so that this file does not complain about itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    words.iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            let after = line.get(at + word.len()..).unwrap_or_default();
            let whole = |neighbour: Option<char>| neighbour.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            whole(before) && whole(after.chars().next()) && !after.starts_with("(#")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINES, missing_tests, problems_of};
    use std::path::Path;

    fn check(path: &str, text: &str, expect: &[&str]) {
        assert_eq!(problems_of(Path::new(path), text), expect);
    }

    #[test]
    fn a_file_opens_with_what_it_is_for() {
        check("controller/core/src/a.rs", "//! Doc.\nfn a() {}\n", &[]);
        check(
            "controller/core/src/a.rs",
            "fn a() {}\n",
            &["controller/core/src/a.rs:1: opens without a module doc (`//! …`)"],
        );
    }

    #[test]
    fn only_production_code_counts() {
        let code = format!("//! Doc.\n{}", "fn a() {}\n".repeat(MAX_LINES));
        check(
            "controller/core/src/a.rs",
            &code,
            &["controller/core/src/a.rs: 401 lines of production code, 400 are allowed"],
        );
        check(
            "tests/xtask/src/a.rs",
            &code,
            &["tests/xtask/src/a.rs: 401 lines of production code, 400 are allowed"],
        );
        check("controller/core/src/yaml/tests.rs", &code, &[]);
        check("controller/portcullis/tests/webhook.rs", &code, &[]);
        check("tests/offline/main.rs", &code, &[]);
        check("controller/core/src/a.rs", &format!("//! Doc.\n#[cfg(test)]\n{code}"), &[]);
    }

    #[test]
    fn tests_that_a_page_names_are_there() {
        let page =
            "| seen in | what | shown by |\n|---|---|---|\n| a #1 | b | `it_holds`, `it_stays`, and `c` |\n";
        let missing = |sources: &str| missing_tests(page, sources);
        assert_eq!(missing("fn it_holds() {}\nasync fn it_stays(world: &World) {}"), [""; 0]);
        assert_eq!(
            missing("fn it_holds_not() {}\nfn it_stays() {}"),
            ["tests/LESSONS.md: there is no test `it_holds`"]
        );
    }

    #[test]
    fn a_loose_end_names_its_issue() {
        let word = concat!("TO", "DO");
        check(
            "a.rs",
            &format!("//! Doc.\n// {word}: later\n"),
            &[&format!("a.rs:2: a loose end without an issue: `// {word}: later`")],
        );
        check("a.rs", &format!("//! Doc.\n// {word}(#12): later\nconst {word}S: u8 = 1;\n"), &[]);
    }
}
