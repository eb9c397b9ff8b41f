//! The engine's thread: admits, loads, and computes slices in pieces; leaves the device when told.
//!
//! It owns the program, the device and the position in the slice. Between two pieces it looks into its inbox, so a
//! suspend waits for the queued pieces (a few milliseconds) and nothing else. `control.rs` starts it and feeds it.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::frames::{Checkpoint, Fault, FaultCode, Pace, Reply};
use protocol::id::SliceId;
use protocol::manifest::{Program, Role};

use crate::admission::{self, Admitted};
use crate::control::{Gate, Message, leave, micros_since, say};
use crate::device::Device;
use crate::gpu::{Loaded, Ticket};
use crate::log;
use crate::pieces::{Cursor, Plan, Sizes};

/// Shortest time between two progress frames.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Buffers of a checkpoint, and of a result.
const KEPT: [Role; 2] = [Role::State, Role::Output];

/// What a panic of the graphics library is about, if the device was lost.
static LOST: Mutex<Lost> = Mutex::new(Lost { doing: None, device: false });

struct Lost {
    doing: Option<Doing>,
    device: bool,
}

/// What is owed an answer.
#[derive(Debug, Clone, Copy)]
enum Doing {
    Load,
    Slice(SliceId),
}

fn lost() -> std::sync::MutexGuard<'static, Lost> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that the device is gone; called by the graphics library.
pub(crate) fn note_lost_device() {
    lost().device = true;
}

/// What the parent is owed when the graphics library panics over a lost device: it does where the loss shows while it
/// waits for the device. `None` where the panic is about something else.
pub(crate) fn last_words() -> Option<Reply> {
    let lost = lost();
    if !lost.device {
        return None;
    }
    let fault = Fault { code: FaultCode::DeviceLost, detail: "the device was lost".to_owned() };
    lost.doing.map(|doing| match doing {
        Doing::Load => Reply::Refused { fault },
        Doing::Slice(slice) => Reply::Failed { slice, fault },
    })
}

/// A program that was admitted.
struct Job {
    program: Box<Program>,
    sources: Vec<String>,
    admitted: Admitted,
    plan: Plan,
    sizes: Sizes,
}

/// The slice in hand.
struct Slice {
    id: SliceId,
    inputs: Vec<serde_bytes::ByteBuf>,
    params: Vec<u32>,
    /// State and output while they are not on the device; `None` stands for zeros.
    kept: Option<Vec<serde_bytes::ByteBuf>>,
    /// Whether the device's buffers hold this slice.
    filled: bool,
    /// Everything before it is done.
    done: Cursor,
    /// Everything before it is done or queued.
    queued: Cursor,
    in_flight: VecDeque<InFlight>,
    /// When the last piece left the device.
    idle_since: Instant,
    busy: Duration,
    upload: Duration,
    pieces: u32,
    told_at: Instant,
}

struct InFlight {
    ticket: Ticket,
    stage: usize,
    groups: u64,
    after: Cursor,
    queued_at: Instant,
}

/// Whether a slice goes on after a message.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    GivenUp,
}

/// State of the engine's thread.
pub(crate) struct Engine {
    device: Device,
    gate: Arc<Gate>,
    inbox: Receiver<Message>,
    job: Option<Job>,
    loaded: Option<Loaded>,
    /// Whether the driver gave no device when asked again: only a new process can help.
    barren: bool,
}

impl Engine {
    pub(crate) fn new(device: Device, gate: Arc<Gate>, inbox: Receiver<Message>) -> Self {
        Self { device, gate, inbox, job: None, loaded: None, barren: false }
    }

