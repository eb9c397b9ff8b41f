//! [`Worker`]: one running worker process and the conversation with it.
//!
//! The handle only sends commands and receives events; a thread of its own (`process.rs`) checks every reply and keeps
//! every deadline, so a caller that is busy elsewhere cannot make the sandbox late. Dropping the handle kills the process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use protocol::frames::{Adapter, Checkpoint, Confinement, Fault, Pace, Request};
use protocol::id::SliceId;
use protocol::manifest::{CheckError, Program};
use tokio::sync::{mpsc, oneshot};

use crate::conversation::{Command, Overdue, Violation};
use crate::process;

/// Environment variables that a graphics driver needs to be found; everything else stays out of the worker.
const DRIVER_ENVIRONMENT: [&str; 10] = [
    "VK_ICD_FILENAMES",
    "VK_DRIVER_FILES",
    "VK_LOADER_DRIVERS_SELECT",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_DIRS",
    "LP_NUM_THREADS",
    "SystemRoot",
    "SystemDrive",
    "windir",
    "ProgramData",
];

/// What to start and within which bounds.
#[derive(Debug, Clone)]
pub struct Spawn {
    /// The worker executable, see [`crate::find_worker`].
    pub program_path: PathBuf,
    /// Part of an adapter's name that must match; empty takes the best one.
    pub adapter: String,
    /// Whether a software renderer may be used.
    pub allow_software: bool,
    /// Memory limit of the process in bytes. The worker raises it to what drivers need at least (6 GiB of address space).
    pub memory_bytes: u64,
    /// The whole environment of the worker.
    pub env: Vec<(OsString, OsString)>,
    /// How long opening the device may take.
    pub within: Duration,
}

impl Spawn {
    /// The worker at `program_path` with any hardware adapter, 6 GiB, 20 s to open the device, and those variables of
    /// this process's environment that drivers are found by.
    pub fn new(program_path: PathBuf) -> Self {
        let env = DRIVER_ENVIRONMENT
            .iter()
            .filter_map(|&name| Some((OsString::from(name), std::env::var_os(name)?)))
            .collect();
        Self {
            program_path,
            adapter: String::new(),
            allow_software: false,
            memory_bytes: 6 << 30,
            env,
            within: Duration::from_secs(20),
        }
    }
}

/// The device and the walls of a started worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The device that the worker opened.
    pub adapter: Adapter,
    /// Which walls stand around it, as far as it could raise them.
    pub confinement: Confinement,
}

/// One slice to compute.
#[derive(Debug, Clone)]
pub struct Run {
    /// Echoed in every event about this slice.
    pub slice: SliceId,
    /// One per input buffer of the program, each exactly of its size.
    pub inputs: Vec<Vec<u8>>,
    /// Values of the params buffer.
    pub params: Vec<u32>,
    /// Where to go on; `None` starts from the beginning.
    pub resume_from: Option<Checkpoint>,
    /// Size and density of the pieces.
    pub pace: Pace,
    /// How long the slice may take while it is not suspended; then the worker is killed.
    pub limit: Duration,
}

/// What a worker tells, after it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEvent {
    /// The program is admitted and compiled.
    Loaded,
    /// The program is not admitted.
    Refused {
        /// Why; the detail is at most 2 KiB.
        fault: Fault,
    },
    /// Pieces of a slice are done.
    Progress {
        /// Which slice.
        slice: SliceId,
        /// Thousandths of the slice that are done.
        permille: u16,
    },
    /// The device is idle as far as the worker knows.
    Yielded {
        /// From reading the suspend frame to the last fence, by the worker's own clock. Not evidence.
        reported: Duration,
        /// From the call of [`Worker::suspend`] to the arrival of the answer.
        observed: Duration,
    },
    /// State of a slice that was suspended with `release`.
    Checkpoint {
        /// Which slice.
        slice: SliceId,
        /// Its state; sizes fit the program.
        checkpoint: Checkpoint,
    },
    /// A slice is computed.
    Done {
        /// Which slice.
        slice: SliceId,
        /// All output buffers in order; exactly [`Program::output_bytes`] long.
        output: Vec<u8>,
        /// Time that the device was busy with it, as the worker says.
        device: Duration,
        /// Time that inputs and state took to the device, as the worker says.
        upload: Duration,
        /// Time that the output took back, as the worker says.
        download: Duration,
        /// Number of pieces, as the worker says.
        pieces: u32,
    },
    /// A slice could not be computed.
    Failed {
        /// Which slice.
        slice: SliceId,
        /// Why.
        fault: Fault,
    },
    /// The process has ended and is reaped; no event follows.
    Died(Death),
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Why.
    pub reason: DeathReason,
    /// The last lines that it wrote to stderr, for the log.
    pub stderr: String,
}

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeathReason {
    /// It ended by itself.
    #[error("the worker ended by itself (exit code {code:?}, signal {signal:?})")]
    Exited {
        /// Exit code, where there is one.
        code: Option<i32>,
        /// Signal, where one ended it.
        signal: Option<i32>,
    },
    /// It was killed because it let a deadline pass.
    #[error("killed: {0}")]
    Overdue(Overdue),
    /// It was killed because it broke the rules of the conversation.
    #[error("killed: {0}")]
    Violation(Violation),
    /// It was killed by its owner.
    #[error("killed by its owner")]
    Killed,
}

