//! The engine as the daemon sees it: started for a joined network, asked by local commands, ended and waited for.
//!
//! It owns the translation between the local conversation and the engine's requests, and nothing else.

use std::path::Path;
use std::sync::Arc;

use contributor::engine::Document;
use contributor::journal::{Span, SqliteJournal};
use contributor::{Client, Engine, Handle, Request, RequestError, Setup, StartError, identity};
use network::Net;
use protocol::id::DeviceId;
use protocol::local::{Answer, Command, ErrorCode, LocalError, Picture, Preferences, Status};
use tokio::sync::watch;

use crate::home::Home;
use crate::joined::{Joined, now};
use crate::server::failure;

/// A running engine.
#[derive(Debug)]
pub(crate) struct Work {
    handle: Handle,
    client: Client,
    /// The engine's status.
    pub(crate) status: watch::Receiver<Status>,
    /// The engine's picture.
    pub(crate) picture: watch::Receiver<Option<Picture>>,
}

impl Work {
    /// Starts the engine of `home` for the joined network.
    pub(crate) fn start(home: &Home, own_path: &Path, joined: &Joined) -> Result<Self, LocalError> {
        let key = identity::load_or_create(home.data())
            .map_err(|error| failure(ErrorCode::Internal, told(&error)))?;
        let journal = SqliteJournal::open(home.data(), now())
            .map_err(|error| failure(ErrorCode::JournalUnreadable, told(&error)))?;
        let worker = sandbox::find_worker().unwrap_or_else(|error| {
            // The engine says so when it first needs it; everything but compute works without a worker.
            tracing::warn!(%error, "there is no worker");
            own_path.with_file_name(format!("worker{}", std::env::consts::EXE_SUFFIX))
        });
        let setup = Setup::new(
            home.data().to_path_buf(),
            joined.network,
            joined.profile.clone(),
            key,
            Arc::new(journal),
            worker,
        );
        let handle = Engine::start(setup).map_err(|error| {
            let code = match &error {
                StartError::Preferences(_) => ErrorCode::PreferencesUnreadable,
                StartError::Store(store) if store.is_disk_full() => ErrorCode::DiskFull,
                _ => ErrorCode::Internal,
            };
            failure(code, told(&error))
        })?;
        let client = handle.client();
        Ok(Self { status: handle.status(), picture: handle.picture(), client, handle })
    }

    /// Asks the engine; the answer is a future of its own, so that the loop goes on meanwhile.
    pub(crate) fn ask(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Answer, LocalError>> + Send + 'static {
        let client = self.client.clone();
        async move { answer(&client, command).await }
    }

    /// The owner's preferences.
    pub(crate) async fn preferences(&self) -> Result<Preferences, LocalError> {
        self.client.ask(|reply| Request::Preferences { reply }).await.map_err(|error| error.local())
    }

    /// For the wallet: questions about credit and epochs, and what it wants handed to the coordinator.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The door to the internet, with the journal behind it.
    pub(crate) fn net(&self) -> Net {
        self.handle.net()
    }

    /// This device.
    pub(crate) fn device(&self) -> DeviceId {
        self.handle.device()
    }

    /// Ends the engine and its worker, and waits for them.
    pub(crate) async fn shutdown(self) {
        self.handle.shutdown().await;
    }
}

async fn answer(client: &Client, command: Command) -> Result<Answer, LocalError> {
    let done = |()| Answer::Done;
    let text = |document: Document| Answer::Text { file_name: document.file_name, text: document.text };
    let answer: Result<Answer, RequestError> = match command {
        Command::Snooze { span } => client.ask(|reply| Request::Snooze { span, reply }).await.map(done),
        Command::Resume => client.ask(|reply| Request::Resume { reply }).await.map(done),
        Command::ShareNow => client.ask(|reply| Request::ShareNow { reply }).await.map(done),
        Command::Checks => {
            client.ask(|reply| Request::Checks { reply }).await.map(|checks| Answer::Checks { checks })
        }
        Command::Preferences => client
            .ask(|reply| Request::Preferences { reply })
            .await
            .map(|preferences| Answer::Preferences { preferences }),
        Command::SetPreferences { preferences } => {
            let preferences = Box::new(preferences);
            client.ask(|reply| Request::SetPreferences { preferences, reply }).await.map(done)
        }
        Command::Measure => client.ask(|reply| Request::Measure { reply }).await.map(done),
        Command::CancelMeasure => client.ask(|reply| Request::CancelMeasure { reply }).await.map(done),
        Command::FinishWelcome { autostart } => {
            client.ask(|reply| Request::FinishWelcome { autostart, reply }).await.map(done)
        }
        Command::Earnings { from_at } => client
            .ask(|reply| Request::Earnings { from_at, reply })
            .await
            .map(|earnings| Answer::Earnings { earnings }),
        Command::Statement => client.ask(|reply| Request::Statement { reply }).await.map(text),
        Command::Privacy { from_at, until_at } => client
            .ask(|reply| Request::Privacy { span: Span { from_at, until_at }, reply })
            .await
            .map(|privacy| Answer::Privacy { privacy }),
        Command::SentMessage { row } => client
            .ask(|reply| Request::SentMessage { row, reply })
            .await
            .map(|message| Answer::SentMessage { message }),
        Command::DeleteHistory => client.ask(|reply| Request::DeleteHistory { reply }).await.map(done),
        Command::Journal { format } => {
            client.ask(|reply| Request::ExportJournal { format, reply }).await.map(text)
        }
        other => {
            tracing::warn!(command = ?std::mem::discriminant(&other), "a command came to the engine by mistake");
            return Err(failure(ErrorCode::Internal, "not a question to the engine"));
        }
    };
    answer.map_err(|error| error.local())
}

/// An error with its causes, in one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
