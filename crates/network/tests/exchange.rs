//! The facade against a server that counts for itself: what the journal says is what the server saw, and nothing goes
//! out without a row.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "the helpers of a test fail by panicking")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use network::{
    Counts, Egress, Journal, JournalError, MemoryJournal, MemoryRow, Net, NetError, Outcome, Purpose,
    Request, RowId, SentMessage,
};
use protocol::units::UnixMillis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// What the server saw of one connection.
#[derive(Debug, Default, Clone)]
struct Seen {
    received: Vec<u8>,
    sent_bytes: u64,
}

/// Reads a request to the end of its body.
async fn read_request(stream: &mut TcpStream, seen: &mut Seen) {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        if let Some(head_end) = seen.received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen.received[..head_end]).to_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if seen.received.len() >= head_end + 4 + length {
                return;
            }
        }
        let read = stream.read(&mut chunk).await.unwrap();
        if read == 0 {
            return;
        }
        seen.received.extend_from_slice(&chunk[..read]);
    }
}

/// A server that answers each connection with `answer` and reports what it saw once the client has gone.
async fn serve(answer: Vec<u8>) -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Seen::default();
            read_request(&mut stream, &mut seen).await;
            if stream.write_all(&answer).await.is_ok() {
                seen.sent_bytes += answer.len() as u64;
            }
            let mut rest = Vec::new();
            if stream.read_to_end(&mut rest).await.is_ok() {
                seen.received.extend_from_slice(&rest);
            }
            if tell.send(seen).is_err() {
                return;
            }
        }
    });
    (address, told)
}

fn answer_of(body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-kind: test\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn net() -> (Net, Arc<MemoryJournal>) {
    let journal = Arc::new(MemoryJournal::default());
    let net = Net::new(Arc::clone(&journal) as Arc<dyn Journal>, Arc::new(|| UnixMillis(7)));
    (net, journal)
}

fn only_row(journal: &MemoryJournal) -> MemoryRow {
    let rows = journal.rows();
    assert_eq!(rows.len(), 1, "one call, one row: {rows:?}");
    rows[0].clone()
}

/// Waits for something that happens on its own, failing after ten seconds.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("within ten seconds")
}

#[tokio::test]
async fn journal_counts_are_the_bytes_that_the_server_saw() {
    let reply = answer_of(&vec![b'y'; 300_000]);
    let (address, mut told) = serve(reply).await;
    let (net, journal) = net();
    let body = vec![b'x'; 2_000_000];
    let request = Request::post(Purpose::Result, "slice", format!("http://{address}/v1/result"), body)
        .header("hearth-test", "1");
    let answer = net.request(request).await.unwrap();
    let seen = soon(told.recv()).await.unwrap();

    assert_eq!((answer.status, answer.body.len(), answer.header("x-kind")), (200, 300_000, Some("test")));
    let row = only_row(&journal);
    assert_eq!(row.counts.sent_bytes, seen.received.len() as u64, "sent must be what arrived there");
    assert_eq!(row.counts.received_bytes, seen.sent_bytes, "received must be what was sent there");
    assert_eq!(
        (answer.sent_bytes, answer.received_bytes),
        (row.counts.sent_bytes, row.counts.received_bytes)
    );
    assert_eq!(row.counts.peer, Some(address));
    assert_eq!(row.ended, Some((Outcome::Answered, UnixMillis(7))));
    assert_eq!(row.egress.destination, address.to_string());
    assert_eq!((row.egress.purpose, row.egress.object.as_str()), (Purpose::Result, "slice"));
    assert!(row.egress.ceiling_sent_bytes >= row.counts.sent_bytes, "the ceiling must cover what was sent");
    assert_eq!(journal.total(Purpose::Result).sent_bytes, row.counts.sent_bytes);
}

