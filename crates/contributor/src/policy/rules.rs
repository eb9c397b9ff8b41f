//! PURE: the rules one by one: which reasons apply at this moment, with their figures. `policy` adds what is remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::frames::Pace;
use protocol::local::{Preferences, ReasonCode};
use protocol::units::UnixMillis;

use super::{
    COOLED_BY, Cause, GPU_BUSY_PERCENT, LOCKED_AFTER, Memory, SENSORS_WITHIN, START_GRACE, TOO_HOT_BY,
    WOKEN_FOR,
};
use crate::signals::{Input, Power, Reading, Signals, Unknown};

/// Reasons as they are found.
struct Causes(BTreeMap<ReasonCode, Cause>);

impl Causes {
    fn veto(&mut self, code: ReasonCode, applies: bool, cause: Cause) {
        if applies {
            self.0.insert(code, cause);
        }
    }

    fn plain(&mut self, code: ReasonCode, applies: bool) {
        self.veto(code, applies, Cause::default());
    }

    fn until(&mut self, code: ReasonCode, ends_at: UnixMillis, applies: bool) {
        self.veto(code, applies, Cause { ends_at: Some(ends_at), ..Cause::default() });
    }
}

/// Every veto that applies at this moment.
pub(super) fn causes(
    s: &Signals,
    p: &Preferences,
    memory: &Memory,
    now: UnixMillis,
) -> BTreeMap<ReasonCode, Cause> {
    let mut causes = Causes(BTreeMap::new());
    own_state(s, p, memory, now, &mut causes);
    presence(s, p, memory, now, &mut causes);
    other_use(s, p, memory, now, &mut causes);
    supply(s, p, memory, now, &mut causes);
    heat(s, p, memory, &mut causes);
    disk(s, p, memory, now, &mut causes);
    causes.0
}

/// What has not been read for longer than sensors may take does not answer.
fn settled<T: Clone>(reading: &Reading<T>, memory: &Memory, now: UnixMillis) -> Reading<T> {
    let late = memory.unread_since.is_some_and(|since| now.since(since) >= SENSORS_WITHIN);
    match reading {
        Reading::Unknown(Unknown::NotYet) if late => Reading::Unknown(Unknown::TimedOut),
        other => other.clone(),
    }
}

/// What the owner said, and what the engine knows of itself.
fn own_state(s: &Signals, p: &Preferences, memory: &Memory, now: UnixMillis, causes: &mut Causes) {
    let c = &s.conditions;
    causes.plain(ReasonCode::TurnedOff, !p.enabled);
    causes.plain(ReasonCode::NotWelcomed, !memory.kept.welcomed);
    if let Some(snoozed) = memory.kept.snoozed {
        causes.veto(ReasonCode::Snoozed, true, Cause { ends_at: snoozed.until_at, ..Cause::default() });
    }
    causes.plain(ReasonCode::JournalFailing, c.journal_failing);
    causes.plain(ReasonCode::CoordinatorVersion, c.coordinator_version);
    causes.plain(ReasonCode::DeviceSuspended, c.device_suspended);
    causes.plain(ReasonCode::NoDriver, c.no_driver);
    causes.plain(ReasonCode::SoftwareDriver, c.software_driver);
    if let Some(until_at) = c.worker_failing_until {
        causes.until(ReasonCode::WorkerFailing, until_at, until_at > now);
    }
    causes.plain(ReasonCode::Benchmarking, c.benchmarking);
    if let Some((cost, pay)) = c.at_a_loss {
        let cause = Cause { seen: Some(cost), limit: Some(pay), ..Cause::default() };
        causes.veto(ReasonCode::AtALoss, true, cause);
    }
    if let Some(woke_at) = s.woke_at {
        // An instant in the future is of a clock that was set back; it says nothing.
        let ends_at = woke_at.plus(WOKEN_FOR);
        causes.until(ReasonCode::SystemSleep, ends_at, woke_at <= now && ends_at > now);
    }
    causes.plain(ReasonCode::SystemSleep, s.falling_asleep);
    // What has not been read for the first time yet says nothing of its own: the program is still starting.
    let grace_ends_at = memory.started_at.plus(START_GRACE);
    let unread = memory.unread_since.is_some_and(|since| now.since(since) < SENSORS_WITHIN);
    let ends_at = Some(grace_ends_at).filter(|_| !unread);
    causes.veto(ReasonCode::Starting, unread || grace_ends_at > now, Cause { ends_at, ..Cause::default() });
    if let Some(ends_at) = schedule_ends_at(s, p) {
        causes.veto(ReasonCode::Schedule, true, Cause { ends_at, ..Cause::default() });
    }
}

/// Whether "share now" of Welcome lifts the idle rule.
fn shares_now(memory: &Memory, now: UnixMillis) -> bool {
    memory.kept.share_now_until.is_some_and(|until| until > now)
}

