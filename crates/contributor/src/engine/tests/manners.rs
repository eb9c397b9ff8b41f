//! How the engine behaves toward whoever sits at the machine: pace, memory, sensors that ask and answer, sleep.

use super::*;
use crate::signals::{Power, Quick, Slow, Unknown};

/// The pace that a running worker is told.
fn told(effects: &[Effect]) -> Option<Pace> {
    effects.iter().find_map(|effect| match effect {
        Effect::Compute(ComputeAsk::Resume(pace)) => Some(*pace),
        _ => None,
    })
}

fn looks(effects: &[Effect]) -> (bool, bool) {
    let any = |wanted: fn(&Effect) -> bool| effects.iter().any(wanted);
    (any(|e| matches!(e, Effect::Look(_))), any(|e| matches!(e, Effect::Poll(_))))
}

/// Whether the card may work, whatever worker and network do.
fn may_work(play: &Play) -> bool {
    matches!(play.state.decision.compute, crate::policy::Compute::Run { .. })
}

fn slow(celsius: u8) -> Input {
    Input::Signal(Change::Slow(Box::new(Slow { gpu_celsius: Reading::Known(celsius), ..quiet_slow() })))
}

#[test]
fn a_running_slice_is_slowed_down_before_the_card_gets_too_warm() {
    let mut play = Play::running(preferences::defaults());
    let mut paces = Vec::new();
    // It comes near slowly, as cards do.
    for celsius in (70..=82).chain([83; 20]) {
        play.now = play.now.plus(Duration::from_secs(2));
        let effects = play.on(slow(celsius));
        assert!(!suspends(&effects), "three degrees above the target are no reason to stop");
        paces.extend(told(&effects).map(|pace| pace.duty_percent));
    }
    assert!(paces.windows(2).all(|pair| pair[1] < pair[0]), "step by step, without a pause: {paces:?}");
    assert!(paces.len() >= 3, "a minute above the target must have an effect: {paces:?}");
    let status = play.state.status();
    assert_eq!(status.card.duty_percent, paces.last().copied(), "and the owner can see it");
    assert!(status.card.sharing);
}

#[test]
fn a_running_slice_goes_on_gently_when_its_owner_comes_back_and_has_allowed_it() {
    let light = Preferences { light_percent: 20, ..preferences::defaults() };
    let mut play = Play::running(light);
    let effects = play.person(Person::Active);
    assert!(!suspends(&effects));
    assert_eq!(told(&effects), Some(Pace { duty_percent: 20, ..Pace::NEAR }), "at once, in the same call");
    let status = play.state.status();
    assert!(status.card.light && status.card.sharing && status.reasons.is_empty());
    let effects = play.on(Input::Signal(Change::Fullscreen(Reading::Known(true))));
    assert!(suspends(&effects), "a game gets the whole card");
}

#[test]
fn work_that_needs_more_memory_than_the_owner_lends_goes_back() {
    let mut play = Play::running(preferences::defaults());
    let small = Adapter { memory_bytes: Some(1 << 20), ..adapter() };
    // The program declares 1 MiB, and 80 % of a card of that size are lent.
    let news = ComputeEvent::Opened(sandbox::Ready { adapter: small, confinement: ready().confinement });
    let effects = play.compute(news);
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Compute(ComputeAsk::Close))),
        "the card is left at once"
    );
    assert!(play.state.schedule.work().is_none(), "and the lease goes back");
    let generous = Preferences { card_memory_percent: 100, ..preferences::defaults() };
    play.ask(|reply| Request::SetPreferences { preferences: Box::new(generous), reply });
    assert_eq!(
        play.state.schedule.memory_allowed(),
        Some((1 << 20) / 100 * 100),
        "a new limit holds at once"
    );
}

#[test]
fn programs_are_looked_for_every_second_while_the_card_works_and_seldom_while_it_rests() {
    let mut play = Play::running(preferences::defaults());
    let mut asked = Vec::new();
    let until = play.now.plus(Duration::from_secs(20));
    while play.now < until {
        play.now = play.state.next_at(play.now).max(UnixMillis(play.now.0 + 1));
        let effects = play.on(Input::Tick);
        if looks(&effects).0 {
            asked.push(play.now);
        }
        play.answered();
    }
    let longest = asked.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(longest <= Duration::from_secs(1), "a game that starts is seen within a second: {longest:?}");

    play.person(Person::Active);
    play.answered();
    let mut asked = 0;
    let until = play.now.plus(Duration::from_secs(120));
    while play.now < until {
        play.now = play.state.next_at(play.now).max(UnixMillis(play.now.0 + 1));
        let effects = play.on(Input::Tick);
        asked += u32::from(looks(&effects).0);
        play.answered();
    }
    assert!(asked <= 5, "somebody is here, so nothing that is asked could matter: {asked} looks in 2 min");
}

