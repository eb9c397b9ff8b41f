//! PURE: every rule that is looked at before the card is shared, and how it stands: the answer to "why not now?".
//!
//! It decides nothing. What holds comes from the decision itself, so that this list and the headline cannot differ; what
//! is clear, off or unknown comes from the signals and the preferences.

use protocol::local::{Check, Preferences, Reason, ReasonCode, Verdict};
use protocol::units::UnixMillis;

use super::{Compute, Decision, GPU_BUSY_PERCENT, ORDER, Upload, has_hours};
use crate::signals::{Input, Power, Reading, Signals, Unknown};

/// The rules, in the order in which one becomes the headline. Reasons that have no rule of the owner's (a missing driver, a
/// snooze) are added in front while they hold.
pub fn checks(signals: &Signals, p: &Preferences, decision: &Decision, now: UnixMillis) -> Vec<Check> {
    let mut holding: Vec<Reason> = match &decision.compute {
        Compute::Suspend(reasons) => reasons.clone(),
        Compute::Run { .. } => Vec::new(),
    };
    if let Upload::Hold(reasons) = &decision.upload {
        let card: Vec<ReasonCode> = holding.iter().map(|reason| reason.code).collect();
        holding.extend(reasons.iter().filter(|reason| !card.contains(&reason.code)).cloned());
    }
    let mut rules: Vec<Check> =
        ORDER.iter().filter(|&&code| is_rule(code)).map(|&code| stands(code, signals, p, now)).collect();
    let mut others = Vec::new();
    for reason in holding {
        let rule = rule_of(reason.code);
        let holds = Check {
            code: rule,
            verdict: Verdict::Holds,
            seen: reason.seen,
            limit: reason.limit,
            reason: Some(reason),
        };
        match rules.iter_mut().find(|check| check.code == rule) {
            Some(check) => *check = holds,
            None => others.push(holds),
        }
    }
    others.extend(rules);
    others
}

/// Whether a reason is a rule that an owner can understand or change. The others are states of the program, or say of a
/// rule that its value is unknown.
const fn is_rule(code: ReasonCode) -> bool {
    !matches!(
        code,
        ReasonCode::TurnedOff
            | ReasonCode::NotWelcomed
            | ReasonCode::JournalFailing
            | ReasonCode::CoordinatorVersion
            | ReasonCode::DeviceSuspended
            | ReasonCode::NoDriver
            | ReasonCode::SoftwareDriver
            | ReasonCode::WorkerFailing
            | ReasonCode::Snoozed
            | ReasonCode::Benchmarking
            | ReasonCode::SystemSleep
            | ReasonCode::PowerUnknown
            | ReasonCode::InputUnknown
            | ReasonCode::MeteredUnknown
            | ReasonCode::Starting
    )
}

/// The rule behind a reason: what is unknown belongs to the rule that needs it.
const fn rule_of(code: ReasonCode) -> ReasonCode {
    match code {
        ReasonCode::InputUnknown => ReasonCode::UserActive,
        ReasonCode::PowerUnknown => ReasonCode::OnBattery,
        ReasonCode::MeteredUnknown => ReasonCode::Metered,
        other => other,
    }
}

