//! The params of a slice: how many of its channels count, and what a person may be told about them.
//!
//! Only the first word is read by a kernel. The rest lets the contributor's own app name frequencies and strengths in
//! the picture of the slice that it computes. On the contributor's side these words come from outside:
//! [`SliceHead::from_words`] bounds them all.

use super::Shape;

/// What a slice tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceHead {
    /// Geometry.
    pub shape: Shape,
    /// Channels of the tile that lie inside the recording, from the first on.
    pub valid: u32,
    /// Channel of the recording that is channel 0 of the tile.
    pub first_channel: u32,
    /// Smallest sum that counts as a hit.
    pub threshold_sum: u32,
    /// Median of the sums without drift, rounded.
    pub median_sum: u32,
    /// Spread of these sums in 1/256 of a level, at least 1.
    pub spread_256ths: u32,
    /// Frequency of channel 0 of the tile in mHz.
    pub frequency_millihertz: u64,
    /// Size of a channel in nHz.
    pub channel_nanohertz: u64,
    /// Whether channels go down in frequency.
    pub descending: bool,
    /// Time from spectrum to spectrum in ns.
    pub tsamp_ns: u64,
}

/// Why the bytes of a slice cannot be read as one of a signal search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SliceError {
    /// The params are not those of a signal search, or out of bounds.
    #[error("the params are not those of a signal search")]
    Head,
    /// Input of another size than the params say.
    #[error("the input has {found_bytes} bytes, the params say {expected_bytes}")]
    Input {
        /// Size of what is there.
        found_bytes: usize,
        /// Size that the shape has.
        expected_bytes: usize,
    },
    /// Output of another size, or with a trial or channel that does not exist.
    #[error("the output is not that of a signal search of this shape")]
    Output,
}

impl SliceHead {
    /// Number of params.
    pub const WORDS: usize = 17;

    /// The params of a slice.
    pub fn to_words(&self) -> Vec<u32> {
        let low = |x: u64| x as u32;
        let high = |x: u64| (x >> 32) as u32;
        vec![
            self.valid,
            self.first_channel,
            self.shape.tile,
            self.shape.margin,
            self.shape.max_shift,
            self.shape.spectra,
            self.threshold_sum,
            self.median_sum,
            self.spread_256ths,
            low(self.frequency_millihertz),
            high(self.frequency_millihertz),
            low(self.channel_nanohertz),
            high(self.channel_nanohertz),
            u32::from(self.descending),
            low(self.tsamp_ns),
            high(self.tsamp_ns),
            super::BLOCK,
        ]
    }

    /// Reads params that may come from anywhere.
    ///
    /// # Errors
    /// [`SliceError::Head`] when a word is out of bounds.
    pub fn from_words(words: &[u32]) -> Result<Self, SliceError> {
        let words: &[u32; Self::WORDS] = words.try_into().map_err(|_| SliceError::Head)?;
        let wide = |at: usize| u64::from(words[at]) | (u64::from(words[at + 1]) << 32);
        let shape = Shape { tile: words[2], margin: words[3], max_shift: words[4], spectra: words[5] };
        let head = Self {
            shape,
            valid: words[0],
            first_channel: words[1],
            threshold_sum: words[6],
            median_sum: words[7],
            spread_256ths: words[8],
            frequency_millihertz: wide(9),
            channel_nanohertz: wide(11),
            descending: words[13] == 1,
            tsamp_ns: wide(14),
        };
        let sound = shape.is_valid()
            && head.valid <= shape.tile
            && head.spread_256ths > 0
            && words[13] <= 1
            && head.tsamp_ns > 0
            && words[16] == super::BLOCK;
        sound.then_some(head).ok_or(SliceError::Head)
    }

    /// Frequency at the first spectrum of a channel of the tile in Hz; negative channels are in the margin.
    pub fn frequency_hz(&self, channel: i64) -> f64 {
        let step = self.channel_nanohertz as f64 / 1e9;
        let step = if self.descending { -step } else { step };
        self.frequency_millihertz as f64 / 1e3 + channel as f64 * step
    }

    /// Drift of a trial in Hz/s.
    pub fn drift_hz_s(&self, trial: u32) -> f64 {
        let total = f64::from(self.shape.total_shift(trial));
        let total = if self.descending { -total } else { total };
        let span_ns = f64::from(self.shape.steps()) * self.tsamp_ns as f64;
        total * self.channel_nanohertz as f64 / span_ns
    }

    /// S/N of a sum.
    pub fn snr(&self, sum: u32) -> f64 {
        (f64::from(sum) - f64::from(self.median_sum)) * 256.0 / f64::from(self.spread_256ths)
    }
}

/// A block of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) sum: u32,
    pub(super) trial: u32,
    /// Channel of the tile.
    pub(super) channel: u32,
}

/// The candidates of a result with their bounds checked.
pub(super) fn candidates(head: &SliceHead, output: &[u8]) -> Result<Vec<Candidate>, SliceError> {
    if output.len() != head.shape.output_bytes() as usize {
        return Err(SliceError::Output);
    }
    candidates_of(head, crate::words_of(output))
}

/// The candidates of a result's words with their bounds checked.
pub(super) fn candidates_of(
    head: &SliceHead,
    words: impl Iterator<Item = u32>,
) -> Result<Vec<Candidate>, SliceError> {
    let words: Vec<u32> = words.collect();
    words
        .chunks_exact(super::BLOCK_WORDS)
        .map(|block| {
            let candidate = Candidate { sum: block[0], trial: block[1], channel: block[2] };
            let sound = candidate.trial < head.shape.trials() && candidate.channel < head.shape.tile;
            sound.then_some(candidate).ok_or(SliceError::Output)
        })
        .collect()
}
