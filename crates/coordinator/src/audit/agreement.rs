//! PURE. Whether two outputs of one slice count as equal.
//!
//! Integers are equal or not. Floats that come from different compilers differ in their last bits, so a job may allow a
//! difference per value and over the whole output (root mean square); what IEEE 754 allows beside numbers must not become
//! a way round the bounds. The loop calls it with outputs of equal standing: a contributor's, another's, the verifier's.

use protocol::manifest::Validator;

/// Fraction bits of a squared ratio.
const FRACTION_BITS: u32 = 64;

/// Whether `found` counts as equal to `expected`.
///
/// Under `tolerance`: a NaN on either side is equal to nothing; an infinity is equal to the same infinity only; zeros are
/// equal whatever their sign, and so are numbers below the smallest normal f32, because WGSL lets a device flush them; an
/// output without values, or with a rest of less than four bytes, is equal to nothing.
pub fn agrees(validator: &Validator, expected: &[u8], found: &[u8]) -> bool {
    match *validator {
        // An integer product has one right value; the algebraic check spares the reference, not the comparison.
        Validator::Bitwise | Validator::Freivalds { .. } => expected == found,
        Validator::Tolerance { abs_nano, rel_nano, rms_nano } => {
            let bounds = Bounds {
                abs: abs_nano as f64 * 1e-9,
                rel: rel_nano as f64 * 1e-9,
                rms: rms_nano as f64 * 1e-9,
            };
            expected.len() == found.len()
                && !expected.is_empty()
                && expected.len().is_multiple_of(4)
                && bounds.hold(expected, found)
        }
    }
}

/// Whether an output that is compared as f32 holds a NaN. Nothing can be equal to it, so a kernel that computes one
/// cannot be audited.
pub fn holds_no_number(validator: &Validator, output: &[u8]) -> bool {
    matches!(validator, Validator::Tolerance { .. }) && values(output).any(f64::is_nan)
}

/// The values of an output. An f64 holds every f32 exactly, and no square or sum of squares of them leaves its range.
fn values(output: &[u8]) -> impl Iterator<Item = f64> {
    output.as_chunks::<4>().0.iter().map(|word| {
        let value = f32::from_le_bytes(*word);
        f64::from(if value.is_subnormal() { 0.0 } else { value })
    })
}

struct Bounds {
    abs: f64,
    rel: f64,
    rms: f64,
}

impl Bounds {
    fn hold(&self, expected: &[u8], found: &[u8]) -> bool {
        let count = (expected.len() / 4) as u128;
        // Squares are added as integers: floats would give another sum in another order.
        let mut squares: u128 = 0;
        for (e, f) in values(expected).zip(values(found)) {
            if e == f {
                continue;
            }
            let difference = (e - f).abs();
            // Of two unequal values with an infinity or a NaN among them, the difference is not a finite number.
            if !difference.is_finite() || !(difference <= self.abs || difference <= self.rel * e.abs()) {
                return false;
            }
            let Some(square) = self.square(difference, count) else { return false };
            squares += square;
        }
        squares <= count << FRACTION_BITS
    }

