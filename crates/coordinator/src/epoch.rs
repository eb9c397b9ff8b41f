//! PURE. Which mature credit enters the cumulative tree of the next epoch.
//!
//! A row belongs to a device and an account together: when a device is bound to another account, what it earned
//! before stays with the old one, so no amount can be claimed under two accounts. Credit of unbound devices, and
//! whatever passes the distributor's cap for one epoch, is carried to a later one.

use std::collections::BTreeMap;

use protocol::id::{DeviceId, Hash};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{EpochList, EpochRow, hashed_device};

/// Cumulative earnings by device and account (checksummed address).
pub type Rows = BTreeMap<(DeviceId, String), BaseUnits>;

/// One mature receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matured {
    /// Who earned it.
    pub device: DeviceId,
    /// Position in the device's chain.
    pub sequence: u64,
    /// The amount.
    pub amount: BaseUnits,
    /// Since when it may be paid.
    pub matures_at: UnixMillis,
    /// The account that the device is bound to, if any.
    pub account: Option<String>,
}

/// What the next epoch holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// All rows, old and new.
    pub rows: Rows,
    /// The receipts that entered, by device and sequence.
    pub included: Vec<(DeviceId, u64)>,
    /// Sum of all rows.
    pub total: BaseUnits,
    /// Mature credit left for a later epoch.
    pub carried: BaseUnits,
}

/// The sums pass 2^128: the numbers are corrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sum of an epoch passes the end of the numbers")]
pub struct SumError;

/// Adds mature receipts to the rows of the epoch before, oldest first, as far as `cap` (growth of one epoch) allows.
/// `None` when nothing new enters.
///
/// # Errors
/// [`SumError`].
pub fn close(before: &Rows, matured: &[Matured], cap: BaseUnits) -> Result<Option<Closing>, SumError> {
    let mut order: Vec<&Matured> = matured.iter().collect();
    order.sort_by_key(|m| (m.matures_at, m.device, m.sequence));
    let mut rows = before.clone();
    let mut included = Vec::new();
    let (mut growth, mut carried) = (BaseUnits::ZERO, BaseUnits::ZERO);
    for one in order {
        let grown = growth.checked_add(one.amount).ok_or(SumError)?;
        match &one.account {
            Some(account) if grown <= cap => {
                growth = grown;
                let row = rows.entry((one.device, account.clone())).or_default();
                *row = row.checked_add(one.amount).ok_or(SumError)?;
                included.push((one.device, one.sequence));
            }
            _ => carried = carried.checked_add(one.amount).ok_or(SumError)?,
        }
    }
    if included.is_empty() {
        return Ok(None);
    }
    let total = rows.values().try_fold(BaseUnits::ZERO, |sum, row| sum.checked_add(*row)).ok_or(SumError)?;
    Ok(Some(Closing { rows, included, total, carried }))
}

/// The published list: devices by hash only, sorted by that hash.
pub fn list(epoch: u64, rows: &Rows) -> EpochList {
    let mut sorted: BTreeMap<(Hash, &str), BaseUnits> = BTreeMap::new();
    for ((device, account), cumulative) in rows {
        sorted.insert((hashed_device(device), account), *cumulative);
    }
    let row = |((device, account), cumulative): ((Hash, &str), BaseUnits)| EpochRow {
        device,
        account: account.to_owned(),
        cumulative,
    };
    EpochList { epoch, rows: sorted.into_iter().map(row).collect() }
}

