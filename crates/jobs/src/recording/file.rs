//! A recording of any size on disk, read window by window of its band.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::header::{Header, read_full, read_header};
use super::{Head, MAX_SAMPLES, ReadRecordingError, Recording};

/// A recording whose samples stay where they are. Only its header is in memory.
#[derive(Debug)]
pub struct RecordingFile<R = File> {
    reader: R,
    header: Header,
    spectra: u32,
    data_begin: u64,
}

impl RecordingFile {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// [`ReadRecordingError`], also when the file ends before the samples that it promises.
    pub fn open(path: &Path) -> Result<Self, ReadRecordingError> {
        let open = |source| ReadRecordingError::Open { path: path.to_owned(), source };
        Self::new(File::open(path).map_err(open)?)
    }
}

impl<R: Read + Seek> RecordingFile<R> {
    /// Reads the header from the beginning of `reader`, and how many spectra follow it from its length.
    ///
    /// # Errors
    /// [`ReadRecordingError`], also when it ends before the samples that it promises.
    pub fn new(mut reader: R) -> Result<Self, ReadRecordingError> {
        let io = ReadRecordingError::Io;
        reader.rewind().map_err(io)?;
        // A header is read in pieces of a few bytes.
        let mut buffered = BufReader::new(&mut reader);
        let header = read_header(&mut buffered)?;
        let data_begin = buffered.stream_position().map_err(io)?;
        let data_bytes = reader.seek(SeekFrom::End(0)).map_err(io)?.saturating_sub(data_begin);
        let spectra = header.spectra(data_bytes)?;
        let spectra =
            u32::try_from(spectra).map_err(|_| ReadRecordingError::TooLarge { limit: MAX_SAMPLES })?;
        Ok(Self { reader, header, spectra, data_begin })
    }

    /// What the header says.
    pub fn head(&self) -> &Head {
        &self.header.head
    }

    /// Number of spectra, at least one.
    pub fn spectra(&self) -> u32 {
        self.spectra
    }

    /// Bits of a sample: 8, 16 or 32.
    pub fn bits(&self) -> u32 {
        self.header.bits.unsigned_abs()
    }

    /// The recording of these channels alone: channel 0 of it is the first of them.
    ///
    /// # Errors
    /// [`ReadRecordingError::OutsideBand`] for channels that there are not or none, [`ReadRecordingError::TooLarge`] for
    /// more samples than fit into memory, otherwise as reading fails.
    pub fn window(&mut self, channels: Range<u32>) -> Result<Recording, ReadRecordingError> {
        let all = self.header.head.channels;
        if channels.is_empty() || channels.end > all {
            let (first, end) = (channels.start, channels.end.into());
            return Err(ReadRecordingError::OutsideBand { first, end, channels: all });
        }
        let count = channels.end - channels.start;
        let samples = count as usize * self.spectra as usize;
        if samples > MAX_SAMPLES {
            return Err(ReadRecordingError::TooLarge { limit: MAX_SAMPLES });
        }
        let sample_bytes = self.header.sample_bytes() as u64;
        let mut part = vec![0; count as usize * sample_bytes as usize];
        let mut power = Vec::with_capacity(samples);
        for spectrum in 0..self.spectra {
            let sample = u64::from(spectrum) * u64::from(all) + u64::from(channels.start);
            let at = SeekFrom::Start(self.data_begin + sample * sample_bytes);
            self.reader.seek(at).map_err(ReadRecordingError::Io)?;
            let have = read_full(&mut self.reader, &mut part)?;
            if have < part.len() {
                let missing_bytes = (part.len() - have) as u64;
                return Err(ReadRecordingError::TruncatedData { spectrum: spectrum.into(), missing_bytes });
            }
            self.header.convert(&part, &mut power);
        }
        let head = Head {
            fch1_mhz: self.header.head.fch1_mhz + f64::from(channels.start) * self.header.head.foff_mhz,
            channels: count,
            ..self.header.head.clone()
        };
        Ok(Recording { head, spectra: self.spectra, samples: power })
    }
}