/// When the idle rule is met: the last input and the span after it. `None` while somebody is active or nothing is known.
pub(super) fn away_at(s: &Signals, p: &Preferences, now: UnixMillis) -> Option<UnixMillis> {
    let since = match (s.input, s.gamepad) {
        (_, Reading::Known(Input::Active)) | (Reading::Known(Input::Active) | Reading::Unknown(_), _) => {
            return None;
        }
        (Reading::Known(Input::IdleSince(a)), Reading::Known(Input::IdleSince(b))) => a.max(b),
        (Reading::Known(Input::IdleSince(since)), Reading::Unknown(_)) => since,
    };
    let span = Duration::from_secs(p.idle_after_seconds.into());
    let locked = s.session.as_known().is_some_and(|session| session.locked);
    let span = if locked { span.min(LOCKED_AFTER) } else { span };
    // Nobody can have been idle since the future.
    Some(since.min(now).plus(span))
}

/// The share of the card, in percent, that is used while somebody is here: `None` while nobody is, or where the rule is off.
pub(super) fn light(s: &Signals, p: &Preferences, memory: &Memory, now: UnixMillis) -> Option<u8> {
    if shares_now(memory, now) {
        return Some(Pace::NEAR.duty_percent);
    }
    let here = p.idle_after_seconds > 0 && away_at(s, p, now).is_none_or(|at| at > now);
    (here && p.light_percent > 0).then_some(p.light_percent)
}

/// Whether somebody is at the machine.
fn presence(s: &Signals, p: &Preferences, memory: &Memory, now: UnixMillis, causes: &mut Causes) {
    if p.idle_after_seconds == 0 {
        return;
    }
    let session = s.session.as_known();
    causes.plain(ReasonCode::OtherUser, session.is_some_and(|session| !session.on_screen));
    causes.plain(ReasonCode::RemoteSession, session.is_some_and(|session| session.remote));
    if shares_now(memory, now) || p.light_percent > 0 {
        return;
    }
    let limit = Some(p.idle_after_seconds.div_ceil(60));
    let active = s.input == Reading::Known(Input::Active) || s.gamepad == Reading::Known(Input::Active);
    match (active, settled(&s.input, memory, now)) {
        (true, _) => causes.veto(ReasonCode::UserActive, true, Cause { limit, ..Cause::default() }),
        (false, Reading::Unknown(Unknown::NotYet)) => {}
        (false, Reading::Unknown(_)) => {
            causes.veto(ReasonCode::InputUnknown, true, Cause { limit, ..Cause::default() });
        }
        (false, Reading::Known(_)) => {
            let ends_at = away_at(s, p, now);
            let here = ends_at.is_none_or(|at| at > now);
            causes.veto(ReasonCode::UserActive, here, Cause { ends_at, limit, ..Cause::default() });
        }
    }
}

/// What other programs do.
fn other_use(s: &Signals, p: &Preferences, memory: &Memory, now: UnixMillis, causes: &mut Causes) {
    let yes = Reading::Known(true);
    causes.plain(ReasonCode::FullscreenApp, s.fullscreen == yes || s.game == yes);
    causes.plain(ReasonCode::InCall, !p.in_calls && (s.quick.microphone == yes || s.quick.camera == yes));
    causes.plain(ReasonCode::MediaPlaying, !p.with_media && s.media == yes);
    causes.plain(ReasonCode::ScreenKeptOn, !p.with_media && s.inhibited == yes);
    if !p.exclusive_programs.is_empty() {
        match settled(&s.quick.programs, memory, now) {
            Reading::Known(programs) => {
                let running = programs.iter().find(|name| p.exclusive_programs.contains(name));
                let cause = Cause { subject: running.cloned(), ..Cause::default() };
                causes.veto(ReasonCode::ExclusiveApp, running.is_some(), cause);
            }
            Reading::Unknown(Unknown::NotYet) => {}
            // The owner asked for it, so what cannot be seen counts as running.
            Reading::Unknown(_) => causes.plain(ReasonCode::ExclusiveApp, true),
        }
    }
    if p.max_other_cpu_percent < 100 {
        let reading = settled(&s.slow.other_cpu_percent, memory, now);
        let (seen, limit) = (reading.known(), p.max_other_cpu_percent);
        let cause = Cause { seen: seen.map(u32::from), limit: Some(limit.into()), ..Cause::default() };
        let unread = reading == Reading::Unknown(Unknown::NotYet);
        causes.veto(ReasonCode::CpuBusy, !unread && seen.is_none_or(|percent| percent > limit), cause);
    }
    if let Reading::Known(percent) = s.slow.other_gpu_percent {
        let (seen, limit) = (Some(percent.into()), Some(GPU_BUSY_PERCENT.into()));
        let cause = Cause { seen, limit, ..Cause::default() };
        causes.veto(ReasonCode::GpuBusy, percent >= GPU_BUSY_PERCENT, cause);
    }
}

