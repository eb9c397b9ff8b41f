//! A whole job on this machine: every slice in order, through whatever the caller runs slices with.
//!
//! Serves `publish ... --local`. Knows no process and no driver: the caller's closure is the worker. Each result that
//! the package has a known answer for is compared with it.

use protocol::id::Hash;
use protocol::manifest::{Program, SlicePlan};

use crate::package::Package;
use crate::search::{Candidates, Findings, Hit, NotesError, SliceError};

/// Why a local run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError<E: std::error::Error + 'static> {
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
    /// A result is not one of this kind of job.
    #[error("the result of slice {slice} of unit {unit} cannot be read")]
    Result {
        /// Unit of the slice.
        unit: u32,
        /// Slice in the unit.
        slice: u32,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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

/// Runs every slice of `package` through `run` and hands each result to `take` with its unit and slice.
///
/// # Errors
/// [`LocalError`]: the first thing that fails ends the run.
pub fn compute<E, T>(
    package: &Package,
    mut run: impl FnMut(&Program, &SlicePlan, Vec<Vec<u8>>) -> Result<Vec<u8>, E>,
    mut take: impl FnMut(u32, u32, &[u8]) -> Result<(), T>,
) -> Result<(), LocalError<E>>
where
    E: std::error::Error + 'static,
    T: std::error::Error + Send + Sync + 'static,
{
    for (unit, unit_plan) in (0_u32..).zip(&package.units) {
        for (slice, plan) in (0_u32..).zip(&unit_plan.slices) {
            let inputs = package.inputs(plan).ok_or(LocalError::MissingInput { unit, slice })?;
            let output = run(&package.program, plan, inputs).map_err(|source| LocalError::Run {
                unit,
                slice,
                source,
            })?;
            let known = package.vectors.iter().find(|v| (v.unit, v.slice) == (unit, slice));
            if known.is_some_and(|vector| vector.digest != Hash::of(&output)) {
                return Err(LocalError::KnownAnswer { unit, slice });
            }
            take(unit, slice, &output).map_err(|error| LocalError::Result {
                unit,
                slice,
                source: Box::new(error),
            })?;
        }
    }
    Ok(())
}

/// Runs every slice of the search `package` through `run`, reports after each, and gives the candidates.
///
/// # Errors
/// [`LocalError`]: the first thing that fails ends the search.
pub fn search<E: std::error::Error + 'static>(
    package: &Package,
    run: impl FnMut(&Program, &SlicePlan, Vec<Vec<u8>>) -> Result<Vec<u8>, E>,
    mut report: impl FnMut(Progress),
) -> Result<Candidates, LocalError<E>> {
    // Nobody signs a local job, so it names no publisher and no envelope.
    let manifest = package.manifest(protocol::id::PublisherId([0; 32]), Hash([0; 32]));
    let mut findings = Findings::new(&manifest)?;
    compute(package, run, |unit, slice, output| -> Result<(), SliceError> {
        findings.add(unit, slice, output)?;
        let (done, total) = findings.progress();
        report(Progress { done, total, hits: findings.hits() });
        Ok(())
    })?;
    Ok(findings.candidates())
}
