//! The sensors of macOS, put together from their parts.
//!
//! What macOS pushes comes from `desk` (power, sleep) and `line` (metered, VPN). What it does not push
//! without the owner's leave to watch her is asked for: input and session by `input`, the screen and power
//! saving by `screen`, both often only while the card works; microphone and camera with each look. `reading`
//! says what the figures mean, `frameworks` holds the calls. Nothing here needs a permission, and names of
//! windows, programs, networks or persons are neither read nor told. This code is type-checked from other
//! systems; it has not run on a Mac yet.

use std::path::PathBuf;

use network::Clock;

use super::asking::Questions;
use super::beat::Beat;
use super::programs::Programs;
use super::slow::Sensors;
use super::{Change, Outlet, Quick, Reading, Source, Unknown, Wanted};

mod desk;
mod devices;
mod frameworks;
mod input;
mod line;
mod reading;
mod screen;

/// The sensors.
pub struct MacosSource {
    data_dir: PathBuf,
    clock: Clock,
    questions: Questions,
    input: Option<Beat>,
    screen: Option<Beat>,
    desk: Option<desk::Watch>,
    line: Option<line::Watch>,
}

impl std::fmt::Debug for MacosSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacosSource")
    }
}

impl MacosSource {
    /// Sensors that look for free disk where `data_dir` is.
    pub fn new(data_dir: PathBuf, clock: Clock) -> Self {
        let questions = Questions::default();
        Self { data_dir, clock, questions, input: None, screen: None, desk: None, line: None }
    }
}

impl Source for MacosSource {
    fn start(&mut self, outlet: Outlet) {
        let no_source = Unknown::NoSource;
        // Game mode is told to nobody, and what plays only to Apple's own programs.
        outlet(Change::Game(Reading::Unknown(no_source)));
        outlet(Change::Media(Reading::Unknown(no_source)));
        outlet(Change::Gamepad(Reading::Unknown(Unknown::NotWrittenYet)));

        self.desk = desk::watch(outlet.clone());
        self.input = input::watch(outlet.clone(), self.clock.clone());
        if self.input.is_none() {
            outlet(Change::Input(Reading::Unknown(Unknown::Failed)));
            outlet(Change::Session(Reading::Unknown(Unknown::Failed)));
        }
        self.screen = screen::watch(outlet.clone());
        if self.screen.is_none() {
            outlet(Change::Fullscreen(Reading::Unknown(Unknown::Failed)));
            outlet(Change::Inhibited(Reading::Unknown(Unknown::Failed)));
            outlet(Change::PowerSaver(Reading::Unknown(Unknown::Failed)));
        }
        self.line = line::watch(outlet.clone());
        let quick = || {
            let mut programs = Programs::open();
            move |wanted: &Wanted| Quick {
                programs: programs.running(&wanted.programs),
                microphone: devices::microphone(),
                camera: devices::camera(),
            }
        };
        let data_dir = self.data_dir.clone();
        let slow = || {
            let mut sensors = Sensors::open(data_dir);
            move |wanted: &Wanted| sensors.read(wanted)
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
