//! Whether a program records sound or has a camera open, by the kernel's files. Which program is never kept.
//!
//! The state of each recording device is asked for at every look, since the kernel does not push it. A camera is looked
//! for among the open files of this user's processes, which costs some milliseconds; so that is done only when the kernel
//! has said, since the last look, that a camera was opened or closed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::notices;
use crate::signals::{Reading, Unknown};

/// How many looks in a row go through the open files after a notice. The kernel says that a file is opened a moment
/// before the process has it, so the first look may come too early.
const LOOKS: u8 = 2;

/// The microphones and cameras.
#[derive(Debug)]
pub(super) struct Devices {
    asound: PathBuf,
    camera: Camera,
}

#[derive(Debug)]
struct Camera {
    dev: PathBuf,
    proc: PathBuf,
    /// None where the kernel has no more of them to give: each look goes through the open files then.
    notices: Option<OwnedFd>,
    watched: BTreeSet<PathBuf>,
    looks_left: u8,
    last: Reading<bool>,
}

impl Devices {
    /// Those of this system.
    pub(super) fn open() -> Self {
        Self::at(Path::new("/proc/asound"), Path::new("/dev"), Path::new("/proc"))
    }

    /// With other folders than the system's.
    fn at(asound: &Path, dev: &Path, proc: &Path) -> Self {
        // Links of open files name the real place.
        let dev = dev.canonicalize().unwrap_or_else(|_| dev.to_owned());
        Self { asound: asound.to_owned(), camera: Camera::watch(dev, proc.to_owned()) }
    }

    /// A program records from a microphone.
    pub(super) fn microphone(&self) -> Reading<bool> {
        match records(&self.asound) {
            Ok(records) => Reading::Known(records),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Reading::Unknown(Unknown::NoSource),
            Err(_) => Reading::Unknown(Unknown::Failed),
        }
    }

    /// A program of this user has a camera open.
    pub(super) fn camera(&mut self) -> Reading<bool> {
        self.camera.look()
    }
}

/// Whether any recording stream of any sound card is open: `card0/pcm0c/sub0/status` tells its state, or "closed".
fn records(asound: &Path) -> io::Result<bool> {
    for card in numbered(asound, "card", "")? {
        // A card that is pulled out meanwhile records nothing.
        for stream in numbered(&card, "pcm", "c").unwrap_or_default() {
            for part in numbered(&stream, "sub", "").unwrap_or_default() {
                let status = fs::read_to_string(part.join("status")).unwrap_or_default();
                if status.lines().next().is_some_and(|state| state.trim() != "closed") {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// The entries of a folder that are called `before`, a number, `after`.
fn numbered(folder: &Path, before: &str, after: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(before)?.strip_suffix(after));
        if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

impl Camera {
    fn watch(dev: PathBuf, proc: PathBuf) -> Self {
        let notices = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .and_then(|notices| {
                // Cameras are plugged in and out.
                inotify::add_watch(&notices, &dev, WatchFlags::CREATE | WatchFlags::DELETE)?;
                Ok(notices)
            })
            .inspect_err(|error| {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "the kernel does not tell of cameras; each look searches for them");
            })
            .ok();
        let (watched, last) = (BTreeSet::new(), Reading::Unknown(Unknown::NotYet));
        Self { dev, proc, notices, watched, looks_left: LOOKS, last }
    }

    fn look(&mut self) -> Reading<bool> {
        let told = self.notices.as_ref().is_none_or(|notices| notices::drained(notices).unwrap_or(true));
        if told {
            self.looks_left = LOOKS;
        }
        if self.looks_left > 0 {
            self.looks_left -= 1;
            self.last = match self.search() {
                Ok(open) => Reading::Known(open),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "cameras cannot be looked for");
                    // Tried again at the next look.
                    self.looks_left = LOOKS;
                    Reading::Unknown(Unknown::Failed)
                }
            };
        }
        self.last
    }

    /// Looks for cameras and for a process that has one open.
    fn search(&mut self) -> io::Result<bool> {
        let cameras: BTreeSet<PathBuf> = numbered(&self.dev, "video", "")?.into_iter().collect();
        if let Some(notices) = &self.notices {
            // One that has gone takes its watch along, so one that comes back under its name is asked for anew; asking
            // twice for the same file is asking once. This comes before the search, so that nothing falls between.
            for camera in &cameras {
                match inotify::add_watch(notices, camera, WatchFlags::OPEN | WatchFlags::CLOSE) {
                    Ok(_) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.watched = cameras;
        Ok(!self.watched.is_empty() && self.is_open_somewhere()?)
    }

    fn is_open_somewhere(&self) -> io::Result<bool> {
        for process in numbered(&self.proc, "", "")? {
            // Those of other users may not be looked at, and any may have ended.
            let Ok(files) = fs::read_dir(process.join("fd")) else { continue };
            for file in files.flatten() {
                if fs::read_link(file.path()).is_ok_and(|target| self.watched.contains(&target)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
