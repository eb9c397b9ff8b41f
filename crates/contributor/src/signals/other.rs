//! Systems whose sensors are not written: everything that needs one is unknown, and so counts as in use.
//!
//! Processor, disk and card come from the portable thread in `slow`; input and power do not.

use std::path::PathBuf;

use network::Clock;

use super::asking::Questions;
use super::programs::Programs;
use super::slow::Sensors;
use super::{Change, Outlet, Quick, Reading, Source, Unknown, Wanted};

/// The sensors that are portable.
#[derive(Debug)]
pub struct OtherSource {
    data_dir: PathBuf,
    questions: Questions,
}

impl OtherSource {
    /// Sensors that look for free disk where `data_dir` is.
    pub fn new(data_dir: PathBuf, _clock: Clock) -> Self {
        Self { data_dir, questions: Questions::default() }
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
            move |wanted: &Wanted| Quick {
                programs: programs.running(&wanted.programs),
                ..Quick::unknown(Unknown::NotWrittenYet)
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
        self.questions.look(wanted);
    }

    fn poll(&mut self, wanted: &Wanted) {
        self.questions.poll(wanted);
    }

    fn stop(&mut self) {
        self.questions.stop();
    }
}
