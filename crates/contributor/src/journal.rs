//! The journal of what left this machine: one SQLite file, written by one thread, a row before each first byte.
//!
//! It implements [`network::Journal`], so that `Net` can send nothing without a row; a row is on the disk before
//! [`SqliteJournal`] answers. After a crash the rows that were open count with their ceilings and say so. An unreadable
//! file is kept aside under a new name and reported, never overwritten. It is a book of facts for the owner; the
//! privacy page is a query on it (`privacy`), diagnostics go to the log. The latest messages are kept word for word
//! beside their rows, within [`KEPT_MESSAGES`] and [`KEPT_MESSAGE_BYTES`].

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use network::{Counts, Egress, JournalError, Outcome, RowId, SentMessage, SystemCount};
use protocol::id::Hash;
use protocol::units::UnixMillis;
use rusqlite::Connection;

mod rows;
#[cfg(test)]
mod tests;

pub use rows::{KEPT_MESSAGE_BYTES, KEPT_MESSAGES};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "journal.sqlite";
/// Asks that may wait for the thread; a caller beyond that waits for its turn.
const QUEUE: usize = 64;

/// One row as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Names it in this journal.
    pub row: i64,
    /// When it was opened.
    pub opened_at: UnixMillis,
    /// Code of the [`network::Purpose`].
    pub purpose: String,
    /// What it was about.
    pub object: String,
    /// Content address of the program of the job that it served, hex.
    pub job: Option<String>,
    /// Title and publisher of that job, once they have been read.
    pub job_name: Option<JobTitle>,
    /// Host and port.
    pub destination: String,
    /// Address that was connected to.
    pub peer: Option<String>,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// What the operating system counted for the connection.
    pub system: Option<SystemCount>,
    /// Code of the [`Outcome`]; `None` while it goes on, and after a crash.
    pub outcome: Option<String>,
    /// When it ended.
    pub closed_at: Option<UnixMillis>,
    /// The counts are ceilings, because the program ended before the call did, or because the row is damaged.
    pub estimated: bool,
    /// What it said is kept.
    pub kept: bool,
}

/// How a job is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTitle {
    /// Its title.
    pub title: String,
    /// Its publisher's name.
    pub publisher: String,
}

/// Which rows are read: those opened in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub from_at: UnixMillis,
    /// The instant after the last; `None` for no end.
    pub until_at: Option<UnixMillis>,
}

impl Span {
    /// Everything that is kept.
    pub const ALL: Self = Self { from_at: UnixMillis(0), until_at: None };
}

/// What is true of the whole journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Size of the file and its write-ahead log in bytes.
    pub file_bytes: u64,
    /// When the oldest row was opened.
    pub first_at: Option<UnixMillis>,
    /// When the owner last deleted the history.
    pub deleted_at: Option<UnixMillis>,
    /// Messages kept.
    pub messages: u32,
    /// Their size in bytes.
    pub message_bytes: u64,
}

/// Sums of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
}

/// Why the journal cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenJournalError {
    /// The file cannot be made or opened.
    #[error("open the journal {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A damaged file could not be moved aside.
    #[error("keep the unreadable journal {path} aside")]
    KeepAside {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The thread could not be started.
    #[error("start the journal's thread")]
    Thread(#[source] std::io::Error),
}

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadJournalError {
    /// SQLite cannot read it, or cannot delete from it.
    #[error("use the journal")]
    Read(#[from] rusqlite::Error),
    /// The thread has ended.
    #[error("the journal is closed")]
    Closed,
}

impl ReadJournalError {
    /// Whether the disk is full: deleting writes, too.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Read(source) if crate::store::is_full(source))
    }
}

type WriteReply<T> = mpsc::SyncSender<Result<T, rusqlite::Error>>;
type ReadReply<T> = Box<dyn FnOnce(Result<T, ReadJournalError>) + Send>;

/// Rows as they come from the file, oldest first: a year of them is never in memory at once.
pub struct Reading<'a> {
    /// The rows of the span.
    pub rows: &'a mut dyn Iterator<Item = Result<JournalRow, rusqlite::Error>>,
    /// What is true of the whole journal.
    pub standing: Standing,
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reading({:?})", self.standing)
    }
}

