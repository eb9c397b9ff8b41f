//! Peers: devices that deliver to each other over QUIC, each known by its key.
//!
//! It owns the endpoint: how it is reached (directly, or through a relay that the network's profile names), who may knock how
//! often, and that each connection stands in the journal before its first byte. What is ordered and delivered is
//! [`crate::delivery`]'s conversation; whether an order is served is the caller's decision. It asks no server of others for anything:
//! no address book, no default relays, no DNS servers but the system's, no port mapping.
//!
//! The contributor's share of the upload is its caller; the endpoint exists only while something may be delivered or fetched.

mod tally;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use iroh::dns::{DnsResolver, FallbackMode};
use iroh::endpoint::{
    Connection, Incoming, IncomingAddr, NetReportConfig, PortmapperConfig, QuicTransportConfig, RecvStream,
    SendStream, VarInt, presets,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode, RelayUrl, SecretKey, TransportAddr};
use noq_proto::congestion::ControllerFactory;
use protocol::delivery::PeerAddress;
use protocol::id::DeviceId;
use protocol::units::UnixMillis;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::tally::{Attributed, Moved, Stop, Tally};
use crate::delivery::{self, DeliveryError, Goods, Order, Refusal, Wanted};
use crate::journal::{Egress, Journal, JournalError, Outcome};
use crate::net::Clock;
use crate::purpose::Purpose;

/// Name of the conversation inside QUIC.
const ALPN: &[u8] = b"hearth/delivery/1";
/// How long a connection may take to come about, and a caller to order.
const KNOCK_WITHIN: Duration = Duration::from_secs(10);
/// A connection that carries nothing for so long has ended.
const IDLE_FOR: Duration = Duration::from_secs(45);
/// How long the last words of a connection may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// How often a quiet connection's row is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Callers that are served at a time.
const MAX_CALLERS: usize = 8;
/// Knocks that are answered in a minute. More get no answer at all: each costs a journal row and a handshake.
const MAX_KNOCKS_A_MINUTE: usize = 60;
/// What a row of the endpoint itself may say. A crash counts it as moved, so it is modest; the next row follows at its half.
const REACH_BYTES: u64 = 4 * 1024 * 1024;
/// How often that is looked at.
const REST_EVERY: Duration = Duration::from_secs(5);
/// What a knock may cost: handshake, address probing and the order.
const KNOCK_BYTES: u64 = 64 * 1024;

/// How an endpoint is to be.
#[derive(Clone)]
pub struct PeersSetup {
    /// Seed of the device's key: peers and coordinator know the device by the same one.
    pub seed: Zeroizing<[u8; 32]>,
    /// Addresses of relays, from the network's profile.
    pub relays: Vec<String>,
    /// Only this machine: the local network.
    pub loopback: bool,
    /// Everything goes through the relay, so that peers never see this home's address.
    pub hide_address: bool,
    /// How it gives way to others on the line; `None` for QUIC's own way.
    pub congestion: Option<Arc<dyn ControllerFactory + Send + Sync>>,
}

impl fmt::Debug for PeersSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeersSetup")
            .field("relays", &self.relays)
            .field("loopback", &self.loopback)
            .field("hide_address", &self.hide_address)
            .finish_non_exhaustive()
    }
}

