//! A bottleneck, its queue and those who send through it, event by event.
//!
//! One packet is 1200 bytes. The receiver acknowledges every second packet, or one after 25 ms, as QUIC's does. A packet
//! that finds the queue full is noticed one round trip later. Acknowledgements come back without a queue of their own.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::cap::{LiveCap, Seat, Uplink};
use super::super::ledbat::Ledbat;

const PACKET: u64 = 1200;
const ACK_DELAY: Duration = Duration::from_millis(25);
const PROBE_EVERY: Duration = Duration::from_millis(20);

/// Who sends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Ours.
    Scavenger,
    /// A household's TCP upload (RFC 9438, without its smaller refinements).
    Cubic,
    /// A stream of so many bits per second that reacts to nothing.
    Constant(u64),
}

/// What disturbs the samples of round trips.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Noise {
    /// Mean extra delay of an acknowledgement, exponential.
    pub(super) radio: Duration,
    /// Each timestamp is off by up to this, either way.
    pub(super) clock: Duration,
    /// One sample in a thousand is 20 ms too small.
    pub(super) clock_faults: bool,
    /// About five times a second the sender stands still for this long on average, exponential.
    pub(super) stall: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    flow: usize,
    sent: Duration,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Probe,
    Send(usize),
    Arrive(Packet),
    DelayedAck(usize, u64),
    Acked(usize, Vec<Packet>),
    Lost(Packet),
}

#[derive(Debug)]
enum Control {
    Scavenger(Box<Ledbat>, Seat),
    Cubic(Cubic),
    Constant(u64),
}

#[derive(Debug)]
struct Flow {
    control: Control,
    ended: bool,
    in_flight: u64,
    /// Earliest moment of the next packet, by its pace.
    free_at: Duration,
    waking: bool,
    unacknowledged: Vec<Packet>,
    acks: u64,
    ack_arrives: Duration,
    delivered: u64,
}

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    bits_per_s: u64,
    /// Round trip without queues. May be changed between runs: another route.
    pub(super) trip: Duration,
    buffer: u64,
    pub(super) noise: Noise,
    uplink: Arc<Uplink>,
    random: u64,
    now: Duration,
    order: u64,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    flows: Vec<Flow>,
    /// When the bottleneck has sent what it holds.
    idle_at: Duration,
    stalled_until: Duration,
    next_stall: Duration,
    probes: Vec<f64>,
}

impl Line {
    pub(super) fn new(bits_per_s: u64, trip: Duration, buffer: u64, seed: u64) -> Self {
        let mut line = Self {
            bits_per_s,
            trip,
            buffer,
            noise: Noise::default(),
            uplink: Uplink::new(LiveCap::unlimited()),
            random: seed,
            now: Duration::ZERO,
            order: 0,
            events: BinaryHeap::new(),
            flows: Vec::new(),
            idle_at: Duration::ZERO,
            stalled_until: Duration::ZERO,
            next_stall: Duration::ZERO,
            probes: Vec::new(),
        };
        line.at(Duration::ZERO, Event::Probe);
        line
    }

    /// Puts the flows that are added afterwards under `cap`.
    pub(super) fn cap(&mut self, cap: LiveCap) {
        self.uplink = Uplink::new(cap);
    }

    pub(super) fn add(&mut self, kind: Kind, at: Duration) -> usize {
        let control = match kind {
            Kind::Scavenger => Control::Scavenger(Box::new(Ledbat::new(at, 1200)), self.uplink.seat()),
            Kind::Cubic => Control::Cubic(Cubic::default()),
            Kind::Constant(bits) => Control::Constant(bits),
        };
        self.flows.push(Flow {
            control,
            ended: false,
            in_flight: 0,
            free_at: at,
            waking: true,
            unacknowledged: Vec::new(),
            acks: 0,
            ack_arrives: Duration::ZERO,
            delivered: 0,
        });
        let flow = self.flows.len() - 1;
        self.at(at, Event::Send(flow));
        flow
    }

    pub(super) fn end(&mut self, flow: usize) {
        self.flows[flow].ended = true;
    }

