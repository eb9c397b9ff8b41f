//! What the contributor's app draws of a slice: a small waterfall and the lines found in it.
//!
//! Made from nothing but what the contributor holds anyway: the slice's input, its params and its result. All of it
//! comes from outside; sizes and numbers are bounded and nothing panics.

use serde::{Deserialize, Serialize};

use super::head::{Candidate, SliceError, SliceHead, candidates};
use crate::quantise::{BASE, STEPS_PER_SPREAD};

/// Most columns of a picture.
const MAX_COLUMNS: u32 = 256;
/// Most rows of a picture.
const MAX_ROWS: u32 = 16;
/// Most lines marked in a picture.
const MAX_MARKS: usize = 8;

/// A waterfall: time downward, channels to the right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Columns, at most 256.
    pub columns: u32,
    /// Rows, at most 16; the first spectrum is on top.
    pub rows: u32,
    /// Brightness of each cell, row after row, `columns * rows` bytes.
    pub levels: Vec<u8>,
    /// Largest brightness of each column: a spectrum with peak hold.
    pub spectrum: Vec<u8>,
    /// Frequency at the left edge in Hz.
    pub left_hz: f64,
    /// Frequency at the right edge in Hz; lower than the left one where channels go down.
    pub right_hz: f64,
    /// Seconds from the top to the bottom.
    pub seconds: f64,
    /// Lines above the job's threshold, the strongest first.
    pub marks: Vec<Mark>,
}

/// A found line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Column at the first spectrum; may lie outside the picture.
    pub first_column: f64,
    /// Column at the last spectrum; may lie outside the picture.
    pub last_column: f64,
    /// Frequency at the first spectrum in Hz.
    pub frequency_hz: f64,
    /// Drift in Hz/s.
    pub drift_hz_s: f64,
    /// Signal to noise.
    pub snr: f64,
}

/// The picture of a slice: around its strongest line if `output` shows one above the threshold, else the whole tile
/// with the largest of neighbouring cells.
///
/// # Errors
/// [`SliceError`] when the bytes are not those of a signal search.
pub fn picture(input: &[u8], params: &[u32], output: Option<&[u8]>) -> Result<Picture, SliceError> {
    let head = SliceHead::from_words(params)?;
    let shape = head.shape;
    let expected_bytes = shape.input_bytes() as usize;
    if input.len() != expected_bytes {
        return Err(SliceError::Input { found_bytes: input.len(), expected_bytes });
    }
    let found = match output {
        Some(output) => lines(&head, input, candidates(&head, output)?),
        None => Vec::new(),
    };

    let (first, span) = match found.first() {
        Some(best) => {
            let span = MAX_COLUMNS.min(shape.width());
            let centre = i64::from(shape.margin + best.channel)
                + i64::from(shape.shift(best.trial, shape.spectra / 2));
            let last_start = i64::from(shape.width() - span);
            ((centre - i64::from(span / 2)).clamp(0, last_start) as u32, span)
        }
        None => (shape.margin, shape.tile),
    };
    let per_column = span.div_ceil(MAX_COLUMNS);
    let per_row = shape.spectra.div_ceil(MAX_ROWS);
    let (columns, rows) = (span.div_ceil(per_column), shape.spectra.div_ceil(per_row));

    let mut cells = vec![0_u16; (columns * rows) as usize];
    for spectrum in 0..shape.spectra {
        for column in 0..span {
            let cell = &mut cells[((spectrum / per_row) * columns + column / per_column) as usize];
            *cell = level(input, shape.width(), spectrum, first + column).max(*cell);
        }
    }
    let levels = brighten(&cells);
    let spectrum = (0..columns as usize)
        .map(|column| levels[column..].iter().step_by(columns as usize).copied().max().unwrap_or(0))
        .collect();

    let left = i64::from(first) - i64::from(shape.margin);
    let column_of = |channel: f64| (channel - left as f64 + 0.5) / f64::from(per_column);
    let marks = found
        .iter()
        .map(|c| Mark {
            first_column: column_of(f64::from(c.channel)),
            last_column: column_of(f64::from(c.channel) + f64::from(shape.shift(c.trial, shape.spectra - 1))),
            frequency_hz: head.frequency_hz(c.channel.into()),
            drift_hz_s: head.drift_hz_s(c.trial) + 0.0,
            snr: head.snr(c.sum),
        })
        .collect();
    Ok(Picture {
        columns,
        rows,
        levels,
        spectrum,
        left_hz: head.frequency_hz(left),
        right_hz: head.frequency_hz(left + i64::from(span)),
        seconds: head.tsamp_ns as f64 / 1e9 * f64::from(shape.spectra),
        marks,
    })
}

/// The candidates above the threshold that are lines of their own: with power in most spectra, and not within the
/// reach of a stronger one of the same slice.
///
/// A tone far stronger than the threshold lifts every sum that crosses it, also in neighbouring slices. Whoever has all
/// slices drops such shadows by their distance; who has one can tell them by their power standing in few spectra.
fn lines(head: &SliceHead, input: &[u8], mut all: Vec<Candidate>) -> Vec<Candidate> {
    all.retain(|c| c.sum >= head.threshold_sum && c.channel < head.valid && is_line(head, input, c));
    all.sort_unstable_by_key(|c| (std::cmp::Reverse(c.sum), c.channel));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in all {
        let reach = 2 * head.shape.max_shift;
        if kept.len() < MAX_MARKS && kept.iter().all(|k| k.channel.abs_diff(candidate.channel) > reach) {
            kept.push(candidate);
        }
    }
    kept
}

