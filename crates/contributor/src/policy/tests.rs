//! One row per reason, and what must hold for any life of a household.

use proptest::prelude::*;

use super::*;
use crate::preferences;
use crate::signals::scripted;
use crate::signals::{Input, LocalHour, Power, Session, Unknown};

/// Nobody is here and nothing holds the card back.
const AWAY: Compute = Compute::Run { pace: Pace::AWAY, light: false };
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A desktop that nobody has used for an hour, long after the start.
fn away() -> (Signals, Preferences, Memory) {
    let mut signals = scripted::quiet(NOW);
    signals.input = Reading::Known(Input::IdleSince(UnixMillis(NOW.0 - 3_600_000)));
    let kept = Kept { welcomed: true, ..Kept::default() };
    (signals, preferences::defaults(), Memory::new(kept, UnixMillis(NOW.0 - 3_600_000)))
}

fn reasons(decision: &Decision) -> Vec<ReasonCode> {
    match &decision.compute {
        Compute::Run { .. } => Vec::new(),
        Compute::Suspend(reasons) => reasons.iter().map(|r| r.code).collect(),
    }
}

fn held(decision: &Decision) -> Vec<ReasonCode> {
    match &decision.upload {
        Upload::Share => Vec::new(),
        Upload::Hold(reasons) => reasons.iter().map(|r| r.code).collect(),
    }
}

/// Changes the quiet machine in one way and expects exactly this reason.
fn check(code: ReasonCode, change: fn(&mut Signals, &mut Preferences, &mut Memory)) -> Reason {
    let (mut signals, mut preferences, mut memory) = away();
    change(&mut signals, &mut preferences, &mut memory);
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(reasons(&decision), [code], "exactly this reason should apply");
    match decision.compute {
        Compute::Suspend(mut reasons) => reasons.remove(0),
        Compute::Run { .. } => unreachable!("the assertion above"),
    }
}

#[test]
fn a_quiet_machine_shares_at_full_pace() {
    let (signals, preferences, memory) = away();
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(decision.compute, AWAY);
    assert_eq!(decision.upload, Upload::Share);
    assert_eq!(decision.review_at, None, "nothing will change by itself");
}

