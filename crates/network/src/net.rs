//! The facade: one HTTP exchange per call, one connection per exchange, one journal row per connection.
//!
//! It owns the order of a call (row, look-up, connection, exchange, row closed) and its limits. It never interprets a
//! body and never repeats a call; whoever calls it decides what a status means.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use protocol::id::Hash;
use protocol::units::UnixMillis;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};

use crate::journal::{Counts, Egress, Journal, JournalError, Outcome};
use crate::meter::{BrokenOff, Meter, Progress};
use crate::peers::{Peers, PeersError, PeersSetup};
use crate::purpose::Purpose;
use crate::tls::Tls;

/// Tells the time for journal rows.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}

/// How long a connection may take, if the call allows that long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A row is brought up to date at least this often while a call lasts.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long the end of a connection may take after the answer has arrived.
const CLOSE_WITHIN: Duration = Duration::from_millis(250);
/// Room in the ceilings for the head of an answer and for the handshake of an encrypted stream.
const CEILING_SLACK_BYTES: u64 = 64 * 1024;

/// One HTTP request.
#[derive(Clone)]
pub struct Request {
    /// Why it is made.
    pub purpose: Purpose,
    /// What it is about, for the journal: a content address or a path.
    pub object: String,
    /// Content address of the job's program, where the call serves a job; for the journal.
    pub job: Option<Hash>,
    /// HTTP method.
    pub method: Method,
    /// `http://` or `https://` address, without user name and fragment.
    pub url: String,
    /// Further headers; `host`, `content-length` and `connection` are set here.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Bytes,
    /// The longest accepted body of an answer.
    pub max_answer_bytes: u64,
    /// How long the whole call may take.
    pub within: Duration,
    /// Told about the counts as they grow.
    pub progress: Option<Progress>,
}

impl Request {
    /// A `GET` with limits of 1 MiB and 30 s.
    pub fn get(purpose: Purpose, object: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            purpose,
            object: object.into(),
            job: None,
            method: Method::GET,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            max_answer_bytes: 1024 * 1024,
            within: Duration::from_secs(30),
            progress: None,
        }
    }

    /// A `POST` with limits of 1 MiB and 30 s.
    pub fn post(
        purpose: Purpose,
        object: impl Into<String>,
        url: impl Into<String>,
        body: impl Into<Bytes>,
    ) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(purpose, object, url) }
    }

    /// A `PUT` with limits of 1 MiB and 30 s.
    pub fn put(
        purpose: Purpose,
        object: impl Into<String>,
        url: impl Into<String>,
        body: impl Into<Bytes>,
    ) -> Self {
        Self { method: Method::PUT, body: body.into(), ..Self::get(purpose, object, url) }
    }

    /// Serving the job with this program, if any.
    #[must_use]
    pub fn job(mut self, program: Option<Hash>) -> Self {
        self.job = program;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With another limit for the body of the answer.
    #[must_use]
    pub fn max_answer_bytes(mut self, bytes: u64) -> Self {
        self.max_answer_bytes = bytes;
        self
    }

    /// With another limit for the duration.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// With somebody who is told about the counts.
    #[must_use]
    pub fn on_progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {} {}, {} bytes)", self.purpose, self.method, self.url, self.body.len())
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer.
    pub headers: HeaderMap,
    /// Body of the answer; empty after a [`Net::download`].
    pub body: Bytes,
    /// Bytes sent on the wire.
    pub sent_bytes: u64,
    /// Bytes received on the wire.
    pub received_bytes: u64,
    /// How long the TCP connection took: one round trip.
    pub connected_in: Duration,
    /// From the start of the exchange, connected, to its end.
    pub exchanged_in: Duration,
}

impl Answer {
    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value, if it is there and plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a download wrote.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The answer; its body holds what came with a status other than 200 to 299, otherwise it is empty.
    pub answer: Answer,
    /// Bytes of the body that were written.
    pub written_bytes: u64,
}

