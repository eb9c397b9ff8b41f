//! Measures the line against a coordinator: round trip, download and upload.
//!
//! It owns the probes, their sizes and when to stop. It never decides whether measuring is welcome (metered link,
//! somebody at the machine) nor keeps a result; the contributor does. Every probe is an ordinary call of [`Net`] and
//! stands in the journal.
//!
//! Round trip is the median time of ten TCP connections. Each direction moves growing blocks until two in a row agree
//! within 5 %, or 10 s or 25 MB are used up. The rate is payload over the time of one exchange less one round trip
//! (request or acknowledgement on its way), so the start of a TCP stream is part of it: short tests understate fast
//! lines, which is why blocks grow to two seconds' worth.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::net::{Net, NetError, Request};
use crate::purpose::Purpose;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// Median round trip to the coordinator on the line as it was.
    pub rtt_millis: f64,
    /// Payload that can be sent, in bits per second.
    pub up_bits_per_s: u64,
    /// Payload that can be received, in bits per second.
    pub down_bits_per_s: u64,
    /// Everything that the measurement itself moved, both directions together.
    pub bytes_used: u64,
}

/// What is being measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Round trip.
    RoundTrip,
    /// Download.
    Down,
    /// Upload.
    Up,
}

/// How far the measurement is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measuring {
    /// What is being measured.
    pub phase: Phase,
    /// Share of this phase's budget (probes, time or bytes, whichever is furthest) that is used up, 0 to 1.
    pub phase_share: f64,
    /// The latest rate in bits per second; `None` until a first block has passed.
    pub bits_per_s: Option<u64>,
    /// Bytes moved so far in all.
    pub bytes_used: u64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// A probe failed.
    #[error("a probe of the line failed")]
    Net(#[from] NetError),
    /// The coordinator answered with something else than the measurement's endpoints give.
    #[error("the coordinator answered a probe with status {status} and {bytes} bytes")]
    Answer {
        /// HTTP status.
        status: u16,
        /// Length of the body.
        bytes: u64,
    },
}

const PROBES: u32 = 10;
const FIRST_BLOCK_BYTES: u64 = 64 * 1024;
const DIRECTION_BYTES: u64 = 25_000_000;
const DIRECTION_FOR: Duration = Duration::from_secs(10);
const BLOCK_FOR: Duration = Duration::from_secs(2);
/// A block that took less says little about the line.
const TELLING_FOR: Duration = Duration::from_millis(300);
/// What a block's call costs beside its payload, in the worst case.
const CALL_OVERHEAD_BYTES: u64 = 8 * 1024;

/// Measures against the coordinator at `base_url` (for example `http://127.0.0.1:8470`), telling `on_progress` after each
/// probe. Takes at most about 25 s and 50 MB.
///
/// # Errors
/// [`MeasureError`]: a probe failed or was answered wrongly. What was sent until then stands in the journal.
pub async fn measure(
    net: &Net,
    base_url: &str,
    on_progress: &mut (dyn FnMut(Measuring) + Send),
) -> Result<Measurement, MeasureError> {
    let base_url = base_url.trim_end_matches('/');
    let mut bytes_used = 0;
    let rtt = round_trip(net, base_url, &mut bytes_used, on_progress).await?;
    let down_bits_per_s = direction(net, base_url, Phase::Down, rtt, &mut bytes_used, on_progress).await?;
    let up_bits_per_s = direction(net, base_url, Phase::Up, rtt, &mut bytes_used, on_progress).await?;
    Ok(Measurement { rtt_millis: rtt.as_secs_f64() * 1000.0, up_bits_per_s, down_bits_per_s, bytes_used })
}

async fn round_trip(
    net: &Net,
    base_url: &str,
    bytes_used: &mut u64,
    on_progress: &mut (dyn FnMut(Measuring) + Send),
) -> Result<Duration, MeasureError> {
    let mut samples = Vec::new();
    for probe in 1..=PROBES {
        let block = move_block(net, base_url, Phase::Down, 1).await?;
        *bytes_used += block.wire_bytes;
        samples.push(block.connected_in);
        on_progress(Measuring {
            phase: Phase::RoundTrip,
            phase_share: f64::from(probe) / f64::from(PROBES),
            bits_per_s: None,
            bytes_used: *bytes_used,
        });
    }
    samples.sort_unstable();
    Ok(samples[samples.len() / 2])
}

