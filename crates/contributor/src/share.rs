//! Deliveries between homes: what this device lends of its upload, and what it fetches from others.
//!
//! It owns the endpoint for peers while it is needed, serves the blobs of the shelf to devices that hold a coordinator's lease, keeps the last
//! receipt of each delivery on the disk until the coordinator has it, and fetches blobs from the provider that the coordinator
//! draws. It never decides whether the upload may be lent: the policy does, and the engine passes it on as a [`Rule`]. What goes
//! wrong here costs nothing but time: every blob can be had from the coordinator.

mod book;

use std::fmt;
use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use network::delivery::{DeliveryError, GROUP_BYTES, Goods, Refusal, Wanted};
use network::{
    Caller, Clock, Congestion, LiveCap, Net, NetError, Peers, PeersError, PeersSetup, Purpose, Request,
    congestion_factory,
};
use protocol::delivery::{
    AskDelivery, Deliverable, DeliveryLease, DeliveryOffer, DeliveryReceipt, PeerAddress, check_lease,
    check_receipt, may_send, receipt_due,
};
use protocol::id::{Hash, Nonce};
use protocol::sign::{Envelope, Message, Signed};
use protocol::wire::Accepted;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;

use self::book::Book;
use crate::link::{Address, MAX_BLOB_BYTES, Randomness};
use crate::shelf::Shelf;

/// A blob below this is not worth a handshake; the coordinator brokers none either.
const MIN_BYTES: u64 = 64 * 1024;
/// How often a device says what it would deliver: twice within the time that the coordinator believes it.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(300);
/// How soon news is told: blobs come and deliveries end in bursts, which are told together.
const SOON: Duration = Duration::from_secs(60);
/// The same on one machine, where a call costs nothing and nobody wants to wait.
const SOON_LOCAL: Duration = Duration::from_secs(3);
/// An endpoint that nobody needs any more is closed after this time.
const LINGER: Duration = Duration::from_secs(60);
/// How long the last message may take: the engine waits for it.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);
/// How long a message to the coordinator may take.
const POST_WITHIN: Duration = Duration::from_secs(30);

/// What the upload may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whether the coordinator may be spoken to. Turned off means silence, a goodbye included.
    pub speak: bool,
    /// Whether others may be served.
    pub deliver: bool,
    /// What they get together, in bits per second; `None` without a limit.
    pub limit_bits_per_s: Option<u64>,
}

impl Rule {
    /// Before anything was decided.
    pub const NOTHING: Self = Self { speak: false, deliver: false, limit_bits_per_s: None };
}

/// What is told about the deliveries under way.
pub type ShareOutlet = Arc<dyn Fn(ShareEvent) + Send + Sync>;

/// News of the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareEvent {
    /// Whether something is being delivered to somebody.
    Delivering(bool),
}

/// The network as the share sees it.
#[derive(Debug, Clone)]
pub struct ShareTerms {
    /// The coordinator, and this device's key.
    pub address: Address,
    /// Relays of the profile.
    pub relays: Vec<String>,
    /// The network of one machine.
    pub local: bool,
    /// Whether deliveries are brokered at all.
    pub brokered: bool,
}

