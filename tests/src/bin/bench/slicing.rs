//! `bench slicing`: what cutting work into pieces costs.

use protocol::frames::Pace;
use sandbox::measure;
use serde_json::json;

use crate::{Outcome, rounded, runtime, say, spawn};

/// Runs of each kind for the cost of slicing.
const SLICING_ROUNDS: usize = 12;

/// Processor time of a slice in pieces of 4 ms over that of the same slice in one, minus one.
pub(crate) fn measure() -> Outcome {
    say(&format!("running a slice {SLICING_ROUNDS} times in pieces and {SLICING_ROUNDS} times as a whole"));
    let measured = runtime()?.block_on(measure::slicing_overhead(&spawn()?, Pace::AWAY, SLICING_ROUNDS))?;
    say(&format!("in pieces {:.3?} s", measured.sliced));
    say(&format!("as whole  {:.3?} s", measured.whole));
    Ok(json!({
        "overhead": rounded(measured.overhead, 4),
        "n": SLICING_ROUNDS,
        "adapter": measured.ready.adapter.name,
    }))
}