#[test]
fn every_reason_applies_alone_with_its_figures() {
    use ReasonCode as R;
    check(R::TurnedOff, |_, p, _| p.enabled = false);
    check(R::NotWelcomed, |_, _, m| m.kept.welcomed = false);
    check(R::JournalFailing, |s, _, _| s.conditions.journal_failing = true);
    check(R::CoordinatorVersion, |s, _, _| s.conditions.coordinator_version = true);
    check(R::DeviceSuspended, |s, _, _| s.conditions.device_suspended = true);
    check(R::NoDriver, |s, _, _| s.conditions.no_driver = true);
    check(R::SoftwareDriver, |s, _, _| s.conditions.software_driver = true);
    check(R::Benchmarking, |s, _, _| s.conditions.benchmarking = true);
    check(R::FullscreenApp, |s, _, _| s.fullscreen = Reading::Known(true));
    check(R::FullscreenApp, |s, _, _| s.game = Reading::Known(true));
    check(R::InCall, |s, _, _| s.quick.microphone = Reading::Known(true));
    check(R::InCall, |s, _, _| s.quick.camera = Reading::Known(true));
    check(R::MediaPlaying, |s, _, _| s.media = Reading::Known(true));
    check(R::ScreenKeptOn, |s, _, _| s.inhibited = Reading::Known(true));
    check(R::PowerSaver, |s, _, _| s.power_saver = Reading::Known(true));
    check(R::Metered, |s, _, _| s.metered = Reading::Known(true));
    check(R::MeteredUnknown, |s, _, _| s.metered = Reading::Unknown(Unknown::NoSource));
    check(R::OtherUser, |s, _, _| {
        s.session = Reading::Known(Session { locked: false, remote: false, on_screen: false });
    });
    check(R::RemoteSession, |s, _, _| {
        s.session = Reading::Known(Session { locked: false, remote: true, on_screen: true });
    });
    check(R::UserActive, |s, _, _| s.gamepad = Reading::Known(Input::Active));
    check(R::ExclusiveApp, |s, p, _| {
        p.exclusive_programs = vec!["obs".to_owned()];
        s.quick.programs = Reading::Unknown(Unknown::TimedOut);
    });
    check(R::SystemSleep, |s, _, _| s.falling_asleep = true);
    let warm = check(R::CpuHot, |s, _, _| s.slow.cpu_celsius = Reading::Known(91));
    assert_eq!((warm.seen, warm.limit), (Some(91), Some(90)));
    check(R::InputUnknown, |s, _, _| s.input = Reading::Unknown(Unknown::NoSource));
    check(R::PowerUnknown, |s, _, _| s.power = Reading::Unknown(Unknown::Failed));

    let failing =
        check(R::WorkerFailing, |s, _, _| s.conditions.worker_failing_until = Some(UnixMillis(NOW.0 + 9)));
    assert_eq!(failing.ends_at, Some(UnixMillis(NOW.0 + 9)));
    let snoozed = check(R::Snoozed, |_, _, m| {
        m.kept.snoozed =
            Some(Snoozed { since_at: UnixMillis(NOW.0 - 7), until_at: Some(UnixMillis(NOW.0 + 7)) });
    });
    assert_eq!((snoozed.since_at.0, snoozed.ends_at), (NOW.0 - 7, Some(UnixMillis(NOW.0 + 7))));
    let woken = check(R::SystemSleep, |s, _, _| s.woke_at = Some(UnixMillis(NOW.0 - 1000)));
    assert_eq!(woken.ends_at, Some(UnixMillis(NOW.0 + 14_000)));
    let active = check(R::UserActive, |s, _, _| s.input = Reading::Known(Input::Active));
    assert_eq!((active.ends_at, active.limit), (None, Some(5)), "nobody knows when they leave");
    let left = check(R::UserActive, |s, _, _| {
        s.input = Reading::Known(Input::IdleSince(UnixMillis(NOW.0 - 60_000)));
    });
    assert_eq!(left.ends_at, Some(UnixMillis(NOW.0 + 240_000)), "five minutes after the last input");
    let battery = check(R::OnBattery, |s, _, _| {
        s.power = Reading::Known(Power::Battery { percent: Some(71) });
    });
    assert_eq!(battery.seen, Some(71));
    let schedule = check(R::Schedule, |_, p, _| p.hours = [0, 0, 1 << 3, 0, 0, 0, 0]);
    // scripted::quiet stands at Monday, 12 o'clock; the next allowed hour is Wednesday at 3.
    assert_eq!(schedule.ends_at, Some(UnixMillis(NOW.0 + 1_800_000 + 38 * 3_600_000)));
    let never = check(R::Schedule, |_, p, _| p.hours = [0; 7]);
    assert_eq!(never.ends_at, None, "no hour is allowed at all");
    let exclusive = check(R::ExclusiveApp, |s, p, _| {
        p.exclusive_programs = vec!["obs".to_owned()];
        s.quick.programs = Reading::Known(vec!["obs".to_owned()]);
    });
    assert_eq!(exclusive.subject.as_deref(), Some("obs"));
    let cpu = check(R::CpuBusy, |s, _, _| s.slow.other_cpu_percent = Reading::Known(26));
    assert_eq!((cpu.seen, cpu.limit), (Some(26), Some(25)));
    let cpu = check(R::CpuBusy, |s, _, _| s.slow.other_cpu_percent = Reading::Unknown(Unknown::TimedOut));
    assert_eq!(cpu.seen, None, "an unknown use counts as busy and shows no figure");
    let gpu = check(R::GpuBusy, |s, _, _| s.slow.other_gpu_percent = Reading::Known(GPU_BUSY_PERCENT));
    assert_eq!(gpu.limit, Some(GPU_BUSY_PERCENT.into()));
    let hot = check(R::GpuHot, |s, _, _| s.slow.gpu_celsius = Reading::Known(86));
    assert_eq!((hot.seen, hot.limit), (Some(86), Some(80)), "five degrees beyond what is held");
    let disk = check(R::DiskLow, |s, _, _| s.slow.free_disk_mbytes = Reading::Known(1999));
    assert_eq!((disk.seen, disk.limit), (Some(1999), Some(2000)));
    check(R::DiskLow, |s, _, _| s.conditions.disk_full = true);
    let loss = check(R::AtALoss, |s, _, _| s.conditions.at_a_loss = Some((90, 40)));
    assert_eq!((loss.seen, loss.limit), (Some(90), Some(40)));
    let starting = check(R::Starting, |_, _, m| m.started_at = UnixMillis(NOW.0 - 1000));
    assert_eq!(starting.ends_at, Some(UnixMillis(NOW.0 + 4000)));
    let unread = check(R::Starting, |s, _, _| s.slow = crate::signals::Slow::unknown(Unknown::NotYet));
    assert_eq!(unread.ends_at, None, "until the sensors have been read");
    check(R::Starting, |s, _, _| s.input = Reading::Unknown(Unknown::NotYet));
}

