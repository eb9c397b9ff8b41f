//! What the figures of Windows mean: pure functions, compiled for tests on every system.
//!
//! The numbers are those of Microsoft's headers, repeated here because the bindings exist on Windows only; a
//! test there compares them.

use std::time::Duration;

use crate::signals::{Power, Reading, Session, Unknown};

/// Input may be stamped a little later than the tick that is read after it.
const AHEAD_AT_MOST_MILLIS: u32 = 10_000;

/// Time since the last input, of two counts of milliseconds that begin anew every 49.7 days. After so long
/// without input somebody seems to be there for a second; that does no harm.
pub(in crate::signals) fn idle(last_input_tick: u32, now_tick: u32) -> Duration {
    if last_input_tick.wrapping_sub(now_tick) <= AHEAD_AT_MOST_MILLIS {
        return Duration::ZERO;
    }
    Duration::from_millis(now_tick.wrapping_sub(last_input_tick).into())
}

/// The part of XINPUT_STATE that says where buttons, triggers and sticks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signals) struct Pad {
    /// Changes with every change of the rest.
    pub(in crate::signals) packet: u32,
    /// One bit for each.
    pub(in crate::signals) buttons: u16,
    /// How far both are pulled.
    pub(in crate::signals) triggers: [u8; 2],
    /// Where both sticks are, two axes each.
    pub(in crate::signals) sticks: [i16; 4],
}

/// XINPUT_GAMEPAD_TRIGGER_THRESHOLD: below it a trigger counts as released.
const TRIGGER_THRESHOLD: u8 = 30;
/// XINPUT_GAMEPAD_RIGHT_THUMB_DEADZONE, the larger of both: a worn stick that nobody touches reports
/// positions within.
const DEAD_ZONE: u16 = 8689;
/// A held stick trembles by less.
const STICK_STEP: u16 = 4096;

/// Whether somebody touched the pad between two readings. A new packet alone is no touch: worn sticks send
/// them all day.
pub(in crate::signals) fn touched(before: Pad, after: Pad) -> bool {
    let pulled = |triggers: [u8; 2]| triggers.map(|trigger| trigger.saturating_sub(TRIGGER_THRESHOLD) / 16);
    let moved = before.sticks.iter().zip(after.sticks).any(|(&before, after)| {
        let held = before.unsigned_abs().max(after.unsigned_abs()) > DEAD_ZONE;
        held && before.abs_diff(after) >= STICK_STEP
    });
    let same = before.buttons == after.buttons && pulled(before.triggers) == pulled(after.triggers) && !moved;
    before.packet != after.packet && !same
}

/// Where the electricity comes from, of SYSTEM_POWER_STATUS.
pub(in crate::signals) fn power(ac_line: u8, battery_flag: u8, percent: u8) -> Reading<Power> {
    const NO_BATTERY: u8 = 128;
    const UNKNOWN: u8 = 255;
    let no_battery = battery_flag != UNKNOWN && battery_flag & NO_BATTERY != 0;
    match ac_line {
        1 => Reading::Known(Power::Mains),
        // A computer without a battery runs from the wall, whatever its firmware says of the line.
        _ if no_battery => Reading::Known(Power::Mains),
        0 => Reading::Known(Power::Battery { percent: (percent <= 100).then_some(percent) }),
        _ => Reading::Unknown(Unknown::Failed),
    }
}

/// Whether the battery saver is on, of SYSTEM_POWER_STATUS.
pub(in crate::signals) fn power_saver(system_status: u8) -> Reading<bool> {
    match system_status {
        0 => Reading::Known(false),
        1 => Reading::Known(true),
        _ => Reading::Unknown(Unknown::Failed),
    }
}

