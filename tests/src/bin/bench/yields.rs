//! `bench yield`: how long the device stays busy after its owner has come back.
//!
//! A sample begins with an input event that the X server of a private desktop receives, and ends when the worker's process
//! uses no more processor time, seen from outside. Between them lie the parts that the app is made of: the sensor's push,
//! the policy's decision, the suspend, the worker's last piece. Besides: what happens when the worker cannot answer, and
//! when its memory is to be given back too.

use std::error::Error;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use contributor::policy::{Compute, Kept, Memory, decide};
use contributor::preferences;
use contributor::signals::linux::LinuxSource;
use contributor::signals::scripted::quiet;
use contributor::signals::{Change, Input, Reading, Source as _};
use protocol::frames::Pace;
use sandbox::measure::hand_back::{Busy, Moments, kills, releases};
use serde_json::json;
use world::Desktop;

use crate::{Outcome, millis, percentile, rounded, runtime, say, sorted, spawn};

/// Hand-backs that are measured: the 99th percentile is then the sixth largest.
const YIELDS: usize = 500;
/// Workers that are killed, and releases of memory.
const FEW: usize = 10;
/// How long the sensor may take to see an event or its absence.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn measure() -> Outcome {
    let desktop = Desktop::start(&[]).ok_or("a private desktop cannot be started here")?;
    let display = desktop.environment().into_iter().find(|(name, _)| *name == "DISPLAY");
    let display = display.ok_or("the desktop has no display")?.1.to_owned();
    let runtime = runtime()?;
    let mut owner = Owner::sit_down(&display)?;
    say(&format!(
        "coming back to a busy device {YIELDS} times; each time the desk is left alone for a second first"
    ));
    let mut busy = runtime.block_on(Busy::start(&spawn()?, Pace::AWAY))?;
    let (mut free, mut seen) = (Vec::with_capacity(YIELDS), Vec::with_capacity(YIELDS));
    for pause in Moments::default().take(YIELDS) {
        owner.leave()?;
        std::thread::sleep(pause);
        let (touched, told) = owner.touch()?;
        let sample = runtime.block_on(busy.take_back(touched))?;
        busy.give_back();
        free.push(millis(sample.free()));
        seen.push(millis(told));
        if free.len() % 50 == 0 {
            say(&format!("{} of {YIELDS}", free.len()));
        }
    }
    let adapter = busy.ready().adapter.name.clone();
    runtime.block_on(busy.end());
    say(&format!("stopping {FEW} workers so that they cannot answer"));
    let killed = runtime.block_on(kills(&spawn()?, Pace::AWAY, FEW))?;
    say(&format!("taking the memory back {FEW} times"));
    let released = runtime.block_on(releases(&spawn()?, Pace::AWAY, FEW))?;
    let worst = |spans: &[Duration]| rounded(spans.iter().copied().map(millis).fold(0.0, f64::max), 3);
    let (free, seen) = (sorted(free.into_iter()), sorted(seen.into_iter()));
    Ok(json!({
        "n": free.len(),
        "p50_ms": percentile(&free, 50),
        "p99_ms": percentile(&free, 99),
        "max_ms": percentile(&free, 100),
        "seen_p50_ms": percentile(&seen, 50),
        "seen_p99_ms": percentile(&seen, 99),
        "kill_max_ms": worst(&killed),
        "release_max_ms": worst(&released),
        "adapter": adapter,
    }))
}

/// Somebody at the desk, and the app's sensor that looks out for him.
struct Owner {
    connection: x11rb::rust_connection::RustConnection,
    root: x11rb::protocol::xproto::Window,
    source: LinuxSource,
    changes: mpsc::Receiver<(Instant, Change)>,
    place: i16,
}

impl Owner {
    fn sit_down(display: &str) -> Result<Self, Box<dyn Error>> {
        use x11rb::connection::Connection as _;
        let (connection, screen) = x11rb::rust_connection::RustConnection::connect(Some(display))?;
        let root = connection.setup().roots.get(screen).ok_or("the display has no screen")?.root;
        let mut source = LinuxSource::on_display(display, std::env::temp_dir(), network::system_clock());
        let (told, changes) = mpsc::channel();
        source.start(Arc::new(move |change| {
            // Nobody listens any more once the measurement is over.
            drop(told.send((Instant::now(), change)));
        }));
        Ok(Self { connection, root, source, changes, place: 0 })
    }

    /// Leaves the desk alone until the sensor says so.
    fn leave(&mut self) -> Result<(), Box<dyn Error>> {
        self.hear(|input| matches!(input, Input::IdleSince(_))).map(|_| ())
    }

    /// Moves the mouse. Gives the moment of the event and how long it took until the policy had suspended the work.
    fn touch(&mut self) -> Result<(Instant, Duration), Box<dyn Error>> {
        use x11rb::connection::Connection as _;
        use x11rb::protocol::xtest::ConnectionExt as _;
        self.place = (self.place + 7) % 300;
        let touched = Instant::now();
        let motion = x11rb::protocol::xproto::MOTION_NOTIFY_EVENT;
        self.connection.xtest_fake_input(motion, 0, 0, self.root, self.place, 100, 0)?;
        self.connection.flush()?;
        self.hear(|input| input == Input::Active)?;
        let now = network::system_clock()();
        let mut signals = quiet(now);
        signals.input = Reading::Known(Input::Active);
        let (decision, _) =
            decide(&signals, &preferences::defaults(), &Memory::new(Kept::default(), now), now);
        if matches!(decision.compute, Compute::Run { .. }) {
            return Err("the policy lets work go on while somebody is at the desk".into());
        }
        Ok((touched, touched.elapsed()))
    }

    fn hear(&self, wanted: impl Fn(Input) -> bool) -> Result<Instant, Box<dyn Error>> {
        let until = Instant::now() + SEEN_WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (at, change) = self.changes.recv_timeout(left)?;
            match change {
                Change::Input(Reading::Known(input)) if wanted(input) => return Ok(at),
                Change::Input(Reading::Unknown(why)) => {
                    return Err(format!("the sensor does not see input: {why:?}").into());
                }
                _ => {}
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.source.stop();
    }
}
