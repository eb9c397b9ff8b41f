//! `publish search`: searches a recording on this machine, or pays a network to search it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use coordinator::files;
use coordinator::publishing::{self, Publisher};
use jobs::package::Package;
use jobs::recording::Recording;
use jobs::search::{Hit, Options, package};
use network::{MemoryJournal, Net};
use protocol::units::BaseUnits;
use sandbox::Spawn;

use crate::Trouble;

#[derive(Debug, Args)]
pub(super) struct SearchArguments {
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

/// Searches here or there.
pub(super) fn search(arguments: &SearchArguments) -> Result<(), Trouble> {
    if arguments.local { search_here(arguments) } else { search_there(arguments) }
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
