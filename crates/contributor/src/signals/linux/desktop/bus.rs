//! Talking on a bus: who owns a name, calls with a bound, signals without a jam.
//!
//! Everything is sent to the unique name of a program that is there, so that no call ever starts a service.
//! Signals are drained by tasks of their own into one short queue, because zbus stops reading the whole
//! connection while anyone's queue is full; what does not fit is dropped, since a sensor reads the state anew
//! when it wakes. The sensors beside this file call it; it knows none of them.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use zbus::export::futures_core::Stream as _;
use zbus::message::Type as MessageType;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::zvariant::{DynamicType, OwnedValue, Type};
use zbus::{Connection, MatchRule, Message, MessageStream};

use crate::signals::Unknown;

/// How long an answer may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The longest wait between two attempts; the first is a second.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// After so many attempts a program that does not know the question is believed. The first may come before it
/// has put up its objects.
const QUESTIONS_TO_THE_IGNORANT: u32 = 5;
/// Signals that wait for a sensor.
const QUEUE: usize = 64;

/// Where the bus itself answers.
const BUS: Place = Place { path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Why a service does not tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("connect to the bus")]
    Connect(#[source] Box<zbus::Error>),
    #[error("{operation}: no answer in time")]
    TimedOut { operation: &'static str },
    #[error("{operation}: not known there")]
    Missing { operation: &'static str, source: Box<zbus::Error> },
    #[error("{operation}")]
    Refused { operation: &'static str, source: Box<zbus::Error> },
    #[error("{operation}: an answer of another kind")]
    Unexpected { operation: &'static str, source: Box<zbus::Error> },
}

impl Trouble {
    fn refused(operation: &'static str, source: zbus::Error) -> Self {
        const MISSING: [&str; 7] = [
            "UnknownMethod",
            "UnknownObject",
            "UnknownInterface",
            "UnknownProperty",
            "NotSupported",
            "ServiceUnknown",
            "NameHasNoOwner",
        ];
        let missing = match &source {
            zbus::Error::MethodError(name, ..) => {
                name.strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|kind| MISSING.contains(&kind))
            }
            _ => false,
        };
        let source = Box::new(source);
        if missing { Self::Missing { operation, source } } else { Self::Refused { operation, source } }
    }

    /// What a sensor says of its value.
    pub(super) fn why(&self) -> Unknown {
        match self {
            Self::TimedOut { .. } => Unknown::TimedOut,
            Self::Missing { .. } => Unknown::NoSource,
            Self::Connect(_) | Self::Refused { .. } | Self::Unexpected { .. } => Unknown::Failed,
        }
    }

    /// The program answered, with an error of its own.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Missing { source, .. } | Self::Refused { source, .. } => {
                matches!(**source, zbus::Error::MethodError(..))
            }
            Self::Connect(_) | Self::TimedOut { .. } | Self::Unexpected { .. } => false,
        }
    }
}

async fn within<T>(
    operation: &'static str,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, Trouble> {
    match timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Trouble::refused(operation, error)),
        Err(_) => Err(Trouble::TimedOut { operation }),
    }
}

/// Connects to the bus at `address`.
pub(super) async fn connect(address: &str) -> Result<Connection, Trouble> {
    let build = async { zbus::connection::Builder::address(address)?.build().await };
    match timeout(ANSWER_WITHIN, build).await {
        Ok(connection) => connection.map_err(|error| Trouble::Connect(Box::new(error))),
        Err(_) => Err(Trouble::TimedOut { operation: "connect to the bus" }),
    }
}

/// Waits between attempts: 1, 2, 4 .. 60 s.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    last_at: Instant,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: Duration::from_secs(1), last_at: Instant::now() }
    }

    /// How long to wait now. What has worked for longer than the longest wait begins anew.
    pub(super) fn after_failure(&mut self) -> Duration {
        if self.last_at.elapsed() > 2 * LONGEST_BACKOFF {
            self.next = Duration::from_secs(1);
        }
        self.last_at = Instant::now();
        let wait = self.next;
        self.next = LONGEST_BACKOFF.min(wait * 2);
        wait
    }
}

/// An object and one of its interfaces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
}

/// A program on a bus, by the name that it alone has for as long as it is there.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    connection: Connection,
    name: BusName<'static>,
}

