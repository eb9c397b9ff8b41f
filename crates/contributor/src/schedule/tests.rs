//! The plan, driven by hand: every event at a chosen instant, every command looked at.

use protocol::id::{BundleId, DeviceId, NetworkId};
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Role, Stage as ProgramStage, Validator};
use protocol::sign::Key;
use protocol::units::BaseUnits;
use zeroize::Zeroizing;

use super::*;

const NETWORK: NetworkId = NetworkId([1; 32]);
const PROGRAM: Hash = Hash([2; 32]);
const SOURCE: Hash = Hash([3; 32]);
const INPUT: Hash = Hash([4; 32]);

fn program() -> Arc<Program> {
    Arc::new(Program {
        format: 1,
        title: "Test".to_owned(),
        purpose: "For the test.".to_owned(),
        family: Family::Other,
        modules: vec![Module { blob: SOURCE, bytes: 10 }],
        kernels: vec![Kernel { module: 0, entry: "main".to_owned(), workgroup: [64, 1, 1] }],
        buffers: vec![
            Buffer { name: "in".to_owned(), role: Role::Input, bytes: 8 },
            Buffer { name: "out".to_owned(), role: Role::Output, bytes: 8 },
        ],
        stages: vec![ProgramStage { kernel: 0, bindings: vec![0, 1], groups: 1, repeat: 1 }],
        features: Vec::new(),
        cost: Cost { operations: 1, memory_bytes: 1 << 20, max_millis: 1000 },
        validator: Validator::Bitwise,
    })
}

fn adapter(software: bool) -> Adapter {
    Adapter {
        name: "card".to_owned(),
        backend: "vulkan".to_owned(),
        driver: "1".to_owned(),
        vendor_id: 1,
        device_id: 1,
        software,
        max_binding_bytes: 1 << 27,
        features: Vec::new(),
        memory_bytes: None,
    }
}

fn slice(n: u8) -> SliceId {
    SliceId([n; 32])
}

/// A lease of `slices` slices for ten minutes, on a coordinator's clock that is an hour ahead.
fn lease(n: u8, slices: u8, now: UnixMillis) -> Signed<WorkLease> {
    let key = Key::from_seed(&Zeroizing::new([9; 32]));
    let theirs = now.plus(AHEAD);
    let refs = (0..slices).map(|i| SliceRef {
        slice: slice(n * 10 + i),
        inputs: vec![InputRange { blob: INPUT, offset_bytes: u64::from(i) * 8, bytes: 8 }],
        params: Vec::new(),
    });
    key.sign(
        &NETWORK,
        WorkLease {
            network: NETWORK,
            coordinator: key.coordinator(),
            device: DeviceId([7; 32]),
            lease: LeaseId([n; 32]),
            bundle: BundleId([n; 32]),
            program: PROGRAM,
            slices: refs.collect(),
            price_per_slice: BaseUnits(5),
            granted_at: theirs,
            deadline_at: theirs.plus(Duration::from_secs(600)),
        },
    )
}

const AHEAD: Duration = Duration::from_secs(3600);
const START: UnixMillis = UnixMillis(1_000_000_000);

/// A schedule and its clock.
struct Play {
    schedule: Schedule,
    now: UnixMillis,
}

impl Play {
    fn new(restored: Vec<RestoredLease>) -> Self {
        let mut schedule = Schedule::new(true, 0, restored, START);
        schedule.known = Known::Passed;
        Self { schedule, now: START }
    }

    fn on(&mut self, event: impl Into<Event>) -> Vec<Command> {
        self.schedule.on(event.into(), self.now)
    }

    fn later(&mut self, millis: u64) -> Vec<Command> {
        self.now = self.now.plus(Duration::from_millis(millis));
        self.on(Event::Tick)
    }

    fn beat(&mut self, leases: Vec<Signed<WorkLease>>) -> Vec<Command> {
        let (at, next_in) = (self.now.plus(AHEAD), Duration::from_secs(30));
        self.on(Event::Beat { at, leases, next_in, no_work: None, more_receipts: false })
    }

