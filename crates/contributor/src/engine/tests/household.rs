//! A day and a night of a household, played through the engine's state in a moment: what it decides and when is compared
//! with a timeline that a person has read, `household.txt`. `HEARTH_UPDATE_GOLDEN=1` writes it anew.

use std::path::Path;

use super::*;
use crate::policy::{Compute, Upload};
use crate::signals::{Power, Quick, Session, Slow, Unknown};

/// Monday, 23 November 2026, midnight in UTC.
const MIDNIGHT: UnixMillis = UnixMillis(1_795_392_000_000);
const MINUTE: u64 = 60_000;
/// How often somebody who works moves the mouse or hits a key, as the sensor tells it: gone after a second.
const TYPES_EVERY: u64 = 20_000;

/// The machine as its sensors see it.
struct House {
    play: Play,
    quick: Quick,
    slow: Slow,
    /// Somebody sits at the desk.
    typing: bool,
    /// Readings come with noise of a few percent and degrees, drawn from this.
    seed: u32,
    /// The card warms from the room's temperature by half a degree per percent of its time, within a minute or so.
    room: f64,
    celsius: f64,
    warmest: f64,
    heated_at: UnixMillis,
    timeline: Vec<(UnixMillis, String)>,
    /// The machine sleeps: nothing runs until then.
    asleep_until: Option<UnixMillis>,
}

