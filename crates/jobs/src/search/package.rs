//! From a recording, or a window of one, to a job: quantise, cut into slices, measure the noise, compute the known
//! answers.
//!
//! Which tile belongs to which slice of which unit is drawn from a seed that only the publisher knows. Neighbouring
//! tiles share their margins, so a contributor can see that two slices are neighbours; scattered over the job, that
//! says nothing about which slices of a bundle belong to one unit and which are audits.

use std::collections::BTreeMap;
use std::ops::Range;

use protocol::id::Hash;
use protocol::manifest::{CheckError, InputRange, SLICES_PER_UNIT, SlicePlan};
use protocol::units::BaseUnits;
use serde::{Deserialize, Serialize};

use super::head::{SliceError, SliceHead};
use super::noise::{Noise, still_sums};
use super::{MAX_SHIFT, MAX_SPECTRA, MAX_WINDOW_CHANNELS, Shape, native, padded};
use crate::blob;
use crate::package::{Package, deal, known_answers, shuffled};
use crate::quantise::{FlatRecording, Quantiser};
use crate::recording::{Head, Recording};

/// How a recording is to be searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Title for people, 1 to 80 bytes.
    pub title: String,
    /// One sentence for people, 1 to 400 bytes: what it is for and for whom.
    pub purpose: String,
    /// Largest drift in Hz/s, either sign.
    pub max_drift_hz_s: f64,
    /// S/N that a hit must exceed.
    pub snr: f64,
    /// What one accepted slice pays.
    pub price_per_slice: BaseUnits,
    /// Secret from which the order of slices is drawn. The same seed gives the same package.
    pub order_seed: [u8; 32],
    /// Channels per slice, a multiple of 64; `None` chooses by the size of the recording.
    pub tile: Option<u32>,
    /// Channels that are searched and measured as one, at most; `None` chooses by the number of spectra. For
    /// [`super::Windows`] alone.
    pub window: Option<u32>,
    /// Fine channels that each coarse channel of the telescope's filterbank was split into. The middle one of each, in
    /// which its receiver leaves a constant, is replaced by the mean of its neighbours. For [`super::Windows`] alone;
    /// `None` leaves the recording as it is.
    pub coarse: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: "Signal search".to_owned(),
            purpose: "Looks for narrow radio signals of changing frequency in a telescope's recording."
                .to_owned(),
            max_drift_hz_s: 4.0,
            snr: 10.0,
            price_per_slice: BaseUnits(1_000_000_000_000_000),
            order_seed: [0; 32],
            tile: None,
            window: None,
            coarse: None,
        }
    }
}

/// What a reader of the results has to know; JSON in the manifest's notes, never shown to contributors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// What was observed.
    pub source_name: String,
    /// Frequency of channel 0 of the window in MHz.
    pub fch1_mhz: f64,
    /// Step from channel to channel in MHz.
    pub foff_mhz: f64,
    /// Seconds from spectrum to spectrum.
    pub tsamp_s: f64,
    /// Start as modified Julian date.
    pub tstart_mjd: f64,
    /// Number of the window.
    pub window: u32,
    /// Channel of the recording that is channel 0 of the window.
    pub first_channel: u32,
    /// Channels of the window.
    pub channels: u32,
    /// Geometry of a slice.
    pub shape: Shape,
    /// S/N that a hit must exceed.
    pub snr: f64,
    /// Smallest sum that does.
    pub threshold_sum: u32,
    /// Median of the sums without drift.
    pub median_sum: f64,
    /// Standard deviation of those between their 5th and their 95th percentile.
    pub spread_sum: f64,
    /// Power of the median cell, which is level 8192.
    pub median_power: f64,
    /// Levels per unit of power.
    pub levels_per_power: f64,
}

impl Notes {
    /// Reads the notes of a search's manifest.
    ///
    /// # Errors
    /// What the JSON lacks.
    pub fn read(notes: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(notes)
    }

    fn write(&self) -> String {
        serde_json::to_string(self).expect("numbers and one text always have a JSON form")
    }

    /// S/N of a sum: what it is above the median, in spreads.
    pub fn snr_of(&self, sum: u32) -> f64 {
        (f64::from(sum) - self.median_sum) / self.spread_sum
    }

    /// Drift of a trial in Hz/s.
    pub fn drift_hz_s(&self, trial: u32) -> f64 {
        let total = f64::from(self.shape.total_shift(trial));
        // Adding zero turns the -0.0 of a falling band into 0.0.
        total * self.foff_mhz * 1e6 / (f64::from(self.shape.steps()) * self.tsamp_s) + 0.0
    }

