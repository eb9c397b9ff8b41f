//! Rendering and matrix products end to end without a device: package, compute natively, put together.

use jobs::local;
use jobs::package::Package;
use jobs::product::{self, Blocks, Matrices};
use jobs::rendering::{self, Canvas, Mosaic, Shape, TileHead, View};
use proptest::prelude::*;
use protocol::id::{Hash, PublisherId};
use protocol::manifest::{MAX_MATRIX_SIDE, Manifest, Program, SlicePlan, Validator};

fn manifest(package: &Package) -> Manifest {
    package.manifest(PublisherId([0; 32]), Hash([0; 32]))
}

/// A picture of few samples: 64 tiles of 8 by 8 pixels.
fn small() -> rendering::Options {
    rendering::Options { width: 64, height: 64, samples: 8, ..Default::default() }
}

fn draw(_: &Program, plan: &SlicePlan, inputs: Vec<Vec<u8>>) -> Result<Vec<u8>, rendering::HeadError> {
    rendering::reference(&inputs[0], &plan.params)
}

/// The whole picture, computed natively.
fn drawn(options: &rendering::Options) -> Vec<u8> {
    let package = rendering::package(options).expect("the picture can be packaged");
    let manifest = manifest(&package);
    let mut mosaic = Mosaic::new(&manifest).expect("a rendering");
    local::compute(&package, draw, |unit, slice, output| mosaic.add(unit, slice, output))
        .expect("every tile is computed");
    assert_eq!(mosaic.progress(), (64, 64), "no tile is missing");
    let (width, height, rgba) = mosaic.image();
    assert_eq!((width, height), (options.width, options.height));
    rgba.to_vec()
}

#[test]
fn a_picture_does_not_depend_on_the_order_of_its_tiles() {
    let picture = drawn(&small());
    assert!(picture.chunks(4).all(|pixel| pixel[3] == 255), "every pixel is there");
    let other_order = rendering::Options { order_seed: [7; 32], ..small() };
    assert!(drawn(&other_order) == picture, "another order of the tiles is the same picture");
    let other_view = rendering::Options { view: View::Above, ..small() };
    assert!(drawn(&other_view) != picture, "another view is another picture");
}

#[test]
fn a_picture_shows_a_lamp_above_an_ember_wall_at_the_left_and_a_blue_one_at_the_right() {
    let picture = drawn(&rendering::Options { samples: 32, ..small() });
    let at = |column: usize, row: usize| {
        let pixel = &picture[(row * 64 + column) * 4..][..3];
        (pixel[0], pixel[1], pixel[2])
    };
    let (red, green, blue) = at(32, 1);
    assert!(red.min(green).min(blue) > 250, "the lamp is in the upper middle, not {:?}", at(32, 1));
    let (red, _, blue) = at(2, 30);
    assert!(red > blue.saturating_add(60), "ember at the left, not {:?}", at(2, 30));
    let (red, _, blue) = at(61, 30);
    assert!(blue > red.saturating_add(40), "blue at the right, not {:?}", at(61, 30));
}

#[test]
fn more_samples_bring_less_noise() {
    let reference = drawn(&rendering::Options { samples: 256, ..small() });
    let noise = |samples| {
        let picture = drawn(&rendering::Options { samples, ..small() });
        let square = |(&a, &b): (&u8, &u8)| (f64::from(a) - f64::from(b)).powi(2);
        (picture.iter().zip(&reference).map(square).sum::<f64>() / picture.len() as f64).sqrt()
    };
    let (few, many) = (noise(4), noise(64));
    // Sixteen times the samples leave a quarter of the noise; the reference has some of its own.
    assert!(many < few / 2.0, "noise of 4 samples {few}, of 64 samples {many}");
}

#[test]
fn sizes_that_tiles_do_not_fill_are_refused() {
    for (width, height, samples) in [(100, 64, 8), (64, 0, 8), (8192, 64, 8), (64, 64, 7), (64, 64, 0)] {
        let options = rendering::Options { width, height, samples, ..small() };
        assert!(rendering::package(&options).is_err(), "{width} by {height}, {samples} samples");
    }
    for width in (64..=4096).step_by(64) {
        let shape = Shape::new(width, 64, 4).expect("a multiple of 64");
        let (tile, _) = shape.tile();
        assert!(tile <= 64 && width.is_multiple_of(8 * tile), "{width} is cut into tiles of {tile}");
        assert_eq!(shape.tiles() % 64, 0, "whole units for a width of {width}");
    }
}

