//! The params of a slice: which tile of which image, seen from where.
//!
//! On the contributor's side these words come from outside: [`TileHead::from_words`] bounds them all.

use super::Shape;

/// Which image a tile belongs to, as drawn by whoever ordered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub [u32; 4]);

/// Where the room is seen from; three fixed-point numbers of 16 fractional bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Camera {
    /// The eye; x to the right, y up, z towards the viewer.
    pub eye: [i32; 3],
    /// From the middle of the picture to its right edge, at the distance of `forward`.
    pub right: [i32; 3],
    /// From the middle of the picture to its upper edge, at the distance of `forward`.
    pub up: [i32; 3],
    /// From the eye to the middle of the picture.
    pub forward: [i32; 3],
}

/// Eight times one: no vector of a camera is longer along an axis.
const FARTHEST: u32 = 8 << 16;

impl Camera {
    /// A camera at `eye` that looks at `target`, in units of the room. `tangent` is half the picture's width at the distance
    /// 1, `aspect` its width by its height.
    pub fn looking(eye: [f64; 3], target: [f64; 3], tangent: f64, aspect: f64) -> Self {
        let unit = |v: [f64; 3]| {
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.map(|x| x / length)
        };
        let cross = |a: [f64; 3], b: [f64; 3]| {
            [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        };
        let forward = unit(std::array::from_fn(|axis| target[axis] - eye[axis]));
        let right = unit(cross(forward, [0.0, 1.0, 0.0]));
        let up = cross(right, forward);
        // A cast from float saturates; `from_words` refuses what is out of the room.
        let fixed = |v: [f64; 3], by: f64| v.map(|x| (x * by * 65_536.0).round() as i32);
        Self {
            eye: fixed(eye, 1.0),
            right: fixed(right, tangent),
            up: fixed(up, tangent / aspect),
            forward: fixed(forward, 1.0),
        }
    }

    /// Eye, right, up and forward.
    pub(super) fn vectors(&self) -> [[i32; 3]; 4] {
        [self.eye, self.right, self.up, self.forward]
    }
}

/// What a slice tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileHead {
    /// Which image it is a tile of.
    pub image: ImageId,
    /// Geometry of the image.
    pub shape: Shape,
    /// First column of the tile in the image.
    pub left: u32,
    /// First row of the tile in the image.
    pub top: u32,
    /// From which the random numbers of every path follow.
    pub seed: u32,
    /// Where it is seen from.
    pub camera: Camera,
}

/// Params or an input that are not those of a tile, or out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the params, the scene or the pixels are not those of a tile of an image")]
pub struct HeadError;

impl TileHead {
    /// Number of params.
    pub const WORDS: usize = 24;

    /// The params of a slice. The kernels read words 6, 7 and from 11 on.
    pub fn to_words(&self) -> Vec<u32> {
        let (width, height) = self.shape.tile();
        let mut words = self.image.0.to_vec();
        words.extend([self.shape.width, self.shape.height, self.left, self.top]);
        words.extend([width, height, self.shape.samples, self.seed]);
        words.extend(self.camera.vectors().iter().flatten().map(|&number| number as u32));
        words
    }

    /// Reads params that may come from anywhere.
    ///
    /// # Errors
    /// [`HeadError`] when a word is out of bounds: a tile always lies on the grid of its image.
    pub fn from_words(words: &[u32]) -> Result<Self, HeadError> {
        let words: &[u32; Self::WORDS] = words.try_into().map_err(|_| HeadError)?;
        let shape = Shape::new(words[4], words[5], words[10]).ok_or(HeadError)?;
        let vector = |at: usize| [words[at] as i32, words[at + 1] as i32, words[at + 2] as i32];
        let head = Self {
            image: ImageId([words[0], words[1], words[2], words[3]]),
            shape,
            left: words[6],
            top: words[7],
            seed: words[11],
            camera: Camera { eye: vector(12), right: vector(15), up: vector(18), forward: vector(21) },
        };
        let (width, height) = shape.tile();
        let on_grid = head.left < shape.width
            && head.top < shape.height
            && head.left.is_multiple_of(width)
            && head.top.is_multiple_of(height);
        let near = head.camera.vectors().iter().flatten().all(|number| number.unsigned_abs() <= FARTHEST);
        if on_grid && near && (words[8], words[9]) == (width, height) { Ok(head) } else { Err(HeadError) }
    }

    /// Place of the tile in its image, row by row.
    pub fn tile(&self) -> u32 {
        let (width, height) = self.shape.tile();
        self.top / height * (self.shape.width / width) + self.left / width
    }
}
