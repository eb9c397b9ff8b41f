//! The conversation with a worker, both ways: what the parent reads from a worker that may be anybody's, and what a
//! worker reads. The first byte picks the direction; the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::frames::{self, MAX_REPLY_BYTES, read_reply, read_request, write_frame};

fuzz_target!(|data: &[u8]| {
    let Some((&direction, mut stream)) = data.split_first() else { return };
    let whole = stream;
    let mut again = Vec::new();
    if direction & 1 == 0 {
        while let Ok(frame) = read_request(&mut stream) {
            write_frame(&mut again, &frame).expect("memory takes it");
        }
    } else {
        while let Ok(frame) = read_reply(&mut stream, MAX_REPLY_BYTES) {
            if let frames::Reply::Done { output, .. } = &frame {
                frames::output_digest(output);
            }
            write_frame(&mut again, &frame).expect("memory takes it");
        }
    }
    assert!(whole.starts_with(&again), "what was understood is what was sent");
});