    /// Enrolled, allowed to run, with a heartbeat under way.
    fn ready(restored: Vec<RestoredLease>) -> Self {
        let mut play = Self::new(restored);
        assert_eq!(play.on(Event::Permitted(true)), [Command::Open], "the first look at the card");
        play.on(Event::Wished(Some(Pace::AWAY)));
        let commands = play.on(WorkerNews::Opened(adapter(true)));
        assert!(matches!(&commands[..], [Command::Enroll(_)]), "then it introduces itself: {commands:?}");
        let at = play.now.plus(AHEAD);
        let commands = play.on(Event::Enrolled { at });
        assert!(
            matches!(commands.last(), Some(Command::Heartbeat { .. })),
            "and asks for work: {commands:?}"
        );
        play
    }

    /// With lease 1 of three slices in hand and the first of them running.
    fn running() -> Self {
        let mut play = Self::ready(Vec::new());
        let lease = lease(1, 3, play.now);
        let commands = play.beat(vec![lease]);
        assert!(commands.contains(&Command::Fetch(PROGRAM)), "{commands:?}");
        assert_eq!(play.fetched(PROGRAM), [Command::ReadProgram(PROGRAM)]);
        play.on(Event::ProgramRead { program: PROGRAM, result: Ok(program()) });
        play.fetched(SOURCE);
        assert_eq!(play.fetched(INPUT), [Command::Load { program: PROGRAM }]);
        let commands = play.on(WorkerNews::Loaded);
        assert_eq!(run_of(&commands), Some(slice(10)));
        play
    }

    fn fetched(&mut self, blob: Hash) -> Vec<Command> {
        self.on(Event::Fetched { blob, result: Ok(()) })
    }

    /// The slice is computed and saved.
    fn finish(&mut self, n: u8) -> Vec<Command> {
        let mut commands = self.on(WorkerNews::Done { slice: slice(n) });
        let (lease, digest) = (LeaseId([n / 10; 32]), Hash([n; 32]));
        commands.extend(self.on(Event::Saved { lease, slice: slice(n), digest, millis: 500 }));
        commands
    }
}

fn run_of(commands: &[Command]) -> Option<SliceId> {
    commands.iter().find_map(|command| match command {
        Command::Run(run) => Some(run.slice.slice),
        _ => None,
    })
}

#[test]
fn a_lease_is_computed_committed_and_delivered_in_order() {
    let mut play = Play::running();
    assert_eq!(run_of(&play.finish(10)), Some(slice(11)));
    let commands = play.finish(11);
    assert_eq!(run_of(&commands), Some(slice(12)));
    let commands = play.finish(12);
    let digests = [10, 11, 12].map(|n| (slice(n), Hash([n; 32])));
    let commit = commands.iter().find_map(|command| match command {
        Command::Commit { digests, device_millis, .. } => Some((digests.clone(), *device_millis)),
        _ => None,
    });
    assert_eq!(commit, Some((digests.to_vec(), 1500)), "all digests, once everything is saved");
    let lease = LeaseId([1; 32]);
    let commands = play.on(Event::Committed { lease, result: Ok(()) });
    assert_eq!(commands[0], Command::MarkCommitted(lease));
    assert!(
        matches!(commands[1], Command::Deliver { .. }),
        "outputs follow the acknowledged commit: {commands:?}"
    );
    let commands = play.on(Event::Delivered { lease, result: Ok(()) });
    assert_eq!(commands[0], Command::Forget { lease, handed_in: true });
}

#[test]
fn a_lease_that_comes_while_its_program_is_in_use_gets_its_own_inputs() {
    let mut play = Play::running();
    play.finish(10);
    play.finish(11);
    let commands = play.later(30_000);
    assert!(
        commands.iter().any(|c| matches!(c, Command::Heartbeat { wants_work: true, .. })),
        "more than half done, the next lease is asked for: {commands:?}"
    );
    let key = Key::from_seed(&Zeroizing::new([9; 32]));
    let other = Hash([44; 32]);
    let mut next = lease(2, 1, play.now).into_message();
    next.slices[0].inputs[0].blob = other;
    let commands = play.beat(vec![lease(1, 3, START), key.sign(&NETWORK, next)]);
    assert!(commands.contains(&Command::Fetch(other)), "{commands:?}");
    play.fetched(other);
    assert_eq!(run_of(&play.finish(12)), Some(slice(20)), "without a pause between the bundles");
}