/// Writes the order of events down and can be told to refuse.
#[derive(Default)]
struct Witness {
    events: Mutex<Vec<String>>,
    refuse_open: bool,
    refuse_update_after: Option<usize>,
    largest_gap: Mutex<(u64, u64)>,
    refuse_keep: bool,
    kept: Mutex<Vec<SentMessage>>,
}

impl Witness {
    fn note(&self, event: impl Into<String>) {
        self.events.lock().unwrap().push(event.into());
    }
    fn noted(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no space left on device")]
struct Full;

impl Journal for Witness {
    fn open(&self, _: &Egress) -> Result<RowId, JournalError> {
        if self.refuse_open {
            return Err(JournalError::new(Full));
        }
        self.note("open");
        Ok(RowId(1))
    }
    fn update(&self, _: RowId, counts: Counts) -> Result<(), JournalError> {
        self.note("update");
        let updates = self.noted().iter().filter(|event| *event == "update").count();
        if self.refuse_update_after.is_some_and(|allowed| updates > allowed) {
            return Err(JournalError::new(Full));
        }
        let mut gap = self.largest_gap.lock().unwrap();
        let total = counts.sent_bytes + counts.received_bytes;
        *gap = (total, gap.1.max(total - gap.0));
        Ok(())
    }
    fn close(&self, _: RowId, counts: Counts, outcome: Outcome, _: UnixMillis) -> Result<(), JournalError> {
        self.note(format!("close {} {}", outcome.code(), counts.sent_bytes));
        Ok(())
    }
    fn keep(&self, _: RowId, message: SentMessage) -> Result<(), JournalError> {
        if self.refuse_keep {
            return Err(JournalError::new(Full));
        }
        self.note("keep");
        self.kept.lock().unwrap().push(message);
        Ok(())
    }
}

#[tokio::test]
async fn row_is_open_before_the_connection_and_updated_every_mebibyte() {
    let witness = Arc::new(Witness::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let beside = Arc::clone(&witness);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        beside.note("accepted");
        let mut seen = Seen::default();
        read_request(&mut stream, &mut seen).await;
        stream.write_all(&answer_of(b"")).await.unwrap();
    });
    let net = Net::with_system_clock(Arc::clone(&witness) as Arc<dyn Journal>);
    let body = vec![0; 8 * 1024 * 1024];
    net.request(Request::post(Purpose::Publish, "b", format!("http://{address}/"), body)).await.unwrap();
    soon(server).await.unwrap();

    let events = witness.noted();
    assert_eq!(events[0], "open", "the row must be there before the server sees a connection: {events:?}");
    assert!(events.contains(&"accepted".to_owned()));
    let (_, gap) = *witness.largest_gap.lock().unwrap();
    assert!(gap > 0 && gap <= 1024 * 1024, "{gap} bytes passed between two updates");
}

#[tokio::test]
async fn nothing_is_sent_when_the_row_cannot_be_opened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refusing = Arc::new(Witness { refuse_open: true, ..Witness::default() });
    let net = Net::with_system_clock(refusing);
    let error =
        net.request(Request::get(Purpose::Coordinator, "o", format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, NetError::Journal(_)), "{error:?}");

    // A connection made by the refused call would be first in the listener's queue.
    let own = TcpStream::connect(address).await.unwrap();
    let (_, first) = soon(listener.accept()).await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "the refused call connected nevertheless");
}

#[tokio::test]
async fn call_breaks_off_when_the_journal_refuses_an_update() {
    let (address, mut told) = serve(answer_of(b"")).await;
    let witness = Arc::new(Witness { refuse_update_after: Some(1), ..Witness::default() });
    let net = Net::with_system_clock(Arc::clone(&witness) as Arc<dyn Journal>);
    let body = vec![0; 16 * 1024 * 1024];
    let error = net
        .request(Request::post(Purpose::Publish, "b", format!("http://{address}/"), body))
        .await
        .unwrap_err();
    assert!(matches!(error, NetError::Journal(_)), "{error:?}");
    let seen = soon(told.recv()).await.unwrap();
    assert!(seen.received.len() <= 3 * 1024 * 1024, "{} bytes went out unrecorded", seen.received.len());
    let last = witness.noted().into_iter().rfind(|event| event.starts_with("close")).unwrap();
    assert_eq!(
        last,
        format!("close failed {}", seen.received.len()),
        "the row must close with the true count"
    );
}

