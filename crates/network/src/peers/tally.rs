//! The journal's account of one connection to a peer: which row its bytes belong to at present.
//!
//! A row is opened before the first byte. A connection can have several, one after the other: what a caller's knock costs
//! stands in one row, what is then delivered to it in the next. The bytes are those that QUIC hands to UDP, both directions, as
//! [`iroh`] counts them for the connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::journal::{Counts, Egress, Journal, JournalError, Outcome, RowId};
use crate::net::Clock;

/// A row is brought up to date after so many bytes,
const REPORT_EVERY_BYTES: u64 = 512 * 1024;
/// or after this time.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Bytes that a connection has moved since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
}

/// Why a connection has to end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("nothing may be sent without its journal row")]
    Journal(#[from] JournalError),
    #[error("the connection reached the ceiling that its journal row names")]
    Ceiling,
}

/// What stands in the rows of connections, all together: the rest of what the endpoint moved is its own.
#[derive(Debug, Default)]
pub(super) struct Attributed {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl Attributed {
    fn add(&self, before: Moved, after: Moved) {
        self.sent_bytes.fetch_add(after.sent_bytes - before.sent_bytes, Ordering::Relaxed);
        self.received_bytes.fetch_add(after.received_bytes - before.received_bytes, Ordering::Relaxed);
    }

