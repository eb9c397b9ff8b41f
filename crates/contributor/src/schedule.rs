//! PURE: what to do next about leases, blobs, the worker and the coordinator.
//!
//! [`Schedule::on`] is told what has happened and answers with [`Command`]s; it performs none of them, reads no clock and
//! holds no bytes of work (outputs and checkpoints lie in the store, blobs on the shelf). The rules: a slice counts as
//! finished when its output is saved; a bundle is committed once, when all is finished or the deadline comes near; what
//! failed is tried again with a growing pause; the worker is given up rather than waited for. The engine is its only
//! caller and asks [`Schedule::next_at`] when to call it with [`Event::Tick`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::frames::{Adapter, Pace};
use protocol::id::{Hash, LeaseId, SliceId};
use protocol::manifest::{InputRange, Program, SlicePlan};
use protocol::sign::Signed;
use protocol::units::UnixMillis;
use protocol::wire::NoWork;
use protocol::work::{SliceRef, WorkLease};

use crate::conformance::Known;
use crate::link::FaultKind;

mod lane;
mod terms;
#[cfg(test)]
mod tests;

pub use lane::{Lane, PREEMPT_ANSWER, PREEMPT_KILL, RELEASE_AFTER};
pub use terms::{Command, Event, LinkState, ProgramFault, RestoredLease, RunSlice, WorkView, WorkerNews};

/// Leases held at a time: one that is computed and one whose inputs are fetched meanwhile.
const MAX_LEASES: usize = 2;
/// Blobs fetched at a time.
const MAX_FETCHES: usize = 8;
/// Deaths and failures of the worker in a row after which a person is told.
const FAILING_AFTER: u32 = 5;
/// How long the worker then rests.
const FAILING_FOR: Duration = Duration::from_secs(600);
/// Deaths at the same slice after which its lease is handed back.
const DEATHS_PER_SLICE: u32 = 3;
/// A worker without work is closed after this.
const IDLE_WORKER_FOR: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Held {
    lease: WorkLease,
    finished: BTreeMap<SliceId, (Hash, u64)>,
    saving: BTreeSet<SliceId>,
    deaths: BTreeMap<SliceId, u32>,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Slices are computed as their inputs arrive.
    Open,
    /// The digests are sealed and on their way.
    Committing(Attempt),
    /// The coordinator has the commit; the outputs are on their way.
    Delivering(Attempt),
}

/// Something that is tried until it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    /// `None` while one is under way.
    next_at: Option<UnixMillis>,
    failures: u32,
}

impl Attempt {
    const fn due(at: UnixMillis) -> Self {
        Self { next_at: Some(at), failures: 0 }
    }

    fn is_due(&self, now: UnixMillis) -> bool {
        self.next_at.is_some_and(|at| at <= now)
    }

    fn failed(&mut self, now: UnixMillis, spread: u8) {
        self.failures = self.failures.saturating_add(1);
        self.next_at = Some(now.plus(pause(self.failures, spread)));
    }
}

/// How long to wait after so many failures in a row: 1 s, doubling to 5 minutes, and up to a quarter more so that a
/// fleet does not call in step.
pub fn pause(failures: u32, spread: u8) -> Duration {
    let seconds = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(300).min(300);
    Duration::from_millis(seconds * 1000 + seconds * 250 * u64::from(spread) / 255)
}

#[derive(Debug)]
enum Blob {
    Wanted(Attempt),
    Here,
}

#[derive(Debug)]
enum ProgramState {
    Fetching,
    Reading,
    Ready(Arc<Program>),
}

