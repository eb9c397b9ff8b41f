//! Gamepads and joysticks as input, by push from the kernel.
//!
//! No display server tells of them, so the kernel's own event files are waited on: those of devices that say they have a
//! gamepad's or a joystick's buttons, as far as this user may read them, which a desktop's login lets him. One thread
//! sleeps until one of them or the folder of devices has something to say. Which button or axis it was is not kept.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use network::Clock;
use protocol::units::UnixMillis;
use rustix::fs::inotify;
use rustix::io::Errno;

use super::notices;
use super::watching::{Bell, Watching};
use crate::signals::{Change, Input, Outlet, Reading, Unknown};
use pad::{Pad, Touch};

mod pad;

/// Where the kernel lists the devices, and where their event files are.
pub(super) const LIST: &str = "/sys/class/input";
pub(super) const NODES: &str = "/dev/input";

/// Without input for this long nobody counts as present at this moment; how long is long enough is the policy's.
const QUIET: Duration = Duration::from_secs(1);
/// How long the event files are left alone after somebody has been told of: a held stick speaks up to a thousand times a
/// second.
const REST: Duration = Duration::from_millis(100);
/// The same after mere noise. Somebody who comes meanwhile is told this much later.
const REST_AFTER_NOISE: Duration = Duration::from_millis(50);

/// Starts the thread. `list` and `nodes` are folders like [`LIST`] and [`NODES`].
pub(super) fn watch_gamepads(
    list: PathBuf,
    nodes: PathBuf,
    outlet: Outlet,
    clock: Clock,
) -> Option<Watching> {
    let tell = outlet.clone();
    let fallen = move || tell(Change::Gamepad(Reading::Unknown(Unknown::Failed)));
    Watching::start("hearth-gamepads", fallen, move |bell| watch(&list, &nodes, bell, &outlet, &clock))
}

/// Why gamepads are not seen.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("have the kernel tell of new devices")]
    Notice(#[source] Errno),
    #[error("list the devices")]
    List(#[source] io::Error),
    #[error("wait for a device")]
    Wait(#[source] Errno),
}

/// The gamepads that are open.
#[derive(Debug, Default)]
struct Pads {
    open: BTreeMap<OsString, Pad>,
    /// There are some that this user may not read.
    refused: bool,
}

/// Tells changes until the bell says to end.
fn watch(list: &Path, nodes: &Path, bell: &Bell, tell: &Outlet, clock: &Clock) -> Result<(), WatchError> {
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let told_by = inotify::init(flags).map_err(WatchError::Notice)?;
    // New rights to a file are a change of its attributes: a login gives them a moment after the file has come.
    let asked = inotify::WatchFlags::CREATE | inotify::WatchFlags::ATTRIB | inotify::WatchFlags::DELETE;
    match inotify::add_watch(&told_by, nodes, asked) {
        Ok(_) => {}
        // A system without any input device. Where one appears later the folder does too, which is not waited for.
        Err(Errno::NOENT) => {
            tell(Change::Gamepad(Reading::Unknown(Unknown::NoSource)));
            return Ok(());
        }
        Err(error) => return Err(WatchError::Notice(error)),
    }
    let mut pads = Pads::default();
    let mut look = true;
    let mut told = None;
    let mut acted: Option<Instant> = None;
    // Whoever plugs a gamepad in or has just logged in is there.
    let mut last_at = clock();
    let mut rest_until: Option<Instant> = None;
    loop {
        if std::mem::take(&mut look) {
            let none_before = pads.open.is_empty();
            pads.look(list, nodes).map_err(WatchError::List)?;
            if none_before {
                (last_at, acted) = (clock(), None);
            }
            bell.reached();
        }
        if acted.is_some_and(|acted| acted.elapsed() >= QUIET) {
            acted = None;
        }
        let state = pads.state(acted.is_some(), last_at);
        if told.replace(state) != Some(state) {
            tell(Change::Gamepad(state));
        }

        let mut waits = vec![told_by.as_fd()];
        if rest_until.is_none() {
            waits.extend(pads.files());
        }
        let next = [acted.map(|acted| acted + QUIET), rest_until].into_iter().flatten().min();
        let timeout = next.map(|next| next.saturating_duration_since(Instant::now()));
        if !bell.wait(&waits, timeout).map_err(WatchError::Wait)? {
            return Ok(());
        }
        look |= notices::drained(&told_by).map_err(WatchError::Notice)?;
        let now = Instant::now();
        if rest_until.is_some_and(|until| now < until) {
            continue;
        }
        rest_until = match pads.read(&mut look) {
            Touch::Nothing => None,
            Touch::Noise => Some(now + REST_AFTER_NOISE),
            Touch::Somebody => {
                (last_at, acted) = (clock(), Some(now));
                Some(now + REST)
            }
        };
    }
}

impl Pads {
    /// Opens the gamepads that have come and lets go of those that have left.
    fn look(&mut self, list: &Path, nodes: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(list) {
            Ok(entries) => entries.collect::<Result<Vec<_>, _>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut before = std::mem::take(&mut self.open);
        self.refused = false;
        for entry in entries {
            let name = entry.file_name();
            if !name.to_string_lossy().starts_with("event") {
                continue;
            }
            // A device may leave while it is looked at; then it has no buttons.
            let keys = fs::read_to_string(entry.path().join("device/capabilities/key"));
            if !keys.is_ok_and(|keys| pad::is_gamepad(&keys)) {
                continue;
            }
            match before.remove(&name).map_or_else(|| Pad::open(&nodes.join(&name)), Ok) {
                Ok(pad) => drop(self.open.insert(name, pad)),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a gamepad cannot be read");
                    self.refused = true;
                }
            }
        }
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open.values().map(Pad::file)
    }

    /// Reads what all have to say. One that fails has been pulled out, and `look` says that others may have come instead.
    fn read(&mut self, look: &mut bool) -> Touch {
        let mut touch = Touch::Nothing;
        self.open.retain(|_, pad| match pad.read() {
            Ok(found) => {
                touch = touch.max(found);
                true
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a gamepad has left");
                *look = true;
                // Rests then, lest a file that fails each time makes this a busy loop.
                touch = touch.max(Touch::Noise);
                false
            }
        });
        touch
    }

    fn state(&self, active: bool, last_at: UnixMillis) -> Reading<Input> {
        match (self.open.is_empty(), self.refused) {
            (true, false) => Reading::Unknown(Unknown::NoSource),
            (true, true) => Reading::Unknown(Unknown::Failed),
            (false, _) if active => Reading::Known(Input::Active),
            (false, _) => Reading::Known(Input::IdleSince(last_at)),
        }
    }
}

#[cfg(test)]
mod tests;
