//! What the coordinator owes this device: the verified chain of signed receipts.
//!
//! It owns the order of verification: signature, sequence, hash of the one before, running total; a receipt that fails
//! any of them is not taken in, and neither is any after it. Everything shown as earned comes from here. Sibling of the
//! journal; never moves money. The store keeps the bytes.

use protocol::credit::CreditKind;
use protocol::id::{CoordinatorId, DeviceId, NetworkId};
use protocol::receipt::{Chain, ChainError, Receipt};
use protocol::sign::{Envelope, Signed, VerifyError};
use protocol::units::{BaseUnits, UnixMillis};

/// Why a receipt was not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Not signed by the coordinator.
    #[error("a receipt's signature is wrong")]
    Verify(#[from] VerifyError),
    /// Signed, but it does not continue the chain.
    #[error("a receipt does not continue the chain")]
    Chain(#[from] ChainError),
}

/// The verified receipts of this device.
#[derive(Debug, Clone)]
pub struct Ledger {
    chain: Chain,
    receipts: Vec<Signed<Receipt>>,
}

impl Ledger {
    /// No receipts yet.
    pub fn new(network: NetworkId, coordinator: CoordinatorId, device: DeviceId) -> Self {
        Self { chain: Chain::new(network, coordinator, device), receipts: Vec::new() }
    }

    /// The ledger of saved receipts, verified anew. Where one does not verify the ledger ends before it, and the error
    /// comes along: the rest is to be fetched again.
    pub fn restore(
        network: NetworkId,
        coordinator: CoordinatorId,
        device: DeviceId,
        saved: Vec<Envelope>,
    ) -> (Self, Option<LedgerError>) {
        let mut ledger = Self::new(network, coordinator, device);
        for envelope in saved {
            let taken = ledger.verify(envelope).and_then(|receipt| ledger.append(receipt));
            if let Err(error) = taken {
                return (ledger, Some(error));
            }
        }
        (ledger, None)
    }

    /// Takes in the receipts of a heartbeat, oldest first, and gives those that are new. Receipts that are held already
    /// are passed over.
    ///
    /// # Errors
    /// The first [`LedgerError`] together with the new ones before it: what verified stays.
    pub fn take_in(&mut self, receipts: Vec<Envelope>) -> (Vec<Signed<Receipt>>, Result<(), LedgerError>) {
        let mut fresh = Vec::new();
        for envelope in receipts {
            let receipt = match self.verify(envelope) {
                Ok(receipt) => receipt,
                Err(error) => return (fresh, Err(error)),
            };
            if self.holds(&receipt) {
                continue;
            }
            match self.append(receipt.clone()) {
                Ok(()) => fresh.push(receipt),
                Err(error) => return (fresh, Err(error)),
            }
        }
        (fresh, Ok(()))
    }

    fn verify(&self, envelope: Envelope) -> Result<Signed<Receipt>, LedgerError> {
        Ok(envelope.verify(&self.chain.network, self.chain.coordinator.as_bytes())?)
    }

    /// Whether exactly this receipt is in the chain. Another one under the same sequence is not: it fails on append.
    fn holds(&self, receipt: &Signed<Receipt>) -> bool {
        let sequence = receipt.message().sequence;
        let index = usize::try_from(sequence).ok().and_then(|n| n.checked_sub(1));
        index.and_then(|index| self.receipts.get(index)).is_some_and(|held| held == receipt)
    }

    fn append(&mut self, receipt: Signed<Receipt>) -> Result<(), LedgerError> {
        self.chain = self.chain.append(&receipt)?;
        self.receipts.push(receipt);
        Ok(())
    }

    /// Sequence of the last receipt, 0 without any.
    pub fn last_sequence(&self) -> u64 {
        self.chain.sequence
    }

    /// Everything credited less everything revoked.
    pub fn total(&self) -> BaseUnits {
        self.chain.total
    }

    /// The part of the total whose receipts have matured at `now`: credits that have, less every revocation.
    pub fn matured(&self, now: UnixMillis) -> BaseUnits {
        let mut sum: u128 = 0;
        let mut back: u128 = 0;
        for receipt in self.receipts.iter().map(Signed::message) {
            if receipt.kind == CreditKind::Revoked {
                back = back.saturating_add(receipt.amount.0);
            } else if receipt.matures_at <= now {
                sum = sum.saturating_add(receipt.amount.0);
            }
        }
        BaseUnits(sum.saturating_sub(back))
    }

    /// The receipts, oldest first.
    pub fn receipts(&self) -> &[Signed<Receipt>] {
        &self.receipts
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::{BundleId, Hash};
    use protocol::sign::Key;
    use zeroize::Zeroizing;

    use super::*;

    fn key(n: u8) -> Key {
        Key::from_seed(&Zeroizing::new([n; 32]))
    }

    const NETWORK: NetworkId = NetworkId([9; 32]);

    fn receipt(n: u64, previous: Hash, amount: u128, total: u128) -> Receipt {
        Receipt {
            network: NETWORK,
            coordinator: key(1).coordinator(),
            device: key(2).device(),
            sequence: n,
            previous,
            kind: CreditKind::Computed,
            bundle: BundleId([4; 32]),
            slices: 64,
            amount: BaseUnits(amount),
            total: BaseUnits(total),
            issued_at: UnixMillis(n * 100),
            matures_at: UnixMillis(n * 1000),
            title: "Signal search".to_owned(),
        }
    }

    fn ledger() -> Ledger {
        Ledger::new(NETWORK, key(1).coordinator(), key(2).device())
    }

    #[test]
    fn receipts_are_verified_and_only_the_new_ones_come_back() {
        let first = key(1).sign(&NETWORK, receipt(1, Hash([0; 32]), 5, 5));
        let second = key(1).sign(&NETWORK, receipt(2, first.body_hash(), 7, 12));
        let mut ledger = ledger();
        let (fresh, result) = ledger.take_in(vec![first.envelope().clone()]);
        assert!(result.is_ok());
        assert_eq!(fresh, std::slice::from_ref(&first));
        let (fresh, result) = ledger.take_in(vec![first.envelope().clone(), second.envelope().clone()]);
        assert!(result.is_ok(), "an answer that repeats a receipt is harmless");
        assert_eq!(fresh, [second]);
        assert_eq!((ledger.total(), ledger.last_sequence()), (BaseUnits(12), 2));
        assert_eq!(ledger.matured(UnixMillis(1500)), BaseUnits(5), "the second is still provisional");
    }

    #[test]
    fn a_forged_receipt_is_refused_and_so_is_everything_after_it() {
        let first = key(1).sign(&NETWORK, receipt(1, Hash([0; 32]), 5, 5));
        let forged = key(3).sign(&NETWORK, receipt(2, first.body_hash(), 1000, 1005));
        let third = key(1).sign(&NETWORK, receipt(3, forged.body_hash(), 1, 1006));
        let mut ledger = ledger();
        let envelopes = [&first, &forged, &third].map(|r| r.envelope().clone());
        let (fresh, result) = ledger.take_in(envelopes.to_vec());
        assert!(matches!(result, Err(LedgerError::Verify(VerifyError::WrongSigner))));
        assert_eq!(fresh.len(), 1, "what came before it is good");
        assert_eq!(ledger.total(), BaseUnits(5));
    }

    #[test]
    fn history_cannot_be_rewritten() {
        let first = key(1).sign(&NETWORK, receipt(1, Hash([0; 32]), 5, 5));
        let other = key(1).sign(&NETWORK, receipt(1, Hash([0; 32]), 2, 2));
        let mut ledger = ledger();
        assert!(ledger.take_in(vec![first.envelope().clone()]).1.is_ok());
        let (_, result) = ledger.take_in(vec![other.envelope().clone()]);
        assert!(matches!(result, Err(LedgerError::Chain(ChainError::Sequence { .. }))));
        let wrong_sum = key(1).sign(&NETWORK, receipt(2, first.body_hash(), 1, 7));
        let (_, result) = ledger.take_in(vec![wrong_sum.envelope().clone()]);
        assert!(matches!(result, Err(LedgerError::Chain(ChainError::Total))));
    }

    #[test]
    fn a_restart_verifies_the_saved_receipts_again() {
        let first = key(1).sign(&NETWORK, receipt(1, Hash([0; 32]), 5, 5));
        let tampered = key(3).sign(&NETWORK, receipt(2, first.body_hash(), 9, 14));
        let saved = vec![first.envelope().clone(), tampered.envelope().clone()];
        let (ledger, error) = Ledger::restore(NETWORK, key(1).coordinator(), key(2).device(), saved);
        assert!(error.is_some(), "a file that was tampered with must not add credit");
        assert_eq!(ledger.last_sequence(), 1);
    }
}
