//! Mouse, keyboard and gamepads, asked for: Windows pushes input only to the program in front, and a hook or
//! raw input would hand us what is typed, which is nobody's business. `GetLastInputInfo` tells only when.

use std::time::{Duration, Instant};

use network::Clock;
use windows_sys::Win32::Foundation::ERROR_SUCCESS;
use windows_sys::Win32::System::SystemInformation::GetTickCount;
use windows_sys::Win32::UI::Input::KeyboardAndMouse::{GetLastInputInfo, LASTINPUTINFO};
use windows_sys::Win32::UI::Input::XboxController::XINPUT_STATE;
use windows_sys::core::{s, w};

use super::library::call;
use super::reading::{self, Pad};
use crate::signals::beat::{Beat, Intervals};
use crate::signals::presence::Presence;
use crate::signals::{Change, Input, Outlet, Reading, Unknown};

/// No push is to be had here. A return and the hand-back after it are to take less than 100 ms together (DESIGN.md §1), so
/// the look comes every 30 ms while the card works; an absence may be noticed a second late.
const INTERVALS: Intervals =
    Intervals { working: Duration::from_millis(30), resting: Duration::from_secs(1) };

/// How often empty sockets are asked for a pad: Windows goes through all its devices for each.
const SEARCH_EVERY: Duration = Duration::from_secs(5);
/// XUSER_MAX_COUNT: more pads than these nobody can ask for.
const SOCKETS: usize = 4;

/// Starts the thread.
pub(super) fn watch(outlet: Outlet, clock: Clock) -> Option<Beat> {
    Beat::start("hearth-input", INTERVALS, move || {
        let mut keys = Keys::default();
        let mut pads = Pads::open();
        if pads.is_none() {
            outlet(Change::Gamepad(Reading::Unknown(Unknown::NoSource)));
        }
        move |works| {
            if let Some(input) = keys.read(&clock) {
                outlet(Change::Input(input));
            }
            if let Some(input) = pads.as_mut().and_then(|pads| pads.read(works, Instant::now(), &clock)) {
                outlet(Change::Gamepad(input));
            }
        }
    })
}

/// Mouse and keyboard, and everything else that counts as the owner's input: touch, pen, a remote session's.
#[derive(Debug, Default)]
struct Keys {
    presence: Presence,
    failed: bool,
}

impl Keys {
    /// What has changed since the last reading.
    fn read(&mut self, clock: &Clock) -> Option<Reading<Input>> {
        match idle() {
            Some(idle) => {
                self.failed = false;
                self.presence.note(idle, clock()).map(Reading::Known)
            }
            None => {
                self.presence.forget();
                let told = std::mem::replace(&mut self.failed, true);
                (!told).then_some(Reading::Unknown(Unknown::Failed))
            }
        }
    }
}

/// Time since the session's last input. A service has no session and gets no answer.
#[expect(unsafe_code, reason = "std does not tell of input")]
fn idle() -> Option<Duration> {
    let mut last = LASTINPUTINFO { cbSize: size_of::<LASTINPUTINFO>() as u32, dwTime: 0 };
    // SAFETY: the call writes only to the local whose address it gets, which says its size.
    let answer = unsafe { GetLastInputInfo(&raw mut last) };
    // SAFETY: the call takes nothing.
    let now = unsafe { GetTickCount() };
    (answer != 0).then(|| reading::idle(last.dwTime, now))
}

/// `XInputGetState` of xinput.h.
type GetState = unsafe extern "system" fn(u32, *mut XINPUT_STATE) -> u32;

/// The gamepads that speak XInput. Others are seen by no call that also works in the background.
#[derive(Debug)]
struct Pads {
    get_state: GetState,
    /// What each said last, where one is plugged in.
    plugged: [Option<Pad>; SOCKETS],
    searched_at: Option<Instant>,
    touched_at: Option<Instant>,
    presence: Presence,
    none_told: bool,
}

