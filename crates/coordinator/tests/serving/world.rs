//! The stage: coordinator, publisher, devices, chain.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use coordinator::treasury::{
    Observation, Pending, PendingEpoch, Proposal, SignedRelay, Terms, Treasury, TreasuryError,
};
use coordinator::verifier::{SliceInputs, Verifier, VerifierError};
use coordinator::{ChainSetup, JobProgress, Running, Setup};
use network::{Answer, MemoryJournal, Net, Purpose, Request};
use protocol::PROTOCOL_VERSION;
use protocol::frames::{Adapter, Class};
use protocol::id::{DeviceId, Hash, JobId, LeaseId, NetworkId, Nonce, SliceId};
use protocol::manifest::{
    Buffer, Cost, Family, InputRange, Kernel, Manifest, Module, Program, Role, SLICES_PER_UNIT, SlicePlan,
    Stage, UnitPlan, Validator, Vector,
};
use protocol::profile::{ChainProfile, Parameters, Profile};
use protocol::receipt::{Chain, Receipt};
use protocol::sign::{Envelope, Key, Message, Signed};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{Enroll, Enrolled, Heartbeat, HeartbeatAnswer, Refusal, RefusalCode, Relay, Upload};
use protocol::work::{Commit, WorkLease, WorkResult};
use serde_bytes::ByteBuf;
use settlement::Signer;
use tempfile::TempDir;
use zeroize::Zeroizing;

pub(crate) const PRICE: BaseUnits = BaseUnits(1_900);
pub(crate) const FEE: BaseUnits = BaseUnits(500);
pub(crate) const DEPOSIT: BaseUnits = BaseUnits(10_000_000);
pub(crate) const LEASE_MILLIS: u64 = 60_000;
pub(crate) const MATURITY_MILLIS: u64 = 600_000;

pub(crate) fn key(n: u8) -> Key {
    Key::from_seed(&Zeroizing::new([n; 32]))
}

/// A local network with short times.
pub(crate) fn profile() -> Profile {
    Profile {
        name: "test".into(),
        counter: 1,
        expires_at: UnixMillis(u64::MAX / 2),
        coordinators: Vec::new(),
        chain: ChainProfile {
            chain_id: 31337,
            rpc: Vec::new(),
            token: settlement::Address::from_bytes([1; 20]).to_string(),
            token_symbol: "EMBER".into(),
            token_decimals: 18,
            distributor: settlement::Address::from_bytes([2; 20]).to_string(),
        },
        publishers: BTreeMap::from([("publisher".to_owned(), key(2).publisher())]),
        parameters: Parameters {
            maturity_millis: MATURITY_MILLIS,
            epoch_millis: u64::MAX / 4,
            lease_millis: LEASE_MILLIS,
            audits_per_unit: [4, 2, 1],
            trusted_permille: 20,
            fee_permille: 50,
            withdrawal_fee: FEE,
            delivery_price: BaseUnits::ZERO,
        },
        relays: Vec::new(),
        local: true,
    }
}

/// The right output of a slice: any function of inputs and params will do.
pub(crate) fn truth(input: &[u8], params: &[u32]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(input);
    for word in params {
        hasher.update(&word.to_le_bytes());
    }
    let mut output = vec![0; 64];
    hasher.finalize_xof().fill(&mut output);
    output
}

/// What every scripted device computes on, the verifier included.
fn adapter() -> Adapter {
    Adapter {
        name: "scripted".into(),
        backend: "vulkan".into(),
        driver: "1".into(),
        vendor_id: 1,
        device_id: 1,
        software: true,
        max_binding_bytes: 1 << 27,
        features: Vec::new(),
        memory_bytes: None,
    }
}

/// A verifier that is always right, of the class of all devices.
struct Truth {
    verified: Arc<AtomicUsize>,
}

impl Verifier for Truth {
    fn compute(
        &mut self,
        _: &Program,
        sources: &[String],
        slices: &mut dyn Iterator<Item = SliceInputs>,
    ) -> Result<Vec<Vec<u8>>, VerifierError> {
        assert_eq!(sources, ["// toy"], "the verifier gets the kernels that were uploaded");
        let outputs: Vec<Vec<u8>> = slices.map(|s| truth(&s.inputs[0], &s.params)).collect();
        self.verified.fetch_add(outputs.len(), Ordering::SeqCst);
        Ok(outputs)
    }

    fn class(&self) -> Option<Class> {
        Some(adapter().class())
    }
}

