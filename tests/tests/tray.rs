//! The tray: over D-Bus as any panel sees it, and with a real panel, a real pointer and real clicks.

use std::sync::mpsc;

use serde_json::Value as Json;
use world::{Album, DESKTOP_PATIENCE, Desktop, Installed, World};
use zbus::zvariant::{Structure, Value};

/// The part of a panel that items register with.
struct Watcher {
    registered: mpsc::Sender<String>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        self.registered.send(service).expect("the test listens");
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }
}

/// A panel that shows nothing.
struct StubPanel {
    runtime: tokio::runtime::Runtime,
    connection: zbus::Connection,
    items: mpsc::Receiver<String>,
}

impl StubPanel {
    fn start(desktop: &Desktop) -> Self {
        // Two threads: the watcher answers while the test waits for a program.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (registered, items) = mpsc::channel();
        let connection = runtime.block_on(async {
            let builder = zbus::connection::Builder::address(desktop.bus()).expect("an address");
            let builder = builder.serve_at("/StatusNotifierWatcher", Watcher { registered }).expect("a path");
            builder
                .name("org.kde.StatusNotifierWatcher")
                .expect("a name")
                .build()
                .await
                .expect("a connection")
        });
        Self { runtime, connection, items }
    }

    fn item(&self) -> String {
        self.items.recv_timeout(DESKTOP_PATIENCE).expect("the tray registers")
    }

    /// Labels that can be clicked, and the others, with their ids; submenus included.
    fn menu(&self, item: &str) -> Vec<Entry> {
        let names: Vec<String> = Vec::new();
        let called = self.runtime.block_on(async {
            self.proxy(item).await.call_method("GetLayout", &(0_i32, -1_i32, names)).await
        });
        let reply = called.expect("the tray answers");
        let body = reply.body();
        let answer: Structure<'_> = body.deserialize().expect("a layout");
        let [Value::U32(_revision), Value::Structure(layout)] = answer.fields() else {
            panic!("no layout: {answer:?}");
        };
        let mut entries = Vec::new();
        collect(layout.fields(), &mut entries);
        entries
    }

    fn click(&self, item: &str, label: &str) {
        let menu = self.menu(item);
        let entry = menu.iter().find(|entry| entry.label == label && entry.enabled);
        let entry = entry.unwrap_or_else(|| panic!("{label} cannot be clicked in {menu:?}"));
        // A panel does not wait for an answer, and Quit may end the agent before it gives one.
        let clicked = self.runtime.block_on(async {
            self.proxy(item).await.call_noreply("Event", &(entry.id, "clicked", Value::from(""), 0_u32)).await
        });
        clicked.expect("the click is sent");
    }

    async fn proxy(&self, item: &str) -> zbus::Proxy<'static> {
        let (item, menu) = (item.to_owned(), "com.canonical.dbusmenu");
        zbus::Proxy::new(&self.connection, item, "/MenuBar", menu).await.expect("a name on the bus")
    }
}

/// One line of the menu.
#[derive(Debug)]
struct Entry {
    id: i32,
    label: String,
    enabled: bool,
}