/// Why a blob was not fetched from a peer. The coordinator has it in any case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The coordinator could not be asked.
    #[error("ask the coordinator for a delivery")]
    Net(#[from] NetError),
    /// It answered with something else than an offer.
    #[error("the coordinator's offer cannot be used: {0}")]
    Offer(&'static str),
    /// The provider did not deliver.
    #[error("fetch from a peer")]
    Peers(#[from] PeersError),
    /// The disk refused.
    #[error("write what a peer delivers")]
    Write(#[source] std::io::Error),
    /// What arrived is not the blob after all.
    #[error("keep what a peer delivered")]
    Shelf(#[from] crate::shelf::ShelfError),
}

/// The share. Ended by [`Share::stop`].
pub struct Share {
    inner: Arc<Inner>,
    rule: watch::Sender<Rule>,
    task: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({:?})", *self.rule.borrow())
    }
}

/// What fetches from peers; cheap to clone.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

struct Inner {
    net: Net,
    terms: ShareTerms,
    shelf: Shelf,
    clock: Clock,
    randomness: Randomness,
    cap: LiveCap,
    book: Book,
    /// A blob has come onto the shelf.
    arrived: Notify,
    /// The endpoint while there is one, and since when nobody needs it.
    peers: Mutex<Option<Arc<Peers>>>,
}

impl Share {
    /// Begins; nothing is opened before a rule allows it or a blob is wanted. `folder` keeps receipts. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Those of the file system, when the folder cannot be used.
    pub fn start(
        net: Net,
        terms: ShareTerms,
        folder: &Path,
        shelf: Shelf,
        clock: Clock,
        randomness: Randomness,
        outlet: ShareOutlet,
    ) -> Result<Self, std::io::Error> {
        let book = Book::open(folder)?;
        let inner = Arc::new(Inner {
            net,
            terms,
            shelf,
            clock,
            randomness,
            cap: LiveCap::unlimited(),
            book,
            arrived: Notify::new(),
            peers: Mutex::new(None),
        });
        let (rule, ruled) = watch::channel(Rule::NOTHING);
        let (stop, stopped) = watch::channel(false);
        let mut task = JoinSet::new();
        if inner.terms.brokered {
            task.spawn(run(Arc::clone(&inner), ruled, stopped, outlet));
        }
        Ok(Self { inner, rule, task, stop })
    }

    /// Changes what the upload may be used for; holds at once, for what is under way too.
    pub fn set(&self, rule: Rule) {
        self.inner.cap.set(rule.limit_bits_per_s.unwrap_or(u64::MAX));
        self.rule.send_replace(rule);
    }

    /// For the line to the coordinator.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher(Arc::clone(&self.inner))
    }

    /// Breaks everything off and waits until it has ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.task.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = &error as &dyn std::error::Error, "the share did not end well");
            }
        }
    }
}

/// The share's own loop: keeps endpoint and announcement as the rule wants them.
async fn run(
    inner: Arc<Inner>,
    mut ruled: watch::Receiver<Rule>,
    mut stopped: watch::Receiver<bool>,
    outlet: ShareOutlet,
) {
    let mut serving: JoinSet<()> = JoinSet::new();
    let (mut announced, mut delivered) = (false, false);
    let mut next = tokio::time::Instant::now();
    let soon = if inner.terms.local { SOON_LOCAL } else { SOON };
    while !*stopped.borrow_and_update() {
        let rule = *ruled.borrow_and_update();
        let peers = if rule.deliver { inner.open().await } else { inner.lent().await };
        if !rule.deliver && delivered && !serving.is_empty() {
            // The owner needs the line, or the rules say so: what is under way ends here. Receipts are kept.
            serving.shutdown().await;
            outlet(ShareEvent::Delivering(false));
        }
        delivered = rule.deliver;
        let news = inner.book.has_news();
        if rule.speak
            && (rule.deliver || announced || news)
            && (tokio::time::Instant::now() >= next || rule.deliver != announced)
        {
            let here = peers.as_ref().filter(|_| rule.deliver).map(|peers| peers.address());
            let told = tokio::select! {
                told = inner.announce(here) => told,
                _ = stopped.changed() => break,
            };
            next = tokio::time::Instant::now() + if told.is_ok() { ANNOUNCE_EVERY } else { soon };
            match told {
                Ok(()) => announced = rule.deliver,
                Err(error) => {
                    tracing::info!(error = &error as &dyn std::error::Error, "nobody was told what is here");
                }
            }
        }
        let caller = async {
            match &peers {
                Some(peers) => peers.next_caller().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            caller = caller => match caller {
                // The endpoint is open for a fetch of our own.
                Some(caller) if !rule.deliver => drop(serving.spawn(caller.refuse(Refusal::Busy))),
                Some(caller) => {
                    if serving.is_empty() {
                        outlet(ShareEvent::Delivering(true));
                    }
                    let inner = Arc::clone(&inner);
                    serving.spawn(async move { inner.serve(caller).await });
                }
                None => inner.close().await,
            },
            Some(ended) = serving.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(error = &error as &dyn std::error::Error, "a delivery ended abnormally");
                }
                if serving.is_empty() {
                    outlet(ShareEvent::Delivering(false));
                    // Its receipts are worth telling at once.
                    next = next.min(tokio::time::Instant::now() + soon);
                }
            }
            () = inner.arrived.notified(), if rule.deliver => {
                next = next.min(tokio::time::Instant::now() + soon);
            }
            changed = ruled.changed() => if changed.is_err() { break },
            _ = stopped.changed() => {}
            () = tokio::time::sleep_until(next.max(tokio::time::Instant::now() + Duration::from_millis(50))),
                if rule.speak && (rule.deliver || announced || news) => {}
            () = tokio::time::sleep(LINGER), if peers.is_some() && !rule.deliver => inner.close_if_idle().await,
        }
    }
    serving.shutdown().await;
    let speak = ruled.borrow().speak;
    if speak
        && announced
        && !matches!(tokio::time::timeout(GOODBYE_WITHIN, inner.announce(None)).await, Ok(Ok(())))
    {
        tracing::debug!("nobody was told that this device has gone; it is believed for a while");
    }
    inner.close().await;
}