/// Why peers cannot be spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The address of a relay cannot be read.
    #[error("the relay address {0:?} cannot be read")]
    Relay(String),
    /// Relays only, and there is none.
    #[error("an address can only be hidden behind a relay, and this network names none")]
    NoRelay,
    /// The system gives no socket.
    #[error("open a socket for peers")]
    Bind(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The journal refused.
    #[error("nothing may be sent without its journal row")]
    Journal(#[from] JournalError),
    /// An address of the provider is missing, or is one that nobody may be sent to.
    #[error("the provider has no address that may be called")]
    Address,
    /// The provider did not answer, or is somebody else.
    #[error("the provider cannot be reached")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The delivery ended early.
    #[error("the delivery ended early")]
    Delivery(#[from] DeliveryError),
}

/// The endpoint.
pub struct Peers {
    endpoint: Endpoint,
    door: Door,
    callers: Mutex<mpsc::Receiver<Caller>>,
    listening: Mutex<JoinSet<()>>,
    setup: PeersSetup,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peers({})", self.endpoint.id().fmt_short())
    }
}

#[derive(Clone)]
struct Door {
    journal: Arc<dyn Journal>,
    clock: Clock,
    attributed: Arc<Attributed>,
}

impl Peers {
    pub(crate) async fn open(
        journal: Arc<dyn Journal>,
        clock: Clock,
        setup: PeersSetup,
    ) -> Result<Self, PeersError> {
        let relays: Vec<RelayUrl> = setup
            .relays
            .iter()
            .map(|url| url.parse().map_err(|_| PeersError::Relay(url.clone())))
            .collect::<Result<_, _>>()?;
        if setup.hide_address && relays.is_empty() {
            return Err(PeersError::NoRelay);
        }
        let mut transport =
            QuicTransportConfig::builder().max_idle_timeout(IDLE_FOR.try_into().ok()).keep_alive_interval(
                // Well below the time after which home routers forget a flow of UDP.
                Duration::from_secs(15),
            );
        if let Some(congestion) = &setup.congestion {
            transport = transport.congestion_controller_factory(Arc::clone(congestion));
        }
        let bind = |error: &dyn fmt::Display| PeersError::Bind(error.to_string().into());
        // Which relay is nearest is asked of the relays themselves; they are the only ones that are asked anything.
        let mut net_report = NetReportConfig::minimal();
        net_report.https_probes = true;
        let names = DnsResolver::builder().with_system_defaults().with_fallback_mode(FallbackMode::Never);
        let mut builder = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(&setup.seed))
            .alpns(vec![ALPN.to_vec()])
            .transport_config(transport.build())
            .dns_resolver(names.build())
            .portmapper_config(PortmapperConfig::Disabled)
            .net_report_config(net_report)
            .relay_mode(if relays.is_empty() { RelayMode::Disabled } else { RelayMode::custom(relays) });
        if setup.hide_address || setup.loopback {
            builder = builder.clear_ip_transports();
        }
        if setup.loopback && !setup.hide_address {
            let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            builder = builder.bind_addr(loopback).map_err(|error| bind(&error))?;
        }
        let door = Door { journal, clock, attributed: Arc::default() };
        let destination =
            if setup.relays.is_empty() { "other devices".to_owned() } else { setup.relays.join(" ") };
        let rest = Tally::open(
            Arc::clone(&door.journal),
            Arc::clone(&door.clock),
            None,
            &reaching(destination.clone(), (door.clock)()),
            None,
        )?;
        let endpoint = builder.bind().await.map_err(|error| bind(&error))?;
        let (tell, callers) = mpsc::channel(MAX_CALLERS);
        let mut listening = JoinSet::new();
        listening.spawn(listen(endpoint.clone(), door.clone(), tell));
        listening.spawn(count_the_rest(endpoint.clone(), door.clone(), destination, rest));
        Ok(Self { endpoint, door, callers: Mutex::new(callers), listening: Mutex::new(listening), setup })
    }

    /// Where this device can be found: its relay, and those socket addresses that are no secret of the house. On the local
    /// network the one on this machine.
    pub fn address(&self) -> PeerAddress {
        let address = self.endpoint.addr();
        let relay = address.relay_urls().next().map(ToString::to_string);
        let shown = |address: &&SocketAddr| self.setup.loopback || is_public(address.ip());
        let direct = address.ip_addrs().filter(shown).map(ToString::to_string);
        PeerAddress { relay, direct: direct.take(PeerAddress::MAX_DIRECT).collect() }
    }

    /// Waits until others can reach this device: at once without relays, else until one has taken it in. `false` when none does
    /// within `patience`.
    pub async fn reachable(&self, patience: Duration) -> bool {
        self.setup.relays.is_empty() || tokio::time::timeout(patience, self.endpoint.online()).await.is_ok()
    }

    /// The next device that knocked, proved its key and ordered something. `None` once the endpoint is closed. May be dropped
    /// and asked again.
    pub async fn next_caller(&self) -> Option<Caller> {
        self.callers.lock().await.recv().await
    }

    /// Fetches what is `wanted` from `provider`, as [`delivery::fetch`] does.
    ///
    /// # Errors
    /// [`PeersError`]; what was written to `sink` is right in any case.
    pub async fn fetch<W: AsyncWrite + Unpin>(
        &self,
        provider: &DeviceId,
        at: &PeerAddress,
        order: &[u8],
        wanted: Wanted,
        sink: &mut W,
        on_verified: impl FnMut(u64) -> Option<Vec<u8>>,
    ) -> Result<(), PeersError> {
        let address = self.callable(provider, at)?;
        let more = wanted.bytes.saturating_sub(wanted.from_byte);
        let egress = Egress {
            purpose: Purpose::PeerFetch,
            job: None,
            object: wanted.hash.to_string(),
            destination: format!("peer {}", provider.short()),
            // Acknowledgements were 0.06 % of what came in (notes of the design), receipts less.
            ceiling_sent_bytes: KNOCK_BYTES.saturating_add(more / 64),
            // Headers and hashes were 2.7 %; lost packets come again.
            ceiling_received_bytes: KNOCK_BYTES.saturating_add(more / 8).saturating_add(more),
            opened_at: (self.door.clock)(),
        };
        let tally = Arc::new(self.door.open(&egress, None)?);
        let connecting = tokio::time::timeout(KNOCK_WITHIN, self.endpoint.connect(address, ALPN)).await;
        let connection = match connecting {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(unreachable(&tally, error.into())),
            Err(elapsed) => return Err(unreachable(&tally, elapsed.into())),
        };
        let watching = Watching::over(connection, tally);
        let result = async {
            let streams = tokio::time::timeout(KNOCK_WITHIN, watching.connection.open_bi()).await;
            let (sender, receiver) = streams
                .map_err(|_| DeliveryError::Silent)?
                .map_err(|error| DeliveryError::Broken(error.into()))?;
            let (mut sender, mut receiver) = (watching.around(sender), watching.around(receiver));
            delivery::fetch(&mut sender, &mut receiver, order, wanted, sink, on_verified).await
        }
        .await;
        // The provider ends the connection once it has read the last receipt.
        if result.is_ok() {
            watching.wait_for_the_other_side().await;
        }
        watching.end(outcome(&result)).await;
        Ok(result?)
    }

    /// The addresses at which this device may call `provider`. Nobody can send it into the owner's own network, nor to this machine:
    /// a coordinator that lies about an address is refused too.
    fn callable(&self, provider: &DeviceId, at: &PeerAddress) -> Result<EndpointAddr, PeersError> {
        let id = EndpointId::from_bytes(provider.as_bytes()).map_err(|_| PeersError::Address)?;
        let mut addresses = Vec::new();
        if let Some(relay) = &at.relay {
            // Only relays that the profile names.
            if !self.setup.relays.contains(relay) {
                return Err(PeersError::Address);
            }
            addresses.push(TransportAddr::Relay(relay.parse().map_err(|_| PeersError::Address)?));
        }
        let direct = at.direct.iter().take(PeerAddress::MAX_DIRECT).filter_map(|direct| direct.parse().ok());
        let direct = direct.filter(|direct: &SocketAddr| {
            if self.setup.loopback { direct.ip().is_loopback() } else { is_public(direct.ip()) }
        });
        if !self.setup.hide_address {
            addresses.extend(direct.map(TransportAddr::Ip));
        }
        if addresses.is_empty() {
            return Err(PeersError::Address);
        }
        Ok(EndpointAddr::from_parts(id, addresses))
    }

    /// Says goodbye to everybody, and returns when the socket is closed and every row is.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSE_WITHIN, self.endpoint.close()).await.is_err() {
            tracing::warn!("the endpoint for peers did not close in time");
        }
        // They end by themselves with the endpoint, after a last word to the journal.
        let mut listening = self.listening.lock().await;
        let ended = async { while listening.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSE_WITHIN, ended).await.is_err() {
            tracing::warn!("the endpoint for peers was still at work when it was closed");
            listening.shutdown().await;
        }
    }
}

