//! From measured power to 16-bit levels, once, when a package is built.
//!
//! The search sums integers, so that every device gives the same bits; the only float work of the whole job is here.
//! Power comes in any unit and with any offset. A level is therefore an affine map of it: the median cell of the
//! recording becomes [`BASE`], and the robust spread of a cell (median minus the 15.87th percentile, one standard
//! deviation of Gaussian noise) becomes [`STEPS_PER_SPREAD`] levels. S/N does not change under such a map, rounding
//! adds less than 0.01 % to the noise, and only cells beyond 896 spreads are cut. A median and not a mean, because a strong
//! carrier must not move the scale.

use multiversion::multiversion;

/// Level of the median cell.
pub const BASE: u16 = 8192;
/// Levels per spread of a cell.
pub const STEPS_PER_SPREAD: f64 = 64.0;

/// Cells that the scale is taken from at most.
const MAX_FIT: usize = 1 << 20;

/// The map from power to level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiser {
    median: f64,
    steps_per_power: f64,
}

/// The cells of a recording all have the same power, or none is a number: there is no noise to measure a signal by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the recording is flat: it has no noise by which a signal could be measured")]
pub struct FlatRecording;

impl Quantiser {
    /// The map for a recording with these cells, from at most 2^20 of them, evenly spread.
    ///
    /// # Errors
    /// [`FlatRecording`] when the cells do not differ.
    pub fn fit(samples: &[f32]) -> Result<Self, FlatRecording> {
        // An odd step does not fall on the same channels of a recording with a power of two of them.
        let step = samples.len().div_ceil(MAX_FIT).max(1) | 1;
        let mut cells: Vec<f32> = samples.iter().step_by(step).copied().filter(|x| x.is_finite()).collect();
        if cells.is_empty() {
            return Err(FlatRecording);
        }
        let mut at = |per_myriad: usize| {
            let rank = (cells.len() - 1) * per_myriad / 10_000;
            f64::from(*cells.select_nth_unstable_by(rank, f32::total_cmp).1)
        };
        let median = at(5000);
        // Coarse samples may have more than a third of all cells at the median; then the other tails tell.
        let spread =
            [median - at(1587), at(8413) - median, at(10_000) - at(0)].into_iter().find(|&s| s > 0.0);
        let steps_per_power = STEPS_PER_SPREAD / spread.ok_or(FlatRecording)?;
        if !steps_per_power.is_finite() {
            return Err(FlatRecording);
        }
        Ok(Self { median, steps_per_power })
    }

    /// The level of a cell: rounded half up, cut to 16 bits. A cell that is not a number carries no evidence and becomes
    /// the median.
    #[inline]
    pub fn level(&self, power: f32) -> u16 {
        let level = (f64::from(power) - self.median) * self.steps_per_power + (f64::from(BASE) + 0.5);
        let level = if level.is_nan() { f64::from(BASE) } else { level };
        // A cast cuts the fraction off and saturates at both ends.
        level as u16
    }

    /// The levels of many cells.
    pub fn levels(&self, powers: &[f32]) -> Vec<u16> {
        let mut levels = vec![0; powers.len()];
        fill(self, powers, &mut levels);
        levels
    }

    /// Power of the median cell.
    pub fn median(&self) -> f64 {
        self.median
    }

    /// Levels per unit of power.
    pub fn steps_per_power(&self) -> f64 {
        self.steps_per_power
    }
}

/// [`Quantiser::level`] of every cell, with the vectors of the processor that it runs on.
#[multiversion(targets("x86_64+avx2"))]
fn fill(quantiser: &Quantiser, powers: &[f32], levels: &mut [u16]) {
    for (level, &power) in levels.iter_mut().zip(powers) {
        *level = quantiser.level(power);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_level_does_not_depend_on_the_unit_of_power() {
        let cells: Vec<f32> = (0..1000_u32).map(|i| (i * 7919 % 1000) as f32).collect();
        let scaled: Vec<f32> = cells.iter().map(|x| x * 1024.0 + 4096.0).collect();
        let (one, other) = (Quantiser::fit(&cells).unwrap(), Quantiser::fit(&scaled).unwrap());
        for (x, y) in cells.iter().zip(&scaled) {
            assert_eq!(
                one.level(*x),
                other.level(*y),
                "both maps put the median and the spread at the same levels"
            );
        }
        assert_eq!(one.level(499.0), BASE, "the median cell is the base");
    }

    #[test]
    fn cells_that_do_not_differ_are_refused() {
        assert_eq!(Quantiser::fit(&[3.0; 100]), Err(FlatRecording));
        assert_eq!(Quantiser::fit(&[f32::NAN; 100]), Err(FlatRecording));
        assert_eq!(Quantiser::fit(&[]), Err(FlatRecording));
    }

    proptest! {
        #[test]
        fn more_power_is_never_a_lower_level(mut cells in prop::collection::vec(any::<f32>(), 2..200)) {
            cells.retain(|x| x.is_finite());
            if let Ok(quantiser) = Quantiser::fit(&cells) {
                cells.sort_unstable_by(f32::total_cmp);
                prop_assert!(cells.windows(2).all(|w| quantiser.level(w[0]) <= quantiser.level(w[1])));
            }
        }
    }
}
