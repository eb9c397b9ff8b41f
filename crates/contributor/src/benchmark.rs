//! The measurement of this machine: its card through the worker, its line against the coordinator.
//!
//! Every figure comes from a run whose output was checked or from bytes that passed; a part that fails leaves its figure
//! out and says why. Nothing of it is ever paid for or sent. The engine starts it when the owner asks and hears its
//! progress; it never writes anything down itself.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobs::benchmark::{BenchmarkProgram, Kind, programs};
use network::{Net, Phase};
use protocol::frames::{Confinement, Pace};
use protocol::id::SliceId;
use protocol::local::{Benchmark, BenchmarkStep, ErrorCode, LocalError};
use sandbox::{Run, Spawn, SpawnError, Worker, WorkerEvent};
use tokio::task::JoinHandle;

/// A program is repeated for this long, at least twice; the best run counts.
const REPEAT_FOR: Duration = Duration::from_millis(1500);
/// A run may take this long.
const RUN_WITHIN: Duration = Duration::from_secs(60);
/// Compilation may take this long.
const LOAD_WITHIN: Duration = Duration::from_secs(60);

/// How far a measurement is.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchProgress {
    /// The figures so far. [`Benchmark::finished_at`] is left to the receiver, who has the clock.
    pub benchmark: Benchmark,
    /// Walls round the worker, once it is open.
    pub confinement: Option<Confinement>,
}

/// Where the progress goes. Returns at once.
pub type BenchOutlet = Arc<dyn Fn(BenchProgress) + Send + Sync>;

/// Something that measures.
pub trait Bench: Send {
    /// Begins; a measurement under way goes on.
    fn start(&mut self);
    /// Ends the measurement under way; no progress follows.
    fn cancel(&mut self);
    /// Ends it and waits until it has ended.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The real one.
pub struct Measuring {
    spawn: Spawn,
    net: Net,
    base_url: String,
    outlet: BenchOutlet,
    task: Option<JoinHandle<()>>,
    /// Told to end, and not waited for yet.
    ending: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Measuring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Measuring(running: {})", self.task.is_some())
    }
}

impl Measuring {
    /// Measures the card that `spawn` finds and the line to `base_url`.
    pub fn new(spawn: Spawn, net: Net, base_url: String, outlet: BenchOutlet) -> Self {
        Self { spawn, net, base_url, outlet, task: None, ending: Vec::new() }
    }
}

impl Bench for Measuring {
    fn start(&mut self) {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let progress = Progress { outlet: Arc::clone(&self.outlet), shown: empty(), confinement: None };
        let (spawn, net, base_url) = (self.spawn.clone(), self.net.clone(), self.base_url.clone());
        self.task = Some(tokio::spawn(measure(spawn, net, base_url, progress)));
    }

    fn cancel(&mut self) {
        self.ending.retain(|task| !task.is_finished());
        if let Some(task) = self.task.take() {
            // Dropping the worker's handle kills its process.
            task.abort();
            self.ending.push(task);
        }
    }

    fn stop(mut self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.cancel();
        Box::pin(async move {
            for task in self.ending {
                if let Err(error) = task.await
                    && !error.is_cancelled()
                {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the measurement ended abnormally"
                    );
                }
            }
        })
    }
}

fn empty() -> Benchmark {
    Benchmark {
        running: Some(BenchmarkStep::Opening),
        permille: 0,
        finished_at: None,
        adapter: None,
        float_gops: None,
        integer_gops: None,
        memory_gbytes: None,
        rtt_millis: None,
        up_bits_per_s: None,
        down_bits_per_s: None,
        error: None,
    }
}

struct Progress {
    outlet: BenchOutlet,
    shown: Benchmark,
    confinement: Option<Confinement>,
}

impl Progress {
    fn tell(&self) {
        (self.outlet)(BenchProgress { benchmark: self.shown.clone(), confinement: self.confinement.clone() });
    }

    /// `share` of the step from `from` to `to` thousandths.
    fn at(&mut self, step: BenchmarkStep, share: f64) {
        let (from, to) = span(step);
        self.shown.running = Some(step);
        self.shown.permille = from + (f64::from(to - from) * share.clamp(0.0, 1.0)) as u16;
        self.tell();
    }
}

/// The thousandths of the whole that a step takes up.
const fn span(step: BenchmarkStep) -> (u16, u16) {
    match step {
        BenchmarkStep::Opening => (0, 50),
        BenchmarkStep::Integer => (50, 200),
        BenchmarkStep::Float => (200, 350),
        BenchmarkStep::Memory => (350, 500),
        BenchmarkStep::Latency => (500, 550),
        BenchmarkStep::Download => (550, 775),
        BenchmarkStep::Upload => (775, 1000),
    }
}

