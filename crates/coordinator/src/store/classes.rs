//! Classes of devices, how they stand with each program, and the evidence.

use protocol::frames::Class;
use protocol::id::{BundleId, DeviceId, Hash, UnitId};
use protocol::units::UnixMillis;
use rusqlite::{Connection, params};

use super::{StoreError, instant, maybe, millis};
use crate::audit::classes::{Standing, Trial};

/// Writes a class down, so that its hash can be read back as words.
pub(crate) fn remember(db: &Connection, class: &Class) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO classes VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![class.hash().0, protocol::cbor::encode(class)],
    )?;
    Ok(())
}

pub(crate) fn standing(db: &Connection, program: &Hash, class: &Hash) -> Result<Standing, StoreError> {
    let row: Option<(String, u32)> = maybe(db.query_row(
        "SELECT state, agreed FROM standings WHERE program = ?1 AND class = ?2",
        params![program.0, class.0],
        |row| Ok((row.get(0)?, row.get(1)?)),
    ))?;
    match row.as_ref().map(|(state, agreed)| (state.as_str(), *agreed)) {
        None => Ok(Standing::NEW),
        Some(("unknown", agreed)) => Ok(Standing::Unknown { agreed }),
        Some(("qualified", _)) => Ok(Standing::Qualified),
        Some(("blocked", _)) => Ok(Standing::Blocked),
        Some(_) => Err(StoreError::Corrupt("standing of a class")),
    }
}

/// Writes how a class stands. The class must have been [`remember`]ed.
pub(crate) fn set_standing(
    db: &Connection,
    program: &Hash,
    class: &Hash,
    standing: Standing,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let (state, agreed) = match standing {
        Standing::Unknown { agreed } => ("unknown", agreed),
        Standing::Qualified => ("qualified", 0),
        Standing::Blocked => ("blocked", 0),
    };
    db.execute(
        "INSERT INTO standings VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (program, class) DO UPDATE SET state = ?3, agreed = ?4, since = ?5",
        params![program.0, class.0, state, agreed, millis(now)],
    )?;
    Ok(())
}

/// What decides whether `device`, from the network `origin`, is tried. Trials that expired since `expired_since` count.
pub(crate) fn trial(
    db: &Connection,
    program: &Hash,
    class: &Hash,
    device: &DeviceId,
    origin: &[u8; 32],
    expired_since: UnixMillis,
) -> Result<Trial, StoreError> {
    Ok(Trial {
        under_way: db.query_row(
            "SELECT EXISTS (SELECT 1 FROM leases l JOIN jobs j ON j.job = l.job
                 WHERE l.class = ?2 AND j.program = ?1 AND l.state IN ('leased', 'committed', 'uploaded'))",
            params![program.0, class.0],
            |row| row.get(0),
        )?,
        let_expire: db.query_row(
            "SELECT EXISTS (SELECT 1 FROM leases l JOIN jobs j ON j.job = l.job
                 WHERE l.device = ?3 AND l.class = ?2 AND j.program = ?1 AND l.state = 'expired'
                 AND l.deadline_at >= ?4)",
            params![program.0, class.0, device.0, millis(expired_since)],
            |row| row.get(0),
        )?,
        device_holds: device_holds(db, device)?,
        network_holds: db.query_row(
            "SELECT count(DISTINCT bundle) FROM mismatches WHERE held = 1 AND origin = ?1",
            [origin],
            |row| row.get(0),
        )?,
    })
}

/// Holds that a device's bundles have brought about.
pub(crate) fn device_holds(db: &Connection, device: &DeviceId) -> Result<u32, StoreError> {
    let sql = "SELECT count(DISTINCT bundle) FROM mismatches WHERE held = 1 AND device = ?1";
    Ok(db.query_row(sql, [device.0], |row| row.get(0))?)
}

/// A slice that the reference contradicts.
#[derive(Debug, Clone)]
pub(crate) struct Mismatch {
    pub(crate) unit: UnitId,
    pub(crate) position: u32,
    pub(crate) expected: Hash,
    pub(crate) found: Hash,
}

