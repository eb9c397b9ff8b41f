//! `bench NAME`: measures one thing on this machine with the shipped programs and prints its figures as one line of JSON.
//!
//! It owns how a figure is taken and nothing of what is measured: the worker, the agent and a local network run as they
//! are shipped. `cargo xtask bench` builds all of them with the release profile and calls it. What it does meanwhile goes
//! to standard error. A figure is printed as measured, whether it keeps its promise or not.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use coordinator::files::{read_key, read_profile};
use jobs::recording::Recording;
use jobs::search::{Options, package};
use jobs::synthetic::Synthetic;
use protocol::frames::Pace;
use protocol::id::SliceId;
use protocol::manifest::SlicePlan;
use protocol::units::UnixMillis;
use sandbox::{SliceJob, Spawn, Worker, find_worker, measure, run_slices};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use world::{Desktop, Installed, Program, World, descendants};

/// Yields that are measured: the 99th percentile is then the third largest.
const YIELDS: usize = 300;
/// Runs of each kind for the cost of slicing.
const SLICING_ROUNDS: usize = 12;
/// How long the agent is watched: two calls to the coordinator at least, which come every 60 to 75 s.
const WATCHED: Duration = Duration::from_secs(150);
/// How long the agent is left alone before: connections, caches and the last look at its status have come to rest.
const SETTLED: Duration = Duration::from_secs(20);

type Outcome = Result<Value, Box<dyn Error>>;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let outcome = match name.as_str() {
        "search" => search(),
        "yield" => yields(),
        "slicing" => slicing(),
        "footprint" => footprint(),
        other => {
            Err(format!("no figure is called {other:?}; there are search, yield, slicing, footprint").into())
        }
    };
    let written = match &outcome {
        Ok(figures) => writeln!(std::io::stdout(), "{figures}"),
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                text.push_str(&format!(": {inner}"));
                cause = inner.source();
            }
            writeln!(std::io::stderr(), "{text}")
        }
    };
    if outcome.is_ok() && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line about what is being done. A closed terminal does not stop a measurement.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The worker beside the shipped programs, on any device that can compute.
fn spawn() -> Result<Spawn, Box<dyn Error>> {
    let mut spawn = Spawn::new(find_worker()?);
    spawn.allow_software = true;
    Ok(spawn)
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Searches a recording through the worker: processor seconds of the worker from its start to the last slice.
fn search() -> Outcome {
    let (recording, name) = recording()?;
    let head = recording.head();
    say(&format!("searching {name}: {} spectra, {} channels", recording.spectra(), head.channels));
    let package = package(&recording, &Options { max_drift_hz_s: 4.0, snr: 10.0, ..Options::default() })?;
    let (runtime, spawn) = (runtime()?, spawn()?);
    let began = Instant::now();
    let (mut worker, ready) = runtime.block_on(Worker::spawn(&spawn))?;
    runtime.block_on(worker.load(&package.program, &package.sources, Duration::from_secs(120)))?;
    let limit = Duration::from_millis(package.program.cost.max_millis.into()) * 2;
    let mut run = |plan: &SlicePlan, inputs| {
        let job = SliceJob { slice: SliceId([1; 32]), inputs, params: plan.params.clone() };
        runtime.block_on(run_slices(&mut worker, [job], Pace::AWAY, limit, |_, _| {}))
    };
    let mut told = 0;
    let hits = jobs::local::search(
        &package,
        |_, plan, inputs| run(plan, inputs)?.pop().map(|output| output.output).ok_or(NoOutput::Nothing),
        |progress| {
            if progress.done * 10 / progress.total > told {
                told = progress.done * 10 / progress.total;
                say(&format!("{} of {} slices, {} hits", progress.done, progress.total, progress.hits.len()));
            }
        },
    )?;
    let wall = began.elapsed();
    let used = worker.usage().ok_or("this system does not tell the processor time of another process")?;
    runtime.block_on(worker.kill());
    for hit in &hits {
        say(&format!("{:.6} MHz, {:.4} Hz/s, S/N {:.1}", hit.frequency_mhz, hit.drift_hz_s, hit.snr));
    }
    Ok(json!({
        "hits": hits.len(),
        "ours_cpu_s": rounded(used.as_secs_f64(), 2),
        "wall_s": rounded(wall.as_secs_f64(), 2),
        "recording": name,
        "adapter": ready.adapter.name,
    }))
}

/// Why a slice has no result.
#[derive(Debug)]
enum NoOutput {
    Worker(sandbox::RunSlicesError),
    Nothing,
}

impl std::fmt::Display for NoOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the worker gave no output")
    }
}

impl Error for NoOutput {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Worker(error) => Some(error),
            Self::Nothing => None,
        }
    }
}

