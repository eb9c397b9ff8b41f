//! The coordinator: hands out leases, checks results, keeps the ledger, closes epochs, relays withdrawals.
//!
//! [`serve()`] runs one: an HTTP server, one loop that owns the state over a SQLite file, the trusted verifier on a
//! thread of its own, and the treasurer's task that looks after the chain. What is decided lies in the pure modules
//! [`dispatch`], [`audit`], [`credit`] and [`epoch`]. The room never opens a socket to anybody: its view of the chain
//! goes through the network room. The programs `coordinator` and `publish` and the whole-system tests call it.

mod api;
pub mod audit;
pub mod blobs;
mod coordinator;
pub mod credit;
pub mod delivery;
pub mod depositing;
pub mod dispatch;
pub mod epoch;
pub mod files;
pub mod founding;
pub mod package_folder;
pub mod publishing;
mod running;
pub mod status;
mod store;
pub mod treasury;
pub mod verifier;

pub use coordinator::{Clock, EpochOutcome, JobProgress, LedgerReport, OutputIndex, Randomness, Refused};
pub use running::{ChainSetup, Running, ServeError, Setup, serve, system_clock, system_randomness};
pub use store::StoreError;