/// Why a call failed. Whatever was sent until then stands in the journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The address, a header, or the method cannot be sent.
    #[error("{what} of the request is malformed")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// The journal refused the row or an update of it.
    #[error("nothing may be sent without its journal row")]
    Journal(#[from] JournalError),
    /// The name could not be looked up.
    #[error("{destination} cannot be found")]
    Resolve {
        /// Host and port.
        destination: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// No connection.
    #[error("{destination} cannot be reached")]
    Connect {
        /// Host and port.
        destination: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The encrypted stream could not be opened, for example because the certificate is wrong.
    #[error("{destination} cannot be spoken to securely")]
    Tls {
        /// Host and port.
        destination: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The exchange broke off.
    #[error("the exchange with {destination} broke off")]
    Exchange {
        /// Host and port.
        destination: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is longer than the caller accepts.
    #[error("the answer is longer than {limit_bytes} bytes")]
    TooLong {
        /// What the caller accepts.
        limit_bytes: u64,
    },
    /// It took too long.
    #[error("no complete answer within {within:?}")]
    TimedOut {
        /// What the caller allows.
        within: Duration,
    },
    /// A download could not be written.
    #[error("the download cannot be written")]
    Write(#[source] io::Error),
}

impl NetError {
    /// How the journal calls it.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } => Outcome::Unreachable,
            Self::TimedOut { .. } => Outcome::TimedOut,
            _ => Outcome::Failed,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything: the line or the other side was at
    /// fault, not the request.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. } | Self::Connect { .. } | Self::Exchange { .. } | Self::TimedOut { .. }
        )
    }
}

/// The door to the internet. Cheap to clone; every clone writes to the same journal.
#[derive(Clone)]
pub struct Net {
    journal: Arc<dyn Journal>,
    clock: Clock,
    tls: Tls,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

impl Net {
    /// A door that writes to `journal`.
    pub fn new(journal: Arc<dyn Journal>, clock: Clock) -> Self {
        Self { journal, clock, tls: Tls::new() }
    }

    /// A door that writes to `journal` with the machine's time.
    pub fn with_system_clock(journal: Arc<dyn Journal>) -> Self {
        Self::new(journal, system_clock())
    }

    /// Makes one exchange and returns its answer, whatever its status. Dropping the future breaks the exchange off and
    /// closes its row as cancelled.
    ///
    /// # Errors
    /// [`NetError`]; the row is closed with what was sent.
    pub async fn request(&self, request: Request) -> Result<Answer, NetError> {
        let saved = Box::pin(self.call(request, None::<&mut tokio::io::Sink>)).await?;
        Ok(saved.answer)
    }

    /// Like [`Self::request`], but writes the body of a successful answer to `writer` as it arrives and flushes it.
    /// After an error the writer may hold a part.
    ///
    /// # Errors
    /// [`NetError`]; the row is closed with what was sent.
    pub async fn download<W: AsyncWrite + Unpin + Send>(
        &self,
        request: Request,
        writer: &mut W,
    ) -> Result<Saved, NetError> {
        Box::pin(self.call(request, Some(writer))).await
    }

    /// Opens an endpoint for peers, whose connections stand in the same journal.
    ///
    /// # Errors
    /// [`PeersError`].
    pub async fn peers(&self, setup: PeersSetup) -> Result<Peers, PeersError> {
        Peers::open(Arc::clone(&self.journal), Arc::clone(&self.clock), setup).await
    }

    async fn call<W: AsyncWrite + Unpin + Send>(
        &self,
        request: Request,
        writer: Option<&mut W>,
    ) -> Result<Saved, NetError> {
        let plan = Plan::of(&request)?;
        let egress = Egress {
            purpose: request.purpose,
            object: request.object.clone(),
            job: request.job,
            destination: plan.destination.clone(),
            ceiling_sent_bytes: plan.ceiling_sent_bytes,
            ceiling_received_bytes: plan.ceiling_received_bytes,
            opened_at: (self.clock)(),
        };
        let meter = Meter::open(
            Arc::clone(&self.journal),
            Arc::clone(&self.clock),
            &egress,
            request.progress.clone(),
        )?;
        let limits = (request.max_answer_bytes, request.within);
        let exchange = self.exchange(&meter, plan, request, writer);
        let result = match tokio::time::timeout(limits.1, exchange).await {
            Ok(result) => result,
            Err(_) => Err(NetError::TimedOut { within: limits.1 }),
        };
        // The stream's own account of why it broke off is more exact than what hyper makes of it.
        let result = match (result, meter.broke_off()) {
            (Err(_), Some(BrokenOff::Journal(error))) => Err(NetError::Journal(error)),
            (Err(NetError::Exchange { .. }), Some(BrokenOff::Ceiling)) => {
                Err(NetError::TooLong { limit_bytes: limits.0 })
            }
            (result, _) => result,
        };
        let outcome = result.as_ref().map_or_else(NetError::outcome, |_| Outcome::Answered);
        let counts = meter.finish(outcome);
        result.map(|saved| saved.with(counts))
    }

    /// Everything between the opening and the closing of the row.
    async fn exchange<W: AsyncWrite + Unpin + Send>(
        &self,
        meter: &Meter,
        plan: Plan,
        request: Request,
        writer: Option<&mut W>,
    ) -> Result<Saved, NetError> {
        let (stream, connected_in) = connect(meter, &plan).await?;
        let started = Instant::now();
        let mut saved = if plan.secure {
            let stream = reporting(meter, self.tls.connect(&plan.host, stream)).await?;
            let stream =
                stream.map_err(|source| NetError::Tls { destination: plan.destination.clone(), source })?;
            converse(meter, &plan, request, stream, writer).await?
        } else {
            converse(meter, &plan, request, stream, writer).await?
        };
        saved.answer.connected_in = connected_in;
        saved.answer.exchanged_in = started.elapsed();
        Ok(saved)
    }
}

impl Saved {
    fn with(mut self, counts: Counts) -> Self {
        self.answer.sent_bytes = counts.sent_bytes;
        self.answer.received_bytes = counts.received_bytes;
        self
    }
}

/// A request taken apart and checked, before anything is sent.
struct Plan {
    secure: bool,
    /// Name or address of the server, without the brackets of an IPv6 address.
    host: String,
    /// Host and port.
    destination: String,
    head: http::request::Parts,
    ceiling_sent_bytes: u64,
    ceiling_received_bytes: u64,
}

impl Plan {
    fn of(request: &Request) -> Result<Self, NetError> {
        let malformed = |what| NetError::Malformed { what };
        let uri: Uri = request.url.parse().map_err(|_| malformed("the address"))?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(malformed("the address")),
        };
        let authority = uri.authority().ok_or_else(|| malformed("the address"))?;
        // A user name would be sent as a credential that no caller means to send.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(malformed("the address"));
        }
        let default_port = if secure { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        let destination = format!("{}:{port}", authority.host());
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();

        let target = uri.path_and_query().map_or("/", |path| path.as_str());
        let target = if target.is_empty() { "/" } else { target };
        let mut head = http::Request::builder().method(request.method.clone()).uri(target);
        let headers = head.headers_mut().ok_or_else(|| malformed("the address"))?;
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| malformed("a header"))?;
            if [HOST, CONNECTION, CONTENT_LENGTH].contains(&name) {
                return Err(malformed("a header"));
            }
            headers.append(name, HeaderValue::try_from(value.as_str()).map_err(|_| malformed("a header"))?);
        }
        let shown = HeaderValue::try_from(authority.as_str()).map_err(|_| malformed("the address"))?;
        headers.insert(HOST, shown);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let (head, ()) = head.body(()).map_err(|_| malformed("the address"))?.into_parts();

        // Request line, headers with their separators, and the content-length that hyper adds.
        let head_bytes: usize = request.method.as_str().len()
            + target.len()
            + head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
            + 64;
        let plain_bytes = request.body.len() as u64 + head_bytes as u64;
        // An encrypted record of 16 KiB carries 22 to 29 bytes more; 1/256 covers it.
        let tls_bytes = if secure { plain_bytes / 256 + CEILING_SLACK_BYTES } else { 0 };
        Ok(Self {
            secure,
            host,
            destination,
            head,
            ceiling_sent_bytes: plain_bytes + tls_bytes,
            ceiling_received_bytes: request
                .max_answer_bytes
                .saturating_add(request.max_answer_bytes / 64)
                .saturating_add(CEILING_SLACK_BYTES),
        })
    }
}

/// Looks the destination up and connects to the first of its addresses that answers.
async fn connect(meter: &Meter, plan: &Plan) -> Result<(crate::meter::Metered, Duration), NetError> {
    let unreachable = |source| NetError::Connect { destination: plan.destination.clone(), source };
    let addresses = lookup_host(plan.destination.as_str())
        .await
        .map_err(|source| NetError::Resolve { destination: plan.destination.clone(), source })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let started = Instant::now();
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let connected_in = started.elapsed();
                stream.set_nodelay(true).map_err(unreachable)?;
                return Ok((meter.around(stream, address), connected_in));
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "the connection took too long"),
        }
    }
    Err(unreachable(last))
}