impl Door {
    fn open(&self, egress: &Egress, peer: Option<SocketAddr>) -> Result<Tally, JournalError> {
        let attributed = Some(Arc::clone(&self.attributed));
        Tally::open(Arc::clone(&self.journal), Arc::clone(&self.clock), attributed, egress, peer)
    }
}

/// The row of what belongs to no connection: the relay's line, the search for a way, knocks and calls that came to nothing.
fn reaching(destination: String, opened_at: UnixMillis) -> Egress {
    Egress {
        purpose: Purpose::PeerReach,
        job: None,
        object: "reach".to_owned(),
        destination,
        ceiling_sent_bytes: REACH_BYTES,
        ceiling_received_bytes: REACH_BYTES,
        opened_at,
    }
}

/// Keeps the endpoint's own row up to date until the endpoint is closed.
async fn count_the_rest(endpoint: Endpoint, door: Door, destination: String, rest: Tally) {
    let closed = endpoint.closed();
    tokio::pin!(closed);
    loop {
        let over = tokio::time::timeout(REST_EVERY, &mut closed).await.is_ok();
        let socket = &endpoint.metrics().socket;
        let all = Moved {
            sent_bytes: socket.send_ipv4.get() + socket.send_ipv6.get() + socket.send_relay.get(),
            received_bytes: socket.recv_data_ipv4.get()
                + socket.recv_data_ipv6.get()
                + socket.recv_data_relay.get(),
        };
        let moved = door.attributed.rest(all);
        if over {
            return rest.close(moved, Outcome::Answered);
        }
        let noted = if rest.is_half_used() {
            let egress = reaching(destination.clone(), (door.clock)());
            rest.turn(&egress, moved).map_err(Stop::from)
        } else {
            rest.note(moved)
        };
        if let Err(stop) = noted {
            tracing::error!(error = &stop as &dyn std::error::Error, "the endpoint for peers is closed");
            endpoint.close().await;
        }
    }
}

