//! `cargo xtask bench NAME`: measures one thing on this machine and prints a line of JSON last.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::install::{self, Purpose};
use crate::process::{cargo, must};

/// What can be measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Name {
    /// The signal search: {hits, ours_cpu_s}.
    Search,
    /// From the suspend frame to an idle device: {n, p50_ms, p99_ms}.
    Yield,
    /// What cutting work into pieces costs: {overhead}.
    Slicing,
    /// The agent in the tray: {pss_mb, core_share, wakeups_per_s}.
    Footprint,
}

/// Builds what is needed, measures, prints.
pub(crate) fn bench(name: Name) -> Result<ExitCode> {
    install::install(Purpose::Run)?;
    let text = match name {
        Name::Search => "search",
        Name::Yield => "yield",
        Name::Slicing => "slicing",
        Name::Footprint => "footprint",
    };
    must(cargo().args(["build", "--release", "--locked", "--package", "worker", "--package", "agent"]))?;
    must(cargo().args(["build", "--release", "--locked", "--package", "hearth-tests", "--bin", "bench"]))?;
    let folder = crate::workspace::target().join("release");
    must(
        Command::new(folder.join(format!("bench{}", std::env::consts::EXE_SUFFIX)))
            .arg(text)
            .env("HEARTH_BIN_DIR", &folder)
            .env("HEARTH_WORKER", folder.join(format!("worker{}", std::env::consts::EXE_SUFFIX))),
    )?;
    Ok(ExitCode::SUCCESS)
}