#[test]
fn a_slice_that_is_not_saved_is_not_committed() {
    let mut play = Play::running();
    play.finish(10);
    play.finish(11);
    let commands = play.on(WorkerNews::Done { slice: slice(12) });
    assert!(
        !commands.iter().any(|c| matches!(c, Command::Commit { .. })),
        "its output is not on the disk yet"
    );
    let commands = play.on(Event::NotSaved { lease: LeaseId([1; 32]), slice: slice(12) });
    assert_eq!(run_of(&commands), Some(slice(12)), "it is computed again");
}

#[test]
fn taking_the_card_back_goes_from_suspend_to_release_to_the_end_of_the_process() {
    let mut play = Play::running();
    assert_eq!(play.on(Event::Wished(None)), [Command::Preempt], "at once, in the same call");
    assert_eq!(play.on(WorkerNews::Yielded), []);
    assert_eq!(play.schedule.next_at(), Some(play.now.plus(RELEASE_AFTER)));
    assert_eq!(play.later(499), []);
    assert_eq!(play.later(1), [Command::Release], "half a second later the memory is freed");
    assert_eq!(play.on(WorkerNews::Checkpointed), [Command::Close]);
    assert_eq!(play.on(WorkerNews::Died), []);
    assert!(play.schedule.is_card_free());
    let commands = play.on(Event::Wished(Some(Pace::AWAY)));
    assert_eq!(commands[0], Command::Open, "an end that was asked for is no failure: {commands:?}");
}

#[test]
fn a_short_pause_goes_on_in_the_same_process() {
    let mut play = Play::running();
    play.on(Event::Wished(None));
    play.on(WorkerNews::Yielded);
    play.later(300);
    assert_eq!(play.on(Event::Wished(Some(Pace::NEAR)))[0], Command::Resume(Pace::NEAR));
    assert_eq!(run_of(&play.finish(10)), Some(slice(11)));
}

#[test]
fn a_slice_that_ends_while_the_card_is_taken_back_counts() {
    let mut play = Play::running();
    play.on(Event::Wished(None));
    let commands = play.finish(10);
    assert_eq!(commands, [Command::Close], "nothing new is begun");
    play.on(WorkerNews::Died);
    assert_eq!(play.schedule.work().map(|w| w.finished), Some(1));
}

#[test]
fn a_worker_killed_in_the_middle_goes_on_with_the_same_slice() {
    let mut play = Play::running();
    play.finish(10);
    assert_eq!(play.on(WorkerNews::Died), [], "not at once: a driver needs a moment");
    let commands = play.later(1000);
    assert_eq!(commands, [Command::Open]);
    play.on(WorkerNews::Opened(adapter(true)));
    let commands = play.on(WorkerNews::Loaded);
    assert_eq!(run_of(&commands), Some(slice(11)), "what was saved is not computed again");
}

#[test]
fn a_slice_that_kills_three_workers_is_handed_back() {
    let mut play = Play::running();
    for _ in 0..2 {
        play.on(WorkerNews::Died);
        assert_eq!(play.later(10_000), [Command::Open]);
        play.on(WorkerNews::Opened(adapter(true)));
        assert_eq!(run_of(&play.on(WorkerNews::Loaded)), Some(slice(10)));
    }
    let commands = play.on(WorkerNews::Died);
    assert_eq!(commands[0], Command::Forget { lease: LeaseId([1; 32]), handed_in: false });
    let returned = commands.iter().find_map(|command| match command {
        Command::Heartbeat { returned, .. } => Some(returned.clone()),
        _ => None,
    });
    assert_eq!(returned, Some(vec![LeaseId([1; 32])]), "somebody else may have more luck");
}

