//! A desktop of a test's own: display, window manager, session bus and, where asked for, a panel with a tray.
//!
//! It owns those programs, a home and a runtime folder, and ends all of them when dropped, whatever they started
//! included. Keys and clicks go through the X server as a person's do. It looks at windows from outside only: what is in
//! the page is [`Page`]'s, and nothing here can look into the vault.

mod album;
mod installed;
mod page;
mod screen;

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use album::Album;
pub use installed::Installed;
pub use page::Page;
pub use screen::{Area, Screen};

use crate::{software_driver, text};

/// How long a window, a click or a program of the desktop may take on a busy machine.
pub const DESKTOP_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that tells nothing by itself: a window, another program's page.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Programs without which there is no desktop, with the Debian package of each.
const TOOLS: [(&str, &str); 6] = [
    ("Xvfb", "xvfb"),
    ("dbus-daemon", "dbus"),
    ("xfwm4", "xfwm4"),
    ("xdotool", "xdotool"),
    ("wmctrl", "wmctrl"),
    ("import", "imagemagick"),
];

/// A running desktop.
#[derive(Debug)]
pub struct Desktop {
    /// Ended in this order.
    daemons: Vec<Daemon>,
    /// Ended by a test that wants to see what follows.
    system_bus: RefCell<Option<Daemon>>,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Desktop {
    /// Starts a desktop, or says which of its programs or of `more` (program, package) is not installed.
    pub fn start(more: &[(&str, &str)]) -> Option<Self> {
        for (program, package) in TOOLS.iter().chain(more) {
            if find_program(program).is_none() {
                leave_out(&format!(
                    "the app on a real display, because {program} (package {package}) is missing"
                ));
                return None;
            }
        }
        let folder = tempfile::Builder::new().prefix("hearth-").tempdir().expect("a temporary folder");
        let environment = private_environment(folder.path());
        let mut desktop = Self { daemons: Vec::new(), system_bus: RefCell::new(None), environment, folder };
        // With -displayfd the server chooses a free number and says it once it can be connected to.
        let size = format!("{}x{}x24", screen::WIDTH, screen::HEIGHT);
        let xvfb = ["-displayfd", "1", "-screen", "0", &size, "-nolisten", "tcp", "-s", "0"];
        let number = desktop.spawn_and_read("Xvfb", &xvfb);
        desktop.environment.push(("DISPLAY", format!(":{number}")));
        let bus = desktop
            .spawn_and_read("dbus-daemon", &["--session", "--nofork", "--nopidfile", "--print-address"]);
        desktop.environment.push(("DBUS_SESSION_BUS_ADDRESS", bus));
        // A bus of its own in the system's place, on which nobody answers unless the test does.
        let bus = desktop
            .spawn_and_read("dbus-daemon", &["--session", "--nofork", "--nopidfile", "--print-address"]);
        desktop.environment.push(("DBUS_SYSTEM_BUS_ADDRESS", bus));
        desktop.system_bus = RefCell::new(Some(desktop.daemons.remove(0)));
        desktop.spawn("xfwm4", &["--compositor=off"]);
        // Only a window manager that is ready tells which desktop is shown.
        desktop.until("the window manager", || desktop.ask("xdotool", &["get_desktop"]).is_some());
        Some(desktop)
    }

    /// Starts a panel with nothing but a tray on it, at the lower edge.
    pub fn start_panel(&mut self) {
        let folder = self.home().join(".config/xfce4/xfconf/xfce-perchannel-xml");
        std::fs::create_dir_all(&folder).expect("a folder in the home");
        std::fs::write(folder.join("xfce4-panel.xml"), PANEL).expect("the panel's settings");
        self.spawn("xfce4-panel", &["--disable-wm-check"]);
    }

    /// The owner's home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A folder for the test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a program needs in its environment to appear here; replaces what the test's own environment says.
    pub fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Address of the session bus.
    pub fn bus(&self) -> &str {
        self.variable("DBUS_SESSION_BUS_ADDRESS")
    }

    /// Address of the bus in the system's place.
    pub fn system_bus(&self) -> &str {
        self.variable("DBUS_SYSTEM_BUS_ADDRESS")
    }

    /// The system's bus fails, and nobody starts it again.
    pub fn kill_system_bus(&self) {
        drop(self.system_bus.borrow_mut().take());
    }

    fn variable(&self, wanted: &str) -> &str {
        self.environment.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value)
    }

    /// Starts a program that shows a window; it ends when dropped.
    pub fn open(&self, program: &str, arguments: &[&str]) -> Opened {
        let child = self.command(program, arguments).stdout(Stdio::null()).spawn();
        Opened(Daemon(child.unwrap_or_else(|error| panic!("{program} starts: {error}"))))
    }

