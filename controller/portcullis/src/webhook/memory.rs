//! Memory that large reviews and many policies took goes back to the system.

/// Allocations from this size on, in bytes, are the system's own, which has them back as soon as they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 1 << 20;

/// Keeps glibc from keeping what a large review took: it takes every large allocation that is freed for a sign that
/// there will be more like it, and keeps that much, up to 64 MiB in each thread's arena.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn give_back() {
    #[expect(unsafe_code, reason = "no safe interface to glibc's allocator exists")]
    // SAFETY: it only sets a parameter of the allocator, under its own lock.
    unsafe {
        // Where it cannot be set, all is as it would be without.
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Other allocators give large ones back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() {}

/// Gives back what is free between what is not: compiled policies are many small allocations, and glibc returns those
/// only from the end of its heap. It holds up whoever allocates meanwhile, for milliseconds: not to be done often.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn trim() {
    #[expect(unsafe_code, reason = "no safe interface to glibc's allocator exists")]
    // SAFETY: it touches only what nobody has allocated, under the allocator's own locks.
    unsafe {
        // What it returns says whether there was anything to give.
        libc::malloc_trim(0);
    }
}

/// Other allocators do so by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn trim() {}
