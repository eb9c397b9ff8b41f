//! The program `publish`: searches a recording on this machine, or pays a network to search it.
//!
//! Exit codes: 0 done, 1 the network or the job failed, 2 a file or argument is wrong, 3 no usable graphics driver.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a terminal program speaks on its streams")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use coordinator::depositing::{self, DepositError};
use coordinator::files;
use coordinator::publishing::{self, LocalRunError, PublishError, Publisher};
use coordinator::treasury::{NetRpc, Terms, TermsError};
use jobs::local::LocalSearchError;
use jobs::recording::{ReadRecordingError, Recording};
use jobs::search::{Hit, Options, Package, PackageError, package};
use jobs::synthetic::Synthetic;
use network::{MemoryJournal, Net};
use protocol::units::BaseUnits;
use sandbox::{LocateError, Spawn, SpawnError};
use settlement::Chain;

/// Publishes work to a network of Hearth, or runs it here.
#[derive(Debug, Parser)]
#[command(name = "publish", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Search a SIGPROC filterbank recording (.fil) for narrow signals of changing frequency.
    Search(Box<SearchArguments>),
    /// Pay tokens in for work to come, from the publisher's account on the chain. Prints one line of JSON.
    Deposit(DepositArguments),
    /// Make a recording with known drifting tones in noise, for a trial. Prints the tones as one line of JSON.
    Recording(RecordingArguments),
    /// Write a new publisher key (mode 0600) and print its public part.
    Key {
        /// The file to write; never overwritten.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct DepositArguments {
    /// Tokens, for example 12.5.
    amount: String,
    /// The network's signed profile.
    #[arg(long)]
    profile: PathBuf,
    /// File with the chain key of the publisher's account.
    #[arg(long)]
    chain_key: PathBuf,
}

#[derive(Debug, Args)]
struct RecordingArguments {
    /// The file to write; never overwritten.
    file: PathBuf,
    /// Everything follows from it.
    #[arg(long, default_value_t = Synthetic::default().seed)]
    seed: u64,
    /// Number of channels.
    #[arg(long, default_value_t = Synthetic::default().channels)]
    channels: u32,
}

#[derive(Debug, Args)]
struct SearchArguments {
    /// The recording.
    file: PathBuf,
    /// Search on this machine, through the worker; nothing is sent anywhere.
    #[arg(long, conflicts_with_all = ["to", "budget", "key", "wait"], required_unless_present = "to")]
    local: bool,
    /// Base address of a coordinator that is to have it searched.
    #[arg(long, requires = "profile", requires = "key", requires = "budget")]
    to: Option<String>,
    /// The network's signed profile.
    #[arg(long)]
    profile: Option<PathBuf>,
    /// File with the publisher's key.
    #[arg(long)]
    key: Option<PathBuf>,
    /// The most that the whole job may cost, in tokens (for example 12.5).
    #[arg(long)]
    budget: Option<String>,
    /// Wait until the job is done and print the hits.
    #[arg(long)]
    wait: bool,
    /// Print JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Largest drift in Hz/s, either sign.
    #[arg(long, default_value_t = 4.0)]
    max_drift: f64,
    /// Signal to noise that a hit must exceed.
    #[arg(long, default_value_t = 10.0)]
    snr: f64,
    /// Channels per slice, a multiple of 64.
    #[arg(long)]
    tile: Option<u32>,
    /// Title that contributors see.
    #[arg(long)]
    title: Option<String>,
    /// One sentence that contributors see: what it is for, and for whom.
    #[arg(long)]
    purpose: Option<String>,
    /// The worker program; by default the one beside this program.
    #[arg(long)]
    worker: Option<PathBuf>,
    /// Part of the name of the graphics adapter to use.
    #[arg(long, default_value = "")]
    adapter: String,
}