/// Sends the request over a connected stream and takes the answer in.
async fn converse<S, W>(
    meter: &Meter,
    plan: &Plan,
    request: Request,
    stream: S,
    writer: Option<&mut W>,
) -> Result<Saved, NetError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    let broke_off = |source: hyper::Error| NetError::Exchange {
        destination: plan.destination.clone(),
        source: Box::new(source),
    };
    let stream = TokioIo::new(meter.copying(stream));
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broke_off)?;
    let outgoing = http::Request::from_parts(plan.head.clone(), Full::new(request.body));
    let exchange = async move {
        let incoming = sender.send_request(outgoing).await.map_err(broke_off)?;
        take_in(incoming, request.max_answer_bytes, writer, &plan.destination).await
    };
    let mut connection = std::pin::pin!(connection);
    let mut connected = true;
    let saved = {
        // hyper makes progress only while its connection is polled; it is polled here, beside the exchange, so that
        // dropping this future ends both.
        let both = async {
            let mut exchange = std::pin::pin!(exchange);
            loop {
                tokio::select! {
                    biased;
                    result = &mut exchange => break result,
                    ended = &mut connection, if connected => {
                        connected = false;
                        if let Err(error) = ended {
                            tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
                        }
                    }
                }
            }
        };
        reporting(meter, both).await??
    };
    if connected {
        // Lets an encrypted stream say goodbye; what that sends is counted. How it ends no longer matters.
        let goodbye = tokio::time::timeout(CLOSE_WITHIN, connection).await;
        tracing::trace!(in_time = goodbye.is_ok(), "connection closed");
    }
    Ok(saved)
}