/// Electricity and data that somebody pays for.
fn supply(s: &Signals, p: &Preferences, memory: &Memory, now: UnixMillis, causes: &mut Causes) {
    if !p.on_battery {
        match settled(&s.power, memory, now) {
            Reading::Known(Power::Mains) | Reading::Unknown(Unknown::NotYet) => {}
            Reading::Known(Power::Battery { percent }) => {
                let cause = Cause { seen: percent.map(u32::from), ..Cause::default() };
                causes.veto(ReasonCode::OnBattery, true, cause);
            }
            Reading::Unknown(_) => causes.plain(ReasonCode::PowerUnknown, true),
        }
    }
    causes.plain(ReasonCode::PowerSaver, !p.with_power_saver && s.power_saver == Reading::Known(true));
    if !p.on_metered {
        match settled(&s.metered, memory, now) {
            Reading::Known(metered) => causes.plain(ReasonCode::Metered, metered),
            Reading::Unknown(Unknown::NotYet) => {}
            Reading::Unknown(_) => causes.plain(ReasonCode::MeteredUnknown, true),
        }
    }
    causes.plain(ReasonCode::Vpn, !p.on_vpn && s.vpn == Reading::Known(true));
}

fn heat(s: &Signals, p: &Preferences, memory: &Memory, causes: &mut Causes) {
    let limit = Some(p.max_celsius.into());
    match s.slow.gpu_celsius {
        Reading::Known(celsius) => {
            let most = if memory.holds(ReasonCode::GpuHot) {
                p.max_celsius.saturating_sub(COOLED_BY)
            } else {
                p.max_celsius.saturating_add(TOO_HOT_BY)
            };
            let cause = Cause { seen: Some(celsius.into()), limit, ..Cause::default() };
            causes.veto(ReasonCode::GpuHot, celsius > most, cause);
        }
        // A card whose temperature can no longer be read may be getting hot unseen.
        Reading::Unknown(Unknown::Failed | Unknown::TimedOut) if memory.feels_heat => {
            causes.veto(ReasonCode::GpuHot, true, Cause { limit, ..Cause::default() });
        }
        Reading::Unknown(_) => {}
    }
    if let Reading::Known(celsius) = s.slow.cpu_celsius {
        let cooled = if memory.holds(ReasonCode::CpuHot) { COOLED_BY } else { 0 };
        let limit = Some(p.max_cpu_celsius.into());
        let cause = Cause { seen: Some(celsius.into()), limit, ..Cause::default() };
        causes.veto(ReasonCode::CpuHot, celsius > p.max_cpu_celsius.saturating_sub(cooled), cause);
    }
}

fn disk(s: &Signals, p: &Preferences, memory: &Memory, now: UnixMillis, causes: &mut Causes) {
    let reading = settled(&s.slow.free_disk_mbytes, memory, now);
    let seen = reading.known();
    let limit = u64::from(p.min_free_disk_mbytes);
    // A tenth more than the limit ends it, so that a file that comes and goes does not.
    let wanted = if memory.holds(ReasonCode::DiskLow) { limit + limit / 10 } else { limit };
    let shown = seen.map(|mbytes| u32::try_from(mbytes).unwrap_or(u32::MAX));
    let cause = Cause { seen: shown, limit: Some(p.min_free_disk_mbytes), ..Cause::default() };
    let unread = reading == Reading::Unknown(Unknown::NotYet);
    let low = !unread && seen.is_none_or(|mbytes| mbytes < wanted);
    causes.veto(ReasonCode::DiskLow, s.conditions.disk_full || low, cause);
}

/// Whether a value that a rule of the owner's needs has not been read since the start or the last sleep.
pub(super) fn is_unread(s: &Signals, p: &Preferences) -> bool {
    let not_yet = Unknown::NotYet;
    p.idle_after_seconds > 0 && s.input == Reading::Unknown(not_yet)
        || !p.on_battery && s.power == Reading::Unknown(not_yet)
        || !p.on_metered && s.metered == Reading::Unknown(not_yet)
        || p.max_other_cpu_percent < 100 && s.slow.other_cpu_percent == Reading::Unknown(not_yet)
        || !p.exclusive_programs.is_empty() && s.quick.programs == Reading::Unknown(not_yet)
        || !p.in_calls
            && (s.quick.microphone == Reading::Unknown(not_yet)
                || s.quick.camera == Reading::Unknown(not_yet))
        || s.slow.free_disk_mbytes == Reading::Unknown(not_yet)
}

/// Outside the hours of the schedule: when they next begin, `Some(None)` if never. `None` inside them.
fn schedule_ends_at(s: &Signals, p: &Preferences) -> Option<Option<UnixMillis>> {
    let start = u32::from(s.local_hour.weekday) * 24 + u32::from(s.local_hour.hour);
    let allowed = |hour: u32| {
        let mask = p.hours[(hour / 24 % 7) as usize];
        mask >> (hour % 24) & 1 == 1
    };
    if allowed(start) {
        return None;
    }
    // Whole hours of an hour each: a change to or from summer time in between shows an hour early or late and is
    // corrected when the next hour begins.
    let ahead = (1..=7 * 24).find(|&hours| allowed(start + hours));
    Some(ahead.map(|hours| s.local_hour.ends_at.plus(Duration::from_secs(u64::from(hours - 1) * 3600))))
}
