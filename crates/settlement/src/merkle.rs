//! The tree of one epoch: a leaf per account with what it has earned in all, in the form of OpenZeppelin's
//! StandardMerkleTree (double-hashed leaves, sorted leaves, sorted pairs), which the distributor verifies. The
//! coordinator builds it to propose a root; every app rebuilds it from the published list to check that root.

use std::collections::BTreeMap;

use alloy::primitives::{B256, keccak256};

use crate::{Address, Amount, Hash32};

/// Why a list of accounts makes no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    #[error("a tree needs at least one account")]
    Empty,
    #[error("account {0} is listed twice")]
    Duplicate(Address),
    #[error("the sum of all leaves does not fit")]
    Overflow,
}

/// The claims of one epoch.
#[derive(Debug, Clone)]
pub struct ClaimTree {
    /// The heap of nodes: root first, the children of `i` at `2i + 1` and `2i + 2`, leaves last and in falling order.
    nodes: Vec<B256>,
    leaves: BTreeMap<Address, (Amount, usize)>,
    total: Amount,
}

impl ClaimTree {
    /// Builds the tree over (account, cumulative earnings). The order of the input makes no difference.
    ///
    /// # Errors
    /// See [`MerkleError`].
    pub fn new(claims: impl IntoIterator<Item = (Address, Amount)>) -> Result<Self, MerkleError> {
        let mut leaves = BTreeMap::new();
        let mut total = Amount::ZERO;
        let mut hashed = Vec::new();
        for (account, cumulative) in claims {
            if leaves.insert(account, (cumulative, 0)).is_some() {
                return Err(MerkleError::Duplicate(account));
            }
            total = total.checked_add(cumulative).ok_or(MerkleError::Overflow)?;
            hashed.push((leaf(account, cumulative), account));
        }
        if hashed.is_empty() {
            return Err(MerkleError::Empty);
        }
        hashed.sort_unstable();
        let mut nodes = vec![B256::ZERO; 2 * hashed.len() - 1];
        let last = nodes.len() - 1;
        for (i, (hash, account)) in hashed.iter().enumerate() {
            nodes[last - i] = *hash;
            if let Some(entry) = leaves.get_mut(account) {
                entry.1 = last - i;
            }
        }
        for i in (0..hashed.len() - 1).rev() {
            nodes[i] = pair(nodes[2 * i + 1], nodes[2 * i + 2]);
        }
        Ok(Self { nodes, leaves, total })
    }

    #[must_use]
    pub fn root(&self) -> Hash32 {
        Hash32::from_b256(self.nodes[0])
    }

    /// Sum of all leaves: the `total` that is proposed with the root.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.total
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Never: a tree has at least one account.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// What `account` has earned in all by this tree.
    #[must_use]
    pub fn cumulative(&self, account: Address) -> Option<Amount> {
        self.leaves.get(&account).map(|(cumulative, _)| *cumulative)
    }

    /// The sibling hashes from the account's leaf up to the root; `None` when the account is not in the tree.
    #[must_use]
    pub fn proof(&self, account: Address) -> Option<Vec<Hash32>> {
        let (_, mut i) = *self.leaves.get(&account)?;
        let mut proof = Vec::new();
        while i > 0 {
            let sibling = if i.is_multiple_of(2) { i - 1 } else { i + 1 };
            proof.push(Hash32::from_b256(self.nodes[sibling]));
            i = (i - 1) / 2;
        }
        Some(proof)
    }
}

/// The hash of one leaf: keccak(keccak(abi.encode(account, cumulative))).
#[must_use]
pub fn leaf_hash(account: Address, cumulative: Amount) -> Hash32 {
    Hash32::from_b256(leaf(account, cumulative))
}

/// Whether `proof` leads from (account, cumulative) to `root`.
#[must_use]
pub fn verify_claim(root: Hash32, account: Address, cumulative: Amount, proof: &[Hash32]) -> bool {
    let end = proof.iter().fold(leaf(account, cumulative), |node, sibling| pair(node, sibling.to_b256()));
    Hash32::from_b256(end) == root
}

fn leaf(account: Address, cumulative: Amount) -> B256 {
    let mut encoded = [0u8; 64];
    encoded[12..32].copy_from_slice(account.as_bytes());
    encoded[32..].copy_from_slice(&cumulative.to_be_bytes());
    keccak256(keccak256(encoded))
}

fn pair(a: B256, b: B256) -> B256 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    let mut both = [0u8; 64];
    both[..32].copy_from_slice(low.as_slice());
    both[32..].copy_from_slice(high.as_slice());
    keccak256(both)
}
