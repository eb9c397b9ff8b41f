//! Systems whose sensors are not written yet: everything that needs one is unknown, and so counts as in use.
//!
//! Processor, disk and card come from the portable thread in `slow`; input and power do not.

use std::path::PathBuf;

use network::Clock;

use super::slow::SlowSensors;
use super::{Change, Outlet, Reading, Source, Unknown, Wanted};

/// The sensors that are portable.
#[derive(Debug)]
pub struct OtherSource {
    data_dir: PathBuf,
    slow: Option<SlowSensors>,
}

impl OtherSource {
    /// Sensors that look for free disk where `data_dir` is.
    pub fn new(data_dir: PathBuf, _clock: Clock) -> Self {
        Self { data_dir, slow: None }
    }
}

impl Source for OtherSource {
    fn start(&mut self, outlet: Outlet) {
        outlet(Change::Input(Reading::Unknown(Unknown::NotWrittenYet)));
        outlet(Change::Fullscreen(Reading::Unknown(Unknown::NotWrittenYet)));
        let power = Box::new(|| Reading::Unknown(Unknown::NotWrittenYet));
        self.slow = SlowSensors::start(self.data_dir.clone(), power, outlet);
    }

    fn poll(&mut self, wanted: &Wanted) {
        if let Some(slow) = &self.slow {
            slow.poll(wanted);
        }
    }

    fn stop(&mut self) {
        if let Some(slow) = self.slow.take() {
            slow.stop();
        }
    }
}
