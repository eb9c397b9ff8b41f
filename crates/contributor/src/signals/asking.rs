//! Threads that read values when they are asked to, so that a slow disk or a hanging driver holds nobody else up, and how
//! every thread of a source ends.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Change, Outlet, Quick, STOP_WITHIN, Slow, Unknown, Wanted};

/// Between two looks at a thread that is about to end.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The thread. It sleeps between two questions.
#[derive(Debug)]
struct Asking {
    ask: mpsc::SyncSender<Wanted>,
    thread: JoinHandle<()>,
}

impl Asking {
    /// Starts a thread that makes its reader by `open` and answers each question with what that reads. `None` when the
    /// system refuses a thread: the caller says then that nothing is known.
    fn start<R>(name: &str, open: impl FnOnce() -> R + Send + 'static, outlet: Outlet) -> Option<Self>
    where
        R: FnMut(&Wanted) -> Change + 'static,
    {
        let (ask, asked) = mpsc::sync_channel::<Wanted>(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut read = open();
            while let Ok(wanted) = asked.recv() {
                outlet(read(&wanted));
            }
        });
        match thread {
            Ok(thread) => Some(Self { ask, thread }),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    name,
                    "a sensor's thread cannot start"
                );
                None
            }
        }
    }

    /// Asks; dropped while an answer is under way and another question waits.
    fn ask(&self, wanted: &Wanted) {
        match self.ask.try_send(wanted.clone()) {
            Ok(()) | Err(mpsc::TrySendError::Full(_)) => {}
            Err(mpsc::TrySendError::Disconnected(_)) => tracing::error!("a sensor's thread has ended"),
        }
    }

    /// Ends the thread after the answer under way.
    fn stop(self) {
        drop(self.ask);
        end(self.thread);
    }
}

/// The two threads that every source has: one for the quick values and one for the slow ones, so that a slow disk
/// delays no look.
#[derive(Debug, Default)]
pub(super) struct Questions {
    quick: Option<Asking>,
    slow: Option<Asking>,
}

impl Questions {
    /// Starts both; a thread that the system refuses leaves its values unknown, and says so.
    pub(super) fn start<Q, S>(
        outlet: &Outlet,
        quick: impl FnOnce() -> Q + Send + 'static,
        slow: impl FnOnce() -> S + Send + 'static,
    ) -> Self
    where
        Q: FnMut(&Wanted) -> Quick + 'static,
        S: FnMut(&Wanted) -> Slow + 'static,
    {
        let quick = || {
            let mut read = quick();
            move |wanted: &Wanted| Change::Quick(Box::new(read(wanted)))
        };
        let quick = Asking::start("hearth-look", quick, Arc::clone(outlet));
        if quick.is_none() {
            outlet(Change::Quick(Box::new(Quick::unknown(Unknown::Failed))));
        }
        let slow = || {
            let mut read = slow();
            move |wanted: &Wanted| Change::Slow(Box::new(read(wanted)))
        };
        let slow = Asking::start("hearth-sensors", slow, Arc::clone(outlet));
        if slow.is_none() {
            outlet(Change::Slow(Box::new(Slow::unknown(Unknown::Failed))));
        }
        Self { quick, slow }
    }

    /// Asks for the quick values.
    pub(super) fn look(&self, wanted: &Wanted) {
        if let Some(quick) = &self.quick {
            quick.ask(wanted);
        }
    }

    /// Asks for the slow values.
    pub(super) fn poll(&self, wanted: &Wanted) {
        if let Some(slow) = &self.slow {
            slow.ask(wanted);
        }
    }

    /// Ends both threads.
    pub(super) fn stop(&mut self) {
        for asking in [self.quick.take(), self.slow.take()].into_iter().flatten() {
            asking.stop();
        }
    }
}

/// Waits for a sensor's thread that has been told to end. One that hangs in its system is left behind: it ends with the
/// process.
pub(super) fn end(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let deadline = Instant::now() + STOP_WITHIN;
    // A thread's end is told to nobody but whoever joins it, and a join has no bound.
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            tracing::error!(name, "a sensor's thread hangs and is left behind");
            return;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    if thread.join().is_err() {
        tracing::error!(name, "a sensor's thread panicked");
    }
}
