//! The engine at its boundary: what comes in by hand, what goes out looked at, time by hand, no sleep.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use protocol::frames::{Adapter, Confinement, Pace, Wall};
use protocol::id::{BundleId, Hash, LeaseId, PublisherId, SliceId};
use protocol::local::{Preferences, ReasonCode, Snooze, State as Shown};
use protocol::manifest::{Buffer, Cost, Family, InputRange, Kernel, Module, Program, Role, Stage, Validator};
use protocol::profile::{ChainProfile, Coordinator, Parameters};
use protocol::receipt::Receipt;
use protocol::units::BaseUnits;
use protocol::wire::{Enrolled, KernelAnswer, KnownAnswers, Refusal, RefusalCode};
use protocol::work::{SliceRef, WorkLease};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::client::RequestError;
use super::keeper::{StoreAsk, StoreNews};
use super::*;
use crate::share::Rule;
use crate::benchmark::BenchProgress;
use crate::conformance::Checked;
use crate::link::{Beat, LinkAsk, LinkEvent, LinkFault};
use crate::policy::Kept;
use crate::runner::{ComputeAsk, ComputeEvent};
use crate::signals::scripted::{Script, quiet_changes, quiet_quick, quiet_slow};
use crate::signals::{Change, Input as Person, Reading};
use crate::store::Restored;

mod household;
mod manners;

const NETWORK: NetworkId = NetworkId([1; 32]);
const START: UnixMillis = UnixMillis(1_795_455_000_000);
const PROGRAM: Hash = Hash([2; 32]);
const SOURCE: Hash = Hash([3; 32]);
const INPUT: Hash = Hash([4; 32]);

fn coordinator() -> Key {
    Key::from_seed(&Zeroizing::new([9; 32]))
}

fn device() -> DeviceId {
    Key::from_seed(&Zeroizing::new([8; 32])).device()
}

fn profile() -> Profile {
    Profile {
        name: "test".to_owned(),
        counter: 1,
        expires_at: UnixMillis(u64::MAX),
        coordinators: vec![Coordinator {
            id: coordinator().coordinator(),
            url: "http://127.0.0.1:9".to_owned(),
        }],
        chain: ChainProfile {
            chain_id: 31337,
            rpc: Vec::new(),
            token: String::new(),
            token_symbol: "EMBER".to_owned(),
            token_decimals: 18,
            distributor: String::new(),
        },
        publishers: BTreeMap::from([("Publisher".to_owned(), PublisherId([5; 32]))]),
        parameters: Parameters {
            maturity_millis: 1,
            epoch_millis: 1,
            lease_millis: 600_000,
            audits_per_unit: [16, 4, 2],
            trusted_permille: 20,
            fee_permille: 50,
            withdrawal_fee: BaseUnits(1),
            delivery_price: BaseUnits::ZERO,
        },
        relays: Vec::new(),
        local: true,
    }
}

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
        stages: vec![Stage { kernel: 0, bindings: vec![0, 1], groups: 1, repeat: 1 }],
        features: Vec::new(),
        cost: Cost { operations: 1, memory_bytes: 1 << 20, max_millis: 1000 },
        validator: Validator::Bitwise,
    })
}

fn adapter() -> Adapter {
    Adapter {
        name: "card".to_owned(),
        backend: "vulkan".to_owned(),
        driver: "1".to_owned(),
        vendor_id: 1,
        device_id: 1,
        software: false,
        max_binding_bytes: 1 << 27,
        features: Vec::new(),
        memory_bytes: None,
    }
}

/// A fresh report of this card.
fn answers(adapter: &Adapter, right: bool) -> KnownAnswers {
    KnownAnswers {
        suite: jobs::conformance::SUITE,
        class: adapter.class(),
        checked_at: START,
        kernels: vec![kernel(right)],
    }
}

fn kernel(right: bool) -> KernelAnswer {
    KernelAnswer { kernel: "bits".to_owned(), right, digest: Hash([6; 32]) }
}

fn ready() -> sandbox::Ready {
    let wall = Wall::Full;
    let confinement = Confinement { files: wall, network: wall, processes: wall, memory: wall, parent: wall };
    sandbox::Ready { adapter: adapter(), confinement }
}

fn slice(n: u8) -> SliceId {
    SliceId([n; 32])
}

fn lease(now: UnixMillis) -> Signed<WorkLease> {
    let refs = (0..3).map(|i| SliceRef {
        slice: slice(i),
        inputs: vec![InputRange { blob: INPUT, offset_bytes: 0, bytes: 8 }],
        params: Vec::new(),
    });
    coordinator().sign(
        &NETWORK,
        WorkLease {
            network: NETWORK,
            coordinator: coordinator().coordinator(),
            device: device(),
            lease: LeaseId([1; 32]),
            bundle: BundleId([1; 32]),
            program: PROGRAM,
            slices: refs.collect(),
            price_per_slice: BaseUnits(1_000_000_000_000_000),
            granted_at: now,
            deadline_at: now.plus(Duration::from_secs(600)),
        },
    )
}