#[test]
fn a_first_reading_frees_the_card_at_once() {
    let (mut signals, preferences, memory) = away();
    let read = signals.slow.clone();
    signals.slow = crate::signals::Slow::unknown(Unknown::NotYet);
    let (_, memory) = decide(&signals, &preferences, &memory, NOW);
    signals.slow = read;
    let (decision, _) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_millis(1)));
    assert_eq!(reasons(&decision), [], "what was never seen busy needs no time to calm down");
}

#[test]
fn an_unknown_card_is_no_veto() {
    let (mut signals, preferences, memory) = away();
    signals.slow.gpu_celsius = Reading::Unknown(Unknown::NoSource);
    signals.slow.other_gpu_percent = Reading::Unknown(Unknown::NoSource);
    signals.fullscreen = Reading::Unknown(Unknown::NotWrittenYet);
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(reasons(&decision), [], "most cards tell no temperature, and that disturbs nobody");
}

#[test]
fn all_reasons_are_told_and_the_owner_s_word_leads() {
    let (mut signals, preferences, mut memory) = away();
    signals.input = Reading::Known(Input::Active);
    signals.slow.other_cpu_percent = Reading::Known(90);
    memory.kept.snoozed = Some(Snoozed { since_at: NOW, until_at: None });
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(reasons(&decision), [ReasonCode::Snoozed, ReasonCode::UserActive, ReasonCode::CpuBusy]);
    assert_eq!(held(&decision), [ReasonCode::Snoozed], "a snooze holds both lanes");
}

#[test]
fn typing_pauses_the_card_and_not_the_upload() {
    let (mut signals, preferences, memory) = away();
    signals.input = Reading::Known(Input::Active);
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(reasons(&decision), [ReasonCode::UserActive]);
    assert_eq!(decision.upload, Upload::Share);
}

#[test]
fn an_idle_span_of_zero_turns_the_idle_rule_off() {
    let (mut signals, mut preferences, memory) = away();
    preferences.idle_after_seconds = 0;
    for input in [Reading::Known(Input::Active), Reading::Unknown(Unknown::NoSource)] {
        signals.input = input;
        let (decision, _) = decide(&signals, &preferences, &memory, NOW);
        assert_eq!(decision.compute, AWAY, "the owner said: always");
    }
}

#[test]
fn share_now_lifts_only_the_idle_rule_and_only_in_light_mode() {
    let (mut signals, mut preferences, mut memory) = away();
    signals.input = Reading::Known(Input::Active);
    let until = NOW.plus(SHARE_NOW_FOR);
    memory.kept.share_now_until = Some(until);
    let (decision, after) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(decision.compute, Compute::Run { pace: Pace::NEAR, light: true });
    assert_eq!(decision.review_at, Some(until), "the light session has an end");
    preferences.card_percent = 30;
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(decision.compute, Compute::Run { pace: Pace { duty_percent: 30, ..Pace::NEAR }, light: true });
    signals.power = Reading::Known(Power::Battery { percent: None });
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(reasons(&decision), [ReasonCode::OnBattery], "every other rule still holds");
    let (decision, after) = decide(&signals, &preferences, &after, until);
    assert!(reasons(&decision).contains(&ReasonCode::UserActive), "after ten minutes the rule is back");
    assert_eq!(after.kept.share_now_until, None);
}

#[test]
fn a_snooze_ends_by_itself_and_frees_the_card_at_once() {
    let (signals, preferences, mut memory) = away();
    let until = UnixMillis(NOW.0 + 900_000);
    memory.kept.snoozed = Some(Snoozed { since_at: NOW, until_at: Some(until) });
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(decision.review_at, Some(until));
    let (decision, memory) = decide(&signals, &preferences, &memory, until);
    assert_eq!(reasons(&decision), []);
    assert_eq!(memory.kept.snoozed, None, "what has ended is not kept for the next start");
}