/// Why no worker could be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The executable could not be started.
    #[error("start {path}")]
    Start {
        /// Which one.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The worker found no adapter that is allowed. The detail says what to install or allow.
    #[error("no usable graphics adapter: {}", .0.detail)]
    NoAdapter(Fault),
    /// The worker refused to start for another reason.
    #[error("the worker refused to start: {}", .0.detail)]
    Refused(Fault),
    /// It ended before it was ready.
    #[error("the worker ended before it was ready: {}", .0.reason)]
    Died(Death),
}

/// Why a program is not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The manifest's counts or sizes are wrong; nothing was sent.
    #[error("the program is malformed")]
    Malformed(#[from] CheckError),
    /// The sources do not belong to the program; nothing was sent.
    #[error("the sources do not fit the program")]
    Sources,
    /// The worker refused it.
    #[error("the worker refused the program: {}", .0.detail)]
    Refused(Fault),
    /// The worker died of it or had died before.
    #[error("the worker died while loading: {}", .0.reason)]
    Died(Death),
    /// A slice is being computed.
    #[error("the worker cannot load now")]
    Command(#[from] CommandError),
}

/// Why a command cannot be given now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No program is loaded.
    #[error("no program is loaded")]
    NotLoaded,
    /// A slice is being computed, or a program is being loaded.
    #[error("the worker is busy")]
    Busy,
    /// The inputs or params do not fit the program.
    #[error("inputs or params do not fit the program")]
    Inputs,
    /// The worker has died.
    #[error("the worker has died")]
    Dead,
}

/// What the owner last knew from events.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Empty,
    Loading,
    Loaded,
    Running(SliceId),
    Dead,
}

/// One worker process. There is one owner; events arrive in order through [`Worker::next_event`].
#[derive(Debug)]
pub struct Worker {
    commands: process::Commands,
    events: mpsc::UnboundedReceiver<WorkerEvent>,
    state: State,
    program: Option<Box<Program>>,
    pid: u32,
}

