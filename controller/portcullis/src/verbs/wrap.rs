//! `portcullis wrap`: puts a WASM module into the ConfigMap of its policy, so that nobody encodes it by hand.

use super::inputs::{CONTROLLER_NAMESPACE, complain};
use crate::exit::Exit;
use crate::manifests::read_text;
use crate::modules;
use crate::report::model::Problem;
use crate::terminal::{GlobalArgs, Hinted, Tone, write_out};
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_core::PolicySet;
use portcullis_core::document::{ConfigMap, Document, Manifest, Outcome, read_config_map, read_manifest};
use portcullis_core::module::{MAX_PARTS, Refusal, SHORT_DIGEST};
use portcullis_core::set::Sources;
use portcullis_wasm::{Stated, digest_of};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A ConfigMap takes 1 MiB, and its request 1.5 MiB in etcd, in which modules are a third larger than they are.
const MAX_PART: usize = 900 << 10;
/// kubectl keeps a copy of what it applies in an annotation, all of which may take so many bytes.
const MAX_ANNOTATIONS: usize = 256 << 10;

const EXAMPLES: &str = "\
Examples:
  portcullis wrap policy.yaml target/wasm32-unknown-unknown/release/my_policy.wasm > wrapped.yaml
  portcullis wrap policy.yaml my_policy.wasm -o wrapped.yaml && kubectl apply --server-side -f wrapped.yaml
  portcullis wrap my_policy.wasm > policy.yaml    # a ConfigMap to begin with, from what the module says of itself

The module gets the name that the policy gives it under `wasm.module`. It is compressed, and put into several \
ConfigMaps if one does not hold it; what is written is loaded first, as the controller would.";

/// Flags of `wrap`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WrapArgs {
    /// The ConfigMap of the policy, as it is without the module, and the module; the module alone has one written to begin
    /// with
    #[arg(value_names = ["FILE", "MODULE"], num_args = 1..=2, required = true)]
    files: Vec<PathBuf>,
    /// Where to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The controller's namespace, in which policies are cluster-wide
    #[arg(long, value_name = "NAME", default_value = CONTROLLER_NAMESPACE)]
    namespace: String,
}

/// Wraps a module.
///
/// # Errors
/// A file cannot be read or written, or the first is no ConfigMap of a policy with `wasm`.
pub fn run(args: &WrapArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let (policy, file) = match args.files.as_slice() {
        [policy, module] => (policy, module),
        files => return files.first().map_or(Ok(Exit::Clean), |module| begin(args, module)),
    };
    let name = policy.display().to_string();
    let text = read_text(policy).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let config_map = only_config_map(&name, read_manifest(Some(&name), &text, &args.namespace))?;
    let key = module_name(&name, &config_map)?;
    let module = read_module(file)?;
    let wrapped = wrap(&text, &config_map, &key, &module)?;

    let manifest = read_manifest(Some(&name), &wrapped, &args.namespace);
    if !manifest.failures.is_empty()
        || !manifest.config_maps.iter().any(|found| holds_module(found, &config_map))
    {
        let hint = "write its fields one below the other, and leave out `---` and `...` at the end";
        return Err(
            Hinted::new(format!("`{name}` is not written so that something can be added"), hint).into()
        );
    }
    let sources = Sources {
        config_maps: manifest.config_maps,
        controller_namespace: args.namespace.clone(),
        modules: Some(modules::waiting()?),
        ..Sources::default()
    };
    let set = PolicySet::compile(&sources, None);
    if !set.problems().is_empty() {
        let problems: Vec<Problem> = set.problems().iter().map(Problem::from).collect();
        complain(global, &problems);
        return Ok(Exit::InvalidPolicy);
    }
    write(args, &wrapped)?;
    if wrapped.len() > MAX_ANNOTATIONS {
        let hint = "apply it with `kubectl apply --server-side`, which keeps no copy";
        global.say(Tone::Note, "kubectl cannot keep a copy of this in an annotation", None, Some(hint));
    }
    Ok(Exit::Clean)
}

/// Whether this is a ConfigMap as it was, but with a module or the digest of one.
fn holds_module(found: &ConfigMap, config_map: &ConfigMap) -> bool {
    found.name == config_map.name && found.data == config_map.data && !found.modules.is_empty()
}

fn read_module(file: &Path) -> anyhow::Result<Vec<u8>> {
    let module = fs::read(file).with_context(|| format!("cannot read the module `{}`", file.display()))?;
    if module.is_empty() {
        let hint = "build it anew";
        return Err(Hinted::new(format!("the module `{}` is empty", file.display()), hint).into());
    }
    Ok(module)
}

fn write(args: &WrapArgs, text: &str) -> anyhow::Result<()> {
    match &args.output {
        None => write_out(text)?,
        Some(path) => fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?,
    }
    Ok(())
}

