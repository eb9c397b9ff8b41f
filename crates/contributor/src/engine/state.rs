//! The state of the engine, and what follows from each thing that can happen.
//!
//! [`State::on`] takes one [`Input`] at an instant and gives the [`Effect`]s; it waits for nothing, so that the way from
//! a touched mouse to the suspend of the card is a single call. The loop in `engine` is its only caller.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use protocol::frames::{Adapter, Checkpoint, Confinement};
use protocol::id::{CoordinatorId, DeviceId, Hash, LeaseId, NetworkId, SliceId};
use protocol::local::{
    Benchmark, ErrorCode, Notice, Picture, Preferences, SearchedSlice, SentMessage, SentToday, Status,
    Waterfall, Work,
};
use protocol::manifest::Program;
use protocol::profile::Profile;
use protocol::sign::Signed;
use protocol::units::UnixMillis;
use protocol::wire::NoWork;
use protocol::work::SliceRef;

use super::calendar::{date, local_hour};
use super::client::{Reply, Request};
use super::drawing::Drawn;
use super::keeper::{StoreAsk, StoreNews};
use super::watching::Watch;
use crate::benchmark::BenchProgress;
use crate::conformance::{Answers, CheckError, Checked, Known};
use crate::earnings::{self, Prices, Token};
use crate::journal::{JobTitle, ReadJournalError, Span, Sums, WithRows};
use crate::ledger::Ledger;
use crate::link::{FaultKind, LinkAsk, LinkEvent, verify_lease};
use crate::policy::{self, Compute, Decision, Memory, Upload};
use crate::runner::{ComputeAsk, ComputeEvent};
use crate::schedule::{Command, Event, LinkState, RestoredLease, Schedule, WorkView, WorkerNews};
use crate::share::{Rule, ShareEvent};
use crate::signals::{Change, Conditions, Signals, Wanted};
use crate::status::{self, Facts};
use crate::store::{DayWork, Restored};
use crate::yields::Yields;

/// How long work that was a loss is not asked for again.
const LOSS_FOR: Duration = Duration::from_secs(3600);
/// Time shared is added to the day at least this often.
const ACCOUNT_EVERY: Duration = Duration::from_secs(60);
/// The loop wakes at least this often; a longer gap than it asked for was sleep.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What can happen.
#[derive(Debug)]
pub(super) enum Input {
    Signal(Change),
    Link(LinkEvent),
    Share(ShareEvent),
    Compute(ComputeEvent),
    Stored(StoreNews),
    Bench(BenchProgress),
    Checked(Result<Checked, CheckError>),
    Sums(Result<Sums, ReadJournalError>),
    Request(Request),
    Tick,
}

/// What the journal is asked beside its sums.
pub(super) enum JournalAsk {
    Rows { span: Span, with: WithRows },
    Message { row: i64, reply: Reply<Option<SentMessage>> },
    Delete { at: UnixMillis, reply: Reply<()> },
    NameJob { program: Hash, name: JobTitle },
}

/// What is to be done.
pub(super) enum Effect {
    Link(LinkAsk),
    Share(Rule),
    Compute(ComputeAsk),
    Store(StoreAsk),
    Look(Wanted),
    Poll(Wanted),
    Measure,
    CancelMeasure,
    Check(protocol::frames::Pace),
    CancelCheck,
    Sums { from_at: UnixMillis },
    Journal(JournalAsk),
    Show(Box<Status>),
    ShowPicture(Option<Box<Picture>>),
}

/// What a state begins with.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) network: NetworkId,
    pub(super) profile: Profile,
    pub(super) coordinator: CoordinatorId,
    pub(super) device: DeviceId,
    pub(super) preferences: Preferences,
    pub(super) restored: Restored,
    pub(super) notices: Vec<Notice>,
    pub(super) time_zone: TimeZone,
}

/// The measurement.
#[derive(Debug, Default)]
pub(super) struct Bench {
    pub(super) shown: Option<Benchmark>,
    /// The one before, shown again when this one is cancelled.
    pub(super) before: Option<Benchmark>,
    /// The owner asked for it; it begins when the card is free.
    pub(super) wanted: bool,
    pub(super) running: bool,
}

