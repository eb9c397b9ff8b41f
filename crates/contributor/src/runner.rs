//! The worker process as the engine drives it, and the true time of a hand-back.
//!
//! It owns one task: it starts the worker, brings sources and inputs from the shelf, passes suspends on at once, and
//! measures from the command to the moment at which the process no longer uses the processor, seen from outside. It
//! never decides: `schedule` does. The engine gives it [`ComputeAsk`]s and hears [`ComputeEvent`]s; tests bring their
//! own [`Compute`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::frames::{Checkpoint, Pace};
use protocol::id::{Hash, SliceId};
use protocol::manifest::{MAX_MODULE_BYTES, Program};
use sandbox::{Ready, Run, Spawn, SpawnError, Worker, WorkerEvent};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::link::MAX_BLOB_BYTES;
use crate::schedule::{PREEMPT_ANSWER, PREEMPT_KILL, RunSlice};
use crate::shelf::{Shelf, ShelfError};

/// How long a program may take to compile.
const LOAD_WITHIN: Duration = Duration::from_secs(60);
/// No processor time used for this long means idle.
const QUIET: Duration = Duration::from_millis(4);
/// Processor time that answering a frame may cost and that is no work.
const NOISE: Duration = Duration::from_micros(300);
/// A worker that is still busy this long after its answer has not yielded; the figure says so.
const WATCH_FOR: Duration = Duration::from_millis(200);

/// What the worker is to do.
#[derive(Debug)]
pub enum ComputeAsk {
    /// Start a process.
    Open,
    /// Compile a program.
    Load {
        /// The program, its signature checked.
        program: Arc<Program>,
    },
    /// Compute a slice of the loaded program.
    Run {
        /// The slice.
        run: Box<RunSlice>,
        /// Where to go on.
        resume_from: Option<Box<Checkpoint>>,
    },
    /// Free the device, and with `release` its memory too.
    Suspend {
        /// Send the state out and free the memory.
        release: bool,
    },
    /// Go on.
    Resume(Pace),
    /// End the process.
    Close,
}

/// What came of it.
#[derive(Debug)]
pub enum ComputeEvent {
    /// A process is ready.
    Opened(Ready),
    /// None could be started.
    NotOpened {
        /// Because there is no driver that can compute.
        no_driver: bool,
        /// For the log and the notice.
        detail: String,
    },
    /// The program is compiled.
    Loaded,
    /// It is not.
    NotLoaded {
        /// For the log.
        detail: String,
    },
    /// Pieces of the slice are done.
    Progress {
        /// Which slice.
        slice: SliceId,
        /// Thousandths.
        permille: u16,
    },
    /// The device is free.
    Yielded {
        /// From the command to idle, observed from outside; `None` where nothing was running.
        took: Option<Duration>,
    },
    /// State of the suspended slice; the memory is free.
    Checkpoint {
        /// Which slice.
        slice: SliceId,
        /// Its state.
        checkpoint: Box<Checkpoint>,
    },
    /// The memory is free and there was no state.
    Released,
    /// A slice is computed.
    Done {
        /// Which slice.
        slice: SliceId,
        /// All output buffers.
        output: Vec<u8>,
        /// Device time, as the worker says.
        device: Duration,
    },
    /// A slice could not be computed.
    Failed {
        /// Which slice.
        slice: SliceId,
        /// For the log.
        detail: String,
    },
    /// An input is damaged or missing on this disk.
    InputMissing {
        /// Which slice.
        slice: SliceId,
        /// Which blob.
        blob: Hash,
    },
    /// The process has ended.
    Died {
        /// For the log.
        detail: String,
    },
}

/// Where the runner tells its events. Returns at once.
pub type ComputeOutlet = Arc<dyn Fn(ComputeEvent) + Send + Sync>;

/// Something that computes slices.
pub trait Compute: Send {
    /// Begins to do it; returns at once.
    fn give(&mut self, ask: ComputeAsk);
    /// Ends the process and waits until it has ended.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The real one, over the sandbox.
pub struct Runner {
    /// Each with the moment at which it was given: a hand-back is measured from there.
    asks: mpsc::UnboundedSender<(Instant, ComputeAsk)>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runner")
    }
}