/// What happens at a time of day.
type Scene = (&'static str, fn(&mut House));

/// The day of somebody who works at home, plays in the evening and watches a film.
const DAY: &[Scene] = &[
    // A warm night: nobody is there, and the thermostat has to hold the card.
    ("02:00", |h| h.room = 45.0),
    // A heater beside it: even the smallest share is too much.
    ("03:00", |h| h.room = 90.0),
    ("04:00", |h| h.room = 30.0),
    ("06:30", |h| h.typing = true),
    // Breakfast: the laptop is carried to the kitchen.
    ("06:45", |h| h.tell(Change::Power(Reading::Known(Power::Battery { percent: Some(90) })))),
    ("06:50", |h| h.typing = false),
    ("07:10", |h| h.tell(Change::Power(Reading::Known(Power::Mains)))),
    // A call without a touched key.
    ("07:30", |h| h.quick.microphone = Reading::Known(true)),
    ("07:45", |h| h.quick.microphone = Reading::Known(false)),
    ("08:00", |h| h.typing = true),
    ("09:30", |h| {
        h.typing = false;
        h.tell(Change::Session(Reading::Known(Session { locked: true, remote: false, on_screen: true })));
    }),
    ("09:45", |h| {
        h.tell(Change::Session(Reading::Known(Session { locked: false, remote: false, on_screen: true })));
        h.typing = true;
    }),
    // Lunch with music.
    ("12:00", |h| h.typing = false),
    ("12:10", |h| h.tell(Change::Media(Reading::Known(true)))),
    ("12:40", |h| h.tell(Change::Media(Reading::Known(false)))),
    // A long build: the processor is busy, with gaps.
    ("13:00", |h| h.slow.other_cpu_percent = Reading::Known(60)),
    ("13:20", |h| h.slow.other_cpu_percent = Reading::Known(5)),
    // The line is down and a phone stands in; then the employer's VPN.
    ("14:00", |h| h.tell(Change::Metered(Reading::Known(true)))),
    ("14:20", |h| h.tell(Change::Metered(Reading::Known(false)))),
    ("14:30", |h| h.tell(Change::Vpn(Reading::Known(true)))),
    ("15:00", |h| h.tell(Change::Vpn(Reading::Known(false)))),
    // The system bus fails for a while.
    ("15:30", |h| {
        h.tell(Change::Power(Reading::Unknown(Unknown::Failed)));
        h.tell(Change::Metered(Reading::Unknown(Unknown::Failed)));
    }),
    ("15:31", |h| {
        h.tell(Change::Power(Reading::Known(Power::Mains)));
        h.tell(Change::Metered(Reading::Known(false)));
    }),
    // A game with the gamepad: no key is touched.
    ("17:00", |h| {
        h.tell(Change::Gamepad(Reading::Known(Person::Active)));
        h.tell(Change::Fullscreen(Reading::Known(true)));
        h.slow.other_gpu_percent = Reading::Known(95);
    }),
    ("18:30", |h| {
        let now = h.play.now;
        h.tell(Change::Gamepad(Reading::Known(Person::IdleSince(now))));
        h.tell(Change::Fullscreen(Reading::Known(false)));
        h.slow.other_gpu_percent = Reading::Known(0);
    }),
    // A program of the owner's list, and a backup that fills the disk.
    ("19:00", |h| h.quick.programs = Reading::Known(vec!["blender".to_owned()])),
    ("19:15", |h| h.quick.programs = Reading::Known(Vec::new())),
    ("19:30", |h| h.slow.free_disk_mbytes = Reading::Known(1500)),
    ("19:40", |h| h.slow.free_disk_mbytes = Reading::Known(90_000)),
    // The children log in beside; then a film.
    ("20:00", |h| {
        h.tell(Change::Session(Reading::Known(Session { locked: true, remote: false, on_screen: false })));
    }),
    ("20:30", |h| {
        h.tell(Change::Session(Reading::Known(Session { locked: false, remote: false, on_screen: true })));
    }),
    ("20:45", |h| {
        h.tell(Change::Media(Reading::Known(true)));
        h.tell(Change::Inhibited(Reading::Known(true)));
    }),
    ("22:15", |h| {
        h.tell(Change::Media(Reading::Known(false)));
        h.tell(Change::Inhibited(Reading::Known(false)));
    }),
    // Snoozed by hand, then the lid is closed and opened again.
    ("22:30", |h| {
        let (reply, _) = oneshot::channel();
        h.play.on(Input::Request(Request::Snooze { span: Snooze::Minutes15, reply }));
    }),
    ("23:00", |h| {
        h.tell(Change::FallingAsleep(true));
        h.asleep_until = Some(MIDNIGHT.plus(Duration::from_millis((23 * 60 + 30) * MINUTE)));
    }),
    // Sensors hang late at night: nothing answers any more.
    ("23:50", |h| {
        h.quick = Quick::unknown(Unknown::TimedOut);
        h.slow = Slow::unknown(Unknown::TimedOut);
    }),
];

fn at(clock: &str) -> UnixMillis {
    let (hours, minutes) = clock.split_once(':').unwrap();
    MIDNIGHT.plus(Duration::from_millis(
        (hours.parse::<u64>().unwrap() * 60 + minutes.parse::<u64>().unwrap()) * MINUTE,
    ))
}

impl House {
    fn new(preferences: Preferences) -> Self {
        let kept = Kept { welcomed: true, ..Kept::default() };
        let restored = Restored { kept, answers: Some(answers(&adapter(), true)), ..Restored::default() };
        let (state, effects) = State::new(opening(restored, preferences), MIDNIGHT);
        let mut house = Self {
            play: Play { state, now: MIDNIGHT },
            quick: quiet_quick(),
            slow: quiet_slow(),
            typing: false,
            seed: 7,
            room: 30.0,
            celsius: 30.0,
            warmest: 0.0,
            heated_at: MIDNIGHT,
            timeline: Vec::new(),
            asleep_until: None,
        };
        for change in quiet_changes(UnixMillis(MIDNIGHT.0 - 3_600_000)) {
            house.tell(change);
        }
        house.answer(effects);
        house
    }

    /// The card's temperature now, after it has worked as was decided since the last look.
    fn heat(&mut self) -> Reading<u8> {
        let works = match &self.play.state.decision.compute {
            Compute::Run { pace, .. } => f64::from(pace.duty_percent),
            Compute::Suspend(_) => 0.0,
        };
        let passed = self.play.now.since(self.heated_at).as_secs_f64();
        self.heated_at = self.play.now;
        self.celsius += (self.room + works / 2.0 - self.celsius) * (1.0 - (-passed / 60.0).exp());
        Reading::Known(self.celsius.round() as u8)
    }

    fn tell(&mut self, change: Change) {
        let effects = self.play.on(Input::Signal(change));
        self.answer(effects);
    }

    /// Up to three more: readings are never twice the same.
    fn noisy(&mut self, reading: Reading<u8>) -> Reading<u8> {
        self.seed = self.seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let noise = u8::try_from((self.seed >> 16) % 4).unwrap();
        match reading {
            Reading::Known(value) => Reading::Known(value.saturating_add(noise)),
            unknown => unknown,
        }
    }

    /// The sensors answer what was asked, the worker and the network are not there.
    fn answer(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let change = match effect {
                Effect::Look(_) => Change::Quick(Box::new(self.quick.clone())),
                Effect::Poll(_) => {
                    let mut slow = self.slow.clone();
                    slow.other_cpu_percent = self.noisy(slow.other_cpu_percent);
                    if slow.gpu_celsius.known().is_some() {
                        slow.gpu_celsius = self.heat();
                        self.warmest = self.warmest.max(self.celsius);
                    }
                    Change::Slow(Box::new(slow))
                }
                Effect::Compute(ComputeAsk::Open) => {
                    let effects = self.play.compute(ComputeEvent::Opened(ready()));
                    self.answer(effects);
                    continue;
                }
                _ => continue,
            };
            self.tell(change);
        }
        self.note();
    }

    /// Writes down what is decided now, when it differs from before.
    fn note(&mut self) {
        let card = match &self.play.state.decision.compute {
            Compute::Run { pace, light } if *light => format!("card gently {} %", pace.duty_percent),
            // The thermostat's steps are its own test.
            Compute::Run { .. } => "card works".to_owned(),
            Compute::Suspend(reasons) => {
                let codes: Vec<String> = reasons.iter().map(|r| format!("{:?}", r.code)).collect();
                format!("card rests: {}", codes.join(", "))
            }
        };
        let upload = match &self.play.state.decision.upload {
            Upload::Share => "upload may go on",
            Upload::Hold(_) => "upload held",
        };
        let line = format!("{card}; {upload}");
        if self.timeline.last().is_none_or(|(_, last)| *last != line) {
            self.timeline.push((self.play.now, line));
        }
    }

    /// Lets the time pass to `until`, waking as the loop would.
    fn pass(&mut self, until: UnixMillis) {
        while self.play.now < until {
            if let Some(woken) = self.asleep_until.take() {
                self.play.now = woken;
                self.tell(Change::FallingAsleep(false));
                continue;
            }
            let types_at = self.typing.then(|| UnixMillis((self.play.now.0 / TYPES_EVERY + 1) * TYPES_EVERY));
            let next = self.play.state.next_at(self.play.now);
            let wake = next.min(until).min(types_at.unwrap_or(until)).max(UnixMillis(self.play.now.0 + 1));
            self.play.now = wake;
            if types_at == Some(wake) {
                self.tell(Change::Input(Reading::Known(Person::Active)));
                self.play.now = wake.plus(Duration::from_millis(1));
                self.tell(Change::Input(Reading::Known(Person::IdleSince(wake))));
            } else {
                let effects = self.play.on(Input::Tick);
                self.answer(effects);
            }
        }
    }

    fn play_day(&mut self) {
        for (clock, scene) in DAY {
            self.pass(at(clock));
            scene(self);
            self.note();
        }
        self.pass(at("24:00"));
    }

    fn text(&self) -> String {
        let clock = |at: UnixMillis| {
            let seconds = at.since(MIDNIGHT).as_secs();
            format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        };
        self.timeline.iter().map(|(at, line)| format!("{}  {line}\n", clock(*at))).collect()
    }
}

