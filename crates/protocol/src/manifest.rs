//! The job package: what a publisher submits. A package is data: WGSL modules, buffers, and this manifest.
//!
//! A [`Program`] says how one slice is computed and is all that a contributor gets to know of a job. The [`Manifest`]
//! adds what only publisher and coordinator know: the units, which slice belongs to which, the price and the
//! conformance vectors. [`Program::check`] and [`Manifest::check`] bound every count and product before anything is
//! allocated or compiled; WGSL itself is read by the worker alone.

use serde::{Deserialize, Serialize};

use crate::id::{Hash, PublisherId};
use crate::sign::Message;
use crate::units::BaseUnits;

/// Slices per work unit (DESIGN.md §8).
pub const SLICES_PER_UNIT: usize = 64;
/// Conformance vectors that a package needs at least.
pub const MIN_VECTORS: usize = 8;
/// Largest WGSL module in bytes.
pub const MAX_MODULE_BYTES: u32 = 64 * 1024;
/// Largest single buffer in bytes: the smallest storage binding limit of a supported driver (128 MiB).
pub const MAX_BUFFER_BYTES: u32 = 128 * 1024 * 1024;
/// Largest sum of the buffers of one slice in bytes.
pub const MAX_SLICE_BYTES: u64 = 1024 * 1024 * 1024;
/// Largest output of one slice in bytes.
pub const MAX_OUTPUT_BYTES: u64 = 4 * 1024 * 1024;

/// Largest tolerance in 10^-9: a part in two.
pub const MAX_TOLERANCE_NANO: u64 = 500_000_000;
/// Longest side of a matrix whose product is checked: 127 * 127 * 2^16 still fits an i32.
pub const MAX_MATRIX_SIDE: u32 = 1 << 16;

/// How one slice is computed. Signed by its publisher; addressed by the BLAKE3 hash of its canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Format number of job packages: 1.
    pub format: u16,
    /// Short name for people, for example "Signal search".
    pub title: String,
    /// One sentence: what it is for and for whom.
    pub purpose: String,
    /// Which picture the app may draw from the outputs.
    pub family: Family,
    /// WGSL sources by content address.
    pub modules: Vec<Module>,
    /// Entry points.
    pub kernels: Vec<Kernel>,
    /// Every buffer of a slice; `bindings` of a stage point into this list.
    pub buffers: Vec<Buffer>,
    /// Dispatches of one slice, in order.
    pub stages: Vec<Stage>,
    /// What the device must offer beyond the core of WGSL; most programs need nothing.
    pub features: Vec<Feature>,
    /// What one slice may use at most.
    pub cost: Cost,
    /// How results are compared.
    pub validator: Validator,
}

/// What kind of work it is; the app has a picture for some kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Doppler-drift search in a filterbank recording.
    SignalSearch,
    /// Measurement of the graphics card.
    Benchmark,
    /// Known-answer test of a driver.
    Conformance,
    /// Tiles of an image, which grows as slices are done.
    Rendering,
    /// Product of two integer matrices.
    MatrixProduct,
    /// Anything else: no picture.
    Other,
}

/// What a program may ask of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// 16-bit floats in kernels (`enable f16;`). Never together with [`Validator::Bitwise`].
    F16,
}

/// A WGSL source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// BLAKE3 hash of the source text.
    pub blob: Hash,
    /// Its length in bytes.
    pub bytes: u32,
}

/// One compute entry point of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Index into [`Program::modules`].
    pub module: u16,
    /// Name of the `@compute` function.
    pub entry: String,
    /// Declared workgroup size; must equal the source's.
    pub workgroup: [u32; 3],
}

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Filled from the slice's inputs, read-only in kernels. The n-th input buffer takes the slice's n-th input.
    Input,
    /// Filled from the slice's `params` (u32, little endian), read-only in kernels. At most one.
    Params,
    /// Zero at the start of a slice, kept between stages, part of a checkpoint.
    State,
    /// Zero at the start of a slice, part of a checkpoint; all outputs in order are the slice's result.
    Output,
}

/// A storage buffer of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// Name for error messages.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Size in bytes, a multiple of 4.
    pub bytes: u32,
}

