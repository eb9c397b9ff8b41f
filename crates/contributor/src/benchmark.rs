//! The measurement of this machine: its card through the worker, its line against the coordinator.
//!
//! Every figure comes from a run whose output was checked or from bytes that passed; a part that fails leaves its figure
//! out and says why. Nothing of it is ever paid for or sent. The engine starts it when the owner asks and hears its
//! progress; it never writes anything down itself. The method is told in docs/benchmark.md.

mod course;
mod rate;
pub mod rig;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobs::benchmark::{BenchmarkProgram, Speed, arrival, departure, dispatch};
use network::{Net, Phase};
use protocol::frames::{Confinement, Pace};
use protocol::local::{
    Benchmark, BenchmarkStep, CardReading, CardState, ErrorCode, Held, LocalError, Rate, Unread,
};
use sandbox::{Spawn, SpawnError};
use tokio::task::JoinHandle;

use crate::card::{CardName, Cards, Sensed};
use rig::{Rig, RigError, Took};

/// Each speed is measured for this long, longer where that gives fewer than [`RUNS`] runs.
const SPEED_FOR: Duration = Duration::from_millis(300);
const RUNS: usize = 5;
/// Arithmetic without a pause, for this long.
const SUSTAINED_FOR: Duration = Duration::from_secs(3);
/// Runs of the sustained arithmetic are this many times as long, so that the card rests little between them.
const SUSTAINED_TIMES: u32 = 4;
/// Runs of each transfer; the quickest counts.
const TRANSFERS: usize = 3;
/// One piece at a time, each its own submission.
const SINGLE: Pace = Pace { piece_micros: 100, longest_micros: 100, in_flight: 1, duty_percent: 100 };
/// A driver that does not answer for its sensors is not waited for.
const SENSORS_WITHIN: Duration = Duration::from_secs(2);

/// How far a measurement is.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchProgress {
    /// The figures so far. [`Benchmark::finished_at`] is left to the receiver, who has the clock.
    pub benchmark: Box<Benchmark>,
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
        let progress =
            Progress { outlet: Arc::clone(&self.outlet), shown: Benchmark::default(), confinement: None };
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

struct Progress {
    outlet: BenchOutlet,
    shown: Benchmark,
    confinement: Option<Confinement>,
}

impl Progress {
    fn tell(&self) {
        (self.outlet)(BenchProgress {
            benchmark: Box::new(self.shown.clone()),
            confinement: self.confinement.clone(),
        });
    }

    /// `share` of a step is done.
    fn at(&mut self, step: BenchmarkStep, share: f64) {
        self.shown.running = Some(step);
        self.shown.permille = course::permille(step, share);
        self.tell();
    }
}

