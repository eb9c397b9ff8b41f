//! Products of matrices, checked by algebra on the verifier's thread: no slice is run for it.

use protocol::id::{Hash, NetworkId, SliceId};
use protocol::manifest::{Program, Validator};
use protocol::sign::{Envelope, Message as _};
use protocol::work::WorkResult;

use super::{SliceInputs, VerifierError};
use crate::blobs::Blobs;
use crate::coordinator::Failure;
use crate::store::StoreError;

/// An output that somebody handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Content address of the signed result.
    pub(crate) result: Hash,
    /// Its name in there.
    pub(crate) slice: SliceId,
}

/// Everything that was handed in for one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) submitter: Claim,
    /// Absent when no contributor audited it.
    pub(crate) auditor: Option<Claim>,
}

/// Which claims about a slice hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProductFinding {
    pub(crate) submitter: bool,
    pub(crate) auditor: Option<bool>,
}

/// Whether `output` is the product of the inputs of a slice of `program`, by random vectors that follow from `seed`.
/// `None` when the program computes no products.
pub(crate) fn holds(program: &Program, inputs: &SliceInputs, output: &[u8], seed: &[u8; 32]) -> Option<bool> {
    let Validator::Freivalds { rounds, rows, inner, columns } = program.validator else { return None };
    let [left, right] = inputs.inputs.as_slice() else { return Some(false) };
    Some(jobs::product::holds(left, right, output, rows, inner, columns, rounds, seed))
}

/// The signed outputs of a bundle, as they are stored.
pub(crate) fn stored_result(
    blobs: &Blobs,
    network: &NetworkId,
    result: &Hash,
) -> Result<WorkResult, Failure> {
    let bytes = blobs.read(result, WorkResult::MAX_BYTES as u64 + 1024)?;
    let envelope = Envelope::from_bytes::<WorkResult>(&bytes).map_err(|_| StoreError::Corrupt("result"))?;
    let signed = envelope.verify_any(network).map_err(|_| StoreError::Corrupt("result"))?;
    Ok(signed.into_message())
}

/// Reads claims; keeps the result that was read last, because the claims of a batch are mostly of one bundle.
pub(super) struct Reader<'a> {
    blobs: &'a Blobs,
    network: &'a NetworkId,
    last: Option<(Hash, WorkResult)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(blobs: &'a Blobs, network: &'a NetworkId) -> Self {
        Self { blobs, network, last: None }
    }

    fn output(&mut self, claim: &Claim) -> Result<&[u8], VerifierError> {
        let disk = |error: Failure| VerifierError::Unavailable(Box::new(error));
        let result = match self.last.take() {
            Some((hash, result)) if hash == claim.result => result,
            _ => stored_result(self.blobs, self.network, &claim.result).map_err(disk)?,
        };
        let (_, result) = self.last.insert((claim.result, result));
        let output = result.outputs.iter().find(|(name, _)| *name == claim.slice);
        output.map(|(_, output)| output.as_slice()).ok_or_else(|| disk(StoreError::Corrupt("output").into()))
    }

    /// Checks everything that was handed in for one slice.
    pub(super) fn check(
        &mut self,
        program: &Program,
        inputs: &SliceInputs,
        claims: &Claims,
        seed: &[u8; 32],
    ) -> Result<ProductFinding, VerifierError> {
        let mut check = |claim: &Claim| {
            let output = self.output(claim)?;
            holds(program, inputs, output, seed)
                .ok_or_else(|| VerifierError::Program("the job computes no products".to_owned()))
        };
        let submitter = check(&claims.submitter)?;
        let auditor = claims.auditor.as_ref().map(check).transpose()?;
        Ok(ProductFinding { submitter, auditor })
    }
}
