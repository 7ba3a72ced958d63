//! `portcullis new`: begins a policy in Rust, which builds, tests and wraps as it is.

use crate::exit::Exit;
use crate::terminal::{GlobalArgs, Hinted, write_out};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  portcullis new policy --wasm pinned-tags
  portcullis new policy --wasm pinned-tags --sdk ~/src/portcullis

It makes a crate with a small policy, its tests, its ConfigMap and its suite, and says what to do with it. What is there \
already is left alone.";

/// The policy that others begin with; a member of our workspace, so that it compiles and holds.
const LIBRARY: &str = include_str!("../../../../sdk/template/src/lib.rs");
const POLICY: &str = include_str!("../../../../sdk/template/policy.yaml");
const SUITE: &str = include_str!("../../../../sdk/template/suite.yaml");
/// The name that it has there.
const TEMPLATE: &str = "pinned-images";

/// The version of Rust that the SDK is tested with, and what modules are built for.
const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");
const TARGET: &str = "wasm32-unknown-unknown";
/// Where the SDK is in a checkout.
const SDK: &str = "sdk/rust";
const MANIFEST: &str = "Cargo.toml";
/// Where the sources are published; empty while they are not.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

const CARGO_CONFIG: &str = r#"# A small stack makes a small memory, and an instance of it is a fast one.
[target.wasm32-unknown-unknown]
rustflags = ["-C", "link-arg=-zstack-size=131072"]
"#;