    /// Serves messages until the process ends.
    pub(crate) fn serve(mut self) {
        while let Ok(message) = self.inbox.recv() {
            match message {
                Message::Load { program, sources } => {
                    lost().doing = Some(Doing::Load);
                    self.load(program, sources);
                    lost().doing = None;
                }
                Message::Run { slice, inputs, params, resume_from, pace } => {
                    lost().doing = Some(Doing::Slice(slice));
                    let outcome = self.run(slice, inputs, params, resume_from, pace);
                    self.gate.leave();
                    lost().doing = None;
                    if let Err(fault) = outcome {
                        self.give_up(slice, fault);
                    }
                }
                Message::Suspend { release, at, answered } => {
                    if release {
                        self.loaded = None;
                    }
                    if !answered {
                        self.gate.hold();
                        say(&Reply::Yielded { micros: micros_since(at) });
                    }
                }
                Message::Resume { .. } | Message::Abandon => {}
            }
        }
    }

    fn load(&mut self, program: Box<Program>, sources: Vec<String>) {
        self.job = None;
        self.loaded = None;
        let outcome = admission::admit(&program, &sources).and_then(|admitted| {
            let plan = Plan::of(&program);
            let sizes = Sizes::new(plan.stages());
            self.job = Some(Job { program, sources, admitted, plan, sizes });
            self.ensure_loaded()
        });
        match outcome {
            Ok(()) => say(&Reply::Loaded),
            Err(fault) => {
                self.job = None;
                self.loaded = None;
                say(&Reply::Refused { fault });
                if self.barren {
                    leave(4);
                }
            }
        }
    }

    /// Puts the program on the device if it is not there.
    fn ensure_loaded(&mut self) -> Result<(), Fault> {
        let job = self.job.as_mut().ok_or_else(no_program)?;
        if self.loaded.is_none() {
            self.barren = true;
            let opened = self.device.open()?;
            self.barren = false;
            lost().device = false;
            let mut loaded = Loaded::new(opened, &job.program, &job.sources, &job.admitted)?;
            if self.gate.enter() {
                let warm = loaded.warm_up();
                self.gate.leave();
                let cost = warm?;
                // A processor that computes does nothing at all for a piece without groups, so its cost tells nothing.
                if !self.device.is_software() {
                    job.sizes.learn_fixed(cost);
                }
            }
            self.loaded = Some(loaded);
        }
        Ok(())
    }

    fn give_up(&mut self, slice: SliceId, fault: Fault) {
        log(format_args!("slice {}: {:?}: {}", slice.short(), fault.code, fault.detail));
        let hung = fault.code == FaultCode::Timeout;
        // A device that failed is not used again; the next slice opens a new one.
        if fault.code != FaultCode::Order && !hung {
            self.loaded = None;
        }
        say(&Reply::Failed { slice, fault });
        if hung {
            // Dropping objects of a hung device hangs as well.
            leave(3);
        }
        if self.barren {
            leave(4);
        }
    }

