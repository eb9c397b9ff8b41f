//! Audits by contributors, driven on the loop's own functions: devices of different networks cannot be had on
//! loopback, where everybody calls from the same prefix.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::PROTOCOL_VERSION;
use protocol::frames::Adapter;
use protocol::manifest::{
    Buffer, Cost, Family, Kernel, Module, Program, Role, SLICES_PER_UNIT, SlicePlan, Stage, UnitPlan,
    Validator, Vector,
};
use protocol::profile::{ChainProfile, Parameters};
use protocol::units::BaseUnits;
use protocol::wire::NoWork;
use zeroize::Zeroizing;

use super::*;
use crate::store::ledger;

/// Devices from this many networks; enough that audits go to contributors.
const DEVICES: u8 = 12;

struct Scene {
    coordinator: Coordinator,
    batches: std::sync::mpsc::Receiver<Batch>,
    job: JobId,
    nonces: AtomicU64,
    _folder: tempfile::TempDir,
}

fn key(n: u8) -> Key {
    Key::from_seed(&Zeroizing::new([n; 32]))
}

fn device(n: u8) -> DeviceId {
    key(n).device()
}

fn digest(params: &[u32]) -> Hash {
    Hash::of(&output(params))
}

fn output(params: &[u32]) -> Vec<u8> {
    params[0].to_le_bytes().to_vec()
}

impl Scene {
    /// Twelve unrelated devices, one job, no audit by the trusted verifier; `k` audits per unit.
    fn new(units: usize, k: u16) -> Self {
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
                audits_per_unit: [k; 3],
                trusted_permille: 0,
                fee_permille: 50,
                withdrawal_fee: BaseUnits(1),
            },
            local: true,
        };
        let signed = manifest(&blobs, network, units);
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
        let office = Office {
            network,
            key: Arc::new(key(1)),
            profile,
            accounts: BTreeMap::new(),
            terms: None,
            blobs,
            clock: Arc::new(|| UnixMillis(1_000_000_000)),
            randomness: Arc::new(move || {
                *blake3::hash(&counter.fetch_add(1, Ordering::SeqCst).to_le_bytes()).as_bytes()
            }),
        };
        let (sender, batches) = std::sync::mpsc::channel();
        let mut coordinator = Coordinator::new(office, store, sender);
        let job = coordinator.submit(&signed, stored).expect("a good package");
        let mut scene = Self { coordinator, batches, job, nonces: AtomicU64::new(0), _folder: folder };
        scene.verify();
        for n in 0..DEVICES {
            let hello = Enroll {
                coordinator: key(1).coordinator(),
                protocol: PROTOCOL_VERSION,
                nonce: scene.nonce(),
                sent_at: UnixMillis(1_000_000_000),
                adapter: Adapter {
                    name: "scripted".into(),
                    backend: "vulkan".into(),
                    driver: "1".into(),
                    vendor_id: 1,
                    device_id: 1,
                    software: false,
                    max_binding_bytes: 1,
                    features: Vec::new(),
                    memory_bytes: None,
                },
                answers: None,
            };
            scene.coordinator.enroll(device(10 + n), &hello, &[n; 32]).expect("a first word");
        }
        scene
    }

    fn nonce(&self) -> Nonce {
        Nonce(*blake3::hash(&self.nonces.fetch_add(1, Ordering::SeqCst).to_be_bytes()).as_bytes())
    }

    /// Answers every batch of the verifier with the truth; returns how many slices it re-ran.
    fn verify(&mut self) -> usize {
        let mut slices = 0;
        self.coordinator.feed_verifier();
        while let Ok(batch) = self.batches.try_recv() {
            let outputs: Vec<Vec<u8>> = batch.slices.iter().map(|plan| output(&plan.params)).collect();
            slices += outputs.len();
            self.coordinator.verifying = false;
            self.coordinator.verified(batch.kind, Ok(outputs)).expect("a verdict");
            self.coordinator.feed_verifier();
        }
        slices
    }

    fn beat(&mut self, n: u8, wants_work: bool) -> HeartbeatAnswer {
        let beat = Heartbeat {
            coordinator: key(1).coordinator(),
            nonce: self.nonce(),
            sent_at: UnixMillis(1_000_000_000),
            holding: Vec::new(),
            returned: Vec::new(),
            wants_work,
            last_sequence: 0,
        };
        self.coordinator.heartbeat(device(10 + n), &beat, &[n; 32]).expect("a known device")
    }

    /// One lease of device `n`; `lie` says which params get a wrong output. Returns its slices.
    fn work(&mut self, n: u8, lie: impl Fn(u32) -> bool) -> Vec<u32> {
        let answer = self.beat(n, true);
        let envelope = answer.leases.last().expect("a lease").clone();
        let lease: Signed<WorkLease> =
            envelope.verify(&self.coordinator.office.network, &key(1).public()).expect("signed");
        let lease = lease.into_message();
        let wrong = Hash([n; 32]);
        let digests: Vec<(SliceId, Hash)> = lease
            .slices
            .iter()
            .map(|s| (s.slice, if lie(s.params[0]) { wrong } else { digest(&s.params) }))
            .collect();
        let commit = Commit {
            coordinator: key(1).coordinator(),
            lease: lease.lease,
            bundle: lease.bundle,
            digests: digests.clone(),
            device_millis: 1,
        };
        self.coordinator.commit(device(10 + n), &commit, Hash([n; 32])).expect("in time");
        self.coordinator.outputs(device(10 + n), lease.lease, digests, Hash([9; 32])).expect("as committed");
        lease.slices.iter().map(|s| s.params[0]).collect()
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

fn manifest(blobs: &Blobs, network: NetworkId, units: usize) -> Signed<Manifest> {
    let source = blobs.store(b"// toy", Nonce([1; 32])).expect("space");
    let body = Program {
        format: 1,
        title: "Toy".into(),
        purpose: "Shows audits by contributors.".into(),
        family: Family::Other,
        modules: vec![Module { blob: source, bytes: 6 }],
        kernels: vec![Kernel { module: 0, entry: "main".into(), workgroup: [1, 1, 1] }],
        buffers: vec![
            Buffer { name: "head".into(), role: Role::Params, bytes: 4 },
            Buffer { name: "out".into(), role: Role::Output, bytes: 4 },
        ],
        stages: vec![Stage { kernel: 0, bindings: vec![0, 1], groups: 1, repeat: 1 }],
        features: Vec::new(),
        cost: Cost { operations: 1, memory_bytes: 1 << 20, max_millis: 1000 },
        validator: Validator::Bitwise,
    };
    let envelope = key(2).sign(&network, body.clone()).envelope().to_bytes();
    let program = blobs.store(&envelope, Nonce([2; 32])).expect("space");
    let slice = |n: usize| SlicePlan { inputs: Vec::new(), params: vec![n as u32] };
    let unit = |u: usize| UnitPlan { slices: (0..SLICES_PER_UNIT).map(|s| slice(u * 64 + s)).collect() };
    let manifest = Manifest {
        publisher: key(2).publisher(),
        program,
        body,
        units: (0..units).map(unit).collect(),
        price_per_slice: BaseUnits(100),
        vectors: (0..8).map(|slice| Vector { unit: 0, slice, digest: digest(&[slice]) }).collect(),
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
    scene.coordinator.office.clock = Arc::new(|| UnixMillis(1_000_000_000 + 120_001));
    assert_eq!(scene.verify(), 4);
    let progress = scene.coordinator.progress(scene.job).expect("known");
    assert_eq!((progress.state.as_str(), progress.accepted), ("done", 64));
    scene.check_books();
}
