use network::{Journal as _, Purpose};

use super::*;

fn egress(object: &str, at: u64) -> Egress {
    Egress {
        purpose: Purpose::Result,
        object: object.to_owned(),
        job: None,
        destination: "coordinator.example:443".to_owned(),
        ceiling_sent_bytes: 5000,
        ceiling_received_bytes: 700,
        opened_at: UnixMillis(at),
    }
}

fn read_with_standing(journal: &SqliteJournal, span: Span) -> (Vec<JournalRow>, Standing) {
    let (send, receive) = mpsc::channel();
    let with = move |reading: Result<Reading<'_>, ReadJournalError>| {
        let reading = reading.unwrap();
        let rows: Vec<JournalRow> = reading.rows.map(Result::unwrap).collect();
        send.send((rows, reading.standing)).unwrap();
    };
    journal.read_rows(span, Box::new(with));
    receive.recv().unwrap()
}

fn read(journal: &SqliteJournal) -> Vec<JournalRow> {
    read_with_standing(journal, Span::ALL).0
}

fn message_of(journal: &SqliteJournal, row: RowId) -> Option<SentMessage> {
    let (send, receive) = mpsc::channel();
    journal.read_message(row.0, move |found| send.send(found).unwrap());
    receive.recv().unwrap().unwrap().map(|(_, message)| message)
}

fn delete(journal: &SqliteJournal, at: u64) {
    let (send, receive) = mpsc::channel();
    journal.delete_history(UnixMillis(at), move |done| send.send(done).unwrap());
    receive.recv().unwrap().unwrap();
}

fn said(body: &[u8]) -> SentMessage {
    SentMessage {
        head: b"POST /v1/x HTTP/1.1\r\n\r\n".to_vec(),
        body: body.to_vec(),
        body_bytes: body.len() as u64,
        body_hash: Hash::of(body),
    }
}

const SYSTEM: SystemCount = SystemCount { sent_bytes: 40, received_bytes: 30 };
const COUNTS: Counts = Counts { sent_bytes: 40, received_bytes: 30, peer: None, system: Some(SYSTEM) };

#[test]
fn a_row_left_open_by_a_crash_counts_with_its_ceiling_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
    let done = journal.open(&egress("a", 10)).unwrap();
    journal.close(done, COUNTS, Outcome::Answered, UnixMillis(12)).unwrap();
    let open = journal.open(&egress("b", 20)).unwrap();
    journal.update(open, Counts { system: None, ..COUNTS }).unwrap();
    assert!(
        read(&journal).iter().all(|row| row.sent_bytes == 40 && !row.estimated),
        "alive, counts are true"
    );
    drop(journal);

    let journal = SqliteJournal::open(dir.path(), UnixMillis(2)).unwrap();
    let rows = read(&journal);
    assert_eq!(
        (rows[0].sent_bytes, rows[0].estimated, rows[0].outcome.as_deref()),
        (40, false, Some("answered"))
    );
    assert_eq!(rows[0].system, Some(SYSTEM), "the system's count outlives a restart");
    assert_eq!((rows[1].sent_bytes, rows[1].received_bytes, rows[1].estimated), (5000, 700, true));
    assert_eq!(rows[1].system, None, "of a call that was killed the system's count is lost");
    assert!(journal.update(open, COUNTS).is_err(), "a row of an earlier life is closed for good");
}

#[test]
fn an_unreadable_journal_is_kept_aside_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = vec![0x5a_u8; 20_000];
    std::fs::write(dir.path().join(FILE_NAME), &garbage).unwrap();
    let journal = SqliteJournal::open(dir.path(), UnixMillis(77)).unwrap();
    let aside = journal.kept_aside().expect("the damage must be reported");
    assert_eq!(std::fs::read(aside).unwrap(), garbage, "evidence is never overwritten");
    assert_eq!(read(&journal), [], "the new journal begins empty");
    journal.open(&egress("a", 1)).unwrap();
}

#[test]
fn a_journal_that_cannot_be_written_refuses_the_row() {
    let dir = tempfile::tempdir().unwrap();
    let connection = rows::connect(&dir.path().join("full.sqlite")).unwrap();
    connection.execute_batch("PRAGMA max_page_count = 1").unwrap();
    let mut error = None;
    for n in 0..2000 {
        if let Err(refused) = rows::insert(&connection, &egress(&"x".repeat(400), n)) {
            error = Some(refused);
            break;
        }
    }
    let error = error.expect("a full file must refuse");
    assert!(crate::store::is_full(&error), "and be recognised as full: {error}");
}

