//! PURE: what a person may know of the present, from what the engine knows.
//!
//! Window, tray and terminal show this one [`Status`] and nothing else. It owns the choice of the one state and of the
//! headline; it never phrases a sentence. The engine calls it after every event.

use protocol::frames::{Adapter, Confinement};
use protocol::local::{
    Benchmark, CardLane, HitView, Money, Notice, Preferences, Reason, ReasonCode, SentToday, SnoozeView,
    State, Status, UploadLane, WalletBrief, Work,
};
use protocol::manifest::Family;
use protocol::units::UnixMillis;
use protocol::wire::NoWork;

use crate::conformance::Known;
use crate::link::FaultKind;
use crate::policy::{Compute, Decision, Kept, Upload};
use crate::schedule::LinkState;
use crate::store::DayWork;
use crate::yields::Yields;

/// Everything that a status is built from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Name of the network.
    pub network: &'a str,
    /// What was decided.
    pub decision: &'a Decision,
    /// The owner's rules.
    pub preferences: &'a Preferences,
    /// Welcome and snooze.
    pub kept: &'a Kept,
    /// Whether the card computes at this moment.
    pub computing: bool,
    /// Whether something is being delivered to another home.
    pub delivering: bool,
    /// The line to the coordinator.
    pub link: LinkState,
    /// Why there is no work.
    pub no_work: Option<NoWork>,
    /// What is known of how the card computes.
    pub known: Known,
    /// Since when the card has had nothing to do although it may.
    pub without_work_since: Option<UnixMillis>,
    /// What computes.
    pub adapter: Option<&'a Adapter>,
    /// Walls round the worker.
    pub confinement: Option<&'a Confinement>,
    /// Power of the card in watts.
    pub watts: Option<u32>,
    /// Temperature of the card in °C.
    pub celsius: Option<u32>,
    /// The day's figures.
    pub today: DayWork,
    /// The day's money.
    pub money: Money,
    /// The day's bytes.
    pub sent_today: SentToday,
    /// Hand-backs of the last 30 days.
    pub yields: &'a Yields,
    /// The work at hand.
    pub work: Option<Work>,
    /// The measurement.
    pub benchmark: Option<&'a Benchmark>,
    /// Notices.
    pub notices: &'a [Notice],
}

/// The status at `now`. `before` is the last one: it tells since when the state holds.
pub fn build(facts: &Facts<'_>, before: Option<&Status>, now: UnixMillis) -> Status {
    let reasons = reasons(facts, now);
    let state = state(facts, &reasons);
    let since_at = match before {
        Some(before) if before.state == state => before.since_at,
        _ => now,
    };
    let measured = facts.benchmark.and_then(|benchmark| benchmark.up_bits_per_s);
    let limit = upload_limit(facts.preferences, facts.benchmark);
    let (duty_percent, light) = match &facts.decision.compute {
        Compute::Run { pace, light } if facts.computing => (Some(pace.duty_percent), *light),
        Compute::Run { .. } | Compute::Suspend(_) => (None, false),
    };
    let held = match &facts.decision.upload {
        Upload::Share => Vec::new(),
        Upload::Hold(reasons) => reasons.clone(),
    };
    Status {
        at: now,
        network: facts.network.to_owned(),
        state,
        since_at,
        reasons,
        card: CardLane {
            sharing: facts.computing,
            adapter: facts.adapter.cloned(),
            confinement: facts.confinement.cloned(),
            limit_percent: facts.preferences.card_percent,
            duty_percent,
            light,
            watts: facts.watts,
            celsius: facts.celsius,
            bundles_today: facts.today.bundles,
            slices_today: facts.today.slices,
            yielded_in_millis: facts.yields.last_micros().map(millis),
            yield_p99_millis: facts.yields.p99_micros().map(millis),
        },
        upload: UploadLane {
            reasons: held,
            sharing: facts.delivering,
            measured_bits_per_s: measured,
            limit_bits_per_s: limit,
        },
        sent_today: facts.sent_today.clone(),
        work: facts.work.clone(),
        today: facts.money.clone(),
        snooze: facts.kept.snoozed.map(|snoozed| SnoozeView { until_at: snoozed.until_at }),
        benchmark: facts.benchmark.cloned(),
        welcomed: facts.kept.welcomed,
        notices: facts.notices.to_vec(),
        wallet: WalletBrief::None,
    }
}