fn opening(restored: Restored, preferences: Preferences) -> Opening {
    Opening {
        network: NETWORK,
        profile: profile(),
        coordinator: coordinator().coordinator(),
        device: device(),
        preferences,
        restored,
        notices: Vec::new(),
        time_zone: TimeZone::UTC,
    }
}

/// A state and its clock.
struct Play {
    state: State,
    now: UnixMillis,
}

impl Play {
    fn new(restored: Restored, preferences: Preferences) -> (Self, Vec<Effect>) {
        let (state, effects) = State::new(opening(restored, preferences), START);
        (Self { state, now: START }, effects)
    }

    /// Welcomed, nobody here, sensors known, ten seconds after the start.
    fn away(preferences: Preferences) -> Self {
        Self::away_with(Restored::default(), preferences)
    }

    fn away_with(mut restored: Restored, preferences: Preferences) -> Self {
        restored.kept.welcomed = true;
        restored.answers.get_or_insert(answers(&adapter(), true));
        let (mut play, effects) = Self::new(restored, preferences);
        assert!(
            effects.iter().any(|e| matches!(e, Effect::Compute(ComputeAsk::Open))),
            "the first look at the card"
        );
        play.compute(ComputeEvent::Opened(ready()));
        play.sensed();
        play.later(10_000);
        play.compute(ComputeEvent::Died { detail: String::new() });
        play
    }

    fn on(&mut self, input: Input) -> Vec<Effect> {
        self.state.on(input, self.now)
    }

    fn compute(&mut self, event: ComputeEvent) -> Vec<Effect> {
        self.on(Input::Compute(event))
    }

    fn link(&mut self, event: LinkEvent) -> Vec<Effect> {
        self.on(Input::Link(event))
    }

    /// Every sensor tells that nobody is here.
    fn sensed(&mut self) {
        for change in quiet_changes(UnixMillis(0)) {
            self.on(Input::Signal(change));
        }
        self.answered();
    }

    /// The sensors answer what they were asked.
    fn answered(&mut self) {
        self.on(Input::Signal(Change::Quick(Box::new(quiet_quick()))));
        self.on(Input::Signal(Change::Slow(Box::new(quiet_slow()))));
    }

    fn person(&mut self, person: Person) -> Vec<Effect> {
        self.on(Input::Signal(Change::Input(Reading::Known(person))))
    }

    /// Lets the time pass as the loop would: never longer than it asked for.
    fn later(&mut self, millis: u64) {
        let until = self.now.plus(Duration::from_millis(millis));
        while self.now < until {
            self.now = self.state.next_at(self.now).min(until).max(UnixMillis(self.now.0 + 1));
            for effect in self.on(Input::Tick) {
                match effect {
                    Effect::Look(_) => {
                        self.on(Input::Signal(Change::Quick(Box::new(quiet_quick()))));
                    }
                    Effect::Poll(_) => {
                        self.on(Input::Signal(Change::Slow(Box::new(quiet_slow()))));
                    }
                    _ => {}
                }
            }
        }
    }

    fn enrolled(&mut self) {
        let enrolled = Enrolled { nonce: protocol::id::Nonce([0; 32]), at: self.now, last_sequence: 0 };
        self.link(LinkEvent::Enrolled(Ok(enrolled)));
    }

    fn beat(
        &mut self,
        leases: Vec<Signed<WorkLease>>,
        receipts: Vec<protocol::sign::Envelope>,
    ) -> Vec<Effect> {
        let next_in = Duration::from_secs(30);
        self.link(LinkEvent::Beat(Ok(Beat { at: self.now, leases, receipts, next_in, no_work: None })))
    }

    /// The first slice of the lease runs.
    fn running(preferences: Preferences) -> Self {
        let mut play = Self::away(preferences);
        play.enrolled();
        let lease = lease(play.now);
        play.beat(vec![lease], Vec::new());
        play.prepared();
        play
    }

    /// Everything that the lease needs arrives, and the worker opens.
    fn prepared(&mut self) {
        self.link(LinkEvent::Fetched { blob: PROGRAM, result: Ok(()) });
        let result = Ok((program(), "Publisher".to_owned()));
        self.on(Input::Stored(StoreNews::Program { program: PROGRAM, result }));
        for blob in [SOURCE, INPUT] {
            self.link(LinkEvent::Fetched { blob, result: Ok(()) });
        }
        self.compute(ComputeEvent::Opened(ready()));
        let effects = self.compute(ComputeEvent::Loaded);
        assert!(ran(&effects).is_some(), "the first slice must run");
        assert_eq!(self.state.status().state, Shown::Sharing);
    }

    fn headline(&self) -> Option<ReasonCode> {
        self.state.status().reasons.first().map(|reason| reason.code)
    }

