use network::{SentMessage, SystemCount};
use protocol::cbor;
use protocol::id::Hash;
use protocol::local::{ExportFormat, Notation};

use super::*;
use crate::journal::JobTitle;

fn row(at: u64, purpose: &str, destination: &str, sent_bytes: u64) -> JournalRow {
    JournalRow {
        row: i64::try_from(at).unwrap(),
        opened_at: UnixMillis(at),
        purpose: purpose.to_owned(),
        object: "/v1/heartbeat".to_owned(),
        job: None,
        job_name: None,
        destination: destination.to_owned(),
        peer: Some("127.0.0.1:1".to_owned()),
        sent_bytes,
        received_bytes: 1,
        system: Some(SystemCount { sent_bytes, received_bytes: 1 }),
        outcome: Some("answered".to_owned()),
        closed_at: Some(UnixMillis(at + 1)),
        estimated: false,
        kept: false,
    }
}

fn page(rows: &[JournalRow], now: u64) -> Privacy {
    let mut tally = Tally::new(Span::ALL, UnixMillis(now), SystemCounter::TcpInfo);
    for row in rows {
        tally.take_in(row);
    }
    tally.page(Standing { file_bytes: 4096, ..Standing::default() })
}

fn text_of(rows: &[JournalRow], format: ExportFormat) -> String {
    export(rows.iter().cloned().map(Ok::<_, ()>), format).unwrap()
}

#[test]
fn every_row_is_in_every_sum() {
    let mut rows = [
        row(10, "coordinator", "a:1", 5),
        row(3_600_010, "result", "a:1", 90),
        row(3_600_020, "coordinator", "b:1", 7),
    ];
    rows[1].job = Some("aa".to_owned());
    rows[1].job_name = Some(JobTitle { title: "Search".to_owned(), publisher: "Sky".to_owned() });
    rows[2].job = Some("bb".to_owned());
    rows[2].kept = true;
    let page = page(&rows, 7_200_001);
    assert_eq!((page.sent_bytes, page.received_bytes), (102, 3));
    assert_eq!(page.rows.iter().map(|r| r.sent_bytes).sum::<u64>(), page.sent_bytes);
    for sums in [&page.destinations, &page.jobs, &page.publishers] {
        assert_eq!(sums.iter().map(|s| s.sent_bytes).sum::<u64>(), 102, "{sums:?}");
        assert_eq!(sums.iter().map(|s| s.count).sum::<u32>(), 3, "{sums:?}");
    }
    let name = JobName { title: "Search".to_owned(), publisher: "Sky".to_owned() };
    assert_eq!(page.jobs[0].of, SumOf::Job { program: "aa".to_owned(), name: Some(name) }, "largest first");
    assert_eq!(page.jobs[1].of, SumOf::Job { program: "bb".to_owned(), name: None });
    assert_eq!(page.jobs[2].of, SumOf::NoJob);
    assert_eq!(page.publishers[0].of, SumOf::Publisher { publisher: "Sky".to_owned() });
    assert_eq!(page.publishers[1].of, SumOf::UnknownPublisher);
    assert_eq!(page.rows.iter().map(|row| row.message).collect::<Vec<_>>(), [None, Some(3_600_020), None]);
    assert_eq!(
        page.hours.iter().map(|h| h.sent_bytes).collect::<Vec<_>>(),
        [5, 97, 0],
        "empty hours are shown"
    );
    assert_eq!(page.latest[0].at, UnixMillis(3_600_020));
}

#[test]
fn a_meter_that_counts_too_little_shows_as_a_difference() {
    let mut short = row(10, "result", "a:1", 1000);
    short.system = Some(SystemCount { sent_bytes: 1300, received_bytes: 1 });
    let page = page(&[short, row(11, "result", "a:1", 50)], 20);
    assert_eq!((page.system.ours_sent_bytes, page.system.sent_bytes), (1050, 1350));
    assert_eq!((page.system.counted, page.system.differing), (2, 1));
    assert_eq!(page.sent_bytes, 1050, "the system's figure is shown beside ours and never mixed with it");
    let witnesses: Vec<Witness> = page.latest.iter().map(|entry| entry.witness).collect();
    assert_eq!(witnesses, [Witness::Equal, Witness::Differs { sent_bytes: 1300, received_bytes: 1 }]);
}

