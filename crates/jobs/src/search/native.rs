//! The signal search on a processor: the same bits as the WGSL kernels, a hundred times faster than a software driver.
//!
//! Oracle for the conformance vectors of a package, the verifier's cheap way to compute a slice again, and the search of
//! a machine without a graphics card. Trials share their partial sums in a Taylor tree (`super::shift` tells its paths);
//! a strip of channels stays in the cache over all trials; lanes are channels, so that the compiler can use the
//! processor's vectors, chosen when the program runs. Falling lines are rising ones of the mirrored strip.

use multiversion::multiversion;
use protocol::manifest::Program;

use super::head::{SliceError, SliceHead};
use super::{BLOCK, BLOCK_WORDS, MIX, Shape, padded};

/// Channels that are searched at a time.
const STRIP: usize = 4 * BLOCK as usize;
/// Channels whose state stays in registers over the trials of a tree.
const LANES: usize = 32;
/// Channels of partial sums that are computed at a time.
const STEP: usize = 16;

/// The result of a slice.
///
/// # Errors
/// [`SliceError`] when the params are not those of a search or the input has another size.
pub fn reference(input: &[u8], params: &[u32]) -> Result<Vec<u8>, SliceError> {
    let head = SliceHead::from_words(params)?;
    let expected_bytes = head.shape.input_bytes() as usize;
    if input.len() != expected_bytes {
        return Err(SliceError::Input { found_bytes: input.len(), expected_bytes });
    }
    let levels: Vec<u16> = input.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    Ok(crate::bytes_of(&result(&levels, &head.shape, head.valid)))
}

/// The result of a slice of `program`, if that program is a signal search whose kernels are exactly those of this
/// room; `None` for any other program, which only a `worker` can compute.
pub fn reference_for(program: &Program, input: &[u8], params: &[u32]) -> Option<Vec<u8>> {
    let head = SliceHead::from_words(params).ok()?;
    let ours = head.shape.program(&program.title, &program.purpose);
    if *program != ours {
        return None;
    }
    reference(input, params).ok()
}

/// The words of a slice's result. `levels` are `shape.width()` channels per spectrum.
pub(super) fn result(levels: &[u16], shape: &Shape, valid: u32) -> Vec<u32> {
    let mut words = Vec::with_capacity(shape.output_bytes() as usize / 4);
    let mut strip = Strip::new(shape);
    for first in (0..shape.tile).step_by(STRIP) {
        strip.search(levels, first as usize);
        for index in first / BLOCK..((first as usize + STRIP).min(shape.tile as usize) as u32) / BLOCK {
            strip.pick(levels, index, valid, &mut words);
        }
    }
    words
}

/// A tree: the trials with the same whole number of channels per spectrum.
#[derive(Debug, Clone, Copy, Default)]
struct Tree {
    /// Channels per spectrum.
    slope: u32,
    falling: bool,
}

/// What the search of some neighbouring channels needs.
struct Strip {
    shape: Shape,
    /// The levels of each spectrum from the strip on, as far as lines reach.
    rows: Vec<u16>,
    row: usize,
    /// Sums over parts of the spectra: of every part, each distance from the shortest on.
    parts: [Vec<u32>; 2],
    part: usize,
    state: State,
    first: usize,
}

/// The state buffers of the kernels for the channels of a strip.
struct State {
    best_sum: [u32; STRIP],
    /// Which tree the best sum is in, as an index into [`trees`].
    best_tree: [u32; STRIP],
    digest: [u32; STRIP],
}

impl State {
    const ZERO: Self = Self { best_sum: [0; STRIP], best_tree: [0; STRIP], digest: [0; STRIP] };

    fn mirror(&mut self) {
        self.best_sum.reverse();
        self.best_tree.reverse();
        self.digest.reverse();
    }
}

/// All trees in the order of their trials: the steepest falling one first.
fn trees(shape: &Shape) -> impl Iterator<Item = Tree> + use<> {
    let steepest = shape.max_shift / shape.steps();
    let falling = (0..=steepest).rev().map(|slope| Tree { slope, falling: true });
    falling.chain((0..=steepest).map(|slope| Tree { slope, falling: false }))
}

/// The distances of a tree's trials in the order of these: from far to near where lines fall. The line without drift
/// belongs to the rising ones.
fn distances(shape: &Shape, tree: Tree) -> impl Iterator<Item = u32> + use<> {
    let begin = tree.slope * shape.steps();
    let count = shape.steps().min(shape.max_shift + 1 - begin);
    let none = u32::from(tree.falling && tree.slope == 0);
    let last = count - 1;
    (none..count).map(move |i| if tree.falling { last + none - i } else { i })
}

