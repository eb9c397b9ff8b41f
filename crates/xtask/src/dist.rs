//! dist
use anyhow::Result;
use std::process::ExitCode;
pub(crate) fn dist() -> Result<ExitCode> {
    anyhow::bail!("x")
}
