//! PURE. When a notification is shown and what it says: only when a person must act, and then once a day at most.
//!
//! Everything else is the tray's and the window's to show. The daemon asks after every change of the status; one file per
//! system shows it.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use protocol::local::{ReasonCode, State, Status};
use protocol::units::UnixMillis;
use words::Catalogue;

#[cfg(target_os = "linux")]
pub(crate) use linux::show;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::show;

/// The same trouble is not spoken of again for so long.
const SILENT_FOR: Duration = Duration::from_secs(24 * 3600);

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The state in a few words.
    pub title: String,
    /// Why, and what to do.
    pub body: String,
}

/// What was spoken of, and when.
#[derive(Debug, Default)]
pub struct Spoken(BTreeMap<ReasonCode, UnixMillis>);

impl Spoken {
    /// The notification that is due with this status, if any; it then counts as shown.
    pub fn due(
        &mut self,
        status: &Status,
        words: &Catalogue,
        now: UnixMillis,
        zone: &TimeZone,
    ) -> Option<Notification> {
        let headline = status.reasons.first().filter(|_| status.state == State::Attention)?;
        // An instant in the future is of a clock that was set back.
        let recent = |at: &UnixMillis| *at <= now && now.since(*at) < SILENT_FOR;
        if self.0.get(&headline.code).is_some_and(recent) {
            return None;
        }
        self.0.insert(headline.code, now);
        let why = words.state_sentence(status, now, zone);
        let body = match words.reason_do(headline) {
            Some(what) => format!("{why} {what}"),
            None => why,
        };
        Some(Notification { title: words.state_title(status), body })
    }
}

#[cfg(test)]
mod tests {
    use protocol::local::Reason;

    use super::*;
    use crate::tray::tests::status;

    fn stopped(code: ReasonCode) -> Status {
        let mut status = status(State::Attention);
        let since_at = status.at;
        status.reasons =
            vec![Reason { code, since_at, ends_at: None, seen: None, limit: None, subject: None }];
        status
    }

    #[test]
    fn only_what_a_person_must_do_is_spoken_of_and_once_a_day() {
        let (mut spoken, words, zone) = (Spoken::default(), Catalogue::new("en"), TimeZone::UTC);
        let now = UnixMillis(1_790_000_000_000);
        for state in [State::Sharing, State::Paused, State::Waiting, State::Off, State::WorkingOffline] {
            let mut quiet = stopped(ReasonCode::UserActive);
            quiet.state = state;
            assert_eq!(spoken.due(&quiet, &words, now, &zone), None, "{state:?} needs nobody");
        }
        let failing = stopped(ReasonCode::WorkerFailing);
        let shown = spoken.due(&failing, &words, now, &zone).expect("somebody must act");
        assert!(shown.body.contains("Restart the computer"), "it says what to do: {}", shown.body);
        let hours = |n: u64| now.plus(Duration::from_secs(n * 3600));
        assert_eq!(spoken.due(&failing, &words, hours(23), &zone), None, "it has been said");
        assert!(
            spoken.due(&stopped(ReasonCode::NoDriver), &words, hours(1), &zone).is_some(),
            "another trouble"
        );
        assert!(spoken.due(&failing, &words, hours(24), &zone).is_some(), "a day later it still holds");
        let set_back = UnixMillis(now.0 - 86_400_000);
        assert!(spoken.due(&failing, &words, set_back, &zone).is_some(), "a clock set back silences nothing");
    }

    #[test]
    fn it_speaks_the_language_of_its_owner() {
        let words = Catalogue::new("ja");
        let now = UnixMillis(1_790_000_000_000);
        let failing = stopped(ReasonCode::WorkerFailing);
        let shown = Spoken::default().due(&failing, &words, now, &TimeZone::UTC).expect("it is due");
        assert!(shown.body.contains('。') && !shown.body.contains(['{', '}']), "{}", shown.body);
    }
}
