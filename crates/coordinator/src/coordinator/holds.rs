//! Classes of devices: who is tried, whom a wrong slice is put down to, and what follows for others.

use protocol::id::DeviceId;
use protocol::units::UnixMillis;
use rusqlite::Connection;

use super::work::{job_of, known};
use super::{Failure, Office};
use crate::audit;
use crate::audit::classes::{Admission, Blame, Standing, admit, blame};
use crate::store::classes::{self, Mismatch, Source};
use crate::store::work::{Job, Lease};
use crate::store::{StoreError, devices};

impl Office {
    /// Whether a device's class may have a lease of this job, and as what.
    pub(super) fn admission(
        &self,
        t: &Connection,
        job: &Job,
        device: &DeviceId,
        known: &devices::Device,
        now: UnixMillis,
    ) -> Result<Admission, StoreError> {
        let expired_since = UnixMillis(now.0.saturating_sub(self.profile.parameters.lease_millis));
        let standing = classes::standing(t, &job.program, &known.class)?;
        let trial = classes::trial(t, &job.program, &known.class, device, &known.origin, expired_since)?;
        Ok(admit(standing, trial))
    }

    /// How the class stands under which a lease was granted.
    pub(super) fn standing(&self, t: &Connection, lease: &Lease) -> Result<Standing, StoreError> {
        match lease.class {
            Some(class) => classes::standing(t, &job_of(t, lease)?.program, &class),
            // Leases that are older than classes are judged as they were granted.
            None => Ok(Standing::Qualified),
        }
    }

    /// Slices of the class agreed with a reference.
    pub(super) fn note_agreement(
        &self,
        t: &Connection,
        lease: &Lease,
        slices: u32,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let Some(class) = lease.class else { return Ok(()) };
        let program = job_of(t, lease)?.program;
        let before = classes::standing(t, &program, &class)?;
        let after = before.after_agreement(slices);
        if after != before {
            classes::set_standing(t, &program, &class, after, now)?;
        }
        Ok(())
    }

    /// Whom the wrong slices of a bundle are put down to. A class that is at fault is blocked for the program, and
    /// devices that were blamed for the same mistake before are cleared of it.
    pub(super) fn lay_blame(
        &self,
        t: &Connection,
        lease: &Lease,
        wrong: &[Mismatch],
        now: UnixMillis,
    ) -> Result<Blame, Failure> {
        let job = job_of(t, lease)?;
        let Some(class) = lease.class else {
            return Ok(blame(Standing::Qualified, wrong.len() as u32, false, 0));
        };
        let source = Source {
            program: job.program,
            class,
            device: lease.device,
            origin: known(t, &lease.device)?.origin,
            bundle: lease.bundle,
        };
        let mut repeats = Vec::new();
        for mismatch in wrong {
            repeats.extend(classes::repeats(t, &source, mismatch)?);
        }
        let standing = classes::standing(t, &job.program, &class)?;
        let blame = blame(
            standing,
            wrong.len() as u32,
            !repeats.is_empty(),
            classes::device_holds(t, &lease.device)?,
        );
        for mismatch in wrong {
            classes::add_mismatch(t, &source, mismatch, blame == Blame::Class, now)?;
        }
        if blame == Blame::Class {
            classes::set_standing(t, &job.program, &class, Standing::Blocked, now)?;
            let example = wrong.first().ok_or(StoreError::Corrupt("wrong slice"))?;
            tracing::warn!(
                program = %job.program.short(), title = job.title, class = %class.short(),
                device = %lease.device.short(), wrong = wrong.len(), expected = %example.expected,
                found = %example.found, "a program is blocked for a class of devices"
            );
            for (device, bundle) in repeats {
                if classes::hold_bundle(t, &bundle)? {
                    self.clear(t, &device)?;
                }
            }
        }
        Ok(blame)
    }

    /// A device was blamed for what its driver did: one fault less. Its pay was another matter: what was wrong is not
    /// paid, and what was taken back has been offered to others meanwhile.
    fn clear(&self, t: &Connection, device: &DeviceId) -> Result<(), Failure> {
        let known = known(t, device)?;
        let faults = known.faults.saturating_sub(1);
        let suspended = audit::suspends(faults, &classes::blamed(t, device)?);
        tracing::info!(device = %device.short(), faults, suspended, "a device is cleared of a fault of its class");
        Ok(devices::set_trust(t, device, known.clean_units, faults, suspended)?)
    }
}
