//! The contributor's side of the coordinator's protocol.
//!
//! It owns the wording of each request, and believes nothing that is not signed by the coordinator that the profile
//! names and does not answer exactly this request (nonce, or hash of the body). It never decides when to speak or
//! whether to try again: `schedule` does. The engine gives it [`LinkAsk`]s and hears [`LinkEvent`]s; [`NetLink`] is the
//! real one, tests bring their own [`Link`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use network::{Clock, Net, NetError, Purpose, Request};
use protocol::PROTOCOL_VERSION;
use protocol::cbor::{self, DecodeError};
use protocol::frames::Adapter;
use protocol::id::{BundleId, CoordinatorId, Hash, LeaseId, NetworkId, Nonce, SliceId};
use protocol::sign::{Envelope, Key, Message, Signed, VerifyError};
use protocol::units::UnixMillis;
use protocol::wire::{
    Accepted, Bind, Enroll, Enrolled, EpochList, EpochNotice, Heartbeat, HeartbeatAnswer, KnownAnswers,
    NoWork, Refusal, RefusalCode, Relay, Relayed,
};
use protocol::work::{Commit, MAX_BUNDLE_SLICES, WorkLease, WorkResult};
use serde_bytes::ByteBuf;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::engine::{BindTerms, RelayTerms, Reply};
use crate::share::Fetcher;
use crate::shelf::{Shelf, ShelfError};

/// Draws 32 random bytes.
pub type Randomness = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// The operating system's random numbers.
///
/// # Panics
/// When the system has none: nothing that needs a nonce could go on.
pub fn system_randomness() -> Randomness {
    Arc::new(|| {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        bytes
    })
}

/// Largest blob that is fetched.
pub const MAX_BLOB_BYTES: u64 = 512 * 1024 * 1024;
/// Largest list of an epoch that is fetched.
const MAX_LIST_BYTES: usize = 64 * 1024 * 1024;
/// Fetches at the same time.
const FETCHES: usize = 4;

/// Why an exchange with the coordinator failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// The call failed before a whole answer was there.
    #[error("the coordinator cannot be spoken to")]
    Net(#[from] NetError),
    /// The coordinator refused.
    #[error("the coordinator refused ({:?}): {}", .0.code, .0.detail)]
    Refused(Refusal),
    /// An HTTP status without a readable refusal.
    #[error("the coordinator answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The answer is not signed by the coordinator of the profile.
    #[error("the answer is not the coordinator's")]
    Verify(#[from] VerifyError),
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Decode(#[from] DecodeError),
    /// A signed answer to something else.
    #[error("the answer belongs to another request")]
    OtherRequest,
    /// A fetched blob could not be kept.
    #[error("a fetched blob cannot be kept")]
    Shelf(#[from] ShelfError),
}

/// What a fault means for the plan. Without text, so that a pure function can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Nobody answers, or the line broke: try again later.
    Unreachable,
    /// The journal refused the row: nothing may be sent.
    Journal,
    /// Another protocol version.
    Version,
    /// This device may not take part.
    Suspended,
    /// No such thing, or not this device's.
    NotFound,
    /// Too late.
    Expired,
    /// The disk is full.
    DiskFull,
    /// Refused for another reason, or the answer was not the coordinator's: trying again at once will not help.
    Refused,
}

impl LinkFault {
    /// What it means for the plan.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Net(NetError::Journal(_)) => FaultKind::Journal,
            Self::Net(NetError::Write(error)) if error.kind() == std::io::ErrorKind::StorageFull => {
                FaultKind::DiskFull
            }
            Self::Shelf(error) if error.is_disk_full() => FaultKind::DiskFull,
            Self::Net(_) | Self::Shelf(_) => FaultKind::Unreachable,
            Self::Refused(refusal) => match refusal.code {
                RefusalCode::ProtocolVersion => FaultKind::Version,
                RefusalCode::Suspended => FaultKind::Suspended,
                RefusalCode::NotFound => FaultKind::NotFound,
                RefusalCode::Expired => FaultKind::Expired,
                RefusalCode::Unavailable | RefusalCode::Replay => FaultKind::Unreachable,
                RefusalCode::Malformed
                | RefusalCode::Signature
                | RefusalCode::Commit
                | RefusalCode::Publisher
                | RefusalCode::Package
                | RefusalCode::Withdrawal => FaultKind::Refused,
            },
            Self::Status { status: 404 } => FaultKind::NotFound,
            Self::Status { status } if *status >= 500 => FaultKind::Unreachable,
            Self::Status { .. } | Self::Verify(_) | Self::Decode(_) | Self::OtherRequest => {
                FaultKind::Refused
            }
        }
    }
}