/// The chain that the treasurer sees.
#[derive(Debug, Default)]
pub(crate) struct ScriptedChain {
    pub(crate) deposits: BTreeMap<String, BaseUnits>,
    pub(crate) active_epoch: u64,
    pub(crate) pending: Option<PendingEpoch>,
    pub(crate) paid: BaseUnits,
    pub(crate) proposals: Vec<Proposal>,
    /// Transactions that arrived, in order.
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) used: Vec<(String, u64)>,
    /// The next answer of the endpoint is lost after the transaction was taken.
    pub(crate) unreachable: bool,
    pub(crate) refuse: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ChainHandle(pub(crate) Arc<Mutex<ScriptedChain>>);

impl ChainHandle {
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut ScriptedChain) -> T) -> T {
        f(&mut self.0.lock().expect("no test panics while it holds the chain"))
    }
}

fn away<T>() -> Result<T, TreasuryError> {
    Err(TreasuryError::Unavailable("the scripted chain is out of reach".into()))
}

impl Treasury for ChainHandle {
    fn observe(&self, accounts: Vec<String>) -> Pending<'_, Observation> {
        Box::pin(async move {
            self.with(|chain| {
                if chain.unreachable {
                    return away();
                }
                let deposit = |account: String| {
                    let amount = chain.deposits.get(&account).copied().unwrap_or_default();
                    (account, amount)
                };
                Ok(Observation {
                    deposits: accounts.into_iter().map(deposit).collect(),
                    active_epoch: chain.active_epoch,
                    pending: chain.pending.clone(),
                    paid: chain.paid,
                    epoch_cap: BaseUnits(u128::MAX),
                    at_seconds: 0,
                })
            })
        })
    }

    fn propose(&self, proposal: Proposal) -> Pending<'_, ()> {
        Box::pin(async move {
            self.with(|chain| {
                assert_eq!(
                    proposal.epoch,
                    chain.active_epoch + 1,
                    "the distributor takes only the next epoch"
                );
                assert!(chain.pending.is_none(), "the distributor takes one proposal at a time");
                chain.pending =
                    Some(PendingEpoch { epoch: proposal.epoch, root: proposal.root, active_at_seconds: 0 });
                chain.proposals.push(proposal);
            });
            Ok(())
        })
    }

    fn activate(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.with(|chain| {
                chain.active_epoch = chain.pending.take().expect("something is proposed").epoch
            });
            Ok(())
        })
    }

    fn sign<'a>(&'a self, relay: &'a Relay) -> Pending<'a, SignedRelay> {
        Box::pin(async move {
            if let Some(reason) = self.with(|chain| chain.refuse.clone()) {
                return Err(TreasuryError::Refused(reason));
            }
            let raw = protocol::cbor::encode(&relay.intent);
            Ok(SignedRelay { tx: Hash::of(&raw), raw })
        })
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(|chain| {
                if chain.unreachable {
                    return away();
                }
                chain.sent.push(raw.to_vec());
                Ok(())
            })
        })
    }

    fn is_used<'a>(&'a self, account: &'a str, nonce: u64) -> Pending<'a, bool> {
        Box::pin(async move { Ok(self.with(|chain| chain.used.contains(&(account.to_owned(), nonce)))) })
    }
}

pub(crate) struct World {
    pub(crate) running: Option<Running>,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) randomness: Arc<AtomicU64>,
    pub(crate) profile: Profile,
    pub(crate) network: NetworkId,
    pub(crate) chain: ChainHandle,
    pub(crate) terms: Terms,
    pub(crate) relayer: Signer,
    pub(crate) net: Net,
    /// Slices that the trusted verifier re-ran.
    pub(crate) verified: Arc<AtomicUsize>,
    pub(crate) folder: TempDir,
    publisher_account: String,
    /// The real distributor, in place of the scripted chain.
    distributor: Option<Arc<dyn Treasury>>,
}

