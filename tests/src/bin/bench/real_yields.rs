//! `bench yield --real`: the whole app on a desktop, and how long the card stays busy after its owner has moved the mouse.
//!
//! Nothing is replaced: a network on this machine, the installed agent with its tray, the worker that computes a paid
//! picture, an X session with a window manager, and xdotool as the hand on the mouse. A sample begins before xdotool is
//! started and ends when the worker's process uses no more processor time, seen from outside. So it holds the start of
//! xdotool, the sensor, the decision, the suspend and the worker's last piece.

use std::error::Error;
use std::time::{Duration, Instant};

use sandbox::measure::hand_back::Moments;
use serde_json::json;
use world::{Desktop, Installed, World, pids_of_children};

use crate::footprint::processor_nanos;
use crate::{Outcome, millis, percentile, say, sorted};

/// Returns of the owner.
const RETURNS: usize = 120;
/// How long the worker may take to be busy again: the desk is left alone for two seconds, and a worker starts. The first
/// time the coordinator computes the known answers before.
const BUSY_WITHIN: Duration = Duration::from_secs(240);
/// Processor time in this window that shows a busy worker.
const WINDOW: Duration = Duration::from_millis(40);
/// No processor time for so long means idle: longer than the pause between two pieces.
const QUIET: Duration = Duration::from_millis(30);
/// Processor time that answering a frame may cost and that is no work.
const NOISE_NANOS: u64 = 300_000;
/// A card that is not free by then never will be: the hard kill comes at 2 s.
const FREE_WITHIN: Duration = Duration::from_secs(3);

pub(crate) fn measure() -> Outcome {
    let Some(mut desktop) = Desktop::start(&[("xfce4-panel", "xfce4-panel")]) else {
        return Err("a desktop with a tray cannot be started here".into());
    };
    desktop.start_panel();
    say("founding a network and ordering a large picture");
    let world = World::start();
    let picture = world.folder().join("room.png");
    let picture = picture.to_str().ok_or("the folder has no plain name")?;
    let size = ["--width", "2048", "--height", "2048", "--samples", "64", "--out", picture];
    let _publication = world.order("render", &size);
    let agent = Installed::start(&desktop, &["--hidden", "--profile", world.founded("profile")], &[]);
    agent.tell(&["welcome", "--agree"]);
    agent.tell(&["limits", "idle_after_seconds=1", "max_other_cpu_percent=100"]);
    let (mut free, mut shown) = (Vec::with_capacity(RETURNS), Vec::with_capacity(RETURNS));
    for pause in Moments::default().take(RETURNS) {
        let worker = busy_worker(&agent)?;
        std::thread::sleep(pause);
        free.push(millis(come_back(&desktop, worker)?));
        if let Some(own) = agent.status()["card"]["yielded_in_millis"].as_f64() {
            shown.push(own);
        }
        if free.len() % 20 == 0 {
            say(&format!("{} of {RETURNS}", free.len()));
        }
    }
    let status = agent.status();
    let (free, shown) = (sorted(free.into_iter()), sorted(shown.into_iter()));
    Ok(json!({
        "n": free.len(),
        "p50_ms": percentile(&free, 50),
        "p99_ms": percentile(&free, 99),
        "max_ms": percentile(&free, 100),
        // What the app measured itself and shows, from its decision on.
        "shown_p50_ms": percentile(&shown, 50),
        "shown_p99_ms": percentile(&shown, 99),
        "adapter": status["card"]["adapter"]["name"],
    }))
}

/// The agent's worker, once it computes.
fn busy_worker(agent: &Installed<'_>) -> Result<u32, Box<dyn Error>> {
    let until = Instant::now() + BUSY_WITHIN;
    while Instant::now() < until {
        if let Some(&worker) = pids_of_children(agent.pid(), "worker").first() {
            let Ok(before) = processor_nanos(worker) else { continue };
            std::thread::sleep(WINDOW);
            let Ok(after) = processor_nanos(worker) else { continue };
            // Starting up and compiling use a processor too; work goes on through several windows.
            if after.saturating_sub(before) > u64::try_from(WINDOW.as_nanos())? / 2
                && agent.status()["state"] == "sharing"
            {
                return Ok(worker);
            }
        }
        std::thread::sleep(WINDOW);
    }
    Err(format!("the card did not begin to work; the status is {}", agent.status()).into())
}

/// Moves the mouse and watches the worker until it rests. Gives the time from the hand to the last moment of work.
fn come_back(desktop: &Desktop, worker: u32) -> Result<Duration, Box<dyn Error>> {
    let moved = Instant::now();
    let mut xdotool = std::process::Command::new("xdotool")
        .args(["mousemove_relative", "--", "7", "3"])
        .envs(desktop.environment())
        .spawn()?;
    let mut last_busy = Instant::now();
    let mut used = processor_nanos(worker).unwrap_or(0);
    while last_busy.elapsed() < QUIET {
        if moved.elapsed() > FREE_WITHIN {
            return Err("the card was not handed back within 3 s".into());
        }
        std::thread::sleep(Duration::from_millis(1));
        // A worker that has ended uses nothing.
        let Ok(now_used) = processor_nanos(worker) else { break };
        if now_used.saturating_sub(used) > NOISE_NANOS {
            last_busy = Instant::now();
        }
        used = now_used;
    }
    if !xdotool.wait()?.success() {
        return Err("xdotool did not move the mouse".into());
    }
    // Put it back, so that the next move is one too; whoever has come back stays for a moment.
    let back = std::process::Command::new("xdotool")
        .args(["mousemove_relative", "--", "-7", "-3"])
        .envs(desktop.environment())
        .status()?;
    if !back.success() {
        return Err("xdotool did not move the mouse back".into());
    }
    Ok(last_busy.duration_since(moved))
}
