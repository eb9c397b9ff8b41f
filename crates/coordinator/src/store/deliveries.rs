//! Who announced which blobs, and deliveries with what was signed for them.

use protocol::delivery::{DeliveryLease, DeliveryReceipt, PeerAddress};
use protocol::id::{DeliveryId, DeviceId, Hash, JobId};
use protocol::sign::{Message, Signed};
use protocol::units::{BaseUnits, UnixMillis};
use rusqlite::{Connection, Row, params};

use super::{StoreError, amount, corrupt, maybe, millis};
use crate::delivery::Candidate;

/// Replaces what a device announced. Without an address it announced that it delivers nothing.
pub(crate) fn announce(
    db: &Connection,
    device: &DeviceId,
    address: Option<&PeerAddress>,
    blobs: &[Hash],
    now: UnixMillis,
) -> Result<(), StoreError> {
    db.execute("DELETE FROM holdings WHERE device = ?1", [device.0])?;
    db.execute("DELETE FROM peers WHERE device = ?1", [device.0])?;
    let Some(address) = address else { return Ok(()) };
    db.execute(
        "INSERT INTO peers VALUES (?1, ?2, ?3)",
        params![device.0, protocol::cbor::encode(address), millis(now)],
    )?;
    let mut add = db.prepare_cached("INSERT OR IGNORE INTO holdings VALUES (?1, ?2)")?;
    for blob in blobs {
        add.execute(params![blob.0, device.0])?;
    }
    Ok(())
}

/// Where a device can be found, if it said so.
pub(crate) fn address(db: &Connection, device: &DeviceId) -> Result<Option<PeerAddress>, StoreError> {
    let bytes: Option<Vec<u8>> =
        maybe(db.query_row("SELECT address FROM peers WHERE device = ?1", [device.0], |row| row.get(0)))?;
    bytes
        .map(|bytes| {
            protocol::cbor::decode(&bytes, bytes.len())
                .map_err(|_| StoreError::Corrupt("address of a device"))
        })
        .transpose()
}

/// Devices that announced the blob since `since` and are not out after faults, at most a thousand of them.
pub(crate) fn candidates(
    db: &Connection,
    blob: &Hash,
    since: UnixMillis,
) -> Result<Vec<Candidate>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT devices.device, devices.origin,
                (SELECT count(*) FROM deliveries WHERE provider = devices.device AND state = 'open')
         FROM holdings JOIN peers ON peers.device = holdings.device JOIN devices ON devices.device = holdings.device
         WHERE holdings.blob = ?1 AND peers.told_at >= ?2 AND devices.suspended = 0 LIMIT 1000",
    )?;
    let rows = query.query_map(params![blob.0, millis(since)], |row| {
        Ok(Candidate { device: DeviceId(row.get(0)?), origin: row.get(1)?, open: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A delivery that was leased.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) lease: DeliveryLease,
    pub(crate) job: JobId,
    pub(crate) reserved: BaseUnits,
    pub(crate) signed_bytes: u64,
    pub(crate) settled: bool,
}

const COLUMNS: &str = "lease, job, reserved, signed_bytes, state";

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let bytes: Vec<u8> = row.get(0)?;
    let lease =
        protocol::cbor::decode(&bytes, DeliveryLease::MAX_BYTES).map_err(|_| corrupt(0, "delivery lease"))?;
    let state: String = row.get(4)?;
    Ok(Delivery {
        lease,
        job: JobId(row.get(1)?),
        reserved: amount(row, 2)?,
        signed_bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        settled: state == "settled",
    })
}

pub(crate) fn add(
    db: &Connection,
    lease: &DeliveryLease,
    job: &JobId,
    reserved: BaseUnits,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 'open', ?9, NULL)",
        params![
            lease.delivery.0,
            lease.provider.0,
            lease.consumer.0,
            lease.blob.0,
            job.0,
            reserved.to_string(),
            millis(lease.granted_at),
            millis(lease.expires_at),
            protocol::cbor::encode(lease)
        ],
    )?;
    Ok(())
}

pub(crate) fn delivery(db: &Connection, delivery: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE delivery = ?1");
    maybe(db.query_row(&sql, [delivery.0], delivery_row))
}

/// Open deliveries whose time for receipts was over at `due`.
pub(crate) fn overdue(db: &Connection, due: UnixMillis) -> Result<Vec<Delivery>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE state = 'open' AND expires_at < ?1");
    let mut query = db.prepare_cached(&sql)?;
    let rows = query.query_map([millis(due)], delivery_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps the last receipt of a delivery.
pub(crate) fn sign(
    db: &Connection,
    receipt: &Signed<DeliveryReceipt>,
    signed_bytes: u64,
) -> Result<(), StoreError> {
    let bytes = i64::try_from(signed_bytes).map_err(|_| StoreError::Corrupt("number of bytes"))?;
    db.execute(
        "UPDATE deliveries SET signed_bytes = ?2, receipt = ?3 WHERE delivery = ?1",
        params![receipt.message().delivery.0, bytes, receipt.envelope().to_bytes()],
    )?;
    Ok(())
}

pub(crate) fn settle(db: &Connection, delivery: &DeliveryId) -> Result<(), StoreError> {
    db.execute("UPDATE deliveries SET state = 'settled', reserved = '0' WHERE delivery = ?1", [delivery.0])?;
    Ok(())
}

/// The lease of a blob that a consumer has been given already and that is still served at `now`.
pub(crate) fn standing(
    db: &Connection,
    consumer: &DeviceId,
    blob: &Hash,
    now: UnixMillis,
) -> Result<Option<Delivery>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries WHERE consumer = ?1 AND blob = ?2 AND state = 'open' AND expires_at > ?3"
    );
    maybe(db.query_row(&sql, params![consumer.0, blob.0, millis(now)], delivery_row))
}

/// Whether anything of a blob was ever signed for by this consumer.
pub(crate) fn was_paid(db: &Connection, consumer: &DeviceId, blob: &Hash) -> Result<bool, StoreError> {
    Ok(db.query_row(
        "SELECT EXISTS (SELECT 1 FROM deliveries
         WHERE consumer = ?1 AND blob = ?2 AND state = 'settled' AND signed_bytes > 0)",
        params![consumer.0, blob.0],
        |row| row.get(0),
    )?)
}

/// How many deliveries to a consumer are open, and how many since `since` it signed for only in part.
pub(crate) fn record(
    db: &Connection,
    consumer: &DeviceId,
    since: UnixMillis,
) -> Result<(u32, u32), StoreError> {
    let open = db.query_row(
        "SELECT count(*) FROM deliveries WHERE consumer = ?1 AND state = 'open'",
        [consumer.0],
        |row| row.get(0),
    )?;
    let mut query = db.prepare_cached(
        "SELECT lease, signed_bytes FROM deliveries
         WHERE consumer = ?1 AND granted_at >= ?2 AND state = 'settled' AND signed_bytes > 0",
    )?;
    let mut rows = query.query(params![consumer.0, millis(since)])?;
    let mut short = 0;
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(0)?;
        let lease: DeliveryLease = protocol::cbor::decode(&bytes, DeliveryLease::MAX_BYTES)
            .map_err(|_| StoreError::Corrupt("delivery lease"))?;
        short += u32::from(row.get::<_, i64>(1)?.unsigned_abs() < lease.blob_bytes);
    }
    Ok((open, short))
}
