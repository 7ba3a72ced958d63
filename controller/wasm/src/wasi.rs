//! The part of WASI preview 1 (`wasi_snapshot_preview1`) that runtimes need to come up, those of Go for one: nothing of
//! it reaches outside, and all that it tells is the same in every call, so that a verdict can be replayed.
//!
//! Names, types, structures and error numbers are those of WASI's `typenames.witx` and `wasi_snapshot_preview1.witx`.

use crate::call::{Call, Exit, charge, memory_of, within, written};
use crate::log::MAX_LINE;
use wasmtime::{Caller, Linker, StoreContextMut};

/// The module in whose name these are imported.
pub(crate) const NAMESPACE: &str = "wasi_snapshot_preview1";

/// Error numbers (`errno`).
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const NOSYS: i32 = 52;
const SPIPE: i32 = 70;

/// What Rust's standard library adds to a panic: it tells whoever asked nothing.
const ADVICE: &str = "note: run with `RUST_BACKTRACE";
/// What every clock shows at first, in nanoseconds: one second after its beginning, since runtimes take zero for a failure.
const NOW: u64 = 1_000_000_000;
/// How exact clocks are said to be, in nanoseconds.
const RESOLUTION: u64 = 1_000_000_000;
/// There are four clocks.
const CLOCKS: u32 = 4;
/// Where random bytes begin.
const SEED: u64 = 0x5EED;
/// Pieces that may be written at a time, and things that may be waited for.
const MAX_PIECES: u32 = 1_024;
/// The size of a `subscription`, in bytes.
const SUBSCRIPTION: u32 = 48;
/// The size of an `event`, in bytes.
const EVENT: usize = 32;
/// What a call costs, in instructions, beside one for each byte that is looked at.
const COST: u64 = 100;
/// What a line costs, as much as one by `portcullis.log`.
const LINE_COST: u64 = 5_000;
/// A character device (`filetype`).
const CHARACTER_DEVICE: u8 = 2;
/// The right to write (`rights`).
const MAY_WRITE: u64 = 1 << 6;
/// With these a line begins that says why a runtime gives up: Go's, and TinyGo's.
const LAST_WORDS: [&str; 2] = ["panic: ", "fatal error: "];

/// What is kept of WASI during a call.
#[derive(Default)]
pub(crate) struct State {
    /// How long was waited, in nanoseconds.
    waited: u64,
    /// How many random numbers were taken.
    taken: u64,
    /// What was written to standard output and standard error since the last line's end, no more than is logged.
    unfinished: [Vec<u8>; 2],
    /// Whether a line said why the module gives up; what follows is where it was.
    has_given_up: bool,
}