/// Takes rows in, on the journal's thread.
pub type WithRows = Box<dyn for<'a> FnOnce(Result<Reading<'a>, ReadJournalError>) + Send>;

/// What the thread is asked.
enum Ask {
    Open { egress: Egress, reply: WriteReply<i64> },
    Update { row: i64, counts: Counts, reply: WriteReply<()> },
    Close { row: i64, counts: Counts, outcome: Outcome, at: UnixMillis, reply: WriteReply<()> },
    Keep { row: i64, message: SentMessage, reply: WriteReply<()> },
    NameJob { program: Hash, name: JobTitle },
    Rows { span: Span, with: WithRows },
    Sums { from_at: UnixMillis, reply: ReadReply<Sums> },
    Message { row: i64, reply: ReadReply<Option<(JournalRow, SentMessage)>> },
    Delete { at: UnixMillis, reply: ReadReply<()> },
    End,
}

/// The journal. Shared by `Net`, which writes, and the engine, which reads. Ends its thread when dropped.
#[derive(Debug)]
pub struct SqliteJournal {
    ask: mpsc::SyncSender<Ask>,
    thread: Option<JoinHandle<()>>,
    kept_aside: Option<PathBuf>,
}

impl SqliteJournal {
    /// Opens or makes the journal in `data_dir`. An unreadable file is moved aside and named in
    /// [`SqliteJournal::kept_aside`]. Rows that a crash left open now count with their ceilings.
    ///
    /// # Errors
    /// [`OpenJournalError`]: then nothing may be sent.
    pub fn open(data_dir: &Path, now: UnixMillis) -> Result<Self, OpenJournalError> {
        let path = data_dir.join(FILE_NAME);
        let (connection, kept_aside) = match rows::connect(&path) {
            Ok(connection) => (connection, None),
            Err(error) if crate::store::is_damage(&error) => {
                let aside = crate::store::keep_aside(&path, now)
                    .map_err(|source| OpenJournalError::KeepAside { path: path.clone(), source })?;
                tracing::error!(?aside, "the journal could not be read and was kept aside");
                let connection = rows::connect(&path)
                    .map_err(|source| OpenJournalError::Open { path: path.clone(), source })?;
                (connection, Some(aside))
            }
            Err(source) => return Err(OpenJournalError::Open { path, source }),
        };
        let (ask, asked) = mpsc::sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("hearth-journal".to_owned())
            .spawn(move || serve(connection, &path, &asked))
            .map_err(OpenJournalError::Thread)?;
        Ok(Self { ask, thread: Some(thread), kept_aside })
    }

    /// Where an unreadable journal was kept, if the file found was one.
    pub fn kept_aside(&self) -> Option<&Path> {
        self.kept_aside.as_deref()
    }

    /// Gives the rows of `span` to `with`, on the journal's thread.
    pub fn read_rows(&self, span: Span, with: WithRows) {
        if let Err(mpsc::SendError(Ask::Rows { with, .. })) = self.ask.send(Ask::Rows { span, with }) {
            with(Err(ReadJournalError::Closed));
        }
    }

    /// Sums of the rows opened at or after `from_at`. `reply` is called on the journal's thread.
    pub fn read_sums(
        &self,
        from_at: UnixMillis,
        reply: impl FnOnce(Result<Sums, ReadJournalError>) + Send + 'static,
    ) {
        if let Err(mpsc::SendError(Ask::Sums { reply, .. })) =
            self.ask.send(Ask::Sums { from_at, reply: Box::new(reply) })
        {
            reply(Err(ReadJournalError::Closed));
        }
    }

