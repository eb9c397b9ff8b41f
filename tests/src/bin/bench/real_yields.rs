//! `bench yield --real`: the whole app on a desktop, and how long the card stays busy after its owner has moved the mouse.
//!
//! Nothing is replaced: a network on this machine, the installed agent with its tray, the worker that computes a paid
//! picture, an X session with a window manager, and xdotool as the hand on the mouse. A sample begins before xdotool is
//! started and ends when the worker's process uses no more processor time, seen from outside. So it holds the start of
//! xdotool, the sensor, the decision, the suspend and the worker's last piece. The same then in a Wayland session, with KWin
//! and its own fake pointer for a hand.

use std::cell::RefCell;
use std::error::Error;
use std::time::{Duration, Instant};

use sandbox::measure::hand_back::Moments;
use serde_json::{Value, json};
use world::{Compositor, Desktop, Installed, World, pids_of_children};

use crate::footprint::processor_nanos;
use crate::{Outcome, millis, percentile, say, sorted};

/// Returns of the owner to the X session, and to the Wayland session.
const RETURNS: usize = 120;
const WAYLAND_RETURNS: usize = 60;
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
    let status = || agent.status();
    let (free, shown) = returns(RETURNS, agent.pid(), status, || xdotool(&desktop))?;
    let adapter = agent.status()["card"]["adapter"]["name"].clone();
    drop(agent);
    let mut figures = json!({
        "n": free.len(),
        "p50_ms": percentile(&free, 50),
        "p99_ms": percentile(&free, 99),
        "max_ms": percentile(&free, 100),
        // What the app measured itself and shows, from its decision on.
        "shown_p50_ms": percentile(&shown, 50),
        "shown_p99_ms": percentile(&shown, 99),
        "adapter": adapter,
    });
    let under_wayland = wayland(&world)?;
    let told = |percent| under_wayland.as_ref().map(|free| percentile(free, percent));
    figures["wayland_n"] = json!(under_wayland.as_ref().map(Vec::len));
    figures["wayland_p50_ms"] = json!(told(50));
    figures["wayland_p99_ms"] = json!(told(99));
    Ok(figures)
}

/// The same in a Wayland session; nothing where no compositor is installed.
fn wayland(world: &World) -> Result<Option<Vec<f64>>, Box<dyn Error>> {
    let Some(compositor) = Compositor::start() else { return Ok(None) };
    let compositor = RefCell::new(compositor);
    let home = world.contributor_under("wayland", &compositor.borrow());
    let moved = || -> Result<(), Box<dyn Error>> {
        compositor.borrow_mut().move_pointer();
        Ok(())
    };
    let (free, _) = returns(WAYLAND_RETURNS, home.agent().pid(), || home.status(), moved)?;
    Ok(Some(free))
}

/// Comes back so often; the times until the card was free, and those that the app shows, in milliseconds, sorted.
fn returns(
    count: usize,
    agent: u32,
    status: impl Fn() -> Value,
    hand: impl Fn() -> Result<(), Box<dyn Error>>,
) -> Result<(Vec<f64>, Vec<f64>), Box<dyn Error>> {
    let (mut free, mut shown) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for pause in Moments::default().take(count) {
        let worker = busy_worker(agent, &status)?;
        std::thread::sleep(pause);
        free.push(millis(come_back(worker, &hand)?));
        if let Some(own) = status()["card"]["yielded_in_millis"].as_f64() {
            shown.push(own);
        }
        if free.len() % 20 == 0 {
            say(&format!("{} of {count}", free.len()));
        }
    }
    Ok((sorted(free.into_iter()), sorted(shown.into_iter())))
}

/// The agent's worker, once it computes.
fn busy_worker(agent: u32, status: impl Fn() -> Value) -> Result<u32, Box<dyn Error>> {
    let until = Instant::now() + BUSY_WITHIN;
    while Instant::now() < until {
        if let Some(&worker) = pids_of_children(agent, "worker").first() {
            let Ok(before) = processor_nanos(worker) else { continue };
            std::thread::sleep(WINDOW);
            let Ok(after) = processor_nanos(worker) else { continue };
            // Starting up and compiling use a processor too; work goes on through several windows.
            if after.saturating_sub(before) > u64::try_from(WINDOW.as_nanos())? / 2
                && status()["state"] == "sharing"
            {
                return Ok(worker);
            }
        }
        std::thread::sleep(WINDOW);
    }
    Err(format!("the card did not begin to work; the status is {}", status()).into())
}

/// Lets the hand move the mouse, and watches the worker until it rests. Gives the time from the hand to the last moment of
/// work.
fn come_back(worker: u32, hand: impl Fn() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let moved = Instant::now();
    let mut used = processor_nanos(worker).unwrap_or(0);
    hand()?;
    // The hand may have taken as long as the card: what the worker did meanwhile counts up to now.
    let mut last_busy = if processor_nanos(worker).unwrap_or(used) > used { Instant::now() } else { moved };
    used = processor_nanos(worker).unwrap_or(used);
    let mut looked = Instant::now();
    while looked.elapsed() < QUIET {
        if moved.elapsed() > FREE_WITHIN {
            return Err("the card was not handed back within 3 s".into());
        }
        std::thread::sleep(Duration::from_millis(1));
        // A worker that has ended uses nothing.
        let Ok(now_used) = processor_nanos(worker) else { break };
        if now_used.saturating_sub(used) > NOISE_NANOS {
            looked = Instant::now();
            last_busy = looked;
        }
        used = now_used;
    }
    Ok(last_busy.duration_since(moved))
}

/// Moves the mouse with a tool that people use. Does not wait for its end: the card may be free before.
fn xdotool(desktop: &Desktop) -> Result<(), Box<dyn Error>> {
    let mut moving = std::process::Command::new("xdotool")
        .args(["mousemove_relative", "--", "7", "3", "mousemove_relative", "--", "-7", "-3"])
        .envs(desktop.environment())
        .spawn()?;
    // Reaped beside: its end is nothing to wait for here.
    std::thread::spawn(move || moving.wait());
    Ok(())
}
