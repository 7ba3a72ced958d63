//! One call of a module: an instance of its own, and the ABI's steps.

use crate::abi::{self, ALLOC, INIT, INITIALIZE, MEMORY, NAMESPACE, VALIDATE, VALIDATE_SETTINGS};
use crate::call::{Asking, Call, fault, within};
use crate::functions::{self, LOOKUP};
use crate::log::Quota;
use crate::reply::{self, SettingsError};
use crate::wasi;
use portcullis_core::module::{INSTRUCTIONS_PER_COST, Input, Module as Program, Refusal, Run};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use wasmtime::{
    Engine, Extern, FuncType, Instance, InstancePre, Linker, Memory, Module, Store, WasmParams, WasmResults,
};

/// What a reply may have in bytes.
const MAX_REPLY: usize = 256 << 10;
/// What validating settings may cost, in instructions.
const SETTINGS_FUEL: u64 = 300_000_000;

/// A module that keeps to the ABI, ready to be instantiated.
#[derive(Clone)]
pub(crate) struct Linked {
    module: InstancePre<Call>,
    asks_for_lookups: bool,
}

/// A module with a policy's settings.
pub(crate) struct Policy {
    name: Arc<str>,
    module: Linked,
    settings: Box<str>,
    quota: Arc<Quota>,
}

/// What modules may import, and what of that each function is.
pub(crate) struct Functions {
    linker: Linker<Call>,
    types: HashMap<(String, String), FuncType>,
}

impl Functions {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut linker: Linker<Call> = Linker::new(engine);
        functions::add_to(&mut linker)?;
        wasi::add_to(&mut linker)?;
        let mut store = Store::new(engine, Call::new(&Arc::from(""), &Arc::default(), Vec::new()));
        let all: Vec<(String, String, Extern)> = linker
            .iter(&mut store)
            .map(|(module, name, function)| (module.to_owned(), name.to_owned(), function))
            .collect();
        let of_type = |(module, name, function): (String, String, Extern)| {
            Some(((module, name), function.into_func()?.ty(&store)))
        };
        Ok(Self { types: all.into_iter().filter_map(of_type).collect(), linker })
    }

    /// The type of a function, if there is such a one.
    pub(crate) fn find(&self, module: &str, name: &str) -> Option<&FuncType> {
        self.types.get(&(module.to_owned(), name.to_owned()))
    }
}

impl Linked {
    /// Links a module, or says in which ways it does not keep to the ABI.
    pub(crate) fn new(engine: &Engine, module: &Module) -> Result<Self, Vec<Refusal>> {
        let unusable = |error: wasmtime::Error| vec![abi::unusable(&error)];
        let functions = Functions::new(engine).map_err(unusable)?;
        let wrong = abi::check(module, &functions);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut imports = module.imports();
        let asks_for_lookups = imports.any(|import| import.module() == NAMESPACE && import.name() == LOOKUP);
        let module = functions.linker.instantiate_pre(module).map_err(unusable)?;
        Ok(Self { module, asks_for_lookups })
    }
}

impl Policy {
    pub(crate) fn new(name: &str, module: Linked, settings: String) -> Self {
        let quota = Arc::new(Quota::default());
        Self { name: Arc::from(name), module, settings: settings.into_boxed_str(), quota }
    }

    /// What the module does not accept of its settings.
    pub(crate) fn check_settings(&self) -> Result<Vec<SettingsError>, String> {
        let reply = self.call(SETTINGS_FUEL, Vec::new(), |running| {
            let settings = running.give(&self.settings)?;
            running.ask(VALIDATE_SETTINGS, settings)
        });
        reply.0.and_then(|reply| reply::read_settings(&reply))
    }

    /// Makes an instance, lets it be used with so many instructions, and drops it. Tells how many it took.
    fn call(
        &self,
        fuel: u64,
        lookups: Vec<(String, String)>,
        ask: impl FnOnce(&mut Running) -> wasmtime::Result<Range<usize>>,
    ) -> (Result<Vec<u8>, String>, u64) {
        let module = &self.module.module;
        let call = Call::new(&self.name, &self.quota, lookups);
        let mut store = Store::new(module.module().engine(), call);
        store.limiter(|call| call);
        let replied = store.set_fuel(fuel).and_then(|()| {
            let mut running = Running::start(module, &mut store)?;
            let reply = ask(&mut running)?;
            Ok(running.memory.data(&store).get(reply).unwrap_or_default().to_vec())
        });
        let left = store.get_fuel().unwrap_or_default();
        let call = store.data_mut();
        call.end_lines();
        let result = replied.map_err(|error| call.reason(&error, fuel));
        (result, fuel - left)
    }
}

impl Program for Policy {
    fn asks_for_lookups(&self) -> bool {
        self.module.asks_for_lookups
    }

    fn validate(&self, Input { request, lookups }: Input, budget: u64) -> Run {
        let (reply, fuel) = self.call(budget.saturating_mul(INSTRUCTIONS_PER_COST), lookups, |running| {
            let request = running.give(&request)?;
            let settings = running.give(&self.settings)?;
            running.store.data_mut().lookups.state = Asking::Allowed;
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
        // A reactor's runtime, of Go for one, before anything of the policy's.
        for name in [INITIALIZE, INIT] {
            if instance.get_func(&mut *store, name).is_some() {
                instance.get_typed_func::<(), ()>(&mut *store, name)?.call(&mut *store, ())?;
            }
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