/// What the link is asked to do. Each is answered by one [`LinkEvent`] or by its reply.
#[derive(Debug)]
pub enum LinkAsk {
    /// Introduce this device.
    Enroll {
        /// What computes.
        adapter: Adapter,
        /// How it computed the known answers, once it has.
        answers: Option<KnownAnswers>,
    },
    /// Sign of life.
    Heartbeat {
        /// Leases held.
        holding: Vec<LeaseId>,
        /// Leases handed back.
        returned: Vec<LeaseId>,
        /// Whether another lease is wanted.
        wants_work: bool,
        /// Last receipt held.
        last_sequence: u64,
    },
    /// Bring a blob onto the shelf.
    Fetch {
        /// Which.
        blob: Hash,
        /// Program of the job that needs it, for the journal.
        job: Option<Hash>,
    },
    /// Commit to the digests of a bundle.
    Commit {
        /// The lease.
        lease: LeaseId,
        /// Its bundle.
        bundle: BundleId,
        /// Digests of the finished slices.
        digests: Vec<(SliceId, Hash)>,
        /// Device time spent.
        device_millis: u64,
        /// Program of the job, for the journal.
        job: Option<Hash>,
    },
    /// Hand in the outputs behind a commit.
    Deliver {
        /// The lease.
        lease: LeaseId,
        /// Its bundle.
        bundle: BundleId,
        /// The outputs.
        outputs: Vec<(SliceId, ByteBuf)>,
        /// Program of the job, for the journal.
        job: Option<Hash>,
    },
    /// Bind a payout address.
    Bind {
        /// The terms.
        terms: Box<BindTerms>,
        /// Where the outcome goes.
        reply: Reply<()>,
    },
    /// Hand a withdrawal to the relayer.
    Relay {
        /// The terms.
        terms: Box<RelayTerms>,
        /// Where the transaction hash goes.
        reply: Reply<Hash>,
    },
    /// The latest closed epoch.
    Epoch {
        /// Where the notice goes.
        reply: Reply<Signed<EpochNotice>>,
    },
    /// The list behind an epoch's root.
    EpochList {
        /// Its content address.
        list: Hash,
        /// Where the list goes.
        reply: Reply<EpochList>,
    },
}

/// What the link tells.
#[derive(Debug)]
pub enum LinkEvent {
    /// Outcome of [`LinkAsk::Enroll`].
    Enrolled(Result<Enrolled, LinkFault>),
    /// Outcome of [`LinkAsk::Heartbeat`].
    Beat(Result<Beat, LinkFault>),
    /// Outcome of [`LinkAsk::Fetch`].
    Fetched {
        /// Which blob.
        blob: Hash,
        /// Whether it is on the shelf.
        result: Result<(), LinkFault>,
    },
    /// Outcome of [`LinkAsk::Commit`].
    Committed {
        /// Which lease.
        lease: LeaseId,
        /// Whether it was acknowledged.
        result: Result<(), LinkFault>,
    },
    /// Outcome of [`LinkAsk::Deliver`].
    Delivered {
        /// Which lease.
        lease: LeaseId,
        /// Whether it was acknowledged.
        result: Result<(), LinkFault>,
    },
}

/// The verified answer to a heartbeat.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The coordinator's clock.
    pub at: UnixMillis,
    /// Open leases of this device, each signed by the coordinator.
    pub leases: Vec<Signed<WorkLease>>,
    /// Receipts; the ledger verifies them.
    pub receipts: Vec<Envelope>,
    /// When to call again.
    pub next_in: Duration,
    /// Why there is no work.
    pub no_work: Option<NoWork>,
}

/// Where the link tells its events. Returns at once.
pub type LinkOutlet = Arc<dyn Fn(LinkEvent) + Send + Sync>;

