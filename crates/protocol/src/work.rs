//! Leases, commits and results: the contributor's side of a work unit.
//!
//! A contributor is given a bundle of opaque slices and never learns which unit a slice belongs to, nor which of them
//! repeat somebody else's work, so audits cannot be told from ordinary slices.

use serde::{Deserialize, Serialize};

use crate::id::{BundleId, CoordinatorId, DeviceId, Hash, LeaseId, NetworkId, SliceId};
use crate::manifest::InputRange;
use crate::sign::Message;
use crate::units::{BaseUnits, UnixMillis};

/// Most slices of one bundle: a unit's 64, and up to as many of others.
pub const MAX_BUNDLE_SLICES: usize = 128;

/// The right of one device to compute one bundle until a deadline. Signed by the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkLease {
    /// The network.
    pub network: NetworkId,
    /// Who grants it.
    pub coordinator: CoordinatorId,
    /// Who may compute.
    pub device: DeviceId,
    /// This lease.
    pub lease: LeaseId,
    /// The bundle to commit and answer.
    pub bundle: BundleId,
    /// Content address of the program's signed envelope; all slices run it.
    pub program: Hash,
    /// Slices in shuffled order.
    pub slices: Vec<SliceRef>,
    /// Price of one accepted slice, fixed before dispatch.
    pub price_per_slice: BaseUnits,
    /// When it was granted, by the coordinator's clock.
    pub granted_at: UnixMillis,
    /// Until when the commit must have arrived.
    pub deadline_at: UnixMillis,
}

/// One opaque slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceRef {
    /// Its name inside this lease.
    pub slice: SliceId,
    /// One per input buffer of the program.
    pub inputs: Vec<InputRange>,
    /// Values of the params buffer.
    pub params: Vec<u32>,
}

/// Digests of all finished slices of a bundle, sent before anybody may know what is audited. Signed by the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// The lease.
    pub lease: LeaseId,
    /// The bundle.
    pub bundle: BundleId,
    /// BLAKE3 digest of each finished slice's output, in any order. Slices left out count as not computed.
    pub digests: Vec<(SliceId, Hash)>,
    /// Device time spent, in milliseconds: for scheduling, never for pay.
    pub device_millis: u64,
}

/// The outputs behind a commit. Signed by the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkResult {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// The lease.
    pub lease: LeaseId,
    /// The bundle.
    pub bundle: BundleId,
    /// Every committed slice's output; each must hash to its committed digest.
    pub outputs: Vec<(SliceId, serde_bytes::ByteBuf)>,
}

impl Message for WorkLease {
    const TYPE: &'static str = "work-lease";
    const MAX_BYTES: usize = 4 * 1024 * 1024;
}
impl Message for Commit {
    const TYPE: &'static str = "commit";
    const MAX_BYTES: usize = 64 * 1024;
}
impl Message for WorkResult {
    const TYPE: &'static str = "result";
    const MAX_BYTES: usize = 256 * 1024 * 1024;
}
