//! Where the worker executable is.

use std::path::PathBuf;

/// Why the worker executable is not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    /// The path of the running program is unknown.
    #[error("find the path of this program")]
    CurrentExe(#[source] std::io::Error),
    /// There is none.
    #[error(
        "no worker program at {path}; build it with `cargo build --package worker`, or set HEARTH_WORKER"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
}

/// The worker executable: the path in `HEARTH_WORKER`, else the file `worker` next to the running program. (The
/// programs of a test or example lie one folder below the target's; theirs is next to that folder.)
///
/// # Errors
/// [`LocateError::Missing`] naming the path where it should be.
pub fn find_worker() -> Result<PathBuf, LocateError> {
    if let Some(path) = std::env::var_os("HEARTH_WORKER").map(PathBuf::from) {
        return if path.is_file() { Ok(path) } else { Err(LocateError::Missing { path }) };
    }
    let exe = std::env::current_exe().map_err(LocateError::CurrentExe)?;
    let mut folder = exe.parent().map(PathBuf::from).unwrap_or_default();
    if folder.file_name().is_some_and(|name| name == "deps" || name == "examples") {
        folder.pop();
    }
    let path = folder.join(format!("worker{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() { Ok(path) } else { Err(LocateError::Missing { path }) }
}
