//! `cargo xtask check`: everything that can be judged without running the product.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::install::{self, Purpose};
use crate::process::{cargo, must, output, say};
use crate::{bindings, workspace};

/// The version that `check` installs where cargo-deny is missing.
const DENY_VERSION: &str = "0.20.2";

/// Runs every check and stops at the first that fails.
pub(crate) fn check() -> Result<ExitCode> {
    install::install(Purpose::Run)?;
    must(cargo().args(["fmt", "--all", "--check"]))?;
    must(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    bindings::check()?;
    must(cargo().args(["test", "--locked", "--package", "hearth-tests", "--test", "floors"]))?;
    must(cargo().args(["test", "--locked", "--package", "words"]))?;
    deny()?;
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    must(Command::new(npm).args(["run", "check"]).current_dir(workspace::ui()))?;
    say("check: all good");
    Ok(ExitCode::SUCCESS)
}

/// Licences, sources and bans of the dependency tree. Advisories need the public database and run where it is reachable.
fn deny() -> Result<()> {
    if output(cargo().args(["deny", "--version"])).is_none() {
        say("cargo-deny is missing; installing it");
        must(cargo().args(["install", "cargo-deny", "--locked", "--version", DENY_VERSION]))?;
    }
    must(cargo().args(["deny", "--locked", "check", "bans", "licenses", "sources"]))
}
