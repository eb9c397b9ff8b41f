//! `bench NAME`: measures one thing on this machine with the shipped programs and prints its figures as one line of JSON.
//!
//! It owns how a figure is taken and nothing of what is measured: the worker, the agent and a local network run as they
//! are shipped. `cargo xtask bench` builds all of them with the release profile and calls it. What it does meanwhile goes
//! to standard error. A figure is printed as measured, whether it keeps its promise or not. One file per figure.

mod footprint;
mod gpu_peak;
#[cfg(target_os = "linux")]
mod household;
mod real_yields;
mod search;
mod slicing;
mod yields;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use sandbox::{Spawn, find_worker};
use serde_json::Value;
use tokio::runtime::Runtime;

/// What measuring gives: the figures, as one object.
type Outcome = Result<Value, Box<dyn Error>>;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let outcome = match name.as_str() {
        "search" => search::measure(),
        // A part of `search`, as a process of its own.
        "search-natively" => search::natively(&std::env::args().nth(2).unwrap_or_default()),
        "yield" => yields::measure(),
        "yield-real" => real_yields::measure(),
        "slicing" => slicing::measure(),
        "footprint" => footprint::measure(),
        "gpu-peak" => gpu_peak::measure(),
        #[cfg(target_os = "linux")]
        "household" => household::measure(),
        other => Err(format!(
            "no figure is called {other:?}; there are search, yield, yield-real, slicing, footprint, gpu-peak, household"
        )
        .into()),
    };
    let written = match &outcome {
        Ok(figures) => writeln!(std::io::stdout(), "{figures}"),
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                text.push_str(&format!(": {inner}"));
                cause = inner.source();
            }
            writeln!(std::io::stderr(), "{text}")
        }
    };
    if outcome.is_ok() && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line about what is being done. A closed terminal does not stop a measurement.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The worker beside the shipped programs, on any device that can compute.
fn spawn() -> Result<Spawn, Box<dyn Error>> {
    let mut spawn = Spawn::new(find_worker()?);
    spawn.allow_software = true;
    Ok(spawn)
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The smallest value that at least `percent` of all do not exceed (nearest rank).
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    rounded(sorted.get(rank - 1).copied().unwrap_or(f64::NAN), 3)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
