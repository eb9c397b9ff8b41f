//! A publisher's signed manifest and program: read, checked, and told apart from every byte string that is not the
//! canonical one. The body is tried by itself too, since no mutation of a signed one would pass its signature.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::cbor;
use protocol::manifest::{Manifest, Program};
use protocol::sign::{Envelope, Message};

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::from_bytes::<Manifest>(data) {
        assert_eq!(envelope.to_bytes(), data, "an envelope has one form");
    }
    if let Ok(manifest) = cbor::decode::<Manifest>(data, Manifest::MAX_BYTES) {
        assert_eq!(cbor::encode(&manifest), data, "a manifest has one form");
        if manifest.check().is_ok() {
            for plan in manifest.units.iter().flat_map(|unit| &unit.slices) {
                manifest.body.check_slice(plan).expect("a checked manifest holds checked slices");
            }
        }
    }
    if let Ok(program) = cbor::decode::<Program>(data, Program::MAX_BYTES)
        && program.check().is_ok()
    {
        assert!(program.output_bytes() <= program.slice_bytes(), "the output is a part of the slice");
    }
});