impl Peer {
    pub(super) fn new(connection: &Connection, name: OwnedUniqueName) -> Self {
        Self { connection: connection.clone(), name: BusName::Unique(name.into()) }
    }

    /// The bus itself.
    pub(super) fn bus(connection: &Connection) -> Result<Self, Trouble> {
        let name = BusName::try_from("org.freedesktop.DBus").map_err(|error| Trouble::Unexpected {
            operation: "name the bus",
            source: Box::new(error.into()),
        })?;
        Ok(Self { connection: connection.clone(), name })
    }

    pub(super) async fn call<B, R>(&self, at: Place<'_>, method: &'static str, body: &B) -> Result<R, Trouble>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let call = self.connection.call_method(Some(&self.name), at.path, Some(at.interface), method, body);
        let reply = within(method, call).await?;
        let body = reply.body();
        body.deserialize().map_err(|error| Trouble::Unexpected { operation: method, source: Box::new(error) })
    }

    pub(super) async fn property<T>(&self, at: Place<'_>, name: &'static str) -> Result<T, Trouble>
    where
        T: TryFrom<OwnedValue>,
        T::Error: Into<zbus::Error>,
    {
        let properties = Place { path: at.path, interface: PROPERTIES };
        let value: OwnedValue =
            self.call(properties, "Get", &(at.interface, name)).await.map_err(|trouble| match trouble {
                Trouble::TimedOut { .. } => Trouble::TimedOut { operation: name },
                Trouble::Missing { source, .. } => Trouble::Missing { operation: name, source },
                Trouble::Refused { source, .. } => Trouble::Refused { operation: name, source },
                other => other,
            })?;
        T::try_from(value)
            .map_err(|error| Trouble::Unexpected { operation: name, source: Box::new(error.into()) })
    }

    /// Who owns `name` now.
    pub(super) async fn owner(&self, name: &str) -> Result<Option<OwnedUniqueName>, Trouble> {
        match self.call(BUS, "GetNameOwner", &name).await {
            Ok(owner) => Ok(Some(owner)),
            Err(Trouble::Missing { .. }) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// All names on the bus.
    pub(super) async fn names(&self) -> Result<Vec<String>, Trouble> {
        self.call(BUS, "ListNames", &()).await
    }
}

/// The signals of one program that a sensor has asked for.
#[derive(Debug)]
pub(super) struct News {
    peer: Peer,
    queue: mpsc::Receiver<Message>,
    put: mpsc::Sender<Message>,
    /// They end with this value.
    pumps: JoinSet<()>,
}

impl News {
    pub(super) fn of(peer: &Peer) -> Self {
        let (put, queue) = mpsc::channel(QUEUE);
        Self { peer: peer.clone(), queue, put, pumps: JoinSet::new() }
    }

    /// From now on hears the signal `member` of `at`.
    pub(super) async fn hear(&mut self, at: Place<'_>, member: &str) -> Result<(), Trouble> {
        self.add(self.rule(at, member)).await
    }

    /// From now on hears when properties of `at` change.
    pub(super) async fn changes(&mut self, at: Place<'_>) -> Result<(), Trouble> {
        let properties = Place { path: at.path, interface: PROPERTIES };
        let rule = self.rule(properties, "PropertiesChanged").and_then(|rule| rule.arg(0, at.interface));
        self.add(rule).await
    }

    /// From now on hears of owners of `name`. Only the bus tells it.
    async fn owners(&mut self, name: &str) -> Result<(), Trouble> {
        let rule = self.rule(BUS, "NameOwnerChanged").and_then(|rule| rule.arg(0, name.to_owned()));
        self.add(rule).await
    }

    /// From now on hears of owners of names that begin with `namespace`. Only the bus tells it.
    pub(super) async fn owners_below(&mut self, namespace: &'static str) -> Result<(), Trouble> {
        let rule = self.rule(BUS, "NameOwnerChanged").and_then(|rule| rule.arg0ns(namespace));
        self.add(rule).await
    }

    /// The sender is a unique name (so is that of the bus): any program may send us a signal, and zbus
    /// compares only unique names.
    fn rule<'a>(&self, at: Place<'a>, member: &'a str) -> zbus::Result<zbus::match_rule::Builder<'a>> {
        MatchRule::builder()
            .msg_type(MessageType::Signal)
            .sender(self.peer.name.clone())?
            .path(at.path)?
            .interface(at.interface)?
            .member(member)
    }

    async fn add(&mut self, rule: zbus::Result<zbus::match_rule::Builder<'_>>) -> Result<(), Trouble> {
        const OPERATION: &str = "hear a signal";
        let rule = rule.map_err(|error| Trouble::refused(OPERATION, error))?.build();
        let stream = MessageStream::for_match_rule(rule, &self.peer.connection, Some(QUEUE));
        let mut stream = within(OPERATION, stream).await?;
        let put = self.put.clone();
        self.pumps.spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
                // A full queue wakes the sensor just as well.
                drop(put.try_send(message));
            }
        });
        Ok(())
    }

    /// The next signal. Of a bus that has gone there is none: whoever owns the connection ends the sensor
    /// then.
    pub(super) async fn next(&mut self) -> Message {
        match self.queue.recv().await {
            Some(message) => message,
            None => pending().await,
        }
    }

    /// Waits for a signal and forgets all that are there.
    pub(super) async fn wake(&mut self) {
        self.next().await;
        while self.queue.try_recv().is_ok() {}
    }
}

