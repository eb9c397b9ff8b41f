//! The sensors of Linux, put together from their parts.
//!
//! A part is a thread of its own that waits for what its system pushes and tells it through the outlet; values that no
//! system pushes come from the portable thread in `slow`. Which part tells about input depends on the display: an X
//! server under Wayland sees only the input of X programs, so it is not asked there. Without a display input is unknown; a
//! server's owner turns the idle rule off in the preferences.

use std::path::{Path, PathBuf};

use network::Clock;

use super::asking::Questions;
use super::programs::Programs;
use super::slow::Sensors;
use super::{Change, Outlet, Quick, Reading, Source, Unknown, Wanted};

mod desktop;
mod devices;
mod gamepad;
mod links;
mod notices;
mod supply;
mod watching;
mod wayland;
mod x11;

/// The sensors.
pub struct LinuxSource {
    data_dir: PathBuf,
    clock: Clock,
    display: Display,
    questions: Questions,
    x11: Option<watching::Watching>,
    wayland: Option<wayland::Wayland>,
    gamepads: Option<watching::Watching>,
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
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::on(display(set), data_dir, clock)
    }

    /// The same sensors with the X server `name` (for example `:7`), whatever the environment says.
    pub fn on_display(name: &str, data_dir: PathBuf, clock: Clock) -> Self {
        Self::on(Display::X11(name.to_owned()), data_dir, clock)
    }

    fn on(display: Display, data_dir: PathBuf, clock: Clock) -> Self {
        Self {
            data_dir,
            clock,
            display,
            questions: Questions::default(),
            x11: None,
            wayland: None,
            gamepads: None,
            desktop: None,
        }
    }

    /// Starts what tells about input and windows. Whether nobody but the desktop itself can tell about input.
    fn start_display(&mut self, outlet: &Outlet) -> bool {
        match &self.display {
            Display::X11(name) => {
                self.x11 = x11::watch_display(name.clone(), outlet.clone(), self.clock.clone());
                false
            }
            Display::Wayland(socket) => {
                self.wayland = wayland::Wayland::start(socket.clone(), outlet.clone(), self.clock.clone());
                self.wayland.is_none()
            }
            Display::Unknown(why) => {
                outlet(Change::Input(Reading::Unknown(*why)));
                outlet(Change::Fullscreen(Reading::Unknown(*why)));
                false
            }
        }
    }

    /// Starts what listens on D-Bus; with `idle`, also for input.
    fn start_desktop(&mut self, idle: bool, outlet: Outlet) {
        let buses = desktop::Buses::of_environment();
        self.desktop = desktop::Desktop::start(buses, idle, outlet, self.clock.clone());
    }
}

impl Source for LinuxSource {
    fn start(&mut self, outlet: Outlet) {
        let quick = || {
            let (mut programs, mut devices) = (Programs::open(), devices::Devices::open());
            move |wanted: &Wanted| Quick {
                programs: programs.running(&wanted.programs),
                microphone: devices.microphone(),
                camera: devices.camera(),
            }
        };
        let data_dir = self.data_dir.clone();
        let slow = || {
            let mut sensors = Sensors::open(data_dir);
            move |wanted: &Wanted| sensors.read(wanted)
        };
        self.questions = Questions::start(&outlet, quick, slow);
        let (list, nodes) = (gamepad::LIST.into(), gamepad::NODES.into());
        self.gamepads = gamepad::watch_gamepads(list, nodes, outlet.clone(), self.clock.clone());
        let idle = self.start_display(&outlet);
        // After what the display tells of input, so that what the desktop tells stands.
        self.start_desktop(idle, outlet);
    }

    fn look(&mut self, wanted: &Wanted) {
        self.questions.look(wanted);
    }

    fn poll(&mut self, wanted: &Wanted) {
        self.questions.poll(wanted);
    }

