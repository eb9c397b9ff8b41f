//! The program `publish`: computes a job on this machine, pays a network to compute it, or packs and checks it.
//!
//! Exit codes: 0 done, 1 the network or the job failed, 2 a file or argument is wrong, 3 no usable graphics driver.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a terminal program speaks on its streams")]

mod check;
mod order;
mod pack;
mod product;
mod rendering;
mod search;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use coordinator::depositing::{self, DepositError};
use coordinator::files;
use coordinator::package_folder::{Finding, WriteError};
use coordinator::publishing::{LocalRunError, PublishError};
use coordinator::treasury::{NetRpc, Terms, TermsError};
use jobs::local::LocalError;
use jobs::recording::ReadRecordingError;
use jobs::search::{PackageError, WindowError};
use jobs::synthetic::Synthetic;
use network::{MemoryJournal, Net};
use sandbox::{LocateError, SpawnError};
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
    #[command(long_about = search::ABOUT, after_long_help = search::AFTER)]
    Search(Box<search::SearchArguments>),
    /// Draw a picture of a room of glass, silver and clay.
    #[command(long_about = rendering::ABOUT, after_long_help = help(rendering::EXAMPLES))]
    Render(Box<rendering::RenderArguments>),
    /// Multiply two matrices of signed bytes and check the product by algebra.
    #[command(long_about = product::ABOUT, after_long_help = help(product::EXAMPLES))]
    Product(Box<product::ProductArguments>),
    /// Write a job as a folder, signed and complete, without sending anything.
    #[command(long_about = pack::ABOUT, after_long_help = pack::EXAMPLES)]
    Pack(pack::PackArguments),
    /// Say whether a package can be submitted, or everything that is wrong with it.
    #[command(long_about = check::ABOUT, after_long_help = check::EXAMPLES)]
    Check(check::CheckArguments),
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
    #[error("cannot make a job of this picture")]
    Rendering(#[from] jobs::rendering::PackageError),
    #[error("put the picture together")]
    Mosaic(#[from] jobs::rendering::MosaicError),
    #[error("save the picture {path}")]
    Picture {
        path: PathBuf,
        #[source]
        source: png::EncodingError,
    },
    #[error("cannot make a job of these matrices")]
    Product(#[from] jobs::product::PackageError),
    #[error("a matrix of {height} by {width} is too large for this program")]
    Large { height: u32, width: u32 },
    #[error("put the product together")]
    Blocks(#[from] jobs::product::BlocksError),
    #[error("the product is wrong: its check fails")]
    WrongProduct,
    #[error(
        "this recording takes {0} jobs, one per window, and a folder holds one; submit them with publish search"
    )]
    ManyJobs(usize),
    #[error("search a window of {path}")]
    Window {
        path: PathBuf,
        #[source]
        source: WindowError,
    },
    #[error(transparent)]
    File(#[from] files::FileError),
    #[error("{0} is not an amount of tokens")]
    Budget(String),
    #[error("write {path}")]
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
    #[error("the job failed on this machine")]
    Local(#[source] Box<LocalError<LocalRunError>>),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("start the program's machinery")]
    Machinery(#[source] std::io::Error),
    #[error("no randomness from the operating system")]
    Random,
    #[error("{path} cannot be submitted: {problems} {}", if *.problems == 1 { "problem" } else { "problems" })]
    Unsound { path: PathBuf, problems: usize },
    #[error(
        "slice {slice} of unit {unit} has another result than the known answer: either it was computed wrongly when the \
         package was made, or this device computes wrongly"
    )]
    WrongAnswer { unit: u32, slice: u32 },
    #[error(
        "known answers are hashes; a job that is compared with a tolerance has other bits on every device"
    )]
    NotComparable,
    #[error("the package changed while it was read")]
    Changed(#[source] Finding),
    #[error("the job failed on this machine")]
    Run(#[source] Box<LocalRunError>),
    #[error(transparent)]
    Folder(#[from] WriteError),
    #[error("write the answer")]
    Write(#[from] serde_json::Error),
}

impl From<LocalError<LocalRunError>> for Trouble {
    fn from(error: LocalError<LocalRunError>) -> Self {
        match error {
            LocalError::Run { source: LocalRunError::Spawn(SpawnError::NoAdapter(fault)), .. } => {
                Self::NoDriver { detail: fault.detail }
            }
            other => Self::Local(Box::new(other)),
        }
    }
}

impl From<SpawnError> for Trouble {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::NoAdapter(fault) => Self::NoDriver { detail: fault.detail },
            other => Self::Run(Box::new(other.into())),
        }
    }
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
            | Self::Mosaic(_)
            | Self::Blocks(_)
            | Self::WrongProduct
            | Self::WrongAnswer { .. }
            | Self::Run(_)
            | Self::Write(_) => 1,
            Self::Recording { .. }
            | Self::Package { .. }
            | Self::Rendering(_)
            | Self::Product(_)
            | Self::Large { .. }
            | Self::Picture { .. }
            | Self::Window { .. }
            | Self::ManyJobs(_)
            | Self::File(_)
            | Self::Budget(_)
            | Self::Missing(_)
            | Self::Save { .. }
            | Self::NoEndpoint
            | Self::Terms(_)
            | Self::NoCoordinator(_)
            | Self::Unsound { .. }
            | Self::NotComparable
            | Self::Changed(_)
            | Self::Folder(_)
            | Self::Worker(_) => 2,
        }
    }
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Arguments::parse().command {
        Command::Search(arguments) => search::search(&arguments),
        Command::Render(arguments) => rendering::render(&arguments),
        Command::Product(arguments) => product::multiply(&arguments),
        Command::Pack(arguments) => pack::pack(&arguments),
        Command::Check(arguments) => check::check(&arguments),
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

/// The end of the long help of a kind of job.
fn help(examples: &str) -> String {
    format!("{examples}\n\n{}", order::AFTERWORD)
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

fn key(file: &Path) -> Result<(), Trouble> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| Trouble::Random)?;
    files::write_secret(file, &seed)?;
    println!("{}", protocol::sign::Key::from_seed(&seed).publisher());
    Ok(())
}
