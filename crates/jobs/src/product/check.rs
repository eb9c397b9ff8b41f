//! PURE: whether a matrix is the product of two others, without multiplying them (Freivalds, "Probabilistic machines can
//! use less running time", 1977).
//!
//! For a random vector r the products `output * r` and `left * (right * r)` are compared, which takes a number of steps
//! that grows with the size of the matrices and not with the work of their product. All of it is done modulo the prime
//! 2^61 - 1: in arithmetic modulo 2^32 an error of 2^31 would pass every second time. The coordinator calls it for the
//! verdict on a product, `publish product` for its own.

/// The Mersenne prime modulo which sums are compared. No error of an i32 is a multiple of it.
const PRIME: u64 = (1 << 61) - 1;

/// Whether `output` is the product of `left` and the transpose of `right_transposed`.
///
/// `left` holds `rows` by `inner` signed bytes, `right_transposed` `columns` by `inner` signed bytes and `output` `rows` by
/// `columns` i32 (little endian), each row by row. A right product always passes. A wrong one passes each of the `rounds`
/// with a chance of 2^-61, if whoever made it did not know `seed`, from which the random vectors follow. False for
/// buffers of other sizes, empty matrices and no rounds at all.
#[expect(clippy::too_many_arguments, reason = "two inputs, an output, their shape, and how to check them")]
pub fn holds(
    left: &[u8],
    right_transposed: &[u8],
    output: &[u8],
    rows: u32,
    inner: u32,
    columns: u32,
    rounds: u8,
    seed: &[u8; 32],
) -> bool {
    let bytes = |height: u32, width: u32, each: u128| u128::from(height) * u128::from(width) * each;
    let sized = left.len() as u128 == bytes(rows, inner, 1)
        && right_transposed.len() as u128 == bytes(columns, inner, 1)
        && output.len() as u128 == bytes(rows, columns, 4);
    if !sized || output.is_empty() || inner == 0 || rounds == 0 {
        return false;
    }
    let (inner, columns) = (inner as usize, columns as usize);
    let mut stream = blake3::Hasher::new_derive_key("hearth jobs 2026 random vectors of a product check")
        .update(seed)
        .finalize_xof();
    (0..rounds).all(|_| {
        let vector: Vec<u64> = (0..columns).map(|_| residue(&mut stream)).collect();
        let image = times_vector(right_transposed, inner, &vector);
        left.chunks_exact(inner).zip(output.chunks_exact(columns * 4)).all(|(left, output)| {
            let expected = left.iter().zip(&image).map(|(&byte, &x)| i128::from(byte as i8) * i128::from(x));
            let found = output
                .as_chunks()
                .0
                .iter()
                .zip(&vector)
                .map(|(&cell, &x)| i128::from(i32::from_le_bytes(cell)) * i128::from(x));
            // 2^16 terms below 2^92 each: far from the end of an i128.
            reduced(expected.sum()) == reduced(found.sum())
        })
    })
}

/// The product of the matrix whose transpose is `transposed` with `vector`, modulo the prime.
fn times_vector(transposed: &[u8], inner: usize, vector: &[u64]) -> Vec<u64> {
    let mut sums = vec![0_i128; inner];
    for (row, &x) in transposed.chunks_exact(inner).zip(vector) {
        for (sum, &byte) in sums.iter_mut().zip(row) {
            *sum += i128::from(byte as i8) * i128::from(x);
        }
    }
    sums.into_iter().map(reduced).collect()
}

fn reduced(sum: i128) -> u64 {
    // A remainder by a positive number below 2^61 is one too.
    sum.rem_euclid(i128::from(PRIME)) as u64
}

