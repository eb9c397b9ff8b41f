//! A publisher's jobs: submission, reserves, progress, outputs.

use std::collections::BTreeMap;

use protocol::id::{Hash, JobId, PublisherId};
use protocol::manifest::{Manifest, Program, SLICES_PER_UNIT};
use protocol::sign::{Envelope, Message, Signed};
use protocol::units::BaseUnits;
use protocol::wire::RefusalCode;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{Coordinator, Failure, Office, Refused};
use crate::credit::{Cost, LedgerError};
use crate::store::work::{Job, JobState};
use crate::store::{StoreError, ledger, work};

/// How far a job is: the JSON of `GET /v1/jobs/{id}`. Amounts are decimal text in base units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The job.
    pub job: JobId,
    /// Its title.
    pub title: String,
    /// `checking`, `open`, `held`, `refused` or `done`.
    pub state: String,
    /// Why it is held or refused.
    pub reason: String,
    /// Work units.
    pub units: u64,
    /// Slices of all units.
    pub slices: u64,
    /// Waiting for a device.
    pub queued: u64,
    /// With a device.
    pub leased: u64,
    /// Computed, not yet accepted.
    pub auditing: u64,
    /// Accepted.
    pub accepted: u64,
    /// Slices that were re-run.
    pub audits: u64,
    /// What one accepted slice pays.
    pub price_per_slice: BaseUnits,
    /// Held for what is still to be done.
    pub reserved: BaseUnits,
    /// Paid to contributors, with fees.
    pub spent: BaseUnits,
}

/// An accepted slice: the JSON of `GET /v1/jobs/{id}/outputs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputIndex {
    /// Unit in the job.
    pub unit: u32,
    /// Slice in the unit.
    pub slice: u32,
    /// BLAKE3 hash of the output.
    pub digest: Hash,
}

/// Accepted slices of one unit: which result holds which.
#[derive(Debug, Clone)]
pub(crate) struct UnitOutputs {
    /// By position in the unit; the API reads the bytes.
    pub(crate) outputs: Vec<work::Output>,
}

impl Coordinator {
    pub(super) fn submit(&mut self, signed: &Signed<Manifest>, stored: Hash) -> Result<JobId, Failure> {
        let manifest = signed.message();
        let job = JobId(stored.0);
        let now = self.office.now();
        if work::job(self.store.read(), &job)?.is_some() {
            return Ok(job);
        }
        let refuse = |code, detail: String| Failure::from(Refused::new(code, detail));
        if manifest.publisher.as_bytes() != signed.signer() {
            return Err(refuse(
                RefusalCode::Signature,
                "the manifest is signed by another key than its publisher's".into(),
            ));
        }
        self.office.check_publisher(&manifest.publisher)?;
        manifest.check().map_err(|error| refuse(RefusalCode::Package, error.to_string()))?;
        self.office.check_program(manifest)?;
        self.office.check_inputs(manifest)?;
        let slices = (manifest.units.len() * SLICES_PER_UNIT) as u64;
        let audits =
            manifest.units.len() as u64 * u64::from(self.office.profile.parameters.audits_per_unit[0]);
        let terms = crate::credit::Terms {
            price: manifest.price_per_slice,
            fee_permille: self.office.profile.parameters.fee_permille,
        };
        let reserve = terms.cost(slices + audits).and_then(Cost::gross)?;
        let Self { office, store, .. } = self;
        store.write(|t| {
            let account = ledger::publisher(t, &manifest.publisher)?.unwrap_or_default();
            if account.free() < reserve {
                let detail =
                    format!("the job needs {reserve} base units, {} are deposited and free", account.free());
                return Err(refuse(RefusalCode::Publisher, detail));
            }
            work::add_job(t, job, manifest, stored, BaseUnits::ZERO, now, &mut || office.random())?;
            office.reserve(t, &job, reserve)?;
            Ok(job)
        })
    }

