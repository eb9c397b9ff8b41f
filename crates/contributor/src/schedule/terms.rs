//! What the schedule is told and what it answers: closed lists, without bytes of work and without text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::frames::{Adapter, Pace};
use protocol::id::{BundleId, Hash, LeaseId, SliceId};
use protocol::manifest::Program;
use protocol::sign::Signed;
use protocol::units::UnixMillis;
use protocol::wire::NoWork;
use protocol::work::{SliceRef, WorkLease};

use crate::conformance::Known;
use crate::link::FaultKind;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The policy's decision: compute at this pace, or not.
    Wished(Option<Pace>),
    /// Whether the coordinator may be spoken to.
    Permitted(bool),
    /// The device is enrolled.
    Enrolled {
        /// The coordinator's clock.
        at: UnixMillis,
    },
    /// It is not.
    NotEnrolled(FaultKind),
    /// A heartbeat was answered.
    Beat {
        /// The coordinator's clock.
        at: UnixMillis,
        /// Open leases.
        leases: Vec<Signed<WorkLease>>,
        /// When to call again.
        next_in: Duration,
        /// Why there is no work.
        no_work: Option<NoWork>,
        /// Whether more receipts wait than fit into the answer.
        more_receipts: bool,
    },
    /// A heartbeat was not answered.
    NoBeat(FaultKind),
    /// A fetch ended.
    Fetched {
        /// Which blob.
        blob: Hash,
        /// Whether it is on the shelf.
        result: Result<(), FaultKind>,
    },
    /// A program was read from the shelf and its signature checked.
    ProgramRead {
        /// Content address of its envelope.
        program: Hash,
        /// The program, or why it is not run.
        result: Result<Arc<Program>, ProgramFault>,
    },
    /// A commit ended.
    Committed {
        /// Which lease.
        lease: LeaseId,
        /// Whether it was acknowledged.
        result: Result<(), FaultKind>,
    },
    /// A delivery ended.
    Delivered {
        /// Which lease.
        lease: LeaseId,
        /// Whether it was acknowledged.
        result: Result<(), FaultKind>,
    },
    /// A finished slice is in the store.
    Saved {
        /// Its lease.
        lease: LeaseId,
        /// Which slice.
        slice: SliceId,
        /// Digest of its output.
        digest: Hash,
        /// Device time spent.
        millis: u64,
    },
    /// A finished slice could not be saved.
    NotSaved {
        /// Its lease.
        lease: LeaseId,
        /// Which slice.
        slice: SliceId,
    },
    /// The work at hand is not worth its electricity: seal what is finished, hand back the rest.
    GiveUp,
    /// The owner lends so many bytes of the card's memory; `None` where its size is not known.
    MemoryAllowed(Option<u64>),
    /// What is known of how the card computes.
    Known(Known),
    /// News from the worker.
    Worker(WorkerNews),
    /// Look at the clock.
    Tick,
}

/// Why a program is not run. The lease is handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramFault {
    /// The file was damaged on the disk: fetch it again.
    Damaged,
    /// Not signed by a publisher that the network lets in, or out of bounds.
    Refused,
}

/// News from the worker, without bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerNews {
    /// A process is ready.
    Opened(Adapter),
    /// None could be started.
    NotOpened {
        /// Because there is no graphics driver that can compute.
        no_driver: bool,
    },
    /// The program is compiled.
    Loaded,
    /// It is not.
    NotLoaded,
    /// The device is free.
    Yielded,
    /// State of the slice is saved, and the device memory free.
    Checkpointed,
    /// A slice is computed; its output is on the way to the store.
    Done {
        /// Which.
        slice: SliceId,
    },
    /// A slice could not be computed.
    Failed {
        /// Which.
        slice: SliceId,
    },
    /// An input of a slice is damaged or missing on this disk.
    InputMissing {
        /// Which slice.
        slice: SliceId,
        /// Which blob.
        blob: Hash,
    },
    /// The process has ended.
    Died,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Introduce the device.
    Enroll(Adapter),
    /// Sign of life.
    Heartbeat {
        /// Leases held.
        holding: Vec<LeaseId>,
        /// Leases handed back.
        returned: Vec<LeaseId>,
        /// Whether another lease is wanted.
        wants_work: bool,
    },
    /// Bring a blob onto the shelf.
    Fetch(Hash),
    /// Read and check a program that is on the shelf.
    ReadProgram(Hash),
    /// Keep a lease.
    SaveLease(Box<Signed<WorkLease>>),
    /// Commit to these digests.
    Commit {
        /// The lease.
        lease: LeaseId,
        /// Its bundle.
        bundle: BundleId,
        /// Digests of the finished slices.
        digests: Vec<(SliceId, Hash)>,
        /// Device time spent.
        device_millis: u64,
    },
    /// Hand in the saved outputs.
    Deliver {
        /// The lease.
        lease: LeaseId,
        /// Its bundle.
        bundle: BundleId,
    },
    /// Note that the commit is acknowledged.
    MarkCommitted(LeaseId),
    /// Drop a lease and all that belongs to it.
    Forget {
        /// Which.
        lease: LeaseId,
        /// Whether its result was handed in.
        handed_in: bool,
    },
    /// Start a worker.
    Open,
    /// Compile a program.
    Load {
        /// Content address of its envelope.
        program: Hash,
    },
    /// Compute a slice, from its checkpoint if there is one.
    Run(Box<RunSlice>),
    /// Free the device: answer within [`super::PREEMPT_ANSWER`], dead after [`super::PREEMPT_KILL`].
    Preempt,
    /// Send the state and free the device memory.
    Release,
    /// Go on.
    Resume(Pace),
    /// End the worker.
    Close,
}

/// A slice to compute.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSlice {
    /// Its lease.
    pub lease: LeaseId,
    /// The slice with its inputs and params.
    pub slice: SliceRef,
    /// Pacing.
    pub pace: Pace,
    /// How long it may take while it is not suspended.
    pub limit: Duration,
}

/// How the line to the coordinator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Not tried yet.
    Untried,
    /// The last exchange succeeded.
    Up,
    /// The last exchange failed.
    Down {
        /// Since when.
        since_at: UnixMillis,
        /// Why.
        kind: FaultKind,
    },
}

/// A saved lease as a restart finds it.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredLease {
    /// The lease, its signature checked.
    pub lease: Signed<WorkLease>,
    /// Whether its commit is acknowledged.
    pub committed: bool,
    /// Finished slices.
    pub finished: BTreeMap<SliceId, (Hash, u64)>,
}

/// What a person may know of the work at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkView {
    /// The lease.
    pub lease: WorkLease,
    /// The program, once it is read.
    pub program: Option<Arc<Program>>,
    /// Finished slices.
    pub finished: usize,
    /// Deadline by this machine's clock.
    pub deadline_at: UnixMillis,
}
