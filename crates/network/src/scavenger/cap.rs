//! One cap for everything that the controllers of one factory send, and how much each of them sends beside the others.
//!
//! Each controller has a [`Seat`]. Those that really send share the cap evenly; one that only keeps its path alive takes
//! nothing from the others, but its bytes count. What all have sent beyond the cap is a debt, and a debt slows everybody:
//! in any span the sum stays below the cap for that span and twice [`GRACE`] more, and a packet of each, however many there are.
//! [`Shares`] decides and is pure; the rest is a lock around it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A limit in bits per second that may change while connections live. Clones share it.
#[derive(Debug, Clone)]
pub struct LiveCap(Arc<AtomicU64>);

impl LiveCap {
    /// A cap of `bits_per_s`. Under a cap of zero the protocol still sends its own few packets.
    pub fn new(bits_per_s: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bits_per_s)))
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// Changes it for everything that shares it.
    pub fn set(&self, bits_per_s: u64) {
        self.0.store(bits_per_s, Ordering::Relaxed);
    }

    /// Bits per second; `u64::MAX` stands for no limit.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn bytes_per_s(&self) -> Option<u64> {
        let bits = self.get();
        (bits != u64::MAX).then_some(bits / 8)
    }
}

/// What has been sent is forgotten with this time constant, in seconds.
const MEMORY_S: f64 = 0.5;
/// Remembered bytes from which on a controller counts as sending: five packets in half a second, more than what keeps a
/// path alive.
const SENDING: f64 = 6_000.0;
/// Debt that costs nothing: bursts are not excess. At twice this debt only [`SLOWEST`] of a share is left.
const GRACE: Duration = Duration::from_millis(100);
/// Never zero: a controller that may not send at all would not learn that the debt is paid.
const SLOWEST: f64 = 1.0 / 8.0;

/// Who sends how much. PURE: times are spans since any fixed moment.
#[derive(Debug, Default)]
struct Shares {
    next: u64,
    seats: BTreeMap<u64, Sent>,
    debt_bytes: f64,
    settled_at: Duration,
}

/// What one controller sent lately.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    bytes: f64,
    at: Duration,
}

impl Sent {
    fn remembered(&self, now: Duration) -> f64 {
        self.bytes * (-now.saturating_sub(self.at).as_secs_f64() / MEMORY_S).exp()
    }
}

impl Shares {
    fn enter(&mut self) -> u64 {
        self.next += 1;
        self.seats.insert(self.next, Sent::default());
        self.next
    }

    fn sent(&mut self, seat: u64, now: Duration, bytes: u64, cap: Option<u64>) {
        if let Some(sent) = self.seats.get_mut(&seat) {
            *sent = Sent { bytes: sent.remembered(now) + bytes as f64, at: now };
        }
        let passed = now.saturating_sub(self.settled_at).as_secs_f64();
        self.settled_at = self.settled_at.max(now);
        let Some(cap) = cap else { return };
        // More than a second's worth of debt is only known of after the cap was lowered, and is no fault of today's.
        let most = cap as f64 + bytes as f64;
        self.debt_bytes = (self.debt_bytes - passed * cap as f64).clamp(0.0, most) + bytes as f64;
    }

    /// What `seat` sends over the mean of all that send.
    fn lead(&self, seat: u64) -> f64 {
        let now = self.settled_at;
        let own = self.seats.get(&seat).map_or(0.0, |sent| sent.remembered(now));
        let others = self.seats.iter().filter(|(id, _)| **id != seat).map(|(_, sent)| sent.remembered(now));
        let others: Vec<f64> = others.filter(|bytes| *bytes >= SENDING).collect();
        let mean = (own + others.iter().sum::<f64>()) / (others.len() + 1) as f64;
        if mean > 0.0 { own / mean } else { 1.0 }
    }

    /// Bytes per second that `seat` may send.
    fn share(&self, seat: u64, cap: u64) -> u64 {
        let now = self.settled_at;
        let others =
            self.seats.iter().filter(|(id, sent)| **id != seat && sent.remembered(now) >= SENDING).count();
        let free = cap as f64 * GRACE.as_secs_f64();
        let brake = if free > 0.0 { 1.0 - (self.debt_bytes - free) / free } else { SLOWEST };
        (cap as f64 / (others + 1) as f64 * brake.clamp(SLOWEST, 1.0)) as u64
    }
}

/// What the controllers of one factory share.
#[derive(Debug)]
pub(super) struct Uplink {
    cap: LiveCap,
    shares: Mutex<Shares>,
}

impl Uplink {
    pub(super) fn new(cap: LiveCap) -> Arc<Self> {
        Arc::new(Self { cap, shares: Mutex::default() })
    }

