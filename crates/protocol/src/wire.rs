//! Bodies between a contributor (or publisher) and a coordinator: canonical CBOR over HTTP, each in an envelope signed
//! by its sender, requests and answers alike.
//!
//! | request | path | answer |
//! |---|---|---|
//! | `Signed<Enroll>` | `POST /v1/enroll` | `Signed<Enrolled>` |
//! | `Signed<Heartbeat>` | `POST /v1/heartbeat` | `Signed<HeartbeatAnswer>` |
//! | `Signed<Commit>` | `POST /v1/commit` | `Signed<Accepted>` |
//! | `Signed<WorkResult>` | `POST /v1/result` | `Signed<Accepted>` |
//! | `Signed<Bind>` | `POST /v1/bind` | `Signed<Accepted>` |
//! | `Signed<Relay>` | `POST /v1/relay` | `Signed<Relayed>` |
//! | `Signed<Deliverable>` | `POST /v1/deliverable` | `Signed<Accepted>` |
//! | `Signed<AskDelivery>` | `POST /v1/delivery` | `Signed<DeliveryOffer>` |
//! | blob | `GET /v1/blob/{hash}` | its bytes |
//! | - | `GET /v1/epoch` | `Signed<EpochNotice>` |
//! | `Signed<Manifest>` | `POST /v1/jobs` | `Signed<Accepted>` |
//! | blob | `PUT /v1/blob/{hash}` with header `hearth-publisher: base64(Signed<Upload>)` | 204 |
//! | - | `GET /v1/jobs/{id}` | JSON progress (publisher's API) |
//! | bytes | `POST /v1/measure/up`, `GET /v1/measure/down/{bytes}` | counts, bytes |
//!
//! A refusal is an HTTP status with a [`Refusal`] as its body.

use serde::{Deserialize, Serialize};

use crate::frames::{Adapter, Class};
use crate::id::{CoordinatorId, DeviceId, Hash, LeaseId, Nonce};
use crate::sign::{Envelope, Message};
use crate::units::{BaseUnits, UnixMillis};

/// First message of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enroll {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// The sender's [`crate::PROTOCOL_VERSION`].
    pub protocol: u16,
    /// Never used twice.
    pub nonce: Nonce,
    /// The sender's clock; more than five minutes off is refused.
    pub sent_at: UnixMillis,
    /// What computes: chooses the conformance class, is never paid for.
    pub adapter: Adapter,
    /// How it computed the known answers, once it has. A device enrols again when that changes.
    pub answers: Option<KnownAnswers>,
}

/// How a device computed the known answers of the conformance suite that ships with Hearth. A claim like the adapter: a
/// device that reports a fault gets no work, a device that hides one loses its bundles in the audits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAnswers {
    /// Which suite: the hash over all of its right answers.
    pub suite: Hash,
    /// The class that computed.
    pub class: Class,
    /// When, by the device's clock.
    pub checked_at: UnixMillis,
    /// Every kernel of the suite in order, at most [`KnownAnswers::MAX_KERNELS`].
    pub kernels: Vec<KernelAnswer>,
}

/// What one kernel of the suite came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelAnswer {
    /// Its name, at most [`KnownAnswers::MAX_NAME_BYTES`].
    pub kernel: String,
    /// Whether all cases gave the right answer.
    pub right: bool,
    /// Hash over the outputs of all cases in order.
    pub digest: Hash,
}

impl KnownAnswers {
    /// Most kernels of a suite.
    pub const MAX_KERNELS: usize = 32;
    /// Longest name of a kernel.
    pub const MAX_NAME_BYTES: usize = 32;

    /// Whether every kernel gave the right answers. False for a report without kernels.
    pub fn are_right(&self) -> bool {
        !self.kernels.is_empty() && self.kernels.iter().all(|kernel| kernel.right)
    }

    /// Whether the report is within its bounds.
    pub fn is_bounded(&self) -> bool {
        self.kernels.len() <= Self::MAX_KERNELS
            && self.kernels.iter().all(|answer| answer.kernel.len() <= Self::MAX_NAME_BYTES)
    }
}

/// Answer to [`Enroll`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Nonce of the request.
    pub nonce: Nonce,
    /// The coordinator's clock.
    pub at: UnixMillis,
    /// Last receipt the coordinator has written for this device, 0 if none.
    pub last_sequence: u64,
}

/// Sign of life, asks for work and receipts. A repeated heartbeat is harmless: leases are found again, not granted anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// Never used twice.
    pub nonce: Nonce,
    /// The sender's clock.
    pub sent_at: UnixMillis,
    /// Leases that the device still holds.
    pub holding: Vec<LeaseId>,
    /// Leases that the device hands back.
    pub returned: Vec<LeaseId>,
    /// Whether it wants another lease.
    pub wants_work: bool,
    /// Last receipt that the device holds.
    pub last_sequence: u64,
}

/// Answer to [`Heartbeat`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Nonce of the request.
    pub nonce: Nonce,
    /// The coordinator's clock.
    pub at: UnixMillis,
    /// Envelopes of `WorkLease`: the open ones of this device.
    pub leases: Vec<Envelope>,
    /// Envelopes of `Receipt` that follow `last_sequence`, oldest first, at most 64.
    pub receipts: Vec<Envelope>,
    /// When to call again, in milliseconds.
    pub next_in_millis: u32,
    /// Why there is no work, where that is so.
    pub no_work: Option<NoWork>,
}

