//! Rendering: a picture of a room with spheres, lit by following light along random paths.
//!
//! A Monte Carlo integral in integers: every path is drawn from a counter, every number is fixed-point, so that any device
//! gives the same bits and a tile can be compared with another home's tile. This module owns the geometry of an image and
//! its program; the parts below it place the spheres (`scene.rs`), package an image ([`package()`]), give the same bits on a
//! processor ([`reference()`]), put the results together ([`Mosaic`]) and keep what the window draws while the
//! image grows ([`Canvas`]). Runs no WGSL itself.
//!
//! An image is cut into tiles. A slice is one tile: its params say where it lies and where the camera stands, its input
//! is the scene. The first stage adds a few paths per pixel in each repeat, the second one turns the sums into colours.

use protocol::id::Hash;
use protocol::manifest::{Buffer, Cost, Family, Kernel, Module, Program, Role, Stage, Validator};
use serde::{Deserialize, Serialize};

mod canvas;
mod head;
mod mosaic;
mod native;
mod package;
mod scene;

pub use canvas::Canvas;
pub use head::{Camera, HeadError, ImageId, TileHead};
pub use mosaic::{Mosaic, MosaicError};
pub use native::reference;
pub use package::{Notes, Options, PackageError, View, package};

/// Width and height of an image are multiples of this many pixels: eight tiles of whole blocks.
pub const STEP: u32 = 64;
/// Longest side of an image in pixels.
pub const MAX_SIDE: u32 = 4096;
/// Most paths per pixel: sums stay within 32 bits.
pub const MAX_SAMPLES: u32 = 1 << 14;
/// Paths per pixel in one repeat of the first stage; samples are multiples of it.
pub const SAMPLES_PER_REPEAT: u32 = 4;

/// Surfaces that a path meets at most.
const BOUNCES: u32 = 6;
/// Longest side of a tile in pixels.
const MAX_TILE: u32 = 64;

const TRACE: &str = include_str!("rendering/trace.wgsl");
const DEVELOP: &str = include_str!("rendering/develop.wgsl");

/// The geometry that all tiles of an image share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Pixels across; a multiple of [`STEP`].
    pub width: u32,
    /// Pixels down; a multiple of [`STEP`].
    pub height: u32,
    /// Paths per pixel; a multiple of [`SAMPLES_PER_REPEAT`].
    pub samples: u32,
}

impl Shape {
    /// A shape, or `None` when a number is outside its bounds.
    pub fn new(width: u32, height: u32, samples: u32) -> Option<Self> {
        let side = |side: u32| (STEP..=MAX_SIDE).contains(&side) && side.is_multiple_of(STEP);
        let paths = (SAMPLES_PER_REPEAT..=MAX_SAMPLES).contains(&samples)
            && samples.is_multiple_of(SAMPLES_PER_REPEAT);
        (side(width) && side(height) && paths).then_some(Self { width, height, samples })
    }

    /// Width and height of a tile: the largest that divide the image into a multiple of eight each way, so that an image
    /// fills whole units.
    pub fn tile(&self) -> (u32, u32) {
        let along = |side: u32| {
            let blocks = (side / STEP).clamp(1, MAX_SIDE / STEP);
            // Blocks of eight pixels per tile; one block always divides.
            let largest = (1..=MAX_TILE / 8).rev().find(|each| blocks.is_multiple_of(*each));
            8 * largest.unwrap_or(1)
        };
        (along(self.width), along(self.height))
    }

    /// Number of tiles; a multiple of 64.
    pub fn tiles(&self) -> u32 {
        let (width, height) = self.tile();
        (self.width / width) * (self.height / height)
    }

    /// Bytes of a slice's result: red, green, blue and 255 of each pixel of a tile, row by row.
    pub fn output_bytes(&self) -> u32 {
        let (width, height) = self.tile();
        width * height * 4
    }

    /// The WGSL modules for this shape. The numbers are constants of the source, so that loops have known bounds and
    /// no division can meet a zero.
    pub fn sources(&self) -> Vec<String> {
        let (tile, _) = self.tile();
        let trace = format!(
            "const WIDTH: u32 = {}u;\nconst HEIGHT: u32 = {}u;\nconst TILE_WIDTH: u32 = {tile}u;\n\
             const BLOCKS_ACROSS: u32 = {}u;\nconst SAMPLES_PER_REPEAT: u32 = {SAMPLES_PER_REPEAT}u;\n\
             const BOUNCES: u32 = {BOUNCES}u;\nconst SPHERES: u32 = {}u;\n\n{TRACE}",
            self.width,
            self.height,
            tile / 8,
            scene::SPHERES,
        );
        let develop = format!("const SAMPLES: u32 = {}u;\n\n{DEVELOP}", self.samples);
        vec![trace, develop]
    }

    /// The program that computes one tile of an image of this shape.
    pub fn program(&self, title: &str, purpose: &str) -> Program {
        let module =
            |source: &String| Module { blob: Hash::of(source.as_bytes()), bytes: source.len() as u32 };
        let buffer = |name: &str, role, bytes| Buffer { name: name.to_owned(), role, bytes };
        let kernel = |module, entry: &str, workgroup| Kernel { module, entry: entry.to_owned(), workgroup };
        let pixels = self.output_bytes() / 4;
        let buffers = vec![
            buffer("scene", Role::Input, (scene::SPHERES * scene::SPHERE_WORDS * 4) as u32),
            buffer("head", Role::Params, TileHead::WORDS as u32 * 4),
            buffer("sums", Role::State, pixels * 12),
            buffer("pixels", Role::Output, pixels * 4),
        ];
        let memory_bytes = buffers.iter().map(|b| u64::from(b.bytes)).sum();
        // At every surface two rays meet each sphere: some 60 operations, and 200 more for a root where they hit.
        let operations = u64::from(pixels)
            * u64::from(self.samples)
            * u64::from(BOUNCES)
            * 2
            * scene::SPHERES as u64
            * 100;
        let stage = |kernel, bindings, repeat| Stage { kernel, bindings, groups: pixels / 64, repeat };
        Program {
            format: 1,
            title: title.to_owned(),
            purpose: purpose.to_owned(),
            family: Family::Rendering,
            modules: self.sources().iter().map(module).collect(),
            kernels: vec![kernel(0, "trace", [8, 8, 1]), kernel(1, "develop", [64, 1, 1])],
            buffers,
            stages: vec![stage(0, vec![0, 1, 2], self.samples / SAMPLES_PER_REPEAT), stage(1, vec![2, 3], 1)],
            features: Vec::new(),
            cost: Cost {
                operations,
                memory_bytes,
                // A software driver does some 5 G of these operations in a second; a fiftieth of that is given up.
                max_millis: u32::try_from(10_000 + operations / 100_000).unwrap_or(u32::MAX).min(600_000),
            },
            validator: Validator::Bitwise,
        }
    }
}