/// One dispatch, cut by the worker into pieces along its groups and repeats.
///
/// Every kernel sees at `@group(0) @binding(0)` a `var<uniform> piece: vec4<u32>` with
/// (first group of this piece, repeat index, number of groups, 0), and its buffers at bindings 1, 2, ... in the order
/// of `bindings`. The group index is `piece.x + workgroup_id.x`. Groups of one repeat must not depend on each other;
/// repeats run in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Index into [`Program::kernels`].
    pub kernel: u16,
    /// Indices into [`Program::buffers`].
    pub bindings: Vec<u16>,
    /// Workgroups along x.
    pub groups: u32,
    /// How often the grid runs, each time with the next repeat index.
    pub repeat: u32,
}

/// Declared upper bounds of one slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Integer or float operations, for pricing and progress.
    pub operations: u64,
    /// Device memory in bytes: at least all buffers together.
    pub memory_bytes: u64,
    /// Longest time on the reference card, after which the slice is given up, in milliseconds.
    pub max_millis: u32,
}

/// How two executions of a slice are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validator {
    /// Equal bytes. Only for the integer subset of WGSL.
    Bitwise,
    /// Values compared element by element as f32; bounds in units of 10^-9 so that the manifest has no floats.
    Tolerance {
        /// Largest absolute difference, 10^-9.
        abs_nano: u64,
        /// Largest relative difference, 10^-9.
        rel_nano: u64,
        /// Largest root-mean-square difference over the output, 10^-9.
        rms_nano: u64,
    },
    /// The output is the product of two integer matrices and is checked by multiplying with random vectors modulo
    /// 2^61 - 1 (Freivalds 1977), which costs the verifier a fraction 1/n of the work. The first input holds the left
    /// matrix, the second the right one transposed, both row by row as signed bytes; the output holds i32 row by row.
    Freivalds {
        /// Random vectors per check; each one lets a wrong product pass with a chance of 2^-61.
        rounds: u8,
        /// Rows of the left matrix and of the product.
        rows: u32,
        /// Columns of the left matrix and rows of the right one.
        inner: u32,
        /// Columns of the right matrix and of the product.
        columns: u32,
    },
}

/// A whole job. Signed by its publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Who pays.
    pub publisher: PublisherId,
    /// Content address of the canonical bytes of the program's signed envelope.
    pub program: Hash,
    /// The program itself, as signed.
    pub body: Program,
    /// The work units; each has [`SLICES_PER_UNIT`] slices.
    pub units: Vec<UnitPlan>,
    /// What one accepted slice pays the contributor.
    pub price_per_slice: BaseUnits,
    /// Known answers from the CPU reference.
    pub vectors: Vec<Vector>,
    /// Text for the reader of the results, for example the noise figures of a recording; never read by a contributor.
    pub notes: String,
}

/// The slices of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPlan {
    /// Exactly [`SLICES_PER_UNIT`].
    pub slices: Vec<SlicePlan>,
}

/// Inputs of one slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlicePlan {
    /// One per input buffer of the program, in order.
    pub inputs: Vec<InputRange>,
    /// Values of the params buffer; as many as it holds.
    pub params: Vec<u32>,
}

/// Bytes of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRange {
    /// Content address of the whole blob.
    pub blob: Hash,
    /// First byte.
    pub offset_bytes: u64,
    /// Length; equals the size of the input buffer.
    pub bytes: u32,
}

/// A known answer: this slice of this unit gives an output with this hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// Index of the unit.
    pub unit: u32,
    /// Index of the slice in the unit.
    pub slice: u32,
    /// BLAKE3 hash of the output.
    pub digest: Hash,
}

impl Message for Program {
    const TYPE: &'static str = "program";
    const MAX_BYTES: usize = 64 * 1024;
}

impl Message for Manifest {
    const TYPE: &'static str = "manifest";
    const MAX_BYTES: usize = 64 * 1024 * 1024;
}

/// Why a package is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Written for another version of the format.
    #[error("job format {found} is not supported, this program reads 1")]
    Format {
        /// The number found.
        found: u16,
    },
    /// A count or size outside its bounds.
    #[error("{what} is {found}, allowed are {min} to {max}")]
    OutOfBounds {
        /// What was counted.
        what: &'static str,
        /// What was found.
        found: u64,
        /// Smallest allowed value.
        min: u64,
        /// Largest allowed value.
        max: u64,
    },
    /// An index that points to nothing.
    #[error("{what} {index} does not exist")]
    NoSuch {
        /// What the index points to.
        what: &'static str,
        /// The index.
        index: u64,
    },
    /// Two declarations that contradict each other.
    #[error("{0}")]
    Inconsistent(&'static str),
}