/// A change of a name's owner: the name, the old and the new owner, empty for none.
pub(super) fn owner_change(message: &Message) -> Option<(String, String, String)> {
    message.body().deserialize().ok()
}

/// Runs `present` while somebody owns `name` and `absent` while nobody does. When `present` fails, `failed`
/// is told why and it is run again after 1, 2, 4 .. 60 s; that is the only timer here, and a service that
/// works has none.
pub(super) async fn follow(
    connection: &Connection,
    name: &str,
    failed: impl Fn(Unknown),
    present: impl AsyncFn(&Peer) -> Result<Infallible, Trouble>,
    absent: impl AsyncFn(),
) {
    let mut backoff = Backoff::new();
    loop {
        let Err(trouble) = follow_owners(connection, name, &failed, &present, &absent).await;
        warn(name, &trouble);
        failed(trouble.why());
        sleep(backoff.after_failure()).await;
    }
}

async fn follow_owners(
    connection: &Connection,
    name: &str,
    failed: &impl Fn(Unknown),
    present: &impl AsyncFn(&Peer) -> Result<Infallible, Trouble>,
    absent: &impl AsyncFn(),
) -> Result<Infallible, Trouble> {
    let bus = Peer::bus(connection)?;
    let mut news = News::of(&bus);
    news.owners(name).await?;
    let mut owner = bus.owner(name).await?;
    loop {
        let changed = async {
            loop {
                if let Some((_, _, new)) = owner_change(&news.next().await) {
                    break OwnedUniqueName::try_from(new).ok();
                }
            }
        };
        let run = async {
            match owner.take() {
                Some(owner) => insist(name, &Peer::new(connection, owner), failed, present).await,
                None => {
                    absent().await;
                    pending().await
                }
            }
        };
        owner = tokio::select! {
            new = changed => new,
            never = run => match never {},
        };
    }
}

async fn insist(
    name: &str,
    peer: &Peer,
    failed: &impl Fn(Unknown),
    present: &impl AsyncFn(&Peer) -> Result<Infallible, Trouble>,
) -> Infallible {
    let mut backoff = Backoff::new();
    let mut ignorant = 0;
    loop {
        let begun = Instant::now();
        let Err(trouble) = present(peer).await;
        failed(trouble.why());
        if begun.elapsed() > LONGEST_BACKOFF {
            ignorant = 0;
        }
        if matches!(trouble, Trouble::Missing { .. }) {
            // Many a service lacks what another of the same name has.
            tracing::debug!(error = &trouble as &dyn std::error::Error, name, "a service does not tell this");
            ignorant += 1;
            if ignorant >= QUESTIONS_TO_THE_IGNORANT {
                return pending().await;
            }
        } else {
            warn(name, &trouble);
        }
        sleep(backoff.after_failure()).await;
    }
}

pub(super) fn warn(name: &str, trouble: &Trouble) {
    tracing::warn!(error = trouble as &dyn std::error::Error, name, "a service of the desktop does not tell");
}
