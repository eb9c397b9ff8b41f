//! What can be seen of the machine, and the door through which a platform tells it.
//!
//! This module owns the values ([`Signals`]) and the trait [`Source`]; `signals/` has one source per platform and a
//! scripted one for tests. A value that cannot be read is [`Reading::Unknown`] with its reason, never a guess. Nothing
//! here decides anything: `policy` does.

use std::sync::Arc;

use protocol::units::UnixMillis;

use crate::card::CardName;

mod asking;
#[cfg(any(windows, target_os = "macos", test))]
mod beat;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "macos")]
pub mod macos;
// Of the three none needs it: tests keep it compiling.
#[cfg(any(test, not(any(target_os = "linux", windows, target_os = "macos"))))]
pub mod other;
#[cfg(any(windows, target_os = "macos", test))]
mod presence;
mod programs;
pub mod scripted;
mod slow;
#[cfg(windows)]
pub mod windows;

// What the figures of these systems mean is tested on every system.
#[cfg(all(test, not(target_os = "macos")))]
#[path = "signals/macos/reading.rs"]
mod macos_reading;
#[cfg(all(test, not(windows)))]
#[path = "signals/windows/reading.rs"]
mod windows_reading;

/// How long a thread of a source may take to end.
const STOP_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

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

/// The session of the desktop that this program belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its screen is locked.
    pub locked: bool,
    /// It is used from another machine.
    pub remote: bool,
    /// It is the one on the screen: nobody has switched to another user.
    pub on_screen: bool,
}

/// The values that are asked for every few seconds, because reading them costs something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// Processor use of programs that are not ours, percent of all cores.
    pub other_cpu_percent: Reading<u8>,
    /// Use of the card by programs that are not ours, percent.
    pub other_gpu_percent: Reading<u8>,
    /// Temperature of the card in °C.
    pub gpu_celsius: Reading<u8>,
    /// Temperature of the processor in °C, of its hottest sensor.
    pub cpu_celsius: Reading<u8>,
    /// Power of the card in watts.
    pub gpu_watts: Reading<u32>,
    /// Free space where Hearth keeps its data, in MB.
    pub free_disk_mbytes: Reading<u64>,
}

impl Slow {
    /// Nothing is known, for this reason.
    pub const fn unknown(why: Unknown) -> Self {
        Self {
            other_cpu_percent: Reading::Unknown(why),
            other_gpu_percent: Reading::Unknown(why),
            gpu_celsius: Reading::Unknown(why),
            cpu_celsius: Reading::Unknown(why),
            gpu_watts: Reading::Unknown(why),
            free_disk_mbytes: Reading::Unknown(why),
        }
    }
}

/// The values that are asked for every second while the card works, because no system tells them by itself. Reading them
/// is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quick {
    /// Which of the programs asked for in [`Wanted::programs`] run.
    pub programs: Reading<Vec<String>>,
    /// A program records from a microphone. Which one is not looked at.
    pub microphone: Reading<bool>,
    /// A program has a camera open. Which one is not looked at.
    pub camera: Reading<bool>,
}

