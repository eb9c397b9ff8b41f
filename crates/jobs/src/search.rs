//! Signal search: narrow tones whose frequency drifts at a constant rate, in a filterbank recording.
//!
//! A transmitter that moves against the telescope draws a slanted line through the spectra. For every channel and
//! every drift trial the search sums one cell per spectrum along that line; a tone makes one sum stand out. Sums are
//! integers, so any device gives the same bits. This module owns the geometry of a slice and its program; the parts
//! below it package a recording ([`package()`]), give the same bits on a processor ([`reference()`]), read the results
//! ([`Findings`]) and prepare what the window draws ([`picture()`]). Runs no WGSL itself.
//!
//! The band is cut into windows ([`Windows`]), a window into tiles. A slice is one tile with a margin of the largest
//! shift on either side, as a blob of its own: two 16-bit levels per u32, spectrum after spectrum. Its result is, per
//! block of 64 channels, the largest sum with its trial and channel, and a digest of all sums of the block, so that
//! "nothing found" cannot be claimed without having looked.
//!
//! # What is measured, and where it differs from turbo_seti
//!
//! Lines, drift steps, S/N and the choice of hits are those of turbo_seti 2.3 (`find_doppler.py`, `tophitsearch`,
//! `comp_stats`), so that its users can compare: sums along the paths of a Taylor tree over the next power of two of
//! spectra; a drift step of one channel over that many spectra less one; S/N = (sum - median) / spread, where both are
//! of the sums without drift of one coarse channel and the spread is the standard deviation of those between the 5th
//! and the 95th percentile; a hit is a line above the threshold with none stronger within twice the largest drift. What
//! differs:
//!
//! - Power is rounded to 1/64 of a cell's spread and cut at 896 spreads ([`crate::quantise`]), because integers alone
//!   give the same bits on every device. S/N changes by less than 0.1 %; a cell beyond the cut counts as one at it.
//! - A coarse channel is a window: turbo_seti guesses them from the file's resolution, here they are 2^20 channels or
//!   what the publisher says. Lines may cross from one into the next; turbo_seti takes up a line that leaves its coarse
//!   channel at the other end of it, and adds nothing in the last channels. At the ends of the file the edge channel goes
//!   on. Which of two lines near a seam is the stronger one is told by their power above the noise, not by their S/N.
//! - turbo_seti looks at whole drift blocks of as many steps as there are spectra and so stops short of the largest
//!   drift, for 16 spectra and 4 Hz/s at 375 of 392 steps. Here all steps up to it are tried, to the nearest.
//! - turbo_seti leaves the line without drift out (its `min_drift`), and reports a still transmitter one step beside.
//!   Here it is reported where it is.
//! - turbo_seti always replaces the middle of a coarse channel by the mean of its neighbours. Here that happens where
//!   [`Options::coarse`] says how wide coarse channels are: a file does not tell whether it has such a constant.
//! - The strongest line of 64 channels stands for all of them. A line is therefore measured against the strongest of
//!   each block within reach; one that is weaker than another line of a block at the very edge of its reach, but not
//!   weaker than all of it within, stays. Of equally strong lines the first counts, turbo_seti reports all.

use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};
use serde::{Deserialize, Serialize};

mod findings;
mod head;
mod native;
mod noise;
mod package;
mod picture;
mod windows;

pub use findings::{Candidates, Findings, Hit, NotesError};
pub use head::{SliceError, SliceHead};
pub use native::{reference, reference_for};
pub use package::{Notes, Options, PackageError, package};
pub use picture::{Mark, Picture, picture};
pub use windows::{WindowError, Windows, search};

/// Channels per candidate and digest of a result.
pub const BLOCK: u32 = 64;
/// u32 words per block of a result: largest sum, its trial, its channel in the tile, digest.
pub const BLOCK_WORDS: usize = 4;
/// Drift trials per repeat of the first stage: short pieces, and few loop iterations per dispatch.
const TRIALS_PER_REPEAT: u32 = 16;

/// Multiplier of the digest of sums: odd, so that a step is a bijection; 2^32 over the golden ratio.
const MIX: u32 = 0x9e37_79b1;

/// Most spectra: 16 trials of them stay below 32k loop iterations per dispatch.
pub const MAX_SPECTRA: u32 = 1024;
/// Most channels of a window: a coarse channel of the Green Bank Telescope at its finest resolution.
pub const MAX_WINDOW_CHANNELS: u32 = 1 << 20;
/// Most samples of a window, unless the caller wants larger ones: 64 MiB of f32.
const MAX_WINDOW_SAMPLES: u32 = 1 << 24;
/// Largest shift over the recording, in channels.
pub const MAX_SHIFT: u32 = 1 << 14;

const PATHS: &str = include_str!("search/paths.wgsl");
const DRIFT: &str = include_str!("search/drift.wgsl");
const PICK: &str = include_str!("search/pick.wgsl");

