//! Free space where Hearth keeps its data, asked of Windows for the folder itself.
//!
//! The portable reading compares names: there disks are called `C:\` and canonical folders `\\?\C:\…`, which
//! never match, and a folder may be another disk's as well.

use std::io;
use std::iter::once;
use std::os::windows::ffi::OsStrExt as _;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

use crate::signals::{Reading, Unknown};

/// Free space in MB, less what the owner's quota does not let this program have.
pub(super) fn free_mbytes(folder: &Path) -> Reading<u64> {
    // Before the first start the folder is not there; those above it are on the same disk.
    let Some(folder) = folder.ancestors().find(|folder| folder.is_dir()) else {
        return Reading::Unknown(Unknown::NoSource);
    };
    match free_bytes(folder) {
        Ok(bytes) => Reading::Known(bytes / 1_000_000),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "free disk is unknown");
            Reading::Unknown(Unknown::Failed)
        }
    }
}

#[expect(unsafe_code, reason = "std does not tell of disks")]
fn free_bytes(folder: &Path) -> io::Result<u64> {
    // A name of the file system's holds no NUL.
    let name: Vec<u16> = folder.as_os_str().encode_wide().chain(once(0)).collect();
    let mut free = 0;
    let (total, free_in_all) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the name ends with NUL, and the call writes only to the local whose address it gets.
    let answer = unsafe { GetDiskFreeSpaceExW(name.as_ptr(), &raw mut free, total, free_in_all) };
    if answer == 0 { Err(io::Error::last_os_error()) } else { Ok(free) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_free_space_before_it_is_made() {
        let there = tempfile::tempdir().unwrap();
        let free = free_mbytes(there.path());
        assert!(matches!(free, Reading::Known(1..)), "{free:?}");
        let to_come = free_mbytes(&there.path().join("not/made/yet"));
        assert!(matches!(to_come, Reading::Known(1..)), "{to_come:?}");
    }
}
