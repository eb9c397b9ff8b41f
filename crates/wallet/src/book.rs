//! The book of withdrawals: one small file that is on the disk before the world hears of a change.
//!
//! It owns which orders were signed, where they stand, which account the wallet has, and whether its words are backed
//! up. It holds no secret. A book that cannot be read is never overwritten: without it nobody knows what is under way,
//! so nothing is signed until its owner has it set aside. [`crate::Wallet`] calls it.
//!
//! Form: a line `hearth-book 1 <BLAKE3 of the rest>`, then JSON.

use std::io;
use std::path::{Path, PathBuf};

use protocol::id::Hash;
use protocol::units::UnixMillis;
use serde::{Deserialize, Serialize};
use settlement::Address;

use crate::file;
use crate::withdrawal::{State, Withdrawal};

const READ_AT_MOST_BYTES: u64 = 64 * 1024 * 1024;
const HEAD: &str = "hearth-book 1 ";

/// Why the book cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The operating system does not let it be read.
    #[error("the book of withdrawals {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is damaged, foreign, or of a later version. It was left as it is.
    #[error("the book of withdrawals {path} is damaged: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it was noticed.
        what: &'static str,
    },
    /// A change cannot be written, so it did not happen.
    #[error("the book of withdrawals {path} cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// What stands in the book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entries {
    /// The account that this wallet has or had.
    pub(crate) account: Option<Address>,
    /// Whether its words were written down and checked.
    pub(crate) backed_up: bool,
    /// In the order of confirmation.
    pub(crate) withdrawals: Vec<Withdrawal>,
}

impl Entries {
    /// The withdrawal whose money is promised away, if there is one.
    pub(crate) fn live(&self) -> Option<&Withdrawal> {
        self.withdrawals.iter().find(|withdrawal| withdrawal.state.is_live())
    }

    /// No nonce below this one is free: where to begin looking for one.
    pub(crate) fn nonce_hint(&self) -> u64 {
        let used = self
            .withdrawals
            .iter()
            .filter(|withdrawal| matches!(withdrawal.state, State::Final { .. } | State::Replaced));
        used.map(|withdrawal| withdrawal.order.nonce.saturating_add(1)).max().unwrap_or(0)
    }
}

/// A book that could be read.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
    entries: Entries,
}

impl Book {
    /// Reads the book at `path`; where there is none, it is empty.
    pub(crate) fn open(path: &Path) -> Result<Self, BookError> {
        let corrupt = |what| BookError::Corrupt { path: path.to_owned(), what };
        let entries = match file::read(path, READ_AT_MOST_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::default(),
            Err(source) => return Err(BookError::Unreadable { path: path.to_owned(), source }),
            Ok(bytes) => {
                let text = std::str::from_utf8(&bytes).map_err(|_| corrupt("it is no text"))?;
                let (head, body) = text.split_once('\n').ok_or_else(|| corrupt("it has no first line"))?;
                let hash = head.strip_prefix(HEAD).ok_or_else(|| corrupt("its first line is unknown"))?;
                if hash != Hash::of(body.as_bytes()).to_string() {
                    return Err(corrupt("its checksum is wrong"));
                }
                serde_json::from_str(body).map_err(|_| corrupt("its entries cannot be read"))?
            }
        };
        Ok(Self { path: path.to_owned(), entries })
    }

    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Makes a change: on the disk first, then here. After an error nothing has changed in either place.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Entries) -> T) -> Result<T, BookError> {
        let mut staged = self.entries.clone();
        let result = change(&mut staged);
        if staged == self.entries {
            return Ok(result);
        }
        let write = |source| BookError::Write { path: self.path.clone(), source };
        let body = serde_json::to_string(&staged).map_err(|error| write(error.into()))?;
        let file = format!("{HEAD}{}\n{body}", Hash::of(body.as_bytes()));
        file::replace(&self.path, file.as_bytes()).map_err(write)?;
        self.entries = staged;
        Ok(result)
    }
}

/// Moves a book that cannot be read out of the way, on its owner's word, and says where it lies now.
pub(crate) fn set_aside(path: &Path, now: UnixMillis) -> Result<PathBuf, BookError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".aside-{}", now.0));
    let aside = PathBuf::from(name);
    // A hard link never replaces anything, so two books set aside in one millisecond are both kept.
    let moved = std::fs::hard_link(path, &aside).and_then(|()| std::fs::remove_file(path));
    moved.map_err(|source| BookError::Write { path: path.to_owned(), source })?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_on_the_disk_when_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        let mut book = Book::open(&path).unwrap();
        assert_eq!(book.entries(), &Entries::default());
        book.change(|entries| entries.backed_up = true).unwrap();
        assert_eq!(Book::open(&path).unwrap().entries(), book.entries());
        assert!(book.entries().backed_up);
    }

    #[test]
    fn change_that_cannot_be_written_did_not_happen() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let mut book = Book::open(&home.join("book")).unwrap();
        // The directory disappears: full disks and revoked rights end in the same error.
        std::fs::remove_dir(&home).unwrap();
        let error = book.change(|entries| entries.backed_up = true).unwrap_err();
        assert!(matches!(error, BookError::Write { .. }), "{error:?}");
        assert!(!book.entries().backed_up, "memory must not run ahead of the disk");
    }

    #[test]
    fn damaged_book_is_reported_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        Book::open(&path).unwrap().change(|entries| entries.backed_up = true).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(matches!(Book::open(&path), Err(BookError::Corrupt { .. })), "byte {at} went unnoticed");
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "the file was changed");
        }
        std::fs::write(&path, b"").unwrap();
        assert!(
            matches!(Book::open(&path), Err(BookError::Corrupt { .. })),
            "an empty file is no empty book"
        );

        let aside = set_aside(&path, UnixMillis(5)).unwrap();
        assert!(aside.exists() && !path.exists());
        std::fs::write(&path, b"second").unwrap();
        assert!(set_aside(&path, UnixMillis(5)).is_err(), "the first one set aside must not be replaced");
        assert_eq!(std::fs::read(&aside).unwrap(), b"");
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
    }
}
