//! The program `coordinator`: serves one network's coordinator, and shows how one stands.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a terminal program speaks on its streams")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use coordinator::founding::{self, FoundError, Founding};
use coordinator::treasury::{ChainTreasury, NetRpc, Terms};
use coordinator::verifier::WorkerVerifier;
use coordinator::{ChainSetup, ServeError, Setup, files};
use network::{MemoryJournal, Net};

/// Hands out work, checks results, keeps the ledger and pays out, for one network of Hearth.
#[derive(Debug, Parser)]
#[command(name = "coordinator", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until interrupted. Prints one line of JSON with the address when ready.
    Serve(Box<ServeArguments>),
    /// Show jobs, devices and the ledger of a folder.
    Status(StatusArguments),
    /// Let a class of devices try a program again that was blocked for it. `status` lists what is held, with the digests
    /// that led to it; a class that is still wrong is blocked again by its first bundle.
    Unblock {
        /// First digits of the program's hash.
        program: String,
        /// First digits of the class's hash.
        class: String,
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
    },
    /// Found a network for one machine: keys, contracts on a development chain, signed profile. Prints what it made as
    /// one line of JSON.
    Found(FoundArguments),
    /// Write a new key file (mode 0600) and print its public part.
    Key {
        /// The file to write; never overwritten.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ServeArguments {
    /// Folder of the database and the blobs; made if it is not there.
    #[arg(long)]
    data: PathBuf,
    /// Address to listen at; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:8470")]
    listen: SocketAddr,
    /// The network's signed profile.
    #[arg(long)]
    profile: PathBuf,
    /// File with the coordinator's ed25519 key (64 hexadecimal digits, mode 0600).
    #[arg(long)]
    key: PathBuf,
    /// File with the chain key of poster and relayer. Without it credit is kept, but no epoch is closed.
    #[arg(long)]
    chain_key: Option<PathBuf>,
    /// JSON file: from publisher key to the checksummed account that it deposits from.
    #[arg(long)]
    publishers: Option<PathBuf>,
    /// The worker program of the trusted verifier; by default the one beside this program.
    #[arg(long)]
    worker: Option<PathBuf>,
    /// Part of the name of the adapter that the verifier uses.
    #[arg(long, default_value = "")]
    adapter: String,
    /// Milliseconds between two looks at the chain.
    #[arg(long, default_value_t = 2000)]
    chain_every_millis: u64,
}

#[derive(Debug, Args)]
struct StatusArguments {
    /// Folder of the database.
    #[arg(long)]
    data: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct FoundArguments {
    /// Folder for the files of the network; none of them may be there.
    #[arg(long)]
    folder: PathBuf,
    /// Endpoint of a development chain.
    #[arg(long)]
    rpc: String,
    /// Address at which the coordinator will be reached.
    #[arg(long)]
    url: String,
    /// Name of the network's publisher.
    #[arg(long, default_value = "Local sky")]
    publisher: String,
    /// Seconds between the proposal of a root and its activation.
    #[arg(long, default_value_t = 1)]
    challenge_delay_seconds: u32,
}

/// Why the program ends early, in words for a terminal.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    File(#[from] files::FileError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Store(#[from] coordinator::StoreError),
    #[error(transparent)]
    Unblock(#[from] coordinator::status::UnblockError),
    #[error("the key in {key} belongs to no coordinator of the profile")]
    NotListed { key: PathBuf },
    #[error("read the profile's contracts")]
    Terms(#[from] coordinator::treasury::TermsError),
    #[error("the profile names no chain endpoint")]
    NoEndpoint,
    #[error("check the chain")]
    Chain(#[from] coordinator::treasury::TreasuryError),
    #[error("found the network")]
    Found(#[from] FoundError),
    #[error("find the worker of the verifier")]
    Worker(#[from] sandbox::LocateError),
    #[error("start the program's machinery")]
    Machinery(#[source] std::io::Error),
    #[error("write the answer")]
    Write(#[from] serde_json::Error),
    #[error("no randomness from the operating system")]
    Random,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve(*arguments),
        Command::Status(arguments) => status(&arguments),
        Command::Unblock { program, class, data } => unblock(&program, &class, &data),
        Command::Found(arguments) => found(arguments),
        Command::Key { file } => key(&file),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("coordinator: {}", sentence(&trouble));
            ExitCode::from(2)
        }
    }
}

/// An error with its sources, each after a colon.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        next = source.source();
    }
    text
}

fn serve(arguments: ServeArguments) -> Result<(), Trouble> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Trouble::Machinery)?;
    runtime.block_on(serve_until_told(arguments))
}

async fn serve_until_told(arguments: ServeArguments) -> Result<(), Trouble> {
    let clock = coordinator::system_clock();
    let key = Arc::new(files::read_key(&arguments.key)?);
    let (network, profile) = files::read_profile(&arguments.profile, clock())?;
    let profile = profile.into_message();
    if !profile.coordinators.iter().any(|known| known.id == key.coordinator()) {
        return Err(Trouble::NotListed { key: arguments.key });
    }
    let publishers = match &arguments.publishers {
        Some(path) => files::read_publishers(path)?,
        None => BTreeMap::new(),
    };
    let chain = match &arguments.chain_key {
        None => None,
        Some(path) => {
            let signer = files::read_chain_key(path)?;
            let terms = Terms::new(&profile, signer.address())?;
            let endpoint = profile.chain.rpc.first().ok_or(Trouble::NoEndpoint)?.clone();
            // The journal is the contributor's promise; an operator's machine keeps the last rows for diagnosis.
            let net = Net::with_system_clock(Arc::new(MemoryJournal::keeping(1024)));
            let treasury = ChainTreasury::new(Arc::new(NetRpc::new(net, endpoint)), &terms, signer);
            treasury.check().await?;
            let every = Duration::from_millis(arguments.chain_every_millis.max(100));
            Some(ChainSetup { terms, treasury: Arc::new(treasury), every })
        }
    };
    let worker = match arguments.worker {
        Some(path) => path,
        None => sandbox::find_worker()?,
    };
    let mut spawn = sandbox::Spawn::new(worker);
    spawn.adapter = arguments.adapter;
    spawn.allow_software = profile.local;
    let verifier = Box::new(WorkerVerifier::new(spawn));

    // Before the address is announced: whoever reads it may end this program at once.
    let mut ends = Ends::new().map_err(Trouble::Machinery)?;
    let running = coordinator::serve(Setup {
        listen: arguments.listen,
        key: Arc::clone(&key),
        network,
        profile,
        publishers,
        data: arguments.data,
        chain,
        verifier,
        clock,
        randomness: coordinator::system_randomness(),
        tick_every: Some(Duration::from_millis(500)),
    })
    .await?;
    let ready = serde_json::json!({
        "event": "ready",
        "url": running.url(),
        "address": running.address().to_string(),
        "coordinator": key.coordinator().to_string(),
        "network": network.to_string(),
    });
    println!("{ready}");
    ends.wait().await;
    tracing::info!("shutting down");
    running.shutdown().await;
    Ok(())
}

/// The ways in which an operator ends the program.
struct Ends {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Ends {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn wait(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "Ctrl-C cannot be heard");
        }
    }
}

