//! Credit receipts: what the coordinator owes a device, as a chain that neither side can rewrite.
//!
//! Receipt n carries the hash of receipt n-1 and the running total. [`Chain::append`] is the only way to grow a
//! chain, so a verified chain is one whose every link was checked.

use serde::{Deserialize, Serialize};

use crate::credit::CreditKind;
use crate::id::{BundleId, CoordinatorId, DeviceId, Hash, NetworkId};
use crate::sign::{Message, Signed};
use crate::units::{BaseUnits, UnixMillis};

/// Signed by the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The network.
    pub network: NetworkId,
    /// Who owes.
    pub coordinator: CoordinatorId,
    /// Who is owed.
    pub device: DeviceId,
    /// Position in the chain, from 1.
    pub sequence: u64,
    /// Body hash of the receipt before; zeros for the first.
    pub previous: Hash,
    /// For what.
    pub kind: CreditKind,
    /// The bundle it is for; zeros for kinds without one.
    pub bundle: BundleId,
    /// Accepted slices.
    pub slices: u32,
    /// This receipt's amount; subtracted for [`CreditKind::Revoked`].
    pub amount: BaseUnits,
    /// Sum of the chain including this receipt.
    pub total: BaseUnits,
    /// When it was written, by the coordinator's clock.
    pub issued_at: UnixMillis,
    /// From when it can enter an epoch's tree.
    pub matures_at: UnixMillis,
    /// Title of the job, for the owner's eyes.
    pub title: String,
}

impl Message for Receipt {
    const TYPE: &'static str = "receipt";
    const MAX_BYTES: usize = 4 * 1024;
}

/// Why a receipt does not continue a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Signed by somebody else than the coordinator named in it, or for another network, device or coordinator.
    #[error("receipt belongs to another network, coordinator or device")]
    Foreign,
    /// A number is missing or came twice.
    #[error("receipt {found} where {expected} was expected")]
    Sequence {
        /// Sequence that would continue the chain.
        expected: u64,
        /// Sequence found.
        found: u64,
    },
    /// The hash of the receipt before does not fit: history was rewritten.
    #[error("receipt does not continue the chain that this device holds")]
    Previous,
    /// The running total is not the old total plus (or minus) the amount.
    #[error("receipt's total does not add up")]
    Total,
}

/// The verified tail of a receipt chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The network.
    pub network: NetworkId,
    /// Who owes.
    pub coordinator: CoordinatorId,
    /// Who is owed.
    pub device: DeviceId,
    /// Sequence of the last receipt; 0 for an empty chain.
    pub sequence: u64,
    /// Body hash of the last receipt; zeros for an empty chain.
    pub tip: Hash,
    /// Running total.
    pub total: BaseUnits,
}

impl Chain {
    /// The empty chain between `device` and `coordinator`.
    pub fn new(network: NetworkId, coordinator: CoordinatorId, device: DeviceId) -> Self {
        Self { network, coordinator, device, sequence: 0, tip: Hash([0; 32]), total: BaseUnits::ZERO }
    }

    /// The chain with `receipt` at its end.
    ///
    /// # Errors
    /// [`ChainError`] when the receipt is foreign, out of order, from another history, or does not add up.
    pub fn append(&self, receipt: &Signed<Receipt>) -> Result<Self, ChainError> {
        let r = receipt.message();
        let foreign = r.network != self.network
            || r.coordinator != self.coordinator
            || r.device != self.device
            || receipt.signer() != self.coordinator.as_bytes();
        if foreign {
            return Err(ChainError::Foreign);
        }
        if r.sequence != self.sequence + 1 {
            return Err(ChainError::Sequence { expected: self.sequence + 1, found: r.sequence });
        }
        if r.previous != self.tip {
            return Err(ChainError::Previous);
        }
        if self.total_after(r.kind, r.amount) != Some(r.total) {
            return Err(ChainError::Total);
        }
        Ok(Self { sequence: r.sequence, tip: receipt.body_hash(), total: r.total, ..self.clone() })
    }

    /// The running total after a receipt of this kind and amount; `None` past either end of the numbers.
    pub fn total_after(&self, kind: CreditKind, amount: BaseUnits) -> Option<BaseUnits> {
        match kind {
            CreditKind::Revoked => self.total.checked_sub(amount),
            CreditKind::Computed | CreditKind::Audited | CreditKind::Delivered | CreditKind::Held => {
                self.total.checked_add(amount)
            }
        }
    }
}
