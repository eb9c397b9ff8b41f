//! What is written down about each call, and the trait through which it is written.
//!
//! It owns the shape of a journal row and an in-memory journal for tools and tests; the contributor keeps its journal in
//! a file and implements [`Journal`] itself. It never sends anything. [`crate::Net`] calls it: a row is opened before
//! the first byte leaves, and where it cannot be opened nothing is sent.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::id::Hash;
use protocol::units::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::copying::SentMessage;
use crate::purpose::Purpose;
use crate::system::SystemCount;

/// What is known about a call before its first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Egress {
    /// Why.
    pub purpose: Purpose,
    /// What it is about: a content address, or the path of the request.
    pub object: String,
    /// Content address of the job's program, where the call serves a job.
    pub job: Option<Hash>,
    /// Host and port as the address was written, for example `coordinator.example:443`. The name is looked up by the
    /// operating system after the row has been opened.
    pub destination: String,
    /// The most that this call can send, headers and encryption included. Enforced.
    pub ceiling_sent_bytes: u64,
    /// The most that this call can receive. Enforced.
    pub ceiling_received_bytes: u64,
    /// When the row was opened.
    pub opened_at: UnixMillis,
}

/// What has gone over the wire so far: payload of the TCP stream, with headers and encryption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes handed to the operating system for sending.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// The address that was connected to, once there is one.
    pub peer: Option<SocketAddr>,
    /// What the operating system counted for the connection; `None` until it is closed, where none was made, and where
    /// the system does not count.
    pub system: Option<SystemCount>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An answer arrived in full, whatever it said.
    Answered,
    /// The destination could not be reached.
    Unreachable,
    /// The exchange broke off, or the answer was malformed or too long.
    Failed,
    /// It took too long.
    TimedOut,
    /// The caller gave up.
    Cancelled,
}

impl Outcome {
    /// The code stored in a journal.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// The outcome with this code, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Answered, Self::Unreachable, Self::Failed, Self::TimedOut, Self::Cancelled]
            .into_iter()
            .find(|outcome| outcome.code() == code)
    }
}

/// Names an open row of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub i64);

/// A row could not be written, for example because the disk is full.
#[derive(Debug, thiserror::Error)]
#[error("the privacy journal cannot be written")]
pub struct JournalError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl JournalError {
    /// Wraps what the journal's storage said.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Where calls are written down. The methods block for the time of one small write.
pub trait Journal: Send + Sync {
    /// Writes down durably that a call is about to be made.
    ///
    /// # Errors
    /// [`JournalError`]: then nothing is sent.
    fn open(&self, egress: &Egress) -> Result<RowId, JournalError>;

    /// Notes the counts so far; called at least every 1 MiB and every 5 s.
    ///
    /// # Errors
    /// [`JournalError`]: then the call is broken off.
    fn update(&self, row: RowId, counts: Counts) -> Result<(), JournalError>;

    /// Notes the true counts and the end of the call. A row that was never closed counts with its ceiling.
    ///
    /// # Errors
    /// [`JournalError`]: then the row stays open, and so counts with its ceiling.
    fn close(&self, row: RowId, counts: Counts, outcome: Outcome, at: UnixMillis)
    -> Result<(), JournalError>;

    /// Keeps what the call of a closed row said, for as long as the journal likes; by default not at all.
    ///
    /// # Errors
    /// [`JournalError`]: then the message is not kept; the row stands all the same.
    fn keep(&self, _: RowId, _: SentMessage) -> Result<(), JournalError> {
        Ok(())
    }
}

/// A row of a [`MemoryJournal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryRow {
    /// Its name.
    pub row: RowId,
    /// What was written at the start.
    pub egress: Egress,
    /// The last counts.
    pub counts: Counts,
    /// How and when it ended; `None` while it is open.
    pub ended: Option<(Outcome, UnixMillis)>,
}

/// A journal in memory, for programs that are not on a contributor's machine and for tests. It keeps the latest rows
/// and the totals of all closed ones.
#[derive(Debug)]
pub struct MemoryJournal {
    kept: usize,
    state: Mutex<MemoryState>,
}

#[derive(Debug, Default)]
struct MemoryState {
    next: i64,
    rows: VecDeque<MemoryRow>,
    totals: BTreeMap<Purpose, Counts>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::keeping(4096)
    }
}

impl MemoryJournal {
    /// A journal that forgets closed rows beyond the latest `kept`; open rows are never forgotten.
    pub fn keeping(kept: usize) -> Self {
        Self { kept, state: Mutex::default() }
    }

    /// The rows kept, oldest first.
    pub fn rows(&self) -> Vec<MemoryRow> {
        self.lock().rows.iter().cloned().collect()
    }

    /// What all closed rows of a purpose sent and received.
    pub fn total(&self, purpose: Purpose) -> Counts {
        self.lock().totals.get(&purpose).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        // No method panics while it holds the lock, so the state is whole even if a caller's thread died.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("row {0} is not open")]
struct NotOpen(i64);

impl Journal for MemoryJournal {
    fn open(&self, egress: &Egress) -> Result<RowId, JournalError> {
        let mut state = self.lock();
        let row = RowId(state.next);
        state.next += 1;
        state.rows.push_back(MemoryRow {
            row,
            egress: egress.clone(),
            counts: Counts::default(),
            ended: None,
        });
        while state.rows.len() > self.kept && state.rows.front().is_some_and(|oldest| oldest.ended.is_some())
        {
            state.rows.pop_front();
        }
        Ok(row)
    }

    fn update(&self, row: RowId, counts: Counts) -> Result<(), JournalError> {
        let mut state = self.lock();
        let found =
            state.rows.iter_mut().rev().find(|candidate| candidate.row == row && candidate.ended.is_none());
        found.ok_or_else(|| JournalError::new(NotOpen(row.0)))?.counts = counts;
        Ok(())
    }

    fn close(
        &self,
        row: RowId,
        counts: Counts,
        outcome: Outcome,
        at: UnixMillis,
    ) -> Result<(), JournalError> {
        let mut state = self.lock();
        let found =
            state.rows.iter_mut().rev().find(|candidate| candidate.row == row && candidate.ended.is_none());
        let found = found.ok_or_else(|| JournalError::new(NotOpen(row.0)))?;
        found.counts = counts;
        found.ended = Some((outcome, at));
        let purpose = found.egress.purpose;
        let total = state.totals.entry(purpose).or_default();
        total.sent_bytes = total.sent_bytes.saturating_add(counts.sent_bytes);
        total.received_bytes = total.received_bytes.saturating_add(counts.received_bytes);
        Ok(())
    }
}
