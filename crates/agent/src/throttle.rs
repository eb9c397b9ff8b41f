//! PURE. How often a client may ask, and how long a wrong passphrase makes everybody wait. Time is an argument.
//!
//! The delay after wrong passphrases is shared by all connections: a new connection must not reset it. The real wall
//! against guessing is the vault's key derivation; this keeps the agent from being the faster way in.

use std::time::{Duration, Instant};

/// Requests that a client may send at once.
const BURST: f64 = 60.0;
/// Requests a second that a client may send for long.
const PER_SECOND: f64 = 30.0;

/// Delay after the first wrong passphrase; doubles with each.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A token bucket for one client.
#[derive(Debug, Clone, Copy)]
pub struct RequestRate {
    left: f64,
    at: Instant,
}

impl RequestRate {
    /// A full bucket.
    pub fn new(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    /// Whether one more request may pass at `now`; takes it if so.
    pub fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * PER_SECOND;
        self.left = (self.left + earned).min(BURST);
        self.at = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

/// Wrong passphrases in a row, and until when the next one waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct PassphraseDelay {
    wrong: u32,
    ready_at: Option<Instant>,
}

impl PassphraseDelay {
    /// From when a passphrase may be tried; `None` means at once.
    pub fn ready_at(&self) -> Option<Instant> {
        self.ready_at
    }

    /// A passphrase was wrong.
    pub fn wrong(&mut self, now: Instant) {
        let delay = FIRST_DELAY.saturating_mul(1 << self.wrong.min(16)).min(LONGEST_DELAY);
        self.wrong = self.wrong.saturating_add(1);
        self.ready_at = Some(now + delay);
    }

    /// A passphrase was right.
    pub fn right(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let start = Instant::now();
        let mut rate = RequestRate::new(start);
        let passed = (0..200).filter(|_| rate.take(start)).count();
        assert_eq!(passed, BURST as usize, "only the burst passes at one instant");
        assert!(!rate.take(start + Duration::from_millis(10)), "ten milliseconds earn no request");
        assert!(rate.take(start + Duration::from_millis(100)), "a tenth of a second earns three");
    }

    #[test]
    fn wrong_passphrases_wait_longer_each_time_up_to_a_cap() {
        let now = Instant::now();
        let mut delay = PassphraseDelay::default();
        assert_eq!(delay.ready_at(), None, "the first try never waits");
        let mut waits = Vec::new();
        for _ in 0..20 {
            delay.wrong(now);
            waits.push(delay.ready_at().unwrap() - now);
        }
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "the delay never shrinks while it is wrong");
        assert_eq!(waits[0], FIRST_DELAY);
        assert_eq!(waits[19], LONGEST_DELAY);
        delay.right();
        assert_eq!(delay.ready_at(), None, "the right passphrase clears the delay");
    }
}