impl From<sandbox::RunSlicesError> for NoOutput {
    fn from(error: sandbox::RunSlicesError) -> Self {
        Self::Worker(error)
    }
}

/// The recording in `HEARTH_FIL`, else Voyager 1 where its data lie beside the checkout, else a made one.
fn recording() -> Result<(Recording, String), Box<dyn Error>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/voyager1/voyager1-wide.fil");
    let file =
        std::env::var_os("HEARTH_FIL").map(PathBuf::from).or_else(|| beside.exists().then_some(beside));
    let Some(file) = file else {
        let made = Synthetic::default();
        return Ok((made.generate().0, format!("synthetic, seed {}", made.seed)));
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Recording::open(&file)?, name))
}

/// From the suspend frame to an idle device: a sample is the later of the worker's answer, which follows the last fence,
/// and of the moment at which its process stopped using the processor (a software device computes there).
fn yields() -> Outcome {
    say(&format!("suspending a running slice {YIELDS} times"));
    let measured = runtime()?.block_on(measure::yield_latency(&spawn()?, Pace::AWAY, YIELDS))?;
    let answered = sorted(measured.samples.iter().map(|s| millis(s.answered)));
    let idle = sorted(
        measured.samples.iter().map(|s| millis(s.idle.map_or(s.answered, |idle| idle.max(s.answered)))),
    );
    Ok(json!({
        "n": idle.len(),
        "p50_ms": percentile(&idle, 50),
        "p99_ms": percentile(&idle, 99),
        "answered_p50_ms": percentile(&answered, 50),
        "answered_p99_ms": percentile(&answered, 99),
        "adapter": measured.ready.adapter.name,
    }))
}

/// Processor time of a slice in pieces of 4 ms over that of the same slice in one, minus one.
fn slicing() -> Outcome {
    say(&format!("running a slice {SLICING_ROUNDS} times in pieces and {SLICING_ROUNDS} times as a whole"));
    let measured = runtime()?.block_on(measure::slicing_overhead(&spawn()?, Pace::AWAY, SLICING_ROUNDS))?;
    say(&format!("in pieces {:.3?} s", measured.sliced));
    say(&format!("as whole  {:.3?} s", measured.whole));
    Ok(json!({
        "overhead": rounded(measured.overhead, 4),
        "n": SLICING_ROUNDS,
        "adapter": measured.ready.adapter.name,
    }))
}

