//! `bench household`: what a household on a 20/100 Mbit/s line notices of an upload in the background.
//!
//! One line, emulated between two network namespaces (`world::link`), and in one run iroh's default controller, BBR and
//! ours after each other: the line idle and with a household's upload alone first; then for each controller its upload
//! alone, beside a household's TCP upload, beside a stream of 8 Mbit/s, and two of its flows. Figures are as measured; what
//! the machine did besides stands with them.

mod traffic;

use std::process::Command;
use std::time::{Duration, Instant};

use network::{Congestion, LiveCap};
use serde_json::{Value, json};
use world::link::{Direction, Link};

use self::traffic::{Background, Far, Outcome, Probe, upload};
use crate::{millis, percentile, rounded, say, sorted};

const UP_BITS: u64 = 20_000_000;
const DOWN_BITS: u64 = 100_000_000;
/// Half of the round trip of 30 ms.
const ONE_WAY: Duration = Duration::from_millis(15);
const BUFFER_BYTES: u64 = 500_000;
const STREAM_BITS: u64 = 8_000_000;
/// A ping on the idle line that is longer says that the emulated line is not the one that was asked for.
const LONGEST_IDLE_PING_MS: f64 = 33.0;
/// Of the measured uplink (DESIGN.md §7).
const CAP_SHARE: f64 = 0.75;

const WARM_UP: Duration = Duration::from_secs(4);
const SPAN: Duration = Duration::from_secs(10);
const FLOWS_SPAN: Duration = Duration::from_secs(20);
/// After an upload of the household: its queue is empty and the background has come back.
const PAUSE: Duration = Duration::from_secs(4);

pub(crate) fn measure() -> crate::Outcome {
    if !rustix::process::geteuid().is_root() {
        return as_root_of_a_user_namespace();
    }
    Ok(run().map_err(|error| error.to_string())?)
}

