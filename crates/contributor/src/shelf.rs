//! Blobs on this disk: programs, their sources and inputs, each a file named by its BLAKE3 hash.
//!
//! A blob is checked against its name when it is put on the shelf and again whenever it is read, so a damaged file is
//! fetched anew and never computed on. Methods block; callers run them off the loop. The link puts, the runner reads.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use protocol::id::Hash;
use protocol::manifest::InputRange;

/// Blobs beyond this are given up, those not used for longest first.
pub const QUOTA_BYTES: u64 = 2 << 30;

/// Why a blob cannot be put or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// The system refused.
    #[error("use the blob {}", .blob.short())]
    Io {
        /// Which blob.
        blob: Hash,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The bytes do not hash to the blob's name.
    #[error("the bytes of the blob {} are not what its name says", .blob.short())]
    Damaged {
        /// Which blob.
        blob: Hash,
    },
    /// The blob is longer than accepted, or shorter than the range asked for.
    #[error("the blob {} has the wrong length", .blob.short())]
    Length {
        /// Which blob.
        blob: Hash,
    },
}

impl ShelfError {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    }
}

/// The folder of blobs.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// The shelf in `dir`, which is made if it is missing. Half-fetched files of an earlier life are removed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(dir: &Path) -> Result<Self, std::io::Error> {
        std::fs::create_dir_all(dir)?;
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where a complete blob lies.
    pub(crate) fn path(&self, blob: &Hash) -> PathBuf {
        self.dir.join(blob.to_string())
    }

    /// Where a fetch writes until it is complete.
    pub fn part_path(&self, blob: &Hash) -> PathBuf {
        self.dir.join(format!("{blob}.part"))
    }

    /// Where the tree of a blob's hashes is kept once it was delivered.
    pub(crate) fn outboard_path(&self, blob: &Hash) -> PathBuf {
        self.dir.join(format!("{blob}.hashes"))
    }

    /// Every complete blob with its length.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn list(&self) -> Result<Vec<(Hash, u64)>, std::io::Error> {
        let mut blobs = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if let Some(blob) = entry.file_name().to_str().and_then(|name| name.parse::<Hash>().ok()) {
                blobs.push((blob, entry.metadata()?.len()));
            }
        }
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// Whether the blob is there (its bytes are checked when it is read).
    pub fn has(&self, blob: &Hash) -> bool {
        self.path(blob).is_file()
    }

    /// Takes in the file at [`Shelf::part_path`] if it is what its name says.
    ///
    /// # Errors
    /// [`ShelfError`]; a wrong file is removed.
    pub fn put(&self, blob: &Hash) -> Result<(), ShelfError> {
        let part = self.part_path(blob);
        let failed = |source| ShelfError::Io { blob: *blob, source };
        let mut hasher = blake3::Hasher::new();
        let file = std::fs::File::open(&part).map_err(failed)?;
        hasher.update_reader(&file).map_err(failed)?;
        if hasher.finalize().as_bytes() != blob.as_bytes() {
            std::fs::remove_file(&part).map_err(failed)?;
            return Err(ShelfError::Damaged { blob: *blob });
        }
        file.sync_all().and_then(|()| std::fs::rename(&part, self.path(blob))).map_err(failed)
    }

    /// The whole blob of at most `limit_bytes`.
    ///
    /// # Errors
    /// [`ShelfError`]; a damaged file is removed, so that it can be fetched again.
    pub fn read(&self, blob: &Hash, limit_bytes: u64) -> Result<Vec<u8>, ShelfError> {
        let path = self.path(blob);
        let failed = |source| ShelfError::Io { blob: *blob, source };
        let file = std::fs::File::open(&path).map_err(failed)?;
        let mut bytes = Vec::new();
        (&file).take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(ShelfError::Length { blob: *blob });
        }
        if Hash::of(&bytes) != *blob {
            std::fs::remove_file(&path).map_err(failed)?;
            return Err(ShelfError::Damaged { blob: *blob });
        }
        // The time of use decides what is given up first; a system that cannot note it gives up by age.
        if let Err(error) = file.set_modified(SystemTime::now()) {
            tracing::debug!(error = &error as &dyn std::error::Error, "a blob's time of use cannot be noted");
        }
        Ok(bytes)
    }

    /// The bytes of a range.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn read_range(&self, range: &InputRange, limit_bytes: u64) -> Result<Vec<u8>, ShelfError> {
        let mut bytes = self.read(&range.blob, limit_bytes)?;
        let start = usize::try_from(range.offset_bytes).ok();
        let end = start.and_then(|start| start.checked_add(range.bytes as usize));
        match (start, end) {
            (Some(start), Some(end)) if end <= bytes.len() => {
                bytes.truncate(end);
                Ok(bytes.split_off(start))
            }
            _ => Err(ShelfError::Length { blob: range.blob }),
        }
    }

    /// Gives blobs up until at most `quota_bytes` remain, those not used for longest first, none of `needed`.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn trim(&self, needed: &BTreeSet<Hash>, quota_bytes: u64) -> Result<(), std::io::Error> {
        let mut files = Vec::new();
        let mut sum = 0;
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let data = entry.metadata()?;
            sum += data.len();
            let blob = entry.file_name().to_str().and_then(|name| name.parse::<Hash>().ok());
            if let Some(blob) = blob
                && !needed.contains(&blob)
            {
                files.push((data.modified()?, data.len(), entry.path()));
            }
        }
        files.sort();
        for (_, bytes, path) in files {
            if sum <= quota_bytes {
                break;
            }
            let hashes = path.with_extension("hashes");
            if let Ok(data) = std::fs::metadata(&hashes) {
                std::fs::remove_file(hashes)?;
                sum -= data.len();
            }
            std::fs::remove_file(path)?;
            sum -= bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(shelf: &Shelf, bytes: &[u8]) -> Hash {
        let blob = Hash::of(bytes);
        std::fs::write(shelf.part_path(&blob), bytes).unwrap();
        shelf.put(&blob).unwrap();
        blob
    }

    #[test]
    fn a_blob_that_is_not_what_its_name_says_is_neither_kept_nor_read() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path()).unwrap();
        let name = Hash::of(b"right");
        std::fs::write(shelf.part_path(&name), b"wrong").unwrap();
        assert!(matches!(shelf.put(&name), Err(ShelfError::Damaged { .. })));
        assert!(!shelf.has(&name));

        let blob = put(&shelf, b"right");
        std::fs::write(dir.path().join(blob.to_string()), b"rot!!").unwrap();
        assert!(matches!(shelf.read(&blob, 100), Err(ShelfError::Damaged { .. })));
        assert!(!shelf.has(&blob), "so that it is fetched anew");
    }

    #[test]
    fn ranges_are_bounded_by_the_blob() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path()).unwrap();
        let blob = put(&shelf, b"0123456789");
        let range = |offset_bytes, bytes| InputRange { blob, offset_bytes, bytes };
        assert_eq!(shelf.read_range(&range(2, 3), 100).unwrap(), b"234");
        for wrong in [range(8, 3), range(u64::MAX, 1)] {
            assert!(matches!(shelf.read_range(&wrong, 100), Err(ShelfError::Length { .. })));
        }
    }

    #[test]
    fn trimming_spares_what_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path()).unwrap();
        let (needed, other) = (put(&shelf, &[1; 100]), put(&shelf, &[2; 100]));
        shelf.trim(&BTreeSet::from([needed]), 50).unwrap();
        assert!(shelf.has(&needed) && !shelf.has(&other));
    }
}
