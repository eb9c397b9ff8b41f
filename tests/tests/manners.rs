//! Gone before you notice, in a real session: a pointer moved by a real tool, a window that fills the screen, and every
//! service of a desktop that says that the machine is wanted, played on buses of the test's own. Each holds the card for
//! its own reason and lets it go again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::Value as Json;
use world::{Desktop, Installed, World, binary, leave_out};
use zbus::zvariant::OwnedObjectPath;

/// A battery and its charger.
struct UPower {
    on_battery: bool,
}

#[zbus::interface(name = "org.freedesktop.UPower")]
impl UPower {
    #[zbus(property)]
    fn on_battery(&self) -> bool {
        self.on_battery
    }
}

/// A link that may cost money.
struct NetworkManager {
    metered: u32,
}

#[zbus::interface(name = "org.freedesktop.NetworkManager")]
impl NetworkManager {
    #[zbus(property)]
    fn metered(&self) -> u32 {
        self.metered
    }

    #[zbus(property)]
    fn active_connections(&self) -> Vec<OwnedObjectPath> {
        Vec::new()
    }
}

/// A player of films.
struct Player {
    status: &'static str,
}

#[zbus::interface(name = "org.mpris.MediaPlayer2.Player")]
impl Player {
    #[zbus(property)]
    fn playback_status(&self) -> &str {
        self.status
    }
}

/// The desktop's place for notifications: what was shown is kept.
struct Notifications {
    shown: std::sync::mpsc::Sender<String>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    #[expect(clippy::too_many_arguments, reason = "the interface is the desktop's")]
    fn notify(
        &self,
        _program: String,
        _replaces: u32,
        _icon: String,
        title: String,
        body: String,
        _actions: Vec<String>,
        _hints: std::collections::HashMap<String, zbus::zvariant::OwnedValue>,
        _shown_for: i32,
    ) -> u32 {
        self.shown.send(format!("{title}: {body}")).expect("the test listens");
        1
    }
}

/// The services of a household's computer, on both buses.
struct Services {
    runtime: tokio::runtime::Runtime,
    system: zbus::Connection,
    session: zbus::Connection,
}

const POWER: &str = "/org/freedesktop/UPower";
const NETWORK: &str = "/org/freedesktop/NetworkManager";
const PLAYER: &str = "/org/mpris/MediaPlayer2";

impl Services {
    fn start(desktop: &Desktop) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (system, session) = runtime.block_on(async {
            let system = zbus::connection::Builder::address(desktop.system_bus())
                .and_then(|builder| builder.serve_at(POWER, UPower { on_battery: false }))
                .and_then(|builder| builder.serve_at(NETWORK, NetworkManager { metered: 2 }))
                .and_then(|builder| builder.name("org.freedesktop.UPower"))
                .and_then(|builder| builder.name("org.freedesktop.NetworkManager"));
            let session = zbus::connection::Builder::address(desktop.bus())
                .and_then(|builder| builder.serve_at(PLAYER, Player { status: "Paused" }))
                .and_then(|builder| builder.name("org.mpris.MediaPlayer2.projector"));
            let system = system.expect("services").build().await.expect("a connection");
            (system, session.expect("a player").build().await.expect("a connection"))
        });
        Self { runtime, system, session }
    }

    fn on_battery(&self, on_battery: bool) {
        self.runtime.block_on(async {
            let upower = self.system.object_server().interface::<_, UPower>(POWER).await.expect("served");
            upower.get_mut().await.on_battery = on_battery;
            upower.get().await.on_battery_changed(upower.signal_emitter()).await.expect("told");
        });
    }

    fn metered(&self, metered: u32) {
        self.runtime.block_on(async {
            let server = self.system.object_server();
            let network = server.interface::<_, NetworkManager>(NETWORK).await.expect("served");
            network.get_mut().await.metered = metered;
            network.get().await.metered_changed(network.signal_emitter()).await.expect("told");
        });
    }

    fn play(&self, status: &'static str) {
        self.runtime.block_on(async {
            let player = self.session.object_server().interface::<_, Player>(PLAYER).await.expect("served");
            player.get_mut().await.status = status;
            player.get().await.playback_status_changed(player.signal_emitter()).await.expect("told");
        });
    }
}

/// A graphics card whose heat the test sets: the stand-in for NVIDIA's library, with its script beside it.
struct Heat {
    folder: PathBuf,
}

impl Heat {
    fn new(folder: &Path) -> Option<Self> {
        let library = binary("worker").with_file_name("libfake_nvml.so");
        if !library.exists() {
            leave_out("the hot card, because fake-nvml is not built: cargo build --package fake-nvml");
            return None;
        }
        let folder = folder.join("nvml");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::copy(library, folder.join("libnvidia-ml.so.1")).expect("the library is copied");
        let heat = Self { folder };
        heat.is(45);
        Some(heat)
    }

    fn is(&self, celsius: u32) {
        let card = format!("card NVIDIA GeForce RTX 3060\npci 0x250310de\ncelsius {celsius}\n");
        // Written beside and moved over, so that nobody reads half of it.
        let fresh = self.folder.join("cards.new");
        std::fs::write(&fresh, card).expect("the script is written");
        std::fs::rename(fresh, self.folder.join("cards.txt")).expect("the script is there");
    }
}

/// A program with a name of its own. It ends when dropped.
struct Game(Child);

