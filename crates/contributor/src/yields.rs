//! How long the hand-backs of the last thirty days took.
//!
//! The engine notes each one, the store keeps them over a restart, and `status` asks for the latest and for the slowest in a
//! hundred. It measures nothing itself: `runner` does.

use std::collections::VecDeque;

use protocol::units::UnixMillis;

/// A hand-back older than this no longer counts; "this month" on Home means these thirty days.
pub(crate) const KEPT_MILLIS: u64 = 30 * 24 * 3_600_000;
/// The most that are held. A machine that somebody comes back to every five minutes, day and night, has 8640 in thirty days.
const MAX_HELD: usize = 10_000;

/// Hand-backs by the time at which they ended, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Yields {
    micros: VecDeque<(UnixMillis, u64)>,
}

impl Yields {
    /// Adds one that took `micros`, and forgets what is too old.
    pub fn note(&mut self, at: UnixMillis, micros: u64) {
        self.micros.push_back((at, micros));
        let since = at.0.saturating_sub(KEPT_MILLIS);
        while self.micros.len() > MAX_HELD || self.micros.front().is_some_and(|(at, _)| at.0 < since) {
            self.micros.pop_front();
        }
    }

    /// The latest, in microseconds.
    pub fn last_micros(&self) -> Option<u64> {
        self.micros.back().map(|&(_, micros)| micros)
    }

    /// The time that 99 of 100 did not exceed, in microseconds (nearest rank).
    pub fn p99_micros(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.micros.iter().map(|&(_, micros)| micros).collect();
        let rank = (sorted.len() * 99).div_ceil(100).checked_sub(1)?;
        // Only the one rank is wanted, so nothing has to be sorted whole.
        (rank < sorted.len()).then(|| *sorted.select_nth_unstable(rank).1)
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.micros.len()
    }

    /// Whether there was none in the last thirty days.
    pub fn is_empty(&self) -> bool {
        self.micros.is_empty()
    }
}

impl FromIterator<(UnixMillis, u64)> for Yields {
    fn from_iter<I: IntoIterator<Item = (UnixMillis, u64)>>(noted: I) -> Self {
        let mut yields = Self::default();
        for (at, micros) in noted {
            yields.note(at, micros);
        }
        yields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600_000;

    fn noted(values: impl IntoIterator<Item = u64>) -> Yields {
        values.into_iter().map(|micros| (UnixMillis(DAY), micros)).collect()
    }

    #[test]
    fn the_slowest_in_a_hundred_is_a_value_that_was_measured() {
        assert_eq!(noted((1..=200).rev()).p99_micros(), Some(198), "two of two hundred were slower");
        assert_eq!(noted([7]).p99_micros(), Some(7), "of a single one it is that one");
        assert_eq!(noted([]).p99_micros(), None, "of none there is none");
        assert_eq!(noted([9, 3]).last_micros(), Some(3), "the latest, not the slowest");
    }

    #[test]
    fn a_slow_hand_back_is_forgotten_after_thirty_days() {
        let mut yields = noted([90_000, 20]);
        assert_eq!(yields.p99_micros(), Some(90_000), "it was today");
        yields.note(UnixMillis(31 * DAY), 30);
        assert_eq!(yields.p99_micros(), Some(90_000), "thirty days to the millisecond still count");
        yields.note(UnixMillis(31 * DAY + 1), 10);
        assert_eq!(
            (yields.p99_micros(), yields.len()),
            (Some(30), 2),
            "the engine ran on, and it is out of the month"
        );
    }

    #[test]
    fn a_restless_month_does_not_fill_the_memory() {
        let mut yields = Yields::default();
        for micros in 0..3 * MAX_HELD as u64 {
            yields.note(UnixMillis(micros), micros);
        }
        assert_eq!((yields.len(), yields.last_micros()), (MAX_HELD, Some(3 * MAX_HELD as u64 - 1)));
    }
}