#[test]
fn a_worker_that_never_opens_is_given_a_rest_and_a_person_is_told() {
    let mut play = Play::new(Vec::new());
    play.on(Event::Permitted(true));
    for failures in 1..FAILING_AFTER {
        assert_eq!(play.on(WorkerNews::NotOpened { no_driver: false }), []);
        assert_eq!(play.schedule.failing_until(), None);
        assert_eq!(play.later(pause(failures, 0).as_millis() as u64), [Command::Open]);
    }
    play.on(WorkerNews::NotOpened { no_driver: false });
    assert_eq!(play.schedule.failing_until(), Some(play.now.plus(FAILING_FOR)));
    assert_eq!(play.later(300_000), [], "it rests");
    assert_eq!(play.later(300_000), [Command::Open]);
}

#[test]
fn a_restart_goes_on_with_saved_leases() {
    let finished = BTreeMap::from([(slice(10), (Hash([10; 32]), 500))]);
    let half = RestoredLease { lease: lease(1, 3, START), committed: false, finished };
    let finished = BTreeMap::from([(slice(20), (Hash([20; 32]), 500))]);
    let sealed = RestoredLease { lease: lease(2, 1, START), committed: true, finished };
    let mut play = Play::new(vec![half, sealed]);
    play.on(Event::Permitted(true));
    play.on(Event::Wished(Some(Pace::AWAY)));
    play.on(WorkerNews::Opened(adapter(true)));
    let at = play.now.plus(AHEAD);
    let commands = play.on(Event::Enrolled { at });
    assert!(
        commands.contains(&Command::Deliver { lease: LeaseId([2; 32]), bundle: BundleId([2; 32]) }),
        "the sealed one is delivered: {commands:?}"
    );
    let holding = commands.iter().find_map(|command| match command {
        Command::Heartbeat { holding, .. } => Some(holding.len()),
        _ => None,
    });
    assert_eq!(holding, Some(2));
    assert!(commands.contains(&Command::Fetch(PROGRAM)));
    play.fetched(PROGRAM);
    play.on(Event::ProgramRead { program: PROGRAM, result: Ok(program()) });
    play.fetched(SOURCE);
    play.fetched(INPUT);
    assert_eq!(
        run_of(&play.on(WorkerNews::Loaded)),
        Some(slice(11)),
        "the finished slice is not computed again"
    );
}

#[test]
fn a_lease_that_the_coordinator_no_longer_lists_is_dropped() {
    let mut play = Play::running();
    let commands = play.later(30_000);
    assert!(matches!(&commands[..], [Command::Heartbeat { .. }]), "{commands:?}");
    let commands = play.beat(Vec::new());
    assert_eq!(
        commands[..2],
        [Command::Close, Command::Forget { lease: LeaseId([1; 32]), handed_in: false }]
    );
}

#[test]
fn a_lease_granted_after_the_heartbeat_was_sent_is_not_dropped_by_its_answer() {
    let mut play = Play::running();
    play.on(Event::NoBeat(FaultKind::Unreachable));
    play.later(30_000);
    // The heartbeat under way named lease 1; lease 2 cannot be missing from its answer.
    let both = vec![lease(1, 3, START), lease(2, 1, play.now)];
    play.beat(both);
    let commands = play.beat(vec![lease(1, 3, START)]);
    assert!(!commands.iter().any(|c| matches!(c, Command::Forget { .. })), "an unasked answer drops nothing");
}

#[test]
fn before_the_deadline_what_is_finished_is_sealed_and_what_is_not_begun_is_handed_back() {
    let mut play = Play::running();
    play.finish(10);
    // The margin is a tenth of 600 s, at most a minute; the coordinator's clock being an hour ahead changes nothing.
    let commands = play.later(539_000);
    assert!(!commands.iter().any(|c| matches!(c, Command::Commit { .. })));
    let commands = play.later(1000);
    let digests = commands.iter().find_map(|command| match command {
        Command::Commit { digests, .. } => Some(digests.len()),
        _ => None,
    });
    assert_eq!(digests, Some(1), "the finished slice is not lost: {commands:?}");

    let mut play = Play::running();
    let commands = play.later(540_000);
    assert!(
        commands.contains(&Command::Forget { lease: LeaseId([1; 32]), handed_in: false }),
        "{commands:?}"
    );
}