async fn direction(
    net: &Net,
    base_url: &str,
    phase: Phase,
    rtt: Duration,
    bytes_used: &mut u64,
    on_progress: &mut (dyn FnMut(Measuring) + Send),
) -> Result<u64, MeasureError> {
    let started = Instant::now();
    let used_before = *bytes_used;
    let mut blocks: Vec<Rate> = Vec::new();
    let mut next_bytes = Some(FIRST_BLOCK_BYTES);
    while let Some(block_bytes) = next_bytes {
        let block = move_block(net, base_url, phase, block_bytes).await?;
        *bytes_used += block.wire_bytes;
        let rate = Rate::of(block_bytes, block.exchanged_in, rtt);
        blocks.push(rate);
        let spent = Spent { bytes: *bytes_used - used_before, time: started.elapsed() };
        next_bytes = next_block(&blocks, block_bytes, spent);
        let share = if next_bytes.is_none() { 1.0 } else { spent.share() };
        on_progress(Measuring {
            phase,
            phase_share: share,
            bits_per_s: Some(rate.bits_per_s),
            bytes_used: *bytes_used,
        });
    }
    Ok(conclude(&blocks))
}

/// The rate at which one block passed.
#[derive(Debug, Clone, Copy)]
struct Rate {
    bits_per_s: u64,
    took: Duration,
}

impl Rate {
    fn of(payload_bytes: u64, took: Duration, rtt: Duration) -> Self {
        // A block cannot pass in no time; a microsecond keeps the division whole on loopback.
        let moving = took.saturating_sub(rtt).max(Duration::from_micros(1));
        let bits_per_s = payload_bytes as f64 * 8.0 / moving.as_secs_f64();
        Self { bits_per_s: bits_per_s as u64, took }
    }
}

/// What one direction has used up.
#[derive(Debug, Clone, Copy)]
struct Spent {
    bytes: u64,
    time: Duration,
}

impl Spent {
    fn share(self) -> f64 {
        let bytes = self.bytes as f64 / DIRECTION_BYTES as f64;
        let time = self.time.as_secs_f64() / DIRECTION_FOR.as_secs_f64();
        bytes.max(time).min(1.0)
    }
}

/// The size of the next block, or `None` when enough is known or the budget is used up.
fn next_block(blocks: &[Rate], last_bytes: u64, spent: Spent) -> Option<u64> {
    let last = blocks.last()?;
    if let [.., before, last] = blocks
        && before.took >= TELLING_FOR
        && last.took >= TELLING_FOR
        && before.bits_per_s.abs_diff(last.bits_per_s) * 20 <= last.bits_per_s
    {
        return None;
    }
    let time_left = DIRECTION_FOR.checked_sub(spent.time)?;
    let bytes_left = DIRECTION_BYTES.saturating_sub(spent.bytes).saturating_sub(CALL_OVERHEAD_BYTES);
    // No block may run past the budget at the rate seen so far, nor grow by more than eight at a time.
    let affordable_for = time_left.min(BLOCK_FOR).as_secs_f64();
    let affordable_bytes = (last.bits_per_s as f64 / 8.0 * affordable_for) as u64;
    let next = affordable_bytes.min(last_bytes.saturating_mul(8)).min(bytes_left * 15 / 16);
    (next >= FIRST_BLOCK_BYTES).then_some(next)
}

/// The rate of a direction: the mean of the last two telling blocks, else the rate of the longest block.
fn conclude(blocks: &[Rate]) -> u64 {
    let telling: Vec<u64> =
        blocks.iter().filter(|rate| rate.took >= TELLING_FOR).map(|rate| rate.bits_per_s).collect();
    match telling.as_slice() {
        [.., before, last] => before / 2 + last / 2,
        [only] => *only,
        [] => blocks.iter().max_by_key(|rate| rate.took).map_or(0, |rate| rate.bits_per_s),
    }
}

struct Block {
    connected_in: Duration,
    exchanged_in: Duration,
    wire_bytes: u64,
}

