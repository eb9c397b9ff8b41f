//! Chain state that does not rest on an endpoint's word: an `eth_getProof` answer is followed from a value through the
//! storage trie and the state trie to the state root of a block header, and the header is hashed. What remains to be
//! believed is the block hash, which several endpoints can be asked for.

use alloy::consensus::Header;
use alloy::primitives::{B256, Bytes, U256, keccak256};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use serde_json::Value;

use crate::event::{malformed, missing};
use crate::{Address, Hash32, RpcError};

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the block header does not hash to the block hash {0}")]
    HeaderHash(Hash32),
    #[error("the account proof of {account} does not lead to the state root")]
    Account { account: Address },
    #[error("the storage proof of {account} does not lead to its storage root")]
    Storage { account: Address },
    #[error("the answer proves another slot than was asked for")]
    WrongSlot,
    #[error("the code at {account} is not the shipped distributor")]
    WrongCode { account: Address },
}

/// Code hash and storage root of an account, followed up to `state_root`.
pub(crate) struct AccountProof<'a> {
    answer: &'a Value,
    address: Address,
    account: TrieAccount,
}

impl<'a> AccountProof<'a> {
    /// Reads an `eth_getProof` answer and verifies its account part.
    pub(crate) fn verify(
        answer: &'a Value,
        address: Address,
        state_root: B256,
    ) -> Result<Self, crate::ChainError> {
        let account = TrieAccount::new(
            crate::event::quantity(text(answer, "nonce")?)?,
            word(answer, "balance")?,
            hash(answer, "storageHash")?,
            hash(answer, "codeHash")?,
        );
        let path = Nibbles::unpack(keccak256(address.as_bytes()));
        let nodes = nodes(answer, "accountProof")?;
        verify_proof(state_root, path, Some(alloy::rlp::encode(account)), nodes.iter())
            .map_err(|_| ProofError::Account { account: address })?;
        Ok(Self { answer, address, account })
    }

    pub(crate) fn code_hash(&self) -> Hash32 {
        Hash32::from_b256(self.account.code_hash)
    }

    /// The proven value of storage slot `slot`, which must have been asked for as the `index`-th.
    pub(crate) fn storage(&self, index: usize, slot: B256) -> Result<U256, crate::ChainError> {
        let entry = self
            .answer
            .get("storageProof")
            .and_then(|list| list.get(index))
            .ok_or_else(|| missing("storageProof"))?;
        let key: U256 = word(entry, "key")?;
        if key != U256::from_be_bytes(slot.0) {
            return Err(ProofError::WrongSlot.into());
        }
        let value = word(entry, "value")?;
        let expected = (!value.is_zero()).then(|| alloy::rlp::encode(value));
        let nodes = nodes(entry, "proof")?;
        verify_proof(self.account.storage_root, Nibbles::unpack(keccak256(slot)), expected, nodes.iter())
            .map_err(|_| ProofError::Storage { account: self.address })?;
        Ok(value)
    }
}

/// Reads a block of `eth_getBlockByNumber` or `eth_getBlockByHash` and checks that its header hashes to its hash.
pub(crate) fn read_header(block: &Value) -> Result<(Header, Hash32), crate::ChainError> {
    let claimed = Hash32::from_b256(hash(block, "hash")?);
    let header: Header = serde_json::from_value(block.clone()).map_err(|e| malformed(&e))?;
    if Hash32::from_b256(header.hash_slow()) != claimed {
        return Err(ProofError::HeaderHash(claimed).into());
    }
    Ok((header, claimed))
}

/// The storage slot of `map[account]` for a Solidity mapping at `base`.
pub(crate) fn mapping_slot(account: Address, base: u64) -> B256 {
    let mut key = [0u8; 64];
    key[12..32].copy_from_slice(account.as_bytes());
    key[56..].copy_from_slice(&base.to_be_bytes());
    keccak256(key)
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, RpcError> {
    value.get(name).and_then(Value::as_str).ok_or_else(|| missing(name))
}

fn hash(value: &Value, name: &str) -> Result<B256, RpcError> {
    text(value, name)?.parse().map_err(|e| malformed(&e))
}

/// A 256-bit number in any number of hexadecimal digits.
fn word(value: &Value, name: &str) -> Result<U256, RpcError> {
    let digits = text(value, name)?.strip_prefix("0x").ok_or_else(|| missing(name))?;
    let digits = if digits.is_empty() { "0" } else { digits };
    U256::from_str_radix(digits, 16).map_err(|e| malformed(&e))
}

fn nodes(value: &Value, name: &str) -> Result<Vec<Bytes>, RpcError> {
    let list = value.get(name).and_then(Value::as_array).ok_or_else(|| missing(name))?;
    list.iter().map(|node| node.as_str().and_then(|t| t.parse().ok()).ok_or_else(|| missing(name))).collect()
}
