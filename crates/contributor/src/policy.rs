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

use crate::signals::{Reading, Signals, Unknown};
use crate::thermostat::Thermostat;

mod checks;
mod rules;
#[cfg(test)]
mod tests;

pub use checks::checks;
use rules::causes;

/// After the program has started nothing is computed for this long: whoever just logged in is about to work.
pub const START_GRACE: Duration = Duration::from_secs(5);
/// How long "share now" lifts the idle rule.
pub const SHARE_NOW_FOR: Duration = Duration::from_secs(600);
/// Use of the card by other programs, in percent, from which on they have it.
pub const GPU_BUSY_PERCENT: u8 = 15;
/// Without an input for this long a locked computer is left: whoever locks it goes away.
pub const LOCKED_AFTER: Duration = Duration::from_secs(15);
/// Sensors that have told nothing for so long do not answer; what they would tell is then unknown.
pub const SENSORS_WITHIN: Duration = Duration::from_secs(10);
/// The thermostat holds the card near its target; this much above, in °C, it has failed to, and the card rests.
pub const TOO_HOT_BY: u8 = 5;
/// The card may work again when it is this much cooler than its target, in °C. So may the processor.
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
    /// At this pace; `light` while somebody is here and has allowed it a smaller share.
    Run {
        /// How much of the card.
        pace: Pace,
        /// In light mode.
        light: bool,
    },
    /// Not, for these reasons; the first is the headline. Never empty.
    Suspend(Vec<Reason>),
}

/// Whether files may be delivered to other homes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// They may.
    Share,
    /// They may not, for these reasons. Never empty.
    Hold(Vec<Reason>),
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
    thermostat: Thermostat,
    /// The last decision was to let the card work.
    ran: bool,
    /// Since when a value that a rule needs has not been read.
    unread_since: Option<UnixMillis>,
    /// The card has told its temperature since it was last known to have no sensor.
    feels_heat: bool,
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
        Self {
            kept,
            started_at,
            held: BTreeMap::new(),
            thermostat: Thermostat::default(),
            ran: false,
            unread_since: None,
            feels_heat: false,
        }
    }

    fn holds(&self, code: ReasonCode) -> bool {
        self.held.contains_key(&code)
    }
}

/// Every reason code that is a veto, in the order in which one becomes the headline.
const ORDER: [ReasonCode; 34] = [
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
    ReasonCode::PowerSaver,
    ReasonCode::Schedule,
    ReasonCode::InCall,
    ReasonCode::ExclusiveApp,
    ReasonCode::FullscreenApp,
    ReasonCode::ScreenKeptOn,
    ReasonCode::MediaPlaying,
    ReasonCode::OtherUser,
    ReasonCode::RemoteSession,
    ReasonCode::UserActive,
    ReasonCode::InputUnknown,
    ReasonCode::GpuBusy,
    ReasonCode::CpuBusy,
    ReasonCode::GpuHot,
    ReasonCode::CpuHot,
    ReasonCode::Metered,
    ReasonCode::MeteredUnknown,
    ReasonCode::Vpn,
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
        | ReasonCode::CpuHot
        | ReasonCode::ExclusiveApp
        | ReasonCode::FullscreenApp
        | ReasonCode::InCall
        | ReasonCode::MediaPlaying
        | ReasonCode::ScreenKeptOn => 30,
        ReasonCode::OnBattery
        | ReasonCode::PowerUnknown
        | ReasonCode::PowerSaver
        | ReasonCode::Metered
        | ReasonCode::MeteredUnknown
        | ReasonCode::Vpn
        | ReasonCode::OtherUser
        | ReasonCode::RemoteSession => 10,
        ReasonCode::DiskLow => 60,
        _ => 0,
    })
}

/// Whether a reason holds the card.
const fn holds_card(code: ReasonCode) -> bool {
    !matches!(code, ReasonCode::Vpn)
}

/// Whether a reason holds the upload. Typing pauses the card, files may go on gently.
const fn holds_upload(code: ReasonCode) -> bool {
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
            | ReasonCode::PowerSaver
            | ReasonCode::Schedule
            | ReasonCode::Metered
            | ReasonCode::MeteredUnknown
            | ReasonCode::Vpn
            | ReasonCode::DiskLow
    )
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
    let unread = rules::is_unread(signals, preferences);
    memory.unread_since = unread.then(|| memory.unread_since.unwrap_or(now));
    heed_heat(signals, preferences, &mut memory, now);
    let causes = causes(signals, preferences, &memory, now);
    remember(&mut memory, &causes, preferences, now);

    let reasons: Vec<Reason> = reasons(&memory, &causes);
    let light = rules::light(signals, preferences, &memory, now);
    let review_at = reasons
        .iter()
        .filter_map(|reason| reason.ends_at)
        .chain(memory.kept.share_now_until)
        .chain(memory.unread_since.map(|since| since.plus(SENSORS_WITHIN)))
        .chain(light.and_then(|_| rules::away_at(signals, preferences, now)))
        .chain(has_hours(preferences).then_some(signals.local_hour.ends_at))
        .filter(|&at| at > now)
        .min();
    let held = |holds: fn(ReasonCode) -> bool| -> Vec<Reason> {
        reasons.iter().filter(|reason| holds(reason.code)).cloned().collect()
    };
    let upload = match held(holds_upload) {
        held if held.is_empty() => Upload::Share,
        held => Upload::Hold(held),
    };
    let compute = match held(holds_card) {
        held if held.is_empty() => {
            Compute::Run { pace: pace(light, preferences, &memory), light: light.is_some() }
        }
        held => Compute::Suspend(held),
    };
    memory.ran = matches!(compute, Compute::Run { .. });
    (Decision { compute, upload, review_at }, memory)
}

