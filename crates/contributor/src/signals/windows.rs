//! The sensors of Windows, put together from their parts.
//!
//! What Windows pushes comes from two threads that sleep until it does: `desk` (power, session, sleep,
//! shut-down) and `line` (metered, VPN). What it does not push is asked for: input and gamepads by `input`,
//! the screen by `screen`, both often only while the card works; microphone and camera with each look.
//! `reading` says what the figures mean. Names of windows, programs, networks or persons are neither kept nor
//! told.

use std::path::PathBuf;

use network::Clock;

use super::asking::Questions;
use super::beat::Beat;
use super::programs::Programs;
use super::slow::Sensors;
use super::{Change, Outlet, Quick, Reading, Slow, Source, Unknown, Wanted};

mod consent;
mod desk;
mod disk;
mod input;
mod library;
mod line;
mod reading;
mod screen;
mod state;

/// The sensors.
pub struct WindowsSource {
    data_dir: PathBuf,
    clock: Clock,
    questions: Questions,
    input: Option<Beat>,
    screen: Option<Beat>,
    desk: Option<desk::Watch>,
    line: Option<line::Watch>,
}

impl std::fmt::Debug for WindowsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WindowsSource")
    }
}

impl WindowsSource {
    /// Sensors that look for free disk where `data_dir` is.
    pub fn new(data_dir: PathBuf, clock: Clock) -> Self {
        let questions = Questions::default();
        Self { data_dir, clock, questions, input: None, screen: None, desk: None, line: None }
    }
}

impl Source for WindowsSource {
    fn start(&mut self, outlet: Outlet) {
        let no_source = Unknown::NoSource;
        // No program tells Windows that it is a game in a way that others could read.
        outlet(Change::Game(Reading::Unknown(no_source)));
        // Players tell it, through WinRT only, together with what they play, which is nobody's business.
        outlet(Change::Media(Reading::Unknown(no_source)));
        // Who keeps the screen on is told to administrators only.
        outlet(Change::Inhibited(Reading::Unknown(no_source)));

        self.desk = desk::watch(outlet.clone());
        self.input = input::watch(outlet.clone(), self.clock.clone());
        if self.input.is_none() {
            outlet(Change::Input(Reading::Unknown(Unknown::Failed)));
        }
        self.screen = screen::watch(outlet.clone());
        if self.screen.is_none() {
            outlet(Change::Fullscreen(Reading::Unknown(Unknown::Failed)));
        }
        self.line = line::watch(outlet.clone());
        let quick = || {
            let mut programs = Programs::open();
            move |wanted: &Wanted| Quick {
                programs: programs.running(&wanted.programs),
                microphone: consent::microphone(),
                camera: consent::camera(),
            }
        };
        let data_dir = self.data_dir.clone();
        let slow = || {
            let mut sensors = Sensors::open(data_dir.clone());
            move |wanted: &Wanted| {
                let free_disk_mbytes = disk::free_mbytes(&data_dir);
                Slow { free_disk_mbytes, ..sensors.read(wanted) }
            }
        };
        self.questions = Questions::start(&outlet, quick, slow);
    }

    fn look(&mut self, wanted: &Wanted) {
        for beat in [&self.input, &self.screen].into_iter().flatten() {
            beat.look();
        }
        self.questions.look(wanted);
    }

    fn poll(&mut self, wanted: &Wanted) {
        self.questions.poll(wanted);
    }

    fn stop(&mut self) {
        self.questions.stop();
        for beat in [self.input.take(), self.screen.take()].into_iter().flatten() {
            beat.stop();
        }
        if let Some(desk) = self.desk.take() {
            desk.stop();
        }
        if let Some(line) = self.line.take() {
            line.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    use super::*;

    fn kind(change: &Change) -> &'static str {
        match change {
            Change::Input(_) => "input",
            Change::Gamepad(_) => "gamepad",
            Change::Session(_) => "session",
            Change::Fullscreen(_) => "fullscreen",
            Change::Game(_) => "game",
            Change::Media(_) => "media",
            Change::Inhibited(_) => "inhibited",
            Change::Power(_) => "power",
            Change::PowerSaver(_) => "power saver",
            Change::Metered(_) => "metered",
            Change::Vpn(_) => "vpn",
            Change::FallingAsleep(_) => "falling asleep",
            Change::Quick(_) => "quick",
            Change::Slow(_) => "slow",
        }
    }

    #[test]
    fn every_signal_is_told_once_at_the_start_and_the_source_ends() {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send(change)));
        let mut source = WindowsSource::new(std::env::temp_dir(), network::system_clock());
        source.start(outlet);
        source.look(&Wanted::default());
        source.poll(&Wanted::default());
        let mut told = BTreeMap::new();
        let until = Instant::now() + Duration::from_secs(60);
        while told.len() < 13 && Instant::now() < until {
            if let Ok(change) = changes.recv_timeout(Duration::from_secs(1)) {
                told.insert(kind(&change), change);
            }
        }
        for change in told.values() {
            println!("{change:?}");
        }
        assert_eq!(told.len(), 13, "all but falling asleep, which is told when it happens");
        assert!(matches!(told["input"], Change::Input(Reading::Known(_))), "the session tells its input");

        let asked = Instant::now();
        source.stop();
        assert!(asked.elapsed() < Duration::from_secs(6), "a second for each thread at most");
    }
}