    /// Lets a window fill the screen or no longer, through the window manager.
    pub fn fill_screen(&self, window: Window, fill: bool) {
        let (id, change) = (format!("{:#x}", window.0), if fill { "add" } else { "remove" });
        self.must("wmctrl", &["-i", "-r", &id, "-b", &format!("{change},fullscreen")]);
    }

    /// Waits for a visible window of exactly this title.
    pub fn window(&self, title: &str) -> Window {
        self.until_some(&format!("a window {title:?}"), || self.windows(title).into_iter().next())
    }

    /// Visible windows of exactly this title.
    pub fn windows(&self, title: &str) -> Vec<Window> {
        let found = self.ask("xdotool", &["search", "--onlyvisible", "--name", &format!("^{title}$")]);
        found.unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok().map(Window)).collect()
    }

    /// Waits until no window of this title is visible.
    pub fn no_window(&self, title: &str) {
        self.until(&format!("{title:?} to close"), || self.windows(title).is_empty());
    }

    /// Whether the windows of this title close soon, or somebody has to try again.
    pub fn closes(&self, title: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if self.windows(title).is_empty() {
                return true;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        false
    }

    /// Waits until a window has something to read in it and stands still for half a second: one that is not painted yet
    /// shows what lies below it, and then nothing.
    pub fn settled(&self, window: Window) {
        let mut before = Vec::new();
        let mut since = Instant::now();
        self.until("a window that stands still", || {
            let now = self.pixels(window);
            // A blinking caret is less than one pixel in two thousand.
            let moved = now.iter().zip(&before).filter(|(a, b)| a != b).count();
            if now.len() != before.len() || moved * 2000 >= now.len().max(1) {
                since = Instant::now();
                before = now;
                return false;
            }
            colours(&now) >= 24 && since.elapsed() > Duration::from_millis(500)
        });
    }

    /// Waits until a window says in red what failed.
    pub fn complains(&self, window: Window) {
        self.until("a window to complain", || {
            let red = |pixel: &&[u8]| pixel[0] > 140 && pixel[1] < 100 && pixel[2] < 100;
            self.pixels(window).chunks_exact(3).filter(red).count() > 20
        });
    }

    /// Brings a window to the front and gives it the keyboard.
    pub fn focus(&self, window: Window) {
        let id = window.0.to_string();
        self.until("a window to take the keyboard", || {
            self.ask("xdotool", &["windowactivate", &id]).is_some()
                && self.ask("xdotool", &["getactivewindow"]).is_some_and(|active| active.trim() == id)
        });
    }

    /// Types on the keyboard, into whatever has it.
    pub fn keys(&self, typed: &str) {
        self.must("xdotool", &["type", "--delay", "8", "--", typed]);
    }

    /// Presses one key by its X name, for example `Return`.
    pub fn key(&self, name: &str) {
        self.must("xdotool", &["key", "--delay", "20", name]);
    }

    /// Moves the pointer and clicks there; buttons are 1 (left) and 3 (right).
    pub fn click(&self, (x, y): (i32, i32), button: u8) {
        self.point((x, y));
        self.must("xdotool", &["click", &button.to_string()]);
    }

    /// Moves the pointer, in steps as a hand does.
    pub fn point(&self, (x, y): (i32, i32)) {
        let (x, y) = (x.to_string(), y.to_string());
        self.must(
            "xdotool",
            &[
                "mousemove",
                &x,
                &y,
                "mousemove_relative",
                "--",
                "1",
                "0",
                "mousemove_relative",
                "--",
                "-1",
                "0",
            ],
        );
    }

    /// Saves a picture of a window.
    pub fn picture(&self, window: Window, path: &Path) {
        self.must("import", &["-window", &window.0.to_string(), text(path)]);
    }

    /// Saves a picture of the whole screen.
    pub fn picture_of_all(&self, path: &Path) {
        self.must("import", &["-window", "root", text(path)]);
    }

    /// Closes a window as its owner does, by the window manager's key.
    pub fn close(&self, window: Window) {
        self.focus(window);
        self.key("alt+F4");
    }

    /// Polls until `wanted` holds.
    ///
    /// # Panics
    /// When it does not within [`DESKTOP_PATIENCE`].
    pub fn until(&self, what: &str, mut wanted: impl FnMut() -> bool) {
        self.until_some(what, || wanted().then_some(()));
    }

    /// Polls until `wanted` gives something.
    ///
    /// # Panics
    /// When it does not within [`DESKTOP_PATIENCE`].
    pub fn until_some<T>(&self, what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + DESKTOP_PATIENCE;
        loop {
            if let Some(found) = wanted() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Starts a program of the desktop that runs until the desktop ends.
    pub(crate) fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let child = self.command(program, arguments).stdout(Stdio::null()).spawn();
        self.daemons.insert(0, Daemon(child.unwrap_or_else(|error| panic!("{program} starts: {error}"))));
    }

    fn spawn_and_read(&mut self, program: &str, arguments: &[&str]) -> String {
        let child = self.command(program, arguments).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{program} starts: {error}"));
        let stdout = child.stdout.take().expect("its output is a pipe");
        self.daemons.insert(0, Daemon(child));
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("plain text");
        assert!(!line.trim().is_empty(), "{program} says where it is");
        line.trim().to_owned()
    }

    /// A program in this desktop's environment. What toolkits complain about is no part of a test's output.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment()).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn pixels(&self, window: Window) -> Vec<u8> {
        self.output("import", &["-window", &window.0.to_string(), "-depth", "8", "rgb:-"])
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output =
            self.command(program, arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        assert!(self.ask(program, arguments).is_some(), "{program} {arguments:?} works");
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        self.command(program, arguments).output().unwrap_or_else(|error| panic!("{program}: {error}")).stdout
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What a person would have seen says more than the message of an assertion.
            let path = std::env::temp_dir().join(format!("hearth-test-failed-{}.png", std::process::id()));
            let taken = self.command("import", &["-window", "root", text(&path)]).status();
            eprintln!("the screen: {} ({taken:?})", path.display());
        }
    }
}