fn bounded(what: &'static str, found: u64, min: u64, max: u64) -> Result<(), CheckError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(CheckError::OutOfBounds { what, found, min, max }) }
}

impl Program {
    /// Checks every count, size and index; WGSL is not read.
    ///
    /// # Errors
    /// The first [`CheckError`] met.
    pub fn check(&self) -> Result<(), CheckError> {
        if self.format != 1 {
            return Err(CheckError::Format { found: self.format });
        }
        bounded("length of the title", self.title.len() as u64, 1, 80)?;
        bounded("length of the purpose", self.purpose.len() as u64, 1, 400)?;
        bounded("number of modules", self.modules.len() as u64, 1, 16)?;
        bounded("number of kernels", self.kernels.len() as u64, 1, 32)?;
        bounded("number of buffers", self.buffers.len() as u64, 1, 32)?;
        bounded("number of stages", self.stages.len() as u64, 1, 64)?;
        for module in &self.modules {
            bounded("size of a module", module.bytes.into(), 1, MAX_MODULE_BYTES.into())?;
        }
        for kernel in &self.kernels {
            if usize::from(kernel.module) >= self.modules.len() {
                return Err(CheckError::NoSuch { what: "module", index: kernel.module.into() });
            }
            bounded("length of an entry name", kernel.entry.len() as u64, 1, 64)?;
            let threads = kernel.workgroup.iter().map(|&n| u64::from(n)).try_fold(1u64, u64::checked_mul);
            bounded("threads of a workgroup", threads.unwrap_or(u64::MAX), 1, 256)?;
        }
        for buffer in &self.buffers {
            bounded("length of a buffer name", buffer.name.len() as u64, 1, 64)?;
            bounded("size of a buffer", buffer.bytes.into(), 4, MAX_BUFFER_BYTES.into())?;
            if !buffer.bytes.is_multiple_of(4) {
                return Err(CheckError::Inconsistent("the size of a buffer is not a multiple of 4"));
            }
        }
        bounded("size of all buffers", self.slice_bytes(), 4, MAX_SLICE_BYTES)?;
        bounded("size of the output", self.output_bytes(), 4, MAX_OUTPUT_BYTES)?;
        if self.buffers.iter().filter(|b| b.role == Role::Params).count() > 1 {
            return Err(CheckError::Inconsistent("more than one params buffer"));
        }
        for stage in &self.stages {
            if usize::from(stage.kernel) >= self.kernels.len() {
                return Err(CheckError::NoSuch { what: "kernel", index: stage.kernel.into() });
            }
            bounded("bindings of a stage", stage.bindings.len() as u64, 1, 7)?;
            for (i, &binding) in stage.bindings.iter().enumerate() {
                if usize::from(binding) >= self.buffers.len() {
                    return Err(CheckError::NoSuch { what: "buffer", index: binding.into() });
                }
                if stage.bindings[..i].contains(&binding) {
                    return Err(CheckError::Inconsistent("a stage binds the same buffer twice"));
                }
            }
            bounded("groups of a stage", stage.groups.into(), 1, 1 << 24)?;
            bounded("repeats of a stage", stage.repeat.into(), 1, 1 << 20)?;
        }
        bounded("number of features", self.features.len() as u64, 0, 8)?;
        if !self.features.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(CheckError::Inconsistent("the features are not in order, or one stands twice"));
        }
        if self.features.contains(&Feature::F16) && self.validator == Validator::Bitwise {
            return Err(CheckError::Inconsistent("16-bit floats cannot be compared bit by bit"));
        }
        self.check_validator()?;
        bounded("declared operations", self.cost.operations, 1, 1 << 50)?;
        bounded("declared memory", self.cost.memory_bytes, self.slice_bytes(), MAX_SLICE_BYTES)?;
        bounded("declared milliseconds", self.cost.max_millis.into(), 1, 600_000)?;
        Ok(())
    }

    fn check_validator(&self) -> Result<(), CheckError> {
        match self.validator {
            Validator::Bitwise => Ok(()),
            Validator::Tolerance { abs_nano, rel_nano, rms_nano } => {
                // Bounds of 1 and more accept anything, also the lazy answer zero.
                for (what, nano) in [
                    ("absolute tolerance in 10^-9", abs_nano),
                    ("relative tolerance in 10^-9", rel_nano),
                    ("root-mean-square tolerance in 10^-9", rms_nano),
                ] {
                    bounded(what, nano, 0, MAX_TOLERANCE_NANO)?;
                }
                Ok(())
            }
            Validator::Freivalds { rounds, rows, inner, columns } => {
                bounded("rounds of the check", rounds.into(), 1, 8)?;
                for (what, side) in [("rows", rows), ("inner side", inner), ("columns", columns)] {
                    bounded(what, side.into(), 4, MAX_MATRIX_SIDE.into())?;
                }
                let inputs: Vec<u64> = self.input_buffers().map(|b| b.bytes.into()).collect();
                let (rows, inner, columns) = (u64::from(rows), u64::from(inner), u64::from(columns));
                if inputs != [rows * inner, columns * inner] || self.output_bytes() != 4 * rows * columns {
                    return Err(CheckError::Inconsistent(
                        "the buffers are not those of the declared matrices",
                    ));
                }
                Ok(())
            }
        }
    }

    /// Bytes of all buffers of one slice.
    pub fn slice_bytes(&self) -> u64 {
        self.buffers.iter().map(|b| u64::from(b.bytes)).sum()
    }

    /// Bytes of one slice's result: all output buffers in order.
    pub fn output_bytes(&self) -> u64 {
        self.buffers.iter().filter(|b| b.role == Role::Output).map(|b| u64::from(b.bytes)).sum()
    }

    /// The input buffers in order.
    pub fn input_buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.buffers.iter().filter(|b| b.role == Role::Input)
    }

    /// Values that a slice's params must have.
    pub fn params_len(&self) -> usize {
        self.buffers.iter().filter(|b| b.role == Role::Params).map(|b| b.bytes as usize / 4).sum()
    }

    /// Checks that a slice's inputs and params fit the buffers.
    ///
    /// # Errors
    /// [`CheckError::Inconsistent`] naming what does not fit.
    pub fn check_slice(&self, plan: &SlicePlan) -> Result<(), CheckError> {
        if plan.inputs.len() != self.input_buffers().count() {
            return Err(CheckError::Inconsistent("a slice has another number of inputs than the program"));
        }
        for (input, buffer) in plan.inputs.iter().zip(self.input_buffers()) {
            if input.bytes != buffer.bytes {
                return Err(CheckError::Inconsistent("an input has another size than its buffer"));
            }
            if input.offset_bytes.checked_add(input.bytes.into()).is_none() {
                return Err(CheckError::Inconsistent("an input range passes the end of the numbers"));
            }
        }
        if plan.params.len() != self.params_len() {
            return Err(CheckError::Inconsistent("a slice has another number of params than the program"));
        }
        Ok(())
    }
}