async fn measure(spawn: Spawn, net: Net, base_url: String, mut progress: Progress) {
    progress.at(BenchmarkStep::Opening, 0.0);
    if let Err(error) = Box::pin(measure_card(&spawn, &mut progress)).await {
        let code = match &error {
            RigError::Open(SpawnError::NoAdapter(_)) => ErrorCode::NoDriver,
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

/// The card's part alone, for the project's own tests and figures.
///
/// # Errors
/// [`RigError`]: the first program that failed.
pub async fn measure_card_alone(spawn: &Spawn, outlet: BenchOutlet) -> Result<Benchmark, RigError> {
    let mut progress = Progress { outlet, shown: Benchmark::default(), confinement: None };
    Box::pin(measure_card(spawn, &mut progress)).await?;
    Ok(progress.shown)
}

async fn measure_card(spawn: &Spawn, progress: &mut Progress) -> Result<(), RigError> {
    let (mut rig, ready) = Rig::open(spawn).await?;
    progress.confinement = Some(ready.confinement);
    let mut gauge = Gauge { meant: CardName::of(rig.adapter()), cards: None, silent: false };
    let before = gauge.read().await;
    if let CardReading::Known(memory) = before.memory {
        rig.learn_memory(memory.total_bytes);
    }
    progress.shown.adapter = Some(rig.adapter().clone());
    progress.at(BenchmarkStep::Opening, 1.0);
    let (float, size) = measure_speed(&mut rig, Speed::Float, 1, progress).await?;
    progress.shown.float = float;
    // Whole numbers take about as long as floats, so their size begins where that of floats ended; halves take half as
    // long, or four times as long on a device that has no units for them.
    progress.shown.integer = measure_speed(&mut rig, Speed::Integer, size, progress).await?.0;
    if Speed::Half.needs().is_none_or(|feature| rig.adapter().features.contains(&feature)) {
        progress.shown.half = measure_speed(&mut rig, Speed::Half, (size / 4).max(1), progress).await?.0;
    }
    progress.shown.memory = measure_speed(&mut rig, Speed::Memory, 1, progress).await?.0;
    measure_transfers(&mut rig, progress).await?;
    measure_held(&mut rig, &mut gauge, size, before, progress).await?;
    rig.close().await;
    Ok(())
}

/// The rate, and the size of the program that showed it.
async fn measure_speed(
    rig: &mut Rig,
    speed: Speed,
    size: u32,
    progress: &mut Progress,
) -> Result<(Option<Rate>, u32), RigError> {
    /// Share of the step that finding the size and warming up take.
    const BEFORE: f64 = 0.5;
    let step = match speed {
        Speed::Float => BenchmarkStep::Float,
        Speed::Integer => BenchmarkStep::Integer,
        Speed::Half => BenchmarkStep::Half,
        Speed::Memory => BenchmarkStep::Memory,
    };
    progress.at(step, 0.0);
    let (benchmark, size) = rig.load_sized(speed, size).await?;
    rig.warm_up(&benchmark).await?;
    let mut told = |share: f64| progress.at(step, BEFORE + (1.0 - BEFORE) * share);
    told(0.0);
    let rates = rig.rates(&benchmark, SPEED_FOR, RUNS, &mut told).await?;
    Ok((rate::rate(&rates), size))
}

/// The quickest of a few transfers counts: a copy can be held up, but not hurried.
async fn measure_transfers(rig: &mut Rig, progress: &mut Progress) -> Result<(), RigError> {
    let step = BenchmarkStep::Transfer;
    progress.at(step, 0.0);
    let arrival = arrival(rig.adapter());
    let arrivals = repeat(rig, &arrival, rig::PACE).await?;
    progress.shown.to_card_gbytes = Some(arrival.rate(quickest(&arrivals, |took| took.upload)));
    progress.at(step, 0.6);
    let departure = departure();
    let departures = repeat(rig, &departure, rig::PACE).await?;
    // What a read takes beside its bytes is that of the few bytes which the other program gives back.
    let large = quickest(&departures, |took| took.download);
    let small = quickest(&arrivals, |took| took.download);
    let bytes_alone = large.checked_sub(small).filter(|span| !span.is_zero());
    progress.shown.from_card_gbytes = bytes_alone.map(|span| departure.rate(span));
    progress.at(step, 0.9);
    let dispatch = dispatch();
    let dispatches = repeat(rig, &dispatch, SINGLE).await?;
    let one = quickest(&dispatches, |took| took.device).as_secs_f64() / dispatch.count_per_run as f64;
    progress.shown.dispatch_micros = Some(one * 1e6);
    progress.at(step, 1.0);
    Ok(())
}

async fn repeat(rig: &mut Rig, benchmark: &BenchmarkProgram, pace: Pace) -> Result<Vec<Took>, RigError> {
    rig.load(benchmark).await?;
    let mut runs = Vec::with_capacity(TRANSFERS);
    for _ in 0..TRANSFERS {
        runs.push(rig.run_at(benchmark, pace).await?);
    }
    Ok(runs)
}

fn quickest(runs: &[Took], part: impl Fn(&Took) -> Duration) -> Duration {
    runs.iter().map(part).min().unwrap_or(Duration::MAX)
}

/// Float arithmetic without a pause against the best run of all. `size` is that of the float program.
async fn measure_held(
    rig: &mut Rig,
    gauge: &mut Gauge,
    size: u32,
    before: CardState,
    progress: &mut Progress,
) -> Result<(), RigError> {
    let step = BenchmarkStep::Sustained;
    progress.at(step, 0.0);
    let benchmark = Speed::Float.program(size.saturating_mul(SUSTAINED_TIMES), rig.adapter());
    rig.load(&benchmark).await?;
    let began = Instant::now();
    let rates = rig.rates(&benchmark, SUSTAINED_FOR, 1, &mut |share| progress.at(step, share)).await?;
    let seconds = began.elapsed().as_secs_f64();
    // The sensors are read while the card computes on: an idle one cools and clocks down at once.
    let (last, at_end) = tokio::join!(rig.run(&benchmark), gauge.read());
    last?;
    if let (Some(float), Some(sustained)) = (&mut progress.shown.float, rate::rate(&rates)) {
        float.best = float.best.max(sustained.best);
        // Work over time: the slow runs weigh more.
        let mean = rates.len() as f64 / rates.iter().map(|rate| rate.recip()).sum::<f64>();
        let share_percent = mean / float.best * 100.0;
        progress.shown.held = Some(Held { share_percent, seconds, before, at_end });
    }
    progress.at(step, 1.0);
    Ok(())
}

/// Reads the sensors of the card that is measured, off the loop: a driver may take its time.
struct Gauge {
    meant: Option<CardName>,
    cards: Option<Cards>,
    /// The driver did not answer once and is not asked again.
    silent: bool,
}

impl Gauge {
    async fn read(&mut self) -> CardState {
        // Where the processor computes there is no card to read.
        let Some(meant) = self.meant.clone() else { return Sensed::unknown(Unread::NotOffered).state };
        if self.silent {
            return Sensed::unknown(Unread::Failed).state;
        }
        let cards = self.cards.take();
        let reading = tokio::task::spawn_blocking(move || {
            let mut cards = cards.unwrap_or_else(Cards::open);
            let sensed = cards.read(Some(&meant), &BTreeSet::new());
            (cards, sensed.state)
        });
        match tokio::time::timeout(SENSORS_WITHIN, reading).await {
            Ok(Ok((cards, state))) => {
                self.cards = Some(cards);
                state
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the card's sensors do not answer");
                self.silent = true;
                Sensed::unknown(Unread::Failed).state
            }
        }
    }
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
