//! Kubernetes objects in files: YAML or JSON, several to a file, Lists, directories, standard input.
//!
//! What cannot be read is reported item by item and never hides the rest.

mod documents;
mod paths;

pub use documents::parse;
pub use paths::{Exclusions, STDIN, files_under};

use crate::report::model::{Place, Problem};
use portcullis_core::yaml::Node;
use serde_json::Value as Json;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest input that is read, in bytes; what the parser takes.
pub const MAX_BYTES: usize = portcullis_core::yaml::MAX_BYTES;

/// One object with the place that it came from.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The object as JSON.
    pub object: Json,
    file: Arc<str>,
    node: Node,
}

/// What was found at some paths.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// Every object, in the order of the paths, then of the files, then of the documents.
    pub objects: Vec<Manifest>,
    /// Files and documents that could not be read.
    pub problems: Vec<Problem>,
    /// Whether there are Lists without items, as `kubectl get` prints where there is nothing.
    pub empty_lists: bool,
}

impl Manifest {
    /// Where a field stands; of what is nearest to it, if the object lacks it. An empty path is the object.
    pub fn place(&self, field_path: &str) -> Place {
        let at = if field_path.is_empty() { self.node.at } else { self.node.position_of(field_path) };
        Place { file: self.file.to_string(), line: at.line, column: at.column }
    }
}

/// Reads files, directories (recursively: `*.yaml`, `*.yml`, `*.json`) and, for `-`, standard input.
pub fn read(paths: &[PathBuf]) -> Manifests {
    read_without(paths, &Exclusions::default())
}

/// The same, but for what directories hold that is excluded.
pub fn read_without(paths: &[PathBuf], exclusions: &Exclusions) -> Manifests {
    let mut found = Manifests::default();
    for path in paths {
        if path.as_os_str() == STDIN {
            found.add("<stdin>", read_limited(io::stdin().lock()));
            continue;
        }
        for file in exclusions.files_under(path, &mut found.problems) {
            let text = File::open(&file).and_then(read_limited);
            found.add(&file.display().to_string(), text);
        }
    }
    found
}

impl Manifests {
    fn add(&mut self, file: &str, text: io::Result<Vec<u8>>) {
        match text {
            Ok(text) => {
                let parsed = parse(file, &text);
                self.objects.extend(parsed.objects);
                self.problems.extend(parsed.problems);
                self.empty_lists |= parsed.empty_lists;
            }
            Err(error) => {
                self.problems.push(Problem::new(format!("cannot read `{file}`: {}", reason(&error))))
            }
        }
    }
}

/// The text of one file, of whatever shape.
pub(crate) fn read_text(file: &Path) -> Result<String, Problem> {
    text(&file.display().to_string(), File::open(file).and_then(read_limited))
}

/// The text of standard input.
pub(crate) fn read_stdin() -> Result<String, Problem> {
    text("<stdin>", read_limited(io::stdin().lock()))
}

fn text(file: &str, bytes: io::Result<Vec<u8>>) -> Result<String, Problem> {
    let refuse = |why: &str| Problem::new(format!("cannot read `{file}`: {why}"));
    let bytes = bytes.map_err(|error| refuse(&reason(&error)))?;
    String::from_utf8(bytes).map_err(|error| match not_utf_8(error.as_bytes()) {
        UTF_16 => refuse(UTF_16).with_hint("save it as UTF-8"),
        why => refuse(why),
    })
}

/// Why a text of UTF-16 cannot be read.
pub(crate) const UTF_16: &str = "it is UTF-16, as Windows PowerShell writes";

/// Why what is not UTF-8 cannot be read.
pub(crate) fn not_utf_8(bytes: &[u8]) -> &'static str {
    if [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| bytes.starts_with(mark)) {
        UTF_16
    } else {
        "not UTF-8 text"
    }
}

/// Reads one byte more than is taken, so that the parser can tell what is too large.
fn read_limited(input: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// An I/O error in the words of the rest: lower case, without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}
