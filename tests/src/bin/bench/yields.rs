//! `bench yield`: how long the device stays busy after its owner has come back.

use protocol::frames::Pace;
use sandbox::measure;
use serde_json::json;

use crate::{Outcome, millis, percentile, runtime, say, sorted, spawn};

/// Yields that are measured: the 99th percentile is then the third largest.
const YIELDS: usize = 300;

/// From the suspend frame to an idle device: a sample is the later of the worker's answer, which follows the last fence,
/// and of the moment at which its process stopped using the processor (a software device computes there).
pub(crate) fn measure() -> Outcome {
    say(&format!("suspending a running slice {YIELDS} times"));
    let measured = runtime()?.block_on(measure::yield_latency(&spawn()?, Pace::AWAY, YIELDS))?;
    let answered = sorted(measured.samples.iter().map(|s| millis(s.answered)));
    let idle = sorted(
        measured.samples.iter().map(|s| millis(s.idle.map_or(s.answered, |idle| idle.max(s.answered)))),
    );
    Ok(json!({
        "n": idle.len(),
        "p50_ms": percentile(&idle, 50),
        "p99_ms": percentile(&idle, 99),
        "answered_p50_ms": percentile(&answered, 50),
        "answered_p99_ms": percentile(&answered, 99),
        "adapter": measured.ready.adapter.name,
    }))
}
