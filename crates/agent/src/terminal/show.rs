//! PURE. Turns answers into lines of text for the terminal.
//!
//! What the page says too comes from the catalogue; the names of limits are the keys that `hearth limits` takes.

use std::error::Error as _;
use std::fmt::Write as _;

use jiff::tz::TimeZone;
use protocol::local::{
    BalanceIdentity, Benchmark, CardReading, Check, Preferences, Privacy, Quote, Status, SystemCounterView,
    SystemView, Verdict, WalletBrief, WalletView, WithdrawalView,
};
use protocol::units::UnixMillis;
use words::{Catalogue, Value, bytes, exact_amount, net_amount};

use super::CommandError;
use crate::client::ClientError;

/// The status in a few lines.
pub(super) fn status(status: &Status, words: &Catalogue, now: UnixMillis, zone: &TimeZone) -> String {
    let mut text = String::new();
    let mut line = |sentence: String| {
        text.push_str(&sentence);
        text.push('\n');
    };
    line(words.text("terminal-state", &[("state", words.state_title(status).into())]));
    line(words.state_sentence(status, now, zone));
    for reason in status.reasons.iter().skip(1) {
        line(format!("  {}", words.reason(reason, now, zone)));
    }
    line(words.text("terminal-since", &[("since", words.moment(status.since_at, now, zone).into())]));
    if !status.network.is_empty() {
        line(words.text("terminal-network", &[("network", status.network.as_str().into())]));
    }
    if let Some(adapter) = &status.card.adapter {
        line(words.text("terminal-card", &[("name", adapter.name.as_str().into())]));
    }
    for sentence in status.benchmark.iter().flat_map(|benchmark| measured(benchmark, words)) {
        line(sentence);
    }
    if let Some(work) = &status.work {
        line(words.text(
            "terminal-work",
            &[
                ("title", work.title.as_str().into()),
                ("publisher", work.publisher.as_str().into()),
                ("done", work.slices_done.into()),
                ("total", work.slices_total.into()),
            ],
        ));
    }
    line(words.text("terminal-sent", &[("bytes", bytes(status.sent_today.sent_bytes).into())]));
    let (key, figure) = match &status.today.net {
        Some(net) => ("tray-today", net),
        None => ("tray-today-paid", &status.today.paid),
    };
    let values = [("amount", net_amount(figure, "").into()), ("unit", status.today.unit.as_str().into())];
    line(words.text(key, &values));
    for notice in &status.notices {
        line(format!("{} ({})", words.error(notice.code), notice.detail));
    }
    text
}

/// Every rule on a line: a mark, what it asks for, and how it stands.
pub(super) fn checks(checks: &[Check], words: &Catalogue, now: UnixMillis, zone: &TimeZone) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match check.verdict {
            Verdict::Clear => "+",
            Verdict::Holds => "-",
            Verdict::Off => " ",
            Verdict::NotYet
            | Verdict::NoSource
            | Verdict::NotWrittenYet
            | Verdict::Failed
            | Verdict::TimedOut => "?",
        };
        let values = [
            ("mark", mark.into()),
            ("label", words.check_label(check).into()),
            ("detail", words.check_detail(check, now, zone).into()),
        ];
        text.push_str(&words.text("terminal-check", &values));
        text.push('\n');
    }
    text
}

/// The last measurement of the card, as far as it came: its speed, how it was held, heat and power.
fn measured(benchmark: &Benchmark, words: &Catalogue) -> Vec<String> {
    let whole = |value: f64| Value::from(format!("{value:.0}"));
    let mut lines = Vec::new();
    if let (Some(float), Some(integer), Some(memory)) =
        (&benchmark.float, &benchmark.integer, &benchmark.memory)
    {
        let values =
            [("float", whole(float.best)), ("integer", whole(integer.best)), ("memory", whole(memory.best))];
        lines.push(words.text("measure-speed", &values));
    }
    if benchmark.adapter.as_ref().is_some_and(|adapter| adapter.software) {
        lines.push(words.text("measure-software", &[]));
    } else if let Some(held) = &benchmark.held {
        let values = [("share", whole(held.share_percent)), ("seconds", whole(held.seconds))];
        lines.push(words.text("measure-held", &values));
        for (key, reading, unit) in
            [("measured-celsius", held.at_end.celsius, "°C"), ("measured-watts", held.at_end.watts, "W")]
        {
            let name = words.text(key, &[]);
            lines.push(match reading {
                CardReading::Known(value) => format!("{name}: {value} {unit}"),
                CardReading::Unknown(why) => {
                    let unknown = words.text("measured-unknown", &[]);
                    format!("{name}: {unknown} ({})", words.unread(why))
                }
            });
        }
    }
    lines
}