    /// What of `all` is in no connection's row.
    pub(super) fn rest(&self, all: Moved) -> Moved {
        Moved {
            sent_bytes: all.sent_bytes.saturating_sub(self.sent_bytes.load(Ordering::Relaxed)),
            received_bytes: all.received_bytes.saturating_sub(self.received_bytes.load(Ordering::Relaxed)),
        }
    }
}

/// The account. Dropped while a row is open it closes the row as cancelled, with what was last known.
pub(super) struct Tally {
    journal: Arc<dyn Journal>,
    clock: Clock,
    /// Where its bytes are added up; `None` for the account of the endpoint itself.
    attributed: Option<Arc<Attributed>>,
    open: Mutex<Open>,
}

struct Open {
    /// `None` after the end.
    row: Option<RowId>,
    /// What had moved when the row was opened.
    before: Moved,
    ceiling: Moved,
    last: Moved,
    reported: Moved,
    reported_at: Instant,
    peer: Option<SocketAddr>,
}

impl Tally {
    /// Opens the first row; nothing has been sent yet.
    pub(super) fn open(
        journal: Arc<dyn Journal>,
        clock: Clock,
        attributed: Option<Arc<Attributed>>,
        egress: &Egress,
        peer: Option<SocketAddr>,
    ) -> Result<Self, JournalError> {
        let row = journal.open(egress)?;
        let open = Open {
            row: Some(row),
            before: Moved::default(),
            ceiling: ceiling(egress),
            last: Moved::default(),
            reported: Moved::default(),
            reported_at: Instant::now(),
            peer,
        };
        Ok(Self { journal, clock, attributed, open: Mutex::new(open) })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // The account is whole between two statements that take it, so a thread that died leaves it usable.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where the bytes go, once that is known.
    pub(super) fn found(&self, peer: SocketAddr) {
        self.lock().peer = Some(peer);
    }

    /// Ends the present row and goes on in another one.
    pub(super) fn turn(&self, egress: &Egress, moved: Moved) -> Result<(), JournalError> {
        let mut open = self.lock();
        let row = self.journal.open(egress)?;
        self.take(&mut open, moved);
        self.close_row(&mut open, Outcome::Answered);
        open.row = Some(row);
        open.before = open.last;
        open.reported = open.last;
        open.ceiling = ceiling(egress);
        Ok(())
    }

    /// Notes what has moved.
    pub(super) fn note(&self, moved: Moved) -> Result<(), Stop> {
        let mut open = self.lock();
        self.take(&mut open, moved);
        let Some(row) = open.row else { return Ok(()) };
        let in_row = open.in_row();
        if in_row.sent_bytes > open.ceiling.sent_bytes || in_row.received_bytes > open.ceiling.received_bytes
        {
            return Err(Stop::Ceiling);
        }
        let unreported = open.last.sum().abs_diff(open.reported.sum());
        if unreported < REPORT_EVERY_BYTES && (unreported == 0 || open.reported_at.elapsed() < REPORT_EVERY) {
            return Ok(());
        }
        self.journal.update(row, open.counts())?;
        open.reported = open.last;
        open.reported_at = Instant::now();
        Ok(())
    }

    /// Notes the connection's own last figures; its row is closed later.
    pub(super) fn last_word(&self, moved: Moved) {
        self.take(&mut self.lock(), moved);
    }

    /// Whether more than half of what the present row allows is used up.
    pub(super) fn is_half_used(&self) -> bool {
        let open = self.lock();
        let (used, most) = (open.in_row(), open.ceiling);
        used.sent_bytes > most.sent_bytes / 2 || used.received_bytes > most.received_bytes / 2
    }

    /// Ends the account with the last word on what moved.
    pub(super) fn close(&self, moved: Moved, outcome: Outcome) {
        let mut open = self.lock();
        self.take(&mut open, moved);
        self.close_row(&mut open, outcome);
    }

    fn take(&self, open: &mut Open, moved: Moved) {
        let Some(attributed) = &self.attributed else {
            // What the endpoint moved beside its connections is a difference, and a connection's own figures can come a moment
            // later than the socket's: this one may fall again.
            open.last = moved;
            return;
        };
        // Counts of a connection only grow: an older figure that comes late changes nothing.
        let before = open.last;
        open.last.sent_bytes = before.sent_bytes.max(moved.sent_bytes);
        open.last.received_bytes = before.received_bytes.max(moved.received_bytes);
        attributed.add(before, open.last);
    }

    fn close_row(&self, open: &mut Open, outcome: Outcome) {
        let Some(row) = open.row.take() else { return };
        if let Err(error) = self.journal.close(row, open.counts(), outcome, (self.clock)()) {
            // The row stays open, so the report counts its ceiling: too much, never too little.
            tracing::error!(error = &error as &dyn std::error::Error, "a journal row could not be closed");
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let mut open = self.lock();
        self.close_row(&mut open, Outcome::Cancelled);
    }
}

impl Open {
    fn in_row(&self) -> Moved {
        Moved {
            sent_bytes: self.last.sent_bytes.saturating_sub(self.before.sent_bytes),
            received_bytes: self.last.received_bytes.saturating_sub(self.before.received_bytes),
        }
    }

    fn counts(&self) -> Counts {
        let Moved { sent_bytes, received_bytes } = self.in_row();
        Counts { sent_bytes, received_bytes, peer: self.peer, system: None }
    }
}

impl Moved {
    fn sum(self) -> u64 {
        self.sent_bytes.saturating_add(self.received_bytes)
    }
}

fn ceiling(egress: &Egress) -> Moved {
    Moved { sent_bytes: egress.ceiling_sent_bytes, received_bytes: egress.ceiling_received_bytes }
}

#[cfg(test)]
mod tests {
    use protocol::units::UnixMillis;

    use super::*;
    use crate::journal::MemoryJournal;
    use crate::purpose::Purpose;

    fn egress(object: &str, ceiling_sent_bytes: u64) -> Egress {
        Egress {
            purpose: Purpose::PeerServe,
            job: None,
            object: object.to_owned(),
            destination: "192.0.2.7:4433".to_owned(),
            ceiling_sent_bytes,
            ceiling_received_bytes: 1_000_000,
            opened_at: UnixMillis(1),
        }
    }

    fn moved(sent_bytes: u64, received_bytes: u64) -> Moved {
        Moved { sent_bytes, received_bytes }
    }

    fn tally(journal: &Arc<MemoryJournal>, ceiling_sent_bytes: u64) -> Tally {
        let clock: Clock = Arc::new(|| UnixMillis(9));
        let journal: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(journal);
        Tally::open(journal, clock, Some(Arc::default()), &egress("knock", ceiling_sent_bytes), None)
            .expect("a row")
    }

    #[test]
    fn every_byte_of_a_connection_is_in_exactly_one_row() {
        let journal = Arc::new(MemoryJournal::default());
        let tally = tally(&journal, 10_000);
        tally.note(moved(3_000, 2_000)).expect("below the ceiling");
        tally.turn(&egress("blob", 5_000_000), moved(4_000, 2_500)).expect("another row");
        tally.note(moved(700_000, 9_000)).expect("below the ceiling");
        tally.close(moved(700_100, 9_500), Outcome::Answered);
        let rows: Vec<_> = journal
            .rows()
            .into_iter()
            .map(|row| {
                (row.egress.object, row.counts.sent_bytes, row.counts.received_bytes, row.ended.is_some())
            })
            .collect();
        assert_eq!(rows, [("knock".into(), 4_000, 2_500, true), ("blob".into(), 696_100, 7_000, true)]);
    }

    #[test]
    fn a_connection_stops_at_its_ceiling() {
        let journal = Arc::new(MemoryJournal::default());
        let tally = tally(&journal, 10_000);
        tally.note(moved(10_000, 0)).expect("the ceiling itself is allowed");
        assert!(matches!(tally.note(moved(10_001, 0)), Err(Stop::Ceiling)));
    }

    #[test]
    fn the_rest_may_fall_again_and_goes_on_in_rows_of_a_modest_ceiling() {
        let journal = Arc::new(MemoryJournal::default());
        let clock: Clock = Arc::new(|| UnixMillis(9));
        let kept: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&journal);
        let rest = Tally::open(kept, clock, None, &egress("reach", 10_000), None).expect("a row");
        rest.note(moved(6_000, 0)).expect("below the ceiling");
        assert!(rest.is_half_used());
        rest.note(moved(4_000, 0)).expect("below the ceiling");
        assert!(!rest.is_half_used(), "what a connection claimed a moment later is not the endpoint's own");
        rest.note(moved(7_000, 0)).expect("below the ceiling");
        rest.turn(&egress("reach", 10_000), moved(7_000, 0)).expect("another row");
        rest.close(moved(16_000, 0), Outcome::Answered);
        let sent: Vec<u64> = journal.rows().iter().map(|row| row.counts.sent_bytes).collect();
        assert_eq!(sent, [7_000, 9_000]);
    }

    #[test]
    fn a_figure_that_comes_late_takes_nothing_back() {
        let journal = Arc::new(MemoryJournal::default());
        let tally = tally(&journal, 10_000);
        tally.note(moved(5_000, 500)).expect("below the ceiling");
        tally.close(moved(4_000, 400), Outcome::Answered);
        assert_eq!(journal.rows()[0].counts.sent_bytes, 5_000);
    }

    #[test]
    fn half_a_mebibyte_is_never_unreported() {
        let journal = Arc::new(MemoryJournal::default());
        let tally = tally(&journal, u64::MAX);
        tally.note(moved(600_000, 0)).expect("below the ceiling");
        assert_eq!(journal.rows()[0].counts.sent_bytes, 600_000, "the row is up to date while it is open");
    }

    #[test]
    fn what_is_in_no_connections_row_is_the_rest() {
        let attributed = Arc::new(Attributed::default());
        let clock: Clock = Arc::new(|| UnixMillis(9));
        let open = || {
            let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
            let shared = Some(Arc::clone(&attributed));
            Tally::open(journal, Arc::clone(&clock), shared, &egress("knock", u64::MAX), None).expect("a row")
        };
        let (first, second) = (open(), open());
        first.note(moved(1_000, 100)).expect("noted");
        second.note(moved(500, 50)).expect("noted");
        first.note(moved(1_200, 100)).expect("noted");
        second.close(moved(600, 50), Outcome::Answered);
        assert_eq!(attributed.rest(moved(2_000, 170)), moved(200, 20));
        assert_eq!(
            attributed.rest(moved(1_000, 0)),
            moved(0, 0),
            "counters that lag behind give no nonsense"
        );
    }

    #[test]
    fn an_account_that_is_dropped_closes_its_row() {
        let journal = Arc::new(MemoryJournal::default());
        let tally = tally(&journal, 10_000);
        tally.note(moved(5_000, 500)).expect("below the ceiling");
        drop(tally);
        let row = &journal.rows()[0];
        assert_eq!(row.ended, Some((Outcome::Cancelled, UnixMillis(9))));
        assert_eq!(row.counts.sent_bytes, 5_000, "with what was last known");
    }
}
