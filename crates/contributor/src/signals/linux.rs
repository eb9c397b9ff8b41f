//! The sensors of Linux, put together from their parts.
//!
//! A part is a thread of its own that waits for what its system pushes and tells it through the outlet; values that no
//! system pushes come from the portable thread in `slow`. Which part tells about input depends on the display: an X
//! server under Wayland sees only the input of X programs, so it is not asked there. Without a display input is unknown; a
//! server's owner turns the idle rule off in the preferences.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::JoinHandle;

use network::Clock;

use super::asking::Asking;
use super::programs::Programs;
use super::slow::Sensors;
use super::{Change, Outlet, Quick, Reading, Slow, Source, Unknown, Wanted};

mod desktop;
mod links;
mod supply;
mod x11;

/// The sensors.
pub struct LinuxSource {
    data_dir: PathBuf,
    clock: Clock,
    display: Display,
    quick: Option<Asking>,
    slow: Option<Asking>,
    input: Option<(JoinHandle<()>, OwnedFd)>,
    desktop: Option<desktop::Desktop>,
}

impl std::fmt::Debug for LinuxSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinuxSource")
    }
}

impl LinuxSource {
    /// Sensors that look for free disk where `data_dir` is. The display is that of the environment.
    pub fn new(data_dir: PathBuf, clock: Clock) -> Self {
        Self::with_display(display(), data_dir, clock)
    }

    /// The same sensors with the X server `name` (for example `:7`), whatever the environment says.
    pub fn on_display(name: &str, data_dir: PathBuf, clock: Clock) -> Self {
        Self::with_display(Display::X11(name.to_owned()), data_dir, clock)
    }

    fn with_display(display: Display, data_dir: PathBuf, clock: Clock) -> Self {
        Self { data_dir, clock, display, quick: None, slow: None, input: None, desktop: None }
    }

    /// Starts what listens on D-Bus. Where no display tells about input, the desktop may.
    fn start_desktop(&mut self, outlet: Outlet) {
        let idle = self.display == Display::Unknown(Unknown::NotWrittenYet);
        let buses = desktop::Buses::of_environment();
        self.desktop = desktop::Desktop::start(buses, idle, outlet, self.clock.clone());
    }
}

impl Source for LinuxSource {
    fn start(&mut self, outlet: Outlet) {
        outlet(Change::Fullscreen(Reading::Unknown(Unknown::NotWrittenYet)));
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
        match &self.display {
            Display::X11(name) => {
                self.input = x11::watch_input(name.clone(), outlet.clone(), self.clock.clone())
            }
            Display::Unknown(why) => outlet(Change::Input(Reading::Unknown(*why))),
        }
        // After what the display tells of input, so that what the desktop tells stands.
        self.start_desktop(outlet);
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
        if let Some(desktop) = self.desktop.take() {
            desktop.stop();
        }
        for asking in [self.quick.take(), self.slow.take()].into_iter().flatten() {
            asking.stop();
        }
        if let Some((thread, wake)) = self.input.take() {
            // Closing the pipe's other end is what the thread waits for.
            drop(wake);
            if thread.join().is_err() {
                tracing::error!("the input sensor's thread panicked");
            }
        }
    }
}

/// Which display tells about input.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Display {
    X11(String),
    Unknown(Unknown),
}

fn display() -> Display {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if set("WAYLAND_DISPLAY").is_some() || set("XDG_SESSION_TYPE").is_some_and(|kind| kind == "wayland") {
        return Display::Unknown(Unknown::NotWrittenYet);
    }
    match set("DISPLAY") {
        None => Display::Unknown(Unknown::NoSource),
        Some(name) if has_port(&name) => Display::X11(name),
        Some(_) => Display::Unknown(Unknown::Failed),
    }
}

/// Whether the display's number has a port (6000 more); x11rb adds it unchecked.
fn has_port(name: &str) -> bool {
    let number = name.rsplit(':').next().and_then(|rest| rest.split('.').next()).unwrap_or_default();
    number.parse::<u16>().is_ok_and(|number| number <= u16::MAX - 6000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_number_beyond_all_ports_is_not_asked() {
        assert!(has_port(":0") && has_port("host:10.0") && has_port(":59535"));
        assert!(!has_port(":59536") && !has_port(":63999.1") && !has_port("nonsense"));
    }
}