/// Why the program ends early, in words for a terminal.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot read {path}")]
    Recording {
        path: PathBuf,
        #[source]
        source: ReadRecordingError,
    },
    #[error("cannot make a job of {path}")]
    Package {
        path: PathBuf,
        #[source]
        source: PackageError,
    },
    #[error(transparent)]
    File(#[from] files::FileError),
    #[error("{0} is not an amount of tokens")]
    Budget(String),
    #[error("make the recording {path}")]
    Save {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the profile names no chain endpoint")]
    NoEndpoint,
    #[error("read the profile's contracts")]
    Terms(#[from] TermsError),
    #[error(transparent)]
    Deposit(#[from] DepositError),
    #[error("--{0} is missing")]
    Missing(&'static str),
    #[error("the profile names no coordinator at {0}")]
    NoCoordinator(String),
    #[error("find the worker")]
    Worker(#[from] LocateError),
    // The worker's own words name the package to install.
    #[error("no usable graphics driver: {detail}")]
    NoDriver { detail: String },
    #[error("the search failed")]
    Local(#[source] Box<publishing::SearchHereError>),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("start the program's machinery")]
    Machinery(#[source] std::io::Error),
    #[error("no randomness from the operating system")]
    Random,
    #[error("write the answer")]
    Write(#[from] serde_json::Error),
}

impl Trouble {
    fn code(&self) -> u8 {
        match self {
            Self::NoDriver { .. } => 3,
            Self::Local(_)
            | Self::Publish(_)
            | Self::Deposit(_)
            | Self::Machinery(_)
            | Self::Random
            | Self::Write(_) => 1,
            Self::Recording { .. }
            | Self::Package { .. }
            | Self::File(_)
            | Self::Budget(_)
            | Self::Missing(_)
            | Self::Save { .. }
            | Self::NoEndpoint
            | Self::Terms(_)
            | Self::NoCoordinator(_)
            | Self::Worker(_) => 2,
        }
    }
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Arguments::parse().command {
        Command::Search(arguments) if arguments.local => search_here(&arguments),
        Command::Search(arguments) => search_there(&arguments),
        Command::Deposit(arguments) => pay_in(&arguments),
        Command::Recording(arguments) => record(&arguments),
        Command::Key { file } => key(&file),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("publish: {}", sentence(&trouble));
            ExitCode::from(trouble.code())
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

fn packaged(arguments: &SearchArguments) -> Result<Package, Trouble> {
    let path = arguments.file.clone();
    let recording = Recording::open(&arguments.file)
        .map_err(|source| Trouble::Recording { path: path.clone(), source })?;
    let mut options = Options {
        max_drift_hz_s: arguments.max_drift,
        snr: arguments.snr,
        tile: arguments.tile,
        ..Options::default()
    };
    if let Some(title) = &arguments.title {
        options.title.clone_from(title);
    }
    if let Some(purpose) = &arguments.purpose {
        options.purpose.clone_from(purpose);
    }
    // The order of slices is secret, so that the place of an own slice tells nothing; a search here has no secrets.
    if !arguments.local {
        getrandom::fill(&mut options.order_seed).map_err(|_| Trouble::Random)?;
    }
    package(&recording, &options).map_err(|source| Trouble::Package { path, source })
}

fn search_here(arguments: &SearchArguments) -> Result<(), Trouble> {
    let package = packaged(arguments)?;
    let worker = match &arguments.worker {
        Some(path) => path.clone(),
        None => sandbox::find_worker()?,
    };
    let mut spawn = Spawn::new(worker);
    spawn.adapter.clone_from(&arguments.adapter);
    spawn.allow_software = true;
    let ready = |ready: &sandbox::Ready| {
        let kind = if ready.adapter.software { " (the processor stands in for a graphics card)" } else { "" };
        eprintln!("computing on {}{kind}", ready.adapter.name);
    };
    let started = std::time::Instant::now();
    let hits = publishing::search_here(&package, &spawn, ready, |progress| {
        eprintln!("{} of {} slices, {} hits", progress.done, progress.total, progress.hits.len());
    })
    .map_err(|error| match error {
        LocalSearchError::Run { source: LocalRunError::Spawn(SpawnError::NoAdapter(fault)), .. } => {
            Trouble::NoDriver { detail: fault.detail }
        }
        other => Trouble::Local(Box::new(other)),
    })?;
    eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
    print_hits(&hits, &serde_json::json!({}), arguments.json)
}

fn search_there(arguments: &SearchArguments) -> Result<(), Trouble> {
    let now = coordinator::system_clock()();
    let profile = arguments.profile.as_ref().ok_or(Trouble::Missing("profile"))?;
    let (network, profile) = files::read_profile(profile, now)?;
    let profile = profile.into_message();
    let key = Arc::new(files::read_key(arguments.key.as_ref().ok_or(Trouble::Missing("key"))?)?);
    let url = arguments.to.clone().ok_or(Trouble::Missing("to"))?;
    let budget = arguments.budget.as_ref().ok_or(Trouble::Missing("budget"))?;
    let budget = settlement::Amount::parse_tokens(budget)
        .ok()
        .and_then(|amount| amount.as_u128())
        .map(BaseUnits)
        .ok_or_else(|| Trouble::Budget(budget.clone()))?;
    let same =
        |known: &protocol::profile::Coordinator| known.url.trim_end_matches('/') == url.trim_end_matches('/');
    let coordinator = match (profile.coordinators.iter().find(|c| same(c)), profile.coordinators.as_slice()) {
        (Some(known), _) => known.id,
        // A network with one coordinator may be reached under another address, for example through a tunnel.
        (None, [only]) => only.id,
        (None, _) => return Err(Trouble::NoCoordinator(url)),
    };
    let mut package = packaged(arguments)?;
    publishing::price(&mut package, budget, &profile)?;

    let net = Net::with_system_clock(Arc::new(MemoryJournal::keeping(1024)));
    let publisher = Publisher::new(net, &url, network, coordinator, key);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Machinery)?;
    runtime.block_on(async {
        let signed =
            publisher.submit(&package, |done, all| eprintln!("uploaded {done} of {all} files")).await?;
        let job = signed.job;
        eprintln!(
            "job {job}: {} units at {} base units a slice",
            package.units.len(),
            package.price_per_slice
        );
        if !arguments.wait {
            if arguments.json {
                println!("{}", serde_json::json!({ "job": job.to_string(), "state": "submitted" }));
            } else {
                println!("{job}");
            }
            return Ok(());
        }
        let progress = publisher
            .wait(&job, |p| {
                eprintln!("{}: {} of {} slices accepted, {} audits", p.state, p.accepted, p.slices, p.audits)
            })
            .await?;
        let hits = publisher.hits(&signed).await?;
        print_hits(&hits, &serde_json::to_value(&progress)?, arguments.json)
    })
}

fn pay_in(arguments: &DepositArguments) -> Result<(), Trouble> {
    let (_, profile) = files::read_profile(&arguments.profile, coordinator::system_clock()())?;
    let profile = profile.into_message();
    let amount = settlement::Amount::parse_tokens(&arguments.amount)
        .map_err(|_| Trouble::Budget(arguments.amount.clone()))?;
    let signer = files::read_chain_key(&arguments.chain_key)?;
    let endpoint = profile.chain.rpc.first().ok_or(Trouble::NoEndpoint)?.clone();
    let terms = Terms::new(&profile, signer.address())?;
    let net = Net::with_system_clock(Arc::new(MemoryJournal::keeping(1024)));
    let chain = Chain::new(Arc::new(NetRpc::new(net, endpoint)), terms.contracts().clone());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Machinery)?;
    let held = runtime.block_on(depositing::deposit(&chain, &signer, amount))?;
    let account = signer.address().to_string();
    let deposited = held.to_tokens_rounded_down(18);
    println!("{}", serde_json::json!({ "account": account, "deposited": deposited }));
    Ok(())
}

fn record(arguments: &RecordingArguments) -> Result<(), Trouble> {
    let path = arguments.file.clone();
    if path.exists() {
        return Err(files::FileError::Exists(path).into());
    }
    let synthetic = Synthetic { seed: arguments.seed, channels: arguments.channels, ..Synthetic::default() };
    let (recording, tones) = synthetic.generate();
    recording.save(&path).map_err(|source| Trouble::Save { path, source })?;
    let tones: Vec<serde_json::Value> = tones
        .iter()
        .map(|tone| {
            serde_json::json!({
                "frequency_mhz": tone.frequency_mhz,
                "drift_hz_s": tone.drift_hz_s,
                "snr": tone.snr,
            })
        })
        .collect();
    println!("{}", serde_json::json!({ "seed": arguments.seed, "tones": tones }));
    Ok(())
}

fn print_hits(hits: &[Hit], job: &serde_json::Value, json: bool) -> Result<(), Trouble> {
    if json {
        println!("{}", serde_json::json!({ "job": job, "hits": hits }));
        return Ok(());
    }
    println!("{:>16}  {:>10}  {:>9}", "MHz", "Hz/s", "S/N");
    for hit in hits {
        println!("{:>16.6}  {:>10.4}  {:>9.1}", hit.frequency_mhz, hit.drift_hz_s, hit.snr);
    }
    if hits.is_empty() {
        println!("no hits");
    }
    Ok(())
}

fn key(file: &Path) -> Result<(), Trouble> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| Trouble::Random)?;
    files::write_secret(file, &seed)?;
    println!("{}", protocol::sign::Key::from_seed(&seed).publisher());
    Ok(())
}
