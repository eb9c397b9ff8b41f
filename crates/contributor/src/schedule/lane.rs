//! PURE: the one worker process, as the schedule drives it.
//!
//! It owns the ladder of taking the card back: suspend at once; half a second later send the state out and free the
//! memory; then end the process. It also counts deaths. Called by the schedule alone.

use std::time::Duration;

use protocol::frames::Pace;
use protocol::id::{Hash, LeaseId, SliceId};
use protocol::units::UnixMillis;

use super::{
    Command, DEATHS_PER_SLICE, Event, FAILING_AFTER, FAILING_FOR, IDLE_WORKER_FOR, RunSlice, Schedule,
    WorkerNews, pause,
};
use crate::conformance::Known;

/// A worker should have freed the device by then.
pub const PREEMPT_ANSWER: Duration = Duration::from_millis(100);
/// A worker that has not is killed.
pub const PREEMPT_KILL: Duration = Duration::from_millis(250);
/// A pause that lasts this long also frees the device memory.
pub const RELEASE_AFTER: Duration = Duration::from_millis(500);
/// How long to wait before looking for a driver again.
const NO_DRIVER_FOR: Duration = Duration::from_secs(600);

/// Where the worker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stand {
    #[default]
    Gone,
    Opening,
    Ready {
        loaded: Option<Hash>,
        since_at: UnixMillis,
    },
    Loading(Hash),
    Running(At),
    Yielding(At),
    Held(At, UnixMillis),
    Releasing(At),
    Closing,
}

/// What is being computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    lease: LeaseId,
    slice: SliceId,
    program: Hash,
}

/// The worker, and what is remembered of its failures.
#[derive(Debug, Default)]
pub struct Lane {
    stand: Stand,
    /// The pace that the worker was told last.
    told: Option<Pace>,
    failures: u32,
    not_before: Option<UnixMillis>,
    failing_until: Option<UnixMillis>,
    no_driver: bool,
}

impl Lane {
    fn at(&self) -> Option<At> {
        match self.stand {
            Stand::Running(at) | Stand::Yielding(at) | Stand::Held(at, _) | Stand::Releasing(at) => Some(at),
            Stand::Gone | Stand::Opening | Stand::Ready { .. } | Stand::Loading(_) | Stand::Closing => None,
        }
    }

    pub(super) fn is_at(&self, lease: LeaseId) -> bool {
        self.at().is_some_and(|at| at.lease == lease)
    }

    pub(super) fn lease_of(&self, slice: SliceId) -> Option<LeaseId> {
        self.at().filter(|at| at.slice == slice).map(|at| at.lease)
    }

    pub(super) fn is_computing(&self) -> bool {
        matches!(self.stand, Stand::Running(_))
    }

    pub(super) fn is_gone(&self) -> bool {
        self.stand == Stand::Gone
    }

    pub(super) fn no_driver(&self) -> bool {
        self.no_driver
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing_until.is_some() || self.no_driver
    }

    pub(super) fn failing_until(&self) -> Option<UnixMillis> {
        self.failing_until
    }

    pub(super) fn forget_failures(&mut self) {
        *self = Self { stand: self.stand, ..Self::default() };
    }

    pub(super) fn close(&mut self, commands: &mut Vec<Command>) {
        if !matches!(self.stand, Stand::Gone | Stand::Closing) {
            self.stand = Stand::Closing;
            commands.push(Command::Close);
        }
    }

    pub(super) fn next_at(&self, wanted: bool) -> Option<UnixMillis> {
        match self.stand {
            Stand::Gone => self.not_before.filter(|_| wanted || self.no_driver),
            Stand::Held(_, since_at) => Some(since_at.plus(RELEASE_AFTER)),
            Stand::Ready { since_at, .. } => Some(since_at.plus(IDLE_WORKER_FOR)),
            Stand::Opening
            | Stand::Loading(_)
            | Stand::Running(_)
            | Stand::Yielding(_)
            | Stand::Releasing(_)
            | Stand::Closing => None,
        }
    }

