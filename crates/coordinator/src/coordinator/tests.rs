//! Audits by contributors, driven on the loop's own functions: devices of different networks cannot be had on
//! loopback, where everybody calls from the same prefix.

mod classes;
mod deliveries;
mod values;

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::PROTOCOL_VERSION;
use protocol::frames::{Adapter, Class};
use protocol::manifest::{
    Buffer, Cost, Family, InputRange, Kernel, Module, Program, Role, SLICES_PER_UNIT, SlicePlan, Stage,
    UnitPlan, Validator, Vector,
};
use protocol::profile::{ChainProfile, Parameters};
use protocol::units::BaseUnits;
use protocol::wire::{KnownAnswers, NoWork};
use protocol::work::WorkResult;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::*;
use crate::store::ledger;
use crate::verifier::{self, SliceInputs, Verifier};

/// Devices from this many networks; enough that audits go to contributors.
const DEVICES: u8 = 12;

/// The driver that the verifier has, and everybody else who is not said to have another one.
const DRIVER: &str = "1";
const START: u64 = 1_000_000_000;

struct Scene {
    coordinator: Coordinator,
    batches: std::sync::mpsc::Receiver<Batch>,
    truth: Truth,
    job: JobId,
    clock: Arc<AtomicU64>,
    nonces: AtomicU64,
    folder: tempfile::TempDir,
}

/// What a job is made of, beside the toy's usual.
struct Play {
    units: usize,
    /// Audits per unit.
    audits: u16,
    validator: Validator,
    /// Param of a slice by its number in the job.
    param: fn(usize) -> u32,
    /// What the verifier computes on.
    verifier: Option<Class>,
}

impl Play {
    /// A job of integers, from a verifier of everybody's class.
    fn new(units: usize, audits: u16) -> Self {
        let (validator, verifier) = (Validator::Bitwise, Some(adapter(DRIVER).class()));
        Self { units, audits, validator, param: |n| n as u32, verifier }
    }
}

/// A verifier that is always right, and counts what it runs.
struct Truth {
    class: Option<Class>,
    runs: usize,
}

impl Verifier for Truth {
    fn compute(
        &mut self,
        _: &Program,
        _: &[String],
        slices: &mut dyn Iterator<Item = SliceInputs>,
    ) -> Result<Vec<Vec<u8>>, VerifierError> {
        let outputs: Vec<Vec<u8>> = slices.map(|slice| output(&slice.inputs, &slice.params)).collect();
        self.runs += outputs.len();
        Ok(outputs)
    }

    fn class(&self) -> Option<Class> {
        self.class.clone()
    }
}

fn adapter(driver: &str) -> Adapter {
    Adapter {
        name: "scripted".into(),
        backend: "vulkan".into(),
        driver: driver.into(),
        vendor_id: 1,
        device_id: 1,
        software: false,
        max_binding_bytes: 1,
        features: Vec::new(),
        memory_bytes: None,
    }
}

fn key(n: u8) -> Key {
    Key::from_seed(&Zeroizing::new([n; 32]))
}

fn device(n: u8) -> DeviceId {
    key(n).device()
}

/// Side of the matrices of a job of products.
const SIDE: u32 = 4;

/// The right output of a slice: its param, or the product of its inputs, of which the right one lies transposed.
fn output(inputs: &[Vec<u8>], params: &[u32]) -> Vec<u8> {
    let [left, right] = inputs else { return params[0].to_le_bytes().to_vec() };
    let side = SIDE as usize;
    let cell = |row: &[u8], column: &[u8]| -> i32 {
        row.iter().zip(column).map(|(&a, &b)| i32::from(a as i8) * i32::from(b as i8)).sum()
    };
    let rows = left.chunks(side).flat_map(|row| right.chunks(side).map(move |column| cell(row, column)));
    rows.flat_map(i32::to_le_bytes).collect()
}

impl Scene {
    /// Twelve unrelated devices, one job, no audit by the trusted verifier; `k` audits per unit.
    fn new(units: usize, k: u16) -> Self {
        Self::with(Play::new(units, k))
    }

