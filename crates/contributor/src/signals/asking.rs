//! A thread that reads values when it is asked to, so that a slow disk or a hanging driver holds nobody else up.

use std::sync::mpsc;
use std::thread::JoinHandle;

use super::{Change, Outlet, Wanted};

/// The thread. It sleeps between two questions.
#[derive(Debug)]
pub(super) struct Asking {
    ask: mpsc::SyncSender<Wanted>,
    thread: JoinHandle<()>,
}

impl Asking {
    /// Starts a thread that makes its reader by `open` and answers each question with what that reads. `None` when the
    /// system refuses a thread: the caller says then that nothing is known.
    pub(super) fn start<R>(
        name: &str,
        open: impl FnOnce() -> R + Send + 'static,
        outlet: Outlet,
    ) -> Option<Self>
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
    pub(super) fn ask(&self, wanted: &Wanted) {
        match self.ask.try_send(wanted.clone()) {
            Ok(()) | Err(mpsc::TrySendError::Full(_)) => {}
            Err(mpsc::TrySendError::Disconnected(_)) => tracing::error!("a sensor's thread has ended"),
        }
    }

    /// Ends the thread after the answer under way. One that hangs in its system is left behind: it ends with the process.
    pub(super) fn stop(self) {
        drop(self.ask);
        let deadline = std::time::Instant::now() + super::STOP_WITHIN;
        while !self.thread.is_finished() {
            if std::time::Instant::now() >= deadline {
                tracing::error!("a sensor's thread hangs and is left behind");
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if self.thread.join().is_err() {
            tracing::error!("a sensor's thread panicked");
        }
    }
}
