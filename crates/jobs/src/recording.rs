//! Filterbank recordings of a radio telescope in SIGPROC's `.fil` format: power per spectrum and channel.
//!
//! A file is a header of keyword and value pairs between `HEADER_START` and `HEADER_END` (little endian, as every
//! writer of today leaves it), followed by the samples, spectrum after spectrum (SIGPROC 4.3 user guide, §"Data
//! formats"). Files come from strangers: every count is bounded before anything is allocated, and no input panics.
//! A recording that fits into memory is a [`Recording`]; a [`RecordingFile`] gives one of any size window by window.
//! Called by whoever packages a search; packages nothing itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

mod file;
mod header;

pub use file::RecordingFile;
use header::{Header, read_full, read_header};

/// Most channels of a recording.
pub const MAX_CHANNELS: u32 = 1 << 26;
/// Most samples of a recording that is read into memory (1 GiB of f32).
pub const MAX_SAMPLES: usize = 1 << 28;

/// What the header says about the samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What was observed; empty where the file does not tell. At most 80 characters, without control characters.
    pub source_name: String,
    /// Frequency of channel 0 in MHz.
    pub fch1_mhz: f64,
    /// Step from channel to channel in MHz; negative where channels go down in frequency.
    pub foff_mhz: f64,
    /// Channels per spectrum.
    pub channels: u32,
    /// Seconds from spectrum to spectrum.
    pub tsamp_s: f64,
    /// Start as modified Julian date.
    pub tstart_mjd: f64,
}

