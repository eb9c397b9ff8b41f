//! What an operator may ask of a coordinator's folder while it runs or stands still: jobs, devices, the ledger.
//!
//! Reads the database only; nothing here writes, and no socket is needed.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use crate::credit::Escrow;
use crate::store::work::JobState;
use crate::store::{StoreError, ledger, settling, work};

/// A look at a coordinator's folder. Amounts are decimal text in base units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Jobs by state: checking, open, held, refused, done.
    pub jobs: Vec<(String, u64)>,
    /// Devices that ever enrolled.
    pub devices: u64,
    /// Devices that are out after faults.
    pub suspended: u64,
    /// Leases that devices hold.
    pub open_leases: u64,
    /// Slices that wait for the trusted verifier.
    pub waiting_for_verifier: u64,
    /// Credit receipts written.
    pub receipts: u64,
    /// Latest closed epoch, 0 before the first.
    pub epoch: u64,
    /// Paid in by publishers, less refunds.
    pub deposits: String,
    /// The network's fees.
    pub fees: String,
    /// Held for open jobs.
    pub reserved: String,
    /// Credited, not mature.
    pub provisional: String,
    /// Mature, not paid out.
    pub payable: String,
    /// Paid out on the chain.
    pub claimed: String,
    /// Whether a recount of every row gives the same totals.
    pub books_agree: bool,
}

/// Looks at the database in `data`.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Open`] when there is none.
pub fn read(data: &Path) -> Result<Status, StoreError> {
    let path = data.join("coordinator.db");
    let open = |source| StoreError::Open { path: path.clone(), source };
    // Read-write, because readers of a WAL database take part in its shared memory; `query_only` keeps it at looking.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags).map_err(open)?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000; BEGIN;").map_err(open)?;
    let count = |sql: &str| -> Result<u64, StoreError> {
        Ok(db.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    };
    let states = [JobState::Checking, JobState::Open, JobState::Held, JobState::Refused, JobState::Done];
    let jobs = states
        .into_iter()
        .map(|state| Ok((state.name().to_owned(), work::jobs_in(&db, state)?.len() as u64)))
        .collect::<Result<_, StoreError>>()?;
    let totals: Escrow = ledger::escrow(&db)?;
    Ok(Status {
        jobs,
        devices: count("SELECT count(*) FROM devices")?,
        suspended: count("SELECT count(*) FROM devices WHERE suspended = 1")?,
        open_leases: count("SELECT count(*) FROM leases WHERE state IN ('leased', 'committed')")?,
        waiting_for_verifier: count("SELECT count(*) FROM audits WHERE state IN ('trusted', 'disputed')")?,
        receipts: count("SELECT count(*) FROM receipts")?,
        epoch: settling::latest_epoch(&db)?.map_or(0, |epoch| epoch.epoch),
        deposits: totals.deposits.to_string(),
        fees: totals.fees.to_string(),
        reserved: totals.reserved.to_string(),
        provisional: totals.provisional.to_string(),
        payable: totals.payable.to_string(),
        claimed: totals.claimed.to_string(),
        books_agree: totals == ledger::recount(&db)?,
    })
}
