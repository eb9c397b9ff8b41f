//! LEDBAT++ for one path. PURE: every time is an argument, as a span since any fixed moment.
//!
//! The laws of draft-irtf-iccrg-ledbat-plus-plus-06 (gain, window from 2 to 10 packets at first, decrease in proportion to
//! the delay, slowdowns that let the base be measured) with a target of 25 ms, and four that it lacks:
//! * **The knee.** LEDBAT++ grows until the queue reaches its target and stays there, which everybody's ping feels as
//!   25 ms. Here a queue of a quarter of the target that lasts is taken as news that the line is full: the window falls to
//!   what leaves the queue empty, less a seventh, and grows anew. The line stays nearly full, the queue nearly empty, and the
//!   regular empty queue shows every flow the true base, which also makes late comers fair.
//! * **Seen again before it counts.** A whole round can be late because this machine's processor was taken. Three in a row
//!   are a queue, or two far beyond the target, and it is as long as the shortest of them.
//! * **Back in growing steps.** The longer no queue was seen, the larger the steps (as H-TCP has it): what noise took is
//!   regained soon. After it yielded it starts slowly up to half of the window that it had.
//! * **Even steps for uneven flows.** A flow that sends more than the mean of our own takes smaller steps, one that sends
//!   less takes larger ones, so that they meet within a few decreases and not within a minute.

use std::time::Duration;

use super::delay::{Delays, Round};

/// Queueing delay beyond which a flow yields in proportion. RFC 6817 allows 100 ms, the draft proposes 60.
const TARGET: Duration = Duration::from_millis(25);
/// Queueing delay at which the line counts as full, or so many packets of this flow if they take longer: on a slow line a
/// few packets that happen to meet are 6 ms already.
const KNEE: Duration = Duration::from_millis(6);
const KNEE_PACKETS: f64 = 2.0;
/// Rounds in a row that must show a queue beyond the knee, and beyond the target.
const BEYOND_KNEE: u32 = 3;
const BEYOND_TARGET: u32 = 2;
/// After so many rounds without a queue the steps have doubled, after twice as many they are threefold.
const PATIENCE_ROUNDS: f64 = 16.0;
/// No step is larger than so many times the gain.
const LONGEST_STEP: f64 = 8.0;
/// By how much its lead over our other flows may shorten or lengthen a flow's step.
const EVENING: f64 = 4.0;
/// What is kept of the window that would just leave the queue empty.
const HEADROOM: f64 = 0.85;
/// No round takes more than this share of the window away (draft: half).
const DEEPEST: f64 = 0.5;
/// Divisor of the gain at most (draft).
const GENTLEST: u32 = 16;
/// Packets of the first window and of the smallest.
const INITIAL_PACKETS: u64 = 10;
const MINIMUM_PACKETS: u64 = 2;
/// A window of so many packets makes no lasting queue of its own.
const SMALL_PACKETS: u64 = 16;
/// 64 MiB: 1 Gbit/s over half a second. Bounds what a fault of the numbers could do.
const LARGEST_WINDOW: u64 = 64 << 20;
/// The periodic slowdown of the draft, only when it is of use: every knee shows the base already. A base that no round has come near for this long is measured again by a slowdown.
const CONFIRM_BASE: Duration = Duration::from_secs(20);
/// How near is near.
const NEAR: Duration = Duration::from_millis(2);
/// Packets leave at this multiple of window per round trip, so that they neither wait for each other nor come in bursts:
/// while searching and while adding.
const SEARCH_PACE: f64 = 2.0;
const PACE: f64 = 1.1;
/// Two packets leave within this. Further apart, the peer would wait its 25 ms before it acknowledges a single one, and
/// that would look like a queue for as long as the window is small.
const PAIR: Duration = Duration::from_millis(5);
/// A round trip below which pacing makes no sense.
const SHORTEST_TRIP: Duration = Duration::from_micros(100);

/// One path's window.
#[derive(Debug, Clone)]
pub(super) struct Ledbat {
    mtu: u64,
    window: f64,
    slow_start_ends: f64,
    delays: Delays,
    latest: Option<Round>,
    batch: Batch,
    /// Moment that this round began, and the most that was under way in it.
    round_began: Duration,
    peak_in_flight: u64,
    /// Rounds in a row beyond the knee, those of them beyond the target, and the shortest of them.
    beyond: u32,
    beyond_target: u32,
    shortest: Option<Round>,
    /// Rounds since one was beyond the knee.
    clear: u32,
    /// The round under way was sent before the last decrease.
    settling: bool,
    /// Decreases follow each other: somebody else is there.
    yielding: bool,
    /// Losses of packets sent before this moment are one and the same event.
    recovered: Duration,
    base_confirmed: Duration,
    slowdown: Slowdown,
}

