//! Integer kernels with known answers, to find drivers that compute wrongly before they compute for money.
//!
//! The kernels use what integer jobs are made of, each of which some driver or compiler has got wrong
//! (notes/verification.md §2.2): multiplication that wraps, its high half, signed shifts and signs, division and
//! remainder, carries, divergent branches, bit counts, workgroup memory between barriers, atomics, state that must begin
//! as zero, and indices that are known only at run time. Runs nothing itself: the engine hands the cases to the `worker`
//! and lets [`judge`] read the outputs.

mod native;

use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};
use protocol::wire::KernelAnswer;

use crate::{bytes_of, words_of};

/// One known answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// One per input buffer.
    pub inputs: Vec<Vec<u8>>,
    /// Values of the params buffer.
    pub params: Vec<u32>,
    /// BLAKE3 hash of the right output.
    pub digest: Hash,
}

/// What the suite goes by: the hash over the digests of all right answers in order.
pub const SUITE: Hash = Hash([
    30, 99, 47, 6, 132, 18, 71, 181, 106, 66, 136, 219, 181, 38, 98, 54, 130, 146, 57, 214, 74, 104, 119, 99,
    195, 244, 228, 168, 136, 159, 24, 175,
]);

/// Words of the input and of each output but the sums.
const WORDS: u32 = 4096;
/// Seeds of the cases; the first is the one of the study in notes/gpu.md §1.
const SEEDS: [u32; 8] =
    [0x1234_5678, 1, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 0xdead_beef, 0x0000_ffff, 0x5555_5555];

const INTEGERS: &str = include_str!("conformance/integers.wgsl");
const MEMORY: &str = include_str!("conformance/memory.wgsl");

/// Numbers of the buffers that are no output.
const INPUT: u16 = 0;
const SEED: u16 = 1;
const STATE: u16 = 2;

/// A kernel with an output of its own, in the order of the output buffers.
struct Known {
    /// Its entry point, which is also what it goes by in a report.
    name: &'static str,
    module: u16,
    /// The buffer that it reads.
    reads: u16,
    /// Words of its output.
    words: u32,
    native: fn(&[u32], u32) -> Vec<u32>,
}

const fn known(name: &'static str, module: u16, reads: u16, native: fn(&[u32], u32) -> Vec<u32>) -> Known {
    Known { name, module, reads, words: WORDS, native }
}

const KNOWN: [Known; 12] = [
    known("generate", 0, SEED, native::generate),
    known("multiply_high", 0, INPUT, native::multiply_high),
    known("bits", 0, INPUT, native::bits),
    known("signed", 0, INPUT, native::signed),
    known("divide", 0, INPUT, native::divide),
    known("wide", 0, INPUT, native::wide),
    known("branch", 0, INPUT, native::branch),
    Known { words: WORDS / 64, ..known("tree", 1, INPUT, native::tree) },
    known("exchange", 1, INPUT, native::exchange),
    known("atomics", 1, INPUT, native::atomics),
    known("index", 1, INPUT, native::index),
    known("mirror", 1, STATE, native::kept),
];

/// The program with its WGSL sources.
pub fn program() -> (Program, Vec<String>) {
    let buffer = |name: &str, role, words: u32| Buffer { name: name.to_owned(), role, bytes: words * 4 };
    let kernel = |entry: &str, module| Kernel { module, entry: entry.to_owned(), workgroup: [64, 1, 1] };
    let stage =
        |kernel: usize, bindings| Stage { kernel: kernel as u16, bindings, groups: WORDS / 64, repeat: 1 };
    let sources = [INTEGERS, MEMORY];
    let mut kernels: Vec<Kernel> = KNOWN.iter().map(|known| kernel(known.name, known.module)).collect();
    kernels.push(kernel("keep", 1));
    let mut buffers = vec![
        buffer("words", Role::Input, WORDS),
        buffer("seed", Role::Params, 1),
        buffer("kept", Role::State, WORDS),
    ];
    buffers.extend(KNOWN.iter().map(|known| buffer(known.name, Role::Output, known.words)));
    let mut stages = vec![Stage { repeat: native::REPEATS, ..stage(KNOWN.len(), vec![INPUT, STATE]) }];
    let first_output = STATE + 1;
    stages.extend(
        KNOWN.iter().enumerate().map(|(n, known)| stage(n, vec![known.reads, first_output + n as u16])),
    );
    let program = Program {
        format: 1,
        title: "Known answers".to_owned(),
        purpose: "Checks that this graphics card and its driver compute integers correctly.".to_owned(),
        family: Family::Conformance,
        modules: sources
            .map(|source| Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 })
            .to_vec(),
        kernels,
        buffers,
        stages,
        features: Vec::new(),
        cost: Cost {
            // The generator's steps, and some sixty for each of the other kernels.
            operations: u64::from(WORDS) * u64::from(native::STEPS + 64 * KNOWN.len() as u32),
            memory_bytes: 1 << 20,
            max_millis: 10_000,
        },
        validator: Validator::Bitwise,
    };
    (program, sources.map(str::to_owned).to_vec())
}

