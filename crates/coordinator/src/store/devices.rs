//! Devices, their trust, and the nonces that they have used.

use std::time::Duration;

use protocol::frames::Adapter;
use protocol::id::{CoordinatorId, DeviceId, Hash, NetworkId, Nonce};
use protocol::receipt::Chain;
use protocol::units::UnixMillis;
use protocol::wire::KnownAnswers;
use rusqlite::{Connection, params};

use super::{StoreError, amount, instant, maybe, millis};

/// How long a nonce is remembered: twice the window in which a sender's clock may differ.
pub(crate) const NONCE_MEMORY: Duration = Duration::from_secs(600);

/// A device as the coordinator knows it.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) first_seen_at: UnixMillis,
    pub(crate) software: bool,
    pub(crate) clean_units: u32,
    pub(crate) faults: u32,
    pub(crate) suspended: bool,
    /// Hash of the class that it says it is of.
    pub(crate) class: Hash,
    /// Hash of its network prefix.
    pub(crate) origin: [u8; 32],
    /// It reported wrong known answers for its class.
    pub(crate) miscomputes: bool,
}

/// Writes or refreshes a device. `origin` is a salted hash of its network prefix.
pub(crate) fn enroll(
    db: &Connection,
    device: &DeviceId,
    adapter: &Adapter,
    answers: Option<&KnownAnswers>,
    origin: &[u8; 32],
    now: UnixMillis,
) -> Result<(), StoreError> {
    // A report of another class says nothing of the present one.
    let miscomputes = answers.is_some_and(|answers| answers.class == adapter.class() && !answers.are_right());
    db.execute(
        "INSERT INTO devices
             (device, first_seen_at, last_seen_at, origin, software, adapter, tip, total, answers, miscomputes)
         VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, '0', ?7, ?8)
         ON CONFLICT (device) DO UPDATE SET last_seen_at = ?2, origin = ?3, software = ?4, adapter = ?5,
             answers = ?7, miscomputes = ?8",
        params![
            device.0,
            millis(now),
            origin,
            adapter.software,
            protocol::cbor::encode(adapter),
            [0u8; 32],
            answers.map(protocol::cbor::encode),
            miscomputes
        ],
    )?;
    super::classes::remember(db, &adapter.class())
}

pub(crate) fn seen(
    db: &Connection,
    device: &DeviceId,
    origin: &[u8; 32],
    now: UnixMillis,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE devices SET last_seen_at = ?2, origin = ?3 WHERE device = ?1",
        params![device.0, millis(now), origin],
    )?;
    Ok(())
}

pub(crate) fn device(db: &Connection, device: &DeviceId) -> Result<Option<Device>, StoreError> {
    maybe(db.query_row(
        "SELECT first_seen_at, software, clean_units, faults, suspended, adapter, origin, miscomputes
         FROM devices WHERE device = ?1",
        [device.0],
        |row| {
            let adapter: Vec<u8> = row.get(5)?;
            let adapter: Adapter =
                protocol::cbor::decode(&adapter, adapter.len()).map_err(|_| super::corrupt(5, "adapter"))?;
            Ok(Device {
                first_seen_at: instant(row, 0)?,
                software: row.get(1)?,
                clean_units: row.get(2)?,
                faults: row.get(3)?,
                suspended: row.get(4)?,
                class: adapter.class().hash(),
                origin: row.get(6)?,
                miscomputes: row.get(7)?,
            })
        },
    ))
}

pub(crate) fn set_trust(
    db: &Connection,
    device: &DeviceId,
    clean_units: u32,
    faults: u32,
    suspended: bool,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE devices SET clean_units = ?2, faults = ?3, suspended = ?4 WHERE device = ?1",
        params![device.0, clean_units, faults, suspended],
    )?;
    Ok(())
}

/// Origins of the devices that were heard of since `since`, each once: how many strangers could be asked.
pub(crate) fn unrelated(db: &Connection, since: UnixMillis) -> Result<usize, StoreError> {
    let count: i64 = db.query_row(
        "SELECT count(DISTINCT origin) FROM devices WHERE last_seen_at >= ?1 AND suspended = 0",
        [millis(since)],
        |row| row.get(0),
    )?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// The end of a device's receipt chain.
pub(crate) fn chain(
    db: &Connection,
    network: NetworkId,
    coordinator: CoordinatorId,
    device: DeviceId,
) -> Result<Option<Chain>, StoreError> {
    maybe(db.query_row("SELECT sequence, tip, total FROM devices WHERE device = ?1", [device.0], |row| {
        Ok(Chain {
            network,
            coordinator,
            device,
            sequence: row.get::<_, i64>(0)?.unsigned_abs(),
            tip: Hash(row.get(1)?),
            total: amount(row, 2)?,
        })
    }))
}

pub(crate) fn set_chain(db: &Connection, chain: &Chain) -> Result<(), StoreError> {
    let sequence = i64::try_from(chain.sequence).map_err(|_| StoreError::Corrupt("sequence"))?;
    db.execute(
        "UPDATE devices SET sequence = ?2, tip = ?3, total = ?4 WHERE device = ?1",
        params![chain.device.0, sequence, chain.tip.0, chain.total.to_string()],
    )?;
    Ok(())
}

/// Remembers a nonce and forgets old ones. False when the sender has used it before.
pub(crate) fn remember_nonce(
    db: &Connection,
    sender: &[u8; 32],
    nonce: &Nonce,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let oldest = UnixMillis(now.0.saturating_sub(NONCE_MEMORY.as_millis() as u64));
    db.execute("DELETE FROM nonces WHERE seen_at < ?1", [millis(oldest)])?;
    let added = db.execute(
        "INSERT INTO nonces (sender, nonce, seen_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![sender, nonce.0, millis(now)],
    )?;
    Ok(added == 1)
}