#[test]
fn a_row_without_the_systems_count_is_never_compared_and_says_why() {
    let missing = JournalRow { system: None, ..row(1, "result", "a:1", 7) };
    let killed = JournalRow { estimated: true, outcome: None, ..row(2, "result", "a:1", 5000) };
    let underway = JournalRow { outcome: None, system: None, ..row(3, "result", "a:1", 11) };
    let unreachable = JournalRow { peer: None, system: None, ..row(4, "result", "a:1", 0) };
    let page = page(&[missing, killed, underway, unreachable], 20);
    let system = page.system;
    assert_eq!((system.counted, system.sent_bytes, system.ours_sent_bytes), (0, 0, 0));
    assert_eq!((system.missing, system.missing_sent_bytes, system.underway), (2, 5007, 1));
    let witnesses: Vec<Witness> = page.latest.iter().map(|entry| entry.witness).collect();
    assert_eq!(witnesses, [Witness::NoConnection, Witness::Underway, Witness::Estimated, Witness::Missing]);
}

#[test]
fn many_destinations_and_years_still_fit_into_one_frame() {
    let rows: Vec<JournalRow> = (0..20_000_u64)
        .map(|n| {
            let mut row = row(n * HOUR_MILLIS, "result", &format!("host-{}.example:443", n % 3000), n);
            row.object = "x".repeat(64);
            row.job = Some(Hash::of(&n.to_be_bytes()).to_string());
            row
        })
        .collect();
    let page = page(&rows, 20_000 * HOUR_MILLIS);
    assert_eq!(page.destinations.len(), SUMS + 1);
    assert_eq!(page.destinations.last().map(|sum| &sum.of), Some(&SumOf::Rest));
    let total: u64 = rows.iter().map(|row| row.sent_bytes).sum();
    assert_eq!(
        page.jobs.iter().map(|sum| sum.sent_bytes).sum::<u64>(),
        total,
        "the rest is summed, not dropped"
    );
    assert_eq!(page.rows.iter().map(|row| row.sent_bytes).sum::<u64>(), total);
    let bytes = serde_json::to_vec(&page).unwrap().len();
    assert!(bytes < protocol::local::MAX_FRAME_BYTES, "the page takes {bytes} bytes");
}

#[test]
fn a_field_from_outside_cannot_break_the_table_nor_become_a_formula() {
    let mut hostile = row(1, "result", "host,\"x\"\r\n:1", 5);
    hostile.object = "=cmd()".to_owned();
    hostile.job_name = Some(JobTitle { title: "+1".to_owned(), publisher: "@x".to_owned() });
    let text = text_of(&[hostile], ExportFormat::Csv);
    assert!(text.contains("\"host,\"\"x\"\"\r\n:1\""), "quoted: {text}");
    for guarded in ["\"'=cmd()\"", "\"'+1\"", "\"'@x\""] {
        assert!(text.contains(guarded), "guarded: {text}");
    }
}

#[test]
fn signs_that_steer_or_turn_text_are_shown_as_such() {
    let mut hostile = row(1, "result", "evil\u{202e}moc.example:1", 5);
    hostile.object = "a\u{1b}[2Jb\u{0}\u{200b}\nc".to_owned();
    let page = page(&[hostile], 20);
    assert_eq!(page.latest[0].destination, "evil\u{fffd}moc.example:1");
    assert_eq!(page.latest[0].object, "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c");
    assert_eq!(page.rows[0].destination, page.latest[0].destination);
}

#[test]
fn csv_names_each_column_and_leaves_unknown_counts_empty() {
    let mut named = row(1, "result", "a:1", 5);
    named.job = Some("aa".to_owned());
    let text =
        text_of(&[named, JournalRow { system: None, ..row(2, "result", "a:1", 6) }], ExportFormat::Csv);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].split(',').count(), 15);
    assert!(lines[0].ends_with("estimated,system_sent_bytes,system_received_bytes,job,job_title,publisher"));
    assert_eq!(lines[1], "1,2,result,a:1,127.0.0.1:1,/v1/heartbeat,5,1,answered,false,5,1,aa,,");
    assert!(lines[2].ends_with(",false,,,,,"), "unknown is not zero: {}", lines[2]);
}