/// Moves one block of `payload_bytes` in the direction of `phase`.
async fn move_block(
    net: &Net,
    base_url: &str,
    phase: Phase,
    payload_bytes: u64,
) -> Result<Block, MeasureError> {
    // A line that is slower than the first block's 64 KiB in 20 s is of no use for sharing.
    let within = DIRECTION_FOR * 2;
    let (answer, arrived_bytes) = if phase == Phase::Up {
        let url = format!("{base_url}/v1/measure/up");
        let request = Request::post(Purpose::Measurement, "up", url, filler(payload_bytes));
        let answer = net.request(request.within(within).max_answer_bytes(4096)).await?;
        (answer, payload_bytes)
    } else {
        let url = format!("{base_url}/v1/measure/down/{payload_bytes}");
        let request =
            Request::get(Purpose::Measurement, "down", url).within(within).max_answer_bytes(payload_bytes);
        let saved = net.download(request, &mut tokio::io::sink()).await?;
        (saved.answer, saved.written_bytes)
    };
    if !answer.is_success() || arrived_bytes != payload_bytes {
        return Err(MeasureError::Answer { status: answer.status, bytes: arrived_bytes });
    }
    let wire_bytes = answer.sent_bytes + answer.received_bytes;
    Ok(Block { connected_in: answer.connected_in, exchanged_in: answer.exchanged_in, wire_bytes })
}

/// Bytes that no link compresses: a fixed xorshift sequence.
fn filler(bytes: u64) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let words = usize::try_from(bytes.div_ceil(8)).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(words * 8);
    for _ in 0..words {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(pairs: &[(u64, u64)]) -> Vec<Rate> {
        pairs
            .iter()
            .map(|&(bits_per_s, millis)| Rate { bits_per_s, took: Duration::from_millis(millis) })
            .collect()
    }

    /// Runs the stop rules over an ideal line and returns what they used.
    fn simulate(bits_per_s: u64) -> (u64, Spent) {
        let mut spent = Spent { bytes: 0, time: Duration::ZERO };
        let mut blocks = Vec::new();
        let mut next = Some(FIRST_BLOCK_BYTES);
        while let Some(bytes) = next {
            let took = Duration::from_secs_f64(bytes as f64 * 8.0 / bits_per_s as f64);
            blocks.push(Rate::of(bytes, took, Duration::ZERO));
            spent = Spent { bytes: spent.bytes + bytes, time: spent.time + took };
            next = next_block(&blocks, bytes, spent);
        }
        (conclude(&blocks), spent)
    }

    #[test]
    fn every_line_is_measured_within_ten_seconds_and_twenty_five_megabytes() {
        for bits_per_s in [200_000, 1_000_000, 20_000_000, 100_000_000, 1_000_000_000, 10_000_000_000_u64] {
            let (found, spent) = simulate(bits_per_s);
            assert!(spent.bytes <= DIRECTION_BYTES, "{bits_per_s} bit/s used {} bytes", spent.bytes);
            assert!(spent.time <= DIRECTION_FOR, "{bits_per_s} bit/s took {:?}", spent.time);
            let off = found.abs_diff(bits_per_s) as f64 / bits_per_s as f64;
            assert!(off < 0.001, "{bits_per_s} bit/s was measured as {found}");
        }
    }

    #[test]
    fn two_agreeing_blocks_end_the_measurement_and_brief_ones_do_not() {
        let spent = Spent { bytes: 1_000_000, time: Duration::from_secs(1) };
        assert_eq!(next_block(&rates(&[(20_000_000, 400), (20_500_000, 400)]), 1_000_000, spent), None);
        assert!(next_block(&rates(&[(20_000_000, 400), (24_000_000, 400)]), 1_000_000, spent).is_some());
        assert!(next_block(&rates(&[(20_000_000, 40), (20_500_000, 40)]), 100_000, spent).is_some());
    }

    #[test]
    fn a_brief_first_block_does_not_outvote_the_telling_ones() {
        assert_eq!(conclude(&rates(&[(90_000_000, 5), (20_000_000, 400), (22_000_000, 1900)])), 21_000_000);
        assert_eq!(conclude(&rates(&[(90_000_000, 5), (40_000_000, 20)])), 40_000_000);
    }
}
