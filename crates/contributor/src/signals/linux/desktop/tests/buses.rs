//! Services that hang, and buses that come and go.

use std::sync::Mutex;
use std::time::Instant;

use super::services::{
    GameMode, GnomeSession, LoginSession, Logind, NetworkManager, Player, Profiles, ScreenSaver, UPower,
};
use super::*;
use crate::signals::{Power, Session};

const SESSION: &str = "/org/freedesktop/login1/session/_37";

#[test]
fn only_sockets_of_this_machine_are_buses() {
    let unix = "unix:path=/run/user/1000/bus";
    for (addresses, bus) in [
        (unix, Some(unix)),
        ("tcp:host=10.0.0.1,port=1;unix:path=/run/user/1000/bus", Some(unix)),
        ("tcp:host=10.0.0.1,port=1", None),
        ("unixexec:path=/bin/sh", None),
        ("autolaunch:", None),
        ("", None),
    ] {
        assert_eq!(local(addresses).as_deref(), bus, "{addresses}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_hang_time_out_and_the_others_go_on() {
    let Some(mut stage) = Stage::open() else { return };
    let (session, system) = (stage.session(), stage.system());
    let (locks, _asked) = mpsc::unbounded_channel();
    let login = program(&system).await;
    let hung = LoginSession { locked: None, remote: false, active: true, idle: false };
    login.object_server().at(SESSION, hung).await.unwrap();
    let manager = Logind { block: None, sleeping: false, locks };
    login.object_server().at("/org/freedesktop/login1", manager).await.unwrap();
    login.request_name("org.freedesktop.login1").await.unwrap();
    let _hung = [
        service(
            &system,
            "org.freedesktop.UPower",
            "/org/freedesktop/UPower",
            UPower { battery: Arc::default() },
        )
        .await,
        service(
            &system,
            "org.freedesktop.UPower.PowerProfiles",
            "/org/freedesktop/UPower/PowerProfiles",
            Profiles { active: None },
        )
        .await,
        service(
            &system,
            "org.freedesktop.NetworkManager",
            "/org/freedesktop/NetworkManager",
            NetworkManager { metered: None, active: Vec::new() },
        )
        .await,
        service(
            &session,
            "org.gnome.SessionManager",
            "/org/gnome/SessionManager",
            GnomeSession { actions: None },
        )
        .await,
        service(&session, "org.mpris.MediaPlayer2.hung", "/org/mpris/MediaPlayer2", Player { status: None })
            .await,
    ];
    let name = "com.feralinteractive.GameMode";
    let _game =
        service(&session, name, "/com/feralinteractive/GameMode", GameMode { clients: Some(1) }).await;
    let begun = Instant::now();
    stage.watch(false, Some("7"));
    stage.until(Change::Game(YES)).await;
    let late = Unknown::TimedOut;
    assert!(begun.elapsed() < bus::ANSWER_WITHIN, "nobody waits for those that hang");
    for change in [
        Change::Session(unknown(late)),
        Change::Power(unknown(late)),
        Change::PowerSaver(unknown(late)),
        Change::Metered(unknown(late)),
        Change::Vpn(unknown(late)),
        Change::Inhibited(unknown(late)),
        Change::Media(unknown(late)),
    ] {
        stage.until(change).await;
    }
    assert!(begun.elapsed() < 3 * bus::ANSWER_WITHIN, "told after {:?}", begun.elapsed());
    // Whatever hangs, the end does not.
    stage.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hung_is_asked_again_and_so_is_its_successor() {
    let Some(mut stage) = Stage::open() else { return };
    let (name, path) = ("org.freedesktop.UPower", "/org/freedesktop/UPower");
    let on_battery = Change::Power(Reading::Known(Power::Battery { percent: None }));
    let battery = Arc::new(Mutex::new(None));
    let upower = service(&stage.system(), name, path, UPower { battery: battery.clone() }).await;
    stage.watch(false, None);
    stage.until(Change::Power(unknown(Unknown::TimedOut))).await;
    // It has come round, and says nothing of it.
    *battery.lock().unwrap() = Some(true);
    stage.until(on_battery).await;
    upower.close().await.unwrap();
    let battery = Arc::new(Mutex::new(Some(false)));
    let _upower = service(&stage.system(), name, path, UPower { battery }).await;
    stage.until(Change::Power(Reading::Known(Power::Mains))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_dies_leaves_its_values_unknown_until_there_is_one_again() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch(false, None);
    stage.until(Change::Game(NO)).await;
    stage.until(Change::PowerSaver(unknown(Unknown::NoSource))).await;
    stage.session = None;
    stage.system = None;
    let failed = Unknown::Failed;
    for change in [
        Change::Game(unknown(failed)),
        Change::Media(unknown(failed)),
        Change::Inhibited(unknown(failed)),
        Change::Session(unknown(failed)),
        Change::PowerSaver(unknown(failed)),
        // The kernel knows these.
        Change::Power(Reading::Known(Power::Mains)),
        Change::Metered(NO),
    ] {
        stage.until(change).await;
    }
    stage.session = Daemon::start(stage.folder.path(), "session");
    stage.system = Daemon::start(stage.folder.path(), "system");
    let saver = ("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver");
    let _saver = service(&stage.session(), saver.0, saver.1, ScreenSaver { active: Some(true) }).await;
    stage.until(Change::Game(NO)).await;
    stage.until(Change::Media(NO)).await;
    let locked = Session { locked: true, remote: false, on_screen: true };
    stage.until(Change::Session(Reading::Known(locked))).await;
    stage.until(Change::PowerSaver(unknown(Unknown::NoSource))).await;
    stage.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_without_buses_has_the_kernel() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch_on(Buses::default(), true, None);
    for change in [
        Change::Game(unknown(Unknown::NoSource)),
        Change::Input(unknown(Unknown::NoSource)),
        Change::Session(unknown(Unknown::NoSource)),
        Change::Inhibited(unknown(Unknown::NoSource)),
        Change::Power(Reading::Known(Power::Mains)),
        Change::Metered(NO),
        Change::Vpn(NO),
    ] {
        stage.until(change).await;
    }
    stage.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_battery_that_hangs_in_its_driver_holds_up_nothing() {
    let Some(mut stage) = Stage::open() else { return };
    let battery = stage.folder.path().join("supplies/BAT0");
    std::fs::create_dir_all(&battery).unwrap();
    // Whoever opens it waits for somebody who writes.
    let hangs = battery.join("type");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &hangs, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    stage.watch(false, None);
    stage.until(Change::PowerSaver(unknown(Unknown::NoSource))).await;
    stage.until(Change::Power(unknown(Unknown::TimedOut))).await;
    stage.stop();
    // Lets the thread that was left behind go.
    drop(std::fs::OpenOptions::new().write(true).open(&hangs));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_takes_the_call_and_says_nothing_does_not_hold_up_the_other() {
    let Some(mut stage) = Stage::open() else { return };
    let silent = stage.folder.path().join("silent");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    let system = Some(format!("unix:path={}", silent.display()));
    stage.watch_on(Buses { system, ..stage.buses() }, false, None);
    stage.until(Change::Game(NO)).await;
    stage.until(Change::PowerSaver(unknown(Unknown::TimedOut))).await;
    stage.stop();
}

/// Signals come faster than anybody reads them; zbus stops reading altogether when a queue is full.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_signals_does_not_clog_the_bus() {
    let Some(mut stage) = Stage::open() else { return };
    let (name, path) = ("com.feralinteractive.GameMode", "/com/feralinteractive/GameMode");
    let game = service(&stage.session(), name, path, GameMode { clients: Some(0) }).await;
    stage.watch(false, None);
    stage.until(Change::Game(NO)).await;
    for _ in 0..2000 {
        signal(&game, path, name, "GameRegistered", &(1_i32, "/")).await;
    }
    change::<GameMode>(&game, path, |game| game.clients = Some(1)).await;
    stage.until(Change::Game(YES)).await;
    let games: Vec<&Change> = stage.heard.iter().filter(|change| matches!(change, Change::Game(_))).collect();
    assert_eq!(games, [&Change::Game(NO), &Change::Game(YES)], "no answer came late");
}

/// The bus would start these at the first call to their names.
#[tokio::test(flavor = "multi_thread")]
async fn no_service_is_started() {
    let Some(mut stage) = Stage::open() else { return };
    let services = stage.folder.path().join("services");
    let mark = |name: &str| stage.folder.path().join(format!("{name}.started"));
    std::fs::create_dir(&services).unwrap();
    let names = [
        "org.freedesktop.login1",
        "org.freedesktop.UPower",
        "org.freedesktop.UPower.PowerProfiles",
        "net.hadess.PowerProfiles",
        "org.freedesktop.NetworkManager",
        "org.freedesktop.ScreenSaver",
        "org.gnome.ScreenSaver",
        "org.gnome.SessionManager",
        "org.gnome.Mutter.IdleMonitor",
        "org.freedesktop.PowerManagement",
        "com.feralinteractive.GameMode",
        "org.mpris.MediaPlayer2.sleeping",
    ];
    let control = "org.example.Control";
    for name in names.iter().copied().chain([control]) {
        let text = format!(
            "[D-BUS Service]\nName={name}\nExec=/bin/sh -c 'touch {}; exit 1'\n",
            mark(name).display()
        );
        std::fs::write(services.join(format!("{name}.service")), text).unwrap();
    }
    let buses = [program(&stage.session()).await, program(&stage.system()).await];
    for bus in &buses {
        zbus::fdo::DBusProxy::new(bus).await.unwrap().reload_config().await.unwrap();
    }
    let marks = names.map(mark);
    let control_mark = mark(control);
    stage.watch(true, Some("7"));
    for change in [
        Change::Game(NO),
        Change::Media(NO),
        Change::Session(unknown(Unknown::NoSource)),
        Change::Inhibited(unknown(Unknown::NoSource)),
        Change::Input(unknown(Unknown::NoSource)),
        Change::Power(Reading::Known(Power::Mains)),
        Change::PowerSaver(unknown(Unknown::NoSource)),
        Change::Metered(NO),
    ] {
        stage.until(change).await;
    }
    for bus in &buses {
        // This one does call, and the bus tells when the program has ended without taking its name.
        let control = control.try_into().unwrap();
        zbus::fdo::DBusProxy::new(bus).await.unwrap().start_service_by_name(control, 0).await.unwrap_err();
        assert!(control_mark.exists(), "a bus here does start services");
        std::fs::remove_file(&control_mark).unwrap();
    }
    let started: Vec<_> = marks.iter().filter(|mark| mark.exists()).collect();
    assert!(started.is_empty(), "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_in_the_name_of_another_is_not_believed() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch(false, None);
    stage.until(Change::Game(NO)).await;
    // It would answer that a game runs.
    let liar = program(&stage.session()).await;
    let path = "/com/feralinteractive/GameMode";
    liar.object_server().at(path, GameMode { clients: Some(1) }).await.unwrap();
    let bus = zbus::fdo::DBusProxy::new(&liar).await.unwrap();
    let owner = liar.unique_name().unwrap().to_string();
    let body = ("com.feralinteractive.GameMode", "", owner.as_str());
    for name in bus.list_names().await.unwrap() {
        let to = Some(name.into_inner());
        let (path, interface) = ("/org/freedesktop/DBus", "org.freedesktop.DBus");
        liar.emit_signal(to, path, interface, "NameOwnerChanged", &body).await.unwrap();
    }
    // What comes through the same connection after the lie, and takes longer than the lie would.
    let (name, path) = ("org.mpris.MediaPlayer2.late", "/org/mpris/MediaPlayer2");
    let late = Player { status: Some("Playing".to_owned()) };
    let late = service(&stage.session(), name, path, late).await;
    stage.until(Change::Media(YES)).await;
    for (status, media) in [("Paused", NO), ("Playing", YES), ("Paused", NO), ("Playing", YES)] {
        change::<Player>(&late, path, |player| player.status = Some(status.to_owned())).await;
        stage.until(Change::Media(media)).await;
    }
    assert_eq!(stage.latest(&Change::Game(NO)), Some(&Change::Game(NO)));
}
