//! Measurement of a graphics card, as ordinary job programs that the `worker` runs like any other.
//!
//! Three programs with known operation counts: integer multiply-add, float multiply-add, and memory copy. A rate is
//! count over device time. Each result is checked against the processor, so that neither an optimiser nor a fault can
//! drop the work unnoticed. The numbers are for the owner and for choosing work; they are never paid
//! (DESIGN.md §8). Runs nothing itself and reads no clock: the engine does.

use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};
use serde::{Deserialize, Serialize};

use crate::words_of;

/// What a program measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 10^9 32-bit float operations per second; a multiply-add is two.
    Gflops,
    /// 10^9 32-bit integer operations per second; a multiply-add is two.
    Giops,
    /// 10^9 bytes per second, read and written bytes both counted.
    GBps,
}

/// A program with everything that one run needs.
#[derive(Debug, Clone)]
pub struct BenchmarkProgram {
    /// Stable short name.
    pub name: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// The program.
    pub program: Program,
    /// WGSL sources in the order of the program's modules.
    pub sources: Vec<String>,
    /// One per input buffer.
    pub inputs: Vec<Vec<u8>>,
    /// Values of the params buffer.
    pub params: Vec<u32>,
    /// Operations or bytes of one run.
    pub count_per_run: u64,
    /// Whether an output is that of work really done.
    pub check: fn(&[u8]) -> bool,
}

impl BenchmarkProgram {
    /// The rate in the unit of [`Kind`] for a run that kept the device busy for so long.
    pub fn rate(&self, device_micros: u64) -> f64 {
        self.count_per_run as f64 / (device_micros.max(1) as f64 * 1e3)
    }
}

/// The programs, in the order in which they are best run. On a software driver each takes about a second, on a card a
/// few milliseconds; the caller repeats them until the figure stands.
pub fn programs() -> Vec<BenchmarkProgram> {
    vec![integer(), float(), copy()]
}

/// Invocations of the arithmetic programs: enough to fill the largest cards.
const THREADS: u32 = 1 << 18;
/// Steps of a chain per repeat; must equal the loop bound in the WGSL.
const STEPS: u32 = 512;
/// Independent chains per invocation: eight vectors of four.
const CHAINS: u32 = 32;
const REPEATS: u32 = 4;
const MULTIPLIER: u32 = 1_664_525;
const ADDEND: u32 = 1_013_904_223;
const FACTOR: f32 = 0.9995;
const TERM: f32 = 0.001;

const COPY_WORDS: u32 = 1 << 24;
const COPY_REPEATS: u32 = 16;
const COPY_SAMPLES: u32 = 4096;

fn program(
    title: &str,
    source: &str,
    kernels: Vec<Kernel>,
    buffers: Vec<Buffer>,
    stages: Vec<Stage>,
) -> Program {
    let memory_bytes = buffers.iter().map(|b| u64::from(b.bytes)).sum();
    Program {
        format: 1,
        title: title.to_owned(),
        purpose: "Measures this graphics card for its owner; nothing is sent to anyone.".to_owned(),
        family: Family::Benchmark,
        modules: vec![Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 }],
        kernels,
        buffers,
        stages,
        features: Vec::new(),
        cost: Cost { operations: 1, memory_bytes, max_millis: 60_000 },
        validator: Validator::Bitwise,
    }
}

fn kernel(entry: &str, workgroup: u32) -> Kernel {
    Kernel { module: 0, entry: entry.to_owned(), workgroup: [workgroup, 1, 1] }
}

fn buffer(name: &str, role: Role, bytes: u32) -> Buffer {
    Buffer { name: name.to_owned(), role, bytes }
}

fn arithmetic(title: &str, entry: &str, source: &str) -> Program {
    program(
        title,
        source,
        vec![kernel(entry, 64)],
        vec![buffer("factors", Role::Params, 8), buffer("values", Role::Output, THREADS * 4)],
        vec![Stage { kernel: 0, bindings: vec![0, 1], groups: THREADS / 64, repeat: REPEATS }],
    )
}

/// A multiply-add counts as two operations.
const ARITHMETIC_COUNT: u64 = 2 * THREADS as u64 * STEPS as u64 * CHAINS as u64 * REPEATS as u64;

fn integer() -> BenchmarkProgram {
    let source = include_str!("benchmark/integer.wgsl");
    let mut program = arithmetic("Integer multiply-add", "multiply_add", source);
    program.cost.operations = ARITHMETIC_COUNT;
    BenchmarkProgram {
        name: "int32_mad",
        kind: Kind::Giops,
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: vec![MULTIPLIER, ADDEND],
        count_per_run: ARITHMETIC_COUNT,
        check: integer_is_right,
    }
}

/// All values, bit for bit.
fn integer_is_right(output: &[u8]) -> bool {
    let steps = composed_steps();
    output.len() == THREADS as usize * 4
        && words_of(output).zip(0..).all(|(found, thread)| found == integer_value(thread, steps))
}

/// The steps of one repeat are one multiply-add of these factors.
fn composed_steps() -> (u32, u32) {
    (0..STEPS).fold((1, 0), |(multiplier, addend), _| {
        (multiplier.wrapping_mul(MULTIPLIER), addend.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND))
    })
}

fn integer_value(thread: u32, (multiplier, addend): (u32, u32)) -> u32 {
    (0..REPEATS).fold(0, |value, _| {
        (0..CHAINS).fold(0, |fold, chain| {
            let start = value ^ thread.wrapping_mul(CHAINS).wrapping_add(chain);
            fold ^ start.wrapping_mul(multiplier).wrapping_add(addend)
        })
    })
}

