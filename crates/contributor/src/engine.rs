//! The engine: one loop that owns all state, and the handle the agent holds.
//!
//! [`Engine::start`] opens the store, restores what a restart left, and starts the loop. Everything that can happen is
//! one closed enum (`state::Input`); the loop takes one at a time, asks the pure rooms, and carries out what they
//! answer. It never waits for a disk, a driver or the network: threads and tasks of their own do and report back.
//! [`Handle::shutdown`] ends all of them. Called by the agent, and by the tests of the whole system.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use network::{Clock, Net};
use protocol::id::{DeviceId, NetworkId};
use protocol::local::{ErrorCode, Notice, Picture, Status};
use protocol::profile::Profile;
use protocol::sign::{Key, Signed};
use protocol::units::UnixMillis;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::benchmark::{self, Bench};
use crate::conformance::{Check, WorkerCheck};
use crate::journal::SqliteJournal;
use crate::link::{Address, Link, NetLink, Randomness, system_randomness};
use crate::preferences;
use crate::privacy;
use crate::runner::{Compute, Runner};
use crate::share::{Share, ShareTerms};
use crate::shelf::Shelf;
use crate::signals::{Source, system_source};
use crate::store::{Store, StoreError};

mod calendar;
mod client;
mod desk;
mod drawing;
mod keeper;
mod state;
#[cfg(test)]
mod tests;
mod watching;

pub use client::{BindTerms, Client, Credit, Document, RelayTerms, Reply, Request, RequestError, overlay};
use keeper::Keeper;
use state::{Effect, Input, JournalAsk, Opening, State};

/// Requests that may wait for the loop.
const QUEUE: usize = 64;
/// How long the parts may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The worker's executable and bounds.
pub use sandbox::Spawn as WorkerSpec;

/// What an engine is made of.
pub struct Setup {
    /// Folder for its files; exists, private to the owner.
    pub data_dir: PathBuf,
    /// The network, as [`protocol::profile::accept`] gave it.
    pub network: NetworkId,
    /// The network's profile, accepted.
    pub profile: Signed<Profile>,
    /// The device's key, see [`crate::identity`].
    pub key: Key,
    /// Sensors of the machine.
    pub signals: Box<dyn Source>,
    /// The journal that `net` writes to.
    pub journal: Arc<SqliteJournal>,
    /// The door to the internet.
    pub net: Net,
    /// The worker's executable and bounds; software renderers are always let in there and judged here by the profile.
    pub worker: WorkerSpec,
    /// Tells the time.
    pub clock: Clock,
    /// Draws nonces.
    pub randomness: Randomness,
    /// The owner's time zone.
    pub time_zone: TimeZone,
}

