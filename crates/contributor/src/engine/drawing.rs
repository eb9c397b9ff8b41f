//! PURE: pictures of the work for the page, from what a slice computes.
//!
//! A search shows the slice at hand; a rendering shows the image so far, so the canvases of the latest few images are kept
//! here, in memory only. Everything drawn comes from outside and is bounded by `jobs`. The store's thread calls it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jobs::rendering::{Canvas, TileHead};
use protocol::local::{HitView, Image, Mark, Picture, SearchedSlice, Waterfall};

/// Columns of a finished slice in the spectrum of the whole.
const SEARCHED_COLUMNS: usize = 8;
/// Images whose canvases are kept, some hundred KiB each: audits mix tiles of other images into a bundle.
const MAX_CANVASES: usize = 4;

/// A picture of a slice, and what was found in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawn {
    pub(super) picture: Picture,
    pub(super) hits: Vec<HitView>,
    pub(super) searched: Option<SearchedSlice>,
}

/// The canvases of the latest images, the latest one last.
#[derive(Debug, Default)]
pub(super) struct Easel {
    canvases: Vec<Canvas>,
}

impl Easel {
    /// Draws a finished tile into its image, or, without an output, shows what is there of it. `None` where nothing is
    /// there, and for a tile that is not one of its image.
    pub(super) fn draw(&mut self, head: &TileHead, output: Option<&[u8]>) -> Option<Drawn> {
        let known = self.canvases.iter().position(|canvas| canvas.image() == head.image);
        let mut canvas = match (known, output) {
            (Some(at), _) => self.canvases.remove(at),
            (None, Some(_)) => Canvas::new(head),
            (None, None) => return None,
        };
        let taken = output.map_or(Ok(()), |output| canvas.draw(head, output));
        if let Err(error) = &taken {
            tracing::debug!(error = error as &dyn std::error::Error, "a tile is not drawn");
        }
        let picture = image(&canvas);
        if canvas.tiles().0 > 0 {
            self.canvases.push(canvas);
            let surplus = self.canvases.len().saturating_sub(MAX_CANVASES);
            self.canvases.drain(..surplus);
        }
        taken.is_ok().then(|| Drawn { picture: Picture::Image(picture), hits: Vec::new(), searched: None })
    }
}

fn image(canvas: &Canvas) -> Image {
    // A canvas has at most 256 pixels a side.
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    let (width, height) = canvas.image_size();
    let (tiles_done, tiles_total) = canvas.tiles();
    Image {
        columns: side(canvas.width()),
        rows: side(canvas.height()),
        rgba: STANDARD.encode(canvas.rgba()),
        width,
        height,
        tiles_done,
        tiles_total,
    }
}

/// A slice of a search: ascending in frequency, in whole Hz.
pub(super) fn waterfall(mut picture: jobs::search::Picture, finished: bool) -> Drawn {
    let columns = picture.columns.max(1);
    let descending = picture.right_hz < picture.left_hz;
    if descending {
        for row in picture.levels.chunks_mut(columns as usize) {
            row.reverse();
        }
        picture.spectrum.reverse();
        std::mem::swap(&mut picture.left_hz, &mut picture.right_hz);
    }
    let hit = |mark: &jobs::search::Mark| HitView {
        frequency_hz: mark.frequency_hz.max(0.0).round() as u64,
        drift_micro_hz_s: (mark.drift_hz_s * 1e6).round() as i64,
        snr_milli: (mark.snr.max(0.0) * 1e3).round() as u64,
    };
    let column = |at: f64| {
        let at = if descending { f64::from(columns) - at } else { at };
        // A cast from float saturates; what lies outside the picture is drawn at its edge.
        (at.floor().clamp(0.0, f64::from(columns - 1))) as u16
    };
    let mark = picture.marks.first().map(|mark| Mark {
        hit: hit(mark),
        first_column: column(mark.first_column),
        last_column: column(mark.last_column),
    });
    let hits: Vec<HitView> = picture.marks.iter().map(hit).collect();
    let (left_hz, right_hz) =
        (picture.left_hz.max(0.0).round() as u64, picture.right_hz.max(0.0).round() as u64);
    let searched = finished.then(|| SearchedSlice {
        left_hz,
        right_hz,
        levels: picture
            .spectrum
            .chunks(picture.spectrum.len().div_ceil(SEARCHED_COLUMNS).max(1))
            .map(|chunk| chunk.iter().copied().max().unwrap_or(0))
            .collect(),
        hit: !hits.is_empty(),
    });
    Drawn {
        picture: Picture::Waterfall(Waterfall {
            columns: u16::try_from(columns).unwrap_or(u16::MAX),
            rows: u16::try_from(picture.rows).unwrap_or(u16::MAX),
            levels: STANDARD.encode(&picture.levels),
            left_hz,
            right_hz,
            span_millis: (picture.seconds * 1e3).round() as u32,
            mark,
            searched: Vec::new(),
        }),
        hits,
        searched,
    }
}

