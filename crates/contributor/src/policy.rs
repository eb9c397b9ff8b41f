//! PURE: whether the card and the upload are shared now, and every reason why not.
//!
//! [`decide`] is the only place where a rule of the owner's meets what is seen of the machine. It looks at its arguments
//! and nothing else; what it must remember between two looks (since when a reason holds, snoozes, the one light
//! session) is [`Memory`], which goes in and comes out. The engine calls it on every change and at
//! [`Decision::review_at`]. A value that is unknown counts against sharing where somebody could be disturbed or pay
//! for it: input, power, processor, disk.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::frames::Pace;
use protocol::local::{Preferences, Reason, ReasonCode};
use protocol::units::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::signals::{Input, Power, Reading, Signals, Unknown};

#[cfg(test)]
mod tests;

/// After the program has started nothing is computed for this long: whoever just logged in is about to work.
pub const START_GRACE: Duration = Duration::from_secs(5);
/// How long "share now" lifts the idle rule.
pub const SHARE_NOW_FOR: Duration = Duration::from_secs(600);
/// Use of the card by other programs, in percent, from which on they have it.
pub const GPU_BUSY_PERCENT: u8 = 15;
/// The card may work again when it is this much cooler than the limit, in °C.
const COOLED_BY: u8 = 5;
/// The system counts as just woken for this long.
const WOKEN_FOR: Duration = Duration::from_secs(15);

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// For the card.
    pub compute: Compute,
    /// For the upload. Decided apart: typing pauses the card, files may go on gently.
    pub upload: Upload,
    /// When to look again although nothing has changed.
    pub review_at: Option<UnixMillis>,
}

/// Whether the card computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compute {
    /// At this pace.
    Run(Pace),
    /// Not, for these reasons; the first is the headline. Never empty.
    Suspend(Vec<Reason>),
}

/// Whether files may be delivered to other homes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// They may.
    Share,
    /// They may not, for these reasons. Never empty.
    Hold(Vec<ReasonCode>),
}

/// A pause asked for by the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snoozed {
    /// Since when.
    pub since_at: UnixMillis,
    /// Until when; `None` until the owner resumes.
    pub until_at: Option<UnixMillis>,
}

/// The part of [`Memory`] that outlives a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whether Welcome is done.
    pub welcomed: bool,
    /// The snooze that holds.
    pub snoozed: Option<Snoozed>,
    /// Until when the idle rule is lifted.
    pub share_now_until: Option<UnixMillis>,
    /// The idle rule is lifted once, in Welcome.
    pub share_now_used: bool,
}

/// What [`decide`] remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// What outlives a restart.
    pub kept: Kept,
    /// When the program started.
    pub started_at: UnixMillis,
    held: BTreeMap<ReasonCode, Held>,
}

/// A reason that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    since_at: UnixMillis,
    last_at: UnixMillis,
    seen: Option<u32>,
    limit: Option<u32>,
    subject: Option<String>,
}

/// A reason as it applies at this moment, before what is remembered is added.
#[derive(Debug, Default)]
struct Cause {
    ends_at: Option<UnixMillis>,
    seen: Option<u32>,
    limit: Option<u32>,
    subject: Option<String>,
}

impl Memory {
    /// The memory of a program that has just started.
    pub fn new(kept: Kept, started_at: UnixMillis) -> Self {
        Self { kept, started_at, held: BTreeMap::new() }
    }

    fn holds(&self, code: ReasonCode) -> bool {
        self.held.contains_key(&code)
    }
}

/// Every reason code that is a veto, in the order in which one becomes the headline.
const ORDER: [ReasonCode; 24] = [
    ReasonCode::TurnedOff,
    ReasonCode::NotWelcomed,
    ReasonCode::JournalFailing,
    ReasonCode::CoordinatorVersion,
    ReasonCode::DeviceSuspended,
    ReasonCode::NoDriver,
    ReasonCode::SoftwareDriver,
    ReasonCode::WorkerFailing,
    ReasonCode::Snoozed,
    ReasonCode::Benchmarking,
    ReasonCode::SystemSleep,
    ReasonCode::OnBattery,
    ReasonCode::PowerUnknown,
    ReasonCode::Schedule,
    ReasonCode::ExclusiveApp,
    ReasonCode::FullscreenApp,
    ReasonCode::UserActive,
    ReasonCode::InputUnknown,
    ReasonCode::GpuBusy,
    ReasonCode::CpuBusy,
    ReasonCode::GpuHot,
    ReasonCode::DiskLow,
    ReasonCode::AtALoss,
    ReasonCode::Starting,
];

