//! How this process gets its memory from the system.

/// Turns huge pages off for this process. The allocator asks for them, and then a heap of 12 MiB occupies 32: what is
/// freed of a huge page stays with the process until all of it is.
///
/// # Errors
/// The kernel's refusal; nothing but memory is lost by it.
#[cfg(target_os = "linux")]
pub fn keep_pages_small() -> std::io::Result<()> {
    Ok(rustix::thread::disable_transparent_huge_pages(true)?)
}

/// There is nothing to turn off.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn keep_pages_small() -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn huge_pages_are_off_afterwards() {
        super::keep_pages_small().unwrap();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }
}