    fn ask<T>(
        &mut self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> (Vec<Effect>, oneshot::Receiver<Result<T, RequestError>>) {
        let (reply, answer) = oneshot::channel();
        (self.on(Input::Request(request(reply))), answer)
    }
}

fn ran(effects: &[Effect]) -> Option<(SliceId, bool)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Compute(ComputeAsk::Run { run, resume_from }) => {
            Some((run.slice.slice, resume_from.is_some()))
        }
        _ => None,
    })
}

fn suspends(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Compute(ComputeAsk::Suspend { release: false })))
}

fn speaks(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Link(_)))
}

#[test]
fn mouse_movement_preempts_within_the_deadline() {
    let mut play = Play::running(preferences::defaults());
    let effects = play.person(Person::Active);
    let position =
        effects.iter().position(|e| matches!(e, Effect::Compute(ComputeAsk::Suspend { release: false })));
    assert_eq!(position, Some(0), "the suspend leaves in the same call, before anything else");
    assert_eq!(play.headline(), Some(ReasonCode::UserActive));
    assert!(!play.state.status().card.sharing);

    play.compute(ComputeEvent::Yielded { took: Some(Duration::from_micros(12_300)) });
    let status = play.state.status();
    assert_eq!(status.card.yielded_in_millis, Some(12.3), "the measured time is shown, not a promise");
    assert_eq!(status.work.map(|work| work.slices_total), Some(3), "the work is kept while paused");

    play.now = play.now.plus(Duration::from_millis(500));
    let effects = play.on(Input::Tick);
    let released =
        effects.iter().any(|e| matches!(e, Effect::Compute(ComputeAsk::Suspend { release: true })));
    assert!(released, "half a second later the memory goes too");
}

#[test]
fn a_slice_goes_on_from_its_checkpoint_when_the_owner_has_left() {
    let mut play = Play::running(preferences::defaults());
    play.person(Person::Active);
    play.compute(ComputeEvent::Yielded { took: None });
    play.now = play.now.plus(Duration::from_millis(500));
    play.on(Input::Tick);
    let checkpoint = protocol::frames::Checkpoint { stage: 0, repeat: 0, group: 7, state: Vec::new() };
    let effects =
        play.compute(ComputeEvent::Checkpoint { slice: slice(0), checkpoint: Box::new(checkpoint) });
    let saved = effects.iter().any(|e| matches!(e, Effect::Store(StoreAsk::SaveCheckpoint { .. })));
    assert!(saved, "a restart can go on from it too");
    play.compute(ComputeEvent::Died { detail: String::new() });

    let left = play.now;
    play.person(Person::IdleSince(left));
    play.later(299_000);
    assert_eq!(play.headline(), Some(ReasonCode::UserActive), "five minutes are not over");
    play.later(2000);
    play.compute(ComputeEvent::Opened(ready()));
    let effects = play.compute(ComputeEvent::Loaded);
    assert_eq!(ran(&effects), Some((slice(0), true)), "the same slice, from its checkpoint");
}

#[test]
fn a_worker_killed_in_the_middle_of_a_unit_keeps_what_was_saved() {
    let mut play = Play::running(preferences::defaults());
    let output = vec![5; 8];
    let done = ComputeEvent::Done { slice: slice(0), output, device: Duration::from_millis(700) };
    let effects = play.compute(done);
    assert_eq!(ran(&effects), Some((slice(1), false)), "the next slice does not wait for the disk");
    assert!(effects.iter().any(|e| matches!(e, Effect::Store(StoreAsk::SaveOutput { millis: 700, .. }))));
    let saved =
        StoreNews::Saved { lease: LeaseId([1; 32]), slice: slice(0), digest: Hash([5; 32]), millis: 700 };
    play.on(Input::Stored(saved));
    play.compute(ComputeEvent::Died { detail: "killed".to_owned() });
    play.later(2000);
    play.compute(ComputeEvent::Opened(ready()));
    let effects = play.compute(ComputeEvent::Loaded);
    assert_eq!(ran(&effects), Some((slice(1), false)));
    assert_eq!(play.state.status().card.slices_today, 1);
}