    /// Notes a failure of the worker itself and says when it may be started again.
    fn failed(&mut self, now: UnixMillis, spread: u8) {
        self.stand = Stand::Gone;
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now.plus(pause(self.failures, spread)));
        if self.failures >= FAILING_AFTER {
            let until = now.plus(FAILING_FOR);
            self.failing_until = Some(until);
            self.not_before = Some(until);
        }
    }
}

impl Schedule {
    pub(super) fn take_in_worker(&mut self, news: WorkerNews, now: UnixMillis, commands: &mut Vec<Command>) {
        match news {
            WorkerNews::Opened(adapter) => {
                self.adapter = Some(adapter);
                self.lane.no_driver = false;
                if self.lane.stand == Stand::Opening {
                    self.lane.stand = Stand::Ready { loaded: None, since_at: now };
                }
            }
            WorkerNews::NotOpened { no_driver: true } => {
                self.lane.stand = Stand::Gone;
                self.lane.no_driver = true;
                self.lane.not_before = Some(now.plus(NO_DRIVER_FOR));
            }
            WorkerNews::NotOpened { no_driver: false } => self.lane.failed(now, self.spread),
            WorkerNews::Loaded => {
                if let Stand::Loading(program) = self.lane.stand {
                    self.lane.stand = Stand::Ready { loaded: Some(program), since_at: now };
                }
            }
            WorkerNews::NotLoaded => {
                if let Stand::Loading(program) = self.lane.stand {
                    self.lane.stand = Stand::Ready { loaded: None, since_at: now };
                    self.refuse(program, now, commands);
                }
            }
            WorkerNews::Yielded => {
                if let Stand::Yielding(at) = self.lane.stand {
                    self.lane.stand = Stand::Held(at, now);
                }
            }
            WorkerNews::Checkpointed => {
                if let Stand::Releasing(_) = self.lane.stand {
                    self.lane.close(commands);
                }
            }
            WorkerNews::Done { slice } => {
                self.lane.failures = 0;
                self.lane.failing_until = None;
                if let Some(at) = self.lane.at().filter(|at| at.slice == slice) {
                    if let Some(held) = self.find(at.lease) {
                        held.saving.insert(slice);
                    }
                    self.slice_over(at, now, commands);
                }
            }
            WorkerNews::Failed { slice } => {
                if let Some(at) = self.lane.at().filter(|at| at.slice == slice) {
                    self.slice_over(at, now, commands);
                    // The same slice fails the same way again; another device may have more memory.
                    self.drop_lease(at.lease, true, now, commands);
                    self.lane.failures = self.lane.failures.saturating_add(1);
                }
            }
            WorkerNews::InputMissing { slice, blob } => {
                if let Some(at) = self.lane.at().filter(|at| at.slice == slice) {
                    self.slice_over(at, now, commands);
                    self.blobs.insert(blob, super::Blob::Wanted(super::Attempt::due(now)));
                }
            }
            WorkerNews::Died => self.worker_died(now, commands),
        }
    }

    /// The worker has nothing in hand any more.
    fn slice_over(&mut self, at: At, now: UnixMillis, commands: &mut Vec<Command>) {
        match self.lane.stand {
            // The memory was asked back: the process ends as after a checkpoint.
            Stand::Releasing(_) => self.lane.close(commands),
            // The answer to the suspend is still on its way; an idle worker answers it too.
            Stand::Yielding(_) | Stand::Held(..) | Stand::Running(_) => {
                self.lane.stand = Stand::Ready { loaded: Some(at.program), since_at: now };
            }
            _ => {}
        }
    }

    fn worker_died(&mut self, now: UnixMillis, commands: &mut Vec<Command>) {
        let at = self.lane.at();
        if self.lane.stand == Stand::Closing || self.lane.stand == Stand::Gone {
            self.lane.stand = Stand::Gone;
            return;
        }
        self.lane.failed(now, self.spread);
        let Some(at) = at else { return };
        let Some(held) = self.find(at.lease) else { return };
        let deaths = held.deaths.entry(at.slice).or_insert(0);
        *deaths += 1;
        if *deaths >= DEATHS_PER_SLICE {
            self.drop_lease(at.lease, true, now, commands);
        }
    }

