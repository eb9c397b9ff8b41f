//! The engine of a contributor: decides when to share, runs leased work in the worker, speaks with the coordinator, and
//! keeps the books (journal of what left the machine, ledger of what is owed).
//!
//! Pure rooms decide ([`policy`], [`schedule`], [`status`], [`privacy`], [`earnings`]); the loop in [`engine`] owns all
//! state, feeds them events and carries out what they answer. This crate never opens a socket itself (network does),
//! never touches a graphics driver (the worker does), and cannot name a wallet type: the agent above it brings both
//! together. The agent calls [`Engine::start`]; nobody else does.

pub mod benchmark;
pub mod card;
pub mod conformance;
pub mod earnings;
pub mod engine;
pub mod identity;
pub mod journal;
pub mod ledger;
pub mod link;
pub mod policy;
pub mod preferences;
pub mod privacy;
pub mod runner;
pub mod schedule;
pub mod share;
pub mod shelf;
pub mod signals;
pub mod status;
pub mod store;
pub mod thermostat;
pub mod yields;

/// Says that a test was left out, past the harness, which shows what a passing test printed to nobody.
#[cfg(test)]
fn leave_out(what: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "left out: {what}").expect("the test's output is open");
}

pub use engine::{Client, Engine, Handle, Request, RequestError, Setup, StartError};
