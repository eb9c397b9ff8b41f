//! A source that says what a test tells it to, and a quiet machine to start from.
//!
//! Serves this crate's tests, the tests of the whole system and headless runs of them. It reads nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::units::UnixMillis;

use super::{
    Change, Conditions, Input, LocalHour, Outlet, Power, Reading, Signals, Slow, Source, Unknown, Wanted,
};

/// Slow values of a desktop computer on which nothing happens.
pub fn quiet_slow() -> Slow {
    Slow {
        power: Reading::Known(Power::Mains),
        other_cpu_percent: Reading::Known(1),
        other_gpu_percent: Reading::Known(0),
        gpu_celsius: Reading::Known(40),
        gpu_watts: Reading::Unknown(Unknown::NoSource),
        free_disk_mbytes: Reading::Known(100_000),
        programs: Reading::Known(Vec::new()),
    }
}

/// A desktop computer whose last input was just now, on a Monday at 12:30.
pub fn quiet(now: UnixMillis) -> Signals {
    Signals {
        input: Reading::Known(Input::IdleSince(now)),
        fullscreen: Reading::Known(false),
        slow: quiet_slow(),
        woke_at: None,
        local_hour: LocalHour { weekday: 0, hour: 12, ends_at: now.plus(Duration::from_secs(1800)) },
        conditions: Conditions::default(),
    }
}

#[derive(Default)]
struct Stage {
    outlet: Option<Outlet>,
    waiting: Vec<Change>,
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
        if let Change::Slow(slow) = &change {
            stage.slow = Some(Slow::clone(slow));
        }
        match stage.outlet.clone() {
            Some(outlet) => {
                drop(stage);
                outlet(change);
            }
            None => stage.waiting.push(change),
        }
    }

    /// The source that tells it, with a quiet machine's slow values until told otherwise.
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