/// Channels that a line of `total` channels has moved at `spectrum` of a recording of `spectra`.
///
/// The line is a path of the Taylor tree (Taylor, A&AS 15, 1974, p. 367), as turbo_seti sums it: over the next power of
/// two of spectra, `padded`, of which the last ones may be missing. A line that moves d < `padded` channels from the
/// first to the last of them moves d/2 (rounded down) over each half, and the second half starts d/2 (rounded up)
/// further. A line that moves more goes on top of a whole number of channels per spectrum. Neighbouring trials therefore
/// share most of their partial sums; over up to 64 spectra no cell of a path is more than one channel from the straight line
/// rounded to channels.
pub fn shift(total: i32, spectrum: u32, spectra: u32) -> i32 {
    let padded = padded(spectra);
    let distance = total.unsigned_abs();
    let mut moved = u64::from(distance / (padded - 1)) * u64::from(spectrum);
    let mut rest = distance % (padded - 1);
    let mut half = padded / 2;
    while half > 0 {
        if spectrum & half != 0 {
            moved += u64::from(rest.div_ceil(2));
        }
        rest /= 2;
        half /= 2;
    }
    // Within the recording no line has moved further than its total.
    let moved = moved.min(distance.into()) as i64;
    (if total < 0 { -moved } else { moved }) as i32
}

/// Spectra of the Taylor tree over `spectra`: the next power of two, at least two.
pub fn padded(spectra: u32) -> u32 {
    spectra.clamp(2, MAX_SPECTRA).next_power_of_two()
}

/// The geometry that all slices of a search share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Channels that a slice decides about; a multiple of [`BLOCK`].
    pub tile: u32,
    /// Channels on either side that only lines pass through; even, at least `max_shift`.
    pub margin: u32,
    /// Trials go from minus this to plus this many channels over the recording.
    pub max_shift: u32,
    /// Spectra of the recording.
    pub spectra: u32,
}

impl Shape {
    /// A shape with the smallest margin, or `None` when a number is outside its bounds.
    pub fn new(tile: u32, max_shift: u32, spectra: u32) -> Option<Self> {
        let reach = shift(i32::try_from(max_shift).ok()?, spectra.checked_sub(1)?, spectra).unsigned_abs();
        let shape = Self { tile, margin: reach.checked_next_multiple_of(2)?, max_shift, spectra };
        shape.is_valid().then_some(shape)
    }

    fn is_valid(&self) -> bool {
        // The size comes last: only numbers that passed their own bounds have a product within 64 bits.
        self.tile >= BLOCK
            && self.tile.is_multiple_of(BLOCK)
            && self.tile <= 1 << 20
            && (1..=MAX_SHIFT).contains(&self.max_shift)
            && self.margin <= MAX_SHIFT
            && self.margin.is_multiple_of(2)
            && (2..=MAX_SPECTRA).contains(&self.spectra)
            && self.margin >= self.reach()
            && u64::from(self.width()) * u64::from(self.spectra) * 2
                <= u64::from(protocol::manifest::MAX_BUFFER_BYTES)
    }

    /// Channels of a slice with its margins.
    pub fn width(&self) -> u32 {
        self.tile + 2 * self.margin
    }

    /// Drift trials.
    pub fn trials(&self) -> u32 {
        2 * self.max_shift + 1
    }

    /// Channels that a trial moves over the tree's spectra ([`padded`]): the first trial is `-max_shift`.
    pub fn total_shift(&self, trial: u32) -> i32 {
        trial as i32 - self.max_shift as i32
    }

    /// Channels that a trial has moved at a spectrum.
    pub fn shift(&self, trial: u32, spectrum: u32) -> i32 {
        shift(self.total_shift(trial), spectrum, self.spectra)
    }

    /// Channels that the steepest trial moves over the recording.
    pub fn reach(&self) -> u32 {
        shift(self.max_shift as i32, self.spectra - 1, self.spectra).unsigned_abs()
    }

    /// Intervals over which a trial moves by its total.
    pub fn steps(&self) -> u32 {
        padded(self.spectra) - 1
    }

    /// u32 words of the table of paths; whole workgroups of 64.
    fn path_words(&self) -> u32 {
        (padded(self.spectra) * padded(self.spectra)).max(BLOCK)
    }

    /// Bytes of a slice's input.
    pub fn input_bytes(&self) -> u32 {
        self.width() * self.spectra * 2
    }

    /// Bytes of a slice's result.
    pub fn output_bytes(&self) -> u32 {
        self.tile / BLOCK * BLOCK_WORDS as u32 * 4
    }