/// See the head of this module.
pub(super) struct State {
    pub(super) network: NetworkId,
    pub(super) profile: Profile,
    pub(super) device: DeviceId,
    pub(super) token: Token,
    pub(super) time_zone: TimeZone,
    pub(super) preferences: Preferences,
    pub(super) signals: Signals,
    pub(super) memory: Memory,
    pub(super) decision: Decision,
    pub(super) schedule: Schedule,
    pub(super) ledger: Ledger,
    /// What the schedule was told last: pace, and whether it may speak.
    pub(super) told: (Option<protocol::frames::Pace>, bool),
    /// What the share was told last.
    pub(super) lent: Rule,
    /// Something is on its way to another home.
    pub(super) delivering: bool,
    /// What work was found to cost and pay when that was a loss, and when.
    pub(super) loss: Option<((u32, u32), UnixMillis)>,
    pub(super) disk_full: bool,
    pub(super) forged_receipt: bool,
    pub(super) checkpoints: BTreeMap<SliceId, (LeaseId, Arc<Checkpoint>)>,
    pub(super) programs: BTreeMap<Hash, (Arc<Program>, String)>,
    pub(super) confinement: Option<Confinement>,
    pub(super) slice: Option<SliceRef>,
    pub(super) permille: u16,
    pub(super) work_lease: Option<LeaseId>,
    pub(super) hits: BTreeMap<SliceId, Vec<protocol::local::HitView>>,
    pub(super) searched: BTreeMap<SliceId, SearchedSlice>,
    /// The window round the latest line of this bundle. It stays in view while slices without a line go by.
    pub(super) found: Option<Waterfall>,
    pub(super) days: BTreeMap<String, DayWork>,
    pub(super) yields: Yields,
    pub(super) computing_since: Option<UnixMillis>,
    pub(super) without_work_since: Option<UnixMillis>,
    pub(super) bench: Bench,
    pub(super) answers: Answers,
    pub(super) sent_today: SentToday,
    pub(super) watch: Watch,
    pub(super) expected_at: UnixMillis,
    pub(super) notices: Vec<Notice>,
    pub(super) status: Status,
}