    /// Moves the worker one step toward what is wished.
    pub(super) fn drive_worker(&mut self, now: UnixMillis, commands: &mut Vec<Command>) {
        if self.lane.failing_until.is_some_and(|until| until <= now) {
            self.lane.failing_until = None;
            self.lane.failures = 0;
        }
        match (self.lane.stand, self.pace) {
            (Stand::Gone, pace) => {
                let may = self.lane.not_before.is_none_or(|at| at <= now);
                let work = pace.is_some() && self.next_slice().is_some();
                // The first look at the card tells what it is; without it nothing can be asked of the coordinator.
                let probe = self.permitted && self.adapter.is_none();
                if may && (work || probe) {
                    self.lane.stand = Stand::Opening;
                    commands.push(Command::Open);
                }
            }
            (Stand::Opening, None) if self.adapter.is_some() => self.lane.close(commands),
            (Stand::Ready { .. } | Stand::Loading(_), None) => self.lane.close(commands),
            (Stand::Ready { loaded, since_at }, Some(pace)) => {
                self.start_next(loaded, since_at, pace, now, commands)
            }
            (Stand::Running(at), None) => {
                self.lane.stand = Stand::Yielding(at);
                commands.push(Command::Preempt);
            }
            (Stand::Held(at, _), Some(pace)) => {
                self.lane.stand = Stand::Running(at);
                self.lane.told = Some(pace);
                commands.push(Command::Resume(pace));
            }
            // Warmer, cooler, or somebody is near: the same slice goes on at another pace.
            (Stand::Running(_), Some(pace)) if self.lane.told != Some(pace) => {
                self.lane.told = Some(pace);
                commands.push(Command::Resume(pace));
            }
            (Stand::Held(at, since_at), None) if since_at.plus(RELEASE_AFTER) <= now => {
                self.lane.stand = Stand::Releasing(at);
                commands.push(Command::Release);
            }
            (
                Stand::Opening
                | Stand::Loading(_)
                | Stand::Running(_)
                | Stand::Yielding(_)
                | Stand::Held(..)
                | Stand::Releasing(_)
                | Stand::Closing,
                _,
            ) => {}
        }
    }

    fn start_next(
        &mut self,
        loaded: Option<Hash>,
        since_at: UnixMillis,
        pace: Pace,
        now: UnixMillis,
        commands: &mut Vec<Command>,
    ) {
        let software = self.adapter.as_ref().is_some_and(|adapter| adapter.software);
        let Some((held, slice, program)) = self.next_slice() else {
            // A check needs the card to itself, and waits for nothing else.
            if self.known != Known::Passed || since_at.plus(IDLE_WORKER_FOR) <= now {
                self.lane.close(commands);
            }
            return;
        };
        let hash = held.lease.program;
        if loaded != Some(hash) {
            self.lane.stand = Stand::Loading(hash);
            commands.push(Command::Load { program: hash });
            return;
        }
        // The declared time is that of a reference card. A small card may take ten times as long, the processor a
        // hundred times, and a smaller share of the card stretches it further.
        let factor = if software { 100 } else { 10 };
        let share = u32::from(pace.duty_percent.clamp(1, 100));
        let limit = Duration::from_millis(u64::from(program.cost.max_millis)) * factor * 100 / share;
        let at = At { lease: held.lease.lease, slice: slice.slice, program: hash };
        let run = RunSlice { lease: held.lease.lease, slice: slice.clone(), pace, limit };
        self.lane.stand = Stand::Running(at);
        self.lane.told = Some(pace);
        commands.push(Command::Run(Box::new(run)));
    }
}

impl From<WorkerNews> for Event {
    fn from(news: WorkerNews) -> Self {
        Self::Worker(news)
    }
}
