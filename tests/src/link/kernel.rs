//! What the link needs of the kernel and no safe call offers: a network namespace of its own and a TUN device in it.

#![expect(
    unsafe_code,
    reason = "unshare and the TUN ioctl have no safe wrapper among the crates of this workspace"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// linux/if_tun.h: `TUNSETIFF` is declared as writing an int although it takes an ifreq.
const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;

/// struct ifreq of linux/if.h: a name, then a union of 24 bytes, of which TUNSETIFF reads the flags.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    unused: [u8; 22],
}

/// Takes the calling thread, and what it starts from then on, into a new network namespace.
pub(super) fn leave_network() -> io::Result<()> {
    // SAFETY: only the network namespace is left. The danger that the function warns of belongs to UnshareFlags::FILES.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Makes the TUN device `name` in the calling thread's network namespace. Reading it never waits; each read and write is
/// one IP packet. The device lives as long as the file.
pub(super) fn open_tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open("/dev/net/tun")?;
    let mut request = InterfaceRequest { name: [0; 16], flags: IFF_TUN | IFF_NO_PI, unused: [0; 22] };
    // The last byte stays zero: it ends the name.
    for (place, byte) in request.name[..15].iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    // SAFETY: TUNSETIFF reads an ifreq, which InterfaceRequest has the size and layout of, and keeps no pointer to it.
    unsafe { ioctl(&file, Setter::<TUNSETIFF, InterfaceRequest>::new(request)) }?;
    Ok(file)
}
