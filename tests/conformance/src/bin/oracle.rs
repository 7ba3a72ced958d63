//! Compares the engine with cel-go: generates expressions over a Kubernetes object, asks both for type,
//! value or error, and cost, and prints every difference.
//!
//! Usage: `oracle <path of the Go program of tests/go/oracle> <seed> <count>`; expressions, one a line, may be
//! given on the standard input instead with a count of 0. With `footprint` for the program, the engine alone
//! is asked whether changing what an expression does not read ever changes its result.

use std::io::{BufRead, Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use portcullis_cel::engine::{Bindings, Environment, Meter, Program, Type, Value};
use serde_json::{Value as Json, json};

/// apiserver's PerCallLimit.
const COST_LIMIT: u64 = 1_000_000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let program = args.next().context("the path of the Go program")?;
    let seed: u64 = args.next().context("a seed")?.parse()?;
    let count: usize = args.next().context("a count")?.parse()?;
    let expressions: Vec<String> = if count == 0 {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    } else {
        let mut generator =
            Generator { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, locals: Vec::new() };
        (0..count).map(|_| generator.any(4)).collect()
    };
    let object = object();
    if program == "footprint" {
        return footprints(&expressions, &object, seed);
    }
    let answers = ask(&program, &expressions, &object)?;
    let (mut differ, mut failed, mut refused) = (0, 0, 0);
    let mut out = String::new();
    for (expression, theirs) in expressions.iter().zip(&answers) {
        let ours = evaluate(expression, &object);
        failed += u32::from(theirs.get("error").is_some());
        refused += u32::from(theirs.get("compile").is_some());
        if let Some(reason) = difference(&ours, theirs) {
            differ += 1;
            out.push_str(&format!("{reason}\n  {expression}\n  ours   {ours}\n  theirs {theirs}\n"));
        }
    }
    let total = expressions.len();
    out.push_str(&format!("{total} expressions, {refused} refused, {failed} failing, {differ} different\n"));
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}

fn ask(program: &str, expressions: &[String], object: &Json) -> Result<Vec<Json>> {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let requests: Vec<String> = expressions
        .iter()
        .map(|expression| json!({"expression": expression, "variables": {"object": object}}).to_string())
        .collect();
    let writer = std::thread::spawn(move || {
        for request in requests {
            if writeln!(stdin, "{request}").is_err() {
                return;
            }
        }
    });
    let stdout = std::io::BufReader::new(child.stdout.take().context("no stdout")?);
    let answers =
        stdout.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<Vec<Json>>>()?;
    let _ = writer.join();
    child.wait()?;
    Ok(answers)
}

/// Changes the object at random, and compares results where the footprint says nothing that is read changed.
fn footprints(expressions: &[String], object: &Json, seed: u64) -> Result<()> {
    let mut random = Generator { state: seed | 1, locals: Vec::new() };
    let (mut agreed, mut changed, mut wrong) = (0_u32, 0_u32, 0_u32);
    let mut out = String::new();
    for expression in expressions {
        let environment = Environment::new().with_variable("object", Type::Dyn);
        let Ok(program) = Program::compile(&environment, expression) else { continue };
        let before = evaluate(expression, object);
        for _ in 0..40 {
            let mut mutated = object.clone();
            random.mutate(&mut mutated);
            let (one, other) = (Value::from_json(object), Value::from_json(&mutated));
            if mutated == *object || !program.footprint().agrees("object", &one, &other) {
                changed += 1;
                continue;
            }
            agreed += 1;
            let after = evaluate(expression, &mutated);
            if before.get("value") != after.get("value") || before.get("error") != after.get("error") {
                wrong += 1;
                let reads: Vec<String> = program.footprint().reads().map(ToString::to_string).collect();
                out.push_str(&format!(
                    "{expression}\n  reads {reads:?}\n  {mutated}\n  {before}\n  {after}\n"
                ));
            }
        }
    }
    out.push_str(&format!("{agreed} changes outside the footprint, {changed} inside, {wrong} wrong\n"));
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}