fn unreachable(tally: &Tally, error: Box<dyn std::error::Error + Send + Sync>) -> PeersError {
    // iroh counts only connections that came about: what the attempt sent is in the endpoint's own row.
    tally.close(Moved::default(), Outcome::Unreachable);
    PeersError::Connect(error)
}

fn outcome<T>(result: &Result<T, DeliveryError>) -> Outcome {
    match result {
        Ok(_) | Err(DeliveryError::Refused(_)) => Outcome::Answered,
        Err(DeliveryError::Silent) => Outcome::TimedOut,
        Err(_) => Outcome::Failed,
    }
}

/// Takes knocks in until the endpoint is closed.
async fn listen(endpoint: Endpoint, door: Door, tell: mpsc::Sender<Caller>) {
    let places = Arc::new(Semaphore::new(MAX_CALLERS));
    let mut knocks = Knocks::default();
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let place = Arc::clone(&places).try_acquire_owned().ok();
                match place.filter(|_| knocks.one_more(Instant::now())) {
                    Some(place) => drop(answering.spawn(answer(incoming, door.clone(), place, tell.clone()))),
                    None => incoming.ignore(),
                }
            }
            Some(ended) = answering.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(error = &error as &dyn std::error::Error, "a knock was not answered to its end");
                }
            }
        }
    }
    answering.shutdown().await;
}

/// Knocks of the last minute.
#[derive(Debug, Default)]
struct Knocks(std::collections::VecDeque<Instant>);

impl Knocks {
    /// Whether one more may be answered at `now`.
    fn one_more(&mut self, now: Instant) -> bool {
        while self.0.front().is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(60)) {
            self.0.pop_front();
        }
        let room = self.0.len() < MAX_KNOCKS_A_MINUTE;
        if room {
            self.0.push_back(now);
        }
        room
    }
}

