//! With made folders of devices, whose event files are pipes that a test writes events into.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Arc, mpsc};

use rustix::fs::{CWD, FileType, Mode};

use super::*;

/// How long the sensor may take to tell what the test waits for.
const BOUND: Duration = Duration::from_secs(20);
/// Keys of a gamepad and of a mouse.
const GAMEPAD: &str = "7cdb000000000000 0 0 0 0\n";
const MOUSE: &str = "1f0000 0 0 0 0\n";
const EV_KEY: u16 = 1;
const EV_ABS: u16 = 3;

/// A made system: the kernel's list of devices and their files.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(desk.list()).unwrap();
        fs::create_dir(desk.nodes()).unwrap();
        desk
    }

    fn list(&self) -> PathBuf {
        self.folder.path().join("list")
    }

    fn nodes(&self) -> PathBuf {
        self.folder.path().join("nodes")
    }

    fn announce(&self, name: &str, keys: &str) {
        let capabilities = self.list().join(name).join("device/capabilities");
        fs::create_dir_all(&capabilities).unwrap();
        fs::write(capabilities.join("key"), keys).unwrap();
    }

    fn plug_in(&self, name: &str, keys: &str) {
        self.announce(name, keys);
        let node = self.nodes().join(name);
        rustix::fs::mknodat(CWD, &node, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    }

    fn unplug(&self, name: &str) {
        fs::remove_dir_all(self.list().join(name)).unwrap();
        fs::remove_file(self.nodes().join(name)).unwrap();
    }

    /// A hand at the device. Waits until the sensor holds the file open: a pipe without a reader has no other end.
    fn hand(&self, name: &str) -> File {
        let node = self.nodes().join(name);
        OpenOptions::new().write(true).open(node).unwrap()
    }

    fn watch(&self) -> Sensor {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send((change, Instant::now()))));
        let clock = network::system_clock();
        Sensor { watching: watch_gamepads(self.list(), self.nodes(), outlet, clock).unwrap(), changes }
    }
}

struct Sensor {
    watching: Watching,
    changes: mpsc::Receiver<(Change, Instant)>,
}

impl Sensor {
    fn next(&self) -> (Reading<Input>, Instant) {
        match self.changes.recv_timeout(BOUND).expect("news of gamepads") {
            (Change::Gamepad(input), at) => (input, at),
            (other, _) => panic!("{other:?}"),
        }
    }

    fn quiet_for(&self, while_: Duration) {
        let more = self.changes.recv_timeout(while_);
        assert!(more.is_err(), "told: {more:?}");
    }

    fn stop(self) {
        let asked = Instant::now();
        self.watching.stop();
        assert!(asked.elapsed() < Duration::from_secs(1), "the thread must end when it is told to");
    }
}

fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
    let mut bytes = vec![0; 2 * size_of::<usize>()];
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(code.to_ne_bytes());
    bytes.extend(value.to_ne_bytes());
    bytes
}

#[test]
fn a_pressed_button_is_told_at_once_and_a_second_without_any_too() {
    let desk = Desk::new();
    desk.plug_in("event3", GAMEPAD);
    desk.plug_in("event4", MOUSE);
    let sensor = desk.watch();
    assert!(matches!(sensor.next().0, Reading::Known(Input::IdleSince(_))));
    let mut hand = desk.hand("event3");
    let mut took = Vec::new();
    for _ in 0..3 {
        let before = network::system_clock()();
        let pressed = Instant::now();
        hand.write_all(&event(EV_KEY, 0x130, 1)).unwrap();
        let (input, at) = sensor.next();
        assert_eq!(input, Reading::Known(Input::Active));
        took.push(at.duration_since(pressed));
        let (input, at) = sensor.next();
        let Reading::Known(Input::IdleSince(since)) = input else { panic!("{input:?}") };
        assert!(since >= before && since <= network::system_clock()());
        assert!(at.duration_since(pressed) >= QUIET, "a second must pass");
    }
    println!("a pressed button was told after {took:?}");
    assert!(took.iter().min().unwrap() < &Duration::from_millis(100), "told after {took:?}");
    sensor.stop();
}

#[test]
fn a_held_stick_is_somebody_all_the_time_and_a_trembling_one_nobody() {
    let desk = Desk::new();
    desk.plug_in("event3", GAMEPAD);
    let sensor = desk.watch();
    sensor.next();
    let mut hand = desk.hand("event3");
    for step in 0..50 {
        hand.write_all(&event(EV_ABS, 0, 126 + step % 4)).unwrap();
    }
    sensor.quiet_for(Duration::from_millis(300));
    let began = Instant::now();
    hand.write_all(&event(EV_ABS, 0, 255)).unwrap();
    assert_eq!(sensor.next().0, Reading::Known(Input::Active));
    // Moved to and fro for longer than a second: no news until the hand rests.
    for step in 0..6 {
        let while_ = Duration::from_millis(250);
        hand.write_all(&event(EV_ABS, 0, if step % 2 == 0 { 0 } else { 255 })).unwrap();
        sensor.quiet_for(while_);
    }
    assert!(matches!(sensor.next().0, Reading::Known(Input::IdleSince(_))));
    assert!(began.elapsed() > Duration::from_secs(2));
    sensor.stop();
}

#[test]
fn a_gamepad_that_comes_later_is_seen_and_one_that_leaves_is_forgotten() {
    let desk = Desk::new();
    desk.plug_in("event0", MOUSE);
    let sensor = desk.watch();
    assert_eq!(sensor.next().0, Reading::Unknown(Unknown::NoSource));
    desk.plug_in("event7", GAMEPAD);
    assert!(matches!(sensor.next().0, Reading::Known(Input::IdleSince(_))));
    let mut hand = desk.hand("event7");
    hand.write_all(&event(EV_KEY, 0x131, 1)).unwrap();
    assert_eq!(sensor.next().0, Reading::Known(Input::Active));
    desk.unplug("event7");
    assert_eq!(sensor.next().0, Reading::Unknown(Unknown::NoSource));
    drop(hand);
    // Another one under the same name.
    desk.plug_in("event7", GAMEPAD);
    assert!(matches!(sensor.next().0, Reading::Known(Input::IdleSince(_))));
    let mut hand = desk.hand("event7");
    hand.write_all(&event(EV_KEY, 0x131, 1)).unwrap();
    assert_eq!(sensor.next().0, Reading::Known(Input::Active));
    sensor.stop();
}

#[test]
fn a_gamepad_that_may_not_be_read_is_unknown_until_it_may_be() {
    let desk = Desk::new();
    // The list has it, and its file comes later, as while a login hands it out. A right that is missing looks the same
    // to the sensor, but not to a test that runs as root.
    desk.announce("event2", GAMEPAD);
    let sensor = desk.watch();
    assert_eq!(sensor.next().0, Reading::Unknown(Unknown::Failed));
    desk.plug_in("event2", GAMEPAD);
    assert!(matches!(sensor.next().0, Reading::Known(Input::IdleSince(_))));
    sensor.stop();
}

#[test]
fn a_system_without_input_devices_has_no_gamepad() {
    let folder = tempfile::tempdir().unwrap();
    let (send, changes) = mpsc::channel();
    let outlet: Outlet = Arc::new(move |change| drop(send.send(change)));
    let none = folder.path().join("none");
    let watching = watch_gamepads(none.clone(), none, outlet, network::system_clock()).unwrap();
    let told = changes.recv_timeout(BOUND).unwrap();
    assert_eq!(told, Change::Gamepad(Reading::Unknown(Unknown::NoSource)));
    watching.stop();
}