/// A line to a coordinator.
pub trait Link: Send {
    /// Begins to do it; returns at once.
    fn give(&mut self, ask: LinkAsk);
    /// Breaks everything off and waits until it has ended.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The real line, over [`Net`].
pub struct NetLink {
    shared: Arc<Shared>,
    outlet: LinkOutlet,
    tasks: JoinSet<()>,
}

impl fmt::Debug for NetLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetLink({} tasks)", self.tasks.len())
    }
}

struct Shared {
    net: Net,
    network: NetworkId,
    coordinator: CoordinatorId,
    base_url: String,
    key: Arc<Key>,
    shelf: Shelf,
    clock: Clock,
    randomness: Randomness,
    fetches: Semaphore,
    /// Fetches from other homes first.
    peers: Fetcher,
}

/// To whom a [`NetLink`] speaks, and as whom.
#[derive(Clone)]
pub struct Address {
    /// The network.
    pub network: NetworkId,
    /// The coordinator.
    pub coordinator: CoordinatorId,
    /// Its base address.
    pub base_url: String,
    /// The device's key.
    pub key: Arc<Key>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} at {})", self.coordinator.short(), self.base_url)
    }
}

impl NetLink {
    /// A line to `address`. Must be used inside a tokio runtime.
    pub fn new(
        net: Net,
        address: Address,
        shelf: Shelf,
        clock: Clock,
        randomness: Randomness,
        peers: Fetcher,
        outlet: LinkOutlet,
    ) -> Self {
        let Address { network, coordinator, base_url, key } = address;
        let base_url = base_url.trim_end_matches('/').to_owned();
        let fetches = Semaphore::new(FETCHES);
        let shared =
            Shared { net, network, coordinator, base_url, key, shelf, clock, randomness, fetches, peers };
        Self { shared: Arc::new(shared), outlet, tasks: JoinSet::new() }
    }
}

impl Link for NetLink {
    fn give(&mut self, ask: LinkAsk) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(error = &error as &dyn std::error::Error, "an exchange ended abnormally");
            }
        }
        let shared = Arc::clone(&self.shared);
        let outlet = Arc::clone(&self.outlet);
        self.tasks.spawn(async move { shared.carry_out(ask, &outlet).await });
    }

    fn stop(mut self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.tasks.shutdown().await })
    }
}

impl Shared {
    async fn carry_out(&self, ask: LinkAsk, outlet: &LinkOutlet) {
        // A caller that no longer waits for its reply has ended; then nobody is there to be told.
        match ask {
            LinkAsk::Enroll { adapter, answers } => {
                outlet(LinkEvent::Enrolled(self.enroll(adapter, answers).await));
            }
            LinkAsk::Heartbeat { holding, returned, wants_work, last_sequence } => {
                outlet(LinkEvent::Beat(self.heartbeat(holding, returned, wants_work, last_sequence).await));
            }
            LinkAsk::Fetch { blob, job } => {
                outlet(LinkEvent::Fetched { blob, result: self.fetch(blob, job).await });
            }
            LinkAsk::Commit { lease, bundle, digests, device_millis, job } => {
                let commit = Commit { coordinator: self.coordinator, lease, bundle, digests, device_millis };
                let result = self.accepted(Purpose::Coordinator, job, "/v1/commit", commit).await;
                outlet(LinkEvent::Committed { lease, result });
            }
            LinkAsk::Deliver { lease, bundle, outputs, job } => {
                let work = WorkResult { coordinator: self.coordinator, lease, bundle, outputs };
                let result = self.accepted(Purpose::Result, job, "/v1/result", work).await;
                outlet(LinkEvent::Delivered { lease, result });
            }
            LinkAsk::Bind { terms, reply } => answer(reply, self.bind(*terms).await),
            LinkAsk::Relay { terms, reply } => answer(reply, self.relay(*terms).await),
            LinkAsk::Epoch { reply } => answer(reply, self.epoch().await),
            LinkAsk::EpochList { list, reply } => answer(reply, self.epoch_list(list).await),
        }
    }

    fn nonce(&self) -> Nonce {
        Nonce((self.randomness)())
    }

