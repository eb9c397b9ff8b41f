//! The journal of what left this machine: one SQLite file, written by one thread, a row before each first byte.
//!
//! It implements [`network::Journal`], so that `Net` can send nothing without a row; a row is on the disk before
//! [`SqliteJournal`] answers. After a crash the rows that were open count with their ceilings and say so. An unreadable
//! file is kept aside under a new name and reported, never overwritten. It is a book of facts for the owner; the
//! privacy page is a query on it (`privacy`), diagnostics go to the log.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use network::{Counts, Egress, JournalError, Outcome, Purpose, RowId};
use protocol::units::UnixMillis;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "journal.sqlite";
/// Asks that may wait for the thread; a caller beyond that waits for its turn.
const QUEUE: usize = 64;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sendings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        opened_at INTEGER NOT NULL,
        purpose TEXT NOT NULL,
        object TEXT NOT NULL,
        destination TEXT NOT NULL,
        ceiling_sent_bytes INTEGER NOT NULL,
        ceiling_received_bytes INTEGER NOT NULL,
        sent_bytes INTEGER NOT NULL DEFAULT 0,
        received_bytes INTEGER NOT NULL DEFAULT 0,
        peer TEXT,
        outcome TEXT,
        closed_at INTEGER,
        estimated INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX IF NOT EXISTS sendings_by_time ON sendings (opened_at);
    PRAGMA user_version = 1;
";

/// One row as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// When it was opened.
    pub opened_at: UnixMillis,
    /// Code of the [`Purpose`].
    pub purpose: String,
    /// What it was about.
    pub object: String,
    /// Host and port.
    pub destination: String,
    /// Address that was connected to.
    pub peer: Option<String>,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Code of the [`Outcome`]; `None` while it goes on, and after a crash.
    pub outcome: Option<String>,
    /// When it ended.
    pub closed_at: Option<UnixMillis>,
    /// The counts are ceilings, because the program ended before the call did.
    pub estimated: bool,
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
    /// SQLite cannot read it.
    #[error("read the journal")]
    Read(#[from] rusqlite::Error),
    /// The thread has ended.
    #[error("the journal is closed")]
    Closed,
}

type WriteReply<T> = mpsc::SyncSender<Result<T, rusqlite::Error>>;
type ReadReply<T> = Box<dyn FnOnce(Result<T, ReadJournalError>) + Send>;

/// What the thread is asked.
enum Ask {
    Open { egress: Egress, reply: WriteReply<i64> },
    Update { row: i64, counts: Counts, reply: WriteReply<()> },
    Close { row: i64, counts: Counts, outcome: Outcome, at: UnixMillis, reply: WriteReply<()> },
    Rows { from_at: UnixMillis, reply: ReadReply<(Vec<JournalRow>, u64)> },
    Sums { from_at: UnixMillis, reply: ReadReply<Sums> },
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
        let (connection, kept_aside) = match connect(&path) {
            Ok(connection) => (connection, None),
            Err(error) if crate::store::is_damage(&error) => {
                let aside = crate::store::keep_aside(&path, now)
                    .map_err(|source| OpenJournalError::KeepAside { path: path.clone(), source })?;
                tracing::error!(?aside, "the journal could not be read and was kept aside");
                let connection =
                    connect(&path).map_err(|source| OpenJournalError::Open { path: path.clone(), source })?;
                (connection, Some(aside))
            }
            Err(source) => return Err(OpenJournalError::Open { path, source }),
        };
        let (ask, asked) = mpsc::sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("hearth-journal".to_owned())
            .spawn(move || serve(&connection, &path, &asked))
            .map_err(OpenJournalError::Thread)?;
        Ok(Self { ask, thread: Some(thread), kept_aside })
    }

    /// Where an unreadable journal was kept, if the file found was one.
    pub fn kept_aside(&self) -> Option<&Path> {
        self.kept_aside.as_deref()
    }

    /// Rows opened at or after `from_at`, oldest first, with the size of the file in bytes. `reply` is called on the
    /// journal's thread.
    pub fn read_rows(
        &self,
        from_at: UnixMillis,
        reply: impl FnOnce(Result<(Vec<JournalRow>, u64), ReadJournalError>) + Send + 'static,
    ) {
        if let Err(mpsc::SendError(Ask::Rows { reply, .. })) =
            self.ask.send(Ask::Rows { from_at, reply: Box::new(reply) })
        {
            reply(Err(ReadJournalError::Closed));
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
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    // FULL: the row is on the disk, not only in the system's cache, before the first byte leaves.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -256;",
    )?;
    crate::store::check_integrity(&connection)?;
    connection.execute_batch(SCHEMA)?;
    connection.execute(
        "UPDATE sendings SET sent_bytes = ceiling_sent_bytes, received_bytes = ceiling_received_bytes, estimated = 1
         WHERE outcome IS NULL AND estimated = 0",
        [],
    )?;
    Ok(connection)
}

