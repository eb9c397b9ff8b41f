//! The page's types, made from `protocol::local` by ts-rs and committed, so that a stale file shows as a difference.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::process::{cargo, output, say};
use crate::workspace;

fn path() -> std::path::PathBuf {
    workspace::ui().join("src/lib/backend/bindings.ts")
}

fn render() -> Result<String> {
    output(cargo().args(["run", "--quiet", "--package", "protocol", "--example", "bindings"]))
        .context("make the bindings: cargo run -p protocol --example bindings failed")
}

/// Writes the file.
pub(crate) fn write() -> Result<ExitCode> {
    let text = render()?;
    fs::write(path(), text).with_context(|| format!("write {}", path().display()))?;
    say(&format!("wrote {}", path().display()));
    Ok(ExitCode::SUCCESS)
}

/// Fails when the committed file is not what the types say.
pub(crate) fn check() -> Result<()> {
    let committed = fs::read_to_string(path()).with_context(|| format!("read {}", path().display()))?;
    if committed != render()? {
        bail!("ui/src/lib/backend/bindings.ts is stale: run `cargo xtask bindings`");
    }
    Ok(())
}
