//! Measurement of a graphics card, as ordinary job programs that the `worker` runs like any other.
//!
//! Programs with known counts: multiply-adds of 32-bit floats, 32-bit integers and 16-bit floats; copying memory;
//! bringing data to the card and back; handing it pieces of nearly no work. A rate is count over time. Each output is
//! checked against the processor, so that neither an optimiser nor a fault can drop the work unnoticed. The numbers are
//! for the owner and for choosing work; they are never paid (DESIGN.md §8). Runs nothing itself and reads no clock: the
//! engine does. docs/benchmark.md tells the method beside that of others.

mod arithmetic;
mod movement;

use std::time::Duration;

use protocol::frames::Adapter;
use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Feature, Kernel, Module, Program, Role, Stage, Validator};

pub use movement::{arrival, departure, dispatch};

use crate::words_of;

/// Something whose speed is measured with a program of adaptable size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// 32-bit float multiply-adds; a multiply-add is two operations.
    Float,
    /// 32-bit integer multiply-adds; a multiply-add is two operations.
    Integer,
    /// 16-bit float multiply-adds; a multiply-add is two operations.
    Half,
    /// Memory copy; read and written bytes both count.
    Memory,
}

impl Speed {
    /// What the card must offer for it.
    pub const fn needs(self) -> Option<Feature> {
        match self {
            Self::Half => Some(Feature::F16),
            Self::Float | Self::Integer | Self::Memory => None,
        }
    }

    /// Its program of `size` for a card: work and time grow in proportion to the size, which is at least 1. Size 1 is
    /// 2 * 10^9 operations, or one copy of the buffers.
    pub fn program(self, size: u32, adapter: &Adapter) -> BenchmarkProgram {
        let size = size.clamp(1, LARGEST_SIZE);
        match self {
            Self::Float => arithmetic::float(size),
            Self::Integer => arithmetic::integer(size),
            Self::Half => arithmetic::half(size),
            Self::Memory => movement::copy(size, adapter),
        }
    }
}

/// Largest size of a program: 5 * 10^14 operations, below what the format lets a slice declare.
const LARGEST_SIZE: u32 = 1 << 18;

/// The size with which a run takes about `target`, after a run of `size` took `took`; `None` when that is near enough
/// (from half to twice the target) or cannot be had. Grows at most 64-fold: a short run is mostly its own overhead.
pub fn resized(size: u32, took: Duration, target: Duration) -> Option<u32> {
    let factor = target.as_secs_f64() / took.as_secs_f64().max(1e-6);
    if (0.5..=2.0).contains(&factor) {
        return None;
    }
    // Positive and bounded by the clamp.
    let wanted = (f64::from(size) * factor.min(64.0)).round() as u32;
    let wanted = wanted.clamp(1, LARGEST_SIZE);
    (wanted != size).then_some(wanted)
}

/// A program with everything that one run needs.
#[derive(Debug, Clone)]
pub struct BenchmarkProgram {
    /// Stable short name.
    pub name: &'static str,
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
    answer: Answer,
}

/// What the output must be, over and over until its end.
#[derive(Debug, Clone)]
enum Answer {
    /// Bit for bit.
    Exact(Vec<u32>),
    /// Floats within a part in a thousand: a card may fuse a multiply-add or not.
    Near(Vec<f64>),
}

impl BenchmarkProgram {
    /// 10^9 operations or bytes per second for a run that took so long.
    pub fn rate(&self, took: Duration) -> f64 {
        self.count_per_run as f64 / took.as_secs_f64().max(1e-6) / 1e9
    }

    /// Whether an output is that of work really done. Every word of it is looked at.
    pub fn is_right(&self, output: &[u8]) -> bool {
        output.len() as u64 == self.program.output_bytes()
            && match &self.answer {
                Answer::Exact(words) => {
                    words_of(output).eq(words.iter().copied().cycle().take(output.len() / 4))
                }
                Answer::Near(values) => {
                    words_of(output).zip(values.iter().cycle()).all(|(bits, expected)| {
                        // A value that is not a number compares as false.
                        (f64::from(f32::from_bits(bits)) - expected).abs() <= 1e-3 * expected
                    })
                }
            }
    }
}

/// A manifest's head and counts round its kernels, buffers and stages.
fn program(
    title: &str,
    source: &str,
    kernels: Vec<Kernel>,
    buffers: Vec<Buffer>,
    stages: Vec<Stage>,
    operations: u64,
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
        cost: Cost { operations, memory_bytes, max_millis: 60_000 },
        validator: Validator::Bitwise,
    }
}

fn kernel(entry: &str, workgroup: u32) -> Kernel {
    Kernel { module: 0, entry: entry.to_owned(), workgroup: [workgroup, 1, 1] }
}

fn buffer(name: &str, role: Role, bytes: u32) -> Buffer {
    Buffer { name: name.to_owned(), role, bytes }
}

#[cfg(test)]
mod tests;
