//! A Unix socket in a private directory, guarded by a lock file and by the user id of whoever connects.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::net::{UnixListener, UnixStream};

use super::{Claim, SocketError};
use crate::home::{Home, private_directory};

/// A connection.
pub type Stream = UnixStream;

/// The bound socket with the locks that make this process its owner. Dropping it removes the socket.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Held until the socket is gone: whoever waits for the lock must not find our socket half removed.
    _socket_lock: File,
    _data_lock: File,
}

/// Tries to become the agent of `home`. A socket left behind by a killed agent is removed: the lock, which the system
/// frees with the process, says that nobody serves it.
///
/// # Errors
/// [`SocketError`] when the directory is not private, the disk or path refuses, or another agent with another socket
/// uses the data directory.
pub fn claim(home: &Home) -> Result<Claim, SocketError> {
    let path = home.socket().to_path_buf();
    let failed = |source: io::Error| SocketError::Io { path: path.clone(), source };
    if let Some(directory) = path.parent() {
        private_directory(directory)?;
    }
    let Some(socket_lock) = lock(&path.with_extension("lock")).map_err(failed)? else {
        return Ok(Claim::Taken);
    };
    let Some(data_lock) = lock(&home.lock()).map_err(failed)? else {
        return Err(SocketError::DataInUse { data: home.data().to_path_buf() });
    };
    match fs::remove_file(&path) {
        Ok(()) => tracing::info!("removed the socket of an agent that is gone"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let socket = UnixListener::bind(&path).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(Claim::Ours(Listener { socket, path, _socket_lock: socket_lock, _data_lock: data_lock }))
}

/// Connects to the agent of `home` and checks that it runs as the same user.
///
/// # Errors
/// [`SocketError::Io`] when nobody listens or somebody else does.
pub async fn connect(home: &Home) -> Result<Stream, SocketError> {
    let path = home.socket();
    let failed = |source: io::Error| SocketError::Io { path: path.to_path_buf(), source };
    let stream = UnixStream::connect(path).await.map_err(failed)?;
    if !same_user(&stream).map_err(failed)? {
        return Err(failed(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the agent runs as another user",
        )));
    }
    Ok(stream)
}

impl Listener {
    /// The next connection of the same user; others are closed without a word.
    ///
    /// # Errors
    /// The system's, for example when descriptors have run out.
    pub async fn accept(&self) -> io::Result<Stream> {
        loop {
            let (stream, _) = self.socket.accept().await?;
            match same_user(&stream) {
                Ok(true) => return Ok(stream),
                Ok(false) => tracing::warn!("refused a connection of another user"),
                Err(error) => tracing::warn!(%error, "refused a connection whose user is unknown"),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "could not remove the socket");
        }
    }
}

fn same_user(stream: &UnixStream) -> io::Result<bool> {
    Ok(stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw())
}

/// The exclusive lock on the file at `path`, or `None` when another process holds it. The file stays: removing a lock
/// file would let two processes lock two files of one name.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(base: &Path, socket: &str) -> Home {
        let home = Home::from_variables(|name| match name {
            crate::home::DATA_DIR_VARIABLE => Some(base.join("data").into()),
            crate::home::SOCKET_VARIABLE => Some(base.join(socket).into()),
            _ => None,
        })
        .unwrap();
        home.prepare().unwrap();
        home
    }

    #[tokio::test]
    async fn a_second_claim_finds_the_first_and_a_third_follows_it() {
        let base = tempfile::tempdir().unwrap();
        let home = home(base.path(), "run/agent.sock");
        let Claim::Ours(first) = claim(&home).unwrap() else { panic!("nobody else is there") };
        assert!(matches!(claim(&home).unwrap(), Claim::Taken), "one home has one agent");
        connect(&home).await.expect("the first one listens");
        drop(first);
        assert!(!home.socket().exists(), "the socket goes with its agent");
        assert!(matches!(claim(&home).unwrap(), Claim::Ours(_)));
    }

    #[tokio::test]
    async fn the_socket_of_a_killed_agent_is_replaced() {
        let base = tempfile::tempdir().unwrap();
        let home = home(base.path(), "run/agent.sock");
        private_directory(home.socket().parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(home.socket()).unwrap());
        assert!(home.socket().exists(), "a dropped listener leaves its file behind, like a killed agent");
        assert!(connect(&home).await.is_err(), "nobody serves it");
        assert!(matches!(claim(&home).unwrap(), Claim::Ours(_)));
    }

    #[tokio::test]
    async fn two_sockets_cannot_share_a_data_directory() {
        let base = tempfile::tempdir().unwrap();
        let _first = claim(&home(base.path(), "one/agent.sock")).unwrap();
        let second = claim(&home(base.path(), "two/agent.sock"));
        assert!(matches!(second, Err(SocketError::DataInUse { .. })), "two agents would corrupt the journal");
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_alone() {
        let base = tempfile::tempdir().unwrap();
        let home = home(base.path(), "run/agent.sock");
        let _listener = claim(&home).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.socket()), 0o600);
        assert_eq!(mode(home.socket().parent().unwrap()), 0o700);
    }
}