impl Strip {
    fn new(shape: &Shape) -> Self {
        let tree = padded(shape.spectra) as usize;
        // A tree reads beyond its lines, by as much as a distance that is no trial of this search would need.
        let row = STRIP + shape.reach() as usize + 2 * (tree + STEP);
        // One line's later half starts up to half a tree further on.
        let part = whole_steps(STRIP + tree) + STEP;
        Self {
            shape: *shape,
            rows: vec![0; row * shape.spectra as usize],
            row,
            parts: [vec![0; part * tree], vec![0; part * tree]],
            part,
            state: State::ZERO,
            first: 0,
        }
    }

    /// All trials of the channels from `first` of the tile on.
    fn search(&mut self, levels: &[u16], first: usize) {
        self.first = first;
        self.state = State::ZERO;
        let mut falling = false;
        for (index, tree) in (0..).zip(trees(&self.shape)) {
            if index == 0 || tree.falling != falling {
                falling = tree.falling;
                self.state.mirror();
                self.fill(levels, falling);
            }
            let pairs: Vec<(usize, usize)> = distances(&self.shape, tree)
                .map(|distance| {
                    let (half, later) = (distance as usize / 2, (distance as usize).div_ceil(2));
                    (half * self.part, (padded(self.shape.spectra) as usize / 2 + half) * self.part + later)
                })
                .collect();
            let sums = sum_halves(
                &self.rows,
                self.row,
                self.shape.spectra as usize,
                tree.slope as usize,
                &mut self.parts,
                self.part,
            );
            sum_lines(&self.parts[sums], &pairs, index, &mut self.state);
        }
    }

    /// Takes the levels from the strip on in the direction in which its lines move; beyond the tile they are 0, where no
    /// line of a channel of the tile is.
    fn fill(&mut self, levels: &[u16], mirrored: bool) {
        let width = self.shape.width() as usize;
        let begin = self.shape.margin as usize + self.first;
        for (row, spectrum) in self.rows.chunks_exact_mut(self.row).zip(levels.chunks_exact(width)) {
            if mirrored {
                // Channels beyond the tile's last margin come first.
                let beyond = (begin + STRIP).saturating_sub(width);
                let (outside, inside) = row.split_at_mut(beyond);
                outside.fill(0);
                let cells = spectrum[..(begin + STRIP).min(width)].iter().rev();
                let count = cells.len().min(inside.len());
                inside.iter_mut().zip(cells).for_each(|(to, from)| *to = *from);
                inside[count..].fill(0);
            } else {
                let cells = &spectrum[begin..];
                let count = cells.len().min(row.len());
                row[..count].copy_from_slice(&cells[..count]);
                row[count..].fill(0);
            }
        }
    }

    /// `pick.wgsl` for the block of this index.
    fn pick(&self, levels: &[u16], index: u32, valid: u32, words: &mut Vec<u32>) {
        let (mut top, mut top_tree, mut top_channel, mut mix) = (0, 0, index * BLOCK, index);
        for channel in index * BLOCK..(index + 1) * BLOCK {
            let lane = channel as usize - self.first;
            if channel < valid && self.state.best_sum[lane] > top {
                (top, top_tree) = (self.state.best_sum[lane], self.state.best_tree[lane]);
                top_channel = channel;
            }
            mix = (mix ^ self.state.digest[lane]).wrapping_mul(0x85eb_ca6b);
            mix ^= mix >> 13;
        }
        let top_trial = if top == 0 { 0 } else { self.trial_of(levels, top, top_tree, top_channel) };
        words.extend([top, top_trial, top_channel, mix]);
        debug_assert_eq!(words.len() % BLOCK_WORDS, 0);
    }

    /// The first trial of a tree that gives `sum` at `channel`.
    fn trial_of(&self, levels: &[u16], sum: u32, tree: u32, channel: u32) -> u32 {
        let shape = &self.shape;
        let tree = trees(shape).nth(tree as usize).unwrap_or_default();
        let trial = |distance: u32| {
            let total = tree.slope * shape.steps() + distance;
            if tree.falling { shape.max_shift - total } else { shape.max_shift + total }
        };
        let gives = |trial: &u32| sum_of(levels, shape, channel, *trial) == sum;
        distances(shape, tree).map(trial).find(gives).unwrap_or_default()
    }
}

/// The sum along one trial, cell by cell.
pub(super) fn sum_of(levels: &[u16], shape: &Shape, channel: u32, trial: u32) -> u32 {
    let spectra = levels.chunks_exact(shape.width() as usize);
    let cells = (0..).zip(spectra).map(|(i, spectrum)| {
        let column = (shape.margin + channel) as i32 + shape.shift(trial, i);
        u32::from(spectrum[column as usize])
    });
    cells.sum()
}

