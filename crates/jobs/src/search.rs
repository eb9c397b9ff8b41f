//! Signal search: narrow tones whose frequency drifts at a constant rate, in a filterbank recording.
//!
//! A transmitter that moves against the telescope draws a slanted line through the spectra. For every channel and
//! every drift trial the search sums one cell per spectrum along that line; a tone makes one sum stand out. Sums are
//! integers, so any device gives the same bits. This module owns the geometry of a slice and its program; the parts
//! below it package a recording ([`package()`]), give the same bits on a processor ([`reference()`]), read the results
//! ([`Findings`]) and prepare what the window draws ([`picture()`]). Runs no WGSL itself.
//!
//! The band is cut into tiles. A slice is one tile with a margin of the largest shift on either side, as a blob of
//! its own: two 16-bit levels per u32, spectrum after spectrum. Its result is, per block of 64 channels, the largest
//! sum with its trial and channel, and a digest of all sums of the block, so that "nothing found" cannot be claimed
//! without having looked.

use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};
use serde::{Deserialize, Serialize};

mod findings;
mod head;
mod native;
mod package;
mod picture;

pub use findings::{Findings, Hit, NotesError};
pub use head::{SliceError, SliceHead};
pub use native::{reference, reference_for};
pub use package::{Notes, Options, PackageError, package};
pub use picture::{Mark, Picture, picture};

/// Channels per candidate and digest of a result.
pub const BLOCK: u32 = 64;
/// u32 words per block of a result: largest sum, its trial, its channel in the tile, digest.
pub const BLOCK_WORDS: usize = 4;
/// Drift trials per repeat of the first stage: short pieces, and few loop iterations per dispatch.
const TRIALS_PER_REPEAT: u32 = 16;

/// Most spectra: 16 trials of them stay below 32k loop iterations per dispatch.
pub const MAX_SPECTRA: u32 = 1024;
/// Largest shift over the recording, in channels.
pub const MAX_SHIFT: u32 = 1 << 14;

const DRIFT: &str = include_str!("search/drift.wgsl");
const PICK: &str = include_str!("search/pick.wgsl");

/// Channels that a line drifting by `total` over all spectra has moved at `spectrum`: `total * spectrum / (spectra-1)`
/// rounded half away from zero, in integers.
pub fn shift(total: i32, spectrum: u32, spectra: u32) -> i32 {
    let span = i64::from(spectra.max(2)) - 1;
    let half = if total < 0 { -span } else { span };
    // Bounded by |total| for every spectrum of the recording, hence an i32 again.
    ((2 * i64::from(total) * i64::from(spectrum) + half) / (2 * span)) as i32
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
        let shape = Self { tile, margin: max_shift.checked_next_multiple_of(2)?, max_shift, spectra };
        shape.is_valid().then_some(shape)
    }

    fn is_valid(&self) -> bool {
        // The size comes last: only numbers that passed their own bounds have a product within 64 bits.
        self.tile >= BLOCK
            && self.tile.is_multiple_of(BLOCK)
            && self.tile <= 1 << 20
            && (1..=MAX_SHIFT).contains(&self.max_shift)
            && self.margin >= self.max_shift
            && self.margin <= MAX_SHIFT
            && self.margin.is_multiple_of(2)
            && (2..=MAX_SPECTRA).contains(&self.spectra)
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

    /// Channels over the recording of a trial: the first trial is `-max_shift`.
    pub fn total_shift(&self, trial: u32) -> i32 {
        trial as i32 - self.max_shift as i32
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
        let constants = format!(
            "const WIDTH: u32 = {}u;\nconst MARGIN: u32 = {}u;\nconst MAX_SHIFT: u32 = {}u;\n\
             const TRIALS: u32 = {}u;\nconst TRIALS_PER_REPEAT: u32 = {TRIALS_PER_REPEAT}u;\n\
             const SPECTRA: u32 = {}u;\nconst SPAN: u32 = {}u;\nconst TWO_SPANS: u32 = {}u;\n\n",
            self.width(),
            self.margin,
            self.max_shift,
            self.trials(),
            self.spectra,
            self.spectra - 1,
            2 * (self.spectra - 1),
        );
        vec![format!("{constants}{DRIFT}"), PICK.to_owned()]
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
                Kernel { module: 0, entry: "drift".to_owned(), workgroup: [BLOCK, 1, 1] },
                Kernel { module: 1, entry: "pick".to_owned(), workgroup: [1, 1, 1] },
            ],
            buffers,
            stages: vec![
                Stage {
                    kernel: 0,
                    bindings: vec![0, 2, 3, 4],
                    groups: self.tile / BLOCK,
                    repeat: self.trials().div_ceil(TRIALS_PER_REPEAT),
                },
                Stage { kernel: 1, bindings: vec![1, 2, 3, 4, 5], groups: self.tile / BLOCK, repeat: 1 },
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