#[test]
fn a_look_that_hangs_stops_the_card_while_the_slow_values_still_come() {
    let careful = Preferences { exclusive_programs: vec!["obs".to_owned()], ..preferences::defaults() };
    let mut play = Play::running(careful);
    let mut stopped = false;
    let until = play.now.plus(Duration::from_secs(20));
    while play.now < until {
        play.now = play.state.next_at(play.now).max(UnixMillis(play.now.0 + 1));
        stopped |= suspends(&play.on(Input::Tick));
        play.on(Input::Signal(Change::Slow(Box::new(quiet_slow()))));
    }
    assert!(stopped, "a program of the owner's list may run unseen");
    assert_eq!(play.headline(), Some(ReasonCode::ExclusiveApp));
    play.on(Input::Signal(Change::Quick(Box::new(quiet_quick()))));
    play.later(31_000);
    assert!(may_work(&play), "what comes back is believed again");
}

#[test]
fn the_card_is_free_before_the_computer_sleeps() {
    let mut play = Play::running(preferences::defaults());
    let effects = play.on(Input::Signal(Change::FallingAsleep(true)));
    assert!(suspends(&effects), "in the same call as the news");
    assert_eq!(play.headline(), Some(ReasonCode::SystemSleep));
    play.now = play.now.plus(Duration::from_secs(3));
    let effects = play.on(Input::Signal(Change::FallingAsleep(false)));
    assert_eq!(looks(&effects), (true, true), "after a sleep everything is read anew, however short it was");
    assert_eq!(play.headline(), Some(ReasonCode::SystemSleep), "the machine belongs to its owner first");
    play.answered();
    play.later(16_000);
    assert!(may_work(&play));
}

#[test]
fn a_sleep_that_never_comes_does_not_hold_the_card_for_ever() {
    let mut play = Play::running(preferences::defaults());
    play.on(Input::Signal(Change::FallingAsleep(true)));
    play.later(119_000);
    assert!(!may_work(&play), "it may still fall asleep");
    play.later(2000);
    assert!(may_work(&play), "whoever announced it has ended without a word");
}

#[test]
fn every_sensor_can_fail_and_come_back() {
    let known = |change: fn(Unknown) -> Change, back: Change, code: ReasonCode| {
        let mut play = Play::running(preferences::defaults());
        let effects = play.on(Input::Signal(change(Unknown::Failed)));
        assert!(suspends(&effects), "{code:?}: the card must not work on unseen");
        assert_eq!(play.headline(), Some(code));
        play.on(Input::Signal(back));
        play.later(31_000);
        assert!(may_work(&play), "{code:?}: and it goes on when the sensor is back");
    };
    let gone = Person::IdleSince(UnixMillis(0));
    known(
        |why| Change::Input(Reading::Unknown(why)),
        Change::Input(Reading::Known(gone)),
        ReasonCode::InputUnknown,
    );
    known(
        |why| Change::Power(Reading::Unknown(why)),
        Change::Power(Reading::Known(Power::Mains)),
        ReasonCode::PowerUnknown,
    );
    known(
        |why| Change::Metered(Reading::Unknown(why)),
        Change::Metered(Reading::Known(false)),
        ReasonCode::MeteredUnknown,
    );
    known(
        |why| Change::Slow(Box::new(Slow { gpu_celsius: Reading::Unknown(why), ..quiet_slow() })),
        Change::Slow(Box::new(quiet_slow())),
        ReasonCode::GpuHot,
    );
}

#[test]
fn the_list_of_rules_is_read_anew_when_somebody_looks() {
    let mut play = Play::running(preferences::defaults());
    play.person(Person::Active);
    play.answered();
    play.now = play.now.plus(Duration::from_secs(5));
    let (effects, mut answer) = play.ask(|reply| Request::Checks { reply });
    assert_eq!(looks(&effects), (true, true), "what rested is asked");
    let checks = answer.try_recv().unwrap().unwrap();
    let holds: Vec<ReasonCode> =
        checks.iter().filter(|check| check.reason.is_some()).map(|check| check.code).collect();
    assert_eq!(holds, [ReasonCode::UserActive]);
    let muted = Quick { microphone: Reading::Known(true), ..quiet_quick() };
    play.on(Input::Signal(Change::Quick(Box::new(muted))));
    let (_, mut answer) = play.ask(|reply| Request::Checks { reply });
    let checks = answer.try_recv().unwrap().unwrap();
    assert!(checks.iter().any(|check| check.code == ReasonCode::InCall && check.reason.is_some()));
}
