//! Against a compositor of the tests' own that says exactly what a test has it say, and against KWin.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::*;
use crate::signals::Input;

mod compositor;
mod kwin;

use compositor::{Compositor, Offer, Say};

/// How long the sensor may take to tell what the test waits for.
const BOUND: Duration = Duration::from_secs(20);

/// The sensor on a socket, and what it tells.
struct Sensor {
    wayland: Option<Wayland>,
    changes: mpsc::Receiver<(Change, Instant)>,
}

impl Sensor {
    fn on(socket: &Path) -> Self {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send((change, Instant::now()))));
        let wayland = Wayland::start(socket.to_owned(), outlet, network::system_clock());
        Self { wayland, changes }
    }

    fn input(&self) -> (Reading<Input>, Instant) {
        loop {
            if let (Change::Input(input), at) = self.changes.recv_timeout(BOUND).expect("news of input") {
                return (input, at);
            }
        }
    }

    fn fullscreen(&self) -> Reading<bool> {
        loop {
            if let (Change::Fullscreen(it), _) = self.changes.recv_timeout(BOUND).expect("news of windows") {
                return it;
            }
        }
    }

    fn stop(self) {
        let asked = Instant::now();
        self.wayland.expect("it had started").stop();
        assert!(asked.elapsed() < Duration::from_secs(1), "the thread must end when it is told to");
    }
}

fn is_idle(input: Reading<Input>) -> bool {
    matches!(input, Reading::Known(Input::IdleSince(_)))
}

#[test]
fn nobody_is_there_only_when_nobody_uses_any_seat() {
    let folder = tempfile::tempdir().unwrap();
    let offer = Offer { notifier: Some(2), seats: 2, windows: false };
    let compositor = Compositor::start(&folder.path().join("w"), offer);
    let sensor = Sensor::on(compositor.socket());
    assert_eq!(sensor.input().0, Reading::Known(Input::Active), "a fresh notification counts as used");
    assert_eq!(sensor.fullscreen(), Reading::Unknown(Unknown::NoSource), "it does not tell of windows");
    let before = network::system_clock()().0;
    compositor.say(Say::Idle(0));
    compositor.say(Say::Idle(1));
    let Reading::Known(Input::IdleSince(since)) = sensor.input().0 else { panic!("both are idle") };
    let now = network::system_clock()().0;
    assert!((before - 1000..=now - 1000).contains(&since.0), "the second without input is counted");
    compositor.say(Say::Resume(1));
    assert_eq!(sensor.input().0, Reading::Known(Input::Active));
    // A seat that is taken away, as when a remote session ends, leaves the other one.
    compositor.say(Say::RemoveSeat(1));
    assert!(is_idle(sensor.input().0));
    assert!(compositor.all_by_input_only(), "version 2: a film that keeps the screen on is nobody");
    sensor.stop();
}

#[test]
fn an_older_notifier_is_asked_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let offer = Offer { notifier: Some(1), seats: 1, windows: false };
    let compositor = Compositor::start(&folder.path().join("w"), offer);
    let sensor = Sensor::on(compositor.socket());
    assert_eq!(sensor.input().0, Reading::Known(Input::Active));
    compositor.say(Say::Idle(0));
    assert!(is_idle(sensor.input().0));
    assert!(!compositor.all_by_input_only());
    sensor.stop();
}

#[test]
fn a_compositor_that_does_not_tell_of_input_is_left_to_another_source() {
    let folder = tempfile::tempdir().unwrap();
    let offer = Offer { notifier: None, seats: 1, windows: false };
    let compositor = Compositor::start(&folder.path().join("w"), offer);
    let sensor = Sensor::on(compositor.socket());
    assert!(sensor.wayland.is_none());
    let told: Vec<_> = sensor.changes.try_iter().map(|(change, _)| change).collect();
    assert_eq!(told, [Change::Fullscreen(Reading::Unknown(Unknown::NoSource))]);
}

#[test]
fn a_compositor_without_a_seat_is_no_source() {
    let folder = tempfile::tempdir().unwrap();
    let offer = Offer { notifier: Some(2), seats: 0, windows: false };
    let compositor = Compositor::start(&folder.path().join("w"), offer);
    let sensor = Sensor::on(compositor.socket());
    assert_eq!(sensor.input().0, Reading::Unknown(Unknown::NoSource));
    sensor.stop();
}

#[test]
fn a_window_that_fills_the_screen_is_told_unless_it_is_minimised() {
    let folder = tempfile::tempdir().unwrap();
    let offer = Offer { notifier: Some(2), seats: 1, windows: true };
    let compositor = Compositor::start(&folder.path().join("w"), offer);
    let sensor = Sensor::on(compositor.socket());
    assert_eq!(sensor.fullscreen(), Reading::Known(false));
    let (maximized, minimized, activated, fullscreen) = (0, 1, 2, 3);
    compositor.say(Say::Window(7, vec![maximized, activated]));
    compositor.say(Say::Window(8, vec![activated, fullscreen]));
    assert_eq!(sensor.fullscreen(), Reading::Known(true));
    compositor.say(Say::Window(8, vec![fullscreen, minimized]));
    assert_eq!(sensor.fullscreen(), Reading::Known(false));
    compositor.say(Say::Window(8, vec![fullscreen]));
    assert_eq!(sensor.fullscreen(), Reading::Known(true));
    compositor.say(Say::Close(8));
    assert_eq!(sensor.fullscreen(), Reading::Known(false));
    sensor.stop();
}

#[test]
fn a_compositor_that_dies_is_unknown_at_once_and_known_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("w");
    let offer = Offer { notifier: Some(2), seats: 1, windows: true };
    let compositor = Compositor::start(&socket, offer);
    let sensor = Sensor::on(&socket);
    assert_eq!(sensor.input().0, Reading::Known(Input::Active));
    compositor.say(Say::Window(1, vec![3]));
    while sensor.fullscreen() != Reading::Known(true) {}
    let killed = Instant::now();
    drop(compositor);
    let (input, at) = sensor.input();
    assert_eq!(input, Reading::Unknown(Unknown::Failed));
    assert!(at.duration_since(killed) < Duration::from_millis(500), "told {:?} later", at - killed);
    assert_eq!(sensor.fullscreen(), Reading::Unknown(Unknown::Failed));

    let compositor = Compositor::start(&socket, offer);
    assert_eq!(sensor.input().0, Reading::Known(Input::Active), "it is back");
    assert_eq!(sensor.fullscreen(), Reading::Known(false), "and its windows are new ones");
    compositor.say(Say::Idle(0));
    assert!(is_idle(sensor.input().0));
    sensor.stop();
}

#[test]
fn a_socket_without_a_compositor_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let sensor = Sensor::on(&folder.path().join("none"));
    assert_eq!(sensor.input().0, Reading::Unknown(Unknown::Failed));
    assert_eq!(sensor.fullscreen(), Reading::Unknown(Unknown::Failed));
    sensor.stop();
}

#[test]
fn a_compositor_that_hangs_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("w");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let asked = Instant::now();
    let sensor = Sensor::on(&socket);
    assert!(asked.elapsed() < Duration::from_secs(1), "the start went on after {:?}", asked.elapsed());
    assert!(sensor.wayland.is_some(), "it may answer yet");
    assert!(sensor.changes.try_recv().is_err(), "nothing is known, and nothing is told");
    sensor.stop();
}
