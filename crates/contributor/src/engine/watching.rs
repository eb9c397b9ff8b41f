//! How the state watches the machine: news that sensors push, and what it asks for because no system pushes it.
//!
//! Quick values are asked for every second while the card works or is about to, slow ones every few seconds. While a
//! reason holds that no answer could end, both rest: a paused Hearth must not cost its owner anything. A question that is
//! not answered leaves its values unknown, and unknown counts as in use.

use std::time::Duration;

use protocol::local::{Reason, ReasonCode};
use protocol::units::UnixMillis;

use super::calendar::midnight;
use super::state::{Effect, LONGEST_WAIT, State};
use crate::card::CardName;
use crate::policy::Compute;
use crate::signals::{Change, Quick, Slow, Unknown, Wanted};

/// How often the quick values are asked for while the card may work or is about to.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the slow values are.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// How often the slow values are while the card works and tells its heat, which the thermostat then steers.
const POLL_HEAT_EVERY: Duration = Duration::from_secs(2);
/// How often both are while somebody is here and nothing can begin before they leave.
const RESTING: Duration = Duration::from_secs(30);
/// A question that is not answered within this leaves its values unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A system that is still awake this long after it said that it would sleep does not sleep.
const ASLEEP_WITHIN: Duration = Duration::from_secs(120);
/// A wake-up that comes this much later than asked means that the system slept.
const SLEPT: Duration = Duration::from_secs(20);

/// A question that is asked again and again.
#[derive(Debug, Clone, Copy)]
struct Question {
    asked_at: Option<UnixMillis>,
    next_at: UnixMillis,
}

impl Question {
    fn due(at: UnixMillis) -> Self {
        Self { asked_at: None, next_at: at }
    }

    /// When there is something to do about it.
    fn at(&self) -> UnixMillis {
        self.asked_at.map_or(self.next_at, |at| at.plus(ANSWER_WITHIN))
    }

    /// Whether it was asked long ago and not answered; it is then put off.
    fn fails(&mut self, now: UnixMillis) -> bool {
        let late = self.asked_at.is_some_and(|at| now.since(at) >= ANSWER_WITHIN);
        if late {
            *self = Self::due(now.plus(RESTING));
        }
        late
    }

    /// Whether to ask it now; the next time is after `every`.
    fn is_asked(&mut self, now: UnixMillis, every: Duration) -> bool {
        let due = self.asked_at.is_none() && self.next_at <= now;
        if due {
            *self = Self { asked_at: Some(now), next_at: now.plus(every) };
        }
        due
    }
}

/// The questions to the sensors.
#[derive(Debug)]
pub(super) struct Watch {
    quick: Question,
    slow: Question,
    /// Since when the system has said that it is about to sleep.
    falling_asleep_since: Option<UnixMillis>,
    /// The last questions were put at the slow pace of a time in which no answer could change the decision.
    rested: bool,
}

impl Watch {
    pub(super) fn begin(now: UnixMillis) -> Self {
        let question = Question::due(now);
        Self { quick: question, slow: question, falling_asleep_since: None, rested: false }
    }

    pub(super) fn next_at(&self) -> UnixMillis {
        let awake_at = self.falling_asleep_since.map(|since| since.plus(ASLEEP_WITHIN));
        self.quick.at().min(self.slow.at()).min(awake_at.unwrap_or(UnixMillis(u64::MAX)))
    }

    /// Asks again at once: a rule has changed, or the machine has.
    pub(super) fn hurry(&mut self, now: UnixMillis) {
        for question in [&mut self.quick, &mut self.slow] {
            question.next_at = question.next_at.min(now);
        }
    }
}

impl State {
    pub(super) fn take_in_signal(&mut self, change: Change, now: UnixMillis) {
        match &change {
            Change::Quick(_) => self.watch.quick.asked_at = None,
            Change::Slow(slow) => {
                self.watch.slow.asked_at = None;
                let least = u64::from(self.preferences.min_free_disk_mbytes).max(50);
                if slow.free_disk_mbytes.known().is_some_and(|mbytes| mbytes > least) {
                    self.disk_full = false;
                }
            }
            // The system says that it is awake; it may have slept too shortly for the gap to tell.
            Change::FallingAsleep(false) if self.signals.falling_asleep => self.woken(now),
            Change::FallingAsleep(true) => self.watch.falling_asleep_since = Some(now),
            _ => {}
        }
        self.signals.take_in(change);
    }

    /// A gap between what was asked for and what came is sleep.
    pub(super) fn notice_sleep(&mut self, now: UnixMillis) {
        if now.since(self.expected_at) > SLEPT {
            self.woken(now);
        }
        self.expected_at = now.plus(LONGEST_WAIT);
    }

    /// What was read before a sleep says nothing any more.
    fn woken(&mut self, now: UnixMillis) {
        self.signals.woke_at = Some(now);
        self.signals.falling_asleep = false;
        self.signals.quick = Quick::unknown(Unknown::NotYet);
        self.signals.slow = Slow::unknown(Unknown::NotYet);
        self.watch = Watch::begin(now);
    }

    /// A sensor that hangs leaves nothing known.
    pub(super) fn mind_sensors(&mut self, now: UnixMillis) {
        if self.watch.quick.fails(now) {
            self.signals.quick = Quick::unknown(Unknown::TimedOut);
        }
        if self.watch.slow.fails(now) {
            self.signals.slow = Slow::unknown(Unknown::TimedOut);
        }
        // Whoever said so may have ended before it could say that nothing came of it.
        if self.watch.falling_asleep_since.is_some_and(|since| now.since(since) >= ASLEEP_WITHIN) {
            self.watch.falling_asleep_since = None;
            self.signals.falling_asleep = false;
        }
    }

    pub(super) fn ask_sensors(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        let resting = match &self.decision.compute {
            Compute::Suspend(reasons) => reasons.iter().any(no_answer_can_end),
            Compute::Run { .. } => false,
        };
        // What was read while resting may be old when the reason to rest is gone.
        if !resting && std::mem::replace(&mut self.watch.rested, resting) {
            self.watch.hurry(now);
        }
        let heats = self.schedule.is_computing() && self.signals.slow.gpu_celsius.known().is_some();
        let (quick, slow) = match (resting, heats) {
            (true, _) => (RESTING, RESTING),
            (false, true) => (LOOK_EVERY, POLL_HEAT_EVERY),
            (false, false) => (LOOK_EVERY, POLL_EVERY),
        };
        let wanted = self.wanted();
        if self.watch.quick.is_asked(now, quick) {
            self.watch.rested = resting;
            effects.push(Effect::Look(wanted.clone()));
        }
        if self.watch.slow.is_asked(now, slow) {
            self.watch.rested = resting;
            effects.push(Effect::Poll(wanted));
            effects.push(Effect::Sums { from_at: midnight(&self.time_zone, now) });
        }
    }

    fn wanted(&self) -> Wanted {
        let programs = self.preferences.exclusive_programs.clone();
        Wanted { programs, card: self.adapter().and_then(CardName::of) }
    }
}

/// Whether this reason holds whatever the asked sensors say, and ends by a push or by the clock.
fn no_answer_can_end(reason: &Reason) -> bool {
    match reason.code {
        ReasonCode::Snoozed
        | ReasonCode::NotWelcomed
        | ReasonCode::Schedule
        | ReasonCode::TurnedOff
        | ReasonCode::OtherUser
        | ReasonCode::RemoteSession => true,
        ReasonCode::UserActive | ReasonCode::OnBattery | ReasonCode::FullscreenApp => {
            reason.ends_at.is_none()
        }
        _ => false,
    }
}
