//! The filterbank reader on good, damaged and arbitrary files.

use jobs::recording::{Head, ReadRecordingError, Recording};
use proptest::prelude::*;

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// A header with the given integers in place of, or beside, the usual ones.
fn header(ints: &[(&str, i32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, "HEADER_START");
    text(&mut bytes, "source_name");
    text(&mut bytes, "Voyager1");
    for (key, value) in [("fch1", 8419.5), ("foff", -0.0000028), ("tsamp", 18.25), ("tstart", 57650.8)] {
        text(&mut bytes, key);
        bytes.extend_from_slice(&f64::to_le_bytes(value));
    }
    for (key, value) in [("nchans", 4), ("nbits", 32), ("nifs", 1)] {
        let value = ints.iter().find(|(k, _)| *k == key).map_or(value, |(_, v)| *v);
        text(&mut bytes, key);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    for (key, value) in ints.iter().filter(|(k, _)| !["nchans", "nbits", "nifs"].contains(k)) {
        text(&mut bytes, key);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    text(&mut bytes, "HEADER_END");
    bytes
}

fn with(mut header: Vec<u8>, data: &[u8]) -> Vec<u8> {
    header.extend_from_slice(data);
    header
}

fn read(bytes: &[u8]) -> Result<Recording, ReadRecordingError> {
    Recording::read(bytes)
}

#[test]
fn samples_of_8_16_and_32_bits_are_read() {
    let data = [1, 2, 3, 250, 5, 6, 7, 8];
    let recording = read(&with(header(&[("nbits", 8)]), &data)).unwrap();
    assert_eq!(recording.samples(), [1.0, 2.0, 3.0, 250.0, 5.0, 6.0, 7.0, 8.0]);
    assert_eq!(recording.spectra(), 2);
    let recording = read(&with(header(&[("nbits", 16)]), &data)).unwrap();
    assert_eq!(recording.samples(), [513.0, 64003.0, 1541.0, 2055.0]);
    let floats: Vec<u8> = [1.5_f32, -2.0, 3e10, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let recording = read(&with(header(&[]), &floats)).unwrap();
    assert_eq!(recording.samples(), [1.5, -2.0, 3e10, 0.0]);
    let head = recording.head();
    assert_eq!((head.source_name.as_str(), head.channels, head.fch1_mhz), ("Voyager1", 4, 8419.5));
}

#[test]
fn signed_bytes_are_read_as_such() {
    let mut bytes = header(&[("nbits", 8)]);
    bytes.truncate(bytes.len() - "HEADER_END".len() - 4);
    text(&mut bytes, "signed");
    bytes.push(1);
    text(&mut bytes, "HEADER_END");
    assert_eq!(read(&with(bytes, &[255, 1, 128, 127])).unwrap().samples(), [-1.0, 1.0, -128.0, 127.0]);
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing-here.fil");
    let error = Recording::open(&path).expect_err("there is no file");
    assert!(error.to_string().contains("nothing-here.fil"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "the reason of the system is kept");
}

#[test]
fn a_saved_recording_opens_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.fil");
    let head = Head {
        source_name: "here".to_owned(),
        fch1_mhz: 1420.0,
        foff_mhz: 0.001,
        channels: 3,
        tsamp_s: 1.0,
        tstart_mjd: 60_000.5,
    };
    let recording = Recording::new(head, vec![1.0, -0.0, 2.5, 4.0, f32::MAX, 6.0]).unwrap();
    recording.save(&path).unwrap();
    assert_eq!(Recording::open(&path).unwrap(), recording);
}

#[test]
fn every_cut_of_a_file_is_told_apart_from_a_whole_one() {
    let whole = with(header(&[("nsamples", 3), ("nbits", 8)]), &[7; 12]);
    read(&whole).expect("the whole file");
    let header_bytes = whole.len() - 12;
    for length in 0..whole.len() {
        match read(&whole[..length]) {
            Err(ReadRecordingError::TruncatedHeader) => assert!(length < header_bytes, "cut at {length}"),
            Err(ReadRecordingError::TruncatedData { spectrum, missing_bytes }) => {
                assert_eq!(spectrum, (length - header_bytes) as u64 / 4, "cut at {length}");
                assert_eq!(missing_bytes, (whole.len() - length) as u64, "cut at {length}");
            }
            other => panic!("cut at {length}: {other:?}"),
        }
    }
    // Without nsamples only a cut inside a spectrum can be seen.
    let error = read(&with(header(&[("nbits", 8)]), &[7; 10])).expect_err("two and a half spectra");
    assert_eq!(error.to_string(), "the file ends inside spectrum 2: 2 bytes are missing");
}

#[test]
fn what_cannot_be_used_is_refused_with_a_sentence() {
    let refuse =
        |ints: &[(&str, i32)]| read(&with(header(ints), &[0; 64])).expect_err("unusable").to_string();
    assert!(refuse(&[("nbits", 4)]).contains("4 bits are not supported"));
    assert!(refuse(&[("nbits", -32)]).contains("-32 bits are not supported"));
    assert!(refuse(&[("nifs", 4)]).contains("nifs = 4"));
    for nchans in [0, -1, i32::MIN, i32::MAX] {
        assert!(refuse(&[("nchans", nchans)]).contains("nchans"));
    }
    assert!(refuse(&[("nsamples", i32::MAX)]).contains("more than 268435456 samples"));
    assert!(refuse(&[("strange_key", 1)]).contains("unknown keyword \"strange_key\""));
    assert!(matches!(read(b"RIFF....WAVEfmt and so on"), Err(ReadRecordingError::NotFilterbank)));
    assert!(matches!(read(&header(&[])), Err(ReadRecordingError::NoData)));

    let mut without = Vec::new();
    text(&mut without, "HEADER_START");
    text(&mut without, "HEADER_END");
    assert_eq!(read(&without).expect_err("no keys").to_string(), "the header does not tell fch1");

    let mut long = Vec::new();
    text(&mut long, "HEADER_START");
    long.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(read(&long), Err(ReadRecordingError::BadText { found: u32::MAX, .. })));
}

/// Found by the fuzz target `fil_header`: a space that stands last only once other characters are gone.
#[test]
fn a_name_that_ends_in_a_space_after_cleaning_survives_being_written() {
    for name in ["Voyager \0", "\0 Voyager", &format!("{} b", "a".repeat(79))] {
        let mut bytes = Vec::new();
        text(&mut bytes, "HEADER_START");
        text(&mut bytes, "source_name");
        text(&mut bytes, name);
        let rest = header(&[("nbits", 8)]);
        let start = "HEADER_START".len() + "source_name".len() + "Voyager1".len() + 12;
        bytes.extend_from_slice(&rest[start..]);
        let recording = read(&with(bytes, &[1, 2, 3, 4])).expect("a whole recording");
        let mut again = Vec::new();
        recording.write(&mut again).expect("memory");
        assert_eq!(read(&again).expect("written by us").head(), recording.head(), "{name:?}");
    }
}

#[test]
fn a_header_without_end_is_given_up() {
    let mut bytes = Vec::new();
    text(&mut bytes, "HEADER_START");
    for _ in 0..1000 {
        text(&mut bytes, "nbeams");
        bytes.extend_from_slice(&1_i32.to_le_bytes());
    }
    assert!(matches!(read(&bytes), Err(ReadRecordingError::TooManyKeywords)));
}

#[test]
fn impossible_physics_is_refused() {
    for (key, value) in
        [("foff", 0.0), ("foff", f64::NAN), ("tsamp", 0.0), ("tsamp", -1.0), ("fch1", f64::INFINITY)]
    {
        let mut bytes = Vec::new();
        text(&mut bytes, "HEADER_START");
        for (k, v) in [("fch1", 1.0), ("foff", 1.0), ("tsamp", 1.0)] {
            text(&mut bytes, k);
            bytes.extend_from_slice(&f64::to_le_bytes(if k == key { value } else { v }));
        }
        for (k, v) in [("nchans", 1_i32), ("nbits", 8)] {
            text(&mut bytes, k);
            bytes.extend_from_slice(&v.to_le_bytes());
        }
        text(&mut bytes, "HEADER_END");
        let error = read(&with(bytes, &[0; 4])).expect_err("cannot be measured").to_string();
        assert!(error.contains(key), "{error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&bytes).is_err(), "random bytes do not spell HEADER_START");
    }

    #[test]
    fn a_damaged_file_never_panics(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = with(header(&[("nsamples", 3), ("nbits", 8)]), &[7; 12]);
        for (index, value) in at {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        // A damaged file may still be a recording; then it has the samples that its head promises.
        if let Ok(recording) = read(&bytes) {
            prop_assert_eq!(
                recording.samples().len(),
                recording.spectra() as usize * recording.head().channels as usize
            );
        }
    }
}
