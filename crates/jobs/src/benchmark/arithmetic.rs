//! Programs that only compute: 32 independent chains of multiply-adds per thread, long enough to hide every latency.
//!
//! The answer repeats every 256 threads, so that all of it can be checked at any size.

use protocol::manifest::{Feature, Program, Role, Stage, Validator};

use super::{Answer, BenchmarkProgram, buffer, kernel, program};

/// Steps of a chain per repeat; must equal the loop bound in the WGSL.
const STEPS: u32 = 512;
/// Independent chains per thread: eight vectors of four.
const CHAINS: u32 = 32;
/// Threads of the smallest grid.
const THREADS: u32 = 1 << 16;
/// A grid grows to this many times the smallest: enough to fill the largest cards, as 4 MiB of output.
const MOST: u32 = 16;
/// Threads after which the answer repeats.
pub(super) const PERIOD: u32 = 256;

const MULTIPLIER: u32 = 1_664_525;
const ADDEND: u32 = 1_013_904_223;
const FACTOR: f32 = 0.9995;
const TERM: f32 = 0.001;

/// Threads and repeats of a size: first the grid grows, in powers of two, then the repeats.
pub(super) fn grid(size: u32) -> (u32, u32) {
    let grown = 1 << size.clamp(1, MOST).ilog2();
    (THREADS * grown, size.max(1).div_ceil(grown))
}

/// A multiply-add counts as two operations.
fn count(threads: u32, repeats: u32) -> u64 {
    2 * u64::from(threads) * u64::from(repeats) * u64::from(STEPS * CHAINS)
}

fn arithmetic(title: &str, source: &str, (threads, repeats): (u32, u32)) -> Program {
    program(
        title,
        source,
        vec![kernel("multiply_add", 64)],
        vec![buffer("factors", Role::Params, 8), buffer("values", Role::Output, threads * 4)],
        vec![Stage { kernel: 0, bindings: vec![0, 1], groups: threads / 64, repeat: repeats }],
        count(threads, repeats),
    )
}

pub(super) fn integer(size: u32) -> BenchmarkProgram {
    let source = include_str!("integer.wgsl");
    let (threads, repeats) = grid(size);
    let steps = composed_steps();
    BenchmarkProgram {
        name: "int32",
        program: arithmetic("Integer multiply-add", source, (threads, repeats)),
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: vec![MULTIPLIER, ADDEND],
        count_per_run: count(threads, repeats),
        answer: Answer::Exact((0..PERIOD).map(|thread| integer_value(thread, repeats, steps)).collect()),
    }
}

/// The steps of one repeat are one multiply-add of these factors.
fn composed_steps() -> (u32, u32) {
    (0..STEPS).fold((1, 0), |(multiplier, addend), _| {
        (multiplier.wrapping_mul(MULTIPLIER), addend.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND))
    })
}

fn integer_value(thread: u32, repeats: u32, (multiplier, addend): (u32, u32)) -> u32 {
    (0..repeats).fold(0, |value, _| {
        (0..CHAINS).fold(0, |fold, chain| {
            let start = value ^ thread.wrapping_mul(CHAINS).wrapping_add(chain);
            fold ^ start.wrapping_mul(multiplier).wrapping_add(addend)
        })
    })
}

pub(super) fn float(size: u32) -> BenchmarkProgram {
    let source = include_str!("float.wgsl");
    let (threads, repeats) = grid(size);
    let mut program = arithmetic("Float multiply-add", source, (threads, repeats));
    // Fused or not, each step rounds within 2^-23 and the chains contract.
    program.validator = Validator::Tolerance { abs_nano: 100_000, rel_nano: 100_000, rms_nano: 100_000 };
    BenchmarkProgram {
        name: "fp32",
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: vec![FACTOR.to_bits(), TERM.to_bits()],
        count_per_run: count(threads, repeats),
        answer: Answer::Near((0..PERIOD).map(|thread| float_value(thread, repeats)).collect()),
    }
}