impl World {
    /// A coordinator with a publisher's deposit on the chain. `audits` per unit in the three tiers.
    pub(crate) async fn new(audits: [u16; 3]) -> Self {
        Self::with(|profile| profile.parameters.audits_per_unit = audits).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Profile)) -> Self {
        let account = Signer::random().address().to_string();
        Self::on(Signer::random(), account, None, change).await
    }

    /// With this relayer, publisher's account, and (in place of the scripted one) chain.
    pub(crate) async fn on(
        relayer: Signer,
        account: String,
        distributor: Option<Arc<dyn Treasury>>,
        change: impl FnOnce(&mut Profile),
    ) -> Self {
        let chain = ChainHandle::default();
        chain.with(|chain| chain.deposits.insert(account.clone(), DEPOSIT));
        let mut profile = profile();
        change(&mut profile);
        let mut world = Self {
            running: None,
            clock: Arc::new(AtomicU64::new(1_800_000_000_000)),
            randomness: Arc::new(AtomicU64::new(0)),
            network: NetworkId::of_root_key(&key(9).public()),
            terms: Terms::new(&profile, relayer.address()).expect("checksummed addresses"),
            profile,
            chain,
            relayer,
            net: Net::with_system_clock(Arc::new(MemoryJournal::default())),
            verified: Arc::default(),
            folder: tempfile::tempdir().expect("a temporary directory"),
            publisher_account: account,
            distributor,
        };
        world.start().await;
        world.running().settle_now().await.expect("the chain is in reach");
        world
    }

    pub(crate) async fn start(&mut self) {
        let (clock, randomness, verified) =
            (self.clock.clone(), self.randomness.clone(), self.verified.clone());
        let setup = Setup {
            listen: "127.0.0.1:0".parse().expect("an address"),
            key: Arc::new(key(1)),
            network: self.network,
            profile: self.profile.clone(),
            publishers: BTreeMap::from([(key(2).publisher(), self.publisher_account.clone())]),
            data: self.data().to_owned(),
            chain: Some(ChainSetup {
                terms: self.terms.clone(),
                treasury: self.distributor.clone().unwrap_or_else(|| Arc::new(self.chain.clone())),
                every: Duration::from_secs(3600),
            }),
            verifier: Box::new(Truth { verified }),
            clock: Arc::new(move || UnixMillis(clock.load(Ordering::SeqCst))),
            randomness: Arc::new(move || {
                *blake3::hash(&randomness.fetch_add(1, Ordering::SeqCst).to_le_bytes()).as_bytes()
            }),
            tick_every: None,
        };
        self.running = Some(coordinator::serve(setup).await.expect("a coordinator on loopback"));
    }

    pub(crate) async fn stop(&mut self) {
        self.running.take().expect("it runs").shutdown().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn pass(&self, millis: u64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce(*blake3::hash(&self.randomness.fetch_add(1, Ordering::SeqCst).to_be_bytes()).as_bytes())
    }

    /// Sends bytes; the answer's body, or the refusal.
    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let url = format!("{}{path}", self.running().url());
        read(
            self.net.request(Request::post(Purpose::Coordinator, "test", url, body)).await.expect("loopback"),
        )
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>, Refusal> {
        let url = format!("{}{path}", self.running().url());
        let request = Request::get(Purpose::Coordinator, "test", url).max_answer_bytes(64 << 20);
        read(self.net.request(request).await.expect("loopback"))
    }

    /// Signs, sends, and verifies that the coordinator signed the answer.
    pub(crate) async fn say<A: Message, B: Message>(
        &self,
        from: &Key,
        path: &str,
        message: A,
    ) -> Result<B, Refusal> {
        let body = from.sign(&self.network, message).envelope().to_bytes();
        let answer = self.post(path, body).await?;
        let envelope = Envelope::from_bytes::<B>(&answer).expect("an envelope");
        Ok(envelope
            .verify(&self.network, &key(1).public())
            .expect("signed by the coordinator")
            .into_message())
    }

    /// A published job of `units` units.
    pub(crate) async fn publish(&self, units: usize) -> JobId {
        let manifest = self.toy(units).await;
        self.submit(manifest).await.expect("a good package")
    }

    pub(crate) async fn upload(&self, bytes: &[u8]) -> Result<Hash, Refusal> {
        let blob = Hash::of(bytes);
        let upload = Upload { coordinator: key(1).coordinator(), blob, bytes: bytes.len() as u64 };
        self.put(&key(2), upload, bytes).await.map(|()| blob)
    }

    pub(crate) async fn put(&self, from: &Key, upload: Upload, bytes: &[u8]) -> Result<(), Refusal> {
        let url = format!("{}/v1/blob/{}", self.running().url(), upload.blob);
        let permission = from.sign(&self.network, upload).envelope().to_bytes();
        let request = Request::put(Purpose::Publish, "blob", url, bytes.to_vec())
            .header("hearth-publisher", base64::engine::general_purpose::STANDARD.encode(permission));
        read(self.net.request(request).await.expect("loopback")).map(|_| ())
    }

    /// A manifest whose blobs are uploaded.
    pub(crate) async fn toy(&self, units: usize) -> Manifest {
        let source = b"// toy";
        let input: Vec<u8> = (0..=255).collect();
        let program = Program {
            format: 1,
            title: "Toy".into(),
            purpose: "Shows that the coordinator works.".into(),
            family: Family::Other,
            modules: vec![Module { blob: Hash::of(source), bytes: source.len() as u32 }],
            kernels: vec![Kernel { module: 0, entry: "main".into(), workgroup: [64, 1, 1] }],
            buffers: vec![
                Buffer { name: "in".into(), role: Role::Input, bytes: 256 },
                Buffer { name: "head".into(), role: Role::Params, bytes: 4 },
                Buffer { name: "out".into(), role: Role::Output, bytes: 64 },
            ],
            stages: vec![Stage { kernel: 0, bindings: vec![0, 1, 2], groups: 1, repeat: 1 }],
            features: Vec::new(),
            cost: Cost { operations: 1, memory_bytes: 1 << 20, max_millis: 1000 },
            validator: Validator::Bitwise,
        };
        let signed = key(2).sign(&self.network, program.clone()).envelope().to_bytes();
        let blob = self.upload(&input).await.expect("an upload");
        self.upload(source).await.expect("an upload");
        let envelope = self.upload(&signed).await.expect("an upload");
        let slice = |n: usize| SlicePlan {
            inputs: vec![InputRange { blob, offset_bytes: 0, bytes: 256 }],
            params: vec![n as u32],
        };
        let unit = |u: usize| UnitPlan {
            slices: (0..SLICES_PER_UNIT).map(|s| slice(u * SLICES_PER_UNIT + s)).collect(),
        };
        let vector = |s: u32| Vector { unit: 0, slice: s, digest: Hash::of(&truth(&input, &[s])) };
        Manifest {
            publisher: key(2).publisher(),
            program: envelope,
            body: program,
            units: (0..units).map(unit).collect(),
            price_per_slice: PRICE,
            vectors: (0..8).map(vector).collect(),
            notes: String::new(),
        }
    }

    pub(crate) async fn submit(&self, manifest: Manifest) -> Result<JobId, Refusal> {
        let signed = key(2).sign(&self.network, manifest);
        let body = signed.envelope().to_bytes();
        let job = JobId(Hash::of(&body).0);
        self.post("/v1/jobs", body).await?;
        self.verifier_rests().await;
        Ok(job)
    }

    pub(crate) async fn progress(&self, job: JobId) -> JobProgress {
        let body = self.get(&format!("/v1/jobs/{job}")).await.expect("a known job");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Returns when the verifier has nothing in hand: the loop feeds it after each batch, so its count stands still.
    pub(crate) async fn verifier_rests(&self) {
        let mut last = usize::MAX;
        for _ in 0..10_000 {
            self.running().tick().await.expect("it runs");
            let open = coordinator::status::read(self.data()).expect("a database");
            let checking = open.jobs.iter().any(|(state, n)| state == "checking" && *n > 0);
            let now = self.verified.load(Ordering::SeqCst);
            if !checking && open.waiting_for_verifier == 0 && now == last {
                return;
            }
            last = now;
            tokio::task::yield_now().await;
        }
        panic!("the verifier never comes to rest");
    }
}

fn read(answer: Answer) -> Result<Vec<u8>, Refusal> {
    if answer.is_success() {
        return Ok(answer.body.to_vec());
    }
    match protocol::cbor::decode::<Refusal>(&answer.body, 64 * 1024) {
        Ok(refusal) if !refusal.detail.is_empty() => Err(refusal),
        other => panic!("a refusal is CBOR and says why, status {} had {other:?}", answer.status),
    }
}

/// A contributor without an engine.
pub(crate) struct Device {
    pub(crate) key: Key,
    pub(crate) chain: Chain,
    pub(crate) receipts: Vec<Signed<Receipt>>,
}

impl Device {
    pub(crate) fn new(world: &World, n: u8) -> Self {
        let key = key(n);
        let chain = Chain::new(world.network, self::key(1).coordinator(), key.device());
        Self { key, chain, receipts: Vec::new() }
    }

    pub(crate) async fn enrolled(world: &World, n: u8) -> Self {
        let device = Self::new(world, n);
        device.enroll(world).await.expect("a device that says its first word");
        device
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.key.device()
    }

    pub(crate) fn hello(&self, world: &World) -> Enroll {
        Enroll {
            coordinator: key(1).coordinator(),
            protocol: PROTOCOL_VERSION,
            nonce: world.nonce(),
            sent_at: world.now(),
            adapter: adapter(),
            answers: None,
        }
    }

    pub(crate) async fn enroll(&self, world: &World) -> Result<Enrolled, Refusal> {
        world.say(&self.key, "/v1/enroll", self.hello(world)).await
    }

    pub(crate) fn sign_of_life(&self, world: &World, wants_work: bool) -> Heartbeat {
        Heartbeat {
            coordinator: key(1).coordinator(),
            nonce: world.nonce(),
            sent_at: world.now(),
            holding: Vec::new(),
            returned: Vec::new(),
            wants_work,
            last_sequence: self.chain.sequence,
        }
    }

    /// One heartbeat; every receipt must continue the chain.
    pub(crate) async fn beat(
        &mut self,
        world: &World,
        wants_work: bool,
    ) -> (HeartbeatAnswer, Vec<WorkLease>) {
        let beat = self.sign_of_life(world, wants_work);
        self.beat_with(world, beat).await
    }

    pub(crate) async fn beat_with(
        &mut self,
        world: &World,
        beat: Heartbeat,
    ) -> (HeartbeatAnswer, Vec<WorkLease>) {
        let answer: HeartbeatAnswer =
            world.say(&self.key, "/v1/heartbeat", beat).await.expect("a device that is known");
        for envelope in &answer.receipts {
            let receipt: Signed<Receipt> =
                envelope.clone().verify(&world.network, &key(1).public()).expect("signed by the coordinator");
            self.chain = self.chain.append(&receipt).expect("continues the chain");
            self.receipts.push(receipt);
        }
        let leases = answer
            .leases
            .iter()
            .map(|envelope| {
                let lease: Signed<WorkLease> = envelope
                    .clone()
                    .verify(&world.network, &key(1).public())
                    .expect("signed by the coordinator");
                lease.into_message()
            })
            .collect();
        (answer, leases)
    }

    /// A lease of its own.
    pub(crate) async fn lease(&mut self, world: &World) -> WorkLease {
        let (answer, leases) = self.beat(world, true).await;
        leases.into_iter().next_back().unwrap_or_else(|| panic!("no lease: {:?}", answer.no_work))
    }

    /// Outputs of a lease; `lie` says which (by place in the lease) are wrong.
    pub(crate) async fn compute(
        &self,
        world: &World,
        lease: &WorkLease,
        lie: impl Fn(usize) -> bool,
    ) -> Vec<(SliceId, Vec<u8>)> {
        let mut inputs: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
        let mut outputs = Vec::new();
        for (n, slice) in lease.slices.iter().enumerate() {
            let range = &slice.inputs[0];
            if let Entry::Vacant(new) = inputs.entry(range.blob) {
                new.insert(world.get(&format!("/v1/blob/{}", range.blob)).await.expect("an input"));
            }
            let from = range.offset_bytes as usize;
            let mut output = truth(&inputs[&range.blob][from..from + range.bytes as usize], &slice.params);
            if lie(n) {
                output[0] ^= 1;
            }
            outputs.push((slice.slice, output));
        }
        outputs
    }

    pub(crate) fn commitment(&self, lease: &WorkLease, outputs: &[(SliceId, Vec<u8>)]) -> Commit {
        Commit {
            coordinator: key(1).coordinator(),
            lease: lease.lease,
            bundle: lease.bundle,
            digests: outputs.iter().map(|(slice, output)| (*slice, Hash::of(output))).collect(),
            device_millis: 1,
        }
    }

    pub(crate) fn handing_in(&self, lease: &WorkLease, outputs: &[(SliceId, Vec<u8>)]) -> WorkResult {
        WorkResult {
            coordinator: key(1).coordinator(),
            lease: lease.lease,
            bundle: lease.bundle,
            outputs: outputs.iter().map(|(slice, output)| (*slice, ByteBuf::from(output.clone()))).collect(),
        }
    }

    pub(crate) async fn commit(
        &self,
        world: &World,
        lease: &WorkLease,
        outputs: &[(SliceId, Vec<u8>)],
    ) -> Result<protocol::wire::Accepted, Refusal> {
        world.say(&self.key, "/v1/commit", self.commitment(lease, outputs)).await
    }

    pub(crate) async fn hand_in(
        &self,
        world: &World,
        lease: &WorkLease,
        outputs: &[(SliceId, Vec<u8>)],
    ) -> Result<protocol::wire::Accepted, Refusal> {
        world.say(&self.key, "/v1/result", self.handing_in(lease, outputs)).await
    }

    /// One whole lease, and the verdict behind it.
    pub(crate) async fn work(&mut self, world: &World, lie: impl Fn(usize) -> bool) -> LeaseId {
        let lease = self.lease(world).await;
        let outputs = self.compute(world, &lease, lie).await;
        self.commit(world, &lease, &outputs).await.expect("a commit in time");
        self.hand_in(world, &lease, &outputs).await.expect("the committed outputs");
        world.verifier_rests().await;
        lease.lease
    }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> RefusalCode {
    result.expect_err("must be refused").code
}
