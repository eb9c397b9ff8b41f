//! What an epoch owes this account: the published list is rebuilt into the tree, and nothing is believed that does not
//! lead to the root. PURE.
//!
//! It owns the check of a list and of this device's row. It never fetches a list and never asks the chain whether the
//! root is active; the agent fetches, [`crate::Look`] asks. [`crate::Wallet`] calls it.

use std::collections::BTreeMap;

use protocol::id::DeviceId;
use protocol::wire::{EpochList, EpochNotice, hashed_device};
use settlement::{Address, AddressError, Amount, ClaimTree, Hash32, MerkleError};

/// What a verified list says about one account and one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Number of the epoch.
    pub epoch: u64,
    /// Root of the tree, as it stands on the chain.
    pub root: Hash32,
    /// The account's leaf: what it has earned in all, on all its devices.
    pub cumulative: Amount,
    /// This device's part of it.
    pub here: Amount,
    /// From the leaf to the root; `None` where the account is not in the tree yet.
    pub proof: Option<Vec<Hash32>>,
}

/// Why a list is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The list is of another epoch than announced.
    #[error("the list is of epoch {found}, announced was {announced}")]
    Epoch {
        /// Announced.
        announced: u64,
        /// Found.
        found: u64,
    },
    /// Rows are not sorted, or a device has two.
    #[error("row {row} of the list is out of order")]
    Order {
        /// Which, from 0.
        row: usize,
    },
    /// An account is no address.
    #[error("row {row} of the list names no valid account")]
    Account {
        /// Which, from 0.
        row: usize,
        /// Why.
        #[source]
        source: AddressError,
    },
    /// A sum does not fit.
    #[error("the sums of the list do not fit")]
    Overflow,
    /// The rows make no tree.
    #[error("the list makes no tree")]
    Tree(#[from] MerkleError),
    /// The tree has another root than announced.
    #[error("the list leads to root {rebuilt}, announced was {announced}")]
    Root {
        /// Announced.
        announced: Hash32,
        /// Rebuilt.
        rebuilt: Hash32,
    },
    /// The tree has another sum than announced.
    #[error("the list sums up to {rebuilt}, announced was {announced}")]
    Total {
        /// Announced.
        announced: Amount,
        /// Rebuilt.
        rebuilt: Amount,
    },
}

/// Rebuilds the tree of `list` and finds `account` and `device` in it.
///
/// # Errors
/// [`ClaimError`]: the list contradicts itself or the notice.
pub fn check_list(
    notice: &EpochNotice,
    list: &EpochList,
    device: &DeviceId,
    account: Address,
) -> Result<Claim, ClaimError> {
    if list.epoch != notice.epoch {
        return Err(ClaimError::Epoch { announced: notice.epoch, found: list.epoch });
    }
    let own = hashed_device(device);
    let mut here = Amount::ZERO;
    let mut accounts: BTreeMap<Address, Amount> = BTreeMap::new();
    for (row, entry) in list.rows.iter().enumerate() {
        if row > 0 && list.rows[row - 1].device >= entry.device {
            return Err(ClaimError::Order { row });
        }
        let holder: Address = entry.account.parse().map_err(|source| ClaimError::Account { row, source })?;
        let amount = Amount::from_base_units(entry.cumulative.0);
        let sum = accounts.entry(holder).or_default();
        *sum = sum.checked_add(amount).ok_or(ClaimError::Overflow)?;
        if entry.device == own && holder == account {
            here = amount;
        }
    }
    let tree = ClaimTree::new(accounts)?;
    let announced = Hash32(notice.root.0);
    if tree.root() != announced {
        return Err(ClaimError::Root { announced, rebuilt: tree.root() });
    }
    let total = Amount::from_base_units(notice.total.0);
    if tree.total() != total {
        return Err(ClaimError::Total { announced: total, rebuilt: tree.total() });
    }
    Ok(Claim {
        epoch: list.epoch,
        root: tree.root(),
        cumulative: tree.cumulative(account).unwrap_or(Amount::ZERO),
        here,
        proof: tree.proof(account),
    })
}