#[test]
fn json_keeps_every_row() {
    let text = text_of(&[row(1, "result", "a:1", 5), row(2, "result", "a:1", 6)], ExportFormat::Json);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["sendings"].as_array().map(Vec::len), Some(2));
    assert_eq!(value["sendings"][1]["sent_bytes"], 6);
    assert_eq!(value["sendings"][1]["system_sent_bytes"], 6);
}

fn shown(head: &[u8], body: &[u8]) -> protocol::local::SentMessage {
    let message = SentMessage {
        head: head.to_vec(),
        body: body.to_vec(),
        body_bytes: body.len() as u64,
        body_hash: Hash::of(body),
    };
    message_view(&row(1, "coordinator", "a:1", 5), &message)
}

#[test]
fn a_signed_message_is_readable_inside_its_envelope_and_whole_as_bytes() {
    use protocol::id::{CoordinatorId, NetworkId, Nonce};
    use protocol::sign::Key;
    use protocol::wire::Heartbeat;

    let heartbeat = Heartbeat {
        coordinator: CoordinatorId([1; 32]),
        nonce: Nonce([2; 32]),
        sent_at: UnixMillis(1234),
        holding: Vec::new(),
        returned: Vec::new(),
        wants_work: true,
        last_sequence: 9,
    };
    let key = Key::from_seed(&zeroize::Zeroizing::new([3; 32]));
    let body = key.sign(&NetworkId([4; 32]), heartbeat).envelope().to_bytes();
    let head = b"POST /v1/heartbeat HTTP/1.1\r\nhost: a\r\n\r\n";
    let shown = shown(head, &body);
    let readable = shown.readable.unwrap();
    assert_eq!(shown.notation, Notation::Cbor);
    for part in
        ["\"signer\": h'", "\"body\": << {", "\"wants_work\": true", "\"sent_at\": 1234", "\"nonce\": h'0202"]
    {
        assert!(readable.contains(part), "{part} is missing:\n{readable}");
    }
    assert_eq!(shown.head, "POST /v1/heartbeat HTTP/1.1\nhost: a");
    assert_eq!(shown.hex, hex::encode([head.as_slice(), body.as_slice()].concat()), "every byte, in order");
    assert!(shown.body_kept);
}

#[test]
fn text_json_bytes_and_nothing_are_told_apart() {
    let json = shown(b"", br#"{"method":"eth_call","id":1}"#);
    assert_eq!(json.notation, Notation::Text);
    assert!(json.readable.unwrap().contains("\"method\": \"eth_call\""));
    assert_eq!(shown(b"", b"").notation, Notation::Empty);
    assert_eq!(shown(b"", &[0xff, 0xfe]).notation, Notation::Bytes);
}

#[test]
fn a_long_byte_string_is_written_by_its_size_and_hash() {
    let blob = serde_bytes::ByteBuf::from(vec![0xee; 5000]);
    let hash = Hash::of(&blob);
    let shown = shown(b"", &cbor::encode(&vec![blob]));
    let wanted = format!("h'…' / 5000 bytes, BLAKE3 {hash} /");
    assert_eq!(shown.readable.as_deref().map(|text| text.contains(&wanted)), Some(true), "{shown:?}");
}

#[test]
fn a_body_that_was_too_long_to_keep_is_named_by_size_and_hash() {
    let message = SentMessage {
        head: b"PUT / HTTP/1.1\r\n\r\n".to_vec(),
        body: Vec::new(),
        body_bytes: 1_000_000,
        body_hash: Hash([7; 32]),
    };
    let shown = message_view(&row(1, "result", "a:1", 5), &message);
    assert_eq!((shown.body_kept, shown.readable, shown.notation), (false, None, Notation::Bytes));
    assert_eq!((shown.body_bytes, shown.body_hash), (1_000_000, Hash([7; 32]).to_string()));
}

#[test]
fn the_longest_kept_body_fits_into_one_frame_whatever_it_holds() {
    let numbers = vec![vec![1_u8; 10]; 6000];
    for body in
        [vec![b'"'; network::KEPT_BODY_BYTES], cbor::encode(&numbers), vec![0x80; network::KEPT_BODY_BYTES]]
    {
        let body = &body[..body.len().min(network::KEPT_BODY_BYTES)];
        let bytes = serde_json::to_vec(&shown(&[b'x'; 16 * 1024], body)).unwrap().len();
        assert!(bytes < protocol::local::MAX_FRAME_BYTES, "{bytes} bytes");
    }
}