impl Inner {
    /// The endpoint, opened if there is none. `None` when it cannot be.
    async fn open(&self) -> Option<Arc<Peers>> {
        let mut open = self.peers.lock().await;
        if open.is_none() {
            let setup = PeersSetup {
                seed: self.terms.address.key.seed(),
                relays: self.terms.relays.clone(),
                loopback: self.terms.local,
                hide_address: false,
                congestion: Some(congestion_factory(Congestion::Scavenger, self.cap.clone())),
            };
            match self.net.peers(setup).await {
                Ok(peers) => *open = Some(Arc::new(peers)),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no endpoint for peers");
                }
            }
        }
        open.clone()
    }

    /// The endpoint if there is one.
    async fn lent(&self) -> Option<Arc<Peers>> {
        self.peers.lock().await.clone()
    }

    async fn close_if_idle(&self) {
        let mut open = self.peers.lock().await;
        // Two hold it: this place, and the loop that asks.
        if open.as_ref().is_some_and(|peers| Arc::strong_count(peers) <= 2) {
            shut(open.take()).await;
        }
    }

    async fn close(&self) {
        let open = self.peers.lock().await.take();
        shut(open).await;
    }

    /// Tells the coordinator what is here, where, and what was signed for.
    async fn announce(&self, address: Option<PeerAddress>) -> Result<(), ShareError> {
        let shelf = self.shelf.clone();
        let listed = match tokio::task::spawn_blocking(move || shelf.list()).await {
            Ok(listed) => listed.map_err(ShareError::Write)?,
            Err(error) => return Err(ShareError::Write(std::io::Error::other(error))),
        };
        let blobs = listed.into_iter().filter(|(_, bytes)| *bytes >= MIN_BYTES).map(|(blob, _)| blob);
        let receipts = self.book.unsent();
        let message = Deliverable {
            coordinator: self.terms.address.coordinator,
            nonce: self.nonce(),
            sent_at: (self.clock)(),
            blobs: if address.is_some() { blobs.take(Deliverable::MAX_BLOBS).collect() } else { Vec::new() },
            address,
            receipts: receipts.iter().map(|(_, receipt)| receipt.clone()).collect(),
        };
        let (accepted, request): (Signed<Accepted>, Hash) = self.post("/v1/deliverable", message).await?;
        if accepted.message().request != request {
            return Err(ShareError::Offer("it answers another message"));
        }
        self.book.sent(&receipts);
        Ok(())
    }

    /// Serves one caller, whatever it wants, and returns when it is gone.
    async fn serve(&self, caller: Caller) {
        let device = caller.device();
        let lease = match self.lease(&caller) {
            Ok(lease) => lease,
            Err(refusal) => return caller.refuse(refusal).await,
        };
        let terms = lease.message().clone();
        let (shelf, blob) = (self.shelf.clone(), terms.blob);
        if !shelf.has(&blob) {
            return caller.refuse(Refusal::NotHere).await;
        }
        let opened = tokio::task::spawn_blocking(move || {
            Goods::open(&blob, &shelf.path(&blob), &shelf.outboard_path(&blob))
        });
        let goods = match opened.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(goods) if goods.bytes() == terms.blob_bytes => goods,
            Ok(_) => return caller.refuse(Refusal::NotHere).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a blob cannot be delivered");
                return caller.refuse(Refusal::NotHere).await;
            }
        };
        let Some(mut account) = self.book.account(&terms) else {
            return caller.refuse(Refusal::Busy).await;
        };
        let allowed = account.begin(caller.order().from_byte);
        let network = self.terms.address.network;
        let outcome = caller
            .deliver(goods, blob.to_string(), allowed, |bytes, sent| {
                let envelope = Envelope::from_bytes::<DeliveryReceipt>(bytes).ok()?;
                let receipt: Signed<DeliveryReceipt> = envelope.verify_any(&network).ok()?;
                let signed = check_receipt(&terms, &receipt, account.signed_bytes(), sent).ok()?;
                if let Err(error) = account.sign(&receipt, signed) {
                    tracing::error!(error = &error as &dyn std::error::Error, "a receipt cannot be kept");
                    return None;
                }
                Some(may_send(signed))
            })
            .await;
        match outcome {
            Ok(sent) => {
                account.end(sent);
                tracing::info!(blob = %blob.short(), to = %device.short(), "a blob was delivered");
            }
            Err(error) => {
                tracing::info!(error = &error as &dyn std::error::Error, to = %device.short(), "a delivery ended early");
            }
        }
    }

    /// The lease that a caller shows, if it is one.
    fn lease(&self, caller: &Caller) -> Result<Signed<DeliveryLease>, Refusal> {
        let Address { network, coordinator, key, .. } = &self.terms.address;
        let envelope =
            Envelope::from_bytes::<DeliveryLease>(&caller.order().bytes).map_err(|_| Refusal::Order)?;
        let lease = envelope.verify_any(network).map_err(|_| Refusal::Order)?;
        let now = (self.clock)();
        match check_lease(&lease, coordinator, &key.device(), &caller.device(), now) {
            Ok(()) => Ok(lease),
            Err(error) => {
                tracing::info!(error = &error as &dyn std::error::Error, "a caller is sent away");
                Err(Refusal::Order)
            }
        }
    }

    fn nonce(&self) -> Nonce {
        Nonce((self.randomness)())
    }

    /// Signs and sends a message; gives the coordinator's answer and the hash of what was sent.
    async fn post<T: Message, A: Message>(
        &self,
        path: &str,
        message: T,
    ) -> Result<(Signed<A>, Hash), ShareError> {
        let Address { network, coordinator, base_url, key } = &self.terms.address;
        let signed = key.sign(network, message);
        let url = format!("{}{path}", base_url.trim_end_matches('/'));
        let request = Request::post(Purpose::Coordinator, path, url, signed.envelope().to_bytes())
            .max_answer_bytes(A::MAX_BYTES as u64 + 1024)
            .within(POST_WITHIN);
        let answer = self.net.request(request).await?;
        if !answer.is_success() {
            return Err(ShareError::Offer("it refused"));
        }
        let envelope =
            Envelope::from_bytes::<A>(&answer.body).map_err(|_| ShareError::Offer("it cannot be read"))?;
        let answer = envelope
            .verify(network, coordinator.as_bytes())
            .map_err(|_| ShareError::Offer("it is not the coordinator's"))?;
        Ok((answer, signed.body_hash()))
    }
}