    fn stop(&mut self) {
        if let Some(desktop) = self.desktop.take() {
            desktop.stop();
        }
        self.questions.stop();
        for watching in [self.x11.take(), self.gamepads.take()].into_iter().flatten() {
            watching.stop();
        }
        if let Some(wayland) = self.wayland.take() {
            wayland.stop();
        }
    }
}

/// Which display tells about input and windows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Display {
    /// The X server of this name.
    X11(String),
    /// The compositor at this socket.
    Wayland(PathBuf),
    Unknown(Unknown),
}

/// The display of an environment.
fn display(set: impl Fn(&str) -> Option<String>) -> Display {
    let wayland = set("XDG_SESSION_TYPE").is_some_and(|kind| kind == "wayland");
    if let Some(name) = set("WAYLAND_DISPLAY").or(wayland.then(|| "wayland-0".to_owned())) {
        // A name is that of a socket in the user's runtime folder; a path stands for itself.
        return match (Path::new(&name).is_absolute(), set("XDG_RUNTIME_DIR")) {
            (true, _) => Display::Wayland(name.into()),
            (false, Some(folder)) => Display::Wayland(Path::new(&folder).join(name)),
            (false, None) => Display::Unknown(Unknown::Failed),
        };
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

    fn of(environment: &[(&str, &str)]) -> Display {
        display(|wanted| {
            let found = environment.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_machine_without_a_display_tells_what_it_can_and_ends_in_time() {
        let (send, changes) = std::sync::mpsc::channel();
        let outlet: Outlet = std::sync::Arc::new(move |change| drop(send.send(change)));
        let nothing = Display::Unknown(Unknown::NoSource);
        let mut source = LinuxSource::on(nothing, std::env::temp_dir(), network::system_clock());
        source.start(outlet);
        source.look(&Wanted::default());
        let mut seen = Vec::new();
        let quick = loop {
            match changes.recv_timeout(std::time::Duration::from_secs(20)).expect("an answer to the look") {
                Change::Quick(quick) => break quick,
                other => seen.push(other),
            }
        };
        assert!(seen.contains(&Change::Input(Reading::Unknown(Unknown::NoSource))));
        assert!(seen.contains(&Change::Fullscreen(Reading::Unknown(Unknown::NoSource))));
        assert_eq!(quick.programs, Reading::Known(Vec::new()));
        assert!(quick.camera.known().is_some(), "{quick:?}");
        let sound = Path::new("/proc/asound").exists();
        assert_eq!(quick.microphone.known().is_some(), sound, "{quick:?}");
        let asked = std::time::Instant::now();
        source.stop();
        assert!(asked.elapsed() < crate::signals::STOP_WITHIN);
    }

    #[test]
    fn under_wayland_the_x_server_is_never_asked() {
        let run = ("XDG_RUNTIME_DIR", "/run/user/7");
        let wayland = |path: &str| Display::Wayland(path.into());
        assert_eq!(of(&[("DISPLAY", ":0"), ("WAYLAND_DISPLAY", "w1"), run]), wayland("/run/user/7/w1"));
        assert_eq!(of(&[("WAYLAND_DISPLAY", "/tmp/w"), run]), wayland("/tmp/w"));
        let session = ("XDG_SESSION_TYPE", "wayland");
        assert_eq!(of(&[session, ("DISPLAY", ":0"), run]), wayland("/run/user/7/wayland-0"));
        assert_eq!(of(&[session, ("DISPLAY", ":0")]), Display::Unknown(Unknown::Failed));
        assert_eq!(of(&[("DISPLAY", ":3"), ("XDG_SESSION_TYPE", "x11")]), Display::X11(":3".to_owned()));
        assert_eq!(of(&[]), Display::Unknown(Unknown::NoSource));
    }

    #[test]
    fn a_display_number_beyond_all_ports_is_not_asked() {
        assert!(has_port(":0") && has_port("host:10.0") && has_port(":59535"));
        assert!(!has_port(":59536") && !has_port(":63999.1") && !has_port("nonsense"));
    }
}
