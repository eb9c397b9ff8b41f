//! `bench gpu-peak`: float arithmetic of the worker's device next to clpeak's on the same device, in turns.
//!
//! Where the processor computes, both stand-ins are a compiler to vector instructions each (lavapipe under Vulkan, PoCL
//! under OpenCL), and the machine may be busy with other things: the rate per second of processor time is given beside the
//! rate per second, and it is the one to compare. docs/benchmark.md explains the difference.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contributor::benchmark::measure_card_alone;
use contributor::benchmark::rig::Rig;
use jobs::benchmark::Speed;
use serde_json::json;

use crate::{Outcome, percentile, rounded, runtime, say, sorted, spawn};

/// Turns of each; the best counts.
const TURNS: usize = 3;
/// How long ours computes in one turn.
const TURN_FOR: Duration = Duration::from_secs(2);

/// 10^9 operations per second, and per second of processor time where the system tells that.
#[derive(Debug, Clone, Copy)]
struct Peak {
    wall: f64,
    cpu: Option<f64>,
}

/// One of the figures of a peak.
type Of = fn(&Peak) -> Option<f64>;

/// Our float peak, clpeak's, and the whole measurement of the card for the record.
pub(crate) fn measure() -> Outcome {
    let (runtime, spawn) = (runtime()?, spawn()?);
    say("measuring the card as the app does");
    let began = Instant::now();
    let card = runtime.block_on(measure_card_alone(&spawn, Arc::new(|_| {})))?;
    let seconds = began.elapsed().as_secs_f64();
    let adapter = card.adapter.clone().ok_or("the measurement names no card")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut device = None;
    for turn in 1..=TURNS {
        let peak = runtime.block_on(our_peak(&spawn))?;
        say(&format!("turn {turn}: ours {peak:.1?}"));
        ours.push(peak);
        let Some((name, peak)) = clpeak(&adapter.name, adapter.software)? else {
            say("clpeak sees no such device");
            break;
        };
        say(&format!("turn {turn}: clpeak {peak:.1?}"));
        theirs.push(peak);
        device = Some(name);
    }
    let best = |peaks: &[Peak], of: Of| peaks.iter().filter_map(of).reduce(f64::max);
    let (wall, cpu): (Of, Of) = (|peak| Some(peak.wall), |peak| peak.cpu);
    let ratio = |of| Some(best(&ours, of)? / best(&theirs, of)?);
    let figure = |value: Option<f64>| value.map(|value| rounded(value, 3));
    let medians = sorted(ours.iter().map(|peak| peak.wall));
    Ok(json!({
        "ours_gflops": figure(best(&ours, wall)),
        "clpeak_gflops": figure(best(&theirs, wall)),
        "ratio": figure(ratio(wall)),
        "ours_gflops_per_cpu_s": figure(best(&ours, cpu)),
        "clpeak_gflops_per_cpu_s": figure(best(&theirs, cpu)),
        "ratio_per_cpu_s": figure(ratio(cpu)),
        "ours_median_gflops": percentile(&medians, 50),
        "turns": TURNS,
        "adapter": adapter.name,
        "driver": adapter.driver,
        "clpeak_device": device,
        "why": why(adapter.software),
        "measurement_s": rounded(seconds, 2),
        "measurement": card,
    }))
}

fn why(software: bool) -> &'static str {
    if software {
        "two vectorisers on one processor: each of clpeak's work items is one dependent chain of multiply-adds, so PoCL's \
         code waits for each result; ours has 32 chains a thread, which lavapipe packs into eight lanes each"
    } else {
        "the same multiply-adds on the same card through OpenCL and Vulkan: expected within a tenth"
    }
}

/// The best of the runs of two seconds.
async fn our_peak(spawn: &sandbox::Spawn) -> Result<Peak, Box<dyn Error>> {
    let (mut rig, _) = Rig::open(spawn).await?;
    let (benchmark, _) = rig.load_sized(Speed::Float, 1).await?;
    rig.warm_up(&benchmark).await?;
    let before = rig.usage();
    let rates = rig.rates(&benchmark, TURN_FOR, 1, &mut |_| {}).await?;
    let used = rig.usage().zip(before).map(|(after, before)| after - before);
    rig.close().await;
    let work = benchmark.count_per_run as f64 * rates.len() as f64;
    Ok(Peak {
        wall: rates.iter().copied().fold(0.0, f64::max),
        cpu: used.map(|used| work / used.as_secs_f64() / 1e9),
    })
}

