//! PURE: what a handful of runs says: when they are steady, what they can do, what they usually do.

use protocol::local::Rate;

/// Two runs in a row agree within this share: the clock has risen and the caches are warm.
const STEADY: f64 = 0.02;

/// Whether the last two of `rates` agree.
pub(super) fn is_steady(rates: &[f64]) -> bool {
    match rates {
        [.., before, last] => (last - before).abs() <= STEADY * before.max(*last),
        _ => false,
    }
}

/// The rate of at least one run.
pub(super) fn rate(rates: &[f64]) -> Option<Rate> {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    let best = *sorted.last()?;
    let count = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / count;
    let variance = sorted.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    let runs = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    Some(Rate { best, median: median(&sorted), spread_percent: variance.sqrt() / mean * 100.0, runs })
}

/// The middle of sorted values; the mean of the two middle ones of an even number.
fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], sorted[half]) } else { sorted[half] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_in_a_row_within_a_fiftieth_are_steady() {
        assert!(!is_steady(&[]) && !is_steady(&[10.0]), "one run agrees with nothing");
        assert!(is_steady(&[1.0, 99.0, 100.0]));
        assert!(!is_steady(&[100.0, 97.0]));
        assert!(!is_steady(&[100.0, 103.0]));
        assert!(!is_steady(&[100.0, 100.0, f64::NAN]), "what is not a number agrees with nothing");
    }

    #[test]
    fn best_median_and_spread_of_runs() {
        assert_eq!(rate(&[]), None);
        let one = rate(&[5.0]).unwrap();
        assert_eq!(one, Rate { best: 5.0, median: 5.0, spread_percent: 0.0, runs: 1 });
        let four = rate(&[8.0, 12.0, 8.0, 12.0]).unwrap();
        assert_eq!(four, Rate { best: 12.0, median: 10.0, spread_percent: 20.0, runs: 4 });
        assert_eq!(rate(&[1.0, 9.0, 2.0]).unwrap().median, 2.0, "one outlier does not move the median");
    }
}
