//! The tray over D-Bus, as a panel sees it: a session bus of its own, a stub watcher, real menu events.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::local::{Answer, Role, SnoozeView};
use tokio::sync::mpsc;
use zbus::zvariant::{OwnedValue, Structure, Value};

use crate::scene::{Client, PATIENCE, Scene};

/// A session bus; killed when dropped.
struct Bus {
    daemon: Child,
    address: String,
}

impl Bus {
    /// `None` where there is no `dbus-daemon`, which the test then says.
    fn start() -> Option<Self> {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut address = String::new();
        BufReader::new(daemon.stdout.take()?).read_line(&mut address).ok()?;
        Some(Self { daemon, address: address.trim().to_owned() })
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

/// The part of a panel that items register with.
struct Watcher {
    registered: mpsc::UnboundedSender<String>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        self.registered.send(service).unwrap();
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }
}

/// A watcher on the bus and the item that registered with it.
struct Panel {
    connection: zbus::Connection,
    items: mpsc::UnboundedReceiver<String>,
}

impl Panel {
    async fn start(bus: &Bus) -> Self {
        let (registered, items) = mpsc::unbounded_channel();
        let connection = zbus::connection::Builder::address(bus.address.as_str())
            .unwrap()
            .serve_at("/StatusNotifierWatcher", Watcher { registered })
            .unwrap()
            .name("org.kde.StatusNotifierWatcher")
            .unwrap()
            .build()
            .await
            .unwrap();
        Self { connection, items }
    }

    async fn item(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.items.recv()).await.expect("the tray registers").unwrap()
    }

    /// Labels of the menu with their ids, submenus included.
    async fn menu(&self, item: &str) -> Vec<(i32, String)> {
        let names: Vec<String> = Vec::new();
        let reply = self
            .connection
            .call_method(
                Some(item),
                "/MenuBar",
                Some("com.canonical.dbusmenu"),
                "GetLayout",
                &(0_i32, -1_i32, names),
            )
            .await
            .unwrap();
        let body = reply.body();
        let answer: Structure<'_> = body.deserialize().unwrap();
        let [Value::U32(_revision), Value::Structure(layout)] = answer.fields() else {
            panic!("no layout: {answer:?}");
        };
        let mut labels = Vec::new();
        collect(layout.fields(), &mut labels);
        labels
    }

    async fn click(&self, item: &str, label: &str) {
        let menu = self.menu(item).await;
        let id = menu.iter().find(|(_, found)| found == label).map(|(id, _)| *id);
        let id = id.unwrap_or_else(|| panic!("{label} is not in {menu:?}"));
        let clicked = self
            .connection
            .call_method(
                Some(item),
                "/MenuBar",
                Some("com.canonical.dbusmenu"),
                "Event",
                &(id, "clicked", Value::from(""), 0_u32),
            )
            .await;
        // An agent that quits may be gone before its answer is out; what the click did is checked by the caller.
        if let Err(error) = clicked {
            println!("no answer to the click: {error}");
        }
    }

    async fn property(&self, item: &str, name: &str) -> OwnedValue {
        let reply = self
            .connection
            .call_method(
                Some(item),
                "/StatusNotifierItem",
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &("org.kde.StatusNotifierItem", name),
            )
            .await
            .unwrap();
        reply.body().deserialize().unwrap()
    }
}