    /// What the call of `row` said, while it is kept. `reply` is called on the journal's thread.
    pub fn read_message(
        &self,
        row: i64,
        reply: impl FnOnce(Result<Option<(JournalRow, SentMessage)>, ReadJournalError>) + Send + 'static,
    ) {
        if let Err(mpsc::SendError(Ask::Message { reply, .. })) =
            self.ask.send(Ask::Message { row, reply: Box::new(reply) })
        {
            reply(Err(ReadJournalError::Closed));
        }
    }

    /// Notes what the job with this program is called. Returns at once; a failure is logged and costs a name only.
    pub fn name_job(&self, program: Hash, name: JobTitle) {
        if self.ask.send(Ask::NameJob { program, name }).is_err() {
            tracing::debug!("the journal is closed; a job stays without its name");
        }
    }

    /// Deletes every row that has ended, with its message, and overwrites them in the file; a call that goes on keeps
    /// its row. That it was done stays noted. `reply` is called on the journal's thread.
    pub fn delete_history(
        &self,
        at: UnixMillis,
        reply: impl FnOnce(Result<(), ReadJournalError>) + Send + 'static,
    ) {
        if let Err(mpsc::SendError(Ask::Delete { reply, .. })) =
            self.ask.send(Ask::Delete { at, reply: Box::new(reply) })
        {
            reply(Err(ReadJournalError::Closed));
        }
    }

    fn write<T>(&self, ask: impl FnOnce(WriteReply<T>) -> Ask) -> Result<T, JournalError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.ask.send(ask(reply)).map_err(|_| JournalError::new(ReadJournalError::Closed))?;
        let answer = answer.recv().map_err(|_| JournalError::new(ReadJournalError::Closed))?;
        answer.map_err(JournalError::new)
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        // The thread may have ended by itself; then there is nobody to tell.
        if self.ask.send(Ask::End).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl network::Journal for SqliteJournal {
    fn open(&self, egress: &Egress) -> Result<RowId, JournalError> {
        self.write(|reply| Ask::Open { egress: egress.clone(), reply }).map(RowId)
    }

    fn update(&self, row: RowId, counts: Counts) -> Result<(), JournalError> {
        self.write(|reply| Ask::Update { row: row.0, counts, reply })
    }

    fn close(
        &self,
        row: RowId,
        counts: Counts,
        outcome: Outcome,
        at: UnixMillis,
    ) -> Result<(), JournalError> {
        self.write(|reply| Ask::Close { row: row.0, counts, outcome, at, reply })
    }

    fn keep(&self, row: RowId, message: SentMessage) -> Result<(), JournalError> {
        self.write(|reply| Ask::Keep { row: row.0, message, reply })
    }
}

fn serve(mut connection: Connection, path: &Path, asked: &mpsc::Receiver<Ask>) {
    while let Ok(ask) = asked.recv() {
        // A caller that has gone away no longer needs its answer.
        let heard = match ask {
            Ask::Open { egress, reply } => reply.send(rows::insert(&connection, &egress)).is_ok(),
            Ask::Update { row, counts, reply } => {
                reply.send(rows::update(&connection, row, counts, None)).is_ok()
            }
            Ask::Close { row, counts, outcome, at, reply } => {
                reply.send(rows::update(&connection, row, counts, Some((outcome, at)))).is_ok()
            }
            Ask::Keep { row, message, reply } => {
                reply.send(rows::keep(&mut connection, row, &message)).is_ok()
            }
            Ask::NameJob { program, name } => {
                if let Err(error) = rows::name_job(&connection, &program, &name) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a job's name is not noted");
                }
                true
            }
            Ask::Rows { span, with } => {
                rows::read(&connection, path, span, with);
                true
            }
            Ask::Sums { from_at, reply } => {
                reply(rows::sums(&connection, from_at).map_err(Into::into));
                true
            }
            Ask::Message { row, reply } => {
                reply(rows::message(&connection, row).map_err(Into::into));
                true
            }
            Ask::Delete { at, reply } => {
                reply(rows::delete(&mut connection, at).map_err(Into::into));
                true
            }
            Ask::End => return,
        };
        if !heard {
            tracing::debug!("a journal caller left before its answer");
        }
    }
}