/// The leaves of the tree: each account with the sum of its rows.
///
/// # Errors
/// [`SumError`].
pub fn leaves(list: &EpochList) -> Result<BTreeMap<String, BaseUnits>, SumError> {
    let mut leaves: BTreeMap<String, BaseUnits> = BTreeMap::new();
    for row in &list.rows {
        let leaf = leaves.entry(row.account.clone()).or_default();
        *leaf = leaf.checked_add(row.cumulative).ok_or(SumError)?;
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_CAP: BaseUnits = BaseUnits(u128::MAX);

    fn matured(device: u8, sequence: u64, amount: u128, account: Option<&str>) -> Matured {
        Matured {
            device: DeviceId([device; 32]),
            sequence,
            amount: BaseUnits(amount),
            matures_at: UnixMillis(sequence),
            account: account.map(str::to_owned),
        }
    }

    #[test]
    fn two_devices_of_one_account_share_a_leaf() {
        let closing =
            close(&Rows::new(), &[matured(1, 1, 5, Some("A")), matured(2, 1, 7, Some("A"))], NO_CAP);
        let closing = closing.expect("small sums").expect("two receipts entered");
        let list = list(1, &closing.rows);
        assert_eq!(list.rows.len(), 2, "each device finds its own row");
        assert!(list.rows.is_sorted_by_key(|row| row.device));
        assert_eq!(leaves(&list).expect("small sums"), BTreeMap::from([("A".to_owned(), BaseUnits(12))]));
    }

    #[test]
    fn credit_of_an_unbound_device_waits() {
        let waiting = [matured(1, 1, 5, None)];
        assert_eq!(close(&Rows::new(), &waiting, NO_CAP), Ok(None), "nothing enters, so no epoch is closed");
        let both = close(&Rows::new(), &[matured(1, 1, 5, None), matured(2, 1, 7, Some("B"))], NO_CAP);
        let both = both.expect("small sums").expect("one entered");
        assert_eq!((both.total, both.carried), (BaseUnits(7), BaseUnits(5)));
        assert_eq!(both.included, [(DeviceId([2; 32]), 1)]);
    }

    #[test]
    fn binding_to_another_account_moves_only_what_comes_after() {
        let first =
            close(&Rows::new(), &[matured(1, 1, 5, Some("A"))], NO_CAP).expect("small").expect("entered");
        let second =
            close(&first.rows, &[matured(1, 2, 7, Some("B"))], NO_CAP).expect("small").expect("entered");
        let leaves = leaves(&list(2, &second.rows)).expect("small sums");
        assert_eq!(leaves, BTreeMap::from([("A".into(), BaseUnits(5)), ("B".into(), BaseUnits(7))]));
    }

    #[test]
    fn growth_stops_at_the_cap_and_goes_on_next_time() {
        let all = [matured(1, 1, 6, Some("A")), matured(1, 2, 6, Some("A")), matured(1, 3, 3, Some("A"))];
        let closing = close(&Rows::new(), &all, BaseUnits(10)).expect("small").expect("entered");
        assert_eq!(closing.included, [(DeviceId([1; 32]), 1), (DeviceId([1; 32]), 3)], "what fits enters");
        assert_eq!((closing.total, closing.carried), (BaseUnits(9), BaseUnits(6)));
    }

    proptest! {
        #[test]
        fn every_base_unit_is_either_in_the_tree_or_carried(
            receipts in proptest::collection::vec((0..5u8, 0..1000u128, proptest::option::of(0..3u8)), 0..40),
            cap in 0..20_000u128,
        ) {
            let receipts: Vec<Matured> = receipts.iter().enumerate().map(|(i, (device, amount, account))| {
                matured(*device, i as u64, *amount, account.map(|a| ["A", "B", "C"][usize::from(a)]))
            }).collect();
            let sum: u128 = receipts.iter().map(|m| m.amount.0).sum();
            if let Some(closing) = close(&Rows::new(), &receipts, BaseUnits(cap)).expect("small sums") {
                prop_assert_eq!(closing.total.0 + closing.carried.0, sum);
                prop_assert!(closing.total.0 <= cap);
                let leaves = leaves(&list(1, &closing.rows)).expect("small sums");
                prop_assert_eq!(leaves.values().map(|v| v.0).sum::<u128>(), closing.total.0);
            }
        }
    }
}