#[test]
fn a_restart_restores_lease_checkpoint_and_snooze_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut store = Store::open(dir.path(), &NETWORK, START).unwrap().store;
        store.save_lease(&lease(START)).unwrap();
        let lease = LeaseId([1; 32]);
        store.save_output(&lease, &slice(0), &Hash::of(b"out"), 700, b"out").unwrap();
        let checkpoint = protocol::frames::Checkpoint { stage: 0, repeat: 0, group: 3, state: Vec::new() };
        store.save_checkpoint(&lease, &slice(1), &checkpoint).unwrap();
        let snoozed =
            crate::policy::Snoozed { since_at: START, until_at: Some(START.plus(Duration::from_secs(60))) };
        let kept = Kept { welcomed: true, snoozed: Some(snoozed), ..Kept::default() };
        store.keep_policy(&kept).unwrap();
    }
    let store = Store::open(dir.path(), &NETWORK, START).unwrap().store;
    let restored = store.restore(START).unwrap();
    let mut play = Play::away_with(restored, preferences::defaults());
    assert_eq!(play.headline(), Some(ReasonCode::Snoozed), "a snooze outlives a restart");
    play.later(60_000);
    play.enrolled();
    play.link(LinkEvent::Fetched { blob: PROGRAM, result: Ok(()) });
    let result = Ok((program(), "Publisher".to_owned()));
    play.on(Input::Stored(StoreNews::Program { program: PROGRAM, result }));
    for blob in [SOURCE, INPUT] {
        play.link(LinkEvent::Fetched { blob, result: Ok(()) });
    }
    play.compute(ComputeEvent::Opened(ready()));
    let effects = play.compute(ComputeEvent::Loaded);
    assert_eq!(ran(&effects), Some((slice(1), true)), "after the saved slice, from the saved checkpoint");
    assert_eq!(store.outputs(&LeaseId([1; 32])).unwrap().len(), 1);
}

fn receipt(signer: &Key, total: u128) -> Signed<Receipt> {
    let receipt = Receipt {
        network: NETWORK,
        coordinator: coordinator().coordinator(),
        device: device(),
        sequence: 1,
        previous: Hash([0; 32]),
        kind: protocol::credit::CreditKind::Computed,
        bundle: BundleId([1; 32]),
        slices: 3,
        amount: BaseUnits(total),
        total: BaseUnits(total),
        issued_at: START,
        matures_at: START.plus(Duration::from_secs(60)),
        title: "Test".to_owned(),
    };
    signer.sign(&NETWORK, receipt)
}

#[test]
fn a_verified_receipt_is_money_and_a_forged_one_is_a_notice() {
    let mut play = Play::running(preferences::defaults());
    let forged = receipt(&Key::from_seed(&Zeroizing::new([66; 32])), 1 << 60);
    let effects = play.beat(vec![lease(START)], vec![forged.envelope().clone()]);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Store(StoreAsk::AddReceipts(_)))), "it is not kept");
    assert_eq!(play.state.status().today.paid, "0.000000000000000000");
    assert_eq!(play.state.status().notices.len(), 1, "and the owner is told");

    let good = receipt(&coordinator(), 2_000_000_000_000_000_000);
    let effects = play.beat(vec![lease(START)], vec![good.envelope().clone()]);
    assert!(effects.iter().any(|e| matches!(e, Effect::Store(StoreAsk::AddReceipts(r)) if r.len() == 1)));
    assert_eq!(play.state.status().today.paid, "2.000000000000000000");
    let (_, mut credit) = play.ask(|reply| Request::Credit { reply });
    let credit = credit.try_recv().unwrap().unwrap();
    assert_eq!((credit.total, credit.matured), (BaseUnits(2_000_000_000_000_000_000), BaseUnits(0)));
}

fn refused(code: RefusalCode) -> LinkFault {
    LinkFault::Refused(Refusal { code, detail: "no".to_owned() })
}

#[test]
fn a_coordinator_of_another_version_is_a_reason_that_a_person_must_act_on() {
    let mut play = Play::away(preferences::defaults());
    play.link(LinkEvent::Enrolled(Err(refused(RefusalCode::ProtocolVersion))));
    assert_eq!(play.headline(), Some(ReasonCode::CoordinatorVersion));
    assert_eq!(play.state.status().state, Shown::Attention);
}

#[test]
fn a_failing_journal_stops_the_card_and_is_tried_again() {
    let mut play = Play::running(preferences::defaults());
    let failing = || {
        let error = network::JournalError::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
        LinkFault::Net(network::NetError::Journal(error))
    };
    let effects = play.link(LinkEvent::Beat(Err(failing())));
    assert!(suspends(&effects), "work that cannot be handed in is not done");
    assert_eq!(play.headline(), Some(ReasonCode::JournalFailing));
    assert!(!speaks(&effects));
    play.now = play.now.plus(Duration::from_secs(2));
    assert!(speaks(&play.on(Input::Tick)), "after a pause it is tried again");
    play.beat(vec![lease(START)], Vec::new());
    let effects = play.compute(ComputeEvent::Yielded { took: None });
    assert!(effects.iter().any(|e| matches!(e, Effect::Compute(ComputeAsk::Resume(_)))));
    assert_eq!(play.headline(), None, "and it goes on by itself");
}