/// clpeak's best width on the device with this name (for a software device: on the processor through PoCL), and what
/// OpenCL calls it. `None` where OpenCL does not know the device.
fn clpeak(adapter: &str, software: bool) -> Result<Option<(String, Peak)>, Box<dyn Error>> {
    let mut child = Command::new("clpeak")
        .arg("--compute-sp")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("start clpeak (Debian package clpeak): {error}"))?;
    let output = child.stdout.take().ok_or("clpeak has no output")?;
    let mut read = Output::default();
    let mut last = (Instant::now(), cpu_time(child.id()));
    for line in BufReader::new(output).split(b'\n') {
        let now = (Instant::now(), cpu_time(child.id()));
        let cores = last.1.zip(now.1).map(|(before, after)| {
            after.saturating_sub(before).as_secs_f64() / now.0.duration_since(last.0).as_secs_f64()
        });
        last = now;
        read.take(&String::from_utf8_lossy(&line?), cores);
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("clpeak ended with {status}").into());
    }
    Ok(read.best(adapter, software))
}

/// What clpeak has printed so far.
#[derive(Debug, Default)]
struct Output {
    platform: String,
    device: String,
    /// Platform, device, and one width.
    found: Vec<(String, String, Peak)>,
}

impl Output {
    /// Takes a line; `cores` processors were busy with what it tells.
    fn take(&mut self, line: &str, cores: Option<f64>) {
        let Some((name, value)) = line.split_once(':') else { return };
        match (name.trim(), value.trim()) {
            ("Platform", value) => value.clone_into(&mut self.platform),
            ("Device", value) => value.clone_into(&mut self.device),
            (width, value) if width.starts_with("float") => {
                if let Ok(wall) = value.parse() {
                    let cpu = cores.filter(|&cores| cores > 0.0).map(|cores| wall / cores);
                    self.found.push((self.platform.clone(), self.device.clone(), Peak { wall, cpu }));
                }
            }
            _ => {}
        }
    }

    fn best(self, adapter: &str, software: bool) -> Option<(String, Peak)> {
        let same = |platform: &str, device: &str| {
            let processor = platform.contains("Portable Computing Language");
            processor == software && (software || device.contains(adapter) || adapter.contains(device))
        };
        let (_, device, first) =
            self.found.iter().find(|(platform, device, _)| same(platform, device))?.clone();
        let peaks = self.found.iter().filter(|found| found.1 == device).map(|found| found.2);
        let best = peaks.fold(first, |best, peak| if peak.wall > best.wall { peak } else { best });
        Some((device, best))
    }
}

/// Processor time of a process, in steps of a hundredth of a second, where `/proc` tells it.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields 14 and 15, counted from behind the name, which may contain spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\nPlatform: Portable Computing Language\n  Device: pthread-haswell-AMD EPYC\n    \
        Driver version  : 3.1\n\n    Single-precision compute (GFLOPS)\n      float   : 0.36\n      float16 : 6.78\n\n\
        Platform: NVIDIA CUDA\n  Device: NVIDIA H100 80GB HBM3\n    Single-precision compute (GFLOPS)\n      \
        float   : 50123.1\n      float16 : 49000.0\n";

    fn read() -> Output {
        let mut output = Output::default();
        for line in PRINTED.lines() {
            output.take(line, Some(0.5));
        }
        output
    }

    #[test]
    fn the_best_width_of_the_device_that_computes_is_taken() {
        let (device, peak) = read().best("llvmpipe", true).expect("the processor");
        assert_eq!((device.as_str(), peak.wall, peak.cpu), ("pthread-haswell-AMD EPYC", 6.78, Some(13.56)));
        let (device, peak) = read().best("NVIDIA H100 80GB HBM3", false).expect("the card");
        assert_eq!((device.as_str(), peak.wall), ("NVIDIA H100 80GB HBM3", 50123.1));
        assert!(
            read().best("Intel(R) Arc(tm) A770", false).is_none(),
            "another card's figure is not taken for it"
        );
    }

    #[test]
    fn the_processor_time_of_this_process_is_read() {
        assert_eq!(cpu_time(std::process::id()).is_some(), cfg!(target_os = "linux"));
        assert_eq!(cpu_time(u32::MAX), None, "no such process");
    }
}
