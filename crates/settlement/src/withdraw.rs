//! What an owner signs to move money: [`Withdraw`] for earnings that the distributor still holds, [`HeldAuthorization`]
//! for tokens that already lie in the wallet, and what publisher and poster sign for deposits and refunds. Each is a
//! typed EIP-712 message of the distributor or the token; nothing here sends, and nothing else can be signed.

use alloy::primitives::{B256, U256};
use alloy::sol_types::{Eip712Domain, SolStruct, SolValue};
use serde::{Deserialize, Serialize};

use crate::{Address, Amount, Contracts, Hash32, Signature, SignatureError, Signer, SignerError, abi};

/// The order of an account's owner. `to` receives exactly `amount` and the relayer exactly `fee`; the account's claimable
/// (or its wallet, by [`HeldAuthorization`]) falls by both. Two orders with the same nonce cannot both be carried out, so
/// an order is repeated or replaced safely by keeping its nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdraw {
    pub account: Address,
    pub to: Address,
    pub amount: Amount,
    pub fee: Amount,
    /// Who receives the fee; `None`: whoever submits the order.
    pub relayer: Option<Address>,
    /// Any number that this account has not used. Drawn at random it needs no memory and does not meet that of another
    /// device with the same words; counted up it saves about 17,000 gas, because 256 consecutive nonces share a word.
    pub nonce: u64,
    /// Unix seconds; the order cannot be carried out in a block later than this.
    pub deadline: u64,
}

impl Withdraw {
    /// `amount + fee`: what leaves the account.
    #[must_use]
    pub fn sum(&self) -> Option<Amount> {
        self.amount.checked_add(self.fee)
    }

    /// The EIP-712 digest in the domain of the distributor.
    #[must_use]
    pub fn digest(&self, contracts: &Contracts) -> Hash32 {
        let domain = abi::distributor_domain(contracts.chain_id, contracts.distributor);
        Hash32::from_b256(self.abi().eip712_signing_hash(&domain))
    }

    /// Signs the order.
    ///
    /// # Errors
    /// When signing fails. Signing for another account than the key's own is a programming error that the verifier
    /// notices.
    pub fn sign(&self, contracts: &Contracts, signer: &Signer) -> Result<Signature, SignerError> {
        signer.sign_digest(&self.digest(contracts))
    }

    /// Succeeds when the account's own key signed exactly this order for this distributor.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, contracts: &Contracts, signature: &Signature) -> Result<(), SignatureError> {
        signature.verify(&self.digest(contracts), self.account)
    }

    pub(crate) fn abi(&self) -> abi::Withdraw {
        abi::Withdraw {
            account: self.account.to_alloy(),
            to: self.to.to_alloy(),
            amount: self.amount.to_u256(),
            fee: self.fee.to_u256(),
            relayer: self.relayer.unwrap_or(Address::ZERO).to_alloy(),
            nonce: U256::from(self.nonce),
            deadline: U256::from(self.deadline),
        }
    }
}

/// The same order for tokens in the wallet: the token's ERC-3009 `ReceiveWithAuthorization` to the distributor over
/// amount and fee, whose nonce is the digest of the order. Only the distributor can use it, and only for this order.
///
/// An owner does well to sign both this and the [`Withdraw`] itself for one order: anyone may claim for an account, and
/// then the money lies in the wallet when the order arrives. Both share one nonce, so only one is ever carried out
/// ([`crate::calls::claim_to`], [`crate::calls::send_to`], [`crate::calls::claim_and_send_to`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAuthorization(pub Withdraw);

impl HeldAuthorization {
    /// The EIP-712 digest in the domain of the token; `None` when amount and fee do not fit.
    #[must_use]
    pub fn digest(&self, contracts: &Contracts) -> Option<Hash32> {
        let nonce = self.0.digest(contracts).to_b256();
        let sum = self.0.sum()?;
        Some(receive_digest(contracts, self.0.account, sum, self.0.deadline, nonce))
    }

    /// Signs the order.
    ///
    /// # Errors
    /// When signing fails or the sum does not fit.
    pub fn sign(&self, contracts: &Contracts, signer: &Signer) -> Result<Signature, SignerError> {
        signer.sign_digest(&self.digest(contracts).ok_or(SignerError::Sign)?)
    }

    /// Succeeds when the account's own key signed exactly this order.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, contracts: &Contracts, signature: &Signature) -> Result<(), SignatureError> {
        signature.verify(&self.digest(contracts).ok_or(SignatureError::Malformed)?, self.0.account)
    }
}

/// A publisher's deposit by signature instead of allowance and gas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositAuthorization {
    pub publisher: Address,
    pub amount: Amount,
    /// Unix seconds; usable strictly before.
    pub valid_before: u64,
    /// Makes the token's nonce; any fresh random bytes.
    pub salt: Hash32,
}

impl DepositAuthorization {
    /// The EIP-712 digest in the domain of the token.
    #[must_use]
    pub fn digest(&self, contracts: &Contracts) -> Hash32 {
        let tag = Hash32::keccak(b"hearth/deposit/v1").to_b256();
        let nonce = Hash32::keccak(&(tag, self.salt.to_b256()).abi_encode()).to_b256();
        receive_digest(contracts, self.publisher, self.amount, self.valid_before, nonce)
    }

    /// Signs the deposit.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(&self, contracts: &Contracts, signer: &Signer) -> Result<Signature, SignerError> {
        signer.sign_digest(&self.digest(contracts))
    }
}

/// The poster's consent that a publisher has got back `refunded` in all, having spent `spent` in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundVoucher {
    pub publisher: Address,
    pub refunded: Amount,
    pub spent: Amount,
    /// Unix seconds.
    pub deadline: u64,
}

impl RefundVoucher {
    /// The EIP-712 digest in the domain of the distributor.
    #[must_use]
    pub fn digest(&self, contracts: &Contracts) -> Hash32 {
        let message = abi::Refund {
            publisher: self.publisher.to_alloy(),
            refunded: self.refunded.to_u256(),
            spent: self.spent.to_u256(),
            deadline: U256::from(self.deadline),
        };
        let domain = abi::distributor_domain(contracts.chain_id, contracts.distributor);
        Hash32::from_b256(message.eip712_signing_hash(&domain))
    }

    /// Signs with the poster's key.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(&self, contracts: &Contracts, poster: &Signer) -> Result<Signature, SignerError> {
        poster.sign_digest(&self.digest(contracts))
    }
}

/// `validAfter` is always zero: OpenZeppelin reads bounds with bit 47 set in both as block numbers.
fn receive_digest(
    contracts: &Contracts,
    from: Address,
    value: Amount,
    valid_before: u64,
    nonce: B256,
) -> Hash32 {
    let message = abi::ReceiveWithAuthorization {
        from: from.to_alloy(),
        to: contracts.distributor.to_alloy(),
        value: value.to_u256(),
        validAfter: U256::ZERO,
        validBefore: U256::from(valid_before),
        nonce,
    };
    let domain = Eip712Domain::new(
        Some(contracts.token_name.clone().into()),
        Some(contracts.token_version.clone().into()),
        Some(U256::from(contracts.chain_id)),
        Some(contracts.token.to_alloy()),
        None,
    );
    Hash32::from_b256(message.eip712_signing_hash(&domain))
}