    fn with(play: Play) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut store = Store::open(&folder.path().join("coordinator.db")).expect("a new database");
        let blobs = Blobs::open(&folder.path().join("blobs")).expect("an empty store");
        let network = NetworkId([5; 32]);
        let publisher = key(2).publisher();
        let profile = Profile {
            name: "test".into(),
            counter: 1,
            expires_at: UnixMillis(u64::MAX),
            coordinators: Vec::new(),
            chain: ChainProfile {
                chain_id: 1,
                rpc: Vec::new(),
                token: String::new(),
                token_symbol: "EMBER".into(),
                token_decimals: 18,
                distributor: String::new(),
            },
            publishers: BTreeMap::from([("publisher".into(), publisher)]),
            parameters: Parameters {
                maturity_millis: 1000,
                epoch_millis: u64::MAX,
                lease_millis: 60_000,
                audits_per_unit: [play.audits; 3],
                trusted_permille: 0,
                fee_permille: 50,
                withdrawal_fee: BaseUnits(1),
                delivery_price: BaseUnits(80_000),
            },
            relays: Vec::new(),
            local: true,
        };
        let signed = manifest(&blobs, network, &play);
        let stored = blobs.store(&signed.envelope().to_bytes(), Nonce([0; 32])).expect("space");
        store
            .write(|t| {
                ledger::admit_publisher(t, &publisher, "A")?;
                let deposits = BaseUnits(10_000_000);
                ledger::set_publisher(t, &publisher, &ledger::Account { deposits, ..Default::default() })?;
                ledger::set_escrow(t, &crate::credit::Escrow { deposits, ..Default::default() })
            })
            .expect("a deposit");
        let counter = AtomicU64::new(0);
        let clock = Arc::new(AtomicU64::new(START));
        let office = Office {
            network,
            key: Arc::new(key(1)),
            profile,
            accounts: BTreeMap::new(),
            terms: None,
            blobs,
            clock: Arc::new({
                let clock = Arc::clone(&clock);
                move || UnixMillis(clock.load(Ordering::SeqCst))
            }),
            randomness: Arc::new(move || {
                *blake3::hash(&counter.fetch_add(1, Ordering::SeqCst).to_le_bytes()).as_bytes()
            }),
        };
        let (sender, batches) = std::sync::mpsc::channel();
        let mut coordinator = Coordinator::new(office, store, sender);
        let job = coordinator.submit(&signed, stored).expect("a good package");
        let truth = Truth { class: play.verifier, runs: 0 };
        let nonces = AtomicU64::new(0);
        let mut scene = Self { coordinator, batches, truth, job, clock, nonces, folder };
        scene.verify();
        for n in 0..DEVICES {
            scene.enroll(n, DRIVER, None);
        }
        scene
    }

    /// Device `n` says what it computes on, and how it does.
    fn enroll(&mut self, n: u8, driver: &str, answers: Option<KnownAnswers>) {
        let hello = Enroll {
            coordinator: key(1).coordinator(),
            protocol: PROTOCOL_VERSION,
            nonce: self.nonce(),
            sent_at: self.now(),
            adapter: adapter(driver),
            answers,
        };
        self.coordinator.enroll(device(10 + n), &hello, &[n; 32]).expect("a first word");
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.load(Ordering::SeqCst))
    }

    fn pass(&self, millis: u64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    fn nonce(&self) -> Nonce {
        Nonce(*blake3::hash(&self.nonces.fetch_add(1, Ordering::SeqCst).to_be_bytes()).as_bytes())
    }

    /// Carries out every batch of the verifier; returns how many slices were re-run.
    fn verify(&mut self) -> usize {
        let before = self.truth.runs;
        self.coordinator.feed_verifier();
        while let Ok(batch) = self.batches.try_recv() {
            let office = &self.coordinator.office;
            let outcome = verifier::carry_out(&mut self.truth, &office.blobs, &office.network, &batch);
            self.coordinator.verifying = false;
            self.coordinator.verified(batch.kind, outcome).expect("a verdict");
            self.coordinator.feed_verifier();
        }
        self.truth.runs - before
    }

    fn beat(&mut self, n: u8, wants_work: bool) -> HeartbeatAnswer {
        let beat = Heartbeat {
            coordinator: key(1).coordinator(),
            nonce: self.nonce(),
            sent_at: self.now(),
            holding: Vec::new(),
            returned: Vec::new(),
            wants_work,
            last_sequence: 0,
        };
        self.coordinator.heartbeat(device(10 + n), &beat, &[n; 32]).expect("a known device")
    }

    /// One lease of device `n`; `lie` says which params get a wrong output. Returns its slices.
    fn work(&mut self, n: u8, lie: impl Fn(u32) -> bool) -> Vec<u32> {
        // A wrong answer of its own, so that no two devices tell the same lie.
        self.work_as(n, |param, right| if lie(param) { vec![n; right.len()] } else { right })
    }

    /// One lease of device `n`, which hands in what `card` makes of each param and right output.
    fn work_as(&mut self, n: u8, card: impl Fn(u32, Vec<u8>) -> Vec<u8>) -> Vec<u32> {
        let lease = self.lease(n);
        self.hand_in(n, &lease, card);
        lease.slices.iter().map(|s| s.params[0]).collect()
    }

    fn lease(&mut self, n: u8) -> WorkLease {
        let answer = self.beat(n, true);
        let no_work = answer.no_work;
        let envelope = answer.leases.last().unwrap_or_else(|| panic!("no lease: {no_work:?}")).clone();
        let lease: Signed<WorkLease> =
            envelope.verify(&self.coordinator.office.network, &key(1).public()).expect("signed");
        lease.into_message()
    }

    fn hand_in(&mut self, n: u8, lease: &WorkLease, card: impl Fn(u32, Vec<u8>) -> Vec<u8>) {
        let office = &self.coordinator.office;
        let outputs: Vec<(SliceId, Vec<u8>)> = lease
            .slices
            .iter()
            .map(|slice| {
                let read = |range| office.blobs.range(range).expect("an input");
                let inputs: Vec<Vec<u8>> = slice.inputs.iter().map(read).collect();
                (slice.slice, card(slice.params[0], output(&inputs, &slice.params)))
            })
            .collect();
        let digests: Vec<(SliceId, Hash)> =
            outputs.iter().map(|(slice, output)| (*slice, Hash::of(output))).collect();
        let commit = Commit {
            coordinator: key(1).coordinator(),
            lease: lease.lease,
            bundle: lease.bundle,
            digests: digests.clone(),
            device_millis: 1,
        };
        let result = WorkResult {
            coordinator: key(1).coordinator(),
            lease: lease.lease,
            bundle: lease.bundle,
            outputs: outputs.into_iter().map(|(slice, output)| (slice, ByteBuf::from(output))).collect(),
        };
        let envelope = key(10 + n).sign(&office.network, result).envelope().to_bytes();
        let stored = office.blobs.store(&envelope, self.nonce()).expect("space");
        self.coordinator.commit(device(10 + n), &commit, Hash(*lease.lease.as_bytes())).expect("in time");
        self.coordinator.outputs(device(10 + n), lease.lease, digests, stored).expect("as committed");
    }

    fn receipts(&mut self, n: u8) -> Vec<(String, u32)> {
        let answer = self.beat(n, false);
        let network = self.coordinator.office.network;
        answer
            .receipts
            .into_iter()
            .map(|envelope| {
                let receipt: Signed<protocol::receipt::Receipt> =
                    envelope.verify(&network, &key(1).public()).expect("signed");
                (format!("{:?}", receipt.message().kind), receipt.message().slices)
            })
            .collect()
    }

    fn check_books(&self) {
        let report = self.coordinator.ledger().expect("readable");
        assert_eq!(report.totals, report.recounted);
    }
}

