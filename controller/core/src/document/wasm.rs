//! `wasm`: a module in place of validations.

use super::fields::{Field, Fields, refuse_duplicates};
use super::{Place, names};
use crate::module::MAX_PARTS;
use serde_json::Value as Json;

/// `wasm`: a module that judges in place of validations.
#[derive(Debug, Clone)]
pub struct Wasm {
    /// `module`: its key in `binaryData`; in parts `KEY.DIGEST.1-of-N` and so on, in any ConfigMaps of
    /// policies.
    pub module: String,
    /// `sha256`: the digest that the module must have, in hexadecimal.
    pub sha256: Option<String>,
    /// `reads`: what it is given beside the object and its names.
    pub reads: Vec<ModuleReads>,
    /// `settings`: what the module makes of it is its own affair; empty if absent.
    pub settings: Json,
    /// Where it stands.
    pub place: Place,
}

/// What a module is given if it asks for it. What it does not ask for cannot make its verdict undecidable where it is
/// not known, and an update that changes nothing else need not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleReads {
    /// The object before.
    OldObject,
    /// What is done.
    Operation,
    /// The subresource.
    SubResource,
    /// Who asks.
    UserInfo,
    /// CreateOptions and the like.
    Options,
    /// Whether anything will be persisted.
    DryRun,
    /// The Namespace of the object.
    NamespaceObject,
}

impl ModuleReads {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::OldObject,
        Self::Operation,
        Self::SubResource,
        Self::UserInfo,
        Self::Options,
        Self::DryRun,
        Self::NamespaceObject,
    ];

    /// As `reads` names it, and the request.
    pub fn name(self) -> &'static str {
        match self {
            Self::OldObject => "oldObject",
            Self::Operation => "operation",
            Self::SubResource => "subResource",
            Self::UserInfo => "userInfo",
            Self::Options => "options",
            Self::DryRun => "dryRun",
            Self::NamespaceObject => "namespaceObject",
        }
    }
}

pub(super) fn read(spec: &Fields<'_>) -> Option<Wasm> {
    let field = spec.optional("wasm")?;
    if let Some(validations) = spec.optional("validations") {
        validations.refuse("must not be given together with `wasm`");
    }
    let fields = field.fields()?;
    let module = fields.required("module").and_then(|field| {
        let name = field.string()?;
        if !names::is_config_map_key(name) {
            let hint = format!(
                "it is a key of `binaryData`, or the beginning of up to {MAX_PARTS} keys that end in `.1-of-N` and so on"
            );
            field.refuse_with_hint("must be letters, digits, `-`, `_` and `.`", hint);
        }
        Some(name.to_owned())
    });
    let sha256 = fields.optional("sha256").and_then(|field| {
        let text = field.string()?;
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            field.refuse_with_hint("must be 64 hexadecimal digits", "`sha256sum` prints them");
        }
        Some(text.to_owned())
    });
    let reads = fields.optional("reads").map(|field| read_list(&field)).unwrap_or_default();
    let settings = fields.optional("settings").map(|field| {
        // Modules can rely on it.
        field.fields();
        field.json()
    });
    fields.finish();
    let settings = settings.unwrap_or_else(|| serde_json::json!({}));
    Some(Wasm { module: module?, sha256, reads, settings, place: field.place() })
}

fn read_list(field: &Field<'_>) -> Vec<ModuleReads> {
    let items = field.list().unwrap_or_default();
    let words = ModuleReads::ALL.map(|reads| (reads.name(), reads));
    refuse_duplicates(items.iter().filter_map(|item| Some((item.string()?, item.clone()))));
    items.iter().filter_map(|item| item.one_of(&words)).collect()
}
