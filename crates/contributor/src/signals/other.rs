//! Systems whose sensors are not written yet: everything that needs one is unknown, and so counts as in use.
//!
//! Processor, disk and card come from the portable thread in `slow`; input and power do not.

use std::path::PathBuf;

use network::Clock;

use super::asking::Asking;
use super::programs::Programs;
use super::slow::Sensors;
use super::{Change, Outlet, Quick, Reading, Slow, Source, Unknown, Wanted};

/// The sensors that are portable.
#[derive(Debug)]
pub struct OtherSource {
    data_dir: PathBuf,
    quick: Option<Asking>,
    slow: Option<Asking>,
}

impl OtherSource {
    /// Sensors that look for free disk where `data_dir` is.
    pub fn new(data_dir: PathBuf, _clock: Clock) -> Self {
        Self { data_dir, quick: None, slow: None }
    }
}

impl Source for OtherSource {
    fn start(&mut self, outlet: Outlet) {
        outlet(Change::Input(Reading::Unknown(Unknown::NotWrittenYet)));
        outlet(Change::Fullscreen(Reading::Unknown(Unknown::NotWrittenYet)));
        outlet(Change::Power(Reading::Unknown(Unknown::NotWrittenYet)));
        outlet(Change::Metered(Reading::Unknown(Unknown::NotWrittenYet)));
        let quick = || {
            let mut programs = Programs::open();
            move |wanted: &Wanted| {
                let programs = programs.running(&wanted.programs);
                Change::Quick(Box::new(Quick { programs, ..Quick::unknown(Unknown::NotWrittenYet) }))
            }
        };
        self.quick = Asking::start("hearth-look", quick, outlet.clone());
        if self.quick.is_none() {
            outlet(Change::Quick(Box::new(Quick::unknown(Unknown::Failed))));
        }
        let data_dir = self.data_dir.clone();
        let slow = || {
            let mut sensors = Sensors::open(data_dir);
            move |wanted: &Wanted| Change::Slow(Box::new(sensors.read(wanted)))
        };
        self.slow = Asking::start("hearth-sensors", slow, outlet.clone());
        if self.slow.is_none() {
            outlet(Change::Slow(Box::new(Slow::unknown(Unknown::Failed))));
        }
    }

    fn look(&mut self, wanted: &Wanted) {
        if let Some(quick) = &self.quick {
            quick.ask(wanted);
        }
    }

    fn poll(&mut self, wanted: &Wanted) {
        if let Some(slow) = &self.slow {
            slow.ask(wanted);
        }
    }

    fn stop(&mut self) {
        for asking in [self.quick.take(), self.slow.take()].into_iter().flatten() {
            asking.stop();
        }
    }
}
