//! The header of a filterbank file: keywords, their values, and what they say about the samples.

use std::io::{self, Read};

use super::{Head, MAX_CHANNELS, ReadRecordingError, put_text};

pub(super) const MAX_KEYS: usize = 64;
pub(super) const START: &str = "HEADER_START";
pub(super) const END: &str = "HEADER_END";
const MAX_KEYWORD_BYTES: u32 = 80;
const MAX_TEXT_BYTES: u32 = 1024;

/// A parsed header with what is needed to read the samples.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) head: Head,
    pub(super) bits: i32,
    pub(super) signed: bool,
    /// Spectra that the header promises.
    pub(super) nsamples: Option<u64>,
}

impl Header {
    /// Bytes of a sample.
    pub(super) fn sample_bytes(&self) -> usize {
        self.bits as usize / 8
    }

    /// Spectra of `data_bytes` of samples. Some writers append to a file without correcting `nsamples`: what is promised
    /// is taken, the rest is left.
    pub(super) fn spectra(&self, data_bytes: u64) -> Result<u64, ReadRecordingError> {
        let spectrum_bytes = u64::from(self.head.channels) * self.sample_bytes() as u64;
        let spectra = self.nsamples.unwrap_or_else(|| data_bytes.div_ceil(spectrum_bytes));
        let missing_bytes = spectra.saturating_mul(spectrum_bytes).saturating_sub(data_bytes);
        if missing_bytes > 0 {
            let spectrum = data_bytes / spectrum_bytes;
            return Err(ReadRecordingError::TruncatedData { spectrum, missing_bytes });
        }
        if spectra == 0 { Err(ReadRecordingError::NoData) } else { Ok(spectra) }
    }

    /// Appends whole samples as power.
    pub(super) fn convert(&self, whole: &[u8], samples: &mut Vec<f32>) {
        match (self.bits, self.signed) {
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
    }
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

/// Reads up to the first sample.
pub(super) fn read_header(reader: &mut impl Read) -> Result<Header, ReadRecordingError> {
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

/// Fills `buffer` as far as the input goes; returns how far.
pub(super) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ReadRecordingError> {
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
