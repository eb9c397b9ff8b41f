//! Money: the escrow's totals, publishers' accounts, and the receipts of every device.

use protocol::id::{BundleId, DeviceId, Hash, JobId, PublisherId};
use protocol::sign::Envelope;
use protocol::units::{BaseUnits, UnixMillis};
use rusqlite::{Connection, params};

use super::{StoreError, amount, instant, maybe, millis};
use crate::credit::{Cost, Escrow};
use crate::epoch::Matured;

pub(crate) fn escrow(db: &Connection) -> Result<Escrow, StoreError> {
    Ok(db.query_row(
        "SELECT deposits, fees, reserved, provisional, payable, claimed FROM escrow WHERE id = 1",
        [],
        |row| {
            Ok(Escrow {
                deposits: amount(row, 0)?,
                fees: amount(row, 1)?,
                reserved: amount(row, 2)?,
                provisional: amount(row, 3)?,
                payable: amount(row, 4)?,
                claimed: amount(row, 5)?,
            })
        },
    )?)
}

pub(crate) fn set_escrow(db: &Connection, escrow: &Escrow) -> Result<(), StoreError> {
    db.execute(
        "UPDATE escrow SET deposits = ?1, fees = ?2, reserved = ?3, provisional = ?4, payable = ?5, claimed = ?6
         WHERE id = 1",
        params![
            escrow.deposits.to_string(),
            escrow.fees.to_string(),
            escrow.reserved.to_string(),
            escrow.provisional.to_string(),
            escrow.payable.to_string(),
            escrow.claimed.to_string()
        ],
    )?;
    Ok(())
}

/// A publisher's account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Paid in, less refunds.
    pub(crate) deposits: BaseUnits,
    /// Held for open jobs.
    pub(crate) reserved: BaseUnits,
    /// Credited to contributors, with fees.
    pub(crate) spent: BaseUnits,
    /// The most that the chain has been told as spent.
    pub(crate) attested: BaseUnits,
}

impl Account {
    /// What a new job may reserve.
    pub(crate) fn free(&self) -> BaseUnits {
        let free = self.deposits.0.saturating_sub(self.reserved.0).saturating_sub(self.spent.0);
        BaseUnits(free)
    }
}

pub(crate) fn publisher(db: &Connection, publisher: &PublisherId) -> Result<Option<Account>, StoreError> {
    maybe(db.query_row(
        "SELECT deposits, reserved, spent, attested FROM publishers WHERE publisher = ?1",
        [publisher.0],
        |row| {
            Ok(Account {
                deposits: amount(row, 0)?,
                reserved: amount(row, 1)?,
                spent: amount(row, 2)?,
                attested: amount(row, 3)?,
            })
        },
    ))
}

/// Every publisher with its chain account.
pub(crate) fn publishers(db: &Connection) -> Result<Vec<(PublisherId, String, Account)>, StoreError> {
    let mut query = db.prepare(
        "SELECT publisher, account, deposits, reserved, spent, attested FROM publishers ORDER BY 1",
    )?;
    let rows = query.query_map([], |row| {
        let account = Account {
            deposits: amount(row, 2)?,
            reserved: amount(row, 3)?,
            spent: amount(row, 4)?,
            attested: amount(row, 5)?,
        };
        Ok((PublisherId(row.get(0)?), row.get(1)?, account))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes a publisher known. Its chain account may not change once money has come from it.
pub(crate) fn admit_publisher(
    db: &Connection,
    publisher: &PublisherId,
    account: &str,
) -> Result<bool, StoreError> {
    let changed = db.execute(
        "INSERT INTO publishers VALUES (?1, ?2, '0', '0', '0', '0')
         ON CONFLICT (publisher) DO UPDATE SET account = ?2 WHERE account = ?2 OR deposits = '0'",
        params![publisher.0, account],
    )?;
    Ok(changed == 1)
}

pub(crate) fn set_publisher(
    db: &Connection,
    publisher: &PublisherId,
    account: &Account,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE publishers SET deposits = ?2, reserved = ?3, spent = ?4, attested = ?5 WHERE publisher = ?1",
        params![
            publisher.0,
            account.deposits.to_string(),
            account.reserved.to_string(),
            account.spent.to_string(),
            account.attested.to_string()
        ],
    )?;
    Ok(())
}

/// A receipt's row.
#[derive(Debug)]
pub(crate) struct ReceiptRow<'a> {
    pub(crate) device: DeviceId,
    pub(crate) sequence: u64,
    pub(crate) kind: &'a str,
    pub(crate) bundle: BundleId,
    pub(crate) job: Option<JobId>,
    pub(crate) cost: Cost,
    pub(crate) matures_at: UnixMillis,
    /// `provisional`, or `none` for a receipt that pays nothing (a revocation).
    pub(crate) state: &'a str,
    pub(crate) envelope: &'a Envelope,
}

pub(crate) fn add_receipt(db: &Connection, row: &ReceiptRow<'_>) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO receipts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10)",
        params![
            row.device.0,
            i64::try_from(row.sequence).map_err(|_| StoreError::Corrupt("sequence"))?,
            row.kind,
            row.bundle.0,
            row.job.map(|job| job.0),
            row.cost.pay.to_string(),
            row.cost.fee.to_string(),
            millis(row.matures_at),
            row.state,
            row.envelope.to_bytes()
        ],
    )?;
    Ok(())
}

