//! A contributor's engine inside the test's own process, whose machine does what the test says.

use std::sync::Arc;
use std::time::Duration;

use contributor::engine::WorkerSpec;
use contributor::journal::SqliteJournal;
use contributor::signals::scripted::{Script, quiet_changes, quiet_quick, quiet_slow};
use contributor::signals::{Change, Input, Reading};
use contributor::{Engine, Handle, Request, Setup, identity};
use protocol::local::Status;
use protocol::profile::Profile;
use protocol::receipt::Receipt;
use protocol::sign::Envelope;
use protocol::units::UnixMillis;
use tokio::sync::watch;

use crate::{PATIENCE, World, binary, software_driver};

/// How long everything that an engine started may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// An engine that has joined a world's network and agreed to Welcome, on a machine that nobody has used for an hour.
#[derive(Debug)]
pub struct ScriptedHome {
    engine: Handle,
    script: Script,
    journal: Arc<SqliteJournal>,
}

impl ScriptedHome {
    /// Starts it in a folder of that name. Must be called inside a tokio runtime of more than one thread.
    pub async fn start(world: &World, name: &str) -> Self {
        let folder = world.folder().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        let bytes = std::fs::read(world.founded("profile")).expect("the profile");
        let envelope = Envelope::from_bytes::<Profile>(&bytes).expect("a profile");
        let (network, profile) =
            protocol::profile::accept(envelope, None, UnixMillis(0)).expect("a profile to join");
        let clock = network::system_clock();
        let key = identity::load_or_create(&folder).expect("a device key");
        let journal = Arc::new(SqliteJournal::open(&folder, clock()).expect("a journal"));
        let script = Script::default();
        for change in quiet_changes(long_ago()) {
            script.tell(change);
        }
        let kept = Arc::clone(&journal);
        let mut setup = Setup::new(folder, network, profile, key, journal, binary("worker"));
        setup.signals = Box::new(script.source());
        setup.worker = WorkerSpec::new(binary("worker"));
        setup.worker.env = vec![("VK_ICD_FILENAMES".into(), software_driver().into())];
        let engine = Engine::start(setup).expect("the engine starts");
        let agreed = engine.client().ask(|reply| Request::FinishWelcome { autostart: false, reply }).await;
        agreed.expect("Welcome is done");
        Self { engine, script, journal: kept }
    }

    /// The engine.
    pub fn engine(&self) -> &Handle {
        &self.engine
    }

    /// Its journal.
    pub fn journal(&self) -> &SqliteJournal {
        &self.journal
    }

    /// Every receipt that the coordinator has given it.
    ///
    /// # Panics
    /// When the engine has ended.
    pub async fn receipts(&self) -> Vec<Receipt> {
        let client = self.engine.client();
        client.ask(|reply| Request::Receipts { after_sequence: 0, reply }).await.expect("the engine goes on")
    }

    /// Says what happens on the machine.
    pub fn tell(&self, change: Change) {
        self.script.tell(change);
    }

    /// Somebody moves the mouse.
    pub fn touch(&self) {
        self.tell(Change::Input(Reading::Known(Input::Active)));
    }

    /// The machine has been left alone for an hour.
    pub fn leave(&self) {
        self.tell(Change::Input(Reading::Known(Input::IdleSince(long_ago()))));
    }

    /// Everything on the machine is quiet again, and nobody has been here for an hour.
    pub fn calm(&self) {
        for change in quiet_changes(long_ago()) {
            self.tell(change);
        }
        self.tell(Change::Quick(Box::new(quiet_quick())));
        self.tell(Change::Slow(Box::new(quiet_slow())));
    }

    /// The first status for which `wanted` holds.
    ///
    /// # Panics
    /// When it does not come within [`PATIENCE`].
    pub async fn until(&self, wanted: impl FnMut(&Status) -> bool) -> Status {
        first(&mut self.engine.status(), wanted).await
    }

    /// What `look` finds, looked for again whenever the engine shows something new.
    ///
    /// # Panics
    /// When nothing is found within [`PATIENCE`].
    pub async fn once<T>(&self, look: impl AsyncFn() -> Option<T>) -> T {
        let mut shown = self.engine.status();
        let found = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                shown.changed().await.expect("the engine goes on");
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it comes in time")
    }

    /// Ends the engine.
    ///
    /// # Panics
    /// When a part of it goes on.
    pub async fn end(self) {
        let ended = tokio::time::timeout(STOP_WITHIN, self.engine.shutdown()).await;
        ended.expect("everything is joined in time");
    }
}

/// The first value for which `wanted` holds.
///
/// # Panics
/// When it does not come within [`PATIENCE`], or nobody is left to send it.
pub async fn first<T: Clone + std::fmt::Debug>(
    seen: &mut watch::Receiver<T>,
    wanted: impl FnMut(&T) -> bool,
) -> T {
    let waited =
        tokio::time::timeout(PATIENCE, seen.wait_for(wanted)).await.map(|found| found.map(|v| v.clone()));
    match waited {
        Ok(found) => found.expect("the engine goes on"),
        Err(_) => panic!("it did not come in time; the last one was {:?}", *seen.borrow()),
    }
}

fn long_ago() -> UnixMillis {
    UnixMillis(network::system_clock()().0 - 3_600_000)
}