fn float() -> BenchmarkProgram {
    let source = include_str!("benchmark/float.wgsl");
    let mut program = arithmetic("Float multiply-add", "multiply_add", source);
    program.cost.operations = ARITHMETIC_COUNT;
    // Fused or not, each step rounds within 2^-23 and the chains contract.
    program.validator = Validator::Tolerance { abs_nano: 100_000, rel_nano: 100_000, rms_nano: 100_000 };
    BenchmarkProgram {
        name: "fp32_fma",
        kind: Kind::Gflops,
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: vec![FACTOR.to_bits(), TERM.to_bits()],
        count_per_run: ARITHMETIC_COUNT,
        check: float_is_right,
    }
}

/// All values within 10^-3: a card may fuse a multiply-add or not. Dropped steps are seen: 512 of them move a value by
/// a fifth.
fn float_is_right(output: &[u8]) -> bool {
    let (factor, term) = (f64::from(FACTOR), f64::from(TERM));
    let (mut scale, mut offset) = (1.0, 0.0);
    for _ in 0..STEPS {
        scale *= factor;
        offset = offset * factor + term;
    }
    // The mean of the chains' starts: thread / 256, eight vectors an eighth apart, four lanes 1/32 apart.
    let spread = 3.5 / 8.0 + 1.5 / 32.0;
    let value = |thread: u32| {
        let own = f64::from(thread & 255) / 256.0;
        (0..REPEATS).fold(0.0, |value, _| (value + own + spread) * scale + offset)
    };
    output.len() == THREADS as usize * 4
        && words_of(output).zip(0..).all(|(bits, thread)| {
            let expected = value(thread);
            // A value that is not a number compares as false.
            (f64::from(f32::from_bits(bits)) - expected).abs() <= 1e-3 * expected
        })
}

fn copy() -> BenchmarkProgram {
    let source = include_str!("benchmark/copy.wgsl");
    let vectors = COPY_WORDS / 4;
    let mut program = program(
        "Memory copy",
        source,
        vec![kernel("fill", 256), kernel("copy", 256), kernel("sample", 64)],
        vec![
            buffer("origin", Role::State, COPY_WORDS * 4),
            buffer("target", Role::State, COPY_WORDS * 4),
            buffer("samples", Role::Output, COPY_SAMPLES * 4),
        ],
        vec![
            Stage { kernel: 0, bindings: vec![0], groups: vectors / 256, repeat: 1 },
            Stage { kernel: 1, bindings: vec![0, 1], groups: vectors / 256, repeat: COPY_REPEATS },
            Stage { kernel: 2, bindings: vec![1, 2], groups: COPY_SAMPLES / 64, repeat: 1 },
        ],
    );
    program.cost.operations = u64::from(COPY_WORDS) * u64::from(1 + 2 * COPY_REPEATS);
    BenchmarkProgram {
        name: "copy",
        kind: Kind::GBps,
        program,
        sources: vec![source.to_owned()],
        inputs: Vec::new(),
        params: Vec::new(),
        // The fill writes once; each copy reads and writes.
        count_per_run: u64::from(COPY_WORDS) * 4 * u64::from(1 + 2 * COPY_REPEATS),
        check: copy_is_right,
    }
}

/// 4096 words from all over the target, bit for bit.
fn copy_is_right(output: &[u8]) -> bool {
    let value = |sample: u32| {
        let word = sample * (COPY_WORDS / COPY_SAMPLES) + sample % 4;
        (word.wrapping_mul(0x9e37_79b1) ^ (word >> 7)) ^ (COPY_REPEATS - 1)
    };
    output.len() == COPY_SAMPLES as usize * 4 && words_of(output).zip(0..).all(|(found, i)| found == value(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_passes_the_checks_of_the_format() {
        for benchmark in programs() {
            benchmark.program.check().unwrap_or_else(|e| panic!("{}: {e}", benchmark.name));
            assert_eq!(benchmark.program.params_len(), benchmark.params.len(), "{}", benchmark.name);
            assert_eq!(
                benchmark.program.input_buffers().count(),
                benchmark.inputs.len(),
                "{}",
                benchmark.name
            );
            assert_eq!(benchmark.program.modules[0].blob, Hash::of(benchmark.sources[0].as_bytes()));
        }
    }

    #[test]
    fn an_output_of_zeros_or_of_another_size_is_not_believed() {
        for benchmark in programs() {
            let zeros = vec![0; benchmark.program.output_bytes() as usize];
            assert!(!(benchmark.check)(&zeros), "{}: no work was done", benchmark.name);
            assert!(!(benchmark.check)(&[]), "{}: nothing came back", benchmark.name);
            assert!(
                !(benchmark.check)(&vec![0xff; zeros.len()]),
                "{}: not a number is no result",
                benchmark.name
            );
        }
    }

    #[test]
    fn the_composed_multiply_add_equals_its_steps() {
        for thread in [0, 1, 63, 64, 77_777, THREADS - 1] {
            let mut value = 0_u32;
            for _ in 0..REPEATS {
                value = (0..CHAINS).fold(0, |fold, chain| {
                    let mut x = value ^ thread.wrapping_mul(CHAINS).wrapping_add(chain);
                    for _ in 0..STEPS {
                        x = x.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND);
                    }
                    fold ^ x
                });
            }
            assert_eq!(value, integer_value(thread, composed_steps()), "thread {thread}");
        }
    }

    #[test]
    fn a_single_wrong_bit_is_seen() {
        let steps = composed_steps();
        let mut output = crate::bytes_of(&(0..THREADS).map(|t| integer_value(t, steps)).collect::<Vec<_>>());
        assert!(integer_is_right(&output));
        output[77_777] ^= 1;
        assert!(!integer_is_right(&output));
    }

    #[test]
    fn a_rate_is_count_over_time() {
        let copy = copy();
        assert_eq!(copy.rate(1_000_000), copy.count_per_run as f64 / 1e9);
    }
}