/// What all deliveries together may send, in bits per second: the least of the owner's limit and three quarters of the measured line.
/// `None` while neither is known.
pub fn upload_limit(preferences: &Preferences, benchmark: Option<&Benchmark>) -> Option<u64> {
    let measured = benchmark.and_then(|benchmark| benchmark.up_bits_per_s).map(|bits| bits / 4 * 3);
    let wanted = (preferences.upload_kbits > 0).then(|| u64::from(preferences.upload_kbits) * 1000);
    wanted.into_iter().chain(measured).min()
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// The vetoes, and if there is none and the card still rests, the one thing that is missing.
fn reasons(facts: &Facts<'_>, now: UnixMillis) -> Vec<Reason> {
    match &facts.decision.compute {
        Compute::Suspend(reasons) => reasons.clone(),
        Compute::Run { .. } if facts.computing => Vec::new(),
        Compute::Run { .. } => {
            let (code, since_at) = missing(facts, now);
            vec![Reason { code, since_at, ends_at: None, seen: None, limit: None, subject: None }]
        }
    }
}

fn missing(facts: &Facts<'_>, now: UnixMillis) -> (ReasonCode, UnixMillis) {
    let since = facts.without_work_since.unwrap_or(now);
    if facts.known == Known::Failed {
        return (ReasonCode::Miscomputes, since);
    }
    match (facts.link, facts.no_work) {
        (LinkState::Down { since_at, kind }, _) => (link_code(kind), since_at),
        (_, Some(NoWork::NoneOffered | NoWork::EnoughLeased | NoWork::ClassHeld)) if facts.work.is_none() => {
            (ReasonCode::NoWork, since)
        }
        (_, Some(NoWork::Suspended)) => (ReasonCode::DeviceSuspended, since),
        (_, Some(NoWork::DeviceClass)) => (ReasonCode::SoftwareDriver, since),
        // Introducing itself, fetching, or starting the worker: seconds.
        _ => (ReasonCode::Starting, since),
    }
}

const fn link_code(kind: FaultKind) -> ReasonCode {
    match kind {
        FaultKind::Journal => ReasonCode::JournalFailing,
        FaultKind::Version => ReasonCode::CoordinatorVersion,
        FaultKind::Suspended => ReasonCode::DeviceSuspended,
        FaultKind::DiskFull => ReasonCode::DiskLow,
        FaultKind::Unreachable | FaultKind::NotFound | FaultKind::Expired | FaultKind::Refused => {
            ReasonCode::CoordinatorUnreachable
        }
    }
}

fn state(facts: &Facts<'_>, reasons: &[Reason]) -> State {
    let Some(headline) = reasons.first() else {
        return match facts.link {
            LinkState::Down { .. } => State::WorkingOffline,
            LinkState::Untried | LinkState::Up => State::Sharing,
        };
    };
    match headline.code {
        ReasonCode::TurnedOff => State::Off,
        ReasonCode::JournalFailing
        | ReasonCode::CoordinatorVersion
        | ReasonCode::DeviceSuspended
        | ReasonCode::NoDriver
        | ReasonCode::SoftwareDriver
        | ReasonCode::WorkerFailing
        | ReasonCode::Miscomputes => State::Attention,
        ReasonCode::NotWelcomed
        | ReasonCode::Benchmarking
        | ReasonCode::AtALoss
        | ReasonCode::Starting
        | ReasonCode::CoordinatorUnreachable
        | ReasonCode::NoWork => State::Waiting,
        ReasonCode::Snoozed
        | ReasonCode::UserActive
        | ReasonCode::InputUnknown
        | ReasonCode::OtherUser
        | ReasonCode::RemoteSession
        | ReasonCode::OnBattery
        | ReasonCode::PowerUnknown
        | ReasonCode::PowerSaver
        | ReasonCode::Schedule
        | ReasonCode::FullscreenApp
        | ReasonCode::ExclusiveApp
        | ReasonCode::InCall
        | ReasonCode::MediaPlaying
        | ReasonCode::ScreenKeptOn
        | ReasonCode::CpuBusy
        | ReasonCode::GpuBusy
        | ReasonCode::GpuHot
        | ReasonCode::CpuHot
        | ReasonCode::Metered
        | ReasonCode::MeteredUnknown
        | ReasonCode::Vpn
        | ReasonCode::DiskLow
        | ReasonCode::SystemSleep => State::Paused,
    }
}

/// What a person may know of a program that is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkFacts {
    /// Title of the program.
    pub title: String,
    /// What it is for and for whom.
    pub purpose: String,
    /// Which picture fits.
    pub family: Family,
    /// Name of the publisher.
    pub publisher: String,
    /// Lines found so far.
    pub hits: Vec<HitView>,
}

