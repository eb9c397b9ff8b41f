//! PURE. What accepted slices pay, and the ledger's totals with the one rule that they must keep.
//!
//! It owns the arithmetic of money inside the coordinator: pay and fee of a number of slices, and the moves between
//! the buckets of the escrow. It never decides whether a slice is right (that is `audit`) and never stores anything;
//! the store loads an [`Escrow`], applies one move and writes it back, and checks it at the end of every transaction.

use protocol::units::BaseUnits;

/// Why an amount or a move of money is refused. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A sum or product passes 2^128.
    #[error("an amount passes the end of the numbers")]
    Overflow,
    /// More was to be taken from a bucket than it holds.
    #[error("the bucket {bucket} holds {holds}, {wanted} were to be taken")]
    Short {
        /// Name of the bucket.
        bucket: &'static str,
        /// What it holds.
        holds: BaseUnits,
        /// What was to be taken.
        wanted: BaseUnits,
    },
    /// The ledger would promise more than publishers have paid in.
    #[error("the ledger would promise {promised} of {deposits} deposited")]
    Insolvent {
        /// Fees, reserves and all credit.
        promised: BaseUnits,
        /// Deposits less refunds.
        deposits: BaseUnits,
    },
}

/// The price of one job, fixed before dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What one accepted slice pays the contributor.
    pub price: BaseUnits,
    /// The network's share of what the publisher pays, in thousandths.
    pub fee_permille: u16,
}

/// What some slices cost the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// For the contributor.
    pub pay: BaseUnits,
    /// For the network.
    pub fee: BaseUnits,
}

impl Cost {
    /// What leaves the publisher's deposit.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`].
    pub fn gross(self) -> Result<BaseUnits, LedgerError> {
        self.pay.checked_add(self.fee).ok_or(LedgerError::Overflow)
    }
}

impl Terms {
    /// Cost of `slices` accepted slices. The fee is phi of the gross, so `pay * phi / (1 - phi)`, rounded down: the
    /// fees of parts never sum to more than the fee of the whole, so a reserve always covers them.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`], also for a fee of the whole amount.
    pub fn cost(self, slices: u64) -> Result<Cost, LedgerError> {
        let pay = self.price.checked_mul(slices).ok_or(LedgerError::Overflow)?;
        let keep = 1000u16.checked_sub(self.fee_permille).filter(|&k| k > 0).ok_or(LedgerError::Overflow)?;
        let fee =
            pay.checked_mul(self.fee_permille.into()).ok_or(LedgerError::Overflow)?.0 / u128::from(keep);
        Ok(Cost { pay, fee: BaseUnits(fee) })
    }

    /// The price per slice with which `units` units of `slices_per_unit`, each with `audits_per_unit` audits, cost at
    /// most `budget`; `None` when that is less than one base unit or the numbers do not fit.
    pub fn for_budget(
        budget: BaseUnits,
        units: u64,
        slices_per_unit: u64,
        audits_per_unit: u64,
        fee_permille: u16,
    ) -> Option<Self> {
        let keep = 1000u16.checked_sub(fee_permille).filter(|&k| k > 0)?;
        let slices = units.checked_mul(slices_per_unit.checked_add(audits_per_unit)?)?;
        let pay = (budget.0 / 1000).checked_mul(keep.into())?;
        let price = pay.checked_div(slices.into()).filter(|&p| p > 0)?;
        Some(Self { price: BaseUnits(price), fee_permille })
    }
}

/// The totals of the ledger. All amounts in base units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Escrow {
    /// What publishers paid in, less what was refunded to them.
    pub deposits: BaseUnits,
    /// The network's fees on accepted work.
    pub fees: BaseUnits,
    /// Held for open jobs.
    pub reserved: BaseUnits,
    /// Credited and not yet mature.
    pub provisional: BaseUnits,
    /// Mature and not yet paid out on the chain.
    pub payable: BaseUnits,
    /// Paid out on the chain.
    pub claimed: BaseUnits,
}

fn add(bucket: &mut BaseUnits, amount: BaseUnits) -> Result<(), LedgerError> {
    *bucket = bucket.checked_add(amount).ok_or(LedgerError::Overflow)?;
    Ok(())
}

fn take(name: &'static str, bucket: &mut BaseUnits, amount: BaseUnits) -> Result<(), LedgerError> {
    let short = LedgerError::Short { bucket: name, holds: *bucket, wanted: amount };
    *bucket = bucket.checked_sub(amount).ok_or(short)?;
    Ok(())
}

impl Escrow {
    /// Holds `amount` of the free deposits for a job.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`], or [`LedgerError::Insolvent`] when the deposits do not cover it.
    pub fn reserve(mut self, amount: BaseUnits) -> Result<Self, LedgerError> {
        add(&mut self.reserved, amount)?;
        self.check()?;
        Ok(self)
    }

    /// Gives a reserve back.
    ///
    /// # Errors
    /// [`LedgerError::Short`].
    pub fn release(mut self, amount: BaseUnits) -> Result<Self, LedgerError> {
        take("reserved", &mut self.reserved, amount)?;
        Ok(self)
    }

    /// Turns reserve into provisional credit and fee.
    ///
    /// # Errors
    /// [`LedgerError::Short`] when the reserve does not cover it.
    pub fn credit(mut self, cost: Cost) -> Result<Self, LedgerError> {
        take("reserved", &mut self.reserved, cost.gross()?)?;
        add(&mut self.provisional, cost.pay)?;
        add(&mut self.fees, cost.fee)?;
        Ok(self)
    }

