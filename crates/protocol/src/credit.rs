//! What a contribution is worth: kinds of credit and what an audit can find. Checked integers only.

use serde::{Deserialize, Serialize};

/// For what credit is given. Bare availability, claims of hardware and benchmarks are never credited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "snake_case")]
pub enum CreditKind {
    /// Accepted slices of own units.
    Computed,
    /// Accepted slices that repeated another device's work.
    Audited,
    /// Verified bytes delivered.
    Delivered,
    /// Data held and shown to be held.
    Held,
    /// Credit taken back after evidence of a fault; its amount is subtracted.
    Revoked,
}

/// What the audit of a bundle found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every audited slice agreed.
    Accepted,
    /// A slice differed and the trusted verifier sided against this device: no pay for the bundle.
    Rejected,
    /// The result never came, or came late.
    Expired,
}
