//! `cargo xtask`: the one tool of the project. It installs what is missing, builds, runs the local network, tests,
//! checks, measures and packages.
//!
//! It owns the order of steps and the child processes, all of which it ends. It links none of Hearth's rooms, so that
//! the first command on a bare machine starts within seconds, and it decides nothing that a room should decide.

mod bench;
mod bindings;
mod check;
mod cross;
mod dist;
mod fuzz;
mod install;
mod process;
mod run;
mod test;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Runs, tests, checks, measures and packages Hearth.")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Installs what is missing and starts the whole network on this machine with the app's window.
    Run(RunOptions),
    /// Runs the push tier of the tests; with --full also the long tier.
    Test {
        /// Also the long tier: contract fuzzing, package life cycle, cross builds.
        #[arg(long)]
        full: bool,
        /// Only test programs whose name contains this text.
        #[arg(long)]
        only: Option<String>,
    },
    /// Format, lints, floors, bindings, catalogue, licences and the page's types.
    Check,
    /// Measures one thing and prints a line of JSON last.
    Bench {
        /// What to measure.
        name: bench::Name,
        /// With `yield`: the whole app on a desktop, moved by a real input tool.
        #[arg(long)]
        real: bool,
    },
    /// Compiles for Windows and macOS what differs there, from Debian or Ubuntu.
    Cross,
    /// Tries what strangers can hand to Hearth with inputs made up by libFuzzer.
    Fuzz {
        /// What to try; without it, everything in turn.
        target: Option<fuzz::Target>,
        /// How long each target runs.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// Builds the installable package for this system into target/dist.
    Dist,
    /// Writes the page's types from `protocol::local`.
    Bindings,
}

/// Options of `cargo xtask run`.
#[derive(Debug, Clone, clap::Args)]
struct RunOptions {
    /// Recording to search; without it, a recording with known drifting tones is made.
    #[arg(long, value_name = "FILE")]
    fil: Option<PathBuf>,
    /// Seed of the made recording.
    #[arg(long, default_value_t = 20_261_123)]
    seed: u64,
    /// No window and no tray: plain progress in the terminal.
    #[arg(long)]
    headless: bool,
    /// Ends after the first withdrawal and prints what happened as a table.
    #[arg(long)]
    once: bool,
    /// Prints events as JSON lines.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            process::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    match task {
        Task::Run(options) => run::run(&options),
        Task::Test { full, only } => test::test(full, only.as_deref()),
        Task::Check => check::check(),
        Task::Bench { name, real } => bench::bench(name, real),
        Task::Cross => cross::cross(),
        Task::Fuzz { target, seconds } => fuzz::fuzz(target, seconds),
        Task::Dist => dist::dist(),
        Task::Bindings => bindings::write(),
    }
}
