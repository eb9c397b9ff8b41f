//! The agent's side of the local conversation: hello, roles, requests by number, pushes of status and picture.
//!
//! It bounds everything a client may use: eight connections, a rate of requests, requests in flight, frame size, the
//! time of a half frame and of a write. It never answers a request itself: each goes to the daemon's loop as an
//! [`Ask`] with its role already checked, and the loop answers when it can, so one slow request holds up no other.
//! A connection that said hello as the vault carries the grant it redeemed and may do nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::local::{
    AgentFrame, Answer, ClientFrame, Command, ErrorCode, LocalError, Picture, Role, Status, build,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::framing::{FrameError, FrameReader, write_frame};
use crate::grants::{Grant, GrantId};
use crate::socket::Listener;
use crate::throttle::RequestRate;

/// Most clients at a time.
pub const MAX_CLIENTS: usize = 8;
/// Most requests of one client that wait for their answers.
pub const MAX_IN_FLIGHT: usize = 16;
/// A client says hello within this.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Shortest time between two pushes of one kind.
const PUSH_EVERY: Duration = Duration::from_millis(250);
/// How long a connection may take to end at shutdown before it is cut.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(1);
/// Most malformed frames of one connection.
const MAX_MALFORMED: usize = 8;

/// What the server tells the daemon's loop.
#[derive(Debug)]
pub enum ServerEvent {
    /// A client said hello as the vault.
    Redeem {
        /// Its token.
        token: zeroize::Zeroizing<String>,
        /// The grant, if the token is good.
        reply: oneshot::Sender<Option<Grant>>,
    },
    /// A request whose role fits.
    Ask(Ask),
    /// The connection of a grant ended.
    VaultGone {
        /// Which.
        grant: GrantId,
    },
}

/// A request to be answered.
#[derive(Debug)]
pub struct Ask {
    /// Who asks.
    pub from: Asker,
    /// What.
    pub command: Command,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The window's page, or the tray.
    Window,
    /// A terminal command.
    Terminal,
    /// The vault, by its grant.
    Vault(GrantId),
}

/// Carries one answer to its client. Dropped without an answer it says [`ErrorCode::Internal`], so that a client never
/// waits for ever.
#[derive(Debug)]
pub struct Reply {
    id: u32,
    to: Option<mpsc::UnboundedSender<Answered>>,
}

/// A request's number with what came of it.
pub type Answered = (u32, Result<Answer, LocalError>);

impl Reply {
    /// A reply that arrives at `to` under the number `id`.
    pub fn new(id: u32, to: mpsc::UnboundedSender<Answered>) -> Self {
        Self { id, to: Some(to) }
    }

    /// Answers. A client that has left in the meantime does not hear it.
    pub fn send(mut self, answer: Result<Answer, LocalError>) {
        self.deliver(answer);
    }

    fn deliver(&mut self, answer: Result<Answer, LocalError>) {
        if let Some(to) = self.to.take()
            && to.send((self.id, answer)).is_err()
        {
            tracing::debug!(request = self.id, "the client left before its answer");
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.deliver(Err(failure(ErrorCode::Internal, "the request was given up")));
    }
}

/// What clients can watch.
#[derive(Debug, Clone)]
pub struct Watches {
    /// The present status.
    pub status: watch::Receiver<Arc<Status>>,
    /// The present picture, once there is one.
    pub picture: watch::Receiver<Option<Arc<Picture>>>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `listener` until [`Server::shutdown`].
    pub fn start(listener: Listener, watches: Watches, events: mpsc::Sender<ServerEvent>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, watches, events, stopped));
        Self { stop, task }
    }

    /// Closes the socket and ends every connection, within about a second.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the local server ended badly");
        }
    }
}

/// A failure with its code.
pub fn failure(code: ErrorCode, detail: impl Into<String>) -> LocalError {
    LocalError { code, detail: detail.into() }
}

async fn accept(
    listener: Listener,
    watches: Watches,
    events: mpsc::Sender<ServerEvent>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let count = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "a connection ended badly");
                }
                continue;
            }
            () = until_stopped(&mut stopped) => break,
        };
        match stream {
            Ok(stream) => {
                let seat = Seat::take(&count);
                let (watches, events, stopped) = (watches.clone(), events.clone(), stopped.clone());
                connections.spawn(async move {
                    let outcome = serve(stream, seat, watches, events, stopped).await;
                    if let Err(error) = outcome
                        && !matches!(error, FrameError::Closed)
                    {
                        tracing::debug!(%error, "a client was dropped");
                    }
                });
            }
            Err(error) => {
                // Running out of descriptors repeats at once: wait a little rather than spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    drop(listener);
    let ended = timeout(SHUTDOWN_WITHIN, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        connections.shutdown().await;
    }
}

/// Returns when the server stops, or when nobody is left who could stop it.
async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("the server was dropped without a shutdown");
    }
}

