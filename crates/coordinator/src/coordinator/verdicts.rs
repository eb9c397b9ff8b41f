//! From stored outputs to verdicts, receipts and faults.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::credit::CreditKind;
use protocol::frames::Class;
use protocol::id::{BundleId, DeviceId, Hash, JobId, SliceId};
use protocol::manifest::{Manifest, Validator};
use protocol::receipt::Receipt;
use protocol::sign::{Envelope, Message};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::work::WorkResult;
use rusqlite::Connection;

use super::products::claims;
use super::work::{job_of, known};
use super::{Coordinator, Failure, Office};
use crate::audit::classes::Blame;
use crate::audit::{self, Fault};
use crate::credit::{Cost, LedgerError, Terms};
use crate::store::classes::Mismatch;
use crate::store::ledger::ReceiptRow;
use crate::store::work::{Audit, AuditState, Job, JobState, Lease, LeaseState};
use crate::store::{StoreError, classes, devices, ledger, work};
use crate::verifier::products::stored_result;
use crate::verifier::{Batch, BatchKind, Findings, VerifierError};

/// Pause after a failure of the verifier.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Slices in one batch of the verifier.
const BATCH: u32 = 16;
/// Failed batches in a row after which a job is held.
const MAX_ATTEMPTS: u32 = 3;

