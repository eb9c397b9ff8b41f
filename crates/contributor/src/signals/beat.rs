//! A thread that reads at intervals what its system does not push: often while the card works, seldom
//! otherwise.
//!
//! Whoever looks (`Source::look`) says with it that the card works, and the thread reads at once; without a
//! look for [`WORKS_FOR`] it falls back to the long interval. What is read and what is told of it is the
//! reader's.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::asking::end;

/// How long after the last look the card still counts as working.
const WORKS_FOR: Duration = Duration::from_secs(3);

/// The two intervals of a thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intervals {
    /// While the card works.
    pub(super) working: Duration,
    /// While it does not.
    pub(super) resting: Duration,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Beat {
    looked: mpsc::SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Beat {
    /// Starts a thread that makes its reader by `open` and then calls it at the intervals, with whether the
    /// card works. `None` when the system refuses a thread: the caller says then that nothing is known.
    pub(super) fn start<R: FnMut(bool) + 'static>(
        name: &str,
        intervals: Intervals,
        open: impl FnOnce() -> R + Send + 'static,
    ) -> Option<Self> {
        let (looked, looks) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut read = open();
            let mut looked_at = None;
            loop {
                let works = works(looked_at, Instant::now());
                read(works);
                let pause = if works { intervals.working } else { intervals.resting };
                match looks.recv_timeout(pause) {
                    Ok(()) => looked_at = Some(Instant::now()),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        match thread {
            Ok(thread) => Some(Self { looked, thread }),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, name, "a sensor's thread cannot start");
                None
            }
        }
    }

    /// Says that the card works.
    pub(super) fn look(&self) {
        // A look that waits to be noticed says the same.
        if let Err(mpsc::TrySendError::Disconnected(())) = self.looked.try_send(()) {
            tracing::error!("a sensor's thread has ended");
        }
    }

    /// Ends the thread after the reading under way.
    pub(super) fn stop(self) {
        drop(self.looked);
        end(self.thread);
    }
}

fn works(looked_at: Option<Instant>, now: Instant) -> bool {
    looked_at.is_some_and(|at| now.saturating_duration_since(at) < WORKS_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn the_card_works_for_three_seconds_after_a_look() {
        let looked_at = Instant::now();
        assert!(works(Some(looked_at), looked_at + Duration::from_millis(2999)));
        assert!(!works(Some(looked_at), looked_at + WORKS_FOR), "nobody has looked since");
        assert!(!works(None, looked_at), "nobody has ever looked");
    }

    #[test]
    fn a_look_is_followed_by_readings_at_the_short_interval() {
        let (told, readings) = mpsc::channel();
        let intervals = Intervals { working: Duration::from_millis(1), resting: LONG };
        let beat = Beat::start("test", intervals, move || {
            move |works| {
                let _ = told.send(works);
            }
        })
        .unwrap();
        let next = || readings.recv_timeout(Duration::from_secs(20)).expect("a reading");
        assert!(!next(), "the first reading comes before any look");
        beat.look();
        for _ in 0..3 {
            assert!(next(), "no second look is needed");
        }
        beat.stop();
    }

    #[test]
    fn a_thread_between_two_readings_ends_at_once() {
        let intervals = Intervals { working: LONG, resting: LONG };
        let beat = Beat::start("test", intervals, || |_| {}).unwrap();
        let asked = Instant::now();
        beat.stop();
        assert!(asked.elapsed() < super::super::STOP_WITHIN, "it waits for the end as well as for the time");
    }
}
