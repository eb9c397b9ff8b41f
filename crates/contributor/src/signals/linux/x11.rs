//! Input by push from an X server.
//!
//! One thread waits on two alarms that the server keeps on its idle counter (one second without input; input again), so a
//! quiet desk costs no wake-up and a touched mouse is known within a millisecond. An X server that runs under Wayland sees
//! only the input of X programs and must not be asked.

use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::JoinHandle;

use network::Clock;
use protocol::units::UnixMillis;
use rustix::event::{PollFd, PollFlags, Timespec};
use x11rb::connection::Connection as _;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::sync::{
    Alarm, ChangeAlarmAux, ConnectionExt as _, Counter, CreateAlarmAux, Int64, TESTTYPE, VALUETYPE,
};
use x11rb::rust_connection::RustConnection;

use crate::signals::{Change, Input, Outlet, Reading, Unknown};

/// Without input for this long nobody counts as present at this moment; how long is long enough is the policy's.
const QUIET_MILLIS: u32 = 1000;
/// How long after a failure the X server is tried again.
const RETRY_AFTER: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// Starts the thread that waits for the X server `name`.
pub(super) fn watch_input(name: String, outlet: Outlet, clock: Clock) -> Option<(JoinHandle<()>, OwnedFd)> {
    let unknown = Change::Input(Reading::Unknown(Unknown::Failed));
    let (woken, wake) = match rustix::pipe::pipe() {
        Ok(ends) => ends,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no pipe for the input sensor");
            outlet(unknown);
            return None;
        }
    };
    let tell = outlet.clone();
    let thread = std::thread::Builder::new().name("hearth-input".to_owned()).spawn(move || {
        loop {
            match watch(&name, &woken, &tell, &clock) {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "input is unknown");
                    tell(Change::Input(Reading::Unknown(Unknown::Failed)));
                }
            }
            let mut ends = [PollFd::new(&woken, PollFlags::IN)];
            match rustix::event::poll(&mut ends, Some(&RETRY_AFTER)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    });
    match thread {
        Ok(thread) => Some((thread, wake)),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no thread for the input sensor");
            outlet(unknown);
            None
        }
    }
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
}

/// Tells changes until `woken` is closed (`Ok`) or the server fails.
fn watch(name: &str, woken: &OwnedFd, tell: &Outlet, clock: &Clock) -> Result<(), WatchError> {
    let (x, _) = x11rb::connect(Some(name))?;
    x.sync_initialize(3, 1)?.reply()?;
    let counters = x.sync_list_system_counters()?.reply()?.counters;
    let counter = counters.iter().find(|c| c.name == b"IDLETIME").ok_or(WatchError::NoCounter)?.counter;
    let left = alarm(&x, counter, TESTTYPE::POSITIVE_TRANSITION, QUIET_MILLIS)?;
    let came = alarm(&x, counter, TESTTYPE::NEGATIVE_TRANSITION, QUIET_MILLIS)?;
    let idle = x.sync_query_counter(counter)?.reply()?.counter_value;
    tell_idle(millis(idle), tell, clock);
    loop {
        while let Some(event) = x.poll_for_event()? {
            let Event::SyncAlarmNotify(notice) = event else { continue };
            if notice.alarm == came {
                tell(Change::Input(Reading::Known(Input::Active)));
            } else if notice.alarm == left {
                tell_idle(millis(notice.counter_value), tell, clock);
            }
            x.sync_change_alarm(notice.alarm, &ChangeAlarmAux::new())?.check()?;
        }
        let mut waits =
            [PollFd::new(woken, PollFlags::IN), PollFd::from_borrowed_fd(x.stream().as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut waits, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !waits[0].revents().is_empty() {
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
mod tests {
    use std::io;
    use std::process::{Child, Command, Stdio};
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    use x11rb::protocol::xproto::ConnectionExt as _;
    use x11rb::protocol::xtest::ConnectionExt as _;

    use super::*;

    /// How long the end of a source may take at most.
    const STOP_WITHIN: Duration = Duration::from_secs(1);

    /// An X server of its own; killed when dropped.
    struct Server {
        child: Child,
        name: String,
    }

    impl Server {
        /// `None` where Xvfb is not installed.
        fn start() -> Option<Self> {
            let mut child = Command::new("Xvfb")
                .args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let mut line = String::new();
            let mut stdout = io::BufReader::new(child.stdout.take()?);
            io::BufRead::read_line(&mut stdout, &mut line).ok()?;
            Some(Self { child, name: format!(":{}", line.trim()) })
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    #[test]
    fn a_moved_pointer_is_told_at_once_and_its_absence_too() {
        let Some(server) = Server::start() else {
            println!("left out: Xvfb is not installed");
            return;
        };
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send((change, Instant::now()))));
        let (thread, wake) = watch_input(server.name.clone(), outlet, network::system_clock()).unwrap();
        let next = || changes.recv_timeout(Duration::from_secs(20)).expect("the sensor must tell");
        // Whatever the server begins with, without input it becomes idle.
        while !matches!(next().0, Change::Input(Reading::Known(Input::IdleSince(_)))) {}

        let (x, screen) = x11rb::connect(Some(&server.name)).unwrap();
        let root = x.setup().roots[screen].root;
        let mut took = Vec::new();
        for step in 1..=3 {
            let moved = Instant::now();
            x.xtest_fake_input(6, 0, 0, root, step * 10, 20, 0).unwrap();
            x.get_input_focus().unwrap().reply().unwrap();
            let (change, at) = next();
            assert_eq!(change, Change::Input(Reading::Known(Input::Active)), "a moved pointer is somebody");
            took.push(at.duration_since(moved));
            let (change, _) = next();
            assert!(
                matches!(change, Change::Input(Reading::Known(Input::IdleSince(_)))),
                "a second later nobody is there: {change:?}"
            );
        }
        assert!(took.iter().min().unwrap() < &Duration::from_millis(100), "told after {took:?}");

        let asked = Instant::now();
        drop(wake);
        thread.join().unwrap();
        assert!(asked.elapsed() < STOP_WITHIN, "the thread must end when it is told to");
    }

    #[test]
    fn a_display_that_is_gone_is_unknown() {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send(change)));
        let (thread, wake) = watch_input(":4242".to_owned(), outlet, network::system_clock()).unwrap();
        let change = changes.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(change, Change::Input(Reading::Unknown(Unknown::Failed)));
        drop(wake);
        thread.join().unwrap();
    }
}