#[test]
fn a_full_disk_stops_the_card_and_loses_no_slice() {
    let mut play = Play::running(preferences::defaults());
    play.compute(ComputeEvent::Done {
        slice: slice(0),
        output: vec![1; 8],
        device: Duration::from_millis(700),
    });
    let failed = StoreNews::NotSaved { lease: LeaseId([1; 32]), slice: slice(0), disk_full: true };
    let effects = play.on(Input::Stored(failed));
    assert!(suspends(&effects));
    assert_eq!(play.headline(), Some(ReasonCode::DiskLow));
    assert_eq!(play.state.status().notices[0].code, ErrorCode::DiskFull);
    play.compute(ComputeEvent::Yielded { took: None });
    play.later(120_000);
    assert_eq!(play.headline(), Some(ReasonCode::Starting), "with room again it starts by itself");
}

#[test]
fn a_sensor_that_hangs_counts_as_somebody_who_is_here() {
    let mut play = Play::running(preferences::defaults());
    let mut stopped = false;
    let mut wakes = 0;
    let until = play.now.plus(Duration::from_secs(20));
    while play.now < until {
        play.now = play.state.next_at(play.now);
        stopped |= suspends(&play.on(Input::Tick));
        wakes += 1;
    }
    assert!(stopped, "nobody answers the polls");
    assert!(wakes < 10, "waiting for an answer must not keep the processor busy: {wakes} wake-ups");
    assert_eq!(play.headline(), Some(ReasonCode::CpuBusy));
}

#[test]
fn after_sleep_the_machine_belongs_to_its_owner_first() {
    let mut play = Play::running(preferences::defaults());
    play.now = play.now.plus(Duration::from_secs(120));
    let effects = play.on(Input::Tick);
    assert!(suspends(&effects));
    assert_eq!(play.headline(), Some(ReasonCode::SystemSleep));
}

#[test]
fn before_welcome_nothing_is_said_and_nothing_is_opened() {
    let (mut play, effects) = Play::new(Restored::default(), preferences::defaults());
    assert!(!speaks(&effects) && !effects.iter().any(|e| matches!(e, Effect::Compute(_))));
    for _ in 0..50 {
        play.now = play.state.next_at(play.now);
        let effects = play.on(Input::Tick);
        assert!(!speaks(&effects) && !effects.iter().any(|e| matches!(e, Effect::Compute(_))));
    }
    let (effects, _) = play.ask(|reply| Request::FinishWelcome { autostart: true, reply });
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Compute(ComputeAsk::Open))),
        "now it looks at the card"
    );
    assert!(play.state.status().welcomed);
}

/// What the share was told last.
fn lent(effects: &[Effect]) -> Option<Rule> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Share(rule) => Some(*rule),
        _ => None,
    })
}

#[test]
fn typing_rests_the_card_and_not_the_upload_and_a_vpn_the_other_way_round() {
    let mut play = Play::running(preferences::defaults());
    assert!(play.state.lent.deliver, "nobody is here and nothing speaks against it");
    let effects = play.person(Person::Active);
    assert!(suspends(&effects), "the card is given back");
    assert_eq!((lent(&effects), play.state.lent.deliver), (None, true), "the upload goes on gently");

    let effects = play.on(Input::Signal(Change::Vpn(Reading::Known(true))));
    let rule = lent(&effects).expect("news for the share");
    assert!(!rule.deliver && rule.speak, "the line behind a VPN is not the owner's to lend");
    play.on(Input::Signal(Change::Vpn(Reading::Known(false))));
    let off = Box::new(Preferences { enabled: false, ..preferences::defaults() });
    let (effects, _) = play.ask(|reply| Request::SetPreferences { preferences: off, reply });
    let rule = lent(&effects).expect("news for the share");
    assert!(!rule.deliver && !rule.speak, "turned off means silence");
}

#[test]
fn a_line_that_was_never_measured_is_not_lent_and_the_limit_is_the_lesser_of_two() {
    let mut play = Play::away(preferences::defaults());
    play.state.profile.local = false;
    play.enrolled();
    assert!(play.state.lent.speak && !play.state.lent.deliver, "nobody knows what would be left of it");
    let own = Box::new(Preferences { upload_kbits: 3_000, ..preferences::defaults() });
    let (effects, _) = play.ask(|reply| Request::SetPreferences { preferences: own, reply });
    let rule = Rule { speak: true, deliver: true, limit_bits_per_s: Some(3_000_000) };
    assert_eq!(lent(&effects), Some(rule), "unless its owner says what may be taken");

    let measured = |up_bits_per_s| protocol::local::Benchmark { up_bits_per_s, ..protocol::local::Benchmark::default() };
    let limit = |kbits, up| {
        let preferences = Preferences { upload_kbits: kbits, ..preferences::defaults() };
        crate::status::upload_limit(&preferences, Some(&measured(up)))
    };
    assert_eq!(limit(0, Some(20_000_000)), Some(15_000_000), "three quarters of the line");
    assert_eq!(limit(50_000, Some(20_000_000)), Some(15_000_000), "more than that the owner cannot lend");
    assert_eq!(limit(2_000, Some(20_000_000)), Some(2_000_000));
    assert_eq!(limit(0, None), None);
}