impl Runner {
    /// Starts the task. Must be called inside a tokio runtime.
    pub fn start(spawn: Spawn, shelf: Shelf, outlet: ComputeOutlet) -> Self {
        let (asks, asked) = mpsc::unbounded_channel();
        let hand = Hand { spawn, shelf, outlet, opening: None, worker: None, preparing: None, slice: None };
        Self { asks, task: tokio::spawn(hand.act(asked)) }
    }
}

impl Compute for Runner {
    fn give(&mut self, ask: ComputeAsk) {
        if self.asks.send((Instant::now(), ask)).is_err() {
            tracing::error!("the runner has ended");
        }
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            drop(self.asks);
            if let Err(error) = self.task.await {
                tracing::error!(error = &error as &dyn std::error::Error, "the runner ended abnormally");
            }
        })
    }
}

/// What was brought from the shelf.
enum Prepared {
    Program(Arc<Program>, Vec<String>),
    Slice(Inputs),
    NoProgram(String),
    NoInput { slice: SliceId, blob: Hash, error: ShelfError },
}

/// A slice with its inputs, ready to be given to the worker.
struct Inputs {
    run: Box<RunSlice>,
    bytes: Vec<Vec<u8>>,
    resume_from: Option<Box<Checkpoint>>,
}

/// The slice in hand.
struct InHand {
    id: SliceId,
    /// Set while suspended before it has reached the worker: it starts on resume.
    held: Option<Inputs>,
    /// The worker computes it.
    started: bool,
    suspended: bool,
    pace: Pace,
}

struct Hand {
    spawn: Spawn,
    shelf: Shelf,
    outlet: ComputeOutlet,
    opening: Option<JoinHandle<Result<(Worker, Ready), SpawnError>>>,
    worker: Option<Worker>,
    preparing: Option<JoinHandle<Prepared>>,
    slice: Option<InHand>,
}

/// What the task woke up for.
enum Woken {
    Ask(Option<(Instant, ComputeAsk)>),
    Event(WorkerEvent),
    Opened(Result<Result<(Worker, Ready), SpawnError>, tokio::task::JoinError>),
    Prepared(Result<Prepared, tokio::task::JoinError>),
}

impl Hand {
    async fn act(mut self, mut asked: mpsc::UnboundedReceiver<(Instant, ComputeAsk)>) {
        loop {
            let woken = tokio::select! {
                biased;
                ask = asked.recv() => Woken::Ask(ask),
                event = next_event(self.worker.as_mut()) => Woken::Event(event),
                opened = finished(self.opening.as_mut()) => Woken::Opened(opened),
                prepared = finished(self.preparing.as_mut()) => Woken::Prepared(prepared),
            };
            match woken {
                Woken::Ask(Some((at, ask))) => self.take_in(ask, at).await,
                Woken::Ask(None) => break,
                Woken::Event(event) => self.hear(event),
                Woken::Opened(opened) => {
                    self.opening = None;
                    self.opened(opened);
                }
                Woken::Prepared(prepared) => {
                    self.preparing = None;
                    self.prepared(prepared);
                }
            }
        }
        self.close().await;
    }

    fn tell(&self, event: ComputeEvent) {
        (self.outlet)(event);
    }

    async fn take_in(&mut self, ask: ComputeAsk, at: Instant) {
        match ask {
            ComputeAsk::Open => {
                let spawn = self.spawn.clone();
                self.opening = Some(tokio::spawn(async move { Worker::spawn(&spawn).await }));
            }
            ComputeAsk::Load { program } => {
                let shelf = self.shelf.clone();
                self.preparing = Some(tokio::task::spawn_blocking(move || read_program(&shelf, program)));
            }
            ComputeAsk::Run { run, resume_from } => {
                let shelf = self.shelf.clone();
                let (id, pace) = (run.slice.slice, run.pace);
                self.slice = Some(InHand { id, held: None, started: false, suspended: false, pace });
                self.preparing =
                    Some(tokio::task::spawn_blocking(move || read_slice(&shelf, run, resume_from)));
            }
            ComputeAsk::Suspend { release } => self.suspend(release, at).await,
            ComputeAsk::Resume(pace) => self.resume(pace),
            ComputeAsk::Close => {
                let detail = self.close().await;
                self.tell(ComputeEvent::Died { detail });
            }
        }
    }

