//! Where Hearth keeps its things on this machine: data, autostart entry, socket.
//!
//! It reads the environment once, makes its own directories for the owner alone (0700), and refuses a directory that
//! somebody else owns or may enter. It never looks into the files; the rooms that own them do. Uninstalling leaves the
//! data directory, because the wallet is in it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::id::NetworkId;

/// Variable that moves the data directory.
pub const DATA_DIR_VARIABLE: &str = "HEARTH_DATA_DIR";
/// Variable that moves the socket.
pub const SOCKET_VARIABLE: &str = "HEARTH_SOCKET";

/// Paths of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    data: PathBuf,
    config: PathBuf,
    socket: PathBuf,
}

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Neither `HOME` nor the variables that replace it are set.
    #[error("no home directory: set HOME or {DATA_DIR_VARIABLE}")]
    NoHome,
    /// A directory cannot be made or read.
    #[error("cannot use the directory {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory belongs to somebody else, or others may enter it and it is not ours to change.
    #[error("the directory {path} is not private to this user")]
    NotPrivate {
        /// Which.
        path: PathBuf,
    },
}

impl Home {
    /// The home that the process's environment names.
    ///
    /// # Errors
    /// [`HomeError::NoHome`] without `HOME`.
    pub fn from_environment() -> Result<Self, HomeError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The home that `variable` names; empty variables count as unset, and so do relative XDG directories (XDG base
    /// directory specification).
    ///
    /// # Errors
    /// [`HomeError::NoHome`] when nothing names a place.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, HomeError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let xdg = |name: &str| set(name).filter(|path| path.is_absolute());
        let user = set("HOME").or_else(|| set("USERPROFILE"));
        let data = match set(DATA_DIR_VARIABLE) {
            Some(path) => path,
            None => xdg("XDG_DATA_HOME")
                .or_else(|| user.as_ref().map(|home| home.join(".local/share")))
                .ok_or(HomeError::NoHome)?
                .join("hearth"),
        };
        let config = xdg("XDG_CONFIG_HOME")
            .or_else(|| user.map(|home| home.join(".config")))
            .unwrap_or_else(|| data.join("config"));
        let socket = match (set(SOCKET_VARIABLE), xdg("XDG_RUNTIME_DIR")) {
            (Some(path), _) => path,
            (None, Some(runtime)) => runtime.join("hearth/agent.sock"),
            (None, None) => data.join("run/agent.sock"),
        };
        Ok(Self { data, config, socket })
    }

    /// Makes the data directory, private to the owner.
    ///
    /// # Errors
    /// [`HomeError::Directory`] or [`HomeError::NotPrivate`].
    pub fn prepare(&self) -> Result<(), HomeError> {
        private_directory(&self.data)?;
        private_directory(&self.log())?;
        private_directory(&self.wallets())
    }

    /// Everything that belongs to this device: profile, keys, journal, ledger, log.
    pub fn data(&self) -> &Path {
        &self.data
    }
    /// The user's configuration directory, where the desktop looks for autostart entries.
    pub fn config(&self) -> &Path {
        &self.config
    }
    /// The agent's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
    /// The joined network's profile.
    pub fn profile(&self) -> PathBuf {
        self.data.join("profile.cbor")
    }
    /// Directory of the wallet files, one for each network.
    pub fn wallets(&self) -> PathBuf {
        self.data.join("wallet")
    }
    /// Directory of one network's wallet.
    pub fn wallet(&self, network: &NetworkId) -> PathBuf {
        self.wallets().join(network.to_string())
    }
    /// The encrypted file in it, named by the wallet room.
    pub fn vault(&self, network: &NetworkId) -> PathBuf {
        self.wallet(network).join("wallet.vault")
    }
    /// Directory of the log.
    pub fn log(&self) -> PathBuf {
        self.data.join("log")
    }
    /// Held by the one agent that uses this home.
    pub fn lock(&self) -> PathBuf {
        self.data.join("agent.lock")
    }
}

/// Makes `path` with all its parents; the last is private to the owner.
///
/// # Errors
/// [`HomeError::Directory`] when it cannot be made, [`HomeError::NotPrivate`] when it is a link, belongs to somebody
/// else, or others may enter it.
pub fn private_directory(path: &Path) -> Result<(), HomeError> {
    let failed = |source| HomeError::Directory { path: path.to_path_buf(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match make_private(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if metadata.is_dir() && is_private(&metadata) {
        Ok(())
    } else {
        Err(HomeError::NotPrivate { path: path.to_path_buf() })
    }
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(unix)]
fn is_private(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// The user's profile directory carries an access list of its own there, which new directories inherit.
#[cfg(not(unix))]
fn is_private(_metadata: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(variables: &[(&str, &str)]) -> Home {
        Home::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
        .unwrap()
    }

    #[test]
    fn the_environment_names_the_places() {
        let plain = home(&[("HOME", "/home/ada")]);
        assert_eq!(plain.data(), Path::new("/home/ada/.local/share/hearth"));
        assert_eq!(plain.socket(), Path::new("/home/ada/.local/share/hearth/run/agent.sock"));
        assert_eq!(plain.config(), Path::new("/home/ada/.config"));
        let desktop =
            home(&[("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1000"), ("XDG_DATA_HOME", "x")]);
        assert_eq!(desktop.socket(), Path::new("/run/user/1000/hearth/agent.sock"));
        assert_eq!(desktop.data(), plain.data(), "a relative XDG directory is ignored");
        let moved = home(&[(DATA_DIR_VARIABLE, "/tmp/h"), (SOCKET_VARIABLE, "/tmp/s/a.sock")]);
        assert_eq!((moved.data(), moved.socket()), (Path::new("/tmp/h"), Path::new("/tmp/s/a.sock")));
        assert!(matches!(Home::from_variables(|_| None), Err(HomeError::NoHome)));
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = tempfile::tempdir().unwrap();
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(private_directory(&open), Err(HomeError::NotPrivate { .. })));
        let link = base.path().join("link");
        let mine = base.path().join("mine");
        private_directory(&mine).unwrap();
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        assert!(
            matches!(private_directory(&link), Err(HomeError::NotPrivate { .. })),
            "a link may point anywhere"
        );
        private_directory(&mine).expect("its own directory is found again");
    }
}
