//! Power and session as Windows tells them when it is asked; `desk` asks when it was told that they have
//! changed.

use windows_sys::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};
use windows_sys::Win32::System::RemoteDesktop::{
    WTS_CURRENT_SERVER_HANDLE, WTS_CURRENT_SESSION, WTSFreeMemory, WTSINFOEXW, WTSQuerySessionInformationW,
    WTSSessionInfoEx,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{GetSystemMetrics, SM_REMOTESESSION};

use super::reading;
use crate::signals::{Power, Reading, Session, Unknown};

/// Where the electricity comes from, and whether the battery saver is on.
#[expect(unsafe_code, reason = "std does not tell of power")]
pub(super) fn power() -> (Reading<Power>, Reading<bool>) {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: the call writes only to the local whose address it gets.
    if unsafe { GetSystemPowerStatus(&raw mut status) } == 0 {
        return (Reading::Unknown(Unknown::Failed), Reading::Unknown(Unknown::Failed));
    }
    let power = reading::power(status.ACLineStatus, status.BatteryFlag, status.BatteryLifePercent);
    (power, reading::power_saver(status.SystemStatusFlag))
}

/// The session of this program. `locked` is what the last message about it said, where one has come.
#[expect(unsafe_code, reason = "std does not tell of sessions")]
pub(super) fn session(locked: Option<bool>) -> Reading<Session> {
    let (mut buffer, mut bytes) = (std::ptr::null_mut(), 0);
    // SAFETY: the call writes only to the locals whose addresses it gets.
    let answer = unsafe {
        WTSQuerySessionInformationW(
            WTS_CURRENT_SERVER_HANDLE,
            WTS_CURRENT_SESSION,
            WTSSessionInfoEx,
            &raw mut buffer,
            &raw mut bytes,
        )
    };
    if answer == 0 || buffer.is_null() {
        return Reading::Unknown(Unknown::Failed);
    }
    let info = (bytes as usize >= size_of::<WTSINFOEXW>())
        // SAFETY: the buffer is at least as long as the structure that this question is answered with.
        .then(|| unsafe { buffer.cast::<WTSINFOEXW>().read_unaligned() })
        .filter(|info| info.Level == 1);
    // SAFETY: the buffer comes from the call above and is not used after this.
    unsafe { WTSFreeMemory(buffer.cast()) };
    let Some(info) = info else { return Reading::Unknown(Unknown::Failed) };
    // SAFETY: level 1 is the only one and says that this is what the union holds.
    let level = unsafe { info.Data.WTSInfoExLevel1 };
    // SAFETY: the call takes no pointers.
    let remote = unsafe { GetSystemMetrics(SM_REMOTESESSION) } != 0;
    reading::session(level.SessionState, level.SessionFlags, remote, locked)
}