    fn run(
        &mut self,
        id: SliceId,
        inputs: Vec<serde_bytes::ByteBuf>,
        params: Vec<u32>,
        resume_from: Option<Checkpoint>,
        mut pace: Pace,
    ) -> Result<(), Fault> {
        self.ensure_loaded()?;
        let job = self.job.as_mut().ok_or_else(no_program)?;
        job.sizes.aim(pace);
        let start = match &resume_from {
            None => Cursor::default(),
            Some(at) => Cursor { stage: at.stage.into(), repeat: at.repeat, group: at.group },
        };
        if !job.plan.holds(start) {
            return Err(order("the checkpoint lies outside the program"));
        }
        let now = Instant::now();
        let mut slice = Slice {
            id,
            inputs,
            params,
            kept: resume_from.map(|at| at.state),
            filled: false,
            done: start,
            queued: start,
            in_flight: VecDeque::new(),
            idle_since: now,
            busy: Duration::ZERO,
            upload: Duration::ZERO,
            pieces: 0,
            told_at: now,
        };
        if self.gate.enter() {
            self.fill(&mut slice)?;
        } else if self.wait_suspended(&mut slice, &mut pace)? == Flow::GivenUp {
            return Ok(());
        }
        loop {
            loop {
                let message = match self.inbox.try_recv() {
                    Ok(message) => message,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => leave(0),
                };
                if self.obey(message, &mut slice, &mut pace)? == Flow::GivenUp {
                    return Ok(());
                }
            }
            self.queue_pieces(&mut slice, pace)?;
            if slice.in_flight.is_empty() {
                break;
            }
            let before = slice.busy;
            self.finish_oldest(&mut slice)?;
            if pace.duty_percent < 100 {
                self.drain(&mut slice)?;
                let busy = slice.busy - before;
                let duty = u32::from(pace.duty_percent.max(1));
                match self.inbox.recv_timeout(busy * (100 - duty) / duty) {
                    Ok(message) => {
                        if self.obey(message, &mut slice, &mut pace)? == Flow::GivenUp {
                            return Ok(());
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => leave(0),
                }
            }
            if slice.told_at.elapsed() >= PROGRESS_EVERY {
                slice.told_at = Instant::now();
                let permille = self.job.as_ref().map_or(0, |job| job.plan.permille(slice.done));
                say(&Reply::Progress { slice: id, permille });
            }
        }
        self.tell_done(&slice)
    }

    fn queue_pieces(&mut self, slice: &mut Slice, pace: Pace) -> Result<(), Fault> {
        let job = self.job.as_ref().ok_or_else(no_program)?;
        let loaded = self.loaded.as_mut().ok_or_else(no_program)?;
        while slice.in_flight.len() < usize::from(pace.in_flight.clamp(1, 2)) {
            let groups = job.sizes.groups(slice.queued.stage);
            let Some(piece) = job.plan.piece(slice.queued, groups) else { break };
            let queued_at = Instant::now();
            let ticket = loaded.queue(&piece);
            slice.queued = piece.after;
            slice.in_flight.push_back(InFlight {
                ticket,
                stage: piece.stage,
                groups: piece.groups,
                after: piece.after,
                queued_at,
            });
        }
        Ok(())
    }

    fn finish_oldest(&mut self, slice: &mut Slice) -> Result<(), Fault> {
        let Some(piece) = slice.in_flight.pop_front() else { return Ok(()) };
        let loaded = self.loaded.as_ref().ok_or_else(no_program)?;
        loaded.wait(&piece.ticket)?;
        // The device began with this piece when it was queued or when the piece before it ended, whichever was later.
        let busy = slice.idle_since.max(piece.queued_at).elapsed();
        slice.idle_since = Instant::now();
        slice.busy += busy;
        slice.pieces = slice.pieces.saturating_add(1);
        slice.done = piece.after;
        if let Some(job) = &mut self.job {
            job.sizes.learn(piece.stage, piece.groups, busy);
        }
        Ok(())
    }

    fn drain(&mut self, slice: &mut Slice) -> Result<(), Fault> {
        while !slice.in_flight.is_empty() {
            self.finish_oldest(slice)?;
        }
        Ok(())
    }

    /// Does what a message says in the middle of a slice.
    fn obey(&mut self, message: Message, slice: &mut Slice, pace: &mut Pace) -> Result<Flow, Fault> {
        match message {
            Message::Suspend { release, at, answered } => {
                self.drain(slice)?;
                if !answered {
                    self.gate.hold();
                    say(&Reply::Yielded { micros: micros_since(at) });
                }
                if release && self.release(slice)? == Flow::GivenUp {
                    return Ok(Flow::GivenUp);
                }
                self.wait_suspended(slice, pace)
            }
            Message::Resume { pace: new } => {
                self.set_pace(pace, new);
                Ok(Flow::On)
            }
            Message::Abandon => {
                self.drain(slice)?;
                Ok(Flow::GivenUp)
            }
            Message::Load { .. } | Message::Run { .. } => Err(order("a slice is being computed")),
        }
    }

    /// Waits off the device until a resume lets the slice go on.
    fn wait_suspended(&mut self, slice: &mut Slice, pace: &mut Pace) -> Result<Flow, Fault> {
        loop {
            match self.inbox.recv() {
                Ok(Message::Resume { pace: new }) => {
                    self.set_pace(pace, new);
                    self.ensure_loaded()?;
                    if self.gate.enter() {
                        self.fill(slice)?;
                        slice.idle_since = Instant::now();
                        return Ok(Flow::On);
                    }
                }
                Ok(Message::Suspend { release, at, answered }) => {
                    if !answered {
                        self.gate.hold();
                        say(&Reply::Yielded { micros: micros_since(at) });
                    }
                    if release && self.release(slice)? == Flow::GivenUp {
                        return Ok(Flow::GivenUp);
                    }
                }
                Ok(Message::Abandon) => return Ok(Flow::GivenUp),
                Ok(Message::Load { .. } | Message::Run { .. }) => {
                    return Err(order("a slice is being computed"));
                }
                Err(_) => leave(0),
            }
        }
    }

    /// Sends the state of the slice and hands all device memory back. A slice that is complete is told as done instead.
    fn release(&mut self, slice: &mut Slice) -> Result<Flow, Fault> {
        let job = self.job.as_ref().ok_or_else(no_program)?;
        let at = slice.done;
        if !job.plan.holds(at) {
            self.tell_done(slice)?;
            self.loaded = None;
            return Ok(Flow::GivenUp);
        }
        let state: Vec<_> = if slice.filled {
            self.read(&KEPT)?.into_iter().map(serde_bytes::ByteBuf::from).collect()
        } else if let Some(kept) = slice.kept.take() {
            kept
        } else {
            let kept = job.program.buffers.iter().filter(|b| KEPT.contains(&b.role));
            kept.map(|b| serde_bytes::ByteBuf::from(vec![0; b.bytes as usize])).collect()
        };
        // Dropping the device, not only its buffers: allocators keep blocks for later.
        self.loaded = None;
        slice.kept = Some(state.clone());
        slice.filled = false;
        let checkpoint = Checkpoint {
            stage: u16::try_from(at.stage).unwrap_or(u16::MAX),
            repeat: at.repeat,
            group: at.group,
            state,
        };
        say(&Reply::Checkpoint { slice: slice.id, checkpoint });
        Ok(Flow::On)
    }

    /// Brings the slice into the device's buffers if it is not there. Called on the device: it copies.
    fn fill(&mut self, slice: &mut Slice) -> Result<(), Fault> {
        if slice.filled {
            return Ok(());
        }
        let job = self.job.as_ref().ok_or_else(no_program)?;
        let loaded = self.loaded.as_mut().ok_or_else(no_program)?;
        let began = Instant::now();
        loaded.fill(&job.program, &slice.inputs, &slice.params, slice.kept.as_deref())?;
        slice.upload += began.elapsed();
        slice.kept = None;
        slice.filled = true;
        slice.idle_since = Instant::now();
        Ok(())
    }

    fn tell_done(&self, slice: &Slice) -> Result<(), Fault> {
        let began = Instant::now();
        let output = self.read(&[Role::Output])?.concat();
        let download = began.elapsed();
        self.gate.leave();
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        say(&Reply::Done {
            slice: slice.id,
            output: serde_bytes::ByteBuf::from(output),
            device_micros: micros(slice.busy),
            upload_micros: micros(slice.upload),
            download_micros: micros(download),
            pieces: slice.pieces,
        });
        Ok(())
    }

    fn read(&self, roles: &[Role]) -> Result<Vec<Vec<u8>>, Fault> {
        let job = self.job.as_ref().ok_or_else(no_program)?;
        let loaded = self.loaded.as_ref().ok_or_else(no_program)?;
        loaded.read(&job.program, roles)
    }

    fn set_pace(&mut self, pace: &mut Pace, new: Pace) {
        *pace = new;
        if let Some(job) = &mut self.job {
            job.sizes.aim(new);
        }
    }
}

fn no_program() -> Fault {
    order("no program is loaded")
}

fn order(detail: &str) -> Fault {
    Fault { code: FaultCode::Order, detail: detail.to_owned() }
}
