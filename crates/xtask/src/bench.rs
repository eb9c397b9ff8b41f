//! `cargo xtask bench NAME`: measures one thing on this machine and prints a line of JSON last.
//!
//! It builds the programs under measurement as they are shipped and the program `bench` of the tests, which takes the
//! figure.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::install::{self, Purpose};
use crate::process::{cargo, must};
use crate::workspace;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// The signal search against turbo_seti (from PyPI, into target/) on HEARTH_FIL or a made recording of 2^20 channels:
    /// {hits_equal, ours_cpu_s, turbo_seti_cpu_s, gpu_s, bandwidth_share, waterfall_share}.
    Search,
    /// From an input event to an idle device, and kills: {n, p50_ms, p99_ms, kill_max_ms}. Takes about eleven minutes. With
    /// --real the whole app on a desktop, from xdotool to an idle device, and under Wayland: {n, p50_ms, p99_ms, wayland_n,
    /// wayland_p50_ms, wayland_p99_ms}. Takes about ten minutes.
    Yield,
    /// What cutting work into pieces costs: {overhead}.
    Slicing,
    /// Float arithmetic of the worker's device next to clpeak on the same device: {ours_gflops, clpeak_gflops, ratio}.
    GpuPeak,
    /// The agent in the tray, beside Debian's boinc-client in the same minutes: {pss_mb, core_share, wakeups_per_s,
    /// boinc_pss_mb, boinc_core_share}.
    Footprint,
    /// What a household on an emulated line of 20/100 Mbit/s, 30 ms and 500 kB of buffer notices of an upload in the
    /// background, with iroh's default controller, BBR and ours: per controller {added_p50_ms, added_p95_ms, idle_share,
    /// household_share} and more. Linux; needs root or unprivileged user namespaces, /dev/net/tun and `ip`. Takes four
    /// minutes.
    Household,
}

/// Builds what is needed, measures, prints.
pub(crate) fn bench(name: Name, real: bool) -> Result<ExitCode> {
    if real && name != Name::Yield {
        bail!("--real belongs to `bench yield` alone");
    }
    let (text, purpose, packages): (_, _, &[&str]) = match name {
        Name::Search => ("search", Purpose::Run, &["worker"]),
        Name::Yield if real => ("yield-real", Purpose::Test, &["worker", "agent", "coordinator"]),
        // Its input events go through a display without a screen, which belongs to the tests' tools.
        Name::Yield => ("yield", Purpose::Test, &["worker"]),
        Name::Slicing => ("slicing", Purpose::Run, &["worker"]),
        Name::GpuPeak => ("gpu-peak", Purpose::Run, &["worker"]),
        // A whole network and a desktop, whose tools are those of the tests.
        Name::Footprint => ("footprint", Purpose::Test, &["worker", "agent", "coordinator"]),
        Name::Household => ("household", Purpose::Run, &[]),
    };
    install::install(purpose)?;
    match name {
        Name::GpuPeak => install::clpeak()?,
        Name::Footprint => install::boinc()?,
        Name::Yield if real => install::compositor()?,
        Name::Search | Name::Yield | Name::Slicing | Name::Household => {}
    }
    if !packages.is_empty() {
        must(
            cargo()
                .args(["build", "--release", "--locked"])
                .args(packages.iter().flat_map(|p| ["--package", p])),
        )?;
    }
    // Only watches, and is the tests' own: built as they are, it brings none of their features into the programs.
    must(cargo().args(["build", "--locked", "--package", "hearth-tests", "--bin", "bench"]))?;
    let folder = workspace::target().join("release");
    let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    must(
        Command::new(workspace::program("bench"))
            .arg(text)
            .env("ANVIL_BIN", workspace::anvil())
            .env("HEARTH_BIN_DIR", &folder)
            .env("HEARTH_WORKER", program("worker")),
    )?;
    Ok(ExitCode::SUCCESS)
}