/// A recording in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    head: Head,
    spectra: u32,
    samples: Vec<f32>,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadRecordingError {
    /// The file cannot be opened.
    #[error("cannot open the recording {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Reading failed on the way.
    #[error("the recording cannot be read to its end")]
    Io(#[source] io::Error),
    /// The first bytes are not a filterbank header.
    #[error("this is not a SIGPROC filterbank file: it does not begin with HEADER_START")]
    NotFilterbank,
    /// The file ends inside its header.
    #[error("the file ends inside its header")]
    TruncatedHeader,
    /// A keyword that the format does not know, so that the size of its value is unknown too.
    #[error("the header has the unknown keyword {0:?}")]
    UnknownKeyword(String),
    /// A keyword or text with an impossible length.
    #[error("the header has a text of {found} bytes, allowed are 1 to {limit}")]
    BadText {
        /// Length found.
        found: u32,
        /// Longest allowed.
        limit: u32,
    },
    /// More keywords than any writer produces.
    #[error("the header has more than {} keywords", header::MAX_KEYS)]
    TooManyKeywords,
    /// A keyword without which the samples mean nothing.
    #[error("the header does not tell {0}")]
    Missing(&'static str),
    /// A value outside what can be meant.
    #[error("the header says {key} = {found}, which cannot be used: {allowed}")]
    OutOfBounds {
        /// The keyword.
        key: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Samples of another width.
    #[error("samples of {0} bits are not supported, only 8, 16 and 32 (float)")]
    UnsupportedBits(i32),
    /// The file ends before the data that it promises, or inside a spectrum.
    #[error("the file ends inside spectrum {spectrum}: {missing_bytes} bytes are missing")]
    TruncatedData {
        /// Complete spectra before the end.
        spectrum: u64,
        /// Bytes that are missing.
        missing_bytes: u64,
    },
    /// A header without samples.
    #[error("the file has a header but no samples")]
    NoData,
    /// A window that is not inside the band.
    #[error("channels outside the recording were asked for: {first} to {end} of {channels}")]
    OutsideBand {
        /// First channel asked for.
        first: u32,
        /// Channel after the last one asked for.
        end: u64,
        /// Channels that there are.
        channels: u32,
    },
    /// More samples than fit.
    #[error("the recording has more than {limit} samples, which is more than can be packaged at once")]
    TooLarge {
        /// Most samples.
        limit: usize,
    },
}

/// Why samples and head do not make a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{samples} samples are not a whole number of spectra of {channels} channels, at least one")]
pub struct ShapeError {
    samples: usize,
    channels: u32,
}

impl Recording {
    /// Joins a head with its samples, spectrum after spectrum.
    ///
    /// # Errors
    /// [`ShapeError`] when the samples are not one or more whole spectra.
    pub fn new(head: Head, samples: Vec<f32>) -> Result<Self, ShapeError> {
        let channels = head.channels as usize;
        let spectra = samples.len().checked_div(channels).unwrap_or(0);
        let wrong = ShapeError { samples: samples.len(), channels: head.channels };
        if spectra == 0 || spectra * channels != samples.len() {
            return Err(wrong);
        }
        let spectra = u32::try_from(spectra).map_err(|_| wrong)?;
        Ok(Self { head, spectra, samples })
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ReadRecordingError`].
    pub fn open(path: &Path) -> Result<Self, ReadRecordingError> {
        let open = |source| ReadRecordingError::Open { path: path.to_owned(), source };
        Self::read(File::open(path).map_err(open)?)
    }

    /// Reads a recording from its first byte to its last.
    ///
    /// # Errors
    /// [`ReadRecordingError`].
    pub fn read(mut reader: impl Read) -> Result<Self, ReadRecordingError> {
        let header = read_header(&mut reader)?;
        let samples = read_samples(&mut reader, &header)?;
        let spectra = samples.len() / header.head.channels as usize;
        let spectra =
            u32::try_from(spectra).map_err(|_| ReadRecordingError::TooLarge { limit: MAX_SAMPLES })?;
        Ok(Self { head: header.head, spectra, samples })
    }

    /// Writes the recording with 32-bit float samples, so that [`Self::read`] gives back the same.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write(&self, mut writer: impl Write) -> io::Result<()> {
        let head = &self.head;
        let mut bytes = Vec::with_capacity(512);
        put_text(&mut bytes, header::START);
        put_int(&mut bytes, "machine_id", 0);
        put_int(&mut bytes, "telescope_id", 0);
        if !head.source_name.is_empty() {
            put_text(&mut bytes, "source_name");
            put_text(&mut bytes, &head.source_name);
        }
        put_int(&mut bytes, "data_type", 1);
        put_double(&mut bytes, "fch1", head.fch1_mhz);
        put_double(&mut bytes, "foff", head.foff_mhz);
        put_int(&mut bytes, "nchans", head.channels);
        put_int(&mut bytes, "nbeams", 1);
        put_int(&mut bytes, "ibeam", 1);
        put_int(&mut bytes, "nbits", 32);
        put_double(&mut bytes, "tstart", head.tstart_mjd);
        put_double(&mut bytes, "tsamp", head.tsamp_s);
        put_int(&mut bytes, "nifs", 1);
        put_int(&mut bytes, "nsamples", self.spectra);
        put_text(&mut bytes, header::END);
        writer.write_all(&bytes)?;
        for spectrum in self.samples.chunks(head.channels as usize) {
            bytes.clear();
            bytes.extend(spectrum.iter().flat_map(|sample| sample.to_le_bytes()));
            writer.write_all(&bytes)?;
        }
        writer.flush()
    }

    /// Writes the recording to a file, replacing what was there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        self.write(io::BufWriter::new(File::create(path)?))
    }

    /// Replaces a channel by the mean of its neighbours; the first and the last one stay as they are.
    pub(crate) fn blank(&mut self, channel: u32) {
        let channel = channel as usize;
        for spectrum in self.samples.chunks_exact_mut(self.head.channels as usize) {
            if channel > 0 && channel + 1 < spectrum.len() {
                spectrum[channel] = f32::midpoint(spectrum[channel - 1], spectrum[channel + 1]);
            }
        }
    }

    /// What the header says.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Number of spectra, at least one.
    pub fn spectra(&self) -> u32 {
        self.spectra
    }

    /// All samples, spectrum after spectrum.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }
}

fn read_samples(reader: &mut impl Read, header: &Header) -> Result<Vec<f32>, ReadRecordingError> {
    let sample_bytes = header.sample_bytes();
    let channels = u64::from(header.head.channels);
    let too_large = ReadRecordingError::TooLarge { limit: MAX_SAMPLES };
    if header.nsamples.is_some_and(|n| n.saturating_mul(channels) > MAX_SAMPLES as u64) {
        return Err(too_large);
    }
    // The samples grow with what really arrives, so a lying header costs nothing.
    let mut samples = Vec::new();
    let mut chunk = vec![0; 256 * 1024];
    let mut total_bytes = 0;
    loop {
        let have = read_full(reader, &mut chunk)?;
        total_bytes += have as u64;
        let whole = &chunk[..have - have % sample_bytes];
        header.convert(whole, &mut samples);
        if samples.len() > MAX_SAMPLES {
            return Err(too_large);
        }
        if have < chunk.len() {
            break;
        }
    }
    let spectra = header.spectra(total_bytes)?;
    samples.truncate((spectra * channels) as usize);
    Ok(samples)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_int(bytes: &mut Vec<u8>, key: &str, value: u32) {
    put_text(bytes, key);
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put_double(bytes: &mut Vec<u8>, key: &str, value: f64) {
    put_text(bytes, key);
    bytes.extend_from_slice(&value.to_le_bytes());
}