/// How a rule stands that does not hold.
fn stands(code: ReasonCode, s: &Signals, p: &Preferences, now: UnixMillis) -> Check {
    let clear = |seen: Option<u32>, limit: Option<u32>| (Verdict::Clear, seen, limit);
    let off = (Verdict::Off, None, None);
    let unknown = |why| (verdict(why), None, None);
    let flag = |reading: &Reading<bool>| match reading {
        Reading::Known(_) => clear(None, None),
        Reading::Unknown(why) => unknown(*why),
    };
    let figure = |reading: Reading<u8>, limit: u8| match reading {
        Reading::Known(seen) => clear(Some(seen.into()), Some(limit.into())),
        Reading::Unknown(why) => unknown(why),
    };
    let (verdict, seen, limit) = match code {
        ReasonCode::UserActive if p.idle_after_seconds == 0 || p.light_percent > 0 => off,
        ReasonCode::UserActive => match s.input {
            Reading::Known(Input::IdleSince(since)) => {
                let minutes = u32::try_from(now.since(since).as_secs() / 60).unwrap_or(u32::MAX);
                clear(Some(minutes), Some(p.idle_after_seconds.div_ceil(60)))
            }
            Reading::Known(Input::Active) => clear(None, None),
            Reading::Unknown(why) => unknown(why),
        },
        ReasonCode::OtherUser | ReasonCode::RemoteSession if p.idle_after_seconds == 0 => off,
        ReasonCode::OtherUser | ReasonCode::RemoteSession => match s.session {
            Reading::Known(_) => clear(None, None),
            Reading::Unknown(why) => unknown(why),
        },
        ReasonCode::OnBattery if p.on_battery => off,
        ReasonCode::OnBattery => match s.power {
            Reading::Known(Power::Mains | Power::Battery { .. }) => clear(None, None),
            Reading::Unknown(why) => unknown(why),
        },
        ReasonCode::PowerSaver if p.with_power_saver => off,
        ReasonCode::PowerSaver => flag(&s.power_saver),
        ReasonCode::Schedule if !has_hours(p) => off,
        ReasonCode::InCall if p.in_calls => off,
        // One of the two that is known suffices to say that the rule works, both must be clear to say that nobody is.
        ReasonCode::InCall => match (s.quick.microphone, s.quick.camera) {
            (Reading::Known(_), Reading::Known(_)) => clear(None, None),
            (Reading::Unknown(why), _) | (_, Reading::Unknown(why)) => unknown(why),
        },
        ReasonCode::ExclusiveApp if p.exclusive_programs.is_empty() => off,
        ReasonCode::ExclusiveApp => match &s.quick.programs {
            Reading::Known(_) => clear(None, None),
            Reading::Unknown(why) => unknown(*why),
        },
        ReasonCode::FullscreenApp => match (s.fullscreen, s.game) {
            (Reading::Unknown(why), Reading::Known(false) | Reading::Unknown(_)) => unknown(why),
            _ => clear(None, None),
        },
        ReasonCode::ScreenKeptOn | ReasonCode::MediaPlaying if p.with_media => off,
        ReasonCode::ScreenKeptOn => flag(&s.inhibited),
        ReasonCode::MediaPlaying => flag(&s.media),
        ReasonCode::GpuBusy => figure(s.slow.other_gpu_percent, GPU_BUSY_PERCENT),
        ReasonCode::CpuBusy if p.max_other_cpu_percent >= 100 => off,
        ReasonCode::CpuBusy => figure(s.slow.other_cpu_percent, p.max_other_cpu_percent),
        ReasonCode::GpuHot => figure(s.slow.gpu_celsius, p.max_celsius),
        ReasonCode::CpuHot => figure(s.slow.cpu_celsius, p.max_cpu_celsius),
        ReasonCode::Metered if p.on_metered => off,
        ReasonCode::Metered => flag(&s.metered),
        ReasonCode::Vpn if p.on_vpn => off,
        ReasonCode::Vpn => flag(&s.vpn),
        ReasonCode::DiskLow => match s.slow.free_disk_mbytes {
            Reading::Known(mbytes) => {
                let seen = u32::try_from(mbytes).unwrap_or(u32::MAX);
                clear(Some(seen), Some(p.min_free_disk_mbytes))
            }
            Reading::Unknown(why) => unknown(why),
        },
        ReasonCode::AtALoss if p.electricity_milli_per_kwh.is_none() || p.token_milli.is_none() => off,
        _ => clear(None, None),
    };
    Check { code, verdict, seen, limit, reason: None }
}

const fn verdict(why: Unknown) -> Verdict {
    match why {
        Unknown::NotYet => Verdict::NotYet,
        Unknown::NoSource => Verdict::NoSource,
        Unknown::NotWrittenYet => Verdict::NotWrittenYet,
        Unknown::Failed => Verdict::Failed,
        Unknown::TimedOut => Verdict::TimedOut,
    }
}
