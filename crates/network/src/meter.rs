//! Counts what goes over one TCP stream, keeps the journal row of the call up to date, and enforces its ceilings.
//!
//! It sits below encryption, so that it counts what the wire carries. It never opens a stream itself; [`crate::Net`]
//! gives it one per call.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::copying::{Copying, SentMessage};
use crate::journal::{Counts, Egress, Journal, JournalError, Outcome, RowId};
use crate::net::Clock;
use crate::system::{self, SystemCount};

/// Told about the counts as a call goes on. Called from within the transfer: it must return at once.
pub type Progress = Arc<dyn Fn(Counts) + Send + Sync>;

/// How many bytes pass before the row is brought up to date. With one more write or read on top (at most
/// [`WRITE_AT_MOST_BYTES`], or hyper's read buffer of about 400 KiB) it stays below the 1 MiB that the design allows.
const REPORT_EVERY_BYTES: u64 = 512 * 1024;

/// The largest single write, so that a roomy socket buffer cannot swallow several MiB between two reports.
const WRITE_AT_MOST_BYTES: usize = 256 * 1024;

/// The open journal row of one call. Dropping it before [`Meter::finish`] closes the row as cancelled.
pub(crate) struct Meter {
    shared: Arc<Shared>,
    clock: Clock,
    finished: bool,
}

struct Shared {
    journal: Arc<dyn Journal>,
    row: RowId,
    ceiling_sent_bytes: u64,
    ceiling_received_bytes: u64,
    sent: AtomicU64,
    received: AtomicU64,
    reported: AtomicU64,
    notes: Mutex<Notes>,
    progress: Option<Progress>,
}

#[derive(Default)]
struct Notes {
    peer: Option<SocketAddr>,
    system: Option<SystemCount>,
    message: Option<SentMessage>,
    refused: Option<JournalError>,
    over_ceiling: bool,
}

impl Meter {
    /// Opens the row.
    pub(crate) fn open(
        journal: Arc<dyn Journal>,
        clock: Clock,
        egress: &Egress,
        progress: Option<Progress>,
    ) -> Result<Self, JournalError> {
        let row = journal.open(egress)?;
        let shared = Shared {
            journal,
            row,
            ceiling_sent_bytes: egress.ceiling_sent_bytes,
            ceiling_received_bytes: egress.ceiling_received_bytes,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            notes: Mutex::default(),
            progress,
        };
        Ok(Self { shared: Arc::new(shared), clock, finished: false })
    }

    /// Puts the meter around a connected stream.
    pub(crate) fn around(&self, stream: TcpStream, peer: SocketAddr) -> Metered {
        self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).peer = Some(peer);
        Metered { stream, shared: Arc::clone(&self.shared), at_end: false, counted: false }
    }

    /// Copies what is said over `stream`, which lies above encryption; the journal is given it once the row is closed.
    pub(crate) fn copying<S>(
        &self,
        stream: S,
    ) -> Copying<S, impl FnMut(SentMessage) + Unpin + Send + use<S>> {
        let shared = Arc::clone(&self.shared);
        Copying::new(stream, move |message| {
            shared.notes.lock().unwrap_or_else(PoisonError::into_inner).message = Some(message);
        })
    }

    /// Brings the row up to date.
    pub(crate) fn report(&self) -> Result<(), JournalError> {
        self.shared.report()
    }

    /// Why the meter itself broke the stream off, if it did: the journal refused an update, or a ceiling was reached.
    pub(crate) fn broke_off(&self) -> Option<BrokenOff> {
        let mut notes = self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match notes.refused.take() {
            Some(error) => Some(BrokenOff::Journal(error)),
            None => notes.over_ceiling.then_some(BrokenOff::Ceiling),
        }
    }

    /// Closes the row with the true counts.
    pub(crate) fn finish(mut self, outcome: Outcome) -> Counts {
        self.close(outcome)
    }

    fn close(&mut self, outcome: Outcome) -> Counts {
        self.finished = true;
        let counts = self.shared.counts();
        let at = (self.clock)();
        if let Err(error) = self.shared.journal.close(self.shared.row, counts, outcome, at) {
            // The bytes have gone. The row stays open, so the report counts its ceiling: too much, never too little.
            tracing::error!(error = &error as &dyn std::error::Error, "a journal row could not be closed");
        }
        let message = self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).message.take();
        if let Some(message) = message
            && let Err(error) = self.shared.journal.keep(self.shared.row, message)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "what a call said could not be kept");
        }
        counts
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if !self.finished {
            self.close(Outcome::Cancelled);
        }
    }
}

/// Why a [`Metered`] stream broke off by itself.
pub(crate) enum BrokenOff {
    Journal(JournalError),
    Ceiling,
}

impl Shared {
    fn counts(&self) -> Counts {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        Counts {
            sent_bytes: self.sent.load(Ordering::Relaxed),
            received_bytes: self.received.load(Ordering::Relaxed),
            peer: notes.peer,
            system: notes.system,
        }
    }

    fn report(&self) -> Result<(), JournalError> {
        let counts = self.counts();
        self.reported.store(counts.sent_bytes + counts.received_bytes, Ordering::Relaxed);
        self.journal.update(self.row, counts)
    }

    /// After bytes have passed: tells the listener, and the journal if enough has passed since the last time.
    fn passed(&self) -> io::Result<()> {
        let counts = self.counts();
        if let Some(progress) = &self.progress {
            progress(counts);
        }
        let total = counts.sent_bytes + counts.received_bytes;
        if total - self.reported.load(Ordering::Relaxed) < REPORT_EVERY_BYTES {
            return Ok(());
        }
        self.report().map_err(|error| {
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).refused = Some(error);
            io::Error::other("the privacy journal refused an update")
        })
    }

    fn over_ceiling(&self) -> io::Error {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).over_ceiling = true;
        io::Error::other("the call reached the ceiling that its journal row names")
    }
}

/// A TCP stream under a meter.
pub(crate) struct Metered {
    stream: TcpStream,
    shared: Arc<Shared>,
    /// The other side's end of the stream was read.
    at_end: bool,
    /// The operating system was asked for its count.
    counted: bool,
}

impl Metered {
    /// Asks the operating system for its count, once, at the last moment at which nothing is ambiguous: before this
    /// side's own end is queued behind the payload.
    fn ask_the_system(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            let count = system::count(&self.stream, self.at_end);
            self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).system = count;
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.ask_the_system();
    }
}

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        let received = this.shared.received.fetch_add(read, Ordering::Relaxed) + read;
        if received > this.shared.ceiling_received_bytes {
            return Poll::Ready(Err(this.shared.over_ceiling()));
        }
        if read > 0 {
            this.shared.passed()?;
        } else if buf.remaining() > 0 {
            this.at_end = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let left = this.shared.ceiling_sent_bytes.saturating_sub(this.shared.sent.load(Ordering::Relaxed));
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len()).min(WRITE_AT_MOST_BYTES);
        if allowed == 0 && !buf.is_empty() {
            return Poll::Ready(Err(this.shared.over_ceiling()));
        }
        let written = std::task::ready!(Pin::new(&mut this.stream).poll_write(cx, &buf[..allowed]))?;
        this.shared.sent.fetch_add(written as u64, Ordering::Relaxed);
        this.shared.passed()?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ask_the_system();
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests;