/// Flags of `new`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct NewArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A policy in a crate of its own
    Policy(PolicyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct PolicyArgs {
    /// The policy's name, which its crate and its module have, too: a WebAssembly module written in Rust
    #[arg(long, value_name = "NAME")]
    wasm: String,
    /// Where to make it [default: a directory of this name]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A checkout of Portcullis, whose SDK it is to use [default: the one around]
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// Makes what is asked for.
///
/// # Errors
/// The name cannot be one, something is there already or cannot be written, or there is no SDK.
pub fn run(args: &NewArgs, _: &GlobalArgs) -> anyhow::Result<Exit> {
    let What::Policy(args) = &args.what;
    check_name(&args.wasm)?;
    let directory = args.directory.clone().unwrap_or_else(|| args.wasm.clone().into());
    let files = files(&args.wasm);
    // Before anything is looked for: nothing is written if one of them is there.
    let names = files.iter().map(|(file, _)| *file).chain([MANIFEST]);
    if let Some(taken) = names.map(|file| directory.join(file)).find(|file| file.exists()) {
        let hint = "choose another name, or another place with `--directory`";
        return Err(Hinted::new(format!("`{}` exists already", taken.display()), hint).into());
    }
    let sdk = Sdk::find(args.sdk.as_deref())?;
    fs::create_dir_all(&directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    let manifest = manifest(&args.wasm, &sdk.dependency(&directory)?);
    for (file, text) in files.iter().chain([&(MANIFEST, manifest)]) {
        let path = directory.join(file);
        write_new(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    write_out(&told(&args.wasm, &directory, &sdk))?;
    Ok(Exit::Clean)
}

/// What is both the name of a crate and of a ConfigMap.
fn check_name(name: &str) -> anyhow::Result<()> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if begins_well && name.len() <= 63 && name.split('-').all(is_word) {
        return Ok(());
    }
    let hint = "lower-case letters and digits, words joined by `-`, at most 63 characters: pinned-tags";
    Err(Hinted::new(format!("`{name}` cannot be the name of a policy in a crate"), hint).into())
}

/// Every file but the manifest, with its text.
fn files(name: &str) -> Vec<(&'static str, String)> {
    let renamed = |text: &str| text.replace(TEMPLATE, name);
    let suite = renamed(SUITE).replace(
        "\nkind: Suite\n",
        "\nkind: Suite\npolicies: [wrapped.yaml] # what `portcullis wrap` writes, and is applied\n",
    );
    vec![
        ("src/lib.rs", renamed(LIBRARY)),
        ("policy.yaml", renamed(POLICY)),
        ("suite.yaml", suite),
        (".cargo/config.toml", CARGO_CONFIG.to_owned()),
        ("rust-toolchain.toml", TOOLCHAIN.to_owned()),
        (".gitignore", "/target\n/wrapped.yaml\n".to_owned()),
    ]
}

fn manifest(name: &str, sdk: &str) -> String {
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
publish = false

[lib]
crate-type = ["cdylib"]

[dependencies]
portcullis-sdk = {sdk}
serde = {{ version = "1", features = ["derive"] }}

[dev-dependencies]
serde_json = "1"

# Small, and fast to compile where it is loaded.
[profile.release]
opt-level = "s"
lto = "fat"
codegen-units = 1
panic = "abort"
strip = true

# A workspace of its own. As a member of another one leave this out, and take the profile and `.cargo` to its root.
[workspace]
"#
    )
}

/// Writes a file that is not there yet, and the directories above it.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn told(name: &str, directory: &Path, sdk: &Sdk) -> String {
    let directory = directory.display();
    let built = name.replace('-', "_");
    let sdk = sdk.origin();
    format!(
        "made `{directory}`, a policy with the SDK {sdk}

  cd {directory}
  cargo test
  cargo build --release --target {TARGET}
  portcullis wrap policy.yaml target/{TARGET}/release/{built}.wasm -o wrapped.yaml

then see what it says, and apply it:

  portcullis test suite.yaml
  kubectl apply --server-side -f wrapped.yaml
"
    )
}

/// Where the SDK comes from.
enum Sdk {
    /// A checkout of ours.
    Checkout(PathBuf),
    /// The published sources.
    Published,
}

impl Sdk {
    /// The one that is named; else that of the checkout around the current directory or around this program; else the
    /// published one.
    fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(named) = named {
            let found = [named.to_owned(), named.join("../..")].into_iter().find(|root| is_checkout(root));
            let found = found.and_then(|root| root.canonicalize().ok());
            return found.map(Self::Checkout).ok_or_else(|| {
                let message = format!("`{}` is no checkout of Portcullis", named.display());
                Hinted::new(message, format!("it has the SDK in `{SDK}`")).into()
            });
        }
        let program = std::env::current_exe().ok();
        let around = [std::env::current_dir().ok(), program].into_iter().flatten();
        let found = around
            .flat_map(|place| place.ancestors().map(Path::to_path_buf).collect::<Vec<_>>())
            .find(|root| is_checkout(root));
        match found {
            Some(root) => Ok(Self::Checkout(root)),
            None if !REPOSITORY.is_empty() => Ok(Self::Published),
            None => {
                let hint = "say where a checkout of Portcullis is with `--sdk`; no registry has the SDK yet";
                Err(Hinted::new("there is no SDK around", hint).into())
            }
        }
    }

    /// The dependency as `Cargo.toml` has it, of a crate in a directory that is there.
    fn dependency(&self, directory: &Path) -> anyhow::Result<String> {
        let Self::Checkout(root) = self else { return Ok(format!("{{ git = \"{REPOSITORY}\" }}")) };
        let root = root.canonicalize()?;
        let path = match directory.canonicalize()?.strip_prefix(&root) {
            // Inside the checkout the way to it is short, and stays right where the checkout is moved.
            Ok(below) => below.components().map(|_| "..").collect::<PathBuf>().join(SDK),
            Err(_) => root.join(SDK),
        };
        let path = path.to_str().context("the path of the SDK is not UTF-8")?;
        Ok(format!("{{ path = {path:?} }}"))
    }

    fn origin(&self) -> String {
        match self {
            Self::Checkout(root) => format!("of the checkout `{}`", root.display()),
            Self::Published => format!("of {REPOSITORY}"),
        }
    }
}

fn is_checkout(root: &Path) -> bool {
    let manifest = fs::read_to_string(root.join(SDK).join("Cargo.toml"));
    manifest.is_ok_and(|text| text.contains("name = \"portcullis-sdk\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_good_for_a_crate_and_a_config_map() {
        let good = |name: &str| check_name(name).is_ok();
        assert!(good("a") && good("pinned-tags") && good("v2-3"));
        let long = "a".repeat(64);
        for name in ["", "2a", "-a", "a-", "a--b", "A", "a_b", "a.b", "../a", "a/b", "ä", long.as_str()] {
            assert!(!good(name), "{name}");
        }
    }

    #[test]
    fn every_name_of_the_template_is_replaced() {
        let files = files("other");
        let of = |file: &str| files.iter().find(|(name, _)| *name == file).unwrap().1.as_str();
        for (file, text) in &files {
            assert!(!text.contains(TEMPLATE), "{file}");
        }
        assert!(
            of("policy.yaml").contains("module: other.wasm") && of("policy.yaml").contains("  name: other\n")
        );
        assert!(of("suite.yaml").contains("\npolicies: [wrapped.yaml]"));
    }

    #[test]
    fn nothing_is_overwritten_and_a_checkout_must_be_one() {
        let directory = tempfile::tempdir().unwrap();
        let make = |sdk: &str| {
            let path = directory.path().join("made");
            let words =
                ["x", "new", "policy", "--wasm", "a", "--directory", path.to_str().unwrap(), "--sdk", sdk];
            crate::run(words.map(Into::into))
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert_eq!(make(directory.path().to_str().unwrap()), Exit::Failure);
        assert!(!directory.path().join("made").exists());
        assert_eq!(make(root.to_str().unwrap()), Exit::Clean);
        let manifest = directory.path().join("made/Cargo.toml");
        let path = format!("path = {:?}", root.join(SDK).canonicalize().unwrap());
        assert!(fs::read_to_string(&manifest).unwrap().contains(&path));
        fs::write(&manifest, "mine").unwrap();
        fs::remove_file(directory.path().join("made/suite.yaml")).unwrap();
        assert_eq!(make(root.to_str().unwrap()), Exit::Failure);
        assert_eq!(fs::read_to_string(&manifest).unwrap(), "mine");
        assert!(!directory.path().join("made/suite.yaml").exists());
    }
}