/// A layout node is (id, properties, children).
fn collect(node: &[Value<'_>], entries: &mut Vec<Entry>) {
    let [Value::I32(id), Value::Dict(properties), Value::Array(children)] = node else {
        panic!("no layout node: {node:?}");
    };
    let property =
        |name: &str| properties.iter().find(|(key, _)| **key == Value::from(name)).map(|(_, value)| value);
    let enabled = !matches!(property("enabled"), Some(Value::Value(value)) if **value == Value::Bool(false));
    if let Some(Value::Value(label)) = property("label")
        && let Value::Str(label) = &**label
    {
        entries.push(Entry { id: *id, label: label.to_string(), enabled });
    }
    for child in children.iter() {
        let Value::Value(child) = child else { panic!("a child is a variant: {child:?}") };
        let Value::Structure(child) = &**child else { panic!("a child is a node: {child:?}") };
        collect(child.fields(), entries);
    }
}

fn is_snoozed(status: &Json) -> bool {
    status["snooze"].is_object()
        && status["reasons"].as_array().is_some_and(|reasons| reasons.iter().any(|r| r["code"] == "snoozed"))
}

#[test]
fn the_menu_snoozes_resumes_opens_and_quits_over_the_session_bus() {
    let Some(desktop) = Desktop::start(&[]) else { return };
    let world = World::start();
    let panel = StubPanel::start(&desktop);
    let hearth = Installed::start(&desktop, &["--hidden", "--profile", world.founded("profile")], &[]);
    let item = panel.item();
    let menu = panel.menu(&item);
    for wanted in [
        "Snooze 15 minutes",
        "Snooze 1 hour",
        "Snooze 4 hours",
        "Snooze until you resume",
        "Open Hearth",
        "Quit Hearth",
    ] {
        assert!(
            menu.iter().any(|entry| entry.label == wanted && entry.enabled),
            "{wanted} is missing in {menu:?}"
        );
    }
    assert!(!menu[0].enabled, "the menu begins with the state, which is no button: {menu:?}");

    panel.click(&item, "Snooze 4 hours");
    let status = hearth.status_until("the snooze", is_snoozed);
    let (until, now) = (status["snooze"]["until_at"].as_u64(), status["at"].as_u64());
    let hours = until.zip(now).map(|(until, now)| until.saturating_sub(now));
    assert!(hours > Some(3 * 3_600_000) && hours <= Some(4 * 3_600_000), "four hours from now: {status}");
    desktop.until("the menu to offer the end of the snooze", || {
        panel.menu(&item).iter().any(|entry| entry.label == "Resume" && entry.enabled)
    });
    panel.click(&item, "Resume");
    hearth.status_until("the snooze to end", |status| status["at"].is_u64() && !is_snoozed(status));

    panel.click(&item, "Open Hearth");
    desktop.window("Hearth");
    let started = hearth.started();
    assert!(!started.is_empty(), "the window is the agent's child");
    panel.click(&item, "Quit Hearth");
    let (code, left) = hearth.ended(&started);
    assert_eq!((code, left), (Some(0), Vec::new()), "quit ends the agent and its window cleanly");
    desktop.no_window("Hearth");
}

#[test]
fn a_real_click_in_a_real_panel_snoozes() {
    let Some(mut desktop) = Desktop::start(&[("xfce4-panel", "xfce4-panel")]) else { return };
    desktop.start_panel();
    let album = Album::from_environment(&desktop);
    let world = World::start();
    let bare = desktop.settled_screen();
    let hearth = Installed::start(&desktop, &["--hidden", "--profile", world.founded("profile")], &[]);
    let icon = desktop.until_some("the icon in the panel", || {
        let now = desktop.settled_screen();
        now.differs_from(&bare)
            .filter(|area| area.bottom > 860 && area.width() >= 8 && area.width() < 80)
            .map(|area| area.center())
    });

    click_first_choice(&desktop, &album, icon, "tray-menu");
    hearth.status_until("the click to snooze", is_snoozed);
    click_first_choice(&desktop, &album, icon, "tray-menu-snoozed");
    hearth.status_until("the click to resume", |status| status["at"].is_u64() && !is_snoozed(status));
}

/// Opens the icon's menu and clicks the first line that answers to the pointer: the lines above it are only to read.
fn click_first_choice(desktop: &Desktop, album: &Album<'_>, icon: (i32, i32), picture: &str) {
    desktop.point((200, 200));
    let closed = desktop.settled_screen();
    desktop.click(icon, 3);
    let (opened, menu) = desktop.until_some("the menu to open", || {
        let now = desktop.settled_screen();
        now.differs_from(&closed).filter(|area| area.height() > 80).map(|area| (now, area))
    });
    album.screen(picture);
    for y in (menu.top + 4..menu.bottom - 4).step_by(6) {
        let at = (menu.left + 30, y);
        desktop.point(at);
        let now = desktop.settled_screen();
        if now.differs_from(&opened).is_some_and(|lit| lit.width() > 60 && lit.top <= y && lit.bottom >= y) {
            desktop.click(at, 1);
            return;
        }
    }
    panic!("no line of the menu answers to the pointer");
}