/// The sums over each half of the spectra, of lines that move 0, 1, 2 ... channels over it. Tells which of `parts` holds
/// them: the earlier half first, `stride` channels per line. Spectra that are missing up to the power of two add nothing.
#[multiversion(targets("x86_64+avx2"))]
fn sum_halves(
    rows: &[u16],
    row: usize,
    spectra: usize,
    slope: usize,
    parts: &mut [Vec<u32>; 2],
    stride: usize,
) -> usize {
    let tree = spectra.next_power_of_two();
    let spectrum = |i: usize| &rows[i * row + slope * i..];
    let [to, other] = parts;
    if tree == 2 {
        for i in 0..2 {
            for (sum, &cell) in to[i * stride..][..STRIP + 1].iter_mut().zip(&spectrum(i)[..STRIP + 1]) {
                *sum = cell.into();
            }
        }
        return 0;
    }
    let cells = whole_steps(STRIP + tree - 2);
    for i in (0..spectra).step_by(2) {
        let (still, moved) = to[i * stride..][..2 * stride].split_at_mut(stride);
        let (still, moved) = (&mut still[..cells], &mut moved[..cells]);
        let earlier = &spectrum(i)[..cells];
        if i + 1 < spectra {
            let later = &spectrum(i + 1)[..cells + 1];
            for c in 0..cells {
                let first = u32::from(earlier[c]);
                still[c] = first.wrapping_add(later[c].into());
                moved[c] = first.wrapping_add(later[c + 1].into());
            }
        } else {
            for c in 0..cells {
                still[c] = earlier[c].into();
                moved[c] = earlier[c].into();
            }
        }
    }
    let (mut from, mut to) = (to, other);
    let mut which = 0;
    let mut size = 4;
    while size < tree {
        let width = whole_steps(STRIP + tree - size);
        for begin in (0..spectra).step_by(size) {
            for distance in 0..size {
                let earlier = &from[(begin + distance / 2) * stride..][..width];
                let sums = &mut to[(begin + distance) * stride..][..width];
                if begin + size / 2 < spectra {
                    let later = (begin + size / 2 + distance / 2) * stride + distance.div_ceil(2);
                    let later = &from[later..][..width];
                    let (sums, _) = sums.as_chunks_mut::<STEP>();
                    let (earlier, later) = (earlier.as_chunks::<STEP>().0, later.as_chunks::<STEP>().0);
                    for ((sums, earlier), later) in sums.iter_mut().zip(earlier).zip(later) {
                        *sums = std::array::from_fn(|lane| earlier[lane].wrapping_add(later[lane]));
                    }
                } else {
                    sums.copy_from_slice(earlier);
                }
            }
        }
        std::mem::swap(&mut from, &mut to);
        which = 1 - which;
        size *= 2;
    }
    which
}

/// Channels rounded up, so that no rest is computed one by one.
const fn whole_steps(channels: usize) -> usize {
    channels.next_multiple_of(STEP)
}

