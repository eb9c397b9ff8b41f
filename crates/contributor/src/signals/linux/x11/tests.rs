//! Against a real X server (Xvfb): a pointer that moves, windows that fill the screen while the test plays the window
//! manager, and a server that dies.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, Screen, Window,
    WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::*;

/// How long the sensor may take to tell what the test waits for.
const BOUND: Duration = Duration::from_secs(20);
/// How long the end of a source may take at most.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// An X server of its own; killed when dropped.
struct Server {
    child: Child,
    name: String,
}

impl Server {
    /// On the first free number. `None` where Xvfb is not installed.
    fn start() -> Option<Self> {
        Self::with(&[])
    }

    fn with(number: &[&str]) -> Option<Self> {
        let child = Command::new("Xvfb")
            .args(number)
            .args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            crate::leave_out("the X server, because Xvfb is not installed");
            return None;
        };
        let mut line = String::new();
        let mut stdout = io::BufReader::new(child.stdout.take()?);
        io::BufRead::read_line(&mut stdout, &mut line).ok()?;
        Some(Self { child, name: format!(":{}", line.trim()) })
    }

    fn connect(&self) -> (RustConnection, Screen) {
        let (x, screen) = x11rb::connect(Some(&self.name)).unwrap();
        let screen = x.setup().roots[screen].clone();
        (x, screen)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The sensor on a server, and what it tells.
struct Sensor {
    watching: Watching,
    changes: mpsc::Receiver<(Change, Instant)>,
}

impl Sensor {
    fn on(name: &str) -> Self {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send((change, Instant::now()))));
        let watching = watch_display(name.to_owned(), outlet, network::system_clock()).unwrap();
        Self { watching, changes }
    }

    /// The next news about input.
    fn input(&self) -> (Reading<Input>, Instant) {
        loop {
            if let (Change::Input(input), at) = self.changes.recv_timeout(BOUND).expect("news of input") {
                return (input, at);
            }
        }
    }

    /// The next news about windows.
    fn fullscreen(&self) -> Reading<bool> {
        loop {
            if let (Change::Fullscreen(it), _) = self.changes.recv_timeout(BOUND).expect("news of windows") {
                return it;
            }
        }
    }

    fn stop(self) {
        let asked = Instant::now();
        self.watching.stop();
        assert!(asked.elapsed() < STOP_WITHIN, "the thread must end when it is told to");
    }
}

/// The test as a window manager: it writes the properties that one writes.
struct Desk<'x> {
    x: &'x RustConnection,
    screen: Screen,
}

impl Desk<'_> {
    fn atom(&self, name: &str) -> u32 {
        self.x.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom
    }

    fn write(&self, window: Window, name: &str, kind: AtomEnum, values: &[u32]) {
        let name = self.atom(name);
        self.x.change_property32(PropMode::REPLACE, window, name, kind, values).unwrap().check().unwrap();
    }

    fn begin(&self) {
        let names = ["_NET_CLIENT_LIST", "_NET_WM_STATE", "_NET_WM_STATE_FULLSCREEN", "_NET_WM_DESKTOP"];
        let names = names.map(|name| self.atom(name));
        self.write(self.screen.root, "_NET_CURRENT_DESKTOP", AtomEnum::CARDINAL, &[0]);
        self.write(self.screen.root, "_NET_CLIENT_LIST", AtomEnum::WINDOW, &[]);
        self.write(self.screen.root, "_NET_SUPPORTED", AtomEnum::ATOM, &names);
    }

    fn window(&self) -> Window {
        let id = self.x.generate_id().unwrap();
        let (root, kind) = (self.screen.root, WindowClass::INPUT_OUTPUT);
        let visual = self.screen.root_visual;
        let aux = CreateWindowAux::new();
        self.x
            .create_window(COPY_DEPTH_FROM_PARENT, id, root, 0, 0, 64, 64, 0, kind, visual, &aux)
            .unwrap()
            .check()
            .unwrap();
        id
    }

    fn list(&self, windows: &[Window]) {
        self.write(self.screen.root, "_NET_CLIENT_LIST", AtomEnum::WINDOW, windows);
    }

    fn state(&self, window: Window, states: &[&str]) {
        let states: Vec<u32> = states.iter().map(|state| self.atom(state)).collect();
        self.write(window, "_NET_WM_STATE", AtomEnum::ATOM, &states);
    }

    fn place(&self, window: Window, desktop: u32) {
        self.write(window, "_NET_WM_DESKTOP", AtomEnum::CARDINAL, &[desktop]);
    }

    fn show(&self, desktop: u32) {
        self.write(self.screen.root, "_NET_CURRENT_DESKTOP", AtomEnum::CARDINAL, &[desktop]);
    }
}

