//! How fast a device is given back: after a suspend, after a kill, and its memory.
//!
//! Idle is observed from outside, as processor time that the worker no longer uses (exact for a software device; for a
//! card the fence in `Yielded` is the only witness here). Each figure counts from the moment at which the owner came
//! back, which the caller names. `cargo xtask bench yield` and the tests call it; it never decides whether a figure is
//! good enough.

use std::time::{Duration, Instant};

use protocol::frames::Pace;
use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};

use super::{MeasureError, program, start};
#[cfg(unix)]
use crate::worker::DeathReason;
use crate::worker::{Ready, Spawn, Worker, WorkerEvent};

/// No processor time used for this long means idle. Windows counts at its clock's tick of 15.6 ms.
const QUIET: Duration = Duration::from_millis(if cfg!(windows) { 40 } else { 4 });
/// Processor time that answering a frame may cost and that is not device time.
const NOISE: Duration = Duration::from_micros(300);
/// A device that is busy for longer than this after its owner came back has not been given back.
const GIVEN_UP: Duration = Duration::from_secs(3);
/// How long a worker may be silent before it is killed, as in production (`contributor::schedule`).
#[cfg(unix)]
const SILENT: Duration = Duration::from_millis(250);
/// Device memory of the program whose release is measured.
const HELD_BYTES: u32 = 64 << 20;
/// Memory that may differ between two looks at the same idle process.
const SLACK_BYTES: u64 = 8 << 20;

/// One measured hand-back.
#[derive(Debug, Clone, Copy)]
pub struct YieldSample {
    /// To the arrival of the worker's answer, which follows its last fence.
    pub answered: Duration,
    /// To the last moment at which the process used processor time; `None` where the system does not tell.
    pub idle: Option<Duration>,
}

impl YieldSample {
    /// The later of the two: the worker's word counts only where it is the worse one.
    pub fn free(&self) -> Duration {
        self.idle.map_or(self.answered, |idle| idle.max(self.answered))
    }
}

/// A worker that computes without end, so that its device can be taken back at any moment.
#[derive(Debug)]
pub struct Busy {
    worker: Worker,
    ready: Ready,
    pace: Pace,
    serial: usize,
}

impl Busy {
    /// Starts a worker and lets its first pieces find their size.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub async fn start(spawn: &Spawn, pace: Pace) -> Result<Self, MeasureError> {
        let (mut worker, ready) = Worker::spawn(spawn).await?;
        let (program, sources) = program(1 << 16);
        worker.load(&program, &sources, Duration::from_secs(30)).await?;
        start(&mut worker, 0, pace, None)?;
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok(Self { worker, ready, pace, serial: 0 })
    }

    /// The device that it keeps busy.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Suspends it and measures from `since`, the moment at which the owner came back. Blocks its thread for some
    /// milliseconds: a measurement may, the app's loop may not.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub async fn take_back(&mut self, since: Instant) -> Result<YieldSample, MeasureError> {
        let before = since.elapsed();
        self.worker.suspend(false, Duration::from_secs(2));
        let idle = watch_idle(&self.worker, since);
        loop {
            match self.worker.next_event().await {
                WorkerEvent::Yielded { observed, .. } => {
                    return Ok(YieldSample { answered: before + observed, idle });
                }
                WorkerEvent::Died(death) => return Err(MeasureError::Died(death)),
                WorkerEvent::Failed { fault, .. } => return Err(MeasureError::Failed(fault.detail)),
                WorkerEvent::Done { .. } => {
                    self.serial += 1;
                    start(&mut self.worker, self.serial, self.pace, None)?;
                }
                WorkerEvent::Loaded
                | WorkerEvent::Refused { .. }
                | WorkerEvent::Progress { .. }
                | WorkerEvent::Checkpoint { .. } => {}
            }
        }
    }

    /// Lets it compute on.
    pub fn give_back(&mut self) {
        self.worker.resume(self.pace);
    }

    /// Ends it.
    pub async fn end(self) {
        self.worker.kill().await;
    }
}

/// Samples the process's processor time until it has stood still for [`QUIET`]; gives the last moment at which it moved.
fn watch_idle(worker: &Worker, since: Instant) -> Option<Duration> {
    let mut used = worker.usage()?;
    let mut moved = Instant::now();
    loop {
        std::thread::sleep(Duration::from_micros(200));
        let now = Instant::now();
        let used_now = worker.usage()?;
        if used_now.saturating_sub(used) > NOISE {
            used = used_now;
            moved = now;
        }
        if now.duration_since(moved) > QUIET {
            return Some(moved.duration_since(since));
        }
        if now.duration_since(since) > GIVEN_UP {
            return Some(now.duration_since(since));
        }
    }
}

/// Moments unrelated to the pieces of the work, the same in every measurement: a linear congruential generator.
#[derive(Debug, Clone, Copy)]
pub struct Moments(u32);

impl Default for Moments {
    fn default() -> Self {
        Self(0x2545_f491)
    }
}

impl Iterator for Moments {
    type Item = Duration;

    /// The next pause, 20 to 50 ms.
    fn next(&mut self) -> Option<Duration> {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(Duration::from_micros(u64::from(20_000 + (self.0 >> 16) % 30_000)))
    }
}

