//! The device's key: 32 bytes in a file that only the owner can read, made once.
//!
//! It signs what this device says to coordinators; it is not the wallet's key and cannot spend. A file that is there and
//! cannot be read is never replaced: a new key would be a new device without the old one's receipts.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use protocol::sign::Key;
use zeroize::Zeroizing;

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "device.key";

/// Why there is no device key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is there and cannot be read.
    #[error("read the device key {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file is there and is not 32 bytes long.
    #[error("the device key {path} is damaged; restore it from a backup or move it away")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error("the device key {path} may be read by others; make it private with chmod 600")]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// The file cannot be made.
    #[error("write the device key {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The system has no random numbers.
    #[error("draw a random key")]
    Random(#[source] std::io::Error),
}

/// The key in `data_dir`, made by the system's random numbers if there is no file yet.
///
/// # Errors
/// [`IdentityError`]; a file that is there stays as it is.
pub fn load_or_create(data_dir: &Path) -> Result<Key, IdentityError> {
    let path = data_dir.join(FILE_NAME);
    match load(&path) {
        Err(IdentityError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            create(&path)
        }
        loaded => loaded,
    }
}

fn load(path: &Path) -> Result<Key, IdentityError> {
    let failed = |source| IdentityError::Read { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path: path.to_owned() });
        }
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(33));
    (&mut file).take(33).read_to_end(&mut bytes).map_err(failed)?;
    let seed: [u8; 32] =
        bytes.as_slice().try_into().map_err(|_| IdentityError::Damaged { path: path.to_owned() })?;
    Ok(Key::from_seed(&Zeroizing::new(seed)))
}

/// Writes a fresh key beside the final name and links it there, so that two starts at once cannot make two keys and a
/// crash cannot leave half a file.
fn create(path: &Path) -> Result<Key, IdentityError> {
    let failed = |source| IdentityError::Write { path: path.to_owned(), source };
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| IdentityError::Random(std::io::Error::other(error.to_string())))?;
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&fresh).map_err(failed)?;
    let written = file.write_all(seed.as_slice()).and_then(|()| file.sync_all());
    // A hard link fails where the name exists: an existing key is never replaced.
    let linked = written.and_then(|()| std::fs::hard_link(&fresh, path));
    std::fs::remove_file(&fresh).map_err(failed)?;
    match linked {
        Ok(()) => Ok(Key::from_seed(&seed)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create(dir.path()).unwrap();
        let second = load_or_create(dir.path()).unwrap();
        assert_eq!(first.device(), second.device(), "a restart is the same device");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "nobody else may read it");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no half-made key stays behind");
    }

    #[test]
    fn a_damaged_key_is_reported_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, b"short").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert!(matches!(load_or_create(dir.path()), Err(IdentityError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"short", "a new key over it would lose the device");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE_NAME);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_or_create(dir.path()), Err(IdentityError::Exposed { .. })));
    }
}