/// Joins the halves to the lines of a tree, one pair of places in `halves` per trial, and takes their sums in.
#[multiversion(targets("x86_64+avx2"))]
fn sum_lines(halves: &[u32], pairs: &[(usize, usize)], index: u32, state: &mut State) {
    for c in (0..STRIP).step_by(LANES) {
        let digest: &mut [u32; LANES] =
            (&mut state.digest[c..c + LANES]).try_into().expect("a strip is whole lanes");
        let mut mix = *digest;
        let mut top = [0_u32; LANES];
        for &(earlier, later) in pairs {
            let earlier: &[u32; LANES] =
                halves[earlier + c..][..LANES].try_into().expect("the length that was cut");
            let later: &[u32; LANES] =
                halves[later + c..][..LANES].try_into().expect("the length that was cut");
            for lane in 0..LANES {
                let sum = earlier[lane].wrapping_add(later[lane]);
                top[lane] = top[lane].max(sum);
                mix[lane] = (mix[lane] ^ sum).wrapping_mul(MIX);
            }
        }
        *digest = mix;
        let best_sum = &mut state.best_sum[c..c + LANES];
        let best_tree = &mut state.best_tree[c..c + LANES];
        for lane in 0..LANES {
            let better = top[lane] > best_sum[lane];
            best_sum[lane] = if better { top[lane] } else { best_sum[lane] };
            best_tree[lane] = if better { index } else { best_tree[lane] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Channels moved at spectrum `i` by a line of `total` channels, as the tree is defined: by its two halves.
    fn path(total: i64, i: i64, spectra: u32) -> i64 {
        fn within(distance: i64, i: i64, size: i64) -> i64 {
            match size {
                1 => 0,
                _ if i < size / 2 => within(distance / 2, i, size / 2),
                _ => (distance + 1) / 2 + within(distance / 2, i - size / 2, size / 2),
            }
        }
        let size = i64::from(spectra.next_power_of_two());
        total / (size - 1) * i + within(total % (size - 1), i, size)
    }

    /// The definition, word for word and slowly: no tree, no strips, no mirror.
    fn naive(head: &SliceHead, levels: &[u16]) -> Vec<u32> {
        let shape = head.shape;
        let mut words = Vec::new();
        for block in 0..shape.tile / 64 {
            let (mut best, mut fold) = ((0, 0, block * 64), block);
            for channel in block * 64..block * 64 + 64 {
                let (mut top, mut digest) = ((0_u32, 0), 0_u32);
                for trial in 0..shape.trials() {
                    let total = i64::from(trial) - i64::from(shape.max_shift);
                    let sum: u32 = (0..i64::from(shape.spectra))
                        .map(|i| {
                            let away = total.signum() * path(total.abs(), i, shape.spectra);
                            let column = i64::from(shape.margin + channel) + away;
                            u32::from(levels[(i * i64::from(shape.width()) + column) as usize])
                        })
                        .sum();
                    if sum > top.0 {
                        top = (sum, trial);
                    }
                    digest = (digest ^ sum).wrapping_mul(0x9e37_79b1);
                }
                if channel < head.valid && top.0 > best.0 {
                    best = (top.0, top.1, channel);
                }
                fold = (fold ^ digest).wrapping_mul(0x85eb_ca6b);
                fold ^= fold >> 13;
            }
            words.extend([best.0, best.1, best.2, fold]);
        }
        words
    }

    fn head(shape: Shape, valid: u32) -> SliceHead {
        SliceHead {
            shape,
            valid,
            first_channel: 0,
            threshold_sum: 1,
            median_sum: 0,
            spread_256ths: 256,
            frequency_millihertz: 1,
            channel_nanohertz: 1,
            descending: true,
            tsamp_ns: 1,
        }
    }

    fn bytes(levels: &[u16]) -> Vec<u8> {
        levels.iter().flat_map(|l| l.to_le_bytes()).collect()
    }

    prop_compose! {
        fn slices()(blocks in 1_u32..7, max_shift in 1_u32..40, spectra in 2_u32..36, valid in 0_u32..400)
            (
                levels in prop::collection::vec(
                    prop_oneof![any::<u16>(), Just(0), Just(u16::MAX)],
                    (Shape::new(64 * blocks, max_shift, spectra).unwrap().width() * spectra) as usize,
                ),
                shape in Just(Shape::new(64 * blocks, max_shift, spectra).unwrap()),
                valid in Just(valid.min(64 * blocks)),
            ) -> (SliceHead, Vec<u16>) {
            (head(shape, valid), levels)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_fast_kernel_equals_the_definition((head, levels) in slices()) {
            let fast = reference(&bytes(&levels), &head.to_words()).unwrap();
            prop_assert_eq!(fast, crate::bytes_of(&naive(&head, &levels)));
        }

        #[test]
        fn a_changed_cell_of_the_tile_changes_a_digest(
            (head, mut levels) in slices(),
            at in any::<prop::sample::Index>(),
            change in 1_u16..,
        ) {
            let before = reference(&bytes(&levels), &head.to_words()).unwrap();
            let (spectrum, channel) =
                (at.index(head.shape.spectra as usize), at.index(head.shape.tile as usize));
            let cell = spectrum * head.shape.width() as usize + head.shape.margin as usize + channel;
            levels[cell] ^= change;
            let after = reference(&bytes(&levels), &head.to_words()).unwrap();
            // Every cell of the tile is part of the zero-drift sum of its channel, so at least one sum differs.
            let digests = |output: &[u8]| crate::words_of(output).skip(3).step_by(4).collect::<Vec<_>>();
            prop_assert_ne!(digests(&before), digests(&after));
        }

        #[test]
        fn arbitrary_params_and_inputs_never_panic(
            params in prop::collection::vec(0_u32..300, 0..20),
            input in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            // Either a result of the declared size or an error; the call itself is the test.
            if let Ok(output) = reference(&input, &params) {
                prop_assert_eq!(output.len() as u32, SliceHead::from_words(&params).unwrap().shape.output_bytes());
            }
        }
    }

    #[test]
    fn only_our_own_program_has_a_native_kernel() {
        let head = head(Shape::new(64, 4, 3).unwrap(), 64);
        let input = vec![1; head.shape.input_bytes() as usize];
        let mut program = head.shape.program("a", "b");
        let expected = reference(&input, &head.to_words()).unwrap();
        assert_eq!(reference_for(&program, &input, &head.to_words()), Some(expected));
        program.stages[0].repeat += 1;
        assert_eq!(
            reference_for(&program, &input, &head.to_words()),
            None,
            "another program, another result"
        );
    }
}
