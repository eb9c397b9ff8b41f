//! The operating system's own count of one TCP connection, as a witness beside ours.
//!
//! It asks the kernel what it counted for a socket and never looks at what [`crate::meter`] counted, so that an error of
//! ours shows as a difference. The meter asks once for each connection, when this side closes it. Where the system has
//! no such counter, or where it is not read on this system, the answer is `None` and the report says so.

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// What the kernel counted for one connection: payload of the stream in each direction, repeated bytes once, without
/// the headers of packets. That is the same quantity as ours, so the two are equal unless one of them is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCount {
    /// Bytes that were handed to the kernel for sending.
    pub sent_bytes: u64,
    /// Bytes that the kernel handed to this program. What arrived after the last read, for example a server's goodbye, was
    /// read by nobody and is in neither count.
    pub received_bytes: u64,
}

/// Which counter of the operating system stands beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemCounter {
    /// Linux's `TCP_INFO`, read from each socket: must equal ours.
    TcpInfo,
    /// None is read on this system.
    None,
}

/// The counter of the system that this program was built for.
pub const SYSTEM_COUNTER: SystemCounter = if cfg!(all(target_os = "linux", target_env = "gnu")) {
    SystemCounter::TcpInfo
} else {
    // Windows has SIO_TCP_INFO and macOS TCP_CONNECTION_INFO; neither could be tried for equality so far, and a figure
    // that was never compared is no witness.
    SystemCounter::None
};

/// What the kernel counted for `stream` until now. `at_end` says that the other side's end of the stream was read.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn count(_: &TcpStream, _: bool) -> Option<SystemCount> {
    None
}

/// What the kernel counted for `stream` until now. `at_end` says that the other side's end of the stream was read.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn count(stream: &TcpStream, at_end: bool) -> Option<SystemCount> {
    // The count and what of it waits unread are two questions; more may arrive between them while a call is broken off.
    (0..4).find_map(|_| {
        let info = ask(stream)?;
        let unread = rustix::io::ioctl_fionread(stream).ok()?;
        let again = ask(stream)?;
        (info.tcpi_bytes_received == again.tcpi_bytes_received).then(|| SystemCount {
            sent_bytes: info
                .tcpi_bytes_sent
                .saturating_sub(info.tcpi_bytes_retrans)
                // What waits in the socket is sent by the kernel after we have closed it.
                .saturating_add(info.tcpi_notsent_bytes.into()),
            received_bytes: info
                .tcpi_bytes_received
                .saturating_sub(u64::from(counts_the_end(info.tcpi_state, at_end)))
                .saturating_sub(unread),
        })
    })
}

/// Linux's account of a connection, where it counts what is needed here.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn ask(stream: &TcpStream) -> Option<libc::tcp_info> {
    use std::os::fd::AsRawFd as _;

    let size = std::mem::size_of::<libc::tcp_info>();
    let mut length = libc::socklen_t::try_from(size).ok()?;
    #[expect(unsafe_code, reason = "no safe crate of ours reads TCP_INFO")]
    // SAFETY: the structure consists of integers only, so all zeros is a value of it; the descriptor is open while
    // `stream` is borrowed; the kernel writes at most `length` bytes, which is the size of the structure.
    let (info, answer) = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let answer = libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            std::ptr::from_mut(&mut info).cast(),
            &raw mut length,
        );
        (info, answer)
    };
    // Linux before 4.19 does not count the bytes sent and answers with a shorter structure. An emulation of Linux may
    // answer with zeros, which a connection that was made cannot have: it sent at least its first segment.
    let known = usize::try_from(length).is_ok_and(|length| {
        length >= std::mem::offset_of!(libc::tcp_info, tcpi_bytes_retrans) + std::mem::size_of::<u64>()
    });
    (answer == 0 && known && info.tcpi_segs_out > 0).then_some(info)
}

/// Whether the bytes received of a socket in `state` (`enum` of Linux's `net/tcp_states.h`) hold one for the other
/// side's end of the stream: that end takes a sequence number, and the kernel counts those.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn counts_the_end(state: u8, at_end: bool) -> bool {
    const CLOSE: u8 = 7;
    const CLOSE_WAIT: u8 = 8;
    const LAST_ACK: u8 = 9;
    const CLOSING: u8 = 11;
    match state {
        CLOSE_WAIT | LAST_ACK | CLOSING => true,
        // A reset hides whether an end came before it; if it was read, it came.
        CLOSE => at_end,
        _ => false,
    }
}
