//! `publish search`: searches a recording on this machine, or pays a network to search it.

use std::path::PathBuf;

use clap::Args;
use coordinator::publishing;
use jobs::package::Package;
use jobs::recording::Recording;
use jobs::search::{Hit, Options, package};

use crate::Trouble;
use crate::order::{Order, say_ready};

#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    order: Order,
}

/// What is searched, and for what.
#[derive(Debug, Args)]
pub(super) struct Subject {
    /// The recording.
    file: PathBuf,
    /// Largest drift in Hz/s, either sign.
    #[arg(long, default_value_t = 4.0)]
    max_drift: f64,
    /// Signal to noise that a hit must exceed.
    #[arg(long, default_value_t = 10.0)]
    snr: f64,
    /// Channels per slice, a multiple of 64.
    #[arg(long)]
    tile: Option<u32>,
}

/// Searches here or there.
pub(super) fn search(arguments: &SearchArguments) -> Result<(), Trouble> {
    let order = &arguments.order;
    let mut package = packaged(arguments)?;
    if !order.local {
        let Some(paid) = order.pay(&mut package)? else { return Ok(()) };
        return print_hits(&paid.hits()?, &serde_json::to_value(&paid.progress)?, order.json);
    }
    let started = std::time::Instant::now();
    let hits = publishing::search_here(&package, &order.spawn()?, say_ready, |progress| {
        eprintln!("{} of {} slices, {} hits", progress.done, progress.total, progress.hits.len());
    })?;
    eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
    print_hits(&hits, &serde_json::json!({}), order.json)
}

fn packaged(arguments: &SearchArguments) -> Result<Package, Trouble> {
    let order = &arguments.order;
    let mut options = Options { order_seed: order.order_seed()?, ..Options::default() };
    order.name(&mut options.title, &mut options.purpose);
    arguments.subject.package(options)
}

impl Subject {
    /// The job of this search; title, purpose and order of slices are those of `options`.
    pub(super) fn package(&self, options: Options) -> Result<Package, Trouble> {
        let path = || self.file.clone();
        let recording =
            Recording::open(&self.file).map_err(|source| Trouble::Recording { path: path(), source })?;
        let options = Options { max_drift_hz_s: self.max_drift, snr: self.snr, tile: self.tile, ..options };
        package(&recording, &options).map_err(|source| Trouble::Package { path: path(), source })
    }
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
