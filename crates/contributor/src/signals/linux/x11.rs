//! Input and fullscreen windows, by push from an X server.
//!
//! One thread waits on two alarms that the server keeps on its idle counter (one second without input; input again) and on
//! the properties by which a window manager marks windows that fill the screen. A quiet desk costs no wake-up, and a
//! touched mouse is known within a millisecond. An X server that runs under Wayland sees only the input of X programs and
//! must not be asked.

use std::os::fd::AsFd as _;

use network::Clock;
use protocol::units::UnixMillis;
use x11rb::connection::Connection as _;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::sync::{
    Alarm, ChangeAlarmAux, ConnectionExt as _, Counter, CreateAlarmAux, Int64, TESTTYPE, VALUETYPE,
};
use x11rb::rust_connection::RustConnection;

use super::watching::{Bell, Watching};
use crate::signals::{Change, Input, Outlet, Reading, Unknown};

mod fullscreen;

/// Without input for this long nobody counts as present at this moment; how long is long enough is the policy's.
const QUIET_MILLIS: u32 = 1000;

/// Starts the thread that waits for the X server `name`.
pub(super) fn watch_display(name: String, outlet: Outlet, clock: Clock) -> Option<Watching> {
    let tell = outlet.clone();
    let fallen = move || {
        tell(Change::Input(Reading::Unknown(Unknown::Failed)));
        tell(Change::Fullscreen(Reading::Unknown(Unknown::Failed)));
    };
    Watching::start("hearth-display", fallen, move |bell| watch(&name, bell, &outlet, &clock))
}

/// Why the X server does not tell.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("connect to the X server")]
    Connect(#[from] ConnectError),
    #[error("speak with the X server")]
    Connection(#[from] ConnectionError),
    #[error("ask the X server")]
    Reply(#[from] ReplyError),
    #[error("make an alarm")]
    Alarm(#[from] ReplyOrIdError),
    #[error("wait for the X server")]
    Wait(#[from] rustix::io::Errno),
    #[error("the X server has no idle counter")]
    NoCounter,
    #[error("the X server has no such screen")]
    NoScreen,
}

/// Tells changes until the bell says to end (`Ok`) or the server fails.
fn watch(name: &str, bell: &Bell, tell: &Outlet, clock: &Clock) -> Result<(), WatchError> {
    let (x, screen) = x11rb::connect(Some(name))?;
    x.sync_initialize(3, 1)?.reply()?;
    let counters = x.sync_list_system_counters()?.reply()?.counters;
    let counter = counters.iter().find(|c| c.name == b"IDLETIME").ok_or(WatchError::NoCounter)?.counter;
    let left = alarm(&x, counter, TESTTYPE::POSITIVE_TRANSITION, QUIET_MILLIS)?;
    let came = alarm(&x, counter, TESTTYPE::NEGATIVE_TRANSITION, QUIET_MILLIS)?;
    let root = x.setup().roots.get(screen).ok_or(WatchError::NoScreen)?.root;
    let mut windows = fullscreen::Windows::of(&x, root)?;
    let idle = x.sync_query_counter(counter)?.reply()?.counter_value;
    tell_idle(millis(idle), tell, clock);
    bell.reached();
    let mut told = None;
    let mut look = true;
    loop {
        // Input goes first: it waits neither for the windows nor for the window manager.
        while let Some(event) = x.poll_for_event()? {
            look |= windows.concerned(&event);
            let Event::SyncAlarmNotify(notice) = event else { continue };
            if notice.alarm == came {
                tell(Change::Input(Reading::Known(Input::Active)));
            } else if notice.alarm == left {
                tell_idle(millis(notice.counter_value), tell, clock);
            }
            x.sync_change_alarm(notice.alarm, &ChangeAlarmAux::new())?.check()?;
        }
        if std::mem::take(&mut look) {
            let fullscreen = windows.fullscreen()?;
            if told.replace(fullscreen) != Some(fullscreen) {
                tell(Change::Fullscreen(fullscreen));
            }
            // Events that came meanwhile are in the connection's memory already, where no poll sees them.
            continue;
        }
        if !bell.wait(&[x.stream().as_fd()], None)? {
            return Ok(());
        }
    }
}

fn tell_idle(idle_millis: u64, tell: &Outlet, clock: &Clock) {
    let input = if idle_millis < QUIET_MILLIS.into() {
        Input::Active
    } else {
        Input::IdleSince(UnixMillis(clock().0.saturating_sub(idle_millis)))
    };
    tell(Change::Input(Reading::Known(input)));
}

fn millis(value: Int64) -> u64 {
    (u64::from(value.hi.max(0).unsigned_abs()) << 32) | u64::from(value.lo)
}

fn alarm(x: &RustConnection, counter: Counter, test: TESTTYPE, millis: u32) -> Result<Alarm, WatchError> {
    let id = x.generate_id()?;
    let alarm = CreateAlarmAux::new()
        .counter(counter)
        .value_type(VALUETYPE::ABSOLUTE)
        .value(Int64 { hi: 0, lo: millis })
        .test_type(test)
        .delta(Int64 { hi: 0, lo: 0 })
        .events(1);
    x.sync_create_alarm(id, &alarm)?.check()?;
    Ok(id)
}

#[cfg(test)]
mod tests;