/// The limits as KEY=VALUE lines that `hearth limits` takes back.
pub(super) fn limits(preferences: &Preferences) -> String {
    let mut text = String::new();
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(preferences) else { return text };
    for (key, value) in fields {
        let value = match value {
            serde_json::Value::String(value) => value,
            other => other.to_string(),
        };
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

/// What left, by purpose and destination.
pub(super) fn privacy(privacy: &Privacy, words: &Catalogue) -> String {
    let mut text = String::new();
    for row in &privacy.rows {
        let line = format!(
            "{:>10}  {:>10}  {:>6}  {}  {}\n",
            bytes(row.sent_bytes),
            bytes(row.received_bytes),
            row.count,
            row.destination,
            words.purpose(&row.purpose),
        );
        text.push_str(&line);
    }
    text.push_str(&format!("{:>10}  {:>10}\n", bytes(privacy.sent_bytes), bytes(privacy.received_bytes)));
    text.push_str(&witnessed(&privacy.system, words));
    text
}

/// The system's own count in one line; all digits, because something is proven.
fn witnessed(system: &SystemView, words: &Catalogue) -> String {
    let sentence = match system.counter {
        SystemCounterView::None => words.text("terminal-privacy-none", &[]),
        SystemCounterView::TcpInfo => words.text(
            "terminal-privacy-system",
            &[
                ("ours", system.ours_sent_bytes.to_string().into()),
                ("theirs", system.sent_bytes.to_string().into()),
                ("counted", system.counted.into()),
                ("differing", system.differing.into()),
                ("missing", system.missing.into()),
            ],
        ),
    };
    format!("{sentence}\n")
}

/// The wallet with its identity and withdrawals.
pub(super) fn wallet(view: &WalletView, words: &Catalogue) -> String {
    let mut text = String::new();
    match (&view.address, view.brief) {
        (Some(address), _) => text.push_str(&format!("{address}\n")),
        (None, WalletBrief::Unreadable) => {
            text.push_str(&format!("{}\n", words.error(protocol::local::ErrorCode::WalletUnreadable)));
        }
        (None, _) => {
            text.push_str(&format!("{}\n", words.error(protocol::local::ErrorCode::WalletMissing)));
        }
    }
    if let Some(balance) = &view.balance {
        text.push_str(&identity(balance, &view.unit));
    }
    if let Some(error) = &view.error {
        text.push_str(&format!("{}\n", words.error(error.code)));
    }
    for withdrawal in &view.withdrawals {
        text.push_str(&one_withdrawal(withdrawal, &view.unit));
    }
    text
}

/// earned here + earned elsewhere + received = balance + withdrawn + fees + pending, one line each.
fn identity(balance: &BalanceIdentity, unit: &str) -> String {
    let rows = [
        ("earned here", &balance.earned_here),
        ("+ earned elsewhere", &balance.earned_elsewhere),
        ("+ received", &balance.received),
        ("= balance", &balance.balance),
        ("+ withdrawn", &balance.withdrawn),
        ("+ fees", &balance.fees),
        ("+ pending", &balance.pending),
    ];
    let mut text = String::new();
    for (name, amount) in rows {
        text.push_str(&format!("{name:<20}{}\n", exact_amount(amount, unit)));
    }
    text
}

fn one_withdrawal(withdrawal: &WithdrawalView, unit: &str) -> String {
    let mut text = format!(
        "{:?}: {} to {}, fee {}",
        withdrawal.state,
        exact_amount(&withdrawal.amount, unit),
        withdrawal.to,
        exact_amount(&withdrawal.fee, unit),
    );
    if let Some(transaction) = &withdrawal.transaction {
        text.push_str(&format!(", {transaction}"));
    }
    text.push('\n');
    text
}

/// The terms of a withdrawal, every digit.
pub(super) fn terms(quote: &Quote, chain: &str, words: &Catalogue) -> String {
    let row = |key: &str, value: &str| format!("{}: {value}\n", words.text(key, &[]));
    let mut text = format!("{}\n", words.text("vault-withdraw", &[]));
    text.push_str(&row("vault-leaves", &exact_amount(&quote.total, &quote.unit)));
    text.push_str(&row("vault-fee", &exact_amount(&quote.fee, &quote.unit)));
    text.push_str(&row("vault-arrives", &exact_amount(&quote.arrives, &quote.unit)));
    text.push_str(&format!("{}\n{chain}\n", grouped_address(&quote.to)));
    if quote.unchecked_address {
        text.push_str(&format!("{}\n", words.text("withdraw-unchecked", &[])));
    }
    text
}

/// An address in groups of four, to be compared by eye.
fn grouped_address(address: &str) -> String {
    let (prefix, digits) = address.split_at(address.len().min(2));
    let mut text = prefix.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index % 4 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Recovery words with their numbers.
pub(super) fn recovery_words(words: &str) -> zeroize::Zeroizing<String> {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(words.len() + 24 * 5));
    for (index, word) in words.split_whitespace().enumerate() {
        text.push_str(if index < 9 { " " } else { "" });
        // The buffer is large enough, so that no unwiped copy is left behind by growing.
        if writeln!(*text, "{} {word}", index + 1).is_err() {
            break;
        }
    }
    text
}

/// A failure as a sentence with its causes; what the agent refused has the catalogue's sentence and its code.
pub(super) fn complaint(error: &CommandError, words: &Catalogue) -> String {
    match error {
        CommandError::Client(ClientError::Failed(refused)) => {
            format!("{} ({}: {})", words.error(refused.code), code_name(refused.code), refused.detail)
        }
        CommandError::Client(ClientError::Refused { code }) => {
            format!("{} ({})", words.error(*code), code_name(*code))
        }
        CommandError::Client(ClientError::NoAgent(_)) => {
            "No agent is running. Start it with: hearth".to_owned()
        }
        other => {
            let mut text = other.to_string();
            let mut cause = other.source();
            while let Some(inner) = cause {
                text.push_str(&format!(": {inner}"));
                cause = inner.source();
            }
            text
        }
    }
}

fn code_name(code: protocol::local::ErrorCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(_) | Err(_) => format!("{code:?}"),
    }
}

#[cfg(test)]
mod tests {
    use protocol::local::{CardState, ErrorCode, Held, LocalError, Notice, Rate, State, Unread};

    use super::*;

    #[test]
    fn the_status_says_state_reason_and_todays_net() {
        let mut present = crate::tray::tests::status(State::Sharing);
        present.notices =
            vec![Notice { code: ErrorCode::ProfileExpired, at: present.at, detail: "profile.cbor".into() }];
        let text = status(&present, &Catalogue::new("en"), present.at, &TimeZone::UTC);
        for part in
            ["State: Sharing\n", "for 24 minutes", "Network: Local\n", "+0.1840 EMBER", "profile.cbor"]
        {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
        let japanese = status(&present, &Catalogue::new("ja"), present.at, &TimeZone::UTC);
        assert!(!japanese.contains('{') && japanese.contains('。'), "{japanese}");
    }

    #[test]
    fn the_status_tells_the_measurement_and_why_a_sensor_is_unknown() {
        let state = |celsius| CardState {
            celsius,
            watts: CardReading::Known(168),
            memory: CardReading::Unknown(Unread::NotOffered),
            throttles: CardReading::Unknown(Unread::NotOffered),
        };
        let rate = |best| Some(Rate { best, median: best, spread_percent: 0.0, runs: 5 });
        let mut present = crate::tray::tests::status(State::Sharing);
        let mut benchmark = Benchmark {
            float: rate(12_740.4),
            integer: rate(6380.0),
            memory: rate(332.0),
            held: Some(Held {
                share_percent: 97.2,
                seconds: 3.0,
                before: state(CardReading::Known(44)),
                at_end: state(CardReading::Unknown(Unread::Lost)),
            }),
            ..Benchmark::default()
        };
        present.benchmark = Some(benchmark.clone());
        let show = |present: &Status, language| {
            // Spaces before units do not break a line.
            status(present, &Catalogue::new(language), present.at, &TimeZone::UTC).replace('\u{a0}', " ")
        };
        let text = show(&present, "en");
        for part in [
            "12740 GFLOP/s",
            "Held 97 % of its best",
            "Power: 168 W",
            "Temperature: unknown (The card does not",
        ] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
        assert!(!show(&present, "ja").contains('{'));
        benchmark.adapter = Some(crate::tray::tests::software());
        present.benchmark = Some(benchmark);
        let text = show(&present, "en");
        assert!(text.contains("do not count") && !text.contains("Temperature"), "{text}");
    }

    #[test]
    fn every_rule_has_a_line_that_says_how_it_stands() {
        use protocol::local::{Reason, ReasonCode};
        let check = |code, verdict| Check { code, verdict, seen: None, limit: None, reason: None };
        let now = UnixMillis(1_790_000_000_000);
        let reason = Reason {
            code: ReasonCode::UserActive,
            since_at: now,
            ends_at: None,
            seen: None,
            limit: Some(5),
            subject: None,
        };
        let list = [
            Check { reason: Some(reason), ..check(ReasonCode::UserActive, Verdict::Holds) },
            Check { seen: Some(61), limit: Some(80), ..check(ReasonCode::GpuHot, Verdict::Clear) },
            check(ReasonCode::MediaPlaying, Verdict::NoSource),
            check(ReasonCode::CpuBusy, Verdict::Off),
            check(ReasonCode::NoDriver, Verdict::Holds),
        ];
        let text = checks(&list, &Catalogue::new("en"), now, &TimeZone::UTC);
        for line in [
            "- Nobody is at mouse, keys or gamepad: Somebody is using this computer.",
            "+ The card is not too warm: yes, 61\u{a0}°C; it is held at 80\u{a0}°C\n",
            "? Nothing plays: not known: nothing on this computer tells it\n",
            "  Other programs leave the processor alone: you turned this rule off\n",
            "- No driver that can compute: no\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
        let japanese = checks(&list, &Catalogue::new("ja"), now, &TimeZone::UTC);
        assert!(!japanese.contains(['{', '}']), "{japanese}");
        assert!(!japanese.contains("check") && !japanese.contains("verdict"), "a key shows: {japanese}");
    }

    #[test]
    fn limits_read_back_as_they_are_written() {
        let preferences = crate::terminal::tests::preferences();
        let text = limits(&preferences);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines.contains(&"card_percent=100".to_owned()));
        assert_eq!(crate::terminal::change(&preferences, &lines).unwrap(), preferences);
    }

    #[test]
    fn a_refusal_has_a_sentence_and_its_code() {
        let refused = LocalError { code: ErrorCode::WrongPassphrase, detail: "x".into() };
        let text = complaint(&CommandError::Client(ClientError::Failed(refused)), &Catalogue::new("en"));
        assert!(text.ends_with("(wrong_passphrase: x)") && !text.starts_with("error-"), "{text}");
    }

    #[test]
    fn addresses_and_words_are_laid_out_for_the_eye() {
        assert_eq!(grouped_address("0x1234567890ab"), "0x 1234 5678 90ab");
        assert_eq!(*recovery_words("alpha beta"), " 1 alpha\n 2 beta\n");
    }
}
