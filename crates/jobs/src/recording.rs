//! Filterbank recordings of a radio telescope in SIGPROC's `.fil` format: power per spectrum and channel.
//!
//! A file is a header of keyword and value pairs between `HEADER_START` and `HEADER_END` (little endian, as every
//! writer of today leaves it), followed by the samples, spectrum after spectrum (SIGPROC 4.3 user guide, §"Data
//! formats"). Files come from strangers: every count is bounded before anything is allocated, and no input panics.
//! Called by whoever packages a search; packages nothing itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Most channels of a recording.
pub const MAX_CHANNELS: u32 = 1 << 26;
/// Most samples of a recording that is read into memory (1 GiB of f32).
pub const MAX_SAMPLES: usize = 1 << 28;

const MAX_KEYS: usize = 64;
const MAX_KEYWORD_BYTES: u32 = 80;
const MAX_TEXT_BYTES: u32 = 1024;
const START: &str = "HEADER_START";
const END: &str = "HEADER_END";

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
    #[error("the header has more than {MAX_KEYS} keywords")]
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
        put_text(&mut bytes, START);
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
        put_text(&mut bytes, END);
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

/// A parsed header with what is needed to read the samples.
struct Header {
    head: Head,
    bits: i32,
    signed: bool,
    nsamples: Option<u64>,
}

/// What the pairs of a header said, before it is known whether all are there.
#[derive(Default)]
struct Found {
    source_name: String,
    fch1: Option<f64>,
    foff: Option<f64>,
    nchans: Option<i32>,
    nbits: Option<i32>,
    nifs: Option<i32>,
    nsamples: Option<i32>,
    tsamp: Option<f64>,
    tstart: Option<f64>,
    signed: bool,
}

fn read_header(reader: &mut impl Read) -> Result<Header, ReadRecordingError> {
    read_start(reader)?;
    let mut found = Found::default();
    for _ in 0..MAX_KEYS {
        let keyword = read_text(reader, MAX_KEYWORD_BYTES)?;
        match keyword.as_str() {
            END => return found.header(),
            "source_name" => found.source_name = printable(&read_text(reader, MAX_TEXT_BYTES)?),
            "rawdatafile" => {
                read_text(reader, MAX_TEXT_BYTES)?;
            }
            "fch1" => found.fch1 = Some(read_double(reader)?),
            "foff" => found.foff = Some(read_double(reader)?),
            "tsamp" => found.tsamp = Some(read_double(reader)?),
            "tstart" => found.tstart = Some(read_double(reader)?),
            "refdm" | "az_start" | "za_start" | "src_raj" | "src_dej" | "period" => {
                read_double(reader)?;
            }
            "nchans" => found.nchans = Some(read_int(reader)?),
            "nbits" => found.nbits = Some(read_int(reader)?),
            "nifs" => found.nifs = Some(read_int(reader)?),
            "nsamples" => found.nsamples = Some(read_int(reader)?),
            "machine_id" | "telescope_id" | "data_type" | "barycentric" | "pulsarcentric" | "nbeams"
            | "ibeam" | "npuls" | "nbins" => {
                read_int(reader)?;
            }
            "signed" => found.signed = read_bytes::<1>(reader)?[0] != 0,
            _ => return Err(ReadRecordingError::UnknownKeyword(printable(&keyword))),
        }
    }
    Err(ReadRecordingError::TooManyKeywords)
}

/// Reads the first 16 bytes. A shorter file that agrees so far counts as truncated, not as another format.
fn read_start(reader: &mut impl Read) -> Result<(), ReadRecordingError> {
    let mut expected = Vec::new();
    put_text(&mut expected, START);
    let mut first = vec![0; expected.len()];
    let have = read_full(reader, &mut first)?;
    if first[..have] != expected[..have] {
        return Err(ReadRecordingError::NotFilterbank);
    }
    if have < expected.len() {
        return Err(ReadRecordingError::TruncatedHeader);
    }
    Ok(())
}

