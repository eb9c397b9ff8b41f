//! PURE: the owner's days and hours. An instant and a time zone in, a date, an hour or another instant out.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use protocol::units::UnixMillis;

use crate::signals::LocalHour;

/// The instant in the owner's time zone. Instants beyond the calendar's range show as its beginning.
fn zoned(zone: &TimeZone, at: UnixMillis) -> ZonedDateTime {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(zone.clone())
}

fn unix(at: &ZonedDateTime) -> UnixMillis {
    UnixMillis(u64::try_from(at.timestamp().as_millisecond()).unwrap_or(0))
}

/// Local date, `2026-11-23`.
pub(super) fn date(zone: &TimeZone, at: UnixMillis) -> String {
    zoned(zone, at).date().to_string()
}

pub(super) fn midnight(zone: &TimeZone, now: UnixMillis) -> UnixMillis {
    zoned(zone, now).start_of_day().map_or(now, |start| unix(&start))
}

/// The next six in the morning, local time.
pub(super) fn next_six(zone: &TimeZone, now: UnixMillis) -> UnixMillis {
    let here = zoned(zone, now);
    let six = |day: Date| day.at(6, 0, 0, 0).to_zoned_datetime(zone.clone()).map(|at| unix(&at));
    let today = six(here.date()).ok().filter(|at| *at > now);
    let tomorrow = || here.date().tomorrow().ok().and_then(|day| six(day).ok());
    today.or_else(tomorrow).unwrap_or(now.plus(Duration::from_secs(24 * 3600)))
}

pub(super) fn local_hour(zone: &TimeZone, now: UnixMillis) -> LocalHour {
    let here = zoned(zone, now);
    let into_hour = u64::from(here.minute().unsigned_abs()) * 60 + u64::from(here.second().unsigned_abs());
    let millis = into_hour * 1000 + u64::from(here.millisecond().unsigned_abs());
    LocalHour {
        weekday: here.weekday().to_monday_zero_offset().unsigned_abs(),
        hour: here.hour().unsigned_abs(),
        ends_at: UnixMillis(now.0.saturating_add(3_600_000 - millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 was a Monday; 17:30 in UTC is 02:30 on Tuesday in Tokyo.
    const MONDAY_EVENING: UnixMillis = UnixMillis(1_795_455_000_000);

    #[test]
    fn days_and_hours_are_the_owner_s() {
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        assert_eq!(date(&TimeZone::UTC, MONDAY_EVENING), "2026-11-23");
        assert_eq!(date(&tokyo, MONDAY_EVENING), "2026-11-24");
        let hour = local_hour(&tokyo, MONDAY_EVENING);
        assert_eq!((hour.weekday, hour.hour), (1, 2));
        assert_eq!(hour.ends_at, MONDAY_EVENING.plus(Duration::from_secs(1800)));
        assert_eq!(midnight(&tokyo, MONDAY_EVENING), UnixMillis(MONDAY_EVENING.0 - 9_000_000));
    }

    #[test]
    fn tomorrow_begins_at_six() {
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        let six = next_six(&tokyo, MONDAY_EVENING);
        assert_eq!(
            six,
            MONDAY_EVENING.plus(Duration::from_secs(3 * 3600 + 1800)),
            "it is half past two there"
        );
        assert_eq!(
            next_six(&tokyo, six),
            six.plus(Duration::from_secs(24 * 3600)),
            "at six, tomorrow is a day away"
        );
    }
}