impl Game {
    fn start(folder: &Path) -> Self {
        let program = folder.join("hearthtestgame");
        std::fs::copy("/bin/sleep", &program).expect("a program to copy");
        Self(Command::new(program).arg("600").spawn().expect("it starts"))
    }
}

impl Drop for Game {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn codes(status: &Json) -> Vec<&str> {
    status["reasons"].as_array().into_iter().flatten().filter_map(|reason| reason["code"].as_str()).collect()
}

fn holds(agent: &Installed<'_>, code: &str) -> Json {
    agent.status_until(code, |status| status["state"] == "paused" && codes(status).contains(&code))
}

fn lets_go(agent: &Installed<'_>, code: &str) {
    agent.status_until(&format!("an end of {code}"), |status| {
        status["reasons"].is_array() && !codes(status).contains(&code)
    });
}

#[test]
fn every_wish_of_the_household_holds_the_card_and_lets_it_go_again() {
    let Some(desktop) = Desktop::start(&[("xev", "x11-utils")]) else { return };
    let world = World::start();
    let services = Services::start(&desktop);
    let heat = Heat::new(desktop.folder());
    let libraries = desktop.folder().join("nvml");
    let libraries = libraries.to_str().expect("plain text");
    let (recording, _) = world.recording(131_072, 52);
    let _publication = world.publish(&recording);
    let agent = Installed::start(
        &desktop,
        &["--hidden", "--profile", world.founded("profile")],
        &[("LD_LIBRARY_PATH", libraries)],
    );
    agent.tell(&["welcome", "--agree"]);
    agent.tell(&[
        "limits",
        "idle_after_seconds=2",
        "max_other_cpu_percent=100",
        r#"exclusive_programs=["hearthtestgame"]"#,
    ]);
    agent.status_until("work", |status| status["state"] == "sharing");

    desktop.point((300, 300));
    let paused = holds(&agent, "user_active");
    assert_eq!(paused["card"]["sharing"], false, "the card belongs to whoever moves the mouse: {paused}");
    lets_go(&agent, "user_active");

    services.play("Playing");
    holds(&agent, "media_playing");
    services.on_battery(true);
    holds(&agent, "on_battery");
    services.metered(1);
    let paused = holds(&agent, "metered");
    let uploads = paused["upload"]["reasons"].as_array().expect("reasons");
    assert!(uploads.iter().any(|reason| reason["code"] == "metered"), "the upload is held too: {paused}");
    let game = Game::start(desktop.folder());
    let named = holds(&agent, "exclusive_app");
    let subject = named["reasons"].as_array().into_iter().flatten().find(|r| r["code"] == "exclusive_app");
    assert_eq!(subject.map(|r| &r["subject"]), Some(&Json::from("hearthtestgame")), "it says which");
    if let Some(heat) = &heat {
        heat.is(97);
        holds(&agent, "gpu_hot");
        heat.is(40);
    }
    let xev = desktop.open("xev", &["-name", "film", "-geometry", "300x200+50+50"]);
    let film = desktop.window("film");
    desktop.fill_screen(film, true);
    holds(&agent, "fullscreen_app");

    let why = agent.tell(&["why"]);
    for line in
        ["- Nothing plays: Music or a film is playing", "- Plugged in: This computer runs on its battery"]
    {
        assert!(why.contains(line), "{line:?} is missing in:\n{why}");
    }

    desktop.fill_screen(film, false);
    drop((xev, game));
    services.play("Stopped");
    services.on_battery(false);
    services.metered(2);
    for code in [
        "fullscreen_app",
        "gpu_hot",
        "exclusive_app",
        "metered",
        "on_battery",
        "media_playing",
        "user_active",
    ] {
        lets_go(&agent, code);
    }
    agent.status_until("the card at work again, or nothing left to do", |status| {
        status["state"] == "sharing" || codes(status) == ["no_work"]
    });

    desktop.kill_system_bus();
    let blind = holds(&agent, "metered_unknown");
    assert_eq!(blind["card"]["sharing"], false, "what is not seen any more is not taken for free: {blind}");
}

#[test]
fn a_notification_comes_only_when_somebody_must_act() {
    let Some(desktop) = Desktop::start(&[]) else { return };
    let world = World::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (shown, notifications) = std::sync::mpsc::channel();
    let _desktop_service = runtime.block_on(async {
        zbus::connection::Builder::address(desktop.bus())
            .and_then(|builder| builder.serve_at("/org/freedesktop/Notifications", Notifications { shown }))
            .and_then(|builder| builder.name("org.freedesktop.Notifications"))
            .expect("a service")
            .build()
            .await
            .expect("a connection")
    });
    let no_driver = [("VK_ICD_FILENAMES", "/nonexistent.json"), ("LC_ALL", "C.UTF-8")];
    let agent = Installed::start(&desktop, &["--hidden", "--profile", world.founded("profile")], &no_driver);
    agent.tell(&["welcome", "--agree"]);
    agent.status_until("attention", |status| status["state"] == "attention");
    let text = notifications.recv_timeout(world::DESKTOP_PATIENCE).expect("somebody must install a driver");
    assert!(text.contains("Install the graphics driver"), "it says what to do: {text}");
    agent.tell(&["snooze", "1h"]);
    agent.status_until("the pause", |status| codes(status).contains(&"snoozed"));
    agent.tell(&["resume"]);
    agent.status_until("attention", |status| status["state"] == "attention");
    assert!(notifications.try_recv().is_err(), "once a day is enough, and a pause is nobody's to act upon");
}
