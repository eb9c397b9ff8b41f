//! A publisher's side: packages a recording, pays for its search, uploads, waits, and reads the hits.
//!
//! Called by the program `publish` and by xtask. All bytes go out through the network room with the purpose
//! `Publish`; the local search runs slices through a worker on this machine and sends nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use jobs::local::LocalError;
use jobs::package::{Package, SignedPackage};
use jobs::search::{Candidates, Findings, NotesError, SliceError};
use network::{Net, NetError, Purpose, Request};
use protocol::id::{CoordinatorId, Hash, JobId, NetworkId, SliceId};
use protocol::manifest::{SLICES_PER_UNIT, SlicePlan};
use protocol::profile::Profile;
use protocol::sign::Key;
use protocol::units::BaseUnits;
use protocol::wire::{Refusal, Upload};
use sandbox::{LoadError, RunSlicesError, SliceJob, Spawn, SpawnError, Worker, run_slices};
use serde_bytes::ByteBuf;

use crate::coordinator::JobProgress;
use crate::credit::Terms;

/// Longest answer to a question about a job.
const MAX_JSON_BYTES: u64 = 1024 * 1024;
/// Longest answer with the outputs of one unit.
const MAX_UNIT_BYTES: u64 = 300 * 1024 * 1024;
/// How long one upload may take.
const UPLOAD_WITHIN: Duration = Duration::from_secs(600);

