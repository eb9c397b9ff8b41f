//! Who uses the line: a ping, a look-up as DNS does it, a household's TCP, and connections of iroh.

use std::error::Error;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use iroh::endpoint::{Connection, QuicTransportConfig, presets};
use iroh::{Endpoint, EndpointAddr, RelayMode};
use network::{Congestion, LiveCap, congestion_factory};
use tokio::sync::mpsc as commands;
use world::link::{End, Link, be_punctual};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ECHO_PORT: u16 = 7;
const SINK_PORT: u16 = 9;
const ALPN: &[u8] = b"hearth/bench/household";
/// How long a thread that waits for bytes waits before it looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(200);
const BLOCK: usize = 64 * 1024;
/// A question and an answer of DNS with one CNAME and two addresses.
const QUESTION_BYTES: usize = 60;
const ANSWER_BYTES: usize = 200;
const PING_BYTES: usize = 56;

/// What stands at the far end: an echo and a sink for TCP.
#[derive(Debug)]
pub(crate) struct Far {
    received: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Far {
    pub(crate) fn start(link: &Link) -> Outcome<Self> {
        let far = Self { received: Arc::default(), ended: Arc::default() };
        let (ready, waited) = mpsc::channel();
        let (end, ended, told) = (Arc::clone(&link.far), Arc::clone(&far.ended), ready.clone());
        thread::spawn(move || {
            let socket = listen(&end, &told, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, ECHO_PORT)));
            socket.map(|socket| echo(&socket, &ended))
        });
        let (end, received) = (Arc::clone(&link.far), Arc::clone(&far.received));
        thread::spawn(move || {
            let listener = listen(&end, &ready, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, SINK_PORT)));
            for stream in listener.iter().flat_map(TcpListener::incoming).map_while(Result::ok) {
                let received = Arc::clone(&received);
                thread::spawn(move || swallow(stream, &received));
            }
        });
        waited.recv()??;
        waited.recv()??;
        Ok(far)
    }

    /// Bytes that the household's TCP has brought over.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Enters `end`, opens what `open` opens, and tells how that went.
fn listen<T>(
    end: &End,
    told: &mpsc::Sender<io::Result<()>>,
    open: impl FnOnce() -> io::Result<T>,
) -> Option<T> {
    let (opened, outcome) = match end.enter().and_then(|()| open()) {
        Ok(socket) => (Some(socket), Ok(())),
        Err(error) => (None, Err(error)),
    };
    told.send(outcome).is_ok().then_some(opened).flatten()
}