#[tokio::test]
async fn dropped_call_closes_its_row_as_cancelled_with_what_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, request_there) = oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Seen::default();
        read_request(&mut stream, &mut seen).await;
        arrived.send(seen.received.len() as u64).unwrap();
        // Ends when the client has gone.
        stream.read_to_end(&mut seen.received).await.unwrap();
        seen.received.len() as u64
    });
    let (net, journal) = net();
    let call =
        net.request(Request::post(Purpose::Result, "s", format!("http://{address}/"), vec![1; 50_000]));
    let sent = tokio::select! {
        answer = call => panic!("the server never answers, but {answer:?}"),
        sent = request_there => sent.unwrap(),
    };
    let row = only_row(&journal);
    assert_eq!(row.ended.map(|(outcome, _)| outcome), Some(Outcome::Cancelled));
    assert_eq!(row.counts.sent_bytes, sent);
    assert_eq!(soon(server).await.unwrap(), sent, "nothing more may arrive after the call was dropped");
}

#[tokio::test]
async fn silent_server_is_a_time_out_and_closes_the_row() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (net, journal) = net();
    let within = Duration::from_millis(100);
    let request = Request::get(Purpose::Coordinator, "o", format!("http://{address}/")).within(within);
    let error = soon(net.request(request)).await.unwrap_err();
    assert!(matches!(error, NetError::TimedOut { .. }), "{error:?}");
    assert!(error.is_transient());
    let row = only_row(&journal);
    assert_eq!(row.ended.map(|(outcome, _)| outcome), Some(Outcome::TimedOut));
    assert!(row.counts.sent_bytes > 0, "the request had gone out");
    drop(listener);
}

#[tokio::test]
async fn unreachable_destination_closes_the_row_without_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (net, journal) = net();
    let error =
        net.request(Request::get(Purpose::ChainRpc, "o", format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, NetError::Connect { .. }), "{error:?}");
    let row = only_row(&journal);
    assert_eq!(row.ended.map(|(outcome, _)| outcome), Some(Outcome::Unreachable));
    assert_eq!(row.counts, Counts::default());
}