#[test]
fn a_full_disk_costs_the_message_and_never_the_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = rows::connect(&dir.path().join("full.sqlite")).unwrap();
    let row = rows::insert(&connection, &egress("a", 1)).unwrap();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
    let refused = rows::keep(&mut connection, row, &said(&[1; 50_000])).unwrap_err();
    assert!(crate::store::is_full(&refused), "{refused}");
    rows::update(&connection, row, COUNTS, Some((Outcome::Answered, UnixMillis(2)))).unwrap();
    assert!(rows::message(&connection, row).unwrap().is_none(), "no part of the message stays");
}

#[test]
fn sums_count_what_was_opened_in_the_span() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
    for at in [10, 20, 30] {
        let row = journal.open(&egress("a", at)).unwrap();
        journal.close(row, COUNTS, Outcome::Answered, UnixMillis(at + 1)).unwrap();
    }
    let (send, receive) = mpsc::channel();
    journal.read_sums(UnixMillis(20), move |sums| send.send(sums).unwrap());
    assert_eq!(receive.recv().unwrap().unwrap(), Sums { sent_bytes: 80, received_bytes: 60 });

    let span = Span { from_at: UnixMillis(10), until_at: Some(UnixMillis(30)) };
    let opened: Vec<u64> = read_with_standing(&journal, span).0.iter().map(|row| row.opened_at.0).collect();
    assert_eq!(opened, [10, 20], "the end of a span does not belong to it");
}

#[test]
fn a_journal_of_the_first_version_is_taken_over_whole() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    old.execute_batch(
        "CREATE TABLE sendings (
            id INTEGER PRIMARY KEY AUTOINCREMENT, opened_at INTEGER NOT NULL, purpose TEXT NOT NULL,
            object TEXT NOT NULL, destination TEXT NOT NULL, ceiling_sent_bytes INTEGER NOT NULL,
            ceiling_received_bytes INTEGER NOT NULL, sent_bytes INTEGER NOT NULL DEFAULT 0,
            received_bytes INTEGER NOT NULL DEFAULT 0, peer TEXT, outcome TEXT, closed_at INTEGER,
            estimated INTEGER NOT NULL DEFAULT 0) STRICT;
         CREATE INDEX sendings_by_time ON sendings (opened_at);
         INSERT INTO sendings VALUES
            (7, 10, 'result', 'a', 'c:1', 500, 600, 44, 33, '1.2.3.4:1', 'answered', 12, 0),
            (9, 20, 'coordinator', 'b', 'c:1', 500, 600, 1, 0, NULL, NULL, NULL, 0);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let journal = SqliteJournal::open(dir.path(), UnixMillis(30)).unwrap();
    assert_eq!(journal.kept_aside(), None);
    let rows = read(&journal);
    assert_eq!((rows[0].row, rows[0].sent_bytes, rows[0].peer.as_deref()), (7, 44, Some("1.2.3.4:1")));
    assert_eq!((rows[0].system, rows[0].job.as_deref(), rows[0].kept), (None, None, false));
    assert_eq!((rows[1].row, rows[1].sent_bytes, rows[1].estimated), (9, 500, true), "open at the old end");
    drop(journal);
    let again = SqliteJournal::open(dir.path(), UnixMillis(31)).unwrap();
    assert_eq!(read(&again), rows, "a step is taken once");
}

#[test]
fn a_damaged_row_counts_its_ceiling_and_costs_no_report() {
    let dir = tempfile::tempdir().unwrap();
    let connection = rows::connect(&dir.path().join(FILE_NAME)).unwrap();
    let row = rows::insert(&connection, &egress("a", 10)).unwrap();
    rows::update(&connection, row, COUNTS, Some((Outcome::Answered, UnixMillis(11)))).unwrap();
    connection
        .execute_batch(
            "UPDATE sendings SET sent_bytes = -1, destination = CAST(x'ff3a31' AS TEXT), opened_at = -5,
             purpose = '', system_sent_bytes = -9, outcome = 'what'",
        )
        .unwrap();
    assert_eq!(rows::sums(&connection, UnixMillis(0)).unwrap().sent_bytes, 5000);
    drop(connection);
    let journal = SqliteJournal::open(dir.path(), UnixMillis(12)).unwrap();
    let row = read(&journal).remove(0);
    assert_eq!((row.sent_bytes, row.estimated), (5000, true), "never too little");
    assert_eq!((row.destination.as_str(), row.system), ("\u{fffd}:1", None));
    assert_eq!(
        row.opened_at,
        UnixMillis(0),
        "a time that cannot be is before all others, and still reported"
    );
}

