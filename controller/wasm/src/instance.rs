//! One call of a module: an instance of its own, the ABI's steps, and why it failed if it did.

use crate::abi::{ALLOC, INIT, LOG, MEMORY, NAMESPACE, VALIDATE, VALIDATE_SETTINGS};
use crate::engine::{MAX_MEMORY, MAX_TABLE};
use crate::log::{self, MAX_LINE, MAX_LINES, Quota};
use crate::reply::{self, SettingsError, line};
use portcullis_core::module::{INSTRUCTIONS_PER_COST, Module as Program, Run};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use wasmtime::{
    Caller, Engine, Instance, InstancePre, Linker, Memory, Module, ResourceLimiter, Store, StoreContextMut,
    Trap, WasmParams, WasmResults,
};

/// What a reply may have in bytes.
const MAX_REPLY: usize = 256 << 10;
/// What a line for the log costs, in instructions, so that a flood of them ends soon.
const LINE_COST: u64 = 5_000;
/// What validating settings may cost, in instructions.
const SETTINGS_FUEL: u64 = 300_000_000;

/// A module that keeps to the ABI, ready to be instantiated.
#[derive(Clone)]
pub(crate) struct Linked(InstancePre<Call>);

/// A module with a policy's settings.
pub(crate) struct Policy {
    name: Arc<str>,
    module: Linked,
    settings: Box<str>,
    quota: Arc<Quota>,
}

/// The state of one call.
struct Call {
    policy: Arc<str>,
    quota: Arc<Quota>,
    lines: usize,
    /// What was logged last as an error: why the module is about to give up.
    last_words: Option<String>,
    refused: Option<Refused>,
}

/// What the module asked for in vain, which is why it gave up if it did.
#[derive(Clone, Copy)]
enum Refused {
    Memory,
    Table,
}

/// Why a call cannot go on, found out by the host.
#[derive(Debug)]
struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

fn fault(message: impl Into<String>) -> wasmtime::Error {
    wasmtime::Error::new(Fault(message.into()))
}

impl ResourceLimiter for Call {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= MAX_MEMORY;
        if !fits {
            self.refused = Some(Refused::Memory);
        }
        Ok(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= MAX_TABLE;
        if !fits {
            self.refused = Some(Refused::Table);
        }
        Ok(fits)
    }
}

impl Linked {
    /// Links a module that was checked.
    pub(crate) fn new(engine: &Engine, module: &Module) -> wasmtime::Result<Self> {
        let mut linker: Linker<Call> = Linker::new(engine);
        linker.func_wrap(NAMESPACE, LOG, log)?;
        Ok(Self(linker.instantiate_pre(module)?))
    }
}

impl Policy {
    pub(crate) fn new(name: &str, module: Linked, settings: String) -> Self {
        let quota = Arc::new(Quota::default());
        Self { name: Arc::from(name), module, settings: settings.into_boxed_str(), quota }
    }

    /// What the module does not accept of its settings.
    pub(crate) fn check_settings(&self) -> Result<Vec<SettingsError>, String> {
        let reply = self.call(SETTINGS_FUEL, |running| {
            let settings = running.give(&self.settings)?;
            running.ask(VALIDATE_SETTINGS, settings)
        });
        reply.0.and_then(|reply| reply::read_settings(&reply))
    }

    /// Makes an instance, lets it be used with so many instructions, and drops it. Tells how many it took.
    fn call(
        &self,
        fuel: u64,
        ask: impl FnOnce(&mut Running) -> wasmtime::Result<Range<usize>>,
    ) -> (Result<Vec<u8>, String>, u64) {
        let call = Call {
            policy: Arc::clone(&self.name),
            quota: Arc::clone(&self.quota),
            lines: 0,
            last_words: None,
            refused: None,
        };
        let mut store = Store::new(self.module.0.module().engine(), call);
        store.limiter(|call| call);
        let replied = store.set_fuel(fuel).and_then(|()| {
            let mut running = Running::start(&self.module.0, &mut store)?;
            let reply = ask(&mut running)?;
            Ok(running.memory.data(&store).get(reply).unwrap_or_default().to_vec())
        });
        let left = store.get_fuel().unwrap_or_default();
        let result = replied.map_err(|error| reason(&error, store.data(), fuel));
        (result, fuel - left)
    }
}