/// Stops `n` busy workers in their tracks, so that they cannot answer, suspends each and measures to the moment at which
/// its process is killed and reaped. The device is idle then: the system has taken it from the process.
///
/// # Errors
/// [`MeasureError`].
#[cfg(unix)]
pub async fn kills(spawn: &Spawn, pace: Pace, n: usize) -> Result<Vec<Duration>, MeasureError> {
    let mut took = Vec::with_capacity(n);
    for _ in 0..n {
        let mut busy = Busy::start(spawn, pace).await?;
        let stopped = i32::try_from(busy.worker.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .ok_or(MeasureError::NotTold("the number"))?;
        rustix::process::kill_process(stopped, rustix::process::Signal::STOP)
            .map_err(|error| MeasureError::System("stop a worker", error.into()))?;
        let since = Instant::now();
        busy.worker.suspend(false, SILENT);
        let death = loop {
            if let WorkerEvent::Died(death) = busy.worker.next_event().await {
                break death;
            }
        };
        if !matches!(death.reason, DeathReason::Overdue(_)) {
            return Err(MeasureError::Died(death));
        }
        took.push(since.elapsed());
    }
    Ok(took)
}

/// Suspends a worker that holds [`HELD_BYTES`] of device memory `n` times with release, and measures to the moment at
/// which its process holds no more memory than before it had the buffers. For a software device that is the device's
/// memory; of a card only the worker's side is seen.
///
/// # Errors
/// [`MeasureError`].
pub async fn releases(spawn: &Spawn, pace: Pace, n: usize) -> Result<Vec<Duration>, MeasureError> {
    let resident = |worker: &Worker| resident_bytes(worker.pid()).ok_or(MeasureError::NotTold("the memory"));
    let (mut worker, _) = Worker::spawn(spawn).await?;
    let (program, sources) = holder();
    worker.load(&program, &sources, Duration::from_secs(30)).await?;
    start(&mut worker, 0, pace, None)?;
    // The first release shows what the driver keeps for good: its compiler, the stacks of its threads.
    let mut floor = None;
    let mut took = Vec::with_capacity(n);
    while took.len() < n {
        let held = floor.unwrap_or(0) + u64::from(HELD_BYTES) / 2;
        while resident(&worker)? < held {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let since = Instant::now();
        worker.suspend(true, Duration::from_secs(2));
        loop {
            match worker.next_event().await {
                WorkerEvent::Checkpoint { .. } => break,
                WorkerEvent::Died(death) => return Err(MeasureError::Died(death)),
                WorkerEvent::Failed { fault, .. } => return Err(MeasureError::Failed(fault.detail)),
                WorkerEvent::Done { .. } => return Err(MeasureError::Failed("the slice ended".to_owned())),
                WorkerEvent::Loaded
                | WorkerEvent::Refused { .. }
                | WorkerEvent::Progress { .. }
                | WorkerEvent::Yielded { .. } => {}
            }
        }
        match floor {
            None => floor = Some(resident(&worker)?),
            Some(floor) => {
                while resident(&worker)? > floor + SLACK_BYTES && since.elapsed() < GIVEN_UP {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                took.push(since.elapsed());
            }
        }
        worker.resume(pace);
    }
    worker.kill().await;
    Ok(took)
}

/// Memory of a process that is in RAM; only Linux tells it here.
#[cfg(not(unix))]
fn resident_bytes(_pid: u32) -> Option<u64> {
    None
}

/// Memory of a process that is in RAM.
#[cfg(unix)]
fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// A program whose state takes [`HELD_BYTES`] and that does not end by itself for a long time.
fn holder() -> (Program, Vec<String>) {
    const SOURCE: &str = "\
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
@group(0) @binding(1) var<storage, read> params: array<u32>;
@group(0) @binding(2) var<storage, read_write> held: array<u32>;
@group(0) @binding(3) var<storage, read_write> words: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = (piece.x + group.x) * 64u + lane;
    held[at] = held[at] * 747796405u + (at ^ piece.y ^ params[0]);
    words[at & 63u] = lane;
}
";
    let groups = HELD_BYTES / 4 / 64;
    let program = Program {
        format: 1,
        title: "Sandbox measurement".to_owned(),
        purpose: "Measures on this computer how fast the memory of the graphics card is given back."
            .to_owned(),
        family: Family::Benchmark,
        modules: vec![Module {
            blob: Hash::of(SOURCE.as_bytes()),
            bytes: u32::try_from(SOURCE.len()).unwrap_or(u32::MAX),
        }],
        kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [64, 1, 1] }],
        buffers: vec![
            Buffer { name: "params".to_owned(), role: Role::Params, bytes: 4 },
            Buffer { name: "held".to_owned(), role: Role::State, bytes: HELD_BYTES },
            Buffer { name: "words".to_owned(), role: Role::Output, bytes: 256 },
        ],
        stages: vec![Stage { kernel: 0, bindings: vec![0, 1, 2], groups, repeat: 1 << 20 }],
        features: Vec::new(),
        cost: Cost { operations: 1 << 44, memory_bytes: u64::from(HELD_BYTES) + 260, max_millis: 600_000 },
        validator: Validator::Bitwise,
    };
    (program, vec![SOURCE.to_owned()])
}