/// Whether a program fills the screen, of QUERY_USER_NOTIFICATION_STATE.
///
/// `QUNS_BUSY` counts: it is what Windows says of a film in a browser, of a borderless game and of a slide
/// show without presentation settings. It is said as well of some overlays that cover the screen unseen
/// (NVIDIA's is known for it), and those keep the card from working while they are up. That errs on the
/// household's side. Store apps in the foreground (`QUNS_APP`) fill no screen since Windows 10.
pub(in crate::signals) fn fullscreen(state: i32) -> Reading<bool> {
    match state {
        QUNS_BUSY | QUNS_RUNNING_D3D_FULL_SCREEN | QUNS_PRESENTATION_MODE => Reading::Known(true),
        QUNS_NOT_PRESENT | QUNS_ACCEPTS_NOTIFICATIONS | QUNS_QUIET_TIME | QUNS_APP => Reading::Known(false),
        _ => Reading::Unknown(Unknown::Failed),
    }
}

const QUNS_NOT_PRESENT: i32 = 1;
const QUNS_BUSY: i32 = 2;
const QUNS_RUNNING_D3D_FULL_SCREEN: i32 = 3;
const QUNS_PRESENTATION_MODE: i32 = 4;
const QUNS_ACCEPTS_NOTIFICATIONS: i32 = 5;
const QUNS_QUIET_TIME: i32 = 6;
const QUNS_APP: i32 = 7;

/// Whether a program uses a device now, of the value `LastUsedTimeStop` that Windows keeps for each program
/// that ever did: the time when it stopped, and 0 as long as it has not. Programs that never began have no
/// such value.
pub(in crate::signals) fn in_use(last_used_time_stop: Option<u64>) -> bool {
    last_used_time_stop == Some(0)
}

/// Whether data costs money, of NL_NETWORK_CONNECTIVITY_HINT. A line whose cost Windows does not know stays
/// unknown; one that has used up its allowance, or roams, costs whatever its contract says.
pub(in crate::signals) fn metered(cost: i32, over_limit: bool, roaming: bool) -> Reading<bool> {
    match cost {
        COST_FIXED | COST_VARIABLE => Reading::Known(true),
        _ if over_limit || roaming => Reading::Known(true),
        COST_UNRESTRICTED => Reading::Known(false),
        _ => Reading::Unknown(Unknown::NoSource),
    }
}

const COST_UNRESTRICTED: i32 = 1;
const COST_FIXED: i32 = 2;
const COST_VARIABLE: i32 = 3;

/// What is looked at of a network adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signals) struct Adapter {
    /// IfType of ipifcons.h.
    pub(in crate::signals) kind: u32,
    /// It works.
    pub(in crate::signals) up: bool,
    /// It has a gateway.
    pub(in crate::signals) has_gateway: bool,
    /// The way to the internet leads through it.
    pub(in crate::signals) leads_out: bool,
}

const IF_TYPE_PPP: u32 = 23;
const IF_TYPE_PROP_VIRTUAL: u32 = 53;
const IF_TYPE_TUNNEL: u32 = 131;

/// Whether traffic goes through a VPN: an adapter that is no wire works and leads out. WireGuard and OpenVPN
/// have an adapter of the kind PROP_VIRTUAL and, as they lay two halves over the default route, no gateway;
/// Windows' own have PPP or TUNNEL. An old OpenVPN that poses as Ethernet is not seen, and a modem that is
/// dialled by PPP is taken for one.
pub(in crate::signals) fn vpn(adapters: &[Adapter]) -> bool {
    adapters.iter().any(|adapter| {
        let virtual_kind = matches!(adapter.kind, IF_TYPE_PPP | IF_TYPE_PROP_VIRTUAL | IF_TYPE_TUNNEL);
        virtual_kind && adapter.up && (adapter.has_gateway || adapter.leads_out)
    })
}

