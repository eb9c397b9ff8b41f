//! `bench footprint`: what the agent costs a machine on which it waits in the tray, beside what BOINC's client costs.
//!
//! Both are watched in the same minutes. BOINC's client is Debian's, started as its own service starts it but in a folder
//! of its own: no project, no manager, no screen. It has no tray and shows no reason; its graphical manager, which has,
//! would come on top.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coordinator::files::{read_key, read_profile};
use protocol::units::UnixMillis;
use serde_json::json;
use world::{Desktop, Installed, Program, World, descendants};

use crate::{Outcome, rounded, say};

/// How long the agent is watched: two calls to the coordinator at least, which come every 60 to 75 s.
const WATCHED: Duration = Duration::from_secs(150);
/// How long the agent is left alone before: connections, caches and the last look at its status have come to rest.
const SETTLED: Duration = Duration::from_secs(20);

/// The agent in the tray of a desktop of its own, window closed, enrolled, connected and snoozed. A network on one machine
/// has its times compressed (a device calls twice a second); promise 10 is about the pace of other networks, so the
/// coordinator gets the profile without the mark that the network is local. The agent keeps the mark: without it a
/// software device is refused and never connects.
pub(crate) fn measure() -> Outcome {
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
    let boinc = Boinc::start()?;
    say(&format!("the agent {} is paused and enrolled; both are left alone for {SETTLED:?}", agent.pid()));
    std::thread::sleep(SETTLED);
    let processes = [vec![agent.pid()], agent.started()].concat();
    let theirs = [vec![boinc.0.id()], descendants(boinc.0.id())].concat();
    let (mut watch, mut their_watch) = (Watch::default(), Watch::default());
    watch.look(&processes)?;
    their_watch.look(&theirs)?;
    let began = Instant::now();
    while began.elapsed() < WATCHED {
        // Looked at often, so that a thread which comes and goes is counted too; looking wakes nobody.
        std::thread::sleep(Duration::from_millis(500));
        watch.look(&processes)?;
        their_watch.look(&theirs)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let (memory, their_memory) = (memory(&processes)?, memory(&theirs)?);
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
    let ((nanos, switches), (their_nanos, their_switches)) = (watch.totals(), their_watch.totals());
    // In units of 10^6 bytes, as promise 10 is written.
    let pss =
        |memory: &BTreeMap<String, u64>| rounded(*memory.get("Pss").unwrap_or(&0) as f64 * 1024.0 / 1e6, 2);
    let mib = |key: &str| rounded(*memory.get(key).unwrap_or(&0) as f64 / 1024.0, 2);
    Ok(json!({
        "pss_mb": pss(&memory),
        "core_share": rounded(nanos as f64 / 1e9 / seconds, 5),
        "wakeups_per_s": rounded(switches as f64 / seconds, 2),
        "boinc_pss_mb": pss(&their_memory),
        "boinc_core_share": rounded(their_nanos as f64 / 1e9 / seconds, 5),
        "boinc_wakeups_per_s": rounded(their_switches as f64 / seconds, 2),
        "private_dirty_mib": mib("Private_Dirty"),
        "anonymous_mib": mib("Anonymous"),
        "pss_file_mib": mib("Pss_File"),
        "threads": watch.threads.len(),
        "seconds": rounded(seconds, 1),
    }))
}

/// BOINC's client in a folder of its own, without a project. Killed when dropped.
struct Boinc(
    std::process::Child,
    #[expect(dead_code, reason = "kept for as long as the client uses it")] tempfile::TempDir,
);

impl Boinc {
    fn start() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::Builder::new().prefix("hearth-boinc-").tempdir()?;
        let quiet = std::process::Stdio::null;
        let child = std::process::Command::new("boinc")
            .args(["--dir", path_text(folder.path())?, "--gui_rpc_port", "0", "--redirectio"])
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .map_err(|error| format!("boinc (package boinc-client) does not start: {error}"))?;
        Ok(Self(child, folder))
    }
}

impl Drop for Boinc {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

/// KiB by key, of several processes together.
fn memory(processes: &[u32]) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    let mut memory = BTreeMap::new();
    for pid in processes {
        for (key, kib) in smaps(*pid)? {
            *memory.entry(key).or_insert(0) += kib;
        }
    }
    Ok(memory)
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

/// Nanoseconds that the threads of a process that are there have spent on a processor.
pub(crate) fn processor_nanos(pid: u32) -> std::io::Result<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(tasks.flatten().filter_map(|task| thread(&task.path())).map(|(_, (nanos, _))| nanos).sum())
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
