//! PURE. Which slices of a bundle are re-run, by whom, and what the comparison means.
//!
//! The draw is a keyed hash over the unit and the commit, so the contributor cannot know it before committing and
//! anyone who is later given the secret can check that nobody was singled out. Blame rests on evidence only: a slice
//! is wrong when the trusted verifier's own output differs from it, never because two contributors disagree.

mod agreement;
pub mod classes;

use protocol::id::{Hash, UnitId};
use protocol::manifest::Validator;

pub use agreement::{agrees, holds_no_number};

/// Fewer unrelated devices than this, and every audit goes to the trusted verifier: strangers could not be drawn.
pub const MIN_UNRELATED: usize = 10;
/// This many wrong slices among the audited ones of one bundle are no accident (notes: "HARD >= 3 hits").
pub const HARD_HITS: u32 = 3;
/// With this many rejected bundles a device is suspended.
pub const SOFT_FAULTS: u32 = 2;

/// Who re-runs a drawn slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The coordinator's own verifier.
    Trusted,
    /// Another contributor, as an ordinary slice of a bundle.
    Foreign,
}

/// What a rejected bundle means for its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Could be hardware: the bundle is unpaid and trust starts anew.
    Soft,
    /// Deliberate: the device is out and its unmatured credit goes back to the publishers.
    Hard,
}

/// What the trusted verifier's output says about a disputed slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The audited device's output is wrong.
    pub submitter_wrong: bool,
    /// The auditing device's output is wrong.
    pub auditor_wrong: bool,
}

/// Numbers drawn from (secret, unit, root): a counter under a keyed hash.
struct Draw {
    key: [u8; 32],
    counter: u64,
}

impl Draw {
    fn new(secret: &[u8; 32], purpose: u8, unit: &UnitId, root: &Hash) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(&[purpose]).update(unit.as_bytes()).update(root.as_bytes());
        Self { key: *hasher.finalize().as_bytes(), counter: 0 }
    }

    /// A number below `bound`; the bias of the remainder is below 2^-50 for the bounds used here.
    fn below(&mut self, bound: u64) -> u64 {
        let hash = blake3::keyed_hash(&self.key, &self.counter.to_le_bytes());
        self.counter += 1;
        let head: [u8; 8] = std::array::from_fn(|i| hash.as_bytes()[i]);
        u64::from_le_bytes(head) % bound.max(1)
    }
}

/// The `k` slices of `committed` to audit (all, if there are no more), in falling luck of the draw.
pub fn draw(secret: &[u8; 32], unit: &UnitId, root: &Hash, committed: &[u32], k: u16) -> Vec<u32> {
    let mut left = committed.to_vec();
    left.sort_unstable();
    let mut numbers = Draw::new(secret, 0, unit, root);
    let mut drawn = Vec::new();
    while drawn.len() < usize::from(k) && !left.is_empty() {
        let i = numbers.below(left.len() as u64) as usize;
        drawn.push(left.swap_remove(i));
    }
    drawn
}

/// Who re-runs the slice at `position`. `unrelated` counts devices that are not known to belong together.
pub fn route(
    secret: &[u8; 32],
    unit: &UnitId,
    root: &Hash,
    position: u32,
    unrelated: usize,
    trusted_permille: u16,
) -> Route {
    if unrelated < MIN_UNRELATED {
        return Route::Trusted;
    }
    let mut numbers = Draw::new(secret, 1, unit, root);
    numbers.counter = position.into();
    if numbers.below(1000) < trusted_permille.into() { Route::Trusted } else { Route::Foreign }
}

/// Reads the trusted output against both claims about one slice; `auditor` is absent when no contributor audited it.
pub fn settle(validator: &Validator, reference: &[u8], submitter: &[u8], auditor: Option<&[u8]>) -> Finding {
    Finding {
        submitter_wrong: !agrees(validator, reference, submitter),
        auditor_wrong: auditor.is_some_and(|output| !agrees(validator, reference, output)),
    }
}

/// How grave `wrong` wrong slices in one bundle are.
pub fn fault(wrong: u32) -> Fault {
    if wrong >= HARD_HITS { Fault::Hard } else { Fault::Soft }
}

