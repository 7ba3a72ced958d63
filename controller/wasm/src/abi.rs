//! Whether a module is a policy: what it exports and imports, and what it needs to run.

use crate::engine::{MAX_MEMORY, MAX_TABLE, MAX_TABLES};
use crate::instance::Functions;
use crate::wasi;
use portcullis_core::module::Refusal;
use wasmtime::{ExternType, FuncType, ImportType, Module, ValType};

/// The module in whose name the host's functions are imported.
pub(crate) const NAMESPACE: &str = "portcullis";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const VERSION: &str = "portcullis_abi_v1";
pub(crate) const ALLOC: &str = "portcullis_alloc";
pub(crate) const INIT: &str = "portcullis_init";
pub(crate) const VALIDATE: &str = "portcullis_validate";
pub(crate) const VALIDATE_SETTINGS: &str = "portcullis_validate_settings";
/// What a reactor of WASI exports, to be called before anything else.
pub(crate) const INITIALIZE: &str = "_initialize";
/// What a command of WASI exports instead.
const START: &str = "_start";

const PAGE: u64 = 64 << 10;
const CONTRACT: &str = "sdk/ABI.md says what a module must export";

/// Something that is wrong with the module itself.
pub(crate) fn refusal(message: impl Into<String>, hint: Option<&str>) -> Refusal {
    let message = message.into().replace(char::is_control, " ");
    Refusal { field: "module".to_owned(), message, hint: hint.map(str::to_owned) }
}

/// Something that no other check has found.
pub(crate) fn unusable(error: &wasmtime::Error) -> Refusal {
    refusal(format!("the module cannot be used: {error}"), None)
}

/// Refuses what cannot be a module, by its first bytes, so that each mistake gets an answer of its own.
pub(crate) fn check_header(module: &[u8]) -> Result<(), Refusal> {
    let begins = |magic: &[u8]| module.starts_with(magic);
    if module.is_empty() {
        return Err(refusal("the module is empty", None));
    }
    if begins(b"\0asm\x01\0\0\0") {
        return Ok(());
    }
    if begins(b"\0asm\x0d\0\x01\0") {
        let hint = "build it for wasm32-unknown-unknown: components come with delivery from registries";
        return Err(refusal("the module is a WebAssembly component, not a core module", Some(hint)));
    }
    if begins(b"\0asm") {
        return Err(refusal("the module is of a version of WebAssembly that is not known", None));
    }
    let text = module.trim_ascii_start();
    if text.starts_with(b"(") || text.starts_with(b";;") {
        let hint = "assemble it with `wat2wasm` or `wasm-tools parse`";
        return Err(refusal("the module is WebAssembly text, not a binary", Some(hint)));
    }
    Err(refusal("the module is not WebAssembly", Some("it must begin with `\\0asm`")))
}

/// All in which a module does not keep to the ABI.
pub(crate) fn check(module: &Module, functions: &Functions) -> Vec<Refusal> {
    use ValType::{I32, I64};
    let mut wrong: Vec<Refusal> =
        module.imports().filter_map(|import| check_import(&import, functions)).collect();
    wrong.extend(check_version(module));
    wrong.extend(check_memory(module));
    wrong.extend(check_function(module, ALLOC, &[I32], &[I32]));
    wrong.extend(check_function(module, VALIDATE, &[I32, I32, I32, I32], &[I64]));
    wrong.extend(check_function(module, VALIDATE_SETTINGS, &[I32, I32], &[I64]));
    for name in [INIT, INITIALIZE] {
        if module.get_export(name).is_some() {
            wrong.extend(check_function(module, name, &[], &[]));
        }
    }
    wrong
}