    async fn enroll(&self, adapter: Adapter, answers: Option<KnownAnswers>) -> Result<Enrolled, LinkFault> {
        let nonce = self.nonce();
        let enroll = Enroll {
            coordinator: self.coordinator,
            protocol: PROTOCOL_VERSION,
            nonce,
            sent_at: (self.clock)(),
            adapter,
            answers,
        };
        let enrolled: Signed<Enrolled> = self.post(Purpose::Coordinator, None, "/v1/enroll", enroll).await?.0;
        if enrolled.message().nonce != nonce {
            return Err(LinkFault::OtherRequest);
        }
        Ok(enrolled.into_message())
    }

    async fn heartbeat(
        &self,
        holding: Vec<LeaseId>,
        returned: Vec<LeaseId>,
        wants_work: bool,
        last_sequence: u64,
    ) -> Result<Beat, LinkFault> {
        let nonce = self.nonce();
        let heartbeat = Heartbeat {
            coordinator: self.coordinator,
            nonce,
            sent_at: (self.clock)(),
            holding,
            returned,
            wants_work,
            last_sequence,
        };
        let answer: Signed<HeartbeatAnswer> =
            self.post(Purpose::Coordinator, None, "/v1/heartbeat", heartbeat).await?.0;
        let answer = answer.into_message();
        if answer.nonce != nonce {
            return Err(LinkFault::OtherRequest);
        }
        let leases = answer.leases.into_iter().filter_map(|envelope| match self.lease(envelope) {
            Ok(lease) => Some(lease),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a lease was refused");
                None
            }
        });
        Ok(Beat {
            at: answer.at,
            leases: leases.collect(),
            receipts: answer.receipts,
            next_in: Duration::from_millis(answer.next_in_millis.into()),
            no_work: answer.no_work,
        })
    }

    fn lease(&self, envelope: Envelope) -> Result<Signed<WorkLease>, LinkFault> {
        let device = self.key.device();
        verify_lease(envelope, &self.network, &self.coordinator, &device)
    }

    /// Brings a blob onto the shelf. One that is there already is not fetched again.
    async fn fetch(&self, blob: Hash, job: Option<Hash>) -> Result<(), LinkFault> {
        if self.shelf.has(&blob) {
            return Ok(());
        }
        // The semaphore is never closed while a task of this link lives.
        let _permit = self.fetches.acquire().await.map_err(|_| LinkFault::OtherRequest)?;
        // The coordinator has every blob, so whatever keeps a peer from delivering costs a moment and no more.
        match self.peers.fetch(blob).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "no peer delivers a blob, the coordinator does"
                );
            }
        }
        let io = |source| ShelfError::Io { blob, source };
        let mut part = tokio::fs::File::create(self.shelf.part_path(&blob)).await.map_err(io)?;
        let request =
            Request::get(Purpose::WorkInput, blob.to_string(), self.url(&format!("/v1/blob/{blob}")))
                .job(job)
                .max_answer_bytes(MAX_BLOB_BYTES)
                .within(Duration::from_secs(600));
        let saved = self.net.download(request, &mut part).await?;
        if !saved.answer.is_success() {
            return Err(refusal(saved.answer.status, &saved.answer.body));
        }
        drop(part);
        let shelf = self.shelf.clone();
        let put = tokio::task::spawn_blocking(move || shelf.put(&blob)).await;
        put.unwrap_or_else(|error| Err(io(std::io::Error::other(error))))?;
        self.peers.arrived();
        Ok(())
    }

    async fn bind(&self, terms: BindTerms) -> Result<(), LinkFault> {
        let bind = Bind {
            coordinator: self.coordinator,
            nonce: self.nonce(),
            sent_at: (self.clock)(),
            payout: terms.payout,
            issued_at_seconds: terms.issued_at_seconds,
            expires_at_seconds: terms.expires_at_seconds,
            wallet_signature: terms.wallet_signature,
        };
        self.accepted(Purpose::Payout, None, "/v1/bind", bind).await
    }

    async fn relay(&self, terms: RelayTerms) -> Result<Hash, LinkFault> {
        let nonce = self.nonce();
        let relay = Relay {
            coordinator: self.coordinator,
            nonce,
            sent_at: (self.clock)(),
            intent: terms.intent,
            signature: terms.signature,
            cumulative: terms.cumulative,
            proof: terms.proof,
        };
        let relayed: Signed<Relayed> = self.post(Purpose::Payout, None, "/v1/relay", relay).await?.0;
        if relayed.message().nonce != nonce {
            return Err(LinkFault::OtherRequest);
        }
        Ok(relayed.message().transaction)
    }

    async fn epoch(&self) -> Result<Signed<EpochNotice>, LinkFault> {
        let request = Request::get(Purpose::EpochList, "/v1/epoch", self.url("/v1/epoch"));
        let answer = self.net.request(request).await?;
        if !answer.is_success() {
            return Err(refusal(answer.status, &answer.body));
        }
        self.verify(&answer.body)
    }

    async fn epoch_list(&self, list: Hash) -> Result<EpochList, LinkFault> {
        let request =
            Request::get(Purpose::EpochList, list.to_string(), self.url(&format!("/v1/blob/{list}")))
                .max_answer_bytes(MAX_LIST_BYTES as u64)
                .within(Duration::from_secs(120));
        let answer = self.net.request(request).await?;
        if !answer.is_success() {
            return Err(refusal(answer.status, &answer.body));
        }
        if Hash::of(&answer.body) != list {
            return Err(ShelfError::Damaged { blob: list }.into());
        }
        Ok(cbor::decode(&answer.body, MAX_LIST_BYTES)?)
    }

    /// Sends a message that is answered by a plain acknowledgement.
    async fn accepted<T: Message>(
        &self,
        purpose: Purpose,
        job: Option<Hash>,
        path: &str,
        message: T,
    ) -> Result<(), LinkFault> {
        let (accepted, request): (Signed<Accepted>, Hash) = self.post(purpose, job, path, message).await?;
        if accepted.message().request == request { Ok(()) } else { Err(LinkFault::OtherRequest) }
    }

    /// Signs and sends `message`; gives the verified answer and the hash of the body that was sent.
    async fn post<T: Message, A: Message>(
        &self,
        purpose: Purpose,
        job: Option<Hash>,
        path: &str,
        message: T,
    ) -> Result<(Signed<A>, Hash), LinkFault> {
        let signed = self.key.sign(&self.network, message);
        let body = signed.envelope().to_bytes();
        let request = Request::post(purpose, path, self.url(path), body)
            .job(job)
            .max_answer_bytes(A::MAX_BYTES as u64 + 1024)
            .within(Duration::from_secs(60));
        let answer = self.net.request(request).await?;
        if !answer.is_success() {
            return Err(refusal(answer.status, &answer.body));
        }
        Ok((self.verify(&answer.body)?, signed.body_hash()))
    }

    fn verify<A: Message>(&self, bytes: &[u8]) -> Result<Signed<A>, LinkFault> {
        let envelope = Envelope::from_bytes::<A>(bytes)?;
        Ok(envelope.verify(&self.network, self.coordinator.as_bytes())?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }
}

