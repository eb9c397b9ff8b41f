//! Queueing delay out of noisy round trips. PURE.
//!
//! A round trip is the way without any queue (the base), plus what waits in queues, plus noise: the peer's delayed
//! acknowledgements, radio, a busy processor. Noise only adds, so the smallest sample of a round counts for the round and
//! the smallest round of ten minutes for the base. Three faults of that are mended here: a sample that is too small (a
//! clock that was set, a guest that was frozen) is left out of its round, and a smaller base has to show twice; a base that has risen (another
//! route) is believed after [`STEADY`] of round trips that hardly differ, which no queue of others shows; a round with too
//! few samples is not a round.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples without which a round says nothing.
const SAMPLES: usize = 4;
/// Samples from which on the smallest one is left out: it may be a fault of a clock.
const SAMPLES_TO_DOUBT: usize = 8;
/// One-minute minima that the base is taken from (draft-irtf-iccrg-ledbat-plus-plus, BASE_HISTORY).
const MINUTES: usize = 10;
/// How long round trips have to agree before a larger one counts as a longer way. A loss-based flow moves its queue by
/// tens of milliseconds within ten seconds on lines of homes.
const STEADY: usize = 30;
/// How far round trips that agree may lie apart.
const AGREE: Duration = Duration::from_millis(3);

/// What a round showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Its smallest believable round trip.
    pub(super) trip: Duration,
    /// The way without queues.
    pub(super) base: Duration,
}

impl Round {
    /// Time spent in queues.
    pub(super) fn queue(&self) -> Duration {
        self.trip.saturating_sub(self.base)
    }
}

/// The filter. Times are spans since any fixed moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Delays {
    /// Samples of this round and the two smallest of them.
    samples: usize,
    smallest: Option<Duration>,
    second: Option<Duration>,
    /// The round before.
    previous: Option<Duration>,
    /// Minutes since the fixed moment and the smallest round of each, oldest first.
    minutes: VecDeque<(u64, Duration)>,
    /// The same for seconds, without a gap.
    seconds: VecDeque<(u64, Duration)>,
}

impl Delays {
    /// Takes the round trip of one acknowledged packet.
    pub(super) fn sample(&mut self, trip: Duration) {
        self.samples += 1;
        if self.smallest.is_none_or(|smallest| trip < smallest) {
            self.second = self.smallest.replace(trip);
        } else if self.second.is_none_or(|second| trip < second) {
            self.second = Some(trip);
        }
    }

    /// Closes the round. `None` if it had too few samples; it then goes on. `small`: the window is so small that a
    /// queue cannot be its own.
    pub(super) fn close(&mut self, now: Duration, small: bool) -> Option<Round> {
        if self.samples < SAMPLES {
            return None;
        }
        let believable = if self.samples < SAMPLES_TO_DOUBT { self.smallest } else { self.second };
        let trip = believable?;
        (self.samples, self.smallest, self.second) = (0, None, None);

        let twice = self.previous.replace(trip).map_or(trip, |previous| previous.max(trip));
        lower(&mut self.minutes, now.as_secs() / 60, twice);
        while self.minutes.len() > MINUTES {
            self.minutes.pop_front();
        }
        let gap = self.seconds.back().is_some_and(|(second, _)| second + 1 < now.as_secs());
        if !small || gap {
            self.seconds.clear();
        }
        lower(&mut self.seconds, now.as_secs(), trip);
        if self.seconds.len() > STEADY {
            let least = self.seconds.iter().map(|(_, trip)| *trip).min()?;
            let most = self.seconds.iter().map(|(_, trip)| *trip).max()?;
            if most - least <= AGREE {
                self.minutes.clear();
                self.minutes.push_back((now.as_secs() / 60, least));
            }
            self.seconds.pop_front();
        }
        Some(Round { trip, base: self.base()? })
    }

    /// The way without queues as far as it is known.
    pub(super) fn base(&self) -> Option<Duration> {
        self.minutes.iter().map(|(_, trip)| *trip).min()
    }
}

/// Notes `trip` as the smallest of `period` if it is.
fn lower(periods: &mut VecDeque<(u64, Duration)>, period: u64, trip: Duration) {
    match periods.back_mut() {
        Some((last, least)) if *last == period => *least = trip.min(*least),
        _ => periods.push_back((period, trip)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(delays: &mut Delays, at_millis: u64, trips_millis: &[u64]) -> Option<Round> {
        for trip in trips_millis {
            delays.sample(Duration::from_millis(*trip));
        }
        delays.close(Duration::from_millis(at_millis), true)
    }

    #[test]
    fn a_round_is_its_smallest_sample_once_it_has_enough() {
        let mut delays = Delays::default();
        assert_eq!(round(&mut delays, 0, &[40, 30, 55]), None, "three samples may all be late");
        let closed = round(&mut delays, 10, &[70]).expect("the fourth closes the round");
        assert_eq!(closed.trip, Duration::from_millis(30));
        assert_eq!(closed.queue(), Duration::ZERO);
        let later = round(&mut delays, 50, &[52, 41, 60, 44]).expect("a round");
        assert_eq!(later.queue(), Duration::from_millis(11), "the base of the first round holds");
    }

    #[test]
    fn one_sample_that_is_too_small_does_not_move_the_base() {
        let mut delays = Delays::default();
        let closed = round(&mut delays, 0, &[31, 30, 4, 33, 32, 34, 35, 31]).expect("a round");
        assert_eq!(closed.base, Duration::from_millis(30), "4 ms is a fault of the clock");
    }

    #[test]
    fn a_base_is_forgotten_after_ten_minutes() {
        let mut delays = Delays::default();
        round(&mut delays, 0, &[30; 4]);
        for minute in 1..=9 {
            // Each minute differs from the last, so that nothing looks steady.
            let closed = round(&mut delays, minute * 60_000, &[60 + minute; 4]).expect("a round");
            assert_eq!(closed.base, Duration::from_millis(30), "minute {minute} still remembers");
        }
        let closed = round(&mut delays, 600_000, &[80; 4]).expect("a round");
        assert_eq!(closed.base, Duration::from_millis(61), "the first minute is gone");
    }

    #[test]
    fn a_longer_way_is_believed_once_it_is_steady_and_a_queue_is_not() {
        let (mut way, mut queue) = (Delays::default(), Delays::default());
        round(&mut way, 0, &[30; 4]);
        round(&mut queue, 0, &[30; 4]);
        let (mut found, mut fooled) = (None, None);
        for second in 1..=60 {
            found = round(&mut way, second * 1000, &[50 + second % 3; 4]);
            fooled = round(&mut queue, second * 1000, &[50 + 4 * (second % 8); 4]);
        }
        assert_eq!(found.expect("a round").base, Duration::from_millis(50));
        assert_eq!(fooled.expect("a round").base, Duration::from_millis(30), "that delay moves as queues do");
    }
}