    pub(super) fn progress(&self, job: JobId) -> Result<JobProgress, Failure> {
        let db = self.store.read();
        let row = work::job(db, &job)?.ok_or_else(no_job)?;
        let counts = work::counts(db, &job)?;
        Ok(JobProgress {
            job,
            title: row.title,
            state: row.state.name().to_owned(),
            reason: row.reason,
            units: counts.units,
            slices: counts.queued + counts.leased + counts.auditing + counts.accepted,
            queued: counts.queued,
            leased: counts.leased,
            auditing: counts.auditing,
            accepted: counts.accepted,
            audits: counts.audits,
            price_per_slice: row.price,
            reserved: row.reserved,
            spent: row.spent,
        })
    }

    pub(super) fn unit_outputs(&self, job: JobId, unit: u32) -> Result<UnitOutputs, Failure> {
        let db = self.store.read();
        let row = work::job(db, &job)?.ok_or_else(no_job)?;
        if u64::from(unit) >= work::counts(db, &row.job)?.units {
            return Err(Refused::new(RefusalCode::NotFound, "no such unit").into());
        }
        Ok(UnitOutputs { outputs: work::outputs(db, &job, unit)? })
    }
}

impl Office {
    /// Refuses publishers that the network's profile does not let in.
    pub(crate) fn check_publisher(&self, publisher: &PublisherId) -> Result<(), Failure> {
        if self.profile.publishers.values().any(|known| known == publisher) {
            return Ok(());
        }
        Err(Refused::new(RefusalCode::Publisher, "this publisher is not let in by the network's profile")
            .into())
    }

    /// The program of a manifest is here, signed by the same publisher, with its modules.
    fn check_program(&self, manifest: &Manifest) -> Result<(), Failure> {
        let refuse = |detail: &str| Failure::from(Refused::new(RefusalCode::Package, detail));
        let missing = || refuse("the program or one of its modules has not been uploaded");
        let limit = Program::MAX_BYTES as u64 + 1024;
        if self.blobs.size(&manifest.program)?.is_none_or(|bytes| bytes > limit) {
            return Err(missing());
        }
        let bytes = self.blobs.read(&manifest.program, limit)?;
        let program = Envelope::from_bytes::<Program>(&bytes)
            .ok()
            .and_then(|e| e.verify::<Program>(&self.network, manifest.publisher.as_bytes()).ok())
            .ok_or_else(|| refuse("the program is not signed by the publisher"))?;
        if *program.message() != manifest.body {
            return Err(refuse("the manifest holds another program than the signed one"));
        }
        for module in &manifest.body.modules {
            if self.blobs.size(&module.blob)? != Some(module.bytes.into()) {
                return Err(missing());
            }
        }
        Ok(())
    }

    /// Every input range of a manifest lies inside a blob that is here.
    fn check_inputs(&self, manifest: &Manifest) -> Result<(), Failure> {
        let mut ends: BTreeMap<Hash, u64> = BTreeMap::new();
        for input in manifest.units.iter().flat_map(|u| &u.slices).flat_map(|s| &s.inputs) {
            let end = input.offset_bytes.saturating_add(input.bytes.into());
            let known = ends.entry(input.blob).or_default();
            *known = end.max(*known);
        }
        for (blob, end) in ends {
            if self.blobs.size(&blob)?.is_none_or(|bytes| bytes < end) {
                let detail =
                    format!("the input {} is not here, or shorter than the slices need", blob.short());
                return Err(Refused::new(RefusalCode::Package, detail).into());
            }
        }
        Ok(())
    }

