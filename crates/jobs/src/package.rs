//! A job before it is published, whatever it computes: its program, its units, its known answers and its blobs.
//!
//! The parts that every kind of job shares: dealing slices to units in a secret order, known answers spread over the
//! job, and the two signatures. What a slice is, is for the kind to say ([`crate::search`] and its neighbours). Publishers
//! call it; it never touches a file, a socket or a device.

use protocol::id::{Hash, JobId, NetworkId, PublisherId};
use protocol::manifest::{
    CheckError, MIN_VECTORS, Manifest, Program, SLICES_PER_UNIT, SlicePlan, UnitPlan, Vector,
};
use protocol::sign::{Key, Signed};
use protocol::units::BaseUnits;

use crate::Blob;

/// A job before its signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// What contributors see.
    pub program: Program,
    /// WGSL sources in the order of the program's modules.
    pub sources: Vec<String>,
    /// The units, for publisher and coordinator.
    pub units: Vec<UnitPlan>,
    /// Known answers from the native kernel.
    pub vectors: Vec<Vector>,
    /// What is needed to read the results, in the form that the kind of job knows; never shown to contributors.
    pub notes: String,
    /// What one accepted slice pays.
    pub price_per_slice: BaseUnits,
    /// Every blob that the manifest names: slice inputs and WGSL sources, each once, in the order of their hashes.
    pub blobs: Vec<Blob>,
}

/// A job as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPackage {
    /// The program with its signature.
    pub program: Signed<Program>,
    /// The manifest with its signature; names the program's envelope.
    pub manifest: Signed<Manifest>,
    /// Content address of the manifest's envelope.
    pub job: JobId,
}

impl Package {
    /// Checks counts, sizes and indices as a receiver will.
    ///
    /// # Errors
    /// The first [`CheckError`] met.
    pub fn check(&self) -> Result<(), CheckError> {
        self.manifest(PublisherId([0; 32]), Hash([0; 32])).check()
    }

    /// The manifest for `publisher`; `program` is the content address of the program's signed envelope.
    pub fn manifest(&self, publisher: PublisherId, program: Hash) -> Manifest {
        Manifest {
            publisher,
            program,
            body: self.program.clone(),
            units: self.units.clone(),
            price_per_slice: self.price_per_slice,
            vectors: self.vectors.clone(),
            notes: self.notes.clone(),
        }
    }

    /// Signs program and manifest. Signatures are deterministic: the same package, key and network give the same job.
    pub fn sign(&self, key: &Key, network: &NetworkId) -> SignedPackage {
        let program = key.sign(network, self.program.clone());
        let address = Hash::of(&program.envelope().to_bytes());
        let manifest = key.sign(network, self.manifest(key.publisher(), address));
        let job = JobId(Hash::of(&manifest.envelope().to_bytes()).0);
        SignedPackage { program, manifest, job }
    }

    /// The input of a slice, one byte string per input buffer; `None` when the package does not hold it.
    pub fn inputs(&self, plan: &SlicePlan) -> Option<Vec<Vec<u8>>> {
        plan.inputs
            .iter()
            .map(|range| {
                let at = self.blobs.binary_search_by_key(&range.blob, |(hash, _)| *hash).ok()?;
                let from = usize::try_from(range.offset_bytes).ok()?;
                let until = from.checked_add(range.bytes as usize)?;
                self.blobs[at].1.get(from..until).map(<[u8]>::to_vec)
            })
            .collect()
    }
}

/// The numbers 0..`n` in an order drawn from `seed` (Fisher-Yates on a BLAKE3 stream).
pub(crate) fn shuffled(n: u32, seed: &[u8; 32]) -> Vec<u32> {
    let mut stream = blake3::Hasher::new_derive_key("hearth jobs 2026 order of the slices of a search")
        .update(seed)
        .finalize_xof();
    let mut numbers: Vec<u32> = (0..n).collect();
    for i in (1..numbers.len()).rev() {
        let mut word = [0; 8];
        stream.fill(&mut word);
        let drawn = (u128::from(u64::from_le_bytes(word)) * (i as u128 + 1)) >> 64;
        numbers.swap(i, drawn as usize);
    }
    numbers
}

/// Slices as units of [`SLICES_PER_UNIT`]; their number must be a multiple of it.
pub(crate) fn deal(slices: Vec<SlicePlan>) -> Vec<UnitPlan> {
    slices.chunks(SLICES_PER_UNIT).map(|slices| UnitPlan { slices: slices.to_vec() }).collect()
}

/// Known answers, evenly spread over the job: at least eight, one per unit up to 64. `reference` computes a slice.
pub(crate) fn known_answers<E>(
    units: &[UnitPlan],
    mut reference: impl FnMut(&SlicePlan) -> Result<Vec<u8>, E>,
) -> Result<Vec<Vector>, E> {
    let slices: Vec<&SlicePlan> = units.iter().flat_map(|unit| &unit.slices).collect();
    let count = units.len().clamp(MIN_VECTORS, 64);
    (0..count)
        .map(|i| {
            let at = i * slices.len() / count;
            let digest = Hash::of(&reference(slices[at])?);
            let (unit, slice) = ((at / SLICES_PER_UNIT) as u32, (at % SLICES_PER_UNIT) as u32);
            Ok(Vector { unit, slice, digest })
        })
        .collect()
}
