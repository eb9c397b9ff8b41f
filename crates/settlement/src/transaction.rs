//! Transactions of type 2 (EIP-1559) to our own contracts: built, signed and encoded offline, so that a caller can put
//! the signed bytes on disk before they are sent. No other type exists here; in particular nothing can make or sign
//! type 4 (EIP-7702), which hands an account to foreign code.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use serde::{Deserialize, Serialize};

use crate::{Address, Amount, Call, EventRecord, Hash32, Signer, SignerError, TxHash};

/// What is paid per unit of gas, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// The most that is paid, base fee included.
    pub max_fee_per_gas: u128,
    /// The part that goes to the block's builder.
    pub max_priority_fee_per_gas: u128,
}

/// A signed transaction. Sending the same one again is harmless: its nonce admits it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTransaction {
    pub hash: TxHash,
    pub from: Address,
    pub nonce: u64,
    pub gas_limit: u64,
    pub fees: Fees,
    /// The EIP-2718 envelope as it goes into `eth_sendRawTransaction`, `0x` hexadecimal.
    pub raw: String,
}

/// What became of a transaction that is in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub tx: TxHash,
    /// False: the contract refused it; it cost gas and did nothing else.
    pub succeeded: bool,
    pub block_number: u64,
    pub block_hash: Hash32,
    pub gas_used: u64,
    /// Gas used times the price paid, in wei.
    pub cost_wei: Amount,
    /// The address of a contract that the transaction created.
    pub created: Option<Address>,
    /// The distributor's events in it; empty when the distributor was not known (deployment).
    pub events: Vec<EventRecord>,
}

impl SignedTransaction {
    /// Signs a call.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(
        signer: &Signer,
        chain_id: u64,
        nonce: u64,
        gas_limit: u64,
        fees: Fees,
        call: &Call,
    ) -> Result<Self, SignerError> {
        sign(signer, chain_id, nonce, gas_limit, fees, Some(call.to), &call.data)
    }

    /// The most wei that the transaction can cost.
    #[must_use]
    pub fn max_cost_wei(&self) -> Amount {
        Amount::from_u256(U256::from(self.fees.max_fee_per_gas).saturating_mul(U256::from(self.gas_limit)))
    }
}

/// Signs a call, or without `to` a contract creation.
pub(crate) fn sign(
    signer: &Signer,
    chain_id: u64,
    nonce: u64,
    gas_limit: u64,
    fees: Fees,
    to: Option<Address>,
    data: &[u8],
) -> Result<SignedTransaction, SignerError> {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: fees.max_fee_per_gas,
        max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
        to: to.map_or(TxKind::Create, |to| TxKind::Call(to.to_alloy())),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::copy_from_slice(data),
    };
    let signature = signer.alloy().sign_hash_sync(&tx.signature_hash()).map_err(|_| SignerError::Sign)?;
    let envelope = TxEnvelope::Eip1559(tx.into_signed(signature));
    Ok(SignedTransaction {
        hash: TxHash(envelope.tx_hash().0),
        from: signer.address(),
        nonce,
        gas_limit,
        fees,
        raw: format!("0x{}", hex::encode(envelope.encoded_2718())),
    })
}