/// A layout node is (id, properties, children).
fn collect(node: &[Value<'_>], labels: &mut Vec<(i32, String)>) {
    let [Value::I32(id), Value::Dict(properties), Value::Array(children)] = node else {
        panic!("no layout node: {node:?}");
    };
    for (key, value) in properties.iter() {
        if key == &Value::from("label")
            && let Value::Value(text) = value
            && let Value::Str(text) = &**text
        {
            labels.push((*id, text.to_string()));
        }
    }
    for child in children.iter() {
        let Value::Value(child) = child else { panic!("a child is a variant: {child:?}") };
        let Value::Structure(child) = &**child else { panic!("a child is a node: {child:?}") };
        collect(child.fields(), labels);
    }
}

fn scene_on(bus: &Bus) -> Scene {
    let mut scene = Scene::new();
    scene.set("DBUS_SESSION_BUS_ADDRESS", bus.address.clone());
    scene
}

macro_rules! bus_or_return {
    () => {
        match Bus::start() {
            Some(bus) => bus,
            None => {
                println!("LEFT OUT: no dbus-daemon here");
                return;
            }
        }
    };
}

#[tokio::test]
async fn quit_in_the_trays_menu_ends_the_agent() {
    let bus = bus_or_return!();
    let mut panel = Panel::start(&bus).await;
    let scene = scene_on(&bus);
    let mut agent = scene.start(&["--hidden"]);
    let item = panel.item().await;
    let labels: Vec<String> = panel.menu(&item).await.into_iter().map(|(_, label)| label).collect();
    for expected in ["Snooze 1 hour", "Snooze until you resume", "Open Hearth", "Quit Hearth"] {
        assert!(labels.iter().any(|label| label == expected), "{expected} is missing in {labels:?}");
    }
    panel.click(&item, "Quit Hearth").await;
    let code = tokio::task::spawn_blocking(move || agent.ended()).await.unwrap();
    assert_eq!(code, Some(0));
}

/// Runs what blocks beside the runtime that serves the panel.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn snoozed(socket: &Path) -> Option<SnoozeView> {
    let mut client = Client::connect(socket, Role::Terminal).unwrap();
    match client.ask(protocol::local::Command::Status) {
        Ok(Answer::Status { status }) => status.snooze,
        other => panic!("no status: {other:?}"),
    }
}

#[tokio::test]
async fn snooze_and_resume_in_the_trays_menu_reach_the_engine() {
    let bus = bus_or_return!();
    let mut panel = Panel::start(&bus).await;
    let scene = scene_on(&bus);
    let profile = scene.profile();
    let _agent = scene.start(&["--hidden", "--profile", profile.to_str().unwrap()]);
    let item = panel.item().await;
    let socket = scene.socket();
    for (label, expected) in [("Snooze 4 hours", true), ("Resume", false), ("Snooze until you resume", true)]
    {
        // The menu follows the status a moment later.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !panel.menu(&item).await.iter().any(|(_, found)| found == label) {
            assert!(tokio::time::Instant::now() < deadline, "{label} does not come into the menu");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panel.click(&item, label).await;
        loop {
            let socket = socket.clone();
            if beside(move || snoozed(&socket)).await.is_some() == expected {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{label} has no effect");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let last = beside(move || snoozed(&socket)).await.unwrap();
    assert_eq!(last.until_at, None, "until the owner resumes has no end");
}

#[tokio::test]
async fn the_icon_is_there_in_every_size_and_has_words() {
    let bus = bus_or_return!();
    let mut panel = Panel::start(&bus).await;
    let scene = scene_on(&bus);
    let _agent = scene.start(&["--hidden"]);
    let item = panel.item().await;
    let pixmaps = panel.property(&item, "IconPixmap").await;
    let pixmaps: Vec<(i32, i32, Vec<u8>)> = pixmaps.try_into().unwrap();
    assert_eq!(pixmaps.len(), 5, "panels choose among five sizes");
    for (width, height, argb) in pixmaps {
        assert_eq!(argb.len(), usize::try_from(width * height * 4).unwrap());
        assert!(argb.iter().any(|byte| *byte != 0), "the icon at {width} is not empty");
    }
    let title: String = panel.property(&item, "Title").await.try_into().unwrap();
    assert_eq!(title, "Hearth");
}

#[tokio::test]
async fn the_tray_appears_when_a_panel_starts_later() {
    let bus = bus_or_return!();
    let scene = scene_on(&bus);
    let _agent = scene.listening(&["--hidden"]);
    assert!(scene.terminal(&["status"]).status.success(), "without a panel the agent runs all the same");
    let mut panel = Panel::start(&bus).await;
    let item = panel.item().await;
    assert!(!panel.menu(&item).await.is_empty());
}

#[tokio::test]
async fn open_in_the_trays_menu_starts_the_window() {
    use std::os::unix::fs::PermissionsExt as _;
    let bus = bus_or_return!();
    let mut panel = Panel::start(&bus).await;
    let mut scene = scene_on(&bus);
    let script = scene.path("window.sh");
    let opened = scene.path("opened");
    std::fs::write(&script, format!("#!/bin/sh\ntouch '{}'\nread -r line\n", opened.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    scene.set("HEARTH_WINDOW", script.to_str().unwrap());
    scene.set("DISPLAY", ":99");
    let _agent = scene.start(&["--hidden"]);
    let item = panel.item().await;
    panel.click(&item, "Open Hearth").await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !opened.exists() {
        assert!(tokio::time::Instant::now() < deadline, "the window does not open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
