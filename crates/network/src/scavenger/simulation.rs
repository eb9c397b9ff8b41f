//! A household's line in simulated time: the controllers on a bottleneck with a queue, noise, others and a change of route.
//!
//! [`line`] moves packets; here are the scenarios and what each must show. Nothing waits and nothing is random from run to
//! run: noise comes from a seeded generator, and each claim is tried with several seeds.

mod line;

use std::time::Duration;

use proptest::prelude::*;

use self::line::{Kind, Line, Noise, Report};
use super::cap::LiveCap;
use super::ledbat::Ledbat;

const UP: u64 = 20_000_000;
const TRIP: Duration = Duration::from_millis(30);
const BUFFER: u64 = 500_000;
const SEEDS: [u64; 3] = [1, 2, 3];

/// A home on a wire, with the noise of a machine that has little to do.
fn home(seed: u64) -> Line {
    let mut line = Line::new(UP, TRIP, BUFFER, seed);
    line.noise.radio = Duration::from_micros(500);
    line.noise.clock = Duration::from_micros(200);
    line
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Asserts a claim and shows the whole report if it fails.
#[track_caller]
fn holds(claim: bool, report: &Report, why: &str) {
    assert!(claim, "{why}: {report}");
}

#[test]
fn an_idle_line_is_used_and_nobody_s_ping_feels_it() {
    for seed in SEEDS {
        let mut line = home(seed);
        let ours = line.add(Kind::Scavenger, Duration::ZERO);
        line.run(seconds(5));
        let report = line.observe(seconds(30));
        holds(report.share(ours) >= 0.80, &report, "at least 80 % of an idle line");
        holds(report.queue_percentile(50) <= 5.0, &report, "at most 5 ms in the middle");
        holds(report.queue_percentile(95) <= 15.0, &report, "at most 15 ms for 95 of 100");
    }
}

#[test]
fn other_lines_are_used_too() {
    for (bits, trip_millis, buffer) in [
        (2_000_000, 40, 100_000),
        (5_000_000, 15, 60_000),
        (20_000_000, 30, 25_000),
        (20_000_000, 120, 500_000),
        (100_000_000, 20, 1_000_000),
    ] {
        let mut line = Line::new(bits, Duration::from_millis(trip_millis), buffer, 7);
        let ours = line.add(Kind::Scavenger, Duration::ZERO);
        line.run(seconds(15));
        let report = line.observe(seconds(30));
        let why = format!("{bits} bit/s with {trip_millis} ms and a buffer of {buffer} bytes");
        holds(report.share(ours) >= 0.80, &report, &why);
        // A slow line cannot be emptier than with the one packet that it is sending.
        let packet_millis = 1200.0 * 8.0 / bits as f64 * 1000.0;
        holds(report.queue_percentile(95) <= 15.0 + packet_millis, &report, &why);
    }
}

#[test]
fn a_household_upload_gets_the_line_and_gives_it_back() {
    for seed in SEEDS {
        let mut line = home(seed);
        line.add(Kind::Cubic, Duration::ZERO);
        let alone = line.observe(seconds(10)).share(0);

        let mut line = home(seed);
        let ours = line.add(Kind::Scavenger, Duration::ZERO);
        line.run(seconds(10));
        let household = line.add(Kind::Cubic, seconds(10));
        let report = line.observe(seconds(10));
        holds(report.share(household) >= 0.95 * alone, &report, &format!("95 % of {alone}"));
        line.end(household);
        line.run(seconds(5));
        let report = line.observe(seconds(10));
        holds(report.share(ours) >= 0.80, &report, "the line is used again five seconds later");
    }
}

#[test]
fn a_stream_of_eight_megabits_gets_all_of_it_and_the_rest_is_used() {
    for seed in SEEDS {
        let mut line = home(seed);
        let ours = line.add(Kind::Scavenger, Duration::ZERO);
        line.run(seconds(10));
        let stream = line.add(Kind::Constant(8_000_000), seconds(10));
        let report = line.observe(seconds(20));
        holds(report.mbit(stream) >= 0.98 * 8.0, &report, "the stream is whole");
        holds(report.mbit(ours) >= 0.8 * 12.0, &report, "most of the other twelve is used");
        holds(report.queue_percentile(95) <= 15.0, &report, "the stream is not delayed");
    }
}

#[test]
fn two_own_flows_share_evenly_also_if_one_comes_late() {
    let busy = Noise { stall: Duration::from_millis(8), ..Noise::default() };
    for seed in SEEDS {
        for (late, noise) in [(0, None), (10, None), (10, Some(busy))] {
            let mut line = home(seed);
            line.noise = noise.unwrap_or(line.noise);
            let first = line.add(Kind::Scavenger, Duration::ZERO);
            line.run(seconds(late));
            let second = line.add(Kind::Scavenger, seconds(late));
            line.run(seconds(4));
            let report = line.observe(seconds(20));
            let (a, b) = (report.share(first), report.share(second));
            holds(
                a.min(b) / a.max(b) >= 0.8,
                &report,
                &format!("within 20 %, the second {late} s late, {noise:?}"),
            );
            holds(a + b >= 0.80, &report, "together they use the line");
        }
    }
}

#[test]
fn noise_of_radio_clock_and_processor_costs_little() {
    let noises = [
        ("radio", Noise { radio: Duration::from_millis(4), ..Noise::default() }),
        ("clock", Noise { clock: Duration::from_millis(2), clock_faults: true, ..Noise::default() }),
        ("processor", Noise { stall: Duration::from_millis(12), ..Noise::default() }),
    ];
    for seed in SEEDS {
        for (name, noise) in noises {
            let mut line = home(seed);
            line.noise = noise;
            let ours = line.add(Kind::Scavenger, Duration::ZERO);
            line.run(seconds(10));
            let report = line.observe(seconds(40));
            holds(report.share(ours) >= 0.80, &report, name);
            holds(report.queue_percentile(50) <= 5.0, &report, name);
            holds(report.queue_percentile(95) <= 15.0, &report, name);
        }
    }
}

#[test]
fn a_longer_route_is_taken_for_what_it_is_within_a_minute() {
    for seed in SEEDS {
        let mut line = home(seed);
        let ours = line.add(Kind::Scavenger, Duration::ZERO);
        line.run(seconds(20));
        line.trip = Duration::from_millis(55);
        line.run(seconds(60));
        let report = line.observe(seconds(20));
        holds(report.share(ours) >= 0.80, &report, "the longer way is no queue");
        line.trip = Duration::from_millis(20);
        line.run(seconds(10));
        let report = line.observe(seconds(20));
        holds(report.share(ours) >= 0.80, &report, "a shorter way is seen at once");
        holds(report.queue_percentile(95) <= 15.0, &report, "and its queue is kept empty");
    }
}

#[test]
fn all_flows_together_stay_within_a_cap_that_changes() {
    let cap = LiveCap::new(12_000_000);
    let mut line = home(5);
    line.cap(cap.clone());
    let flows: Vec<usize> = (0..5).map(|_| line.add(Kind::Scavenger, Duration::ZERO)).collect();
    line.run(seconds(10));
    let report = line.observe(seconds(20));
    let sum: f64 = flows.iter().map(|flow| report.mbit(*flow)).sum();
    holds((10.8..=12.1).contains(&sum), &report, "five flows, one cap of 12");
    holds(report.queue_percentile(95) <= 5.0, &report, "below the line's rate there is no queue");
    cap.set(3_000_000);
    line.run(seconds(1));
    let report = line.observe(seconds(10));
    let sum: f64 = flows.iter().map(|flow| report.mbit(*flow)).sum();
    holds((2.7..=3.03).contains(&sum), &report, "one second after it was lowered to 3");
    for flow in &flows[1..] {
        line.end(*flow);
    }
    cap.set(12_000_000);
    line.run(seconds(10));
    let report = line.observe(seconds(10));
    holds(report.mbit(flows[0]) >= 12.0 * 0.9, &report, "the last one has all of it");
}

#[derive(Debug, Clone)]
enum Step {
    Ack { trip_micros: u64, after_micros: u64, bytes: u64, in_flight: u64, starved: bool, lead: f64 },
    Loss { before_micros: u64, persistent: bool },
    Mtu(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..3_000_000, 0_u64..2_000_000, 0_u64..200_000, 0_u64..200_000_000, any::<bool>(), 0.0..64.0)
            .prop_map(|(trip_micros, after_micros, bytes, in_flight, starved, lead)| Step::Ack {
                trip_micros,
                after_micros,
                bytes,
                in_flight,
                starved,
                lead
            }),
        1 => (0_u64..3_000_000, any::<bool>())
            .prop_map(|(before_micros, persistent)| Step::Loss { before_micros, persistent }),
        1 => any::<u16>().prop_map(Step::Mtu),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_window_stays_within_its_bounds(steps in prop::collection::vec(step(), 1..400)) {
        let mut now = seconds(3);
        let mut window = Ledbat::new(now, 1200);
        let mut mtu = 1200;
        for step in steps {
            let before = window.window();
            match step {
                Step::Ack { trip_micros, after_micros, bytes, in_flight, starved, lead } => {
                    now += Duration::from_micros(after_micros);
                    let sent = now.saturating_sub(Duration::from_micros(trip_micros));
                    window.on_ack(now, sent, bytes, starved);
                    window.on_end_acks(now, in_flight, lead);
                    let most = (before + bytes + 8 * mtu).max(2 * mtu);
                    prop_assert!(window.window() <= most, "it grows by what was acknowledged or the longest step");
                }
                Step::Loss { before_micros, persistent } => {
                    let sent = now.saturating_sub(Duration::from_micros(before_micros));
                    window.on_loss(now, sent, persistent);
                    prop_assert!(window.window() <= before, "a loss never makes it grow");
                }
                Step::Mtu(bytes) => {
                    mtu = u64::from(bytes.max(1));
                    window.on_mtu_update(bytes);
                }
            }
            prop_assert!(window.window() >= 2 * mtu && window.window() <= 64 << 20);
            if let Some(pace) = window.pace() {
                // Two windows in the shortest round trip that is believed.
                prop_assert!(pace > 0 && pace <= 2 * (64 << 20) * 10_000);
            }
        }
    }
}