#[tokio::test]
async fn answer_over_the_limit_is_refused_whether_declared_or_not() {
    let declared = answer_of(&vec![0; 5000]);
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..5 {
        chunked.extend_from_slice(b"3e8\r\n");
        chunked.extend_from_slice(&[0; 1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let mut endless_head = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    endless_head.resize(200_000, b'a');
    for (name, answer) in [("declared", declared), ("chunked", chunked), ("head", endless_head)] {
        let (address, _told) = serve(answer).await;
        let (net, journal) = net();
        let request =
            Request::get(Purpose::WorkInput, "o", format!("http://{address}/")).max_answer_bytes(4999);
        let error = soon(net.request(request)).await.unwrap_err();
        assert!(matches!(error, NetError::TooLong { limit_bytes: 4999 }), "{name}: {error:?}");
        assert_eq!(only_row(&journal).ended.map(|(outcome, _)| outcome), Some(Outcome::Failed), "{name}");
    }
}

#[tokio::test]
async fn broken_answers_are_errors_and_not_short_bodies() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345".to_vec();
    for (name, answer) in [("cut", cut), ("not http", b"hello\r\n\r\n".to_vec()), ("nothing", Vec::new())] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Seen::default();
            read_request(&mut stream, &mut seen).await;
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let (net, _) = net();
        let request = Request::get(Purpose::WorkInput, "o", format!("http://{address}/"));
        let error = soon(net.request(request)).await.unwrap_err();
        assert!(matches!(error, NetError::Exchange { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn download_streams_to_the_writer_and_tells_progress() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|index| index as u8).collect();
    let (address, _told) = serve(answer_of(&body)).await;
    let (net, journal) = net();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let request = Request::get(Purpose::WorkInput, "h", format!("http://{address}/v1/blob/h"))
        .max_answer_bytes(body.len() as u64)
        .on_progress(Arc::new(move |counts| heard.lock().unwrap().push(counts.received_bytes)));
    let mut saved = Vec::new();
    let done = net.download(request, &mut saved).await.unwrap();
    assert!(saved == body, "the writer must get the body unchanged");
    assert_eq!(done.written_bytes, body.len() as u64);
    assert!(done.answer.body.is_empty());
    let told = told.lock().unwrap();
    assert!(told.is_sorted() && told.len() > 2, "progress must grow in steps");
    assert_eq!(told.last(), Some(&only_row(&journal).counts.received_bytes));
}

#[tokio::test]
async fn body_of_a_refusal_goes_to_the_answer_and_not_into_the_file() {
    let (address, _told) = serve(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone".to_vec()).await;
    let (net, _) = net();
    let mut saved = Vec::new();
    let request = Request::get(Purpose::WorkInput, "h", format!("http://{address}/v1/blob/h"));
    let done = net.download(request, &mut saved).await.unwrap();
    assert!(saved.is_empty());
    assert_eq!((done.answer.status, &done.answer.body[..], done.written_bytes), (404, &b"gone"[..], 0));
    assert!(!done.answer.is_success());
}

#[tokio::test]
async fn malformed_requests_are_refused_before_a_row_is_opened() {
    let (net, journal) = net();
    for url in
        ["", "127.0.0.1:1/", "ftp://127.0.0.1/", "http://", "http://user@127.0.0.1/", "http://exa mple/"]
    {
        let error = net.request(Request::get(Purpose::Update, "o", url)).await.unwrap_err();
        assert!(matches!(error, NetError::Malformed { .. }), "{url:?}: {error:?}");
    }
    for (name, value) in [("host", "other"), ("Content-Length", "1"), ("a b", "c"), ("a", "b\r\nc: d")] {
        let request = Request::get(Purpose::Update, "o", "http://127.0.0.1:1/").header(name, value);
        let error = net.request(request).await.unwrap_err();
        assert!(matches!(error, NetError::Malformed { .. }), "{name}: {error:?}");
    }
    assert!(journal.rows().is_empty());
}

#[tokio::test]
async fn redirect_is_an_answer_and_is_not_followed() {
    let (elsewhere, mut visited) = serve(answer_of(b"secret")).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let (address, _told) = serve(redirect.into_bytes()).await;
    let (net, _) = net();
    let answer = net.request(Request::get(Purpose::Update, "o", format!("http://{address}/"))).await.unwrap();
    assert_eq!(answer.status, 302);
    assert!(visited.try_recv().is_err(), "nobody may be visited who is not in the journal");
}

#[tokio::test]
async fn plain_server_behind_https_is_refused_and_its_bytes_are_counted() {
    let (address, mut told) = serve(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    // The server waits for the end of a request's head, which a TLS hello does not hold: the call's limit ends it.
    let (net, journal) = net();
    let request =
        Request::get(Purpose::Update, "o", format!("https://{address}/")).within(Duration::from_millis(300));
    let error = soon(net.request(request)).await.unwrap_err();
    assert!(matches!(error, NetError::Tls { .. } | NetError::TimedOut { .. }), "{error:?}");
    let seen = soon(told.recv()).await.unwrap();
    let row = only_row(&journal);
    assert_eq!(row.counts.sent_bytes, seen.received.len() as u64, "the handshake's bytes are sent bytes too");
    assert_eq!(seen.received[0], 22, "an https call starts with a TLS handshake record, never in the clear");
    assert!(row.counts.sent_bytes <= row.egress.ceiling_sent_bytes);
}

#[tokio::test]
async fn measurement_against_a_coordinator_stays_in_its_budget_and_matches_the_journal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Seen::default();
            read_request(&mut stream, &mut seen).await;
            let line = String::from_utf8_lossy(&seen.received[..seen.received.len().min(100)]).into_owned();
            let path = line.split(' ').nth(1).unwrap().to_owned();
            let body = match path.strip_prefix("/v1/measure/down/") {
                Some(bytes) => vec![1; bytes.parse().unwrap()],
                None => seen.received.len().to_string().into_bytes(),
            };
            stream.write_all(&answer_of(&body)).await.unwrap();
        }
    });
    let (net, journal) = net();
    let mut told = Vec::new();
    let found =
        network::measure(&net, &format!("http://{address}/"), &mut |step| told.push(step)).await.unwrap();
    assert!(found.up_bits_per_s > 0 && found.down_bits_per_s > 0 && found.rtt_millis > 0.0, "{found:?}");
    let total = journal.total(Purpose::Measurement);
    assert_eq!(
        found.bytes_used,
        total.sent_bytes + total.received_bytes,
        "the result names all that it moved"
    );
    assert!(total.sent_bytes <= 25_100_000 && total.received_bytes <= 25_100_000, "{total:?}");
    assert!(told.iter().all(|step| (0.0..=1.0).contains(&step.phase_share)));
    assert_eq!(told.last().map(|step| (step.phase_share, step.bytes_used)), Some((1.0, found.bytes_used)));
}

#[tokio::test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
async fn the_kernel_counts_what_the_server_saw() {
    let (address, mut told) = serve(answer_of(&vec![b'y'; 3_000_000])).await;
    let (net, journal) = net();
    let request = Request::post(Purpose::Result, "o", format!("http://{address}/"), vec![b'x'; 5_000_000])
        .max_answer_bytes(4_000_000);
    net.request(request).await.unwrap();
    let seen = soon(told.recv()).await.unwrap();
    let system = only_row(&journal).counts.system.unwrap();
    assert_eq!(
        (system.sent_bytes, system.received_bytes),
        (seen.received.len() as u64, seen.sent_bytes),
        "kernel and other side count the same payload"
    );
}

#[tokio::test]
async fn what_is_kept_of_a_call_is_byte_for_byte_what_the_server_received() {
    let (address, mut told) = serve(answer_of(b"")).await;
    let witness = Arc::new(Witness::default());
    let net = Net::with_system_clock(Arc::clone(&witness) as Arc<dyn Journal>);
    let request = Request::post(Purpose::Coordinator, "o", format!("http://{address}/v1/x"), &b"said"[..])
        .header("hearth-test", "1");
    net.request(request).await.unwrap();
    let seen = soon(told.recv()).await.unwrap();
    let kept = witness.kept.lock().unwrap().pop().unwrap();
    assert_eq!([kept.head.clone(), kept.body.clone()].concat(), seen.received, "headers that hyper adds too");
    assert_eq!((kept.body.as_slice(), kept.body_bytes), (&b"said"[..], 4));
    let events = witness.noted();
    let last_two = events.iter().rev().take(2).map(String::as_str).collect::<Vec<_>>();
    assert_eq!(last_two[0], "keep", "the row is closed first: {events:?}");
    assert!(last_two[1].starts_with("close answered"), "{events:?}");
}

#[tokio::test]
async fn a_message_that_cannot_be_kept_does_not_fail_the_call() {
    let (address, _told) = serve(answer_of(b"")).await;
    let net = Net::with_system_clock(Arc::new(Witness { refuse_keep: true, ..Witness::default() }));
    let answer = net.request(Request::get(Purpose::Coordinator, "o", format!("http://{address}/"))).await;
    assert_eq!(answer.unwrap().status, 200, "what was sent stands in its row all the same");
}
