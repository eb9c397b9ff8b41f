//! Whether somebody is there, of how long ago the last input was; for systems that tell only that and push
//! nothing.

use std::time::Duration;

use protocol::units::UnixMillis;

use super::Input;

/// Without input for this long nobody counts as present at this moment; how long is long enough is the
/// policy's.
const QUIET: Duration = Duration::from_millis(1000);
/// Two readings of the same moment differ by as much as the system's ticks and clocks do.
const SAME_WITHIN_MILLIS: u64 = 500;

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Presence {
    told: Option<Input>,
}

impl Presence {
    /// What is to be told at `now` when the last input was `idle` ago: nothing while it is what was told
    /// last.
    pub(super) fn note(&mut self, idle: Duration, now: UnixMillis) -> Option<Input> {
        let input = if idle < QUIET {
            Input::Active
        } else {
            let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
            Input::IdleSince(UnixMillis(now.0.saturating_sub(idle)))
        };
        let same = match (self.told, input) {
            (Some(Input::Active), Input::Active) => true,
            // A touch between two readings, or a clock that was set, moves the beginning.
            (Some(Input::IdleSince(told)), Input::IdleSince(since)) => {
                told.0.abs_diff(since.0) <= SAME_WITHIN_MILLIS
            }
            _ => false,
        };
        if same {
            return None;
        }
        self.told = Some(input);
        Some(input)
    }

    /// Forgets what was told, because something else has been told since.
    pub(super) fn forget(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_second_without_input_is_absence_from_the_last_input_on() {
        let mut presence = Presence::default();
        assert_eq!(presence.note(millis(999), NOW), Some(Input::Active));
        assert_eq!(presence.note(millis(0), NOW), None, "told already");
        assert_eq!(presence.note(millis(1000), NOW), Some(Input::IdleSince(UnixMillis(999_000))));
        let later = UnixMillis(1_001_000);
        assert_eq!(presence.note(millis(2016), later), None, "a tick more or less is the same moment");
        assert_eq!(presence.note(millis(15), later), Some(Input::Active), "somebody is back");
    }

    #[test]
    fn a_touch_between_two_slow_readings_moves_the_beginning() {
        let mut presence = Presence::default();
        presence.note(millis(60_000), NOW);
        let later = UnixMillis(1_005_000);
        assert_eq!(presence.note(millis(3000), later), Some(Input::IdleSince(UnixMillis(1_002_000))));
    }

    #[test]
    fn what_was_told_is_told_again_once_it_is_forgotten() {
        let mut presence = Presence::default();
        assert!(presence.note(millis(0), NOW).is_some());
        presence.forget();
        assert!(presence.note(millis(0), NOW).is_some(), "an unknown was told in between");
    }

    #[test]
    fn an_idle_time_longer_than_the_clock_is_old_does_not_overflow() {
        let input = Presence::default().note(Duration::MAX, NOW);
        assert_eq!(input, Some(Input::IdleSince(UnixMillis(0))));
    }
}
