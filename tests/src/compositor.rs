//! A Wayland compositor of a test's own: KWin on a screen that nobody sees, and a hand on its pointer.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols_plasma::fake_input::client::org_kde_kwin_fake_input::OrgKdeKwinFakeInput;

use crate::desktop::{DESKTOP_PATIENCE, Daemon, LOOK_AGAIN, leave_out};

/// Where Debian installs it.
const KWIN: &str = "/usr/bin/kwin_wayland";

/// A running compositor. It ends when dropped.
#[derive(Debug)]
pub struct Compositor {
    mouse: OrgKdeKwinFakeInput,
    queue: EventQueue<Hand>,
    socket: PathBuf,
    _daemon: Daemon,
    _folder: TempDir,
}

/// The test as somebody at the mouse.
#[derive(Debug)]
struct Hand;

impl Dispatch<WlRegistry, GlobalListContents> for Hand {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(Hand: ignore OrgKdeKwinFakeInput);

impl Compositor {
    /// Starts it, or says that it is not installed.
    pub fn start() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("hearth-").tempdir().expect("a temporary folder");
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder.path(), private).expect("a private folder");
        // The installed file asks for a capability that a container does not grant; a copy asks for nothing. By another
        // name it does not find its own plugin.
        let program = folder.path().join("kwin_wayland");
        if std::fs::copy(KWIN, &program).is_err() {
            leave_out("a Wayland session, because kwin_wayland (package kwin-wayland) is missing");
            return None;
        }
        let here = |name| (name, folder.path().as_os_str().to_owned());
        let child = Command::new("dbus-run-session")
            .arg("--")
            .arg(&program)
            .args(["--virtual", "--width", "640", "--height", "480", "--socket", "w"])
            .args(["--no-lockscreen", "--no-global-shortcuts"])
            .envs(["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HOME"].map(here))
            // Drawn by the processor's simplest means: nobody looks. Whoever connects may move the pointer.
            .envs([("KWIN_COMPOSE", "Q"), ("KWIN_WAYLAND_NO_PERMISSION_CHECKS", "1")])
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-run-session starts");
        let daemon = Daemon(child);
        let socket = folder.path().join("w");
        let connection = Connection::from_socket(connect(&socket)).expect("a compositor");
        let (globals, queue) = registry_queue_init::<Hand>(&connection).expect("its globals");
        let mouse: OrgKdeKwinFakeInput = globals.bind(&queue.handle(), 1..=2, ()).expect("a fake pointer");
        mouse.authenticate("Hearth's tests".to_owned(), "to move the pointer".to_owned());
        Some(Self { mouse, queue, socket, _daemon: daemon, _folder: folder })
    }

    /// Its socket, as WAYLAND_DISPLAY may name it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Moves the pointer a little, and waits until the compositor has seen it.
    pub fn move_pointer(&mut self) {
        self.mouse.pointer_motion(5.0, 3.0);
        self.queue.roundtrip(&mut Hand).expect("the compositor answers");
    }
}

/// Connects as soon as somebody listens.
fn connect(socket: &Path) -> UnixStream {
    let deadline = Instant::now() + DESKTOP_PATIENCE;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "the compositor does not listen: {error}"),
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