    /// Lets `span` pass.
    pub(super) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while self.events.peek().is_some_and(|Reverse((at, _, _))| *at <= until) {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = at;
            self.handle(event);
        }
        self.now = until;
    }

    /// Lets `span` pass and tells what happened in it.
    pub(super) fn observe(&mut self, span: Duration) -> Report {
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.delivered).collect();
        self.probes.clear();
        self.run(span);
        let mut queue_millis = self.probes.clone();
        queue_millis.sort_by(f64::total_cmp);
        let rate =
            |(flow, before): (&Flow, &u64)| (flow.delivered - before) as f64 * 8.0 / span.as_secs_f64() / 1e6;
        Report {
            line_mbit: self.bits_per_s as f64 / 1e6,
            mbit: self.flows.iter().zip(&before).map(rate).collect(),
            queue_millis,
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Probe => {
                self.probes.push(self.idle_at.saturating_sub(self.now).as_secs_f64() * 1000.0);
                self.at(self.now + PROBE_EVERY, Event::Probe);
            }
            Event::Send(flow) => {
                self.flows[flow].waking = false;
                self.send(flow);
            }
            Event::Arrive(packet) => self.arrive(packet),
            Event::DelayedAck(flow, acks) if self.flows[flow].acks == acks => self.acknowledge(flow),
            Event::DelayedAck(..) => {}
            Event::Acked(flow, packets) => self.acked(flow, &packets),
            Event::Lost(packet) => self.lost(packet),
        }
    }

    /// Sends what window and pace allow.
    fn send(&mut self, flow: usize) {
        loop {
            let now = self.now;
            let state = &mut self.flows[flow];
            if state.ended || state.waking {
                return;
            }
            let (window, pace) = match &state.control {
                Control::Scavenger(ledbat, seat) => {
                    let pace = ledbat.pace().into_iter().chain(seat.share()).min();
                    (ledbat.window(), pace)
                }
                Control::Cubic(cubic) => ((cubic.window * PACKET as f64) as u64, None),
                Control::Constant(bits) => (u64::MAX, Some(bits / 8)),
            };
            if state.in_flight + PACKET > window {
                return;
            }
            if let Some(pace) = pace {
                if state.free_at > now {
                    state.waking = true;
                    let at = state.free_at;
                    self.at(at, Event::Send(flow));
                    return;
                }
                // Timers fire late by up to a millisecond; what was missed then may be caught up.
                let credit = now.saturating_sub(Duration::from_millis(1));
                let next = state.free_at.max(credit) + seconds(PACKET as f64 / pace.max(1) as f64);
                state.free_at = next;
            }
            if let Control::Scavenger(_, seat) = &state.control {
                seat.sent(now, PACKET);
            }
            state.in_flight += PACKET;
            self.enqueue(Packet { flow, sent: now });
        }
    }

    fn enqueue(&mut self, packet: Packet) {
        let backlog = self.idle_at.saturating_sub(self.now).as_secs_f64() * self.bits_per_s as f64 / 8.0;
        if backlog as u64 + PACKET > self.buffer {
            self.at(self.idle_at + self.trip, Event::Lost(packet));
            return;
        }
        self.idle_at = self.idle_at.max(self.now) + seconds(PACKET as f64 * 8.0 / self.bits_per_s as f64);
        self.at(self.idle_at + self.trip / 2, Event::Arrive(packet));
    }

    fn arrive(&mut self, packet: Packet) {
        let flow = &mut self.flows[packet.flow];
        flow.delivered += PACKET;
        flow.unacknowledged.push(packet);
        if flow.unacknowledged.len() >= 2 {
            self.acknowledge(packet.flow);
        } else {
            let acks = flow.acks;
            self.at(self.now + ACK_DELAY, Event::DelayedAck(packet.flow, acks));
        }
    }

    fn acknowledge(&mut self, flow: usize) {
        let radio = self.exponential(self.noise.radio);
        let state = &mut self.flows[flow];
        state.acks += 1;
        let packets = std::mem::take(&mut state.unacknowledged);
        // Acknowledgements do not overtake each other.
        state.ack_arrives = state.ack_arrives.max(self.now + self.trip / 2 + radio);
        let at = state.ack_arrives;
        self.at(at, Event::Acked(flow, packets));
    }

    fn acked(&mut self, flow: usize, packets: &[Packet]) {
        if self.is_stalled() {
            self.at(self.stalled_until, Event::Acked(flow, packets.to_vec()));
            return;
        }
        let now = self.now;
        let off: Vec<i64> = packets.iter().map(|_| self.clock_error()).collect();
        let state = &mut self.flows[flow];
        state.in_flight -= PACKET * packets.len() as u64;
        match &mut state.control {
            Control::Scavenger(ledbat, seat) => {
                for (packet, off) in packets.iter().zip(off) {
                    let sent = packet.sent.as_nanos() as i64 - off;
                    ledbat.on_ack(now, Duration::from_nanos(sent.max(0) as u64), PACKET, false);
                }
                ledbat.on_end_acks(now, state.in_flight, seat.lead());
            }
            Control::Cubic(cubic) => {
                packets.iter().for_each(|packet| cubic.acked(now, now.saturating_sub(packet.sent)));
            }
            Control::Constant(_) => {}
        }
        self.send(flow);
    }

    fn lost(&mut self, packet: Packet) {
        let now = self.now;
        let state = &mut self.flows[packet.flow];
        state.in_flight -= PACKET;
        match &mut state.control {
            Control::Scavenger(ledbat, _) => ledbat.on_loss(now, packet.sent, false),
            Control::Cubic(cubic) => cubic.lost(now, packet.sent),
            Control::Constant(_) => {}
        }
        self.send(packet.flow);
    }

    fn is_stalled(&mut self) -> bool {
        if self.noise.stall.is_zero() {
            return false;
        }
        if self.now >= self.next_stall {
            self.stalled_until = self.next_stall.max(self.now) + self.exponential(self.noise.stall);
            self.next_stall = self.stalled_until + self.exponential(Duration::from_millis(200));
        }
        self.now < self.stalled_until
    }

    /// Nanoseconds by which a round trip is taken too long.
    fn clock_error(&mut self) -> i64 {
        let most = self.noise.clock.as_nanos() as f64;
        let fault = self.noise.clock_faults && self.uniform() < 0.001;
        ((self.uniform() * 2.0 - 1.0) * most) as i64 - if fault { 20_000_000 } else { 0 }
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.uniform()).ln())
    }

    /// From 0 to below 1 (SplitMix64).
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A loss-based window, in packets.
#[derive(Debug)]
struct Cubic {
    window: f64,
    slow_start_ends: f64,
    largest: f64,
    since: Option<Duration>,
    recovered: VecDeque<Duration>,
}

