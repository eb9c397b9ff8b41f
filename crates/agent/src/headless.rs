//! What `hearth --headless` prints: one line for each change of state, slices, receipts or balance.
//!
//! [`changes`] is PURE; it compares what was shown last with what is true now. The daemon calls it for every status and
//! prints what comes back.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use protocol::local::{BalanceIdentity, ReasonCode, State, Status};
use protocol::units::UnixMillis;
use serde::Serialize;
use words::{Catalogue, amount};

/// One thing that changed; with `--json` it is printed as it serialises here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Change {
    /// The state, or its headline reason.
    State {
        /// When.
        at: UnixMillis,
        /// State.
        state: State,
        /// Every reason, the headline first.
        reasons: Vec<ReasonCode>,
    },
    /// Slices of the present bundle.
    Slices {
        /// When.
        at: UnixMillis,
        /// Title of the work.
        title: String,
        /// Finished.
        done: u32,
        /// All.
        total: u32,
        /// Lines found so far.
        hits: usize,
    },
    /// Bundles finished today.
    Bundles {
        /// When.
        at: UnixMillis,
        /// Bundles.
        bundles_today: u32,
        /// Slices.
        slices_today: u32,
    },
    /// Credit by receipts today.
    Receipts {
        /// When.
        at: UnixMillis,
        /// Credit of the day in tokens.
        paid: String,
        /// Unit.
        unit: String,
    },
    /// What the wallet holds.
    Balance {
        /// When.
        at: UnixMillis,
        /// The identity.
        balance: BalanceIdentity,
        /// Unit.
        unit: String,
    },
    /// The measurement moved on.
    Benchmark {
        /// When.
        at: UnixMillis,
        /// Thousandths of the whole; 1000 when it is over.
        permille: u16,
    },
}

/// What changed from `before` to `after`; everything counts as changed when there is no `before`.
pub fn changes(before: Option<&Status>, after: &Status) -> Vec<Change> {
    let at = after.at;
    let mut changes = Vec::new();
    let differs = |same: fn(&Status, &Status) -> bool| before.is_none_or(|before| !same(before, after));
    if differs(|a, b| a.state == b.state && codes(a) == codes(b)) {
        changes.push(Change::State { at, state: after.state, reasons: codes(after) });
    }
    if let Some(benchmark) = &after.benchmark
        && differs(|a, b| step(a) == step(b))
    {
        let permille = if benchmark.running.is_none() { 1000 } else { benchmark.permille };
        changes.push(Change::Benchmark { at, permille });
    }
    if let Some(work) = &after.work
        && differs(|a, b| slices(a) == slices(b))
    {
        changes.push(Change::Slices {
            at,
            title: work.title.clone(),
            done: work.slices_done,
            total: work.slices_total,
            hits: work.hits.len(),
        });
    }
    if differs(|a, b| a.card.bundles_today == b.card.bundles_today) && after.card.bundles_today > 0 {
        changes.push(Change::Bundles {
            at,
            bundles_today: after.card.bundles_today,
            slices_today: after.card.slices_today,
        });
    }
    if differs(|a, b| a.today.paid == b.today.paid) && !is_zero(&after.today.paid) {
        changes.push(Change::Receipts { at, paid: after.today.paid.clone(), unit: after.today.unit.clone() });
    }
    changes
}

/// A change as a line for people.
pub fn line(change: &Change, status: &Status, words: &Catalogue, zone: &TimeZone) -> String {
    let (at, text) = match change {
        Change::State { at, .. } => {
            (at, format!("{}. {}", words.state_title(status), words.state_sentence(status, *at, zone)))
        }
        Change::Slices { at, title, done, total, hits } => {
            (at, format!("{title}: {done}/{total} slices, {hits} lines found"))
        }
        Change::Bundles { at, bundles_today, slices_today } => {
            (at, format!("{bundles_today} bundles, {slices_today} slices today"))
        }
        Change::Receipts { at, paid, unit } => (at, format!("{} by receipts today", amount(paid, unit))),
        Change::Balance { at, balance, unit } => {
            let ready = amount(&balance.balance, unit);
            (at, format!("{ready} ready to withdraw, {} pending", amount(&balance.pending, unit)))
        }
        Change::Benchmark { at, permille } => {
            (at, format!("measuring: {}.{} %", permille / 10, permille % 10))
        }
    };
    format!("{} {text}", clock(*at, zone))
}