/// Makes the functions known.
pub(crate) fn add_to(linker: &mut Linker<Call>) -> wasmtime::Result<()> {
    // There are neither arguments nor variables.
    linker.func_wrap(NAMESPACE, "args_get", |from: Caller<'_, Call>, _: i32, _: i32| say(from, SUCCESS))?;
    linker
        .func_wrap(NAMESPACE, "environ_get", |from: Caller<'_, Call>, _: i32, _: i32| say(from, SUCCESS))?;
    linker.func_wrap(NAMESPACE, "args_sizes_get", sizes)?;
    linker.func_wrap(NAMESPACE, "environ_sizes_get", sizes)?;
    linker.func_wrap(NAMESPACE, "clock_time_get", clock_time)?;
    linker.func_wrap(NAMESPACE, "clock_res_get", clock_resolution)?;
    linker.func_wrap(NAMESPACE, "random_get", random)?;
    linker.func_wrap(NAMESPACE, "sched_yield", |from: Caller<'_, Call>| say(from, SUCCESS))?;
    linker.func_wrap(NAMESPACE, "poll_oneoff", wait)?;
    let exit = |code: u32| -> wasmtime::Result<()> { Err(wasmtime::Error::new(Exit(code))) };
    linker.func_wrap(NAMESPACE, "proc_exit", exit)?;
    linker.func_wrap(NAMESPACE, "fd_read", read)?;
    linker.func_wrap(NAMESPACE, "fd_write", write)?;
    linker.func_wrap(NAMESPACE, "fd_fdstat_get", file_status)?;
    let set_flags = |from: Caller<'_, Call>, file: u32, _: i32| say(from, of_standard(file, SUCCESS));
    linker.func_wrap(NAMESPACE, "fd_fdstat_set_flags", set_flags)?;
    let seek =
        |from: Caller<'_, Call>, file: u32, _: i64, _: i32, _: i32| say(from, of_standard(file, SPIPE));
    linker.func_wrap(NAMESPACE, "fd_seek", seek)?;
    let close = |from: Caller<'_, Call>, file: u32| say(from, of_standard(file, SUCCESS));
    linker.func_wrap(NAMESPACE, "fd_close", close)?;
    // No folder is open.
    linker
        .func_wrap(NAMESPACE, "fd_prestat_get", |from: Caller<'_, Call>, _: i32, _: i32| say(from, BADF))?;
    let name = |from: Caller<'_, Call>, _: i32, _: i32, _: i32| say(from, BADF);
    linker.func_wrap(NAMESPACE, "fd_prestat_dir_name", name)?;
    Ok(())
}

/// Answers, and takes what that costs.
fn say(mut caller: Caller<'_, Call>, answer: i32) -> wasmtime::Result<i32> {
    charge(&mut caller, COST)?;
    Ok(answer)
}

/// What is answered of standard input, output and error; there are no other files.
fn of_standard(file: u32, answer: i32) -> i32 {
    if file <= 2 { answer } else { BADF }
}

/// Writes values one after the other, each at its address.
fn put(caller: &mut Caller<'_, Call>, values: &[(u32, &[u8])]) -> wasmtime::Result<i32> {
    let bytes: u64 = values.iter().map(|(_, value)| value.len() as u64).sum();
    charge(caller, COST + bytes)?;
    let memory = memory_of(caller)?.data_mut(caller);
    for (address, value) in values {
        let place = u32::try_from(value.len()).ok();
        let place = place.and_then(|length| within(*address, length, memory.len()));
        let Some(place) = place.and_then(|place| memory.get_mut(place)) else { return Ok(FAULT) };
        place.copy_from_slice(value);
    }
    Ok(SUCCESS)
}

/// `args_sizes_get`, `environ_sizes_get`: how many there are, and how long.
fn sizes(mut caller: Caller<'_, Call>, count: u32, length: u32) -> wasmtime::Result<i32> {
    put(&mut caller, &[(count, &[0; 4]), (length, &[0; 4])])
}

/// `clock_time_get`.
fn clock_time(mut caller: Caller<'_, Call>, clock: u32, _: u64, time: u32) -> wasmtime::Result<i32> {
    if clock >= CLOCKS {
        return say(caller, INVAL);
    }
    let now = NOW.saturating_add(caller.data().wasi.waited);
    put(&mut caller, &[(time, &now.to_le_bytes())])
}

/// `clock_res_get`.
fn clock_resolution(mut caller: Caller<'_, Call>, clock: u32, resolution: u32) -> wasmtime::Result<i32> {
    if clock >= CLOCKS {
        say(caller, INVAL)
    } else {
        put(&mut caller, &[(resolution, &RESOLUTION.to_le_bytes())])
    }
}

/// `poll_oneoff`: whoever waits for a time finds that it has come, without any passing. Nothing else ever happens.
fn wait(
    mut caller: Caller<'_, Call>,
    subscriptions: u32,
    events: u32,
    count: u32,
    done: u32,
) -> wasmtime::Result<i32> {
    if count == 0 || count > MAX_PIECES {
        return say(caller, INVAL);
    }
    charge(&mut caller, COST + u64::from(SUBSCRIPTION * count))?;
    let memory = memory_of(&mut caller)?;
    let now = NOW.saturating_add(caller.data().wasi.waited);
    let mut first: Option<Alarm> = None;
    for index in 0..count {
        let bytes = memory.data(&caller);
        let place = subscriptions.checked_add(SUBSCRIPTION * index);
        let place = place.and_then(|at| within(at, SUBSCRIPTION, bytes.len()));
        let Some(subscription) = place.and_then(|place| bytes.get(place)) else { return Ok(FAULT) };
        let alarm = alarm(subscription, now);
        first = [first, alarm].into_iter().flatten().min_by_key(|alarm| alarm.at);
    }
    let Some(Alarm { at, userdata }) = first else { return Ok(NOSYS) };
    caller.data_mut().wasi.waited = at.max(now).saturating_sub(NOW);
    // Its kind is that of a clock, 0, and so is its error.
    let mut event = [0; EVENT];
    event.iter_mut().zip(userdata).for_each(|(byte, value)| *byte = value);
    put(&mut caller, &[(events, &event), (done, &1_u32.to_le_bytes())])
}

/// A time that is waited for.
struct Alarm {
    at: u64,
    userdata: [u8; 8],
}

/// What a `subscription` waits for, if that is a time (`subscription_clock`).
fn alarm(subscription: &[u8], now: u64) -> Option<Alarm> {
    let number = |at: usize| <[u8; 8]>::try_from(subscription.get(at..at + 8)?).ok();
    let (kind, time, flags) = (subscription.get(8)?, u64::from_le_bytes(number(24)?), subscription.get(40)?);
    let at = if flags & 1 == 1 { time } else { now.saturating_add(time) };
    (*kind == 0).then_some(Alarm { at, userdata: number(0)? })
}

/// `random_get`: the same numbers in every call, in the same order.
fn random(mut caller: Caller<'_, Call>, address: u32, length: u32) -> wasmtime::Result<i32> {
    let memory = memory_of(&mut caller)?;
    let Some(place) = within(address, length, memory.data_size(&caller)) else { return say(caller, FAULT) };
    charge(&mut caller, COST + u64::from(length))?;
    let (memory, call) = memory.data_and_store_mut(StoreContextMut::from(&mut caller));
    let place = memory.get_mut(place).unwrap_or_default();
    for piece in place.chunks_mut(size_of::<u64>()) {
        call.wasi.taken += 1;
        let number = scrambled(SEED.wrapping_add(call.wasi.taken)).to_le_bytes();
        piece.iter_mut().zip(number).for_each(|(byte, random)| *byte = random);
    }
    Ok(SUCCESS)
}

/// A number that looks like none of its neighbours (SplitMix64's finalizer; Steele, Lea, Flood 2014).
fn scrambled(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// `fd_fdstat_get`: standard output and error can be written to, and nothing else can be done.
fn file_status(mut caller: Caller<'_, Call>, file: u32, status: u32) -> wasmtime::Result<i32> {
    if file > 2 {
        return say(caller, BADF);
    }
    let mut written = [0; 24];
    let rights = if file == 0 { 0 } else { MAY_WRITE };
    let (kind, rest) = (&[CHARACTER_DEVICE, 0, 0, 0, 0, 0, 0, 0], [rights.to_le_bytes(), [0; 8]].concat());
    written.iter_mut().zip(kind.iter().chain(&rest)).for_each(|(byte, value)| *byte = *value);
    put(&mut caller, &[(status, &written)])
}

/// `fd_read`: standard input is at its end.
fn read(mut caller: Caller<'_, Call>, file: u32, _: u32, _: u32, done: u32) -> wasmtime::Result<i32> {
    if file == 0 { put(&mut caller, &[(done, &[0; 4])]) } else { say(caller, BADF) }
}

/// `fd_write`: what is written to standard output and standard error is logged line by line.
fn write(
    mut caller: Caller<'_, Call>,
    file: u32,
    pieces: u32,
    count: u32,
    done: u32,
) -> wasmtime::Result<i32> {
    if file != 1 && file != 2 {
        return say(caller, BADF);
    }
    if count > MAX_PIECES {
        return say(caller, INVAL);
    }
    charge(&mut caller, COST + 8 * u64::from(count))?;
    let memory = memory_of(&mut caller)?;
    let mut total: u32 = 0;
    for index in 0..count {
        let bytes = memory.data(&caller);
        let piece = pieces.checked_add(8 * index).and_then(|at| piece(bytes, at));
        let sum = piece.and_then(|(address, length)| {
            within(address, length, bytes.len())?;
            total.checked_add(length)
        });
        let (Some((address, length)), Some(sum)) = (piece, sum) else { return Ok(FAULT) };
        total = sum;
        // What is written is paid for before anything is done with it: first for looking at it, then for its lines.
        charge(&mut caller, u64::from(length))?;
        let place = within(address, length, memory.data_size(&caller)).unwrap_or_default();
        let written = memory.data(&caller).get(place.clone()).unwrap_or_default();
        let lines = written.iter().filter(|byte| **byte == b'\n').count() as u64;
        charge(&mut caller, LINE_COST.saturating_mul(lines))?;
        let (bytes, call) = memory.data_and_store_mut(StoreContextMut::from(&mut caller));
        call.take(file, bytes.get(place).unwrap_or_default());
    }
    put(&mut caller, &[(done, &total.to_le_bytes())])
}

/// Address and length of what is to be written (`ciovec`).
fn piece(memory: &[u8], at: u32) -> Option<(u32, u32)> {
    let (address, length) = memory.get(within(at, 8, memory.len())?)?.split_at_checked(4)?;
    Some((u32::from_le_bytes(address.try_into().ok()?), u32::from_le_bytes(length.try_into().ok()?)))
}

impl Call {
    /// Takes what was written to a file, and logs the lines that end with it.
    fn take(&mut self, file: u32, mut text: &[u8]) {
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = text.split_at(end);
            self.keep(file, line);
            self.end_line(file);
            text = rest.get(1..).unwrap_or_default();
        }
        self.keep(file, text);
    }

    /// Keeps the beginning of a line, as much as is logged.
    fn keep(&mut self, file: u32, text: &[u8]) {
        let unfinished = self.unfinished(file);
        let room = MAX_LINE.saturating_sub(unfinished.len());
        unfinished.extend_from_slice(text.get(..room).unwrap_or(text));
    }

    fn unfinished(&mut self, file: u32) -> &mut Vec<u8> {
        let [output, error] = &mut self.wasi.unfinished;
        if file == 1 { output } else { error }
    }

    fn end_line(&mut self, file: u32) {
        let line = written(&std::mem::take(self.unfinished(file)));
        if line.is_empty() {
            return;
        }
        self.log(if file == 1 { 3 } else { 2 }, &line);
        let gives_up = LAST_WORDS.iter().any(|words| line.starts_with(words));
        if !self.wasi.has_given_up && (gives_up || file == 2) && !line.starts_with(ADVICE) {
            self.wasi.has_given_up = gives_up;
            self.last_words = Some(line);
        }
    }

    /// Logs what has no end of its own, once nothing more can come.
    pub(crate) fn end_lines(&mut self) {
        self.end_line(1);
        self.end_line(2);
    }
}