    /// The WGSL modules for this shape. The numbers are constants of the source, so that loops have known bounds and
    /// no division can meet a zero.
    pub fn sources(&self) -> Vec<String> {
        let padded = padded(self.spectra);
        let tree = format!(
            "const PADDED: u32 = {padded}u;\nconst HALF: u32 = {}u;\nconst LEVELS: u32 = {}u;\n\n",
            padded / 2,
            padded.ilog2(),
        );
        let shape = format!(
            "const WIDTH: u32 = {}u;\nconst MARGIN: u32 = {}u;\nconst MAX_SHIFT: u32 = {}u;\n\
             const TRIALS: u32 = {}u;\nconst TRIALS_PER_REPEAT: u32 = {TRIALS_PER_REPEAT}u;\n\
             const SPECTRA: u32 = {}u;\nconst PADDED: u32 = {padded}u;\nconst STEPS: u32 = {}u;\n\n",
            self.width(),
            self.margin,
            self.max_shift,
            self.trials(),
            self.spectra,
            self.steps(),
        );
        vec![format!("{tree}{PATHS}"), format!("{shape}{DRIFT}"), PICK.to_owned()]
    }

    /// The program that computes one slice of this shape.
    pub fn program(&self, title: &str, purpose: &str) -> Program {
        let modules = self.sources();
        let modules = modules
            .iter()
            .map(|source| Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 })
            .collect();
        let buffer = |name: &str, role, bytes| Buffer { name: name.to_owned(), role, bytes };
        let per_channel = self.tile * 4;
        let adds = u64::from(self.tile) * u64::from(self.trials()) * u64::from(self.spectra);
        let buffers = vec![
            buffer("levels", Role::Input, self.input_bytes()),
            buffer("head", Role::Params, SliceHead::WORDS as u32 * 4),
            buffer("paths", Role::State, self.path_words() * 4),
            buffer("best_sum", Role::State, per_channel),
            buffer("best_trial", Role::State, per_channel),
            buffer("digest", Role::State, per_channel),
            buffer("candidates", Role::Output, self.output_bytes()),
        ];
        let memory_bytes = buffers.iter().map(|b| u64::from(b.bytes)).sum();
        Program {
            format: 1,
            title: title.to_owned(),
            purpose: purpose.to_owned(),
            family: Family::SignalSearch,
            modules,
            kernels: vec![
                Kernel { module: 0, entry: "paths".to_owned(), workgroup: [BLOCK, 1, 1] },
                Kernel { module: 1, entry: "drift".to_owned(), workgroup: [BLOCK, 1, 1] },
                Kernel { module: 2, entry: "pick".to_owned(), workgroup: [1, 1, 1] },
            ],
            buffers,
            stages: vec![
                Stage { kernel: 0, bindings: vec![2], groups: self.path_words() / BLOCK, repeat: 1 },
                Stage {
                    kernel: 1,
                    bindings: vec![0, 2, 3, 4, 5],
                    groups: self.tile / BLOCK,
                    repeat: self.trials().div_ceil(TRIALS_PER_REPEAT),
                },
                Stage { kernel: 2, bindings: vec![1, 3, 4, 5, 6], groups: self.tile / BLOCK, repeat: 1 },
            ],
            // A software driver does 0.13 Gadd/s on one processor core; a tenth of that is given up.
            features: Vec::new(),
            cost: Cost {
                operations: adds,
                memory_bytes,
                max_millis: u32::try_from(10_000 + adds / 13_000).unwrap_or(u32::MAX).min(600_000),
            },
            validator: Validator::Bitwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_starts_at_its_channel_ends_at_its_total_and_never_leaves_the_straight_line_far() {
        for spectra in [2_u32, 4, 8, 16, 32, 64] {
            let steps = f64::from(spectra - 1);
            for total in -200..=200_i32 {
                assert_eq!(shift(total, 0, spectra), 0);
                assert_eq!(shift(total, spectra - 1, spectra), total, "{spectra} spectra");
                assert_eq!(shift(total, 1, spectra), -shift(-total, 1, spectra), "rising and falling mirror");
                for spectrum in 1..spectra {
                    let moved = shift(total, spectrum, spectra);
                    let step = (moved - shift(total, spectrum - 1, spectra)).abs();
                    let slope = total.unsigned_abs().div_ceil(spectra - 1) as i32;
                    assert!(step <= slope, "a path never jumps: {total} at {spectrum} of {spectra}");
                    let straight = (f64::from(total) * f64::from(spectrum) / steps).round();
                    assert!((f64::from(moved) - straight).abs() <= 1.0, "{total} at {spectrum} of {spectra}");
                }
            }
        }
    }

    #[test]
    fn a_recording_that_is_no_power_of_two_long_follows_the_tree_of_the_next_one() {
        for spectrum in 0..12 {
            assert_eq!(shift(15, spectrum, 12), shift(15, spectrum, 16));
        }
        let shape = Shape::new(64, 15, 12).unwrap();
        assert_eq!((shape.steps(), shape.reach(), shape.margin), (15, 11, 12), "15 channels over 15 steps");
    }
}
