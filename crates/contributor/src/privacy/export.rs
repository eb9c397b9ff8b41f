//! PURE: the whole journal as text to save, one row after the other.

use protocol::local::ExportFormat;

use crate::journal::JournalRow;

/// The head line of the CSV form; a new column is added at the end.
const COLUMNS: &str = "opened_at,closed_at,purpose,destination,peer,object,sent_bytes,received_bytes,outcome,estimated,\
    system_sent_bytes,system_received_bytes,job,job_title,publisher";

/// The rows as text.
///
/// # Errors
/// The first error of `rows`.
pub fn export<E>(
    rows: impl Iterator<Item = Result<JournalRow, E>>,
    format: ExportFormat,
) -> Result<String, E> {
    match format {
        ExportFormat::Csv => csv(rows),
        ExportFormat::Json => json(rows),
    }
}

fn csv<E>(rows: impl Iterator<Item = Result<JournalRow, E>>) -> Result<String, E> {
    let mut text = format!("{COLUMNS}\r\n");
    for row in rows {
        let row = row?;
        let number = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
        let name = row.job_name;
        let fields = [
            row.opened_at.0.to_string(),
            number(row.closed_at.map(|at| at.0)),
            row.purpose,
            row.destination,
            row.peer.unwrap_or_default(),
            row.object,
            row.sent_bytes.to_string(),
            row.received_bytes.to_string(),
            row.outcome.unwrap_or_default(),
            row.estimated.to_string(),
            number(row.system.map(|system| system.sent_bytes)),
            number(row.system.map(|system| system.received_bytes)),
            row.job.unwrap_or_default(),
            name.as_ref().map(|name| name.title.clone()).unwrap_or_default(),
            name.map(|name| name.publisher).unwrap_or_default(),
        ];
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    Ok(text)
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

fn json<E>(rows: impl Iterator<Item = Result<JournalRow, E>>) -> Result<String, E> {
    let sendings = rows.map(|row| {
        let row = row?;
        Ok(serde_json::json!({
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
            "system_sent_bytes": row.system.map(|system| system.sent_bytes),
            "system_received_bytes": row.system.map(|system| system.received_bytes),
            "job": row.job,
            "job_title": row.job_name.as_ref().map(|name| &name.title),
            "publisher": row.job_name.as_ref().map(|name| &name.publisher),
        }))
    });
    let sendings: Vec<serde_json::Value> = sendings.collect::<Result<_, E>>()?;
    Ok(format!("{:#}\n", serde_json::json!({ "format": "hearth-journal-1", "sendings": sendings })))
}