/// Why a heartbeat got no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "snake_case")]
pub enum NoWork {
    /// No job is waiting.
    NoneOffered,
    /// The device already holds as much as it may.
    EnoughLeased,
    /// This kind of device may not compute here (for example a software renderer outside a local network).
    DeviceClass,
    /// The device is suspended after faults.
    Suspended,
    /// All work on offer is held for this kind of card and driver, or they failed the known answers. No fault of the
    /// device's owner.
    ClassHeld,
}

/// Binds a payout address to the device. Carries the wallet's EIP-712 signature (`BindNode`) where the address can sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// Never used twice.
    pub nonce: Nonce,
    /// The sender's clock.
    pub sent_at: UnixMillis,
    /// Checksummed payout address.
    pub payout: String,
    /// Issue instant inside the typed data, in seconds.
    pub issued_at_seconds: u64,
    /// Expiry instant inside the typed data, in seconds.
    pub expires_at_seconds: u64,
    /// 65-byte signature of the wallet, or empty for an outside address.
    #[serde(with = "serde_bytes")]
    pub wallet_signature: Vec<u8>,
}

/// Asks the coordinator's relayer to submit a signed withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// Never used twice.
    pub nonce: Nonce,
    /// The sender's clock.
    pub sent_at: UnixMillis,
    /// The owner's intent, as signed.
    pub intent: WithdrawIntent,
    /// 65-byte EIP-712 signature.
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
    /// Cumulative amount of the account in the tree.
    pub cumulative: BaseUnits,
    /// Merkle proof of (account, cumulative).
    pub proof: Vec<Hash>,
}

/// Terms of a withdrawal (EIP-712 `Withdraw`); addresses are checksummed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawIntent {
    /// Whose earnings.
    pub account: String,
    /// Who receives exactly `amount`.
    pub to: String,
    /// What arrives.
    pub amount: BaseUnits,
    /// What the relayer receives.
    pub fee: BaseUnits,
    /// Who may submit; the zero address for anyone.
    pub relayer: String,
    /// Used once per account; consecutive numbers are cheapest on the chain.
    pub nonce: u64,
    /// Last second since 1970 in which it can be carried out.
    pub deadline_seconds: u64,
}

/// Answer to [`Relay`]. The same intent again gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Nonce of the request.
    pub nonce: Nonce,
    /// Hash of the transaction that carries it.
    pub transaction: Hash,
}

/// Plain acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// BLAKE3 hash of the request's body: what is acknowledged.
    pub request: Hash,
    /// The coordinator's clock.
    pub at: UnixMillis,
}

/// The latest closed epoch, and what a withdrawal costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochNotice {
    /// Number of the epoch, 0 before the first.
    pub epoch: u64,
    /// Root of the cumulative tree.
    pub root: Hash,
    /// Sum of the tree.
    pub total: BaseUnits,
    /// Content address of the [`EpochList`].
    pub list: Hash,
    /// Whether the root is active on the chain.
    pub active: bool,
    /// Address of the relayer.
    pub relayer: String,
    /// What it takes for one withdrawal.
    pub withdrawal_fee: BaseUnits,
    /// The coordinator's clock.
    pub at: UnixMillis,
}

/// Rows of an epoch's tree, published as a blob. The leaf of an account is the sum of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochList {
    /// Number of the epoch.
    pub epoch: u64,
    /// Sorted by hashed device.
    pub rows: Vec<EpochRow>,
}

/// What one device has earned in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRow {
    /// BLAKE3 hash of the device id.
    pub device: Hash,
    /// Checksummed account.
    pub account: String,
    /// Sum since the beginning.
    pub cumulative: BaseUnits,
}

/// Permission to store one blob, from a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// Content address.
    pub blob: Hash,
    /// Size.
    pub bytes: u64,
}

/// Body of a refused request. Not signed: a refusal changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For logs.
    pub detail: String,
}

/// Why a coordinator refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The sender speaks another [`crate::PROTOCOL_VERSION`].
    ProtocolVersion,
    /// Malformed, or over a limit.
    Malformed,
    /// The signature or signer is wrong.
    Signature,
    /// Seen before, or the sender's clock is off.
    Replay,
    /// No such lease, job or blob, or not the sender's.
    NotFound,
    /// Too late.
    Expired,
    /// Outputs do not hash to the commit, or the commit names slices that were not leased.
    Commit,
    /// The publisher is not let in, or has not deposited enough.
    Publisher,
    /// The package does not pass its checks.
    Package,
    /// The withdrawal does not fit the tree, the chain or the fee.
    Withdrawal,
    /// The device may not take part.
    Suspended,
    /// The coordinator cannot do it at present; try again.
    Unavailable,
}

/// The row of `device` in an epoch list names it only by hash.
pub fn hashed_device(device: &DeviceId) -> Hash {
    Hash::of(device.as_bytes())
}

macro_rules! message {
    ($($type:ty = $name:literal, $max:expr;)*) => {
        $(impl Message for $type {
            const TYPE: &'static str = $name;
            const MAX_BYTES: usize = $max;
        })*
    };
}

message! {
    Enroll = "enroll", 8 * 1024;
    Enrolled = "enrolled", 4 * 1024;
    Heartbeat = "heartbeat", 16 * 1024;
    HeartbeatAnswer = "heartbeat-answer", 16 * 1024 * 1024;
    Bind = "bind", 4 * 1024;
    Relay = "relay", 16 * 1024;
    Relayed = "relayed", 4 * 1024;
    Accepted = "accepted", 4 * 1024;
    EpochNotice = "epoch-notice", 4 * 1024;
    Upload = "upload", 4 * 1024;
}