fn evaluate(expression: &str, object: &Json) -> Json {
    let environment = Environment::new().with_variable("object", Type::Dyn);
    let program = match Program::compile(&environment, expression) {
        Ok(program) => program,
        Err(issues) => {
            let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
            return json!({"compile": issues.join("\n"), "cost": 0});
        }
    };
    let mut bindings = Bindings::new(&environment);
    bindings.set("object", Value::from_json(object));
    let meter = Meter::new(COST_LIMIT);
    let result = program.evaluate(&bindings, &meter);
    let of = program.result_type().to_string();
    match result {
        Ok(value) => json!({"type": of, "value": show(&value), "cost": meter.cost()}),
        Err(failure) => json!({"type": of, "error": failure.to_string(), "cost": meter.cost()}),
    }
}

fn show(value: &Value<'_>) -> Json {
    match value {
        Value::Null => "null".into(),
        Value::Text(text) => json!({"string": text.as_str()}),
        Value::Optional(None) => json!({"optional": null}),
        Value::Optional(Some(value)) => json!({"optional": show(value)}),
        Value::JsonMap(map) => {
            let entries: serde_json::Map<String, Json> =
                map.iter().map(|(name, value)| (format!("string:{name}"), show(&value))).collect();
            json!({"map": entries})
        }
        Value::Map(map) => {
            let entries: serde_json::Map<String, Json> = map
                .iter()
                .map(|(key, value)| (format!("{}:{key}", key.to_value().type_name()), show(value)))
                .collect();
            json!({"map": entries})
        }
        Value::Type(name) => json!({"type": name}),
        Value::Bytes(bytes) => {
            json!({"bytes": format!("[{}]", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" "))})
        }
        other => match other.elements() {
            Some(elements) => json!({"list": elements.iter().map(show).collect::<Vec<_>>()}),
            None => json!({other.type_name(): other.to_string()}),
        },
    }
}

/// What differs, if anything does.
fn difference(ours: &Json, theirs: &Json) -> Option<&'static str> {
    match (ours.get("compile"), theirs.get("compile")) {
        (Some(_), Some(_)) => return None,
        (None, None) => {}
        _ => return Some("only one compiles"),
    }
    let over = |answer: &Json| {
        answer.get("error").and_then(Json::as_str).is_some_and(|error| error.contains("cost limit"))
    };
    if over(ours) && over(theirs) {
        return None;
    }
    if ours.get("error").is_some() != theirs.get("error").is_some() {
        return Some("only one fails");
    }
    if ours.get("value") != theirs.get("value") {
        return Some("values differ");
    }
    if ours.get("error") != theirs.get("error") {
        return Some("errors differ");
    }
    if ours.get("cost") != theirs.get("cost") {
        return Some("costs differ");
    }
    let theirs = theirs.get("type").and_then(Json::as_str).unwrap_or_default();
    let names = [("google.protobuf.Duration", "duration"), ("google.protobuf.Timestamp", "timestamp")];
    let theirs = names.iter().fold(theirs.to_owned(), |name, (long, short)| name.replace(long, short));
    let theirs = theirs.replace("null_type", "null");
    (ours.get("type").and_then(Json::as_str) != Some(theirs.as_str())).then_some("types differ")
}

fn object() -> Json {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "generation": 3, "labels": {"app": "web", "tier": "front"},
            "creationTimestamp": "2026-01-02T03:04:05Z", "annotations": {}},
        "spec": {"hostNetwork": false, "priority": 1000, "weight": 0.5, "nothing": null,
            "containers": [
                {"name": "web", "image": "registry.example.com/web:1.2", "ports": [{"containerPort": 8080}],
                    "securityContext": {"privileged": false, "runAsUser": 1000}},
                {"name": "sidecar", "image": "ghcr.io/acme/side@sha256:abc", "args": ["--v=2", "--x"]}
            ],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "cfg", "configMap": {"name": "cfg"}}]}
    })
}

/// Makes expressions, most of them well typed.
struct Generator {
    state: u64,
    locals: Vec<String>,
}

impl Generator {
    fn next(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % below.max(1)
    }

