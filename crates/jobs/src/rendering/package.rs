//! From a wish for a picture to a job: place the spheres and the camera, cut into tiles, compute the known answers.
//!
//! Which tile belongs to which slice of which unit is drawn from a seed that only the publisher knows, so that the place of
//! a tile says nothing about which slices of a bundle belong to one unit and which are audits.

use std::collections::BTreeMap;

use protocol::manifest::{CheckError, InputRange, SlicePlan};
use protocol::units::BaseUnits;
use serde::{Deserialize, Serialize};

use super::head::{Camera, HeadError, ImageId, TileHead};
use super::{MAX_SAMPLES, MAX_SIDE, SAMPLES_PER_REPEAT, STEP, Shape, native, scene};
use crate::blob;
use crate::package::{Package, deal, known_answers, shuffled};

/// From where the room is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// From the open side, the whole room.
    Room,
    /// From the floor, close to the small spheres.
    Floor,
    /// From under the ceiling, downwards.
    Above,
}

impl View {
    fn camera(self, shape: &Shape) -> Camera {
        let (eye, target, tangent) = match self {
            Self::Room => ([0.0, 1.45, 3.9], [0.0, 1.25, 0.0], 0.50),
            Self::Floor => ([-0.9, 0.38, 3.2], [0.25, 0.72, 0.0], 0.55),
            Self::Above => ([1.6, 2.75, 3.3], [-0.1, 0.45, 0.0], 0.52),
        };
        let aspect = f64::from(shape.width) / f64::from(shape.height);
        // The tangent is that of the shorter side, so that a wide picture shows more and not less.
        Camera::looking(eye, target, tangent * aspect.max(1.0), aspect)
    }
}

/// The picture that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Title for people, 1 to 80 bytes.
    pub title: String,
    /// One sentence for people, 1 to 400 bytes: what it is for and for whom.
    pub purpose: String,
    /// Pixels across, a multiple of [`STEP`].
    pub width: u32,
    /// Pixels down, a multiple of [`STEP`].
    pub height: u32,
    /// Paths per pixel, a multiple of [`SAMPLES_PER_REPEAT`]; four times as many halve the noise.
    pub samples: u32,
    /// From where the room is seen.
    pub view: View,
    /// Which spheres stand where, and the random numbers of every path.
    pub seed: u32,
    /// What one accepted slice pays.
    pub price_per_slice: BaseUnits,
    /// Secret from which the order of slices is drawn. The same seed gives the same package.
    pub order_seed: [u8; 32],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: "Rendering".to_owned(),
            purpose: "Follows light through a room of glass, silver and clay, to make a picture of it."
                .to_owned(),
            width: 512,
            height: 512,
            samples: 64,
            view: View::Room,
            seed: 1,
            price_per_slice: BaseUnits(1_000_000_000_000_000),
            order_seed: [0; 32],
        }
    }
}

/// What a reader of the results has to know; JSON in the manifest's notes, never shown to contributors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Geometry of the image.
    pub shape: Shape,
    /// From where the room is seen.
    pub view: View,
    /// Which room.
    pub seed: u32,
}

impl Notes {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("numbers and a name always have a JSON form")
    }
}

/// Why a picture cannot be packaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A side that tiles do not fill.
    #[error(
        "a picture of {width} by {height} pixels cannot be cut: both are multiples of {STEP}, up to {MAX_SIDE}"
    )]
    Size {
        /// What was asked for.
        width: u32,
        /// What was asked for.
        height: u32,
    },
    /// Samples that repeats do not fill.
    #[error("{0} paths per pixel cannot be used: a multiple of {SAMPLES_PER_REPEAT}, up to {MAX_SAMPLES}")]
    Samples(u32),
    /// The finished job does not pass its own checks, for example a title that is too long.
    #[error("the finished package is refused")]
    Check(#[from] CheckError),
    /// The native kernel refused a slice of the package.
    #[error("a known answer cannot be computed")]
    Reference(#[from] HeadError),
}

/// Packages a picture.
///
/// # Errors
/// [`PackageError`].
pub fn package(options: &Options) -> Result<Package, PackageError> {
    let (width, height) = (options.width, options.height);
    if Shape::new(width, height, SAMPLES_PER_REPEAT).is_none() {
        return Err(PackageError::Size { width, height });
    }
    let shape = Shape::new(width, height, options.samples).ok_or(PackageError::Samples(options.samples))?;
    let (scene_hash, scene) = blob(scene::scene(options.seed));
    let whole = InputRange { blob: scene_hash, offset_bytes: 0, bytes: scene.len() as u32 };
    let image = image_id(options);
    let camera = options.view.camera(&shape);
    let (tile_width, tile_height) = shape.tile();
    let across = width / tile_width;
    let slices = shuffled(shape.tiles(), &options.order_seed)
        .into_iter()
        .map(|tile| {
            let (left, top) = (tile % across * tile_width, tile / across * tile_height);
            let head = TileHead { image, shape, left, top, seed: options.seed, camera };
            SlicePlan { inputs: vec![whole.clone()], params: head.to_words() }
        })
        .collect();
    let units = deal(slices);
    let vectors = known_answers(&units, |plan| native::reference(&scene, &plan.params))?;
    let program = shape.program(&options.title, &options.purpose);
    let sources = shape.sources();
    let mut blobs = BTreeMap::from([(scene_hash, scene)]);
    blobs.extend(sources.iter().map(|source| blob(source.clone().into_bytes())));
    let notes = Notes { shape, view: options.view, seed: options.seed };
    let package = Package {
        program,
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

/// Tells two orders apart, also of the same picture; it follows from the secret of the order and does not give it away.
fn image_id(options: &Options) -> ImageId {
    let mut hasher = blake3::Hasher::new_derive_key("hearth jobs 2026 id of a rendered image");
    hasher.update(&options.order_seed);
    for number in [options.width, options.height, options.samples, options.view as u32, options.seed] {
        hasher.update(&number.to_le_bytes());
    }
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    let mut words = crate::words_of(&id);
    ImageId(std::array::from_fn(|_| words.next().unwrap_or(0)))
}
