//! The signal search on a processor: the same bits as the WGSL kernels, some ten times faster than a software driver.
//!
//! Oracle for the conformance vectors of a package and the verifier's cheap way to compute a slice again. Works on 64
//! channels at a time, so that sums, maxima and digests of a block stay in registers and the compiler can use vectors.

use protocol::manifest::Program;

use super::head::{SliceError, SliceHead};
use super::{BLOCK, Shape, shift};

const LANES: usize = BLOCK as usize;

/// The result of a slice.
///
/// # Errors
/// [`SliceError`] when the params are not those of a search or the input has another size.
pub fn reference(input: &[u8], params: &[u32]) -> Result<Vec<u8>, SliceError> {
    let head = SliceHead::from_words(params)?;
    let shape = head.shape;
    let expected_bytes = shape.input_bytes() as usize;
    if input.len() != expected_bytes {
        return Err(SliceError::Input { found_bytes: input.len(), expected_bytes });
    }
    let levels: Vec<u16> = input.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    let mut blocks = vec![Block::ZERO; (shape.tile / BLOCK) as usize];
    for trial in 0..shape.trials() {
        let starts = starts(&shape, trial);
        for (block, first) in blocks.iter_mut().zip((0..).step_by(LANES)) {
            block.add_trial(trial, first, &starts, &levels);
        }
    }
    let mut words = Vec::with_capacity(shape.output_bytes() as usize / 4);
    for (index, block) in (0..).zip(&blocks) {
        block.pick(index, head.valid, &mut words);
    }
    Ok(crate::bytes_of(&words))
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

/// Where the line of a trial through channel 0 of the tile meets each spectrum, as an index into the levels.
fn starts(shape: &Shape, trial: u32) -> Vec<usize> {
    let total = shape.total_shift(trial);
    (0..shape.spectra)
        .map(|spectrum| {
            let column = shape.margin as i32 + shift(total, spectrum, shape.spectra);
            spectrum as usize * shape.width() as usize + column as usize
        })
        .collect()
}

/// The state buffers of the kernels for 64 channels.
#[derive(Clone)]
struct Block {
    best_sum: [u32; LANES],
    best_trial: [u32; LANES],
    digest: [u32; LANES],
}

impl Block {
    const ZERO: Self = Self { best_sum: [0; LANES], best_trial: [0; LANES], digest: [0; LANES] };

    /// One trial of `drift.wgsl`; `first` is the block's first channel in the tile.
    fn add_trial(&mut self, trial: u32, first: usize, starts: &[usize], levels: &[u16]) {
        let mut sum = [0_u32; LANES];
        for &start in starts {
            for (sum, &cell) in sum.iter_mut().zip(&levels[start + first..][..LANES]) {
                *sum += u32::from(cell);
            }
        }
        let best = self.best_sum.iter_mut().zip(&mut self.best_trial);
        for ((&sum, (best_sum, best_trial)), digest) in sum.iter().zip(best).zip(&mut self.digest) {
            let better = sum > *best_sum;
            *best_sum = if better { sum } else { *best_sum };
            *best_trial = if better { trial } else { *best_trial };
            let mixed = (*digest ^ sum).wrapping_mul(0x9e37_79b1);
            *digest = mixed ^ (mixed >> 15);
        }
    }

    /// `pick.wgsl` for the block of this index.
    fn pick(&self, index: u32, valid: u32, words: &mut Vec<u32>) {
        let (mut top, mut top_trial, mut top_channel, mut mix) = (0, 0, index * BLOCK, index);
        for lane in 0..LANES {
            let channel = index * BLOCK + lane as u32;
            if channel < valid && self.best_sum[lane] > top {
                (top, top_trial, top_channel) = (self.best_sum[lane], self.best_trial[lane], channel);
            }
            mix = (mix ^ self.digest[lane]).wrapping_mul(0x85eb_ca6b);
            mix ^= mix >> 13;
        }
        words.extend([top, top_trial, top_channel, mix]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word for word and slowly: no blocks, no table, signed division.
    fn naive(head: &SliceHead, levels: &[u16]) -> Vec<u32> {
        let shape = head.shape;
        let mut words = Vec::new();
        for block in 0..shape.tile / 64 {
            let (mut best, mut fold) = ((0, 0, block * 64), block);
            for channel in block * 64..block * 64 + 64 {
                let (mut top, mut digest) = ((0_u32, 0), 0_u32);
                for trial in 0..shape.trials() {
                    let d = i64::from(trial) - i64::from(shape.max_shift);
                    let t = i64::from(shape.spectra) - 1;
                    let h = if d >= 0 { t } else { -t };
                    let sum: u32 = (0..i64::from(shape.spectra))
                        .map(|i| {
                            let column = i64::from(shape.margin + channel) + (2 * d * i + h) / (2 * t);
                            u32::from(levels[(i * i64::from(shape.width()) + column) as usize])
                        })
                        .sum();
                    if sum > top.0 {
                        top = (sum, trial);
                    }
                    digest = (digest ^ sum).wrapping_mul(0x9e37_79b1);
                    digest ^= digest >> 15;
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
            spread_sum: 1,
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
        fn slices()(blocks in 1_u32..4, max_shift in 1_u32..40, spectra in 2_u32..20, valid in 0_u32..192)
            (
                levels in prop::collection::vec(
                    prop_oneof![any::<u16>(), Just(0), Just(u16::MAX)],
                    ((64 * blocks + 2 * max_shift.next_multiple_of(2)) * spectra) as usize,
                ),
                shape in Just(Shape::new(64 * blocks, max_shift, spectra).unwrap()),
                valid in Just(valid.min(64 * blocks)),
            ) -> (SliceHead, Vec<u16>) {
            (head(shape, valid), levels)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

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
