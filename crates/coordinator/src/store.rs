//! The coordinator's memory: one SQLite file in WAL mode.
//!
//! It owns the tables (`migrations/`), and the door through which everything is written: [`Store::write`] runs one
//! transaction and checks the ledger's rule at its end, so a change that would promise more than publishers paid in
//! is rolled back as a whole. It never decides anything; the coordinator's loop is its only caller.

pub(crate) mod classes;
pub(crate) mod deliveries;
pub(crate) mod devices;
pub(crate) mod ledger;
pub(crate) mod settling;
pub(crate) mod work;

use std::path::{Path, PathBuf};

use protocol::units::{BaseUnits, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

use crate::credit::LedgerError;

/// Schema versions in order; `PRAGMA user_version` says how many have been applied.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/v1.sql"),
    include_str!("../migrations/v2.sql"),
    include_str!("../migrations/v3.sql"),
];

/// Why the store failed. Nothing of the attempted change was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened as a database.
    #[error("open the database {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer program has written it.
    #[error("the database has schema {found}, this program knows up to {known}")]
    Newer {
        /// Version in the file.
        found: usize,
        /// Latest version known here.
        known: usize,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full(#[source] rusqlite::Error),
    /// Any other failure of SQLite.
    #[error("access the database")]
    Sql(#[source] rusqlite::Error),
    /// The change would break the ledger.
    #[error("keep the ledger")]
    Ledger(#[from] LedgerError),
    /// A stored value cannot be read back.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full(error),
            _ => Self::Sql(error),
        }
    }
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the database, making it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`]; a file that is not ours is left as it is.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(open)?;
        // FULL: a receipt that was handed out must survive a power cut.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA busy_timeout = 5000;",
            )
            .map_err(open)?;
        let applied: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(open)?;
        let applied = applied as usize;
        if applied > MIGRATIONS.len() {
            return Err(StoreError::Newer { found: applied, known: MIGRATIONS.len() });
        }
        for (version, sql) in MIGRATIONS.iter().enumerate().skip(applied) {
            let step = connection.transaction()?;
            step.execute_batch(sql)?;
            step.pragma_update(None, "user_version", version as u32 + 1)?;
            step.commit()?;
        }
        Ok(Self { connection })
    }

    /// For reading.
    pub(crate) fn read(&self) -> &Connection {
        &self.connection
    }

    /// Runs `change` in one transaction: all of it is kept, or, when it or the ledger's rule fails, nothing.
    pub(crate) fn write<T, E: From<StoreError>>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::from)?;
        let value = change(&transaction)?;
        ledger::escrow(&transaction)?.check().map_err(StoreError::from)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(value)
    }
}

/// Reads an amount column.
fn amount(row: &Row<'_>, column: usize) -> rusqlite::Result<BaseUnits> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Reads an instant column.
fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMillis> {
    row.get::<_, i64>(column).map(|millis| UnixMillis(millis.unsigned_abs()))
}

/// An instant as SQLite keeps it.
fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A value in a column that cannot be what was written there.
fn corrupt(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        rusqlite::types::Type::Blob,
        Box::new(StoreError::Corrupt(what)),
    )
}

/// The single row of a query, if there is one.
fn maybe<T>(result: rusqlite::Result<T>) -> Result<Option<T>, StoreError> {
    Ok(result.optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::Escrow;

    #[test]
    fn a_change_that_breaks_the_ledger_is_rolled_back_whole() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("coordinator.db");
        let mut store = Store::open(&path).expect("a new database");
        let broken = store.write(|t| {
            devices::remember_nonce(t, &[1; 32], &protocol::id::Nonce([2; 32]), UnixMillis(5))?;
            let escrow = Escrow { provisional: BaseUnits(1), ..Escrow::default() };
            ledger::set_escrow(t, &escrow)
        });
        assert!(matches!(broken, Err(StoreError::Ledger(LedgerError::Insolvent { .. }))), "{broken:?}");
        drop(store);
        let mut store = Store::open(&path).expect("the same database");
        assert_eq!(ledger::escrow(store.read()).expect("readable"), Escrow::default());
        let fresh = store
            .write(|t| devices::remember_nonce(t, &[1; 32], &protocol::id::Nonce([2; 32]), UnixMillis(5)));
        assert!(fresh.expect("writable"), "the nonce of the failed change was not kept either");
    }

    #[test]
    fn a_full_disk_is_told_apart_and_leaves_nothing_half_written() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut store = Store::open(&directory.path().join("coordinator.db")).expect("a new database");
        let pages: u32 =
            store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a database");
        store.connection.pragma_update(None, "max_page_count", pages + 4).expect("a limit");
        let full = store.write(|t| {
            for n in 0..10_000u32 {
                let nonce = protocol::id::Nonce(*blake3::hash(&n.to_le_bytes()).as_bytes());
                devices::remember_nonce(t, &[1; 32], &nonce, UnixMillis(5))?;
            }
            Ok::<_, StoreError>(())
        });
        assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
        let kept: u32 =
            store.read().query_row("SELECT count(*) FROM nonces", [], |row| row.get(0)).expect("readable");
        assert_eq!(kept, 0);
    }

    #[test]
    fn a_database_of_a_newer_program_is_not_touched() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("coordinator.db");
        Store::open(&path)
            .expect("a new database")
            .connection
            .pragma_update(None, "user_version", 99)
            .expect("set");
        assert!(matches!(Store::open(&path), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_database_from_before_classes_is_brought_up_to_date() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("coordinator.db");
        let old = Connection::open(&path).expect("a new file");
        old.execute_batch(MIGRATIONS[0]).expect("the first schema");
        old.pragma_update(None, "user_version", 1).expect("set");
        old.execute_batch(
            "INSERT INTO devices (device, first_seen_at, last_seen_at, origin, software, adapter, tip, total)
                 VALUES (zeroblob(32), 1, 1, zeroblob(32), 0, zeroblob(1), zeroblob(32), '0');
             INSERT INTO publishers VALUES (zeroblob(32), 'A', '0', '0', '0', '0');
             INSERT INTO jobs VALUES (zeroblob(32), 1, zeroblob(32), zeroblob(32), zeroblob(1), zeroblob(32),
                 'old', '1', 'open', '', '0', '0', 1);
             INSERT INTO units VALUES (zeroblob(32), zeroblob(32), 0);
             INSERT INTO leases VALUES (zeroblob(32), zeroblob(32), zeroblob(32), zeroblob(32), zeroblob(32),
                 'leased', 1, 2, zeroblob(1), NULL, NULL);",
        )
        .expect("a lease of then");
        drop(old);
        let store = Store::open(&path).expect("brought up to date");
        let lease = work::lease(store.read(), &protocol::id::LeaseId([0; 32])).expect("readable");
        assert_eq!(lease.map(|lease| lease.class), Some(None), "a lease of then has no class");
        assert!(classes::holds(store.read()).expect("readable").is_empty());
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_kept() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("coordinator.db");
        let content = vec![b'x'; 8192];
        std::fs::write(&path, &content).expect("writable");
        assert!(matches!(Store::open(&path), Err(StoreError::Open { .. })));
        assert_eq!(std::fs::read(&path).expect("readable"), content);
    }
}
