//! run
use crate::RunOptions;
use anyhow::Result;
use std::process::ExitCode;
pub(crate) fn run(_o: &RunOptions) -> Result<ExitCode> {
    anyhow::bail!("x")
}
