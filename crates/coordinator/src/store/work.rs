//! Jobs, units, slices, leases, bundles and audits.

use protocol::id::{BundleId, DeviceId, Hash, JobId, LeaseId, PublisherId, SliceId, UnitId};
use protocol::manifest::{Manifest, Program, SlicePlan};
use protocol::units::{BaseUnits, UnixMillis};
use rusqlite::{Connection, Row, params};

use super::{StoreError, amount, corrupt, instant, maybe, millis};

/// A job's row.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) job: JobId,
    pub(crate) publisher: PublisherId,
    /// Content address of the program's signed envelope.
    pub(crate) program: Hash,
    pub(crate) body: Program,
    /// Content address of the signed manifest.
    pub(crate) manifest: Hash,
    pub(crate) title: String,
    pub(crate) price: BaseUnits,
    pub(crate) state: JobState,
    pub(crate) reason: String,
    pub(crate) reserved: BaseUnits,
    pub(crate) spent: BaseUnits,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    /// Its known answers are being recomputed.
    Checking,
    /// Being worked on.
    Open,
    /// Stopped, for the reason in its row; its reserve went back.
    Held,
    /// Its package is wrong.
    Refused,
    /// Every slice is accepted.
    Done,
}

impl JobState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Open => "open",
            Self::Held => "held",
            Self::Refused => "refused",
            Self::Done => "done",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Checking, Self::Open, Self::Held, Self::Refused, Self::Done]
            .into_iter()
            .find(|s| s.name() == name)
    }
}

const JOB_COLUMNS: &str =
    "job, publisher, program, body, manifest, title, price, state, reason, reserved, spent";

fn job_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    let body: Vec<u8> = row.get(3)?;
    let state: String = row.get(7)?;
    Ok(Job {
        job: JobId(row.get(0)?),
        publisher: PublisherId(row.get(1)?),
        program: Hash(row.get(2)?),
        body: protocol::cbor::decode(&body, body.len()).map_err(|_| corrupt(3, "program"))?,
        manifest: Hash(row.get(4)?),
        title: row.get(5)?,
        price: amount(row, 6)?,
        state: JobState::named(&state).ok_or_else(|| corrupt(7, "job state"))?,
        reason: row.get(8)?,
        reserved: amount(row, 9)?,
        spent: amount(row, 10)?,
    })
}

/// Writes a new job with all its units and slices. `random` names the units.
pub(crate) fn add_job(
    db: &Connection,
    job: JobId,
    manifest: &Manifest,
    stored: Hash,
    reserved: BaseUnits,
    now: UnixMillis,
    random: &mut dyn FnMut() -> [u8; 32],
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO jobs VALUES (?1, (SELECT coalesce(max(position), 0) + 1 FROM jobs), ?2, ?3, ?4, ?5, ?6, ?7,
                                  'checking', '', ?8, '0', ?9)",
        params![
            job.0,
            manifest.publisher.0,
            manifest.program.0,
            protocol::cbor::encode(&manifest.body),
            stored.0,
            manifest.body.title,
            manifest.price_per_slice.to_string(),
            reserved.to_string(),
            millis(now)
        ],
    )?;
    let mut add_unit = db.prepare("INSERT INTO units VALUES (?1, ?2, ?3)")?;
    let mut add_slice = db.prepare("INSERT INTO slices VALUES (?1, ?2, ?3, ?4, 'queued', NULL)")?;
    for (position, plan) in (0u32..).zip(&manifest.units) {
        let unit = UnitId(random());
        add_unit.execute(params![unit.0, job.0, position])?;
        for (position, slice) in (0u32..).zip(&plan.slices) {
            add_slice.execute(params![unit.0, position, job.0, protocol::cbor::encode(slice)])?;
        }
    }
    Ok(())
}

pub(crate) fn job(db: &Connection, job: &JobId) -> Result<Option<Job>, StoreError> {
    maybe(db.query_row(&format!("SELECT {JOB_COLUMNS} FROM jobs WHERE job = ?1"), [job.0], job_row))
}

/// Jobs in a state, oldest first.
pub(crate) fn jobs_in(db: &Connection, state: JobState) -> Result<Vec<Job>, StoreError> {
    let mut query =
        db.prepare_cached(&format!("SELECT {JOB_COLUMNS} FROM jobs WHERE state = ?1 ORDER BY position"))?;
    let rows = query.query_map([state.name()], job_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn set_job(
    db: &Connection,
    job: &JobId,
    state: JobState,
    reason: &str,
    reserved: BaseUnits,
    spent: BaseUnits,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE jobs SET state = ?2, reason = ?3, reserved = ?4, spent = ?5 WHERE job = ?1",
        params![job.0, state.name(), reason, reserved.to_string(), spent.to_string()],
    )?;
    Ok(())
}

/// How many slices of a job stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) queued: u64,
    pub(crate) leased: u64,
    pub(crate) auditing: u64,
    pub(crate) accepted: u64,
    pub(crate) units: u64,
    pub(crate) audits: u64,
}

