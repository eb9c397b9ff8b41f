//! From a device's first word to its stored outputs: enrolment, heartbeats, leases, commits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::id::{BundleId, DeviceId, Hash, LeaseId, SliceId};
use protocol::manifest::Validator;
use protocol::receipt::Receipt;
use protocol::sign::Envelope;
use protocol::units::UnixMillis;
use protocol::wire::{Enroll, Enrolled, Heartbeat, HeartbeatAnswer, NoWork, RefusalCode};
use protocol::work::{Commit, SliceRef, WorkLease};
use rusqlite::Connection;

use super::{Coordinator, Failure, Office, Refused};
use crate::audit::classes::{self, Admission};
use crate::audit::{self, Route};
use crate::dispatch;
use crate::store::work::{AuditState, BundleSlice, Job, JobState, Lease, LeaseState};
use crate::store::{StoreError, devices, ledger, settling, work};

/// Receipts in one answer.
const RECEIPTS_PER_ANSWER: u32 = 64;
/// A device counts as present this long after its last word.
const PRESENT_FOR: Duration = Duration::from_secs(3600);

/// What a device may hand in for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Outputs of exactly these sizes.
    Outputs {
        /// Bytes of each output.
        output_bytes: u64,
        /// Number of committed slices.
        slices: usize,
    },
    /// They are already here.
    Nothing,
}

/// A slice on its way into a bundle.
struct Candidate {
    unit: protocol::id::UnitId,
    position: u32,
    plan: protocol::manifest::SlicePlan,
    audit: Option<work::Audit>,
}

impl Coordinator {
    pub(super) fn enroll(
        &mut self,
        device: DeviceId,
        message: &Enroll,
        origin: &[u8; 32],
    ) -> Result<Enrolled, Failure> {
        let now = self.office.now();
        let Self { office, store, .. } = self;
        store.write(|t| {
            office.check_fresh(t, device.as_bytes(), &message.nonce, message.sent_at, now)?;
            let answers = message.answers.as_ref();
            if answers.is_some_and(|answers| !answers.is_bounded()) {
                return Err(
                    Refused::new(RefusalCode::Malformed, "the known answers pass their bounds").into()
                );
            }
            devices::enroll(t, &device, &message.adapter, answers, origin, now)?;
            if let Some(answers) = answers.filter(|answers| !answers.are_right()) {
                let wrong = answers.kernels.iter().filter(|kernel| !kernel.right);
                let wrong: Vec<&str> = wrong.map(|kernel| kernel.kernel.as_str()).collect();
                tracing::warn!(device = %device.short(), class = %answers.class, ?wrong,
                    "a device reports that it computes wrongly");
            }
            let chain = devices::chain(t, office.network, office.key.coordinator(), device)?;
            let last_sequence = chain.map_or(0, |chain| chain.sequence);
            Ok(Enrolled { nonce: message.nonce, at: now, last_sequence })
        })
    }

    pub(super) fn heartbeat(
        &mut self,
        device: DeviceId,
        message: &Heartbeat,
        origin: &[u8; 32],
    ) -> Result<HeartbeatAnswer, Failure> {
        let now = self.office.now();
        let Self { office, store, .. } = self;
        store.write(|t| {
            office.check_fresh(t, device.as_bytes(), &message.nonce, message.sent_at, now)?;
            let known = known(t, &device)?;
            devices::seen(t, &device, origin, now)?;
            for lease in &message.returned {
                // A lease that is committed, over or another's is passed by: handing back twice is harmless.
                match work::lease(t, lease)? {
                    Some(lease) if lease.device == device && lease.state == LeaseState::Leased => {
                        give_back(t, &lease, LeaseState::Returned)?;
                    }
                    _ => {}
                }
            }
            let mut no_work = None;
            if message.wants_work
                && let Err(reason) = office.grant(t, device, &known, origin, now)?
            {
                no_work = Some(reason);
            }
            let open = work::open_leases(t, &device)?;
            let leases =
                open.iter().map(|(_, bytes)| office.lease_envelope(bytes)).collect::<Result<Vec<_>, _>>()?;
            let receipts = ledger::receipts_after(t, &device, message.last_sequence, RECEIPTS_PER_ANSWER)?
                .iter()
                .map(|bytes| {
                    Envelope::from_bytes::<Receipt>(bytes).map_err(|_| StoreError::Corrupt("receipt"))
                })
                .collect::<Result<Vec<_>, _>>()?;
            let spread = office.random()[0];
            // On one machine a call costs nothing; elsewhere a device that merely wants work does not call more often.
            let busy = !leases.is_empty() || (office.profile.local && message.wants_work);
            let next_in_millis = dispatch::next_call_millis(office.profile.local, busy, spread);
            Ok(HeartbeatAnswer { nonce: message.nonce, at: now, leases, receipts, next_in_millis, no_work })
        })
    }

