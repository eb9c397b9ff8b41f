//! Known-answer test of a driver: integer kernels whose every bit the processor knows.
//!
//! Qualifies a device before it takes paid work, and again after its driver changed: wrapping products, high halves of
//! products, shifts, division, bit counts, and sums through workgroup memory with barriers, each of which some driver
//! has computed wrongly (notes/verification.md §2.2). Runs nothing itself: the engine hands the cases to the `worker`.

use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};

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

/// Words of the input and of each output.
const WORDS: u32 = 4096;
/// Steps of the generator per invocation; must equal the loop bound in the WGSL.
const STEPS: u32 = 256;
/// Seeds of the cases; the first is the one of the study in notes/gpu.md §1.
const SEEDS: [u32; 8] =
    [0x1234_5678, 1, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 0xdead_beef, 0x0000_ffff, 0x5555_5555];

const SOURCE: &str = include_str!("conformance/integers.wgsl");

/// The program with its WGSL sources.
pub fn program() -> (Program, Vec<String>) {
    let buffer = |name: &str, role, bytes| Buffer { name: name.to_owned(), role, bytes };
    let kernel = |entry: &str| Kernel { module: 0, entry: entry.to_owned(), workgroup: [64, 1, 1] };
    let stage = |kernel, bindings| Stage { kernel, bindings, groups: WORDS / 64, repeat: 1 };
    let program = Program {
        format: 1,
        title: "Known answers".to_owned(),
        purpose: "Checks that this graphics card and its driver compute integers correctly.".to_owned(),
        family: Family::Conformance,
        modules: vec![Module { blob: Hash::of(SOURCE.as_bytes()), bytes: SOURCE.len() as u32 }],
        kernels: vec![kernel("generate"), kernel("multiply_high"), kernel("bits"), kernel("tree")],
        buffers: vec![
            buffer("words", Role::Input, WORDS * 4),
            buffer("seed", Role::Params, 4),
            buffer("generated", Role::Output, WORDS * 4),
            buffer("high", Role::Output, WORDS * 4),
            buffer("mixed", Role::Output, WORDS * 4),
            buffer("sums", Role::Output, WORDS / 64 * 4),
        ],
        stages: vec![stage(0, vec![1, 2]), stage(1, vec![0, 3]), stage(2, vec![0, 4]), stage(3, vec![0, 5])],
        features: Vec::new(),
        cost: Cost {
            operations: u64::from(WORDS) * u64::from(STEPS + 64),
            memory_bytes: 1 << 20,
            max_millis: 10_000,
        },
        validator: Validator::Bitwise,
    };
    (program, vec![SOURCE.to_owned()])
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
    let next = |at: usize| words[(at + 1) % words.len()];
    let mut output: Vec<u32> = (0..words.len() as u32).map(|at| generate(seed, at)).collect();
    output
        .extend(words.iter().enumerate().map(|(at, &x)| ((u64::from(x) * u64::from(next(at))) >> 32) as u32));
    output.extend(words.iter().enumerate().map(|(at, &x)| bits(x, next(at))));
    output.extend(words.chunks(64).map(|group| group.iter().fold(0, |sum: u32, &x| sum.wrapping_add(x))));
    bytes_of(&output)
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

/// The xor of 256 outputs of PCG-RXS-M-XS-32 (O'Neill 2014).
fn generate(seed: u32, at: u32) -> u32 {
    let mut state = seed ^ at.wrapping_mul(0x9e37_79b1);
    (0..STEPS).fold(0, |fold, _| {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
        fold ^ (word >> 22) ^ word
    })
}

fn bits(x: u32, y: u32) -> u32 {
    let amount = y & 31;
    let turned = x.rotate_left(amount);
    let quotient = (x / (y | 1)) ^ (x % (y | 1)).rotate_left(7);
    let counts = x.count_ones() | (x.leading_zeros() << 8) | (y.count_zeros() << 16);
    let signed = ((x as i32) >> amount).wrapping_mul(y as i32) as u32;
    let lowest = if x.cast_signed() < y.cast_signed() { x } else { y };
    turned ^ quotient ^ counts.wrapping_mul(0x85eb_ca6b) ^ signed ^ lowest.reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_passes_the_checks_of_the_format() {
        let (program, sources) = program();
        program.check().unwrap();
        assert_eq!(program.modules[0].blob, Hash::of(sources[0].as_bytes()));
        for case in cases() {
            assert_eq!(case.inputs[0].len() as u32, program.buffers[0].bytes);
            assert_eq!(reference(&case.inputs[0], case.params[0]).len() as u64, program.output_bytes());
        }
    }

    #[test]
    fn the_known_answers_are_frozen() {
        // Drivers were qualified against these; a change here would say that all of them were wrong.
        let all: Vec<u8> = cases().iter().flat_map(|case| case.digest.0).collect();
        assert_eq!(Hash::of(&all).short(), "ded20ce1");
    }
}