/// The plan. See the head of this module.
#[derive(Debug)]
pub struct Schedule {
    /// A network on one machine lets software renderers in.
    local: bool,
    /// Differs from device to device.
    spread: u8,
    pace: Option<Pace>,
    /// Bytes of the card's memory that a program may take; `None` where the card's size is not known.
    memory: Option<u64>,
    permitted: bool,
    adapter: Option<Adapter>,
    known: Known,
    /// The coordinator has not been told of the latest known answers.
    report_due: bool,
    link: LinkState,
    enrolled: bool,
    enroll: Attempt,
    beat: Attempt,
    /// What the heartbeat under way said.
    said: Option<(Vec<LeaseId>, Vec<LeaseId>)>,
    no_work: Option<NoWork>,
    /// The coordinator's clock less ours, in milliseconds.
    offset_millis: i64,
    held: Vec<Held>,
    giving_back: BTreeSet<LeaseId>,
    /// Programs that this device will not run; their leases are handed back.
    refused: BTreeSet<Hash>,
    /// Programs that need more of the card's memory than the owner lends now; their leases are handed back too.
    too_large: BTreeSet<Hash>,
    blobs: BTreeMap<Hash, Blob>,
    programs: BTreeMap<Hash, ProgramState>,
    lane: Lane,
    /// Device time of the latest slices, smoothed.
    slice_millis: Option<u64>,
}

impl Schedule {
    /// The plan of a start at `now` with what the store still holds.
    pub fn new(local: bool, spread: u8, restored: Vec<RestoredLease>, now: UnixMillis) -> Self {
        let mut schedule = Self {
            local,
            spread,
            pace: None,
            memory: None,
            permitted: false,
            adapter: None,
            known: Known::Unchecked,
            report_due: false,
            link: LinkState::Untried,
            enrolled: false,
            enroll: Attempt::due(now),
            beat: Attempt::due(now),
            said: None,
            no_work: None,
            offset_millis: 0,
            held: Vec::new(),
            giving_back: BTreeSet::new(),
            refused: BTreeSet::new(),
            too_large: BTreeSet::new(),
            blobs: BTreeMap::new(),
            programs: BTreeMap::new(),
            lane: Lane::default(),
            slice_millis: None,
        };
        for RestoredLease { lease, committed, finished } in restored {
            let stage = if committed { Stage::Delivering(Attempt::due(now)) } else { Stage::Open };
            schedule.hold(lease.into_message(), finished, stage, now);
        }
        schedule
    }

    /// Takes in what happened and says what to do.
    pub fn on(&mut self, event: Event, now: UnixMillis) -> Vec<Command> {
        let mut commands = Vec::new();
        self.take_in(event, now, &mut commands);
        self.mind_deadlines(now, &mut commands);
        self.prepare(now, &mut commands);
        self.drive_worker(now, &mut commands);
        self.speak(now, &mut commands);
        commands
    }

    /// When to call again although nothing has happened.
    pub fn next_at(&self) -> Option<UnixMillis> {
        let mut times: Vec<UnixMillis> = Vec::new();
        times.extend(self.lane.next_at(self.pace.is_some()));
        if self.permitted {
            if !self.enrolled || self.report_due {
                times.extend(self.enroll.next_at.filter(|_| self.may_enroll()));
            }
            if self.enrolled {
                times.extend(self.beat.next_at);
            }
            for held in &self.held {
                match &held.stage {
                    Stage::Open => times.push(self.due_at(held)),
                    Stage::Committing(attempt) | Stage::Delivering(attempt) => times.extend(attempt.next_at),
                }
            }
            if self.pace.is_some() {
                times.extend(self.blobs.values().filter_map(|blob| match blob {
                    Blob::Wanted(attempt) => attempt.next_at,
                    Blob::Here => None,
                }));
            }
        }
        times.into_iter().min()
    }