    /// Holds more of the publisher's deposit for a job.
    fn reserve(&self, t: &Connection, job: &JobId, more: BaseUnits) -> Result<(), Failure> {
        let job = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
        let mut account = ledger::publisher(t, &job.publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
        account.reserved = account.reserved.checked_add(more).ok_or(LedgerError::Overflow)?;
        let reserved = job.reserved.checked_add(more).ok_or(LedgerError::Overflow)?;
        ledger::set_publisher(t, &job.publisher, &account)?;
        ledger::set_escrow(t, &ledger::escrow(t)?.reserve(more)?)?;
        Ok(work::set_job(t, &job.job, job.state, &job.reason, reserved, job.spent)?)
    }

    /// Gives reserve that a job no longer needs back to its publisher.
    fn release(&self, t: &Connection, job: &Job, amount: BaseUnits) -> Result<(), Failure> {
        let mut account = ledger::publisher(t, &job.publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
        let short = |bucket, holds| LedgerError::Short { bucket, holds, wanted: amount };
        account.reserved = account
            .reserved
            .checked_sub(amount)
            .ok_or(short("reserves of the publisher", account.reserved))?;
        let reserved = job.reserved.checked_sub(amount).ok_or(short("reserve of the job", job.reserved))?;
        ledger::set_publisher(t, &job.publisher, &account)?;
        ledger::set_escrow(t, &ledger::escrow(t)?.release(amount)?)?;
        Ok(work::set_job(t, &job.job, job.state, &job.reason, reserved, job.spent)?)
    }

    /// Makes the job's reserve at least `wanted`, out of free deposit. False when the deposit does not reach.
    pub(super) fn top_up(&self, t: &Connection, job: &JobId, wanted: BaseUnits) -> Result<bool, Failure> {
        let row = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
        let Some(missing) = wanted.checked_sub(row.reserved).filter(|m| *m > BaseUnits::ZERO) else {
            return Ok(true);
        };
        let account = ledger::publisher(t, &row.publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
        if account.free() < missing {
            return Ok(false);
        }
        self.reserve(t, job, missing)?;
        Ok(true)
    }

    /// What all slices that are with devices or under audit may cost.
    fn exposure(&self, t: &Connection, job: &Job, more: u64) -> Result<BaseUnits, Failure> {
        let counts = work::counts(t, &job.job)?;
        let slices = counts.leased + counts.auditing + work::open_audits(t, &job.job)? + more;
        Ok(self.terms_of(job).cost(slices)?.gross()?)
    }

    /// Whether the job can pay for `more` slices on top of everything that is already out.
    pub(super) fn covers(&self, t: &Connection, job: &Job, more: u64) -> Result<bool, Failure> {
        let exposure = self.exposure(t, job, more)?;
        self.top_up(t, &job.job, exposure)
    }

    /// Stops a job: nothing more is leased, and what is not out is released.
    pub(super) fn stop_job(
        &self,
        t: &Connection,
        job: &JobId,
        state: JobState,
        reason: &str,
    ) -> Result<(), Failure> {
        tracing::warn!(job = %job.short(), state = state.name(), reason, "a job is stopped");
        let row = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
        work::set_job(t, job, state, reason, row.reserved, row.spent)?;
        let free = BaseUnits(row.reserved.0.saturating_sub(self.exposure(t, &row, 0)?.0));
        let row = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
        self.release(t, &row, free)
    }

    /// Closes a job whose every slice is accepted, and releases the rest of its reserve.
    pub(super) fn finish_if_done(&self, t: &Connection, job: &JobId) -> Result<(), Failure> {
        if !work::is_finished(t, job)? {
            return Ok(());
        }
        let row = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
        if row.state == JobState::Open {
            tracing::info!(job = %job.short(), spent = %row.spent, "a job is done");
            work::set_job(t, job, JobState::Done, "", row.reserved, row.spent)?;
            let free = BaseUnits(row.reserved.0.saturating_sub(self.exposure(t, &row, 0)?.0));
            let row = work::job(t, job)?.ok_or(StoreError::Corrupt("job"))?;
            self.release(t, &row, free)?;
        }
        Ok(())
    }

    /// A publisher's deposit has shrunk below its reserves: its jobs are held until the books balance again.
    pub(super) fn hold_jobs_of(&self, t: &Connection, publisher: &PublisherId) -> Result<(), Failure> {
        for state in [JobState::Open, JobState::Checking] {
            for job in work::jobs_in(t, state)? {
                if job.publisher == *publisher {
                    self.stop_job(t, &job.job, JobState::Held, "the publisher has taken deposit back")?;
                }
            }
        }
        Ok(())
    }
}

fn no_job() -> Failure {
    Refused::new(RefusalCode::NotFound, "no such job").into()
}
