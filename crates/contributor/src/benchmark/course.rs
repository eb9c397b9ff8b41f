//! PURE: how far a measurement is, from what each of its steps usually takes.
//!
//! A bar that moves by these numbers never goes back and never stands at the end while something runs: a step that takes
//! longer than usual waits at its own end, one that is left out is passed over.

use protocol::local::BenchmarkStep;

/// What a step usually takes, in milliseconds.
const fn usual_millis(step: BenchmarkStep) -> u32 {
    match step {
        BenchmarkStep::Opening => 300,
        BenchmarkStep::Float
        | BenchmarkStep::Integer
        | BenchmarkStep::Half
        | BenchmarkStep::Memory
        | BenchmarkStep::Transfer => 1000,
        BenchmarkStep::Sustained => 3500,
        BenchmarkStep::Latency => 500,
        // Both depend on the line: a fast one needs a second, a slow one is stopped after ten.
        BenchmarkStep::Download | BenchmarkStep::Upload => 5000,
    }
}

/// The steps in the order in which they run.
const STEPS: [BenchmarkStep; 10] = [
    BenchmarkStep::Opening,
    BenchmarkStep::Float,
    BenchmarkStep::Integer,
    BenchmarkStep::Half,
    BenchmarkStep::Memory,
    BenchmarkStep::Transfer,
    BenchmarkStep::Sustained,
    BenchmarkStep::Latency,
    BenchmarkStep::Download,
    BenchmarkStep::Upload,
];

/// Thousandths of the whole when `share` (0 to 1) of `step` is done.
pub(super) fn permille(step: BenchmarkStep, share: f64) -> u16 {
    let all: u32 = STEPS.iter().map(|&step| usual_millis(step)).sum();
    let before: u32 = STEPS.iter().take_while(|&&other| other != step).map(|&step| usual_millis(step)).sum();
    let done = f64::from(before) + f64::from(usual_millis(step)) * share.clamp(0.0, 1.0);
    // At most 1000.
    (done * 1000.0 / f64::from(all)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_never_goes_back_and_ends_at_the_end() {
        let mut last = 0;
        for step in STEPS {
            for share in [0.0, 0.3, 1.0, 7.0] {
                let now = permille(step, share);
                assert!(now >= last, "{step:?} at {share} goes back from {last} to {now}");
                last = now;
            }
        }
        assert_eq!(last, 1000);
        assert_eq!(permille(BenchmarkStep::Opening, 0.0), 0);
    }

    #[test]
    fn every_step_has_its_stretch() {
        for pair in STEPS.windows(2) {
            assert_eq!(permille(pair[0], 1.0), permille(pair[1], 0.0), "{pair:?} touch");
            assert!(permille(pair[0], 1.0) > permille(pair[0], 0.0), "{pair:?}");
        }
    }
}