    async fn suspend(&mut self, release: bool, asked: Instant) {
        let (Some(worker), Some(slice)) = (&mut self.worker, &mut self.slice) else {
            let event = if release { ComputeEvent::Released } else { ComputeEvent::Yielded { took: None } };
            return self.tell(event);
        };
        slice.suspended = true;
        if !slice.started {
            let event = if release { ComputeEvent::Released } else { ComputeEvent::Yielded { took: None } };
            return self.tell(event);
        }
        worker.suspend(release, PREEMPT_KILL);
        if release {
            return;
        }
        self.await_yield(asked).await;
    }

    /// Waits for the answer to a suspend, so that nothing comes between it and the look from outside. The sandbox kills
    /// a worker that does not answer, which ends the wait.
    async fn await_yield(&mut self, asked: Instant) {
        while let Some(worker) = &mut self.worker {
            match worker.next_event().await {
                WorkerEvent::Yielded { .. } => {
                    let took = observed_idle(worker, asked).await;
                    if took > PREEMPT_ANSWER {
                        tracing::warn!(millis = took.as_millis(), "the card was handed back late");
                    }
                    return self.tell(ComputeEvent::Yielded { took: Some(took) });
                }
                event => self.hear(event),
            }
        }
    }

    fn resume(&mut self, pace: Pace) {
        let Some(slice) = &mut self.slice else { return };
        slice.suspended = false;
        slice.pace = pace;
        if slice.started {
            if let Some(worker) = &mut self.worker {
                worker.resume(pace);
            }
        } else if let Some(inputs) = slice.held.take() {
            self.start(inputs);
        }
    }

    /// Ends the process, if there is one, and says how.
    async fn close(&mut self) -> String {
        if let Some(opening) = self.opening.take() {
            // Dropping the start half-way kills the process.
            opening.abort();
            if let Ok(Ok((worker, _))) = opening.await {
                worker.kill().await;
            }
        }
        self.preparing = None;
        self.slice = None;
        match self.worker.take() {
            Some(worker) => worker.kill().await.reason.to_string(),
            None => "no worker was running".to_owned(),
        }
    }

    fn opened(&mut self, opened: Result<Result<(Worker, Ready), SpawnError>, tokio::task::JoinError>) {
        match opened {
            Ok(Ok((worker, ready))) => {
                self.worker = Some(worker);
                self.tell(ComputeEvent::Opened(ready));
            }
            Ok(Err(error)) => {
                let no_driver = matches!(error, SpawnError::NoAdapter(_));
                self.tell(ComputeEvent::NotOpened { no_driver, detail: chain(&error) });
            }
            Err(error) => self.tell(ComputeEvent::NotOpened { no_driver: false, detail: chain(&error) }),
        }
    }

