//! Products of matrices: what was handed in to be checked by algebra, and what follows when it holds or fails.

use std::collections::BTreeSet;

use protocol::id::{BundleId, SliceId};
use protocol::units::UnixMillis;
use rusqlite::Connection;

use super::{Failure, Office};
use crate::store::StoreError;
use crate::store::work::{self, Audit, AuditState};
use crate::verifier::products::{Claim, Claims, ProductFinding};

impl Office {
    /// Takes in which products hold. A right product is the only right one; where a claim fails, the verifier computes the
    /// slice, and [`Office::judge`] says who is wrong.
    pub(super) fn weigh(
        &self,
        t: &Connection,
        audits: &[i64],
        findings: &[ProductFinding],
        now: UnixMillis,
    ) -> Result<(), Failure> {
        if audits.len() != findings.len() {
            return Err(StoreError::Corrupt("number of checked products").into());
        }
        let mut touched = BTreeSet::new();
        for (audit, finding) in audits.iter().zip(findings) {
            let mut audit = work::audit(t, *audit)?.ok_or(StoreError::Corrupt("audit"))?;
            if audit.state.is_settled() {
                continue;
            }
            if finding.submitter && finding.auditor != Some(false) {
                audit.state = AuditState::Agreed;
                audit.reference = Some(audit.claimed);
                touched.insert(audit.bundle);
                touched.extend(audit.auditor.map(|(bundle, _)| bundle));
            } else {
                audit.product_fails = true;
            }
            work::set_audit(t, &audit)?;
        }
        for bundle in touched {
            self.settle(t, &bundle, now)?;
        }
        Ok(())
    }
}

/// What was handed in for an audited slice.
pub(super) fn claims(db: &Connection, audit: &Audit) -> Result<Claims, StoreError> {
    let claim = |bundle: &BundleId, slice: SliceId| {
        let lease = work::lease_of_bundle(db, bundle)?.ok_or(StoreError::Corrupt("bundle"))?;
        Ok::<_, StoreError>(Claim { result: lease.result.ok_or(StoreError::Corrupt("result"))?, slice })
    };
    Ok(Claims {
        submitter: claim(&audit.bundle, audit.slice)?,
        // One who was asked and has not answered has claimed nothing.
        auditor: match (audit.auditor, audit.auditor_digest) {
            (Some((bundle, slice)), Some(_)) => Some(claim(&bundle, slice)?),
            _ => None,
        },
    })
}
