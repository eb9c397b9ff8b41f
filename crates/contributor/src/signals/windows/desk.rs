//! What Windows tells its windows: power, battery saver, session, sleep and shut-down.
//!
//! One thread owns one window that is never shown, and sleeps until a message comes. It is an ordinary
//! top-level window: a message-only window is left out when the system announces sleep or its end. The
//! window's state is the thread's, so that no pointer to it travels through the system.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Power::{
    HPOWERNOTIFY, RegisterPowerSettingNotification, RegisterSuspendResumeNotification,
    UnregisterPowerSettingNotification, UnregisterSuspendResumeNotification,
};
use windows_sys::Win32::System::RemoteDesktop::{
    NOTIFY_FOR_THIS_SESSION, WTSRegisterSessionNotification, WTSUnRegisterSessionNotification,
};
use windows_sys::Win32::System::SystemServices::{GUID_ACDC_POWER_SOURCE, GUID_POWER_SAVING_STATUS};
use windows_sys::Win32::System::Threading::GetCurrentThreadId;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DEVICE_NOTIFY_WINDOW_HANDLE, DefWindowProcW, DestroyWindow, DispatchMessageW,
    GetMessageW, MSG, PBT_APMPOWERSTATUSCHANGE, PBT_APMRESUMEAUTOMATIC, PBT_APMRESUMECRITICAL,
    PBT_APMRESUMESUSPEND, PBT_APMSUSPEND, PBT_POWERSETTINGCHANGE, PostThreadMessageW, RegisterClassExW,
    UnregisterClassW, WM_ENDSESSION, WM_POWERBROADCAST, WM_QUERYENDSESSION, WM_QUIT, WM_WTSSESSION_CHANGE,
    WNDCLASSEXW, WS_OVERLAPPED, WTS_SESSION_LOCK, WTS_SESSION_UNLOCK,
};
use windows_sys::core::{PCWSTR, w};

use super::state;
use crate::signals::asking::end;
use crate::signals::{Change, Outlet, Power, Reading, Session, Unknown};

/// The name of the window's class, in this program only.
const CLASS: PCWSTR = w!("HearthSensors");

thread_local! {
    /// The state of this thread's window.
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// The thread.
#[derive(Debug)]
pub(super) struct Watch {
    ending: Arc<Ending>,
    thread: JoinHandle<()>,
}

/// How the thread is told to end.
#[derive(Debug, Default)]
struct Ending {
    asked: AtomicBool,
    /// Where to send the message that ends it; 0 until it can take one.
    thread_id: AtomicU32,
}

/// A step of setting the window up, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
struct DeskError {
    step: &'static str,
    #[source]
    source: io::Error,
}

fn failed(step: &'static str) -> DeskError {
    DeskError { step, source: io::Error::last_os_error() }
}

/// Starts the thread.
pub(super) fn watch(outlet: Outlet) -> Option<Watch> {
    let ending = Arc::new(Ending::default());
    let (told, tell) = (Arc::clone(&ending), outlet.clone());
    let thread = std::thread::Builder::new().name("hearth-desk".to_owned()).spawn(move || {
        let unknown = tell.clone();
        if let Err(error) = run(&told, tell) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "power and session are unknown");
            tell_unknown(&unknown);
        }
    });
    match thread {
        Ok(thread) => Some(Watch { ending, thread }),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "no thread for the sensors' window");
            tell_unknown(&outlet);
            None
        }
    }
}

fn tell_unknown(outlet: &Outlet) {
    outlet(Change::Power(Reading::Unknown(Unknown::Failed)));
    outlet(Change::PowerSaver(Reading::Unknown(Unknown::Failed)));
    outlet(Change::Session(Reading::Unknown(Unknown::Failed)));
}

impl Watch {
    /// Ends the thread.
    #[expect(unsafe_code, reason = "a message to a thread is the system's")]
    pub(super) fn stop(self) {
        // A thread that can take no message yet looks at the flag as soon as it can.
        self.ending.asked.store(true, Ordering::SeqCst);
        let thread_id = self.ending.thread_id.load(Ordering::SeqCst);
        if thread_id != 0 {
            // SAFETY: the call takes no pointers. The thread is not joined yet, so the number is no other's.
            unsafe { PostThreadMessageW(thread_id, WM_QUIT, 0, 0) };
        }
        end(self.thread);
    }
}

