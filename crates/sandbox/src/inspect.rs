//! Admission of a program without a device: what `publish check` and the coordinator's submission call.

use std::time::Duration;

use protocol::frames::{Fault, Request};
use protocol::manifest::{CheckError, Program};
use tokio::sync::oneshot;

use crate::conversation::Command;
use crate::process::{self, Mode};
use crate::worker::{Death, LoadError, Spawn, WorkerEvent};

/// Why a program is not admitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The manifest's counts or sizes are wrong.
    #[error("the program is malformed")]
    Malformed(#[from] CheckError),
    /// The sources do not belong to the program.
    #[error("the sources do not fit the program")]
    Sources,
    /// An admission rule refuses it; the detail names rule and line.
    #[error("{}", .0.detail)]
    Refused(Fault),
    /// The worker died of it: too deep, too large, or too slow to compile.
    #[error("the worker died of it: {}", .0.reason)]
    Died(Death),
}

/// Has a disposable worker process (`worker --inspect`, locked down, no device) check a program within `within`.
///
/// # Errors
/// [`InspectError`]: the program must not be published.
pub async fn inspect(
    spawn: &Spawn,
    program: &Program,
    sources: &[String],
    within: Duration,
) -> Result<(), InspectError> {
    crate::worker::check_sources(program, sources).map_err(|error| match error {
        LoadError::Malformed(error) => InspectError::Malformed(error),
        _ => InspectError::Sources,
    })?;
    let (opened, _never_answered) = oneshot::channel();
    let (commands, mut events) = process::start(spawn.clone(), Mode::Inspect, opened);
    let request = Request::Load { program: Box::new(program.clone()), sources: sources.to_vec() };
    commands.give(Command { request, within });
    loop {
        match events.recv().await {
            Some(WorkerEvent::Loaded) => return Ok(()),
            Some(WorkerEvent::Refused { fault }) => return Err(InspectError::Refused(fault)),
            Some(WorkerEvent::Died(death)) => return Err(InspectError::Died(death)),
            None => return Err(InspectError::Died(process::lost())),
            Some(
                WorkerEvent::Progress { .. }
                | WorkerEvent::Yielded { .. }
                | WorkerEvent::Checkpoint { .. }
                | WorkerEvent::Done { .. }
                | WorkerEvent::Failed { .. },
            ) => {}
        }
    }
}
