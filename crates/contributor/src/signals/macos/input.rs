//! Mouse and keyboard, and the session, asked for: macOS pushes input only to programs that the owner has
//! allowed to watch her, and Hearth never asks for that. The event source tells only when, to everybody.

use std::time::{Duration, Instant};

use network::Clock;

use super::frameworks::{CGEventSourceSecondsSinceLastEventType, CGSessionCopyCurrentDictionary, Owned};
use super::reading;
use crate::signals::beat::{Beat, Intervals};
use crate::signals::presence::Presence;
use crate::signals::{Change, Outlet, Reading, Session, Unknown};

/// No push is to be had here. A return and the hand-back after it are to take less than 100 ms together (DESIGN.md §1), so
/// the look comes every 30 ms while the card works; an absence may be noticed a second late.
const INTERVALS: Intervals =
    Intervals { working: Duration::from_millis(30), resting: Duration::from_secs(1) };
/// The window server is asked about the session less often.
const SESSION_EVERY: Duration = Duration::from_secs(1);

/// kCGEventSourceStateCombinedSessionState: who shares the screen from afar counts as well.
const COMBINED_SESSION_STATE: i32 = 0;
/// kCGAnyInputEventType.
const ANY_INPUT: u32 = u32::MAX;

/// Starts the thread.
pub(super) fn watch(outlet: Outlet, clock: Clock) -> Option<Beat> {
    Beat::start("hearth-input", INTERVALS, move || {
        let mut presence = Presence::default();
        let (mut failed, mut session_at, mut session_told) = (false, None::<Instant>, None);
        move |_works| {
            match idle() {
                Some(idle) => {
                    failed = false;
                    if let Some(input) = presence.note(idle, clock()) {
                        outlet(Change::Input(Reading::Known(input)));
                    }
                }
                None => {
                    presence.forget();
                    if !std::mem::replace(&mut failed, true) {
                        outlet(Change::Input(Reading::Unknown(Unknown::Failed)));
                    }
                }
            }
            if session_at.is_none_or(|at| at.elapsed() >= SESSION_EVERY) {
                session_at = Some(Instant::now());
                let session = session();
                if session_told.replace(session) != Some(session) {
                    outlet(Change::Session(session));
                }
            }
        }
    })
}

#[expect(unsafe_code, reason = "std does not tell of input")]
fn idle() -> Option<Duration> {
    // SAFETY: the call takes no pointers.
    let seconds = unsafe { CGEventSourceSecondsSinceLastEventType(COMBINED_SESSION_STATE, ANY_INPUT) };
    reading::idle(seconds)
}

#[expect(unsafe_code, reason = "std does not tell of sessions")]
fn session() -> Reading<Session> {
    // SAFETY: the call hands the dictionary over; it gives none outside of a session with a screen.
    let Some(session) = (unsafe { Owned::take(CGSessionCopyCurrentDictionary()) }) else {
        return Reading::Unknown(Unknown::NoSource);
    };
    let says = |name| session.look().named(name).and_then(|value| value.boolean());
    reading::session(says(c"CGSSessionScreenIsLocked"), says(c"kCGSSessionOnConsoleKey"))
}