fn echo(socket: &UdpSocket, ended: &AtomicBool) -> io::Result<()> {
    be_punctual();
    socket.set_read_timeout(Some(LOOK_UP))?;
    let mut buffer = [0; ANSWER_BYTES];
    while !ended.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                let answer = if length == QUESTION_BYTES { ANSWER_BYTES } else { length };
                socket.send_to(&buffer[..answer], from)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn swallow(mut stream: TcpStream, received: &AtomicU64) {
    let mut buffer = vec![0; BLOCK];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// One question and when its answer came.
#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    answered: Option<Duration>,
}

/// Asks the far end's echo in regular intervals.
#[derive(Debug)]
pub(crate) struct Probe {
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl Probe {
    /// Twenty a second.
    pub(crate) fn ping(link: &Link) -> Outcome<Self> {
        Self::start(link, Duration::from_millis(50), PING_BYTES)
    }

    /// Five a second, with a larger answer.
    pub(crate) fn look_up(link: &Link) -> Outcome<Self> {
        Self::start(link, Duration::from_millis(200), QUESTION_BYTES)
    }

    fn start(link: &Link, every: Duration, bytes: usize) -> Outcome<Self> {
        let probe = Self { asked: Arc::default(), ended: Arc::default() };
        let (near, far) = (Arc::clone(&link.near), link.far.address);
        let (asked, ended) = (Arc::clone(&probe.asked), Arc::clone(&probe.ended));
        let (ready, waited) = mpsc::channel();
        thread::spawn(move || {
            let open = || {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                socket.connect((far, ECHO_PORT))?;
                Ok(socket)
            };
            listen(&near, &ready, open).map(|socket| ask(&socket, every, bytes, &asked, &ended))
        });
        waited.recv()??;
        Ok(probe)
    }

    /// Round trips in ms of what was asked between `from` and `until`, sorted, and how many had no answer.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> (Vec<f64>, usize) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let within: Vec<&Asked> = asked.iter().filter(|asked| asked.at >= from && asked.at < until).collect();
        let answered = within.iter().filter_map(|asked| asked.answered).map(crate::millis);
        let answered = crate::sorted(answered);
        let lost = within.len() - answered.len();
        (answered, lost)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn ask(
    socket: &UdpSocket,
    every: Duration,
    bytes: usize,
    asked: &Mutex<Vec<Asked>>,
    ended: &AtomicBool,
) -> io::Result<()> {
    be_punctual();
    let mut question = vec![0; bytes];
    let mut answer = [0; ANSWER_BYTES];
    let mut next = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        let number = {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(Asked { at: Instant::now(), answered: None });
            (asked.len() - 1) as u64
        };
        question[..8].copy_from_slice(&number.to_le_bytes());
        socket.send(&question)?;
        next += every;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut answer) {
                Ok(length) if length >= 8 => {
                    let now = Instant::now();
                    let number = u64::from_le_bytes(std::array::from_fn(|place| answer[place]));
                    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(asked) = usize::try_from(number).ok().and_then(|n| asked.get_mut(n)) {
                        asked.answered = Some(now - asked.at);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Sends over TCP with CUBIC for `span`, as much as goes, or `bits_per_s`.
pub(crate) fn upload(link: &Link, span: Duration, bits_per_s: Option<u64>) -> Outcome<()> {
    let (near, far) = (Arc::clone(&link.near), link.far.address);
    let sender = thread::spawn(move || -> Outcome<()> {
        near.enter()?;
        let mut stream = TcpStream::connect((far, SINK_PORT))?;
        // A machine may have another default, and what most homes have is meant.
        rustix::net::sockopt::set_tcp_congestion(&stream, "cubic")?;
        stream.set_write_timeout(Some(LOOK_UP))?;
        let block = vec![0; BLOCK];
        let began = Instant::now();
        let mut written = 0_u64;
        while began.elapsed() < span {
            let most = match bits_per_s {
                None => BLOCK,
                Some(bits) => {
                    let due = (began.elapsed().as_secs_f64() * bits as f64 / 8.0) as u64;
                    (due.saturating_sub(written) as usize).min(BLOCK)
                }
            };
            if most == 0 {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            match stream.write(&block[..most]) {
                Ok(length) => written += length as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        // What the kernel still holds would go on for a second: a person who stops an upload stops it.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        Ok(())
    });
    sender.join().map_err(|_| "the thread of the upload panicked")?
}

/// An endpoint pair of iroh, through direct addresses alone, that uploads with one of the controllers.
#[derive(Debug)]
pub(crate) struct Background {
    flows: commands::UnboundedSender<()>,
    received: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    ended: Arc<tokio::sync::Notify>,
    threads: Vec<JoinHandle<Outcome<()>>>,
}

impl Background {
    pub(crate) fn start(link: &Link, congestion: Congestion, cap: LiveCap) -> Outcome<Self> {
        let received: Arc<Mutex<Vec<Arc<AtomicU64>>>> = Arc::default();
        let ended = Arc::new(tokio::sync::Notify::new());
        let (told, address) = mpsc::channel();
        let (end, counts, end_asked) = (Arc::clone(&link.far), Arc::clone(&received), Arc::clone(&ended));
        let far = thread::spawn(move || {
            end.enter()?;
            crate::runtime()?.block_on(receive(end.address, told, counts, end_asked))
        });
        let address = address.recv().map_err(|_| "the receiving endpoint did not start")?;
        let end = Arc::clone(&link.near);
        let (flows, wanted) = commands::unbounded_channel();
        let near = thread::spawn(move || {
            end.enter()?;
            crate::runtime()?.block_on(send(address, congestion, cap, wanted))
        });
        Ok(Self { flows, received, ended, threads: vec![far, near] })
    }

    /// Begins to upload over one more connection.
    pub(crate) fn add_flow(&self) -> Outcome<()> {
        self.flows.send(()).map_err(|_| "the sending endpoint has ended".into())
    }

    /// Bytes that each connection has brought over, without what QUIC adds.
    pub(crate) fn received(&self) -> Vec<u64> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().map(|bytes| bytes.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn end(self) -> Outcome<()> {
        drop(self.flows);
        self.ended.notify_one();
        for thread in self.threads {
            thread.join().map_err(|_| "a thread of the background panicked")??;
        }
        Ok(())
    }
}

async fn receive(
    address: Ipv4Addr,
    told: mpsc::Sender<EndpointAddr>,
    counts: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    ended: Arc<tokio::sync::Notify>,
) -> Outcome<()> {
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .alpns(vec![ALPN.to_vec()])
        .bind()
        .await?;
    let port = endpoint.bound_sockets().iter().find(|socket| socket.is_ipv4()).map(SocketAddr::port);
    let port = port.ok_or("the receiving endpoint has no IPv4 socket")?;
    told.send(EndpointAddr::new(endpoint.id()).with_ip_addr((address, port).into()))?;
    let accepting = async {
        while let Some(incoming) = endpoint.accept().await {
            let count = Arc::new(AtomicU64::new(0));
            counts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&count));
            tokio::spawn(async move {
                let connection = incoming.await?;
                count_stream(&connection, &count).await
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = ended.notified() => {}
    }
    endpoint.close().await;
    Ok(())
}

async fn count_stream(connection: &Connection, count: &AtomicU64) -> Outcome<()> {
    let mut stream = connection.accept_uni().await?;
    let mut buffer = vec![0; BLOCK];
    while let Some(length) = stream.read(&mut buffer).await? {
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
    Ok(())
}

async fn send(
    address: EndpointAddr,
    congestion: Congestion,
    cap: LiveCap,
    mut wanted: commands::UnboundedReceiver<()>,
) -> Outcome<()> {
    let transport = QuicTransportConfig::builder()
        .congestion_controller_factory(congestion_factory(congestion, cap))
        .build();
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .transport_config(transport)
        .bind()
        .await?;
    let mut flows = tokio::task::JoinSet::new();
    while let Some(()) = wanted.recv().await {
        let connection = endpoint.connect(address.clone(), ALPN).await?;
        flows.spawn(async move {
            let mut stream = connection.open_uni().await?;
            let block = vec![0; BLOCK];
            loop {
                stream.write_all(&block).await?;
            }
            #[expect(unreachable_code, reason = "gives the endless block its error type")]
            Outcome::Ok(())
        });
    }
    flows.abort_all();
    endpoint.close().await;
    Ok(())
}