impl Found {
    fn header(self) -> Result<Header, ReadRecordingError> {
        let fch1_mhz = self.fch1.ok_or(ReadRecordingError::Missing("fch1"))?;
        let foff_mhz = self.foff.ok_or(ReadRecordingError::Missing("foff"))?;
        let nchans = self.nchans.ok_or(ReadRecordingError::Missing("nchans"))?;
        let bits = self.nbits.ok_or(ReadRecordingError::Missing("nbits"))?;
        let tsamp_s = self.tsamp.ok_or(ReadRecordingError::Missing("tsamp"))?;
        let tstart_mjd = self.tstart.unwrap_or(0.0);
        let refuse = |key, found: String, allowed| ReadRecordingError::OutOfBounds { key, found, allowed };

        if !matches!(bits, 8 | 16 | 32) {
            return Err(ReadRecordingError::UnsupportedBits(bits));
        }
        let nifs = self.nifs.unwrap_or(1);
        if nifs != 1 {
            return Err(refuse("nifs", nifs.to_string(), "one polarisation stream per file"));
        }
        let channels = u32::try_from(nchans).ok().filter(|n| (1..=MAX_CHANNELS).contains(n));
        let channels =
            channels.ok_or_else(|| refuse("nchans", nchans.to_string(), "1 to 67,108,864 channels"))?;
        // The bounds leave room for every telescope and keep later products finite and in 32 or 64 bits.
        if !(fch1_mhz.is_finite() && (0.0..=1e9).contains(&fch1_mhz)) {
            return Err(refuse("fch1", fch1_mhz.to_string(), "0 to 10^9 MHz"));
        }
        if !(1e-9..=1e3).contains(&foff_mhz.abs()) {
            return Err(refuse("foff", foff_mhz.to_string(), "1 mHz to 1 GHz in size, either sign"));
        }
        if !(1e-9..=3600.0).contains(&tsamp_s) {
            return Err(refuse("tsamp", tsamp_s.to_string(), "1 ns to 1 hour"));
        }
        if !tstart_mjd.is_finite() {
            return Err(refuse("tstart", tstart_mjd.to_string(), "a modified Julian date"));
        }
        let nsamples = self.nsamples.and_then(|n| u64::try_from(n).ok()).filter(|&n| n > 0);
        // Cut between two words, a name would end in a space and no longer be itself when read again.
        let source_name: String = self.source_name.chars().take(80).collect();
        let source_name = source_name.trim_end().to_owned();
        let head = Head { source_name, fch1_mhz, foff_mhz, channels, tsamp_s, tstart_mjd };
        Ok(Header { head, bits, signed: self.signed, nsamples })
    }
}

fn read_samples(reader: &mut impl Read, header: &Header) -> Result<Vec<f32>, ReadRecordingError> {
    let sample_bytes = header.bits as usize / 8;
    let channels = u64::from(header.head.channels);
    let spectrum_bytes = channels * sample_bytes as u64;
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
        match (header.bits, header.signed) {
            (8, false) => samples.extend(whole.iter().map(|&b| f32::from(b))),
            (8, true) => samples.extend(whole.iter().map(|&b| f32::from(b as i8))),
            (16, false) => {
                samples.extend(whole.chunks_exact(2).map(|b| f32::from(u16::from_le_bytes([b[0], b[1]]))));
            }
            (16, true) => {
                samples.extend(whole.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]]))));
            }
            _ => samples.extend(whole.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        }
        if samples.len() > MAX_SAMPLES {
            return Err(too_large);
        }
        if have < chunk.len() {
            break;
        }
    }
    let spectra = total_bytes / spectrum_bytes;
    let promised_bytes = match header.nsamples {
        Some(n) => n * spectrum_bytes,
        None => total_bytes.next_multiple_of(spectrum_bytes),
    };
    if total_bytes < promised_bytes {
        let missing_bytes = promised_bytes - total_bytes;
        return Err(ReadRecordingError::TruncatedData { spectrum: spectra, missing_bytes });
    }
    // Some writers append to a file without correcting `nsamples`: what is promised is taken, the rest is left.
    samples.truncate((promised_bytes / sample_bytes as u64) as usize);
    if samples.is_empty() {
        return Err(ReadRecordingError::NoData);
    }
    Ok(samples)
}

/// Fills `buffer` as far as the input goes; returns how far.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ReadRecordingError> {
    let mut have = 0;
    while have < buffer.len() {
        match reader.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ReadRecordingError::Io(e)),
        }
    }
    Ok(have)
}

fn read_bytes<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], ReadRecordingError> {
    let mut bytes = [0; N];
    match read_full(reader, &mut bytes)? {
        have if have < N => Err(ReadRecordingError::TruncatedHeader),
        _ => Ok(bytes),
    }
}

fn read_int(reader: &mut impl Read) -> Result<i32, ReadRecordingError> {
    read_bytes(reader).map(i32::from_le_bytes)
}

fn read_double(reader: &mut impl Read) -> Result<f64, ReadRecordingError> {
    read_bytes(reader).map(f64::from_le_bytes)
}

fn read_text(reader: &mut impl Read, limit: u32) -> Result<String, ReadRecordingError> {
    let found = u32::from_le_bytes(read_bytes(reader)?);
    if !(1..=limit).contains(&found) {
        return Err(ReadRecordingError::BadText { found, limit });
    }
    let mut bytes = vec![0; found as usize];
    if read_full(reader, &mut bytes)? < bytes.len() {
        return Err(ReadRecordingError::TruncatedHeader);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn printable(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    visible.trim().to_owned()
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