#[test]
fn a_job_is_named_in_the_rows_before_and_after_its_name_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
    let program = Hash::of(b"program");
    let serving = |at| Egress { job: Some(program), ..egress("a", at) };
    journal.open(&serving(10)).unwrap();
    assert_eq!(read(&journal)[0].job_name, None);
    let name = JobTitle { title: "Signal search".to_owned(), publisher: "Open Sky".to_owned() };
    journal.name_job(program, name.clone());
    journal.name_job(program, name.clone());
    journal.open(&serving(20)).unwrap();
    let rows = read(&journal);
    assert_eq!(rows.len(), 2, "a name read twice makes no row twice");
    assert!(rows.iter().all(|row| row.job_name.as_ref() == Some(&name)), "{rows:?}");
}

#[test]
fn the_latest_messages_are_kept_within_their_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
    let mut opened = Vec::new();
    for at in 0..u64::from(KEPT_MESSAGES) + 6 {
        let row = journal.open(&egress("a", at)).unwrap();
        journal.close(row, COUNTS, Outcome::Answered, UnixMillis(at)).unwrap();
        journal.keep(row, said(&at.to_be_bytes())).unwrap();
        opened.push(row);
    }
    let standing = read_with_standing(&journal, Span::ALL).1;
    assert_eq!(standing.messages, KEPT_MESSAGES);
    assert_eq!(message_of(&journal, opened[5]), None, "the oldest go first");
    assert_eq!(message_of(&journal, opened[6]), Some(said(&6_u64.to_be_bytes())));
    assert_eq!(read(&journal).iter().filter(|row| row.kept).count(), KEPT_MESSAGES as usize);

    for (at, row) in opened.iter().take(6).enumerate() {
        journal.keep(*row, said(&vec![7; 1_000_000 + at])).unwrap();
    }
    let standing = read_with_standing(&journal, Span::ALL).1;
    assert!(standing.message_bytes <= KEPT_MESSAGE_BYTES, "{} bytes are kept", standing.message_bytes);
    drop(journal);
    let journal = SqliteJournal::open(dir.path(), UnixMillis(2)).unwrap();
    assert_eq!(read_with_standing(&journal, Span::ALL).1.messages, standing.messages, "a restart keeps them");
}

#[test]
fn deleting_leaves_no_trace_in_the_file_and_spares_what_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap();
    let secret = "bafy-the-address-that-was-fetched";
    for at in 0..200 {
        let row = journal.open(&egress(secret, at)).unwrap();
        journal.close(row, COUNTS, Outcome::Answered, UnixMillis(at)).unwrap();
        journal.keep(row, said(secret.as_bytes())).unwrap();
    }
    let open = journal.open(&egress("goes on", 500)).unwrap();
    let before = read_with_standing(&journal, Span::ALL).1;
    assert_eq!((before.first_at, before.deleted_at), (Some(UnixMillis(0)), None));
    delete(&journal, 600);

    let (rows, standing) = read_with_standing(&journal, Span::ALL);
    assert_eq!(rows.iter().map(|row| row.object.as_str()).collect::<Vec<_>>(), ["goes on"]);
    assert_eq!((standing.messages, standing.deleted_at), (0, Some(UnixMillis(600))));
    assert!(standing.file_bytes < before.file_bytes, "the file shrinks");
    journal.close(open, COUNTS, Outcome::Answered, UnixMillis(700)).unwrap();
    let late = journal.keep(RowId(3), said(b"late"));
    assert!(late.is_ok() && message_of(&journal, RowId(3)).is_none(), "no message without its row");
    let next = journal.open(&egress("next", 800)).unwrap();
    assert!(next > open, "a deleted row's number is not given again");
    for ending in ["", "-wal"] {
        let file = crate::store::beside(&dir.path().join(FILE_NAME), ending);
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "{file:?} still holds what was deleted"
        );
    }
}

#[tokio::test]
async fn a_call_without_a_connection_has_no_count_of_the_system_and_no_message() {
    use std::sync::Arc;

    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(SqliteJournal::open(dir.path(), UnixMillis(1)).unwrap());
    let net = network::Net::with_system_clock(Arc::<SqliteJournal>::clone(&journal));
    // Nobody listens there.
    let request = network::Request::get(Purpose::Coordinator, "o", "http://127.0.0.1:1/");
    net.request(request).await.unwrap_err();
    let row = read(&journal).remove(0);
    assert_eq!(
        (row.outcome.as_deref(), row.system, row.peer, row.kept),
        (Some("unreachable"), None, None, false)
    );
}