/// Who computed a slice wrongly, as what, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) program: Hash,
    pub(crate) class: Hash,
    pub(crate) device: DeviceId,
    pub(crate) origin: [u8; 32],
    pub(crate) bundle: BundleId,
}

pub(crate) fn add_mismatch(
    db: &Connection,
    source: &Source,
    mismatch: &Mismatch,
    held: bool,
    now: UnixMillis,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO mismatches
             (program, class, device, origin, bundle, unit, position, expected, found, at, held)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            source.program.0,
            source.class.0,
            source.device.0,
            source.origin,
            source.bundle.0,
            mismatch.unit.0,
            mismatch.position,
            mismatch.expected.0,
            mismatch.found.0,
            millis(now),
            held
        ],
    )?;
    Ok(())
}

/// Bundles of other devices of the class, in other networks, that hold the same wrong output for the slice.
pub(crate) fn repeats(
    db: &Connection,
    source: &Source,
    mismatch: &Mismatch,
) -> Result<Vec<(DeviceId, BundleId)>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT l.device, l.bundle FROM bundle_slices b
         JOIN leases l ON l.bundle = b.bundle JOIN devices d ON d.device = l.device
         WHERE b.unit = ?1 AND b.position = ?2 AND b.digest = ?3
         AND l.class = ?4 AND l.device <> ?5 AND d.origin <> ?6",
    )?;
    let rows = query.query_map(
        params![
            mismatch.unit.0,
            mismatch.position,
            mismatch.found.0,
            source.class.0,
            source.device.0,
            source.origin
        ],
        |row| Ok((DeviceId(row.get(0)?), BundleId(row.get(1)?))),
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts a bundle that its device was blamed for down to the class. False when nobody was blamed for it.
pub(crate) fn hold_bundle(db: &Connection, bundle: &BundleId) -> Result<bool, StoreError> {
    let changed = db.execute("UPDATE mismatches SET held = 1 WHERE bundle = ?1 AND held = 0", [bundle.0])?;
    Ok(changed > 0)
}

/// Wrong slices of every bundle that a device is to blame for.
pub(crate) fn blamed(db: &Connection, device: &DeviceId) -> Result<Vec<u32>, StoreError> {
    let mut query =
        db.prepare("SELECT count(*) FROM mismatches WHERE device = ?1 AND held = 0 GROUP BY bundle")?;
    let rows = query.query_map([device.0], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A program that is blocked for a class, with the latest slice that says why.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) program: Hash,
    pub(crate) class: Class,
    pub(crate) since: UnixMillis,
    pub(crate) device: DeviceId,
    pub(crate) evidence: Mismatch,
    /// Wrong slices of the class that are on record for this program.
    pub(crate) mismatches: u32,
}

/// Every hold, the oldest first.
pub(crate) fn holds(db: &Connection) -> Result<Vec<Hold>, StoreError> {
    let mut query = db.prepare(
        "SELECT s.program, c.body, s.since, m.device, m.unit, m.position, m.expected, m.found,
                (SELECT count(*) FROM mismatches n
                 WHERE n.program = s.program AND n.class = s.class AND n.held = 1)
         FROM standings s JOIN classes c ON c.class = s.class
         JOIN mismatches m ON m.mismatch = (SELECT max(mismatch) FROM mismatches n
             WHERE n.program = s.program AND n.class = s.class AND n.held = 1)
         WHERE s.state = 'blocked' ORDER BY s.since, s.program, s.class",
    )?;
    let mut rows = query.query([])?;
    let mut holds = Vec::new();
    while let Some(row) = rows.next()? {
        let body: Vec<u8> = row.get(1)?;
        holds.push(Hold {
            program: Hash(row.get(0)?),
            class: protocol::cbor::decode(&body, body.len()).map_err(|_| StoreError::Corrupt("class"))?,
            since: instant(row, 2)?,
            device: DeviceId(row.get(3)?),
            evidence: Mismatch {
                unit: UnitId(row.get(4)?),
                position: row.get(5)?,
                expected: Hash(row.get(6)?),
                found: Hash(row.get(7)?),
            },
            mismatches: row.get(8)?,
        });
    }
    Ok(holds)
}