/// How long a reason goes on after it was last seen, so that noise does not start and stop the card. What the owner
/// does by hand ends at once; idleness has its own span in the preferences.
pub const fn hold(code: ReasonCode) -> Duration {
    Duration::from_secs(match code {
        ReasonCode::GpuBusy
        | ReasonCode::CpuBusy
        | ReasonCode::GpuHot
        | ReasonCode::ExclusiveApp
        | ReasonCode::FullscreenApp => 30,
        ReasonCode::OnBattery | ReasonCode::PowerUnknown => 10,
        ReasonCode::DiskLow => 60,
        _ => 0,
    })
}

/// Whether the card and the upload are shared at `now`, every reason why not, and what to remember.
pub fn decide(
    signals: &Signals,
    preferences: &Preferences,
    memory: &Memory,
    now: UnixMillis,
) -> (Decision, Memory) {
    let mut memory = memory.clone();
    forget_the_past(&mut memory, now);
    let causes = causes(signals, preferences, &memory, now);

    let mut held = BTreeMap::new();
    for (&code, cause) in &causes {
        let since_at = memory.held.get(&code).map_or(now, |h| h.since_at);
        // A clock that was set back must not leave a beginning in the future.
        let since_at = match (code, memory.kept.snoozed) {
            (ReasonCode::Snoozed, Some(snoozed)) => snoozed.since_at.min(now),
            _ => since_at.min(now),
        };
        let subject = cause.subject.clone();
        held.insert(code, Held { since_at, last_at: now, seen: cause.seen, limit: cause.limit, subject });
    }
    for (&code, old) in &memory.held {
        let goes_on = old.last_at.plus(hold(code)) > now && !lifted(code, preferences);
        if goes_on && !held.contains_key(&code) {
            held.insert(code, old.clone());
        }
    }
    memory.held = held;

    let reasons: Vec<Reason> = ORDER
        .iter()
        .filter_map(|&code| {
            let held = memory.held.get(&code)?;
            let ends_at = match causes.get(&code) {
                Some(cause) => cause.ends_at,
                None => Some(held.last_at.plus(hold(code))),
            };
            Some(Reason {
                code,
                since_at: held.since_at,
                ends_at,
                seen: held.seen,
                limit: held.limit,
                subject: held.subject.clone(),
            })
        })
        .collect();

    let light = memory.kept.share_now_until.is_some_and(|until| until > now);
    let review_at = reasons
        .iter()
        .filter_map(|reason| reason.ends_at)
        .chain(memory.kept.share_now_until)
        .chain(has_hours(preferences).then_some(signals.local_hour.ends_at))
        .filter(|&at| at > now)
        .min();
    let upload = upload(&reasons);
    let compute = if reasons.is_empty() {
        let pace = if light { Pace::NEAR } else { Pace::AWAY };
        Compute::Run(Pace { duty_percent: pace.duty_percent.min(preferences.card_percent), ..pace })
    } else {
        Compute::Suspend(reasons)
    };
    (Decision { compute, upload, review_at }, memory)
}

/// Ends what has run out, and moves instants that a clock set back has left in the future.
fn forget_the_past(memory: &mut Memory, now: UnixMillis) {
    if memory.kept.snoozed.is_some_and(|s| s.until_at.is_some_and(|until| until <= now)) {
        memory.kept.snoozed = None;
    }
    let lifted_for_too_long = |until: UnixMillis| until <= now || until > now.plus(SHARE_NOW_FOR);
    if memory.kept.share_now_until.is_some_and(lifted_for_too_long) {
        memory.kept.share_now_until = None;
    }
    memory.started_at = memory.started_at.min(now);
    for held in memory.held.values_mut() {
        held.last_at = held.last_at.min(now);
        held.since_at = held.since_at.min(now);
    }
}

