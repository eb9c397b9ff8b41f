//! Input and fullscreen windows, by push from a Wayland compositor.
//!
//! One thread waits on `ext-idle-notify-v1` for each seat and, where the compositor offers it, on the states of windows by
//! `wlr-foreign-toplevel-management`. The input-only kind of notification is asked for where there is one, so that a film
//! that keeps the screen on does not count as somebody. Of a window only its states are looked at; its title and the name
//! of its program, which the compositor sends unasked, are dropped unread. GNOME offers neither protocol, KDE only the
//! first. The X server beside a compositor is never asked.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use network::Clock;
use wayland_client::backend::WaylandError;
use wayland_client::{Connection, DispatchError};

use super::watching::{Bell, Watching};
use crate::signals::{Change, Outlet, Reading, Unknown};

mod seen;

/// Without input for this long nobody counts as present at this moment; how long is long enough is the policy's.
const QUIET_MILLIS: u32 = 1000;
/// How long the start waits for the compositor to say what it offers. One answers within a few milliseconds; one that
/// does not is waited for by the thread.
const OFFER_WITHIN: Duration = Duration::from_millis(250);

/// The thread that listens to a compositor.
#[derive(Debug)]
pub(super) struct Wayland {
    watching: Watching,
}

impl Wayland {
    /// Starts to listen to the compositor at `socket`. `None` where that compositor does not tell of input: another
    /// source must then. What it tells of windows is not asked for then either.
    pub(super) fn start(socket: PathBuf, outlet: Outlet, clock: Clock) -> Option<Self> {
        let tell = outlet.clone();
        let fallen = move || {
            tell(Change::Input(Reading::Unknown(Unknown::Failed)));
            tell(Change::Fullscreen(Reading::Unknown(Unknown::Failed)));
        };
        let windows = outlet.clone();
        let (offers, offered) = mpsc::channel();
        // Only the first attempt answers the start; a later one finds nobody who waits.
        let mut offers = Some(offers);
        let watching = Watching::start("hearth-display", fallen, move |bell| {
            watch(&socket, bell, &outlet, &clock, offers.take())
        })?;
        if offered.recv_timeout(OFFER_WITHIN) == Ok(false) {
            windows(Change::Fullscreen(Reading::Unknown(Unknown::NoSource)));
            watching.stop();
            return None;
        }
        Some(Self { watching })
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        self.watching.stop();
    }
}

/// Why the compositor does not tell.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("connect to the compositor")]
    Connect(#[source] std::io::Error),
    #[error("begin to speak with the compositor")]
    Begin(#[from] wayland_client::ConnectError),
    #[error("speak with the compositor")]
    Speak(#[from] WaylandError),
    #[error("understand the compositor")]
    Understand(#[from] DispatchError),
    #[error("wait for the compositor")]
    Wait(#[from] rustix::io::Errno),
}

/// Tells changes until the bell says to end (`Ok`) or the compositor fails. `offers` learns whether it tells of input; if
/// it does not and somebody waited for that answer, nothing more is done.
fn watch(
    socket: &Path,
    bell: &Bell,
    tell: &Outlet,
    clock: &Clock,
    mut offers: Option<mpsc::Sender<bool>>,
) -> Result<(), WatchError> {
    let stream = std::os::unix::net::UnixStream::connect(socket).map_err(WatchError::Connect)?;
    let connection = Connection::from_socket(stream)?;
    let mut queue = connection.new_event_queue();
    let mut seen = seen::Seen::ask(&connection, &queue.handle());
    loop {
        queue.dispatch_pending(&mut seen)?;
        if let Some(offered) = seen.offered()
            && let Some(offers) = offers.take()
            && offers.send(offered).is_ok()
            && !offered
        {
            return Ok(());
        }
        if seen.tell_changes(tell, clock) {
            bell.reached();
        }
        unless_busy(connection.flush())?;
        let Some(reading) = queue.prepare_read() else { continue };
        if !bell.wait(&[reading.connection_fd()], None)? {
            return Ok(());
        }
        unless_busy(reading.read().map(drop))?;
    }
}

/// An outcome of the socket, unless the socket only has nothing to give or no room.
fn unless_busy(outcome: Result<(), WaylandError>) -> Result<(), WaylandError> {
    match outcome {
        Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests;