/// From a knock to an order.
async fn answer(incoming: Incoming, door: Door, place: OwnedSemaphorePermit, tell: mpsc::Sender<Caller>) {
    let (destination, peer) = match incoming.remote_addr() {
        IncomingAddr::Ip(address) => (address.to_string(), Some(address)),
        IncomingAddr::Relay { url, .. } => (format!("relay {url}"), None),
        _ => return incoming.ignore(),
    };
    let egress = Egress {
        purpose: Purpose::PeerServe,
        job: None,
        object: "knock".to_owned(),
        destination: destination.clone(),
        ceiling_sent_bytes: KNOCK_BYTES,
        ceiling_received_bytes: KNOCK_BYTES,
        opened_at: (door.clock)(),
    };
    let tally = match door.open(&egress, peer) {
        Ok(tally) => Arc::new(tally),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a knock is not answered");
            return incoming.ignore();
        }
    };
    let accepted = async {
        let connecting = incoming.accept().map_err(|error| error.to_string())?;
        connecting.await.map_err(|error| error.to_string())
    };
    let connection = match tokio::time::timeout(KNOCK_WITHIN, accepted).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(detail)) => {
            tracing::debug!(detail, "a knock came to nothing");
            return tally.close(Moved::default(), Outcome::Failed);
        }
        Err(_) => return tally.close(Moved::default(), Outcome::TimedOut),
    };
    let watching = Watching::over(connection, tally);
    let ordered = async {
        let (sender, receiver) =
            watching.connection.accept_bi().await.map_err(|e| DeliveryError::Broken(e.into()))?;
        let (sender, mut receiver) = (watching.around(sender), watching.around(receiver));
        let order = delivery::read_order(&mut receiver).await?;
        Ok::<_, DeliveryError>((sender, receiver, order))
    };
    match tokio::time::timeout(KNOCK_WITHIN, ordered).await.unwrap_or(Err(DeliveryError::Silent)) {
        Ok((sender, receiver, order)) => {
            let caller = Caller { watching, sender, receiver, order, destination, door, _place: place };
            if let Err(refused) = tell.send(caller).await {
                // The endpoint is being closed.
                refused.0.watching.end(Outcome::Cancelled).await;
            }
        }
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a caller ordered nothing");
            watching.end(Outcome::Failed).await;
        }
    }
}

/// A device that ordered something and waits for an answer.
pub struct Caller {
    watching: Watching,
    sender: Counted<SendStream>,
    receiver: Counted<RecvStream>,
    order: Order,
    destination: String,
    door: Door,
    _place: OwnedSemaphorePermit,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.device().short())
    }
}

impl Caller {
    /// Who it is; it proved that it has this key.
    pub fn device(&self) -> DeviceId {
        DeviceId(*self.watching.connection.remote_id().as_bytes())
    }

    /// What it ordered.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Sends it away.
    pub async fn refuse(mut self, refusal: Refusal) {
        if let Err(error) = delivery::refuse(&mut self.sender, refusal).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a caller did not wait for its refusal"
            );
        }
        self.watching.wait_for_the_other_side().await;
        self.watching.end(Outcome::Answered).await;
    }

    /// Serves it, as [`delivery::deliver`] does. The bytes stand in a row of their own, with `object` for the blob.
    ///
    /// # Errors
    /// [`PeersError`].
    pub async fn deliver(
        mut self,
        goods: Goods,
        object: String,
        may_send: u64,
        on_receipt: impl FnMut(&[u8], u64) -> Option<u64>,
    ) -> Result<u64, PeersError> {
        let more = goods.bytes().saturating_sub(self.order.from_byte);
        let egress = Egress {
            purpose: Purpose::PeerServe,
            job: None,
            object,
            destination: self.destination.clone(),
            ceiling_sent_bytes: KNOCK_BYTES.saturating_add(more / 8).saturating_add(more),
            ceiling_received_bytes: KNOCK_BYTES.saturating_add(more / 32),
            opened_at: (self.door.clock)(),
        };
        if let Err(error) = self.watching.tally.turn(&egress, moved(&self.watching.connection)) {
            self.watching.end(Outcome::Failed).await;
            return Err(error.into());
        }
        let from_byte = self.order.from_byte;
        let result =
            delivery::deliver(&mut self.sender, &mut self.receiver, goods, from_byte, may_send, on_receipt)
                .await;
        self.watching.end(outcome(&result)).await;
        Ok(result?)
    }
}