#[test]
fn a_busy_card_is_left_alone_for_thirty_seconds_after_it_was_last_used() {
    let (mut signals, preferences, memory) = away();
    signals.slow.other_gpu_percent = Reading::Known(80);
    let (_, memory) = decide(&signals, &preferences, &memory, NOW);
    signals.slow.other_gpu_percent = Reading::Known(0);
    let later = NOW.plus(Duration::from_secs(29));
    let (decision, memory) = decide(&signals, &preferences, &memory, later);
    let Compute::Suspend(reasons) = &decision.compute else { panic!("the game may only have paused") };
    assert_eq!(reasons[0].ends_at, Some(NOW.plus(Duration::from_secs(30))));
    assert_eq!(reasons[0].since_at, NOW);
    assert_eq!(decision.review_at, reasons[0].ends_at);
    let (decision, _) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(30)));
    assert_eq!(decision.compute, AWAY);
}

#[test]
fn a_hot_card_must_cool_by_five_degrees() {
    let (mut signals, preferences, memory) = away();
    signals.slow.gpu_celsius = Reading::Known(86);
    let (_, memory) = decide(&signals, &preferences, &memory, NOW);
    signals.slow.gpu_celsius = Reading::Known(78);
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(100)));
    assert_eq!(reasons(&decision), [ReasonCode::GpuHot], "two degrees less than the target is not cool");
    signals.slow.gpu_celsius = Reading::Known(75);
    let (_, memory) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(101)));
    let (decision, _) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(131)));
    assert_eq!(reasons(&decision), []);
}

#[test]
fn a_warm_card_works_less_before_it_has_to_stop() {
    let (mut signals, preferences, mut memory) = away();
    let mut now = NOW;
    let mut share = 100;
    for _ in 0..60 {
        signals.slow.gpu_celsius = Reading::Known(82);
        let (decision, after) = decide(&signals, &preferences, &memory, now);
        let Compute::Run { pace, .. } = decision.compute else { panic!("two degrees are no reason to stop") };
        assert!(pace.duty_percent <= share, "it does not work more while it is too warm");
        (share, memory, now) = (pace.duty_percent, after, now.plus(Duration::from_secs(2)));
    }
    assert!(share < 100, "it works less: {share} %");
}

#[test]
fn a_card_whose_heat_is_no_longer_told_rests() {
    let (mut signals, preferences, memory) = away();
    let (_, memory) = decide(&signals, &preferences, &memory, NOW);
    signals.slow.gpu_celsius = Reading::Unknown(Unknown::Failed);
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(5)));
    assert_eq!(reasons(&decision), [ReasonCode::GpuHot], "it may be getting hot unseen");
    signals.slow.gpu_celsius = Reading::Unknown(Unknown::NoSource);
    let (_, memory) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(10)));
    let (decision, _) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(50)));
    assert_eq!(reasons(&decision), [], "another card, without a sensor");
}

#[test]
fn a_vpn_and_a_metered_link_hold_the_upload() {
    let (mut signals, mut preferences, memory) = away();
    signals.vpn = Reading::Known(true);
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(reasons(&decision), [], "a VPN is no reason to let the card rest");
    assert_eq!(held(&decision), [ReasonCode::Vpn]);
    signals.metered = Reading::Known(true);
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(held(&decision), [ReasonCode::Metered, ReasonCode::Vpn]);
    preferences.on_metered = true;
    preferences.on_vpn = true;
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!((reasons(&decision), decision.upload), (Vec::new(), Upload::Share), "the owner allows both");
}

#[test]
fn the_owner_can_lift_the_rules_about_calls_films_and_power_saving() {
    let (mut signals, mut preferences, memory) = away();
    signals.quick.microphone = Reading::Known(true);
    signals.media = Reading::Known(true);
    signals.inhibited = Reading::Known(true);
    signals.power_saver = Reading::Known(true);
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW);
    let all =
        [ReasonCode::PowerSaver, ReasonCode::InCall, ReasonCode::ScreenKeptOn, ReasonCode::MediaPlaying];
    assert_eq!(reasons(&decision), all);
    preferences.in_calls = true;
    preferences.with_media = true;
    preferences.with_power_saver = true;
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(decision.compute, AWAY, "and at once, without the holds");
}

