//! The one loop that owns the coordinator's state.
//!
//! Everything that can happen is a [`Request`]; the loop handles one after the other on a thread of its own, each in
//! one transaction of the store, and answers. It opens no socket and computes no slice: the API hands requests in,
//! the verifier's thread and the treasurer's task are told what to do and report back as requests.

mod deliveries;
mod holds;
mod jobs;
mod products;
mod settling;
#[cfg(test)]
mod tests;
mod verdicts;
mod work;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::delivery::{AskDelivery, Deliverable, DeliveryOffer, DeliveryReceipt};
use protocol::id::{BundleId, DeviceId, Hash, JobId, LeaseId, NetworkId, Nonce, PublisherId, SliceId};
use protocol::manifest::Manifest;
use protocol::profile::Profile;
use protocol::sign::{Key, Signed};
use protocol::units::UnixMillis;
use protocol::wire::{Bind, Enroll, Enrolled, EpochNotice, Heartbeat, HeartbeatAnswer, RefusalCode, Relay};
use protocol::work::{Commit, WorkLease};
use tokio::sync::{mpsc, oneshot};

use crate::blobs::{BlobError, Blobs};
use crate::credit::LedgerError;
use crate::store::{Store, StoreError, devices};
use crate::treasury::{Duty, Observation, Terms, Withdrawal};
use crate::verifier::{Batch, BatchKind, Findings, VerifierError};

pub(crate) use jobs::UnitOutputs;
pub use jobs::{JobProgress, OutputIndex};
pub use settling::EpochOutcome;
pub(crate) use settling::Ticket;
pub(crate) use work::Expected;

/// The time, as milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
/// 32 fresh, unpredictable bytes.
pub type Randomness = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// A sender's clock may be off by this much.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// Why a request is refused: becomes the body of the HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// For programs.
    pub code: RefusalCode,
    /// For logs and for the terminal of a publisher.
    pub detail: String,
}

impl Refused {
    pub(crate) fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// Why a request was not carried out. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Store(error.into())
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let error: &dyn std::error::Error = match &failure {
            Failure::Refused(refused) => return refused.clone(),
            Failure::Store(error) => error,
            Failure::Blob(error) => error,
        };
        let full =
            matches!(&failure, Failure::Store(StoreError::Full(_)) | Failure::Blob(BlobError::Full(_)));
        tracing::error!(error, "a request could not be carried out");
        let detail =
            if full { "the coordinator's disk is full" } else { "the coordinator cannot do this at present" };
        Self::new(RefusalCode::Unavailable, detail)
    }
}

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// Everything that can happen.
#[derive(Debug)]
pub(crate) enum Request {
    /// A device says its first word. `origin` is a salted hash of its network prefix.
    Enroll { device: DeviceId, message: Box<Enroll>, origin: [u8; 32], reply: Reply<Enrolled> },
    /// A device lives, and asks for work and receipts.
    Heartbeat { device: DeviceId, message: Heartbeat, origin: [u8; 32], reply: Reply<HeartbeatAnswer> },
    /// A device commits to its digests; `root` is the hash of the commit's body.
    Commit { device: DeviceId, message: Commit, root: Hash, reply: Reply<()> },
    /// A device is about to hand in outputs: what may it send?
    Expect { device: DeviceId, lease: LeaseId, bundle: BundleId, reply: Reply<Expected> },
    /// Outputs have been stored under `blob`; here are their digests.
    Outputs { device: DeviceId, lease: LeaseId, digests: Vec<(SliceId, Hash)>, blob: Hash, reply: Reply<()> },
    /// A device says what it would deliver, with receipts whose signatures were checked.
    Deliverable {
        device: DeviceId,
        message: Box<Deliverable>,
        receipts: Vec<Signed<DeliveryReceipt>>,
        caller: IpAddr,
        reply: Reply<()>,
    },
    /// From whom may a device fetch a blob?
    AskDelivery { device: DeviceId, message: AskDelivery, origin: [u8; 32], reply: Reply<DeliveryOffer> },
    /// A device names its account.
    Bind { device: DeviceId, message: Bind, evidence: Vec<u8>, reply: Reply<()> },
    /// An owner's signed withdrawal.
    Relay { sender: [u8; 32], message: Box<Relay>, reply: Reply<Ticket> },
    /// The treasurer has signed a withdrawal's transaction: keep it before it is sent.
    RelaySigned { account: String, nonce: u64, raw: Vec<u8>, tx: Hash, reply: Reply<()> },
    /// What became of a withdrawal.
    RelayEnded { account: String, nonce: u64, end: Withdrawal, reply: Reply<()> },
    /// A publisher's job, its signed form stored under `stored`.
    Submit { manifest: Box<Signed<Manifest>>, stored: Hash, reply: Reply<JobId> },
    /// How far is a job?
    Progress { job: JobId, reply: Reply<JobProgress> },
    /// Accepted slices of one unit.
    Unit { job: JobId, unit: u32, reply: Reply<UnitOutputs> },
    /// The latest epoch.
    Notice { reply: Reply<EpochNotice> },
    /// Close an epoch now.
    CloseEpoch { reply: Reply<EpochOutcome> },
    /// The chain as the treasurer sees it. Answered by what is to be done there.
    Observed { observation: Observation, reply: Reply<Vec<Duty>> },
    /// Whose deposits the treasurer looks at.
    Accounts { reply: Reply<Vec<String>> },
    /// The trusted verifier has finished a batch.
    Verified { kind: BatchKind, outcome: Result<Findings, VerifierError> },
    /// Time has passed.
    Tick,
    /// The same, answered when everything due is done: for tests with a manual clock.
    TickAnswered { reply: Reply<()> },
    /// The ledger, recounted: for `coordinator status` and tests.
    Ledger { reply: Reply<LedgerReport> },
    /// End the loop.
    Stop,
}

