//! A recording that is larger than memory, searched window by window.
//!
//! The band is cut into windows, each a job of its own with its own scale and noise figures, as turbo_seti does per
//! coarse channel. A window is read with as many channels on either side as a line can lead into, so no line is lost at
//! a seam; a line belongs to the window in which it starts, so none is found twice. Whether it stands in the shadow of a
//! stronger one is decided over all windows ([`Candidates::hits`]). No more than one window is in memory.

use std::io::{Read, Seek};
use std::ops::Range;

use protocol::manifest::SLICES_PER_UNIT;

use super::findings::strong;
use super::head::candidates_of;
use super::package::{Options, Part, Quantised, max_shift, package_part, shape, slice_head};
use super::{Candidates, MAX_WINDOW_CHANNELS, MAX_WINDOW_SAMPLES, PackageError, Shape, native, shift};
use crate::package::Package;
use crate::recording::{Head, ReadRecordingError, Recording, RecordingFile};

/// A recording file cut into windows.
#[derive(Debug)]
pub struct Windows<R> {
    file: RecordingFile<R>,
    options: Options,
    reach: u32,
    tile: u32,
    all: Vec<Range<u32>>,
}

/// Why a window cannot be searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadRecordingError),
    /// No job can be made of it.
    #[error(transparent)]
    Package(#[from] PackageError),
}

impl<R: Read + Seek> Windows<R> {
    /// Cuts the band of a file. Windows have the same size, up to the rounding to blocks, and never more than the options
    /// say; slices have the same shape in all of them.
    ///
    /// # Errors
    /// [`PackageError`] when the recording as a whole cannot be searched so.
    pub fn new(file: RecordingFile<R>, options: &Options) -> Result<Self, PackageError> {
        let (head, spectra) = (file.head(), file.spectra());
        let most = max_shift(head, spectra, options)?;
        let reach = shift(most as i32, spectra - 1, spectra).unsigned_abs();
        let all = cut(head.channels, spectra, options)?;
        let widest = all.iter().map(|window| window.end - window.start).max().unwrap_or(0);
        let tile = shape(head, spectra, widest, options)?.tile;
        let options = Options { tile: Some(tile), ..options.clone() };
        Ok(Self { file, options, reach, tile, all })
    }

    /// Number of windows, at least one.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Units of all windows together.
    pub fn units(&self) -> usize {
        let slices = |window: &Range<u32>| (window.end - window.start).div_ceil(self.tile) as usize;
        self.all.iter().map(|window| slices(window).div_ceil(SLICES_PER_UNIT)).sum()
    }

    /// Channels of a window; none where there is no such window.
    pub fn channels(&self, window: usize) -> Range<u32> {
        self.all.get(window).cloned().unwrap_or_default()
    }

    /// What the header of the file says.
    pub fn head(&self) -> &Head {
        self.file.head()
    }

    /// Packages a window as a job of its own. Every window has its own secret order of slices.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn package(&mut self, window: usize) -> Result<Package, WindowError> {
        let (recording, own, offset) = self.read(window)?;
        let part = Part { recording: &recording, own, offset, window: window as u32 };
        let mut seed = blake3::Hasher::new_derive_key("hearth jobs 2026 order of the slices of a window");
        seed.update(&self.options.order_seed).update(&(window as u64).to_le_bytes());
        let options = Options { order_seed: *seed.finalize().as_bytes(), ..self.options.clone() };
        Ok(package_part(&part, &options)?)
    }

    /// Searches a window on the processor.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn search(&mut self, window: usize) -> Result<Candidates, WindowError> {
        let (recording, own, offset) = self.read(window)?;
        let channels = own.end - own.start;
        let most = max_shift(recording.head(), recording.spectra(), &self.options)?;
        let tile = channels.next_multiple_of(super::BLOCK);
        let shape = Shape::new(tile, most, recording.spectra()).ok_or(PackageError::Tile(tile))?;
        let part = Part { recording: &recording, own, offset, window: window as u32 };
        let quantised = Quantised::new(&part, &self.options, shape)?;
        drop(recording);
        let head = slice_head(&quantised.notes, 0);
        let words = native::result(&quantised.tile(0), &shape, head.valid);
        let found = candidates_of(&head, words.into_iter()).map_err(PackageError::from)?;
        Ok(Candidates::new(&quantised.notes, strong(&quantised.notes, &head, &found, (0, 0))))
    }

    /// The recording of a window with its neighbours, the window's channels in it, and where it begins in the file.
    fn read(&mut self, window: usize) -> Result<(Recording, Range<u32>, u32), ReadRecordingError> {
        let own = self.channels(window);
        let first = own.start.saturating_sub(self.reach);
        let end = own.end.saturating_add(self.reach).min(self.file.head().channels);
        let mut recording = self.file.window(first..end)?;
        if let Some(coarse) = self.options.coarse {
            let middles = (first..end).filter(|channel| channel % coarse.max(1) == coarse / 2);
            middles.for_each(|channel| recording.blank(channel - first));
        }
        Ok((recording, own.start - first..own.end - first, first))
    }
}

/// The windows of a band of `channels` channels.
fn cut(channels: u32, spectra: u32, options: &Options) -> Result<Vec<Range<u32>>, PackageError> {
    let fits = (MAX_WINDOW_SAMPLES / spectra.max(1)).min(MAX_WINDOW_CHANNELS);
    let most = match options.window.or(options.coarse.filter(|&coarse| coarse <= fits)) {
        Some(window) if !(super::BLOCK..=MAX_WINDOW_CHANNELS).contains(&window) => {
            return Err(PackageError::Window(window));
        }
        Some(window) => window,
        None => fits,
    };
    let count = channels.div_ceil(most).max(1);
    // Coarse channels keep their edges; other windows share the band evenly, so that none is too small for its noise.
    let even = channels.div_ceil(count).next_multiple_of(super::BLOCK);
    let size = if options.coarse == Some(most) { most } else { even.min(most) };
    Ok((0..channels)
        .step_by(size as usize)
        .map(|first| first..first.saturating_add(size).min(channels))
        .collect())
}

/// Searches a whole recording on the processor, window by window, with one thread. `report` hears after each window how
/// many are done, how many there are, and the hits so far, the strongest first.
///
/// # Errors
/// [`WindowError`].
pub fn search<R: Read + Seek>(
    file: RecordingFile<R>,
    options: &Options,
    mut report: impl FnMut(usize, usize, &[super::Hit]),
) -> Result<Vec<super::Hit>, WindowError> {
    let mut windows = Windows::new(file, options)?;
    let mut found = Candidates::default();
    let mut hits = Vec::new();
    for window in 0..windows.count() {
        found.join(windows.search(window)?);
        hits = found.hits();
        report(window + 1, windows.count(), &hits);
    }
    Ok(hits)
}