/// One of the places for clients; free again when dropped. `None` inside means that all are taken.
struct Seat(Option<Arc<AtomicUsize>>);

impl Seat {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        let taken = count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < MAX_CLIENTS).then_some(n + 1))
            .is_ok();
        Self(taken.then(|| Arc::clone(count)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// One connection from hello to its end.
pub(crate) async fn converse<S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    watches: Watches,
    events: mpsc::Sender<ServerEvent>,
    stopped: watch::Receiver<bool>,
) -> Result<(), FrameError> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = FrameReader::new(reader);
    let hello = timeout(HELLO_WITHIN, reader.next::<ClientFrame>()).await.map_err(|_| FrameError::TooSlow)?;
    let admitted = match hello {
        Ok(ClientFrame::Hello { build: other, role }) => admit(&other, role, &events).await,
        Ok(ClientFrame::Request { .. }) | Err(FrameError::Malformed(_)) => Err(ErrorCode::Malformed),
        Err(FrameError::TooLarge { .. }) => Err(ErrorCode::Malformed),
        Err(error) => return Err(error),
    };
    let (asker, _gone) = match admitted {
        Ok(admitted) => admitted,
        Err(code) => return write_frame(&mut writer, &AgentFrame::Refused { code }).await,
    };
    write_frame(&mut writer, &AgentFrame::Welcome { build: build().to_owned() }).await?;
    let (answers, answered) = mpsc::unbounded_channel();
    Connection {
        asker,
        reader,
        writer,
        watches,
        events,
        answers,
        answered,
        in_flight: 0,
        malformed: 0,
        rate: RequestRate::new(std::time::Instant::now()),
        status: Push::default(),
        picture: Push::default(),
    }
    .run(stopped)
    .await
}

async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    seat: Seat,
    watches: Watches,
    events: mpsc::Sender<ServerEvent>,
    stopped: watch::Receiver<bool>,
) -> Result<(), FrameError> {
    if seat.0.is_some() {
        return converse(stream, watches, events, stopped).await;
    }
    let (_reader, mut writer) = tokio::io::split(stream);
    write_frame(&mut writer, &AgentFrame::Refused { code: ErrorCode::Busy }).await
}

/// Tells the loop that a vault connection ended, however it ended.
struct Gone {
    grant: GrantId,
    events: mpsc::Sender<ServerEvent>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        let (grant, events) = (self.grant, self.events.clone());
        // Dropping cannot wait, and the channel may be full for a moment.
        if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(ServerEvent::VaultGone { grant })
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if events.send(event).await.is_err() {
                    tracing::debug!("the loop ended before a vault connection did");
                }
            });
        }
    }
}

async fn admit(
    other: &str,
    role: Role,
    events: &mpsc::Sender<ServerEvent>,
) -> Result<(Asker, Option<Gone>), ErrorCode> {
    if other != build() {
        return Err(ErrorCode::OtherBuild);
    }
    match role {
        Role::Window => Ok((Asker::Window, None)),
        Role::Terminal => Ok((Asker::Terminal, None)),
        Role::Vault { token } => {
            let (reply, granted) = oneshot::channel();
            let token = zeroize::Zeroizing::new(token);
            let asked = events.send(ServerEvent::Redeem { token, reply }).await;
            if asked.is_err() {
                return Err(ErrorCode::Internal);
            }
            match granted.await {
                Ok(Some(grant)) => {
                    let gone = Gone { grant: grant.id, events: events.clone() };
                    Ok((Asker::Vault(grant.id), Some(gone)))
                }
                Ok(None) | Err(_) => Err(ErrorCode::BadToken),
            }
        }
    }
}

/// Whether `asker` may ask `command` at all.
fn allowed(asker: Asker, command: &Command) -> bool {
    let for_vault = matches!(command, Command::VaultView | Command::VaultDecide { .. });
    matches!(asker, Asker::Vault(_)) == for_vault
}

#[derive(Debug, Default)]
struct Push {
    wanted: bool,
    next_at: Option<Instant>,
}

impl Push {
    /// Waits until `watched` has something new and the last push is long enough ago. Safe to cancel.
    async fn due<T>(&self, watched: &mut watch::Receiver<T>) {
        if !self.wanted {
            return std::future::pending().await;
        }
        if watched.changed().await.is_err() {
            return std::future::pending().await;
        }
        // Marked again, so that a cancelled wait does not lose the news.
        watched.mark_changed();
        if let Some(at) = self.next_at {
            sleep_until(at).await;
        }
    }

