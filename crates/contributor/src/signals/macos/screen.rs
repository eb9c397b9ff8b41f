//! Whether a program fills the screen or keeps it on, and whether the system saves power: asked for, on a
//! thread of its own, so that a window server that hangs does not delay the notice of input. Of windows only
//! place and layer are looked at; titles would need the owner's leave to record the screen, which Hearth
//! never asks for.

use std::ffi::{CStr, c_void};
use std::time::Duration;

use super::frameworks::{
    CGDisplayBounds, CGGetActiveDisplayList, CGRect, CGRectMakeWithDictionaryRepresentation,
    CGWindowListCopyWindowInfo, IOPMCopyAssertionsStatus, Owned, kCGWindowBounds, kCGWindowLayer,
    objc_getClass, objc_msgSend, sel_registerName,
};
use super::reading::{self, Place};
use crate::signals::beat::{Beat, Intervals};
use crate::signals::{Change, Outlet, Reading, Unknown};

/// It is asked while the card rests too: that a film has ended must be noticed before the card can work
/// again.
const INTERVALS: Intervals = Intervals { working: Duration::from_secs(2), resting: Duration::from_secs(5) };

/// kCGWindowListOptionOnScreenOnly and kCGWindowListExcludeDesktopElements.
const ON_SCREEN: u32 = 1 | 16;
/// More displays nobody has.
const DISPLAYS: usize = 16;

/// Starts the thread.
pub(super) fn watch(outlet: Outlet) -> Option<Beat> {
    Beat::start("hearth-screen", INTERVALS, move || {
        let (mut told_fullscreen, mut told_inhibited, mut told_saver) = (None, None, None);
        move |_works| {
            let fullscreen = fullscreen();
            if told_fullscreen.replace(fullscreen) != Some(fullscreen) {
                outlet(Change::Fullscreen(fullscreen));
            }
            let inhibited = inhibited();
            if told_inhibited.replace(inhibited) != Some(inhibited) {
                outlet(Change::Inhibited(inhibited));
            }
            let saver = power_saver();
            if told_saver.replace(saver) != Some(saver) {
                outlet(Change::PowerSaver(saver));
            }
        }
    })
}

#[expect(unsafe_code, reason = "std does not tell of the screen")]
fn fullscreen() -> Reading<bool> {
    let (mut displays, mut count) = ([0; DISPLAYS], 0);
    // SAFETY: the call writes no more displays than it is told, and their number to the local whose address
    // it gets.
    let code = unsafe { CGGetActiveDisplayList(DISPLAYS as u32, displays.as_mut_ptr(), &raw mut count) };
    if code != 0 {
        return Reading::Unknown(Unknown::Failed);
    }
    // SAFETY: the call takes no pointers.
    let bounds =
        displays.iter().take(count as usize).map(|display| place(unsafe { CGDisplayBounds(*display) }));
    let bounds: Vec<Place> = bounds.collect();
    // SAFETY: the call hands the list over; it gives none outside of a session with a screen.
    let Some(list) = (unsafe { Owned::take(CGWindowListCopyWindowInfo(ON_SCREEN, 0)) }) else {
        return Reading::Unknown(Unknown::NoSource);
    };
    let windows = list.look().items().filter_map(|window| {
        // SAFETY: both keys are the system's and are there as long as the program runs.
        let (layer, bounds) = unsafe { (window.get(kCGWindowLayer)?, window.get(kCGWindowBounds)?) };
        let mut rect = CGRect::default();
        // SAFETY: the dictionary is alive, and the call writes only to the local whose address it gets.
        let read = unsafe { CGRectMakeWithDictionaryRepresentation(bounds.raw(), &raw mut rect) };
        read.then_some((layer.number()?, place(rect)))
    });
    let windows: Vec<(i64, Place)> = windows.collect();
    Reading::Known(reading::fullscreen(&windows, &bounds))
}

fn place(rect: CGRect) -> Place {
    [rect.x, rect.y, rect.width, rect.height]
}

/// Whether some program keeps the screen on: the system tells that one does, and who is not asked.
#[expect(unsafe_code, reason = "std does not tell of the screen")]
fn inhibited() -> Reading<bool> {
    let mut status = std::ptr::null();
    // SAFETY: the call writes only to the local, and hands over what it writes.
    let status = unsafe {
        let code = IOPMCopyAssertionsStatus(&raw mut status);
        Owned::take(status).filter(|_| code == 0)
    };
    let Some(status) = status else { return Reading::Unknown(Unknown::Failed) };
    // A kind that nobody has asked for may be missing.
    let level = status.look().named(c"PreventUserIdleDisplaySleep").and_then(|level| level.number());
    Reading::Known(level.unwrap_or(0) != 0)
}

/// What `NSProcessInfo` says of low power and of heat.
#[expect(unsafe_code, reason = "messages of Objective-C")]
fn power_saver() -> Reading<bool> {
    type Ask<T> = unsafe extern "C" fn(*mut c_void, *const c_void) -> T;
    type AskWhether = unsafe extern "C" fn(*mut c_void, *const c_void, *const c_void) -> u8;
    let call = objc_msgSend as unsafe extern "C" fn();
    // SAFETY: a message is sent by calling this as a function of the message's own type, which are those of
    // NSObject.h and NSProcessInfo.h: BOOL has eight bits and NSInteger is as wide as a pointer.
    let (object, truth, whether, whole) = unsafe {
        (
            std::mem::transmute::<unsafe extern "C" fn(), Ask<*mut c_void>>(call),
            std::mem::transmute::<unsafe extern "C" fn(), Ask<u8>>(call),
            std::mem::transmute::<unsafe extern "C" fn(), AskWhether>(call),
            std::mem::transmute::<unsafe extern "C" fn(), Ask<isize>>(call),
        )
    };
    // SAFETY: the names end with NUL.
    let selector = |name: &CStr| unsafe { sel_registerName(name.as_ptr()) };
    // SAFETY: the name ends with NUL.
    let class = unsafe { objc_getClass(c"NSProcessInfo".as_ptr()) };
    if class.is_null() {
        return Reading::Unknown(Unknown::Failed);
    }
    // SAFETY: the class answers this message with the one object of its kind, which lives as long as the
    // program.
    let info = unsafe { object(class, selector(c"processInfo")) };
    if info.is_null() {
        return Reading::Unknown(Unknown::Failed);
    }
    let low_power = selector(c"isLowPowerModeEnabled");
    // SAFETY: every object answers the first message; the second is sent only to one that says it answers it.
    let low_power = unsafe {
        (whether(info, selector(c"respondsToSelector:"), low_power) != 0).then(|| truth(info, low_power) != 0)
    };
    // SAFETY: the object answers this since macOS 10.10.3, which is older than any that Hearth runs on.
    let thermal_state = unsafe { whole(info, selector(c"thermalState")) };
    reading::power_saver(low_power, thermal_state)
}
