//! What the journal's file holds, as statements on one connection: shape, migrations, rows, kept messages, deletion.
//!
//! The journal's thread is the only caller. A figure that cannot be true (SQLite's integers are signed) is replaced by
//! the row's ceiling and marked, and text is read as far as it is text: one damaged row costs no report.

use std::path::{Path, PathBuf};

use network::{Counts, Egress, Outcome, SentMessage, SystemCount};
use protocol::id::Hash;
use protocol::units::UnixMillis;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{JobTitle, JournalRow, Reading, Span, Standing, Sums, WithRows};

/// Most messages kept; the oldest go first.
pub const KEPT_MESSAGES: u32 = 64;
/// Largest size of all kept messages together, in bytes.
pub const KEPT_MESSAGE_BYTES: u64 = 4 * 1024 * 1024;

/// Version of a file that has taken every one of [`STEPS`].
const VERSION: u32 = 2;
/// Each step lifts a file by one version; a file says in `user_version` how many it has taken. A step is never edited.
const STEPS: [&str; VERSION as usize] = [
    "CREATE TABLE IF NOT EXISTS sendings (
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
    CREATE INDEX IF NOT EXISTS sendings_by_time ON sendings (opened_at);",
    "ALTER TABLE sendings ADD COLUMN job TEXT;
    ALTER TABLE sendings ADD COLUMN system_sent_bytes INTEGER;
    ALTER TABLE sendings ADD COLUMN system_received_bytes INTEGER;
    CREATE TABLE jobs (program TEXT PRIMARY KEY, title TEXT NOT NULL, publisher TEXT NOT NULL) STRICT;
    CREATE TABLE messages (
        sending INTEGER PRIMARY KEY,
        head BLOB NOT NULL,
        body BLOB NOT NULL,
        body_bytes INTEGER NOT NULL,
        body_hash BLOB NOT NULL
    ) STRICT;
    CREATE TABLE deletions (at INTEGER NOT NULL) STRICT;",
];

/// The columns of a [`JournalRow`] in the order in which [`journal_row`] reads them.
const COLUMNS: &str = "sendings.id, opened_at, purpose, object, job, jobs.title, jobs.publisher, destination, peer,
    sent_bytes, received_bytes, ceiling_sent_bytes, ceiling_received_bytes, system_sent_bytes, system_received_bytes,
    outcome, closed_at, estimated, messages.sending IS NOT NULL
    FROM sendings LEFT JOIN jobs ON jobs.program = sendings.job
    LEFT JOIN messages ON messages.sending = sendings.id";

pub(super) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let mut connection = Connection::open(path)?;
    // FULL: the row is on the disk, not only in the system's cache, before the first byte leaves. Secure deletion: what
    // the owner deletes is overwritten, not only unlinked.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -256; PRAGMA secure_delete = ON;",
    )?;
    crate::store::check_integrity(&connection)?;
    migrate(&mut connection)?;
    connection.execute(
        "UPDATE sendings SET sent_bytes = ceiling_sent_bytes, received_bytes = ceiling_received_bytes, estimated = 1
         WHERE outcome IS NULL AND estimated = 0",
        [],
    )?;
    Ok(connection)
}

