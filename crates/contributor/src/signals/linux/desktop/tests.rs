//! The sensors on private buses: real `dbus-daemon` processes, and services of ours that behave and misbehave
//! on them.

use std::collections::HashMap;
use std::io::{self, BufRead as _};
use std::mem::{Discriminant, discriminant};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use zbus::names::BusName;
use zbus::object_server::Interface;
use zbus::zvariant::Value;

use super::*;
use crate::signals::{Change, Reading};

mod buses;
mod services;
mod session;
mod system;

/// How long a change may take to be told, on a machine that is busy with other things too.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the end of the sensors may take.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// A bus of its own; killed when dropped.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    /// `None` where dbus-daemon is not installed.
    fn start(folder: &Path, name: &str) -> Option<Self> {
        let socket = folder.join(name);
        let config = folder.join(format!("{name}.conf"));
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context='default'><allow send_destination='*' eavesdrop='true'/>\
             <allow eavesdrop='true'/>\
             <allow own='*'/></policy><servicedir>{}</servicedir></busconfig>",
            socket.display(),
            folder.join("services").display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        io::BufReader::new(child.stdout.take()?).read_line(&mut line).unwrap();
        assert!(line.starts_with("unix:"), "the bus must tell its address: {line:?}");
        Some(Self { child, socket })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        drop(std::fs::remove_file(&self.socket));
    }
}

/// Two buses, a machine without anything in a folder, and the sensors.
struct Stage {
    folder: tempfile::TempDir,
    session: Option<Daemon>,
    system: Option<Daemon>,
    desktop: Option<Desktop>,
    tell: mpsc::UnboundedSender<Change>,
    told: mpsc::UnboundedReceiver<Change>,
    latest: HashMap<Discriminant<Change>, Change>,
    /// All that has been told, in order.
    heard: Vec<Change>,
}

impl Stage {
    /// `None` where dbus-daemon is not installed.
    fn open() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let session = Daemon::start(folder.path(), "session");
        let system = Daemon::start(folder.path(), "system");
        if session.is_none() || system.is_none() {
            crate::leave_out("the buses, because dbus-daemon is not installed");
            return None;
        }
        std::fs::write(folder.path().join("route"), "Iface\n").unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        Some(Self {
            folder,
            session,
            system,
            desktop: None,
            tell,
            told,
            latest: HashMap::new(),
            heard: Vec::new(),
        })
    }

    fn session(&self) -> String {
        format!("unix:path={}", self.folder.path().join("session").display())
    }

    fn system(&self) -> String {
        format!("unix:path={}", self.folder.path().join("system").display())
    }

    fn buses(&self) -> Buses {
        Buses { session: Some(self.session()), system: Some(self.system()) }
    }

    /// Starts the sensors.
    fn watch(&mut self, idle: bool, session_id: Option<&str>) {
        self.watch_on(self.buses(), idle, session_id);
    }

    fn watch_on(&mut self, buses: Buses, idle: bool, session_id: Option<&str>) {
        let around = Surroundings {
            session_id: session_id.map(str::to_owned),
            supplies: self.folder.path().join("supplies"),
            links: links::Roots {
                route: self.folder.path().join("route"),
                ipv6_route: self.folder.path().join("ipv6_route"),
                interfaces: self.folder.path().join("net"),
            },
        };
        let tell = self.tell.clone();
        let outlet: Outlet = Arc::new(move |change| drop(tell.send(change)));
        self.desktop = Desktop::start_in(around, buses, idle, outlet, network::system_clock());
        assert!(self.desktop.is_some());
    }

    /// Waits until this is the latest of its kind.
    async fn until(&mut self, wanted: Change) {
        self.until_like(&wanted.clone(), |change| *change == wanted).await;
    }

    /// Waits until the latest of the same kind as `kind` is like that.
    async fn until_like(&mut self, kind: &Change, like: impl Fn(&Change) -> bool) {
        let kind_of = discriminant(kind);
        let wait = async {
            while !self.latest.get(&kind_of).is_some_and(&like) {
                let change = self.told.recv().await.unwrap();
                self.heard.push(change.clone());
                self.latest.insert(discriminant(&change), change);
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{kind:?} must be told, but the latest is {:?}", self.latest.get(&kind_of));
    }

    /// What has been told of this kind by now.
    fn latest(&mut self, kind: &Change) -> Option<&Change> {
        while let Ok(change) = self.told.try_recv() {
            self.heard.push(change.clone());
            self.latest.insert(discriminant(&change), change);
        }
        self.latest.get(&discriminant(kind))
    }

    fn stop(&mut self) {
        let asked = std::time::Instant::now();
        self.desktop.take().unwrap().stop();
        assert!(asked.elapsed() < STOP_WITHIN, "the thread must end when it is told to");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(desktop) = self.desktop.take() {
            desktop.stop();
        }
    }
}

/// A program on the bus at `address`.
async fn program(address: &str) -> Connection {
    zbus::connection::Builder::address(address).unwrap().build().await.unwrap()
}

/// A program that owns `name` and serves one object.
async fn service<I: Interface>(address: &str, name: &str, path: &str, object: I) -> Connection {
    let connection = program(address).await;
    connection.object_server().at(path, object).await.unwrap();
    connection.request_name(name).await.unwrap();
    connection
}

/// Changes an object and says that its properties have changed.
async fn change<I: Interface>(connection: &Connection, path: &str, write: impl FnOnce(&mut I)) {
    let object = connection.object_server().interface::<_, I>(path).await.unwrap();
    write(&mut *object.get_mut().await);
    let name = I::name();
    let body = (name.as_str(), HashMap::<&str, Value<'_>>::new(), vec!["Everything"]);
    signal(connection, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", &body).await;
}

async fn signal<B>(connection: &Connection, path: &str, interface: &str, member: &str, body: &B)
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    connection.emit_signal(None::<BusName<'_>>, path, interface, member, body).await.unwrap();
}

const YES: Reading<bool> = Reading::Known(true);
const NO: Reading<bool> = Reading::Known(false);

const fn unknown<T>(why: Unknown) -> Reading<T> {
    Reading::Unknown(why)
}
