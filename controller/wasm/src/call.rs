//! The state of one call: what it may ask for, what it has asked for in vain, and why it failed if it did.

use crate::abi::MEMORY;
use crate::engine::{MAX_MEMORY, MAX_TABLE};
use crate::log::{MAX_LINE, Quota};
use crate::reply::line;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use wasmtime::{Caller, Memory, ResourceLimiter, Trap};

/// The state of one call.
pub(crate) struct Call {
    pub(crate) policy: Arc<str>,
    pub(crate) quota: Arc<Quota>,
    /// Lines that it has logged.
    pub(crate) lines: usize,
    /// What was logged last as an error: why the module is about to give up.
    pub(crate) last_words: Option<String>,
    pub(crate) lookups: Lookups,
    pub(crate) wasi: crate::wasi::State,
    refused: Option<Refused>,
}

/// What was looked up for a call.
#[derive(Default)]
pub(crate) struct Lookups {
    /// Names, and lists as JSON.
    pub(crate) found: Vec<(String, Arc<String>)>,
    pub(crate) state: Asking,
}

/// Whether look-ups can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Asking {
    /// There is no request yet.
    #[default]
    TooEarly,
    /// Now they can.
    Allowed,
    /// The module makes room for one.
    Busy,
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

pub(crate) fn fault(message: impl Into<String>) -> wasmtime::Error {
    wasmtime::Error::new(Fault(message.into()))
}

/// The module has ended itself, with this code.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}", self.0)
    }
}

impl std::error::Error for Exit {}

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

impl Call {
    pub(crate) fn new(policy: &Arc<str>, quota: &Arc<Quota>, lookups: Vec<(String, String)>) -> Self {
        let found = lookups.into_iter().map(|(name, found)| (name, Arc::new(found))).collect();
        Self {
            policy: Arc::clone(policy),
            quota: Arc::clone(quota),
            lines: 0,
            last_words: None,
            lookups: Lookups { found, ..Lookups::default() },
            wasi: crate::wasi::State::default(),
            refused: None,
        }
    }

    /// Why a call gave no reply, in words for whoever wrote the policy.
    pub(crate) fn reason(&self, error: &wasmtime::Error, fuel: u64) -> String {
        if let Some(Fault(message)) = error.downcast_ref() {
            return message.clone();
        }
        let exit = error.downcast_ref::<Exit>();
        let trap = error.downcast_ref::<Trap>();
        match (trap, self.refused, &self.last_words) {
            (Some(Trap::OutOfFuel), ..) => {
                format!("the module did not end within {} million instructions", fuel / 1_000_000)
            }
            (None, ..) if exit.is_none() => {
                format!("the module cannot be run: {}", line(&error.to_string()))
            }
            (_, Some(Refused::Memory), _) => {
                format!("the module needs more than {} MiB of memory", MAX_MEMORY >> 20)
            }
            (_, Some(Refused::Table), _) => {
                format!("the module needs a table of more than {MAX_TABLE} elements")
            }
            (None | Some(Trap::UnreachableCodeReached), _, Some(words)) => {
                format!("the module gave up: {words}")
            }
            (Some(trap), ..) => of_trap(*trap),
            (None, ..) => match exit {
                Some(Exit(code)) => format!("the module gave up (exit code {code})"),
                None => "the module gave up".to_owned(),
            },
        }
    }
}

fn of_trap(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => "the module gave up (`unreachable`)".to_owned(),
        Trap::StackOverflow => "the module's calls nest too deep".to_owned(),
        Trap::MemoryOutOfBounds => {
            "the module reached outside its memory, as it does when its own stack overflows".to_owned()
        }
        trap => {
            let text = trap.to_string();
            format!("the module failed: {}", text.strip_prefix("wasm trap: ").unwrap_or(&text))
        }
    }
}

/// Takes instructions for what the host does, or ends the call where there are not so many left.
pub(crate) fn charge(caller: &mut Caller<'_, Call>, instructions: u64) -> wasmtime::Result<()> {
    let left = caller.get_fuel()?.checked_sub(instructions);
    caller.set_fuel(left.unwrap_or_default())?;
    left.map(|_| ()).ok_or_else(|| Trap::OutOfFuel.into())
}

/// The memory of the module that called.
pub(crate) fn memory_of(caller: &mut Caller<'_, Call>) -> wasmtime::Result<Memory> {
    let memory = caller.get_export(MEMORY).and_then(|export| export.into_memory());
    memory.ok_or_else(|| fault("the module has no memory"))
}

/// A range of memory, if all of it is there.
pub(crate) fn within(pointer: u32, length: u32, size: usize) -> Option<Range<usize>> {
    let (begin, end) = (pointer as usize, (pointer as usize).checked_add(length as usize)?);
    (end <= size).then_some(begin..end)
}

/// A line for the log or for the requester, of what a module has written somewhere.
pub(crate) fn written(bytes: &[u8]) -> String {
    line(&String::from_utf8_lossy(bytes.get(..MAX_LINE).unwrap_or(bytes)))
}