    fn sent(&mut self) {
        self.next_at = Some(Instant::now() + PUSH_EVERY);
    }
}

struct Connection<S> {
    asker: Asker,
    reader: FrameReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
    watches: Watches,
    events: mpsc::Sender<ServerEvent>,
    answers: mpsc::UnboundedSender<Answered>,
    answered: mpsc::UnboundedReceiver<Answered>,
    in_flight: usize,
    malformed: usize,
    rate: RequestRate,
    status: Push,
    picture: Push,
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Connection<S> {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Result<(), FrameError> {
        loop {
            tokio::select! {
                frame = self.reader.next::<ClientFrame>() => match frame {
                    Ok(frame) => self.take(frame).await?,
                    Err(FrameError::Malformed(error)) => {
                        tracing::debug!(%error, "a frame cannot be read");
                        self.malformed += 1;
                        self.fail(0, ErrorCode::Malformed, "not a frame of this build").await?;
                        if self.malformed >= MAX_MALFORMED {
                            return Ok(());
                        }
                    }
                    Err(FrameError::TooLarge { bytes }) => {
                        self.fail(0, ErrorCode::Malformed, "frame over the limit").await?;
                        return Err(FrameError::TooLarge { bytes });
                    }
                    Err(error) => return Err(error),
                },
                Some((id, answer)) = self.answered.recv() => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    self.answer(id, answer).await?;
                }
                () = self.status.due(&mut self.watches.status) => {
                    let status = Box::new(Status::clone(&self.watches.status.borrow_and_update()));
                    self.status.sent();
                    write_frame(&mut self.writer, &AgentFrame::Status { status }).await?;
                }
                () = self.picture.due(&mut self.watches.picture) => {
                    let picture = self.watches.picture.borrow_and_update().clone();
                    self.picture.sent();
                    if let Some(picture) = picture {
                        let picture = Box::new(Picture::clone(&picture));
                        write_frame(&mut self.writer, &AgentFrame::Picture { picture }).await?;
                    }
                }
                () = until_stopped(&mut stopped) => return self.flush().await,
            }
        }
    }

    /// Sends the answers that are already there, so that the client which asked the agent to quit hears it.
    async fn flush(&mut self) -> Result<(), FrameError> {
        while let Ok((id, answer)) = self.answered.try_recv() {
            self.answer(id, answer).await?;
        }
        Ok(())
    }

    async fn take(&mut self, frame: ClientFrame) -> Result<(), FrameError> {
        let ClientFrame::Request { id, command } = frame else {
            return self.fail(0, ErrorCode::Malformed, "hello was said already").await;
        };
        if !self.rate.take(std::time::Instant::now()) || self.in_flight >= MAX_IN_FLIGHT {
            return self.fail(id, ErrorCode::Busy, "too many requests").await;
        }
        if !allowed(self.asker, &command) {
            return self.fail(id, ErrorCode::NotAllowed, "another role may ask this").await;
        }
        match *command {
            Command::WatchStatus => {
                self.status.wanted = true;
                self.watches.status.mark_changed();
                self.answer(id, Ok(Answer::Done)).await
            }
            Command::WatchPicture => {
                self.picture.wanted = true;
                self.watches.picture.mark_changed();
                self.answer(id, Ok(Answer::Done)).await
            }
            Command::Status => {
                let status = Box::new(Status::clone(&self.watches.status.borrow()));
                self.answer(id, Ok(Answer::Status { status })).await
            }
            command => {
                self.in_flight += 1;
                let ask = Ask { from: self.asker, command, reply: Reply::new(id, self.answers.clone()) };
                if self.events.send(ServerEvent::Ask(ask)).await.is_err() {
                    return Err(FrameError::Io(io::ErrorKind::BrokenPipe.into()));
                }
                Ok(())
            }
        }
    }

    async fn answer(&mut self, id: u32, answer: Result<Answer, LocalError>) -> Result<(), FrameError> {
        let frame = match answer {
            Ok(answer) => AgentFrame::Answer { id, answer: Box::new(answer) },
            Err(error) => AgentFrame::Failed { id, error },
        };
        match write_frame(&mut self.writer, &frame).await {
            Err(FrameError::TooLarge { bytes }) => {
                tracing::warn!(bytes, "an answer does not fit a frame");
                self.fail(id, ErrorCode::Internal, "the answer does not fit a frame").await
            }
            outcome => outcome,
        }
    }

    async fn fail(&mut self, id: u32, code: ErrorCode, detail: &str) -> Result<(), FrameError> {
        write_frame(&mut self.writer, &AgentFrame::Failed { id, error: failure(code, detail) }).await
    }
}