#[test]
fn while_somebody_reads_a_smaller_share_goes_on_where_the_owner_allows_it() {
    let (mut signals, mut preferences, memory) = away();
    preferences.light_percent = 15;
    signals.input = Reading::Known(Input::Active);
    let light = Compute::Run { pace: Pace { duty_percent: 15, ..Pace::NEAR }, light: true };
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(decision.compute, light);
    signals.input = Reading::Known(Input::IdleSince(NOW));
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(1)));
    assert_eq!(decision.compute, light);
    let later = NOW.plus(Duration::from_secs(300));
    assert_eq!(decision.review_at, Some(later), "the whole card is used when they have left");
    let (decision, memory) = decide(&signals, &preferences, &memory, later);
    assert_eq!(decision.compute, AWAY);
    signals.fullscreen = Reading::Known(true);
    let (decision, _) = decide(&signals, &preferences, &memory, later);
    assert_eq!(reasons(&decision), [ReasonCode::FullscreenApp], "a game gets the whole card");
}

#[test]
fn a_locked_computer_is_left_after_a_quarter_of_a_minute() {
    let (mut signals, preferences, memory) = away();
    signals.input = Reading::Known(Input::IdleSince(NOW));
    signals.session = Reading::Known(Session { locked: true, remote: false, on_screen: true });
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(14)));
    assert_eq!(reasons(&decision), [ReasonCode::UserActive]);
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW.plus(LOCKED_AFTER));
    assert_eq!(decision.compute, AWAY);
    signals.input = Reading::Known(Input::Active);
    let (decision, _) = decide(&signals, &preferences, &memory, NOW.plus(Duration::from_secs(60)));
    assert_eq!(reasons(&decision), [ReasonCode::UserActive], "somebody types the password");
}

#[test]
fn sensors_that_tell_nothing_are_waited_for_ten_seconds_and_then_count_as_unknown() {
    let (_, preferences, memory) = away();
    let signals = Signals::unread(scripted::quiet(NOW).local_hour);
    let (decision, memory) = decide(&signals, &preferences, &memory, NOW);
    assert_eq!(reasons(&decision), [ReasonCode::Starting]);
    let late = NOW.plus(SENSORS_WITHIN);
    assert_eq!(decision.review_at, Some(late));
    let (decision, _) = decide(&signals, &preferences, &memory, late);
    let expected = [
        ReasonCode::PowerUnknown,
        ReasonCode::InputUnknown,
        ReasonCode::CpuBusy,
        ReasonCode::MeteredUnknown,
        ReasonCode::DiskLow,
    ];
    assert_eq!(reasons(&decision), expected, "a person can read which sensor is silent");
}

#[test]
fn an_hour_of_snooze_stays_an_hour_when_the_clock_is_set_back() {
    let (signals, preferences, mut memory) = away();
    let until = NOW.plus(Duration::from_secs(3600));
    memory.kept.snoozed = Some(Snoozed { since_at: NOW, until_at: Some(until) });
    let day_before = UnixMillis(NOW.0 - 86_400_000);
    let (decision, after) = decide(&signals, &preferences, &memory, day_before);
    assert!(reasons(&decision).contains(&ReasonCode::Snoozed));
    let snoozed = after.kept.snoozed.expect("it still holds");
    assert_eq!(snoozed.until_at, Some(day_before.plus(Duration::from_secs(3600))), "not a day and an hour");
}