/// Whether the owner's present rules make this reason void at once, without its hold.
fn lifted(code: ReasonCode, p: &Preferences) -> bool {
    match code {
        ReasonCode::OnBattery | ReasonCode::PowerUnknown => p.on_battery,
        ReasonCode::ExclusiveApp => p.exclusive_programs.is_empty(),
        ReasonCode::CpuBusy => p.max_other_cpu_percent >= 100,
        _ => false,
    }
}

fn has_hours(p: &Preferences) -> bool {
    p.hours.iter().any(|mask| mask & 0x00ff_ffff != 0x00ff_ffff)
}

/// Every veto that applies at this moment.
fn causes(s: &Signals, p: &Preferences, memory: &Memory, now: UnixMillis) -> BTreeMap<ReasonCode, Cause> {
    let mut causes = BTreeMap::new();
    let mut veto = |code, applies: bool, cause: Cause| {
        if applies {
            causes.insert(code, cause);
        }
    };
    let plain = Cause::default;
    let until = |ends_at| Cause { ends_at: Some(ends_at), ..Cause::default() };
    let c = &s.conditions;

    veto(ReasonCode::TurnedOff, !p.enabled, plain());
    veto(ReasonCode::NotWelcomed, !memory.kept.welcomed, plain());
    if let Some(snoozed) = memory.kept.snoozed {
        veto(ReasonCode::Snoozed, true, Cause { ends_at: snoozed.until_at, ..plain() });
    }
    veto(ReasonCode::JournalFailing, c.journal_failing, plain());
    veto(ReasonCode::CoordinatorVersion, c.coordinator_version, plain());
    veto(ReasonCode::DeviceSuspended, c.device_suspended, plain());
    veto(ReasonCode::NoDriver, c.no_driver, plain());
    veto(ReasonCode::SoftwareDriver, c.software_driver, plain());
    if let Some(until_at) = c.worker_failing_until {
        veto(ReasonCode::WorkerFailing, until_at > now, until(until_at));
    }
    veto(ReasonCode::Benchmarking, c.benchmarking, plain());
    if let Some(woke_at) = s.woke_at {
        // An instant in the future is of a clock that was set back; it says nothing.
        let ends_at = woke_at.plus(WOKEN_FOR);
        veto(ReasonCode::SystemSleep, woke_at <= now && ends_at > now, until(ends_at));
    }
    if let Some((cost, pay)) = c.at_a_loss {
        veto(ReasonCode::AtALoss, true, Cause { seen: Some(cost), limit: Some(pay), ..plain() });
    }
    // What has not been read for the first time yet says nothing of its own: the program is still starting.
    let grace_ends_at = memory.started_at.plus(START_GRACE);
    let unread = is_unread(s, p);
    let ends_at = Some(grace_ends_at).filter(|_| !unread);
    veto(ReasonCode::Starting, unread || grace_ends_at > now, Cause { ends_at, ..plain() });

    let light = memory.kept.share_now_until.is_some_and(|until| until > now);
    if p.idle_after_seconds > 0 && !light {
        let minutes = p.idle_after_seconds.div_ceil(60);
        match s.input {
            Reading::Known(Input::Active) => {
                veto(ReasonCode::UserActive, true, Cause { limit: Some(minutes), ..plain() });
            }
            Reading::Known(Input::IdleSince(since)) => {
                // Nobody can have been idle since the future.
                let ends_at = since.min(now).plus(Duration::from_secs(p.idle_after_seconds.into()));
                let cause = Cause { ends_at: Some(ends_at), limit: Some(minutes), ..plain() };
                veto(ReasonCode::UserActive, ends_at > now, cause);
            }
            Reading::Unknown(Unknown::NotYet) => {}
            Reading::Unknown(_) => {
                veto(ReasonCode::InputUnknown, true, Cause { limit: Some(minutes), ..plain() });
            }
        }
    }
    veto(ReasonCode::FullscreenApp, s.fullscreen == Reading::Known(true), plain());

    if !p.on_battery {
        match s.power {
            Reading::Known(Power::Mains) | Reading::Unknown(Unknown::NotYet) => {}
            Reading::Known(Power::Battery { percent }) => {
                veto(ReasonCode::OnBattery, true, Cause { seen: percent.map(u32::from), ..plain() });
            }
            Reading::Unknown(_) => veto(ReasonCode::PowerUnknown, true, plain()),
        }
    }
    if let Some(ends_at) = schedule_ends_at(s, p) {
        veto(ReasonCode::Schedule, true, Cause { ends_at, ..plain() });
    }
    if let Reading::Known(programs) = &s.quick.programs {
        let running = programs.iter().find(|name| p.exclusive_programs.contains(name));
        veto(ReasonCode::ExclusiveApp, running.is_some(), Cause { subject: running.cloned(), ..plain() });
    }
    if p.max_other_cpu_percent < 100 {
        let (seen, limit) = (s.slow.other_cpu_percent.known(), p.max_other_cpu_percent);
        let cause = Cause { seen: seen.map(u32::from), limit: Some(limit.into()), ..plain() };
        let unread = s.slow.other_cpu_percent == Reading::Unknown(Unknown::NotYet);
        veto(ReasonCode::CpuBusy, !unread && seen.is_none_or(|percent| percent > limit), cause);
    }
    if let Reading::Known(percent) = s.slow.other_gpu_percent {
        let cause = Cause { seen: Some(percent.into()), limit: Some(GPU_BUSY_PERCENT.into()), ..plain() };
        veto(ReasonCode::GpuBusy, percent >= GPU_BUSY_PERCENT, cause);
    }
    if let Reading::Known(celsius) = s.slow.gpu_celsius {
        let cooled = if memory.holds(ReasonCode::GpuHot) { COOLED_BY } else { 0 };
        let cause = Cause { seen: Some(celsius.into()), limit: Some(p.max_celsius.into()), ..plain() };
        veto(ReasonCode::GpuHot, celsius > p.max_celsius.saturating_sub(cooled), cause);
    }
    let seen = s.slow.free_disk_mbytes.known();
    let limit = u64::from(p.min_free_disk_mbytes);
    // A tenth more than the limit ends it, so that a file that comes and goes does not.
    let wanted = if memory.holds(ReasonCode::DiskLow) { limit + limit / 10 } else { limit };
    let shown = seen.map(|mbytes| u32::try_from(mbytes).unwrap_or(u32::MAX));
    let cause = Cause { seen: shown, limit: Some(p.min_free_disk_mbytes), ..plain() };
    let unread = s.slow.free_disk_mbytes == Reading::Unknown(Unknown::NotYet);
    let low = !unread && seen.is_none_or(|mbytes| mbytes < wanted);
    veto(ReasonCode::DiskLow, c.disk_full || low, cause);
    causes
}

