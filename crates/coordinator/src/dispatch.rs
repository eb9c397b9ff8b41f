//! PURE. Who gets which work, how much of it, and until when.
//!
//! A bundle holds the open slices of one unit and audits of other devices' units, all of one program, in shuffled
//! order under names drawn for this lease alone: the contributor cannot tell its own unit's slices from audits.

use std::time::Duration;

use protocol::id::SliceId;
use protocol::units::UnixMillis;
use protocol::wire::NoWork;
use protocol::work::MAX_BUNDLE_SLICES;

/// Clean units from which a device is past its first tier.
pub const TIER_1_UNITS: u32 = 16;
/// Clean units from which a device can reach the last tier.
pub const TIER_2_UNITS: u32 = 128;
/// Time since a device's first message before it can reach the last tier.
pub const TIER_2_AGE: Duration = Duration::from_secs(72 * 3600);
/// Most leases that any device holds at a time.
const MAX_LEASES: u32 = 8;

/// What the coordinator knows of a device when it asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applicant {
    /// Accepted bundles since its last fault.
    pub clean_units: u32,
    /// Its first message.
    pub first_seen_at: UnixMillis,
    /// Leases that it holds.
    pub open_leases: u32,
    /// Whether its graphics card is the processor.
    pub software: bool,
    /// Whether it is out after faults.
    pub suspended: bool,
}

/// Trust of a device: 0, 1 or 2, an index into the profile's audits per unit.
pub fn tier(clean_units: u32, first_seen_at: UnixMillis, now: UnixMillis) -> usize {
    if clean_units < TIER_1_UNITS {
        0
    } else if clean_units < TIER_2_UNITS || now.since(first_seen_at) < TIER_2_AGE {
        1
    } else {
        2
    }
}

/// Whether this device may have another lease: one to compute and one to fetch meanwhile, more with a record.
///
/// # Errors
/// The reason to tell the device.
pub fn admit(applicant: &Applicant, local_network: bool) -> Result<(), NoWork> {
    if applicant.suspended {
        return Err(NoWork::Suspended);
    }
    if applicant.software && !local_network {
        return Err(NoWork::DeviceClass);
    }
    let cap = (2 + applicant.clean_units / TIER_1_UNITS).min(MAX_LEASES);
    if applicant.open_leases >= cap {
        return Err(NoWork::EnoughLeased);
    }
    Ok(())
}

/// How many audits of other units fit into a bundle with `own` slices.
pub fn audit_room(own: usize) -> usize {
    MAX_BUNDLE_SLICES.saturating_sub(own).min(own)
}

/// Names and mixes the slices of a bundle. `random` gives 32 fresh bytes at each call.
pub fn bundle<T>(slices: Vec<T>, random: &mut dyn FnMut() -> [u8; 32]) -> Vec<(SliceId, T)> {
    let mut named: Vec<(SliceId, T)> = slices.into_iter().map(|slice| (SliceId(random()), slice)).collect();
    // The names are random and independent of what they name, so their order is a shuffle.
    named.sort_by_key(|(name, _)| *name);
    named
}

/// Until when the commit must arrive.
pub fn deadline(now: UnixMillis, lease_millis: u64) -> UnixMillis {
    now.plus(Duration::from_millis(lease_millis))
}

/// Until when the outputs behind a commit must arrive: they are only uploaded, so half a lease is plenty.
pub fn result_deadline(deadline_at: UnixMillis, lease_millis: u64) -> UnixMillis {
    deadline_at.plus(Duration::from_millis(lease_millis / 2))
}

/// When a device should call again: soon while work may come, with up to a quarter of spread so that a fleet does not
/// call in step. `busy`: it has something to report or to wait for.
pub fn next_call_millis(local_network: bool, busy: bool, spread: u8) -> u32 {
    let base: u32 = match (local_network, busy) {
        (true, true) => 500,
        (true, false) => 5_000,
        (false, true) => 30_000,
        (false, false) => 60_000,
    };
    base + base / 4 * u32::from(spread) / 255
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn trust_grows_with_clean_units_and_then_with_age() {
        let hour = |h: u64| UnixMillis(h * 3_600_000);
        let check =
            |units, age, expected| assert_eq!(tier(units, hour(0), hour(age)), expected, "{units} {age} h");
        check(0, 1000, 0);
        check(15, 1000, 0);
        check(16, 0, 1);
        check(127, 1000, 1);
        check(128, 71, 1);
        check(128, 72, 2);
    }

    #[test]
    fn work_is_refused_for_the_gravest_reason_first() {
        let good = Applicant {
            clean_units: 0,
            first_seen_at: UnixMillis(0),
            open_leases: 1,
            software: false,
            suspended: false,
        };
        assert_eq!(admit(&good, false), Ok(()));
        assert_eq!(admit(&Applicant { open_leases: 2, ..good }, false), Err(NoWork::EnoughLeased));
        assert_eq!(admit(&Applicant { open_leases: 2, clean_units: 16, ..good }, false), Ok(()));
        assert_eq!(
            admit(&Applicant { open_leases: 8, clean_units: 999, ..good }, false),
            Err(NoWork::EnoughLeased)
        );
        assert_eq!(admit(&Applicant { software: true, ..good }, false), Err(NoWork::DeviceClass));
        assert_eq!(admit(&Applicant { software: true, ..good }, true), Ok(()));
        let all = Applicant { software: true, suspended: true, open_leases: 9, ..good };
        assert_eq!(admit(&all, false), Err(NoWork::Suspended));
    }

    #[test]
    fn a_bundle_keeps_every_slice_under_a_fresh_name_in_another_order() {
        let mut counter = 0u64;
        let mut random = || {
            counter += 1;
            *blake3::hash(&counter.to_le_bytes()).as_bytes()
        };
        let first = bundle((0..64u32).collect(), &mut random);
        let second = bundle((0..64u32).collect(), &mut random);
        let order: Vec<u32> = first.iter().map(|(_, n)| *n).collect();
        assert_eq!(order.iter().copied().collect::<BTreeSet<_>>().len(), 64, "nothing lost, nothing doubled");
        assert!(!order.is_sorted(), "the order tells nothing");
        let names: BTreeSet<SliceId> = first.iter().chain(&second).map(|(name, _)| *name).collect();
        assert_eq!(names.len(), 128, "a name is never used for a second lease");
    }

    #[test]
    fn audits_never_outnumber_own_slices_nor_pass_the_wire_limit() {
        assert_eq!([0, 1, 30, 64, 128].map(audit_room), [0, 1, 30, 64, 0]);
    }

    #[test]
    fn calls_are_spread() {
        assert_eq!(next_call_millis(false, false, 0), 60_000);
        assert_eq!(next_call_millis(false, false, 255), 75_000);
        assert_eq!(next_call_millis(true, true, 255), 625);
        assert_eq!(next_call_millis(true, false, 0), 5_000);
    }
}