fn check_import(import: &ImportType<'_>, functions: &Functions) -> Option<Refusal> {
    let full = format!("`{}.{}`", import.module(), import.name());
    let Some(expected) = functions.find(import.module(), import.name()) else {
        let message = format!("the module imports {full}, which there is not");
        let hint = match import.module() {
            wasi::NAMESPACE => {
                "a policy has no files, sockets or waiting, and of WASI what sdk/ABI.md names: leave out what needs more"
            }
            "wasi_unstable" => "build it for `wasi_snapshot_preview1`, or better for wasm32-unknown-unknown",
            "wapc" => "modules for Kubewarden do not run here",
            _ => {
                "sdk/ABI.md says what can be imported: `portcullis.log`, `portcullis.lookup`, and a part of WASI"
            }
        };
        return Some(refusal(message, Some(hint)));
    };
    let fits = matches!(import.ty(), ExternType::Func(found) if FuncType::eq(&found, expected));
    (!fits).then(|| {
        let types = |types: &mut dyn Iterator<Item = ValType>| types.collect::<Vec<_>>();
        let (params, results) = (types(&mut expected.params()), types(&mut expected.results()));
        let hint = format!("it is a function of {}", signature(&params, &results));
        refusal(format!("the module imports {full} as something else than it is"), Some(&hint))
    })
}

fn check_version(module: &Module) -> Option<Refusal> {
    if module.get_export(VERSION).is_some() {
        return check_function(module, VERSION, &[], &[]);
    }
    let mut exports = module.exports().map(|export| export.name().to_owned());
    let message = match exports.find(|name| name.starts_with("portcullis_abi_v")) {
        Some(other) => {
            format!("the module is for another version of the ABI: it exports `{other}`, not `{VERSION}`")
        }
        None if module.get_export("__guest_call").is_some() => {
            "the module is for waPC (Kubewarden), which does not run here".to_owned()
        }
        None if module.get_export(START).is_some() => {
            let message =
                format!("the module is a program, and not a policy: it exports `{START}`, not `{VERSION}`");
            return Some(refusal(message, Some("build it as a reactor, in Go by `-buildmode=c-shared`")));
        }
        None => format!("the module does not export `{VERSION}`"),
    };
    Some(refusal(message, Some(CONTRACT)))
}

fn check_memory(module: &Module) -> Option<Refusal> {
    let message = match module.get_export(MEMORY) {
        Some(ExternType::Memory(_)) => return None,
        Some(_) => "the module exports `memory`, but that is no memory",
        None => "the module does not export its `memory`",
    };
    Some(refusal(message, Some(CONTRACT)))
}

fn check_function(module: &Module, name: &str, params: &[ValType], results: &[ValType]) -> Option<Refusal> {
    let expected = FuncType::new(module.engine(), params.iter().cloned(), results.iter().cloned());
    let message = match module.get_export(name) {
        Some(ExternType::Func(found)) if FuncType::eq(&found, &expected) => return None,
        Some(ExternType::Func(_)) => format!("`{name}` must be a function of {}", signature(params, results)),
        Some(_) => format!("`{name}` must be a function"),
        None => format!("the module does not export `{name}`"),
    };
    Some(refusal(message, Some(CONTRACT)))
}

fn signature(params: &[ValType], results: &[ValType]) -> String {
    let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match results {
        [] => format!("({}) without a result", list(params)),
        results => format!("({}) to {}", list(params), list(results)),
    }
}

/// Refuses a module that would not fit into the pool of instances. The engine that runs would refuse it in words of its
/// own, so that the one that compiles has to look.
pub(crate) fn check_resources(module: &Module) -> Result<(), Refusal> {
    let needs = module.resources_required();
    let memory = needs.max_initial_memory_size.unwrap_or_default().saturating_mul(PAGE);
    if memory > MAX_MEMORY as u64 {
        let message = format!(
            "the module begins with {} MiB of memory; at most {} MiB are allowed",
            memory.div_ceil(1 << 20),
            MAX_MEMORY >> 20
        );
        return Err(refusal(message, None));
    }
    if needs.num_tables > MAX_TABLES {
        let message = format!("the module has {} tables; at most {MAX_TABLES} are allowed", needs.num_tables);
        return Err(refusal(message, None));
    }
    let table = needs.max_initial_table_size.unwrap_or_default();
    if table > MAX_TABLE as u64 {
        let message =
            format!("the module begins with a table of {table} elements; at most {MAX_TABLE} are allowed");
        return Err(refusal(message, None));
    }
    Ok(())
}