/// Acknowledgements that arrive together.
#[derive(Debug, Clone, Default)]
struct Batch {
    bytes: u64,
    newest_sent: Option<Duration>,
    starved: bool,
}

/// The window is put to its minimum for two round trips, so that the base can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slowdown {
    No,
    At(Duration),
    Until(Duration),
}

impl Ledbat {
    /// A window for a path whose packets hold `mtu` bytes.
    pub(super) fn new(now: Duration, mtu: u16) -> Self {
        let mtu = u64::from(mtu.max(1));
        Self {
            mtu,
            window: (INITIAL_PACKETS * mtu) as f64,
            slow_start_ends: LARGEST_WINDOW as f64,
            delays: Delays::default(),
            latest: None,
            batch: Batch::default(),
            round_began: now,
            peak_in_flight: 0,
            beyond: 0,
            beyond_target: 0,
            shortest: None,
            clear: 0,
            settling: false,
            yielding: false,
            recovered: now,
            base_confirmed: now,
            slowdown: Slowdown::No,
        }
    }

    /// A packet of `bytes` that left at `sent` was acknowledged at `now`. `starved`: the application had nothing to send.
    pub(super) fn on_ack(&mut self, now: Duration, sent: Duration, bytes: u64, starved: bool) {
        self.delays.sample(now.saturating_sub(sent));
        self.batch.bytes += bytes;
        self.batch.starved |= starved;
        self.batch.newest_sent = self.batch.newest_sent.max(Some(sent));
    }

    /// All acknowledgements that came together have been told; `in_flight` bytes are still under way. `lead`: what this flow
    /// sends over the mean of our own flows.
    pub(super) fn on_end_acks(&mut self, now: Duration, in_flight: u64, lead: f64) {
        let batch = std::mem::take(&mut self.batch);
        self.peak_in_flight = self.peak_in_flight.max(in_flight.saturating_add(batch.bytes));
        match self.slowdown {
            Slowdown::At(at) if now >= at => self.slow_down(now),
            Slowdown::Until(until) if now >= until => self.slowdown = Slowdown::No,
            _ => {}
        }
        let searching = self.window < self.slow_start_ends && self.beyond == 0;
        if searching && !batch.starved && self.is_used(0.5) && !self.is_slowed() {
            self.resize(self.window + self.gain() * batch.bytes as f64);
        }
        if batch.newest_sent.is_some_and(|sent| sent >= self.round_began) {
            self.end_round(now, batch.starved, lead);
        }
    }

    /// Packets were lost, the newest of them sent at `sent`. `persistent`: everything for a long time.
    pub(super) fn on_loss(&mut self, now: Duration, sent: Duration, persistent: bool) {
        if persistent {
            self.slow_start_ends = self.window / 2.0;
            self.resize(0.0);
        } else if sent >= self.recovered {
            self.resize(self.window * DEEPEST);
            self.slow_start_ends = self.window;
        } else {
            return;
        }
        self.recovered = now;
        self.settling = true;
    }