#[test]
fn a_moved_pointer_is_told_at_once_and_its_absence_too() {
    let Some(server) = Server::start() else { return };
    let sensor = Sensor::on(&server.name);
    // Whatever the server begins with, without input it becomes idle.
    while !matches!(sensor.input().0, Reading::Known(Input::IdleSince(_))) {}

    let (x, screen) = server.connect();
    let mut took = Vec::new();
    for step in 1..=3 {
        let moved = Instant::now();
        x.xtest_fake_input(6, 0, 0, screen.root, step * 10, 20, 0).unwrap();
        x.get_input_focus().unwrap().reply().unwrap();
        let (input, at) = sensor.input();
        assert_eq!(input, Reading::Known(Input::Active), "a moved pointer is somebody");
        took.push(at.duration_since(moved));
        let (input, _) = sensor.input();
        assert!(
            matches!(input, Reading::Known(Input::IdleSince(_))),
            "a second later nobody is there: {input:?}"
        );
    }
    assert!(took.iter().min().unwrap() < &Duration::from_millis(100), "told after {took:?}");
    sensor.stop();
}

#[test]
fn a_window_that_fills_the_screen_is_told_and_one_that_nobody_sees_is_not() {
    const FULLSCREEN: &str = "_NET_WM_STATE_FULLSCREEN";
    let Some(server) = Server::start() else { return };
    let sensor = Sensor::on(&server.name);
    assert_eq!(sensor.fullscreen(), Reading::Unknown(Unknown::NoSource), "no window manager");
    let (x, screen) = server.connect();
    let desk = Desk { x: &x, screen };
    desk.begin();
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "a window manager has come");

    let window = desk.window();
    desk.state(window, &[FULLSCREEN]);
    desk.place(window, 0);
    desk.list(&[window]);
    assert_eq!(sensor.fullscreen(), Reading::Known(true), "a new window that fills the screen");
    desk.state(window, &[FULLSCREEN, "_NET_WM_STATE_HIDDEN"]);
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "it was minimised");
    desk.state(window, &["_NET_WM_STATE_ABOVE", FULLSCREEN]);
    assert_eq!(sensor.fullscreen(), Reading::Known(true), "and is back");
    desk.place(window, 1);
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "it went to another desktop");
    desk.show(1);
    assert_eq!(sensor.fullscreen(), Reading::Known(true), "the owner followed it");
    desk.show(0);
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "the owner came back");
    desk.place(window, u32::MAX);
    assert_eq!(sensor.fullscreen(), Reading::Known(true), "it is on all desktops now");

    // Windows vanish between two questions: one of these is on the list and gone.
    let second = desk.window();
    desk.state(second, &[FULLSCREEN]);
    desk.state(window, &[]);
    assert_eq!(sensor.fullscreen(), Reading::Known(false));
    desk.list(&[window, second]);
    assert_eq!(sensor.fullscreen(), Reading::Known(true));
    x.destroy_window(second).unwrap().check().unwrap();
    desk.list(&[second, window, 0x7fff_fff0]);
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "a window that is gone fills nothing");
    desk.state(window, &[FULLSCREEN]);
    assert_eq!(sensor.fullscreen(), Reading::Known(true), "and hides no other");
    sensor.stop();
}