async fn measure(spawn: Spawn, net: Net, base_url: String, mut progress: Progress) {
    progress.at(BenchmarkStep::Opening, 0.0);
    if let Err(error) = Box::pin(measure_card(&spawn, &mut progress)).await {
        let code = match &error {
            CardError::Spawn(SpawnError::NoAdapter(_)) => ErrorCode::NoDriver,
            _ => ErrorCode::Internal,
        };
        progress.shown.error = Some(LocalError { code, detail: text(&error) });
    }
    if let Err(error) = Box::pin(measure_line(&net, &base_url, &mut progress)).await {
        // The first thing that failed is told; both at once is rare and shows in the log.
        let failed = LocalError { code: ErrorCode::CoordinatorUnreachable, detail: text(&error) };
        tracing::warn!(detail = failed.detail, "the line could not be measured");
        progress.shown.error.get_or_insert(failed);
    }
    progress.shown.running = None;
    progress.shown.permille = 1000;
    progress.tell();
}

fn text(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Why the card could not be measured.
#[derive(Debug, thiserror::Error)]
enum CardError {
    #[error("open the card")]
    Spawn(#[from] SpawnError),
    #[error("load {name}")]
    Load {
        name: &'static str,
        #[source]
        source: sandbox::LoadError,
    },
    #[error("run {name}")]
    Run {
        name: &'static str,
        #[source]
        source: sandbox::CommandError,
    },
    #[error("{name} failed: {detail}")]
    Failed { name: &'static str, detail: String },
    #[error("{name} gave a wrong result: this card or its driver computes wrongly")]
    Wrong { name: &'static str },
}

async fn measure_card(spawn: &Spawn, progress: &mut Progress) -> Result<(), CardError> {
    let (mut worker, ready) = Worker::spawn(spawn).await?;
    progress.shown.adapter = Some(ready.adapter);
    progress.confinement = Some(ready.confinement);
    for benchmark in programs() {
        let rate = best_rate(&mut worker, &benchmark, progress).await?;
        match benchmark.kind {
            Kind::Gflops => progress.shown.float_gops = Some(rate),
            Kind::Giops => progress.shown.integer_gops = Some(rate),
            Kind::GBps => progress.shown.memory_gbytes = Some(rate),
        }
    }
    worker.kill().await;
    Ok(())
}

async fn best_rate(
    worker: &mut Worker,
    benchmark: &BenchmarkProgram,
    progress: &mut Progress,
) -> Result<f64, CardError> {
    let name = benchmark.name;
    let step = match benchmark.kind {
        Kind::Gflops => BenchmarkStep::Float,
        Kind::Giops => BenchmarkStep::Integer,
        Kind::GBps => BenchmarkStep::Memory,
    };
    progress.at(step, 0.0);
    worker
        .load(&benchmark.program, &benchmark.sources, LOAD_WITHIN)
        .await
        .map_err(|source| CardError::Load { name, source })?;
    let started = Instant::now();
    let mut best = 0.0_f64;
    let mut runs = 0;
    while runs < 2 || started.elapsed() < REPEAT_FOR {
        let run = Run {
            slice: SliceId([0; 32]),
            inputs: benchmark.inputs.clone(),
            params: benchmark.params.clone(),
            resume_from: None,
            pace: Pace::AWAY,
            limit: RUN_WITHIN,
        };
        worker.run(run).map_err(|source| CardError::Run { name, source })?;
        let (output, device) = loop {
            match worker.next_event().await {
                WorkerEvent::Done { output, device, .. } => break (output, device),
                WorkerEvent::Failed { fault, .. } => {
                    return Err(CardError::Failed { name, detail: fault.detail });
                }
                WorkerEvent::Died(death) => {
                    return Err(CardError::Failed { name, detail: death.reason.to_string() });
                }
                WorkerEvent::Loaded
                | WorkerEvent::Refused { .. }
                | WorkerEvent::Progress { .. }
                | WorkerEvent::Yielded { .. }
                | WorkerEvent::Checkpoint { .. } => {}
            }
        };
        if !(benchmark.check)(&output) {
            return Err(CardError::Wrong { name });
        }
        best = best.max(benchmark.rate(u64::try_from(device.as_micros()).unwrap_or(u64::MAX)));
        runs += 1;
        let share = started.elapsed().as_secs_f64() / REPEAT_FOR.as_secs_f64();
        progress.at(step, share.min(f64::from(runs) / 2.0));
    }
    Ok(best)
}

async fn measure_line(
    net: &Net,
    base_url: &str,
    progress: &mut Progress,
) -> Result<(), network::MeasureError> {
    progress.at(BenchmarkStep::Latency, 0.0);
    let mut on_progress = |measuring: network::Measuring| {
        let step = match measuring.phase {
            Phase::RoundTrip => BenchmarkStep::Latency,
            Phase::Down => BenchmarkStep::Download,
            Phase::Up => BenchmarkStep::Upload,
        };
        progress.at(step, measuring.phase_share);
    };
    let measured = network::measure(net, base_url, &mut on_progress).await?;
    progress.shown.rtt_millis = Some(measured.rtt_millis);
    progress.shown.up_bits_per_s = Some(measured.up_bits_per_s);
    progress.shown.down_bits_per_s = Some(measured.down_bits_per_s);
    Ok(())
}
