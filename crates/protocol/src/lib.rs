//! What two programs of Hearth share: identifiers, job manifests, leases, results, receipts, signatures, and the frames
//! of the three conversations (agent and worker, agent and window, contributor and coordinator).
//!
//! This room is floor 0 of the house. It owns the shape and the canonical bytes of every message, and the bounded
//! parsers for bytes that come from outside. It never performs I/O, never reads a clock, never awaits; time and
//! randomness are arguments. Every other room calls it; it calls none of ours.

pub mod cbor;
pub mod credit;
pub mod delivery;
pub mod frames;
pub mod id;
pub mod local;
pub mod manifest;
pub mod profile;
pub mod receipt;
pub mod sign;
pub mod units;
pub mod wire;
pub mod work;

/// Version of every conversation in this room. A program that meets another number refuses and names both.
pub const PROTOCOL_VERSION: u16 = 1;
