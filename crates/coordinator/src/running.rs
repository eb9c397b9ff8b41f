//! A running coordinator: what it is made of, how it starts and how it ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::id::{NetworkId, PublisherId};
use protocol::profile::Profile;
use protocol::sign::Key;
use protocol::units::UnixMillis;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::api::{self, Api, ask};
use crate::blobs::{BlobError, Blobs};
use crate::coordinator::{
    Clock, Coordinator, EpochOutcome, LedgerReport, Office, Randomness, Refused, Request,
};
use crate::store::{Store, StoreError};
use crate::treasury::{Errand, Terms, Treasurer, Treasury};
use crate::verifier::{self, Verifier};

/// What a coordinator is made of.
pub struct Setup {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// The coordinator's key.
    pub key: Arc<Key>,
    /// The network.
    pub network: NetworkId,
    /// Its verified profile.
    pub profile: Profile,
    /// The chain account (checksummed address) that each publisher deposits from.
    pub publishers: BTreeMap<PublisherId, String>,
    /// Folder of the database and the blobs; made if it is not there.
    pub data: PathBuf,
    /// The chain; without one, credit is kept but no epoch is closed.
    pub chain: Option<ChainSetup>,
    /// Re-runs slices.
    pub verifier: Box<dyn Verifier>,
    /// The time.
    pub clock: Clock,
    /// Names, secrets and shuffles.
    pub randomness: Randomness,
    /// How often to do what is due by the clock; `None` only when [`Running::tick`] is called.
    pub tick_every: Option<Duration>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("listen", &self.listen)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// How the chain is reached.
pub struct ChainSetup {
    /// Contracts and relayer.
    pub terms: Terms,
    /// Reads and writes.
    pub treasury: Arc<dyn Treasury>,
    /// Pause between two looks.
    pub every: Duration,
}

impl std::fmt::Debug for ChainSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainSetup").field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// Why a coordinator cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Somebody else listens there.
    #[error("the address {0} is in use by another program")]
    InUse(SocketAddr),
    /// The address cannot be used.
    #[error("listen at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The folder cannot be made or locked.
    #[error("use the folder {path}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another coordinator works in the same folder.
    #[error("another coordinator uses the folder {0}")]
    FolderInUse(PathBuf),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The system gives no thread.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
}

/// A coordinator at work. Dropping it ends it without waiting; [`Running::shutdown`] waits.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    requests: mpsc::Sender<Request>,
    errands: Option<mpsc::Sender<Errand>>,
    stop_serving: Option<oneshot::Sender<()>>,
    server: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    state: Option<JoinHandle<()>>,
}

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}

/// The operating system's randomness.
pub fn system_randomness() -> Randomness {
    Arc::new(|| {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("an operating system that Hearth supports gives randomness");
        bytes
    })
}