pub(crate) fn counts(db: &Connection, job: &JobId) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let mut query = db.prepare("SELECT state, count(*) FROM slices WHERE job = ?1 GROUP BY state")?;
    let mut rows = query.query([job.0])?;
    while let Some(row) = rows.next()? {
        let count = row.get::<_, i64>(1)?.unsigned_abs();
        match row.get::<_, String>(0)?.as_str() {
            "queued" => counts.queued = count,
            "leased" => counts.leased = count,
            "auditing" => counts.auditing = count,
            _ => counts.accepted = count,
        }
    }
    let units =
        db.query_row("SELECT count(*) FROM units WHERE job = ?1", [job.0], |row| row.get::<_, i64>(0))?;
    counts.units = units.unsigned_abs();
    let audits = db.query_row(
        "SELECT count(*) FROM audits WHERE job = ?1 AND state IN ('agreed', 'refuted')",
        [job.0],
        |row| row.get::<_, i64>(0),
    )?;
    counts.audits = audits.unsigned_abs();
    Ok(counts)
}

/// Whether every slice of the job is accepted.
pub(crate) fn is_finished(db: &Connection, job: &JobId) -> Result<bool, StoreError> {
    Ok(db.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM slices WHERE job = ?1 AND state <> 'accepted')",
        [job.0],
        |row| row.get(0),
    )?)
}

/// A slice with what computes it.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) unit: UnitId,
    pub(crate) position: u32,
    pub(crate) plan: SlicePlan,
}

fn plan(row: &Row<'_>, column: usize) -> rusqlite::Result<SlicePlan> {
    let bytes: Vec<u8> = row.get(column)?;
    protocol::cbor::decode(&bytes, bytes.len()).map_err(|_| corrupt(column, "slice plan"))
}

