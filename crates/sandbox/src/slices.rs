//! A list of slices through one worker, one after the other: for the coordinator's verifier and `publish --local`.

use std::time::Duration;

use protocol::frames::{Fault, Pace};
use protocol::id::SliceId;

use crate::worker::{CommandError, Death, Run, Worker, WorkerEvent};

/// Inputs of one slice.
#[derive(Debug, Clone)]
pub struct SliceJob {
    /// Name of the slice in the outcome.
    pub slice: SliceId,
    /// One per input buffer of the program, each exactly of its size.
    pub inputs: Vec<Vec<u8>>,
    /// Values of the params buffer.
    pub params: Vec<u32>,
}

/// Outcome of one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceOutput {
    /// Which slice.
    pub slice: SliceId,
    /// All output buffers in order.
    pub output: Vec<u8>,
    /// Time that the device was busy with it, as the worker says.
    pub device: Duration,
}

/// Why a list of slices was not completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunSlicesError {
    /// A slice could not be started.
    #[error("start slice {}", .slice.short())]
    Command {
        /// Which slice.
        slice: SliceId,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// The worker could not compute a slice.
    #[error("slice {} failed: {}", .slice.short(), .fault.detail)]
    Failed {
        /// Which slice.
        slice: SliceId,
        /// Why.
        fault: Fault,
    },
    /// The worker died.
    #[error("the worker died at slice {}: {}", .slice.short(), .death.reason)]
    Died {
        /// Which slice.
        slice: SliceId,
        /// How it ended.
        death: Death,
    },
}

/// Runs `jobs` in order on a worker that has its program loaded. Each job is drawn from the iterator only when its turn
/// comes, so inputs need not all be in memory. `progress` hears (index of the slice, thousandths of it) and 1000 for a
/// complete one; each slice may take `limit`.
///
/// # Errors
/// The first [`RunSlicesError`]; outcomes before it are lost.
pub async fn run_slices(
    worker: &mut Worker,
    jobs: impl IntoIterator<Item = SliceJob>,
    pace: Pace,
    limit: Duration,
    mut progress: impl FnMut(usize, u16),
) -> Result<Vec<SliceOutput>, RunSlicesError> {
    let mut outputs = Vec::new();
    for (index, job) in jobs.into_iter().enumerate() {
        let slice = job.slice;
        let run = Run { slice, inputs: job.inputs, params: job.params, resume_from: None, pace, limit };
        worker.run(run).map_err(|source| RunSlicesError::Command { slice, source })?;
        loop {
            match worker.next_event().await {
                WorkerEvent::Progress { permille, .. } => progress(index, permille),
                WorkerEvent::Done { output, device, .. } => {
                    outputs.push(SliceOutput { slice, output, device });
                    progress(index, 1000);
                    break;
                }
                WorkerEvent::Failed { fault, .. } => return Err(RunSlicesError::Failed { slice, fault }),
                WorkerEvent::Died(death) => return Err(RunSlicesError::Died { slice, death }),
                WorkerEvent::Loaded
                | WorkerEvent::Refused { .. }
                | WorkerEvent::Yielded { .. }
                | WorkerEvent::Checkpoint { .. } => {}
            }
        }
    }
    Ok(outputs)
}