impl Default for Cubic {
    fn default() -> Self {
        Self {
            window: 10.0,
            slow_start_ends: f64::MAX,
            largest: 0.0,
            since: None,
            recovered: VecDeque::new(),
        }
    }
}

impl Cubic {
    fn acked(&mut self, now: Duration, trip: Duration) {
        if self.window < self.slow_start_ends {
            self.window += 1.0;
            return;
        }
        let since = *self.since.get_or_insert(now);
        let back = (self.largest * 0.3 / 0.4).cbrt();
        let aim = 0.4 * ((now - since + trip).as_secs_f64() - back).powi(3) + self.largest;
        if aim > self.window {
            self.window += ((aim - self.window) / self.window).min(0.5);
        }
    }

    fn lost(&mut self, now: Duration, sent: Duration) {
        if self.recovered.back().is_some_and(|recovered| sent < *recovered) {
            return;
        }
        self.recovered.push_back(now);
        self.largest = self.window;
        self.window = (self.window * 0.7).max(2.0);
        self.slow_start_ends = self.window;
        self.since = Some(now);
    }
}

/// What happened in a span.
#[derive(Debug)]
pub(super) struct Report {
    line_mbit: f64,
    mbit: Vec<f64>,
    queue_millis: Vec<f64>,
}

impl Report {
    /// Delivered by `flow`, in Mbit/s.
    pub(super) fn mbit(&self, flow: usize) -> f64 {
        self.mbit[flow]
    }

    /// Delivered by `flow`, as a share of the line.
    pub(super) fn share(&self, flow: usize) -> f64 {
        self.mbit[flow] / self.line_mbit
    }

    /// Time that a ping waits in the queue, in ms.
    pub(super) fn queue_percentile(&self, percent: usize) -> f64 {
        self.queue_millis[(self.queue_millis.len() - 1) * percent / 100]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2?} of {} Mbit/s, queue p50 {:.1} ms, p95 {:.1} ms",
            self.mbit,
            self.line_mbit,
            self.queue_percentile(50),
            self.queue_percentile(95)
        )
    }
}
