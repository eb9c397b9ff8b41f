//! The parent's side of a job: starts a `worker` process, speaks its frames, watches every deadline, and kills it.
//!
//! This room owns the rules of the conversation as the parent sees them: nothing a worker says is believed before its
//! order, its slice and its sizes are checked, and silence past a deadline ends the process. It never reads WGSL, never
//! touches a graphics driver, and keeps no state of a job beyond the slice that is being computed. The contributor's
//! runner, the coordinator's verifier and `publish` call it.

mod conversation;
mod inspect;
mod locate;
pub mod measure;
mod process;
mod slices;
mod worker;

pub use conversation::{Overdue, Violation};
pub use inspect::{InspectError, inspect};
pub use locate::{LocateError, find_worker};
pub use slices::{RunSlicesError, SliceJob, SliceOutput, run_slices};
pub use worker::{
    CommandError, Death, DeathReason, LoadError, Ready, Run, Spawn, SpawnError, Worker, WorkerEvent,
};
