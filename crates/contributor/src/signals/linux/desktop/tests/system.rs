//! The sensors of the system bus.

use std::os::fd::OwnedFd;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec};
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

use super::services::{
    ActiveConnection, DisplayDevice, LoginSession, LoginUser, Logind, NetworkManager, OldProfiles, Profiles,
    UPower,
};
use super::*;
use crate::signals::{Input, Power, Session};

const LOGIN: &str = "org.freedesktop.login1";
const MANAGER: &str = "/org/freedesktop/login1";
const SESSION: &str = "/org/freedesktop/login1/session/_37";
const USER: &str = "/org/freedesktop/login1/user/self";
const UPOWER: (&str, &str) = ("org.freedesktop.UPower", "/org/freedesktop/UPower");
const NETWORK: (&str, &str) = ("org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager");

type Locks = mpsc::UnboundedReceiver<(String, OwnedFd)>;

fn path(text: &'static str) -> OwnedObjectPath {
    ObjectPath::from_static_str_unchecked(text).into()
}

/// logind with our session; `display` is that of the user.
async fn logind(address: &str, display: &str) -> (Connection, Locks) {
    let (locks, asked) = mpsc::unbounded_channel();
    let connection = program(address).await;
    let server = connection.object_server();
    let session = LoginSession { locked: Some(false), remote: false, active: true, idle: false };
    server.at(SESSION, session).await.unwrap();
    let display = (display.to_owned(), path(if display.is_empty() { "/" } else { SESSION }));
    server.at(USER, LoginUser { display }).await.unwrap();
    let manager = Logind { block: Some("shutdown:sleep".to_owned()), sleeping: false, locks };
    server.at(MANAGER, manager).await.unwrap();
    connection.request_name(LOGIN).await.unwrap();
    (connection, asked)
}

fn session(locked: bool, remote: bool, on_screen: bool) -> Change {
    Change::Session(Reading::Known(Session { locked, remote, on_screen }))
}

async fn asked(locks: &mut Locks) -> OwnedFd {
    let (what, end) = tokio::time::timeout(PATIENCE, locks.recv()).await.unwrap().unwrap();
    assert_eq!(what, "sleep:shutdown Hearth delay");
    end
}

