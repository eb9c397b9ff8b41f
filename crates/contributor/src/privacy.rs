//! PURE: the privacy page and its exports, as queries on rows of the journal.
//!
//! There is no second book: whatever these functions show stands in a row, and every row is in every sum. The engine
//! calls them on the journal's thread.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::local::{EgressView, ExportFormat, Privacy, PrivacyHour, PrivacyRow};
use protocol::units::UnixMillis;

use crate::journal::JournalRow;

/// Single sendings shown.
const LATEST: usize = 200;
/// Hours shown: 31 days.
const HOURS: usize = 31 * 24;
const HOUR: Duration = Duration::from_secs(3600);

/// The page of the span from `from_at` to `now`. `rows` are the journal's rows of that span, oldest first.
pub fn report(rows: &[JournalRow], from_at: UnixMillis, now: UnixMillis, journal_bytes: u64) -> Privacy {
    let mut sums: BTreeMap<(&str, &str), (u64, u64, u32)> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry((&row.purpose, &row.destination)).or_default();
        sum.0 = sum.0.saturating_add(row.sent_bytes);
        sum.1 = sum.1.saturating_add(row.received_bytes);
        sum.2 = sum.2.saturating_add(1);
    }
    let mut shown: Vec<PrivacyRow> = sums
        .into_iter()
        .map(|((purpose, destination), (sent_bytes, received_bytes, count))| PrivacyRow {
            purpose: purpose.to_owned(),
            destination: destination.to_owned(),
            sent_bytes,
            received_bytes,
            count,
        })
        .collect();
    shown.sort_by_key(|row| std::cmp::Reverse((row.sent_bytes, row.received_bytes)));
    Privacy {
        sent_bytes: rows.iter().fold(0, |sum, row| sum.saturating_add(row.sent_bytes)),
        received_bytes: rows.iter().fold(0, |sum, row| sum.saturating_add(row.received_bytes)),
        rows: shown,
        hours: hours(rows, from_at, now),
        latest: rows.iter().rev().take(LATEST).map(view).collect(),
        journal_bytes,
    }
}

fn view(row: &JournalRow) -> EgressView {
    EgressView {
        at: row.opened_at,
        purpose: row.purpose.clone(),
        destination: row.destination.clone(),
        object: row.object.clone(),
        sent_bytes: row.sent_bytes,
        received_bytes: row.received_bytes,
        estimated: row.estimated,
    }
}

/// One entry per hour from the first row's hour (or `from_at`, if that is later) to the present one.
fn hours(rows: &[JournalRow], from_at: UnixMillis, now: UnixMillis) -> Vec<PrivacyHour> {
    let hour_millis = 3_600_000;
    let Some(first) = rows.first() else { return Vec::new() };
    let present = now.0 / hour_millis;
    let oldest = (present + 1).saturating_sub(HOURS as u64);
    let start = first.opened_at.max(from_at).0 / hour_millis;
    let start = start.max(oldest).min(present);
    let mut hours: Vec<PrivacyHour> = (start..=present)
        .map(|hour| PrivacyHour { at: UnixMillis(hour * hour_millis), sent_bytes: 0, received_bytes: 0 })
        .collect();
    for row in rows {
        // What lies outside the hours drawn (older, or of a clock that was set back) is still in the sums.
        let index = (row.opened_at.0 / hour_millis).checked_sub(start).and_then(|i| usize::try_from(i).ok());
        if let Some(hour) = index.and_then(|i| hours.get_mut(i)) {
            hour.sent_bytes = hour.sent_bytes.saturating_add(row.sent_bytes);
            hour.received_bytes = hour.received_bytes.saturating_add(row.received_bytes);
        }
    }
    debug_assert!(hours.windows(2).all(|pair| pair[1].at == pair[0].at.plus(HOUR)));
    hours
}

/// The whole journal as text.
pub fn export(rows: &[JournalRow], format: ExportFormat) -> String {
    match format {
        ExportFormat::Csv => csv(rows),
        ExportFormat::Json => json(rows),
    }
}

fn csv(rows: &[JournalRow]) -> String {
    let mut text = String::from(
        "opened_at,closed_at,purpose,destination,peer,object,sent_bytes,received_bytes,outcome,estimated\r\n",
    );
    for row in rows {
        let closed = row.closed_at.map(|at| at.0.to_string()).unwrap_or_default();
        let fields = [
            row.opened_at.0.to_string(),
            closed,
            row.purpose.clone(),
            row.destination.clone(),
            row.peer.clone().unwrap_or_default(),
            row.object.clone(),
            row.sent_bytes.to_string(),
            row.received_bytes.to_string(),
            row.outcome.clone().unwrap_or_default(),
            row.estimated.to_string(),
        ];
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// RFC 4180, and a quote before signs that a spreadsheet would take for a formula.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !field.contains([',', '"', '\n', '\r']) {
        return field.to_owned();
    }
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", field.replace('"', "\"\""))
}

fn json(rows: &[JournalRow]) -> String {
    let sendings: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            serde_json::json!({
                "opened_at": row.opened_at.0,
                "closed_at": row.closed_at.map(|at| at.0),
                "purpose": row.purpose,
                "destination": row.destination,
                "peer": row.peer,
                "object": row.object,
                "sent_bytes": row.sent_bytes,
                "received_bytes": row.received_bytes,
                "outcome": row.outcome,
                "estimated": row.estimated,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::json!({ "format": "hearth-journal-1", "sendings": sendings }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: u64, purpose: &str, destination: &str, sent_bytes: u64) -> JournalRow {
        JournalRow {
            opened_at: UnixMillis(at),
            purpose: purpose.to_owned(),
            object: "/v1/heartbeat".to_owned(),
            destination: destination.to_owned(),
            peer: None,
            sent_bytes,
            received_bytes: 1,
            outcome: Some("answered".to_owned()),
            closed_at: Some(UnixMillis(at + 1)),
            estimated: false,
        }
    }

    #[test]
    fn every_row_is_in_every_sum() {
        let rows = [
            row(10, "coordinator", "a:1", 5),
            row(3_600_010, "result", "a:1", 90),
            row(3_600_020, "coordinator", "a:1", 7),
        ];
        let page = report(&rows, UnixMillis(0), UnixMillis(7_200_001), 4096);
        assert_eq!((page.sent_bytes, page.received_bytes), (102, 3));
        assert_eq!(page.rows.iter().map(|r| r.sent_bytes).sum::<u64>(), page.sent_bytes);
        assert_eq!((page.rows[0].purpose.as_str(), page.rows[1].count), ("result", 2), "largest first");
        assert_eq!(
            page.hours.iter().map(|h| h.sent_bytes).collect::<Vec<_>>(),
            [5, 97, 0],
            "empty hours are shown"
        );
        assert_eq!(page.latest[0].at, UnixMillis(3_600_020));
    }

    #[test]
    fn a_field_from_outside_cannot_break_the_table_nor_become_a_formula() {
        let mut hostile = row(1, "result", "host,\"x\"\r\n:1", 5);
        hostile.object = "=cmd()".to_owned();
        let text = export(&[hostile], ExportFormat::Csv);
        assert!(text.contains("\"host,\"\"x\"\"\r\n:1\""), "quoted: {text}");
        assert!(text.contains("\"'=cmd()\""), "guarded: {text}");
    }

    #[test]
    fn json_keeps_every_row() {
        let text = export(&[row(1, "result", "a:1", 5), row(2, "result", "a:1", 6)], ExportFormat::Json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["sendings"].as_array().map(Vec::len), Some(2));
        assert_eq!(value["sendings"][1]["sent_bytes"], 6);
    }
}