/// Tells the present state, then what the messages say, until the thread is told to end.
#[expect(unsafe_code, reason = "messages are the system's")]
fn run(ending: &Ending, outlet: Outlet) -> Result<(), DeskError> {
    DESK.set(Some(Desk::new(outlet)));
    let window = Window::open()?;
    // SAFETY: the call takes nothing. A thread with a window can take messages.
    ending.thread_id.store(unsafe { GetCurrentThreadId() }, Ordering::SeqCst);
    with_desk(Desk::tell_power);
    with_desk(|desk| desk.tell_session(None));
    let mut message = MSG::default();
    while !ending.asked.load(Ordering::SeqCst) {
        // SAFETY: the call writes only to the local whose address it gets.
        let more = unsafe { GetMessageW(&raw mut message, std::ptr::null_mut(), 0, 0) };
        if more == 0 {
            break;
        }
        if more < 0 {
            return Err(failed("wait for a message"));
        }
        // SAFETY: the message is the one that the call above has filled in.
        unsafe { DispatchMessageW(&raw const message) };
    }
    drop(window);
    Ok(())
}

/// Does something with the state of this thread's window.
fn with_desk(f: impl FnOnce(&mut Desk)) {
    DESK.with(|desk| {
        // Windows calls a window anew while it is within a call of the system's: ours ask for no messages, so
        // the state is free. Were it not, the next message would tell.
        if let Ok(mut desk) = desk.try_borrow_mut()
            && let Some(desk) = desk.as_mut()
        {
            f(desk);
        }
    });
}

/// The window and what it is registered for; all of it ends with this.
#[derive(Debug)]
struct Window {
    handle: HWND,
    settings: Vec<HPOWERNOTIFY>,
    suspend: HPOWERNOTIFY,
}

impl Window {
    #[expect(unsafe_code, reason = "std has no windows")]
    fn open() -> Result<Self, DeskError> {
        // SAFETY: no name means this program, whose handle needs no closing.
        let instance = unsafe { GetModuleHandleW(std::ptr::null()) };
        let class = WNDCLASSEXW {
            cbSize: size_of::<WNDCLASSEXW>() as u32,
            lpfnWndProc: Some(on_message),
            hInstance: instance,
            lpszClassName: CLASS,
            ..Default::default()
        };
        // SAFETY: the structure and the name in it outlive the call. A class that is there already is ours,
        // of a source before this one, and the same.
        unsafe { RegisterClassExW(&raw const class) };
        // SAFETY: both names end with NUL; no parent and no menu are given.
        let handle = unsafe {
            CreateWindowExW(
                0,
                CLASS,
                w!("Hearth"),
                WS_OVERLAPPED,
                0,
                0,
                0,
                0,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                instance,
                std::ptr::null(),
            )
        };
        if handle.is_null() {
            return Err(failed("open a window for the sensors"));
        }
        // What cannot be registered is told less promptly: the power's state comes with another message as
        // well.
        // SAFETY: the window is this thread's, and the numbers of the settings outlive the calls.
        let settings = [GUID_ACDC_POWER_SOURCE, GUID_POWER_SAVING_STATUS].map(|setting| unsafe {
            RegisterPowerSettingNotification(handle, &raw const setting, DEVICE_NOTIFY_WINDOW_HANDLE)
        });
        // SAFETY: the window is this thread's. Where the system sleeps connected, only the registered are
        // told.
        let suspend = unsafe { RegisterSuspendResumeNotification(handle, DEVICE_NOTIFY_WINDOW_HANDLE) };
        // SAFETY: the window is this thread's.
        if unsafe { WTSRegisterSessionNotification(handle, NOTIFY_FOR_THIS_SESSION) } == 0 {
            let error = io::Error::last_os_error();
            tracing::warn!(error = &error as &dyn std::error::Error, "locks and unlocks will not be told");
        }
        let settings = settings.into_iter().filter(|setting| *setting != 0).collect();
        Ok(Self { handle, settings, suspend })
    }
}

impl Drop for Window {
    #[expect(unsafe_code, reason = "std has no windows")]
    fn drop(&mut self) {
        for setting in self.settings.drain(..) {
            // SAFETY: the registration was made with the window and is ended once.
            unsafe { UnregisterPowerSettingNotification(setting) };
        }
        if self.suspend != 0 {
            // SAFETY: the registration was made with the window and is ended once.
            unsafe { UnregisterSuspendResumeNotification(self.suspend) };
        }
        // SAFETY: the window is this thread's and still there; its class goes once no other source has a
        // window of it.
        unsafe {
            WTSUnRegisterSessionNotification(self.handle);
            DestroyWindow(self.handle);
            UnregisterClassW(CLASS, GetModuleHandleW(std::ptr::null()));
        }
    }
}