impl Manifest {
    /// Checks the program, every slice plan and the vectors.
    ///
    /// # Errors
    /// The first [`CheckError`] met.
    pub fn check(&self) -> Result<(), CheckError> {
        self.body.check()?;
        bounded("number of units", self.units.len() as u64, 1, 4096)?;
        bounded("length of the notes", self.notes.len() as u64, 0, 64 * 1024)?;
        for unit in &self.units {
            let n = SLICES_PER_UNIT as u64;
            bounded("slices of a unit", unit.slices.len() as u64, n, n)?;
            for slice in &unit.slices {
                self.body.check_slice(slice)?;
            }
        }
        bounded("number of conformance vectors", self.vectors.len() as u64, MIN_VECTORS as u64, 1024)?;
        for vector in &self.vectors {
            if vector.unit as usize >= self.units.len() {
                return Err(CheckError::NoSuch { what: "unit", index: vector.unit.into() });
            }
            if vector.slice as usize >= SLICES_PER_UNIT {
                return Err(CheckError::NoSuch { what: "slice", index: vector.slice.into() });
            }
        }
        let slices = self.units.len() as u64 * SLICES_PER_UNIT as u64;
        if self.price_per_slice.checked_mul(slices).is_none() {
            return Err(CheckError::Inconsistent("the price of the whole job passes the end of the numbers"));
        }
        Ok(())
    }
}