fn manifest(blobs: &Blobs, network: NetworkId, play: &Play) -> Signed<Manifest> {
    let source = blobs.store(b"// toy", Nonce([1; 32])).expect("space");
    let products = matches!(play.validator, Validator::Freivalds { .. });
    let (matrix, cells) = (SIDE * SIDE, 4 * SIDE * SIDE);
    let slices = play.units * SLICES_PER_UNIT;
    let mut entries = vec![0; slices * 2 * matrix as usize];
    blake3::Hasher::new().finalize_xof().fill(&mut entries);
    let entries_blob = blobs.store(&entries, Nonce([3; 32])).expect("space");
    let buffer = |name: &str, role, bytes| Buffer { name: name.into(), role, bytes };
    let mut buffers =
        vec![buffer("head", Role::Params, 4), buffer("out", Role::Output, if products { cells } else { 4 })];
    if products {
        buffers.extend(["left", "right"].map(|name| buffer(name, Role::Input, matrix)));
    }
    let body = Program {
        format: 1,
        title: "Toy".into(),
        purpose: "Shows audits by contributors.".into(),
        family: Family::Other,
        modules: vec![Module { blob: source, bytes: 6 }],
        kernels: vec![Kernel { module: 0, entry: "main".into(), workgroup: [1, 1, 1] }],
        stages: vec![Stage { kernel: 0, bindings: vec![0, 1], groups: 1, repeat: 1 }],
        buffers,
        features: Vec::new(),
        cost: Cost { operations: 1, memory_bytes: 1 << 20, max_millis: 1000 },
        validator: play.validator.clone(),
    };
    let envelope = key(2).sign(&network, body.clone()).envelope().to_bytes();
    let program = blobs.store(&envelope, Nonce([2; 32])).expect("space");
    let slice = |n: usize| {
        let input = |m: u64| InputRange {
            blob: entries_blob,
            offset_bytes: (n as u64 * 2 + m) * u64::from(matrix),
            bytes: matrix,
        };
        let inputs = if products { vec![input(0), input(1)] } else { Vec::new() };
        SlicePlan { inputs, params: vec![(play.param)(n)] }
    };
    let unit = |u: usize| UnitPlan { slices: (0..SLICES_PER_UNIT).map(|s| slice(u * 64 + s)).collect() };
    let vector = |n: u32| {
        let plan = slice(n as usize);
        let read = |range| blobs.range(range).expect("an input");
        let inputs: Vec<Vec<u8>> = plan.inputs.iter().map(read).collect();
        Vector { unit: 0, slice: n, digest: Hash::of(&output(&inputs, &plan.params)) }
    };
    let manifest = Manifest {
        publisher: key(2).publisher(),
        program,
        body,
        units: (0..play.units).map(unit).collect(),
        price_per_slice: BaseUnits(100),
        vectors: (0..8).map(vector).collect(),
        notes: String::new(),
    };
    key(2).sign(&network, manifest)
}