/// Whether the other end of the lock is closed within `millis`.
async fn let_go(end: &OwnedFd, millis: i64) -> bool {
    let end = end.try_clone().unwrap();
    let wait = move || {
        let wait = Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 };
        let mut ends = [PollFd::new(&end, PollFlags::IN)];
        rustix::event::poll(&mut ends, Some(&wait)).unwrap() > 0
    };
    tokio::task::spawn_blocking(wait).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_session_is_told_when_it_is_locked_left_or_taken_up_from_afar() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch(false, Some("7"));
    stage.until(Change::Session(unknown(Unknown::NoSource))).await;
    let (login, _locks) = logind(&stage.system(), "").await;
    stage.until(session(false, false, true)).await;
    change::<LoginSession>(&login, SESSION, |session| session.locked = Some(true)).await;
    stage.until(session(true, false, true)).await;
    {
        let object = login.object_server().interface::<_, LoginSession>(SESSION).await.unwrap();
        object.get_mut().await.locked = Some(false);
    }
    signal(&login, SESSION, "org.freedesktop.login1.Session", "Unlock", &()).await;
    stage.until(session(false, false, true)).await;
    change::<LoginSession>(&login, SESSION, |session| session.active = false).await;
    stage.until(session(false, false, false)).await;
    change::<LoginSession>(&login, SESSION, |session| session.remote = true).await;
    stage.until(session(false, true, false)).await;
    login.close().await.unwrap();
    stage.until(Change::Session(unknown(Unknown::NoSource))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_gives_way_to_the_one_on_the_display() {
    let Some(mut stage) = Stage::open() else { return };
    let (login, _locks) = logind(&stage.system(), "").await;
    stage.watch(false, Some("of yesterday"));
    stage.until(Change::Session(unknown(Unknown::NoSource))).await;
    {
        let object = login.object_server().interface::<_, LoginUser>(USER).await.unwrap();
        object.get_mut().await.display = ("7".to_owned(), path(SESSION));
    }
    let body = ("7", path(SESSION));
    signal(&login, MANAGER, "org.freedesktop.login1.Manager", "SessionNew", &body).await;
    stage.until(session(false, false, true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_sleep_the_card_has_a_moment_and_after_it_the_lock_is_taken_again() {
    let Some(mut stage) = Stage::open() else { return };
    let (login, mut locks) = logind(&stage.system(), "7").await;
    stage.watch(false, None);
    for member in ["PrepareForSleep", "PrepareForShutdown"] {
        let lock = asked(&mut locks).await;
        assert!(!let_go(&lock, 0).await, "the lock is held while the system is awake");
        let announced = std::time::Instant::now();
        signal(&login, MANAGER, "org.freedesktop.login1.Manager", member, &true).await;
        stage.until(Change::FallingAsleep(true)).await;
        assert!(let_go(&lock, 10_000).await, "the system must be let go to sleep");
        assert!(announced.elapsed() >= std::time::Duration::from_millis(300), "the card needs a moment");
        signal(&login, MANAGER, "org.freedesktop.login1.Manager", member, &false).await;
        stage.until(Change::FallingAsleep(false)).await;
    }
    asked(&mut locks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_under_way_at_the_start_is_told_and_waking_only_after_it() {
    let Some(mut stage) = Stage::open() else { return };
    let (login, mut locks) = logind(&stage.system(), "7").await;
    stage.watch(false, None);
    asked(&mut locks).await;
    stage.until(session(false, false, true)).await;
    assert_eq!(stage.latest(&Change::FallingAsleep(true)), None, "nobody has spoken of sleep");
    stage.stop();
    {
        let object = login.object_server().interface::<_, Logind>(MANAGER).await.unwrap();
        object.get_mut().await.sleeping = true;
    }
    stage.watch(false, None);
    stage.until(Change::FallingAsleep(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_the_screen_on_is_known_by_logind_too() {
    let Some(mut stage) = Stage::open() else { return };
    let (login, _locks) = logind(&stage.system(), "7").await;
    stage.watch(false, None);
    stage.until(Change::Inhibited(NO)).await;
    change::<Logind>(&login, MANAGER, |login| login.block = Some("sleep:idle".to_owned())).await;
    stage.until(Change::Inhibited(YES)).await;
    change::<Logind>(&login, MANAGER, |login| login.block = Some(String::new())).await;
    stage.until(Change::Inhibited(NO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idle_hint_of_logind_is_the_last_resort_for_input() {
    let Some(mut stage) = Stage::open() else { return };
    let (login, _locks) = logind(&stage.system(), "7").await;
    stage.watch(true, None);
    stage.until(Change::Input(Reading::Known(Input::Active))).await;
    change::<LoginSession>(&login, SESSION, |session| session.idle = true).await;
    let since = protocol::units::UnixMillis(1_700_000_000_000);
    stage.until(Change::Input(Reading::Known(Input::IdleSince(since)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_supply_is_told_by_upower_and_without_it_by_the_kernel() {
    let Some(mut stage) = Stage::open() else { return };
    let battery = stage.folder.path().join("supplies/BAT0");
    std::fs::create_dir_all(&battery).unwrap();
    for (file, text) in [("type", "Battery"), ("status", "Discharging"), ("capacity", "33")] {
        std::fs::write(battery.join(file), text).unwrap();
    }
    let on_battery = |percent| Change::Power(Reading::Known(Power::Battery { percent }));
    let on_mains = Change::Power(Reading::Known(Power::Mains));
    stage.watch(false, None);
    stage.until(on_battery(Some(33))).await;
    std::fs::write(battery.join("status"), "Charging").unwrap();
    stage.until(on_mains.clone()).await;

    let upower =
        service(&stage.system(), UPOWER.0, UPOWER.1, UPower { battery: Arc::new(Mutex::new(Some(true))) })
            .await;
    // An old UPower that knows no charge of all batteries together.
    stage.until(on_battery(None)).await;
    let device = "/org/freedesktop/UPower/devices/DisplayDevice";
    upower.object_server().at(device, DisplayDevice { percent: 70.6 }).await.unwrap();
    change::<DisplayDevice>(&upower, device, |device| device.percent = 55.4).await;
    stage.until(on_battery(Some(55))).await;
    change::<UPower>(&upower, UPOWER.1, |upower| *upower.battery.lock().unwrap() = Some(false)).await;
    stage.until(on_mains).await;
    std::fs::write(battery.join("status"), "Discharging").unwrap();
    upower.close().await.unwrap();
    stage.until(on_battery(Some(33))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_saves_power_under_the_new_name_and_the_old() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch(false, None);
    stage.until(Change::PowerSaver(unknown(Unknown::NoSource))).await;
    let old = ("net.hadess.PowerProfiles", "/net/hadess/PowerProfiles");
    let saving = || "power-saver".to_owned();
    let daemon = service(&stage.system(), old.0, old.1, OldProfiles { active: saving() }).await;
    stage.until(Change::PowerSaver(YES)).await;
    change::<OldProfiles>(&daemon, old.1, |daemon| daemon.active = "balanced".to_owned()).await;
    stage.until(Change::PowerSaver(NO)).await;
    let new = ("org.freedesktop.UPower.PowerProfiles", "/org/freedesktop/UPower/PowerProfiles");
    let second = service(&stage.system(), new.0, new.1, Profiles { active: Some(saving()) }).await;
    stage.until(Change::PowerSaver(YES)).await;
    second.close().await.unwrap();
    stage.until(Change::PowerSaver(NO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_costs_and_a_vpn_are_told_by_networkmanager_and_before_it_by_the_kernel() {
    let Some(mut stage) = Stage::open() else { return };
    stage.watch(false, None);
    // No default route.
    stage.until(Change::Metered(NO)).await;
    stage.until(Change::Vpn(NO)).await;
    let route = "head\nwlan0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
    std::fs::write(stage.folder.path().join("route"), route).unwrap();
    let wifi = stage.folder.path().join("net/wlan0/wireless");
    std::fs::create_dir_all(wifi).unwrap();
    let network = NetworkManager { metered: Some(3), active: Vec::new() };
    let manager = service(&stage.system(), NETWORK.0, NETWORK.1, network).await;
    stage.until(Change::Metered(YES)).await;
    change::<NetworkManager>(&manager, NETWORK.1, |network| network.metered = Some(4)).await;
    stage.until(Change::Metered(NO)).await;
    // It does not know; neither does the kernel, of what is wireless.
    change::<NetworkManager>(&manager, NETWORK.1, |network| network.metered = Some(0)).await;
    stage.until(Change::Metered(unknown(Unknown::NoSource))).await;
    change::<NetworkManager>(&manager, NETWORK.1, |network| network.metered = Some(1)).await;
    stage.until(Change::Metered(YES)).await;

    let cable = "/org/freedesktop/NetworkManager/ActiveConnection/1";
    let tunnel = "/org/freedesktop/NetworkManager/ActiveConnection/2";
    let active = |vpn, kind: &str| ActiveConnection { vpn, kind: kind.to_owned() };
    manager.object_server().at(cable, active(false, "802-3-ethernet")).await.unwrap();
    // One of the list that has already gone is passed over.
    let gone = path("/org/freedesktop/NetworkManager/ActiveConnection/9");
    for (vpn, kind) in [(true, "vpn"), (false, "wireguard"), (false, "tun")] {
        manager.object_server().at(tunnel, active(vpn, kind)).await.unwrap();
        let both = vec![gone.clone(), path(cable), path(tunnel)];
        change::<NetworkManager>(&manager, NETWORK.1, |network| network.active = both).await;
        stage.until(Change::Vpn(YES)).await;
        change::<NetworkManager>(&manager, NETWORK.1, |network| network.active = vec![path(cable)]).await;
        stage.until(Change::Vpn(NO)).await;
        manager.object_server().remove::<ActiveConnection, _>(tunnel).await.unwrap();
    }
    // The owner may have said what the kernel cannot know.
    manager.close().await.unwrap();
    stage.until(Change::Metered(unknown(Unknown::Failed))).await;
    stage.until(Change::Vpn(unknown(Unknown::Failed))).await;
}