    /// Turns provisional credit and its fee back into reserve.
    ///
    /// # Errors
    /// [`LedgerError::Short`] when less is provisional.
    pub fn revoke(mut self, cost: Cost) -> Result<Self, LedgerError> {
        take("provisional", &mut self.provisional, cost.pay)?;
        take("fees", &mut self.fees, cost.fee)?;
        add(&mut self.reserved, cost.gross()?)?;
        Ok(self)
    }

    /// Turns provisional credit into payable credit.
    ///
    /// # Errors
    /// [`LedgerError::Short`] when less is provisional.
    pub fn mature(mut self, pay: BaseUnits) -> Result<Self, LedgerError> {
        take("provisional", &mut self.provisional, pay)?;
        add(&mut self.payable, pay)?;
        Ok(self)
    }

    /// Records that the distributor has paid `claimed` in all. A lower figure than before changes nothing: an endpoint
    /// of the chain may lag.
    ///
    /// # Errors
    /// [`LedgerError::Short`] when the distributor paid more than was payable.
    pub fn claim(mut self, claimed: BaseUnits) -> Result<Self, LedgerError> {
        if let Some(more) = claimed.checked_sub(self.claimed) {
            take("payable", &mut self.payable, more)?;
            self.claimed = claimed;
        }
        Ok(self)
    }

    /// Sum of everything promised: fees, reserves and credit in every stage.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`].
    pub fn promised(&self) -> Result<BaseUnits, LedgerError> {
        [self.fees, self.reserved, self.provisional, self.payable, self.claimed]
            .into_iter()
            .try_fold(BaseUnits::ZERO, BaseUnits::checked_add)
            .ok_or(LedgerError::Overflow)
    }

    /// The rule of DESIGN.md §8, with reserves counted too:
    /// reserved + provisional + payable + claimed <= deposits - fees.
    ///
    /// # Errors
    /// [`LedgerError::Insolvent`].
    pub fn check(&self) -> Result<(), LedgerError> {
        let promised = self.promised()?;
        if promised > self.deposits {
            return Err(LedgerError::Insolvent { promised, deposits: self.deposits });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fee_of_fifty_permille_takes_one_twentieth_of_the_gross() {
        let cost = Terms { price: BaseUnits(190), fee_permille: 50 }.cost(10).expect("small numbers");
        assert_eq!((cost.pay.0, cost.fee.0), (1900, 100), "the publisher pays 2000, of which 5 % is the fee");
    }

    #[test]
    fn a_fee_of_the_whole_amount_is_refused() {
        assert_eq!(Terms { price: BaseUnits(1), fee_permille: 1000 }.cost(1), Err(LedgerError::Overflow));
    }

    #[test]
    fn the_price_for_a_budget_never_costs_more_than_the_budget() {
        let budget = BaseUnits(1_000_000_007);
        let terms = Terms::for_budget(budget, 3, 64, 16, 50).expect("enough for one base unit per slice");
        let gross = terms.cost(3 * 80).and_then(Cost::gross).expect("small numbers");
        assert!(gross <= budget && gross.0 > budget.0 * 99 / 100, "{gross} of {budget}");
        assert_eq!(Terms::for_budget(BaseUnits(10), 3, 64, 16, 50), None, "less than a base unit per slice");
    }

    #[derive(Debug, Clone)]
    enum Move {
        Reserve(u64),
        Release(u64),
        Credit(u16),
        Revoke(u16),
        Mature(u64),
        Claim(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            (0..5_000u64).prop_map(Move::Reserve),
            (0..5_000u64).prop_map(Move::Release),
            (0..100u16).prop_map(Move::Credit),
            (0..100u16).prop_map(Move::Revoke),
            (0..5_000u64).prop_map(Move::Mature),
            (0..20_000u64).prop_map(Move::Claim),
        ];
        proptest::collection::vec(one, 0..200)
    }

    proptest! {
        #[test]
        fn no_sequence_of_moves_promises_more_than_was_deposited(deposits in 0..20_000u64, moves in moves()) {
            let terms = Terms { price: BaseUnits(17), fee_permille: 50 };
            let mut escrow = Escrow { deposits: BaseUnits(deposits.into()), ..Escrow::default() };
            for one in moves {
                let before = escrow;
                let promised = before.promised().expect("small numbers");
                let amount = |n: u64| BaseUnits(n.into());
                let (after, free) = match one {
                    Move::Reserve(n) => (before.reserve(amount(n)), i128::from(n)),
                    Move::Release(n) => (before.release(amount(n)), -i128::from(n)),
                    Move::Credit(n) => (before.credit(terms.cost(n.into()).expect("small")), 0),
                    Move::Revoke(n) => (before.revoke(terms.cost(n.into()).expect("small")), 0),
                    Move::Mature(n) => (before.mature(amount(n)), 0),
                    Move::Claim(n) => (before.claim(amount(n)), 0),
                };
                if let Ok(after) = after {
                    after.check().expect("an accepted move keeps the rule");
                    let now = after.promised().expect("small numbers");
                    prop_assert_eq!(now.0 as i128, promised.0 as i128 + free, "only reserves change the sum");
                    escrow = after;
                }
            }
        }

        #[test]
        fn fees_of_parts_never_exceed_the_fee_of_the_whole(
            price in 0..1_000_000u128, fee_permille in 0..1000u16, parts in proptest::collection::vec(0..64u64, 0..20)
        ) {
            let terms = Terms { price: BaseUnits(price), fee_permille };
            let whole = terms.cost(parts.iter().sum()).expect("small numbers");
            let sum: u128 = parts.iter().map(|&n| terms.cost(n).expect("small numbers").fee.0).sum();
            prop_assert!(sum <= whole.fee.0);
        }
    }
}
