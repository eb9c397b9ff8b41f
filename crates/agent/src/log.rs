//! The diagnostic log: one file in the data directory and the one before it, each of bounded size.
//!
//! It holds what happened to the program, never what a person did with it: no passphrase, words, token or command line
//! is ever logged, and there is no way to send it anywhere. What left the machine is in the journal, which is another
//! thing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Size at which the file becomes the one before.
const MAX_BYTES: u64 = 2 * 1024 * 1024;
/// Variable that chooses what is logged, in `tracing`'s form.
pub const FILTER_VARIABLE: &str = "HEARTH_LOG";

/// Logs into `directory`, and with `terminal` to standard error too.
///
/// # Errors
/// The file cannot be opened.
pub fn start(directory: &Path, terminal: bool) -> io::Result<()> {
    let file = BoundedFile::open(directory.join("hearth.log"), MAX_BYTES)?;
    let filter =
        |plain: &str| EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(plain));
    let to_file = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(file));
    let to_terminal =
        terminal.then(|| tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr));
    // A second subscriber in one process happens in tests only; the first one stays.
    if tracing_subscriber::registry().with(filter("info")).with(to_file).with(to_terminal).try_init().is_err()
    {
        tracing::debug!("a log was started before");
    }
    Ok(())
}

/// A file that is moved aside when it is full.
#[derive(Debug)]
struct BoundedFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    max_bytes: u64,
}

impl BoundedFile {
    fn open(path: PathBuf, max_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, max_bytes })
    }
}

impl Write for BoundedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.max_bytes {
            fs::rename(&self.path, self.path.with_extension("log.before"))?;
            self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            self.bytes = 0;
        }
        let written = self.file.write(line)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_never_grows_past_two_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hearth.log");
        let mut log = BoundedFile::open(path.clone(), 100).unwrap();
        for _ in 0..50 {
            log.write_all(b"a line of twenty five.\n").unwrap();
        }
        let names = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, 2, "the present file and the one before");
        assert!(fs::metadata(&path).unwrap().len() <= 100);
        let reopened = BoundedFile::open(path.clone(), 100).unwrap();
        assert_eq!(reopened.bytes, fs::metadata(&path).unwrap().len(), "a restart goes on counting");
    }
}
