//! Network: the only room that opens a socket to anything but this machine's own programs.
//!
//! It owns the [`Net`] facade (HTTP and HTTPS with a purpose on every call), the [`Journal`] hook and the measurement of
//! the line. It knows no message of Hearth: callers bring bytes and get bytes. It never follows a redirect, never reads
//! a proxy from the environment, never retries, and sends nothing for which no journal row could be opened. The agent,
//! the contributor's link, the coordinator's RPC, `publish` and xtask call it.
//!
//! ```no_run
//! # async fn example() -> Result<(), network::NetError> {
//! use std::sync::Arc;
//! use network::{MemoryJournal, Net, Purpose, Request};
//!
//! let net = Net::with_system_clock(Arc::new(MemoryJournal::default()));
//! let answer = net.request(Request::post(Purpose::Coordinator, "enroll", "http://127.0.0.1:8470/v1/enroll", "body")).await?;
//! assert_eq!(answer.status, 200);
//! # Ok(())
//! # }
//! ```
//!
//! What is counted is the payload of the TCP stream in both directions, with HTTP headers and encryption. Not counted
//! are the operating system's own headers and retransmissions, and its look-up of the destination's name. Beside our
//! count stands the kernel's own for the same connection, where there is one ([`SYSTEM_COUNTER`]).

mod copying;
pub mod delivery;
mod journal;
mod measure;
mod meter;
mod net;
mod peers;
mod purpose;
mod relay;
mod scavenger;
mod system;
mod tls;

pub use bytes::Bytes;
pub use http::Method;

pub use copying::{KEPT_BODY_BYTES, SentMessage};
pub use journal::{Counts, Egress, Journal, JournalError, MemoryJournal, MemoryRow, Outcome, RowId};
pub use measure::{MeasureError, Measurement, Measuring, Phase, measure};
pub use meter::Progress;
pub use net::{Answer, Clock, Net, NetError, Request, Saved, system_clock};
pub use peers::{Caller, Peers, PeersError, PeersSetup};
pub use purpose::{PURPOSES, Purpose, PurposeEntry};
pub use relay::{Admits, Relay, RelayError, RelaySetup, RelayTls};
pub use scavenger::{Congestion, LiveCap, factory as congestion_factory};
pub use system::{SYSTEM_COUNTER, SystemCount, SystemCounter};
