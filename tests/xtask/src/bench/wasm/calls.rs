//! One call of a module, and its parts.

use super::guests::Guest;
use anyhow::{Context, Result, anyhow, bail, ensure};
use portcullis_core::module::{Input, Loading, Modules, Run, Source};
use portcullis_wasm::{Compiler, Host, Waiting};
use serde_json::{Value as Json, json};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::{Engine, Instance, InstancePre, Linker, Module, Store};

/// Rounds, over which medians are taken.
const ROUNDS: usize = 9;
/// What a call may cost, in CEL's units, as in `serve`.
const BUDGET: u64 = 10_000_000;
/// Instructions for an instance that judges one request after the other.
const FUEL: u64 = u64::MAX / 2;
/// An instance is used for so many calls: the ABI has nothing to give memory back by, and a module may have 64 KiB.
const REUSES: u32 = 7;

/// Measures every guest against reading the same request natively.
pub(super) fn measure(program: &Path, guests: &[Guest], request: &Json, repeat: u32) -> Result<()> {
    let fields = ["kind", "resource", "name", "namespace", "object"];
    let of = |request: &Json| {
        let given = fields.map(|field| (field.to_owned(), request[field].clone()));
        let given = Json::Object(given.into_iter().collect());
        json!({"abi": 1, "policy": "bench", "request": given}).to_string()
    };
    let good = of(request);
    let native = median(|| {
        let parse = || serde_json::from_str::<Json>(black_box(&good)).is_ok_and(|value| value["abi"] == 1);
        timed(repeat, parse)
    })?;
    println!("µs for a request of {} bytes, medians of {ROUNDS} rounds\n", good.len());
    println!("{:<44} {:>9} {:>10} {:>10}", "", "µs", "× native", "KiB");
    println!("{:<44} {:>9.1} {:>10.2}", "native: serde_json::Value of it", native, 1.0);
    for guest in guests {
        let mut bad = request.clone();
        (guest.spoil)(&mut bad["object"]);
        let row = |what: &str, time: f64| {
            println!("{:<44} {time:>9.1} {:>10.2}", format!("{}: {what}", guest.name), time / native);
        };
        // What only the host has, others need to be instantiated: no more than whole calls of these are measured.
        let reused = if guest.has_runtime { None } else { Some(Reused::new(guest)?) };
        if let Some(reused) = &reused {
            row("instantiate and drop", median(|| timed(repeat, || reused.instantiate().is_ok()))?);
        }
        let policy = loaded(program, guest)?;
        let finds = |text: &str| {
            let input = Input { request: text.to_owned(), lookups: Vec::new() };
            violations(&policy.validate(input, BUDGET))
        };
        ensure!(finds(&of(&bad))? > 0, "`{}` finds nothing in a bad request", guest.name);
        let expected = finds(&good)?;
        let whole = median(|| timed(repeat, || finds(&good).is_ok_and(|found| found == expected)))?;
        row("a call, in an instance of its own", whole);
        if let Some(reused) = &reused {
            row("a call, in a used instance", reused.measure(&good, repeat)?);
        }
        println!("{:<44} {:>31}", format!("{}: the module", guest.name), guest.module.len() >> 10);
    }
    Ok(())
}

fn violations(run: &Run) -> Result<usize> {
    match &run.result {
        Ok(reply) => Ok(reply.violations.len()),
        Err(reason) => bail!("{reason}"),
    }
}

/// A guest as `serve` has it.
fn loaded(program: &Path, guest: &Guest) -> Result<Arc<dyn portcullis_core::module::Module>> {
    let host = Host::new(Compiler::new(program, ["compile-module"]), None, Waiting::Blocks)?;
    let parts = [Arc::from(guest.module.as_slice())];
    let (settings, none) = (&guest.settings, &[]);
    let source =
        Source { policy: "bench", parts: &parts, sha256: None, settings, reads: none, lookups: none };
    match host.load(&source) {
        Loading::Ready(policy) => Ok(policy),
        Loading::Pending => bail!("`{}` is not loaded", guest.name),
        Loading::Refused(refusals) => bail!("`{}` is refused: {refusals:?}", guest.name),
    }
}

/// A guest without what the host does around a call: what isolation costs is the difference.
struct Reused {
    engine: Engine,
    linked: InstancePre<()>,
    settings: String,
}

impl Reused {
    fn new(guest: &Guest) -> Result<Self> {
        let link = || {
            let engine = portcullis_wasm::engine()?;
            let mut linker: Linker<()> = Linker::new(&engine);
            linker.func_wrap("portcullis", "log", |_: i32, _: i32, _: i32| {})?;
            let linked = linker.instantiate_pre(&Module::from_binary(&engine, &guest.module)?)?;
            Ok(Self { engine, linked, settings: guest.settings.to_string() })
        };
        link().map_err(|error: wasmtime::Error| anyhow!("`{}`: {error}", guest.name))
    }

    fn instantiate(&self) -> wasmtime::Result<(Store<()>, Instance)> {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(FUEL)?;
        let instance = self.linked.instantiate(&mut store)?;
        if let Some(init) = instance.get_func(&mut store, "portcullis_init") {
            init.call(&mut store, &[], &mut [])?;
        }
        Ok((store, instance))
    }

    /// Microseconds for a call of an instance that has judged before.
    fn measure(&self, request: &str, repeat: u32) -> Result<f64> {
        median(|| {
            let mut spent = 0.0;
            let mut left = repeat;
            while left > 0 {
                let calls = left.min(REUSES);
                let (mut store, instance) = self.instantiate().map_err(|error| anyhow!("{error}"))?;
                let first = self.call(&mut store, &instance, request);
                first.map_err(|error| anyhow!("{error}"))?;
                spent +=
                    timed(calls, || self.call(&mut store, &instance, request).is_ok())? * f64::from(calls);
                left -= calls;
            }
            Ok(spent / f64::from(repeat))
        })
    }

    fn call(&self, store: &mut Store<()>, instance: &Instance, request: &str) -> wasmtime::Result<Json> {
        let missing = |what| move || wasmtime::Error::msg(what);
        let memory = instance.get_memory(&mut *store, "memory").ok_or_else(missing("no memory"))?;
        let alloc = instance.get_typed_func::<u32, u32>(&mut *store, "portcullis_alloc")?;
        let mut give = |text: &str| -> wasmtime::Result<(u32, u32)> {
            let length = u32::try_from(text.len())?;
            let pointer = alloc.call(&mut *store, length)?;
            memory.write(&mut *store, pointer as usize, text.as_bytes())?;
            Ok((pointer, length))
        };
        let (request, settings) = (give(request)?, give(&self.settings)?);
        let validate =
            instance.get_typed_func::<(u32, u32, u32, u32), u64>(&mut *store, "portcullis_validate")?;
        let packed = validate.call(&mut *store, (request.0, request.1, settings.0, settings.1))?;
        let (pointer, length) = ((packed >> 32) as usize, packed as u32 as usize);
        let reply = memory.data(&*store).get(pointer..pointer + length).ok_or_else(missing("no reply"))?;
        Ok(serde_json::from_slice(reply)?)
    }
}

/// Microseconds for one of so many calls, all of which must succeed.
fn timed(repeat: u32, mut call: impl FnMut() -> bool) -> Result<f64> {
    let start = Instant::now();
    let mut right = true;
    for _ in 0..repeat {
        right &= black_box(call());
    }
    ensure!(right, "a call failed");
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(repeat))
}

fn median(mut round: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut times = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    times.get(ROUNDS / 2).copied().context("nothing was measured")
}