impl Claim {
    /// What this device's matured receipts sum up to beyond its row: `None` where the row holds them all. A shortfall
    /// that outlasts the next epoch is a reason to dispute.
    pub fn shortfall(&self, matured_receipts: Amount) -> Option<Amount> {
        matured_receipts.checked_sub(self.here).filter(|missing| !missing.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::Hash;
    use protocol::units::{BaseUnits, UnixMillis};
    use protocol::wire::EpochRow;

    use super::*;

    fn account(byte: u8) -> Address {
        Address::from_bytes([byte; 20])
    }

    /// Rows of (device, account, cumulative), sorted as the coordinator sorts them, with a fitting notice.
    fn epoch(rows: &[(u8, u8, u128)]) -> (EpochNotice, EpochList) {
        let mut list: Vec<EpochRow> = rows
            .iter()
            .map(|&(device, holder, cumulative)| EpochRow {
                device: hashed_device(&DeviceId([device; 32])),
                account: account(holder).to_string(),
                cumulative: BaseUnits(cumulative),
            })
            .collect();
        list.sort_by_key(|row| row.device);
        let mut sums: BTreeMap<Address, Amount> = BTreeMap::new();
        for &(_, holder, cumulative) in rows {
            let sum = sums.entry(account(holder)).or_default();
            *sum = sum.checked_add(Amount::from_base_units(cumulative)).unwrap();
        }
        let tree = ClaimTree::new(sums).unwrap();
        let notice = EpochNotice {
            epoch: 3,
            root: Hash(tree.root().0),
            total: BaseUnits(tree.total().as_u128().unwrap()),
            list: Hash([0; 32]),
            active: true,
            relayer: account(200).to_string(),
            withdrawal_fee: BaseUnits(5),
            at: UnixMillis(0),
        };
        (notice, EpochList { epoch: 3, rows: list })
    }

    #[test]
    fn account_with_two_devices_claims_their_sum_and_knows_its_own_part() {
        let (notice, list) = epoch(&[(1, 10, 70), (2, 10, 30), (3, 11, 5), (4, 12, 9)]);
        let claim = check_list(&notice, &list, &DeviceId([1; 32]), account(10)).unwrap();
        assert_eq!(
            (claim.cumulative, claim.here),
            (Amount::from_base_units(100), Amount::from_base_units(70))
        );
        let proof = claim.proof.clone().unwrap();
        assert!(settlement::verify_claim(claim.root, account(10), claim.cumulative, &proof));
        assert_eq!(claim.shortfall(Amount::from_base_units(70)), None);
        assert_eq!(claim.shortfall(Amount::from_base_units(71)), Some(Amount::from_base_units(1)));
        assert_eq!(claim.shortfall(Amount::from_base_units(69)), None, "a lost ledger is no shortfall");
    }

    #[test]
    fn account_outside_the_tree_claims_nothing() {
        let (notice, list) = epoch(&[(1, 10, 70)]);
        let claim = check_list(&notice, &list, &DeviceId([9; 32]), account(99)).unwrap();
        assert_eq!((claim.cumulative, claim.here, claim.proof), (Amount::ZERO, Amount::ZERO, None));
        // The device's row pays another account: it is not this account's money.
        let claim = check_list(&notice, &list, &DeviceId([1; 32]), account(99)).unwrap();
        assert_eq!(claim.here, Amount::ZERO);
    }

    #[test]
    fn tampered_lists_are_not_believed() {
        let device = DeviceId([1; 32]);
        let check = |notice: &EpochNotice, list: &EpochList| {
            check_list(notice, list, &device, account(10)).unwrap_err()
        };
        let (notice, list) = epoch(&[(1, 10, 70), (2, 10, 30), (3, 11, 5)]);

        let mut other = list.clone();
        other.epoch = 4;
        assert!(matches!(check(&notice, &other), ClaimError::Epoch { announced: 3, found: 4 }));
        let mut other = list.clone();
        other.rows.swap(0, 1);
        assert!(matches!(check(&notice, &other), ClaimError::Order { row: 1 }));
        let mut other = list.clone();
        other.rows[1] = other.rows[0].clone();
        assert!(matches!(check(&notice, &other), ClaimError::Order { row: 1 }));
        let mut other = list.clone();
        other.rows[0].cumulative.0 += 1;
        assert!(matches!(check(&notice, &other), ClaimError::Root { .. }));
        let mut other = list.clone();
        other.rows[2].account = "0x0".to_owned();
        assert!(matches!(check(&notice, &other), ClaimError::Account { row: 2, .. }));
        let mut other = list.clone();
        other.rows.clear();
        assert!(matches!(check(&notice, &other), ClaimError::Tree(MerkleError::Empty)));
        let mut notice = notice;
        notice.total.0 += 1;
        assert!(matches!(check(&notice, &list), ClaimError::Total { .. }));
    }
}