    pub(super) fn commit(&mut self, device: DeviceId, message: &Commit, root: Hash) -> Result<(), Failure> {
        let now = self.office.now();
        self.store.write(|t| {
            let lease = own_lease(t, &message.lease, &message.bundle, &device)?;
            match lease.state {
                _ if lease.root == Some(root) => return Ok(()),
                LeaseState::Leased if now <= lease.deadline_at => {}
                LeaseState::Leased | LeaseState::Expired | LeaseState::Returned => return Err(late()),
                LeaseState::Committed
                | LeaseState::Uploaded
                | LeaseState::Accepted
                | LeaseState::Rejected => {
                    return Err(bad_commit("another commit was made for this lease"));
                }
            }
            let known: BTreeSet<SliceId> =
                work::bundle_slices(t, &lease.bundle)?.iter().map(|slice| slice.slice).collect();
            let mut named = BTreeSet::new();
            for (slice, digest) in &message.digests {
                if !known.contains(slice) {
                    return Err(bad_commit("the commit names a slice that was not leased"));
                }
                if !named.insert(*slice) {
                    return Err(bad_commit("the commit names a slice twice"));
                }
                work::set_digest(t, &lease.bundle, slice, digest)?;
            }
            if named.is_empty() {
                work::set_lease(t, &lease.lease, LeaseState::Returned, Some(root), None)?;
                return Ok(give_back(t, &lease, LeaseState::Returned)?);
            }
            Ok(work::set_lease(t, &lease.lease, LeaseState::Committed, Some(root), None)?)
        })
    }

    pub(super) fn expect(
        &mut self,
        device: DeviceId,
        lease: LeaseId,
        bundle: BundleId,
    ) -> Result<Expected, Failure> {
        let db = self.store.read();
        let lease = own_lease(db, &lease, &bundle, &device)?;
        match lease.state {
            LeaseState::Leased => Err(bad_commit("the commit comes before the result")),
            LeaseState::Committed => {
                let slices = work::bundle_slices(db, &bundle)?.iter().filter(|s| s.digest.is_some()).count();
                Ok(Expected::Outputs { output_bytes: job_of(db, &lease)?.body.output_bytes(), slices })
            }
            LeaseState::Uploaded | LeaseState::Accepted | LeaseState::Rejected => Ok(Expected::Nothing),
            LeaseState::Expired | LeaseState::Returned => Err(late()),
        }
    }

    pub(super) fn outputs(
        &mut self,
        device: DeviceId,
        lease: LeaseId,
        digests: Vec<(SliceId, Hash)>,
        blob: Hash,
    ) -> Result<(), Failure> {
        let now = self.office.now();
        let Self { office, store, .. } = self;
        store.write(|t| {
            let lease = work::lease(t, &lease)?.filter(|l| l.device == device).ok_or_else(no_lease)?;
            match lease.state {
                LeaseState::Committed => {}
                LeaseState::Uploaded | LeaseState::Accepted | LeaseState::Rejected => return Ok(()),
                LeaseState::Leased => return Err(bad_commit("the commit comes before the result")),
                LeaseState::Expired | LeaseState::Returned => return Err(late()),
            }
            let found: BTreeMap<SliceId, Hash> = digests.iter().copied().collect();
            let slices = work::bundle_slices(t, &lease.bundle)?;
            let committed: BTreeMap<SliceId, Hash> =
                slices.iter().filter_map(|s| Some((s.slice, s.digest?))).collect();
            if found != committed || found.len() != digests.len() {
                return Err(bad_commit("the outputs do not hash to the commit"));
            }
            work::set_lease(t, &lease.lease, LeaseState::Uploaded, None, Some(blob))?;
            let lease = Lease { state: LeaseState::Uploaded, result: Some(blob), ..lease };
            office.take_in(t, &lease, &slices, now)
        })
    }

    /// Leases past their deadline end, and their slices are offered again.
    pub(super) fn expire_leases(&mut self) -> Result<(), Failure> {
        let now = self.office.now();
        let grace = self.office.profile.parameters.lease_millis / 2;
        let result_due = UnixMillis(now.0.saturating_sub(grace));
        if work::overdue(self.store.read(), now, result_due)?.is_empty() {
            return Ok(());
        }
        self.store.write(|t| {
            for lease in work::overdue(t, now, result_due)? {
                tracing::info!(lease = %lease.lease.short(), device = %lease.device.short(), "a lease has expired");
                give_back(t, &lease, LeaseState::Expired)?;
            }
            Ok(())
        })
    }
}