impl Coordinator {
    /// Hands the verifier its next batch, if it is free.
    pub(super) fn feed_verifier(&mut self) {
        if self.verifying || self.office.now() < self.verify_after {
            return;
        }
        match self.next_batch() {
            Ok(Some(batch)) => {
                self.verifying = self.verifier.send(batch).is_ok();
                if !self.verifying {
                    tracing::error!("the verifier's thread has ended");
                }
            }
            Ok(None) => {}
            Err(failure) => {
                tracing::error!(refused = %super::Refused::from(failure), "no batch could be drawn for the verifier");
                self.verify_after = self.office.now().plus(RETRY_AFTER);
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, Failure> {
        let give_up = 2 * self.office.profile.parameters.lease_millis;
        let drawn_before = UnixMillis(self.office.now().0.saturating_sub(give_up));
        self.store.write(|t| work::give_up_waiting(t, drawn_before).map_err(Failure::from))?;
        let db = self.store.read();
        if let Some(job) = work::jobs_in(db, JobState::Checking)?.into_iter().next() {
            let manifest = self.office.manifest(&job)?;
            let slices = manifest
                .vectors
                .iter()
                .filter_map(|v| manifest.units.get(v.unit as usize)?.slices.get(v.slice as usize).cloned())
                .collect();
            let (kind, seed) = (BatchKind::Vectors(job.job), self.office.random());
            return Ok(Some(Batch { kind, program: job.body, slices, claims: Vec::new(), seed }));
        }
        let audits = work::for_verifier(db, BATCH)?;
        let Some(first) = audits.first() else { return Ok(None) };
        let job = work::job(db, &first.job)?.ok_or(StoreError::Corrupt("job of an audit"))?;
        // A product is checked where it was handed in; only one that fails is computed again.
        let products = matches!(job.body.validator, Validator::Freivalds { .. });
        let (unchecked, others): (Vec<Audit>, Vec<Audit>) =
            audits.into_iter().partition(|audit| products && !audit.product_fails);
        let (audits, claims) = if unchecked.is_empty() {
            (others, Vec::new())
        } else {
            let claims = unchecked.iter().map(|audit| claims(db, audit)).collect::<Result<_, _>>()?;
            (unchecked, claims)
        };
        let slices = audits
            .iter()
            .map(|audit| work::slice_plan(db, &audit.unit, audit.position))
            .collect::<Result<Vec<_>, _>>()?;
        let numbers = audits.iter().map(|audit| audit.audit).collect();
        let kind = if claims.is_empty() {
            BatchKind::Audits(job.job, numbers)
        } else {
            BatchKind::Products(job.job, numbers)
        };
        Ok(Some(Batch { kind, program: job.body, slices, claims, seed: self.office.random() }))
    }

    /// The verifier has finished a batch, or failed at it.
    pub(super) fn verified(
        &mut self,
        kind: BatchKind,
        outcome: Result<Findings, VerifierError>,
    ) -> Result<(), Failure> {
        let now = self.office.now();
        let job = kind.job();
        let findings = match outcome {
            Ok(findings) => findings,
            Err(error) => {
                let attempts = self.attempts.entry(job).or_default();
                *attempts += u32::from(matches!(error, VerifierError::Program(_)));
                let hopeless = *attempts >= MAX_ATTEMPTS;
                tracing::warn!(error = &error as &dyn std::error::Error, job = %job.short(), "the verifier failed");
                self.verify_after = now.plus(RETRY_AFTER);
                if hopeless {
                    self.attempts.remove(&job);
                    let Self { office, store, .. } = self;
                    let state = if matches!(kind, BatchKind::Vectors(_)) {
                        JobState::Refused
                    } else {
                        JobState::Held
                    };
                    store.write(|t| office.stop_job(t, &job, state, &error.to_string()))?;
                }
                return Ok(());
            }
        };
        self.attempts.remove(&job);
        let Self { office, store, .. } = self;
        store.write(|t| match (&kind, &findings) {
            (BatchKind::Vectors(job), Findings::Outputs { outputs, class }) => {
                office.check_vectors(t, job, outputs, class.as_ref(), now)
            }
            (BatchKind::Audits(_, audits), Findings::Outputs { outputs, .. }) => {
                office.judge(t, audits, outputs, now)
            }
            (BatchKind::Products(_, audits), Findings::Products(findings)) => {
                office.weigh(t, audits, findings, now)
            }
            _ => Err(StoreError::Corrupt("answer of the verifier").into()),
        })
    }

    /// Credit whose time has come can enter an epoch.
    pub(super) fn mature(&mut self) -> Result<(), Failure> {
        let now = self.office.now();
        self.store.write(|t| ledger::mature(t, now).map(|_| ()).map_err(Failure::from))
    }
}

impl Office {
    pub(super) fn terms_of(&self, job: &Job) -> Terms {
        Terms { price: job.price, fee_permille: self.profile.parameters.fee_permille }
    }

    pub(super) fn manifest(&self, job: &Job) -> Result<Manifest, Failure> {
        let bytes = self.blobs.read(&job.manifest, Manifest::MAX_BYTES as u64 + 1024)?;
        let envelope =
            Envelope::from_bytes::<Manifest>(&bytes).map_err(|_| StoreError::Corrupt("manifest"))?;
        let signed = envelope.verify_any(&self.network).map_err(|_| StoreError::Corrupt("manifest"))?;
        Ok(signed.into_message())
    }

    /// The signed outputs of a bundle.
    pub(super) fn result(&self, result: &Hash) -> Result<WorkResult, Failure> {
        stored_result(&self.blobs, &self.network, result)
    }

    /// One output of a bundle.
    pub(super) fn output(
        &self,
        t: &Connection,
        bundle: &BundleId,
        slice: &SliceId,
    ) -> Result<Vec<u8>, Failure> {
        let lease = work::lease_of_bundle(t, bundle)?.ok_or(StoreError::Corrupt("bundle"))?;
        let result = self.result(&lease.result.ok_or(StoreError::Corrupt("result"))?)?;
        let output = result.outputs.into_iter().find(|(name, _)| name == slice);
        Ok(output.ok_or(StoreError::Corrupt("output"))?.1.into_vec())
    }

    fn check_vectors(
        &self,
        t: &Connection,
        job: &JobId,
        outputs: &[Vec<u8>],
        class: Option<&Class>,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        let row = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
        let vectors = self.manifest(&row)?.vectors;
        let wrong = vectors.iter().zip(outputs).find(|(vector, output)| vector.digest != Hash::of(output));
        if vectors.len() != outputs.len() {
            return Err(StoreError::Corrupt("number of known answers").into());
        }
        if let Some((vector, _)) = wrong {
            let reason = format!(
                "the known answer of slice {} of unit {} is not what the kernels compute",
                vector.slice, vector.unit
            );
            return self.stop_job(t, job, JobState::Refused, &reason);
        }
        let unusable = |output: &Vec<u8>| audit::holds_no_number(&row.body.validator, output);
        if let Some((vector, _)) = vectors.iter().zip(outputs).find(|(_, output)| unusable(output)) {
            let reason = format!(
                "slice {} of unit {} computes a NaN, to which no other result can be compared",
                vector.slice, vector.unit
            );
            return self.stop_job(t, job, JobState::Refused, &reason);
        }
        if let Some(class) = class {
            classes::remember(t, class)?;
            let class = class.hash();
            let standing = classes::standing(t, &row.program, &class)?.after_known_answers();
            classes::set_standing(t, &row.program, &class, standing, now)?;
        }
        tracing::info!(job = %job.short(), "the known answers hold, the job is open");
        Ok(work::set_job(t, job, JobState::Open, "", row.reserved, row.spent)?)
    }

    /// Reads trusted outputs against the claims, then settles every bundle that they concern.
    fn judge(
        &self,
        t: &Connection,
        audits: &[i64],
        outputs: &[Vec<u8>],
        now: UnixMillis,
    ) -> Result<(), Failure> {
        if audits.len() != outputs.len() {
            return Err(StoreError::Corrupt("number of verified slices").into());
        }
        let mut touched = BTreeSet::new();
        for (audit, reference) in audits.iter().zip(outputs) {
            let mut audit = work::audit(t, *audit)?.ok_or(StoreError::Corrupt("audit"))?;
            if audit.state.is_settled() {
                continue;
            }
            let job = work::job(t, &audit.job)?.ok_or(StoreError::Corrupt("job"))?;
            // A kernel that computes a NaN leaves nothing to hold a device to. Its publisher bears that, and no more of it.
            let without_number = audit::holds_no_number(&job.body.validator, reference);
            if without_number && job.state == JobState::Open {
                let reason = format!(
                    "slice {} of a unit computes a NaN, to which no other result can be compared",
                    audit.position
                );
                self.stop_job(t, &job.job, JobState::Held, &reason)?;
            }
            let right = |claimed: Hash, bundle: &BundleId, slice: &SliceId| -> Result<bool, Failure> {
                if without_number || Hash::of(reference) == claimed {
                    return Ok(true);
                }
                match job.body.validator {
                    Validator::Bitwise | Validator::Freivalds { .. } => Ok(false),
                    Validator::Tolerance { .. } => {
                        Ok(audit::agrees(&job.body.validator, reference, &self.output(t, bundle, slice)?))
                    }
                }
            };
            let submitter = right(audit.claimed, &audit.bundle, &audit.slice)?;
            if let (AuditState::Disputed, Some((bundle, slice)), Some(digest)) =
                (audit.state, audit.auditor, audit.auditor_digest)
            {
                audit.auditor_wrong = !right(digest, &bundle, &slice)?;
                touched.insert(bundle);
            }
            audit.state = if submitter { AuditState::Agreed } else { AuditState::Refuted };
            audit.reference = Some(Hash::of(reference));
            work::set_audit(t, &audit)?;
            touched.insert(audit.bundle);
        }
        for bundle in touched {
            self.settle(t, &bundle, now)?;
        }
        Ok(())
    }

    /// Gives the verdict on a bundle once nothing about it is open.
    pub(super) fn settle(&self, t: &Connection, bundle: &BundleId, now: UnixMillis) -> Result<(), Failure> {
        let lease = work::lease_of_bundle(t, bundle)?.ok_or(StoreError::Corrupt("bundle"))?;
        if lease.state != LeaseState::Uploaded {
            return Ok(());
        }
        let (own, foreign) = (work::audits_of(t, bundle)?, work::audits_by(t, bundle)?);
        if !own.iter().all(|a| a.state.is_settled())
            || foreign.iter().any(|a| a.state == AuditState::Disputed)
        {
            return Ok(());
        }
        let wrong = own
            .iter()
            .filter(|a| a.state == AuditState::Refuted)
            .map(|a| (a, a.claimed))
            .chain(foreign.iter().filter(|a| a.auditor_wrong).filter_map(|a| Some((a, a.auditor_digest?))))
            .map(|(audit, found)| {
                let expected = audit.reference.ok_or(StoreError::Corrupt("reference of an audit"))?;
                Ok(Mismatch { unit: audit.unit, position: audit.position, expected, found })
            })
            .collect::<Result<Vec<Mismatch>, StoreError>>()?;
        if !wrong.is_empty() {
            return self.reject(t, &lease, &wrong, now);
        }
        let agreed = own.iter().filter(|audit| audit.reference.is_some()).count() as u32;
        self.note_agreement(t, &lease, agreed, now)?;
        self.accept(t, &lease, foreign.iter().filter(|a| a.state.is_settled()).count() as u64, now)
    }

    fn accept(&self, t: &Connection, lease: &Lease, audited: u64, now: UnixMillis) -> Result<(), Failure> {
        work::set_lease(t, &lease.lease, LeaseState::Accepted, None, None)?;
        let mut computed = 0;
        for slice in work::bundle_slices(t, &lease.bundle)? {
            if slice.audit.is_none() && slice.digest.is_some() {
                work::set_slice(t, &slice.unit, slice.position, "accepted", Some(&lease.bundle))?;
                computed += 1;
            }
        }
        let job = job_of(t, lease)?;
        for (kind, slices) in [(CreditKind::Computed, computed), (CreditKind::Audited, audited)] {
            if slices > 0 {
                let cost = self.terms_of(&job).cost(slices)?;
                self.spend(t, &job.job, cost)?;
                self.write_receipt(t, lease.device, kind, lease.bundle, Some(&job), slices, cost, now)?;
            }
        }
        let device = known(t, &lease.device)?;
        let clean_units = device.clean_units.saturating_add(1);
        devices::set_trust(t, &lease.device, clean_units, device.faults, device.suspended)?;
        self.finish_if_done(t, &job.job)
    }

    fn reject(
        &self,
        t: &Connection,
        lease: &Lease,
        wrong: &[Mismatch],
        now: UnixMillis,
    ) -> Result<(), Failure> {
        work::set_lease(t, &lease.lease, LeaseState::Rejected, None, None)?;
        for slice in work::bundle_slices(t, &lease.bundle)? {
            if slice.audit.is_none() && slice.digest.is_some() {
                work::set_slice(t, &slice.unit, slice.position, "queued", None)?;
            }
        }
        let Blame::Device(fault) = self.lay_blame(t, lease, wrong, now)? else { return Ok(()) };
        let device = known(t, &lease.device)?;
        let faults = device.faults.saturating_add(1);
        let suspended = device.suspended || audit::suspends(faults, &[wrong.len() as u32]);
        let wrong = wrong.len();
        tracing::warn!(device = %lease.device.short(), wrong, ?fault, suspended, "a bundle is rejected");
        devices::set_trust(t, &lease.device, 0, faults, suspended)?;
        if fault == Fault::Hard {
            self.forfeit(t, lease.device, now)?;
        }
        Ok(())
    }

    /// Takes back all unmatured credit of a device; what it computed is offered again.
    fn forfeit(&self, t: &Connection, device: DeviceId, now: UnixMillis) -> Result<(), Failure> {
        let mut sum = BaseUnits::ZERO;
        for credit in ledger::unmatured(t, &device)? {
            ledger::set_escrow(t, &ledger::escrow(t)?.revoke(credit.cost)?)?;
            let gross = credit.cost.gross()?;
            let job = work::job(t, &credit.job)?.ok_or(StoreError::Corrupt("job of a receipt"))?;
            let mut account =
                ledger::publisher(t, &job.publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
            account.spent = account.spent.checked_sub(gross).ok_or(LedgerError::Overflow)?;
            account.reserved = account.reserved.checked_add(gross).ok_or(LedgerError::Overflow)?;
            ledger::set_publisher(t, &job.publisher, &account)?;
            let reserved = job.reserved.checked_add(gross).ok_or(LedgerError::Overflow)?;
            let spent = job.spent.checked_sub(gross).ok_or(LedgerError::Overflow)?;
            let mut state = job.state;
            if credit.kind == kind_name(CreditKind::Computed) {
                for slice in work::bundle_slices(t, &credit.bundle)? {
                    if slice.audit.is_none() && slice.digest.is_some() {
                        work::set_slice(t, &slice.unit, slice.position, "queued", None)?;
                    }
                }
                if state == JobState::Done {
                    state = JobState::Open;
                }
            }
            work::set_job(t, &job.job, state, &job.reason, reserved, spent)?;
            ledger::set_receipt_state(t, &device, credit.sequence, "revoked", None)?;
            sum = sum.checked_add(credit.cost.pay).ok_or(LedgerError::Overflow)?;
        }
        if sum > BaseUnits::ZERO {
            let cost = Cost { pay: sum, fee: BaseUnits::ZERO };
            self.write_receipt(t, device, CreditKind::Revoked, BundleId([0; 32]), None, 0, cost, now)?;
        }
        Ok(())
    }

    /// Moves the cost of accepted slices out of a job's reserve.
    fn spend(&self, t: &Connection, job: &JobId, cost: Cost) -> Result<(), Failure> {
        let gross = cost.gross()?;
        self.top_up(t, job, gross)?;
        let job = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
        let mut account = ledger::publisher(t, &job.publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
        let short = |bucket, holds| LedgerError::Short { bucket, holds, wanted: gross };
        let reserved = job.reserved.checked_sub(gross).ok_or(short("reserve of the job", job.reserved))?;
        let spent = job.spent.checked_add(gross).ok_or(LedgerError::Overflow)?;
        account.reserved = account
            .reserved
            .checked_sub(gross)
            .ok_or(short("reserves of the publisher", account.reserved))?;
        account.spent = account.spent.checked_add(gross).ok_or(LedgerError::Overflow)?;
        ledger::set_publisher(t, &job.publisher, &account)?;
        ledger::set_escrow(t, &ledger::escrow(t)?.credit(cost)?)?;
        Ok(work::set_job(t, &job.job, job.state, &job.reason, reserved, spent)?)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one receipt has this many facts, and one caller knows them all"
    )]
    pub(super) fn write_receipt(
        &self,
        t: &Connection,
        device: DeviceId,
        kind: CreditKind,
        bundle: BundleId,
        job: Option<&Job>,
        slices: u64,
        cost: Cost,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        let chain = devices::chain(t, self.network, self.key.coordinator(), device)?
            .ok_or(StoreError::Corrupt("receipt chain"))?;
        let matures_at = now.plus(Duration::from_millis(self.profile.parameters.maturity_millis));
        let receipt = Receipt {
            network: self.network,
            coordinator: self.key.coordinator(),
            device,
            sequence: chain.sequence + 1,
            previous: chain.tip,
            kind,
            bundle,
            slices: u32::try_from(slices).map_err(|_| StoreError::Corrupt("number of slices"))?,
            amount: cost.pay,
            total: chain.total_after(kind, cost.pay).ok_or(LedgerError::Overflow)?,
            issued_at: now,
            matures_at,
            title: job.map(|job| job.title.clone()).unwrap_or_default(),
        };
        let signed = self.key.sign(&self.network, receipt);
        // The same check that the device will make: a receipt that it would refuse is never written.
        let chain = chain.append(&signed).map_err(|_| StoreError::Corrupt("receipt chain"))?;
        devices::set_chain(t, &chain)?;
        let row = ReceiptRow {
            device,
            sequence: chain.sequence,
            kind: kind_name(kind),
            bundle,
            job: job.map(|job| job.job),
            cost,
            matures_at,
            state: if kind == CreditKind::Revoked { "none" } else { "provisional" },
            envelope: signed.envelope(),
        };
        Ok(ledger::add_receipt(t, &row)?)
    }
}

fn kind_name(kind: CreditKind) -> &'static str {
    match kind {
        CreditKind::Computed => "computed",
        CreditKind::Audited => "audited",
        CreditKind::Delivered => "delivered",
        CreditKind::Held => "held",
        CreditKind::Revoked => "revoked",
    }
}
