//! Sentences about the present, for tray and terminal; the page makes the same ones from the same keys.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use protocol::local::{Check, Reason, State, Status, Verdict};
use protocol::units::UnixMillis;

use crate::catalogue::{Catalogue, Value, name_of};

impl Catalogue {
    /// One word or two for the state: "Sharing", "Ready".
    pub fn state_short(&self, state: State) -> String {
        self.text(&format!("state-{}", name_of(&state)), &[])
    }

    /// The state as a title; while Hearth is ready but for one thing, that thing is named.
    pub fn state_title(&self, status: &Status) -> String {
        match (status.state, status.reasons.first()) {
            (State::Waiting, Some(reason)) => {
                self.text(&format!("reason-{}.ready", name_of(&reason.code)), &[])
            }
            (state, _) => self.text(&format!("state-{}.title", name_of(&state)), &[]),
        }
    }

    /// Why the state is what it is, as a sentence.
    pub fn state_sentence(&self, status: &Status, now: UnixMillis, zone: &TimeZone) -> String {
        let spoken = matches!(status.state, State::Paused | State::Waiting | State::Attention);
        match status.reasons.first() {
            Some(reason) if spoken => self.reason(reason, now, zone),
            _ if status.card.light && status.state == State::Sharing => {
                let percent = status.card.duty_percent.unwrap_or_default();
                self.text("state-sharing.light", &[("percent", u32::from(percent).into())])
            }
            _ => {
                let values = [
                    ("since", self.moment(status.since_at, now, zone).into()),
                    ("span", self.span(now.since(status.since_at)).into()),
                ];
                self.text(&format!("state-{}.why", name_of(&status.state)), &values)
            }
        }
    }

    /// Why the card does not share and what ends that, as a sentence.
    pub fn reason(&self, reason: &Reason, now: UnixMillis, zone: &TimeZone) -> String {
        let values = self.reason_values(reason, now, zone);
        self.text(&format!("reason-{}.why", name_of(&reason.code)), &values)
    }

    /// The reason's name, for lists.
    pub fn reason_name(&self, reason: &Reason) -> String {
        self.text(&format!("reason-{}", name_of(&reason.code)), &[])
    }

    /// What ends the reason, for lists.
    pub fn reason_ends(&self, reason: &Reason, now: UnixMillis, zone: &TimeZone) -> String {
        let values = self.reason_values(reason, now, zone);
        self.text(&format!("reason-{}.ends", name_of(&reason.code)), &values)
    }

    /// What a person can do about a reason, where there is something.
    pub fn reason_do(&self, reason: &Reason) -> Option<String> {
        let key = format!("reason-{}.do", name_of(&reason.code));
        self.has(&key).then(|| self.text(&key, &[]))
    }

    /// What a rule asks for, as a line of "why not now?".
    pub fn check_label(&self, check: &Check) -> String {
        let code = name_of(&check.code);
        let key = format!("check-{code}");
        if self.has(&key) { self.text(&key, &[]) } else { self.text(&format!("reason-{code}"), &[]) }
    }

    /// How the rule stands: why it holds, or the figure seen, or why nothing is known.
    pub fn check_detail(&self, check: &Check, now: UnixMillis, zone: &TimeZone) -> String {
        if let Some(reason) = &check.reason {
            return self.reason(reason, now, zone);
        }
        let verdict = self.text(&format!("verdict-{}", name_of(&check.verdict)), &[]);
        let key = format!("check-{}.figure", name_of(&check.code));
        match (check.verdict, check.seen, check.limit) {
            (Verdict::Clear, Some(seen), Some(limit)) if self.has(&key) => {
                let figure = self.text(&key, &[("seen", seen.into()), ("limit", limit.into())]);
                format!("{verdict}, {figure}")
            }
            _ => verdict,
        }
    }

    /// A span in its largest unit: "24 minutes".
    pub fn span(&self, span: Duration) -> String {
        let seconds = span.as_secs();
        let (key, count) = match seconds {
            0..60 => ("span-seconds", seconds),
            60..3600 => ("span-minutes", seconds / 60),
            3600..86_400 => ("span-hours", seconds / 3600),
            _ => ("span-days", seconds / 86_400),
        };
        self.text(key, &[("count", Value::Count(u32::try_from(count).unwrap_or(u32::MAX)))])
    }

    /// The clock of today, else the date before it.
    pub fn moment(&self, at: UnixMillis, now: UnixMillis, zone: &TimeZone) -> String {
        let (Some(at), Some(now)) = (local(at, zone), local(now, zone)) else { return at.0.to_string() };
        let clock = at.strftime("%H:%M");
        if at.date() == now.date() {
            return clock.to_string();
        }
        match self.language() {
            "ja" => format!("{}月{}日 {clock}", at.month(), at.day()),
            _ => format!("{} {clock}", at.strftime("%-d %b")),
        }
    }

    fn reason_values(&self, reason: &Reason, now: UnixMillis, zone: &TimeZone) -> Vec<(&'static str, Value)> {
        let figure = |value: Option<u32>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        let ends = reason.ends_at.map_or_else(|| "none".to_owned(), |at| self.moment(at, now, zone));
        vec![
            ("since", self.moment(reason.since_at, now, zone).into()),
            ("ends", ends.into()),
            ("seen", figure(reason.seen).into()),
            ("limit", figure(reason.limit).into()),
            ("subject", reason.subject.as_deref().unwrap_or("none").into()),
        ]
    }
}

fn local(at: UnixMillis, zone: &TimeZone) -> Option<jiff::ZonedDateTime> {
    let millis = i64::try_from(at.0).ok()?;
    Some(Timestamp::from_millisecond(millis).ok()?.to_zoned_datetime(zone.clone()))
}
