//! `bench search`: the signal search against turbo_seti on the same file, with the same drift range and threshold.
//!
//! Three searches of one file: turbo_seti's second one in a process (its first compiles its kernels), ours on the
//! processor in a process of its own, and ours through the worker on this machine's device. Reading the file is part of
//! the first two. A processor that stands in for a card is no ground for a claim about speed: there one unit is computed
//! and compared bit by bit with the native kernel, and the figures of a card are null with the reason.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jobs::benchmark::Speed;
use jobs::package::Package;
use jobs::recording::RecordingFile;
use jobs::search::{self, Options, Windows};
use jobs::synthetic::Synthetic;
use protocol::frames::{Adapter, Pace};
use protocol::id::SliceId;
use protocol::manifest::{Program, SLICES_PER_UNIT};
use sandbox::{SliceJob, SliceOutput, Worker, run_slices};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::footprint::processor_nanos;
use crate::{Outcome, rounded, runtime, say, spawn};

const MAX_DRIFT_HZ_S: f64 = 4.0;
const SNR: f64 = 10.0;
/// Pictures made per slice, so that the clock can tell what one takes.
const PICTURES: u32 = 16;

fn options() -> Options {
    Options { max_drift_hz_s: MAX_DRIFT_HZ_S, snr: SNR, ..Options::default() }
}

/// Compares the searches.
pub(crate) fn measure() -> Outcome {
    let folder = target().join("bench-search");
    std::fs::create_dir_all(&folder)?;
    let file = recording(&folder)?;
    let head = RecordingFile::open(&file)?;
    let step_hz_s = head.head().foff_mhz.abs() * 1e6
        / (f64::from(search::padded(head.spectra()) - 1) * head.head().tsamp_s);
    let channel_mhz = head.head().foff_mhz.abs();
    say(&format!(
        "searching {}: {} spectra, {} channels",
        file.display(),
        head.spectra(),
        head.head().channels
    ));

    // Both measure the noise of the same parts of the band.
    let parts = Windows::new(head, &options())?.count();
    let peer = turbo_seti(&folder, &file, parts)?;
    let ours = in_own_process(&file)?;
    let (our_hits, peer_hits) = (hits(&ours)?, hits(&peer)?);
    let equal = side_by_side(&our_hits, &peer_hits, channel_mhz, step_hz_s);
    let device = on_device(&file)?;

    let mut figures = json!({
        "hits_equal": equal,
        "ours_cpu_s": rounded(seconds(&ours, "cpu_s")?, 3),
        "turbo_seti_cpu_s": rounded(seconds(&peer, "cpu_s")?, 3),
        "turbo_seti_first_cpu_s": rounded(seconds(&peer, "cold_cpu_s")?, 3),
        "cpu_ratio": rounded(seconds(&ours, "cpu_s")? / seconds(&peer, "cpu_s")?, 4),
        "ours_hits": our_hits.len(),
        "turbo_seti_hits": peer_hits.len(),
        "recording": file.file_name().unwrap_or_default().to_string_lossy(),
    });
    if let (Some(figures), Value::Object(device)) = (figures.as_object_mut(), device) {
        figures.extend(device);
    }
    Ok(figures)
}

/// `bench search-natively FILE`: the search on the processor, as a process that does nothing else.
pub(crate) fn natively(file: &str) -> Outcome {
    let hits = search::search(RecordingFile::open(Path::new(file))?, &options(), |_, _, _| {})?;
    // The search has one thread.
    let nanos = processor_nanos(std::process::id())?;
    Ok(json!({ "cpu_s": nanos as f64 / 1e9, "hits": hits }))
}

fn in_own_process(file: &Path) -> Outcome {
    let bench = std::env::current_exe()?;
    // The file is in the system's cache by then, for both sides.
    let output = Command::new(bench).arg("search-natively").arg(file).stderr(Stdio::inherit()).output()?;
    answer("the native search", &output)
}

fn answer(what: &str, output: &std::process::Output) -> Outcome {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().filter(|_| output.status.success());
    let last = last.ok_or_else(|| format!("{what} ended with {}", output.status))?;
    Ok(serde_json::from_str(last)?)
}

/// A hit of either side.
#[derive(Debug, Clone, Copy)]
struct Line {
    frequency_mhz: f64,
    drift_hz_s: f64,
    snr: f64,
}

fn hits(found: &Value) -> Result<Vec<Line>, Box<dyn Error>> {
    let line = |hit: &Value| {
        Some(Line {
            frequency_mhz: hit["frequency_mhz"].as_f64()?,
            drift_hz_s: hit["drift_hz_s"].as_f64()?,
            snr: hit["snr"].as_f64()?,
        })
    };
    let all = found["hits"].as_array().and_then(|hits| hits.iter().map(line).collect::<Option<Vec<_>>>());
    let mut all = all.ok_or("a search told no hits")?;
    all.sort_by(|a, b| a.frequency_mhz.total_cmp(&b.frequency_mhz));
    Ok(all)
}