async fn shut(peers: Option<Arc<Peers>>) {
    if let Some(peers) = peers {
        peers.close().await;
    }
}

impl Fetcher {
    /// Says that a blob has come onto the shelf, from wherever.
    pub fn arrived(&self) {
        self.0.arrived.notify_one();
    }

    /// Brings a blob onto the shelf from the device that the coordinator draws. `false` when it draws none.
    ///
    /// # Errors
    /// [`ShareError`]: the blob is to be had from the coordinator.
    pub async fn fetch(&self, blob: Hash) -> Result<bool, ShareError> {
        let inner = &self.0;
        if !inner.terms.brokered {
            return Ok(false);
        }
        let Address { network, coordinator, key, .. } = &inner.terms.address;
        let nonce = inner.nonce();
        let ask = AskDelivery { coordinator: *coordinator, nonce, sent_at: (inner.clock)(), blob };
        let offer: Signed<DeliveryOffer> = inner.post("/v1/delivery", ask).await?.0;
        let offer = offer.into_message();
        if offer.nonce != nonce {
            return Err(ShareError::Offer("it answers another question"));
        }
        let Some((envelope, at)) = offer.lease else { return Ok(false) };
        let order = envelope.to_bytes();
        let lease: Signed<DeliveryLease> = envelope
            .verify(network, coordinator.as_bytes())
            .map_err(|_| ShareError::Offer("its lease is not the coordinator's"))?;
        let terms = lease.into_message();
        if terms.blob != blob || terms.consumer != key.device() || terms.blob_bytes > MAX_BLOB_BYTES {
            return Err(ShareError::Offer("its lease is for something else"));
        }
        let Some(peers) = inner.open().await else { return Ok(false) };
        let file = tokio::fs::File::create(inner.shelf.part_path(&blob)).await;
        let mut file = file.map_err(ShareError::Write)?;
        let mut verified = 0;
        // A delivery that breaks goes on under its own lease, whose receipts count from the blob's start: under another one the
        // part that is here would be paid for twice.
        loop {
            let from_byte = verified / GROUP_BYTES * GROUP_BYTES;
            file.set_len(from_byte).await.map_err(ShareError::Write)?;
            file.seek(SeekFrom::Start(from_byte)).await.map_err(ShareError::Write)?;
            let mut sink = tokio::io::BufWriter::with_capacity(256 * 1024, &mut file);
            let mut due = from_byte.saturating_add(receipt_due(0));
            let mut here = from_byte;
            let receipts = |verified_bytes| {
                here = verified_bytes;
                (verified_bytes >= due || verified_bytes == terms.blob_bytes).then(|| {
                    due = receipt_due(verified_bytes);
                    let receipt = DeliveryReceipt {
                        coordinator: *coordinator,
                        delivery: terms.delivery,
                        verified_bytes,
                    };
                    key.sign(network, receipt).envelope().to_bytes()
                })
            };
            let wanted = Wanted { hash: blob, bytes: terms.blob_bytes, from_byte };
            let fetched = peers.fetch(&terms.provider, &at, &order, wanted, &mut sink, receipts).await;
            sink.flush().await.map_err(ShareError::Write)?;
            match fetched {
                Ok(()) => break,
                // Everything is here; only the farewell was lost.
                Err(PeersError::Delivery(_)) if here == terms.blob_bytes => break,
                Err(PeersError::Delivery(DeliveryError::Broken(_) | DeliveryError::Silent))
                    if here > verified =>
                {
                    tracing::debug!(blob = %blob.short(), here, "a delivery broke and goes on");
                    verified = here;
                }
                Err(error) => {
                    if matches!(&error, PeersError::Delivery(DeliveryError::WrongBytes)) {
                        tracing::warn!(provider = %terms.provider.short(), "a provider sent bytes of something else");
                    }
                    return Err(error.into());
                }
            }
        }
        drop(file);
        let shelf = inner.shelf.clone();
        let put = tokio::task::spawn_blocking(move || shelf.put(&blob)).await;
        put.map_err(|error| ShareError::Write(std::io::Error::other(error)))??;
        self.arrived();
        Ok(true)
    }
}