#[test]
fn sharing_now_is_offered_once() {
    let mut play = Play::away(preferences::defaults());
    play.person(Person::Active);
    assert_eq!(play.headline(), Some(ReasonCode::UserActive));
    play.ask(|reply| Request::ShareNow { reply });
    assert_ne!(play.headline(), Some(ReasonCode::UserActive));
    let (_, mut again) = play.ask(|reply| Request::ShareNow { reply });
    assert!(matches!(again.try_recv().unwrap(), Err(RequestError::ShareNowUsed)));
    play.later(600_000);
    assert_eq!(play.headline(), Some(ReasonCode::UserActive), "after ten minutes the rule is back");
}

#[test]
fn a_snooze_takes_the_card_back_and_is_saved_before_it_is_confirmed() {
    let mut play = Play::running(preferences::defaults());
    let (effects, mut answer) = play.ask(|reply| Request::Snooze { span: Snooze::UntilTomorrow, reply });
    assert!(suspends(&effects));
    assert!(effects.iter().any(|e| matches!(e, Effect::Store(StoreAsk::KeepPolicy { .. }))));
    drop(effects);
    assert!(answer.try_recv().is_err(), "only the store's thread confirms it");
    let until = play.state.status().snooze.and_then(|snooze| snooze.until_at);
    assert_eq!(until, Some(UnixMillis(1_795_500_000_000)), "six in the morning of the 24th");
}

#[test]
fn preferences_out_of_range_change_nothing() {
    let mut play = Play::running(preferences::defaults());
    let wrong = Box::new(Preferences { card_percent: 5, ..preferences::defaults() });
    let (effects, mut answer) = play.ask(|reply| Request::SetPreferences { preferences: wrong, reply });
    assert!(!effects.iter().any(|e| matches!(e, Effect::Store(_))));
    let error = answer.try_recv().unwrap().unwrap_err();
    assert_eq!(error.local().code, ErrorCode::Preference);
    assert!(
        error.local().detail.contains("card_percent is 5, allowed are 10 to 100"),
        "{}",
        error.local().detail
    );
    let (_, mut answer) = play.ask(|reply| Request::Preferences { reply });
    assert_eq!(answer.try_recv().unwrap().unwrap(), preferences::defaults());
}

#[test]
fn work_that_costs_more_than_it_pays_is_handed_back_and_not_asked_for_again() {
    // 0.001 tokens a slice, 0.7 s each: 5.1 tokens an hour, worth 0.0051; 200 W at 0.30 cost 0.06.
    let costly = Preferences {
        watts: Some(200),
        electricity_milli_per_kwh: Some(300),
        token_milli: Some(1),
        ..preferences::defaults()
    };
    let mut play = Play::running(costly);
    play.compute(ComputeEvent::Done {
        slice: slice(0),
        output: vec![1; 8],
        device: Duration::from_millis(700),
    });
    let saved =
        StoreNews::Saved { lease: LeaseId([1; 32]), slice: slice(0), digest: Hash([5; 32]), millis: 700 };
    let effects = play.on(Input::Stored(saved));
    assert_eq!(play.headline(), Some(ReasonCode::AtALoss));
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::Link(LinkAsk::Commit { digests, .. }) if digests.len() == 1)),
        "what is finished is still handed in"
    );
    let reason = play.state.status().reasons[0].clone();
    assert_eq!((reason.seen, reason.limit), (Some(60), Some(5)), "cost and pay of an hour, in thousandths");
}

#[test]
fn a_measurement_waits_until_the_card_is_free_and_can_be_cancelled() {
    let mut play = Play::running(preferences::defaults());
    let (effects, _) = play.ask(|reply| Request::Measure { reply });
    assert!(
        suspends(&effects) && !effects.iter().any(|e| matches!(e, Effect::Measure)),
        "two at once measure nothing"
    );
    assert_eq!(play.headline(), Some(ReasonCode::Benchmarking));
    play.compute(ComputeEvent::Yielded { took: None });
    play.later(500);
    play.compute(ComputeEvent::Released);
    let effects = play.compute(ComputeEvent::Died { detail: String::new() });
    assert!(effects.iter().any(|e| matches!(e, Effect::Measure)));
    let (effects, _) = play.ask(|reply| Request::CancelMeasure { reply });
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelMeasure)));
    let late = protocol::local::Benchmark { permille: 1000, rtt_millis: Some(1.0), ..Default::default() };
    play.on(Input::Bench(BenchProgress { benchmark: Box::new(late), confinement: None }));
    assert_eq!(play.state.status().benchmark, None, "the last word of a cancelled measurement is not shown");
    assert_ne!(play.headline(), Some(ReasonCode::Benchmarking));
}

#[test]
fn an_unchanged_status_is_not_shown_again() {
    let mut play = Play::running(preferences::defaults());
    let effects = play.person(Person::IdleSince(UnixMillis(5)));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Show(_))), "nobody is woken for nothing");
}

