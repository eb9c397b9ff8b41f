//! Between the QUIC implementation's traits and the pure parts: clocks to spans, one cap over every kind of controller.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iroh::endpoint::{Controller, ControllerFactory, ControllerMetrics, RttEstimator};
use noq_proto::congestion::{Bbr3Config, CubicConfig};

use super::Congestion;
use super::cap::{LiveCap, Seat, Uplink};
use super::ledbat::Ledbat;

/// How far a controller without a pace of its own runs ahead of its window per round trip (RFC 9002, section 7.7).
const RUN_AHEAD: f64 = 1.25;
/// Packets that may leave in one piece.
const QUANTUM_PACKETS: u64 = 2;

/// Builds controllers under one cap.
#[derive(Debug)]
pub(super) struct Factory {
    congestion: Congestion,
    uplink: Arc<Uplink>,
    /// The fixed moment of every span.
    began: Instant,
}

impl Factory {
    pub(super) fn new(congestion: Congestion, cap: LiveCap) -> Self {
        Self { congestion, uplink: Uplink::new(cap), began: Instant::now() }
    }
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let began = self.began;
        let inner = match self.congestion {
            Congestion::Scavenger => {
                let window = Ledbat::new(span(began, now), mtu);
                Inner::Ours(Box::new(Scavenger { window, mtu, began, lead: 1.0 }))
            }
            Congestion::Cubic => Inner::Theirs(Arc::new(CubicConfig::default()).build(now, mtu)),
            Congestion::Bbr3 => Inner::Theirs(Arc::new(Bbr3Config::default()).build(now, mtu)),
        };
        Box::new(Capped { inner, seat: self.uplink.seat(), smoothed_trip: Duration::ZERO, began })
    }
}

fn span(began: Instant, at: Instant) -> Duration {
    at.saturating_duration_since(began)
}

/// [`Ledbat`] as a controller.
#[derive(Debug, Clone)]
struct Scavenger {
    window: Ledbat,
    mtu: u16,
    began: Instant,
    /// What it sends over the mean of all controllers of its factory.
    lead: f64,
}

