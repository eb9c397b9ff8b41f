//! What can be seen of the machine, and the door through which a platform tells it.
//!
//! This module owns the values ([`Signals`]) and the trait [`Source`]; `signals/` has one source per platform and a
//! scripted one for tests. A value that cannot be read is [`Reading::Unknown`] with its reason, never a guess. Nothing
//! here decides anything: `policy` does.

use std::sync::Arc;

use protocol::units::UnixMillis;

use crate::card::CardName;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(not(target_os = "linux"))]
pub mod other;
pub mod scripted;
mod slow;

/// A value, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading<T> {
    /// Read.
    Known(T),
    /// Not known.
    Unknown(Unknown),
}

/// Why a value is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// Not read yet.
    NotYet,
    /// This machine has nothing that tells it.
    NoSource,
    /// Hearth cannot read it on this system yet.
    NotWrittenYet,
    /// The source failed.
    Failed,
    /// The source did not answer in time.
    TimedOut,
}

impl<T> Reading<T> {
    /// The value, where it is known.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The value by reference, where it is known.
    pub fn as_known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Whether somebody uses mouse, keyboard or another input device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Now.
    Active,
    /// Last at this instant.
    IdleSince(UnixMillis),
}

/// Where the electricity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// From the wall.
    Mains,
    /// From a battery.
    Battery {
        /// Its charge, where it tells.
        percent: Option<u8>,
    },
}

/// The values that are asked for every few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// Where the electricity comes from.
    pub power: Reading<Power>,
    /// Processor use of programs that are not ours, percent of all cores.
    pub other_cpu_percent: Reading<u8>,
    /// Use of the card by programs that are not ours, percent.
    pub other_gpu_percent: Reading<u8>,
    /// Temperature of the card in °C.
    pub gpu_celsius: Reading<u8>,
    /// Power of the card in watts.
    pub gpu_watts: Reading<u32>,
    /// Free space where Hearth keeps its data, in MB.
    pub free_disk_mbytes: Reading<u64>,
    /// Which of the programs asked for in [`Wanted::programs`] run.
    pub programs: Reading<Vec<String>>,
}

impl Slow {
    /// Nothing is known, for this reason.
    pub const fn unknown(why: Unknown) -> Self {
        Self {
            power: Reading::Unknown(why),
            other_cpu_percent: Reading::Unknown(why),
            other_gpu_percent: Reading::Unknown(why),
            gpu_celsius: Reading::Unknown(why),
            gpu_watts: Reading::Unknown(why),
            free_disk_mbytes: Reading::Unknown(why),
            programs: Reading::Unknown(why),
        }
    }
}

/// What the engine itself knows of the state of things; a veto each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The measurement runs.
    pub benchmarking: bool,
    /// The journal cannot be written.
    pub journal_failing: bool,
    /// The coordinator speaks another protocol version.
    pub coordinator_version: bool,
    /// The coordinator has suspended this device.
    pub device_suspended: bool,
    /// No graphics driver that can compute.
    pub no_driver: bool,
    /// Only a software renderer, and the network does not take those.
    pub software_driver: bool,
    /// The worker failed again and again; tried anew at this instant.
    pub worker_failing_until: Option<UnixMillis>,
    /// Work costs more electricity than it pays: (cost, pay) in thousandths of the currency per hour.
    pub at_a_loss: Option<(u32, u32)>,
    /// Outputs cannot be saved because the disk is full.
    pub disk_full: bool,
}

/// The hour of the week in the owner's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalHour {
    /// Days from Monday, 0 to 6.
    pub weekday: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// When the next hour begins.
    pub ends_at: UnixMillis,
}

/// Everything that `policy::decide` looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signals {
    /// Mouse and keyboard.
    pub input: Reading<Input>,
    /// A program fills the screen.
    pub fullscreen: Reading<bool>,
    /// What is asked for every few seconds.
    pub slow: Slow,
    /// When the system last woke from sleep.
    pub woke_at: Option<UnixMillis>,
    /// The hour of the week.
    pub local_hour: LocalHour,
    /// What the engine itself knows.
    pub conditions: Conditions,
}

/// A piece of news from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody came or left.
    Input(Reading<Input>),
    /// A program began or ceased to fill the screen.
    Fullscreen(Reading<bool>),
    /// Answer to [`Source::poll`].
    Slow(Box<Slow>),
}

/// Where a source puts its news. Returns at once; may be called from any thread.
pub type Outlet = Arc<dyn Fn(Change) + Send + Sync>;

/// What a poll should look for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Names of programs that pause sharing.
    pub programs: Vec<String>,
    /// The card that is shared, once it is known.
    pub card: Option<CardName>,
}

/// A platform's sensors. No method blocks: threads of the source do.
pub trait Source: Send {
    /// Begins to tell, first with the present state. Called once.
    fn start(&mut self, outlet: Outlet);
    /// Asks for the slow values; answered through the outlet. A poll that comes while one is under way is dropped.
    fn poll(&mut self, wanted: &Wanted);
    /// Ends the source's threads within a second.
    fn stop(&mut self);
}

/// The sensors of this system. `data_dir` is where free disk is looked for.
pub fn system_source(data_dir: &std::path::Path, clock: network::Clock) -> Box<dyn Source> {
    #[cfg(target_os = "linux")]
    {
        Box::new(linux::LinuxSource::new(data_dir.to_owned(), clock))
    }
    #[cfg(not(target_os = "linux"))]
    {
        Box::new(other::OtherSource::new(data_dir.to_owned(), clock))
    }
}