#[test]
fn every_rule_can_be_asked_for_and_the_list_agrees_with_the_decision() {
    let (mut signals, mut preferences, memory) = away();
    signals.input = Reading::Known(Input::Active);
    signals.quick.microphone = Reading::Unknown(Unknown::NoSource);
    signals.vpn = Reading::Known(true);
    preferences.max_other_cpu_percent = 100;
    let (decision, _) = decide(&signals, &preferences, &memory, NOW);
    let listed = checks(&signals, &preferences, &decision, NOW);
    let verdict = |code| listed.iter().find(|check| check.code == code).map(|check| check.verdict);
    use protocol::local::Verdict;
    assert_eq!(verdict(ReasonCode::UserActive), Some(Verdict::Holds));
    assert_eq!(verdict(ReasonCode::Vpn), Some(Verdict::Holds), "what holds the upload alone is listed too");
    assert_eq!(verdict(ReasonCode::CpuBusy), Some(Verdict::Off));
    assert_eq!(verdict(ReasonCode::InCall), Some(Verdict::NoSource), "unknown is said, not hidden");
    assert_eq!(verdict(ReasonCode::OnBattery), Some(Verdict::Clear));
    let holding: Vec<ReasonCode> =
        listed.iter().filter(|c| c.verdict == Verdict::Holds).map(|c| c.code).collect();
    assert_eq!(holding, [ReasonCode::UserActive, ReasonCode::Vpn]);
    let codes: std::collections::BTreeSet<_> = listed.iter().map(|check| check.code).collect();
    assert_eq!(codes.len(), listed.len(), "no rule twice");
}

#[test]
fn a_clock_set_back_does_not_hold_the_card_for_hours() {
    let (mut signals, preferences, memory) = away();
    signals.slow.other_gpu_percent = Reading::Known(80);
    let (_, memory) = decide(&signals, &preferences, &memory, NOW);
    signals.slow.other_gpu_percent = Reading::Known(0);
    let earlier = UnixMillis(NOW.0 - 7_200_000);
    signals.input = Reading::Known(Input::IdleSince(UnixMillis(earlier.0 - 3_600_000)));
    let (_, memory) = decide(&signals, &preferences, &memory, earlier);
    let (decision, _) = decide(&signals, &preferences, &memory, earlier.plus(Duration::from_secs(30)));
    assert_eq!(reasons(&decision), []);
}

#[derive(Debug, Clone)]
struct Moment {
    pass_millis: u64,
    active: Option<bool>,
    cpu: u8,
    gpu: u8,
    celsius: u8,
    battery: Option<bool>,
    snoozed: bool,
    hour: u8,
    /// Media, microphone, metered, another user.
    others: [bool; 4],
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let moment = (
        0..20_000_u64,
        proptest::option::of(any::<bool>()),
        0..60_u8,
        0..40_u8,
        60..90_u8,
        proptest::option::weighted(0.95, proptest::bool::weighted(0.1)),
        proptest::bool::weighted(0.1),
        0..24_u8,
        proptest::array::uniform4(proptest::bool::weighted(0.05)),
    );
    let moment =
        moment.prop_map(|(pass_millis, active, cpu, gpu, celsius, battery, snoozed, hour, others)| Moment {
            others,
            pass_millis,
            active,
            cpu,
            gpu,
            celsius,
            battery,
            snoozed,
            hour,
        });
    proptest::collection::vec(moment, 1..80)
}

/// Plays a life and gives each decision with its time and signals.
fn play(moments: &[Moment], preferences: &Preferences) -> Vec<(UnixMillis, Signals, Memory, Decision)> {
    let (mut signals, _, mut memory) = away();
    let mut now = NOW;
    let mut last_input = UnixMillis(NOW.0 - 3_600_000);
    let mut played = Vec::new();
    for moment in moments {
        now = UnixMillis(now.0 + moment.pass_millis);
        if moment.active == Some(true) {
            last_input = now;
        }
        signals.input = match moment.active {
            None => Reading::Unknown(Unknown::Failed),
            Some(true) => Reading::Known(Input::Active),
            Some(false) => Reading::Known(Input::IdleSince(last_input)),
        };
        signals.slow.other_cpu_percent = Reading::Known(moment.cpu);
        signals.slow.other_gpu_percent = Reading::Known(moment.gpu);
        signals.slow.gpu_celsius = Reading::Known(moment.celsius);
        signals.power = match moment.battery {
            None => Reading::Unknown(Unknown::Failed),
            Some(true) => Reading::Known(Power::Battery { percent: None }),
            Some(false) => Reading::Known(Power::Mains),
        };
        let [media, microphone, metered, elsewhere] = moment.others;
        signals.media = Reading::Known(media);
        signals.quick.microphone = Reading::Known(microphone);
        signals.metered = Reading::Known(metered);
        signals.session = Reading::Known(Session { locked: false, remote: false, on_screen: !elsewhere });
        signals.local_hour =
            LocalHour { weekday: 0, hour: moment.hour, ends_at: now.plus(Duration::from_secs(1800)) };
        memory.kept.snoozed = moment.snoozed.then_some(Snoozed { since_at: now, until_at: None });
        let (decision, after) = decide(&signals, preferences, &memory, now);
        memory = after;
        played.push((now, signals.clone(), memory.clone(), decision));
    }
    played
}

