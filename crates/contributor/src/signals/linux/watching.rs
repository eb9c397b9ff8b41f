//! A thread that waits for what a system pushes, and begins anew when that system fails.
//!
//! The display's and the gamepads' parts run on it. It owns the thread, the pipe by which the thread is ended, and the
//! pauses between two attempts; it knows nothing of what is waited for.

use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::signals::asking::end;

/// How long after a failure the system is tried again; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The thread.
#[derive(Debug)]
pub(super) struct Watching {
    thread: JoinHandle<()>,
    /// Closing it ends the thread.
    wake: OwnedFd,
}

/// What the thread waits with.
#[derive(Debug)]
pub(super) struct Bell {
    woken: OwnedFd,
    reached: Cell<bool>,
}

impl Bell {
    /// Waits until something can be read or `timeout` has passed: true. False when the thread is to end.
    pub(super) fn wait(&self, others: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<bool, Errno> {
        let mut waits = vec![PollFd::new(&self.woken, PollFlags::IN)];
        waits.extend(others.iter().map(|other| PollFd::from_borrowed_fd(*other, PollFlags::IN)));
        // A span beyond what the system can count is without end.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match rustix::event::poll(&mut waits, timeout.as_ref()) {
            Ok(_) => Ok(waits[0].revents().is_empty()),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The system answers: its next failure is news, and it is tried again soon after.
    pub(super) fn reached(&self) {
        self.reached.set(true);
    }
}

impl Watching {
    /// Starts a thread that lives in `watch` until that returns `Ok`, which it does when the bell says so. After an error
    /// `fallen` says that nothing is known any more, once per failure, and `watch` is called again after a pause. `None`
    /// when the system refuses a pipe or a thread; `fallen` has been called then.
    pub(super) fn start<E: std::error::Error + 'static>(
        name: &'static str,
        fallen: impl Fn() + Clone + Send + 'static,
        mut watch: impl FnMut(&Bell) -> Result<(), E> + Send + 'static,
    ) -> Option<Self> {
        let refused = |error: io::Error| {
            tracing::error!(error = &error as &dyn std::error::Error, name, "a sensor cannot start");
        };
        let (woken, wake) = match rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) {
            Ok(ends) => ends,
            Err(error) => {
                refused(error.into());
                fallen();
                return None;
            }
        };
        let bell = Bell { woken, reached: Cell::new(true) };
        let unknown = fallen.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut pause = FIRST_PAUSE;
            loop {
                let Err(error) = watch(&bell) else { return };
                if bell.reached.replace(false) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, name, "a sensor has failed and is tried again");
                    unknown();
                    pause = FIRST_PAUSE;
                }
                let until = Instant::now() + pause;
                while let Some(left) = until.checked_duration_since(Instant::now()) {
                    // A poll that cannot wait would make this a busy loop; there is nothing left to try.
                    if !bell.wait(&[], Some(left)).unwrap_or(false) {
                        return;
                    }
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        match thread {
            Ok(thread) => Some(Self { thread, wake }),
            Err(error) => {
                refused(error);
                fallen();
                None
            }
        }
    }

    /// Ends the thread. One that hangs in its system is left behind: it ends with the process.
    pub(super) fn stop(self) {
        drop(self.wake);
        end(self.thread);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const BOUND: Duration = Duration::from_secs(20);

    #[test]
    fn a_system_that_fails_is_tried_less_and_less_often_until_it_answers() {
        let (try_, tries) = mpsc::channel();
        let (say, said) = mpsc::channel();
        let mut attempts = 0;
        let watching = Watching::start(
            "hearth-test",
            move || say.send(()).unwrap(),
            move |bell| -> Result<(), io::Error> {
                try_.send(Instant::now()).unwrap();
                attempts += 1;
                if attempts == 3 {
                    bell.reached();
                }
                Err(io::ErrorKind::ConnectionRefused.into())
            },
        )
        .unwrap();
        let at: Vec<Instant> = (0..4).map(|_| tries.recv_timeout(BOUND).unwrap()).collect();
        let pauses: Vec<u64> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 1], "in whole seconds");
        watching.stop();
        assert_eq!(said.try_iter().count(), 2, "once at first, once after it had answered");
    }

    #[test]
    fn a_thread_that_is_told_to_end_ends_at_once() {
        let (here, there) = mpsc::channel();
        let watching = Watching::start(
            "hearth-test",
            || {},
            move |bell| -> Result<(), Errno> {
                here.send(()).unwrap();
                while bell.wait(&[], None)? {}
                Ok(())
            },
        )
        .unwrap();
        there.recv_timeout(BOUND).unwrap();
        let asked = Instant::now();
        watching.stop();
        assert!(asked.elapsed() < crate::signals::STOP_WITHIN);
    }
}