/// Runs this program again where the caller is root of a user namespace.
fn as_root_of_a_user_namespace() -> crate::Outcome {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--"]).arg(std::env::current_exe()?).arg("household");
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(
            "the emulated line needs root, or user namespaces and a /dev/net/tun that everybody may open"
                .into(),
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn run() -> Outcome<Value> {
    let direction =
        |bits_per_s| Direction { bits_per_s, delay: ONE_WAY, queue_bytes: BUFFER_BYTES, loss: 0.0 };
    let link = Link::start(direction(UP_BITS), direction(DOWN_BITS))?;
    let home =
        Home { far: Far::start(&link)?, ping: Probe::ping(&link)?, look_up: Probe::look_up(&link)?, link };
    let load_before = load()?;

    say("the idle line, then a household's upload alone");
    let idle = home.during(|| {
        std::thread::sleep(WARM_UP);
        Ok(())
    })?;
    let idle_ping = percentile(&idle.pings, 50);
    if !(ONE_WAY.as_secs_f64() * 2000.0..LONGEST_IDLE_PING_MS).contains(&idle_ping) {
        return Err(format!(
            "a ping takes {idle_ping} ms on the idle line of 30 ms: this machine is too busy"
        )
        .into());
    }
    let alone = home.during(|| upload(&home.link, SPAN, None))?;
    say(&format!("idle {idle}; household alone {alone}"));
    std::thread::sleep(PAUSE);

    let mut controllers = Vec::new();
    for (name, congestion) in
        [("cubic", Congestion::Cubic), ("bbr3", Congestion::Bbr3), ("scavenger", Congestion::Scavenger)]
    {
        let figures = home.controller(name, congestion, &idle, &alone)?;
        say(&figures.to_string());
        controllers.push(figures);
    }
    let capped = home.capped(&idle, (alone.household_mbit * 1e6 * CAP_SHARE) as u64)?;
    Ok(json!({
        "line": {"up_mbit": UP_BITS / 1_000_000, "down_mbit": DOWN_BITS / 1_000_000, "trip_ms": 30, "buffer_bytes": BUFFER_BYTES},
        "idle_ping_p50_ms": percentile(&idle.pings, 50),
        "idle_ping_p95_ms": percentile(&idle.pings, 95),
        "household_alone_mbit": rounded(alone.household_mbit, 2),
        "household_alone_added_p50_ms": alone.added(&idle, 50),
        "controllers": controllers,
        "scavenger_capped": capped,
        "load_before": load_before,
        "load_after": load()?,
    }))
}

/// Load of the machine, as /proc/loadavg has it for the last minute.
fn load() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

/// What was seen in one span.
#[derive(Debug)]
struct Seen {
    /// Round trips in ms, sorted.
    pings: Vec<f64>,
    pings_lost: usize,
    /// What the line itself knows of the queue that each probe found, in ms, sorted.
    queue: Vec<f64>,
    look_ups: Vec<f64>,
    look_ups_lost: usize,
    household_mbit: f64,
    /// Packets that found the uplink's queue full.
    dropped: u64,
    /// Share of the uplink that anything used.
    used_share: f64,
}

impl Seen {
    /// How much longer a percentile of the ping is than on the idle line, in ms.
    fn added(&self, idle: &Self, percent: usize) -> f64 {
        rounded(percentile(&self.pings, percent) - percentile(&idle.pings, percent), 2)
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ping p50 {} ms p95 {} ms, {} lost of {}; queue p50 {} ms p95 {} ms; household {:.2} Mbit/s; line used {:.3}",
            percentile(&self.pings, 50),
            percentile(&self.pings, 95),
            self.pings_lost,
            self.pings_lost + self.pings.len(),
            percentile(&self.queue, 50),
            percentile(&self.queue, 95),
            self.household_mbit,
            self.used_share
        )
    }
}

/// The line and who lives on it.
#[derive(Debug)]
struct Home {
    far: Far,
    ping: Probe,
    look_up: Probe,
    link: Link,
}

impl Home {
    /// What is seen while `work` goes on.
    fn during(&self, work: impl FnOnce() -> Outcome<()>) -> Outcome<Seen> {
        let (from, received, used) = (Instant::now(), self.far.received(), self.link.up.bytes());
        let dropped = self.link.up.dropped();
        work()?;
        let until = Instant::now();
        let seconds = (until - from).as_secs_f64();
        let (household, used) = (self.far.received() - received, self.link.up.bytes() - used);
        let dropped = self.link.up.dropped() - dropped;
        // The last answers are under way: a full buffer is 200 ms.
        std::thread::sleep(Duration::from_millis(300));
        let (pings, pings_lost) = self.ping.between(from, until);
        let (look_ups, look_ups_lost) = self.look_up.between(from, until);
        Ok(Seen {
            pings,
            pings_lost,
            queue: sorted(self.link.up.waits(from, until).into_iter().map(millis)),
            look_ups,
            look_ups_lost,
            dropped,
            household_mbit: household as f64 * 8.0 / 1e6 / seconds,
            used_share: used as f64 * 8.0 / UP_BITS as f64 / seconds,
        })
    }

    fn controller(&self, name: &str, congestion: Congestion, idle: &Seen, alone: &Seen) -> Outcome<Value> {
        say(&format!("{name}: alone, beside an upload, beside a stream, two flows"));
        let background = Background::start(&self.link, congestion, LiveCap::unlimited())?;
        background.add_flow()?;
        std::thread::sleep(WARM_UP);
        let (by_itself, mbit) = self.beside(&background, || {
            std::thread::sleep(SPAN);
            Ok(())
        })?;
        say(&format!("{name} alone: {by_itself}"));
        let (upload_seen, _) = self.beside(&background, || upload(&self.link, SPAN, None))?;
        say(&format!("{name} beside an upload: {upload_seen}"));
        std::thread::sleep(PAUSE);
        let (stream_seen, stream_mbit) =
            self.beside(&background, || upload(&self.link, SPAN, Some(STREAM_BITS)))?;
        say(&format!("{name} beside a stream: {stream_seen}"));
        background.add_flow()?;
        std::thread::sleep(WARM_UP);
        let (both_seen, both) = self.beside(&background, || {
            std::thread::sleep(FLOWS_SPAN);
            Ok(())
        })?;
        background.end()?;
        let [first, second] = both[..] else {
            return Err(format!("{} connections instead of two", both.len()).into());
        };
        Ok(json!({
            "controller": name,
            "idle_share": rounded(by_itself.used_share, 3),
            "mbit": rounded(mbit.iter().sum(), 2),
            "dropped": by_itself.dropped,
            "added_p50_ms": by_itself.added(idle, 50),
            "added_p95_ms": by_itself.added(idle, 95),
            "queue_p50_ms": percentile(&by_itself.queue, 50),
            "queue_p95_ms": percentile(&by_itself.queue, 95),
            "household_share": rounded(upload_seen.household_mbit / alone.household_mbit, 3),
            "household_mbit": rounded(upload_seen.household_mbit, 2),
            "stream_share": rounded(stream_seen.household_mbit * 1e6 / STREAM_BITS as f64, 3),
            "stream_added_p50_ms": stream_seen.added(idle, 50),
            "stream_added_p95_ms": stream_seen.added(idle, 95),
            "beside_stream_mbit": rounded(stream_mbit.iter().sum(), 2),
            "dns_p50_ms": percentile(&by_itself.look_ups, 50),
            "dns_p95_ms": percentile(&by_itself.look_ups, 95),
            "dns_lost": by_itself.look_ups_lost,
            "two_flows_mbit": [rounded(first, 2), rounded(second, 2)],
            "two_flows_ratio": rounded(first.min(second) / first.max(second), 3),
            "two_flows_added_p50_ms": both_seen.added(idle, 50),
        }))
    }

    /// Ours under the cap that is set for a line of `cap_bits_per_s` x 4/3.
    fn capped(&self, idle: &Seen, cap_bits_per_s: u64) -> Outcome<Value> {
        say("scavenger under the cap");
        let background = Background::start(&self.link, Congestion::Scavenger, LiveCap::new(cap_bits_per_s))?;
        background.add_flow()?;
        std::thread::sleep(WARM_UP);
        let (seen, mbit) = self.beside(&background, || {
            std::thread::sleep(SPAN);
            Ok(())
        })?;
        background.end()?;
        Ok(json!({
            "cap_mbit": rounded(cap_bits_per_s as f64 / 1e6, 2),
            "idle_share": rounded(seen.used_share, 3),
            "mbit": rounded(mbit.iter().sum(), 2),
            "added_p50_ms": seen.added(idle, 50),
            "added_p95_ms": seen.added(idle, 95),
            "queue_p50_ms": percentile(&seen.queue, 50),
            "queue_p95_ms": percentile(&seen.queue, 95),
        }))
    }

    /// What is seen while `work` goes on, and what each flow of `background` brought over in it, in Mbit/s.
    fn beside(
        &self,
        background: &Background,
        work: impl FnOnce() -> Outcome<()>,
    ) -> Outcome<(Seen, Vec<f64>)> {
        let (began, before) = (Instant::now(), background.received());
        let mut after = Vec::new();
        let mut seconds = 0.0;
        let seen = self.during(|| {
            work()?;
            seconds = began.elapsed().as_secs_f64();
            after = background.received();
            Ok(())
        })?;
        let before = before.into_iter().chain(std::iter::repeat(0));
        let mbit =
            after.iter().zip(before).map(|(after, before)| (after - before) as f64 * 8.0 / 1e6 / seconds);
        Ok((seen, mbit.collect()))
    }
}