/// Writes a ConfigMap to begin with: what the module says of itself is filled in, and the rest is to be said.
fn begin(args: &WrapArgs, file: &Path) -> anyhow::Result<Exit> {
    let failed = |refusal: Refusal| match refusal.hint {
        Some(hint) => Hinted::new(refusal.message, hint).into(),
        None => anyhow::anyhow!(refusal.message),
    };
    let stated = portcullis_wasm::stated(&read_module(file)?).map_err(failed)?;
    let Some(stated) = stated else {
        let message = format!("`{}` does not say what it is", file.display());
        let hint =
            "write the ConfigMap of its policy, and name that first: `portcullis wrap policy.yaml MODULE`";
        return Err(Hinted::new(message, hint).into());
    };
    write(args, &skeleton(&stated, &args.namespace))?;
    Ok(Exit::Clean)
}

fn skeleton(Stated { name, reads, lookups }: &Stated, namespace: &str) -> String {
    // Packages may have names that objects cannot.
    let name = name.to_lowercase().replace('_', "-");
    let mut text = format!(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    portcullis.dev/policy: \"true\"
data:
  policy.yaml: |
    apiVersion: portcullis.dev/v1
    kind: Policy
    metadata:
      name: {name}
    spec:
      validationActions: [Audit]
      # What it judges; `matchConstraints` names other objects.
      matchPods: {{}}
"
    );
    for (index, lookup) in lookups.iter().enumerate() {
        if index == 0 {
            text.push_str("      # Say what is to be found, and how little of it will do.\n      lookups:\n");
        }
        text += &format!("      - {{name: {lookup}, apiVersion: v1, kind: ConfigMap}}\n");
    }
    text += &format!("      wasm:\n        module: {name}.wasm\n");
    if !reads.is_empty() {
        text += &format!("        reads: [{}]\n", reads.join(", "));
    }
    text + "        settings: {}\n"
}

/// The one ConfigMap of a file.
fn only_config_map(file: &str, manifest: Manifest) -> anyhow::Result<ConfigMap> {
    if let Some(failure) = manifest.failures.into_iter().next() {
        return Err(match &failure.hint {
            Some(hint) => Hinted::new(failure.to_string(), hint.clone()).into(),
            None => anyhow::anyhow!("{failure}"),
        });
    }
    let mut config_maps = manifest.config_maps.into_iter();
    let (Some(config_map), None) = (config_maps.next(), config_maps.next()) else {
        let hint = "it must hold the ConfigMap of the policy and nothing else";
        return Err(Hinted::new(format!("`{file}` does not hold one policy ConfigMap"), hint).into());
    };
    if !config_map.modules.is_empty() {
        let hint = "wrap the file from which that was made";
        return Err(Hinted::new(format!("`{file}` has `binaryData` already"), hint).into());
    }
    Ok(config_map)
}

/// The name that the policies of a ConfigMap give their module.
fn module_name(file: &str, config_map: &ConfigMap) -> anyhow::Result<String> {
    let of_policies = read_config_map(config_map).into_iter().filter_map(|read| match read.outcome {
        Outcome::Document(Document::Policy(policy)) => policy.wasm.map(|wasm| wasm.module),
        _ => None,
    });
    let mut names: Vec<String> = of_policies.collect();
    names.dedup();
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok(name),
        Err(names) if names.is_empty() => {
            let hint = "`portcullis lint` says whether its policies are sound";
            Err(Hinted::new(format!("`{file}` holds no sound policy with `wasm`"), hint).into())
        }
        Err(_) => {
            let hint = "give each a ConfigMap of its own";
            Err(Hinted::new(format!("the policies in `{file}` have several modules"), hint).into())
        }
    }
}

/// Compressed if that makes it smaller.
fn compressed(module: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // A vector takes whatever it is given.
    let packed = encoder.write_all(module).and_then(|()| encoder.finish());
    packed.ok().filter(|packed| packed.len() < module.len()).unwrap_or_else(|| module.to_vec())
}