/// A connection whose bytes are noted while it lives.
struct Watching {
    connection: Connection,
    tally: Arc<Tally>,
    task: JoinSet<()>,
}

impl Watching {
    fn over(connection: Connection, tally: Arc<Tally>) -> Self {
        let mut task = JoinSet::new();
        let (weak, noted) = (connection.weak_handle(), Arc::clone(&tally));
        let closed = weak.closed();
        task.spawn(async move {
            tokio::pin!(closed);
            loop {
                match tokio::time::timeout(LOOK_EVERY, &mut closed).await {
                    Ok(last) => {
                        if let Some(last) = last {
                            let (sent, received) = (last.stats.udp_tx.bytes, last.stats.udp_rx.bytes);
                            noted.last_word(Moved { sent_bytes: sent, received_bytes: received });
                        }
                        return;
                    }
                    Err(_) => {
                        let Some(connection) = weak.upgrade() else { continue };
                        note(&connection, &noted);
                    }
                }
            }
        });
        Self { connection, tally, task }
    }

    fn around<S>(&self, stream: S) -> Counted<S> {
        Counted {
            stream,
            connection: self.connection.clone(),
            tally: Arc::clone(&self.tally),
            unnoted_bytes: 0,
        }
    }

    async fn wait_for_the_other_side(&self) {
        if tokio::time::timeout(CLOSE_WITHIN, self.connection.closed()).await.is_err() {
            tracing::debug!("the other side did not end the connection");
        }
    }

    /// Ends the connection and its row, with the last figures of both.
    async fn end(mut self, outcome: Outcome) {
        self.connection.close(VarInt::from_u32(0), b"");
        while let Some(ended) = self.task.join_next().await {
            if let Err(error) = ended {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a connection was not watched to its end"
                );
            }
        }
        self.tally.close(moved(&self.connection), outcome);
    }
}

fn moved(connection: &Connection) -> Moved {
    let stats = connection.stats();
    Moved { sent_bytes: stats.udp_tx.bytes, received_bytes: stats.udp_rx.bytes }
}

/// Brings the row up to date, and ends the connection where it may not go on.
fn note(connection: &Connection, tally: &Tally) {
    for path in connection.paths().iter() {
        if let TransportAddr::Ip(address) = path.remote_addr()
            && path.is_selected()
        {
            tally.found(*address);
        }
    }
    if let Err(stop) = tally.note(moved(connection)) {
        match &stop {
            Stop::Journal(_) => tracing::error!(error = &stop as &dyn std::error::Error, "a peer is left"),
            Stop::Ceiling => tracing::warn!(error = &stop as &dyn std::error::Error, "a peer is left"),
        }
        connection.close(VarInt::from_u32(1), b"");
    }
}

/// A stream that has the row brought up to date as bytes pass.
struct Counted<S> {
    stream: S,
    connection: Connection,
    tally: Arc<Tally>,
    unnoted_bytes: u64,
}

/// The row is looked at after so many bytes of a stream, well within the mebibyte that the design allows.
const LOOK_EVERY_BYTES: u64 = 256 * 1024;

impl<S> Counted<S> {
    fn passed(&mut self, bytes: usize) {
        self.unnoted_bytes += bytes as u64;
        if self.unnoted_bytes >= LOOK_EVERY_BYTES {
            self.unnoted_bytes = 0;
            note(&self.connection, &self.tally);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.passed(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = std::task::ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.passed(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Whether an address is one of the open internet: none of a home, of this machine, of a link, or set aside by the IANA
/// special-purpose registries (RFC 6890 and its updates).
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let assignments = a == 192 && b == 0 && c == 0;
            let benchmarking = a == 198 && (b == 18 || b == 19);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || v4.is_broadcast()
                || a == 0
                || a >= 224
                || shared
                || assignments
                || benchmarking)
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            // Global unicast is 2000::/3; of it documentation, Teredo and 6to4, which carry IPv4 addresses inside, are left out.
            (a & 0xe000) == 0x2000
                && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
                && a != 0x2002
                && !(a == 0x3fff && b < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests;
