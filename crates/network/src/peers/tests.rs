//! Real endpoints on this machine's loopback.

use std::sync::Mutex as Lock;

use protocol::delivery::{may_send, receipt_due};
use protocol::id::Hash;

use super::*;
use crate::journal::{Counts, MemoryJournal, RowId};
use crate::net::Net;
use crate::relay::{Admits, Relay, RelayError, RelaySetup, RelayTls};

struct Home {
    journal: Arc<MemoryJournal>,
    peers: Peers,
    device: DeviceId,
}

fn setup(seed: u8) -> PeersSetup {
    PeersSetup {
        seed: Zeroizing::new([seed; 32]),
        relays: Vec::new(),
        loopback: true,
        hide_address: false,
        congestion: None,
    }
}

async fn home(setup: PeersSetup) -> Home {
    let journal = Arc::new(MemoryJournal::default());
    let device = protocol::sign::Key::from_seed(&setup.seed).device();
    let net = Net::with_system_clock(Arc::<MemoryJournal>::clone(&journal) as Arc<dyn Journal>);
    let peers = net.peers(setup).await.expect("an endpoint");
    Home { journal, peers, device }
}

impl Home {
    fn sum(&self, purpose: Purpose) -> Counts {
        self.journal.total(purpose)
    }

    /// Ends it and checks that no row was left open.
    async fn end(self) -> Arc<MemoryJournal> {
        self.peers.close().await;
        let open: Vec<_> = self.journal.rows().into_iter().filter(|row| row.ended.is_none()).collect();
        assert!(open.is_empty(), "every row is closed with its connection: {open:?}");
        self.journal
    }
}

struct Blob {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    hash: Hash,
}

fn blob(bytes: usize) -> Blob {
    let dir = tempfile::tempdir().expect("a folder");
    let bytes: Vec<u8> = (0..bytes).map(|at| (at * 13 + at / 509) as u8).collect();
    std::fs::write(dir.path().join("blob"), &bytes).expect("a file");
    let hash = Hash::of(&bytes);
    Blob { dir, bytes, hash }
}

impl Blob {
    fn goods(&self) -> Goods {
        let folder = self.dir.path();
        Goods::open(&self.hash, &folder.join("blob"), &folder.join("blob.obao")).expect("the blob")
    }

    fn wanted(&self) -> Wanted {
        Wanted { hash: self.hash, bytes: self.bytes.len() as u64, from_byte: 0 }
    }
}

/// Serves the next caller, and gives up to where it signed.
async fn serve(home: &Home, blob: &Blob) -> (Result<u64, PeersError>, u64) {
    let caller = home.peers.next_caller().await.expect("a caller");
    let signed = Lock::new(0);
    let outcome = caller
        .deliver(blob.goods(), blob.hash.to_string(), may_send(0), |receipt, _| {
            let said = u64::from_be_bytes(receipt.try_into().ok()?);
            *signed.lock().expect("one task") = said;
            Some(may_send(said))
        })
        .await;
    let signed = *signed.lock().expect("ended");
    (outcome, signed)
}