    fn take_in(&mut self, event: Event, now: UnixMillis, commands: &mut Vec<Command>) {
        match event {
            Event::Wished(pace) => {
                if self.pace.is_none() && pace.is_some() {
                    // Work is wanted from this moment on, not from the next heartbeat on.
                    self.hurry(now);
                }
                self.pace = pace;
            }
            Event::Permitted(permitted) => {
                if permitted && !self.permitted {
                    self.hurry(now);
                }
                self.permitted = permitted;
            }
            Event::Enrolled { at } => {
                self.enrolled = true;
                self.enroll = Attempt::due(now);
                self.beat = Attempt::due(now);
                self.link_up(at, now);
            }
            Event::NotEnrolled(kind) => {
                self.report_due = true;
                self.enroll.failed(now, self.spread);
                self.link_down(kind, now);
            }
            Event::Beat { at, leases, next_in, no_work, more_receipts } => {
                self.link_up(at, now);
                self.no_work = no_work;
                let next_in = next_in.clamp(Duration::from_millis(250), Duration::from_secs(600));
                let next_in = if more_receipts { Duration::ZERO } else { next_in };
                self.beat = Attempt::due(now.plus(next_in));
                self.compare_leases(leases, now, commands);
            }
            Event::NoBeat(kind) => {
                self.said = None;
                self.beat.failed(now, self.spread);
                self.link_down(kind, now);
                if kind == FaultKind::NotFound {
                    // The coordinator does not know this device (any more).
                    self.enrolled = false;
                    self.enroll = self.beat;
                }
            }
            Event::Fetched { blob, result } => self.take_in_blob(blob, result, now, commands),
            Event::ProgramRead { program, result } => self.take_in_program(program, result, now, commands),
            Event::Committed { lease, result } => self.take_in_commit(lease, result, now, commands),
            Event::Delivered { lease, result } => self.take_in_delivery(lease, result, now, commands),
            Event::Saved { lease, slice, digest, millis } => {
                let smoothed = self.slice_millis.map_or(millis, |old| (old * 7 + millis) / 8);
                self.slice_millis = Some(smoothed.max(1));
                if let Some(held) = self.find(lease) {
                    held.saving.remove(&slice);
                    held.finished.insert(slice, (digest, millis));
                }
            }
            Event::NotSaved { lease, slice } => {
                if let Some(held) = self.find(lease) {
                    held.saving.remove(&slice);
                }
            }
            Event::MemoryAllowed(bytes) => {
                self.memory = bytes;
                // What is too large is found anew, one program after the other, as leases come.
                self.too_large.clear();
                let large = self.programs.keys().copied().filter(|program| self.is_too_large(program));
                for program in large.collect::<Vec<_>>() {
                    self.too_large.insert(program);
                    self.hand_back(program, now, commands);
                }
            }
            Event::GiveUp => self.give_up(now, commands),
            Event::Known(known) => self.take_in_known(known, now, commands),
            Event::Worker(news) => self.take_in_worker(news, now, commands),
            Event::Tick => {}
        }
    }

    /// A card that is not known to compute rightly computes nothing for others, and what it holds goes back when it is
    /// known to compute wrongly.
    fn take_in_known(&mut self, known: Known, now: UnixMillis, commands: &mut Vec<Command>) {
        if known == self.known {
            return;
        }
        self.known = known;
        match known {
            Known::Passed => {
                self.report_due = true;
                self.hurry(now);
            }
            Known::Failed => {
                self.report_due = true;
                let open = self.held.iter().filter(|held| held.stage == Stage::Open);
                // Whatever it has finished may be wrong too.
                let open: Vec<LeaseId> = open.map(|held| held.lease.lease).collect();
                for lease in open {
                    self.drop_lease(lease, true, now, commands);
                }
            }
            Known::Unchecked | Known::Due => {}
        }
        if !known.may_compute() {
            self.lane.close(commands);
        }
    }