/// The ledger's totals, and the same recounted from every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerReport {
    /// The totals that every transaction checks.
    pub totals: crate::credit::Escrow,
    /// Recounted from publishers and receipts; equals the totals.
    pub recounted: crate::credit::Escrow,
}

/// What does not change while a coordinator runs.
pub(crate) struct Office {
    pub(crate) network: NetworkId,
    pub(crate) key: Arc<Key>,
    pub(crate) profile: Profile,
    /// Chain accounts of the publishers that are let in.
    pub(crate) accounts: BTreeMap<PublisherId, String>,
    /// Chain and distributor, and our relayer; absent without a chain.
    pub(crate) terms: Option<Terms>,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Clock,
    pub(crate) randomness: Randomness,
}

/// The state and its loop.
pub(crate) struct Coordinator {
    office: Office,
    store: Store,
    verifier: std::sync::mpsc::Sender<Batch>,
    /// A batch is with the verifier.
    verifying: bool,
    /// After a failure of the verifier, not before this.
    verify_after: UnixMillis,
    /// Failed batches in a row, by job.
    attempts: BTreeMap<JobId, u32>,
    /// The chain as last seen.
    seen: Option<Observation>,
}

impl Office {
    fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    fn random(&self) -> [u8; 32] {
        (self.randomness)()
    }

    /// Refuses a request that is old, from a clock that is off, or was seen before.
    fn check_fresh(
        &self,
        t: &rusqlite::Connection,
        sender: &[u8; 32],
        nonce: &Nonce,
        sent_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        if now.since(sent_at).max(sent_at.since(now)) > CLOCK_TOLERANCE {
            return Err(Refused::new(
                RefusalCode::Replay,
                "the sender's clock is more than five minutes off",
            )
            .into());
        }
        if !devices::remember_nonce(t, sender, nonce, now)? {
            return Err(Refused::new(RefusalCode::Replay, "this request was seen before").into());
        }
        Ok(())
    }

    fn lease_envelope(&self, envelope: &[u8]) -> Result<protocol::sign::Envelope, StoreError> {
        protocol::sign::Envelope::from_bytes::<WorkLease>(envelope).map_err(|_| StoreError::Corrupt("lease"))
    }
}

impl Coordinator {
    pub(crate) fn new(office: Office, store: Store, verifier: std::sync::mpsc::Sender<Batch>) -> Self {
        Self {
            office,
            store,
            verifier,
            verifying: false,
            verify_after: UnixMillis(0),
            attempts: BTreeMap::new(),
            seen: None,
        }
    }

