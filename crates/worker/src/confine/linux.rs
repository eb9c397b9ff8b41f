//! Linux: parent-death signal, Landlock, seccomp, resource limits.
//!
//! Landlock binds the calling thread and those it starts, so the wall around files is raised before the driver starts
//! its threads; `linux/files.rs` says what it leaves in reach. Seccomp is raised afterwards on all threads at once,
//! because drivers need more system calls to open a device than to compute; `linux/calls.rs` says which are left.

#[path = "linux/calls.rs"]
mod calls;
#[path = "linux/files.rs"]
mod files;

use landlock::RulesetStatus;
use protocol::frames::{Adapter, Confinement, Wall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

use super::{ConfineError, FilesWall, ParentWall};
use crate::log;
use calls::Family;

/// Drivers need address space: below this lavapipe and its compiler do not start.
const LEAST_MEMORY_BYTES: u64 = 6 << 30;

/// Ties the process to its parent and closes inherited descriptors. Called before any thread starts.
pub(crate) fn before_anything() -> Result<ParentWall, ConfineError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("tie to the parent"))?;
    // A parent that died before the line above will not be noticed by it.
    if let Ok(expected) = std::env::var("HEARTH_PARENT")
        && expected != std::os::unix::process::parent_id().to_string()
    {
        return Err(ConfineError { what: "tie to the parent", cause: "the parent is gone".to_owned() });
    }
    close_inherited()?;
    Ok(ParentWall(Wall::Full))
}

#[expect(unsafe_code, reason = "std and rustix offer no close_range")]
fn close_inherited() -> Result<(), ConfineError> {
    // SAFETY: called before anything of this process has opened a descriptor, so none that is closed has an owner.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    if closed == 0 { Ok(()) } else { Err(at("close inherited files")(std::io::Error::last_os_error())) }
}

/// Leaves only the drivers' files in reach, for this thread and all that it and the driver will start.
pub(crate) fn before_device() -> FilesWall {
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        log(format_args!("no new privileges: {error}"));
        return FilesWall(Wall::None);
    }
    match files::restrict() {
        Ok(RulesetStatus::FullyEnforced) => FilesWall(Wall::Full),
        Ok(RulesetStatus::PartiallyEnforced) => FilesWall(Wall::Partial),
        Ok(RulesetStatus::NotEnforced) => FilesWall(Wall::None),
        Err(error) => {
            log(format_args!("landlock: {error}"));
            FilesWall(Wall::None)
        }
    }
}

/// Raises the remaining walls around a process with an open device.
pub(crate) fn after_device(
    parent: ParentWall,
    files: FilesWall,
    adapter: &Adapter,
    memory_bytes: u64,
) -> Result<Confinement, ConfineError> {
    raise(parent, files, Family::of(adapter), memory_bytes.max(LEAST_MEMORY_BYTES))
}

/// Raises the same walls around a process without a device.
pub(crate) fn without_device(parent: ParentWall, files: FilesWall) -> Result<Confinement, ConfineError> {
    raise(parent, files, Family::Software, LEAST_MEMORY_BYTES)
}

fn raise(
    parent: ParentWall,
    files: FilesWall,
    family: Family,
    memory_bytes: u64,
) -> Result<Confinement, ConfineError> {
    let memory = limit_memory(memory_bytes, family == Family::Nvidia)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at("forbid tracing"))?;
    rustix::thread::set_no_new_privs(true).map_err(at("no new privileges"))?;
    for filter in calls::filters(family, std::process::id())? {
        seccompiler::apply_filter_all_threads(&filter).map_err(at("seccomp"))?;
    }
    Ok(Confinement { files: files.0, network: Wall::Full, processes: Wall::Full, memory, parent: parent.0 })
}

fn limit_memory(bytes: u64, reserves_space: bool) -> Result<Wall, ConfineError> {
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::Core, limit(0)).map_err(at("forbid core files"))?;
    if reserves_space {
        // Counts what is written, not what is reserved; shared mappings escape it.
        rustix::process::setrlimit(Resource::Data, limit(bytes)).map_err(at("limit memory"))?;
        Ok(Wall::Partial)
    } else {
        rustix::process::setrlimit(Resource::As, limit(bytes)).map_err(at("limit memory"))?;
        Ok(Wall::Full)
    }
}

fn at<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ConfineError {
    move |error| ConfineError { what, cause: error.to_string() }
}