    fn prepared(&mut self, prepared: Result<Prepared, tokio::task::JoinError>) {
        match prepared {
            Ok(Prepared::Program(program, sources)) => {
                let Some(worker) = &mut self.worker else { return };
                if let Err(error) = worker.begin_load(&program, &sources, LOAD_WITHIN) {
                    self.tell(ComputeEvent::NotLoaded { detail: chain(&error) });
                }
            }
            Ok(Prepared::NoProgram(detail)) => self.tell(ComputeEvent::NotLoaded { detail }),
            Ok(Prepared::Slice(inputs)) => {
                let Some(slice) = &mut self.slice else { return };
                if slice.suspended {
                    slice.held = Some(inputs);
                } else {
                    self.start(inputs);
                }
            }
            Ok(Prepared::NoInput { slice, blob, error }) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an input is to be fetched again");
                self.slice = None;
                self.tell(ComputeEvent::InputMissing { slice, blob });
            }
            Err(error) => {
                if let Some(slice) = self.slice.take() {
                    self.tell(ComputeEvent::Failed { slice: slice.id, detail: chain(&error) });
                }
            }
        }
    }

    fn start(&mut self, inputs: Inputs) {
        let Inputs { run, bytes, resume_from } = inputs;
        let (Some(worker), Some(slice)) = (&mut self.worker, &mut self.slice) else { return };
        let id = slice.id;
        let given = worker.run(Run {
            slice: id,
            inputs: bytes,
            params: run.slice.params,
            resume_from: resume_from.map(|checkpoint| *checkpoint),
            pace: slice.pace,
            limit: run.limit,
        });
        match given {
            Ok(()) => slice.started = true,
            Err(error) => {
                self.slice = None;
                self.tell(ComputeEvent::Failed { slice: id, detail: chain(&error) });
            }
        }
    }

    fn hear(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Loaded => self.tell(ComputeEvent::Loaded),
            WorkerEvent::Refused { fault } => self.tell(ComputeEvent::NotLoaded { detail: fault.detail }),
            WorkerEvent::Progress { slice, permille } => {
                self.tell(ComputeEvent::Progress { slice, permille })
            }
            // The answer to a release; the state follows.
            WorkerEvent::Yielded { .. } => {
                if self.slice.is_none() {
                    self.tell(ComputeEvent::Released);
                }
            }
            WorkerEvent::Checkpoint { slice, checkpoint } => {
                self.tell(ComputeEvent::Checkpoint { slice, checkpoint: Box::new(checkpoint) });
            }
            WorkerEvent::Done { slice, output, device, .. } => {
                self.slice = None;
                self.tell(ComputeEvent::Done { slice, output, device });
            }
            WorkerEvent::Failed { slice, fault } => {
                self.slice = None;
                self.tell(ComputeEvent::Failed { slice, detail: fault.detail });
            }
            WorkerEvent::Died(death) => {
                self.worker = None;
                self.preparing = None;
                self.slice = None;
                let detail = format!("{}; {}", death.reason, death.stderr.trim());
                self.tell(ComputeEvent::Died { detail });
            }
        }
    }
}

/// The next event of the worker; never, without one.
async fn next_event(worker: Option<&mut Worker>) -> WorkerEvent {
    match worker {
        Some(worker) => worker.next_event().await,
        None => std::future::pending().await,
    }
}

/// The outcome of a task; never, without one.
async fn finished<T>(task: Option<&mut JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Time from `asked` to the last moment at which the process used processor time beyond answering. The worker has said
/// that it is idle; this does not take its word.
async fn observed_idle(worker: &Worker, asked: Instant) -> Duration {
    let answered = Instant::now();
    let mut last_busy = answered;
    let Some(mut used) = worker.usage() else { return answered.duration_since(asked) };
    while last_busy.elapsed() < QUIET && answered.elapsed() < WATCH_FOR {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let Some(now_used) = worker.usage() else { break };
        if now_used.saturating_sub(used) > NOISE {
            last_busy = Instant::now();
        }
        used = now_used;
    }
    last_busy.duration_since(asked)
}

fn read_program(shelf: &Shelf, program: Arc<Program>) -> Prepared {
    let mut sources = Vec::with_capacity(program.modules.len());
    for module in &program.modules {
        let source = shelf.read(&module.blob, MAX_MODULE_BYTES.into()).map_err(|error| chain(&error));
        match source.and_then(|bytes| String::from_utf8(bytes).map_err(|error| chain(&error))) {
            Ok(source) => sources.push(source),
            Err(detail) => return Prepared::NoProgram(detail),
        }
    }
    Prepared::Program(program, sources)
}

fn read_slice(shelf: &Shelf, run: Box<RunSlice>, resume_from: Option<Box<Checkpoint>>) -> Prepared {
    let mut inputs = Vec::with_capacity(run.slice.inputs.len());
    for range in &run.slice.inputs {
        match shelf.read_range(range, MAX_BLOB_BYTES) {
            Ok(bytes) => inputs.push(bytes),
            Err(error) => return Prepared::NoInput { slice: run.slice.slice, blob: range.blob, error },
        }
    }
    Prepared::Slice(Inputs { run, bytes: inputs, resume_from })
}

/// An error with all its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