/// Takes the body of an answer in, up to `limit_bytes`.
async fn take_in<W: AsyncWrite + Unpin + Send>(
    incoming: http::Response<Incoming>,
    limit_bytes: u64,
    writer: Option<&mut W>,
    destination: &str,
) -> Result<Saved, NetError> {
    let too_long = || NetError::TooLong { limit_bytes };
    let (head, mut body) = incoming.into_parts();
    let declared =
        head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(too_long());
    }
    let mut writer = writer.filter(|_| head.status.is_success());
    let mut kept = Vec::new();
    let mut taken_bytes = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| NetError::Exchange {
            destination: destination.to_owned(),
            source: Box::new(source),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        taken_bytes += data.len() as u64;
        if taken_bytes > limit_bytes {
            return Err(too_long());
        }
        match &mut writer {
            Some(writer) => writer.write_all(&data).await.map_err(NetError::Write)?,
            None => kept.extend_from_slice(&data),
        }
    }
    let written_bytes = if let Some(writer) = writer {
        writer.flush().await.map_err(NetError::Write)?;
        taken_bytes
    } else {
        0
    };
    let answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: kept.into(),
        sent_bytes: 0,
        received_bytes: 0,
        connected_in: Duration::ZERO,
        exchanged_in: Duration::ZERO,
    };
    Ok(Saved { answer, written_bytes })
}

/// Runs `work` and brings the journal row up to date every few seconds meanwhile.
async fn reporting<T>(meter: &Meter, work: impl Future<Output = T>) -> Result<T, NetError> {
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + REPORT_EVERY, REPORT_EVERY);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return Ok(result),
            _ = ticks.tick() => meter.report()?,
        }
    }
}

#[cfg(test)]
mod tests;
