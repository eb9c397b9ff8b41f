//! A whole search on this machine: every slice in order, through whatever the caller runs slices with.
//!
//! Serves `publish search FILE --local`. Knows no process and no driver: the caller's closure is the worker. Each
//! result that the package has a known answer for is compared with it.

use protocol::id::Hash;
use protocol::manifest::{Program, SlicePlan};

use crate::search::{Findings, Hit, NotesError, Package, SliceError};

/// Why a local search ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalSearchError<E: std::error::Error + 'static> {
    /// The caller's closure failed.
    #[error("slice {slice} of unit {unit} could not be computed")]
    Run {
        /// Unit of the slice.
        unit: u32,
        /// Slice in the unit.
        slice: u32,
        /// What the closure said.
        #[source]
        source: E,
    },
    /// A result is not that of a search.
    #[error("the result of slice {slice} of unit {unit} cannot be read")]
    Result {
        /// Unit of the slice.
        unit: u32,
        /// Slice in the unit.
        slice: u32,
        /// What is wrong with it.
        #[source]
        source: SliceError,
    },
    /// The result of a slice with a known answer is another one: the device or its driver computes wrongly.
    #[error(
        "slice {slice} of unit {unit} has another result than the known answer: this device computes wrongly"
    )]
    KnownAnswer {
        /// Unit of the slice.
        unit: u32,
        /// Slice in the unit.
        slice: u32,
    },
    /// The package is not one of ours.
    #[error(transparent)]
    Notes(#[from] NotesError),
    /// The package lacks an input.
    #[error("the package lacks an input of slice {slice} of unit {unit}")]
    MissingInput {
        /// Unit of the slice.
        unit: u32,
        /// Slice in the unit.
        slice: u32,
    },
}

/// How far a local search is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Slices that are done.
    pub done: usize,
    /// Slices of the job.
    pub total: usize,
    /// Hits so far, the strongest first.
    pub hits: Vec<Hit>,
}

/// Runs every slice of `package` through `run`, reports after each, and gives the hits, the strongest first.
///
/// # Errors
/// [`LocalSearchError`]: the first thing that fails ends the search.
pub fn search<E: std::error::Error + 'static>(
    package: &Package,
    mut run: impl FnMut(&Program, &SlicePlan, Vec<Vec<u8>>) -> Result<Vec<u8>, E>,
    mut report: impl FnMut(Progress),
) -> Result<Vec<Hit>, LocalSearchError<E>> {
    // Nobody signs a local job, so it names no publisher and no envelope.
    let manifest = package.manifest(protocol::id::PublisherId([0; 32]), Hash([0; 32]));
    let mut findings = Findings::new(&manifest)?;
    for (unit, unit_plan) in (0_u32..).zip(&manifest.units) {
        for (slice, plan) in (0_u32..).zip(&unit_plan.slices) {
            let inputs = package.inputs(plan).ok_or(LocalSearchError::MissingInput { unit, slice })?;
            let output = run(&manifest.body, plan, inputs).map_err(|source| LocalSearchError::Run {
                unit,
                slice,
                source,
            })?;
            let known = manifest.vectors.iter().find(|v| (v.unit, v.slice) == (unit, slice));
            if known.is_some_and(|vector| vector.digest != Hash::of(&output)) {
                return Err(LocalSearchError::KnownAnswer { unit, slice });
            }
            findings.add(unit, slice, &output).map_err(|source| LocalSearchError::Result {
                unit,
                slice,
                source,
            })?;
            let (done, total) = findings.progress();
            report(Progress { done, total, hits: findings.hits() });
        }
    }
    Ok(findings.hits())
}