/// What Windows calls with each message.
#[expect(unsafe_code, reason = "the system calls it")]
unsafe extern "system" fn on_message(window: HWND, message: u32, what: WPARAM, detail: LPARAM) -> LRESULT {
    let event = what as u32;
    match message {
        WM_POWERBROADCAST => {
            match event {
                PBT_APMSUSPEND => with_desk(|desk| desk.tell_falling_asleep(true)),
                PBT_APMRESUMEAUTOMATIC | PBT_APMRESUMESUSPEND | PBT_APMRESUMECRITICAL => with_desk(|desk| {
                    desk.tell_falling_asleep(false);
                    desk.tell_power();
                }),
                PBT_APMPOWERSTATUSCHANGE | PBT_POWERSETTINGCHANGE => with_desk(Desk::tell_power),
                _ => {}
            }
            1
        }
        WM_WTSSESSION_CHANGE => {
            let locked = match event {
                WTS_SESSION_LOCK => Some(true),
                WTS_SESSION_UNLOCK => Some(false),
                _ => None,
            };
            with_desk(|desk| desk.tell_session(locked));
            0
        }
        // Nothing of ours holds the shut-down up.
        WM_QUERYENDSESSION => {
            with_desk(|desk| desk.tell_falling_asleep(true));
            1
        }
        WM_ENDSESSION => {
            // Somebody else has refused it where the message says 0.
            with_desk(|desk| desk.tell_falling_asleep(what != 0));
            0
        }
        // SAFETY: these are the arguments that the system has called with.
        _ => unsafe { DefWindowProcW(window, message, what, detail) },
    }
}

/// What was told last.
struct Desk {
    outlet: Outlet,
    power: Option<Reading<Power>>,
    power_saver: Option<Reading<bool>>,
    session: Option<Reading<Session>>,
    falling_asleep: bool,
    /// What the last message about it said.
    locked: Option<bool>,
}

impl Desk {
    fn new(outlet: Outlet) -> Self {
        Self { outlet, power: None, power_saver: None, session: None, falling_asleep: false, locked: None }
    }

    fn tell_power(&mut self) {
        let (power, saver) = state::power();
        if self.power.replace(power) != Some(power) {
            (self.outlet)(Change::Power(power));
        }
        if self.power_saver.replace(saver) != Some(saver) {
            (self.outlet)(Change::PowerSaver(saver));
        }
    }

    fn tell_session(&mut self, locked: Option<bool>) {
        self.locked = locked.or(self.locked);
        let session = state::session(self.locked);
        if self.session.replace(session) != Some(session) {
            (self.outlet)(Change::Session(session));
        }
    }

    fn tell_falling_asleep(&mut self, falling_asleep: bool) {
        if std::mem::replace(&mut self.falling_asleep, falling_asleep) != falling_asleep {
            (self.outlet)(Change::FallingAsleep(falling_asleep));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use windows_sys::Win32::UI::WindowsAndMessaging::{EnumThreadWindows, SendMessageW};

    use super::*;

    /// Notes the first top-level window.
    #[expect(unsafe_code, reason = "the system calls it")]
    unsafe extern "system" fn keep(window: HWND, place: LPARAM) -> i32 {
        let place = std::ptr::with_exposed_provenance_mut::<HWND>(place.cast_unsigned());
        // SAFETY: the test gave the address of a local that outlives the call.
        unsafe { *place = window };
        0
    }

    #[test]
    #[expect(unsafe_code, reason = "the test sends what the system would")]
    fn messages_of_the_system_are_told_and_the_thread_ends_when_it_is_told_to() {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send(change)));
        let watch = watch(outlet).unwrap();
        let next = || changes.recv_timeout(Duration::from_secs(20)).expect("the window must tell");
        for _ in 0..3 {
            let change = next();
            assert!(
                matches!(change, Change::Power(_) | Change::PowerSaver(_) | Change::Session(_)),
                "first the present state: {change:?}"
            );
        }
        let mut window: HWND = std::ptr::null_mut();
        let thread_id = watch.ending.thread_id.load(Ordering::SeqCst);
        // SAFETY: the callback gets the address of the local, which outlives the call.
        unsafe {
            EnumThreadWindows(thread_id, Some(keep), (&raw mut window).expose_provenance().cast_signed())
        };
        assert!(!window.is_null(), "it is a top-level window, or the system would not announce sleep to it");
        let says = |message, what: u32, detail| {
            // SAFETY: the window is there until the thread is stopped below; none of these messages carries a
            // pointer.
            unsafe { SendMessageW(window, message, what as WPARAM, detail) }
        };
        says(WM_POWERBROADCAST, PBT_APMSUSPEND, 0);
        assert_eq!(next(), Change::FallingAsleep(true));
        says(WM_POWERBROADCAST, PBT_APMRESUMEAUTOMATIC, 0);
        says(WM_POWERBROADCAST, PBT_APMRESUMESUSPEND, 0);
        assert_eq!(next(), Change::FallingAsleep(false));
        assert_eq!(says(WM_QUERYENDSESSION, 0, 0), 1, "the shut-down is not held up");
        assert_eq!(next(), Change::FallingAsleep(true), "the second message of waking told nothing new");
        says(WM_ENDSESSION, 0, 0);
        assert_eq!(next(), Change::FallingAsleep(false), "another program refused the shut-down");

        let asked = Instant::now();
        watch.stop();
        assert!(asked.elapsed() < crate::signals::STOP_WITHIN, "the thread must end when it is told to");
    }
}
