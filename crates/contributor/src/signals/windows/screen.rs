//! Whether a program fills the screen, asked of the shell, which keeps account of it for its own
//! notifications. On a thread of its own: a shell that hangs must not delay the notice of input. No window's
//! title or owner is looked at.

use std::time::Duration;

use windows_sys::Win32::UI::Shell::SHQueryUserNotificationState;

use super::reading;
use crate::signals::beat::{Beat, Intervals};
use crate::signals::{Change, Outlet, Reading, Unknown};

/// It is asked while the card rests too: that a film has ended must be noticed before the card can work
/// again.
const INTERVALS: Intervals = Intervals { working: Duration::from_secs(2), resting: Duration::from_secs(5) };

/// Starts the thread.
pub(super) fn watch(outlet: Outlet) -> Option<Beat> {
    Beat::start("hearth-screen", INTERVALS, move || {
        let mut told = None;
        move |_works| {
            let fullscreen = fullscreen();
            if told.replace(fullscreen) != Some(fullscreen) {
                outlet(Change::Fullscreen(fullscreen));
            }
        }
    })
}

#[expect(unsafe_code, reason = "std does not tell of the screen")]
fn fullscreen() -> Reading<bool> {
    let mut state = 0;
    // SAFETY: the call writes only to the local whose address it gets.
    let result = unsafe { SHQueryUserNotificationState(&raw mut state) };
    if result < 0 { Reading::Unknown(Unknown::Failed) } else { reading::fullscreen(state) }
}