#[test]
fn a_real_window_manager_is_understood() {
    let Some(server) = Server::start() else { return };
    let sensor = Sensor::on(&server.name);
    let (x, screen) = server.connect();
    let desk = Desk { x: &x, screen };
    let manager = Command::new("xfwm4")
        .args(["--compositor=off", "--display", &server.name])
        .env("DISPLAY", &server.name)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = manager else {
        crate::leave_out("the window manager, because xfwm4 is not installed");
        return;
    };
    let _manager = Server { child, name: String::new() };
    while sensor.fullscreen() != Reading::Known(false) {}

    let window = desk.window();
    x.map_window(window).unwrap().check().unwrap();
    let ask = |name: &str, data: [u32; 5]| {
        let event = ClientMessageEvent::new(32, window, desk.atom(name), data);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        x.send_event(false, desk.screen.root, mask, event).unwrap().check().unwrap();
    };
    let (add, iconic) = (1, 3);
    let wait_listed = Instant::now() + BOUND;
    let listed = || {
        let list = desk.atom("_NET_CLIENT_LIST");
        let kind = AtomEnum::WINDOW;
        let list = x.get_property(false, desk.screen.root, list, kind, 0, 64).unwrap().reply().unwrap();
        list.value32().is_some_and(|mut windows| windows.any(|it| it == window))
    };
    // Asked for before the window manager has taken the window in, the wish is lost.
    while !listed() {
        assert!(Instant::now() < wait_listed, "the window manager takes the window in");
        std::thread::yield_now();
    }
    ask("_NET_WM_STATE", [add, desk.atom("_NET_WM_STATE_FULLSCREEN"), 0, 1, 0]);
    assert_eq!(sensor.fullscreen(), Reading::Known(true));
    ask("WM_CHANGE_STATE", [iconic, 0, 0, 0, 0]);
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "minimised");
    ask("_NET_ACTIVE_WINDOW", [2, 0, 0, 0, 0]);
    assert_eq!(sensor.fullscreen(), Reading::Known(true), "and back");
    x.destroy_window(window).unwrap().check().unwrap();
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "closed");
    sensor.stop();
}

#[test]
fn a_server_that_dies_is_unknown_at_once_and_known_when_it_is_back() {
    // Far above the numbers that other tests' servers choose for themselves.
    let number = format!(":{}", 2000 + std::process::id() % 50_000);
    let Some(server) = Server::with(&[&number]) else { return };
    let sensor = Sensor::on(&number);
    while !matches!(sensor.input().0, Reading::Known(Input::IdleSince(_))) {}
    drop(server);
    let killed = Instant::now();
    let (input, at) = sensor.input();
    assert_eq!(input, Reading::Unknown(Unknown::Failed));
    assert!(at.duration_since(killed) < Duration::from_millis(500), "told {:?} later", at - killed);
    assert_eq!(sensor.fullscreen(), Reading::Unknown(Unknown::Failed));

    let server = Server::with(&[&number]).unwrap();
    assert!(matches!(sensor.input().0, Reading::Known(_)), "the server is back");
    let (x, screen) = server.connect();
    let desk = Desk { x: &x, screen };
    desk.begin();
    while sensor.fullscreen() != Reading::Known(false) {}
    sensor.stop();
}

#[test]
fn a_display_that_is_gone_is_unknown_and_said_once() {
    let sensor = Sensor::on(":4242");
    assert_eq!(sensor.input().0, Reading::Unknown(Unknown::Failed));
    assert_eq!(sensor.fullscreen(), Reading::Unknown(Unknown::Failed));
    // The second attempt, a second later, finds the same and says nothing.
    let more = sensor.changes.recv_timeout(Duration::from_millis(1500));
    assert!(more.is_err(), "told again: {more:?}");
    sensor.stop();
}