impl Quick {
    /// Nothing is known, for this reason.
    pub const fn unknown(why: Unknown) -> Self {
        Self {
            programs: Reading::Unknown(why),
            microphone: Reading::Unknown(why),
            camera: Reading::Unknown(why),
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
    /// A gamepad or joystick. Most machines have none, so unknown means nothing here.
    pub gamepad: Reading<Input>,
    /// The session of the desktop.
    pub session: Reading<Session>,
    /// A program fills the screen.
    pub fullscreen: Reading<bool>,
    /// A game has told the system that it runs.
    pub game: Reading<bool>,
    /// A player plays music or a film.
    pub media: Reading<bool>,
    /// A program asks the system to keep the screen on: a film, a presentation.
    pub inhibited: Reading<bool>,
    /// Where the electricity comes from.
    pub power: Reading<Power>,
    /// The system saves power.
    pub power_saver: Reading<bool>,
    /// Data costs money on the present link.
    pub metered: Reading<bool>,
    /// The traffic of this machine goes through a VPN.
    pub vpn: Reading<bool>,
    /// What is asked for every second.
    pub quick: Quick,
    /// What is asked for every few seconds.
    pub slow: Slow,
    /// The system is about to sleep or to shut down.
    pub falling_asleep: bool,
    /// When the system last woke from sleep.
    pub woke_at: Option<UnixMillis>,
    /// The hour of the week.
    pub local_hour: LocalHour,
    /// What the engine itself knows.
    pub conditions: Conditions,
}

impl Signals {
    /// Nothing has been read yet, in this hour of the week.
    pub fn unread(local_hour: LocalHour) -> Self {
        let why = Unknown::NotYet;
        Self {
            input: Reading::Unknown(why),
            gamepad: Reading::Unknown(why),
            session: Reading::Unknown(why),
            fullscreen: Reading::Unknown(why),
            game: Reading::Unknown(why),
            media: Reading::Unknown(why),
            inhibited: Reading::Unknown(why),
            power: Reading::Unknown(why),
            power_saver: Reading::Unknown(why),
            metered: Reading::Unknown(why),
            vpn: Reading::Unknown(why),
            quick: Quick::unknown(why),
            slow: Slow::unknown(why),
            falling_asleep: false,
            woke_at: None,
            local_hour,
            conditions: Conditions::default(),
        }
    }

    /// Takes a piece of news in. Whoever asked for an answer notes its arrival himself.
    pub fn take_in(&mut self, change: Change) {
        match change {
            Change::Input(input) => self.input = input,
            Change::Gamepad(input) => self.gamepad = input,
            Change::Session(session) => self.session = session,
            Change::Fullscreen(fullscreen) => self.fullscreen = fullscreen,
            Change::Game(runs) => self.game = runs,
            Change::Media(playing) => self.media = playing,
            Change::Inhibited(inhibited) => self.inhibited = inhibited,
            Change::Power(power) => self.power = power,
            Change::PowerSaver(saves) => self.power_saver = saves,
            Change::Metered(metered) => self.metered = metered,
            Change::Vpn(vpn) => self.vpn = vpn,
            Change::FallingAsleep(falling_asleep) => self.falling_asleep = falling_asleep,
            Change::Quick(quick) => self.quick = *quick,
            Change::Slow(slow) => self.slow = *slow,
        }
    }
}

/// A piece of news from a source. Each kind is told once at the start, as soon as it is known, and then when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody came or left.
    Input(Reading<Input>),
    /// A gamepad was touched or put down.
    Gamepad(Reading<Input>),
    /// The session was locked, left, or taken up from afar.
    Session(Reading<Session>),
    /// A program began or ceased to fill the screen.
    Fullscreen(Reading<bool>),
    /// A game began or ended.
    Game(Reading<bool>),
    /// A player began or ceased to play.
    Media(Reading<bool>),
    /// A program began or ceased to keep the screen on.
    Inhibited(Reading<bool>),
    /// The power supply changed.
    Power(Reading<Power>),
    /// The system began or ceased to save power.
    PowerSaver(Reading<bool>),
    /// The link became or ceased to be metered.
    Metered(Reading<bool>),
    /// A VPN came up or went down.
    Vpn(Reading<bool>),
    /// The system is about to sleep or to shut down (`true`), or has woken (`false`).
    FallingAsleep(bool),
    /// Answer to [`Source::look`].
    Quick(Box<Quick>),
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
    /// Asks for the quick values; answered through the outlet. A look that comes while one is under way is dropped.
    fn look(&mut self, wanted: &Wanted);
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
    #[cfg(windows)]
    {
        Box::new(windows::WindowsSource::new(data_dir.to_owned(), clock))
    }
    #[cfg(target_os = "macos")]
    {
        Box::new(macos::MacosSource::new(data_dir.to_owned(), clock))
    }
    #[cfg(not(any(target_os = "linux", windows, target_os = "macos")))]
    {
        Box::new(other::OtherSource::new(data_dir.to_owned(), clock))
    }
}
