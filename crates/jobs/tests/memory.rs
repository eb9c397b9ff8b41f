//! A recording larger than memory is searched within a bound that its size has no part in. Alone in its program, because
//! it counts all memory that the program asks for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};

use jobs::recording::RecordingFile;
use jobs::search::{self, Options};

/// The system's memory with a count of the bytes in use and of the most that ever were.
struct Counted;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "counting what is allocated means standing in for the allocator")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `place` came from the same allocator.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static MEMORY: Counted = Counted;

const SPECTRA: u64 = 4;

/// An 8-bit recording that exists nowhere: each byte is computed when it is read. Noise of a hash, and a line without
/// drift in every channel of `lines`.
struct Computed {
    header: Vec<u8>,
    channels: u64,
    lines: Vec<u64>,
    at: u64,
}

impl Computed {
    fn new(channels: u64, lines: Vec<u64>) -> Self {
        let mut header = Vec::new();
        let mut text = |text: &str, value: &[u8]| {
            header.extend_from_slice(&(text.len() as u32).to_le_bytes());
            header.extend_from_slice(text.as_bytes());
            header.extend_from_slice(value);
        };
        text("HEADER_START", &[]);
        text("fch1", &1_420.0_f64.to_le_bytes());
        text("foff", &1e-6_f64.to_le_bytes());
        text("tsamp", &1.0_f64.to_le_bytes());
        text("nchans", &(channels as u32).to_le_bytes());
        text("nbits", &8_u32.to_le_bytes());
        text("HEADER_END", &[]);
        Self { header, channels, lines, at: 0 }
    }

    fn byte(&self, at: u64) -> u8 {
        let Some(sample) = at.checked_sub(self.header.len() as u64) else { return self.header[at as usize] };
        let mixed = (sample + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // Three dice of 0 to 31.
        let noise = [20, 30, 40].map(|bits| (mixed >> bits) as u8 & 31).iter().sum::<u8>();
        let line = self.lines.contains(&(sample % self.channels));
        if line { noise + 100 } else { noise }
    }
}

impl Read for Computed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.header.len() as u64 + self.channels * SPECTRA;
        let count = buffer.len().min((end - self.at) as usize);
        for (place, at) in buffer[..count].iter_mut().zip(self.at..) {
            *place = self.byte(at);
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Computed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.header.len() as u64 + self.channels * SPECTRA;
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => end.saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

/// Most bytes in use while a recording of `channels` is searched in windows of `window`, and the channels of its hits.
fn search(channels: u64, window: u32, lines: &[u64]) -> (usize, Vec<u64>) {
    let file = RecordingFile::new(Computed::new(channels, lines.to_vec())).expect("a whole recording");
    let before = IN_USE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let options = Options { window: Some(window), max_drift_hz_s: 2.0, ..Options::default() };
    let hits = search::search(file, &options, |_, _, _| {}).expect("can be searched");
    let mut found: Vec<u64> = hits.iter().map(|hit| hit.channel.into()).collect();
    found.sort_unstable();
    (MOST.load(Ordering::Relaxed) - before, found)
}

#[test]
fn the_memory_of_a_search_depends_on_the_window_and_not_on_the_recording() {
    let channels = 1 << 21;
    let lines = [5, 65_535, 65_560, 1_000_000, (1 << 21) - 3];
    let (few, found) = search(channels, 1 << 16, &lines);
    assert_eq!(found, lines, "windows of 65,536 channels");
    let (all, found) = search(channels, 1 << 20, &lines);
    assert_eq!(found, lines, "windows of 1,048,576 channels");
    let (other, _) = search(channels / 4, 1 << 16, &lines[..3]);

    // Samples as f32, twice the levels, sums and their order, the result: 32 bytes per sample are more than enough.
    let bound = 32 * (1_usize << 16) * SPECTRA as usize;
    assert!(few < bound, "{few} bytes of {bound} for a recording of {}", channels * SPECTRA);
    assert!(
        few.abs_diff(other) < bound / 16,
        "four times the recording takes no more: {few} and {other} bytes"
    );
    assert!(all > 4 * few, "larger windows do take more, so that the count counts: {all} and {few} bytes");
}