#[cfg(test)]
mod tests {
    use protocol::frames::Pace;

    use super::*;
    use crate::policy::Upload;
    use crate::preferences;

    const NOW: UnixMillis = UnixMillis(5000);

    fn check(
        decision: Compute,
        computing: bool,
        link: LinkState,
        no_work: Option<NoWork>,
        known: Known,
        expected: (State, Option<ReasonCode>),
    ) {
        let preferences = preferences::defaults();
        let decision = Decision { compute: decision, upload: Upload::Share, review_at: None };
        let money = Money { unit: "EMBER".to_owned(), paid: "0.0".to_owned(), electricity: None, net: None };
        let facts = Facts {
            network: "home",
            decision: &decision,
            preferences: &preferences,
            kept: &Kept { welcomed: true, ..Kept::default() },
            computing,
            delivering: false,
            link,
            no_work,
            known,
            without_work_since: None,
            adapter: None,
            confinement: None,
            watts: None,
            celsius: None,
            today: DayWork::default(),
            money,
            sent_today: SentToday { sent_bytes: 0, received_bytes: 0 },
            yields: &Yields::default(),
            work: None,
            benchmark: None,
            notices: &[],
        };
        let status = build(&facts, None, NOW);
        assert_eq!((status.state, status.reasons.first().map(|r| r.code)), expected);
        assert_eq!(status.wallet, WalletBrief::None, "this room knows of no wallet");
    }

    fn because(code: ReasonCode) -> Compute {
        Compute::Suspend(vec![Reason {
            code,
            since_at: NOW,
            ends_at: None,
            seen: None,
            limit: None,
            subject: None,
        }])
    }

    const DOWN: LinkState = LinkState::Down { since_at: UnixMillis(7), kind: FaultKind::Unreachable };

    #[test]
    fn one_state_is_chosen_from_decision_and_line() {
        use ReasonCode as R;
        let run = || Compute::Run { pace: Pace::AWAY, light: false };
        check(run(), true, LinkState::Up, None, Known::Passed, (State::Sharing, None));
        check(run(), true, DOWN, None, Known::Passed, (State::WorkingOffline, None));
        check(run(), false, DOWN, None, Known::Passed, (State::Waiting, Some(R::CoordinatorUnreachable)));
        check(
            run(),
            false,
            LinkState::Up,
            Some(NoWork::NoneOffered),
            Known::Passed,
            (State::Waiting, Some(R::NoWork)),
        );
        check(run(), false, LinkState::Untried, None, Known::Passed, (State::Waiting, Some(R::Starting)));
        let version = LinkState::Down { since_at: NOW, kind: FaultKind::Version };
        check(run(), false, version, None, Known::Passed, (State::Attention, Some(R::CoordinatorVersion)));
        check(
            because(R::UserActive),
            false,
            LinkState::Up,
            None,
            Known::Passed,
            (State::Paused, Some(R::UserActive)),
        );
        check(
            because(R::TurnedOff),
            false,
            LinkState::Up,
            None,
            Known::Passed,
            (State::Off, Some(R::TurnedOff)),
        );
        check(
            because(R::NoDriver),
            false,
            LinkState::Up,
            None,
            Known::Passed,
            (State::Attention, Some(R::NoDriver)),
        );
        check(run(), false, LinkState::Up, None, Known::Unchecked, (State::Waiting, Some(R::Starting)));
        check(run(), false, DOWN, None, Known::Failed, (State::Attention, Some(R::Miscomputes)));
        let held = Some(NoWork::ClassHeld);
        check(run(), false, LinkState::Up, held, Known::Passed, (State::Waiting, Some(R::NoWork)));
        check(
            because(R::NotWelcomed),
            false,
            LinkState::Up,
            None,
            Known::Passed,
            (State::Waiting, Some(R::NotWelcomed)),
        );
    }
}
