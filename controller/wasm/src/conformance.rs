//! The ABI's rules, each kept and broken once, by modules of a few lines.

use crate::host::deserialize;
use crate::instance::{Linked, Policy};
use crate::{abi, compiler, engine};
use portcullis_core::decision::Reason;
use portcullis_core::module::{Module as _, Reply, Violation};
use std::sync::LazyLock;
use wasmtime::Engine;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine::running().unwrap());

/// What a policy may spend on a request, in CEL's units.
const BUDGET: u64 = 10_000_000;

/// The parts of a module that keeps to the ABI, and replies its settings to every request and that all is well to all
/// settings.
const PARTS: [(&str, &str); 7] = [
    ("memory", r#"(memory (export "memory") 1)"#),
    ("version", r#"(func (export "portcullis_abi_v1"))"#),
    (
        "alloc",
        r#"(global $next (mut i32) (i32.const 1024))
           (func (export "portcullis_alloc") (param i32) (result i32)
             global.get $next
             (global.set $next (i32.add (global.get $next) (local.get 0))))"#,
    ),
    (
        "validate",
        r#"(func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
             (i64.or
               (i64.shl (i64.extend_i32_u (local.get 2)) (i64.const 32))
               (i64.extend_i32_u (local.get 3))))"#,
    ),
    (
        "settings",
        r#"(data (i32.const 16) "{\"errors\":[]}")
           (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
             (i64.const 0x000000100000000D))"#,
    ),
    ("imports", ""),
    ("more", ""),
];

/// Such a module with some parts replaced.
fn module(replaced: &[(&str, &str)]) -> Result<Linked, String> {
    let part = |name: &str| {
        let replaced = replaced.iter().find(|(replaced, _)| *replaced == name);
        let own = PARTS.iter().find(|(own, _)| *own == name);
        replaced.or(own).unwrap_or_else(|| panic!("no part `{name}`")).1
    };
    for (name, _) in replaced {
        part(name);
        assert!(PARTS.iter().any(|(own, _)| own == name), "{name}");
    }
    let order = ["imports", "memory", "version", "alloc", "validate", "settings", "more"];
    let text = format!("(module {})", order.map(part).join("\n"));
    binary(&wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

fn binary(bytes: &[u8]) -> Result<Linked, String> {
    abi::check_header(bytes).map_err(|refusal| refusal.message)?;
    let compiled = compiler::compile(bytes)?;
    let module = deserialize(&ENGINE, &compiled).map_err(|error| error.to_string())?;
    abi::check(&module).map_err(|refusal| refusal.message)?;
    Linked::new(&ENGINE, &module).map_err(|error| error.to_string())
}

fn validate(module: Linked, settings: &str) -> Result<Reply, String> {
    Policy::new("p", module, settings.to_owned()).validate("{}", BUDGET).result
}

/// What comes of a request to a module of which some parts are replaced.
fn run(replaced: &[(&str, &str)]) -> Result<Reply, String> {
    validate(module(replaced)?, r#"{"violations":[]}"#)
}

/// A `portcullis_validate` that does this first.
fn doing(instructions: &str) -> String {
    format!(
        r#"(func $validate (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
             {instructions} (i64.const 0))"#
    )
}

#[test]
fn a_module_that_keeps_to_the_abi_is_a_policy() {
    assert_eq!(run(&[]), Ok(Reply::default()));
    let init = ("more", r#"(func (export "portcullis_init") (global.set $next (i32.const 2048)))"#);
    assert_eq!(run(&[init]), Ok(Reply::default()));
    let log = ("imports", r#"(import "portcullis" "log" (func $log (param i32 i32 i32)))"#);
    assert_eq!(run(&[log]), Ok(Reply::default()));
}

#[test]
fn what_is_no_module_is_refused_by_its_first_bytes() {
    let check = |bytes: &[u8], message: &str| assert_eq!(binary(bytes).err().as_deref(), Some(message));
    check(b"", "the module is empty");
    check(b"\0asm\x0d\0\x01\0", "the module is a WebAssembly component, not a core module");
    check(b"\0asm\x02\0\0\0", "the module is of a version of WebAssembly that is not known");
    check(b" (module)", "the module is WebAssembly text, not a binary");
    check(b"\x7fELF", "the module is not WebAssembly");
    check(b"\0asm\x01\0\0\0", "the module does not export `portcullis_abi_v1`");
    assert!(binary(b"\0asm\x01\0\0\0\x01\x02\x03").is_err());
}

#[test]
fn exports_are_looked_at_when_a_module_is_loaded() {
    let check = |part: &str, text: &str, message: &str| {
        assert_eq!(module(&[(part, text)]).err().as_deref(), Some(message), "{text}");
    };
    let two = r#"(func (export "portcullis_abi_v2"))"#;
    check(
        "version",
        two,
        "the module is for another version of the ABI: it exports `portcullis_abi_v2`, not `portcullis_abi_v1`",
    );
    let wapc = r#"(func (export "__guest_call"))"#;
    check("version", wapc, "the module is for waPC (Kubewarden), which does not run here");
    check("version", "", "the module does not export `portcullis_abi_v1`");
    check("memory", "(memory 1)", "the module does not export its `memory`");
    let global = r#"(memory 1) (global (export "memory") i32 (i32.const 1))"#;
    check("memory", global, "the module exports `memory`, but that is no memory");
    let alloc = r#"(global $next (mut i32) (i32.const 0))"#;
    check("alloc", alloc, "the module does not export `portcullis_alloc`");
    let long = r#"(global $next (mut i32) (i32.const 0))
        (func (export "portcullis_alloc") (param i64) (result i32) i32.const 0)"#;
    check("alloc", long, "`portcullis_alloc` must be a function of (i32) to i32");
    check("validate", "", "the module does not export `portcullis_validate`");
    let nothing = r#"(func (export "portcullis_validate"))"#;
    check("validate", nothing, "`portcullis_validate` must be a function of (i32, i32, i32, i32) to i64");
    let global = r#"(global (export "portcullis_validate") i32 (i32.const 1))"#;
    check("validate", global, "`portcullis_validate` must be a function");
    check("settings", "", "the module does not export `portcullis_validate_settings`");
    let init = r#"(func (export "portcullis_init") (param i32))"#;
    check("more", init, "`portcullis_init` must be a function of () without a result");
}

#[test]
fn only_what_there_is_can_be_imported() {
    let check = |import: &str, message: &str| {
        assert_eq!(module(&[("imports", import)]).err().as_deref(), Some(message));
    };
    let unknown = r#"(import "portcullis" "lookup" (func (param i32 i32) (result i64)))"#;
    check(unknown, "the module imports `portcullis.lookup`, which there is not");
    let wasi = r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#;
    check(wasi, "the module imports `wasi_snapshot_preview1.random_get`, which there is not");
    let log = r#"(import "portcullis" "log" (func (param i32)))"#;
    check(log, "the module imports `portcullis.log` as something else than it is");
    let memory = r#"(import "env" "memory" (memory 1))"#;
    assert!(module(&[("imports", memory), ("memory", "")]).is_err());
}

#[test]
fn what_an_instance_begins_with_has_limits() {
    let check = |part: &str, text: &str, message: &str| {
        assert_eq!(module(&[(part, text)]).err().as_deref(), Some(message));
    };
    assert!(module(&[("memory", r#"(memory (export "memory") 512)"#)]).is_ok());
    let memory = r#"(memory (export "memory") 513)"#;
    check("memory", memory, "the module begins with 33 MiB of memory; at most 32 MiB are allowed");
    assert!(module(&[("more", "(table 10000 funcref)")]).is_ok());
    let large = "the module begins with a table of 10001 elements; at most 10000 are allowed";
    check("more", "(table 10001 funcref)", large);
    let tables = "(table 1 funcref) ".repeat(5);
    check("more", &tables, "the module has 5 tables; at most 4 are allowed");
    let twice = r#"(memory (export "memory") 1) (memory 1)"#;
    assert!(module(&[("memory", twice)]).is_err());
    assert!(module(&[("memory", r#"(memory (export "memory") i64 1)"#)]).is_err());
}

#[test]
fn a_reply_is_what_the_abi_asks_for() {
    let check = |reply: &str, expected: Result<Reply, &str>| {
        let replied = validate(module(&[]).unwrap(), reply);
        assert_eq!(replied, expected.map_err(str::to_owned), "{reply}");
    };
    let full = r#"{
        "violations": [
            {"message": "  no\n good ", "fieldPath": "spec.x", "remedy": "leave it", "reason": "Forbidden"},
            {"message": "nor this"}],
        "warnings": ["mind\tthis"],
        "auditAnnotations": {"key": "value"}}"#;
    let violation = Violation {
        message: "no  good".to_owned(),
        field_path: "spec.x".to_owned(),
        remedy: Some("leave it".to_owned()),
        reason: Reason::Forbidden,
    };
    let other = Violation { message: "nor this".to_owned(), ..Violation::default() };
    check(
        full,
        Ok(Reply {
            violations: vec![violation, other],
            warnings: vec!["mind this".to_owned()],
            audit_annotations: vec![("key".to_owned(), "value".to_owned())],
        }),
    );
    let garbage = "the module's reply is not what the ABI asks for: ";
    for (reply, error) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "invalid length 0, expected an object at line 1 column 2"),
        ("{}", "missing field `violations` at line 1 column 2"),
        (
            r#"{"violations":[],"allowed":true}"#,
            "unknown field `allowed`, expected one of `violations`, `warnings`, `auditAnnotations` at line 1 column 26",
        ),
    ] {
        check(reply, Err(&format!("{garbage}{error}")));
    }
    check(r#"{"violations":[{"message":" "}]}"#, Err("the module replied a violation without a message"));
    check(
        r#"{"violations":[],"auditAnnotations":{"a/b":""}}"#,
        Err("the module replied an audit annotation whose key cannot be one: `a/b`"),
    );
}

#[test]
fn pointers_and_lengths_are_compared_with_the_memory() {
    let check = |replaced: (&str, &str), message: &str| {
        assert_eq!(run(&[replaced]).err().as_deref(), Some(message), "{replaced:?}");
    };
    let outside = "the module's reply lies outside its memory";
    for packed in ["0x0000FFFF00000002", "0xFFFFFFFF00000001", "0x0001000000000001"] {
        check(("validate", &doing(&format!("(return (i64.const {packed}))"))), outside);
    }
    let long = "the module's reply is longer than 256 KiB";
    for packed in ["0x0000000000040001", "0x000000003FFFFFFF", "0x00000000FFFFFFFF"] {
        check(("validate", &doing(&format!("(return (i64.const {packed}))"))), long);
    }
    for pointer in ["65536", "-1"] {
        let alloc = format!(
            r#"(global $next (mut i32) (i32.const 0))
               (func (export "portcullis_alloc") (param i32) (result i32) i32.const {pointer})"#
        );
        let replaced = [("alloc", alloc.as_str())];
        assert_eq!(
            run(&replaced).err().as_deref(),
            Some("`portcullis_alloc` returned what lies outside the module's memory")
        );
    }
    let log = ("imports", r#"(import "portcullis" "log" (func $log (param i32 i32 i32)))"#);
    let outside = doing("(call $log (i32.const 3) (i32.const 65535) (i32.const 2))");
    assert_eq!(
        run(&[log, ("validate", &outside)]).err().as_deref(),
        Some("the module logged what lies outside its memory")
    );
}

#[test]
fn whatever_a_module_does_it_ends_with_a_reason() {
    let check = |instructions: &str, message: &str| {
        assert_eq!(
            run(&[("validate", &doing(instructions))]).err().as_deref(),
            Some(message),
            "{instructions}"
        );
    };
    let endless = "the module did not end within 300 million instructions";
    check("(loop br 0)", endless);
    check("(loop (drop (memory.grow (i32.const 0))) br 0)", endless);
    check("(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) br 0)", endless);
    check(
        "(drop (call $validate (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
        "the module's calls nest too deep",
    );
    check("unreachable", "the module gave up (`unreachable`)");
    check("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "the module failed: integer divide by zero");
    check(
        "(drop (i32.load (i32.const 65536)))",
        "the module reached outside its memory, as it does when its own stack overflows",
    );
    check(
        "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
        "the module needs more than 32 MiB of memory",
    );
    let table = [
        ("more", "(table $t 1 funcref)"),
        ("validate", &doing("(drop (table.grow $t (ref.null func) (i32.const 10000))) unreachable")),
    ];
    assert_eq!(run(&table).err().as_deref(), Some("the module needs a table of more than 10000 elements"));
    let start = [("more", "(func $endless (loop br 0)) (start $endless)")];
    assert_eq!(run(&start).err().as_deref(), Some(endless));
    let init = [("more", r#"(func (export "portcullis_init") unreachable)"#)];
    assert_eq!(run(&init).err().as_deref(), Some("the module gave up (`unreachable`)"));
}

#[test]
fn what_is_logged_as_an_error_is_why_a_module_gives_up() {
    let log = ("imports", r#"(import "portcullis" "log" (func $log (param i32 i32 i32)))"#);
    let data = ("more", r#"(data (i32.const 512) "line 1\nno such thing")"#);
    let say = "(call $log (i32.const 1) (i32.const 512) (i32.const 20))";
    let panics = doing(&format!("{say} unreachable"));
    assert_eq!(
        run(&[log, data, ("validate", &panics)]).err().as_deref(),
        Some("the module panicked: line 1 no such thing")
    );
    // However much was logged before.
    let floods = doing(&format!(
        "(local $n i32)
         (loop
           (call $log (i32.const 3) (i32.const 0) (i32.const 8))
           (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
         {say} unreachable"
    ));
    assert_eq!(
        run(&[log, data, ("validate", &floods)]).err().as_deref(),
        Some("the module panicked: line 1 no such thing")
    );
    let flood = doing("(loop (call $log (i32.const 3) (i32.const 0) (i32.const 8)) br 0)");
    assert_eq!(
        run(&[log, data, ("validate", &flood)]).err().as_deref(),
        Some("the module did not end within 300 million instructions")
    );
}

#[test]
fn a_run_costs_its_instructions_and_no_more_than_its_budget() {
    let policy = |instructions: &str| {
        let module = module(&[("validate", &doing(instructions))]).unwrap();
        Policy::new("p", module, "{}".to_owned())
    };
    let endless = policy("(loop br 0)").validate("{}", 100_000);
    let message = "the module did not end within 3 million instructions".to_owned();
    assert_eq!((endless.result, endless.cost), (Err(message), 100_000));
    let short = policy("").validate("{}", BUDGET);
    assert!(short.cost < 10, "{}", short.cost);
}

#[test]
fn what_the_runtime_does_for_a_module_costs_more_than_an_instruction() {
    let check = |instruction: &str, least: u64| {
        let parts = [
            ("more", r#"(table $t 1 funcref) (elem $e func $validate) (data $d "data")"#),
            ("validate", &doing(&instruction.repeat(30))),
        ];
        let policy = Policy::new("p", module(&parts).unwrap(), "{}".to_owned());
        let cost = policy.validate("{}", BUDGET).cost;
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

#[test]
fn settings_are_looked_at_by_the_module() {
    let check = |reply: &str, expected: Result<&[(&str, &str)], &str>| {
        let escaped = reply.replace('"', "\\\"");
        let settings = format!(
            r#"(data (i32.const 16) "{escaped}")
               (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
                 (i64.const 0x00000010{:08X}))"#,
            reply.len()
        );
        let policy = Policy::new("p", module(&[("settings", &settings)]).unwrap(), "{}".to_owned());
        let found = policy.check_settings();
        let found = found.as_ref().map(|errors| {
            errors.iter().map(|error| (error.path.as_str(), error.message.as_str())).collect::<Vec<_>>()
        });
        assert_eq!(found.map_err(String::as_str), expected.map(<[_]>::to_vec));
    };
    check(r#"{"errors":[]}"#, Ok(&[]));
    check(
        r#"{"errors":[{"path":"a.b","message":"no"},{"message":"odd"}]}"#,
        Ok(&[("a.b", "no"), ("", "odd")]),
    );
    check(
        r#"{"valid":true}"#,
        Err(
            "the module's reply is not what the ABI asks for: unknown field `valid`, expected `errors` at line 1 column 8",
        ),
    );
}