fn seconds(found: &Value, key: &str) -> Result<f64, Box<dyn Error>> {
    found[key].as_f64().ok_or_else(|| format!("a search told no {key}").into())
}

/// Prints both lists and tells whether they are the same: as many hits, each within one channel and one drift step of its
/// like. Strengths are printed and not compared.
fn side_by_side(ours: &[Line], theirs: &[Line], channel_mhz: f64, step_hz_s: f64) -> bool {
    say("           ours: MHz       Hz/s      S/N     turbo_seti: MHz       Hz/s      S/N");
    let text = |line: Option<&Line>| {
        line.map_or_else(
            || format!("{:>36}", "-"),
            |l| format!("{:>16.6} {:>10.4} {:>8.1}", l.frequency_mhz, l.drift_hz_s, l.snr),
        )
    };
    for i in 0..ours.len().max(theirs.len()) {
        say(&format!("{}   {}", text(ours.get(i)), text(theirs.get(i))));
    }
    // turbo_seti writes 1 Hz and 10^-6 Hz/s.
    let same = |(a, b): (&Line, &Line)| {
        (a.frequency_mhz - b.frequency_mhz).abs() <= channel_mhz + 1e-6
            && (a.drift_hz_s - b.drift_hz_s).abs() <= step_hz_s + 1e-6
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
}

/// The figures of the worker's device.
fn on_device(file: &Path) -> Outcome {
    let (runtime, spawn) = (runtime()?, spawn()?);
    let mut windows = Windows::new(RecordingFile::open(file)?, &options())?;
    let (mut worker, ready) = runtime.block_on(Worker::spawn(&spawn))?;
    let software = ready.adapter.software;
    say(&format!("computing on {}", ready.adapter.name));
    let (mut device, mut drawing, mut slices, mut bytes) = (Duration::ZERO, Duration::ZERO, 0_u32, 0_u64);
    for window in 0..if software { 1 } else { windows.count() } {
        let package = windows.package(window)?;
        runtime.block_on(worker.load(&package.program, &package.sources, Duration::from_secs(120)))?;
        let all = package.units.len() * SLICES_PER_UNIT;
        for slice in 0..if software { SLICES_PER_UNIT } else { all } {
            let (output, drawn) = one_slice(&runtime, &mut worker, &package, slice)?;
            device += output.device;
            drawing += drawn;
            slices += 1;
            bytes += moved_bytes(&package.program);
        }
    }
    say(&format!("{slices} slices, each with the bits of the native kernel"));
    let share = drawing.as_secs_f64() / device.as_secs_f64();
    let mut figures = json!({
        "adapter": ready.adapter.name,
        "slices_compared": slices,
        "picture_ms": rounded(drawing.as_secs_f64() * 1e3 / f64::from(slices), 4),
        "slice_ms": rounded(device.as_secs_f64() * 1e3 / f64::from(slices), 3),
        "waterfall_share": rounded(share, 5),
        "gpu_s": null,
        "bandwidth_share": null,
    });
    if software {
        figures["gpu_reason"] = json!("a software Vulkan driver is for correctness, not for speed claims");
    } else {
        let peak = peak_bytes_per_s(&runtime, &mut worker, &ready.adapter)?;
        figures["gpu_s"] = json!(rounded(device.as_secs_f64(), 4));
        figures["bandwidth_share"] = json!(rounded(bytes as f64 / device.as_secs_f64() / peak, 4));
    }
    runtime.block_on(worker.kill());
    Ok(figures)
}

/// Computes a slice, compares it with the native kernel, and measures what its picture takes.
fn one_slice(
    runtime: &Runtime,
    worker: &mut Worker,
    package: &Package,
    slice: usize,
) -> Result<(SliceOutput, Duration), Box<dyn Error>> {
    let plan = &package.units[slice / SLICES_PER_UNIT].slices[slice % SLICES_PER_UNIT];
    let inputs = package.inputs(plan).ok_or("the package lacks an input")?;
    let input = inputs.first().cloned().ok_or("a slice without input")?;
    let job = SliceJob { slice: SliceId([1; 32]), inputs, params: plan.params.clone() };
    let limit = Duration::from_millis(package.program.cost.max_millis.into()) * 2;
    let output = runtime.block_on(run_slices(worker, [job], Pace::AWAY, limit, |_, _| {}))?.pop();
    let output = output.ok_or("the worker gave no output")?;
    if output.output != search::reference(&input, &plan.params)? {
        return Err(format!("slice {slice} has other bits than the native kernel").into());
    }
    let began = Instant::now();
    for _ in 0..PICTURES {
        std::hint::black_box(search::picture(&input, &plan.params, Some(&output.output))?);
    }
    Ok((output, began.elapsed() / PICTURES))
}

/// Bytes that the stages of a slice move when each repeat reads and writes its buffers once: what the memory has to carry
/// where no cache keeps anything from one repeat to the next, and nothing is read twice within one.
fn moved_bytes(program: &Program) -> u64 {
    let stage = |stage: &protocol::manifest::Stage| {
        let buffers = stage.bindings.iter().filter_map(|&binding| program.buffers.get(usize::from(binding)));
        let bytes: u64 = buffers
            .map(|buffer| match buffer.role {
                // Best sum, its trial and the digest are read and written.
                protocol::manifest::Role::State => 2 * u64::from(buffer.bytes),
                _ => u64::from(buffer.bytes),
            })
            .sum();
        bytes * u64::from(stage.repeat)
    };
    program.stages.iter().map(stage).sum()
}

/// The device's memory bandwidth, by the benchmark that copies; the best of five runs.
fn peak_bytes_per_s(
    runtime: &Runtime,
    worker: &mut Worker,
    adapter: &Adapter,
) -> Result<f64, Box<dyn Error>> {
    // 32 copies: some tens of milliseconds on a card.
    let copy = Speed::Memory.program(32, adapter);
    runtime.block_on(worker.load(&copy.program, &copy.sources, Duration::from_secs(120)))?;
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let job =
            SliceJob { slice: SliceId([2; 32]), inputs: copy.inputs.clone(), params: copy.params.clone() };
        let limit = Duration::from_secs(60);
        let outputs = runtime.block_on(run_slices(worker, [job], Pace::AWAY, limit, |_, _| {}))?;
        for output in outputs {
            best = best.max(copy.count_per_run as f64 / output.device.as_secs_f64());
        }
    }
    Ok(best)
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// The recording in `HEARTH_FIL`, else a made one of the size that the figure is about: one coarse channel of the Green
/// Bank Telescope with twelve tones.
fn recording(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    if let Some(file) = std::env::var_os("HEARTH_FIL") {
        return Ok(PathBuf::from(file));
    }
    let made = Synthetic {
        channels: 1 << 20,
        spectra: 16,
        fch1_mhz: 6_095.214_842_353_016,
        foff_hz: -2.793_967_723_846_435_5,
        tsamp_s: 18.253_611_008,
        tones: 12,
        min_snr: 12.0,
        max_snr: 200.0,
        max_drift_hz_s: 3.5,
        seed: 42,
    };
    let file = folder.join("synthetic-42.fil");
    if !file.exists() {
        say("making a recording of 1,048,576 channels with 12 tones in noise, S/N 12 to 200");
        // Complete or not there: a file that was cut short would be searched the next time.
        let unfinished = folder.join("unfinished.fil");
        made.generate().0.save(&unfinished)?;
        std::fs::rename(unfinished, &file)?;
    }
    Ok(file)
}

/// Searches with turbo_seti, which is installed from PyPI into a folder of its own where it is missing.
fn turbo_seti(folder: &Path, file: &Path, parts: usize) -> Outcome {
    let environment = target().join("turbo-seti");
    let python = environment.join("bin/python");
    let there = || {
        let import = Command::new(&python)
            .args(["-c", "import turbo_seti.find_doppler.find_doppler"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    };
    if !there() {
        say("installing turbo_seti 2.3.2 from PyPI into target/turbo-seti");
        must(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        // It fails with numpy 2.4 (a format of an array as number) and still uses setuptools' pkg_resources.
        let packages = ["turbo_seti==2.3.2", "numpy<2.4", "setuptools<81"];
        must(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(packages),
        )?;
        if !there() {
            return Err("turbo_seti was installed and cannot be imported".into());
        }
    }
    say("searching with turbo_seti, twice");
    let script = folder.join("turbo_seti_twice.py");
    std::fs::write(&script, include_str!("turbo_seti_twice.py"))?;
    let mut command = Command::new(&python);
    command.arg(&script).args([file, folder]).args([MAX_DRIFT_HZ_S.to_string(), SNR.to_string()]);
    command.arg(parts.to_string());
    // Its own lines, one per drift block, are not what this prints.
    let output = command.stderr(Stdio::null()).output()?;
    answer("turbo_seti", &output)
}

fn must(command: &mut Command) -> Result<(), Box<dyn Error>> {
    // What it says goes to standard error: the last line of standard output is the figure's.
    let output = command.stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {}", output.status).into())
    }
}
