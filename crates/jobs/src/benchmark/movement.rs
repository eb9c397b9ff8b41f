//! Programs that only move: memory to memory on the card, to the card, back from it, and nothing at all.

use protocol::frames::Adapter;
use protocol::manifest::{MAX_BUFFER_BYTES, MAX_OUTPUT_BYTES, Role, Stage};

use super::{Answer, BenchmarkProgram, buffer, kernel, program};
use crate::bytes_of;

/// Words that are handed out for a check.
const SAMPLES: u32 = 4096;
/// Smallest buffer of the copy, on a card that binds or has little.
const SMALLEST_COPY_BYTES: u32 = 1 << 20;
/// Buffer of the copy where the processor computes.
const SOFTWARE_COPY_BYTES: u32 = 32 << 20;
/// What is brought to the card.
const ARRIVAL_BYTES: u32 = 64 << 20;
/// Pieces of nearly no work in one run, the most stages that a program may have.
const PIECES: u16 = 64;
const MIXER: u32 = 0x9e37_79b1;

fn word(at: u32) -> u32 {
    at.wrapping_mul(MIXER) ^ (at >> 7)
}

/// Place of a sampled word among those of a buffer.
fn sampled(sample: u32, stride: u32) -> u32 {
    sample * stride + (sample & 3)
}

/// Size of one of the two buffers of the copy: 128 MiB, so that both are several times a card's last cache; less where the
/// card binds less, where two would take more than a quarter of its memory, or where the processor computes: a core has a
/// cache of a few MiB and takes a second for the whole.
fn copy_bytes(adapter: &Adapter) -> u32 {
    let quarter = adapter.memory_bytes.map_or(u64::MAX, |bytes| bytes / 8);
    let kind = if adapter.software { SOFTWARE_COPY_BYTES } else { MAX_BUFFER_BYTES };
    let most = u64::from(kind).min(adapter.max_binding_bytes).min(quarter);
    let most = u32::try_from(most).unwrap_or(MAX_BUFFER_BYTES).max(SMALLEST_COPY_BYTES);
    1 << most.ilog2()
}

pub(super) fn copy(size: u32, adapter: &Adapter) -> BenchmarkProgram {
    let source = include_str!("copy.wgsl");
    let bytes = copy_bytes(adapter);
    let groups = bytes / 16 / 256;
    let stride = bytes / 4 / SAMPLES;
    // The fill writes once; each copy reads and writes.
    let moved = u64::from(bytes) * (1 + 2 * u64::from(size));
    let program = program(
        "Memory copy",
        source,
        vec![kernel("fill", 256), kernel("copy", 256), kernel("sample", 64)],
        vec![
            buffer("stride", Role::Params, 4),
            buffer("origin", Role::State, bytes),
            buffer("target", Role::State, bytes),
            buffer("samples", Role::Output, SAMPLES * 4),
        ],
        vec![
            Stage { kernel: 0, bindings: vec![1], groups, repeat: 1 },
            Stage { kernel: 1, bindings: vec![1, 2], groups, repeat: size },
            Stage { kernel: 2, bindings: vec![0, 2, 3], groups: SAMPLES / 64, repeat: 1 },
        ],
        moved / 4,
    );
    BenchmarkProgram {
        name: "copy",
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: vec![stride],
        count_per_run: moved,
        answer: Answer::Exact((0..SAMPLES).map(|i| word(sampled(i, stride)) ^ (size - 1)).collect()),
    }
}

/// 64 MiB brought to the card: the time to look at is that of the upload. Never more than the copy moves.
pub fn arrival(adapter: &Adapter) -> BenchmarkProgram {
    let source = include_str!("transfer.wgsl");
    let bytes = ARRIVAL_BYTES.min(copy_bytes(adapter));
    let stride = bytes / 4 / SAMPLES;
    let program = program(
        "Data to the card",
        source,
        vec![kernel("arrive", 64)],
        vec![
            buffer("arrived", Role::Input, bytes),
            buffer("stride", Role::Params, 4),
            buffer("samples", Role::Output, SAMPLES * 4),
        ],
        vec![Stage { kernel: 0, bindings: vec![0, 1, 2], groups: SAMPLES / 64, repeat: 1 }],
        u64::from(SAMPLES),
    );
    BenchmarkProgram {
        name: "arrival",
        program,
        sources: vec![source.to_owned()],
        inputs: vec![bytes_of(&(0..bytes / 4).map(word).collect::<Vec<_>>())],
        params: vec![stride],
        count_per_run: u64::from(bytes),
        answer: Answer::Exact((0..SAMPLES).map(|i| word(sampled(i, stride))).collect()),
    }
}

/// As much as a slice may give back (4 MiB): the time to look at is that of the download, less the download of
/// [`arrival`], whose output is too small to take any time of its own.
pub fn departure() -> BenchmarkProgram {
    let source = include_str!("transfer.wgsl");
    // Bounded by the format to a few MiB.
    let bytes = MAX_OUTPUT_BYTES as u32;
    let program = program(
        "Data from the card",
        source,
        vec![kernel("leave", 64)],
        vec![buffer("leaving", Role::Output, bytes)],
        vec![Stage { kernel: 0, bindings: vec![0], groups: bytes / 4 / 64, repeat: 1 }],
        u64::from(bytes / 4),
    );
    BenchmarkProgram {
        name: "departure",
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: Vec::new(),
        count_per_run: u64::from(bytes) - u64::from(SAMPLES) * 4,
        answer: Answer::Exact((0..SAMPLES).map(|at| at.wrapping_mul(MIXER)).collect()),
    }
}

/// Pieces of nearly no work, one after the other: what a piece costs beside its work. With one piece in flight, the time
/// of a run over [`BenchmarkProgram::count_per_run`] is that of handing one over and hearing of its end.
pub fn dispatch() -> BenchmarkProgram {
    let source = include_str!("transfer.wgsl");
    let stage = || Stage { kernel: 0, bindings: vec![0], groups: 1, repeat: 1 };
    let program = program(
        "Dispatch",
        source,
        vec![kernel("count", 64)],
        vec![buffer("counts", Role::Output, 256)],
        // A piece never spans two stages.
        (0..PIECES).map(|_| stage()).collect(),
        u64::from(PIECES) * 64,
    );
    BenchmarkProgram {
        name: "dispatch",
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: Vec::new(),
        count_per_run: u64::from(PIECES),
        answer: Answer::Exact(vec![u32::from(PIECES)]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::adapter;
    use super::*;

    #[test]
    fn the_copy_fits_the_card() {
        let with = |max_binding_bytes, memory_bytes| Adapter { max_binding_bytes, memory_bytes, ..adapter() };
        assert_eq!(copy_bytes(&adapter()), 128 << 20, "the most that the format allows");
        assert_eq!(copy_bytes(&with(100 << 20, None)), 64 << 20, "a power of two below what the card binds");
        assert_eq!(copy_bytes(&with(u64::MAX, Some(512 << 20))), 64 << 20, "a quarter of 512 MiB for both");
        let software = Adapter { software: true, ..adapter() };
        assert_eq!(copy_bytes(&software), 32 << 20, "the processor has smaller caches and less time");
        assert_eq!(copy_bytes(&with(4096, None)), SMALLEST_COPY_BYTES, "something is measured in any case");
    }
}
