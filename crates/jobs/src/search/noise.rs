//! The noise that a signal is measured by, taken as turbo_seti takes it.

use crate::quantise::FlatRecording;

/// Median and spread of the sums without drift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    pub(super) median: f64,
    /// Standard deviation of the sums between the 5th and the 95th percentile, both included. Of Gaussian noise this is
    /// 0.789 standard deviations, so that an S/N in this measure is 1.27 times one in deviations.
    pub(super) spread: f64,
}

impl Noise {
    /// The noise of the sums of some channels.
    pub(super) fn measure(sums: &mut [u32]) -> Result<Self, FlatRecording> {
        if sums.is_empty() {
            return Err(FlatRecording);
        }
        let (low, median, high) = (quantile(sums, 0.05), quantile(sums, 0.5), quantile(sums, 0.95));
        let inner = || {
            sums.iter()
                .map(|&sum| f64::from(sum))
                .filter(|sum| (low..=high).contains(sum))
                .map(|x| x - median)
        };
        let count = inner().count() as f64;
        let mean = inner().sum::<f64>() / count;
        let spread = (inner().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
        if spread > 0.0 { Ok(Self { median, spread }) } else { Err(FlatRecording) }
    }
}

/// The value below which a share of all lies, interpolated between neighbours as numpy's `percentile` does by default.
/// Reorders the values.
fn quantile(values: &mut [u32], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let (_, &mut at, above) = values.select_nth_unstable(place as usize);
    let next = above.iter().copied().min().unwrap_or(at);
    f64::from(at) + place.fract() * (f64::from(next) - f64::from(at))
}

/// The sum over all spectra of each of these channels; `levels` are `width` channels per spectrum.
pub(super) fn still_sums(levels: &[u16], width: usize, channels: std::ops::Range<usize>) -> Vec<u32> {
    let mut sums = vec![0_u32; channels.len()];
    for spectrum in levels.chunks_exact(width) {
        for (sum, &level) in sums.iter_mut().zip(&spectrum[channels.clone()]) {
            *sum = sum.wrapping_add(level.into());
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.percentile([4, 1, 3, 2, 10], [5, 50, 95, 30]) = [1.2, 3.0, 8.8, 2.2]
        for (share, expected) in [(0.05, 1.2), (0.5, 3.0), (0.95, 8.8), (0.3, 2.2)] {
            let found = quantile(&mut [4, 1, 3, 2, 10], share);
            assert!((found - expected).abs() < 1e-9, "{share}: {found}");
        }
    }

    #[test]
    fn the_spread_leaves_out_the_twentieth_on_either_side() {
        // 0 to 100: what is left is 5 to 95, 91 values with a variance of (91 * 91 - 1) / 12.
        let mut sums: Vec<u32> = (0..=100).rev().collect();
        let noise = Noise::measure(&mut sums).unwrap();
        assert!((noise.median - 50.0).abs() < 1e-9, "{noise:?}");
        assert!((noise.spread - (8280.0_f64 / 12.0).sqrt()).abs() < 1e-9, "{noise:?}");
        // A carrier in one channel changes nothing of it.
        sums.push(4_000_000_000);
        assert!((Noise::measure(&mut sums).unwrap().spread - noise.spread).abs() < 0.6);
        assert_eq!(Noise::measure(&mut [7; 50]), Err(FlatRecording));
    }
}