/// Whether a device with so many faults, and with so many wrong slices in each bundle it is to blame for, is out.
pub fn suspends(faults: u32, bundles: &[u32]) -> bool {
    faults >= SOFT_FAULTS || bundles.iter().any(|&wrong| fault(wrong) == Fault::Hard)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const UNIT: UnitId = UnitId([7; 32]);

    #[test]
    fn the_draw_is_distinct_within_the_commit_and_repeatable() {
        let committed: Vec<u32> = (0..64).filter(|n| n % 3 != 0).collect();
        let drawn = draw(&[1; 32], &UNIT, &Hash([2; 32]), &committed, 16);
        let distinct: BTreeSet<u32> = drawn.iter().copied().collect();
        assert_eq!(distinct.len(), 16, "no slice is audited twice");
        assert!(distinct.iter().all(|n| committed.contains(n)), "only committed slices can be re-run");
        assert_eq!(
            drawn,
            draw(&[1; 32], &UNIT, &Hash([2; 32]), &committed, 16),
            "anyone with the secret can check"
        );
        assert_ne!(drawn, draw(&[3; 32], &UNIT, &Hash([2; 32]), &committed, 16), "the secret decides");
        assert_ne!(drawn, draw(&[1; 32], &UNIT, &Hash([4; 32]), &committed, 16), "so does the commit");
    }

    #[test]
    fn a_short_commit_is_audited_whole() {
        let mut drawn = draw(&[1; 32], &UNIT, &Hash([2; 32]), &[5, 9, 11], 16);
        drawn.sort_unstable();
        assert_eq!(drawn, [5, 9, 11]);
    }

    #[test]
    fn every_slice_is_drawn_about_as_often_as_any_other() {
        let all: Vec<u32> = (0..64).collect();
        let mut counts = [0u32; 64];
        for n in 0..4000u32 {
            for position in draw(&[9; 32], &UNIT, &Hash::of(&n.to_le_bytes()), &all, 4) {
                counts[position as usize] += 1;
            }
        }
        // 4000 * 4 / 64 = 250 expected each, with a deviation of 15.3: five deviations either way.
        assert!(counts.iter().all(|&c| (173..=327).contains(&c)), "{counts:?}");
    }

    #[test]
    fn few_unrelated_devices_send_every_audit_to_the_trusted_verifier() {
        for position in 0..64 {
            assert_eq!(
                route(&[1; 32], &UNIT, &Hash([2; 32]), position, MIN_UNRELATED - 1, 0),
                Route::Trusted
            );
            assert_eq!(route(&[1; 32], &UNIT, &Hash([2; 32]), position, MIN_UNRELATED, 0), Route::Foreign);
            assert_eq!(route(&[1; 32], &UNIT, &Hash([2; 32]), position, MIN_UNRELATED, 1000), Route::Trusted);
        }
    }

    #[test]
    fn the_trusted_share_is_kept_over_many_slices() {
        let trusted = (0..5000u32)
            .filter(|n| {
                route(&[1; 32], &UNIT, &Hash::of(&n.to_le_bytes()), n % 64, 50, 100) == Route::Trusted
            })
            .count();
        assert!((400..=600).contains(&trusted), "a tenth of 5000 within five deviations, found {trusted}");
    }

    #[test]
    fn only_the_reference_decides_who_is_wrong() {
        let check = |submitter: &[u8], auditor: Option<&[u8]>, expected: (bool, bool)| {
            let finding = settle(&Validator::Bitwise, b"true", submitter, auditor);
            assert_eq!((finding.submitter_wrong, finding.auditor_wrong), expected);
        };
        check(b"true", None, (false, false));
        check(b"lie!", None, (true, false));
        check(b"true", Some(b"lie!"), (false, true));
        check(b"lie!", Some(b"true"), (true, false));
        check(b"lie!", Some(b"lies"), (true, true));
    }

    #[test]
    fn two_soft_faults_or_a_hard_one_suspend() {
        assert!(!suspends(0, &[]) && !suspends(1, &[2]));
        assert!(suspends(2, &[1, 1]));
        assert!(suspends(1, &[3]), "a hard fault stays one when others are taken back");
    }

    #[test]
    fn three_wrong_slices_in_one_bundle_are_no_accident() {
        assert_eq!([1, 2, 3, 16].map(fault), [Fault::Soft, Fault::Soft, Fault::Hard, Fault::Hard]);
    }
}
