//! PURE: a small copy of an image that grows while its tiles are computed, for the window of the home that computes them.
//!
//! A home gets tiles of one image in several bundles, mixed with audits. All of it comes from outside, so a canvas has a
//! size of its own whatever the image claims to be, and takes only tiles of its own image.

use super::Shape;
use super::head::{HeadError, ImageId, TileHead};

/// Longest side of a canvas in pixels.
const MAX_VIEW: u32 = 256;

/// What is there of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    image: ImageId,
    shape: Shape,
    /// Pixels of the image across one of the canvas.
    step: u32,
    rgba: Vec<u8>,
    done: Vec<bool>,
}

impl Canvas {
    /// An empty canvas for the image that the tile `head` belongs to.
    pub fn new(head: &TileHead) -> Self {
        let shape = head.shape;
        let step = shape.width.max(shape.height).div_ceil(MAX_VIEW);
        let pixels = (shape.width.div_ceil(step) * shape.height.div_ceil(step)) as usize;
        Self {
            image: head.image,
            shape,
            step,
            rgba: vec![0; pixels * 4],
            done: vec![false; shape.tiles() as usize],
        }
    }

    /// Which image it shows.
    pub fn image(&self) -> ImageId {
        self.image
    }

    /// Draws a finished tile: each pixel of the canvas becomes the mean of what the tile has of it.
    ///
    /// # Errors
    /// [`HeadError`] for a tile of another image or of another geometry, and for an output of another size.
    pub fn draw(&mut self, head: &TileHead, output: &[u8]) -> Result<(), HeadError> {
        let shape = self.shape;
        if head.image != self.image || head.shape != shape || output.len() != shape.output_bytes() as usize {
            return Err(HeadError);
        }
        let (width, height) = shape.tile();
        let columns = self.width() as usize;
        let pixels: &[[u8; 4]] = output.as_chunks().0;
        // A pixel of the canvas that two tiles share belongs to the one that holds its first column and row.
        for down in (0..height).filter(|down| (head.top + down).is_multiple_of(self.step)) {
            for across in (0..width).filter(|across| (head.left + across).is_multiple_of(self.step)) {
                let mut sums = [0_u32; 3];
                let (until_down, until_across) =
                    ((down + self.step).min(height), (across + self.step).min(width));
                for row in down..until_down {
                    for column in across..until_across {
                        let pixel = pixels[(row * width + column) as usize];
                        for (sum, channel) in sums.iter_mut().zip(pixel) {
                            *sum += u32::from(channel);
                        }
                    }
                }
                let count = (until_down - down) * (until_across - across);
                let [red, green, blue] = sums.map(|sum| ((sum + count / 2) / count) as u8);
                let (row, column) = ((head.top + down) / self.step, (head.left + across) / self.step);
                let at = (row as usize * columns + column as usize) * 4;
                self.rgba[at..at + 4].copy_from_slice(&[red, green, blue, 255]);
            }
        }
        self.done[head.tile() as usize] = true;
        Ok(())
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.shape.width.div_ceil(self.step)
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.shape.height.div_ceil(self.step)
    }

    /// Red, green, blue and opacity of each pixel, row by row; what is missing is transparent.
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// Tiles of the image that are drawn, and all its tiles.
    pub fn tiles(&self) -> (u32, u32) {
        (self.done.iter().filter(|&&done| done).count() as u32, self.done.len() as u32)
    }

    /// Width and height of the image itself.
    pub fn image_size(&self) -> (u32, u32) {
        (self.shape.width, self.shape.height)
    }
}
