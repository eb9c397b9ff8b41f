//! The walls around the worker. Each system has its file; every one reports what really holds, never what was meant.
//!
//! `main.rs` calls the steps in order: [`before_anything`], [`before_device`], [`after_device`]. Nothing of a job is
//! read before the last of them.

#[cfg(target_os = "linux")]
#[path = "confine/linux.rs"]
mod system;
#[cfg(target_os = "macos")]
#[path = "confine/macos.rs"]
mod system;
#[cfg(windows)]
#[path = "confine/windows.rs"]
mod system;

use protocol::frames::Wall;

pub(crate) use system::{after_device, before_anything, before_device, without_device};

/// Why the worker does not go on: a wall that this system offers could not be raised.
#[derive(Debug)]
pub(crate) struct ConfineError {
    pub(crate) what: &'static str,
    pub(crate) cause: String,
}

impl std::fmt::Display for ConfineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

/// How the process is tied to its parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParentWall(pub(crate) Wall);

/// Which files are out of reach already while drivers load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilesWall(pub(crate) Wall);