/// The text of the ConfigMap with the module below it, or the module's digest, and its parts in ConfigMaps that follow.
fn wrap(text: &str, config_map: &ConfigMap, key: &str, module: &[u8]) -> anyhow::Result<String> {
    let mut wrapped = text.trim_end().to_owned() + "\n";
    let own: usize = config_map.data.iter().map(|(_, text)| text.text.len()).sum();
    let packed = compressed(module);
    if own + packed.len() <= MAX_PART {
        write!(wrapped, "binaryData:\n  {key}: {}\n", STANDARD.encode(packed))?;
        return Ok(wrapped);
    }
    let parts: Vec<&[u8]> = packed.chunks(MAX_PART).collect();
    let count = parts.len();
    if count > MAX_PARTS {
        let megabytes = packed.len() as f64 / f64::from(1 << 20);
        let message = format!(
            "the module has {megabytes:.1} MiB even if compressed, and fits into {MAX_PARTS} ConfigMaps no more"
        );
        return Err(Hinted::new(message, "build it for size, and strip it").into());
    }
    let digest = digest_of(&[Arc::from(module)]);
    let short = digest.get(..SHORT_DIGEST).unwrap_or(&digest);
    write!(wrapped, "binaryData:\n  {key}.sha256: {}\n", STANDARD.encode(&digest))?;
    for (part, number) in parts.into_iter().zip(1..) {
        let (name, namespace) = (&config_map.name, &config_map.namespace);
        write!(
            wrapped,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}-module-{number}\n  namespace: \
             {namespace}\n  labels: {{portcullis.dev/policy: \"true\"}}\nbinaryData:\n  {key}.{short}.{number}-of-{count}: {}\n",
            STANDARD.encode(part)
        )?;
    }
    Ok(wrapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: p\n  labels: {portcullis.dev/policy: 'true'}\n\
                          data:\n  policy.yaml: |\n    # a comment\n    kind: Policy";

    /// What cannot be compressed: a linear congruential generator.
    fn noise(length: usize) -> Vec<u8> {
        let mut state: u64 = 1;
        let next = std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        next.take(length).collect()
    }

    fn delivered(module: &[u8]) -> Vec<ConfigMap> {
        let config_map = |text: &str| read_manifest(None, text, "gate").config_maps;
        let [own] = <[ConfigMap; 1]>::try_from(config_map(POLICY)).unwrap();
        let wrapped = wrap(POLICY, &own, "m.wasm", module).unwrap();
        assert!(wrapped.starts_with(POLICY), "comments stay");
        let all = read_manifest(None, &wrapped, "gate");
        assert_eq!(all.failures, []);
        assert!(all.config_maps.iter().all(|it| it.namespace == "gate"));
        all.config_maps
    }

    #[test]
    fn what_fits_stands_below_the_policy() {
        let [own] = <[ConfigMap; 1]>::try_from(delivered(b"\0asm")).unwrap();
        assert_eq!(own.modules, [("m.wasm".to_owned(), Arc::from(*b"\0asm"))]);
    }

    #[test]
    fn what_does_not_is_delivered_in_parts() {
        let module = noise(2 * MAX_PART + 1);
        let found = delivered(&module);
        let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["p", "p-module-1", "p-module-2", "p-module-3"]);
        let held: Vec<&(String, Arc<[u8]>)> = found.iter().flat_map(|it| &it.modules).collect();
        let ((index, digest), parts) = held.split_first().unwrap();
        let digest = String::from_utf8(digest.to_vec()).unwrap();
        assert_eq!((index.as_str(), &digest), ("m.wasm.sha256", &digest_of(&[Arc::from(module.as_slice())])));
        let keys: Vec<&str> = parts.iter().map(|(key, _)| key.as_str()).collect();
        let expected = [1, 2, 3].map(|number| format!("m.wasm.{}.{number}-of-3", &digest[..16]));
        assert_eq!(keys, expected);
        assert_eq!(parts.iter().flat_map(|(_, part)| part.iter().copied()).collect::<Vec<u8>>(), module);
        let [own] = <[ConfigMap; 1]>::try_from(read_manifest(None, POLICY, "gate").config_maps).unwrap();
        assert!(wrap(POLICY, &own, "m.wasm", &noise(MAX_PARTS * MAX_PART + 1)).is_err());
    }

    #[test]
    fn a_module_that_ends_up_elsewhere_is_noticed() {
        let [own] = <[ConfigMap; 1]>::try_from(read_manifest(None, POLICY, "gate").config_maps).unwrap();
        for (text, expect) in [(POLICY.to_owned(), true), (format!("{POLICY}\n---\n"), false)] {
            let wrapped = wrap(&text, &own, "m.wasm", b"\0asm").unwrap();
            let found = read_manifest(None, &wrapped, "gate").config_maps;
            assert_eq!(found.iter().any(|found| holds_module(found, &own)), expect);
        }
    }

    #[test]
    fn a_policy_begins_with_what_its_module_says() {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let (reads, lookups) = (list(&["userInfo", "operation"]), list(&["services"]));
        let text = skeleton(&Stated { name: "My_policy".to_owned(), reads, lookups }, "gate");
        let manifest = read_manifest(None, &text, "gate");
        let [config_map] = <[ConfigMap; 1]>::try_from(manifest.config_maps).unwrap();
        let read = read_config_map(&config_map).pop().unwrap();
        let Outcome::Document(Document::Policy(policy)) = read.outcome else { panic!("{text}") };
        let wasm = policy.wasm.unwrap();
        assert_eq!((policy.name.as_str(), wasm.module.as_str()), ("my-policy", "my-policy.wasm"));
        assert_eq!((policy.lookups[0].name.as_str(), wasm.reads.len()), ("services", 2));
    }

    #[test]
    fn it_is_compressed_where_that_helps() {
        assert!(compressed(&[0; 10_000]).len() < 100);
        assert_eq!(compressed(b"\0asm"), b"\0asm");
    }
}
