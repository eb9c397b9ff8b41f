//! A stranger's recording: a header that lies, a file that ends early, samples that are no numbers.

#![no_main]

use jobs::recording::Recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(recording) = Recording::read(data) else { return };
    let head = recording.head();
    assert_eq!(
        recording.samples().len() as u64,
        u64::from(head.channels) * u64::from(recording.spectra()),
        "a recording is whole spectra"
    );
    let mut bytes = Vec::new();
    recording.write(&mut bytes).expect("memory takes it");
    let again = Recording::read(bytes.as_slice()).expect("what was written can be read");
    // NaN samples differ from themselves, their bits do not.
    let bits = |recording: &Recording| recording.samples().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(again.head(), head, "the header survives");
    assert_eq!(bits(&again), bits(&recording), "the samples survive");
});