/// The known answers.
pub fn cases() -> Vec<Case> {
    SEEDS
        .into_iter()
        .map(|seed| {
            let input = bytes_of(&words(seed));
            let params = vec![seed];
            let digest = Hash::of(&reference(&input, seed));
            Case { inputs: vec![input], params, digest }
        })
        .collect()
}

/// The right output for an input and a seed.
pub fn reference(input: &[u8], seed: u32) -> Vec<u8> {
    let words: Vec<u32> = words_of(input).collect();
    KNOWN.iter().flat_map(|known| bytes_of(&(known.native)(&words, seed))).collect()
}

/// Reads what a device computed: one output per case, in order. A missing, short or long output is wrong in every kernel.
pub fn judge(outputs: &[Vec<u8>]) -> Vec<KernelAnswer> {
    let right: Vec<Vec<u8>> = SEEDS.iter().map(|&seed| reference(&bytes_of(&words(seed)), seed)).collect();
    let whole = outputs.len() == right.len()
        && outputs.iter().zip(&right).all(|(output, right)| output.len() == right.len());
    let mut from = 0;
    KNOWN
        .iter()
        .map(|known| {
            let range = from..from + known.words as usize * 4;
            from = range.end;
            let part = |output: &[u8]| output.get(range.clone()).unwrap_or_default().to_vec();
            let found: Vec<u8> = outputs.iter().flat_map(|output| part(output)).collect();
            let expected: Vec<u8> = right.iter().flat_map(|output| part(output)).collect();
            KernelAnswer {
                kernel: known.name.to_owned(),
                right: whole && found == expected,
                digest: Hash::of(&found),
            }
        })
        .collect()
}

/// Marsaglia's xorshift32 (13, 17, 5).
fn words(seed: u32) -> Vec<u32> {
    let mut x = seed;
    (0..WORDS)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            x
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use protocol::wire::KnownAnswers;

    use super::*;

    #[test]
    fn the_program_passes_the_checks_of_the_format() {
        let (program, sources) = program();
        program.check().unwrap();
        for (module, source) in program.modules.iter().zip(&sources) {
            assert_eq!(module.blob, Hash::of(source.as_bytes()));
        }
        for case in cases() {
            assert_eq!(case.inputs[0].len() as u32, program.buffers[0].bytes);
            assert_eq!(reference(&case.inputs[0], case.params[0]).len() as u64, program.output_bytes());
        }
    }

    #[test]
    fn the_known_answers_are_frozen() {
        // Drivers were qualified against these; a change here would say that all of them were wrong.
        let all: Vec<u8> = cases().iter().flat_map(|case| case.digest.0).collect();
        assert_eq!(Hash::of(&all), SUITE);
    }

    #[test]
    fn a_wrong_bit_is_laid_to_the_kernel_that_computed_it() {
        let mut outputs: Vec<Vec<u8>> =
            cases().iter().map(|case| reference(&case.inputs[0], case.params[0])).collect();
        let wrong = |outputs: &[Vec<u8>]| -> Vec<String> {
            judge(outputs).into_iter().filter(|answer| !answer.right).map(|answer| answer.kernel).collect()
        };
        let right = judge(&outputs);
        assert!(wrong(&outputs).is_empty() && right.len() == KNOWN.len());
        // The third kernel's output begins behind two of 4096 words.
        outputs[5][2 * 4096 * 4] ^= 1;
        assert_eq!(wrong(&outputs), ["bits"]);
        assert_ne!(judge(&outputs)[2].digest, right[2].digest, "the report shows what was computed");
        outputs.pop();
        assert_eq!(wrong(&outputs).len(), KNOWN.len(), "a case without an answer proves nothing");
    }

    #[test]
    fn a_report_fits_the_message_that_carries_it() {
        assert!(KNOWN.len() <= KnownAnswers::MAX_KERNELS);
        assert!(KNOWN.iter().all(|known| known.name.len() <= KnownAnswers::MAX_NAME_BYTES));
    }
}
