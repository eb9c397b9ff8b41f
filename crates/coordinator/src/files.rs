//! Files of an operator: keys (hexadecimal, mode 0600), network profiles, publishers' accounts.
//!
//! Secrets are read from files only, never from arguments or the environment, and a key file that others may read is
//! refused. Nothing here overwrites a file.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use protocol::id::{NetworkId, PublisherId};
use protocol::profile::{self, AcceptError, Profile};
use protocol::sign::{Envelope, Key, Signed};
use protocol::units::UnixMillis;
use settlement::{Signer, SignerError};
use zeroize::Zeroizing;

/// Longest file read here.
const MAX_BYTES: u64 = 128 * 1024;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Not there, or not readable.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Cannot be made.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is there already.
    #[error("{0} exists already and is not overwritten")]
    Exists(PathBuf),
    /// Others on this machine may read a secret.
    #[error("{0} holds a secret and may be read by others; set its mode to 0600")]
    Open(PathBuf),
    /// No key.
    #[error("{0} does not hold a key: 64 hexadecimal digits")]
    NotAKey(PathBuf),
    /// No key of the chain's curve.
    #[error("{path} does not hold a key of the chain")]
    NotAChainKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SignerError,
    },
    /// No profile.
    #[error("{0} does not hold a network profile")]
    NotAProfile(PathBuf),
    /// A profile that is not to be believed.
    #[error("{path} cannot be joined")]
    Profile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: AcceptError,
    },
    /// No list of publishers.
    #[error("{path} is not a list of publishers: a JSON object from publisher key to checksummed account")]
    NotPublishers {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Too long for what it should be.
    #[error("{0} is too long")]
    TooLong(PathBuf),
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
        return Err(FileError::TooLong(path.to_owned()));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(failed)
}

fn secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, FileError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let failed = |source| FileError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(FileError::Open(path.to_owned()));
        }
    }
    let text = read(path)?;
    let digits = text.trim_ascii();
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, seed.as_mut_slice()).map_err(|_| FileError::NotAKey(path.to_owned()))?;
    Ok(seed)
}

/// The ed25519 key in a file.
///
/// # Errors
/// [`FileError`].
pub fn read_key(path: &Path) -> Result<Key, FileError> {
    Ok(Key::from_seed(&secret(path)?))
}

/// The chain key in a file.
///
/// # Errors
/// [`FileError`].
pub fn read_chain_key(path: &Path) -> Result<Signer, FileError> {
    let key = secret(path)?;
    Signer::from_key(key).map_err(|source| FileError::NotAChainKey { path: path.to_owned(), source })
}

/// Writes 32 secret bytes into a new file that only its owner may read.
///
/// # Errors
/// [`FileError::Exists`] rather than overwriting anything; [`FileError::Write`].
pub fn write_secret(path: &Path, seed: &Zeroizing<[u8; 32]>) -> Result<(), FileError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        _ => FileError::Write { path: path.to_owned(), source },
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(failed)?;
    let digits = Zeroizing::new(format!("{}\n", hex::encode(seed.as_slice())));
    file.write_all(digits.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// The verified profile in a file.
///
/// # Errors
/// [`FileError`]; [`FileError::Profile`] for a wrong signature or one past its expiry.
pub fn read_profile(path: &Path, now: UnixMillis) -> Result<(NetworkId, Signed<Profile>), FileError> {
    let bytes = read(path)?;
    let envelope =
        Envelope::from_bytes::<Profile>(&bytes).map_err(|_| FileError::NotAProfile(path.to_owned()))?;
    profile::accept(envelope, None, now)
        .map_err(|source| FileError::Profile { path: path.to_owned(), source })
}

/// Which chain account each publisher deposits from: a JSON object from key (hexadecimal) to checksummed address.
///
/// # Errors
/// [`FileError`].
pub fn read_publishers(path: &Path) -> Result<BTreeMap<PublisherId, String>, FileError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|source| FileError::NotPublishers { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_is_never_overwritten() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        let seed = Zeroizing::new([7; 32]);
        write_secret(&path, &seed).expect("a new file");
        assert_eq!(read_key(&path).expect("readable").public(), Key::from_seed(&seed).public());
        let again = write_secret(&path, &Zeroizing::new([8; 32]));
        assert!(matches!(again, Err(FileError::Exists(_))));
        assert_eq!(read_key(&path).expect("readable").public(), Key::from_seed(&seed).public());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        write_secret(&path, &Zeroizing::new([7; 32])).expect("a new file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
        assert!(matches!(read_key(&path), Err(FileError::Open(_))));
    }

    #[test]
    fn a_short_key_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        write_secret(&path, &Zeroizing::new([7; 32])).expect("a new file");
        std::fs::write(&path, "abcd\n").expect("ours");
        assert!(matches!(read_key(&path), Err(FileError::NotAKey(_))));
    }
}
