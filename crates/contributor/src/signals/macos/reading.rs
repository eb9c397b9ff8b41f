//! What the figures of macOS mean: pure functions, compiled for tests on every system.

use std::time::Duration;

use crate::signals::{Power, Reading, Session, Unknown};

/// Time since the last input, of the seconds that the event source tells.
pub(in crate::signals) fn idle(seconds: f64) -> Option<Duration> {
    // A clock that was set may make it a little less than nothing.
    if seconds.is_nan() || seconds < -10.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// Where the electricity comes from, by the words of IOPSKeys.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signals) enum Supply {
    /// "AC Power".
    Wall,
    /// "Battery Power".
    Battery,
    /// "UPS Power".
    Ups,
    /// No word, or another.
    Other,
}

/// Where the electricity comes from. `charge` is that of the battery within: its present and its full
/// capacity, in the same unit.
pub(in crate::signals) fn power(supply: Supply, charge: Option<(i64, i64)>) -> Reading<Power> {
    let percent = charge
        .filter(|(present, full)| *full > 0 && (0..=*full).contains(present))
        .and_then(|(present, full)| u8::try_from(present.checked_mul(100)? / full).ok());
    match supply {
        Supply::Wall => Reading::Known(Power::Mains),
        Supply::Battery | Supply::Ups => Reading::Known(Power::Battery { percent }),
        Supply::Other => Reading::Unknown(Unknown::Failed),
    }
}

/// Whether the system saves power, of `NSProcessInfo`: the owner has turned low power on, or the system is so
/// hot that it asks programs to do less (`NSProcessInfoThermalStateSerious`, 2, and worse). `low_power` is
/// untold before macOS 12.
pub(in crate::signals) fn power_saver(low_power: Option<bool>, thermal_state: isize) -> Reading<bool> {
    const SERIOUS: isize = 2;
    match low_power {
        _ if thermal_state >= SERIOUS => Reading::Known(true),
        Some(on) => Reading::Known(on),
        None => Reading::Unknown(Unknown::NoSource),
    }
}

/// The session, of `CGSessionCopyCurrentDictionary`: the system writes down that the screen is locked only
/// while it is. Who shares the screen from afar sits at the console like the owner, and his input counts as
/// hers: no call tells it.
pub(in crate::signals) fn session(locked: Option<bool>, on_console: Option<bool>) -> Reading<Session> {
    match on_console {
        Some(on_screen) => {
            Reading::Known(Session { locked: locked.unwrap_or(false), remote: false, on_screen })
        }
        None => Reading::Unknown(Unknown::Failed),
    }
}

/// A place on the screens, in points: left, top, width, height.
pub(in crate::signals) type Place = [f64; 4];

/// Whether a program's window (layer 0) is exactly as large as a display. Where a screen has a notch, windows
/// that stay below it are not told from those that are only as large as possible, and do not count.
pub(in crate::signals) fn fullscreen(windows: &[(i64, Place)], displays: &[Place]) -> bool {
    let covers = |window: &Place, display: &Place| {
        window.iter().zip(display).all(|(side, other)| (side - other).abs() < 1.0)
    };
    windows
        .iter()
        .any(|(layer, window)| *layer == 0 && displays.iter().any(|display| covers(window, display)))
}

/// What is looked at of the way to the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signals) struct Way {
    /// There is one.
    pub(in crate::signals) open: bool,
    /// A telephone's, or one that its owner has marked as costing money.
    pub(in crate::signals) expensive: bool,
    /// The owner has turned low data on.
    pub(in crate::signals) constrained: bool,
    /// It leads through an interface that is no wire, no radio and no loopback: a tunnel.
    pub(in crate::signals) tunnelled: bool,
}

/// Whether data costs money. Without a way there is nothing to tell.
pub(in crate::signals) fn metered(way: Way) -> Reading<bool> {
    if way.open {
        Reading::Known(way.expensive || way.constrained)
    } else {
        Reading::Unknown(Unknown::NoSource)
    }
}

