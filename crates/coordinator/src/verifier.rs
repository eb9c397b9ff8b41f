//! The trusted verifier: re-runs slices and gives their outputs.
//!
//! By default it is the same `worker` process that contributors run, started through the sandbox room. It judges
//! nothing: the loop compares. One batch at a time, on a thread of its own, because a slice takes seconds.

pub(crate) mod products;

use std::sync::mpsc as sync_mpsc;
use std::time::Duration;

use protocol::frames::{Class, FaultCode, Pace};
use protocol::id::{JobId, NetworkId, SliceId};
use protocol::manifest::{Program, SlicePlan, Validator};
use sandbox::{LoadError, RunSlicesError, SliceJob, Spawn, SpawnError, Worker, run_slices};
use tokio::sync::mpsc;

use crate::blobs::{BlobError, Blobs};
use crate::coordinator::Request;
use products::{Claims, ProductFinding, Reader, holds};

/// How long a program may take to compile.
const LOAD_WITHIN: Duration = Duration::from_secs(60);

/// Inputs of one slice, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceInputs {
    /// One per input buffer.
    pub inputs: Vec<Vec<u8>>,
    /// Values of the params buffer.
    pub params: Vec<u32>,
}

/// Why slices were not re-run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// Nothing is wrong with the job; try again later.
    #[error("the verifier is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The program is refused, or fails when it runs.
    #[error("the job cannot be computed: {0}")]
    Program(String),
}

/// Re-runs slices of one program, in order. Called on the verifier's own thread; may block.
pub trait Verifier: Send + 'static {
    /// The output of every slice. Inputs are read when a slice is drawn from the iterator.
    ///
    /// # Errors
    /// [`VerifierError`]; no slice counts as verified then.
    fn compute(
        &mut self,
        program: &Program,
        sources: &[String],
        slices: &mut dyn Iterator<Item = SliceInputs>,
    ) -> Result<Vec<Vec<u8>>, VerifierError>;

    /// The class of the device that computed last; `None` where it is not known.
    fn class(&self) -> Option<Class> {
        None
    }
}

impl<F> Verifier for F
where
    F: FnMut(
            &Program,
            &[String],
            &mut dyn Iterator<Item = SliceInputs>,
        ) -> Result<Vec<Vec<u8>>, VerifierError>
        + Send
        + 'static,
{
    fn compute(
        &mut self,
        program: &Program,
        sources: &[String],
        slices: &mut dyn Iterator<Item = SliceInputs>,
    ) -> Result<Vec<Vec<u8>>, VerifierError> {
        self(program, sources, slices)
    }
}

/// The worker process as verifier. It is kept as long as batches are of one program.
#[derive(Debug)]
pub struct WorkerVerifier {
    spawn: Spawn,
    /// Made and dropped on the verifier's thread: a runtime cannot be dropped inside another one.
    runtime: Option<tokio::runtime::Runtime>,
    loaded: Option<(Worker, Program)>,
    class: Option<Class>,
}

impl WorkerVerifier {
    /// A verifier that starts its worker when the first batch comes.
    pub fn new(spawn: Spawn) -> Self {
        Self { spawn, runtime: None, loaded: None, class: None }
    }
}

impl Verifier for WorkerVerifier {
    fn compute(
        &mut self,
        program: &Program,
        sources: &[String],
        slices: &mut dyn Iterator<Item = SliceInputs>,
    ) -> Result<Vec<Vec<u8>>, VerifierError> {
        let Self { spawn, runtime, loaded, class } = self;
        let runtime = match runtime {
            Some(runtime) => runtime,
            None => runtime.insert(
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| VerifierError::Unavailable(Box::new(error)))?,
            ),
        };
        runtime.block_on(async {
            // Taken out, so that a worker that failed is dropped, and with it killed.
            let mut worker = match loaded.take() {
                Some((worker, known)) if known == *program => worker,
                _ => {
                    let (worker, found) = start(spawn, program, sources).await?;
                    *class = Some(found);
                    worker
                }
            };
            let jobs = (0u64..).zip(slices).map(|(n, slice)| SliceJob {
                slice: SliceId(*blake3::hash(&n.to_le_bytes()).as_bytes()),
                inputs: slice.inputs,
                params: slice.params,
            });
            // A processor that stands in for a card is many times slower than the reference the limit is given for.
            let limit = Duration::from_millis(program.cost.max_millis.into()) * 2;
            let outputs =
                run_slices(&mut worker, jobs, Pace::AWAY, limit, |_, _| {}).await.map_err(run_error)?;
            *loaded = Some((worker, program.clone()));
            Ok(outputs.into_iter().map(|output| output.output).collect())
        })
    }

    fn class(&self) -> Option<Class> {
        self.class.clone()
    }
}

async fn start(
    spawn: &Spawn,
    program: &Program,
    sources: &[String],
) -> Result<(Worker, Class), VerifierError> {
    let (mut worker, ready) = Worker::spawn(spawn)
        .await
        .map_err(|error: SpawnError| VerifierError::Unavailable(Box::new(error)))?;
    tracing::info!(adapter = ready.adapter.name, "the verifier's worker is ready");
    worker.load(program, sources, LOAD_WITHIN).await.map_err(|error| match error {
        LoadError::Malformed(_) | LoadError::Sources | LoadError::Refused(_) => {
            VerifierError::Program(error.to_string())
        }
        other => VerifierError::Unavailable(Box::new(other)),
    })?;
    Ok((worker, ready.adapter.class()))
}