/// Why a job was not published or not completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The coordinator cannot be reached.
    #[error("reach the coordinator")]
    Net(#[from] NetError),
    /// The coordinator refuses.
    #[error("the coordinator refuses: {}", .0.detail)]
    Refused(Refusal),
    /// An answer that is none.
    #[error("the coordinator's answer (status {status}) cannot be read")]
    Answer {
        /// HTTP status.
        status: u16,
    },
    /// The job ended without all results.
    #[error("the job is {state}: {reason}")]
    Stopped {
        /// `held` or `refused`.
        state: String,
        /// Why.
        reason: String,
    },
    /// The budget is below one base unit per slice.
    #[error("a budget of {budget} base units is too small for {slices} slices")]
    Budget {
        /// What was offered.
        budget: BaseUnits,
        /// What it is for.
        slices: usize,
    },
    /// A result that is none.
    #[error("a result of the job cannot be read")]
    Result(#[from] SliceError),
    /// The package is no search.
    #[error(transparent)]
    Notes(#[from] NotesError),
}

/// A coordinator as a publisher sees it.
#[derive(Debug, Clone)]
pub struct Publisher {
    net: Net,
    url: String,
    network: NetworkId,
    coordinator: CoordinatorId,
    key: Arc<Key>,
}

impl Publisher {
    /// Speaks to the coordinator `coordinator` at base address `url`, as the publisher with `key`.
    pub fn new(net: Net, url: &str, network: NetworkId, coordinator: CoordinatorId, key: Arc<Key>) -> Self {
        Self { net, url: url.trim_end_matches('/').to_owned(), network, coordinator, key }
    }

    /// Uploads everything that a package names and submits it. `uploaded` hears (blobs there, blobs in all). The same
    /// package again is harmless: blobs that are there are passed over, and the job keeps its id.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn submit(
        &self,
        package: &Package,
        mut uploaded: impl FnMut(usize, usize),
    ) -> Result<SignedPackage, PublishError> {
        let signed = package.sign(&self.key, &self.network);
        let program = signed.program.envelope().to_bytes();
        let all = package.blobs.len() + 1;
        self.upload(Hash::of(&program), program).await?;
        uploaded(1, all);
        for (i, (hash, bytes)) in package.blobs.iter().enumerate() {
            self.upload(*hash, bytes.clone()).await?;
            uploaded(i + 2, all);
        }
        let url = format!("{}/v1/jobs", self.url);
        let body = signed.manifest.envelope().to_bytes();
        let request = Request::post(Purpose::Publish, "job", url, body).within(UPLOAD_WITHIN);
        self.exchange(request).await?;
        Ok(signed)
    }

    /// How far a job is.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn progress(&self, job: &JobId) -> Result<JobProgress, PublishError> {
        let url = format!("{}/v1/jobs/{job}", self.url);
        let request = Request::get(Purpose::Publish, job.short(), url).max_answer_bytes(MAX_JSON_BYTES);
        let body = self.exchange(request).await?;
        serde_json::from_slice(&body).map_err(|_| PublishError::Answer { status: 200 })
    }

    /// Waits until a job is done. `report` hears about every change.
    ///
    /// # Errors
    /// [`PublishError::Stopped`] when the job is held or refused; otherwise as the questions fail for good.
    pub async fn wait(
        &self,
        job: &JobId,
        mut report: impl FnMut(&JobProgress),
    ) -> Result<JobProgress, PublishError> {
        let mut last = None;
        loop {
            match self.progress(job).await {
                Ok(progress) => {
                    if last.as_ref() != Some(&progress) {
                        report(&progress);
                    }
                    match progress.state.as_str() {
                        "done" => return Ok(progress),
                        "held" | "refused" => {
                            return Err(PublishError::Stopped {
                                state: progress.state,
                                reason: progress.reason,
                            });
                        }
                        _ => last = Some(progress),
                    }
                }
                // A coordinator that restarts is asked again.
                Err(PublishError::Net(error)) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The accepted outputs of one unit, by slice.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn outputs(&self, job: &JobId, unit: u32) -> Result<BTreeMap<u32, Vec<u8>>, PublishError> {
        let url = format!("{}/v1/jobs/{job}/outputs/{unit}", self.url);
        let request = Request::get(Purpose::Publish, job.short(), url)
            .max_answer_bytes(MAX_UNIT_BYTES)
            .within(UPLOAD_WITHIN);
        let body = self.exchange(request).await?;
        let outputs: Vec<(u32, ByteBuf)> =
            protocol::cbor::decode(&body, body.len()).map_err(|_| PublishError::Answer { status: 200 })?;
        Ok(outputs.into_iter().map(|(slice, output)| (slice, output.into_vec())).collect())
    }

    /// What the search of one window that is done has found; its hits and those of other windows follow from all together.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn candidates(&self, package: &SignedPackage) -> Result<Candidates, PublishError> {
        let manifest = package.manifest.message();
        let mut findings = Findings::new(manifest)?;
        for unit in 0..manifest.units.len() as u32 {
            for (slice, output) in self.outputs(&package.job, unit).await? {
                findings.add(unit, slice, &output)?;
            }
        }
        Ok(findings.candidates())
    }

    async fn upload(&self, blob: Hash, bytes: Vec<u8>) -> Result<(), PublishError> {
        let upload = Upload { coordinator: self.coordinator, blob, bytes: bytes.len() as u64 };
        let permission = self.key.sign(&self.network, upload).envelope().to_bytes();
        let permission = base64::engine::general_purpose::STANDARD.encode(permission);
        let url = format!("{}/v1/blob/{blob}", self.url);
        let request = Request::put(Purpose::Publish, blob.short(), url, bytes)
            .header("hearth-publisher", permission)
            .within(UPLOAD_WITHIN);
        self.exchange(request).await.map(|_| ())
    }

    async fn exchange(&self, request: Request) -> Result<network::Bytes, PublishError> {
        let answer = self.net.request(request).await?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        match protocol::cbor::decode::<Refusal>(&answer.body, 64 * 1024) {
            Ok(refusal) => Err(PublishError::Refused(refusal)),
            Err(_) => Err(PublishError::Answer { status: answer.status }),
        }
    }
}

/// Sets the price per slice so that the whole job, with fee and audits, costs at most `budget`.
///
/// # Errors
/// [`PublishError::Budget`] when that is less than one base unit per slice.
pub fn price(package: &mut Package, budget: BaseUnits, profile: &Profile) -> Result<(), PublishError> {
    package.price_per_slice = price_of_slice(package.units.len(), budget, profile)?;
    Ok(())
}

/// What a slice pays when `units` units, of one job or several, cost at most `budget` with fee and audits.
///
/// # Errors
/// [`PublishError::Budget`] when that is less than one base unit.
pub fn price_of_slice(units: usize, budget: BaseUnits, profile: &Profile) -> Result<BaseUnits, PublishError> {
    let parameters = &profile.parameters;
    let terms = Terms::for_budget(
        budget,
        units as u64,
        SLICES_PER_UNIT as u64,
        parameters.audits_per_unit[0].into(),
        parameters.fee_permille,
    );
    let too_small = PublishError::Budget { budget, slices: units * SLICES_PER_UNIT };
    Ok(terms.ok_or(too_small)?.price)
}

/// Why a slice was not computed on this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalRunError {
    /// No worker could be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The worker does not take the program.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The worker failed at a slice.
    #[error(transparent)]
    Run(#[from] RunSlicesError),
    /// No runtime for the conversation with the worker.
    #[error("start the conversation with the worker")]
    Runtime(#[from] std::io::Error),
    /// The worker answered nothing.
    #[error("the worker gave no output")]
    NoOutput,
}

/// A worker on this machine with the program of a package loaded.
struct Here {
    runtime: tokio::runtime::Runtime,
    worker: Worker,
    limit: Duration,
}

impl Here {
    fn start(
        package: &Package,
        spawn: &Spawn,
        ready: impl FnOnce(&sandbox::Ready),
    ) -> Result<Self, LocalRunError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let worker = runtime.block_on(async {
            let (mut worker, device) = Worker::spawn(spawn).await?;
            ready(&device);
            worker.load(&package.program, &package.sources, Duration::from_secs(120)).await?;
            Ok::<_, LocalRunError>(worker)
        })?;
        // A processor that stands in for a card is many times slower than the reference the limit is given for.
        let limit = Duration::from_millis(package.program.cost.max_millis.into()) * 2;
        Ok(Self { runtime, worker, limit })
    }

    fn run(&mut self, plan: &SlicePlan, inputs: Vec<Vec<u8>>) -> Result<Vec<u8>, LocalRunError> {
        let job = SliceJob { slice: SliceId([1; 32]), inputs, params: plan.params.clone() };
        let pace = protocol::frames::Pace::AWAY;
        let outputs =
            self.runtime.block_on(run_slices(&mut self.worker, [job], pace, self.limit, |_, _| {}))?;
        outputs.into_iter().next().map(|output| output.output).ok_or(LocalRunError::NoOutput)
    }
}

fn not_started(source: LocalRunError) -> LocalError<LocalRunError> {
    LocalError::Run { unit: 0, slice: 0, source }
}

/// Computes every slice of a package through a worker on this machine and hands each result to `take` with its unit and
/// slice. Blocks; call it outside a tokio runtime.
///
/// # Errors
/// [`LocalError`]; its source is a [`LocalRunError`].
pub fn compute_here<T: std::error::Error + Send + Sync + 'static>(
    package: &Package,
    spawn: &Spawn,
    ready: impl FnOnce(&sandbox::Ready),
    take: impl FnMut(u32, u32, &[u8]) -> Result<(), T>,
) -> Result<(), LocalError<LocalRunError>> {
    let mut here = Here::start(package, spawn, ready).map_err(not_started)?;
    jobs::local::compute(package, |_, plan, inputs| here.run(plan, inputs), take)
}

/// Searches the package of one window through a worker on this machine. Blocks; call it outside a tokio runtime.
///
/// # Errors
/// [`LocalError`]; its source is a [`LocalRunError`].
pub fn search_here(
    package: &Package,
    spawn: &Spawn,
    ready: impl FnOnce(&sandbox::Ready),
    report: impl FnMut(jobs::local::Progress),
) -> Result<Candidates, LocalError<LocalRunError>> {
    let mut here = Here::start(package, spawn, ready).map_err(not_started)?;
    jobs::local::search(package, |_, plan, inputs| here.run(plan, inputs), report)
}
