//! Congestion control for traffic that nobody at home may notice: LEDBAT++ and a cap that can change at any moment.
//!
//! It owns how fast a connection may send: [`factory`] gives what an endpoint builds its controllers from. [`ledbat`] and
//! [`delay`] are pure and decide from what was acknowledged when; [`cap`] shares one [`LiveCap`] among all controllers of
//! one factory; [`adapter`] translates from and to the traits of the QUIC implementation. It opens no socket, reads no
//! clock and knows nothing of what is being sent. The peers' endpoint uses it.
//!
//! Source: draft-irtf-iccrg-ledbat-plus-plus-06. Where this differs, `ledbat` says why.

mod adapter;
mod cap;
mod delay;
mod ledbat;
#[cfg(test)]
mod simulation;

use std::sync::Arc;

use iroh::endpoint::ControllerFactory;

pub use cap::LiveCap;

/// How a connection reacts to what the line tells it. Chosen per platform, by what `cargo xtask bench household` measures
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Congestion {
    /// LEDBAT++: takes what nobody else wants and leaves no queue behind.
    #[default]
    Scavenger,
    /// What iroh does by itself (RFC 9438): fills the buffer of the line until it overflows.
    Cubic,
    /// BBR version 3: keeps a short queue and takes its share beside others.
    Bbr3,
}

/// What builds a controller for each path of each connection. All that come from one factory send no more than `cap`
/// together, whichever way they react; a change of `cap` holds from their next packet on.
pub fn factory(congestion: Congestion, cap: LiveCap) -> Arc<dyn ControllerFactory + Send + Sync> {
    Arc::new(adapter::Factory::new(congestion, cap))
}