/// Envelopes of the receipts that follow `after`, oldest first.
pub(crate) fn receipts_after(
    db: &Connection,
    device: &DeviceId,
    after: u64,
    limit: u32,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut query = db.prepare_cached(
        "SELECT envelope FROM receipts WHERE device = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
    )?;
    let rows = query.query_map(params![device.0, after, limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A credit that may still be taken back.
#[derive(Debug)]
pub(crate) struct Unmatured {
    pub(crate) sequence: u64,
    pub(crate) kind: String,
    pub(crate) bundle: BundleId,
    pub(crate) job: JobId,
    pub(crate) cost: Cost,
}

pub(crate) fn unmatured(db: &Connection, device: &DeviceId) -> Result<Vec<Unmatured>, StoreError> {
    let mut query = db.prepare(
        "SELECT sequence, kind, bundle, job, amount, fee FROM receipts
         WHERE device = ?1 AND state = 'provisional' AND kind <> 'delivered' AND job IS NOT NULL ORDER BY sequence",
    )?;
    let rows = query.query_map([device.0], |row| {
        Ok(Unmatured {
            sequence: row.get::<_, i64>(0)?.unsigned_abs(),
            kind: row.get(1)?,
            bundle: BundleId(row.get(2)?),
            job: JobId(row.get(3)?),
            cost: Cost { pay: amount(row, 4)?, fee: amount(row, 5)? },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn set_receipt_state(
    db: &Connection,
    device: &DeviceId,
    sequence: u64,
    state: &str,
    epoch: Option<u64>,
) -> Result<(), StoreError> {
    let number = |n: u64| i64::try_from(n).map_err(|_| StoreError::Corrupt("sequence"));
    db.execute(
        "UPDATE receipts SET state = ?3, epoch = ?4 WHERE device = ?1 AND sequence = ?2",
        params![device.0, number(sequence)?, state, epoch.map(number).transpose()?],
    )?;
    Ok(())
}

/// Moves every provisional credit whose time has come to `payable`.
pub(crate) fn mature(db: &Connection, now: UnixMillis) -> Result<BaseUnits, StoreError> {
    let due: Vec<(DeviceId, i64, BaseUnits)> = {
        let mut query = db.prepare_cached(
            "SELECT device, sequence, amount FROM receipts
             WHERE state = 'provisional' AND matures_at <= ?1 ORDER BY matures_at",
        )?;
        let rows = query
            .query_map([millis(now)], |row| Ok((DeviceId(row.get(0)?), row.get(1)?, amount(row, 2)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut sum = BaseUnits::ZERO;
    let mut totals = escrow(db)?;
    for (device, sequence, pay) in due {
        totals = totals.mature(pay)?;
        sum = sum.checked_add(pay).ok_or(crate::credit::LedgerError::Overflow)?;
        db.execute(
            "UPDATE receipts SET state = 'payable' WHERE device = ?1 AND sequence = ?2",
            params![device.0, sequence],
        )?;
    }
    if sum > BaseUnits::ZERO {
        set_escrow(db, &totals)?;
    }
    Ok(sum)
}

/// Mature receipts that are not in a tree yet, with the account their device is bound to at `now`.
pub(crate) fn payable(db: &Connection, now: UnixMillis) -> Result<Vec<Matured>, StoreError> {
    let mut query = db.prepare(
        "SELECT device, sequence, amount, matures_at,
                (SELECT account FROM bindings b WHERE b.device = r.device AND effective_at <= ?1
                 ORDER BY effective_at DESC, issued_at DESC LIMIT 1)
         FROM receipts r WHERE state = 'payable' ORDER BY matures_at, device, sequence",
    )?;
    let rows = query.query_map([millis(now)], |row| {
        Ok(Matured {
            device: DeviceId(row.get(0)?),
            sequence: row.get::<_, i64>(1)?.unsigned_abs(),
            amount: amount(row, 2)?,
            matures_at: instant(row, 3)?,
            account: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The whole ledger recomputed from its rows: for audits of the totals (tests, `coordinator status`).
pub(crate) fn recount(db: &Connection) -> Result<Escrow, StoreError> {
    let mut counted = Escrow { claimed: escrow(db)?.claimed, ..Escrow::default() };
    let add = |to: &mut BaseUnits, more: BaseUnits| {
        *to = BaseUnits(to.0.saturating_add(more.0));
    };
    for (_, _, account) in publishers(db)? {
        add(&mut counted.deposits, account.deposits);
        add(&mut counted.reserved, account.reserved);
    }
    let mut query = db.prepare("SELECT state, amount, fee FROM receipts")?;
    let mut rows = query.query([])?;
    let mut listed = BaseUnits::ZERO;
    while let Some(row) = rows.next()? {
        let state: String = row.get(0)?;
        let (pay, fee) = (amount(row, 1)?, amount(row, 2)?);
        match state.as_str() {
            "provisional" => add(&mut counted.provisional, pay),
            "payable" => add(&mut counted.payable, pay),
            "listed" => add(&mut listed, pay),
            _ => continue,
        }
        add(&mut counted.fees, fee);
    }
    // What is listed stays payable until the distributor has paid it.
    add(&mut counted.payable, BaseUnits(listed.0.saturating_sub(counted.claimed.0)));
    Ok(counted)
}

/// Content address of nothing in particular: zeros.
pub(crate) const NO_HASH: Hash = Hash([0; 32]);
