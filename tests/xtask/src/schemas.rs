//! The fields of Kubernetes' built-in kinds, by version: made from what kube-apiserver publishes of itself.
//!
//! The file keeps no more than names and types, once for all versions. Each indented line of a type is a field, its type and,
//! unless it is in all versions, those it is in. Types are `string`, `int`, `bool`, `double`, `bytes`, `timestamp`,
//! `dyn`, the name of another type, `[` before what a list holds and `{` before what a map holds: as apiserver's
//! `SchemaDeclType` (`pkg/cel/common/schemas.go`) has them, but for what is an object without any fields, which is
//! `dyn` here.

use crate::golang;
use crate::workspace::root;
use anyhow::{Context, Result, bail};
use clap::Args as Flags;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

/// The minor versions that the file tells apart: those for which patches were made of late, and the newest.
const VERSIONS: std::ops::RangeInclusive<u8> = 32..=37;

/// Where the file is.
const FILE: &str = "controller/portcullis/schemas/kubernetes.txt";

/// Make the table of Kubernetes' fields anew, by which `lint` checks expressions; needs Go
#[derive(Debug, Flags)]
pub(crate) struct Args {
    /// Only compare, and fail if the table is not what would be made
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut table = Table::default();
    for minor in VERSIONS {
        let module = golang::module_at("k8s.io/kubernetes", &format!("v1.{minor}.0"))?;
        let path = module.join("api/openapi-spec/swagger.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        table.add(minor, &serde_json::from_str(&text)?)?;
    }
    let (made, path) = (table.write(), root()?.join(FILE));
    if args.check {
        if fs::read_to_string(&path).is_ok_and(|found| found == made) {
            println!("{FILE}: as it would be made");
            return Ok(ExitCode::SUCCESS);
        }
        bail!("`{FILE}` is not what would be made\nhint: run `cargo xtask schemas`");
    }
    fs::write(&path, &made).with_context(|| format!("cannot write `{}`", path.display()))?;
    println!("{FILE}: {} lines, {} bytes", made.lines().count(), made.len());
    Ok(ExitCode::SUCCESS)
}

/// Everything, with the versions that have it.
#[derive(Default)]
struct Table {
    /// Group and version, kind, and the type's name.
    kinds: BTreeMap<(String, String, String), BTreeSet<u8>>,
    /// By the type's name: field and type.
    fields: BTreeMap<String, BTreeMap<(String, String), BTreeSet<u8>>>,
}

impl Table {
    fn add(&mut self, version: u8, document: &Json) -> Result<()> {
        let definitions = document["definitions"].as_object().context("no definitions")?;
        let mut waiting = Vec::new();
        for (name, definition) in definitions {
            // Lists, and what all groups share: options, events of a watch, statuses.
            if name.ends_with("List") || name.contains(".apimachinery.") {
                continue;
            }
            for kind in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let text = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
                let group_version = match text("group").as_str() {
                    "" => text("version"),
                    group => format!("{group}/{}", text("version")),
                };
                let key = (group_version, text("kind"), short(name));
                self.kinds.entry(key).or_default().insert(version);
                waiting.push(name.as_str());
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            if !seen.insert(name) {
                continue;
            }
            let properties =
                definitions.get(name).and_then(|definition| definition["properties"].as_object());
            for (field, schema) in properties.into_iter().flatten() {
                if !is_name(field) {
                    continue;
                }
                let Some(kind) = type_of(schema, definitions, &mut waiting) else { continue };
                let fields = self.fields.entry(short(name)).or_default();
                fields.entry((field.clone(), kind)).or_default().insert(version);
            }
        }
        Ok(())
    }

    fn write(&self) -> String {
        let (first, last) = (VERSIONS.start(), VERSIONS.end());
        let mut out = format!(
            "# The fields of Kubernetes' built-in kinds. Made by `cargo xtask schemas`, which describes it; not to be \
             edited.\nversions {first} {last}\n"
        );
        for ((group_version, kind, name), versions) in &self.kinds {
            let _ = writeln!(out, "kind {group_version} {kind} {name}{}", ranges(versions));
        }
        for (name, fields) in &self.fields {
            let _ = writeln!(out, "type {name}");
            for ((field, kind), versions) in fields {
                let _ = writeln!(out, " {field} {kind}{}", ranges(versions));
            }
        }
        out
    }
}

/// A type's name without what all of them begin with.
fn short(name: &str) -> String {
    name.strip_prefix("io.k8s.").unwrap_or(name).to_owned()
}

/// Whether an expression can write it as a selection.
fn is_name(field: &str) -> bool {
    field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !field.starts_with(|c: char| c.is_ascii_digit())
}

/// A schema's type; `None` where apiserver has none, and so no field.
fn type_of<'d>(
    schema: &'d Json,
    definitions: &'d serde_json::Map<String, Json>,
    waiting: &mut Vec<&'d str>,
) -> Option<String> {
    if schema["format"] == "int-or-string" || schema["x-kubernetes-int-or-string"] == true {
        return Some("dyn".to_owned());
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/")) {
        let (name, definition) = definitions.get_key_value(name)?;
        if definition["properties"].is_object() {
            waiting.push(name);
            return Some(short(name));
        }
        return type_of(definition, definitions, waiting);
    }
    let plain = match (schema["type"].as_str()?, schema["format"].as_str()) {
        ("string", Some("byte")) => "bytes",
        ("string", Some("date" | "date-time")) => "timestamp",
        ("string", _) => "string",
        ("boolean", _) => "bool",
        ("integer", _) => "int",
        ("number", _) => "double",
        ("array", _) => return Some(format!("[{}", type_of(&schema["items"], definitions, waiting)?)),
        ("object", _) if schema["additionalProperties"].is_object() => {
            return Some(format!("{{{}", type_of(&schema["additionalProperties"], definitions, waiting)?));
        }
        ("object", _) => "dyn",
        _ => return None,
    };
    Some(plain.to_owned())
}

/// The versions that have something, as ranges; nothing if all have it.
fn ranges(versions: &BTreeSet<u8>) -> String {
    let mut found: Vec<(u8, u8)> = Vec::new();
    for version in versions {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == *version => *last = *version,
            _ => found.push((*version, *version)),
        }
    }
    if found == [(*VERSIONS.start(), *VERSIONS.end())] {
        return String::new();
    }
    found.iter().map(|(first, last)| format!(" {first}-{last}")).collect()
}
