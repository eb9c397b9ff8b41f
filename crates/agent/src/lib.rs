//! The agent `hearth`: the one program of Hearth that is always there.
//!
//! Floor 3 of the house and the composition root of a contributor's machine: the only place where engine and wallet
//! meet. It owns the local socket, the tray, the windows' processes, the start with the session and the terminal's
//! commands. It links no web view and no graphics library, opens no socket but the local one (the network room opens the
//! others), and never confirms anything in its owner's place. `hearth` is its program; the tests drive the same modules.

pub mod autostart;
pub mod client;
mod daemon;
pub mod framing;
pub mod grants;
pub mod harden;
pub mod headless;
pub mod home;
pub mod joined;
pub mod log;
mod money;
pub mod notification;
mod rpc;
pub mod server;
pub mod socket;
pub mod terminal;
pub mod throttle;
pub mod tray;
pub mod window;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use protocol::local::{Command, ErrorCode, LocalError, Role};
use words::Catalogue;

use crate::client::{Client, ClientError};
use crate::home::Home;
use crate::socket::Claim;
use crate::terminal::{Arguments, StartArguments, complain};

/// How long a second start waits for a first one that is still starting.
const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The program: reads the command line, and is the agent or speaks to it.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let words = Catalogue::new(&terminal::language());
    if let Err(error) = harden::deny_inspection() {
        return fail("cannot turn core dumps off", &error);
    }
    let home = match Home::from_environment() {
        Ok(home) => home,
        Err(error) => return fail("cannot start", &error),
    };
    // A terminal command needs one thread. The agent has two more beside its loop: a write to the journal blocks its
    // thread for the time of a disk, and the loop that hands the card back must not wait behind it.
    let mut builder = match arguments.command {
        Some(_) => tokio::runtime::Builder::new_current_thread(),
        None => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.worker_threads(2).thread_name("hearth").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail("cannot start", &error),
    };
    let code = match arguments.command {
        Some(command) => runtime.block_on(terminal::run(command, &home, &words, joined::now())),
        None => runtime.block_on(start(home, arguments.start, &words)),
    };
    // A key derivation that nobody waits for any more must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn start(home: Home, arguments: StartArguments, words: &Catalogue) -> ExitCode {
    if let Err(error) = home.prepare() {
        return fail("cannot start", &error);
    }
    if let Err(error) = log::start(&home.log(), arguments.headless) {
        return fail("cannot write the log", &error);
    }
    let listener = match socket::claim(&home) {
        Ok(Claim::Ours(listener)) => listener,
        Ok(Claim::Taken) => return second_start(&home, &arguments, words).await,
        Err(error) => return fail("cannot start", &error),
    };
    match Box::pin(daemon::run(home, listener, arguments)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail("cannot go on", &error),
    }
}

/// Another agent runs: its window opens, unless this start wanted none.
async fn second_start(home: &Home, arguments: &StartArguments, words: &Catalogue) -> ExitCode {
    if arguments.headless {
        complain("Hearth is already running here. End it with: hearth quit");
        return ExitCode::FAILURE;
    }
    if arguments.hidden {
        return ExitCode::SUCCESS;
    }
    let asked = tokio::time::timeout(FIRST_ANSWERS_WITHIN, async {
        loop {
            match Client::connect(home, Role::Terminal).await {
                // The first one holds the lock and is about to listen.
                Err(ClientError::NoAgent(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(error),
                Ok(mut client) => return client.order(Command::OpenWindow).await,
            }
        }
    });
    let code = match asked.await {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(ClientError::Failed(LocalError { code, .. }) | ClientError::Refused { code })) => code,
        Ok(Err(error)) => return fail("cannot reach the running agent", &error),
        Err(_) => ErrorCode::Busy,
    };
    complain(&words.error(code));
    ExitCode::FAILURE
}

/// Says what failed and why, on standard error.
fn fail(what: &str, error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("hearth: {what}: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    complain(&text);
    ExitCode::FAILURE
}
