//! Measurements of the sandbox itself: how fast the device is given back ([`hand_back`]), and what slicing costs.
//!
//! They run a small integer kernel through the real worker, with the same frames as production. `cargo xtask bench
//! yield|slicing` and the app's own figure come from here.

pub mod hand_back;

use std::time::{Duration, Instant};

use protocol::frames::{Checkpoint, Pace};
use protocol::id::{Hash, SliceId};
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};

use crate::worker::{CommandError, Death, LoadError, Ready, Run, Spawn, SpawnError, Worker, WorkerEvent};

/// The kernel: a few thousand rounds of a permuted congruential generator per thread.
const SOURCE: &str = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> params: array<u32>;
@group(0) @binding(2) var<storage, read_write> words: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    if (at >= arrayLength(&words)) {
        return;
    }
    var word = words[at] ^ (at * 2654435769u + piece.y);
    for (var i = 0u; i < min(params[0], 1000u); i += 1u) {
        word = word * 747796405u + 2891336453u;
        word = ((word >> ((word >> 28u) + 4u)) ^ word) * 277803737u;
    }
    words[at] = word;
}
";

/// Groups of 64 threads in one repeat.
const GROUPS: u32 = 4096;
/// Rounds per thread.
const ROUNDS: u32 = 1000;

/// Why a measurement was not completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// No worker could be started.
    #[error("start a worker")]
    Spawn(#[from] SpawnError),
    /// The kernel was not loaded.
    #[error("load the measuring kernel")]
    Load(#[from] LoadError),
    /// A command came out of turn.
    #[error("run the measuring kernel")]
    Command(#[from] CommandError),
    /// The worker died.
    #[error("the worker died: {}", .0.reason)]
    Died(Death),
    /// The worker could not compute.
    #[error("the measuring kernel failed: {0}")]
    Failed(String),
    /// The system refused something that the measurement needs.
    #[error("{0}")]
    System(&'static str, #[source] std::io::Error),
    /// The system does not tell something without which there is no figure.
    #[error("this system does not tell {0} of another process")]
    NotTold(&'static str),
}

/// What slicing costs.
#[derive(Debug, Clone)]
pub struct SlicingOverhead {
    /// The device.
    pub ready: Ready,
    /// Processor seconds of the slice in pieces, one per run.
    pub sliced: Vec<f64>,
    /// Processor seconds of the slice in as few dispatches as the device allows, one per run.
    pub whole: Vec<f64>,
    /// Median of `sliced` over median of `whole`, minus one.
    pub overhead: f64,
}

/// The program that measurements and tests run: `repeat` passes over 1 MiB of words.
pub fn program(repeat: u32) -> (Program, Vec<String>) {
    let program = Program {
        format: 1,
        title: "Sandbox measurement".to_owned(),
        purpose: "Measures on this computer how fast the graphics card is given back.".to_owned(),
        family: Family::Benchmark,
        modules: vec![Module {
            blob: Hash::of(SOURCE.as_bytes()),
            bytes: u32::try_from(SOURCE.len()).unwrap_or(u32::MAX),
        }],
        kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [64, 1, 1] }],
        buffers: vec![
            Buffer { name: "params".to_owned(), role: Role::Params, bytes: 4 },
            Buffer { name: "words".to_owned(), role: Role::Output, bytes: GROUPS * 64 * 4 },
        ],
        stages: vec![Stage { kernel: 0, bindings: vec![0, 1], groups: GROUPS, repeat }],
        features: Vec::new(),
        cost: Cost {
            memory_bytes: 2 << 20,
            operations: u64::from(GROUPS) * 64 * u64::from(ROUNDS) * u64::from(repeat) * 6,
            max_millis: 600_000,
        },
        validator: Validator::Bitwise,
    };
    (program, vec![SOURCE.to_owned()])
}

/// Rounds per thread of the measuring kernel: the value of its one parameter.
pub const PARAMS: [u32; 1] = [ROUNDS];

/// Runs the same slice `n` times in pieces of `pace` and `n` times as whole as the device allows, in turns, and compares
/// processor time (wall time where the system does not tell).
///
/// # Errors
/// [`MeasureError`].
pub async fn slicing_overhead(spawn: &Spawn, pace: Pace, n: usize) -> Result<SlicingOverhead, MeasureError> {
    /// One second per piece: more than a whole repeat takes, less than any driver's watchdog.
    const WHOLE: Pace =
        Pace { piece_micros: 1_000_000, longest_micros: 1_000_000, in_flight: 1, duty_percent: 100 };
    let (program, sources) = program(4);
    let (mut in_pieces, ready) = Worker::spawn(spawn).await?;
    in_pieces.load(&program, &sources, Duration::from_secs(30)).await?;
    let (mut at_once, _) = Worker::spawn(spawn).await?;
    at_once.load(&program, &sources, Duration::from_secs(30)).await?;
    let (mut sliced, mut whole) = (Vec::new(), Vec::new());
    // The first runs let the sizes settle and are not counted.
    for round in 0..n + 4 {
        let a = timed(&mut in_pieces, 2 * round, pace).await?;
        let b = timed(&mut at_once, 2 * round + 1, WHOLE).await?;
        if round >= 4 {
            sliced.push(a);
            whole.push(b);
        }
    }
    in_pieces.kill().await;
    at_once.kill().await;
    let overhead = median(&sliced) / median(&whole) - 1.0;
    Ok(SlicingOverhead { ready, sliced, whole, overhead })
}

async fn timed(worker: &mut Worker, serial: usize, pace: Pace) -> Result<f64, MeasureError> {
    let (before, began) = (worker.usage(), Instant::now());
    start(worker, serial, pace, None)?;
    loop {
        match worker.next_event().await {
            WorkerEvent::Done { .. } => break,
            WorkerEvent::Died(death) => return Err(MeasureError::Died(death)),
            WorkerEvent::Failed { fault, .. } => return Err(MeasureError::Failed(fault.detail)),
            WorkerEvent::Loaded
            | WorkerEvent::Refused { .. }
            | WorkerEvent::Progress { .. }
            | WorkerEvent::Yielded { .. }
            | WorkerEvent::Checkpoint { .. } => {}
        }
    }
    Ok(match (before, worker.usage()) {
        (Some(before), Some(after)) => after.saturating_sub(before).as_secs_f64(),
        _ => began.elapsed().as_secs_f64(),
    })
}

fn start(
    worker: &mut Worker,
    serial: usize,
    pace: Pace,
    resume_from: Option<Checkpoint>,
) -> Result<(), CommandError> {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(serial as u64).to_le_bytes());
    worker.run(Run {
        slice: SliceId(id),
        inputs: Vec::new(),
        params: PARAMS.to_vec(),
        resume_from,
        pace,
        limit: Duration::from_secs(3600),
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