impl Worker {
    /// Starts a worker, lets it open a device and lock itself down.
    ///
    /// # Errors
    /// [`SpawnError`]; no process is left behind.
    pub async fn spawn(spawn: &Spawn) -> Result<(Self, Ready), SpawnError> {
        let (opened, outcome) = oneshot::channel();
        let (commands, events) = process::start(spawn.clone(), process::Mode::Serve, opened);
        let (pid, ready) = match outcome.await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(SpawnError::Died(process::lost())),
        };
        Ok((Self { commands, events, state: State::Empty, program: None, pid }, ready))
    }

    /// Sends a program to be admitted and compiled within `within`; the answer is [`WorkerEvent::Loaded`],
    /// [`WorkerEvent::Refused`] or [`WorkerEvent::Died`].
    ///
    /// # Errors
    /// [`LoadError`] when nothing was sent.
    pub fn begin_load(
        &mut self,
        program: &Program,
        sources: &[String],
        within: Duration,
    ) -> Result<(), LoadError> {
        match self.state {
            State::Empty | State::Loaded => {}
            State::Loading | State::Running(_) => return Err(CommandError::Busy.into()),
            State::Dead => return Err(CommandError::Dead.into()),
        }
        check_sources(program, sources)?;
        let program = Box::new(program.clone());
        self.program = Some(program.clone());
        self.state = State::Loading;
        let request = Request::Load { program, sources: sources.to_vec() };
        self.commands.give(Command { request, within });
        Ok(())
    }

    /// [`Worker::begin_load`] and the wait for its answer. Call it when no slice is in hand: other events are passed over.
    ///
    /// # Errors
    /// [`LoadError`]; after [`LoadError::Refused`] another program may be loaded.
    pub async fn load(
        &mut self,
        program: &Program,
        sources: &[String],
        within: Duration,
    ) -> Result<(), LoadError> {
        self.begin_load(program, sources, within)?;
        loop {
            match self.next_event().await {
                WorkerEvent::Loaded => return Ok(()),
                WorkerEvent::Refused { fault } => return Err(LoadError::Refused(fault)),
                WorkerEvent::Died(death) => return Err(LoadError::Died(death)),
                WorkerEvent::Progress { .. }
                | WorkerEvent::Yielded { .. }
                | WorkerEvent::Checkpoint { .. }
                | WorkerEvent::Done { .. }
                | WorkerEvent::Failed { .. } => {}
            }
        }
    }

    /// Computes a slice of the loaded program. Ends with [`WorkerEvent::Done`], [`WorkerEvent::Failed`] or
    /// [`WorkerEvent::Died`].
    ///
    /// # Errors
    /// [`CommandError`] when nothing was sent.
    pub fn run(&mut self, run: Run) -> Result<(), CommandError> {
        match self.state {
            State::Loaded => {}
            State::Empty => return Err(CommandError::NotLoaded),
            State::Loading | State::Running(_) => return Err(CommandError::Busy),
            State::Dead => return Err(CommandError::Dead),
        }
        let program = self.program.as_deref().ok_or(CommandError::NotLoaded)?;
        let sizes = program.input_buffers().map(|b| b.bytes as usize);
        if run.params.len() != program.params_len() || !run.inputs.iter().map(Vec::len).eq(sizes) {
            return Err(CommandError::Inputs);
        }
        self.state = State::Running(run.slice);
        let request = Request::Run {
            slice: run.slice,
            inputs: run.inputs.into_iter().map(serde_bytes::ByteBuf::from).collect(),
            params: run.params,
            resume_from: run.resume_from,
            pace: run.pace,
        };
        self.commands.give(Command { request, within: run.limit });
        Ok(())
    }

    /// Takes the device back: the worker submits nothing more and answers [`WorkerEvent::Yielded`] within `within`, or
    /// is killed ([`WorkerEvent::Died`]). With `release` it then sends [`WorkerEvent::Checkpoint`] (or
    /// [`WorkerEvent::Done`] when the slice was complete) and hands all device memory back. Allowed in every state.
    pub fn suspend(&mut self, release: bool, within: Duration) {
        self.commands.give(Command { request: Request::Suspend { release }, within });
    }

    /// Goes on with the suspended slice, or changes the pace of the running one; its limit stretches with its share.
    pub fn resume(&mut self, pace: Pace) {
        self.commands.give(Command { request: Request::Resume { pace }, within: Duration::ZERO });
    }

    /// Gives the present slice up; nothing more is told about it.
    pub fn abandon(&mut self) {
        if matches!(self.state, State::Running(_)) {
            self.state = State::Loaded;
            self.commands.give(Command { request: Request::Abandon, within: Duration::ZERO });
        }
    }

    /// The next event. Cancel-safe: an event is never lost when the future is dropped.
    pub async fn next_event(&mut self) -> WorkerEvent {
        loop {
            let event = match self.events.recv().await {
                Some(event) => event,
                None => WorkerEvent::Died(process::lost()),
            };
            match &event {
                WorkerEvent::Loaded => self.state = State::Loaded,
                WorkerEvent::Refused { .. } => {
                    self.state = State::Empty;
                    self.program = None;
                }
                WorkerEvent::Died(_) => self.state = State::Dead,
                WorkerEvent::Done { slice, .. } | WorkerEvent::Failed { slice, .. } => {
                    if self.state != State::Running(*slice) {
                        // Was on its way when the slice was given up.
                        continue;
                    }
                    self.state = State::Loaded;
                }
                WorkerEvent::Progress { slice, .. } | WorkerEvent::Checkpoint { slice, .. } => {
                    if self.state != State::Running(*slice) {
                        continue;
                    }
                }
                WorkerEvent::Yielded { .. } => {}
            }
            return event;
        }
    }

    /// Kills the process and waits until it is reaped.
    pub async fn kill(mut self) -> Death {
        self.commands.kill();
        loop {
            if let WorkerEvent::Died(death) = self.next_event().await {
                return death;
            }
        }
    }

    /// Process id, for tests and observers.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Processor time that the process has used since its start, all threads together: how idle is observed from
    /// outside. `None` where the system does not tell, or after death.
    pub fn usage(&self) -> Option<Duration> {
        if self.state == State::Dead { None } else { process::cpu_time(self.pid) }
    }
}

/// Checks program and sources before they are sent: the worker would refuse them anyway.
pub(crate) fn check_sources(program: &Program, sources: &[String]) -> Result<(), LoadError> {
    program.check()?;
    let lengths = program.modules.iter().map(|m| m.bytes as usize);
    if !sources.iter().map(String::len).eq(lengths) {
        return Err(LoadError::Sources);
    }
    let hashes = program.modules.iter().map(|m| m.blob);
    if !sources.iter().map(|s| protocol::id::Hash::of(s.as_bytes())).eq(hashes) {
        return Err(LoadError::Sources);
    }
    Ok(())
}