/// Whether traffic goes through a VPN.
pub(in crate::signals) fn vpn(way: Way) -> Reading<bool> {
    Reading::Known(way.open && way.tunnelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_what_the_event_source_tells() {
        assert_eq!(idle(2.5), Some(Duration::from_millis(2500)));
        assert_eq!(idle(-0.001), Some(Duration::ZERO), "input at this moment");
        assert_eq!(idle(f64::INFINITY), Some(Duration::MAX), "no input since the start");
        assert_eq!(idle(f64::NAN), None);
        assert_eq!(idle(-1e9), None, "no session");
    }

    #[test]
    fn a_laptop_tells_its_battery_and_a_desktop_the_wall() {
        assert_eq!(power(Supply::Wall, Some((80, 100))), Reading::Known(Power::Mains));
        let battery = |percent| Reading::Known(Power::Battery { percent });
        assert_eq!(power(Supply::Battery, Some((4000, 5000))), battery(Some(80)));
        assert_eq!(power(Supply::Battery, Some((3, 0))), battery(None), "no full capacity is told");
        assert_eq!(power(Supply::Battery, Some((i64::MAX, i64::MAX))), battery(None), "nonsense");
        assert_eq!(power(Supply::Ups, None), battery(None), "the wall has failed");
        assert_eq!(power(Supply::Other, None), Reading::Unknown(Unknown::Failed));
    }

    #[test]
    fn a_hot_computer_saves_power_whatever_its_owner_has_set() {
        assert_eq!(power_saver(Some(false), 1), Reading::Known(false));
        assert_eq!(power_saver(Some(true), 0), Reading::Known(true));
        assert_eq!(power_saver(Some(false), 2), Reading::Known(true));
        assert_eq!(power_saver(None, 3), Reading::Known(true));
        assert_eq!(power_saver(None, 0), Reading::Unknown(Unknown::NoSource), "before macOS 12");
    }

    #[test]
    fn a_session_is_locked_only_where_that_is_written_down() {
        let session = |locked, on_screen| Reading::Known(Session { locked, remote: false, on_screen });
        assert_eq!(super::session(None, Some(true)), session(false, true));
        assert_eq!(super::session(Some(true), Some(true)), session(true, true));
        assert_eq!(super::session(None, Some(false)), session(false, false), "another user is on the screen");
        assert_eq!(super::session(None, None), Reading::Unknown(Unknown::Failed));
    }

    #[test]
    fn a_window_as_large_as_a_display_fills_the_screen() {
        let displays = [[0.0, 0.0, 1920.0, 1080.0], [1920.0, 0.0, 1280.0, 800.0]];
        assert!(fullscreen(&[(0, [1920.0, 0.0, 1280.0, 800.0])], &displays), "on the second display");
        assert!(!fullscreen(&[(0, [0.0, 25.0, 1920.0, 1055.0])], &displays), "below the menu bar");
        assert!(!fullscreen(&[(25, [0.0, 0.0, 1920.0, 1080.0])], &displays), "the system's own layers");
        assert!(!fullscreen(&[(0, [100.0, 0.0, 1920.0, 1080.0])], &displays), "moved partly out");
        assert!(!fullscreen(&[], &displays));
    }

    #[test]
    fn an_expensive_or_constrained_way_is_metered_and_a_tunnel_is_a_vpn() {
        let way = Way { open: true, expensive: false, constrained: false, tunnelled: false };
        assert_eq!((metered(way), vpn(way)), (Reading::Known(false), Reading::Known(false)));
        assert_eq!(metered(Way { expensive: true, ..way }), Reading::Known(true), "a telephone's");
        assert_eq!(metered(Way { constrained: true, ..way }), Reading::Known(true), "low data mode");
        assert_eq!(vpn(Way { tunnelled: true, ..way }), Reading::Known(true));
        let closed = Way { open: false, tunnelled: true, ..way };
        assert_eq!(
            (metered(closed), vpn(closed)),
            (Reading::Unknown(Unknown::NoSource), Reading::Known(false)),
            "there is no way"
        );
    }
}
