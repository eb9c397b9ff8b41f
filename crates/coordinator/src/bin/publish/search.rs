//! `publish search`: searches a recording on this machine, or pays a network to search it, window by window.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use coordinator::files;
use coordinator::publishing::{self, Publisher};
use jobs::package::SignedPackage;
use jobs::recording::RecordingFile;
use jobs::search::{Candidates, Hit, Options, WindowError, Windows};
use network::{MemoryJournal, Net};
use protocol::units::BaseUnits;
use sandbox::Spawn;

use crate::Trouble;

/// What `--help` says first.
pub(super) const ABOUT: &str = "\
Search a SIGPROC filterbank recording (.fil) for narrow signals of changing frequency.

A transmitter that moves against the telescope draws a slanted line through the spectra of a recording. For every
channel and every drift rate up to --max-drift, rising and falling, the search adds one cell per spectrum along that
line, on the paths of a Taylor tree. A line is a hit when its sum exceeds the noise by --snr and no stronger line is
within twice the largest drift of it. The noise is the median of the sums without drift and the standard deviation of
those between their 5th and 95th percentile, measured anew in every window of the band; this is turbo_seti's measure,
1.27 times the S/N in standard deviations of Gaussian noise.

The search runs on this machine's graphics card (--local), on its processor (--native), or on a network of Hearth that
is paid for it (--to). All three add whole numbers and give the same hits.

The recording may be larger than memory: it is read in windows of at most 1,048,576 channels that overlap by as far as
a line can lead, so that none is lost or found twice at a seam. On a network each window is a job of its own, and the
budget is shared among them by their work.";

/// What `--help` says after the options.
pub(super) const AFTER: &str = "\
Units:
  Frequencies are MHz at the first spectrum, drift rates Hz per second (negative: falling), S/N has no unit, budgets are
  whole tokens with a decimal point. Channels are counted from 0 in the order of the file.

Input:
  8- and 16-bit integers, signed or not, and 32-bit floats; one polarisation stream; 2 to 1,024 spectra; channels rising
  or falling in frequency. HDF5 files (.h5) must be converted first, for example with blimpy's h52fil.

Output:
  A table of hits on standard output, the strongest first; with --json one line of JSON: {\"hits\": [{frequency_mhz,
  drift_hz_s, snr, channel, shift, window, unit, slice}], \"job\": ...}; \"jobs\" where there are several windows. Progress
  goes to standard error. Without --wait a paid search prints the identifier of each job and ends.

Exit codes:
  0  done, whether or not there are hits
  1  the network, the job or a computation failed
  2  a file or an argument is wrong
  3  no usable graphics driver (--local)

Examples:
  Search a recording here:
    publish search voyager.fil --local
  The same without a graphics driver, fainter lines too, for a program to read:
    publish search voyager.fil --native --snr 8 --json
  Leave out the constant that the receiver puts into the middle of each coarse channel of 2^20 fine channels:
    publish search gbt.fil --native --coarse 1048576
  Pay a network 12.5 tokens at most and wait for the hits:
    publish search voyager.fil --to https://coordinator.example --profile network.hearth \\
      --key publisher.key --budget 12.5 --wait";

#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    /// The recording.
    file: PathBuf,
    /// Search on this machine, through the worker; nothing is sent anywhere.
    #[arg(
        long,
        conflicts_with_all = ["to", "native", "budget", "key", "wait"],
        required_unless_present_any = ["to", "native"]
    )]
    local: bool,
    /// Search on this machine's processor; needs no graphics driver and no worker, and sends nothing.
    #[arg(long, conflicts_with_all = ["to", "budget", "key", "wait", "tile", "worker", "adapter"])]
    native: bool,
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
    /// Largest drift in Hz/s, either sign; taken to the nearest drift that the recording can tell apart.
    #[arg(long, default_value_t = 4.0)]
    max_drift: f64,
    /// Signal to noise that a hit must exceed, in turbo_seti's measure.
    #[arg(long, default_value_t = 10.0)]
    snr: f64,
    /// Channels per slice, a multiple of 64.
    #[arg(long)]
    tile: Option<u32>,
    /// Channels per window at most, 64 to 1,048,576. Smaller windows need less memory and measure the noise more locally.
    #[arg(long)]
    window: Option<u32>,
    /// Fine channels per coarse channel of the telescope. The middle one of each, which holds the receiver's constant, is
    /// replaced by the mean of its neighbours, and windows are coarse channels where they fit.
    #[arg(long)]
    coarse: Option<u32>,
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

/// Searches here or there.
pub(super) fn search(arguments: &SearchArguments) -> Result<(), Trouble> {
    let mut windows = windows(arguments)?;
    if arguments.native {
        search_natively(arguments, &mut windows)
    } else if arguments.local {
        search_here(arguments, &mut windows)
    } else {
        search_there(arguments, &mut windows)
    }
}