    pub(super) fn on_mtu_update(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu.max(1));
        self.resize(self.window);
    }

    /// Bytes that may be under way.
    pub(super) fn window(&self) -> u64 {
        self.window as u64
    }

    /// Bytes below which slow start is at work.
    pub(super) fn slow_start_ends(&self) -> u64 {
        self.slow_start_ends as u64
    }

    /// Bytes that may be under way before anything was acknowledged.
    pub(super) fn initial_window(&self) -> u64 {
        INITIAL_PACKETS * self.mtu
    }

    /// Bytes per second at which packets leave; `None` before the first round has been seen.
    pub(super) fn pace(&self) -> Option<u64> {
        let trip = self.latest?.trip.max(SHORTEST_TRIP);
        let searching = self.window < self.slow_start_ends;
        let factor = if searching { SEARCH_PACE } else { PACE };
        let pair = (2 * self.mtu) as f64 / PAIR.as_secs_f64();
        Some((self.window * factor / trip.as_secs_f64()).max(pair) as u64)
    }

    fn end_round(&mut self, now: Duration, starved: bool, lead: f64) {
        let small = self.window <= (SMALL_PACKETS * self.mtu) as f64;
        let Some(round) = self.delays.close(now, small) else { return };
        let (is_used, peak) = (self.is_used(0.75), self.peak_in_flight.saturating_add(self.mtu));
        self.latest = Some(round);
        self.round_began = now;
        self.peak_in_flight = 0;
        if round.queue() <= NEAR {
            self.base_confirmed = now;
        }
        if self.is_slowed() || std::mem::take(&mut self.settling) {
            return;
        }
        if round.queue() > self.knee(&round) {
            self.clear = 0;
            self.beyond += 1;
            self.beyond_target = if round.queue() > TARGET { self.beyond_target + 1 } else { 0 };
            let shortest = self.shortest.filter(|shortest| shortest.trip < round.trip).unwrap_or(round);
            self.shortest = Some(shortest);
            let is_first = self.slow_start_ends >= LARGEST_WINDOW as f64;
            if is_first || self.beyond >= BEYOND_KNEE || self.beyond_target >= BEYOND_TARGET {
                self.decrease(now, &shortest, peak);
            }
            return;
        }
        (self.beyond, self.beyond_target, self.shortest) = (0, 0, None);
        self.clear += 1;
        self.yielding = false;
        if self.window >= self.slow_start_ends && is_used && !starved {
            let even = lead.powi(-2).clamp(1.0 / EVENING, EVENING);
            let step = (even * (1.0 + f64::from(self.clear) / PATIENCE_ROUNDS)).min(LONGEST_STEP);
            self.resize(self.window + step * self.gain() * self.mtu as f64);
        }
        if now.saturating_sub(self.base_confirmed) > CONFIRM_BASE && self.slowdown == Slowdown::No {
            self.slowdown = Slowdown::At(now);
        }
    }

    /// Leaves the queue of `round` and a little more to others. What the window allowed beyond `peak` was never sent.
    fn decrease(&mut self, now: Duration, round: &Round, peak: u64) {
        let empties = round.base.as_secs_f64() / round.trip.as_secs_f64();
        let mut used = self.window.min(peak as f64);
        if self.slow_start_ends >= LARGEST_WINDOW as f64 {
            // The packets of this round left a round trip ago, out of a window that has grown since.
            used /= 1.0 + self.gain();
            // What the queue of the search hid shows after one more round trip.
            self.slowdown = Slowdown::At(now + 2 * round.trip);
        }
        if !self.yielding {
            self.slow_start_ends = used / 2.0;
        }
        self.resize(used * (empties * HEADROOM).max(DEEPEST));
        self.yielding = true;
        self.settling = true;
        self.shortest = None;
        // The next round that still shows a queue counts at once.
        self.beyond = BEYOND_KNEE - 1;
        self.beyond_target = BEYOND_TARGET - 1;
    }

    fn slow_down(&mut self, now: Duration) {
        let trip = self.latest.map_or(TARGET, |round| round.trip);
        self.slow_start_ends = self.window;
        self.resize(0.0);
        (self.beyond, self.beyond_target, self.shortest) = (0, 0, None);
        self.slowdown = Slowdown::Until(now + 2 * trip);
        self.base_confirmed = now;
    }

    fn is_slowed(&self) -> bool {
        matches!(self.slowdown, Slowdown::Until(_))
    }

    /// Whether the round filled `share` of the window. A window that is not used must not grow: pacing by the cap, not
    /// the window, may hold the flow back.
    fn is_used(&self, share: f64) -> bool {
        // Only whole packets fit in.
        (self.peak_in_flight.saturating_add(self.mtu)) as f64 > self.window * share
    }

    fn knee(&self, round: &Round) -> Duration {
        round.trip.mul_f64(KNEE_PACKETS * self.mtu as f64 / self.window).clamp(KNEE, TARGET)
    }

    /// 1 / ceil(2 target / base), the divisor between 1 and 16 (draft, section 3.2).
    fn gain(&self) -> f64 {
        let Some(base) = self.delays.base() else { return 1.0 / f64::from(GENTLEST) };
        let divisor = (2.0 * TARGET.as_secs_f64() / base.as_secs_f64().max(1e-6)).ceil();
        1.0 / divisor.clamp(1.0, f64::from(GENTLEST))
    }

    fn resize(&mut self, bytes: f64) {
        self.window = bytes.clamp((MINIMUM_PACKETS * self.mtu) as f64, LARGEST_WINDOW as f64);
    }
}