/// Whether at least half of the spectra hold half of the mean excess of the sum or more.
fn is_line(head: &SliceHead, input: &[u8], candidate: &Candidate) -> bool {
    let shape = head.shape;
    let excess = i64::from(candidate.sum) - i64::from(head.median_sum);
    let least = i64::from(BASE) + excess / (2 * i64::from(shape.spectra));
    let bright = (0..shape.spectra).filter(|&spectrum| {
        let column = (shape.margin + candidate.channel) as i32 + shape.shift(candidate.trial, spectrum);
        i64::from(level(input, shape.width(), spectrum, column as u32)) >= least
    });
    2 * bright.count() as u32 >= shape.spectra
}

/// The level of a cell; `column` counts from the left margin on.
fn level(input: &[u8], width: u32, spectrum: u32, column: u32) -> u16 {
    let at = 2 * (spectrum as usize * width as usize + column as usize);
    u16::from_le_bytes([input[at], input[at + 1]])
}

/// Brightness from the quiet fifth of the cells to the strongest one, but over 8 to 32 spreads of a cell: noise alone
/// stays dim, and a carrier does not put everything else into the dark.
fn brighten(cells: &[u16]) -> Vec<u8> {
    let mut order = cells.to_vec();
    let fifth = order.len() / 5;
    let low = f64::from(*order.select_nth_unstable(fifth).1);
    let high = f64::from(cells.iter().copied().max().unwrap_or(0));
    let range = (high - low).clamp(8.0 * STEPS_PER_SPREAD, 32.0 * STEPS_PER_SPREAD);
    // A cast from float saturates at both ends.
    cells.iter().map(|&cell| ((f64::from(cell) - low) * 255.0 / range) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Shape;
    use proptest::prelude::*;

    fn head(tile: u32, max_shift: u32, spectra: u32) -> SliceHead {
        SliceHead {
            shape: Shape::new(tile, max_shift, spectra).unwrap(),
            valid: tile,
            first_channel: 512,
            threshold_sum: 10,
            median_sum: 5,
            spread_256ths: 256,
            frequency_millihertz: 8_419_000_000_000,
            channel_nanohertz: 2_793_967_700,
            descending: true,
            tsamp_ns: 18_253_611_000,
        }
    }

    #[test]
    fn a_slice_tells_the_same_after_its_params_were_sent() {
        let head = head(512, 392, 16);
        assert_eq!(SliceHead::from_words(&head.to_words()), Ok(head));
        assert!((head.frequency_hz(0) - 8_419_000_000.0).abs() < 1e-3);
        assert!(
            (head.drift_hz_s(392 + 37) + 0.377_557).abs() < 1e-6,
            "up in channels is down in frequency here"
        );
    }

    #[test]
    fn many_spectra_and_channels_are_gathered_by_their_largest_cell() {
        let head = head(1024, 2, 40);
        let mut levels = vec![8192_u16; (head.shape.width() * 40) as usize];
        // Spectrum 17, channel 9 of the tile.
        levels[(17 * head.shape.width() + head.shape.margin + 9) as usize] = 60_000;
        let input: Vec<u8> = levels.iter().flat_map(|l| l.to_le_bytes()).collect();
        let picture = picture(&input, &head.to_words(), None).unwrap();
        assert_eq!((picture.columns, picture.rows), (256, 14), "4 channels per column, 3 spectra per row");
        let bright: Vec<usize> = (0..picture.levels.len()).filter(|&i| picture.levels[i] > 0).collect();
        assert_eq!(bright, [5 * 256 + 2], "spectrum 17 is in row 5, channel 9 in column 2");
        assert_eq!(picture.spectrum[2], 255);
    }

    proptest! {
        #[test]
        fn arbitrary_params_and_results_never_panic(
            changes in prop::collection::vec((0_usize..SliceHead::WORDS, any::<u32>()), 0..4),
            output in prop::collection::vec(any::<u8>(), 16),
            trial in 0_u32..9,
            channel in 0_u32..70,
        ) {
            let mut words = head(64, 4, 3).to_words();
            for (at, word) in changes {
                words[at] = word;
            }
            let mut output = output;
            output[4..8].copy_from_slice(&trial.to_le_bytes());
            output[8..12].copy_from_slice(&channel.to_le_bytes());
            let bytes = head(64, 4, 3).shape.input_bytes() as usize;
            if let Ok(picture) = picture(&vec![7; bytes], &words, Some(&output)) {
                prop_assert!(picture.columns <= MAX_COLUMNS && picture.rows <= MAX_ROWS);
                prop_assert_eq!(picture.levels.len() as u32, picture.columns * picture.rows);
                prop_assert_eq!(picture.spectrum.len() as u32, picture.columns);
            }
        }
    }
}