    /// The square of `difference` over the root mean square that is allowed, with [`FRACTION_BITS`] binary places, rounded
    /// down; `None` where it alone passes the bound for `count` values. Each is at most `count`, so the sum of all fits:
    /// outputs hold fewer than 2^28 values.
    fn square(&self, difference: f64, count: u128) -> Option<u128> {
        let ratio = difference / self.rms;
        let square = ratio * ratio;
        // Also false for an allowance of zero.
        (square <= count as f64).then(|| (square * 2_f64.powi(FRACTION_BITS as i32)) as u128)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn tolerance(abs_nano: u64, rel_nano: u64, rms_nano: u64) -> Validator {
        Validator::Tolerance { abs_nano, rel_nano, rms_nano }
    }

    /// The loosest bounds that a manifest may ask for.
    fn loosest() -> Validator {
        tolerance(500_000_000, 500_000_000, 500_000_000)
    }

    #[track_caller]
    fn check(validator: &Validator, expected: &[f32], found: &[f32], equal: bool, why: &str) {
        assert_eq!(agrees(validator, &bytes(expected), &bytes(found)), equal, "{why}");
    }

    #[test]
    fn tolerance_bounds_each_value_and_the_whole() {
        let validator = tolerance(1_000_000, 0, 600_000);
        let check = |found: &[f32], equal, why: &str| check(&validator, &[1.0, 2.0, 3.0], found, equal, why);
        check(&[1.0, 2.0, 3.0], true, "equal");
        check(&[1.0009, 2.0, 3.0], true, "one value within 10^-3");
        check(&[1.002, 2.0, 3.0], false, "one value outside");
        check(&[1.0009, 2.0009, 3.0009], false, "each within, the mean square is not");
        check(&[1.0, 2.0], false, "another length");
    }

    #[test]
    fn a_nan_anywhere_never_passes() {
        let quiet_negative = f32::from_bits(0xffc0_0001);
        for nan in [f32::NAN, -f32::NAN, quiet_negative, f32::from_bits(0x7f80_0001)] {
            check(&loosest(), &[1.0, 2.0], &[1.0, nan], false, "a NaN for a number");
            check(&loosest(), &[1.0, nan], &[1.0, 2.0], false, "a number for a NaN");
            check(&loosest(), &[1.0, nan], &[1.0, nan], false, "the same NaN on both sides");
        }
    }

    #[test]
    fn an_infinity_equals_only_the_same_infinity() {
        let (up, down) = (f32::INFINITY, f32::NEG_INFINITY);
        check(&loosest(), &[up, down], &[up, down], true, "the same infinities");
        check(&loosest(), &[up], &[down], false, "the other infinity");
        check(&loosest(), &[up], &[f32::MAX], false, "the largest number is not infinite");
        check(
            &loosest(),
            &[up],
            &[0.0],
            false,
            "every difference is relative to an infinity, and none is allowed",
        );
        check(&loosest(), &[f32::MAX], &[up], false, "an infinity for a number");
    }

    #[test]
    fn zeros_of_either_sign_and_flushed_denormals_are_equal() {
        let exact = tolerance(0, 0, 0);
        check(&exact, &[0.0], &[-0.0], true, "WGSL may ignore the sign of a zero");
        let denormal = f32::from_bits(1);
        check(&exact, &[denormal], &[0.0], true, "a device may flush what is below the normal numbers");
        check(&exact, &[-denormal], &[f32::from_bits(0x007f_ffff)], true, "on both sides");
        check(&exact, &[f32::MIN_POSITIVE], &[0.0], false, "the smallest normal number is not flushed");
        check(&exact, &[1.0], &[1.000_000_1], false, "no allowance means equal");
    }

    #[test]
    fn huge_differences_do_not_overflow_the_sum_of_squares() {
        let many = vec![f32::MAX; 4096];
        let opposite = vec![-f32::MAX; 4096];
        check(&loosest(), &many, &opposite, false, "the difference is twice the value");
        let near: Vec<f32> = many.iter().map(|value| value * 0.75).collect();
        check(&loosest(), &many, &near, false, "each passes relatively, the mean square is beyond 10^38");
    }

    #[test]
    fn an_output_without_values_or_with_a_rest_proves_nothing() {
        assert!(!agrees(&loosest(), &[], &[]), "nothing agrees with nothing");
        for rest in 1..4 {
            let output = vec![0; 4 + rest];
            assert!(!agrees(&loosest(), &output, &output), "{rest} bytes would go unchecked");
        }
    }

    #[test]
    fn only_outputs_of_floats_can_lack_a_number() {
        let nan = bytes(&[1.0, f32::NAN]);
        assert!(holds_no_number(&loosest(), &nan));
        assert!(!holds_no_number(&loosest(), &bytes(&[f32::INFINITY, -0.0])));
        assert!(!holds_no_number(&Validator::Bitwise, &nan), "the bits of a NaN are an ordinary integer");
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_the_order_of_the_values(
            pairs in prop::collection::vec((-1e3_f32..1e3, -2e-3_f32..2e-3), 1..200),
            turn in any::<prop::sample::Index>(),
            rms_nano in 1_u64..2_000_000,
        ) {
            let validator = tolerance(2_000_000, 1000, rms_nano);
            let verdict = |pairs: &[(f32, f32)]| {
                let expected: Vec<f32> = pairs.iter().map(|(value, _)| *value).collect();
                let found: Vec<f32> = pairs.iter().map(|(value, off)| value + off).collect();
                agrees(&validator, &bytes(&expected), &bytes(&found))
            };
            let mut turned = pairs.clone();
            turned.rotate_left(turn.index(pairs.len()));
            let mut sorted = pairs.clone();
            sorted.sort_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
            prop_assert_eq!(verdict(&pairs), verdict(&turned));
            prop_assert_eq!(verdict(&pairs), verdict(&sorted));
        }

        #[test]
        fn a_verdict_for_it_means_that_the_mean_square_is_within_the_bound(
            pairs in prop::collection::vec((-1e3_f32..1e3, -2e-3_f32..2e-3), 1..100),
            rms_nano in 1_u64..2_000_000,
        ) {
            let expected: Vec<f32> = pairs.iter().map(|(value, _)| *value).collect();
            let found: Vec<f32> = pairs.iter().map(|(value, off)| value + off).collect();
            let squares = expected.iter().zip(&found).map(|(e, f)| (f64::from(*e) - f64::from(*f)).powi(2));
            let mean = squares.sum::<f64>() / pairs.len() as f64;
            let bound = (rms_nano as f64 * 1e-9).powi(2);
            let passes = agrees(&tolerance(u64::MAX, 0, rms_nano), &bytes(&expected), &bytes(&found));
            // A hair's breadth either way is the rounding of this test's own sum.
            if mean < bound * (1.0 - 1e-12) {
                prop_assert!(passes);
            }
            if mean > bound * (1.0 + 1e-12) {
                prop_assert!(!passes);
            }
        }
    }
}