async fn fetch(home: &Home, from: &Home, blob: &Blob) -> (Result<(), PeersError>, Vec<u8>) {
    let (mut sink, wanted) = (Vec::new(), blob.wanted());
    let mut due = receipt_due(0);
    let receipts = |verified| {
        (verified >= due || verified == wanted.bytes).then(|| {
            due = receipt_due(verified);
            verified.to_be_bytes().to_vec()
        })
    };
    let at = from.peers.address();
    let outcome = home.peers.fetch(&from.device, &at, b"order", wanted, &mut sink, receipts).await;
    (outcome, sink)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_travels_between_two_homes_and_both_journals_tell_the_same() {
    let (provider, consumer, blob) = (home(setup(1)).await, home(setup(2)).await, blob(5_000_000));
    let (served, (fetched, sink)) = tokio::join!(serve(&provider, &blob), fetch(&consumer, &provider, &blob));
    fetched.expect("fetched");
    assert!(sink == blob.bytes, "what arrives is the blob");
    assert_eq!((served.0.expect("served"), served.1), (5_000_000, 5_000_000), "and all of it is signed for");

    let (out, came) = (provider.end().await, consumer.end().await);
    // A connection's farewell can be sent after its row is closed; it is in the endpoint's own row then.
    let sent = out.total(Purpose::PeerServe).sent_bytes + out.total(Purpose::PeerReach).sent_bytes;
    let received =
        came.total(Purpose::PeerFetch).received_bytes + came.total(Purpose::PeerReach).received_bytes;
    assert!(came.total(Purpose::PeerFetch).received_bytes > 5_000_000, "headers and hashes are counted");
    // Words that cross on the line when both ends close are sent and not received. Nothing else is lost on a loopback.
    assert!((received..=received + 4_000).contains(&sent), "{sent} bytes were sent, {received} came");
    let of_blob = |journal: &MemoryJournal, purpose| {
        let rows = journal.rows().into_iter();
        rows.filter(|row| row.egress.purpose == purpose && row.egress.object == blob.hash.to_string()).count()
    };
    assert_eq!(of_blob(&out, Purpose::PeerServe), 1, "one row says what was delivered");
    assert_eq!(of_blob(&came, Purpose::PeerFetch), 1, "one row says what was fetched");
    let knock = out.rows().into_iter().find(|row| row.egress.object == "knock").expect("the knock's row");
    assert!(knock.counts.sent_bytes < 10_000, "a knock is cheap: {}", knock.counts.sent_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_refused_learns_it_and_its_bytes_are_written_down() {
    let (provider, consumer, blob) = (home(setup(1)).await, home(setup(2)).await, blob(100_000));
    let refusing = async {
        let caller = provider.peers.next_caller().await.expect("a caller");
        assert_eq!(
            (caller.device(), caller.order().bytes.as_slice()),
            (consumer.device, b"order".as_slice())
        );
        caller.refuse(Refusal::Busy).await;
    };
    let ((), (fetched, sink)) = tokio::join!(refusing, fetch(&consumer, &provider, &blob));
    assert!(
        matches!(fetched, Err(PeersError::Delivery(DeliveryError::Refused(Refusal::Busy)))),
        "{fetched:?}"
    );
    assert!(sink.is_empty());
    assert!(provider.sum(Purpose::PeerServe).sent_bytes > 1_000, "a handshake was sent");
    provider.end().await;
    consumer.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_answer_in_the_name_of_another_device() {
    let (impostor, consumer, blob) = (home(setup(3)).await, home(setup(2)).await, blob(1_000));
    let real = protocol::sign::Key::from_seed(&Zeroizing::new([1; 32])).device();
    let at = impostor.peers.address();
    let fetched = consumer.peers.fetch(&real, &at, b"order", blob.wanted(), &mut Vec::new(), |_| None).await;
    assert!(matches!(fetched, Err(PeersError::Connect(_))), "{fetched:?}");
    impostor.end().await;
    let journal = consumer.end().await;
    let failed =
        journal.rows().into_iter().find(|row| row.egress.purpose == Purpose::PeerFetch).expect("a row");
    assert_eq!(failed.ended.map(|(outcome, _)| outcome), Some(Outcome::Unreachable));
    assert!(
        journal.total(Purpose::PeerReach).sent_bytes > 1_000,
        "what the attempt sent is in the endpoint's row"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_broke_goes_on_with_what_is_missing() {
    let (provider, consumer, blob) = (home(setup(1)).await, home(setup(2)).await, blob(6_000_000));
    // The first connection ends in the middle: this provider believes no receipt for more than two million bytes.
    let breaking = async {
        let caller = provider.peers.next_caller().await.expect("a caller");
        let believes = |receipt: &[u8], _| {
            let said = u64::from_be_bytes(receipt.try_into().ok()?);
            (said < 2_000_000).then(|| may_send(said))
        };
        caller.deliver(blob.goods(), blob.hash.to_string(), may_send(0), believes).await
    };
    let (broke, (fetched, first)) = tokio::join!(breaking, fetch(&consumer, &provider, &blob));
    assert!(broke.is_err() && fetched.is_err(), "{fetched:?}");
    assert!(
        first.len() >= 1_000_000 && blob.bytes.starts_with(&first),
        "what came is right: {}",
        first.len()
    );

    let from_byte = first.len() as u64 / delivery::GROUP_BYTES * delivery::GROUP_BYTES;
    let (mut rest, wanted, at) =
        (Vec::new(), Wanted { from_byte, ..blob.wanted() }, provider.peers.address());
    let serving = async {
        let caller = provider.peers.next_caller().await.expect("a caller");
        assert_eq!(caller.order().from_byte, from_byte);
        caller.deliver(blob.goods(), blob.hash.to_string(), u64::MAX, |_, _| Some(u64::MAX)).await
    };
    let fetching = consumer.peers.fetch(&provider.device, &at, b"order", wanted, &mut rest, |_| None);
    let (served, fetched) = tokio::join!(serving, fetching);
    served.expect("served");
    fetched.expect("fetched");
    assert!(rest == blob.bytes[from_byte as usize..], "only what was missing came");
    provider.end().await;
    consumer.end().await;
}

/// A journal on a full disk.
#[derive(Debug)]
struct Full;

impl Journal for Full {
    fn open(&self, _: &Egress) -> Result<RowId, JournalError> {
        Err(JournalError::new(std::io::Error::from(std::io::ErrorKind::StorageFull)))
    }

    fn update(&self, _: RowId, _: Counts) -> Result<(), JournalError> {
        Err(JournalError::new("full"))
    }

    fn close(&self, _: RowId, _: Counts, _: Outcome, _: UnixMillis) -> Result<(), JournalError> {
        Err(JournalError::new("full"))
    }
}

#[tokio::test]
async fn without_a_journal_there_is_no_endpoint() {
    let net = Net::with_system_clock(Arc::new(Full));
    assert!(
        matches!(net.peers(setup(1)).await, Err(PeersError::Journal(_))),
        "nothing is bound, nothing is sent"
    );
}

/// Takes so many rows and then no more.
#[derive(Debug)]
struct Filling(MemoryJournal, std::sync::atomic::AtomicI64);

impl Journal for Filling {
    fn open(&self, egress: &Egress) -> Result<RowId, JournalError> {
        if self.1.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 0 {
            return Err(JournalError::new(std::io::Error::from(std::io::ErrorKind::StorageFull)));
        }
        self.0.open(egress)
    }

    fn update(&self, row: RowId, counts: Counts) -> Result<(), JournalError> {
        self.0.update(row, counts)
    }

    fn close(
        &self,
        row: RowId,
        counts: Counts,
        outcome: Outcome,
        at: UnixMillis,
    ) -> Result<(), JournalError> {
        self.0.close(row, counts, outcome, at)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_ends_deliveries_and_answers_no_knock() {
    let (consumer, blob) = (home(setup(2)).await, blob(1_000_000));
    // One row for the endpoint, one for a knock: none for the delivery.
    let journal = Arc::new(Filling(MemoryJournal::default(), 2.into()));
    let net = Net::with_system_clock(Arc::<Filling>::clone(&journal) as Arc<dyn Journal>);
    let peers = net.peers(setup(1)).await.expect("an endpoint");
    let device = protocol::sign::Key::from_seed(&Zeroizing::new([1; 32])).device();
    let provider = Home { journal: Arc::new(MemoryJournal::default()), peers, device };
    let ((served, _), (fetched, sink)) =
        tokio::join!(serve(&provider, &blob), fetch(&consumer, &provider, &blob));
    assert!(matches!(served, Err(PeersError::Journal(_))), "{served:?}");
    assert!(fetched.is_err() && sink.is_empty(), "not a byte of the blob was sent: {fetched:?}");
    let (fetched, _) = fetch(&consumer, &provider, &blob).await;
    assert!(matches!(fetched, Err(PeersError::Connect(_))), "the next knock meets silence: {fetched:?}");
    consumer.end().await;
    provider.peers.close().await;
}

#[tokio::test]
async fn no_coordinator_can_send_a_device_into_its_owners_network() {
    let outward = PeersSetup { loopback: false, ..setup(1) };
    let home = home(outward).await;
    let provider = protocol::sign::Key::from_seed(&Zeroizing::new([2; 32])).device();
    let inside = [
        "192.168.1.1:80",
        "10.0.0.1:22",
        "172.16.0.1:1",
        "127.0.0.1:8470",
        "169.254.169.254:80",
        "100.64.0.1:1",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "[::1]:1",
        "[fe80::1]:1",
        "[fd00::1]:1",
        "[::ffff:192.168.1.1]:80",
        "[2002:c0a8:101::]:1",
        "[64:ff9b::c0a8:101]:1",
        "198.18.0.1:1",
        "192.0.2.1:1",
    ];
    for direct in inside {
        let at = PeerAddress { relay: None, direct: vec![direct.to_owned()] };
        assert!(
            matches!(home.peers.callable(&provider, &at), Err(PeersError::Address)),
            "{direct} is refused"
        );
    }
    let other = PeerAddress { relay: Some("https://elsewhere.example./".to_owned()), direct: Vec::new() };
    assert!(
        matches!(home.peers.callable(&provider, &other), Err(PeersError::Address)),
        "a relay that the profile does not name is refused"
    );
    let outside =
        PeerAddress { relay: None, direct: vec!["9.9.9.9:4433".into(), "[2620:fe::9]:4433".into()] };
    assert_eq!(home.peers.callable(&provider, &outside).expect("addresses").ip_addrs().count(), 2);
    let shown = home.peers.address();
    let is_public = |direct: &String| direct.parse().is_ok_and(|direct: SocketAddr| is_public(direct.ip()));
    assert!(shown.direct.iter().all(is_public), "addresses inside the home are not shown: {shown:?}");
    home.end().await;
}

/// A relay on this machine that lets these devices in.
async fn relay(admitted: &[u8]) -> (Relay, String) {
    let admitted: Vec<DeviceId> = admitted
        .iter()
        .map(|seed| protocol::sign::Key::from_seed(&Zeroizing::new([*seed; 32])).device())
        .collect();
    let admits: Admits = Arc::new(move |device| admitted.contains(device));
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let setup = RelaySetup { http, tls: None, bytes_per_second: None };
    let relay = Relay::start(setup, admits).await.expect("a relay");
    let url = relay.url().expect("an address");
    (relay, url)
}

fn hidden(seed: u8, relay: &str) -> PeersSetup {
    PeersSetup { relays: vec![relay.to_owned()], hide_address: true, ..setup(seed) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_homes_deliver_through_the_relay_and_never_learn_each_others_address() {
    let (relay, url) = relay(&[1, 2]).await;
    let (provider, consumer, blob) =
        (home(hidden(1, &url)).await, home(hidden(2, &url)).await, blob(400_000));
    assert!(provider.peers.reachable(Duration::from_secs(20)).await, "the relay takes it in");
    let shown = provider.peers.address();
    assert_eq!(
        (shown.direct.len(), shown.relay.as_deref()),
        (0, Some(url.as_str())),
        "only the relay is shown"
    );
    let (served, (fetched, sink)) = tokio::join!(serve(&provider, &blob), fetch(&consumer, &provider, &blob));
    fetched.expect("fetched");
    assert!(sink == blob.bytes && served.1 == 400_000, "through the relay like any other way");
    for journal in [provider.end().await, consumer.end().await] {
        let peers: Vec<_> = journal.rows().into_iter().filter_map(|row| row.counts.peer).collect();
        assert!(peers.is_empty(), "no socket address of a peer was ever used: {peers:?}");
    }
    relay.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_lets_no_stranger_in() {
    let (relay, url) = relay(&[1]).await;
    let stranger = home(hidden(7, &url)).await;
    assert!(!stranger.peers.reachable(Duration::from_secs(3)).await, "it is of no network here");
    let member = home(hidden(1, &url)).await;
    assert!(member.peers.reachable(Duration::from_secs(20)).await, "the relay itself works");
    stranger.end().await;
    member.end().await;
    relay.stop().await.expect("it ends");
}

#[tokio::test]
async fn a_relay_says_what_is_wrong_with_its_certificate() {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let tls =
        RelayTls { https: any, quic: any, certificates: b"none".to_vec(), key: Zeroizing::new(Vec::new()) };
    let setup = RelaySetup { http: any, tls: Some(tls), bytes_per_second: None };
    let refused = Relay::start(setup, Arc::new(|_| true)).await;
    assert!(matches!(refused, Err(RelayError::Certificate(_))), "{refused:?}");
}

#[tokio::test]
async fn a_hidden_address_needs_a_relay() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let net = Net::with_system_clock(journal);
    let hidden = PeersSetup { hide_address: true, ..setup(1) };
    assert!(matches!(net.peers(hidden).await, Err(PeersError::NoRelay)));
    let unreadable = PeersSetup { relays: vec!["no address".to_owned()], ..setup(1) };
    assert!(matches!(net.peers(unreadable).await, Err(PeersError::Relay(_))));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_knocks_meets_silence_and_ends_with_its_minute() {
    let mut knocks = Knocks::default();
    let begin = Instant::now();
    let answered = (0..10_000).filter(|_| knocks.one_more(begin)).count();
    assert_eq!(answered, MAX_KNOCKS_A_MINUTE);
    assert!(!knocks.one_more(begin + Duration::from_secs(59)));
    assert!(knocks.one_more(begin + Duration::from_secs(60)), "an honest caller is heard again");
    assert!(knocks.0.len() <= MAX_KNOCKS_A_MINUTE, "memory does not grow with the flood");
}
