//! The ABI's rules, each kept and broken once: the modules of `sdk/conformance`, and what no module can show.

use crate::host::{deserialize, program};
use crate::instance::Policy;
use crate::{abi, compiler, engine};
use portcullis_core::decision::Reason;
use portcullis_core::module::{Input, Module as _, Refusal, Reply};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use wasmtime::Engine;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine::running().unwrap());

/// What a policy may spend on a request, in CEL's units.
const BUDGET: u64 = 10_000_000;

/// A module as [`Host`](crate::Host) would have it, but for the process that compiles.
fn load(module: &[u8], settings: &str) -> Result<Policy, Vec<Refusal>> {
    abi::check_header(module).map_err(|refusal| vec![refusal])?;
    let compiled = compiler::compile(module).map_err(|message| vec![abi::refusal(message, None)])?;
    program(&ENGINE, &deserialize(&ENGINE, &compiled).unwrap(), "p", settings)
}

/// A small request, with what was looked up.
fn input(lookups: &Json) -> Input {
    let lookups = lookups.as_object().into_iter().flatten();
    let lookups = lookups.map(|(name, found)| (name.clone(), found.to_string()));
    Input { request: r#"{"abi":1}"#.to_owned(), lookups: lookups.collect() }
}

/// What comes of a module, as the index puts it.
fn outcome(module: &[u8], case: &Json) -> Json {
    let settings = case.get("settings").unwrap_or(&json!({})).to_string();
    let policy = match load(module, &settings) {
        Ok(policy) => policy,
        Err(refusals) => {
            let refusals = refusals.iter().map(|it| format!("{}: {}", it.field, it.message));
            return json!({"refused": refusals.collect::<Vec<_>>()});
        }
    };
    let mut asked = (0..2).map(|_| match policy.validate(input(&case["lookups"]), BUDGET).result {
        Ok(reply) => json!({"reply": written(reply)}),
        Err(reason) => json!({"error": reason}),
    });
    let first = asked.next().unwrap();
    assert_eq!(asked.next().unwrap(), first, "the second time it replies the same");
    first
}

/// A reply as a module would have written it, without what is the default.
fn written(reply: Reply) -> Json {
    let mut json = json!({});
    let violations = reply.violations.into_iter().map(|violation| {
        let mut written = json!({"message": violation.message});
        if !violation.field_path.is_empty() {
            written["fieldPath"] = violation.field_path.into();
        }
        if let Some(remedy) = violation.remedy {
            written["remedy"] = remedy.into();
        }
        if violation.reason != Reason::Invalid {
            written["reason"] = format!("{:?}", violation.reason).into();
        }
        written
    });
    json["violations"] = violations.collect();
    if !reply.warnings.is_empty() {
        json["warnings"] = reply.warnings.into();
    }
    if !reply.audit_annotations.is_empty() {
        let annotations = reply.audit_annotations.into_iter().map(|(key, value)| (key, value.into()));
        json["auditAnnotations"] = Json::Object(annotations.collect());
    }
    json
}

/// Whether that is what the index expects, of whose messages the words of libraries are left out at the end.
fn is_expected(found: &Json, expected: &Json) -> bool {
    let begins = |found: &Json, expected: &Json| match (found.as_str(), expected.as_str()) {
        (Some(found), Some(expected)) => found.starts_with(expected),
        _ => false,
    };
    let (found_list, expected_list) = (found["refused"].as_array(), expected["refused"].as_array());
    if let (Some(found), Some(expected)) = (found_list, expected_list) {
        return found.len() == expected.len()
            && found.iter().zip(expected).all(|(one, two)| begins(one, two));
    }
    begins(&found["error"], &expected["error"])
        || found["reply"].is_object() && found["reply"] == expected["reply"]
}

#[test]
fn every_rule_is_kept_and_broken_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/conformance");
    let index: Vec<Json> =
        serde_json::from_str(&fs::read_to_string(folder.join("index.json")).unwrap()).unwrap();
    let mut unused: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".wat"))
        .collect();
    let mut wrong = Vec::new();
    for case in &index {
        let name = case["module"].as_str().unwrap();
        unused.retain(|other| other != name);
        let module = wat::parse_file(folder.join(name)).unwrap();
        let found = outcome(&module, case);
        if !is_expected(&found, case) {
            wrong.push(format!("{case} came to {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unused.is_empty(), "the index does not name {unused:?}");
}

#[test]
fn what_is_no_module_is_refused_by_its_first_bytes() {
    let check = |bytes: &[u8], message: &str| {
        assert_eq!(outcome(bytes, &json!({})), json!({"refused": [format!("module: {message}")]}));
    };
    check(b"", "the module is empty");
    check(b"\0asm\x0d\0\x01\0", "the module is a WebAssembly component, not a core module");
    check(b"\0asm\x02\0\0\0", "the module is of a version of WebAssembly that is not known");
    check(b" (module)", "the module is WebAssembly text, not a binary");
    check(b"\x7fELF", "the module is not WebAssembly");
    assert!(load(b"\0asm\x01\0\0\0\x01\x02\x03", "{}").is_err());
}

/// A policy whose module does this for a request.
fn doing(instructions: &str) -> Policy {
    let text = format!(
        r#"(module
             (memory (export "memory") 1)
             (table $t 1 funcref)
             (elem $e func $validate)
             (data $d "data")
             (data (i32.const 16) "{{\"errors\":[]}}")
             (func (export "portcullis_abi_v1"))
             (func (export "portcullis_alloc") (param i32) (result i32) (i32.const 1024))
             (func $validate (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
               {instructions} (i64.const 0))
             (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
               (i64.const 0x000000100000000D)))"#
    );
    load(&wat::parse_str(&text).unwrap(), "{}").unwrap()
}

#[test]
fn a_run_costs_its_instructions_and_no_more_than_its_budget() {
    let endless = doing("(loop br 0)").validate(input(&json!({})), 100_000);
    let message = "the module did not end within 3 million instructions".to_owned();
    assert_eq!((endless.result, endless.cost), (Err(message), 100_000));
    let short = doing("").validate(input(&json!({})), BUDGET);
    assert!(short.cost < 10, "{}", short.cost);
}

#[test]
fn what_the_runtime_does_for_a_module_costs_more_than_an_instruction() {
    let check = |instruction: &str, least: u64| {
        let cost = doing(&instruction.repeat(30)).validate(input(&json!({})), BUDGET).cost;
        assert!(cost >= least && cost < least + 10, "{instruction}: {cost}");
    };
    let nothing = "(i32.const 0) (i32.const 0) (i32.const 0)";
    check("(drop (i32.const 0))", 1);
    check("(drop (memory.grow (i32.const 0)))", 255);
    check("(drop (table.grow $t (ref.null func) (i32.const 0)))", 255);
    check(&format!("(table.init $t $e {nothing})"), 255);
    check("(elem.drop $e)", 255);
    check("(drop (ref.func $validate))", 255);
    check("(data.drop $d)", 20);
    check(&format!("(memory.copy {nothing})"), 20);
    check(&format!("(memory.fill {nothing})"), 20);
    check(&format!("(memory.init $d {nothing})"), 20);
    check(&format!("(table.copy $t $t {nothing})"), 20);
    check("(table.fill $t (i32.const 0) (ref.null func) (i32.const 0))", 20);
}