impl State {
    /// The state of a start, and what it begins with.
    pub(super) fn new(opening: Opening, now: UnixMillis) -> (Self, Vec<Effect>) {
        let Opening { network, profile, coordinator, device, preferences, restored, notices, time_zone } =
            opening;
        let mut effects = Vec::new();
        let (ledger, damage) = Ledger::restore(network, coordinator, device, restored.receipts);
        if let Some(error) = damage {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "saved receipts do not verify; fetched again"
            );
            effects.push(Effect::Store(StoreAsk::DropReceiptsFrom(ledger.last_sequence() + 1)));
        }
        let mut checkpoints = BTreeMap::new();
        let mut leases = Vec::new();
        for stored in restored.leases {
            match verify_lease(stored.envelope, &network, &coordinator, &device) {
                Ok(lease) => {
                    if let Some((slice, checkpoint)) = stored.checkpoint {
                        checkpoints.insert(slice, (lease.message().lease, Arc::new(checkpoint)));
                    }
                    let (committed, finished) = (stored.committed, stored.finished);
                    leases.push(RestoredLease { lease, committed, finished });
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a saved lease is not ours")
                }
            }
        }
        let memory = Memory::new(restored.kept, now);
        let signals = Signals::unread(local_hour(&time_zone, now));
        let (decision, memory) = policy::decide(&signals, &preferences, &memory, now);
        let token =
            Token { unit: profile.chain.token_symbol.clone(), decimals: profile.chain.token_decimals };
        let schedule = Schedule::new(profile.local, device.as_bytes()[0], leases, now);
        let status = first_status(&profile.name, &decision, &preferences, &memory, &token, now);
        let bench = Bench { shown: restored.benchmark, ..Bench::default() };
        let answers = Answers::new(restored.answers);
        let mut state = Self {
            network,
            profile,
            device,
            token,
            time_zone,
            preferences,
            signals,
            memory,
            decision,
            schedule,
            ledger,
            told: (None, false),
            lent: Rule::NOTHING,
            delivering: false,
            loss: None,
            disk_full: false,
            forged_receipt: false,
            checkpoints,
            programs: BTreeMap::new(),
            confinement: None,
            slice: None,
            permille: 0,
            work_lease: None,
            hits: BTreeMap::new(),
            searched: BTreeMap::new(),
            found: None,
            days: restored.days,
            yields: restored.yields,
            computing_since: None,
            without_work_since: None,
            bench,
            answers,
            sent_today: SentToday { sent_bytes: 0, received_bytes: 0 },
            watch: Watch::begin(now),
            expected_at: now.plus(LONGEST_WAIT),
            notices,
            status,
        };
        effects.extend(state.on(Input::Tick, now));
        (state, effects)
    }

    /// The status as it was shown last.
    pub(super) fn status(&self) -> Status {
        self.status.clone()
    }

    /// When the loop must come back although nothing has happened.
    pub(super) fn next_at(&mut self, now: UnixMillis) -> UnixMillis {
        let times = [
            self.schedule.next_at(),
            self.decision.review_at,
            Some(self.watch.next_at()),
            self.computing_since.map(|at| at.plus(ACCOUNT_EVERY)),
            self.answers.next_at(),
            Some(super::after(now, LONGEST_WAIT)),
        ];
        // What is due already was seen to in the last event, as far as it could be: it waits for something else than time.
        let next = times.into_iter().flatten().filter(|&at| at > now).min().unwrap_or(now);
        self.expected_at = next;
        next
    }

    /// What is still to be noted at the end.
    pub(super) fn end(&mut self, now: UnixMillis) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.account(now, &mut effects);
        effects
    }

    /// Takes in what happened and says what to do.
    pub(super) fn on(&mut self, input: Input, now: UnixMillis) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.notice_sleep(now);
        match input {
            Input::Signal(change) => self.take_in_signal(change, now),
            Input::Link(event) => self.take_in_link(event, now, &mut effects),
            Input::Share(ShareEvent::Delivering(delivering)) => self.delivering = delivering,
            Input::Compute(event) => self.take_in_compute(event, now, &mut effects),
            Input::Stored(news) => self.take_in_stored(news, now, &mut effects),
            Input::Bench(progress) => self.take_in_bench(progress, now, &mut effects),
            Input::Checked(outcome) => self.take_in_check(outcome, now, &mut effects),
            Input::Sums(Ok(sums)) => {
                self.sent_today =
                    SentToday { sent_bytes: sums.sent_bytes, received_bytes: sums.received_bytes };
            }
            Input::Sums(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the day's bytes cannot be read");
            }
            Input::Request(request) => self.take_in_request(request, now, &mut effects),
            Input::Tick => {
                let event = Event::Tick;
                self.plan(event, now, &mut effects);
            }
        }
        self.mind_sensors(now);
        self.settle(now, &mut effects);
        self.ask_sensors(now, &mut effects);
        self.show(now, &mut effects);
        effects
    }

    /// Lets the schedule take an event in and turns its commands into effects.
    fn plan(&mut self, event: Event, now: UnixMillis, effects: &mut Vec<Effect>) {
        for command in self.schedule.on(event, now) {
            self.carry_out(command, now, effects);
        }
    }

    fn carry_out(&mut self, command: Command, now: UnixMillis, effects: &mut Vec<Effect>) {
        let effect = match command {
            Command::Enroll(adapter) => {
                let answers = self.answers.report(&adapter.class()).cloned();
                Effect::Link(LinkAsk::Enroll { adapter, answers })
            }
            Command::Heartbeat { holding, returned, wants_work } => {
                let last_sequence = self.ledger.last_sequence();
                Effect::Link(LinkAsk::Heartbeat { holding, returned, wants_work, last_sequence })
            }
            Command::Fetch(blob) => {
                let job = self.schedule.program_of_blob(&blob);
                Effect::Link(LinkAsk::Fetch { blob, job })
            }
            Command::ReadProgram(program) => Effect::Store(StoreAsk::ReadProgram(program)),
            Command::SaveLease(lease) => Effect::Store(StoreAsk::SaveLease(lease)),
            Command::Commit { lease, bundle, digests, device_millis } => {
                let job = self.schedule.program_of_lease(lease);
                Effect::Link(LinkAsk::Commit { lease, bundle, digests, device_millis, job })
            }
            Command::Deliver { lease, bundle } => Effect::Store(StoreAsk::Outputs { lease, bundle }),
            Command::MarkCommitted(lease) => Effect::Store(StoreAsk::MarkCommitted(lease)),
            Command::Forget { lease, handed_in } => {
                self.checkpoints.retain(|_, (of, _)| *of != lease);
                if handed_in {
                    self.add_day(DayWork { bundles: 1, ..DayWork::default() }, now, effects);
                }
                Effect::Store(StoreAsk::Forget { lease, needed: self.schedule.needed_blobs() })
            }
            Command::Open => Effect::Compute(ComputeAsk::Open),
            Command::Load { program } => match self.programs.get(&program) {
                Some((program, _)) => Effect::Compute(ComputeAsk::Load { program: Arc::clone(program) }),
                None => Effect::Compute(ComputeAsk::Close),
            },
            Command::Run(run) => {
                self.slice = Some(run.slice.clone());
                self.permille = 0;
                let resume_from = self.checkpoints.get(&run.slice.slice);
                let resume_from = resume_from.map(|(_, checkpoint)| Box::new(Checkpoint::clone(checkpoint)));
                effects.push(Effect::Store(StoreAsk::Draw { slice: run.slice.clone(), output: None }));
                Effect::Compute(ComputeAsk::Run { run, resume_from })
            }
            Command::Preempt => Effect::Compute(ComputeAsk::Suspend { release: false }),
            Command::Release => Effect::Compute(ComputeAsk::Suspend { release: true }),
            Command::Resume(pace) => Effect::Compute(ComputeAsk::Resume(pace)),
            Command::Close => Effect::Compute(ComputeAsk::Close),
        };
        effects.push(effect);
    }

    fn take_in_link(&mut self, event: LinkEvent, now: UnixMillis, effects: &mut Vec<Effect>) {
        let failed = |what: &'static str, fault: &crate::link::LinkFault| {
            tracing::warn!(error = fault as &dyn std::error::Error, "{what} failed");
            fault.kind()
        };
        let event = match event {
            LinkEvent::Enrolled(Ok(enrolled)) => Event::Enrolled { at: enrolled.at },
            LinkEvent::Enrolled(Err(fault)) => Event::NotEnrolled(failed("enrolment", &fault)),
            LinkEvent::Beat(Ok(beat)) => {
                let full = beat.receipts.len() >= 64;
                let (fresh, verified) = self.ledger.take_in(beat.receipts);
                if !fresh.is_empty() {
                    effects.push(Effect::Store(StoreAsk::AddReceipts(fresh)));
                }
                self.forged_receipt = verified.is_err();
                if let Err(error) = verified {
                    tracing::error!(error = &error as &dyn std::error::Error, "a receipt was refused");
                    self.raise(ErrorCode::Internal, format!("receipt refused: {error}"), now);
                }
                Event::Beat {
                    at: beat.at,
                    leases: beat.leases,
                    next_in: beat.next_in,
                    no_work: beat.no_work,
                    // A chain that does not verify is not asked for again at once.
                    more_receipts: full && !self.forged_receipt,
                }
            }
            LinkEvent::Beat(Err(fault)) => Event::NoBeat(failed("a heartbeat", &fault)),
            LinkEvent::Fetched { blob, result } => {
                let result = result.map_err(|fault| failed("a fetch", &fault));
                self.disk_full |= result == Err(FaultKind::DiskFull);
                Event::Fetched { blob, result }
            }
            LinkEvent::Committed { lease, result } => {
                Event::Committed { lease, result: result.map_err(|fault| failed("a commit", &fault)) }
            }
            LinkEvent::Delivered { lease, result } => {
                Event::Delivered { lease, result: result.map_err(|fault| failed("a delivery", &fault)) }
            }
        };
        self.plan(event, now, effects);
    }

    fn take_in_compute(&mut self, event: ComputeEvent, now: UnixMillis, effects: &mut Vec<Effect>) {
        let news = match event {
            ComputeEvent::Opened(ready) => {
                self.confinement = Some(ready.confinement);
                self.withdraw(ErrorCode::NoDriver);
                // Before the worker is given anything: the driver may have changed since it was last open.
                let known = self.answers.known(&ready.adapter.class(), now);
                self.plan(Event::Known(known), now, effects);
                WorkerNews::Opened(ready.adapter)
            }
            ComputeEvent::NotOpened { no_driver, detail } => {
                tracing::warn!(detail, "no worker could be started");
                if no_driver {
                    self.raise(ErrorCode::NoDriver, detail, now);
                }
                WorkerNews::NotOpened { no_driver }
            }
            ComputeEvent::Loaded => WorkerNews::Loaded,
            ComputeEvent::NotLoaded { detail } => {
                tracing::warn!(detail, "a program was not loaded");
                WorkerNews::NotLoaded
            }
            ComputeEvent::Progress { slice, permille } => {
                if self.slice.as_ref().is_some_and(|s| s.slice == slice) {
                    self.permille = permille.min(1000);
                }
                return;
            }
            ComputeEvent::Yielded { took } => {
                if let Some(took) = took {
                    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                    self.yields.note(now, micros);
                    effects.push(Effect::Store(StoreAsk::NoteYield { at: now, micros }));
                }
                WorkerNews::Yielded
            }
            ComputeEvent::Checkpoint { slice, checkpoint } => {
                if let Some(lease) = self.lease_of(slice) {
                    let checkpoint = Arc::<Checkpoint>::from(checkpoint);
                    self.checkpoints.insert(slice, (lease, Arc::clone(&checkpoint)));
                    effects.push(Effect::Store(StoreAsk::SaveCheckpoint { lease, slice, checkpoint }));
                }
                WorkerNews::Checkpointed
            }
            ComputeEvent::Released => WorkerNews::Checkpointed,
            ComputeEvent::Done { slice, output, device } => {
                let lease = self.lease_of(slice);
                self.checkpoints.remove(&slice);
                if let Some(of) = self.slice.clone().filter(|of| of.slice == slice) {
                    effects.push(Effect::Store(StoreAsk::Draw { slice: of, output: Some(output.clone()) }));
                }
                // The schedule marks it as being saved before the store can answer.
                self.plan(WorkerNews::Done { slice }.into(), now, effects);
                if let Some(lease) = lease {
                    let millis = u64::try_from(device.as_millis()).unwrap_or(u64::MAX);
                    effects.push(Effect::Store(StoreAsk::SaveOutput { lease, slice, millis, output }));
                }
                return;
            }
            ComputeEvent::Failed { slice, detail } => {
                tracing::warn!(detail, slice = %slice.short(), "a slice could not be computed");
                WorkerNews::Failed { slice }
            }
            ComputeEvent::InputMissing { slice, blob } => WorkerNews::InputMissing { slice, blob },
            ComputeEvent::Died { detail } => {
                tracing::info!(detail, "the worker has ended");
                WorkerNews::Died
            }
        };
        self.plan(news.into(), now, effects);
    }

    /// The lease of the slice in the worker's hand.
    fn lease_of(&self, slice: SliceId) -> Option<LeaseId> {
        self.schedule.lease_in_hand(slice)
    }

    fn take_in_stored(&mut self, news: StoreNews, now: UnixMillis, effects: &mut Vec<Effect>) {
        match news {
            StoreNews::Saved { lease, slice, digest, millis } => {
                self.add_day(DayWork { slices: 1, ..DayWork::default() }, now, effects);
                self.plan(Event::Saved { lease, slice, digest, millis }, now, effects);
            }
            StoreNews::NotSaved { lease, slice, disk_full } => {
                self.store_failed(disk_full, now);
                self.plan(Event::NotSaved { lease, slice }, now, effects);
            }
            StoreNews::Outputs { lease, bundle, outputs: Ok(outputs) } => {
                let job = self.schedule.program_of_lease(lease);
                effects.push(Effect::Link(LinkAsk::Deliver { lease, bundle, outputs, job }));
            }
            StoreNews::Outputs { lease, outputs: Err(error), .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "saved outputs cannot be read");
                self.plan(Event::Delivered { lease, result: Err(FaultKind::Unreachable) }, now, effects);
            }
            StoreNews::Program { program, result } => {
                let result = result.map(|(body, publisher)| {
                    let name = JobTitle { title: body.title.clone(), publisher: publisher.clone() };
                    effects.push(Effect::Journal(JournalAsk::NameJob { program, name }));
                    self.programs.insert(program, (Arc::clone(&body), publisher));
                    body
                });
                self.plan(Event::ProgramRead { program, result }, now, effects);
            }
            StoreNews::Drawn { slice, drawn } => self.take_in_picture(slice, *drawn, effects),
            StoreNews::Failed { disk_full } => self.store_failed(disk_full, now),
        }
    }

    fn store_failed(&mut self, disk_full: bool, now: UnixMillis) {
        if disk_full {
            self.disk_full = true;
            self.raise(ErrorCode::DiskFull, String::new(), now);
        } else {
            self.raise(ErrorCode::Internal, "the engine's files cannot be written".to_owned(), now);
        }
    }

    fn take_in_picture(&mut self, slice: SliceId, drawn: Drawn, effects: &mut Vec<Effect>) {
        let Drawn { picture, hits, searched } = drawn;
        if let Some(searched) = searched {
            self.searched.insert(slice, searched);
            self.hits.insert(slice, hits);
        }
        let shown = match picture {
            Picture::Image(image) => Picture::Image(image),
            Picture::Waterfall(waterfall) => {
                if waterfall.mark.is_some() {
                    self.found = Some(waterfall.clone());
                }
                let mut shown = self.found.clone().unwrap_or(waterfall);
                shown.searched = self.searched.values().cloned().collect();
                shown.searched.sort_by_key(|slice| slice.left_hz);
                Picture::Waterfall(shown)
            }
        };
        effects.push(Effect::ShowPicture(Some(Box::new(shown))));
    }

    fn take_in_bench(&mut self, progress: BenchProgress, now: UnixMillis, effects: &mut Vec<Effect>) {
        if !self.bench.running {
            // The last word of a measurement that was cancelled.
            return;
        }
        let BenchProgress { mut benchmark, confinement } = progress;
        if confinement.is_some() {
            self.confinement = confinement;
        }
        if benchmark.running.is_none() {
            benchmark.finished_at = Some(now);
            self.bench.running = false;
            self.bench.before = None;
            effects.push(Effect::Store(StoreAsk::KeepBenchmark(benchmark.clone())));
            self.schedule.probe_again();
            self.answers.ask_again();
        }
        self.bench.shown = Some(*benchmark);
    }

    fn take_in_check(
        &mut self,
        outcome: Result<Checked, CheckError>,
        now: UnixMillis,
        effects: &mut Vec<Effect>,
    ) {
        if !self.answers.is_running() {
            // The last word of a check that was cancelled.
            return;
        }
        let adapter = outcome.as_ref().ok().map(|checked| checked.adapter.clone());
        if let Some(report) = self.answers.take_in(outcome, now, self.device.as_bytes()[0]) {
            for kernel in report.kernels.iter().filter(|kernel| !kernel.right) {
                tracing::error!(kernel = kernel.kernel, class = %report.class, "the card computes wrongly");
            }
            effects.push(Effect::Store(StoreAsk::KeepAnswers(Box::new(report.clone()))));
        }
        if let Some(adapter) = adapter
            && self.schedule.adapter().is_none_or(|known| known.class() != adapter.class())
        {
            self.plan(Event::Worker(WorkerNews::Opened(adapter)), now, effects);
        }
    }

    /// Tells the schedule what is known of the card, and has the known answers computed when they are due and it is free.
    fn mind_answers(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        let Some(class) = self.schedule.adapter().map(Adapter::class) else { return };
        let known = self.answers.known(&class, now);
        if self.schedule.known() != known {
            self.plan(Event::Known(known), now, effects);
        }
        match self.decision.compute {
            Compute::Suspend(_) if self.answers.is_running() => {
                self.answers.cancel();
                effects.push(Effect::CancelCheck);
            }
            Compute::Run { pace, .. }
                if self.answers.is_wanted(&class, now)
                    && self.schedule.is_card_free()
                    && !self.bench.running =>
            {
                self.answers.begin();
                effects.push(Effect::Check(pace));
            }
            Compute::Suspend(_) | Compute::Run { .. } => {}
        }
    }

    /// Lets policy and schedule agree: a decision changes the plan, and the plan can change what is decided upon.
    fn settle(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        let kept = self.memory.kept;
        self.weigh(now, effects);
        // Each round either changes what the schedule was told or ends; two rounds settle every case met so far, and
        // the bound keeps an unforeseen one from spinning.
        for _ in 0..4 {
            self.signals.local_hour = local_hour(&self.time_zone, now);
            self.signals.conditions = self.conditions();
            let (decision, memory) = policy::decide(&self.signals, &self.preferences, &self.memory, now);
            self.decision = decision;
            self.memory = memory;
            let pace = match self.decision.compute {
                Compute::Run { pace, .. } => Some(pace),
                Compute::Suspend(_) => None,
            };
            // Turned off means silence; a journal or version that fails is tried again, with growing pauses.
            let permitted = self.memory.kept.welcomed && self.preferences.enabled;
            let memory = self.memory_allowed();
            if self.schedule.memory_allowed() != memory {
                self.plan(Event::MemoryAllowed(memory), now, effects);
            }
            if self.told == (pace, permitted) {
                break;
            }
            if self.told.0 != pace {
                self.plan(Event::Wished(pace), now, effects);
            }
            if self.told.1 != permitted {
                self.plan(Event::Permitted(permitted), now, effects);
            }
            self.told = (pace, permitted);
        }
        let rule = self.rule();
        if self.lent != rule {
            self.lent = rule;
            effects.push(Effect::Share(rule));
        }
        if self.memory.kept != kept {
            effects.push(Effect::Store(StoreAsk::KeepPolicy { kept: self.memory.kept, replies: Vec::new() }));
        }
        self.mind_answers(now, effects);
        if self.bench.wanted && self.schedule.is_card_free() && !self.answers.is_running() {
            self.bench.wanted = false;
            self.bench.running = true;
            self.bench.before = self.bench.shown.clone();
            effects.push(Effect::Measure);
        }
        if self.schedule.is_computing() != self.computing_since.is_some() || self.account_due(now) {
            self.account(now, effects);
        }
    }

    /// What the upload may be used for. A line that was never measured is lent only on the local network, where there is none:
    /// nobody knows what would be left of it.
    fn rule(&self) -> Rule {
        let limit_bits_per_s = status::upload_limit(&self.preferences, self.bench.shown.as_ref());
        let known = limit_bits_per_s.is_some() || self.profile.local;
        // A coordinator that is out of reach for a moment ends no delivery; one that was never reached knows nobody here.
        let speak = self.told.1 && !matches!(self.schedule.link(), LinkState::Untried);
        let deliver = speak && known && self.decision.upload == Upload::Share;
        Rule { speak, deliver, limit_bits_per_s }
    }

    fn conditions(&self) -> Conditions {
        let down =
            |kind| matches!(self.schedule.link(), LinkState::Down { kind: found, .. } if found == kind);
        Conditions {
            benchmarking: self.bench.running || self.bench.wanted,
            journal_failing: down(FaultKind::Journal),
            coordinator_version: down(FaultKind::Version),
            device_suspended: down(FaultKind::Suspended)
                || self.schedule.no_work() == Some(NoWork::Suspended),
            no_driver: self.schedule.no_driver(),
            software_driver: self.schedule.software_refused(),
            worker_failing_until: self.schedule.failing_until().or(self.answers.failing_until()),
            at_a_loss: self.loss.map(|(figures, _)| figures),
            disk_full: self.disk_full,
        }
    }

    /// Weighs the work at hand against its electricity. A loss is remembered for an hour, so that leases are not taken
    /// and handed back in turn; prices of jobs change, so it is not remembered for ever.
    fn weigh(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        let hour = self.schedule.work().and_then(|work| {
            earnings::hour(
                work.lease.price_per_slice,
                self.schedule.slice_millis()?,
                self.watts()?,
                Prices::of(&self.preferences),
                &self.token,
            )
        });
        match hour {
            Some((cost, pay)) if cost > pay => {
                self.loss = Some(((cost, pay), now));
                self.plan(Event::GiveUp, now, effects);
            }
            Some(_) => self.loss = None,
            None => self.loss = self.loss.filter(|(_, at)| now.since(*at) < LOSS_FOR),
        }
    }

    /// Bytes of the card's memory that work may take, where its size is known.
    fn memory_allowed(&self) -> Option<u64> {
        let bytes = self.adapter()?.memory_bytes?;
        Some(bytes / 100 * u64::from(self.preferences.card_memory_percent))
    }

    /// Power of the card while it works: the owner's word, else what the card says.
    fn watts(&self) -> Option<u32> {
        self.preferences.watts.or(self.signals.slow.gpu_watts.known())
    }

    fn account_due(&self, now: UnixMillis) -> bool {
        self.computing_since.is_some_and(|since| now.since(since) >= ACCOUNT_EVERY)
    }

    /// Adds the time shared since the last account to the day.
    pub(super) fn account(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        if let Some(since) = self.computing_since.take() {
            let millis = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
            let watts = self.watts();
            let work = DayWork {
                shared_millis: millis,
                metered_millis: if watts.is_some() { millis } else { 0 },
                energy_millijoules: millis.saturating_mul(watts.unwrap_or(0).into()),
                ..DayWork::default()
            };
            if millis > 0 {
                self.add_day(work, now, effects);
            }
        }
        self.computing_since = self.schedule.is_computing().then_some(now);
    }

    fn add_day(&mut self, work: DayWork, now: UnixMillis, effects: &mut Vec<Effect>) {
        let date = date(&self.time_zone, now);
        let day = self.days.entry(date.clone()).or_default();
        *day = day.plus(work);
        effects.push(Effect::Store(StoreAsk::AddDay { date, work }));
    }

    /// The card that is shared, as the last worker found it.
    pub(super) fn adapter(&self) -> Option<&Adapter> {
        self.schedule.adapter().or(self.bench.shown.as_ref().and_then(|b| b.adapter.as_ref()))
    }

    fn raise(&mut self, code: ErrorCode, detail: String, now: UnixMillis) {
        if !self.notices.iter().any(|notice| notice.code == code && notice.detail == detail) {
            self.notices.retain(|notice| notice.code != code);
            self.notices.push(Notice { code, at: now, detail });
        }
    }

    pub(super) fn withdraw(&mut self, code: ErrorCode) {
        self.notices.retain(|notice| notice.code != code);
    }

    /// Shows the status if anything but its time has changed.
    fn show(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        let work = self.schedule.work();
        let lease = work.as_ref().map(|work| work.lease.lease);
        if lease.is_some() && lease != self.work_lease {
            // Another bundle: what was found in the last one is its publisher's.
            self.work_lease = lease;
            self.hits.clear();
            self.searched.clear();
            self.found = None;
        }
        let computing = self.schedule.is_computing();
        let may = matches!(self.decision.compute, Compute::Run { .. });
        self.without_work_since = (may && !computing).then(|| self.without_work_since.unwrap_or(now));
        let today = date(&self.time_zone, now);
        let day = self.days.get(&today).copied().unwrap_or_default();
        let receipts = self.ledger.receipts().iter().rev().map(Signed::message);
        let receipts = receipts.take_while(|r| date(&self.time_zone, r.issued_at) >= today);
        let money = earnings::money(receipts, &day, Prices::of(&self.preferences), &self.token);
        let facts = Facts {
            network: &self.profile.name,
            decision: &self.decision,
            preferences: &self.preferences,
            kept: &self.memory.kept,
            computing,
            delivering: self.delivering,
            link: self.schedule.link(),
            no_work: self.schedule.no_work(),
            known: self.schedule.known(),
            without_work_since: self.without_work_since,
            adapter: self.adapter(),
            confinement: self.confinement.as_ref(),
            watts: self.signals.slow.gpu_watts.known(),
            celsius: self.signals.slow.gpu_celsius.known().map(u32::from),
            today: day,
            money,
            sent_today: self.sent_today.clone(),
            yields: &self.yields,
            work: work.and_then(|work| self.work_view(work)),
            benchmark: self.bench.shown.as_ref(),
            notices: &self.notices,
        };
        let mut status = status::build(&facts, Some(&self.status), now);
        status.at = self.status.at;
        if status != self.status {
            status.at = now;
            self.status = status.clone();
            effects.push(Effect::Show(Box::new(status)));
        }
    }

    fn work_view(&self, work: WorkView) -> Option<Work> {
        let program = work.program?;
        let publisher = self.programs.get(&work.lease.program).map(|(_, name)| name.clone())?;
        Some(Work {
            title: program.title.clone(),
            purpose: program.purpose.clone(),
            publisher,
            family: program.family,
            slices_done: u32::try_from(work.finished).unwrap_or(u32::MAX),
            slices_total: u32::try_from(work.lease.slices.len()).unwrap_or(u32::MAX),
            slice_permille: self.permille,
            hits: self.hits.values().flatten().cloned().collect(),
            price_per_slice: earnings::decimal(work.lease.price_per_slice.0, self.token.decimals),
            deadline_at: work.deadline_at,
        })
    }
}

/// What is shown before the first event.
fn first_status(
    network: &str,
    decision: &Decision,
    preferences: &Preferences,
    memory: &Memory,
    token: &Token,
    now: UnixMillis,
) -> Status {
    let facts = Facts {
        network,
        decision,
        preferences,
        kept: &memory.kept,
        computing: false,
        delivering: false,
        link: LinkState::Untried,
        no_work: None,
        known: Known::Unchecked,
        without_work_since: None,
        adapter: None,
        confinement: None,
        watts: None,
        celsius: None,
        today: DayWork::default(),
        money: earnings::money([], &DayWork::default(), None, token),
        sent_today: SentToday { sent_bytes: 0, received_bytes: 0 },
        yields: &Yields::default(),
        work: None,
        benchmark: None,
        notices: &[],
    };
    status::build(&facts, None, now)
}