/// The agent in the tray of a desktop of its own, window closed, enrolled, connected and snoozed. A network on one machine
/// has its times compressed (a device calls twice a second); promise 10 is about the pace of other networks, so the
/// coordinator gets the profile without the mark that the network is local. The agent keeps the mark: without it a
/// software device is refused and never connects.
fn footprint() -> Outcome {
    let Some(mut desktop) = Desktop::start(&[("xfce4-panel", "xfce4-panel")]) else {
        return Err("a desktop with a tray cannot be started here".into());
    };
    desktop.start_panel();
    say("founding a network");
    let mut world = World::start();
    world.kill_coordinator();
    let profile = unhurried(&world)?;
    let data = world.folder().join("unhurried");
    let _coordinator = start_coordinator(&world, &profile, &data)?;
    let agent = Installed::start(&desktop, &["--hidden", "--profile", world.founded("profile")], &[]);
    agent.tell(&["welcome", "--agree"]);
    agent.tell(&["snooze", "resume"]);
    let data = path_text(&data)?;
    agent.status_until("a paused agent without a worker", |status| {
        let enrolled =
            || Program::answer("coordinator", &["status", "--data", data, "--json"])["devices"] == 1;
        status["state"] == "paused" && agent.started().is_empty() && enrolled()
    });
    say(&format!("the agent {} is paused and enrolled; it is left alone for {SETTLED:?}", agent.pid()));
    std::thread::sleep(SETTLED);
    let processes = [vec![agent.pid()], agent.started()].concat();
    let mut watch = Watch::default();
    watch.look(&processes)?;
    let began = Instant::now();
    while began.elapsed() < WATCHED {
        // Looked at often, so that a thread which comes and goes is counted too; looking wakes nobody.
        std::thread::sleep(Duration::from_millis(500));
        watch.look(&processes)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut memory = BTreeMap::new();
    for pid in &processes {
        for (key, kib) in smaps(*pid)? {
            *memory.entry(key).or_insert(0) += kib;
        }
    }
    let later = descendants(agent.pid());
    if later.len() + 1 != processes.len() {
        return Err(format!("the agent started something meanwhile: {later:?}").into());
    }
    for ((_, tid), thread) in &watch.threads {
        say(&format!(
            "thread {tid} {}: {:.1} ms of processor time, {:.2} wake-ups/s",
            thread.name,
            (thread.last.0 - thread.first.0) as f64 / 1e6,
            (thread.last.1 - thread.first.1) as f64 / seconds,
        ));
    }
    let status = agent.status();
    if status["state"] != "paused" {
        return Err(format!("the agent did not stay paused: {status}").into());
    }
    let (nanos, switches) = watch.totals();
    let mib = |key: &str| rounded(*memory.get(key).unwrap_or(&0) as f64 / 1024.0, 2);
    Ok(json!({
        // In units of 10^6 bytes, as promise 10 is written.
        "pss_mb": rounded(*memory.get("Pss").unwrap_or(&0) as f64 * 1024.0 / 1e6, 2),
        "core_share": rounded(nanos as f64 / 1e9 / seconds, 5),
        "wakeups_per_s": rounded(switches as f64 / seconds, 2),
        "private_dirty_mib": mib("Private_Dirty"),
        "anonymous_mib": mib("Anonymous"),
        "pss_file_mib": mib("Pss_File"),
        "threads": watch.threads.len(),
        "seconds": rounded(seconds, 1),
    }))
}

/// The world's profile as that of a network that is not on one machine.
fn unhurried(world: &World) -> Result<PathBuf, Box<dyn Error>> {
    let (network, signed) = read_profile(Path::new(world.founded("profile")), UnixMillis(0))?;
    let mut profile = signed.message().clone();
    profile.local = false;
    let root = read_key(&Path::new(world.founded("profile")).with_file_name("root.key"))?;
    let path = world.folder().join("unhurried.hearth");
    std::fs::write(&path, root.sign(&network, profile).envelope().to_bytes())?;
    Ok(path)
}

fn start_coordinator(world: &World, profile: &Path, data: &Path) -> Result<Program, Box<dyn Error>> {
    let arguments =
        ["serve", "--data", path_text(data)?, "--listen", world.url().trim_start_matches("http://")];
    let keys = ["--key", world.founded("coordinator_key"), "--chain-key", world.founded("operator_key")];
    let more = ["--profile", path_text(profile)?, "--publishers", world.founded("publishers")];
    let program = Program::start("coordinator", &[&arguments[..], &keys, &more].concat(), &[]);
    program.lines().wait(|event| event["event"] == "ready").ok_or("the coordinator ended at once")?;
    Ok(program)
}

fn path_text(path: &Path) -> Result<&str, Box<dyn Error>> {
    path.to_str().ok_or_else(|| format!("{} is not plain text", path.display()).into())
}

/// Nanoseconds on a processor and voluntary context switches.
type Counters = (u64, u64);

#[derive(Debug)]
struct Thread {
    name: String,
    first: Counters,
    last: Counters,
}

/// Counters of all threads of some processes, from the first look on.
#[derive(Debug, Default)]
struct Watch {
    threads: BTreeMap<(u32, u32), Thread>,
    looked: bool,
}

impl Watch {
    fn look(&mut self, processes: &[u32]) -> Result<(), Box<dyn Error>> {
        for pid in processes {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
                .map_err(|error| format!("the process {pid} has ended while it was measured: {error}"))?;
            for task in tasks.flatten() {
                let Ok(tid) = task.file_name().to_string_lossy().parse() else { continue };
                // A thread that has just ended keeps what it had at the last look.
                let Some((name, counters)) = thread(&task.path()) else { continue };
                // One that comes later began at nothing.
                let first = if self.looked { (0, 0) } else { counters };
                self.threads.entry((*pid, tid)).or_insert(Thread { name, first, last: counters }).last =
                    counters;
            }
        }
        self.looked = true;
        Ok(())
    }

    fn totals(&self) -> Counters {
        let sum = |part: fn(&Thread) -> u64| self.threads.values().map(part).sum();
        (sum(|t| t.last.0 - t.first.0), sum(|t| t.last.1 - t.first.1))
    }
}

fn thread(task: &Path) -> Option<(String, Counters)> {
    let read = |name: &str| std::fs::read_to_string(task.join(name)).ok();
    let status = read("status")?;
    let field = |key: &str| status.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
    let nanos = read("schedstat")?.split_whitespace().next()?.parse().ok()?;
    Some((field("Name:")?, (nanos, field("voluntary_ctxt_switches:")?.parse().ok()?)))
}

/// KiB by key of `/proc/PID/smaps_rollup`.
fn smaps(pid: u32) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let pair = |line: &str| {
        let (key, rest) = line.split_once(':')?;
        Some((key.to_owned(), rest.trim().strip_suffix(" kB")?.trim().parse().ok()?))
    };
    Ok(text.lines().filter_map(pair).collect())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The smallest value that at least `percent` of all do not exceed (nearest rank).
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    rounded(sorted.get(rank - 1).copied().unwrap_or(f64::NAN), 3)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