    fn pick<'o>(&mut self, options: &[&'o str]) -> &'o str {
        let index = self.next(options.len());
        options.get(index).copied().unwrap_or_default()
    }

    /// Changes one place of a value.
    fn mutate(&mut self, value: &mut Json) {
        let stop = self.next(4) == 0;
        match value {
            Json::Object(fields) if !stop && !fields.is_empty() => {
                let index = self.next(fields.len());
                let Some(name) = fields.keys().nth(index).cloned() else { return };
                match self.next(8) {
                    0 => {
                        fields.remove(&name);
                    }
                    1 => {
                        fields.insert("added".to_owned(), json!(1));
                    }
                    _ => {
                        if let Some(field) = fields.get_mut(&name) {
                            self.mutate(field);
                        }
                    }
                }
            }
            Json::Array(items) if !stop && !items.is_empty() => {
                let index = self.next(items.len());
                match self.next(8) {
                    0 => {
                        items.remove(index);
                    }
                    1 => items.push(json!("added")),
                    _ => {
                        if let Some(item) = items.get_mut(index) {
                            self.mutate(item);
                        }
                    }
                }
            }
            scalar => {
                let others = [
                    json!(null),
                    json!("other"),
                    json!(7),
                    json!(0.5),
                    json!([]),
                    json!({"name": "x"}),
                    json!(true),
                ];
                let index = self.next(others.len());
                *scalar = others.get(index).cloned().unwrap_or_default();
            }
        }
    }

    fn any(&mut self, depth: usize) -> String {
        match self.next(10) {
            0..=4 => self.bool(depth),
            5 => self.int(depth),
            6 => self.string(depth),
            7 => self.list(depth),
            8 => self.dynamic(depth),
            _ => self.odd(depth),
        }
    }

    fn path(&mut self) -> String {
        let paths = [
            "object.metadata.name",
            "object.metadata.labels",
            "object.metadata.labels.app",
            "object.spec.containers",
            "object.spec.priority",
            "object.spec.weight",
            "object.spec.nothing",
            "object.spec.hostNetwork",
            "object.spec.containers[0].image",
            "object.spec.containers[1].securityContext.privileged",
            "object.metadata.labels['tier']",
            "object.metadata['labels'].missing",
            "object.spec.volumes[7]",
            "object.metadata.generation",
            "object.spec",
            "object.nothing",
            "object.metadata.creationTimestamp",
            "object.spec.containers[0].ports[0].containerPort",
            "object.metadata.name.x",
            "object.spec.containers.x",
        ];
        self.pick(&paths).to_owned()
    }

    fn dynamic(&mut self, depth: usize) -> String {
        if depth == 0 || self.next(3) == 0 {
            if !self.locals.is_empty() && self.next(2) == 0 {
                let index = self.next(self.locals.len());
                return self.locals.get(index).cloned().unwrap_or_default();
            }
            return self.path();
        }
        let d = depth - 1;
        match self.next(8) {
            0 => format!("dyn({})", self.any(d)),
            1 => format!("({} ? {} : {})", self.bool(d), self.dynamic(d), self.dynamic(d)),
            2 => format!("{}[{}]", self.dynamic(d), self.int(d)),
            3 => format!("{}[{}]", self.dynamic(d), self.string(d)),
            4 => format!("({} + {})", self.dynamic(d), self.dynamic(d)),
            5 => format!("{}.{}", self.dynamic(d), self.pick(&["name", "image", "labels", "spec"])),
            6 => {
                let field = self.pick(&["name", "spec", "missing"]);
                format!("{}.?{field}.orValue({})", self.dynamic(d), self.dynamic(d))
            }
            _ => format!("{}[?{}].orValue({})", self.dynamic(d), self.string(d), self.dynamic(d)),
        }
    }

    fn bool(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&["true", "false", "object.spec.hostNetwork == true", "has(object.spec.nothing)"])
                .to_owned();
        }
        let d = depth - 1;
        match self.next(22) {
            0 | 1 => format!("({} && {})", self.bool(d), self.bool(d)),
            2 | 3 => format!("({} || {})", self.bool(d), self.bool(d)),
            4 => format!("!{}", self.bool(d)),
            5 => format!("({} == {})", self.dynamic(d), self.any(d)),
            6 => format!("({} != {})", self.dynamic(d), self.dynamic(d)),
            7 => {
                let operator = self.pick(&["<", "<=", ">", ">=", "==", "!="]);
                format!("({} {operator} {})", self.int(d), self.int(d))
            }
            8 => {
                let operator = self.pick(&["<", "<=", ">", ">="]);
                format!("({} {operator} {})", self.dynamic(d), self.dynamic(d))
            }
            9 => {
                let function = self.pick(&["startsWith", "endsWith", "contains"]);
                format!("{}.{function}({})", self.string(d), self.string(d))
            }
            10 => {
                let function = self.pick(&["startsWith", "endsWith", "contains"]);
                format!("{}.{function}({})", self.dynamic(d), self.string(d))
            }
            11 => {
                let pattern =
                    self.pick(&["'^[a-z]+$'", "'\\\\d+'", "'web|x'", "'(a)(b)?'", "object.metadata.name"]);
                format!("{}.matches({pattern})", self.string(d))
            }
            12 => format!("({} in {})", self.any(d), self.list(d)),
            13 => format!("({} in {})", self.dynamic(d), self.dynamic(d)),
            14 => format!("({} in ['web', 'shop', 'x'])", self.string(d)),
            15 => {
                let field = self.pick(&["name", "image", "missing", "securityContext"]);
                format!("has({}.{field})", self.dynamic(d))
            }
            16..=18 => {
                let quantifier = self.pick(&["all", "exists", "exists_one"]).to_owned();
                let range = if self.next(2) == 0 { self.list(d) } else { self.dynamic(d) };
                let var = self.bring_in();
                let body = self.bool(d);
                self.locals.pop();
                format!("{range}.{quantifier}({var}, {body})")
            }
            19 => {
                let quantifier = self.pick(&["all", "exists", "exists_one"]).to_owned();
                let range = self.dynamic(d);
                let (one, two) = (self.bring_in(), self.bring_in());
                let body = self.bool(d);
                self.locals.truncate(self.locals.len() - 2);
                format!("{range}.{quantifier}({one}, {two}, {body})")
            }
            20 => format!("({} ? {} : {})", self.bool(d), self.bool(d), self.bool(d)),
            _ => format!("{}.hasValue()", self.optional(d)),
        }
    }

    fn bring_in(&mut self) -> String {
        let name = format!("v{}", self.locals.len());
        self.locals.push(name.clone());
        name
    }

    fn optional(&mut self, depth: usize) -> String {
        let d = depth.saturating_sub(1);
        match self.next(8) {
            0 => "optional.none()".to_owned(),
            1 => format!("optional.of({})", self.any(d)),
            2 => format!("optional.ofNonZeroValue({})", self.dynamic(d)),
            3 => format!("{}.?{}", self.dynamic(d), self.pick(&["name", "missing"])),
            4 => format!("{}[?{}]", self.list(d), self.int(d)),
            5 => {
                let target = self.optional(d);
                let var = self.bring_in();
                let body = self.dynamic(d);
                self.locals.pop();
                format!("{target}.optMap({var}, {body})")
            }
            6 => {
                let target = self.optional(d);
                let var = self.bring_in();
                let body = self.optional(d);
                self.locals.pop();
                format!("{target}.optFlatMap({var}, {body})")
            }
            _ => format!("{}.?spec.{}", self.dynamic(d), self.pick(&["?name", "containers", "missing"])),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["0", "1", "2", "-7", "9223372036854775807"]).to_owned();
        }
        let d = depth - 1;
        match self.next(9) {
            0..=2 => {
                let operator = self.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.int(d), self.int(d))
            }
            3 => format!("size({})", self.string(d)),
            4 => format!("{}.size()", self.list(d)),
            5 => format!("size({})", self.dynamic(d)),
            6 => format!("int({})", self.dynamic(d)),
            7 => format!("-{}", self.int(d)),
            _ => self.int(0),
        }
    }

    fn string(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&["'web'", "''", "'shop'", "'registry.example.com/web:1.2'", "'héllo'"])
                .to_owned();
        }
        let d = depth - 1;
        match self.next(6) {
            0 => format!("({} + {})", self.string(d), self.string(d)),
            1 => format!("string({})", self.dynamic(d)),
            2 => format!("string({})", self.int(d)),
            3 => format!("({} ? {} : {})", self.bool(d), self.string(d), self.string(d)),
            _ => self.string(0),
        }
    }

    fn list(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["[1, 2, 3]", "['web', 'x']", "[]", "object.spec.containers"]).to_owned();
        }
        let d = depth - 1;
        match self.next(8) {
            0 => format!("[{}, {}]", self.int(d), self.int(d)),
            1 => format!("[{}, {}]", self.dynamic(d), self.dynamic(d)),
            2 => format!("[{}]", self.string(d)),
            3 | 4 => {
                let range = if self.next(2) == 0 { self.list(d) } else { self.dynamic(d) };
                let var = self.bring_in();
                let text = match self.next(3) {
                    0 => format!("{range}.map({var}, {})", self.any(d)),
                    1 => format!("{range}.filter({var}, {})", self.bool(d)),
                    _ => format!("{range}.map({var}, {}, {})", self.bool(d), self.any(d)),
                };
                self.locals.pop();
                text
            }
            5 => {
                let range = self.dynamic(d);
                let (one, two) = (self.bring_in(), self.bring_in());
                let text = match self.next(2) {
                    0 => format!("{range}.transformList({one}, {two}, {})", self.any(d)),
                    _ => format!("{range}.transformList({one}, {two}, {}, {})", self.bool(d), self.any(d)),
                };
                self.locals.truncate(self.locals.len() - 2);
                text
            }
            6 => format!("({} + {})", self.list(d), self.list(d)),
            _ => self.list(0),
        }
    }

    fn odd(&mut self, depth: usize) -> String {
        let d = depth.saturating_sub(1);
        match self.next(14) {
            0 => format!("{{'a': {}, 'b': {}}}", self.dynamic(d), self.dynamic(d)),
            1 => format!("{{{}: {}}}", self.string(d), self.any(d)),
            2 => format!("type({})", self.any(d)),
            3 => format!("double({})", self.dynamic(d)),
            4 => format!("uint({})", self.dynamic(d)),
            5 => format!(
                "timestamp(object.metadata.creationTimestamp){}",
                self.pick(&["", ".getHours()", " + duration('1h')", ".getDayOfWeek('Europe/Berlin')"])
            ),
            6 => format!(
                "duration({})",
                self.pick(&["'1h'", "'90s'", "'1.5m'", "object.metadata.name", "'-0.001s'"])
            ),
            7 => format!("bytes({})", self.string(d)),
            8 => self.optional(d),
            9 => {
                let range = self.dynamic(d);
                let (one, two) = (self.bring_in(), self.bring_in());
                let text = match self.next(4) {
                    0 => format!("{range}.transformMap({one}, {two}, {})", self.any(d)),
                    1 => format!("{range}.transformMap({one}, {two}, {}, {})", self.bool(d), self.any(d)),
                    2 => format!("{range}.transformMapEntry({one}, {two}, {{{two}: {one}}})"),
                    _ => {
                        format!("{range}.transformMapEntry({one}, {two}, {}, {{{one}: {two}}})", self.bool(d))
                    }
                };
                self.locals.truncate(self.locals.len() - 2);
                text
            }
            10 => format!("[?{}, {}]", self.optional(d), self.dynamic(d)),
            11 => format!("{{?'k': {}}}", self.optional(d)),
            12 => format!(
                "({} {} {})",
                self.pick(&["1.5", "2u", "double(object.spec.priority)", "1e6"]),
                self.pick(&["+", "<", "=="]),
                self.pick(&["1.5", "2u", "3", "object.spec.weight"])
            ),
            _ => format!("{}.{}({})", self.optional(d), self.pick(&["or", "orValue"]), self.any(d)),
        }
    }
}
