//! Attempts of systems other than Linux that the standard library does not make.

use super::Attempts;

/// What is attacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Targets;

impl Targets {
    pub(super) fn find() -> Self {
        Self
    }
}

/// Tries all of them.
#[cfg(unix)]
pub(super) fn attempts(_targets: &Targets) -> Attempts {
    // The null signal only asks whether a signal could be sent.
    let refused = rustix::process::getppid()
        .is_some_and(|parent| rustix::process::test_kill_process(parent) == Err(rustix::io::Errno::PERM));
    vec![("kill_parent", refused)]
}

/// Tries all of them.
#[cfg(not(unix))]
pub(super) fn attempts(_targets: &Targets) -> Attempts {
    Vec::new()
}