/// The open slices of the first unit of `job` that has any.
pub(crate) fn queued(db: &Connection, job: &JobId) -> Result<Vec<Slice>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT unit, position, plan FROM slices WHERE state = 'queued' AND unit = (
             SELECT s.unit FROM slices s JOIN units u ON u.unit = s.unit
             WHERE s.job = ?1 AND s.state = 'queued' ORDER BY u.position LIMIT 1)
         ORDER BY position",
    )?;
    let rows = query.query_map([job.0], |row| {
        Ok(Slice { unit: UnitId(row.get(0)?), position: row.get(1)?, plan: plan(row, 2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn slice_plan(db: &Connection, unit: &UnitId, position: u32) -> Result<SlicePlan, StoreError> {
    Ok(db.query_row(
        "SELECT plan FROM slices WHERE unit = ?1 AND position = ?2",
        params![unit.0, position],
        |row| plan(row, 0),
    )?)
}

pub(crate) fn set_slice(
    db: &Connection,
    unit: &UnitId,
    position: u32,
    state: &str,
    bundle: Option<&BundleId>,
) -> Result<(), StoreError> {
    let mut change =
        db.prepare_cached("UPDATE slices SET state = ?3, bundle = ?4 WHERE unit = ?1 AND position = ?2")?;
    change.execute(params![unit.0, position, state, bundle.map(|b| b.0)])?;
    Ok(())
}

/// A lease's row.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) lease: LeaseId,
    pub(crate) bundle: BundleId,
    pub(crate) device: DeviceId,
    pub(crate) job: JobId,
    pub(crate) unit: UnitId,
    pub(crate) state: LeaseState,
    pub(crate) deadline_at: UnixMillis,
    /// Body hash of the commit.
    pub(crate) root: Option<Hash>,
    /// Content address of the signed result.
    pub(crate) result: Option<Hash>,
    /// Hash of the device's class when it was granted; empty in leases that are older than classes.
    pub(crate) class: Option<Hash>,
}

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseState {
    Leased,
    Committed,
    Uploaded,
    Accepted,
    Rejected,
    Expired,
    Returned,
}

impl LeaseState {
    fn name(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Committed => "committed",
            Self::Uploaded => "uploaded",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Returned => "returned",
        }
    }

    fn named(name: &str) -> Option<Self> {
        use LeaseState::*;
        [Leased, Committed, Uploaded, Accepted, Rejected, Expired, Returned]
            .into_iter()
            .find(|s| s.name() == name)
    }
}

const LEASE_COLUMNS: &str = "lease, bundle, device, job, unit, state, deadline_at, root, result, class";

fn lease_row(row: &Row<'_>) -> rusqlite::Result<Lease> {
    let state: String = row.get(5)?;
    Ok(Lease {
        lease: LeaseId(row.get(0)?),
        bundle: BundleId(row.get(1)?),
        device: DeviceId(row.get(2)?),
        job: JobId(row.get(3)?),
        unit: UnitId(row.get(4)?),
        state: LeaseState::named(&state).ok_or_else(|| corrupt(5, "lease state"))?,
        deadline_at: instant(row, 6)?,
        root: row.get::<_, Option<[u8; 32]>>(7)?.map(Hash),
        result: row.get::<_, Option<[u8; 32]>>(8)?.map(Hash),
        class: row.get::<_, Option<[u8; 32]>>(9)?.map(Hash),
    })
}

pub(crate) fn add_lease(
    db: &Connection,
    lease: &Lease,
    granted_at: UnixMillis,
    envelope: &[u8],
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO leases VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, NULL, ?10)",
        params![
            lease.lease.0,
            lease.bundle.0,
            lease.device.0,
            lease.job.0,
            lease.unit.0,
            lease.state.name(),
            millis(granted_at),
            millis(lease.deadline_at),
            envelope,
            lease.class.map(|class| class.0)
        ],
    )?;
    Ok(())
}

pub(crate) fn lease(db: &Connection, lease: &LeaseId) -> Result<Option<Lease>, StoreError> {
    maybe(db.query_row(&format!("SELECT {LEASE_COLUMNS} FROM leases WHERE lease = ?1"), [lease.0], lease_row))
}

pub(crate) fn lease_of_bundle(db: &Connection, bundle: &BundleId) -> Result<Option<Lease>, StoreError> {
    maybe(db.query_row(
        &format!("SELECT {LEASE_COLUMNS} FROM leases WHERE bundle = ?1"),
        [bundle.0],
        lease_row,
    ))
}

/// Open leases of a device with their signed envelopes, oldest first.
pub(crate) fn open_leases(db: &Connection, device: &DeviceId) -> Result<Vec<(LeaseId, Vec<u8>)>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT lease, envelope FROM leases WHERE device = ?1 AND state IN ('leased', 'committed')
         ORDER BY rowid",
    )?;
    let rows = query.query_map([device.0], |row| Ok((LeaseId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Open leases whose commit was due before `commit_due`, or whose result was due before `result_due` (both are
/// compared with the deadline of the commit).
pub(crate) fn overdue(
    db: &Connection,
    commit_due: UnixMillis,
    result_due: UnixMillis,
) -> Result<Vec<Lease>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {LEASE_COLUMNS} FROM leases
         WHERE (state = 'leased' AND deadline_at < ?1) OR (state = 'committed' AND deadline_at < ?2)"
    ))?;
    let rows = query.query_map(params![millis(commit_due), millis(result_due)], lease_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn set_lease(
    db: &Connection,
    lease: &LeaseId,
    state: LeaseState,
    root: Option<Hash>,
    result: Option<Hash>,
) -> Result<(), StoreError> {
    db.execute(
        "UPDATE leases SET state = ?2, root = coalesce(?3, root), result = coalesce(?4, result) WHERE lease = ?1",
        params![lease.0, state.name(), root.map(|h| h.0), result.map(|h| h.0)],
    )?;
    Ok(())
}

/// One opaque slice of a bundle.
#[derive(Debug, Clone)]
pub(crate) struct BundleSlice {
    pub(crate) slice: SliceId,
    pub(crate) unit: UnitId,
    pub(crate) position: u32,
    /// Set when it repeats another device's slice.
    pub(crate) audit: Option<i64>,
    /// Set by the commit.
    pub(crate) digest: Option<Hash>,
}

pub(crate) fn add_bundle_slice(
    db: &Connection,
    bundle: &BundleId,
    slice: &BundleSlice,
) -> Result<(), StoreError> {
    let mut add = db.prepare_cached("INSERT INTO bundle_slices VALUES (?1, ?2, ?3, ?4, ?5, NULL)")?;
    add.execute(params![bundle.0, slice.slice.0, slice.unit.0, slice.position, slice.audit])?;
    Ok(())
}

pub(crate) fn bundle_slices(db: &Connection, bundle: &BundleId) -> Result<Vec<BundleSlice>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT slice, unit, position, audit, digest FROM bundle_slices WHERE bundle = ?1 ORDER BY slice",
    )?;
    let rows = query.query_map([bundle.0], |row| {
        Ok(BundleSlice {
            slice: SliceId(row.get(0)?),
            unit: UnitId(row.get(1)?),
            position: row.get(2)?,
            audit: row.get(3)?,
            digest: row.get::<_, Option<[u8; 32]>>(4)?.map(Hash),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn set_digest(
    db: &Connection,
    bundle: &BundleId,
    slice: &SliceId,
    digest: &Hash,
) -> Result<(), StoreError> {
    let mut change =
        db.prepare_cached("UPDATE bundle_slices SET digest = ?3 WHERE bundle = ?1 AND slice = ?2")?;
    change.execute(params![bundle.0, slice.0, digest.0])?;
    Ok(())
}

/// Where an audit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuditState {
    Waiting,
    Leased,
    Trusted,
    Disputed,
    Agreed,
    Refuted,
}

impl AuditState {
    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leased => "leased",
            Self::Trusted => "trusted",
            Self::Disputed => "disputed",
            Self::Agreed => "agreed",
            Self::Refuted => "refuted",
        }
    }

    fn named(name: &str) -> Option<Self> {
        use AuditState::*;
        [Waiting, Leased, Trusted, Disputed, Agreed, Refuted].into_iter().find(|s| s.name() == name)
    }

    /// Whether the audited slice has been judged.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Agreed | Self::Refuted)
    }
}

/// An audit's row.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    pub(crate) audit: i64,
    /// The audited bundle and its slice.
    pub(crate) bundle: BundleId,
    pub(crate) slice: SliceId,
    pub(crate) job: JobId,
    pub(crate) unit: UnitId,
    pub(crate) position: u32,
    pub(crate) claimed: Hash,
    pub(crate) state: AuditState,
    /// The auditing bundle and its slice, where a contributor audits.
    pub(crate) auditor: Option<(BundleId, SliceId)>,
    pub(crate) auditor_digest: Option<Hash>,
    pub(crate) auditor_wrong: bool,
    /// Digest of the right output, once it is known.
    pub(crate) reference: Option<Hash>,
    /// An output is not the product of its inputs; the verifier is to say what is right.
    pub(crate) product_fails: bool,
}

const AUDIT_COLUMNS: &str =
    "audit, bundle, slice, job, unit, position, claimed, state, auditor, auditor_slice,
                             auditor_digest, auditor_wrong, reference, product_fails";

fn audit_row(row: &Row<'_>) -> rusqlite::Result<Audit> {
    let state: String = row.get(7)?;
    let auditor = match (row.get::<_, Option<[u8; 32]>>(8)?, row.get::<_, Option<[u8; 32]>>(9)?) {
        (Some(bundle), Some(slice)) => Some((BundleId(bundle), SliceId(slice))),
        _ => None,
    };
    Ok(Audit {
        audit: row.get(0)?,
        bundle: BundleId(row.get(1)?),
        slice: SliceId(row.get(2)?),
        job: JobId(row.get(3)?),
        unit: UnitId(row.get(4)?),
        position: row.get(5)?,
        claimed: Hash(row.get(6)?),
        state: AuditState::named(&state).ok_or_else(|| corrupt(7, "audit state"))?,
        auditor,
        auditor_digest: row.get::<_, Option<[u8; 32]>>(10)?.map(Hash),
        auditor_wrong: row.get(11)?,
        reference: row.get::<_, Option<[u8; 32]>>(12)?.map(Hash),
        product_fails: row.get(13)?,
    })
}

/// Writes a drawn audit of `slice` in `bundle`.
pub(crate) fn add_audit(
    db: &Connection,
    bundle: &BundleId,
    job: &JobId,
    slice: &BundleSlice,
    claimed: &Hash,
    state: AuditState,
    now: UnixMillis,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO audits (bundle, slice, job, unit, position, claimed, state, drawn_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            bundle.0,
            slice.slice.0,
            job.0,
            slice.unit.0,
            slice.position,
            claimed.0,
            state.name(),
            millis(now)
        ],
    )?;
    Ok(())
}