#[test]
fn unrelated_devices_audit_each_other_and_are_paid_for_it() {
    let mut scene = Scene::new(4, 4);
    assert_eq!(scene.work(0, |_| false).len(), 64);
    assert!(scene.receipts(0).is_empty(), "nothing is paid before somebody else agrees");
    assert_eq!(scene.verify(), 0, "nothing for the trusted verifier");
    assert_eq!(scene.work(0, |_| false).len(), 64, "nobody audits its own work");
    let slices = scene.work(1, |_| false);
    assert_eq!(slices.len(), 64 + 8, "its own unit, and the four audits of each bundle before");
    assert_eq!(scene.receipts(0), [("Computed".to_owned(), 64), ("Computed".to_owned(), 64)]);
    assert!(scene.receipts(1).is_empty(), "its own unit waits for its own audits");
    scene.work(2, |_| false);
    assert_eq!(scene.receipts(1), [("Computed".to_owned(), 64), ("Audited".to_owned(), 8)]);
    assert_eq!(scene.verify(), 0);
    scene.check_books();
}

#[test]
fn a_lie_that_another_device_finds_is_settled_by_the_trusted_verifier() {
    let mut scene = Scene::new(4, 8);
    scene.work(0, |n| n < 64);
    scene.work(1, |_| false);
    assert!(scene.receipts(0).is_empty());
    assert_eq!(scene.verify(), 8, "every disputed slice is re-run");
    assert!(scene.receipts(0).is_empty());
    assert_eq!(scene.beat(0, true).no_work, Some(NoWork::Suspended));
    scene.work(2, |_| false);
    assert_eq!(
        scene.receipts(1),
        [("Computed".to_owned(), 64), ("Audited".to_owned(), 8)],
        "the finder is paid"
    );
    scene.check_books();
}

#[test]
fn an_auditor_that_lies_about_others_loses_its_own_bundle() {
    let mut scene = Scene::new(4, 8);
    scene.work(0, |_| false);
    scene.work(1, |n| n < 64);
    assert_eq!(scene.verify(), 8);
    assert_eq!(
        scene.receipts(0),
        [("Computed".to_owned(), 64)],
        "an honest device is not harmed by a false alarm"
    );
    scene.work(2, |_| false);
    assert!(scene.receipts(1).is_empty(), "no pay for the bundle with the false audits");
    assert_eq!(scene.beat(1, true).no_work, Some(NoWork::Suspended));
    scene.check_books();
}

#[test]
fn audits_that_nobody_takes_up_go_to_the_trusted_verifier() {
    let mut scene = Scene::new(1, 4);
    scene.work(0, |_| false);
    assert_eq!(scene.verify(), 0, "first, strangers are waited for");
    scene.pass(120_001);
    assert_eq!(scene.verify(), 4);
    let progress = scene.coordinator.progress(scene.job).expect("known");
    assert_eq!((progress.state.as_str(), progress.accepted), ("done", 64));
    scene.check_books();
}
