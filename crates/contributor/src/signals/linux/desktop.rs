//! The sensors that listen on the two buses of D-Bus: session, sleep, power, network, players, inhibitors,
//! games, and input under GNOME.
//!
//! One thread owns both connections; every sensor is a task of its own on it, so that a service that hangs
//! holds up no other. Everything is pushed. Nothing starts a service, and nothing reads the names or titles
//! of programs, windows or players: what leaves this room is yes, no or unknown. A bus that goes is tried
//! again after 1, 2, 4 .. 60 s; until then the kernel is asked where it knows. `LinuxSource` starts and stops
//! it.

use std::path::PathBuf;
use std::rc::Rc;
use std::thread::JoinHandle;

use network::Clock;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep as pause;
use zbus::Connection;

use self::bus::Backoff;
use self::facts::{Board, Facts};
use super::{links, supply};
use crate::signals::asking::end;
use crate::signals::{Outlet, Unknown};

mod bus;
mod facts;
mod flag;
mod game;
mod idle;
mod inhibitors;
mod login;
mod network_manager;
mod players;
mod profiles;
mod screen_savers;
mod sleep;
mod upower;

/// Where the buses are; `None` for one that this system does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Buses {
    /// The bus of the user.
    pub(super) session: Option<String>,
    /// The bus of the machine.
    pub(super) system: Option<String>,
}

impl Buses {
    /// The buses that the environment names, else those of the usual places.
    pub(super) fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let of_user = || {
            let socket = PathBuf::from(set("XDG_RUNTIME_DIR")?).join("bus");
            // A server's user may have the folder without a bus.
            socket.exists().then(|| format!("unix:path={}", socket.display()))
        };
        let of_machine = || Some("unix:path=/run/dbus/system_bus_socket".to_owned());
        Self {
            session: set("DBUS_SESSION_BUS_ADDRESS").or_else(of_user).and_then(|list| local(&list)),
            system: set("DBUS_SYSTEM_BUS_ADDRESS").or_else(of_machine).and_then(|list| local(&list)),
        }
    }
}

/// The first address in the list that is a socket of this machine. Others would go through the internet,
/// which only the network room does, or start a program.
fn local(addresses: &str) -> Option<String> {
    addresses.split(';').find(|address| address.starts_with("unix:")).map(str::to_owned)
}

/// What the sensors look at besides the buses.
#[derive(Debug, Clone)]
struct Surroundings {
    session_id: Option<String>,
    supplies: PathBuf,
    links: links::Roots,
}

impl Surroundings {
    fn system() -> Self {
        Self {
            session_id: std::env::var("XDG_SESSION_ID").ok().filter(|id| !id.is_empty()),
            supplies: PathBuf::from(supply::SUPPLIES),
            links: links::Roots::system(),
        }
    }
}

/// The thread of the sensors.
#[derive(Debug)]
pub(super) struct Desktop {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Desktop {
    /// Begins to tell. Input is told only where `idle` says that nobody else knows it. `None` when the system
    /// refuses a thread; then it has been told that nothing is known.
    pub(super) fn start(buses: Buses, idle: bool, outlet: Outlet, clock: Clock) -> Option<Self> {
        Self::start_in(Surroundings::system(), buses, idle, outlet, clock)
    }

    fn start_in(
        around: Surroundings,
        buses: Buses,
        idle: bool,
        outlet: Outlet,
        clock: Clock,
    ) -> Option<Self> {
        let (stop, stopped) = oneshot::channel();
        let tell = outlet.clone();
        let begun = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            std::thread::Builder::new().name("hearth-desktop".to_owned()).spawn(move || {
                let local = LocalSet::new();
                local.block_on(&runtime, async {
                    let board = Rc::new(Board::new(idle, outlet));
                    let around = Rc::new(around);
                    tokio::select! {
                        _ = stopped => {}
                        () = session_bus(buses.session, idle, &board, &clock) => {}
                        () = system_bus(buses.system, &board, &around) => {}
                    }
                });
                drop(local);
                // A thread that hangs in a driver is left behind.
                runtime.shutdown_background();
            })
        });
        match begun {
            Ok(thread) => Some(Self { thread, stop }),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the sensors of the desktop cannot start"
                );
                Board::new(idle, tell).update(Facts::lose_everything);
                None
            }
        }
    }

    /// Ends the thread within a second.
    pub(super) fn stop(self) {
        drop(self.stop);
        end(self.thread);
    }
}

