//! Content-addressed files on the coordinator's disk: recordings, kernels, signed results, epoch lists.
//!
//! A blob is visible under its hash only after all its bytes are on the disk and have been hashed: it is written to a
//! file beside, synced, and renamed. It never overwrites, never trusts a name, and bounds every size before writing.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use protocol::id::{Hash, Nonce};
use protocol::manifest::InputRange;

/// Largest blob: a recording of 8 GiB.
pub const MAX_BLOB_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Why a blob cannot be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The disk is full. Nothing is left half-written.
    #[error("the disk is full")]
    Full(#[source] io::Error),
    /// Another failure of the disk.
    #[error("access the blob store")]
    Io(#[source] io::Error),
    /// More bytes arrived than were announced.
    #[error("more than the announced {announced} bytes arrived")]
    TooLong {
        /// Announced size.
        announced: u64,
    },
    /// The bytes have another hash than their name.
    #[error("the bytes have another hash than announced")]
    WrongHash,
    /// No such blob here.
    #[error("no blob {0}")]
    NotFound(Hash),
    /// The blob is shorter than the range asked for.
    #[error("the range passes the end of the blob")]
    Range,
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Io(error),
        }
    }
}

/// A directory of blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    directory: PathBuf,
}

/// A blob on its way in. Dropped before [`Incoming::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    hash: Hash,
    announced: u64,
    written: u64,
    hasher: blake3::Hasher,
    finished: bool,
}

