//! Services as the sensors meet them. `None` as a value never answers.

use std::collections::HashMap;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use zbus::zvariant::{self, ObjectPath, OwnedObjectPath};
use zbus::{fdo, interface};

/// Answers with the value, or never.
async fn answer<T: Clone>(value: &Option<T>) -> T {
    match value {
        Some(value) => value.clone(),
        None => pending().await,
    }
}

pub(super) struct ScreenSaver {
    pub(super) active: Option<bool>,
}

#[interface(name = "org.gnome.ScreenSaver")]
impl ScreenSaver {
    async fn get_active(&self) -> bool {
        answer(&self.active).await
    }
}

/// GNOME's program of this name cannot answer the question.
pub(super) struct MuteScreenSaver;

#[interface(name = "org.freedesktop.ScreenSaver")]
impl MuteScreenSaver {
    async fn inhibit(&self) -> u32 {
        1
    }
}

pub(super) struct Player {
    pub(super) status: Option<String>,
}

#[interface(name = "org.mpris.MediaPlayer2.Player")]
impl Player {
    #[zbus(property)]
    async fn playback_status(&self) -> String {
        answer(&self.status).await
    }

    #[zbus(property)]
    async fn metadata(&self) -> HashMap<String, zvariant::OwnedValue> {
        panic!("nobody may ask what is played")
    }
}

pub(super) struct GnomeSession {
    pub(super) actions: Option<u32>,
}

#[interface(name = "org.gnome.SessionManager")]
impl GnomeSession {
    #[zbus(property)]
    async fn inhibited_actions(&self) -> u32 {
        answer(&self.actions).await
    }
}

pub(super) struct PowerManagement {
    pub(super) inhibited: bool,
}

#[interface(name = "org.freedesktop.PowerManagement.Inhibit")]
impl PowerManagement {
    async fn has_inhibit(&self) -> bool {
        self.inhibited
    }
}

pub(super) struct GameMode {
    pub(super) clients: Option<i32>,
}

#[interface(name = "com.feralinteractive.GameMode")]
impl GameMode {
    #[zbus(property)]
    async fn client_count(&self) -> i32 {
        answer(&self.clients).await
    }
}

pub(super) struct IdleMonitor {
    pub(super) idle_millis: u64,
    /// Watches given out: the first is that for idleness.
    pub(super) watches: u32,
}

#[interface(name = "org.gnome.Mutter.IdleMonitor")]
impl IdleMonitor {
    async fn add_idle_watch(&mut self, millis: u64) -> u32 {
        assert_eq!(millis, 1000);
        self.watches += 1;
        self.watches
    }

    async fn add_user_active_watch(&mut self) -> u32 {
        self.watches += 1;
        self.watches
    }

    async fn get_idletime(&self) -> u64 {
        self.idle_millis
    }
}

pub(super) struct Logind {
    pub(super) block: Option<String>,
    pub(super) sleeping: bool,
    /// Every lock that was asked for, as the end that sees it go.
    pub(super) locks: tokio::sync::mpsc::UnboundedSender<(String, OwnedFd)>,
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    async fn get_session(&self, id: &str) -> fdo::Result<OwnedObjectPath> {
        if id == "7" {
            Ok(ObjectPath::from_static_str_unchecked("/org/freedesktop/login1/session/_37").into())
        } else {
            Err(fdo::Error::Failed("no such session".to_owned()))
        }
    }

    async fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zvariant::OwnedFd {
        assert!(!why.is_empty());
        let (end, lock) = rustix::pipe::pipe().unwrap();
        self.locks.send((format!("{what} {who} {mode}"), end)).unwrap();
        lock.into()
    }

    #[zbus(property)]
    async fn block_inhibited(&self) -> String {
        answer(&self.block).await
    }

    #[zbus(property)]
    async fn preparing_for_sleep(&self) -> bool {
        self.sleeping
    }

    #[zbus(property)]
    async fn preparing_for_shutdown(&self) -> bool {
        false
    }
}

pub(super) struct LoginUser {
    pub(super) display: (String, OwnedObjectPath),
}

#[interface(name = "org.freedesktop.login1.User")]
impl LoginUser {
    #[zbus(property)]
    async fn display(&self) -> (String, OwnedObjectPath) {
        self.display.clone()
    }
}

pub(super) struct LoginSession {
    pub(super) locked: Option<bool>,
    pub(super) remote: bool,
    pub(super) active: bool,
    pub(super) idle: bool,
}

#[interface(name = "org.freedesktop.login1.Session")]
impl LoginSession {
    #[zbus(property)]
    async fn locked_hint(&self) -> bool {
        answer(&self.locked).await
    }

    #[zbus(property)]
    async fn remote(&self) -> bool {
        self.remote
    }

    #[zbus(property)]
    async fn active(&self) -> bool {
        self.active
    }

    #[zbus(property)]
    async fn idle_hint(&self) -> bool {
        self.idle
    }

    #[zbus(property)]
    async fn idle_since_hint(&self) -> u64 {
        1_700_000_000_000_000
    }
}

pub(super) struct UPower {
    pub(super) battery: Arc<Mutex<Option<bool>>>,
}

#[interface(name = "org.freedesktop.UPower")]
impl UPower {
    #[zbus(property)]
    async fn on_battery(&self) -> bool {
        let battery = *self.battery.lock().unwrap();
        answer(&battery).await
    }
}

pub(super) struct DisplayDevice {
    pub(super) percent: f64,
}

#[interface(name = "org.freedesktop.UPower.Device")]
impl DisplayDevice {
    #[zbus(property)]
    async fn is_present(&self) -> bool {
        true
    }

    #[zbus(property)]
    async fn percentage(&self) -> f64 {
        self.percent
    }
}

pub(super) struct Profiles {
    pub(super) active: Option<String>,
}

#[interface(name = "org.freedesktop.UPower.PowerProfiles")]
impl Profiles {
    #[zbus(property)]
    async fn active_profile(&self) -> String {
        answer(&self.active).await
    }
}

pub(super) struct OldProfiles {
    pub(super) active: String,
}

#[interface(name = "net.hadess.PowerProfiles")]
impl OldProfiles {
    #[zbus(property)]
    async fn active_profile(&self) -> String {
        self.active.clone()
    }
}

pub(super) struct NetworkManager {
    pub(super) metered: Option<u32>,
    pub(super) active: Vec<OwnedObjectPath>,
}

#[interface(name = "org.freedesktop.NetworkManager")]
impl NetworkManager {
    #[zbus(property)]
    async fn metered(&self) -> u32 {
        answer(&self.metered).await
    }

    #[zbus(property)]
    async fn active_connections(&self) -> Vec<OwnedObjectPath> {
        self.active.clone()
    }
}

pub(super) struct ActiveConnection {
    pub(super) vpn: bool,
    pub(super) kind: String,
}

#[interface(name = "org.freedesktop.NetworkManager.Connection.Active")]
impl ActiveConnection {
    #[zbus(property)]
    async fn vpn(&self) -> bool {
        self.vpn
    }

    #[zbus(property, name = "Type")]
    async fn kind(&self) -> String {
        self.kind.clone()
    }

    #[zbus(property)]
    async fn id(&self) -> String {
        panic!("nobody may ask what a network is called")
    }
}