#[test]
fn a_lost_line_does_not_stop_the_card_and_is_tried_again_with_growing_pauses() {
    let mut play = Play::running();
    let beats = |commands: Vec<Command>| commands.iter().any(|c| matches!(c, Command::Heartbeat { .. }));
    assert!(beats(play.later(30_000)));
    for seconds in [1, 2, 4, 8] {
        play.on(Event::NoBeat(FaultKind::Unreachable));
        assert!(!beats(play.later(seconds * 1000 - 1)), "not before {seconds} s");
        assert!(beats(play.later(1)), "after {seconds} s");
    }
    assert!(play.schedule.is_computing(), "the work at hand goes on offline");
    let LinkState::Down { since_at, .. } = play.schedule.link() else { panic!("the line is down") };
    assert_eq!(since_at, START.plus(Duration::from_secs(30)), "since the first failure");
}

#[test]
fn a_refused_program_is_handed_back_and_never_taken_again() {
    let mut play = Play::ready(Vec::new());
    let first = lease(1, 2, play.now);
    play.beat(vec![first]);
    play.fetched(PROGRAM);
    let commands = play.on(Event::ProgramRead { program: PROGRAM, result: Err(ProgramFault::Refused) });
    assert!(commands.contains(&Command::Forget { lease: LeaseId([1; 32]), handed_in: false }));
    assert!(!play.schedule.needed_blobs().contains(&PROGRAM));
    let another = lease(2, 2, play.now);
    play.later(30_000);
    let commands = play.beat(vec![another]);
    assert!(!commands.iter().any(|c| matches!(c, Command::Fetch(_) | Command::SaveLease(_))), "{commands:?}");
}

#[test]
fn slices_that_do_not_fit_their_program_are_refused_before_anything_is_fetched() {
    let mut play = Play::ready(Vec::new());
    let key = Key::from_seed(&Zeroizing::new([9; 32]));
    let mut wrong = lease(1, 2, play.now).into_message();
    wrong.slices[1].inputs[0].bytes = 12;
    play.beat(vec![key.sign(&NETWORK, wrong)]);
    play.fetched(PROGRAM);
    let commands = play.on(Event::ProgramRead { program: PROGRAM, result: Ok(program()) });
    assert!(commands.contains(&Command::Forget { lease: LeaseId([1; 32]), handed_in: false }));
    assert!(!commands.contains(&Command::Fetch(INPUT)));
}

#[test]
fn the_processor_is_no_card_outside_a_local_network() {
    let mut schedule = Schedule::new(false, 0, Vec::new(), START);
    schedule.on(Event::Permitted(true), START);
    schedule.on(Event::Wished(Some(Pace::AWAY)), START);
    let commands = schedule.on(WorkerNews::Opened(adapter(true)).into(), START);
    assert_eq!(commands, [Command::Close], "it does not even introduce itself");
    assert!(schedule.software_refused());
}

#[test]
fn nothing_is_said_before_it_is_permitted() {
    let mut play = Play::new(Vec::new());
    assert_eq!(play.on(Event::Wished(Some(Pace::AWAY))), []);
    assert_eq!(play.later(600_000), []);
    assert_eq!(play.schedule.next_at(), None, "and nothing wakes up for it");
}

#[test]
fn the_coordinator_is_not_called_more_often_than_it_asked_for() {
    let mut play = Play::running();
    let mut beats = 0;
    for _ in 0..60 {
        let commands = play.later(1000);
        if commands.iter().any(|c| matches!(c, Command::Heartbeat { .. })) {
            beats += 1;
            play.beat(vec![lease(1, 3, START)]);
        }
    }
    assert_eq!(beats, 2, "every 30 s");
}
