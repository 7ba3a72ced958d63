//! The functions that the ABI lets a module import: `portcullis.log` and `portcullis.lookup`.

use crate::abi::{ALLOC, NAMESPACE};
use crate::call::{Asking, Call, charge, fault, memory_of, within, written};
use crate::log::{self, MAX_LINES};
use std::sync::Arc;
use wasmtime::{Caller, Linker, StoreContextMut};

pub(crate) const LOG: &str = "log";
pub(crate) const LOOKUP: &str = "lookup";

/// What a line for the log costs, in instructions, so that a flood of them ends soon.
const LINE_COST: u64 = 5_000;
/// What it costs to ask for a look-up, in instructions, beside one for each byte of it.
const LOOKUP_COST: u64 = 1_000;
/// Of a name that there is not, so many bytes are told.
const MAX_NAME: usize = 64;

/// Makes them known.
pub(crate) fn add_to(linker: &mut Linker<Call>) -> wasmtime::Result<()> {
    linker.func_wrap(NAMESPACE, LOG, log)?;
    linker.func_wrap(NAMESPACE, LOOKUP, lookup)?;
    Ok(())
}

/// `portcullis.log`.
fn log(mut caller: Caller<'_, Call>, level: i32, pointer: u32, length: u32) -> wasmtime::Result<()> {
    charge(&mut caller, LINE_COST)?;
    let memory = memory_of(&mut caller)?;
    let (memory, call) = memory.data_and_store_mut(StoreContextMut::from(&mut caller));
    let place = within(pointer, length, memory.len())
        .ok_or_else(|| fault("the module logged what lies outside its memory"))?;
    let is_error = level == 1;
    if call.lines >= MAX_LINES && !is_error {
        return Ok(());
    }
    let text = written(memory.get(place).unwrap_or_default());
    call.log(level, &text);
    if is_error {
        call.last_words = Some(text);
    }
    Ok(())
}

impl Call {
    /// Writes a line to the log, unless there are enough.
    pub(crate) fn log(&mut self, level: i32, line: &str) {
        if self.lines < MAX_LINES {
            self.lines += 1;
            if self.quota.take() {
                log::write(&self.policy, level, line);
            }
        }
    }

    /// What was looked up under a name; afterwards, the module makes room for it.
    fn look_up(&mut self, name: &[u8]) -> wasmtime::Result<Arc<String>> {
        let told = || written(name.get(..MAX_NAME).unwrap_or(name));
        match self.lookups.state {
            Asking::Allowed => {}
            Asking::TooEarly => {
                return Err(fault(format!(
                    "the module asks for look-up `{}` before it is asked about a request",
                    told()
                )));
            }
            Asking::Busy => {
                return Err(fault(format!("`{ALLOC}` asks for a look-up itself, which has to wait for it")));
            }
        }
        let mut all = self.lookups.found.iter();
        let found = all.find(|(known, _)| known.as_bytes() == name).map(|(_, found)| Arc::clone(found));
        let found = found.ok_or_else(|| {
            fault(format!("the module asks for look-up `{}`, which the policy does not declare", told()))
        })?;
        self.lookups.state = Asking::Busy;
        Ok(found)
    }
}

/// `portcullis.lookup`.
fn lookup(mut caller: Caller<'_, Call>, pointer: u32, length: u32) -> wasmtime::Result<u64> {
    charge(&mut caller, LOOKUP_COST)?;
    let memory = memory_of(&mut caller)?;
    let (bytes, call) = memory.data_and_store_mut(StoreContextMut::from(&mut caller));
    let place = within(pointer, length, bytes.len())
        .ok_or_else(|| fault("the module asks for a look-up whose name lies outside its memory"))?;
    let found = call.look_up(bytes.get(place).unwrap_or_default())?;
    let size = u32::try_from(found.len()).map_err(|_| fault("what was looked up is too large"))?;
    charge(&mut caller, u64::from(size))?;

    let alloc = caller.get_export(ALLOC).and_then(|export| export.into_func());
    let alloc = alloc.ok_or_else(|| fault(format!("the module does not export `{ALLOC}`")))?;
    let address = alloc.typed::<u32, u32>(&caller)?.call(&mut caller, size)?;
    caller.data_mut().lookups.state = Asking::Allowed;

    // It may have grown meanwhile.
    let memory = memory_of(&mut caller)?.data_mut(&mut caller);
    let place = within(address, size, memory.len());
    let place = place.and_then(|place| memory.get_mut(place));
    let place =
        place.ok_or_else(|| fault(format!("`{ALLOC}` returned what lies outside the module's memory")))?;
    place.copy_from_slice(found.as_bytes());
    Ok(u64::from(address) << 32 | u64::from(size))
}