/// How fast the card works: as the owner allows it, as its heat allows it, and gently while somebody is near.
fn pace(light: Option<u8>, preferences: &Preferences, memory: &Memory) -> Pace {
    let most = preferences.card_percent.min(memory.thermostat.percent());
    match light {
        Some(share) => Pace { duty_percent: share.min(most), ..Pace::NEAR },
        None => Pace { duty_percent: most, ..Pace::AWAY },
    }
}

/// Lets the thermostat see the card's temperature while the card works.
fn heed_heat(signals: &Signals, preferences: &Preferences, memory: &mut Memory, now: UnixMillis) {
    match signals.slow.gpu_celsius {
        Reading::Known(celsius) => {
            memory.feels_heat = true;
            if memory.ran {
                memory.thermostat.step(celsius, preferences.max_celsius, now);
            } else {
                memory.thermostat.rest();
            }
        }
        Reading::Unknown(why) => {
            memory.thermostat.rest();
            memory.feels_heat &= matches!(why, Unknown::Failed | Unknown::TimedOut | Unknown::NotYet);
        }
    }
}

/// Adds what applies now to what is remembered, and ends what has not applied for longer than its hold.
fn remember(
    memory: &mut Memory,
    causes: &BTreeMap<ReasonCode, Cause>,
    preferences: &Preferences,
    now: UnixMillis,
) {
    let mut held = BTreeMap::new();
    for (&code, cause) in causes {
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
}

/// What is remembered, in the order of headlines.
fn reasons(memory: &Memory, causes: &BTreeMap<ReasonCode, Cause>) -> Vec<Reason> {
    ORDER
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
        .collect()
}

/// Ends what has run out, and moves instants that a clock set back has left in the future.
fn forget_the_past(memory: &mut Memory, now: UnixMillis) {
    if let Some(snoozed) = &mut memory.kept.snoozed
        && snoozed.since_at > now
    {
        // The clock was set back: what is left of the span begins anew, so that an hour stays an hour.
        let ahead = snoozed.since_at.since(now);
        snoozed.until_at = snoozed.until_at.map(|until| UnixMillis(until.0.saturating_sub(millis(ahead))));
        snoozed.since_at = now;
    }
    if memory.kept.snoozed.is_some_and(|s| s.until_at.is_some_and(|until| until <= now)) {
        memory.kept.snoozed = None;
    }
    let lifted_for_too_long = |until: UnixMillis| until <= now || until > now.plus(SHARE_NOW_FOR);
    if memory.kept.share_now_until.is_some_and(lifted_for_too_long) {
        memory.kept.share_now_until = None;
    }
    memory.started_at = memory.started_at.min(now);
    memory.unread_since = memory.unread_since.map(|since| since.min(now));
    for held in memory.held.values_mut() {
        held.last_at = held.last_at.min(now);
        held.since_at = held.since_at.min(now);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the owner's present rules make this reason void at once, without its hold.
fn lifted(code: ReasonCode, p: &Preferences) -> bool {
    match code {
        ReasonCode::OnBattery | ReasonCode::PowerUnknown => p.on_battery,
        ReasonCode::PowerSaver => p.with_power_saver,
        ReasonCode::Metered | ReasonCode::MeteredUnknown => p.on_metered,
        ReasonCode::Vpn => p.on_vpn,
        ReasonCode::InCall => p.in_calls,
        ReasonCode::MediaPlaying | ReasonCode::ScreenKeptOn => p.with_media,
        ReasonCode::OtherUser | ReasonCode::RemoteSession => p.idle_after_seconds == 0,
        ReasonCode::ExclusiveApp => p.exclusive_programs.is_empty(),
        ReasonCode::CpuBusy => p.max_other_cpu_percent >= 100,
        _ => false,
    }
}

fn has_hours(p: &Preferences) -> bool {
    p.hours.iter().any(|mask| mask & 0x00ff_ffff != 0x00ff_ffff)
}