    /// Handles requests until [`Request::Stop`] or until nobody can send any more.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        self.tick();
        while let Some(request) = requests.blocking_recv() {
            if matches!(request, Request::Stop) {
                break;
            }
            self.handle(request);
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Enroll { device, message, origin, reply } => {
                answer(reply, self.enroll(device, &message, &origin));
            }
            Request::Heartbeat { device, message, origin, reply } => {
                self.expire();
                answer(reply, self.heartbeat(device, &message, &origin));
            }
            Request::Commit { device, message, root, reply } => {
                self.expire();
                answer(reply, self.commit(device, &message, root));
            }
            Request::Expect { device, lease, bundle, reply } => {
                self.expire();
                answer(reply, self.expect(device, lease, bundle));
            }
            Request::Outputs { device, lease, digests, blob, reply } => {
                answer(reply, self.outputs(device, lease, digests, blob));
                self.feed_verifier();
            }
            Request::Deliverable { device, message, receipts, caller, reply } => {
                answer(reply, self.deliverable(device, &message, &receipts, caller));
            }
            Request::AskDelivery { device, message, origin, reply } => {
                answer(reply, self.ask_delivery(device, &message, &origin));
            }
            Request::Bind { device, message, evidence, reply } => {
                answer(reply, self.bind(device, &message, &evidence))
            }
            Request::Relay { sender, message, reply } => answer(reply, self.relay(&sender, &message)),
            Request::RelaySigned { account, nonce, raw, tx, reply } => {
                answer(reply, self.relay_signed(&account, nonce, raw, tx));
            }
            Request::RelayEnded { account, nonce, end, reply } => {
                answer(reply, self.relay_ended(&account, nonce, end));
            }
            Request::Submit { manifest, stored, reply } => {
                answer(reply, self.submit(&manifest, stored));
                self.feed_verifier();
            }
            Request::Progress { job, reply } => answer(reply, self.progress(job)),
            Request::Unit { job, unit, reply } => answer(reply, self.unit_outputs(job, unit)),
            Request::Notice { reply } => answer(reply, self.notice()),
            Request::CloseEpoch { reply } => answer(reply, self.close_epoch()),
            Request::Observed { observation, reply } => answer(reply, self.observed(observation)),
            Request::Accounts { reply } => {
                answer(reply, Ok(self.office.accounts.values().cloned().collect()))
            }
            Request::Verified { kind, outcome } => {
                self.verifying = false;
                if let Err(failure) = self.verified(kind, outcome) {
                    // The batch stays open in the store and is drawn again at the next tick.
                    let refused = Refused::from(failure);
                    tracing::error!(%refused, "a verdict could not be recorded");
                    self.verify_after = self.office.now().plus(verdicts::RETRY_AFTER);
                }
                self.feed_verifier();
            }
            Request::Tick => self.tick(),
            Request::TickAnswered { reply } => {
                self.tick();
                answer(reply, Ok(()));
            }
            Request::Ledger { reply } => answer(reply, self.ledger()),
            Request::Stop => {}
        }
    }

    /// Everything that is due by the clock.
    fn tick(&mut self) {
        self.expire();
        if let Err(failure) = self.mature() {
            tracing::error!(refused = %Refused::from(failure), "credit could not mature");
        }
        if let Err(failure) = self.settle_deliveries() {
            tracing::error!(refused = %Refused::from(failure), "deliveries could not be settled");
        }
        if self.epoch_is_due()
            && let Err(failure) = self.close_epoch()
        {
            tracing::error!(refused = %Refused::from(failure), "the epoch could not be closed");
        }
        self.feed_verifier();
    }

    fn expire(&mut self) {
        if let Err(failure) = self.expire_leases() {
            tracing::error!(refused = %Refused::from(failure), "leases could not be expired");
        }
    }

    fn ledger(&self) -> Result<LedgerReport, Failure> {
        let db = self.store.read();
        Ok(LedgerReport {
            totals: crate::store::ledger::escrow(db)?,
            recounted: crate::store::ledger::recount(db)?,
        })
    }
}

/// Sends an answer. Whoever asked may have gone meanwhile; the deed is done all the same.
fn answer<T>(reply: Reply<T>, result: Result<T, Failure>) {
    if reply.send(result.map_err(Refused::from)).is_err() {
        tracing::debug!("nobody waits for this answer any more");
    }
}
