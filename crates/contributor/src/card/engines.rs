//! What Windows' counters of graphics engines mean: a pure function, compiled for tests on every system.

use std::collections::{BTreeMap, BTreeSet};

/// Use of the busiest engine by processes that are not ours, in percent.
///
/// Each sample is one process on one engine of one card, named like
/// `pid_4_luid_0x00000000_0x0000C853_phys_0_eng_3_engtype_3D`. Which card has which number (LUID) only its
/// driver's own interface tells, so the busiest of all cards counts, and no limit is passed unseen.
pub(super) fn others_percent<'a>(
    samples: impl IntoIterator<Item = (&'a str, f64)>,
    own: &BTreeSet<u32>,
) -> u8 {
    let mut engines: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, percent) in samples {
        let Some((pid, engine)) = name.strip_prefix("pid_").and_then(|rest| rest.split_once('_')) else {
            continue;
        };
        let ours = pid.parse().is_ok_and(|pid: u32| own.contains(&pid));
        if !ours && percent.is_finite() {
            *engines.entry(engine).or_default() += percent.max(0.0);
        }
    }
    engines.into_values().fold(0.0, f64::max).min(100.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWING: &str = "luid_0x00000000_0x0000C853_phys_0_eng_0_engtype_3D";
    const DECODING: &str = "luid_0x00000000_0x0000C853_phys_0_eng_5_engtype_VideoDecode";

    fn percent(samples: &[(u32, &str, f64)], own: &[u32]) -> u8 {
        let named: Vec<_> =
            samples.iter().map(|(pid, at, use_)| (format!("pid_{pid}_{at}"), *use_)).collect();
        let own = own.iter().copied().collect();
        others_percent(named.iter().map(|(name, percent)| (name.as_str(), *percent)), &own)
    }

    #[test]
    fn the_busiest_engine_counts_with_all_who_use_it() {
        let samples = [(4, DRAWING, 10.0), (8, DRAWING, 15.4), (4, DECODING, 20.0)];
        assert_eq!(percent(&samples, &[]), 25);
    }

    #[test]
    fn our_own_use_is_not_that_of_others() {
        let samples = [(4, DRAWING, 97.0), (8, DRAWING, 2.0), (8, DECODING, 1.0)];
        assert_eq!(percent(&samples, &[4]), 2);
        assert_eq!(percent(&samples, &[4, 8]), 0);
    }

    #[test]
    fn what_is_no_process_or_no_number_counts_for_nothing() {
        let own = BTreeSet::new();
        let samples = [("_Total", 90.0), ("pid_x", 90.0), ("pid_4_a", f64::NAN), ("pid_4_a", -3.0)];
        assert_eq!(others_percent(samples, &own), 0);
        assert_eq!(others_percent([("pid_4_a", 180.0)], &own), 100, "a counter may overshoot");
    }
}
