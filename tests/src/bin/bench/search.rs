//! `bench search`: the signal search through the worker against turbo_seti on the same file.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jobs::recording::Recording;
use jobs::search::{Options, package};
use jobs::synthetic::Synthetic;
use protocol::frames::Pace;
use protocol::id::SliceId;
use protocol::manifest::SlicePlan;
use sandbox::{SliceJob, Worker, run_slices};
use serde_json::json;

use crate::{Outcome, rounded, runtime, say, spawn};

/// Searches a recording through the worker: processor seconds of the worker from its start to the last slice.
pub(crate) fn measure() -> Outcome {
    let (recording, name) = recording()?;
    let head = recording.head();
    say(&format!("searching {name}: {} spectra, {} channels", recording.spectra(), head.channels));
    let package = package(&recording, &Options { max_drift_hz_s: 4.0, snr: 10.0, ..Options::default() })?;
    let (runtime, spawn) = (runtime()?, spawn()?);
    let began = Instant::now();
    let (mut worker, ready) = runtime.block_on(Worker::spawn(&spawn))?;
    runtime.block_on(worker.load(&package.program, &package.sources, Duration::from_secs(120)))?;
    let limit = Duration::from_millis(package.program.cost.max_millis.into()) * 2;
    let mut run = |plan: &SlicePlan, inputs| {
        let job = SliceJob { slice: SliceId([1; 32]), inputs, params: plan.params.clone() };
        runtime.block_on(run_slices(&mut worker, [job], Pace::AWAY, limit, |_, _| {}))
    };
    let mut told = 0;
    let hits = jobs::local::search(
        &package,
        |_, plan, inputs| run(plan, inputs)?.pop().map(|output| output.output).ok_or(NoOutput::Nothing),
        |progress| {
            if progress.done * 10 / progress.total > told {
                told = progress.done * 10 / progress.total;
                say(&format!("{} of {} slices, {} hits", progress.done, progress.total, progress.hits.len()));
            }
        },
    )?;
    let wall = began.elapsed();
    let used = worker.usage().ok_or("this system does not tell the processor time of another process")?;
    runtime.block_on(worker.kill());
    for hit in &hits {
        say(&format!("{:.6} MHz, {:.4} Hz/s, S/N {:.1}", hit.frequency_mhz, hit.drift_hz_s, hit.snr));
    }
    Ok(json!({
        "hits": hits.len(),
        "ours_cpu_s": rounded(used.as_secs_f64(), 2),
        "wall_s": rounded(wall.as_secs_f64(), 2),
        "recording": name,
        "adapter": ready.adapter.name,
    }))
}

/// Why a slice has no result.
#[derive(Debug)]
enum NoOutput {
    Worker(sandbox::RunSlicesError),
    Nothing,
}

impl std::fmt::Display for NoOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the worker gave no output")
    }
}

impl Error for NoOutput {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Worker(error) => Some(error),
            Self::Nothing => None,
        }
    }
}

impl From<sandbox::RunSlicesError> for NoOutput {
    fn from(error: sandbox::RunSlicesError) -> Self {
        Self::Worker(error)
    }
}

/// The recording in `HEARTH_FIL`, else Voyager 1 where its data lie beside the checkout, else a made one.
fn recording() -> Result<(Recording, String), Box<dyn Error>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/voyager1/voyager1-wide.fil");
    let file =
        std::env::var_os("HEARTH_FIL").map(PathBuf::from).or_else(|| beside.exists().then_some(beside));
    let Some(file) = file else {
        let made = Synthetic::default();
        return Ok((made.generate().0, format!("synthetic, seed {}", made.seed)));
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Recording::open(&file)?, name))
}