#[cfg(test)]
mod tests {
    use jobs::rendering::{Options, package};

    use super::*;

    /// The heads of all tiles of a small picture, and a finished tile of it.
    fn tiles(order_seed: u8) -> (Vec<TileHead>, Vec<u8>) {
        let options =
            Options { width: 64, height: 64, samples: 4, order_seed: [order_seed; 32], ..Options::default() };
        let package = package(&options).expect("the picture can be packaged");
        let slices = package.units.iter().flat_map(|unit| &unit.slices);
        let heads: Vec<TileHead> =
            slices.map(|slice| TileHead::from_words(&slice.params).expect("a tile of ours")).collect();
        let output = vec![9; heads[0].shape.output_bytes() as usize];
        (heads, output)
    }

    fn done(drawn: Option<Drawn>) -> Option<u32> {
        match drawn?.picture {
            Picture::Image(image) => Some(image.tiles_done),
            Picture::Waterfall(_) => None,
        }
    }

    #[test]
    fn an_image_grows_over_bundles_and_is_shown_again_when_the_next_one_begins() {
        let ((heads, output), mut easel) = (tiles(0), Easel::default());
        assert_eq!(easel.draw(&heads[0], None), None, "nothing is there before the first tile");
        assert_eq!(done(easel.draw(&heads[0], Some(&output))), Some(1));
        assert_eq!(done(easel.draw(&heads[1], Some(&output))), Some(2));
        assert_eq!(done(easel.draw(&heads[2], None)), Some(2), "a slice that begins shows what is there");
    }

    #[test]
    fn images_are_told_apart_and_only_the_latest_few_are_kept() {
        let mut easel = Easel::default();
        for seed in 0..=4 {
            let (heads, output) = tiles(seed);
            assert_eq!(
                done(easel.draw(&heads[0], Some(&output))),
                Some(1),
                "image {seed} has its own canvas"
            );
        }
        assert_eq!(easel.draw(&tiles(0).0[1], None), None, "the oldest image was given up");
        assert_eq!(done(easel.draw(&tiles(1).0[1], None)), Some(1), "the others are there");
    }

    #[test]
    fn a_tile_that_does_not_fit_its_image_is_not_drawn() {
        let ((heads, output), mut easel) = (tiles(0), Easel::default());
        assert_eq!(easel.draw(&heads[0], Some(&output[1..])), None, "a result of another size");
        assert_eq!(easel.draw(&heads[0], None), None, "and it leaves no canvas behind");
        easel.draw(&heads[0], Some(&output)).expect("a tile");
        let stretched =
            TileHead { shape: jobs::rendering::Shape::new(128, 64, 4).expect("a shape"), ..heads[1] };
        let wide = vec![9; stretched.shape.output_bytes() as usize];
        assert_eq!(easel.draw(&stretched, Some(&wide)), None, "the same id with another geometry");
        assert_eq!(done(easel.draw(&heads[1], Some(&output))), Some(2), "the image itself goes on");
    }
}
