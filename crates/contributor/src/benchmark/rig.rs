//! A worker at the measuring stand: loads benchmark programs, finds their size, runs them, and believes only outputs that
//! are right.
//!
//! The measurement of the app and `cargo xtask bench gpu-peak` use it. Times are those that the worker tells: of the
//! device for arithmetic and memory, of the copies for transfers.

use std::time::{Duration, Instant};

use jobs::benchmark::{BenchmarkProgram, Speed, resized};
use protocol::frames::{Adapter, Pace};
use protocol::id::SliceId;
use sandbox::{CommandError, Death, LoadError, Ready, Run, Spawn, SpawnError, Worker, WorkerEvent};

use super::rate::is_steady;

/// A run may take this long.
const RUN_WITHIN: Duration = Duration::from_secs(60);
/// Compilation may take this long.
const LOAD_WITHIN: Duration = Duration::from_secs(60);
/// Runs of this length hide what starting them costs, and end soon on every device.
pub const RUN_FOR: Duration = Duration::from_millis(60);
/// Runs that no warm-up makes steady count after this time.
const WARM_UP_FOR: Duration = Duration::from_millis(300);
/// Rounds of looking for a size, see [`resized`].
const ROUNDS: usize = 5;

/// Pieces of 16 ms: long enough to hide what a piece costs, shorter than what any driver takes for a hang, and short
/// enough that a desktop on the same card still draws.
pub(super) const PACE: Pace =
    Pace { piece_micros: 16_000, longest_micros: 16_000, in_flight: 2, duty_percent: 100 };

/// Why a figure could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RigError {
    /// No worker, or no card.
    #[error("open the card")]
    Open(#[from] SpawnError),
    /// A program was not loaded.
    #[error("load {name}")]
    Load {
        /// Which one.
        name: &'static str,
        /// Why.
        #[source]
        source: LoadError,
    },
    /// A program could not be started.
    #[error("run {name}")]
    Run {
        /// Which one.
        name: &'static str,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// A program did not end well.
    #[error("{name} failed: {detail}")]
    Failed {
        /// Which one.
        name: &'static str,
        /// What the worker said.
        detail: String,
    },
    /// A program's output is not what it computes.
    #[error("{name} gave a wrong result: this card or its driver computes wrongly")]
    Wrong {
        /// Which one.
        name: &'static str,
    },
}

/// What a run took, as the worker tells.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// Time that the device was busy.
    pub device: Duration,
    /// Time that the inputs took to the device.
    pub upload: Duration,
    /// Time that the output took back.
    pub download: Duration,
}

/// A worker and its card.
#[derive(Debug)]
pub struct Rig {
    worker: Worker,
    adapter: Adapter,
}

impl Rig {
    /// Starts a worker and opens its card.
    ///
    /// # Errors
    /// [`RigError::Open`].
    pub async fn open(spawn: &Spawn) -> Result<(Self, Ready), RigError> {
        let (worker, ready) = Worker::spawn(spawn).await?;
        Ok((Self { worker, adapter: ready.adapter.clone() }, ready))
    }

    /// The card.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Learns how much memory the card has, which its graphics driver does not tell.
    pub fn learn_memory(&mut self, bytes: u64) {
        self.adapter.memory_bytes = Some(bytes);
    }

    /// Processor time that the worker has used, see [`Worker::usage`].
    pub fn usage(&self) -> Option<Duration> {
        self.worker.usage()
    }

    /// Ends the worker.
    pub async fn close(self) -> Death {
        self.worker.kill().await
    }

    /// Loads a program.
    ///
    /// # Errors
    /// [`RigError::Load`].
    pub async fn load(&mut self, benchmark: &BenchmarkProgram) -> Result<(), RigError> {
        let loaded = self.worker.load(&benchmark.program, &benchmark.sources, LOAD_WITHIN).await;
        loaded.map_err(|source| RigError::Load { name: benchmark.name, source })
    }

