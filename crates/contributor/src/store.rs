//! What must outlive a restart: leases with their finished slices, receipts, the owner's snooze, and the day's figures.
//!
//! One SQLite file per network. [`Store`] has one owner, the engine's store thread; the loop never waits for a disk. An
//! unreadable file is kept aside under a new name: leases are found again by the next heartbeat and receipts are
//! fetched again from the coordinator, which signed them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use protocol::cbor;
use protocol::frames::{Checkpoint, MAX_REPLY_BYTES};
use protocol::id::{Hash, LeaseId, NetworkId, SliceId};
use protocol::local::Benchmark;
use protocol::receipt::Receipt;
use protocol::sign::{Envelope, Signed};
use protocol::units::UnixMillis;
use protocol::wire::KnownAnswers;
use protocol::work::WorkLease;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::policy::Kept;
use crate::yields::{self, Yields};

/// Checkpoints larger than this stay in memory: writing them would cost more than computing the slice again.
pub const MAX_SAVED_CHECKPOINT_BYTES: usize = 16 * 1024 * 1024;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS leases (lease BLOB PRIMARY KEY, envelope BLOB NOT NULL, committed INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS outputs (
        lease BLOB NOT NULL, slice BLOB NOT NULL, digest BLOB NOT NULL, millis INTEGER NOT NULL, output BLOB NOT NULL,
        PRIMARY KEY (lease, slice)) STRICT;
    CREATE TABLE IF NOT EXISTS checkpoints (lease BLOB PRIMARY KEY, slice BLOB NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS receipts (sequence INTEGER PRIMARY KEY, envelope BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS yields (at INTEGER NOT NULL, micros INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS days (
        date TEXT PRIMARY KEY, shared_millis INTEGER NOT NULL, metered_millis INTEGER NOT NULL,
        energy_millijoules INTEGER NOT NULL, slices INTEGER NOT NULL, bundles INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT;
    PRAGMA user_version = 1;
";

/// Why something cannot be kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite refused.
    #[error("{operation}")]
    Sqlite {
        /// What was tried.
        operation: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A damaged file could not be moved aside.
    #[error("keep the unreadable file {path} aside")]
    KeepAside {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if is_full(source))
    }
}

/// Names the operation in an error.
fn during<T>(operation: &'static str, result: Result<T, rusqlite::Error>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Sqlite { operation, source })
}

/// What one local day brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayWork {
    /// Time that the card shared.
    pub shared_millis: u64,
    /// The part of it in which the power was known.
    pub metered_millis: u64,
    /// Energy of that part.
    pub energy_millijoules: u64,
    /// Slices finished.
    pub slices: u32,
    /// Bundles handed in.
    pub bundles: u32,
}

impl DayWork {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            shared_millis: self.shared_millis.saturating_add(other.shared_millis),
            metered_millis: self.metered_millis.saturating_add(other.metered_millis),
            energy_millijoules: self.energy_millijoules.saturating_add(other.energy_millijoules),
            slices: self.slices.saturating_add(other.slices),
            bundles: self.bundles.saturating_add(other.bundles),
        }
    }
}

/// A lease with what is already computed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLease {
    /// The lease's envelope; its signature is checked again by whoever uses it.
    pub envelope: Envelope,
    /// Whether the coordinator has acknowledged the commit.
    pub committed: bool,
    /// Digest and device time of the finished slices.
    pub finished: BTreeMap<SliceId, (Hash, u64)>,
    /// State of a slice in the middle.
    pub checkpoint: Option<(SliceId, Checkpoint)>,
}

/// What a start finds.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Leases.
    pub leases: Vec<StoredLease>,
    /// Envelopes of receipts, oldest first.
    pub receipts: Vec<Envelope>,
    /// Snooze and welcome.
    pub kept: Kept,
    /// The last measurement.
    pub benchmark: Option<Benchmark>,
    /// The last known answers.
    pub answers: Option<KnownAnswers>,
    /// Figures by local date.
    pub days: BTreeMap<String, DayWork>,
    /// Hand-backs of the last 30 days.
    pub yields: Yields,
}

/// The file.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