fn quiet_session() -> Reading<Session> {
    scripted::quiet(NOW).session
}

proptest! {
    #[test]
    fn the_card_never_runs_while_any_veto_holds(moments in moments(), idle_after in 0..600_u32) {
        let mut preferences = preferences::defaults();
        preferences.idle_after_seconds = idle_after;
        preferences.hours[0] = 0x00ff_ff00;
        for (now, s, memory, decision) in play(&moments, &preferences) {
            // An owner who shares always has said that nobody's presence counts.
            let s = if idle_after == 0 { Signals { session: quiet_session(), ..s } } else { s };
            let idle = idle_after == 0
                || matches!(s.input, Reading::Known(Input::IdleSince(at))
                    if now.since(at) >= Duration::from_secs(idle_after.into()));
            let free = idle
                && s.power == Reading::Known(Power::Mains)
                && s.slow.other_cpu_percent.known().is_some_and(|c| c <= preferences.max_other_cpu_percent)
                && s.slow.other_gpu_percent.known().is_some_and(|g| g < GPU_BUSY_PERCENT)
                && s.slow.gpu_celsius.known().is_some_and(|c| c <= preferences.max_celsius + TOO_HOT_BY)
                && s.media == Reading::Known(false)
                && s.quick.microphone == Reading::Known(false)
                && s.metered == Reading::Known(false)
                && s.session.known().is_some_and(|session| session.on_screen)
                && memory.kept.snoozed.is_none()
                && s.local_hour.hour >= 8;
            if let Compute::Run { .. } = decision.compute {
                prop_assert!(free, "ran at {now:?} with {s:?}");
            }
            if let Compute::Suspend(reasons) = &decision.compute {
                prop_assert!(!reasons.is_empty(), "a pause without a reason cannot be explained");
                prop_assert!(reasons.iter().all(|r| r.since_at <= now));
            }
            prop_assert!(decision.review_at.is_none_or(|at| at > now), "a review in the past would spin");
        }
    }

    #[test]
    fn noise_starts_the_card_at_most_once_per_hold_time(moments in moments()) {
        let mut preferences = preferences::defaults();
        preferences.idle_after_seconds = 0;
        let mut was_running = true;
        let mut busy_at = None;
        let mut last_start: Option<UnixMillis> = None;
        for (now, s, memory, decision) in play(&moments, &preferences) {
            let busy = s.slow.other_gpu_percent.known().is_some_and(|g| g >= GPU_BUSY_PERCENT);
            let runs = matches!(decision.compute, Compute::Run { .. });
            if busy {
                busy_at = Some(now);
            }
            if runs && !was_running && busy_at.is_some() && memory.kept.snoozed.is_none() {
                let quiet_for = now.since(busy_at.unwrap_or(now));
                prop_assert!(quiet_for >= hold(ReasonCode::GpuBusy), "started {quiet_for:?} after the card was busy");
                if let Some(start) = last_start
                    && busy_at.is_some_and(|at| at > start)
                {
                    prop_assert!(now.since(start) >= hold(ReasonCode::GpuBusy), "two starts within one hold");
                }
                last_start = Some(now);
            }
            was_running = runs;
        }
    }

    #[test]
    fn a_stricter_rule_never_lets_more_run(moments in moments(), stricter in 5..25_u8) {
        let (loose, mut strict) = (preferences::defaults(), preferences::defaults());
        strict.max_other_cpu_percent = stricter;
        strict.max_celsius = 70;
        strict.idle_after_seconds = 900;
        for (a, b) in play(&moments, &loose).into_iter().zip(play(&moments, &strict)) {
            if let Compute::Run { .. } = b.3.compute {
                prop_assert!(matches!(a.3.compute, Compute::Run { .. }), "the stricter rules ran alone at {:?}", a.0);
            }
        }
    }
}