impl Controller for Scavenger {
    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        _packet: u64,
        app_limited: bool,
        _rtt: &RttEstimator,
    ) {
        // `now` was read before the socket was. On a busy machine milliseconds lie between the two, and what arrived in
        // them would seem to be faster than the line: a base that is too small, and every later round a queue.
        let now = now.max(Instant::now());
        self.window.on_ack(span(self.began, now), span(self.began, sent), bytes, app_limited);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, _app_limited: bool, _largest: Option<u64>) {
        self.window.on_end_acks(span(self.began, now), in_flight, self.lead);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        _is_ecn: bool,
        _lost_bytes: u64,
        _largest_lost: u64,
    ) {
        self.window.on_loss(span(self.began, now), span(self.began, sent), is_persistent_congestion);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = new_mtu;
        self.window.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.window.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window.window();
        metrics.ssthresh = Some(self.window.slow_start_ends());
        metrics.pacing_rate = self.window.pace();
        metrics.send_quantum = Some(QUANTUM_PACKETS * u64::from(self.mtu));
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.window.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What a cap is put over.
#[derive(Debug)]
enum Inner {
    Ours(Box<Scavenger>),
    Theirs(Box<dyn Controller>),
}

impl Inner {
    fn get(&self) -> &dyn Controller {
        match self {
            Self::Ours(scavenger) => &**scavenger,
            Self::Theirs(controller) => &**controller,
        }
    }

    fn get_mut(&mut self) -> &mut dyn Controller {
        match self {
            Self::Ours(scavenger) => &mut **scavenger,
            Self::Theirs(controller) => &mut **controller,
        }
    }

    fn copy(&self) -> Self {
        match self {
            Self::Ours(scavenger) => Self::Ours(scavenger.clone()),
            Self::Theirs(controller) => Self::Theirs(controller.clone_box()),
        }
    }
}

/// Any controller under the shared cap. Without a cap it is the inner one and nothing else.
#[derive(Debug)]
struct Capped {
    inner: Inner,
    seat: Seat,
    smoothed_trip: Duration,
    began: Instant,
}

impl Controller for Capped {
    fn on_sent(&mut self, now: Instant, bytes: u64, largest_pn: u64) {
        self.seat.sent(span(self.began, now), bytes);
        self.inner.get_mut().on_sent(now, bytes, largest_pn);
    }

    fn on_packet_sent(&mut self, now: Instant, bytes: u16, pn: u64) {
        self.inner.get_mut().on_packet_sent(now, bytes, pn);
    }

    fn on_cwnd_limited(&mut self) {
        self.inner.get_mut().on_cwnd_limited();
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        pn: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.smoothed_trip = rtt.get();
        // Brings the debt up to date, so that a brake is released without anything being sent.
        self.seat.sent(span(self.began, now), 0);
        self.inner.get_mut().on_ack(now, sent, bytes, pn, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        if let Inner::Ours(scavenger) = &mut self.inner {
            scavenger.lead = self.seat.lead();
        }
        self.inner.get_mut().on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        is_ecn: bool,
        lost_bytes: u64,
        largest_lost_pn: u64,
    ) {
        self.inner.get_mut().on_congestion_event(
            now,
            sent,
            is_persistent_congestion,
            is_ecn,
            lost_bytes,
            largest_lost_pn,
        );
    }

    fn on_packet_lost(&mut self, lost_bytes: u16, pn: u64, now: Instant) {
        self.inner.get_mut().on_packet_lost(lost_bytes, pn, now);
    }

    fn on_spurious_congestion_event(&mut self) {
        self.inner.get_mut().on_spurious_congestion_event();
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.get_mut().on_mtu_update(new_mtu);
    }

    fn on_ack_frequency_update(&mut self, threshold: u64, max_ack_delay: Duration) {
        self.inner.get_mut().on_ack_frequency_update(threshold, max_ack_delay);
    }

    fn window(&self) -> u64 {
        self.inner.get().window()
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.inner.get().metrics();
        if let Some(share) = self.seat.share() {
            let own = metrics.pacing_rate.or_else(|| pace(self.inner.get().window(), self.smoothed_trip));
            metrics.pacing_rate = Some(own.map_or(share, |own| own.min(share)));
        }
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            inner: self.inner.copy(),
            seat: self.seat.clone(),
            smoothed_trip: self.smoothed_trip,
            began: self.began,
        })
    }

    fn initial_window(&self) -> u64 {
        self.inner.get().initial_window()
    }

    /// The controller under the cap.
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        match self.inner {
            Inner::Ours(scavenger) => scavenger.into_any(),
            Inner::Theirs(controller) => controller.into_any(),
        }
    }
}

/// Bytes per second of a controller that only has a window.
fn pace(window: u64, trip: Duration) -> Option<u64> {
    (trip > Duration::ZERO).then(|| (window as f64 * RUN_AHEAD / trip.as_secs_f64()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_controller_paces_within_the_cap_as_soon_as_it_changes() {
        for congestion in [Congestion::Scavenger, Congestion::Cubic, Congestion::Bbr3] {
            let cap = LiveCap::unlimited();
            let factory = super::super::factory(congestion, cap.clone());
            let now = Instant::now();
            let (first, mut second) = (factory.clone().build(now, 1200), factory.build(now, 1200));
            let free = first.metrics().pacing_rate;
            cap.set(800_000);
            let paced = first.metrics().pacing_rate.expect("a cap is a pace");
            assert!(paced <= 100_000, "{congestion:?}: {paced} bytes per second under a cap of 100000");
            second.on_sent(now, 12_000, 9);
            let shared = first.metrics().pacing_rate.expect("a cap is a pace");
            assert!(shared <= 50_000, "{congestion:?}: {shared} beside another that sends");
            cap.set(u64::MAX);
            assert_eq!(first.metrics().pacing_rate, free, "{congestion:?}: without a cap it is itself");
        }
    }

    #[test]
    fn a_copy_for_another_path_takes_a_seat_of_its_own() {
        let factory = super::super::factory(Congestion::Scavenger, LiveCap::new(8_000_000));
        let now = Instant::now();
        let first = factory.build(now, 1200);
        let mut copy = first.clone_box();
        copy.on_sent(now, 12_000, 9);
        assert_eq!(first.metrics().pacing_rate, Some(500_000), "the copy sends, so half is left");
        drop(copy);
        assert_eq!(first.metrics().pacing_rate, Some(1_000_000));
    }
}
