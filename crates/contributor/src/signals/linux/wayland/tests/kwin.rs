//! Against KWin, which draws on a screen of its own that nobody sees, while its pointer is moved by its own protocol for
//! that.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_registry::WlRegistry;
use wayland_client::{Dispatch, EventQueue, Proxy as _, QueueHandle, delegate_noop};
use wayland_protocols_plasma::fake_input::client::org_kde_kwin_fake_input::OrgKdeKwinFakeInput;

use super::*;

/// KWin in a folder of its own; killed when dropped.
struct Kwin {
    child: Child,
    folder: tempfile::TempDir,
}

impl Kwin {
    /// `None` where KWin or D-Bus is not installed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let installed = Path::new("/usr/bin/kwin_wayland");
        // By another name it does not find its own plugin.
        let program = folder.path().join("kwin_wayland");
        // The installed file asks for a capability that a container does not grant, and then does not run at all. A copy
        // asks for nothing.
        if let Err(error) = fs::copy(installed, &program) {
            crate::leave_out(&format!("KWin: {} cannot be copied: {error}", installed.display()));
            return None;
        }
        let child = Command::new("dbus-run-session")
            .arg("--")
            .arg(&program)
            .args(["--virtual", "--width", "640", "--height", "480", "--socket", "w"])
            .args(["--no-lockscreen", "--no-global-shortcuts"])
            .env("XDG_RUNTIME_DIR", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env("XDG_CACHE_HOME", folder.path())
            .env("HOME", folder.path())
            .env("KWIN_WAYLAND_NO_PERMISSION_CHECKS", "1")
            // Drawn by the processor's simplest means: nobody looks.
            .env("KWIN_COMPOSE", "Q")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, folder }),
            Err(error) => {
                crate::leave_out(&format!("KWin: dbus-run-session does not start: {error}"));
                None
            }
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("w")
    }

    /// Connects as soon as KWin listens.
    fn connect(&mut self) -> io::Result<Connection> {
        let until = Instant::now() + BOUND;
        loop {
            if let Ok(stream) = std::os::unix::net::UnixStream::connect(self.socket()) {
                return Connection::from_socket(stream).map_err(io::Error::other);
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() >= until {
                return Err(io::Error::other(format!("KWin does not listen; its end: {ended:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Kwin {
    fn drop(&mut self) {
        // KWin ends with its bus session only if it is asked to, so its own process is looked for below the session's.
        let of_session = format!("/proc/{0}/task/{0}/children", self.child.id());
        for child in fs::read_to_string(of_session).unwrap_or_default().split_whitespace() {
            let child = child.parse().ok().and_then(rustix::process::Pid::from_raw);
            if let Some(child) = child {
                // One that has ended by itself is what is wanted.
                rustix::process::kill_process(child, rustix::process::Signal::KILL).ok();
            }
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The test as somebody at the mouse.
struct Hand;

impl Dispatch<WlRegistry, GlobalListContents> for Hand {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wayland_client::protocol::wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(Hand: ignore OrgKdeKwinFakeInput);

#[test]
fn kwin_tells_of_a_moved_pointer_at_once() {
    let Some(mut kwin) = Kwin::start() else { return };
    let connection = kwin.connect().unwrap();
    let (globals, mut queue): (_, EventQueue<Hand>) = registry_queue_init(&connection).unwrap();
    let mouse: OrgKdeKwinFakeInput = globals.bind(&queue.handle(), 1..=2, ()).unwrap();
    mouse.authenticate("Hearth's tests".to_owned(), "to move the pointer".to_owned());
    mouse.pointer_motion(3.0, 3.0);
    queue.roundtrip(&mut Hand).unwrap();
    assert!(mouse.is_alive());

    let sensor = Sensor::on(&kwin.socket());
    assert!(sensor.wayland.is_some(), "KWin offers idle notifications");
    while !is_idle(sensor.input().0) {}
    let mut took = Vec::new();
    for _ in 0..3 {
        let moved = Instant::now();
        mouse.pointer_motion(5.0, 3.0);
        queue.roundtrip(&mut Hand).unwrap();
        let (input, at) = sensor.input();
        assert_eq!(input, Reading::Known(Input::Active), "a moved pointer is somebody");
        took.push(at.duration_since(moved));
        assert!(is_idle(sensor.input().0), "a second later nobody is there");
    }
    println!("KWin's pointer was told after {took:?}");
    assert!(took.iter().min().unwrap() < &Duration::from_millis(100), "told after {took:?}");

    let killed = Instant::now();
    drop(kwin);
    let (input, at) = sensor.input();
    assert_eq!(input, Reading::Unknown(Unknown::Failed));
    assert!(at.saturating_duration_since(killed) < BOUND);
    sensor.stop();
}
