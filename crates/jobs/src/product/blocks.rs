//! From the results of slices to the product: what the publisher of two matrices wants to have.

use protocol::manifest::{Family, Manifest, SLICES_PER_UNIT};

use super::package::Notes;
use crate::package::shuffled;

/// Why a manifest's results cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlocksError {
    /// Another kind of job.
    #[error("the job is not a matrix product")]
    NotAProduct,
    /// Notes that this program did not write.
    #[error("the notes of the job cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// Notes of another number of blocks than the job has slices.
    #[error("the notes of the job are not those of its slices")]
    Notes,
    /// A slice that the job does not have, or a result of another size.
    #[error("a result is not that of a block of this product")]
    Block,
}

/// A product that grows block by block, in any order.
#[derive(Debug, Clone)]
pub struct Blocks {
    notes: Notes,
    /// Block of each slice, unit after unit.
    order: Vec<u32>,
    cells: Vec<u8>,
    done: Vec<bool>,
}

impl Blocks {
    /// No results yet of the job `manifest`.
    ///
    /// # Errors
    /// [`BlocksError`] when it is no matrix product of this format.
    pub fn new(manifest: &Manifest) -> Result<Self, BlocksError> {
        if manifest.body.family != Family::MatrixProduct {
            return Err(BlocksError::NotAProduct);
        }
        let notes: Notes = serde_json::from_str(&manifest.notes)?;
        let slices = manifest.units.len() * SLICES_PER_UNIT;
        let (rows, columns) = (notes.shape.rows.max(1), notes.shape.columns.max(1));
        let whole = notes.rows.is_multiple_of(rows) && notes.columns.is_multiple_of(columns);
        let blocks = u64::from(notes.rows / rows) * u64::from(notes.columns / columns);
        if !whole || blocks != slices as u64 {
            return Err(BlocksError::Notes);
        }
        let order = shuffled(slices as u32, &notes.order_seed);
        let cells = vec![0; notes.rows as usize * notes.columns as usize * 4];
        Ok(Self { notes, order, cells, done: vec![false; slices] })
    }

    /// Puts the result of a slice in its place.
    ///
    /// # Errors
    /// [`BlocksError::Block`] when there is no such slice or its result has another size.
    pub fn add(&mut self, unit: u32, slice: u32, output: &[u8]) -> Result<(), BlocksError> {
        let at = (slice as usize) < SLICES_PER_UNIT;
        let index = unit as usize * SLICES_PER_UNIT + slice as usize;
        let block = at.then(|| self.order.get(index)).flatten().ok_or(BlocksError::Block)?;
        let shape = self.notes.shape;
        if output.len() != shape.output_bytes() as usize {
            return Err(BlocksError::Block);
        }
        let across = self.notes.columns / shape.columns;
        let top = (block / across * shape.rows) as usize;
        let left = (block % across * shape.columns) as usize;
        let row_bytes = shape.columns as usize * 4;
        for (row, cells) in (top..).zip(output.chunks_exact(row_bytes)) {
            let at = (row * self.notes.columns as usize + left) * 4;
            self.cells[at..][..row_bytes].copy_from_slice(cells);
        }
        self.done[index] = true;
        Ok(())
    }

    /// Blocks that are there, and all blocks.
    pub fn progress(&self) -> (usize, usize) {
        (self.done.iter().filter(|&&done| done).count(), self.done.len())
    }

    /// The product row by row, i32 little endian; what is missing is 0.
    pub fn cells(&self) -> &[u8] {
        &self.cells
    }
}