fn windows(arguments: &SearchArguments) -> Result<Windows<File>, Trouble> {
    let path = arguments.file.clone();
    let file = RecordingFile::open(&arguments.file)
        .map_err(|source| Trouble::Recording { path: path.clone(), source })?;
    let mut options = Options {
        max_drift_hz_s: arguments.max_drift,
        snr: arguments.snr,
        tile: arguments.tile,
        window: arguments.window,
        coarse: arguments.coarse,
        ..Options::default()
    };
    if let Some(title) = &arguments.title {
        options.title.clone_from(title);
    }
    if let Some(purpose) = &arguments.purpose {
        options.purpose.clone_from(purpose);
    }
    // The order of slices is secret, so that the place of an own slice tells nothing; a search here has no secrets.
    if arguments.to.is_some() {
        getrandom::fill(&mut options.order_seed).map_err(|_| Trouble::Random)?;
    }
    Windows::new(file, &options).map_err(|source| Trouble::Package { path, source })
}

fn trouble(arguments: &SearchArguments) -> impl Fn(WindowError) -> Trouble {
    let path = arguments.file.clone();
    move |error| match error {
        WindowError::Read(source) => Trouble::Recording { path: path.clone(), source },
        WindowError::Package(source) => Trouble::Package { path: path.clone(), source },
        other => Trouble::Window { path: path.clone(), source: other },
    }
}

/// `window 2 of 5: `, or nothing where there is one.
fn place(window: usize, count: usize) -> String {
    if count == 1 { String::new() } else { format!("window {} of {count}: ", window + 1) }
}

fn search_natively(arguments: &SearchArguments, windows: &mut Windows<File>) -> Result<(), Trouble> {
    let started = std::time::Instant::now();
    let count = windows.count();
    let mut found = Candidates::default();
    for window in 0..count {
        found.join(windows.search(window).map_err(trouble(arguments))?);
        eprintln!("{}{} hits so far", place(window, count), found.hits().len());
    }
    eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
    print_hits(&found.hits(), serde_json::json!({ "job": {} }), arguments.json)
}

fn search_here(arguments: &SearchArguments, windows: &mut Windows<File>) -> Result<(), Trouble> {
    let worker = match &arguments.worker {
        Some(path) => path.clone(),
        None => sandbox::find_worker()?,
    };
    let mut spawn = Spawn::new(worker);
    spawn.adapter.clone_from(&arguments.adapter);
    spawn.allow_software = true;
    let started = std::time::Instant::now();
    let count = windows.count();
    let mut found = Candidates::default();
    for window in 0..count {
        let package = windows.package(window).map_err(trouble(arguments))?;
        let ready = |ready: &sandbox::Ready| {
            if window == 0 {
                let kind = if ready.adapter.software {
                    " (the processor stands in for a graphics card)"
                } else {
                    ""
                };
                eprintln!("computing on {}{kind}", ready.adapter.name);
            }
        };
        let place = place(window, count);
        found.join(publishing::search_here(&package, &spawn, ready, |progress| {
            eprintln!("{place}{} of {} slices, {} hits", progress.done, progress.total, progress.hits.len());
        })?);
    }
    eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
    print_hits(&found.hits(), serde_json::json!({ "job": {} }), arguments.json)
}

fn search_there(arguments: &SearchArguments, windows: &mut Windows<File>) -> Result<(), Trouble> {
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
    let price = publishing::price_of_slice(windows.units(), budget, &profile)?;

    let net = Net::with_system_clock(Arc::new(MemoryJournal::keeping(1024)));
    let publisher = Publisher::new(net, &url, network, coordinator, key);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Machinery)?;
    let count = windows.count();
    // All are submitted before the first is waited for: the network works on them side by side, and what stays in memory
    // of each is its manifest.
    let mut submitted: Vec<SignedPackage> = Vec::with_capacity(count);
    for window in 0..count {
        let mut package = windows.package(window).map_err(trouble(arguments))?;
        package.price_per_slice = price;
        let place = place(window, count);
        let uploaded = |done, all| eprintln!("{place}uploaded {done} of {all} files");
        let signed = runtime.block_on(publisher.submit(&package, uploaded))?;
        eprintln!("{place}job {}: {} units at {price} base units a slice", signed.job, package.units.len());
        if !arguments.wait && arguments.json {
            println!("{}", serde_json::json!({ "job": signed.job.to_string(), "state": "submitted" }));
        } else if !arguments.wait {
            println!("{}", signed.job);
        }
        submitted.push(signed);
    }
    if !arguments.wait {
        return Ok(());
    }
    let mut found = Candidates::default();
    let mut jobs = Vec::with_capacity(count);
    for (window, signed) in submitted.iter().enumerate() {
        let place = place(window, count);
        let progress = runtime.block_on(publisher.wait(&signed.job, |p| {
            let (accepted, slices, audits) = (p.accepted, p.slices, p.audits);
            eprintln!("{place}{}: {accepted} of {slices} slices accepted, {audits} audits", p.state);
        }))?;
        jobs.push(serde_json::to_value(&progress)?);
        found.join(runtime.block_on(publisher.candidates(signed))?);
    }
    let answer = match jobs.as_slice() {
        [job] => serde_json::json!({ "job": job }),
        jobs => serde_json::json!({ "jobs": jobs }),
    };
    print_hits(&found.hits(), answer, arguments.json)
}

fn print_hits(hits: &[Hit], mut answer: serde_json::Value, json: bool) -> Result<(), Trouble> {
    if json {
        answer["hits"] = serde_json::to_value(hits)?;
        println!("{answer}");
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