/// The sensors of the session bus, for as long as they are wanted.
async fn session_bus(address: Option<String>, idle: bool, board: &Rc<Board>, clock: &Clock) {
    let sensors = |connection: Connection| {
        let mut tasks = JoinSet::new();
        let flags =
            screen_savers::SCREEN_SAVERS.iter().chain(&inhibitors::DESKTOPS).chain([&game::GAME_MODE]);
        for flag in flags {
            let (connection, board) = (connection.clone(), board.clone());
            tasks.spawn_local(async move { flag::watch(&connection, &board, flag).await });
        }
        if idle {
            let (connection, board, clock) = (connection.clone(), board.clone(), clock.clone());
            tasks.spawn_local(async move { idle::watch(&connection, &board, &clock).await });
        }
        let board = board.clone();
        tasks.spawn_local(async move { players::watch(&connection, &board).await });
        tasks
    };
    let lost = |why| board.update(|facts| facts.lose_session_bus(why));
    keep(address, sensors, lost, std::future::pending).await;
}

/// The sensors of the system bus, for as long as they are wanted.
async fn system_bus(address: Option<String>, board: &Rc<Board>, around: &Rc<Surroundings>) {
    let sensors = |connection: Connection| {
        let mut tasks = JoinSet::new();
        for flag in profiles::PROFILES.iter().chain([&inhibitors::LOGIND]) {
            let (connection, board) = (connection.clone(), board.clone());
            tasks.spawn_local(async move { flag::watch(&connection, &board, flag).await });
        }
        let (bus, facts, at) = (connection.clone(), board.clone(), around.clone());
        tasks.spawn_local(async move { login::watch(&bus, &facts, at.session_id.as_deref()).await });
        let (bus, facts) = (connection.clone(), board.clone());
        tasks.spawn_local(async move { sleep::watch(&bus, &facts).await });
        let (bus, facts, at) = (connection.clone(), board.clone(), around.clone());
        tasks.spawn_local(async move { upower::watch(&bus, &facts, &at.supplies).await });
        let (facts, at) = (board.clone(), around.clone());
        tasks.spawn_local(async move { network_manager::watch(&connection, &facts, &at.links).await });
        tasks
    };
    let lost = |why| board.update(|facts| facts.lose_system_bus(why));
    let without = || async {
        tokio::join!(
            upower::ask_kernel(board, &around.supplies),
            network_manager::ask_kernel(board, &around.links)
        );
    };
    keep(address, sensors, lost, without).await;
}

/// Keeps a connection to the bus at `address`, and the sensors on it; runs `without` while there is none.
async fn keep<W: Future<Output = ()>>(
    address: Option<String>,
    sensors: impl Fn(Connection) -> JoinSet<()>,
    lost: impl Fn(Unknown),
    without: impl Fn() -> W,
) {
    let Some(address) = address else {
        lost(Unknown::NoSource);
        without().await;
        return std::future::pending().await;
    };
    let mut backoff = Backoff::new();
    loop {
        match bus::connect(&address).await {
            Ok(connection) => {
                let tasks = sensors(connection.clone());
                connection.closed().await;
                tracing::warn!(address, "the bus has gone");
                drop(tasks);
                lost(Unknown::Failed);
            }
            Err(trouble) => {
                bus::warn(&address, &trouble);
                lost(trouble.why());
            }
        }
        tokio::select! {
            () = pause(backoff.after_failure()) => {}
            () = async { without().await; std::future::pending().await } => {}
        }
    }
}

#[cfg(test)]
mod tests;
