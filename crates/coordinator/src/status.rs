//! What an operator may ask of a coordinator's folder while it runs or stands still: jobs, devices, held classes, the
//! ledger.
//!
//! Reads the database only, but for [`unblock`], which takes one hold off; no socket is needed.

use std::path::{Path, PathBuf};

use protocol::id::{DeviceId, Hash, UnitId};
use protocol::units::UnixMillis;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use crate::audit::classes::Standing;
use crate::credit::Escrow;
use crate::store::classes::Hold;
use crate::store::work::JobState;
use crate::store::{Store, StoreError, classes, ledger, settling, work};

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
    /// Devices that reported wrong known answers for their present class.
    pub miscomputing: u64,
    /// Programs that are blocked for a class of devices, the oldest first.
    pub held_classes: Vec<HeldClass>,
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

/// A program that is blocked for a class, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldClass {
    /// Content address of the program.
    pub program: Hash,
    /// Hash of the class.
    pub class: Hash,
    /// The class in words: backend, vendor and device number, driver.
    pub described: String,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// The device that computed the slice below.
    pub device: DeviceId,
    /// The latest slice that the reference contradicts: its unit.
    pub unit: UnitId,
    /// Its place in the unit.
    pub position: u32,
    /// Digest of the reference.
    pub expected: Hash,
    /// Digest of what the class computed.
    pub found: Hash,
    /// Wrong slices on record for this program and class.
    pub mismatches: u32,
}

impl From<Hold> for HeldClass {
    fn from(hold: Hold) -> Self {
        Self {
            program: hold.program,
            class: hold.class.hash(),
            described: hold.class.to_string(),
            since: hold.since.0,
            device: hold.device,
            unit: hold.evidence.unit,
            position: hold.evidence.position,
            expected: hold.evidence.expected,
            found: hold.evidence.found,
            mismatches: hold.mismatches,
        }
    }
}

/// Why a hold was not taken off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnblockError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is held under these names.
    #[error("no program that starts with {program} is held for a class that starts with {class}")]
    None {
        /// As it was asked for.
        program: String,
        /// As it was asked for.
        class: String,
    },
    /// More than one hold fits.
    #[error("{count} holds fit; give more digits")]
    Several {
        /// How many.
        count: usize,
    },
}

/// Takes a hold off: the class is unknown to the program again, and is tried with its next bundle. `program` and `class` are
/// the first digits of their hashes as [`read`] gives them. A coordinator that serves the folder sees it at once.
///
/// # Errors
/// [`UnblockError`]; nothing has changed then.
pub fn unblock(data: &Path, program: &str, class: &str, now: UnixMillis) -> Result<HeldClass, UnblockError> {
    let path = database(data);
    if !path.exists() {
        // Looking for a hold must not found a coordinator.
        let missing = rusqlite::Error::InvalidPath(path.clone());
        return Err(StoreError::Open { path, source: missing }.into());
    }
    let mut store = Store::open(&path)?;
    store.write(|t| {
        let fits = |hold: &HeldClass| {
            hold.program.to_string().starts_with(program) && hold.class.to_string().starts_with(class)
        };
        let mut found: Vec<HeldClass> =
            classes::holds(t)?.into_iter().map(HeldClass::from).filter(fits).collect();
        let count = found.len();
        let Some(hold) = found.pop() else {
            return Err(UnblockError::None { program: program.to_owned(), class: class.to_owned() });
        };
        if count > 1 {
            return Err(UnblockError::Several { count });
        }
        classes::set_standing(t, &hold.program, &hold.class, Standing::NEW, now)?;
        Ok(hold)
    })
}

fn database(data: &Path) -> PathBuf {
    data.join("coordinator.db")
}

/// Looks at the database in `data`.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Open`] when there is none.
pub fn read(data: &Path) -> Result<Status, StoreError> {
    let path = database(data);
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
        miscomputing: count("SELECT count(*) FROM devices WHERE miscomputes = 1")?,
        held_classes: classes::holds(&db)?.into_iter().map(HeldClass::from).collect(),
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