/// A change as a line for programs.
pub fn json_line(change: &Change) -> String {
    serde_json::to_string(change).expect("a change has only text and figures")
}

fn codes(status: &Status) -> Vec<ReasonCode> {
    status.reasons.iter().map(|reason| reason.code).collect()
}

fn slices(status: &Status) -> Option<(&str, u32, u32, usize)> {
    let work = status.work.as_ref()?;
    Some((&work.title, work.slices_done, work.slices_total, work.hits.len()))
}

/// The running step, so that a line comes per step and not per thousandth.
fn step(status: &Status) -> Option<Option<protocol::local::BenchmarkStep>> {
    status.benchmark.as_ref().map(|benchmark| benchmark.running)
}

fn is_zero(amount: &str) -> bool {
    amount.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

fn clock(at: UnixMillis, zone: &TimeZone) -> String {
    let instant = i64::try_from(at.0).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    match instant {
        Some(instant) => instant.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S").to_string(),
        None => at.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use protocol::local::{Reason, Work};
    use protocol::manifest::Family;

    use super::*;

    fn status(state: State) -> Status {
        let mut status = crate::tray::tests::status(state);
        status.today.paid = "0.000000000000000000".into();
        status
    }

    fn work(done: u32) -> Work {
        Work {
            title: "Signal search".into(),
            purpose: String::new(),
            publisher: String::new(),
            family: Family::Other,
            slices_done: done,
            slices_total: 8,
            slice_permille: 0,
            hits: Vec::new(),
            price_per_slice: "0".into(),
            deadline_at: UnixMillis(0),
        }
    }

    fn lines(before: Option<&Status>, after: &Status) -> Vec<String> {
        let words = Catalogue::new("en");
        changes(before, after).iter().map(|change| line(change, after, &words, &TimeZone::UTC)).collect()
    }

    #[test]
    fn each_change_is_one_line_and_no_change_is_none() {
        let idle = status(State::Sharing);
        let first = lines(None, &idle);
        assert_eq!(first.len(), 1, "a fresh start has a state and nothing else: {first:?}");
        assert!(first[0].starts_with("14:13:20 Sharing. "), "{first:?}");
        assert_eq!(lines(Some(&idle), &idle), Vec::<String>::new());

        let mut working = idle.clone();
        working.work = Some(work(3));
        assert_eq!(lines(Some(&idle), &working), ["14:13:20 Signal search: 3/8 slices, 0 lines found"]);
        let mut progressing = working.clone();
        progressing.work = Some(Work { slice_permille: 700, ..work(3) });
        assert_eq!(lines(Some(&working), &progressing), Vec::<String>::new(), "thousandths are not lines");

        let mut paid = working.clone();
        paid.today.paid = "0.0625".into();
        paid.card.bundles_today = 1;
        paid.card.slices_today = 8;
        assert_eq!(
            lines(Some(&working), &paid),
            ["14:13:20 1 bundles, 8 slices today", "14:13:20 0.0625 EMBER by receipts today"]
        );
    }

    #[test]
    fn another_reason_is_another_line() {
        let reason = |code| Reason {
            code,
            since_at: UnixMillis(0),
            ends_at: None,
            seen: None,
            limit: None,
            subject: None,
        };
        let mut battery = status(State::Paused);
        battery.reasons = vec![reason(ReasonCode::OnBattery)];
        let mut here = battery.clone();
        here.reasons = vec![reason(ReasonCode::UserActive)];
        assert_eq!(lines(Some(&battery), &here).len(), 1);
        let event = json_line(&changes(Some(&battery), &here)[0]);
        let at = here.at.0;
        assert_eq!(
            event,
            format!("{{\"event\":\"state\",\"at\":{at},\"state\":\"paused\",\"reasons\":[\"user_active\"]}}")
        );
    }
}