fn status(arguments: &StatusArguments) -> Result<(), Trouble> {
    let status = coordinator::status::read(&arguments.data)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&status)?);
        return Ok(());
    }
    for (state, count) in &status.jobs {
        println!("{:<22}{count}", format!("jobs {state}"));
    }
    println!("{:<22}{}", "devices", status.devices);
    println!("{:<22}{}", "devices suspended", status.suspended);
    println!("{:<22}{}", "devices miscomputing", status.miscomputing);
    println!("{:<22}{}", "classes held", status.held_classes.len());
    for held in &status.held_classes {
        println!("  {}", held.described);
        println!("    program {}, class {}", held.program, held.class);
        println!(
            "    slice {} of unit {}: expected {}, found {}",
            held.position, held.unit, held.expected, held.found
        );
    }
    println!("{:<22}{}", "leases open", status.open_leases);
    println!("{:<22}{}", "slices to verify", status.waiting_for_verifier);
    println!("{:<22}{}", "receipts", status.receipts);
    println!("{:<22}{}", "epoch", status.epoch);
    println!("{:<22}{}", "deposits", status.deposits);
    println!("{:<22}{}", "fees", status.fees);
    println!("{:<22}{}", "reserved", status.reserved);
    println!("{:<22}{}", "provisional", status.provisional);
    println!("{:<22}{}", "payable", status.payable);
    println!("{:<22}{}", "claimed", status.claimed);
    println!("{:<22}{}", "books agree", if status.books_agree { "yes" } else { "NO" });
    Ok(())
}

fn unblock(program: &str, class: &str, data: &std::path::Path) -> Result<(), Trouble> {
    let hold = coordinator::status::unblock(data, program, class, coordinator::system_clock()())?;
    println!("program {} is tried again by {}", hold.program, hold.described);
    Ok(())
}

fn found(arguments: FoundArguments) -> Result<(), Trouble> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Machinery)?;
    let net = Net::with_system_clock(Arc::new(MemoryJournal::keeping(1024)));
    let founded = runtime.block_on(founding::found(Founding {
        folder: &arguments.folder,
        rpc: Arc::new(NetRpc::new(net, arguments.rpc.clone())),
        rpc_url: arguments.rpc,
        coordinator_url: arguments.url,
        publisher: arguments.publisher,
        parameters: founding::local_parameters(),
        challenge_delay_seconds: arguments.challenge_delay_seconds,
        now: coordinator::system_clock()(),
        randomness: coordinator::system_randomness(),
    }))?;
    println!("{}", serde_json::to_string(&founded)?);
    Ok(())
}

fn key(file: &std::path::Path) -> Result<(), Trouble> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| Trouble::Random)?;
    files::write_secret(file, &seed)?;
    println!("{}", protocol::sign::Key::from_seed(&seed).coordinator());
    Ok(())
}
