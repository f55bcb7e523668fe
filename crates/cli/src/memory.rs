//! What the C library's allocator keeps for the next request.

/// Free bytes that each of the allocator's arenas keeps instead of giving them back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 8 << 20;

/// Allocations from this size are mapped and unmapped on their own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: i32 = 4 << 20;

/// Tells the allocator to keep the memory of a request for the next one.
///
/// By default it gives memory back to the system when more than 128 KiB are free at the end of an
/// arena, which a request of that size does each time: the pages that it got are cleared and mapped
/// anew for the next one. Small requests do not notice. A person who has set a variable of the
/// allocator has the last word.
pub(crate) fn keep_for_next_request() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let is_set = |name| std::env::var_os(name).is_some();
        if is_set("GLIBC_TUNABLES")
            || is_set("MALLOC_TRIM_THRESHOLD_")
            || is_set("MALLOC_MMAP_THRESHOLD_")
        {
            return;
        }
        // SAFETY: the function takes no pointers, and may be called at any time.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        }
    }
}