fn audits_where(
    db: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Audit>, StoreError> {
    let mut query =
        db.prepare_cached(&format!("SELECT {AUDIT_COLUMNS} FROM audits WHERE {condition} ORDER BY audit"))?;
    let rows = query.query_map(values, audit_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Audits of a bundle's slices.
pub(crate) fn audits_of(db: &Connection, bundle: &BundleId) -> Result<Vec<Audit>, StoreError> {
    audits_where(db, "bundle = ?1", &[&bundle.0])
}

/// Audits that a bundle carried out.
pub(crate) fn audits_by(db: &Connection, bundle: &BundleId) -> Result<Vec<Audit>, StoreError> {
    audits_where(db, "auditor = ?1", &[&bundle.0])
}

pub(crate) fn audit(db: &Connection, audit: i64) -> Result<Option<Audit>, StoreError> {
    Ok(audits_where(db, "audit = ?1", &[&audit])?.pop())
}

/// Audits of this program's job that wait for a contributor other than `device` and of another origin.
pub(crate) fn waiting_audits(
    db: &Connection,
    job: &JobId,
    device: &DeviceId,
    origin: &[u8; 32],
    limit: usize,
) -> Result<Vec<Audit>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = db.prepare_cached(&format!(
        "SELECT {AUDIT_COLUMNS} FROM audits a WHERE state = 'waiting' AND job = ?1 AND NOT EXISTS (
             SELECT 1 FROM leases l JOIN devices d ON d.device = l.device
             WHERE l.bundle = a.bundle AND (l.device = ?2 OR d.origin = ?3))
         ORDER BY audit LIMIT ?4"
    ))?;
    let rows = query.query_map(params![job.0, device.0, origin, limit], audit_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The oldest job with slices for the trusted verifier, and up to `limit` of them.
pub(crate) fn for_verifier(db: &Connection, limit: u32) -> Result<Vec<Audit>, StoreError> {
    audits_where(
        db,
        "state IN ('trusted', 'disputed') AND job = (
             SELECT a.job FROM audits a JOIN jobs j ON j.job = a.job
             WHERE a.state IN ('trusted', 'disputed') AND j.state IN ('open', 'done') ORDER BY a.audit LIMIT 1)
         AND audit IN (SELECT audit FROM audits WHERE state IN ('trusted', 'disputed') ORDER BY audit LIMIT ?1)",
        &[&limit],
    )
}

/// Audits that no contributor took up before `drawn_before` go to the trusted verifier.
pub(crate) fn give_up_waiting(db: &Connection, drawn_before: UnixMillis) -> Result<(), StoreError> {
    db.execute(
        "UPDATE audits SET state = 'trusted' WHERE state = 'waiting' AND drawn_at < ?1",
        [millis(drawn_before)],
    )?;
    Ok(())
}

pub(crate) fn set_audit(db: &Connection, audit: &Audit) -> Result<(), StoreError> {
    db.execute(
        "UPDATE audits SET state = ?2, auditor = ?3, auditor_slice = ?4, auditor_digest = ?5, auditor_wrong = ?6,
             reference = ?7, product_fails = ?8
         WHERE audit = ?1",
        params![
            audit.audit,
            audit.state.name(),
            audit.auditor.map(|(bundle, _)| bundle.0),
            audit.auditor.map(|(_, slice)| slice.0),
            audit.auditor_digest.map(|h| h.0),
            audit.auditor_wrong,
            audit.reference.map(|h| h.0),
            audit.product_fails
        ],
    )?;
    Ok(())
}

/// An accepted slice as its publisher finds it.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// Position of the slice in its unit.
    pub(crate) position: u32,
    /// Its name in the bundle whose result holds it.
    pub(crate) slice: SliceId,
    pub(crate) digest: Hash,
    /// Content address of the signed result.
    pub(crate) result: Hash,
}

/// Accepted slices of one unit, by position.
pub(crate) fn outputs(db: &Connection, job: &JobId, unit: u32) -> Result<Vec<Output>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT s.position, b.slice, b.digest, l.result FROM units u
         JOIN slices s ON s.unit = u.unit AND s.state = 'accepted'
         JOIN bundle_slices b ON b.bundle = s.bundle AND b.unit = s.unit AND b.position = s.position
              AND b.audit IS NULL
         JOIN leases l ON l.bundle = s.bundle
         WHERE u.job = ?1 AND u.position = ?2 ORDER BY s.position",
    )?;
    let rows = query.query_map(params![job.0, unit], |row| {
        Ok(Output {
            position: row.get(0)?,
            slice: SliceId(row.get(1)?),
            digest: Hash(row.get(2)?),
            result: Hash(row.get(3)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Audits of a job that a contributor is carrying out or has carried out without a verdict on its bundle yet.
pub(crate) fn open_audits(db: &Connection, job: &JobId) -> Result<u64, StoreError> {
    let count: i64 = db.query_row(
        "SELECT count(*) FROM audits a JOIN leases l ON l.bundle = a.auditor
         WHERE a.job = ?1 AND l.state IN ('leased', 'committed', 'uploaded')",
        [job.0],
        |row| row.get(0),
    )?;
    Ok(count.unsigned_abs())
}