/// Whether a value that a rule of the owner's needs has not been read since the start or the last sleep.
fn is_unread(s: &Signals, p: &Preferences) -> bool {
    let not_yet = Unknown::NotYet;
    p.idle_after_seconds > 0 && s.input == Reading::Unknown(not_yet)
        || !p.on_battery && s.power == Reading::Unknown(not_yet)
        || p.max_other_cpu_percent < 100 && s.slow.other_cpu_percent == Reading::Unknown(not_yet)
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

fn upload(reasons: &[Reason]) -> Upload {
    let holds = |code: ReasonCode| {
        matches!(
            code,
            ReasonCode::TurnedOff
                | ReasonCode::NotWelcomed
                | ReasonCode::Snoozed
                | ReasonCode::JournalFailing
                | ReasonCode::CoordinatorVersion
                | ReasonCode::DeviceSuspended
                | ReasonCode::Benchmarking
                | ReasonCode::SystemSleep
                | ReasonCode::OnBattery
                | ReasonCode::PowerUnknown
                | ReasonCode::Schedule
                | ReasonCode::DiskLow
        )
    };
    let codes: Vec<ReasonCode> = reasons.iter().map(|r| r.code).filter(|&code| holds(code)).collect();
    if codes.is_empty() { Upload::Share } else { Upload::Hold(codes) }
}