impl Office {
    /// Grants one more lease, or says why not.
    fn grant(
        &self,
        t: &Connection,
        device: DeviceId,
        known: &devices::Device,
        origin: &[u8; 32],
        now: UnixMillis,
    ) -> Result<Result<(), NoWork>, Failure> {
        let applicant = dispatch::Applicant {
            clean_units: known.clean_units,
            first_seen_at: known.first_seen_at,
            open_leases: work::open_leases(t, &device)?.len() as u32,
            software: known.software,
            suspended: known.suspended,
        };
        if let Err(reason) = dispatch::admit(&applicant, self.profile.local) {
            return Ok(Err(reason));
        }
        if known.miscomputes {
            return Ok(Err(NoWork::ClassHeld));
        }
        let mut held = false;
        for job in work::jobs_in(t, JobState::Open)? {
            let own = work::queued(t, &job.job)?;
            let Some(unit) = own.first().map(|slice| slice.unit) else { continue };
            let audits = match self.admission(t, &job, &device, known, now)? {
                Admission::Full => {
                    let room = dispatch::audit_room(own.len());
                    work::waiting_audits(t, &job.job, &device, origin, room)?
                }
                // What it would say of others' work would prove nothing.
                Admission::Trial => Vec::new(),
                Admission::Later => continue,
                Admission::Refused => {
                    held = true;
                    continue;
                }
            };
            if !self.covers(t, &job, own.len() as u64 + audits.len() as u64)? {
                continue;
            }
            let mut candidates: Vec<Candidate> = own
                .into_iter()
                .map(|s| Candidate { unit: s.unit, position: s.position, plan: s.plan, audit: None })
                .collect();
            for audit in audits {
                let plan = work::slice_plan(t, &audit.unit, audit.position)?;
                candidates.push(Candidate {
                    unit: audit.unit,
                    position: audit.position,
                    plan,
                    audit: Some(audit),
                });
            }
            self.lease(t, &job, (device, known.class), unit, candidates, now)?;
            return Ok(Ok(()));
        }
        Ok(Err(if held { NoWork::ClassHeld } else { NoWork::NoneOffered }))
    }

    /// Writes and signs a lease over the candidates.
    fn lease(
        &self,
        t: &Connection,
        job: &Job,
        (device, class): (DeviceId, Hash),
        unit: protocol::id::UnitId,
        candidates: Vec<Candidate>,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        let lease = Lease {
            lease: LeaseId(self.random()),
            bundle: BundleId(self.random()),
            device,
            job: job.job,
            unit,
            state: LeaseState::Leased,
            deadline_at: dispatch::deadline(now, self.profile.parameters.lease_millis),
            root: None,
            result: None,
            class: Some(class),
        };
        let bundle = dispatch::bundle(candidates, &mut || self.random());
        let slices = bundle
            .iter()
            .map(|(slice, c)| SliceRef {
                slice: *slice,
                inputs: c.plan.inputs.clone(),
                params: c.plan.params.clone(),
            })
            .collect();
        let signed = self.key.sign(
            &self.network,
            WorkLease {
                network: self.network,
                coordinator: self.key.coordinator(),
                device,
                lease: lease.lease,
                bundle: lease.bundle,
                program: job.program,
                slices,
                price_per_slice: job.price,
                granted_at: now,
                deadline_at: lease.deadline_at,
            },
        );
        work::add_lease(t, &lease, now, &signed.envelope().to_bytes())?;
        for (slice, candidate) in bundle {
            let row = BundleSlice {
                slice,
                unit: candidate.unit,
                position: candidate.position,
                audit: candidate.audit.as_ref().map(|audit| audit.audit),
                digest: None,
            };
            work::add_bundle_slice(t, &lease.bundle, &row)?;
            match candidate.audit {
                None => work::set_slice(t, &row.unit, row.position, "leased", Some(&lease.bundle))?,
                Some(mut audit) => {
                    audit.state = AuditState::Leased;
                    audit.auditor = Some((lease.bundle, slice));
                    work::set_audit(t, &audit)?;
                }
            }
        }
        Ok(())
    }