/// Ends of a scripted engine: what it asked of link and worker.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn note(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Ended = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Link for Heard {
    fn give(&mut self, ask: LinkAsk) {
        self.note(format!("{ask:?}"));
    }
    fn stop(self: Box<Self>) -> Ended {
        Box::pin(async move { self.note("link stopped".to_owned()) })
    }
}

impl Compute for Heard {
    fn give(&mut self, ask: ComputeAsk) {
        self.note(format!("{ask:?}"));
    }
    fn stop(self: Box<Self>) -> Ended {
        Box::pin(async move { self.note("worker stopped".to_owned()) })
    }
}

impl Check for Heard {
    fn start(&mut self, _: Pace) {
        self.note("check".to_owned());
    }
    fn cancel(&mut self) {
        self.note("cancel the check".to_owned());
    }
    fn stop(self: Box<Self>) -> Ended {
        Box::pin(async move { self.note("check stopped".to_owned()) })
    }
}

impl Bench for Heard {
    fn start(&mut self) {
        self.note("measure".to_owned());
    }
    fn cancel(&mut self) {
        self.note("cancel".to_owned());
    }
    fn stop(self: Box<Self>) -> Ended {
        Box::pin(async move { self.note("measurement stopped".to_owned()) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loop_answers_shows_and_ends_with_all_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &NETWORK, START).unwrap().store;
    let (tell, inputs) = mpsc::unbounded_channel();
    let keeper_tell = tell.clone();
    let shelf = Shelf::open(&dir.path().join("blobs")).unwrap();
    let tell_store = Box::new(move |input| drop(keeper_tell.send(input)));
    let data_dir = dir.path().to_owned();
    let keeper = Keeper::start(store, data_dir, shelf, NETWORK, BTreeMap::new(), tell_store).unwrap();
    let (heard, script) = (Heard::default(), Script::default());
    script.tell(Change::Input(Reading::Known(Person::Active)));
    let parts = Parts {
        link: Box::new(heard.clone()),
        share: None,
        compute: Box::new(heard.clone()),
        bench: Box::new(heard.clone()),
        check: Box::new(heard.clone()),
        signals: Box::new(script.source()),
        keeper,
        journal: Arc::new(SqliteJournal::open(dir.path(), START).unwrap()),
        clock: Arc::new(|| START),
        inputs,
        tell,
    };
    let (state, effects) = State::new(opening(Restored::default(), preferences::defaults()), START);
    let (client, stop, task) = run(state, effects, parts);
    assert_eq!(client.status().borrow().reasons[0].code, ReasonCode::NotWelcomed);

    client.ask(|reply| Request::FinishWelcome { autostart: true, reply }).await.unwrap();
    client.ask(|reply| Request::Snooze { span: Snooze::UntilResume, reply }).await.unwrap();
    let mut status = client.status();
    let shown = status.wait_for(|status| status.snooze.is_some()).await.unwrap().clone();
    assert_eq!(shown.state, Shown::Paused);
    let export = client
        .ask(|reply| Request::ExportJournal { format: protocol::local::ExportFormat::Csv, reply })
        .await;
    assert!(
        export.unwrap().text.starts_with("opened_at,"),
        "a read of the journal comes back through its thread"
    );

    drop(stop);
    task.await.unwrap();
    assert!(matches!(client.ask(|reply| Request::Resume { reply }).await, Err(RequestError::Stopped)));
    let heard = heard.all();
    for part in ["link stopped", "worker stopped", "measurement stopped", "check stopped"] {
        assert!(heard.iter().any(|what| what == part), "{part} is missing in {heard:?}");
    }
    let store = Store::open(dir.path(), &NETWORK, START).unwrap().store;
    let kept = store.restore(START).unwrap().kept;
    assert!(kept.welcomed && kept.snoozed.is_some(), "what was confirmed is on the disk");
    assert!(preferences::load(dir.path(), START).unwrap().preferences.autostart);
}

#[test]
fn the_pace_of_a_slice_follows_the_owner_s_share_of_the_card() {
    let half = Preferences { card_percent: 50, ..preferences::defaults() };
    let mut play = Play::running(half);
    let done = ComputeEvent::Done { slice: slice(0), output: vec![1; 8], device: Duration::from_millis(1) };
    let paces: Vec<Pace> = play
        .compute(done)
        .iter()
        .filter_map(|effect| match effect {
            Effect::Compute(ComputeAsk::Run { run, .. }) => Some(run.pace),
            _ => None,
        })
        .collect();
    assert_eq!(paces, [Pace { duty_percent: 50, ..Pace::AWAY }]);
}

/// Asks to check the card, to stop checking it.
fn checks(effects: &[Effect]) -> (bool, bool) {
    let any = |wanted: fn(&Effect) -> bool| effects.iter().any(wanted);
    (any(|e| matches!(e, Effect::Check(_))), any(|e| matches!(e, Effect::CancelCheck)))
}

fn enrolments(effects: &[Effect]) -> Vec<Option<bool>> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Link(LinkAsk::Enroll { answers, .. }) => Some(answers),
        _ => None,
    });
    told.map(|answers| answers.as_ref().map(KnownAnswers::are_right)).collect()
}

