//! From the results of slices to the image: what the publisher of a picture wants to have.

use protocol::manifest::{Family, Manifest};

use super::head::{HeadError, TileHead};
use super::package::Notes;

/// Why a manifest's results cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MosaicError {
    /// Another kind of job.
    #[error("the job is not a rendering")]
    NotARendering,
    /// Notes that this program did not write.
    #[error("the notes of the job cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// A slice that the job does not have, or a result of another size.
    #[error("a result is not that of a tile of this image")]
    Tile(#[from] HeadError),
}

/// An image that grows tile by tile, in any order.
#[derive(Debug, Clone)]
pub struct Mosaic<'a> {
    manifest: &'a Manifest,
    notes: Notes,
    rgba: Vec<u8>,
    done: Vec<bool>,
}

impl<'a> Mosaic<'a> {
    /// No results yet of the job `manifest`.
    ///
    /// # Errors
    /// [`MosaicError`] when it is no rendering of this format.
    pub fn new(manifest: &'a Manifest) -> Result<Self, MosaicError> {
        if manifest.body.family != Family::Rendering {
            return Err(MosaicError::NotARendering);
        }
        let notes: Notes = serde_json::from_str(&manifest.notes)?;
        let super::Shape { width, height, samples } = notes.shape;
        let shape = super::Shape::new(width, height, samples).ok_or(HeadError)?;
        let rgba = vec![0; shape.width as usize * shape.height as usize * 4];
        Ok(Self { manifest, notes, rgba, done: vec![false; shape.tiles() as usize] })
    }

    /// Puts the result of a slice in its place.
    ///
    /// # Errors
    /// [`MosaicError::Tile`] when there is no such slice or its result has another size.
    pub fn add(&mut self, unit: u32, slice: u32, output: &[u8]) -> Result<(), MosaicError> {
        let plan = self.manifest.units.get(unit as usize).and_then(|unit| unit.slices.get(slice as usize));
        let head = TileHead::from_words(&plan.ok_or(HeadError)?.params)?;
        let shape = self.notes.shape;
        if head.shape != shape || output.len() != shape.output_bytes() as usize {
            return Err(HeadError.into());
        }
        let row_bytes = shape.tile().0 as usize * 4;
        for (row, pixels) in (head.top as usize..).zip(output.chunks_exact(row_bytes)) {
            let at = (row * shape.width as usize + head.left as usize) * 4;
            self.rgba[at..][..row_bytes].copy_from_slice(pixels);
        }
        self.done[head.tile() as usize] = true;
        Ok(())
    }

    /// Tiles that are there, and all tiles.
    pub fn progress(&self) -> (usize, usize) {
        (self.done.iter().filter(|&&done| done).count(), self.done.len())
    }

    /// Width, height, and red, green, blue and opacity of each pixel, row by row; what is missing is transparent.
    pub fn image(&self) -> (u32, u32, &[u8]) {
        (self.notes.shape.width, self.notes.shape.height, &self.rgba)
    }
}