/// A number from 0 to the prime, without it, each with the same chance.
fn residue(stream: &mut blake3::OutputReader) -> u64 {
    loop {
        let mut word = [0; 8];
        stream.fill(&mut word);
        let number = u64::from_le_bytes(word) >> 3;
        if number < PRIME {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two matrices from `seed`, the right one transposed, with entries over the whole range of a byte.
    fn matrices(rows: u32, inner: u32, columns: u32, seed: u64) -> (Vec<u8>, Vec<u8>) {
        let mut stream = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        let (mut left, mut right) = (vec![0; (rows * inner) as usize], vec![0; (columns * inner) as usize]);
        stream.fill(&mut left);
        stream.fill(&mut right);
        (left, right)
    }

    /// Row by column, as in a text book.
    fn product(left: &[u8], right: &[u8], inner: u32) -> Vec<i32> {
        let row = |left: &[u8], right: &[u8]| {
            left.iter().zip(right).map(|(&a, &b)| i32::from(a as i8) * i32::from(b as i8)).sum()
        };
        let inner = inner as usize;
        left.chunks(inner).flat_map(|left| right.chunks(inner).map(move |right| row(left, right))).collect()
    }

    fn bytes(cells: &[i32]) -> Vec<u8> {
        cells.iter().flat_map(|cell| cell.to_le_bytes()).collect()
    }

    proptest! {
        #[test]
        fn a_right_product_passes_and_any_flipped_bit_fails(
            (rows, inner, columns) in (1_u32..12, 1_u32..40, 1_u32..12),
            seed in any::<u64>(),
            check in any::<[u8; 32]>(),
            rounds in 1_u8..4,
            flipped in any::<prop::sample::Index>(),
        ) {
            let (left, right) = matrices(rows, inner, columns, seed);
            let mut output = bytes(&product(&left, &right, inner));
            prop_assert!(holds(&left, &right, &output, rows, inner, columns, rounds, &check), "the product itself");
            let bit = flipped.index(output.len() * 8);
            output[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!holds(&left, &right, &output, rows, inner, columns, rounds, &check), "bit {} flipped", bit);
        }

        #[test]
        fn errors_that_vanish_modulo_a_power_of_two_are_found(
            seed in any::<u64>(),
            check in any::<[u8; 32]>(),
            (one, other) in (0_usize..8, 0_usize..8),
            row in 0_usize..8,
        ) {
            let (left, right) = matrices(8, 64, 8, seed);
            let mut cells = product(&left, &right, 64);
            for cell in [row * 8 + one, row * 8 + other] {
                cells[cell] = cells[cell].wrapping_add(i32::MIN);
            }
            let output = bytes(&cells);
            // Twice the same cell is 2^32 in all, which an i32 does not hold: the product is right again.
            let right_again = one == other;
            prop_assert_eq!(holds(&left, &right, &output, 8, 64, 8, 1, &check), right_again);
        }
    }

    #[test]
    fn a_wrong_row_does_not_hide_behind_right_ones() {
        let (left, right) = matrices(64, 256, 64, 7);
        let cells = product(&left, &right, 256);
        for row in 0..64 {
            let mut cells = cells.clone();
            // Sums of the row are kept: only a weighted sum tells.
            cells[row * 64] += 1;
            cells[row * 64 + 63] -= 1;
            assert!(!holds(&left, &right, &bytes(&cells), 64, 256, 64, 1, &[1; 32]), "row {row}");
        }
    }

    #[test]
    fn the_largest_entries_of_the_longest_rows_do_not_overflow() {
        let inner = 1 << 16;
        let (left, right) = (vec![0x80; inner as usize], vec![0x80; inner as usize]);
        let cell = bytes(&[1 << 30]);
        assert!(holds(&left, &right, &cell, 1, inner, 1, 2, &[2; 32]), "(-128)^2 * 2^16 is 2^30");
        assert!(!holds(&left, &right, &bytes(&[-(1 << 30)]), 1, inner, 1, 2, &[2; 32]));
    }

    #[test]
    fn other_sizes_and_no_rounds_never_pass() {
        let (left, right) = matrices(4, 8, 4, 3);
        let output = bytes(&product(&left, &right, 8));
        assert!(holds(&left, &right, &output, 4, 8, 4, 1, &[0; 32]), "the sizes are right");
        assert!(!holds(&left, &right, &output, 4, 8, 4, 0, &[0; 32]), "no rounds check nothing");
        assert!(!holds(&left[1..], &right, &output, 4, 8, 4, 1, &[0; 32]), "a short left matrix");
        assert!(!holds(&left, &right[1..], &output, 4, 8, 4, 1, &[0; 32]), "a short right matrix");
        assert!(!holds(&left, &right, &output[4..], 4, 8, 4, 1, &[0; 32]), "a short product");
        assert!(!holds(&left, &right, &output, 8, 4, 4, 1, &[0; 32]), "another shape of the same size");
        assert!(!holds(&[], &[], &[], 0, 0, 0, 1, &[0; 32]), "empty matrices");
        assert!(!holds(&[], &[], &output, 4, 0, 4, 1, &[0; 32]), "an empty sum");
        assert!(!holds(&[], &[], &[], u32::MAX, u32::MAX, u32::MAX, 255, &[0; 32]), "sizes past all numbers");
    }
}
