//! Recordings that are searched window by window: what is found is what is found in one piece.

use std::io::Cursor;

use jobs::local;
use jobs::recording::{ReadRecordingError, Recording, RecordingFile};
use jobs::search::{self, Candidates, Hit, Options, Windows};
use jobs::synthetic::{Synthetic, Tone};
use protocol::manifest::SLICES_PER_UNIT;

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bits {
    Eight,
    Sixteen,
    Float,
}

const ALL_BITS: [Bits; 3] = [Bits::Eight, Bits::Sixteen, Bits::Float];

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// The file of a recording with samples of a width, as a telescope would scale them into it.
fn file(recording: &Recording, bits: Bits) -> Vec<u8> {
    let head = recording.head();
    let mut bytes = Vec::new();
    text(&mut bytes, "HEADER_START");
    for (key, value) in [("fch1", head.fch1_mhz), ("foff", head.foff_mhz), ("tsamp", head.tsamp_s)] {
        text(&mut bytes, key);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    let width = match bits {
        Bits::Eight => 8,
        Bits::Sixteen => 16,
        Bits::Float => 32,
    };
    for (key, value) in [("nchans", head.channels), ("nbits", width), ("nifs", 1)] {
        text(&mut bytes, key);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    text(&mut bytes, "HEADER_END");
    for &sample in recording.samples() {
        // The noise has a mean of 10 and a deviation of 1.4; the strongest tone here is at 40.
        match bits {
            Bits::Eight => bytes.push((sample * 6.0).round() as u8),
            Bits::Sixteen => bytes.extend_from_slice(&((sample * 1500.0).round() as u16).to_le_bytes()),
            Bits::Float => bytes.extend_from_slice(&sample.to_le_bytes()),
        }
    }
    bytes
}

fn made(foff_hz: f64, channels: u32, tones: u32, seed: u64) -> (Recording, Vec<Tone>) {
    Synthetic { channels, tones, seed, foff_hz, min_snr: 20.0, ..Synthetic::default() }.generate()
}

fn natively(file: &[u8], options: &Options) -> Vec<Hit> {
    let file = RecordingFile::new(Cursor::new(file)).expect("a whole file");
    search::search(file, options, |_, _, _| {}).expect("a recording that can be searched")
}

/// Through packages, as a network or a card would.
fn by_packages(file: &[u8], options: &Options) -> Vec<Hit> {
    let file = RecordingFile::new(Cursor::new(file)).expect("a whole file");
    let mut windows = Windows::new(file, options).expect("can be cut");
    let mut found = Candidates::default();
    let mut units = 0;
    for window in 0..windows.count() {
        let package = windows.package(window).expect("can be packaged");
        units += package.units.len();
        let run = |program: &_, plan: &protocol::manifest::SlicePlan, inputs: Vec<Vec<u8>>| {
            search::reference_for(program, &inputs[0], &plan.params).ok_or(std::io::Error::other("not ours"))
        };
        found.join(local::search(&package, run, |_| {}).expect("every slice has a native result"));
    }
    assert_eq!(units, windows.units(), "the units that a budget is shared among");
    found.hits()
}

fn places(hits: &[Hit]) -> Vec<(u32, i32)> {
    let mut places: Vec<_> = hits.iter().map(|hit| (hit.channel, hit.shift)).collect();
    places.sort_unstable();
    places
}

#[test]
fn any_window_finds_what_is_found_in_one_piece() {
    for (foff_hz, seed) in [(-2.793_967_7, 3), (2.793_967_7, 4)] {
        let (recording, tones) = made(foff_hz, 16_384, 6, seed);
        let (rising, falling) = (|t: &Tone| t.drift_hz_s > 0.0, |t: &Tone| t.drift_hz_s < 0.0);
        assert!(
            tones.iter().any(rising) && tones.iter().any(falling),
            "both signs of drift are tried: {tones:?}"
        );
        for bits in ALL_BITS {
            let file = file(&recording, bits);
            let whole = natively(&file, &Options::default());
            assert_eq!(whole.len(), tones.len(), "{bits:?}: {whole:?} {tones:?}");
            for window in [1024, 3000, 5504] {
                let options = Options { window: Some(window), ..Options::default() };
                let hits = natively(&file, &options);
                assert_eq!(
                    places(&hits),
                    places(&whole),
                    "windows of {window} channels, {bits:?}, {foff_hz} Hz"
                );
                for (hit, other) in hits.iter().zip(&whole) {
                    // The noise of some thousand channels is known to a few percent.
                    assert!((hit.snr / other.snr - 1.0).abs() < 0.15, "{hit:?} {other:?}");
                    assert!(
                        (hit.frequency_mhz - other.frequency_mhz).abs() < 1e-9
                            || hit.channel != other.channel,
                        "a window tells the frequency in the file: {hit:?} {other:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_processor_and_the_slices_of_packages_find_the_same() {
    let (recording, tones) = made(-2.793_967_7, 20_000, 4, 9);
    let file = file(&recording, Bits::Sixteen);
    let options = Options { window: Some(7_000), ..Options::default() };
    let (one, other) = (natively(&file, &options), by_packages(&file, &options));
    assert_eq!(one.len(), tones.len(), "{one:?} {tones:?}");
    let numbers =
        |hits: &[Hit]| -> Vec<_> { hits.iter().map(|h| (h.channel, h.shift, h.window, h.snr)).collect() };
    assert_eq!(numbers(&one), numbers(&other), "the same sums, noise and rules");
}

#[test]
fn a_line_across_a_seam_is_found_once_and_where_it_starts() {
    // 8,192 channels in windows of 2,048: tones that start shortly before and after a seam and drift across it.
    let (quiet, _) = made(-2.793_967_7, 8_192, 1, 5);
    for bits in ALL_BITS {
        for (start, shift) in [(2_047_u32, 90_i32), (2_048, -90), (4_090, 300), (4_100, -300)] {
            let mut samples = quiet.samples().to_vec();
            for spectrum in 0..16_u32 {
                let channel = start as i32 + search::shift(shift, spectrum, 16);
                samples[spectrum as usize * 8_192 + channel as usize] += 15.0;
            }
            let recording = Recording::new(quiet.head().clone(), samples).expect("whole spectra");
            let options = Options { window: Some(2_048), ..Options::default() };
            let hits = natively(&file(&recording, bits), &options);
            let near: Vec<_> = hits.iter().filter(|h| h.channel.abs_diff(start) < 800).collect();
            assert_eq!(near.len(), 1, "one line, also at a seam: {hits:?}");
            assert_eq!((near[0].channel, near[0].shift), (start, shift), "{bits:?}");
            assert_eq!(near[0].window, start / 2_048, "a line belongs to the window in which it starts");
        }
    }
}

#[test]
fn the_shadow_of_a_strong_line_beyond_a_seam_is_no_hit() {
    let (quiet, _) = made(-2.793_967_7, 8_192, 1, 5);
    let mut samples = quiet.samples().to_vec();
    for spectrum in 0..16_u32 {
        samples[spectrum as usize * 8_192 + 4_000] += 400.0;
    }
    let recording = Recording::new(quiet.head().clone(), samples).expect("whole spectra");
    let file = file(&recording, Bits::Float);
    let alone = Options { window: Some(2_048), ..Options::default() };
    let mut windows = Windows::new(RecordingFile::new(Cursor::new(&file)).unwrap(), &alone).unwrap();
    let next = windows.search(2).unwrap().hits();
    assert!(
        next.iter().any(|hit| hit.channel.abs_diff(4_000) < 784),
        "the window beyond the seam sees the shadow, else this test shows nothing: {next:?}"
    );
    let hits = natively(&file, &alone);
    let near: Vec<_> = hits.iter().filter(|hit| hit.channel.abs_diff(4_000) <= 784).collect();
    assert_eq!(near.len(), 1, "{near:?}");
    assert_eq!((near[0].channel, near[0].shift), (4_000, 0));
}

#[test]
fn the_constant_in_the_middle_of_a_coarse_channel_can_be_left_out() {
    let (quiet, tones) = made(-2.793_967_7, 8_192, 1, 5);
    let mut samples = quiet.samples().to_vec();
    for spectrum in samples.chunks_mut(8_192) {
        for middle in [1_024, 3_072, 5_120, 7_168] {
            spectrum[middle] += 300.0;
        }
    }
    let recording = Recording::new(quiet.head().clone(), samples).expect("whole spectra");
    let file = file(&recording, Bits::Float);
    let kept = natively(&file, &Options::default());
    assert!(kept.len() >= 4, "every constant is a line without drift: {kept:?}");
    let hits = natively(&file, &Options { coarse: Some(2_048), ..Options::default() });
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert!(hits[0].channel.abs_diff(tones[0].channel) <= 1, "{hits:?} {tones:?}");
}

#[test]
fn windows_share_the_band_without_gap_or_overlap() {
    let (recording, _) = made(-2.793_967_7, 10_000, 1, 1);
    let file = file(&recording, Bits::Eight);
    for window in [64, 100, 1_000, 4_096, 9_999, 10_000, 1 << 20] {
        let options = Options { window: Some(window), ..Options::default() };
        let windows = Windows::new(RecordingFile::new(Cursor::new(&file)).unwrap(), &options).unwrap();
        let mut next = 0;
        for index in 0..windows.count() {
            let channels = windows.channels(index);
            assert_eq!(channels.start, next, "windows of {window}");
            assert!(
                channels.len() as u32 <= window.next_multiple_of(64),
                "windows of {window}: {channels:?}"
            );
            next = channels.end;
        }
        assert_eq!(next, 10_000, "windows of {window}");
        assert!(windows.channels(windows.count()).is_empty());
        assert!(windows.units() >= windows.count(), "{} units", windows.units());
    }
    for window in [0, 63, (1 << 20) + 1] {
        let options = Options { window: Some(window), ..Options::default() };
        let refused = Windows::new(RecordingFile::new(Cursor::new(&file)).unwrap(), &options);
        assert!(refused.is_err_and(|error| error.to_string().contains("windows of")), "{window}");
    }
    assert_eq!(SLICES_PER_UNIT, 64, "the counts above follow from it");
}

#[test]
fn a_window_of_a_file_is_that_part_of_the_whole() {
    let (recording, _) = made(2.793_967_7, 1_000, 1, 2);
    for bits in ALL_BITS {
        let bytes = file(&recording, bits);
        let whole = Recording::read(bytes.as_slice()).unwrap();
        let mut file = RecordingFile::new(Cursor::new(&bytes)).unwrap();
        assert_eq!((file.head(), file.spectra()), (whole.head(), whole.spectra()));
        for channels in [0..1, 3..500, 999..1_000, 0..1_000] {
            let window = file.window(channels.clone()).unwrap();
            let first = whole.head().fch1_mhz + f64::from(channels.start) * whole.head().foff_mhz;
            assert!((window.head().fch1_mhz - first).abs() < 1e-12);
            let cut: Vec<f32> = whole
                .samples()
                .chunks(1_000)
                .flat_map(|spectrum| &spectrum[channels.start as usize..channels.end as usize])
                .copied()
                .collect();
            assert_eq!(window.samples(), cut, "{bits:?} {channels:?}");
        }
        for channels in [0..0, 5..1_001, 1_000..1_001] {
            let refused = file.window(channels).expect_err("no such channels");
            assert!(matches!(refused, ReadRecordingError::OutsideBand { .. }), "{refused}");
        }
        let cut = RecordingFile::new(Cursor::new(&bytes[..bytes.len() - 1]));
        assert!(matches!(cut, Err(ReadRecordingError::TruncatedData { spectrum: 15, missing_bytes: 1 })));
    }
}