    /// Frequency of a channel of the window at the first spectrum in MHz.
    pub fn frequency_mhz(&self, channel: u32) -> f64 {
        self.fch1_mhz + f64::from(channel) * self.foff_mhz
    }
}

/// Why a recording cannot be packaged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A drift shows over two spectra at least, and pieces stay short up to a number.
    #[error("the recording has {0} spectra, a search needs 2 to {MAX_SPECTRA}")]
    Spectra(u32),
    /// The drift range is no positive number or needs too many trials.
    #[error(
        "a drift of {max_drift_hz_s} Hz/s moves {channels:.0} channels over the recording, allowed are up to {MAX_SHIFT}"
    )]
    Drift {
        /// What was asked for.
        max_drift_hz_s: f64,
        /// What it means for this recording.
        channels: f64,
    },
    /// The threshold is no positive number.
    #[error("a threshold of S/N {0} cannot be used, it must be a positive number up to 1,000,000")]
    Threshold(f64),
    /// The tile is not a multiple of 64 or a slice would pass the largest buffer.
    #[error("slices of {0} channels cannot be used: a multiple of 64, with margins within 128 MiB")]
    Tile(u32),
    /// The window is no part of a recording that could be searched.
    #[error("windows of {0} channels cannot be used: 64 to {MAX_WINDOW_CHANNELS}")]
    Window(u32),
    /// There is nothing to measure a signal by.
    #[error(transparent)]
    Flat(#[from] FlatRecording),
    /// The finished job does not pass its own checks, for example a title that is too long.
    #[error("the finished package is refused")]
    Check(#[from] CheckError),
    /// The native kernel refused a slice of the package.
    #[error("a known answer cannot be computed")]
    Reference(#[from] SliceError),
}

/// A recording of which some channels are to be searched. The others are neighbours into which lines lead.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub(super) recording: &'a Recording,
    /// The channels to be searched, in `recording`.
    pub(super) own: Range<u32>,
    /// Where channel 0 of `recording` is in the whole recording.
    pub(super) offset: u32,
    /// Number of the part.
    pub(super) window: u32,
}

/// A part in levels, with its noise.
#[derive(Debug)]
pub(super) struct Quantised {
    pub(super) notes: Notes,
    levels: Vec<u16>,
    width: u32,
    before: u32,
}

impl Quantised {
    pub(super) fn new(part: &Part<'_>, options: &Options, shape: Shape) -> Result<Self, PackageError> {
        let head = part.recording.head();
        let width = head.channels;
        let quantiser = Quantiser::fit(part.recording.samples())?;
        let levels = quantiser.levels(part.recording.samples());
        let own = part.own.start as usize..part.own.end as usize;
        let noise = Noise::measure(&mut still_sums(&levels, width as usize, own))?;
        if !(options.snr > 0.0 && options.snr <= 1e6) {
            return Err(PackageError::Threshold(options.snr));
        }
        // Exceeds the threshold exactly when it is larger than the product; saturates where no sum can.
        let threshold_sum = (noise.median + options.snr * noise.spread).floor() as u32;
        let notes = Notes {
            source_name: head.source_name.clone(),
            fch1_mhz: head.fch1_mhz + f64::from(part.own.start) * head.foff_mhz,
            foff_mhz: head.foff_mhz,
            tsamp_s: head.tsamp_s,
            tstart_mjd: head.tstart_mjd,
            window: part.window,
            first_channel: part.offset + part.own.start,
            channels: part.own.end - part.own.start,
            shape,
            snr: options.snr,
            threshold_sum: threshold_sum.saturating_add(1),
            median_sum: noise.median,
            spread_sum: noise.spread,
            median_power: quantiser.median(),
            levels_per_power: quantiser.steps_per_power(),
        };
        Ok(Self { notes, levels, width, before: part.own.start })
    }

    /// The levels of a tile with its margins, spectrum after spectrum. Beyond the band its edge channel is repeated, as
    /// if every line that leaves the band went on along its edge.
    pub(super) fn tile(&self, first_channel: u32) -> Vec<u16> {
        let (width, shape) = (i64::from(self.width), self.notes.shape);
        let start = i64::from(self.before) + i64::from(first_channel) - i64::from(shape.margin);
        let end = start + i64::from(shape.width());
        let inside = start.clamp(0, width) as usize..end.clamp(0, width) as usize;
        let before = (0_i64.saturating_sub(start)).clamp(0, end - start) as usize;
        let mut tile = Vec::with_capacity((shape.width() * shape.spectra) as usize);
        for spectrum in self.levels.chunks_exact(self.width as usize) {
            let until = tile.len() + shape.width() as usize;
            tile.resize(tile.len() + before, spectrum[0]);
            tile.extend_from_slice(&spectrum[inside.clone()]);
            tile.resize(until, spectrum[spectrum.len() - 1]);
        }
        tile
    }
}

/// Packages a recording that is in memory, as one window.
///
/// # Errors
/// [`PackageError`].
pub fn package(recording: &Recording, options: &Options) -> Result<Package, PackageError> {
    let own = 0..recording.head().channels;
    package_part(&Part { recording, own, offset: 0, window: 0 }, options)
}

pub(super) fn package_part(part: &Part<'_>, options: &Options) -> Result<Package, PackageError> {
    let own = part.own.end - part.own.start;
    let shape = shape(part.recording.head(), part.recording.spectra(), own, options)?;
    let quantised = Quantised::new(part, options, shape)?;
    let notes = &quantised.notes;

    let tiles = own.div_ceil(shape.tile).next_multiple_of(SLICES_PER_UNIT as u32);
    let mut blobs: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
    let mut slices = Vec::with_capacity(tiles as usize);
    for tile in shuffled(tiles, &options.order_seed) {
        let slice_head = slice_head(notes, tile);
        let levels = quantised.tile(slice_head.first_channel);
        let (hash, bytes) = blob(levels.iter().flat_map(|level| level.to_le_bytes()).collect());
        let whole = InputRange { blob: hash, offset_bytes: 0, bytes: shape.input_bytes() };
        blobs.insert(hash, bytes);
        slices.push(SlicePlan { inputs: vec![whole], params: slice_head.to_words() });
    }
    let units = deal(slices);
    let vectors = known_answers(&units, |plan| {
        native::reference(&blobs[&plan.inputs[0].blob], &plan.params).map_err(PackageError::from)
    })?;
    let program = shape.program(&options.title, &options.purpose);
    let sources = shape.sources();
    blobs.extend(sources.iter().map(|source| blob(source.clone().into_bytes())));
    let package = Package {
        program,
        sources,
        units,
        vectors,
        notes: notes.write(),
        price_per_slice: options.price_per_slice,
        blobs: blobs.into_iter().collect(),
    };
    package.check()?;
    Ok(package)
}

/// Channels that the largest drift moves over all spectra of the tree, to the nearest trial.
pub(super) fn max_shift(head: &Head, spectra: u32, options: &Options) -> Result<u32, PackageError> {
    if !(2..=MAX_SPECTRA).contains(&spectra) {
        return Err(PackageError::Spectra(spectra));
    }
    let max_drift_hz_s = options.max_drift_hz_s;
    let span_s = f64::from(padded(spectra) - 1) * head.tsamp_s;
    let channels = max_drift_hz_s * span_s / (head.foff_mhz.abs() * 1e6);
    if !(max_drift_hz_s > 0.0 && channels <= f64::from(MAX_SHIFT)) {
        return Err(PackageError::Drift { max_drift_hz_s, channels });
    }
    Ok((channels.round() as u32).max(1))
}

/// The shape of the slices of `channels` channels.
pub(super) fn shape(
    head: &Head,
    spectra: u32,
    channels: u32,
    options: &Options,
) -> Result<Shape, PackageError> {
    let max_shift = max_shift(head, spectra, options)?;
    let slices = SLICES_PER_UNIT as u32;
    let tile = options.tile.unwrap_or_else(|| {
        // 512 channels keep a slice below 50 ms even on a processor. A short recording still fills one unit, a long
        // one is cut into at most 32 units, so that margins are not most of what is sent.
        let one_unit = channels.div_ceil(slices).next_power_of_two();
        let many_units = channels.div_ceil(32 * slices).next_power_of_two();
        one_unit.min(512).max(many_units).max(super::BLOCK)
    });
    Shape::new(tile, max_shift, spectra).ok_or(PackageError::Tile(tile))
}

pub(super) fn slice_head(notes: &Notes, tile: u32) -> SliceHead {
    let first_channel = tile * notes.shape.tile;
    let millihertz = notes.frequency_mhz(first_channel) * 1e9;
    SliceHead {
        shape: notes.shape,
        valid: notes.channels.saturating_sub(first_channel).min(notes.shape.tile),
        first_channel,
        threshold_sum: notes.threshold_sum,
        median_sum: notes.median_sum.round() as u32,
        // A cast from float saturates, here where no real noise comes to.
        spread_256ths: ((notes.spread_sum * 256.0).round() as u32).max(1),
        // A cast from float saturates, so a band that passes zero stays there.
        frequency_millihertz: millihertz.round() as u64,
        channel_nanohertz: (notes.foff_mhz.abs() * 1e15).round() as u64,
        descending: notes.foff_mhz < 0.0,
        tsamp_ns: (notes.tsamp_s * 1e9).round() as u64,
    }
}
