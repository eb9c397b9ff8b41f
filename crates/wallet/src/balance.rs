//! The sum that always adds up: earned here + earned on other devices + received otherwise = balance + withdrawn + fees
//! + pending. PURE.
//!
//! Each number has one source: earned here is the device's receipts; earned elsewhere is the verified list; balance is
//! the proven state of the chain; withdrawn and fees are the book of withdrawals, completed by what the chain proves to
//! have left by another copy of this wallet; pending is what receipts hold beyond the list. What is left over came to
//! the account in other ways.

use settlement::{Amount, ProvenAccount};

use crate::claim::Claim;
use crate::withdrawal::Withdrawal;

/// Both sides of the sum, in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// By this device's receipts, and never less than its row in the list.
    pub earned_here: Amount,
    /// By other devices of the same account.
    pub earned_elsewhere: Amount,
    /// Came to the account in other ways.
    pub received: Amount,
    /// There: `claimable` and `held`.
    pub balance: Amount,
    /// Has left to other addresses.
    pub withdrawn: Amount,
    /// Paid to relayers.
    pub fees: Amount,
    /// Still checking, or not yet in an active epoch.
    pub pending: Amount,
    /// Part of `balance` that the distributor holds: what a withdrawal can take.
    pub claimable: Amount,
    /// Part of `balance` that lies in the account itself.
    pub held: Amount,
}

/// Adds up. `receipts` is the sum of this device's receipts for this account, `claim` the verified list (of an active
/// root), `proven` the chain. `None` only if a sum exceeds 2^256.
pub fn add_up(
    receipts: Amount,
    claim: Option<&Claim>,
    proven: &ProvenAccount,
    withdrawals: &[Withdrawal],
) -> Option<Balance> {
    let (cumulative, here) =
        claim.map_or((Amount::ZERO, Amount::ZERO), |claim| (claim.cumulative, claim.here));
    // The chain may have paid against a later list than the one at hand; what it paid was earned.
    let earned = cumulative.max(proven.claimed);
    let earned_elsewhere = earned.checked_sub(here)?;
    let earned_here = receipts.max(here);
    let pending = earned_here.checked_sub(here)?;
    let claimable = earned.checked_sub(proven.claimed)?;
    let held = proven.balance;

    let carried_out = || withdrawals.iter().filter(|withdrawal| withdrawal.state.is_carried_out());
    let fees = Amount::checked_sum(carried_out().map(|withdrawal| withdrawal.order.fee))?;
    let booked = Amount::checked_sum(carried_out().map(|withdrawal| withdrawal.order.amount))?;
    // All that the distributor paid is either held, or a fee, or has left: what the book does not know of has left by
    // another copy of this wallet.
    let accounted = held.checked_add(fees)?.checked_add(booked)?;
    let unbooked = proven.claimed.saturating_sub(accounted);
    let withdrawn = booked.checked_add(unbooked)?;
    let received = accounted.saturating_sub(proven.claimed);
    Some(Balance {
        earned_here,
        earned_elsewhere,
        received,
        balance: claimable.checked_add(held)?,
        withdrawn,
        fees,
        pending,
        claimable,
        held,
    })
}

impl Balance {
    /// Whether both sides are equal. They are by construction; tests and the page's own check ask.
    pub fn adds_up(&self) -> bool {
        let left = Amount::checked_sum([self.earned_here, self.earned_elsewhere, self.received]);
        let right = Amount::checked_sum([self.balance, self.withdrawn, self.fees, self.pending]);
        left.is_some() && left == right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::units::UnixMillis;
    use settlement::{Address, Hash32, Signature, TxHash, Withdraw};

    use super::*;
    use crate::withdrawal::State;

    fn units(units: u64) -> Amount {
        Amount::from_base_units(u128::from(units))
    }

    fn claim(cumulative: u64, here: u64) -> Claim {
        Claim { epoch: 1, root: Hash32::ZERO, cumulative: units(cumulative), here: units(here), proof: None }
    }

    fn proven(claimed: u64, balance: u64) -> ProvenAccount {
        ProvenAccount {
            claimed: units(claimed),
            balance: units(balance),
            block_number: 1,
            block_hash: Hash32::ZERO,
        }
    }

    fn withdrawal(amount: u64, fee: u64, state: State) -> Withdrawal {
        Withdrawal {
            id: Hash32::ZERO,
            order: Withdraw {
                account: Address::ZERO,
                to: Address::ZERO,
                amount: units(amount),
                fee: units(fee),
                relayer: None,
                nonce: 0,
                deadline: 0,
            },
            signature: Signature([0; 65]),
            cumulative: Amount::ZERO,
            proof: Vec::new(),
            confirmed_at: UnixMillis(0),
            from_block: 0,
            state,
        }
    }

    const FINAL: State = State::Final { tx: TxHash([0; 32]), block: 1 };

    #[test]
    fn each_number_comes_from_its_source() {
        let done =
            [withdrawal(30, 2, FINAL), withdrawal(99, 1, State::Signed), withdrawal(50, 1, State::Expired)];
        let sum = add_up(units(100), Some(&claim(120, 80)), &proven(32, 7), &done).unwrap();
        assert!(sum.adds_up(), "{sum:?}");
        assert_eq!(sum.earned_here, units(100));
        assert_eq!(sum.earned_elsewhere, units(40));
        assert_eq!(sum.pending, units(20));
        assert_eq!((sum.claimable, sum.held, sum.balance), (units(88), units(7), units(95)));
        assert_eq!((sum.withdrawn, sum.fees), (units(30), units(2)));
        assert_eq!(
            sum.received,
            units(7),
            "nothing was claimed into the account, so what it holds came otherwise"
        );
    }

    #[test]
    fn withdrawals_of_another_copy_of_the_wallet_are_not_lost() {
        let sum = add_up(units(0), Some(&claim(120, 0)), &proven(32, 0), &[]).unwrap();
        assert_eq!(sum.withdrawn, units(32), "the chain proves that it left");
        assert_eq!(sum.balance, units(88));
        assert!(sum.adds_up());
    }

    #[test]
    fn wallet_without_an_epoch_shows_receipts_as_pending() {
        let sum = add_up(units(100), None, &proven(0, 0), &[]).unwrap();
        assert_eq!((sum.earned_here, sum.pending, sum.balance), (units(100), units(100), Amount::ZERO));
        assert!(sum.adds_up());
    }

    proptest! {
        #[test]
        fn both_sides_are_equal_whatever_the_sources_say(
            receipts: u64, here in 0..u64::MAX / 2, elsewhere in 0..u64::MAX / 2, claimed: u64, held: u64,
            booked in prop::collection::vec((any::<u32>(), any::<u16>(), any::<bool>()), 0..5),
            has_claim: bool,
        ) {
            let claim = claim(here + elsewhere, here);
            let withdrawals: Vec<Withdrawal> = booked
                .into_iter()
                .map(|(amount, fee, done)| withdrawal(amount.into(), fee.into(), if done { FINAL } else { State::Signed }))
                .collect();
            let sum = add_up(units(receipts), has_claim.then_some(&claim), &proven(claimed, held), &withdrawals).unwrap();
            prop_assert!(sum.adds_up(), "{sum:?}");
        }
    }
}