/// Tells a waiting caller, if it still waits.
fn answer<T>(reply: Reply<T>, result: Result<T, LinkFault>) {
    if reply.send(result.map_err(Into::into)).is_err() {
        tracing::debug!("nobody waits for an answer of the coordinator any more");
    }
}

fn refusal(status: u16, body: &[u8]) -> LinkFault {
    match cbor::decode::<Refusal>(body, 16 * 1024) {
        Ok(refusal) => LinkFault::Refused(refusal),
        Err(_) => LinkFault::Status { status },
    }
}

/// Checks that a lease is this coordinator's, for this device, and within the bounds of a bundle.
///
/// # Errors
/// [`LinkFault::Verify`] for the signature, [`LinkFault::OtherRequest`] for anything that does not belong here.
pub fn verify_lease(
    envelope: Envelope,
    network: &NetworkId,
    coordinator: &CoordinatorId,
    device: &protocol::id::DeviceId,
) -> Result<Signed<WorkLease>, LinkFault> {
    let lease: Signed<WorkLease> = envelope.verify(network, coordinator.as_bytes())?;
    let m = lease.message();
    let mut names: Vec<_> = m.slices.iter().map(|s| s.slice).collect();
    names.sort_unstable();
    names.dedup();
    let sound = m.network == *network
        && m.coordinator == *coordinator
        && m.device == *device
        && (1..=MAX_BUNDLE_SLICES).contains(&m.slices.len())
        && names.len() == m.slices.len()
        && m.deadline_at > m.granted_at;
    if sound { Ok(lease) } else { Err(LinkFault::OtherRequest) }
}