fn wants_work(effects: &[Effect]) -> Option<bool> {
    effects.iter().find_map(|effect| match effect {
        Effect::Link(LinkAsk::Heartbeat { wants_work, .. }) => Some(*wants_work),
        _ => None,
    })
}

/// A card that was never checked: away, opened once, closed again. Returns what followed from its being free.
fn unchecked() -> (Play, Vec<Effect>) {
    let kept = Kept { welcomed: true, ..Kept::default() };
    let (mut play, _) = Play::new(Restored { kept, ..Restored::default() }, preferences::defaults());
    play.sensed();
    let effects = play.compute(ComputeEvent::Opened(ready()));
    assert_eq!(enrolments(&effects), [None], "it introduces itself without an answer");
    play.later(10_000);
    let effects = play.compute(ComputeEvent::Died { detail: String::new() });
    (play, effects)
}

#[test]
fn a_new_card_answers_known_questions_before_it_takes_work() {
    let (mut play, effects) = unchecked();
    assert_eq!(checks(&effects), (true, false), "the card is free and nobody is here");
    play.enrolled();
    assert_eq!(wants_work(&play.beat(Vec::new(), Vec::new())), None);
    play.later(31_000);

    let effects = play.person(Person::Active);
    assert_eq!(checks(&effects), (false, true), "the check gives the card back at once");
    let late = play.on(Input::Checked(Ok(Checked { adapter: adapter(), kernels: vec![kernel(true)] })));
    assert!(enrolments(&late).is_empty(), "the last word of a check that was broken off counts for nothing");
    let left = play.now;
    play.person(Person::IdleSince(left));
    play.later(299_000);
    play.now = play.now.plus(Duration::from_secs(2));
    assert_eq!(checks(&play.on(Input::Tick)), (true, false), "and begins again");
    play.beat(Vec::new(), Vec::new());

    let effects = play.on(Input::Checked(Ok(Checked { adapter: adapter(), kernels: vec![kernel(true)] })));
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Store(StoreAsk::KeepAnswers(_)))),
        "a restart knows it"
    );
    assert_eq!(enrolments(&effects), [Some(true)], "the coordinator is told");
    assert_eq!(wants_work(&effects), Some(true), "and asked for work in the same breath");
}

#[test]
fn a_card_that_answers_wrongly_computes_nothing_and_its_owner_is_told_why() {
    let (mut play, _) = unchecked();
    play.enrolled();
    let lease = lease(play.now);
    play.beat(vec![lease], Vec::new());
    let effects = play.on(Input::Checked(Ok(Checked { adapter: adapter(), kernels: vec![kernel(false)] })));
    assert_eq!(enrolments(&effects), [Some(false)]);
    assert_eq!(play.state.status().state, Shown::Attention);
    assert_eq!(play.headline(), Some(ReasonCode::Miscomputes));
    assert!(play.state.schedule.work().is_none(), "what it held goes back");
    play.enrolled();
    play.later(60_000);
    assert!(play.state.schedule.is_card_free(), "no worker is started for work");

    let updated = Adapter { driver: "2".to_owned(), ..adapter() };
    play.now = play.now.plus(Duration::from_secs(24 * 3600));
    play.answered();
    play.on(Input::Checked(Ok(Checked { adapter: updated, kernels: vec![kernel(true)] })));
    assert_ne!(
        play.headline(),
        Some(ReasonCode::Miscomputes),
        "a day later, with a newer driver, it is fine"
    );
}

#[test]
fn a_driver_that_changed_while_hearth_runs_is_checked_before_the_next_slice() {
    let mut play = Play::running(preferences::defaults());
    play.compute(ComputeEvent::Died { detail: "the driver was updated".to_owned() });
    play.later(2000);
    let updated = Adapter { driver: "2".to_owned(), ..adapter() };
    let effects = play.compute(ComputeEvent::Opened(sandbox::Ready { adapter: updated.clone(), ..ready() }));
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Compute(ComputeAsk::Close))) && ran(&effects).is_none(),
        "the worker ends before it gets anything"
    );
    let effects = play.compute(ComputeEvent::Died { detail: String::new() });
    assert_eq!(checks(&effects), (true, false));
    let effects = play.on(Input::Checked(Ok(Checked { adapter: updated, kernels: vec![kernel(true)] })));
    assert_eq!(enrolments(&effects), [Some(true)], "a new class introduces itself");
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Compute(ComputeAsk::Open))),
        "and goes on with its lease"
    );
}
