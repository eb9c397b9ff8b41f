//! What the kernel tells of changed folders and files, of which only that something changed is of use here.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::inotify;
use rustix::io::Errno;

/// Takes all notices away; whether there were any. `notices` must not block.
pub(super) fn drained(notices: &OwnedFd) -> Result<bool, Errno> {
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(notices, &mut room);
    let mut any = false;
    loop {
        match reader.next() {
            Ok(_) => any = true,
            Err(Errno::WOULDBLOCK) => return Ok(any),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
