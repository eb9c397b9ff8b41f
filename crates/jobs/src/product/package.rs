//! From two matrices to a job: cut into bands of rows and columns, deal the blocks, compute the known answers.

use std::collections::BTreeMap;

use protocol::manifest::{CheckError, InputRange, SLICES_PER_UNIT, SlicePlan};
use protocol::units::BaseUnits;
use serde::{Deserialize, Serialize};

use super::{Shape, native};
use crate::blob;
use crate::package::{Package, deal, known_answers, shuffled};

/// Two matrices of signed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrices {
    /// Rows of the left matrix.
    pub rows: u32,
    /// Columns of the left matrix and rows of the right one.
    pub inner: u32,
    /// Columns of the right matrix.
    pub columns: u32,
    /// The left matrix row by row.
    pub left: Vec<u8>,
    /// The right matrix column by column.
    pub right_transposed: Vec<u8>,
}

impl Matrices {
    /// Matrices whose entries follow from `seed`, each of the 256 values with the same chance.
    pub fn from_seed(rows: u32, inner: u32, columns: u32, seed: u64) -> Self {
        let fill = |which: &str, bytes: usize| {
            let mut matrix = vec![0; bytes];
            blake3::Hasher::new_derive_key(which)
                .update(&seed.to_le_bytes())
                .finalize_xof()
                .fill(&mut matrix);
            matrix
        };
        let bytes = |height: u32, width: u32| height as usize * width as usize;
        Self {
            rows,
            inner,
            columns,
            left: fill("hearth jobs 2026 left matrix", bytes(rows, inner)),
            right_transposed: fill("hearth jobs 2026 right matrix", bytes(columns, inner)),
        }
    }
}

/// How two matrices are to be multiplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Title for people, 1 to 80 bytes.
    pub title: String,
    /// One sentence for people, 1 to 400 bytes: what it is for and for whom.
    pub purpose: String,
    /// Rows of a block.
    pub block_rows: u32,
    /// Columns of a block.
    pub block_columns: u32,
    /// What one accepted slice pays.
    pub price_per_slice: BaseUnits,
    /// Secret from which the order of slices is drawn. The same seed gives the same package.
    pub order_seed: [u8; 32],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: "Matrix product".to_owned(),
            purpose:
                "Multiplies two large matrices of small whole numbers, the main work of neural networks."
                    .to_owned(),
            block_rows: 128,
            block_columns: 128,
            price_per_slice: BaseUnits(1_000_000_000_000_000),
            order_seed: [0; 32],
        }
    }
}

/// What a reader of the results has to know; JSON in the manifest's notes, never shown to contributors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    pub(super) shape: Shape,
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// From which the order of the slices was drawn; the blocks themselves are counted row by row.
    pub(super) order_seed: [u8; 32],
}

impl Notes {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("numbers always have a JSON form")
    }
}

/// Why two matrices cannot be packaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A block outside the bounds.
    #[error(
        "blocks of {rows} by {columns} with {inner} terms cannot be used: sides of a block are multiples of 16 and the terms a multiple of 64, up to 65536, a block has at most 1048576 numbers"
    )]
    Block {
        /// Rows of a block.
        rows: u32,
        /// Terms of a sum.
        inner: u32,
        /// Columns of a block.
        columns: u32,
    },
    /// Blocks that do not fill the product, or a number of them that does not fill units.
    #[error("the product does not divide into blocks whose number is a multiple of 64")]
    Blocks,
    /// A matrix whose bytes are not its sides multiplied.
    #[error("a matrix has another size than its sides say")]
    Matrix,
    /// The finished job does not pass its own checks, for example a title that is too long.
    #[error("the finished package is refused")]
    Check(#[from] CheckError),
}

/// Packages the product of two matrices.
///
/// # Errors
/// [`PackageError`].
pub fn package(matrices: &Matrices, options: &Options) -> Result<Package, PackageError> {
    let (rows, inner, columns) = (options.block_rows, matrices.inner, options.block_columns);
    let shape = Shape::new(rows, inner, columns).ok_or(PackageError::Block { rows, inner, columns })?;
    let blocks = u64::from(matrices.rows / rows) * u64::from(matrices.columns / columns);
    let divides = matrices.rows.is_multiple_of(rows)
        && matrices.columns.is_multiple_of(columns)
        && blocks > 0
        && blocks.is_multiple_of(SLICES_PER_UNIT as u64)
        // As many units as a manifest takes.
        && blocks <= 4096 * SLICES_PER_UNIT as u64;
    if !divides {
        return Err(PackageError::Blocks);
    }
    let bytes = |height: u32| height as usize * inner as usize;
    if matrices.left.len() != bytes(matrices.rows)
        || matrices.right_transposed.len() != bytes(matrices.columns)
    {
        return Err(PackageError::Matrix);
    }
    let mut blobs = BTreeMap::new();
    let mut bands = |matrix: &[u8], band_bytes: u32| -> Vec<InputRange> {
        let bands = matrix.chunks_exact(band_bytes as usize);
        bands
            .map(|band| {
                let (hash, bytes) = blob(band.to_vec());
                blobs.insert(hash, bytes);
                InputRange { blob: hash, offset_bytes: 0, bytes: band_bytes }
            })
            .collect()
    };
    let left = bands(&matrices.left, shape.left_bytes());
    let right = bands(&matrices.right_transposed, shape.right_bytes());
    let across = right.len();
    let slices = shuffled(blocks as u32, &options.order_seed)
        .into_iter()
        .map(|block| {
            let (down, along) = (block as usize / across, block as usize % across);
            SlicePlan { inputs: vec![left[down].clone(), right[along].clone()], params: Vec::new() }
        })
        .collect();
    let units = deal(slices);
    let vectors = known_answers(&units, |plan| {
        native::reference(&shape, &blobs[&plan.inputs[0].blob], &blobs[&plan.inputs[1].blob])
            .ok_or(PackageError::Matrix)
    })?;
    let sources = shape.sources();
    blobs.extend(sources.iter().map(|source| blob(source.clone().into_bytes())));
    let notes =
        Notes { shape, rows: matrices.rows, columns: matrices.columns, order_seed: options.order_seed };
    let package = Package {
        program: shape.program(&options.title, &options.purpose),
        sources,
        units,
        vectors,
        notes: notes.write(),
        price_per_slice: options.price_per_slice,
        blobs: blobs.into_iter().collect(),
    };
    package.check()?;
    Ok(package)
}
