//! What the process denies itself at start: core dumps and being read by other programs of the same user, because a
//! passphrase or recovery words may be in its memory for a moment.

use std::io;

/// Turns core dumps off, and on Linux attaching by `ptrace` and reading `/proc/<pid>/mem` too. A side effect: only the
/// administrator can then read this process's detailed memory figures.
///
/// # Errors
/// The system's.
#[cfg(target_os = "linux")]
pub fn deny_inspection() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Turns core dumps off.
///
/// # Errors
/// The system's.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn deny_inspection() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Windows writes no core dumps of ordinary programs by itself.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn deny_inspection() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn the_process_cannot_be_dumped_afterwards() {
        super::deny_inspection().unwrap();
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