impl Blobs {
    /// Opens (or makes) the directory and removes what an earlier run left half-written.
    ///
    /// # Errors
    /// [`BlobError::Io`] or [`BlobError::Full`].
    pub fn open(directory: &Path) -> Result<Self, BlobError> {
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { directory: directory.to_owned() })
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.directory.join(hash.to_string())
    }

    /// Size of a blob; `None` when it is not here.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn size(&self, hash: &Hash) -> Result<Option<u64>, BlobError> {
        match fs::metadata(self.path(hash)) {
            Ok(data) => Ok(Some(data.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a blob for reading, with its size.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] or [`BlobError::Io`].
    pub fn reader(&self, hash: &Hash) -> Result<(File, u64), BlobError> {
        let file = File::open(self.path(hash)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::NotFound(*hash),
            _ => error.into(),
        })?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }

    /// The whole of a blob of at most `limit_bytes`.
    ///
    /// # Errors
    /// [`BlobError`]; [`BlobError::TooLong`] over the limit.
    pub fn read(&self, hash: &Hash, limit_bytes: u64) -> Result<Vec<u8>, BlobError> {
        let (mut file, bytes) = self.reader(hash)?;
        if bytes > limit_bytes {
            return Err(BlobError::TooLong { announced: limit_bytes });
        }
        let mut content = Vec::with_capacity(bytes as usize);
        file.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Some bytes of a blob; the caller has bounded the length.
    ///
    /// # Errors
    /// [`BlobError`]; [`BlobError::Range`] past the end.
    pub fn range(&self, range: &InputRange) -> Result<Vec<u8>, BlobError> {
        let (mut file, bytes) = self.reader(&range.blob)?;
        let end = range.offset_bytes.checked_add(range.bytes.into()).ok_or(BlobError::Range)?;
        if end > bytes {
            return Err(BlobError::Range);
        }
        file.seek(SeekFrom::Start(range.offset_bytes))?;
        let mut content = vec![0; range.bytes as usize];
        file.read_exact(&mut content)?;
        Ok(content)
    }

    /// Starts a blob whose bytes will arrive in parts. `random` makes the temporary name unique.
    ///
    /// # Errors
    /// [`BlobError::TooLong`] over [`MAX_BLOB_BYTES`], or the disk's.
    pub fn receive(&self, hash: Hash, announced: u64, random: Nonce) -> Result<Incoming, BlobError> {
        if announced > MAX_BLOB_BYTES {
            return Err(BlobError::TooLong { announced: MAX_BLOB_BYTES });
        }
        let temporary = self.directory.join(format!("{random}.part"));
        let file = File::create_new(&temporary)?;
        Ok(Incoming {
            file,
            temporary,
            target: self.path(&hash),
            hash,
            announced,
            written: 0,
            hasher: blake3::Hasher::new(),
            finished: false,
        })
    }

    /// Stores bytes that are in memory and returns their address. Storing the same bytes again changes nothing.
    ///
    /// # Errors
    /// The disk's.
    pub fn store(&self, bytes: &[u8], random: Nonce) -> Result<Hash, BlobError> {
        let hash = Hash::of(bytes);
        if self.size(&hash)? == Some(bytes.len() as u64) {
            return Ok(hash);
        }
        let mut incoming = self.receive(hash, bytes.len() as u64, random)?;
        incoming.write(bytes)?;
        incoming.finish()?;
        Ok(hash)
    }
}

impl Incoming {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLong`] past the announced size, or the disk's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.written = self.written.saturating_add(bytes.len() as u64);
        if self.written > self.announced {
            return Err(BlobError::TooLong { announced: self.announced });
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
        Ok(())
    }

    /// Checks the hash, syncs, and makes the blob visible.
    ///
    /// # Errors
    /// [`BlobError::WrongHash`] (also for missing bytes), or the disk's.
    pub fn finish(mut self) -> Result<(), BlobError> {
        if Hash(*self.hasher.finalize().as_bytes()) != self.hash || self.written != self.announced {
            return Err(BlobError::WrongHash);
        }
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        self.finished = true;
        // The rename itself must survive a power cut, too.
        if let Some(directory) = self.target.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_file(&self.temporary)
        {
            tracing::warn!(path = %self.temporary.display(), %error, "an unfinished upload stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).expect("a directory").count()
    }

    #[test]
    fn a_blob_appears_only_when_its_bytes_have_the_announced_hash() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let blobs = Blobs::open(directory.path()).expect("an empty store");
        let hash = Hash::of(b"hello");
        let mut incoming = blobs.receive(hash, 5, Nonce([1; 32])).expect("starts");
        incoming.write(b"hel").expect("fits");
        assert_eq!(blobs.size(&hash).expect("readable"), None, "half a blob is no blob");
        incoming.write(b"lo").expect("fits");
        incoming.finish().expect("the right bytes");
        assert_eq!(blobs.read(&hash, 5).expect("stored"), b"hello");

        let mut wrong = blobs.receive(Hash::of(b"other"), 5, Nonce([2; 32])).expect("starts");
        wrong.write(b"hello").expect("fits");
        assert!(matches!(wrong.finish(), Err(BlobError::WrongHash)));
        assert_eq!(entries(directory.path()), 1, "a refused upload leaves nothing");
    }

    #[test]
    fn more_bytes_than_announced_are_refused_at_once() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let blobs = Blobs::open(directory.path()).expect("an empty store");
        let mut incoming = blobs.receive(Hash::of(b"hello"), 4, Nonce([1; 32])).expect("starts");
        assert!(matches!(incoming.write(b"hello"), Err(BlobError::TooLong { announced: 4 })));
        drop(incoming);
        assert_eq!(entries(directory.path()), 0);
        let huge = blobs.receive(Hash::of(b""), MAX_BLOB_BYTES + 1, Nonce([1; 32]));
        assert!(matches!(huge, Err(BlobError::TooLong { .. })));
    }

    #[test]
    fn what_a_crash_left_is_removed_at_the_next_start() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("left.part"), b"half").expect("writable");
        let blobs = Blobs::open(directory.path()).expect("opens");
        assert_eq!(entries(directory.path()), 0);
        let hash = blobs.store(b"hello", Nonce([1; 32])).expect("stored");
        assert_eq!(
            blobs.store(b"hello", Nonce([1; 32])).expect("again"),
            hash,
            "storing twice changes nothing"
        );
    }

    #[test]
    fn a_range_past_the_end_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let blobs = Blobs::open(directory.path()).expect("an empty store");
        let blob = blobs.store(b"hello", Nonce([1; 32])).expect("stored");
        assert_eq!(blobs.range(&InputRange { blob, offset_bytes: 1, bytes: 4 }).expect("inside"), b"ello");
        for (offset_bytes, bytes) in [(2, 4), (u64::MAX, 4)] {
            let outside = blobs.range(&InputRange { blob, offset_bytes, bytes });
            assert!(matches!(outside, Err(BlobError::Range)));
        }
    }
}