/// Dropped steps are seen: 512 of them move a value by a fifth.
fn float_value(thread: u32, repeats: u32) -> f64 {
    let (factor, term) = (f64::from(FACTOR), f64::from(TERM));
    let (scale, offset) =
        (0..STEPS).fold((1.0, 0.0), |(scale, offset), _| (scale * factor, offset * factor + term));
    // The mean of the chains' starts: thread / 256, eight vectors an eighth apart, four lanes 1/32 apart.
    let spread = 3.5 / 8.0 + 1.5 / 32.0;
    let own = f64::from(thread) / 256.0;
    (0..repeats).fold(0.0, |value, _| (value + own + spread) * scale + offset)
}

pub(super) fn half(size: u32) -> BenchmarkProgram {
    let source = include_str!("half.wgsl");
    let (threads, repeats) = grid(size);
    let mut program = arithmetic("Half float multiply-add", source, (threads, repeats));
    program.features = vec![Feature::F16];
    // All values are whole numbers that 16 bits hold; the format has no bitwise comparison of floats.
    program.validator = Validator::Tolerance { abs_nano: 0, rel_nano: 0, rms_nano: 0 };
    BenchmarkProgram {
        name: "fp16",
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: vec![1.0_f32.to_bits(), 1.0_f32.to_bits()],
        count_per_run: count(threads, repeats),
        answer: Answer::Exact((0..PERIOD).map(|thread| half_value(thread, repeats).to_bits()).collect()),
    }
}

/// Each of the chains counts its steps from a start of its own: thread, last value, and the number of the chain.
fn half_value(thread: u32, repeats: u32) -> f32 {
    let sum = (0..repeats).fold(0_u32, |value, _| {
        let start = value.wrapping_add(thread) & 255;
        (0..CHAINS).map(|chain| start + chain + STEPS).sum()
    });
    // At most 25,552: exact.
    sum as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_grows_the_grid_first_and_never_does_less_than_asked() {
        assert_eq!(grid(1), (1 << 16, 1));
        assert_eq!(grid(6), (1 << 18, 2), "8 units of work for 6");
        assert_eq!(grid(16), (1 << 20, 1));
        assert_eq!(grid(1000), (1 << 20, 63));
        for size in 1..2000 {
            let (threads, repeats) = grid(size);
            let units = threads / THREADS * repeats;
            assert!((size..2 * size).contains(&units), "size {size} does the work of {units}");
        }
    }

    #[test]
    fn the_composed_multiply_add_equals_its_steps() {
        for thread in [0_u32, 1, 63, 64, 255] {
            let mut value = 0_u32;
            for _ in 0..3 {
                value = (0..CHAINS).fold(0, |fold, chain| {
                    let mut x = value ^ thread.wrapping_mul(CHAINS).wrapping_add(chain);
                    for _ in 0..STEPS {
                        x = x.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND);
                    }
                    fold ^ x
                });
            }
            assert_eq!(value, integer_value(thread, 3, composed_steps()), "thread {thread}");
        }
    }

    #[test]
    fn halves_stay_whole_numbers_that_sixteen_bits_hold() {
        // Eleven significant bits.
        const { assert!(255 + (CHAINS - 1) + STEPS < 2048, "the largest value of a chain") };
        assert_eq!(half_value(0, 1), 16_880.0, "32 chains from 0 to 31, each 512 steps on");
        assert_ne!(half_value(7, 1), half_value(7, 2), "a repeat that is left out is seen");
    }

    #[test]
    fn steps_left_out_move_a_float_by_more_than_the_tolerance() {
        let (factor, term) = (f64::from(FACTOR), f64::from(TERM));
        for thread in [0, 255] {
            let whole = float_value(thread, 1);
            // Back by half of the steps, by solving x -> factor * x + term for x.
            let halved = (0..STEPS / 2).fold(whole, |value, _| (value - term) / factor);
            assert!((whole - halved).abs() > 1e-2 * whole, "ten times the tolerance: {whole} and {halved}");
        }
    }
}