/// Takes the steps that the file has not taken, all or none.
fn migrate(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let taken: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if taken >= VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(taken as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// A count past 2^63 is not met in practice and shows as the largest.
fn count(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The first instant of a span that begins at `at`; zero means from the beginning, whatever a damaged row says.
fn first(at: UnixMillis) -> i64 {
    if at.0 == 0 { i64::MIN } else { count(at.0) }
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

pub(super) fn insert(connection: &Connection, egress: &Egress) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO sendings
             (opened_at, purpose, object, job, destination, ceiling_sent_bytes, ceiling_received_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert(params![
            count(egress.opened_at.0),
            egress.purpose.code(),
            egress.object,
            egress.job.map(|program| program.to_string()),
            egress.destination,
            count(egress.ceiling_sent_bytes),
            count(egress.ceiling_received_bytes),
        ])
}

pub(super) fn update(
    connection: &Connection,
    row: i64,
    counts: Counts,
    ended: Option<(Outcome, UnixMillis)>,
) -> Result<(), rusqlite::Error> {
    let changed = connection
        .prepare_cached(
            "UPDATE sendings SET sent_bytes = ?2, received_bytes = ?3, peer = ?4, outcome = ?5, closed_at = ?6,
             system_sent_bytes = ?7, system_received_bytes = ?8
             WHERE id = ?1 AND outcome IS NULL AND estimated = 0",
        )?
        .execute(params![
            row,
            count(counts.sent_bytes),
            count(counts.received_bytes),
            counts.peer.map(|peer| peer.to_string()),
            ended.map(|(outcome, _)| outcome.code()),
            ended.map(|(_, at)| count(at.0)),
            counts.system.map(|system| count(system.sent_bytes)),
            counts.system.map(|system| count(system.received_bytes)),
        ])?;
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
}

/// Keeps a message and lets the oldest go until the rest is within both bounds.
pub(super) fn keep(
    connection: &mut Connection,
    row: i64,
    message: &SentMessage,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction
        .prepare_cached(
            // The owner may have deleted the row meanwhile.
            "INSERT INTO messages (sending, head, body, body_bytes, body_hash)
             SELECT id, ?2, ?3, ?4, ?5 FROM sendings WHERE id = ?1",
        )?
        .execute(params![
            row,
            message.head,
            message.body,
            count(message.body_bytes),
            message.body_hash.as_bytes(),
        ])?;
    transaction
        .prepare_cached(
            "DELETE FROM messages WHERE sending IN (
                SELECT sending FROM (
                    SELECT sending, row_number() OVER latest AS place, sum(length(head) + length(body)) OVER latest AS size
                    FROM messages WINDOW latest AS (ORDER BY sending DESC)
                ) WHERE place > ?1 OR size > ?2
            )",
        )?
        .execute(params![KEPT_MESSAGES, count(KEPT_MESSAGE_BYTES)])?;
    transaction.commit()
}

pub(super) fn name_job(
    connection: &Connection,
    program: &Hash,
    name: &JobTitle,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO jobs (program, title, publisher) VALUES (?1, ?2, ?3)")?
        .execute(params![program.to_string(), name.title, name.publisher])?;
    Ok(())
}

pub(super) fn read(connection: &Connection, path: &Path, span: Span, with: WithRows) {
    let query = format!(
        "SELECT {COLUMNS} WHERE opened_at >= ?1 AND (?2 IS NULL OR opened_at < ?2) ORDER BY opened_at, sendings.id"
    );
    let standing = match standing(connection, path) {
        Ok(standing) => standing,
        Err(error) => return with(Err(error.into())),
    };
    let mut statement = match connection.prepare_cached(&query) {
        Ok(statement) => statement,
        Err(error) => return with(Err(error.into())),
    };
    let bounds = params![first(span.from_at), span.until_at.map(|at| count(at.0))];
    match statement.query_map(bounds, journal_row) {
        Ok(mut rows) => with(Ok(Reading { rows: &mut rows, standing })),
        Err(error) => with(Err(error.into())),
    }
}

/// Text as far as it is text.
fn text(row: &Row<'_>, column: usize) -> Result<Option<String>, rusqlite::Error> {
    Ok(row.get_ref(column)?.as_bytes_or_null()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn journal_row(row: &Row<'_>) -> Result<JournalRow, rusqlite::Error> {
    let required = |column| text(row, column).map(Option::unwrap_or_default);
    let mut counts: (i64, i64) = (row.get(9)?, row.get(10)?);
    let mut estimated: bool = row.get(17)?;
    if counts.0 < 0 || counts.1 < 0 {
        counts = (row.get(11)?, row.get(12)?);
        estimated = true;
    }
    let system = match (row.get::<_, Option<i64>>(13)?, row.get::<_, Option<i64>>(14)?) {
        (Some(sent @ 0..), Some(received @ 0..)) => {
            Some(SystemCount { sent_bytes: unsigned(sent), received_bytes: unsigned(received) })
        }
        _ => None,
    };
    let job_name = match (text(row, 5)?, text(row, 6)?) {
        (Some(title), Some(publisher)) => Some(JobTitle { title, publisher }),
        _ => None,
    };
    Ok(JournalRow {
        row: row.get(0)?,
        opened_at: UnixMillis(unsigned(row.get(1)?)),
        purpose: required(2)?,
        object: required(3)?,
        job: text(row, 4)?,
        job_name,
        destination: required(7)?,
        peer: text(row, 8)?,
        sent_bytes: unsigned(counts.0),
        received_bytes: unsigned(counts.1),
        system,
        outcome: text(row, 15)?,
        closed_at: row.get::<_, Option<i64>>(16)?.map(|at| UnixMillis(unsigned(at))),
        estimated,
        kept: row.get(18)?,
    })
}

fn standing(connection: &Connection, path: &Path) -> Result<Standing, rusqlite::Error> {
    let instant = |query: &str| -> Result<Option<UnixMillis>, rusqlite::Error> {
        let at: Option<i64> = connection.prepare_cached(query)?.query_row([], |row| row.get(0))?;
        Ok(at.map(|at| UnixMillis(unsigned(at))))
    };
    let (messages, message_bytes) = connection
        .prepare_cached("SELECT count(*), sum(length(head) + length(body)) FROM messages")?
        .query_row([], |row| Ok((row.get(0)?, unsigned(row.get::<_, Option<i64>>(1)?.unwrap_or(0)))))?;
    Ok(Standing {
        file_bytes: file_bytes(path),
        first_at: instant("SELECT min(opened_at) FROM sendings")?,
        deleted_at: instant("SELECT max(at) FROM deletions")?,
        messages,
        message_bytes,
    })
}

/// Size of the file and its write-ahead log.
fn file_bytes(path: &Path) -> u64 {
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    size(path.to_owned()) + size(crate::store::beside(path, "-wal"))
}

/// Summed here and not by SQLite, whose sum of integers fails where it would overflow.
pub(super) fn sums(connection: &Connection, from_at: UnixMillis) -> Result<Sums, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT iif(sent_bytes < 0, ceiling_sent_bytes, sent_bytes),
                iif(received_bytes < 0, ceiling_received_bytes, received_bytes)
         FROM sendings WHERE opened_at >= ?1",
    )?;
    let mut rows = statement.query([first(from_at)])?;
    let mut sums = Sums::default();
    while let Some(row) = rows.next()? {
        sums.sent_bytes = sums.sent_bytes.saturating_add(unsigned(row.get(0)?));
        sums.received_bytes = sums.received_bytes.saturating_add(unsigned(row.get(1)?));
    }
    Ok(sums)
}

pub(super) fn message(
    connection: &Connection,
    row: i64,
) -> Result<Option<(JournalRow, SentMessage)>, rusqlite::Error> {
    let query = format!("SELECT {COLUMNS} WHERE sendings.id = ?1");
    let sending = connection.prepare_cached(&query)?.query_row([row], journal_row).optional()?;
    let message = connection
        .prepare_cached("SELECT head, body, body_bytes, body_hash FROM messages WHERE sending = ?1")?
        .query_row([row], |row| {
            Ok(SentMessage {
                head: row.get(0)?,
                body: row.get(1)?,
                body_bytes: unsigned(row.get(2)?),
                body_hash: Hash(row.get(3)?),
            })
        })
        .optional()?;
    Ok(sending.zip(message))
}

pub(super) fn delete(connection: &mut Connection, at: UnixMillis) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "DELETE FROM messages;
         DELETE FROM sendings WHERE outcome IS NOT NULL OR estimated <> 0;
         DELETE FROM jobs WHERE program NOT IN (SELECT job FROM sendings WHERE job IS NOT NULL);
         DELETE FROM deletions;",
    )?;
    transaction.execute("INSERT INTO deletions (at) VALUES (?1)", [count(at.0)])?;
    transaction.commit()?;
    // What was deleted stands in the write-ahead log until that is folded into the file and cut.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
}
