//! A source that says what a test tells it to, and a quiet machine to start from.
//!
//! Serves this crate's tests, the tests of the whole system and headless runs of them. It reads nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::units::UnixMillis;

use super::{
    Change, Input, LocalHour, Outlet, Power, Quick, Reading, Session, Signals, Slow, Source, Unknown, Wanted,
};

/// Slow values of a desktop computer on which nothing happens.
pub fn quiet_slow() -> Slow {
    Slow {
        other_cpu_percent: Reading::Known(1),
        other_gpu_percent: Reading::Known(0),
        gpu_celsius: Reading::Known(40),
        cpu_celsius: Reading::Known(45),
        gpu_watts: Reading::Unknown(Unknown::NoSource),
        free_disk_mbytes: Reading::Known(100_000),
    }
}

/// Quick values of the same computer.
pub fn quiet_quick() -> Quick {
    Quick {
        programs: Reading::Known(Vec::new()),
        microphone: Reading::Known(false),
        camera: Reading::Known(false),
    }
}

/// A desktop computer whose last input was just now, on a Monday at 12:30.
pub fn quiet(now: UnixMillis) -> Signals {
    let local_hour = LocalHour { weekday: 0, hour: 12, ends_at: now.plus(Duration::from_secs(1800)) };
    let mut signals = Signals::unread(local_hour);
    for change in quiet_changes(now) {
        signals.take_in(change);
    }
    signals.quick = quiet_quick();
    signals.slow = quiet_slow();
    signals
}

/// What the sensors of that computer tell at their start.
pub fn quiet_changes(last_input_at: UnixMillis) -> Vec<Change> {
    vec![
        Change::Input(Reading::Known(Input::IdleSince(last_input_at))),
        Change::Gamepad(Reading::Unknown(Unknown::NoSource)),
        Change::Session(Reading::Known(Session { locked: false, remote: false, on_screen: true })),
        Change::Fullscreen(Reading::Known(false)),
        Change::Game(Reading::Known(false)),
        Change::Media(Reading::Known(false)),
        Change::Inhibited(Reading::Known(false)),
        Change::Power(Reading::Known(Power::Mains)),
        Change::PowerSaver(Reading::Known(false)),
        Change::Metered(Reading::Known(false)),
        Change::Vpn(Reading::Known(false)),
    ]
}

#[derive(Default)]
struct Stage {
    outlet: Option<Outlet>,
    waiting: Vec<Change>,
    quick: Option<Quick>,
    slow: Option<Slow>,
}

/// The test's end: tells changes whenever it likes.
#[derive(Clone, Default)]
pub struct Script {
    stage: Arc<Mutex<Stage>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    /// Tells a change now, or as soon as the source is started.
    pub fn tell(&self, change: Change) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match &change {
            Change::Quick(quick) => stage.quick = Some(Quick::clone(quick)),
            Change::Slow(slow) => stage.slow = Some(Slow::clone(slow)),
            _ => {}
        }
        match stage.outlet.clone() {
            Some(outlet) => {
                drop(stage);
                outlet(change);
            }
            None => stage.waiting.push(change),
        }
    }

    /// The source that tells it; until told otherwise it answers as a quiet machine.
    pub fn source(&self) -> ScriptedSource {
        ScriptedSource { stage: Arc::clone(&self.stage) }
    }
}

/// The engine's end.
pub struct ScriptedSource {
    stage: Arc<Mutex<Stage>>,
}

impl std::fmt::Debug for ScriptedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScriptedSource")
    }
}

impl Source for ScriptedSource {
    fn start(&mut self, outlet: Outlet) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        stage.outlet = Some(Arc::clone(&outlet));
        let waiting = std::mem::take(&mut stage.waiting);
        drop(stage);
        for change in waiting {
            outlet(change);
        }
    }

    fn look(&mut self, _wanted: &Wanted) {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let quick = stage.quick.clone().unwrap_or_else(quiet_quick);
        if let Some(outlet) = stage.outlet.clone() {
            drop(stage);
            outlet(Change::Quick(Box::new(quick)));
        }
    }

    fn poll(&mut self, _wanted: &Wanted) {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let slow = stage.slow.clone().unwrap_or_else(quiet_slow);
        if let Some(outlet) = stage.outlet.clone() {
            drop(stage);
            outlet(Change::Slow(Box::new(slow)));
        }
    }

    fn stop(&mut self) {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).outlet = None;
    }
}
