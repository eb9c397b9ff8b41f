//! The local socket: who may hold it, who may connect to it.
//!
//! One file per system. [`claim`] makes this process the one agent of a home, [`Claim::Taken`] says that another one is.
//! It never reads a frame; `server` does. Windows's named pipe is not written yet and says so.

#[cfg(unix)]
mod unix;
#[cfg(not(unix))]
mod windows;

use std::io;
use std::path::PathBuf;

use crate::home::HomeError;

#[cfg(unix)]
pub use unix::{Listener, Stream, claim, connect};
#[cfg(not(unix))]
pub use windows::{Listener, Stream, claim, connect};

/// What became of the attempt to be the agent.
#[derive(Debug)]
pub enum Claim {
    /// This process is the agent.
    Ours(Listener),
    /// Another process is.
    Taken,
}

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Its directory is unusable.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The socket or its lock file cannot be made or reached.
    #[error("cannot use the socket {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another agent, with another socket, uses the same data directory.
    #[error("another agent already uses {data}")]
    DataInUse {
        /// The data directory.
        data: PathBuf,
    },
    /// There is no local socket on this system yet.
    #[error("the agent's local socket is not there on this system yet")]
    NotOnThisSystem,
}