/// A window by its X id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(u64);

/// A program of the desktop that a test has opened. It ends when dropped.
#[derive(Debug)]
pub struct Opened(#[expect(dead_code, reason = "kept for as long as the program is to run")] Daemon);

/// A program that runs until it is dropped, with all that it started.
#[derive(Debug)]
pub(crate) struct Daemon(pub(crate) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let started = descendants(self.0.id());
        // Both fail only when it has ended already, which is what is wanted.
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
        for pid in started {
            signal("-KILL", pid);
        }
    }
}

/// Processes that `parent` started, directly or not.
pub fn descendants(parent: u32) -> Vec<u32> {
    let mut pairs = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("a Linux system").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent =
            stat.rsplit_once(')').and_then(|(_, tail)| tail.split_whitespace().nth(1)?.parse::<u32>().ok());
        pairs.extend(parent.map(|parent| (parent, pid)));
    }
    let mut found = vec![parent];
    let mut next = 0;
    while next < found.len() {
        let above = found[next];
        found.extend(pairs.iter().filter(|(parent, _)| *parent == above).map(|(_, pid)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, tail)| !matches!(tail.trim_start().chars().next(), None | Some('Z' | 'X')))
}

/// Sends a signal to a process that may have ended already.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status();
    sent.expect("kill runs");
}

/// Says that something is not tested here and why; past the test harness, which keeps what passing tests print.
pub fn leave_out(what: &str) {
    writeln!(std::io::stdout(), "left out: {what}").expect("the test's output is open");
}

/// Where a program is, by the test's own `PATH`.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Makes the folders of a home; empty variables count as unset and hide the test's own desktop.
fn private_environment(folder: &Path) -> Vec<(&'static str, String)> {
    use std::os::unix::fs::PermissionsExt as _;

    let make = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("a private folder");
        text(&path).to_owned()
    };
    let mut environment = vec![
        ("HOME", make("home")),
        ("XDG_RUNTIME_DIR", make("run")),
        ("XDG_CONFIG_HOME", make("home/.config")),
        ("XDG_DATA_HOME", make("home/.local/share")),
        ("XDG_CACHE_HOME", make("home/.cache")),
        ("VK_ICD_FILENAMES", software_driver().to_owned()),
    ];
    for (name, value) in [
        ("GDK_BACKEND", "x11"),
        ("LC_ALL", "C.UTF-8"),
        ("LANGUAGE", ""),
        ("NO_AT_BRIDGE", "1"),
        ("TZ", "UTC"),
        ("WAYLAND_DISPLAY", ""),
        ("XDG_SESSION_TYPE", "x11"),
        ("HEARTH_DATA_DIR", ""),
        ("HEARTH_SOCKET", ""),
        ("HEARTH_WINDOW", ""),
    ] {
        environment.push((name, value.to_owned()));
    }
    environment
}

/// How many colours a picture has; text and lines on a ground have dozens, an unpainted window has one.
fn colours(pixels: &[u8]) -> usize {
    pixels.chunks_exact(3).collect::<std::collections::BTreeSet<_>>().len()
}

/// One panel at the lower edge, with a tray and nothing else.
const PANEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=12;x=680;y=880"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
    </property>
  </property>
</channel>
"#;