impl Program for Policy {
    fn validate(&self, request: &str, budget: u64) -> Run {
        let (reply, fuel) = self.call(budget.saturating_mul(INSTRUCTIONS_PER_COST), |running| {
            let request = running.give(request)?;
            let settings = running.give(&self.settings)?;
            running.ask(VALIDATE, (request.0, request.1, settings.0, settings.1))
        });
        Run { result: reply.and_then(|reply| reply::read(&reply)), cost: fuel / INSTRUCTIONS_PER_COST }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An instance at work.
struct Running<'s> {
    store: &'s mut Store<Call>,
    instance: Instance,
    memory: Memory,
}

impl<'s> Running<'s> {
    fn start(module: &InstancePre<Call>, store: &'s mut Store<Call>) -> wasmtime::Result<Running<'s>> {
        let instance = module.instantiate(&mut *store)?;
        let memory =
            instance.get_memory(&mut *store, MEMORY).ok_or_else(|| fault("the module has no memory"))?;
        if instance.get_func(&mut *store, INIT).is_some() {
            let init = instance.get_typed_func::<(), ()>(&mut *store, INIT)?;
            init.call(&mut *store, ())?;
        }
        Ok(Running { store, instance, memory })
    }

    /// Hands over a text, in memory that the module provides.
    fn give(&mut self, text: &str) -> wasmtime::Result<(u32, u32)> {
        let too_large = || fault("the request is larger than the module's memory can be");
        let length = u32::try_from(text.len()).map_err(|_| too_large())?;
        let pointer: u32 = self.run(ALLOC, length)?;
        let place = within(pointer, length, self.memory.data_size(&self.store))
            .ok_or_else(|| fault(format!("`{ALLOC}` returned what lies outside the module's memory")))?;
        if let Some(memory) = self.memory.data_mut(&mut self.store).get_mut(place) {
            memory.copy_from_slice(text.as_bytes());
        }
        Ok((pointer, length))
    }

    /// Calls what replies, and tells where the reply is.
    fn ask(&mut self, name: &str, arguments: impl WasmParams) -> wasmtime::Result<Range<usize>> {
        let packed: u64 = self.run(name, arguments)?;
        let (pointer, length) = ((packed >> 32) as u32, packed as u32);
        if length as usize > MAX_REPLY {
            return Err(fault(format!("the module's reply is longer than {} KiB", MAX_REPLY >> 10)));
        }
        within(pointer, length, self.memory.data_size(&self.store))
            .ok_or_else(|| fault("the module's reply lies outside its memory"))
    }

    fn run<R: WasmResults>(&mut self, name: &str, arguments: impl WasmParams) -> wasmtime::Result<R> {
        let function = self.instance.get_typed_func::<_, R>(&mut *self.store, name)?;
        function.call(&mut *self.store, arguments)
    }
}

/// A range of memory, if all of it is there.
fn within(pointer: u32, length: u32, size: usize) -> Option<Range<usize>> {
    let (begin, end) = (pointer as usize, (pointer as usize).checked_add(length as usize)?);
    (end <= size).then_some(begin..end)
}

/// `portcullis.log`.
fn log(mut caller: Caller<'_, Call>, level: i32, pointer: u32, length: u32) -> wasmtime::Result<()> {
    let left = caller.get_fuel()?.saturating_sub(LINE_COST);
    caller.set_fuel(left)?;
    let memory = caller.get_export(MEMORY).and_then(|export| export.into_memory());
    let memory = memory.ok_or_else(|| fault("the module has no memory"))?;
    let store = StoreContextMut::from(&mut caller);
    let (memory, call) = memory.data_and_store_mut(store);
    let place = within(pointer, length, memory.len())
        .ok_or_else(|| fault("the module logged what lies outside its memory"))?;
    let is_error = level == 1;
    if call.lines >= MAX_LINES && !is_error {
        return Ok(());
    }
    let bytes = memory.get(place).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(..MAX_LINE).unwrap_or(bytes));
    let text = line(&text);
    if call.lines < MAX_LINES {
        call.lines += 1;
        if call.quota.take() {
            log::write(&call.policy, level, &text);
        }
    }
    if is_error {
        call.last_words = Some(text);
    }
    Ok(())
}

/// Why a call gave no reply, in words for whoever wrote the policy.
fn reason(error: &wasmtime::Error, call: &Call, fuel: u64) -> String {
    if let Some(Fault(message)) = error.downcast_ref() {
        return message.clone();
    }
    let Some(trap) = error.downcast_ref::<Trap>() else {
        return format!("the module cannot be run: {}", line(&error.to_string()));
    };
    match (trap, call.refused, &call.last_words) {
        (Trap::OutOfFuel, ..) => {
            format!("the module did not end within {} million instructions", fuel / 1_000_000)
        }
        (_, Some(Refused::Memory), _) => {
            format!("the module needs more than {} MiB of memory", MAX_MEMORY >> 20)
        }
        (_, Some(Refused::Table), _) => {
            format!("the module needs a table of more than {MAX_TABLE} elements")
        }
        (Trap::UnreachableCodeReached, _, Some(words)) => format!("the module gave up: {words}"),
        (Trap::UnreachableCodeReached, ..) => "the module gave up (`unreachable`)".to_owned(),
        (Trap::StackOverflow, ..) => "the module's calls nest too deep".to_owned(),
        (Trap::MemoryOutOfBounds, ..) => {
            "the module reached outside its memory, as it does when its own stack overflows".to_owned()
        }
        (trap, ..) => {
            let text = trap.to_string();
            format!("the module failed: {}", text.strip_prefix("wasm trap: ").unwrap_or(&text))
        }
    }
}