    /// Outputs have arrived: draws the audits of own slices, compares the audits of others', settles what can be.
    fn take_in(
        &self,
        t: &Connection,
        lease: &Lease,
        slices: &[BundleSlice],
        now: UnixMillis,
    ) -> Result<(), Failure> {
        let root = lease.root.ok_or(StoreError::Corrupt("commit"))?;
        let parameters = &self.profile.parameters;
        let known = known(t, &lease.device)?;
        let tier = dispatch::tier(known.clean_units, known.first_seen_at, now);
        let standing = self.standing(t, lease)?;
        let k = classes::audits(standing, parameters.audits_per_unit[tier]);
        let program = job_of(t, lease)?.body;
        // Algebra is cheaper than any stranger and cannot be wrong.
        let strangers =
            classes::may_ask_strangers(standing) && !matches!(program.validator, Validator::Freivalds { .. });
        let since = UnixMillis(now.0.saturating_sub(PRESENT_FOR.as_millis() as u64));
        let unrelated = devices::unrelated(t, since)?;
        let next_epoch = settling::latest_epoch(t)?.map_or(1, |e| e.epoch + 1);
        let secret = settling::secret(t, next_epoch, self.random())?;

        let mut own: BTreeMap<u32, (&BundleSlice, Hash)> = BTreeMap::new();
        let mut touched = BTreeSet::from([lease.bundle]);
        for slice in slices {
            match (slice.audit, slice.digest) {
                (None, Some(digest)) => {
                    work::set_slice(t, &slice.unit, slice.position, "auditing", Some(&lease.bundle))?;
                    own.insert(slice.position, (slice, digest));
                }
                (None, None) => work::set_slice(t, &slice.unit, slice.position, "queued", None)?,
                (Some(audit), digest) => {
                    if let Some(bundle) = self.audited(t, audit, lease, digest)? {
                        touched.insert(bundle);
                    }
                }
            }
        }
        let committed: Vec<u32> = own.keys().copied().collect();
        for position in audit::draw(&secret, &lease.unit, &root, &committed, k) {
            let (slice, digest) = own[&position];
            let route =
                audit::route(&secret, &lease.unit, &root, position, unrelated, parameters.trusted_permille);
            let state = match route {
                Route::Foreign if strangers => AuditState::Waiting,
                Route::Foreign | Route::Trusted => AuditState::Trusted,
            };
            work::add_audit(t, &lease.bundle, &lease.job, slice, &digest, state, now)?;
        }
        for bundle in touched {
            self.settle(t, &bundle, now)?;
        }
        Ok(())
    }

    /// A contributor has re-run a slice. Returns the audited bundle when that settles something there.
    fn audited(
        &self,
        t: &Connection,
        audit: i64,
        lease: &Lease,
        digest: Option<Hash>,
    ) -> Result<Option<BundleId>, Failure> {
        let Some(mut audit) = work::audit(t, audit)?.filter(|a| a.state == AuditState::Leased) else {
            return Ok(None);
        };
        let Some(digest) = digest else {
            audit.state = AuditState::Waiting;
            audit.auditor = None;
            work::set_audit(t, &audit)?;
            return Ok(None);
        };
        audit.auditor_digest = Some(digest);
        let validator = job_of(t, lease)?.body.validator;
        let agrees = digest == audit.claimed
            || match (validator, audit.auditor) {
                (Validator::Bitwise | Validator::Freivalds { .. }, _) | (_, None) => false,
                (tolerance, Some((bundle, slice))) => {
                    let submitted = self.output(t, &audit.bundle, &audit.slice)?;
                    audit::agrees(&tolerance, &submitted, &self.output(t, &bundle, &slice)?)
                }
            };
        audit.state = if agrees { AuditState::Agreed } else { AuditState::Disputed };
        work::set_audit(t, &audit)?;
        Ok(agrees.then_some(audit.bundle))
    }
}

/// Ends a lease without a result: its slices and audits are offered again.
pub(super) fn give_back(t: &Connection, lease: &Lease, state: LeaseState) -> Result<(), StoreError> {
    work::set_lease(t, &lease.lease, state, None, None)?;
    for slice in work::bundle_slices(t, &lease.bundle)? {
        match slice.audit {
            None => work::set_slice(t, &slice.unit, slice.position, "queued", None)?,
            Some(audit) => {
                if let Some(mut audit) = work::audit(t, audit)?.filter(|a| a.state == AuditState::Leased) {
                    audit.state = AuditState::Waiting;
                    audit.auditor = None;
                    work::set_audit(t, &audit)?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn known(t: &Connection, device: &DeviceId) -> Result<devices::Device, Failure> {
    devices::device(t, device)?
        .ok_or_else(|| Refused::new(RefusalCode::NotFound, "this device has not enrolled").into())
}

pub(super) fn job_of(t: &Connection, lease: &Lease) -> Result<Job, StoreError> {
    work::job(t, &lease.job)?.ok_or(StoreError::Corrupt("job of a lease"))
}

fn own_lease(
    t: &Connection,
    lease: &LeaseId,
    bundle: &BundleId,
    device: &DeviceId,
) -> Result<Lease, Failure> {
    work::lease(t, lease)?.filter(|l| l.device == *device && l.bundle == *bundle).ok_or_else(no_lease)
}

fn no_lease() -> Failure {
    Refused::new(RefusalCode::NotFound, "no such lease of this device").into()
}

fn late() -> Failure {
    Refused::new(RefusalCode::Expired, "the lease is over").into()
}

fn bad_commit(detail: &str) -> Failure {
    Refused::new(RefusalCode::Commit, detail).into()
}
