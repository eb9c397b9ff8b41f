//! Files that are either the old or the new version, whole, whatever happens in between.
//!
//! A write goes to a temporary file beside the target (mode 0600), is flushed to the disk, takes the target's place in
//! one step, and the directory is flushed. The vault and the book of withdrawals use it; it knows neither.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes `bytes` to a file that must not be there yet.
///
/// # Errors
/// `AlreadyExists` when there is anything at `path`; otherwise what the operating system says. Nothing is changed then.
pub(crate) fn create_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = parent(path)?;
    let temporary = written(dir, bytes)?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    flush_dir(dir)
}

/// Puts `bytes` in the place of the file at `path`, or creates it.
///
/// # Errors
/// What the operating system says; the old file is whole then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = parent(path)?;
    let temporary = written(dir, bytes)?;
    temporary.persist(path).map_err(|error| error.error)?;
    flush_dir(dir)
}

/// Reads a file of at most `max_bytes`.
///
/// # Errors
/// `FileTooLarge` above the limit, otherwise what the operating system says.
pub(crate) fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// A temporary file with `bytes` on the disk. tempfile gives it mode 0600, and removes it if it is not persisted.
fn written(dir: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut temporary = tempfile::Builder::new().prefix(".hearth-").tempfile_in(dir)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

#[cfg(unix)]
fn flush_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Windows keeps the order of renames in its own log and gives no handle to flush a directory with.
#[cfg(not(unix))]
fn flush_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creating_never_touches_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        create_new(&path, b"first").unwrap();
        assert_eq!(create_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 100).unwrap(), b"first");
        replace(&path, b"third").unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"third");
        assert_eq!(read(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file may stay behind");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        create_new(&path, b"secret").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, b"secret again").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn failed_replacement_leaves_the_old_version_and_no_rubbish() {
        let dir = tempfile::tempdir().unwrap();
        // A directory that is not empty cannot be replaced by a file, for root neither.
        let path = dir.path().join("file");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inner"), b"kept").unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(std::fs::read(path.join("inner")).unwrap(), b"kept");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary file must be gone");
    }
}