#[test]
fn a_canvas_grows_with_the_tiles_of_its_image_and_takes_no_others() {
    let options = rendering::Options { width: 512, height: 256, samples: 4, ..small() };
    let package = rendering::package(&options).expect("the picture can be packaged");
    let other = rendering::package(&rendering::Options { order_seed: [1; 32], ..options }).expect("packaged");
    let head = |package: &Package, slice: usize| {
        TileHead::from_words(&package.units[0].slices[slice].params).expect("a tile of ours")
    };
    let first = head(&package, 0);
    let mut canvas = Canvas::new(&first);
    assert_eq!((canvas.width(), canvas.height()), (256, 128), "half of the image's size");
    let tile = vec![200; first.shape.output_bytes() as usize];
    canvas.draw(&first, &tile).expect("a tile of its image");
    let painted = canvas.rgba().chunks(4).filter(|pixel| *pixel == [200, 200, 200, 255]).count();
    let (width, height) = first.shape.tile();
    assert_eq!(painted as u32, width / 2 * (height / 2), "exactly the place of the tile");
    assert_eq!(canvas.tiles(), (1, 64));
    canvas.draw(&first, &tile).expect("the same tile again");
    assert_eq!(canvas.tiles(), (1, 64), "a tile counts once");
    assert!(canvas.draw(&head(&other, 0), &tile).is_err(), "a tile of another image");
    assert!(canvas.draw(&first, &tile[4..]).is_err(), "a result of another size");
    for slice in 1..64 {
        canvas.draw(&head(&package, slice), &tile).expect("a tile of its image");
    }
    assert!(canvas.rgba().chunks(4).all(|pixel| pixel[3] == 255), "all tiles leave no gap");
}

proptest! {
    #[test]
    fn params_from_anywhere_are_refused_or_stay_within_their_bounds(
        words in prop::collection::vec(any::<u32>(), 0..30),
        (width, height, left, top) in (0_u32..20, 0_u32..20, 0_u32..20, 0_u32..20),
        noise in any::<u8>(),
    ) {
        prop_assert!(TileHead::from_words(&words).is_err(), "random words are no head");
        // Words that are nearly right, so that the bounds themselves are met.
        let mut words = vec![0; TileHead::WORDS];
        words[4..11].copy_from_slice(&[width * 64, height * 64, left * 64, top * 64, 64, 64, 8]);
        if let Ok(head) = TileHead::from_words(&words) {
            prop_assert_eq!(head.to_words(), words, "what is read is what was written");
            let mut canvas = Canvas::new(&head);
            prop_assert!(canvas.width() <= 256 && canvas.height() <= 256);
            prop_assert_eq!(canvas.rgba().len() as u32, canvas.width() * canvas.height() * 4);
            let output = vec![noise; head.shape.output_bytes() as usize];
            prop_assert!(canvas.draw(&head, &output).is_ok(), "a tile on the grid has a place");
        }
    }

    #[test]
    fn the_blocks_of_a_product_are_the_product(seed in any::<u64>(), order in any::<[u8; 32]>()) {
        let matrices = Matrices::from_seed(128, 64, 128, seed);
        let options =
            product::Options { block_rows: 16, block_columns: 16, order_seed: order, ..Default::default() };
        let package = product::package(&matrices, &options).expect("64 blocks");
        let shape = product::Shape::new(16, 64, 16).expect("a shape");
        let mut blocks = Blocks::new(&manifest(&package)).expect("a product");
        let multiply = |_: &Program, _: &SlicePlan, inputs: Vec<Vec<u8>>| {
            product::reference(&shape, &inputs[0], &inputs[1]).ok_or(std::io::Error::other("sizes"))
        };
        local::compute(&package, multiply, |unit, slice, output| blocks.add(unit, slice, output))
            .expect("every block is computed");
        prop_assert_eq!(blocks.progress(), (64, 64));
        let holds = |cells: &[u8]| {
            product::holds(&matrices.left, &matrices.right_transposed, cells, 128, 64, 128, 1, &order)
        };
        prop_assert!(holds(blocks.cells()), "put together they are the product of the whole matrices");
    }
}

#[test]
fn a_product_declares_its_shape_to_whoever_checks_it() {
    let matrices = Matrices::from_seed(256, 128, 512, 3);
    let options = product::Options { block_rows: 32, block_columns: 64, ..Default::default() };
    let package = product::package(&matrices, &options).expect("64 blocks");
    package.check().expect("the program's buffers are those of its matrices");
    let expected = Validator::Freivalds { rounds: product::ROUNDS, rows: 32, inner: 128, columns: 64 };
    assert_eq!(package.program.validator, expected);
    assert!(package.vectors.len() >= 8, "known answers for every device");
}

#[test]
fn shapes_out_of_bounds_are_refused() {
    assert!(product::Shape::new(16, MAX_MATRIX_SIDE, 16).is_some(), "the longest sum");
    for (rows, inner, columns) in
        [(8, 64, 16), (16, 32, 16), (16, 64, 0), (2048, 64, 1024), (65_536, 65_536, 16), (16, 131_072, 16)]
    {
        assert!(product::Shape::new(rows, inner, columns).is_none(), "{rows} by {inner} by {columns}");
    }
    let matrices = Matrices::from_seed(64, 64, 64, 1);
    assert!(product::package(&matrices, &product::Options::default()).is_err(), "smaller than one block");
    let options = product::Options { block_rows: 16, block_columns: 16, ..Default::default() };
    assert!(product::package(&matrices, &options).is_err(), "16 blocks are no unit");
}