/// The session, of WTSINFOEX_LEVEL1 and SM_REMOTESESSION. `locked` is what the last message said, where one
/// has come.
pub(in crate::signals) fn session(
    state: i32,
    flags: i32,
    remote: bool,
    locked: Option<bool>,
) -> Reading<Session> {
    const ACTIVE: i32 = 0;
    const LOCKED: i32 = 0;
    const UNLOCKED: i32 = 1;
    let read = match flags {
        LOCKED => Some(true),
        UNLOCKED => Some(false),
        _ => None,
    };
    match locked.or(read) {
        Some(locked) => Reading::Known(Session { locked, remote, on_screen: state == ACTIVE }),
        None => Reading::Unknown(Unknown::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_goes_on_when_the_tick_count_begins_anew() {
        assert_eq!(idle(1000, 4500), Duration::from_millis(3500));
        assert_eq!(idle(u32::MAX - 999, 500), Duration::from_millis(1500), "the count began anew in between");
        assert_eq!(idle(0, 3_000_000_000), Duration::from_millis(3_000_000_000), "five weeks away");
    }

    #[test]
    fn input_stamped_after_the_present_tick_is_now_and_not_seven_weeks_ago() {
        assert_eq!(idle(1016, 1000), Duration::ZERO);
        assert_eq!(idle(5, u32::MAX), Duration::ZERO, "the same across the count's end");
        assert_eq!(idle(1000, 1000), Duration::ZERO);
    }

    const PAD: Pad = Pad { packet: 7, buttons: 0, triggers: [0; 2], sticks: [0; 4] };

    #[test]
    fn a_button_a_trigger_or_a_stick_is_a_touch() {
        assert!(touched(PAD, Pad { packet: 8, buttons: 1, ..PAD }));
        assert!(touched(Pad { buttons: 1, ..PAD }, Pad { packet: 8, ..PAD }), "a release is one too");
        assert!(touched(PAD, Pad { packet: 8, triggers: [0, 255], ..PAD }));
        assert!(touched(PAD, Pad { packet: 8, sticks: [0, 0, i16::MIN, 0], ..PAD }));
        assert!(!touched(PAD, PAD), "without a new packet nothing has changed");
    }

    #[test]
    fn a_worn_stick_that_nobody_touches_is_not_a_touch() {
        assert!(!touched(PAD, Pad { packet: 8, sticks: [6000, -6000, 0, 0], ..PAD }));
        let held = Pad { sticks: [20_000, 0, 0, 0], ..PAD };
        assert!(!touched(held, Pad { packet: 8, sticks: [20_900, 0, 0, 0], ..PAD }), "it lies on something");
    }

    #[test]
    fn a_laptop_tells_its_battery_and_a_desktop_the_wall() {
        assert_eq!(power(1, 8, 60), Reading::Known(Power::Mains));
        assert_eq!(power(0, 1, 60), Reading::Known(Power::Battery { percent: Some(60) }));
        assert_eq!(power(0, 1, 255), Reading::Known(Power::Battery { percent: None }));
        assert_eq!(power(255, 128, 255), Reading::Known(Power::Mains), "there is no battery");
        assert_eq!(power(0, 128, 255), Reading::Known(Power::Mains), "there is none to run from");
        assert_eq!(power(255, 255, 255), Reading::Unknown(Unknown::Failed), "nothing is told");
    }

    #[test]
    fn the_battery_saver_is_on_off_or_untold() {
        assert_eq!(power_saver(0), Reading::Known(false));
        assert_eq!(power_saver(1), Reading::Known(true));
        assert_eq!(power_saver(2), Reading::Unknown(Unknown::Failed));
    }

    #[test]
    fn what_covers_the_screen_is_fullscreen_and_quiet_hours_are_not() {
        for state in [QUNS_BUSY, QUNS_RUNNING_D3D_FULL_SCREEN, QUNS_PRESENTATION_MODE] {
            assert_eq!(fullscreen(state), Reading::Known(true), "state {state}");
        }
        for state in [QUNS_NOT_PRESENT, QUNS_ACCEPTS_NOTIFICATIONS, QUNS_QUIET_TIME, QUNS_APP] {
            assert_eq!(fullscreen(state), Reading::Known(false), "state {state}");
        }
        assert_eq!(fullscreen(8), Reading::Unknown(Unknown::Failed), "of a Windows to come");
    }

    #[test]
    fn a_device_is_in_use_until_its_end_is_written_down() {
        assert!(in_use(Some(0)));
        assert!(!in_use(Some(133_000_000_000_000_000)) && !in_use(None));
    }

    #[test]
    fn a_line_is_metered_by_its_contract_or_by_what_is_used_up() {
        assert_eq!(metered(COST_UNRESTRICTED, false, false), Reading::Known(false));
        assert_eq!(metered(COST_FIXED, false, false), Reading::Known(true));
        assert_eq!(metered(COST_VARIABLE, false, false), Reading::Known(true));
        assert_eq!(metered(COST_UNRESTRICTED, false, true), Reading::Known(true), "abroad");
        assert_eq!(metered(0, true, false), Reading::Known(true));
        assert_eq!(
            metered(0, false, false),
            Reading::Unknown(Unknown::NoSource),
            "no line, or none that tells"
        );
    }

    #[test]
    fn a_virtual_adapter_is_a_vpn_only_while_it_leads_out() {
        let tunnel = Adapter { kind: IF_TYPE_PROP_VIRTUAL, up: true, has_gateway: false, leads_out: false };
        assert!(!vpn(&[tunnel]), "a tunnel to a few machines");
        assert!(vpn(&[Adapter { leads_out: true, ..tunnel }]), "WireGuard has no gateway");
        assert!(vpn(&[Adapter { has_gateway: true, kind: IF_TYPE_PPP, ..tunnel }]));
        assert!(!vpn(&[Adapter { has_gateway: true, up: false, ..tunnel }]), "it is not connected");
        assert!(!vpn(&[Adapter { kind: 6, leads_out: true, has_gateway: true, up: true }]), "a wire");
    }

    #[test]
    fn the_last_message_about_the_lock_counts_more_than_the_query() {
        let session = |locked, on_screen| Reading::Known(Session { locked, remote: false, on_screen });
        assert_eq!(super::session(0, 1, false, None), session(false, true));
        assert_eq!(super::session(0, 1, false, Some(true)), session(true, true), "the query lags behind");
        assert_eq!(super::session(4, 0, false, None), session(true, false), "another user is on the screen");
        assert_eq!(super::session(0, -1, false, None), Reading::Unknown(Unknown::Failed));
    }

    #[cfg(windows)]
    #[test]
    fn the_numbers_are_those_of_the_headers() {
        use windows_sys::Win32::NetworkManagement::IpHelper as ip;
        use windows_sys::Win32::Networking::WinSock as socket;
        use windows_sys::Win32::System::RemoteDesktop as desktop;
        use windows_sys::Win32::UI::Input::XboxController as pad;
        use windows_sys::Win32::UI::Shell as shell;
        let states = [
            (QUNS_NOT_PRESENT, shell::QUNS_NOT_PRESENT),
            (QUNS_BUSY, shell::QUNS_BUSY),
            (QUNS_RUNNING_D3D_FULL_SCREEN, shell::QUNS_RUNNING_D3D_FULL_SCREEN),
            (QUNS_PRESENTATION_MODE, shell::QUNS_PRESENTATION_MODE),
            (QUNS_ACCEPTS_NOTIFICATIONS, shell::QUNS_ACCEPTS_NOTIFICATIONS),
            (QUNS_QUIET_TIME, shell::QUNS_QUIET_TIME),
            (QUNS_APP, shell::QUNS_APP),
            (COST_UNRESTRICTED, socket::NetworkConnectivityCostHintUnrestricted),
            (COST_FIXED, socket::NetworkConnectivityCostHintFixed),
            (COST_VARIABLE, socket::NetworkConnectivityCostHintVariable),
        ];
        assert!(states.iter().all(|(ours, theirs)| ours == theirs), "{states:?}");
        let kinds = (IF_TYPE_PPP, IF_TYPE_PROP_VIRTUAL, IF_TYPE_TUNNEL);
        assert_eq!(kinds, (ip::IF_TYPE_PPP, ip::IF_TYPE_PROP_VIRTUAL, ip::IF_TYPE_TUNNEL));
        assert_eq!(desktop::WTSActive, 0);
        assert_eq!((desktop::WTS_SESSIONSTATE_LOCK, desktop::WTS_SESSIONSTATE_UNLOCK), (0, 1));
        assert_eq!(TRIGGER_THRESHOLD, pad::XINPUT_GAMEPAD_TRIGGER_THRESHOLD as u8);
        assert_eq!(DEAD_ZONE, pad::XINPUT_GAMEPAD_RIGHT_THUMB_DEADZONE as u16);
    }
}
