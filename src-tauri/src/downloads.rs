//! Saves text that the agent made into the owner's downloads; the page itself reaches no file.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use protocol::local::{ErrorCode, LocalError};

/// Names tried before giving up: `statement.json`, `statement (2).json`, ...
const ATTEMPTS: u32 = 1000;

/// Writes `text` under `file_name` and returns the path; an existing file is never overwritten.
pub(crate) fn save(folder: &Path, file_name: &str, text: &str) -> Result<PathBuf, LocalError> {
    let (stem, extension) = plain(file_name).ok_or_else(|| LocalError {
        code: ErrorCode::Malformed,
        detail: "the file name may hold letters, figures, dots and hyphens only".to_owned(),
    })?;
    write_new(folder, stem, extension, text).map_err(|error| LocalError {
        code: if error.kind() == io::ErrorKind::StorageFull {
            ErrorCode::DiskFull
        } else {
            ErrorCode::Internal
        },
        detail: format!("{}: {error}", folder.display()),
    })
}

fn write_new(folder: &Path, stem: &str, extension: &str, text: &str) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    for attempt in 1..=ATTEMPTS {
        let name = if attempt == 1 {
            format!("{stem}.{extension}")
        } else {
            format!("{stem} ({attempt}).{extension}")
        };
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many files of this name"))
}

/// Stem and extension of a name that is a name and no path.
fn plain(file_name: &str) -> Option<(&str, &str)> {
    let (stem, extension) = file_name.rsplit_once('.')?;
    let fits = |part: &str, others: &[u8]| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
    };
    (file_name.len() <= 120 && !stem.starts_with('.') && fits(stem, b"-_.") && fits(extension, b""))
        .then_some((stem, extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let first = save(folder.path(), "hearth-statement.json", "one").unwrap();
        let second = save(folder.path(), "hearth-statement.json", "two").unwrap();
        assert_eq!(second.file_name().unwrap(), "hearth-statement (2).json");
        assert_eq!(std::fs::read_to_string(first).unwrap(), "one", "the first file stays as it is");
    }

    #[test]
    fn a_path_is_no_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x.csv", "/etc/x.csv", ".x.csv", "x", "a b.csv", "x.cs/v", "", "."] {
            let refused = save(folder.path(), name, "").unwrap_err();
            assert_eq!(refused.code, ErrorCode::Malformed, "{name:?} must not name a file");
        }
    }
}