fn serve(connection: &Connection, path: &Path, asked: &mpsc::Receiver<Ask>) {
    while let Ok(ask) = asked.recv() {
        // A caller that has gone away no longer needs its answer.
        let heard = match ask {
            Ask::Open { egress, reply } => reply.send(insert(connection, &egress)).is_ok(),
            Ask::Update { row, counts, reply } => reply.send(update(connection, row, counts, None)).is_ok(),
            Ask::Close { row, counts, outcome, at, reply } => {
                reply.send(update(connection, row, counts, Some((outcome, at)))).is_ok()
            }
            Ask::Rows { from_at, reply } => {
                reply(rows(connection, from_at).map(|rows| (rows, file_bytes(path))).map_err(Into::into));
                true
            }
            Ask::Sums { from_at, reply } => {
                reply(sums(connection, from_at).map_err(Into::into));
                true
            }
            Ask::End => return,
        };
        if !heard {
            tracing::debug!("a journal caller left before its answer");
        }
    }
}

/// SQLite's integers are signed; a count past 2^63 is not met in practice and shows as the largest.
fn count(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn bytes(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn insert(connection: &Connection, egress: &Egress) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO sendings (opened_at, purpose, object, destination, ceiling_sent_bytes, ceiling_received_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .insert(params![
            count(egress.opened_at.0),
            egress.purpose.code(),
            egress.object,
            egress.destination,
            count(egress.ceiling_sent_bytes),
            count(egress.ceiling_received_bytes),
        ])
}

fn update(
    connection: &Connection,
    row: i64,
    counts: Counts,
    ended: Option<(Outcome, UnixMillis)>,
) -> Result<(), rusqlite::Error> {
    let changed = connection
        .prepare_cached(
            "UPDATE sendings SET sent_bytes = ?2, received_bytes = ?3, peer = ?4, outcome = ?5, closed_at = ?6
             WHERE id = ?1 AND outcome IS NULL AND estimated = 0",
        )?
        .execute(params![
            row,
            count(counts.sent_bytes),
            count(counts.received_bytes),
            counts.peer.map(|peer| peer.to_string()),
            ended.map(|(outcome, _)| outcome.code()),
            ended.map(|(_, at)| count(at.0)),
        ])?;
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
}

fn rows(connection: &Connection, from_at: UnixMillis) -> Result<Vec<JournalRow>, rusqlite::Error> {
    let mut query = connection.prepare_cached(
        "SELECT opened_at, purpose, object, destination, peer, sent_bytes, received_bytes, outcome, closed_at, estimated
         FROM sendings WHERE opened_at >= ?1 ORDER BY opened_at, id",
    )?;
    let rows = query.query_map([count(from_at.0)], |row| {
        Ok(JournalRow {
            opened_at: UnixMillis(bytes(row.get(0)?)),
            purpose: row.get(1)?,
            object: row.get(2)?,
            destination: row.get(3)?,
            peer: row.get(4)?,
            sent_bytes: bytes(row.get(5)?),
            received_bytes: bytes(row.get(6)?),
            outcome: row.get(7)?,
            closed_at: row.get::<_, Option<i64>>(8)?.map(|at| UnixMillis(bytes(at))),
            estimated: row.get(9)?,
        })
    })?;
    rows.collect()
}

fn sums(connection: &Connection, from_at: UnixMillis) -> Result<Sums, rusqlite::Error> {
    let sums = connection
        .prepare_cached("SELECT sum(sent_bytes), sum(received_bytes) FROM sendings WHERE opened_at >= ?1")?
        .query_row([count(from_at.0)], |row| {
            let (sent, received): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(Sums { sent_bytes: bytes(sent.unwrap_or(0)), received_bytes: bytes(received.unwrap_or(0)) })
        })
        .optional()?;
    Ok(sums.unwrap_or_default())
}

/// Size of the file and its write-ahead log.
fn file_bytes(path: &Path) -> u64 {
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    size(path.to_owned()) + size(crate::store::beside(path, "-wal"))
}

/// The purpose of a row, where this version knows its code.
pub fn purpose(row: &JournalRow) -> Option<Purpose> {
    Purpose::from_code(&row.purpose)
}

#[cfg(test)]
mod tests {
    use network::Journal as _;

    use super::*;

    fn egress(object: &str, at: u64) -> Egress {
        Egress {
            purpose: Purpose::Result,
            object: object.to_owned(),
            job: None,
            destination: "coordinator.example:443".to_owned(),
            ceiling_sent_bytes: 5000,
            ceiling_received_bytes: 700,
            opened_at: UnixMillis(at),
        }
    }

    fn read(journal: &SqliteJournal) -> Vec<JournalRow> {
        let (send, receive) = mpsc::channel();
        journal.read_rows(UnixMillis(0), move |rows| send.send(rows).unwrap());
        receive.recv().unwrap().unwrap().0
    }

    const COUNTS: Counts = Counts { sent_bytes: 40, received_bytes: 30, peer: None, system: None };

    #[test]
    fn a_row_left_open_by_a_crash_counts_with_its_ceiling_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
        let done = journal.open(&egress("a", 10)).unwrap();
        journal.close(done, COUNTS, Outcome::Answered, UnixMillis(12)).unwrap();
        let open = journal.open(&egress("b", 20)).unwrap();
        journal.update(open, COUNTS).unwrap();
        assert!(
            read(&journal).iter().all(|row| row.sent_bytes == 40 && !row.estimated),
            "alive, counts are true"
        );
        drop(journal);

        let journal = SqliteJournal::open(dir.path(), UnixMillis(2)).unwrap();
        let rows = read(&journal);
        assert_eq!(
            (rows[0].sent_bytes, rows[0].estimated, rows[0].outcome.as_deref()),
            (40, false, Some("answered"))
        );
        assert_eq!((rows[1].sent_bytes, rows[1].received_bytes, rows[1].estimated), (5000, 700, true));
        assert!(journal.update(open, COUNTS).is_err(), "a row of an earlier life is closed for good");
    }

    #[test]
    fn an_unreadable_journal_is_kept_aside_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let garbage = vec![0x5a_u8; 20_000];
        std::fs::write(dir.path().join(FILE_NAME), &garbage).unwrap();
        let journal = SqliteJournal::open(dir.path(), UnixMillis(77)).unwrap();
        let aside = journal.kept_aside().expect("the damage must be reported");
        assert_eq!(std::fs::read(aside).unwrap(), garbage, "evidence is never overwritten");
        assert_eq!(read(&journal), [], "the new journal begins empty");
        journal.open(&egress("a", 1)).unwrap();
    }

    #[test]
    fn a_journal_that_cannot_be_written_refuses_the_row() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
        let connection = connect(&dir.path().join("full.sqlite")).unwrap();
        connection.execute_batch("PRAGMA max_page_count = 1").unwrap();
        let mut error = None;
        for n in 0..2000 {
            if let Err(refused) = insert(&connection, &egress(&"x".repeat(400), n)) {
                error = Some(refused);
                break;
            }
        }
        let error = error.expect("a full file must refuse");
        assert!(crate::store::is_full(&error), "and be recognised as full: {error}");
        drop(journal);
    }

    #[test]
    fn sums_count_what_was_opened_in_the_span() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
        for at in [10, 20, 30] {
            let row = journal.open(&egress("a", at)).unwrap();
            journal.close(row, COUNTS, Outcome::Answered, UnixMillis(at + 1)).unwrap();
        }
        let (send, receive) = mpsc::channel();
        journal.read_sums(UnixMillis(20), move |sums| send.send(sums).unwrap());
        assert_eq!(receive.recv().unwrap().unwrap(), Sums { sent_bytes: 80, received_bytes: 60 });
    }
}