    fn find(&mut self, lease: LeaseId) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| held.lease.lease == lease)
    }

    /// Makes the next words to the coordinator due now, unless it is being spoken to or is to be left alone.
    fn hurry(&mut self, now: UnixMillis) {
        for attempt in [&mut self.enroll, &mut self.beat] {
            if attempt.failures == 0 && attempt.next_at.is_some() {
                attempt.next_at = Some(now);
            }
        }
    }

    fn link_up(&mut self, at: UnixMillis, now: UnixMillis) {
        self.link = LinkState::Up;
        let difference = i128::from(at.0) - i128::from(now.0);
        self.offset_millis = i64::try_from(difference).unwrap_or(0);
    }

    fn link_down(&mut self, kind: FaultKind, now: UnixMillis) {
        let since_at = match self.link {
            LinkState::Down { since_at, kind: before } if before == kind => since_at,
            _ => now,
        };
        self.link = LinkState::Down { since_at, kind };
    }

    /// An instant of the coordinator's clock by ours.
    fn ours(&self, theirs: UnixMillis) -> UnixMillis {
        UnixMillis(theirs.0.saturating_add_signed(self.offset_millis.saturating_neg()))
    }

    /// When an open lease must be committed, or handed back if nothing of it is finished: a tenth of its span before
    /// its end, at least 2 s and at most a minute.
    fn due_at(&self, held: &Held) -> UnixMillis {
        let span = held.lease.deadline_at.since(held.lease.granted_at);
        let margin = (span / 10).clamp(Duration::from_secs(2), Duration::from_secs(60));
        let margin = u64::try_from(margin.as_millis()).unwrap_or(u64::MAX);
        UnixMillis(self.ours(held.lease.deadline_at).0.saturating_sub(margin))
    }

    fn hold(
        &mut self,
        lease: WorkLease,
        finished: BTreeMap<SliceId, (Hash, u64)>,
        stage: Stage,
        now: UnixMillis,
    ) {
        if stage == Stage::Open && !self.programs.contains_key(&lease.program) {
            self.programs.insert(lease.program, ProgramState::Fetching);
            self.want(lease.program, now);
        }
        let (saving, deaths) = (BTreeSet::new(), BTreeMap::new());
        self.held.push(Held { lease, finished, saving, deaths, stage });
    }

    fn want(&mut self, blob: Hash, now: UnixMillis) {
        self.blobs.entry(blob).or_insert(Blob::Wanted(Attempt::due(now)));
    }

    /// Ends a lease here. An open one is handed back with the next heartbeat.
    fn drop_lease(&mut self, lease: LeaseId, give_back: bool, now: UnixMillis, commands: &mut Vec<Command>) {
        if self.lane.is_at(lease) {
            self.lane.close(commands);
        }
        self.held.retain(|held| held.lease.lease != lease);
        if give_back {
            self.giving_back.insert(lease);
            self.hurry(now);
        }
        commands.push(Command::Forget { lease, handed_in: false });
        self.forget_unused();
    }

    fn forget_unused(&mut self) {
        let programs: BTreeSet<Hash> = self.held.iter().map(|held| held.lease.program).collect();
        self.programs.retain(|program, _| programs.contains(program));
        let needed = self.needed_blobs();
        self.blobs.retain(|blob, _| needed.contains(blob));
    }

    /// Blobs that held leases need: these must stay on the shelf.
    pub fn needed_blobs(&self) -> BTreeSet<Hash> {
        let mut needed = BTreeSet::new();
        for held in &self.held {
            needed.insert(held.lease.program);
            needed.extend(held.lease.slices.iter().flat_map(|s| s.inputs.iter().map(|input| input.blob)));
            if let Some(ProgramState::Ready(program)) = self.programs.get(&held.lease.program) {
                needed.extend(program.modules.iter().map(|module| module.blob));
            }
        }
        needed
    }

    /// Program of a held lease.
    pub fn program_of_lease(&self, lease: LeaseId) -> Option<Hash> {
        self.held.iter().find(|held| held.lease.lease == lease).map(|held| held.lease.program)
    }

    /// Program that needs this blob; the first lease's where several do.
    pub fn program_of_blob(&self, blob: &Hash) -> Option<Hash> {
        let needs = |held: &&Held| {
            let lease = &held.lease;
            let is_module = || match self.programs.get(&lease.program) {
                Some(ProgramState::Ready(program)) => program.modules.iter().any(|m| m.blob == *blob),
                _ => false,
            };
            lease.program == *blob
                || lease.slices.iter().any(|s| s.inputs.iter().any(|input| input.blob == *blob))
                || is_module()
        };
        self.held.iter().find(needs).map(|held| held.lease.program)
    }

    fn compare_leases(
        &mut self,
        leases: Vec<Signed<WorkLease>>,
        now: UnixMillis,
        commands: &mut Vec<Command>,
    ) {
        let Some((holding, returned)) = self.said.take() else { return };
        for lease in returned {
            self.giving_back.remove(&lease);
        }
        let open: BTreeSet<LeaseId> = leases.iter().map(|lease| lease.message().lease).collect();
        // Only what was named in this heartbeat can be missing from its answer; what is sealed may have moved on.
        let gone: Vec<LeaseId> = self
            .held
            .iter()
            .filter(|held| held.stage == Stage::Open)
            .map(|held| held.lease.lease)
            .filter(|lease| holding.contains(lease) && !open.contains(lease))
            .collect();
        for lease in gone {
            self.drop_lease(lease, false, now, commands);
        }
        for signed in leases {
            let lease = signed.message();
            let known = self.held.iter().any(|held| held.lease.lease == lease.lease);
            if known || self.giving_back.contains(&lease.lease) || self.ours(lease.deadline_at) <= now {
                continue;
            }
            if self.refused.contains(&lease.program) || self.too_large.contains(&lease.program) {
                self.giving_back.insert(lease.lease);
                continue;
            }
            let program = lease.program;
            commands.push(Command::SaveLease(Box::new(signed.clone())));
            self.hold(signed.into_message(), BTreeMap::new(), Stage::Open, now);
            self.want_inputs(program, now, commands);
        }
    }

    fn take_in_blob(
        &mut self,
        blob: Hash,
        result: Result<(), FaultKind>,
        now: UnixMillis,
        commands: &mut Vec<Command>,
    ) {
        let spread = self.spread;
        let Some(state) = self.blobs.get_mut(&blob) else { return };
        match result {
            Ok(()) => *state = Blob::Here,
            Err(FaultKind::NotFound) => {
                // The coordinator does not have what its own lease names: nothing can be computed of it.
                let leases: Vec<LeaseId> = self
                    .held
                    .iter()
                    .filter(|held| self.needs(held, &blob))
                    .map(|held| held.lease.lease)
                    .collect();
                for lease in leases {
                    self.drop_lease(lease, true, now, commands);
                }
            }
            Err(kind) => {
                if let Blob::Wanted(attempt) = state {
                    attempt.failed(now, spread);
                }
                if matches!(kind, FaultKind::Unreachable | FaultKind::Journal | FaultKind::Version) {
                    self.link_down(kind, now);
                }
            }
        }
    }

    fn needs(&self, held: &Held, blob: &Hash) -> bool {
        let module = match self.programs.get(&held.lease.program) {
            Some(ProgramState::Ready(program)) => program.modules.iter().any(|m| m.blob == *blob),
            _ => false,
        };
        module
            || held.lease.program == *blob
            || held.lease.slices.iter().any(|s| s.inputs.iter().any(|input| input.blob == *blob))
    }

    fn take_in_program(
        &mut self,
        hash: Hash,
        result: Result<Arc<Program>, ProgramFault>,
        now: UnixMillis,
        commands: &mut Vec<Command>,
    ) {
        if !self.programs.contains_key(&hash) {
            return;
        }
        match result {
            Ok(program) => {
                self.programs.insert(hash, ProgramState::Ready(program));
                if self.is_too_large(&hash) {
                    self.too_large.insert(hash);
                    self.hand_back(hash, now, commands);
                } else {
                    self.want_inputs(hash, now, commands);
                }
            }
            Err(ProgramFault::Damaged) => {
                self.programs.insert(hash, ProgramState::Fetching);
                self.blobs.insert(hash, Blob::Wanted(Attempt::due(now)));
            }
            Err(ProgramFault::Refused) => self.refuse(hash, now, commands),
        }
    }

    /// Whether a program that is read needs more of the card's memory than the owner lends.
    fn is_too_large(&self, hash: &Hash) -> bool {
        match (self.programs.get(hash), self.memory) {
            (Some(ProgramState::Ready(program)), Some(allowed)) => program.cost.memory_bytes > allowed,
            _ => false,
        }
    }

    /// What was last said of the card's memory.
    pub fn memory_allowed(&self) -> Option<u64> {
        self.memory
    }

    /// Wants what the leases of a program that is read need; a lease that does not fit it is handed back.
    fn want_inputs(&mut self, hash: Hash, now: UnixMillis, commands: &mut Vec<Command>) {
        let Some(ProgramState::Ready(program)) = self.programs.get(&hash) else { return };
        let mut wanted: Vec<Hash> = program.modules.iter().map(|module| module.blob).collect();
        let mut unfit = Vec::new();
        for held in self.held.iter().filter(|held| held.lease.program == hash && held.stage == Stage::Open) {
            let fits = |s: &SliceRef| {
                let plan = SlicePlan { inputs: s.inputs.clone(), params: s.params.clone() };
                program.check_slice(&plan).is_ok()
            };
            if held.lease.slices.iter().all(fits) {
                wanted.extend(held.lease.slices.iter().flat_map(|s| &s.inputs).map(|input| input.blob));
            } else {
                unfit.push(held.lease.lease);
            }
        }
        for blob in wanted {
            self.want(blob, now);
        }
        for lease in unfit {
            self.drop_lease(lease, true, now, commands);
        }
    }

    /// Hands back every lease of a program and takes none of it again.
    fn refuse(&mut self, program: Hash, now: UnixMillis, commands: &mut Vec<Command>) {
        self.refused.insert(program);
        self.hand_back(program, now, commands);
    }

    /// Hands the open leases of a program back.
    fn hand_back(&mut self, program: Hash, now: UnixMillis, commands: &mut Vec<Command>) {
        let leases: Vec<LeaseId> = self
            .held
            .iter()
            .filter(|held| held.lease.program == program && held.stage == Stage::Open)
            .map(|held| held.lease.lease)
            .collect();
        for lease in leases {
            self.drop_lease(lease, true, now, commands);
        }
    }

    fn take_in_commit(
        &mut self,
        lease: LeaseId,
        result: Result<(), FaultKind>,
        now: UnixMillis,
        commands: &mut Vec<Command>,
    ) {
        let spread = self.spread;
        let Some(held) = self.find(lease) else { return };
        let Stage::Committing(attempt) = &mut held.stage else { return };
        match result {
            Ok(()) => {
                held.stage = Stage::Delivering(Attempt::due(now));
                commands.push(Command::MarkCommitted(lease));
            }
            Err(kind) if is_final(kind) => self.drop_lease(lease, false, now, commands),
            Err(kind) => {
                attempt.failed(now, spread);
                self.link_down(kind, now);
            }
        }
    }

    fn take_in_delivery(
        &mut self,
        lease: LeaseId,
        result: Result<(), FaultKind>,
        now: UnixMillis,
        commands: &mut Vec<Command>,
    ) {
        let spread = self.spread;
        let Some(held) = self.find(lease) else { return };
        let Stage::Delivering(attempt) = &mut held.stage else { return };
        match result {
            Ok(()) => {
                self.held.retain(|held| held.lease.lease != lease);
                commands.push(Command::Forget { lease, handed_in: true });
                self.forget_unused();
                // The receipt follows the audit; asking now also asks for the next lease.
                self.hurry(now);
            }
            Err(kind) if is_final(kind) => self.drop_lease(lease, false, now, commands),
            Err(kind) => {
                attempt.failed(now, spread);
                self.link_down(kind, now);
            }
        }
    }

    /// Seals what is finished, and hands back what will not be.
    fn mind_deadlines(&mut self, now: UnixMillis, commands: &mut Vec<Command>) {
        let mut late = Vec::new();
        let due: Vec<UnixMillis> = self.held.iter().map(|held| self.due_at(held)).collect();
        let slice_millis = self.slice_millis.unwrap_or(0);
        for (held, due_at) in self.held.iter_mut().zip(due) {
            if held.stage != Stage::Open || !held.saving.is_empty() {
                continue;
            }
            let missing = held.lease.slices.len() - held.finished.len();
            let hopeless = held.finished.is_empty() && now.plus(Duration::from_millis(slice_millis)) > due_at;
            if missing == 0 || (due_at <= now && !held.finished.is_empty()) {
                held.stage = Stage::Committing(Attempt::due(now));
                if self.lane.is_at(held.lease.lease) {
                    self.lane.close(commands);
                }
            } else if due_at <= now || hopeless {
                late.push(held.lease.lease);
            }
        }
        for lease in late {
            self.drop_lease(lease, true, now, commands);
        }
    }

    fn give_up(&mut self, now: UnixMillis, commands: &mut Vec<Command>) {
        let mut empty = Vec::new();
        for held in self.held.iter_mut().filter(|held| held.stage == Stage::Open) {
            if held.finished.is_empty() {
                empty.push(held.lease.lease);
            } else {
                held.stage = Stage::Committing(Attempt::due(now));
            }
        }
        for lease in empty {
            self.drop_lease(lease, true, now, commands);
        }
        self.lane.close(commands);
    }

    /// Fetches what the held leases need, in the order in which it is needed.
    fn prepare(&mut self, now: UnixMillis, commands: &mut Vec<Command>) {
        for (hash, state) in &mut self.programs {
            if matches!(state, ProgramState::Fetching) && matches!(self.blobs.get(hash), Some(Blob::Here)) {
                *state = ProgramState::Reading;
                commands.push(Command::ReadProgram(*hash));
            }
        }
        if !self.permitted || self.pace.is_none() || !self.enrolled {
            return;
        }
        let mut under_way =
            self.blobs.values().filter(|b| matches!(b, Blob::Wanted(a) if a.next_at.is_none())).count();
        let mut order = Vec::new();
        for held in self.held.iter().filter(|held| held.stage == Stage::Open) {
            order.push(held.lease.program);
            if let Some(ProgramState::Ready(program)) = self.programs.get(&held.lease.program) {
                order.extend(program.modules.iter().map(|module| module.blob));
                let missing = held.lease.slices.iter().filter(|s| !held.finished.contains_key(&s.slice));
                order.extend(missing.flat_map(|s| &s.inputs).map(|input| input.blob));
            }
        }
        for blob in order {
            if under_way >= MAX_FETCHES {
                break;
            }
            if let Some(Blob::Wanted(attempt)) = self.blobs.get_mut(&blob)
                && attempt.is_due(now)
            {
                attempt.next_at = None;
                under_way += 1;
                commands.push(Command::Fetch(blob));
            }
        }
    }

    fn may_enroll(&self) -> bool {
        self.adapter.as_ref().is_some_and(|adapter| self.local || !adapter.software)
    }

    /// Whether another lease is wanted: none is open, or the only one is more than half done.
    fn wants_work(&self) -> bool {
        let open: Vec<&Held> = self.held.iter().filter(|held| held.stage == Stage::Open).collect();
        let nearly = |held: &&Held| held.finished.len() * 2 > held.lease.slices.len();
        self.pace.is_some()
            && self.known == Known::Passed
            && !self.lane.is_failing()
            && self.held.len() < MAX_LEASES
            && open.iter().all(nearly)
    }

    /// Speaks with the coordinator where something is due.
    fn speak(&mut self, now: UnixMillis, commands: &mut Vec<Command>) {
        if !self.permitted {
            return;
        }
        if (!self.enrolled || self.report_due)
            && self.enroll.is_due(now)
            && self.may_enroll()
            && let Some(adapter) = self.adapter.clone()
        {
            self.enroll.next_at = None;
            self.report_due = false;
            commands.push(Command::Enroll(adapter));
        }
        if !self.enrolled {
            return;
        }
        for held in &mut self.held {
            let (lease, bundle) = (held.lease.lease, held.lease.bundle);
            match &mut held.stage {
                Stage::Committing(attempt) if attempt.is_due(now) => {
                    attempt.next_at = None;
                    let digests =
                        held.finished.iter().map(|(slice, (digest, _))| (*slice, *digest)).collect();
                    let device_millis = held.finished.values().map(|(_, millis)| millis).sum();
                    commands.push(Command::Commit { lease, bundle, digests, device_millis });
                }
                Stage::Delivering(attempt) if attempt.is_due(now) => {
                    attempt.next_at = None;
                    commands.push(Command::Deliver { lease, bundle });
                }
                Stage::Open | Stage::Committing(_) | Stage::Delivering(_) => {}
            }
        }
        if self.beat.is_due(now) {
            self.beat.next_at = None;
            let holding: Vec<LeaseId> = self.held.iter().map(|held| held.lease.lease).collect();
            let returned: Vec<LeaseId> = self.giving_back.iter().copied().collect();
            self.said = Some((holding.clone(), returned.clone()));
            commands.push(Command::Heartbeat { holding, returned, wants_work: self.wants_work() });
        }
    }

    /// The next slice whose inputs are all here.
    fn next_slice(&self) -> Option<(&Held, &SliceRef, &Arc<Program>)> {
        if !self.known.may_compute() {
            return None;
        }
        let here = |blob: &Hash| matches!(self.blobs.get(blob), Some(Blob::Here));
        self.held.iter().filter(|held| held.stage == Stage::Open).find_map(|held| {
            let Some(ProgramState::Ready(program)) = self.programs.get(&held.lease.program) else {
                return None;
            };
            if !program.modules.iter().all(|module| here(&module.blob)) {
                return None;
            }
            let slice = held.lease.slices.iter().find(|s| {
                !held.finished.contains_key(&s.slice)
                    && !held.saving.contains(&s.slice)
                    && s.inputs.iter().all(|input: &InputRange| here(&input.blob))
            })?;
            Some((held, slice, program))
        })
    }

    /// How the line to the coordinator is.
    pub fn link(&self) -> LinkState {
        self.link
    }

    /// Why the last heartbeat got no work.
    pub fn no_work(&self) -> Option<NoWork> {
        self.no_work
    }

    /// The adapter, once a worker has opened it.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// What is known of how the card computes.
    pub fn known(&self) -> Known {
        self.known
    }

    /// The lease of `slice`, if that is in the worker's hand.
    pub fn lease_in_hand(&self, slice: SliceId) -> Option<LeaseId> {
        self.lane.lease_of(slice)
    }

    /// Whether the card computes at this moment.
    pub fn is_computing(&self) -> bool {
        self.lane.is_computing()
    }

    /// Whether the card is free: no process of ours has anything on it.
    pub fn is_card_free(&self) -> bool {
        self.lane.is_gone()
    }

    /// Whether there is no driver that can compute.
    pub fn no_driver(&self) -> bool {
        self.lane.no_driver()
    }

    /// Until when the worker rests because it failed again and again.
    pub fn failing_until(&self) -> Option<UnixMillis> {
        self.lane.failing_until()
    }

    /// Whether the only card is the processor, and the network does not take that.
    pub fn software_refused(&self) -> bool {
        !self.local && self.adapter.as_ref().is_some_and(|adapter| adapter.software)
            || self.no_work == Some(NoWork::DeviceClass)
    }

    /// Smoothed device time of a slice.
    pub fn slice_millis(&self) -> Option<u64> {
        self.slice_millis
    }

    /// The work at hand: the lease that is computed, else the first that is held.
    pub fn work(&self) -> Option<WorkView> {
        let open = self.held.iter().find(|held| self.lane.is_at(held.lease.lease));
        let held =
            open.or_else(|| self.held.iter().find(|held| held.stage == Stage::Open)).or(self.held.first())?;
        let program = match self.programs.get(&held.lease.program) {
            Some(ProgramState::Ready(program)) => Some(Arc::clone(program)),
            _ => None,
        };
        Some(WorkView {
            lease: held.lease.clone(),
            program,
            finished: held.finished.len(),
            deadline_at: self.ours(held.lease.deadline_at),
        })
    }

    /// A person asks to look for a driver again.
    pub fn probe_again(&mut self) {
        self.lane.forget_failures();
    }
}

/// Whether a refusal ends a lease for good.
fn is_final(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::NotFound | FaultKind::Expired | FaultKind::Refused)
}