    /// A place for one controller. It is given back when the seat is dropped.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        let id = self.lock().enter();
        Seat { uplink: Arc::clone(self), id }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        // Numbers only: they are whole whoever panicked meanwhile.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One controller's place under the cap.
#[derive(Debug)]
pub(super) struct Seat {
    uplink: Arc<Uplink>,
    id: u64,
}

impl Seat {
    pub(super) fn sent(&self, now: Duration, bytes: u64) {
        let cap = self.uplink.cap.bytes_per_s();
        self.uplink.lock().sent(self.id, now, bytes, cap);
    }

    /// What this controller sends over the mean of all that send: 1 if they are equal or it is alone.
    pub(super) fn lead(&self) -> f64 {
        self.uplink.lock().lead(self.id)
    }

    /// Bytes per second that may be sent; `None` without a cap.
    pub(super) fn share(&self) -> Option<u64> {
        let cap = self.uplink.cap.bytes_per_s()?;
        Some(self.uplink.lock().share(self.id, cap))
    }
}

impl Clone for Seat {
    /// A clone sends by itself, so it has a seat of its own.
    fn clone(&self) -> Self {
        self.uplink.seat()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.uplink.lock().seats.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MBIT: u64 = 1_000_000;

    fn send(seat: &Seat, from_millis: u64, millis: u64, bytes_per_milli: u64) {
        for milli in from_millis..from_millis + millis {
            seat.sent(Duration::from_millis(milli), bytes_per_milli);
        }
    }

    #[test]
    fn those_that_send_share_the_cap_and_a_path_kept_alive_takes_nothing() {
        let uplink = Uplink::new(LiveCap::new(16 * MBIT));
        let (first, second, idle) = (uplink.seat(), uplink.seat(), uplink.seat());
        send(&first, 0, 1000, 1000);
        idle.sent(Duration::from_millis(1000), 100);
        assert_eq!(first.share(), Some(2_000_000), "alone it has all of 16 Mbit/s");
        assert_eq!(second.share(), Some(1_000_000), "who begins knows of the one that sends");
        send(&second, 1000, 500, 1000);
        send(&first, 1500, 1, 1000);
        assert_eq!(first.share(), Some(1_000_000));
        assert!(second.lead() > 1.0 && first.lead() < 1.0, "the second sent more of late");
        drop(second);
        assert_eq!(first.share(), Some(2_000_000), "a seat that was given up is free");
        assert!((first.lead() - 1.0).abs() < 1e-9, "who is alone leads nobody");
    }

    #[test]
    fn a_changed_cap_holds_at_once_and_none_is_none() {
        let cap = LiveCap::unlimited();
        let seat = Uplink::new(cap.clone()).seat();
        assert_eq!(seat.share(), None);
        cap.set(8 * MBIT);
        assert_eq!(seat.share(), Some(1_000_000));
        cap.set(0);
        assert_eq!(seat.share(), Some(0));
    }

    #[test]
    fn a_clone_has_its_own_seat() {
        let uplink = Uplink::new(LiveCap::new(MBIT));
        let seat = uplink.seat();
        let clone = seat.clone();
        assert_ne!(seat.id, clone.id);
        assert_eq!(uplink.lock().seats.len(), 2);
    }

    proptest! {
        // Each case is six seconds of twenty senders.
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Senders that come and go, each as fast as its share allows, and others that send a little unasked.
        #[test]
        fn all_together_never_exceed_the_cap(
            cap_mbit in 1_u64..200,
            plans in prop::collection::vec((0_u64..4_000, 1_u64..4_000, 0_u64..3), 1..20),
        ) {
            let cap = cap_mbit * MBIT;
            let uplink = Uplink::new(LiveCap::new(cap));
            let seats: Vec<Seat> = plans.iter().map(|_| uplink.seat()).collect();
            let mut credit = vec![0.0; seats.len()];
            let mut total = 0_u64;
            for milli in 0..6_000_u64 {
                let now = Duration::from_millis(milli);
                for (seat, ((from, span, unasked), credit)) in seats.iter().zip(plans.iter().zip(&mut credit)) {
                    if milli < *from || milli >= from + span {
                        continue;
                    }
                    *credit += seat.share().expect("a cap") as f64 / 1000.0;
                    while *credit >= 1200.0 {
                        *credit -= 1200.0;
                        seat.sent(now, 1200);
                        total += 1200;
                    }
                    // Acknowledgements and probes ask nobody.
                    if milli % 200 == 0 {
                        seat.sent(now, unasked * 60);
                        total += unasked * 60;
                    }
                }
                // Twice the grace is what a debt can grow to before only an eighth of the cap is given out.
                let unasked = plans.len() as u64 * 200 * (milli / 200 + 1);
                let bound = cap / 8 * (milli + 1 + 2 * 100) / 1000 + 1200 * seats.len() as u64 + unasked.min(cap / 80);
                prop_assert!(total <= bound, "{total} > {bound} after {milli} ms");
            }
        }
    }
}