fn run_error(error: RunSlicesError) -> VerifierError {
    match &error {
        RunSlicesError::Failed { fault, .. }
            if matches!(
                fault.code,
                FaultCode::OutOfMemory | FaultCode::DeviceLost | FaultCode::NoAdapter
            ) =>
        {
            VerifierError::Unavailable(Box::new(error))
        }
        // A worker that dies of a slice three times over will not live through it the fourth time.
        RunSlicesError::Command { .. } | RunSlicesError::Failed { .. } | RunSlicesError::Died { .. } => {
            VerifierError::Program(error.to_string())
        }
        _ => VerifierError::Unavailable(Box::new(error)),
    }
}

/// What a batch is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BatchKind {
    /// Known answers of a new job.
    Vectors(JobId),
    /// Audits, by number, all of one job: the slices are re-run.
    Audits(JobId, Vec<i64>),
    /// Audits of a job of products, by number: what was handed in is checked by algebra, and nothing is run.
    Products(JobId, Vec<i64>),
}

impl BatchKind {
    pub(crate) fn job(&self) -> JobId {
        match self {
            Self::Vectors(job) | Self::Audits(job, _) | Self::Products(job, _) => *job,
        }
    }
}

/// Slices to re-run or to check.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) kind: BatchKind,
    pub(crate) program: Program,
    pub(crate) slices: Vec<SlicePlan>,
    /// What was handed in for each slice; empty unless products are checked.
    pub(crate) claims: Vec<Claims>,
    /// Drawn after everything that is checked was handed in.
    pub(crate) seed: [u8; 32],
}

/// What a batch came to.
#[derive(Debug)]
pub(crate) enum Findings {
    /// The outputs of all slices in order, and the class that computed them, where that is known.
    Outputs { outputs: Vec<Vec<u8>>, class: Option<Class> },
    /// Which claims hold, slice by slice.
    Products(Vec<ProductFinding>),
}

/// Serves batches until nobody can send any more.
pub(crate) fn serve(
    mut verifier: Box<dyn Verifier>,
    blobs: &Blobs,
    network: &NetworkId,
    batches: &sync_mpsc::Receiver<Batch>,
    requests: &mpsc::WeakSender<Request>,
) {
    while let Ok(batch) = batches.recv() {
        let outcome = carry_out(&mut *verifier, blobs, network, &batch);
        // A weak end: this thread must not keep a loop alive that everybody else has left.
        let Some(requests) = requests.upgrade() else { return };
        if requests.blocking_send(Request::Verified { kind: batch.kind, outcome }).is_err() {
            return;
        }
    }
}

/// Re-runs or checks one batch. May block for minutes.
pub(crate) fn carry_out(
    verifier: &mut dyn Verifier,
    blobs: &Blobs,
    network: &NetworkId,
    batch: &Batch,
) -> Result<Findings, VerifierError> {
    match &batch.kind {
        BatchKind::Vectors(_) | BatchKind::Audits(..) => rerun(verifier, blobs, batch),
        BatchKind::Products(..) => {
            let mut reader = Reader::new(blobs, network);
            let slices = batch.slices.iter().zip(&batch.claims);
            let findings = slices.map(|(plan, claims)| {
                reader.check(&batch.program, &inputs(blobs, plan)?, claims, &batch.seed)
            });
            Ok(Findings::Products(findings.collect::<Result<_, _>>()?))
        }
    }
}

fn inputs(blobs: &Blobs, plan: &SlicePlan) -> Result<SliceInputs, VerifierError> {
    let inputs = plan.inputs.iter().map(|range| blobs.range(range)).collect::<Result<_, _>>();
    Ok(SliceInputs { inputs: inputs.map_err(disk)?, params: plan.params.clone() })
}

fn disk(error: BlobError) -> VerifierError {
    VerifierError::Unavailable(Box::new(error))
}

fn rerun(verifier: &mut dyn Verifier, blobs: &Blobs, batch: &Batch) -> Result<Findings, VerifierError> {
    let sources: Vec<String> = batch
        .program
        .modules
        .iter()
        .map(|module| {
            let bytes = blobs.read(&module.blob, module.bytes.into()).map_err(disk)?;
            String::from_utf8(bytes).map_err(|_| VerifierError::Program("a kernel is not text".to_owned()))
        })
        .collect::<Result<_, _>>()?;
    let mut unreadable = None;
    let mut slices = batch.slices.iter().map_while(|plan| match inputs(blobs, plan) {
        Ok(inputs) => Some(inputs),
        Err(error) => {
            unreadable = Some(error);
            None
        }
    });
    let outputs = verifier.compute(&batch.program, &sources, &mut slices)?;
    drop(slices);
    if let Some(error) = unreadable {
        return Err(error);
    }
    // The reference decides about blame, so it is held to the same algebra as the rest.
    for (plan, output) in batch.slices.iter().zip(&outputs) {
        if matches!(batch.program.validator, Validator::Freivalds { .. })
            && holds(&batch.program, &inputs(blobs, plan)?, output, &batch.seed) != Some(true)
        {
            return Err(VerifierError::Program("the kernels do not compute the product".to_owned()));
        }
    }
    Ok(Findings::Outputs { outputs, class: verifier.class() })
}