impl Pads {
    /// `None` on a Windows without XInput.
    #[expect(unsafe_code, reason = "a call is looked for by its name")]
    fn open() -> Option<Self> {
        let call = call(w!("xinput1_4.dll"), s!("XInputGetState"))?;
        // SAFETY: this is the call's type in its header, and the library stays loaded.
        let get_state =
            unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, GetState>(call) };
        Some(Self {
            get_state,
            plugged: [None; SOCKETS],
            searched_at: None,
            touched_at: None,
            presence: Presence::default(),
            none_told: false,
        })
    }

    /// What has changed since the last reading. Pads that are plugged in are asked always, or one that was in
    /// use when work stopped would seem to stay so; new ones are looked for only while the card works.
    fn read(&mut self, works: bool, now: Instant, clock: &Clock) -> Option<Reading<Input>> {
        let due = |at: Instant| now.saturating_duration_since(at) >= SEARCH_EVERY;
        let search = self.searched_at.is_none_or(|at| works && due(at));
        if search {
            self.searched_at = Some(now);
        }
        for socket in 0..SOCKETS {
            let before = self.plugged[socket];
            if before.is_none() && !search {
                continue;
            }
            let after = self.ask(socket);
            if let (Some(before), Some(after)) = (before, after)
                && reading::touched(before, after)
            {
                self.touched_at = Some(now);
            }
            // Plugging one in is a touch too, unless it was there when Hearth started.
            if before.is_none() && after.is_some() && self.none_told {
                self.touched_at = Some(now);
            }
            self.plugged[socket] = after;
        }
        if self.plugged.iter().all(Option::is_none) {
            self.presence.forget();
            let told = std::mem::replace(&mut self.none_told, true);
            return (!told).then_some(Reading::Unknown(Unknown::NoSource));
        }
        self.none_told = false;
        // Before the first touch nobody has touched it since it is known.
        let since =
            *self.touched_at.get_or_insert_with(|| now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
        self.presence.note(now.saturating_duration_since(since), clock()).map(Reading::Known)
    }

    #[expect(unsafe_code, reason = "std does not tell of gamepads")]
    fn ask(&self, socket: usize) -> Option<Pad> {
        let mut state = XINPUT_STATE::default();
        // SAFETY: the call writes only to the local whose address it gets.
        let answer = unsafe { (self.get_state)(socket as u32, &raw mut state) };
        let pad = state.Gamepad;
        (answer == ERROR_SUCCESS).then_some(Pad {
            packet: state.dwPacketNumber,
            buttons: pad.wButtons,
            triggers: [pad.bLeftTrigger, pad.bRightTrigger],
            sticks: [pad.sThumbLX, pad.sThumbLY, pad.sThumbRX, pad.sThumbRY],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use windows_sys::Win32::UI::Input::KeyboardAndMouse::{
        INPUT, INPUT_0, INPUT_MOUSE, MOUSEEVENTF_MOVE, MOUSEINPUT, SendInput,
    };

    use super::*;

    #[test]
    fn the_system_tells_when_the_last_input_was() {
        let first = idle().expect("a session tells");
        std::thread::sleep(Duration::from_millis(60));
        let then = idle().expect("a session tells");
        assert!(
            then >= first || then < Duration::from_secs(1),
            "it grows, or somebody is there: {first:?} {then:?}"
        );
    }

    /// A pointer moved by nothing is input like any other.
    #[expect(unsafe_code, reason = "std makes no input")]
    fn move_pointer() {
        let motion = MOUSEINPUT { dx: 1, dwFlags: MOUSEEVENTF_MOVE, ..Default::default() };
        let input = INPUT { r#type: INPUT_MOUSE, Anonymous: INPUT_0 { mi: motion } };
        // SAFETY: one input is given, of the size that is said.
        let sent = unsafe { SendInput(1, &raw const input, size_of::<INPUT>() as i32) };
        assert_eq!(sent, 1, "the session takes input");
    }

    #[test]
    fn a_moved_pointer_is_told_while_the_card_works_and_its_absence_too() {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send((change, Instant::now()))));
        let beat = watch(outlet, network::system_clock()).unwrap();
        let next = || loop {
            match changes.recv_timeout(Duration::from_secs(20)).expect("the sensor must tell") {
                (Change::Gamepad(_), _) => {}
                other => return other,
            }
        };
        while !matches!(next().0, Change::Input(Reading::Known(Input::IdleSince(_)))) {}
        let mut took = Vec::new();
        for _ in 0..5 {
            beat.look();
            // Somewhere between two readings.
            std::thread::sleep(Duration::from_millis(30));
            let moved = Instant::now();
            move_pointer();
            let (change, at) = next();
            assert_eq!(change, Change::Input(Reading::Known(Input::Active)), "a moved pointer is somebody");
            took.push(at.duration_since(moved));
            let (change, _) = next();
            assert!(
                matches!(change, Change::Input(Reading::Known(Input::IdleSince(_)))),
                "a second later nobody is there: {change:?}"
            );
        }
        println!("told after {took:?}");
        assert!(took.iter().min().unwrap() <= &Duration::from_millis(120), "told after {took:?}");
        beat.stop();
    }

    #[test]
    fn a_computer_without_gamepads_has_no_source_and_says_so_once() {
        let Some(mut pads) = Pads::open() else { return };
        let clock = network::system_clock();
        let now = Instant::now();
        if pads.read(true, now, &clock) == Some(Reading::Unknown(Unknown::NoSource)) {
            assert_eq!(pads.read(true, now, &clock), None, "told already");
        }
    }
}