impl Setup {
    /// A setup with this machine's sensors, clock, time zone and random numbers, and a [`Net`] over `journal`.
    pub fn new(
        data_dir: PathBuf,
        network: NetworkId,
        profile: Signed<Profile>,
        key: Key,
        journal: Arc<SqliteJournal>,
        worker_path: PathBuf,
    ) -> Self {
        let clock = network::system_clock();
        let signals = system_source(&data_dir, Arc::clone(&clock));
        let dyn_journal: Arc<dyn network::Journal> = Arc::<SqliteJournal>::clone(&journal);
        Self {
            data_dir,
            network,
            profile,
            key,
            signals,
            net: Net::new(dyn_journal, Arc::clone(&clock)),
            journal,
            worker: WorkerSpec::new(worker_path),
            clock,
            randomness: system_randomness(),
            time_zone: TimeZone::system(),
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setup({}, device {})", self.data_dir.display(), self.key.device().short())
    }
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The profile names no coordinator.
    #[error("the network's profile names no coordinator")]
    NoCoordinator,
    /// The preferences can neither be read nor be moved aside.
    #[error("the preferences cannot be used")]
    Preferences(#[from] preferences::LoadError),
    /// The store cannot be opened.
    #[error("the engine's store cannot be used")]
    Store(#[from] StoreError),
    /// The folder of blobs cannot be used.
    #[error("the folder {path} cannot be used")]
    Shelf {
        /// Which folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("start the engine's store thread")]
    Thread(#[source] std::io::Error),
}

/// Starts engines.
#[derive(Debug)]
pub struct Engine;

/// A running engine. Dropping it without [`Handle::shutdown`] also ends the loop, without waiting.
#[derive(Debug)]
pub struct Handle {
    client: Client,
    net: Net,
    device: DeviceId,
    stop: Option<mpsc::Sender<()>>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Asks the engine; cheap to clone.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Hands a request to the loop, see [`Client::send`] and [`Client::ask`].
    ///
    /// # Errors
    /// [`RequestError::Stopped`] or [`RequestError::Busy`].
    pub fn send(&self, request: Request) -> Result<(), RequestError> {
        self.client.send(request)
    }

    /// The present status, see [`Client::status`].
    pub fn status(&self) -> watch::Receiver<Status> {
        self.client.status()
    }

    /// The latest picture of the work.
    pub fn picture(&self) -> watch::Receiver<Option<Picture>> {
        self.client.picture()
    }

    /// The same door to the internet, for the wallet.
    pub fn net(&self) -> Net {
        self.net.clone()
    }

    /// This device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Ends the loop, every task and thread, and the worker, and waits for them.
    pub async fn shutdown(mut self) {
        self.stop = None;
        if let Err(error) = self.task.await {
            tracing::error!(error = &error as &dyn std::error::Error, "the engine's loop ended abnormally");
        }
    }
}

/// What the loop drives; tests bring their own.
struct Parts {
    link: Box<dyn Link>,
    /// Absent in tests that have no network.
    share: Option<Share>,
    compute: Box<dyn Compute>,
    bench: Box<dyn Bench>,
    check: Box<dyn Check>,
    signals: Box<dyn Source>,
    keeper: Keeper,
    journal: Arc<SqliteJournal>,
    clock: Clock,
    inputs: mpsc::UnboundedReceiver<Input>,
    tell: mpsc::UnboundedSender<Input>,
}

impl Engine {
    /// Starts an engine. Must be called inside a tokio runtime of more than one thread.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running.
    pub fn start(setup: Setup) -> Result<Handle, StartError> {
        let Setup {
            data_dir,
            network,
            profile,
            key,
            signals,
            journal,
            net,
            mut worker,
            clock,
            randomness,
            time_zone,
        } = setup;
        let now = clock();
        let coordinator = profile.message().coordinators.first().cloned().ok_or(StartError::NoCoordinator)?;
        let device = key.device();
        let mut notices = Vec::new();
        let mut notice = |code, path: Option<&std::path::Path>| {
            if let Some(path) = path {
                notices.push(Notice { code, at: now, detail: path.display().to_string() });
            }
        };
        notice(ErrorCode::JournalUnreadable, journal.kept_aside());
        let loaded = preferences::load(&data_dir, now)?;
        notice(ErrorCode::PreferencesUnreadable, loaded.kept_aside.as_ref().map(|(path, _)| path.as_path()));
        let opened = Store::open(&data_dir, &network, now)?;
        notice(ErrorCode::Internal, opened.kept_aside.as_deref());
        let restored = opened.store.restore(now)?;
        let (blobs, folder) = (data_dir.join("blobs"), data_dir.join("delivered"));
        let shelf = Shelf::open(&blobs).map_err(|source| StartError::Shelf { path: blobs, source })?;

        let (tell, inputs) = mpsc::unbounded_channel();
        let outlet = |tell: &mpsc::UnboundedSender<Input>| {
            let tell = tell.clone();
            // Once the loop has ended nobody needs the news.
            move |input: Input| drop(tell.send(input))
        };
        let publishers = profile.message().publishers.clone();
        let keeper = Keeper::start(
            opened.store,
            data_dir,
            shelf.clone(),
            network,
            publishers.into_iter().map(|(name, id)| (id, name)).collect(),
            Box::new(outlet(&tell)),
        )
        .map_err(StartError::Thread)?;
        let address = Address {
            network,
            coordinator: coordinator.id,
            base_url: coordinator.url.clone(),
            key: Arc::new(key),
        };
        let terms = profile.message();
        let terms = ShareTerms {
            address: address.clone(),
            relays: terms.relays.clone(),
            local: terms.local,
            brokered: !terms.parameters.delivery_price.is_zero(),
        };
        let share_tell = outlet(&tell);
        let share = Share::start(
            net.clone(),
            terms,
            &folder,
            shelf.clone(),
            Arc::clone(&clock),
            Arc::clone(&randomness),
            Arc::new(move |event| share_tell(Input::Share(event))),
        )
        .map_err(|source| StartError::Shelf { path: folder, source })?;
        let link_tell = outlet(&tell);
        let link = NetLink::new(
            net.clone(),
            address,
            shelf.clone(),
            Arc::clone(&clock),
            randomness,
            share.fetcher(),
            Arc::new(move |event| link_tell(Input::Link(event))),
        );
        // Whether the processor may stand in for a card is judged by the profile, so that the owner learns the reason.
        worker.allow_software = true;
        let compute_tell = outlet(&tell);
        let compute =
            Runner::start(worker.clone(), shelf, Arc::new(move |event| compute_tell(Input::Compute(event))));
        let check_tell = outlet(&tell);
        let check =
            WorkerCheck::new(worker.clone(), Arc::new(move |outcome| check_tell(Input::Checked(outcome))));
        let bench_tell = outlet(&tell);
        let bench = benchmark::Measuring::new(
            worker,
            net.clone(),
            coordinator.url,
            Arc::new(move |progress| bench_tell(Input::Bench(progress))),
        );
        let opening = Opening {
            network,
            profile: profile.into_message(),
            coordinator: coordinator.id,
            device,
            preferences: loaded.preferences,
            restored,
            notices,
            time_zone,
        };
        let parts = Parts {
            link: Box::new(link),
            share: Some(share),
            compute: Box::new(compute),
            bench: Box::new(bench),
            check: Box::new(check),
            signals,
            keeper,
            journal,
            clock,
            inputs,
            tell,
        };
        let (state, effects) = State::new(opening, now);
        let (client, stop, task) = run(state, effects, parts);
        Ok(Handle { client, net, device, stop: Some(stop), task })
    }
}

/// Starts the loop.
fn run(state: State, effects: Vec<Effect>, parts: Parts) -> (Client, mpsc::Sender<()>, JoinHandle<()>) {
    let (requests, asked) = mpsc::channel(QUEUE);
    let (status, status_seen) = watch::channel(state.status());
    let (picture, picture_seen) = watch::channel(None);
    let (stop, stopped) = mpsc::channel(1);
    let client = Client { requests, status: status_seen, picture: picture_seen };
    let task = tokio::spawn(turn(state, effects, parts, asked, stopped, (status, picture)));
    (client, stop, task)
}

/// The loop.
async fn turn(
    mut state: State,
    effects: Vec<Effect>,
    mut parts: Parts,
    mut asked: mpsc::Receiver<Request>,
    mut stopped: mpsc::Receiver<()>,
    shown: (watch::Sender<Status>, watch::Sender<Option<Picture>>),
) {
    let signals_tell = parts.tell.clone();
    parts.signals.start(Arc::new(move |change| drop(signals_tell.send(Input::Signal(change)))));
    parts.carry_out(effects, &shown);
    loop {
        let now = (parts.clock)();
        let wait = state.next_at(now).since(now);
        let input = tokio::select! {
            biased;
            _ = stopped.recv() => break,
            Some(input) = parts.inputs.recv() => input,
            Some(request) = asked.recv() => Input::Request(request),
            () = tokio::time::sleep(wait) => Input::Tick,
        };
        let effects = state.on(input, (parts.clock)());
        parts.carry_out(effects, &shown);
    }
    let last = state.end((parts.clock)());
    parts.carry_out(last, &shown);
    parts.stop().await;
}

impl Parts {
    fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        shown: &(watch::Sender<Status>, watch::Sender<Option<Picture>>),
    ) {
        for effect in effects {
            match effect {
                Effect::Link(ask) => self.link.give(ask),
                Effect::Share(rule) => {
                    if let Some(share) = &self.share {
                        share.set(rule);
                    }
                }
                Effect::Compute(ask) => self.compute.give(ask),
                Effect::Store(ask) => self.keeper.give(ask),
                Effect::Look(wanted) => self.signals.look(&wanted),
                Effect::Poll(wanted) => self.signals.poll(&wanted),
                Effect::Measure => self.bench.start(),
                Effect::CancelMeasure => self.bench.cancel(),
                Effect::Check(pace) => self.check.start(pace),
                Effect::CancelCheck => self.check.cancel(),
                Effect::Sums { from_at } => {
                    let tell = self.tell.clone();
                    self.journal.read_sums(from_at, move |sums| drop(tell.send(Input::Sums(sums))));
                }
                Effect::Journal(ask) => self.ask_journal(ask),
                Effect::Show(status) => drop(shown.0.send_replace(*status)),
                Effect::ShowPicture(picture) => drop(shown.1.send_replace(picture.map(|picture| *picture))),
            }
        }
    }

    fn ask_journal(&self, ask: JournalAsk) {
        match ask {
            JournalAsk::Rows { span, with } => self.journal.read_rows(span, with),
            JournalAsk::Message { row, reply } => self.journal.read_message(row, move |found| {
                let shown =
                    found.map(|found| found.map(|(row, message)| privacy::message_view(&row, &message)));
                desk::answer(reply, shown.map_err(Into::into));
            }),
            JournalAsk::Delete { at, reply } => {
                self.journal.delete_history(at, move |done| desk::answer(reply, done.map_err(Into::into)));
            }
            JournalAsk::NameJob { program, name } => self.journal.name_job(program, name),
        }
    }

    async fn stop(mut self) {
        self.signals.stop();
        self.bench.cancel();
        self.check.cancel();
        let ended = async {
            self.compute.stop().await;
            self.bench.stop().await;
            self.check.stop().await;
            self.link.stop().await;
            if let Some(share) = self.share.take() {
                share.stop().await;
            }
        };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::error!("a part of the engine did not end in time");
        }
        let keeper = self.keeper;
        if let Err(error) = tokio::task::spawn_blocking(move || keeper.stop()).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the store's thread did not end well");
        }
    }
}

/// `now`, or later: the instant `span` from it.
fn after(now: UnixMillis, span: Duration) -> UnixMillis {
    now.plus(span)
}
