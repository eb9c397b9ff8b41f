//! Products of integer matrices: signed bytes times signed bytes, summed in 32 bits, as in a quantised neural network.
//!
//! This module owns the shape of a block and its program; the parts below it check a product without multiplying
//! ([`holds()`]), give the same bits on a processor ([`reference()`]), package two matrices ([`package()`]) and put the
//! blocks together ([`Blocks`]). Runs no WGSL itself.
//!
//! The product is cut into blocks: some rows of the left matrix by some columns of the right one. A slice is one block;
//! its inputs are these rows and columns, its result is the block. Results are checked by Freivalds' method, which costs a
//! fraction of the work: `jobs` offers the check, the coordinator draws the secret for it.

use protocol::id::Hash;
use protocol::manifest::{
    Buffer, Cost, Family, Kernel, MAX_MATRIX_SIDE, MAX_OUTPUT_BYTES, Module, Program, Role, Stage, Validator,
};
use serde::{Deserialize, Serialize};

mod blocks;
mod check;
mod native;
mod package;

pub use blocks::{Blocks, BlocksError};
pub use check::holds;
pub use native::reference;
pub use package::{Matrices, Options, PackageError, package};

/// Rows and columns of a block are multiples of this many.
pub const TILE: u32 = 16;
/// The inner side is a multiple of this many bytes: one step of the kernel.
pub const STEP: u32 = 64;
/// Steps of one repeat at most: 256 additions per invocation, so that pieces stay short.
const MAX_STEPS_PER_REPEAT: u32 = 16;
/// Random vectors per check: one lets a wrong block pass with a chance of 2^-61.
pub const ROUNDS: u8 = 1;

const MULTIPLY: &str = include_str!("product/multiply.wgsl");

/// The geometry that all blocks of a product share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Rows of a block; a multiple of [`TILE`].
    pub rows: u32,
    /// Columns of the left matrix and rows of the right one; a multiple of [`STEP`].
    pub inner: u32,
    /// Columns of a block; a multiple of [`TILE`].
    pub columns: u32,
}

impl Shape {
    /// A shape, or `None` when a number is outside its bounds.
    pub fn new(rows: u32, inner: u32, columns: u32) -> Option<Self> {
        let shape = Self { rows, inner, columns };
        let side =
            |side: u32, step: u32| (step..=MAX_MATRIX_SIDE).contains(&side) && side.is_multiple_of(step);
        let sides = side(rows, TILE) && side(inner, STEP) && side(columns, TILE);
        let fits = |bytes: u64, most: u64| bytes <= most;
        // An input of a slice is a part of a blob, and a blob has at most the size of a buffer.
        let input = u64::from(protocol::manifest::MAX_BUFFER_BYTES);
        (sides
            && fits(u64::from(rows) * u64::from(inner), input)
            && fits(u64::from(columns) * u64::from(inner), input)
            && fits(u64::from(rows) * u64::from(columns) * 4, MAX_OUTPUT_BYTES))
        .then_some(shape)
    }

    /// Bytes of the rows of the left matrix in a block.
    pub fn left_bytes(&self) -> u32 {
        self.rows * self.inner
    }

    /// Bytes of the columns of the right matrix in a block.
    pub fn right_bytes(&self) -> u32 {
        self.columns * self.inner
    }

    /// Bytes of a block of the product.
    pub fn output_bytes(&self) -> u32 {
        self.rows * self.columns * 4
    }

    fn steps_per_repeat(&self) -> u32 {
        let steps = self.inner / STEP;
        (1..=MAX_STEPS_PER_REPEAT).rev().find(|each| steps.is_multiple_of(*each)).unwrap_or(1)
    }

    /// The WGSL modules for this shape. The numbers are constants of the source, so that loops have known bounds and
    /// no division can meet a zero.
    pub fn sources(&self) -> Vec<String> {
        vec![format!(
            "const WORDS: u32 = {}u;\nconst COLUMNS: u32 = {}u;\nconst TILES_ACROSS: u32 = {}u;\n\
             const STEPS_PER_REPEAT: u32 = {}u;\n\n{MULTIPLY}",
            self.inner / 4,
            self.columns,
            self.columns / TILE,
            self.steps_per_repeat(),
        )]
    }

    /// The program that computes one block of this shape.
    pub fn program(&self, title: &str, purpose: &str) -> Program {
        let module =
            |source: &String| Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 };
        let buffer = |name: &str, role, bytes| Buffer { name: name.to_owned(), role, bytes };
        let buffers = vec![
            buffer("left", Role::Input, self.left_bytes()),
            buffer("right", Role::Input, self.right_bytes()),
            buffer("sums", Role::Output, self.output_bytes()),
        ];
        let memory_bytes = buffers.iter().map(|b| u64::from(b.bytes)).sum();
        let operations = 2 * u64::from(self.rows) * u64::from(self.inner) * u64::from(self.columns);
        Program {
            format: 1,
            title: title.to_owned(),
            purpose: purpose.to_owned(),
            family: Family::MatrixProduct,
            modules: self.sources().iter().map(module).collect(),
            kernels: vec![Kernel { module: 0, entry: "multiply".to_owned(), workgroup: [TILE, TILE, 1] }],
            buffers,
            stages: vec![Stage {
                kernel: 0,
                bindings: vec![0, 1, 2],
                groups: (self.rows / TILE) * (self.columns / TILE),
                repeat: self.inner / STEP / self.steps_per_repeat(),
            }],
            features: Vec::new(),
            cost: Cost {
                operations,
                memory_bytes,
                // A software driver does more than 0.1 G of these operations in a second; a tenth of that is given up.
                max_millis: u32::try_from(10_000 + operations / 10_000).unwrap_or(u32::MAX).min(600_000),
            },
            validator: Validator::Freivalds {
                rounds: ROUNDS,
                rows: self.rows,
                inner: self.inner,
                columns: self.columns,
            },
        }
    }
}