/// Starts a coordinator. Runs inside a tokio runtime with I/O and time.
///
/// # Errors
/// [`ServeError`]; nothing is left running.
pub async fn serve(setup: Setup) -> Result<Running, ServeError> {
    let Setup {
        listen,
        key,
        network,
        profile,
        publishers,
        data,
        chain,
        verifier,
        clock,
        randomness,
        tick_every,
    } = setup;
    let listener = TcpListener::bind(listen).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ServeError::InUse(listen),
        _ => ServeError::Listen { address: listen, source },
    })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address: listen, source })?;
    let folder = |source| ServeError::Folder { path: data.clone(), source };
    std::fs::create_dir_all(&data).map_err(folder)?;
    let lock = std::fs::File::create(data.join("lock")).map_err(folder)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(ServeError::FolderInUse(data)),
        Err(std::fs::TryLockError::Error(source)) => return Err(folder(source)),
    }
    let store = Store::open(&data.join("coordinator.db"))?;
    let blobs = Blobs::open(&data.join("blobs"))?;

    let (requests, inbox) = mpsc::channel(256);
    let (batches, batch_inbox) = std::sync::mpsc::channel();
    let office = Office {
        network,
        key: Arc::clone(&key),
        profile: profile.clone(),
        accounts: publishers,
        terms: chain.as_ref().map(|chain| chain.terms.clone()),
        blobs: blobs.clone(),
        clock: Arc::clone(&clock),
        randomness: Arc::clone(&randomness),
    };
    let mut coordinator = Coordinator::new(office, store, batches);
    coordinator.admit_publishers()?;
    let verified = requests.clone().downgrade();
    let verifier_blobs = blobs.clone();
    // The verifier's thread ends by itself when the loop drops its end of the channel; a slice in hand may take
    // minutes, so nobody waits for it.
    std::thread::Builder::new()
        .name("verifier".to_owned())
        .spawn(move || verifier::serve(verifier, &verifier_blobs, &network, &batch_inbox, &verified))
        .map_err(ServeError::Thread)?;
    let state = std::thread::Builder::new()
        .name("coordinator".to_owned())
        .spawn(move || {
            coordinator.run(inbox);
            // Held until the loop has ended, so that no second coordinator writes the same database.
            drop(lock);
        })
        .map_err(ServeError::Thread)?;

    let mut tasks = Vec::new();
    let errands = chain.map(|chain| {
        let (errands, inbox) = mpsc::channel(64);
        let treasurer =
            Treasurer { treasury: chain.treasury, requests: requests.clone(), every: chain.every };
        tasks.push(tokio::spawn(treasurer.run(inbox)));
        errands
    });
    if let Some(every) = tick_every {
        let ticks = requests.clone();
        tasks.push(tokio::spawn(async move {
            let mut interval = tokio::time::interval(every);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                if ticks.send(Request::Tick).await.is_err() {
                    return;
                }
            }
        }));
    }
    let api = Api::new(network, key, profile, blobs, clock, randomness, requests.clone(), errands.clone());
    let router = api::router(Arc::new(api)).into_make_service_with_connect_info::<SocketAddr>();
    let (stop_serving, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let until = async move {
            // Dropping the sender is as good as a word.
            stopped.await.unwrap_or_default();
        };
        axum::serve(listener, router).with_graceful_shutdown(until).await
    });
    tracing::info!(%address, "the coordinator listens");
    Ok(Running {
        address,
        requests,
        errands,
        stop_serving: Some(stop_serving),
        server: Some(server),
        tasks,
        state: Some(state),
    })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base address for profiles and clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does everything that is due by the clock, and returns when that is done.
    ///
    /// # Errors
    /// [`Refused`] when the coordinator has stopped.
    pub async fn tick(&self) -> Result<(), Refused> {
        ask(&self.requests, |reply| Request::TickAnswered { reply }).await
    }

    /// Closes an epoch now, whatever the interval says.
    ///
    /// # Errors
    /// [`Refused`] when the store fails or the coordinator has stopped.
    pub async fn close_epoch_now(&self) -> Result<EpochOutcome, Refused> {
        ask(&self.requests, |reply| Request::CloseEpoch { reply }).await
    }

    /// Looks at the chain now and does what is due there: deposits, proposals, activations, withdrawals.
    ///
    /// # Errors
    /// [`Refused`] when the chain is out of reach, or the coordinator has none or has stopped.
    pub async fn settle_now(&self) -> Result<(), Refused> {
        let code = protocol::wire::RefusalCode::Unavailable;
        let no_chain = || Refused::new(code, "this coordinator has no chain");
        let errands = self.errands.as_ref().ok_or_else(no_chain)?;
        let (reply, answer) = oneshot::channel();
        errands.send(Errand::Round { reply }).await.map_err(|_| no_chain())?;
        answer.await.map_err(|_| no_chain())?
    }

    /// The ledger's totals and their recount.
    ///
    /// # Errors
    /// [`Refused`] when the store fails or the coordinator has stopped.
    pub async fn ledger(&self) -> Result<LedgerReport, Refused> {
        ask(&self.requests, |reply| Request::Ledger { reply }).await
    }

    /// Stops taking requests, finishes those in hand, and returns when the database is closed.
    pub async fn shutdown(mut self) {
        self.stop().await;
    }

    async fn stop(&mut self) {
        if let Some(stop) = self.stop_serving.take() {
            // The server may have ended by itself.
            if stop.send(()).is_err() {
                tracing::debug!("the server has ended already");
            }
        }
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(Duration::from_secs(5), &mut server).await.is_err()
        {
            // A connection that is kept open must not hold up the end.
            server.abort();
        }
        for task in self.tasks.drain(..) {
            task.abort();
        }
        if self.requests.send(Request::Stop).await.is_err() {
            tracing::debug!("the loop has ended already");
        }
        if let Some(state) = self.state.take()
            && let Ok(Err(_)) = tokio::task::spawn_blocking(move || state.join()).await
        {
            tracing::error!("the coordinator's loop panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        if let Some(server) = self.server.take() {
            server.abort();
        }
        // Full channel or ended loop: the loop ends when the last sender is gone.
        if self.state.is_some() && self.requests.try_send(Request::Stop).is_err() {
            tracing::debug!("the loop ends with its last sender");
        }
    }
}