/// Outcome of [`Store::open`].
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where an unreadable file was kept.
    pub kept_aside: Option<PathBuf>,
}

impl Store {
    /// Opens or makes the store of `network` in `data_dir`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(data_dir: &Path, network: &NetworkId, now: UnixMillis) -> Result<Opened, StoreError> {
        let path = data_dir.join(format!("work-{}.sqlite", network.short()));
        match connect(&path) {
            Ok(connection) => Ok(Opened { store: Self { connection }, kept_aside: None }),
            Err(error) if is_damage(&error) => {
                let aside = keep_aside(&path, now)
                    .map_err(|source| StoreError::KeepAside { path: path.clone(), source })?;
                let connection = during("open the store", connect(&path))?;
                Ok(Opened { store: Self { connection }, kept_aside: Some(aside) })
            }
            Err(source) => Err(StoreError::Sqlite { operation: "open the store", source }),
        }
    }

    /// Everything a start needs. Rows that cannot be decoded are left out and logged: the coordinator has them too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn restore(&self, now: UnixMillis) -> Result<Restored, StoreError> {
        during("read the store", self.try_restore(now))
    }

    fn try_restore(&self, now: UnixMillis) -> Result<Restored, rusqlite::Error> {
        let mut leases = Vec::new();
        let mut query =
            self.connection.prepare("SELECT lease, envelope, committed FROM leases ORDER BY rowid")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?)))?;
        for row in rows {
            let (lease, envelope, committed): ([u8; 32], _, bool) = row?;
            match Envelope::from_bytes::<WorkLease>(&envelope) {
                Ok(envelope) => leases.push(StoredLease {
                    envelope,
                    committed,
                    finished: self.finished(&lease)?,
                    checkpoint: self.checkpoint(&lease)?,
                }),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a saved lease is unreadable")
                }
            }
        }
        let since = now.0.saturating_sub(yields::KEPT_MILLIS);
        let mut query =
            self.connection.prepare("SELECT at, micros FROM yields WHERE at >= ?1 ORDER BY at")?;
        let noted = query.query_map([number(since)], |row| {
            Ok((UnixMillis(positive(row.get(0)?)), positive(row.get(1)?)))
        })?;
        Ok(Restored {
            leases,
            receipts: self.receipt_envelopes()?,
            kept: self.kept("policy")?.unwrap_or_default(),
            benchmark: self.kept("benchmark")?,
            answers: self.kept("answers")?,
            days: self.days()?,
            yields: noted.collect::<Result<_, _>>()?,
        })
    }

    fn finished(&self, lease: &[u8; 32]) -> Result<BTreeMap<SliceId, (Hash, u64)>, rusqlite::Error> {
        let mut query =
            self.connection.prepare_cached("SELECT slice, digest, millis FROM outputs WHERE lease = ?1")?;
        let rows = query.query_map([lease], |row| {
            Ok((SliceId(row.get(0)?), (Hash(row.get(1)?), positive(row.get(2)?))))
        })?;
        rows.collect()
    }

    fn checkpoint(&self, lease: &[u8; 32]) -> Result<Option<(SliceId, Checkpoint)>, rusqlite::Error> {
        let row: Option<([u8; 32], Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT slice, body FROM checkpoints WHERE lease = ?1")?
            .query_row([lease], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(row.and_then(|(slice, body)| match cbor::decode(&body, MAX_REPLY_BYTES) {
            Ok(checkpoint) => Some((SliceId(slice), checkpoint)),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a saved checkpoint is unreadable");
                None
            }
        }))
    }

    /// Keeps a new lease.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save_lease(&self, lease: &Signed<WorkLease>) -> Result<(), StoreError> {
        let done = self.connection.execute(
            "INSERT OR IGNORE INTO leases (lease, envelope, committed) VALUES (?1, ?2, 0)",
            params![lease.message().lease.as_bytes(), lease.envelope().to_bytes()],
        );
        during("save a lease", done.map(drop))
    }

    /// Keeps the output of a finished slice; its checkpoint is no longer needed.
    ///
    /// # Errors
    /// [`StoreError`]: then the slice does not count as finished.
    pub fn save_output(
        &mut self,
        lease: &LeaseId,
        slice: &SliceId,
        digest: &Hash,
        millis: u64,
        output: &[u8],
    ) -> Result<(), StoreError> {
        let save = || {
            let transaction = self.connection.transaction()?;
            transaction.execute(
                "INSERT OR REPLACE INTO outputs (lease, slice, digest, millis, output) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![lease.as_bytes(), slice.as_bytes(), digest.as_bytes(), number(millis), output],
            )?;
            transaction.execute(
                "DELETE FROM checkpoints WHERE lease = ?1 AND slice = ?2",
                params![lease.as_bytes(), slice.as_bytes()],
            )?;
            transaction.commit()
        };
        let mut save = save;
        during("save the output of a slice", save())
    }

    /// Keeps the state of a slice in the middle; one per lease.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save_checkpoint(
        &self,
        lease: &LeaseId,
        slice: &SliceId,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let done = self.connection.execute(
            "INSERT OR REPLACE INTO checkpoints (lease, slice, body) VALUES (?1, ?2, ?3)",
            params![lease.as_bytes(), slice.as_bytes(), cbor::encode(checkpoint)],
        );
        during("save a checkpoint", done.map(drop))
    }

    /// Notes that the coordinator has acknowledged the commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_committed(&self, lease: &LeaseId) -> Result<(), StoreError> {
        let done =
            self.connection.execute("UPDATE leases SET committed = 1 WHERE lease = ?1", [lease.as_bytes()]);
        during("save a commit", done.map(drop))
    }

    /// The outputs of a lease's finished slices.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outputs(&self, lease: &LeaseId) -> Result<Vec<(SliceId, ByteBuf)>, StoreError> {
        let read = || {
            let mut query = self
                .connection
                .prepare_cached("SELECT slice, output FROM outputs WHERE lease = ?1 ORDER BY slice")?;
            let rows = query.query_map([lease.as_bytes()], |row| {
                Ok((SliceId(row.get(0)?), ByteBuf::from(row.get::<_, Vec<u8>>(1)?)))
            })?;
            rows.collect()
        };
        during("read the outputs of a lease", read())
    }

    /// Forgets a lease and all that belongs to it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_lease(&mut self, lease: &LeaseId) -> Result<(), StoreError> {
        let mut forget = || {
            let transaction = self.connection.transaction()?;
            for table in ["leases", "outputs", "checkpoints"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE lease = ?1"), [lease.as_bytes()])?;
            }
            transaction.commit()
        };
        during("forget a lease", forget())
    }

    /// Keeps receipts that were appended to the verified chain.
    ///
    /// # Errors
    /// [`StoreError`]: then none of them is kept.
    pub fn add_receipts(&mut self, receipts: &[Signed<Receipt>]) -> Result<(), StoreError> {
        let mut add = || {
            let transaction = self.connection.transaction()?;
            for receipt in receipts {
                transaction.execute(
                    "INSERT OR IGNORE INTO receipts (sequence, envelope) VALUES (?1, ?2)",
                    params![number(receipt.message().sequence), receipt.envelope().to_bytes()],
                )?;
            }
            transaction.commit()
        };
        during("save receipts", add())
    }

    fn receipt_envelopes(&self) -> Result<Vec<Envelope>, rusqlite::Error> {
        let mut query = self.connection.prepare("SELECT envelope FROM receipts ORDER BY sequence")?;
        let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        let mut envelopes = Vec::new();
        for bytes in rows {
            match Envelope::from_bytes::<Receipt>(&bytes?) {
                Ok(envelope) => envelopes.push(envelope),
                Err(error) => {
                    // The chain ends here; the rest comes again from the coordinator.
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a saved receipt is unreadable"
                    );
                    break;
                }
            }
        }
        Ok(envelopes)
    }

    /// Drops receipts from `sequence` on, because the saved chain does not verify from there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_receipts_from(&self, sequence: u64) -> Result<(), StoreError> {
        let done = self.connection.execute("DELETE FROM receipts WHERE sequence >= ?1", [number(sequence)]);
        during("drop receipts", done.map(drop))
    }

    /// Notes how long a hand-back took, and forgets those older than 30 days.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_yield(&self, at: UnixMillis, micros: u64) -> Result<(), StoreError> {
        let note = || {
            self.connection
                .execute("INSERT INTO yields (at, micros) VALUES (?1, ?2)", [number(at.0), number(micros)])?;
            let since = at.0.saturating_sub(yields::KEPT_MILLIS);
            self.connection.execute("DELETE FROM yields WHERE at < ?1", [number(since)]).map(drop)
        };
        during("note a hand-back", note())
    }

    /// Adds to the figures of a local day.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_day(&self, date: &str, work: &DayWork) -> Result<(), StoreError> {
        let done = self.connection.execute(
            "INSERT INTO days (date, shared_millis, metered_millis, energy_millijoules, slices, bundles)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (date) DO UPDATE SET shared_millis = shared_millis + excluded.shared_millis,
                 metered_millis = metered_millis + excluded.metered_millis,
                 energy_millijoules = energy_millijoules + excluded.energy_millijoules,
                 slices = slices + excluded.slices, bundles = bundles + excluded.bundles",
            params![
                date,
                number(work.shared_millis),
                number(work.metered_millis),
                number(work.energy_millijoules),
                work.slices,
                work.bundles
            ],
        );
        during("note the day's work", done.map(drop))
    }

    fn days(&self) -> Result<BTreeMap<String, DayWork>, rusqlite::Error> {
        let mut query = self.connection.prepare(
            "SELECT date, shared_millis, metered_millis, energy_millijoules, slices, bundles FROM days",
        )?;
        let rows = query.query_map([], |row| {
            let work = DayWork {
                shared_millis: positive(row.get(1)?),
                metered_millis: positive(row.get(2)?),
                energy_millijoules: positive(row.get(3)?),
                slices: row.get(4)?,
                bundles: row.get(5)?,
            };
            Ok((row.get(0)?, work))
        })?;
        rows.collect()
    }

    /// Keeps the policy's lasting memory.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_policy(&self, kept: &Kept) -> Result<(), StoreError> {
        self.keep("policy", kept)
    }

    /// Keeps the last measurement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_benchmark(&self, benchmark: &Benchmark) -> Result<(), StoreError> {
        self.keep("benchmark", benchmark)
    }

    /// Keeps how the card computed the known answers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_answers(&self, answers: &KnownAnswers) -> Result<(), StoreError> {
        self.keep("answers", answers)
    }

    fn keep<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let json = serde_json::to_string(value)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)));
        let done = json.and_then(|json| {
            self.connection.execute("INSERT OR REPLACE INTO kept (name, json) VALUES (?1, ?2)", [name, &json])
        });
        during("save the engine's state", done.map(drop))
    }

    fn kept<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, rusqlite::Error> {
        let json: Option<String> = self
            .connection
            .query_row("SELECT json FROM kept WHERE name = ?1", [name], |row| row.get(0))
            .optional()?;
        Ok(json.and_then(|json| match serde_json::from_str(&json) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(
                    name,
                    error = &error as &dyn std::error::Error,
                    "a saved value is unreadable"
                );
                None
            }
        }))
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -256;",
    )?;
    check_integrity(&connection)?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// SQLite's integers are signed; what does not fit shows as the largest.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Fails as SQLite does on damage when the file's pages do not hang together.
pub(crate) fn check_integrity(connection: &Connection) -> Result<(), rusqlite::Error> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(());
    }
    let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(damage, Some(answer)))
}

/// Whether the file is damaged, as against busy, full or out of reach.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as C;
    matches!(error.sqlite_error_code(), Some(C::DatabaseCorrupt | C::NotADatabase))
}

/// Whether the disk (or the file's own limit) is full.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// `path` with `suffix` after its whole name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Moves a damaged file and its write-ahead log to a new name and gives it.
pub(crate) fn keep_aside(path: &Path, now: UnixMillis) -> Result<PathBuf, std::io::Error> {
    let aside = beside(path, &format!(".unreadable-{}", now.0));
    std::fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        match std::fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(aside)
}