fn preferences() -> Preferences {
    Preferences { exclusive_programs: vec!["blender".to_owned()], ..crate::preferences::defaults() }
}

#[test]
fn a_day_of_a_household_goes_as_a_person_would_expect() {
    let mut house = House::new(preferences());
    house.play_day();
    let text = house.text();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/tests/household.txt");
    if std::env::var_os("HEARTH_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert_eq!(text, expected, "the timeline differs from household.txt");

    let starts: Vec<UnixMillis> =
        house.timeline.iter().filter(|(_, line)| line.starts_with("card works")).map(|(at, _)| *at).collect();
    let shortest = starts.windows(2).map(|pair| pair[1].since(pair[0])).min().unwrap();
    assert!(shortest >= Duration::from_secs(30), "the card flaps: two starts within {shortest:?}");
    assert!(house.warmest < 92.0, "a paused card is never warmer than its surroundings: {}", house.warmest);
    let state = &house.play.state;
    assert!(
        state.yields.len() + state.notices.len() + state.checkpoints.len() + state.days.len() < 10,
        "a day leaves nothing behind that grows"
    );
}

#[test]
fn six_such_days_leave_the_same_memory_as_one() {
    let mut house = House::new(preferences());
    house.play_day();
    let size = |house: &House| format!("{:?}", house.play.state.memory).len();
    let after_one = size(&house);
    for _ in 0..5 {
        // The same day again: the clock is set back by a day, which must do no harm either.
        house.play.now = MIDNIGHT;
        house.timeline.clear();
        house.quick = quiet_quick();
        house.slow = quiet_slow();
        for change in quiet_changes(UnixMillis(MIDNIGHT.0 - 3_600_000)) {
            house.tell(change);
        }
        house.play_day();
    }
    assert!(
        size(&house) <= after_one + 200,
        "the policy's memory grows from {after_one} to {} characters",
        size(&house)
    );
}