    /// Runs the loaded program once and checks its output.
    ///
    /// # Errors
    /// [`RigError`].
    pub async fn run(&mut self, benchmark: &BenchmarkProgram) -> Result<Took, RigError> {
        self.run_at(benchmark, PACE).await
    }

    /// [`Rig::run`] with pieces of another size.
    ///
    /// # Errors
    /// [`RigError`].
    pub async fn run_at(&mut self, benchmark: &BenchmarkProgram, pace: Pace) -> Result<Took, RigError> {
        let name = benchmark.name;
        let run = Run {
            slice: SliceId([0; 32]),
            inputs: benchmark.inputs.clone(),
            params: benchmark.params.clone(),
            resume_from: None,
            pace,
            limit: RUN_WITHIN,
        };
        self.worker.run(run).map_err(|source| RigError::Run { name, source })?;
        loop {
            match self.worker.next_event().await {
                WorkerEvent::Done { output, device, upload, download, .. } => {
                    let took = Took { device, upload, download };
                    return if benchmark.is_right(&output) {
                        Ok(took)
                    } else {
                        Err(RigError::Wrong { name })
                    };
                }
                WorkerEvent::Failed { fault, .. } => {
                    return Err(RigError::Failed { name, detail: fault.detail });
                }
                WorkerEvent::Died(death) => {
                    return Err(RigError::Failed { name, detail: death.reason.to_string() });
                }
                WorkerEvent::Loaded
                | WorkerEvent::Refused { .. }
                | WorkerEvent::Progress { .. }
                | WorkerEvent::Yielded { .. }
                | WorkerEvent::Checkpoint { .. } => {}
            }
        }
    }

    /// Loads the program of `speed` in the size with which a run takes about [`RUN_FOR`] on this card, and tells that
    /// size. `size` is where to begin to look: 1, or what another speed has shown of the card. Each round opens the
    /// device and compiles anew, which is most of what finding a size costs.
    ///
    /// # Errors
    /// [`RigError`].
    pub async fn load_sized(
        &mut self,
        speed: Speed,
        mut size: u32,
    ) -> Result<(BenchmarkProgram, u32), RigError> {
        let mut benchmark = speed.program(size, &self.adapter);
        for _ in 0..ROUNDS {
            self.load(&benchmark).await?;
            // The first run still looks for the size of a piece.
            let first = self.run(&benchmark).await?.device;
            let took = if first < RUN_FOR { first.min(self.run(&benchmark).await?.device) } else { first };
            let Some(next) = resized(size, took, RUN_FOR) else { return Ok((benchmark, size)) };
            size = next;
            benchmark = speed.program(size, &self.adapter);
        }
        self.load(&benchmark).await?;
        Ok((benchmark, size))
    }

    /// Runs the loaded program until two runs in a row agree, or for 300 ms.
    ///
    /// # Errors
    /// [`RigError`].
    pub async fn warm_up(&mut self, benchmark: &BenchmarkProgram) -> Result<(), RigError> {
        let began = Instant::now();
        let mut rates = Vec::new();
        while !is_steady(&rates) && began.elapsed() < WARM_UP_FOR {
            rates.push(benchmark.rate(self.run(benchmark).await?.device));
        }
        Ok(())
    }

    /// Rates of the runs of the loaded program, one after the other for `span`; where that gives fewer than `runs`, for
    /// twice the span at most. `told` hears the share that is done.
    ///
    /// # Errors
    /// [`RigError`].
    pub async fn rates(
        &mut self,
        benchmark: &BenchmarkProgram,
        span: Duration,
        runs: usize,
        told: &mut (dyn FnMut(f64) + Send),
    ) -> Result<Vec<f64>, RigError> {
        let began = Instant::now();
        let mut rates = Vec::new();
        while rates.is_empty() || began.elapsed() < span || (rates.len() < runs && began.elapsed() < span * 2)
        {
            rates.push(benchmark.rate(self.run(benchmark).await?.device));
            let by_time = began.elapsed().as_secs_f64() / span.as_secs_f64();
            told(by_time.min(rates.len() as f64 / runs as f64));
        }
        Ok(rates)
    }
}
