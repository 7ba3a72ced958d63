//! What the exports of a module do; `#[policy]` is all that calls it.

use crate::request::Request;
use crate::settings::{self, Settings, SettingsError};
use crate::verdict::IntoVerdict;
use serde::Serialize;
#[cfg(target_arch = "wasm32")]
use std::fmt::Display;

/// Where only the function of a policy compiles.
pub fn is_policy<S: Settings, V: IntoVerdict>(_: fn(Request<S>) -> V) {}

/// Judges a request; the reply as JSON.
///
/// # Errors
/// The policy cannot decide: why.
pub fn judge<S: Settings, V: IntoVerdict>(
    policy: fn(Request<S>) -> V,
    request: &'static str,
    settings: &str,
) -> Result<Vec<u8>, String> {
    let settings = settings::read(settings).map_err(|error| error.to_string())?;
    let request = Request::read(request, settings).map_err(|error| error.to_string())?;
    Ok(policy(request).into_verdict()?.reply())
}

#[derive(Serialize)]
struct SettingsReply {
    errors: Vec<SettingsError>,
}

/// Says what is wrong with settings; the reply as JSON.
pub fn judge_settings<S: Settings, V: IntoVerdict>(_: fn(Request<S>) -> V, settings: &str) -> Vec<u8> {
    let reply = SettingsReply { errors: settings::errors::<S>(settings) };
    // Two texts each: nothing that could fail.
    serde_json::to_vec(&reply).unwrap_or_default()
}

#[cfg(target_arch = "wasm32")]
pub(crate) use exports::look_up;
#[cfg(target_arch = "wasm32")]
pub use exports::{allocate, init, text, validate, validate_settings};

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "the ABI hands over addresses")]
mod exports {
    use super::{IntoVerdict, Request, Settings, give_up};
    use crate::log;
    use std::mem::ManuallyDrop;

    /// Sees to it that the message of a panic gets out.
    pub fn init() {
        std::panic::set_hook(Box::new(|panic| log::error(describe(panic))));
    }

    fn describe(panic: &std::panic::PanicHookInfo<'_>) -> String {
        let message = panic.payload_as_str().unwrap_or("no message");
        match panic.location() {
            Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
            None => message.to_owned(),
        }
    }

    /// Memory that the host may write to. It is never freed: the instance is dropped after the call.
    pub fn allocate(size: usize) -> *mut u8 {
        ManuallyDrop::new(Vec::with_capacity(size)).as_mut_ptr()
    }

    /// What the host wrote.
    ///
    /// # Safety
    /// So many bytes must have been written there, in memory that [`allocate`] gave.
    pub unsafe fn text(address: *const u8, length: usize) -> &'static str {
        // SAFETY: the caller sees to it; nobody writes there again.
        let bytes = unsafe { std::slice::from_raw_parts(address, length) };
        std::str::from_utf8(bytes).unwrap_or_else(|_| give_up("the host wrote what is not UTF-8"))
    }

    /// What was looked up under a name that the policy declares. The host ends the call where there is none.
    pub(crate) fn look_up(name: &str) -> &'static str {
        #[link(wasm_import_module = "portcullis")]
        unsafe extern "C" {
            fn lookup(name: *const u8, length: usize) -> u64;
        }
        // SAFETY: the host reads so many bytes from there, which is what the name has.
        let packed = unsafe { lookup(name.as_ptr(), name.len()) };
        // SAFETY: the host has written so many bytes there, in memory that it asked `portcullis_alloc` for.
        unsafe { text((packed >> 32) as usize as *const u8, packed as u32 as usize) }
    }

    /// Where a reply is.
    fn packed(reply: Vec<u8>) -> u64 {
        let reply = ManuallyDrop::new(reply);
        (reply.as_ptr() as u64) << 32 | reply.len() as u64
    }

    /// `portcullis_validate`.
    pub fn validate<S: Settings, V: IntoVerdict>(
        policy: fn(Request<S>) -> V,
        request: &'static str,
        settings: &'static str,
    ) -> u64 {
        packed(super::judge(policy, request, settings).unwrap_or_else(|error| give_up(error)))
    }

    /// `portcullis_validate_settings`.
    pub fn validate_settings<S: Settings, V: IntoVerdict>(
        policy: fn(Request<S>) -> V,
        settings: &'static str,
    ) -> u64 {
        packed(super::judge_settings(policy, settings))
    }
}

/// Ends the call without a reply. What was logged is told to the requester.
#[cfg(target_arch = "wasm32")]
fn give_up(why: impl Display) -> ! {
    crate::log::error(why);
    core::arch::wasm32::unreachable()
}
