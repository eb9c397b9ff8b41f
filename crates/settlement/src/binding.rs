//! The bond between a device and a wallet: the wallet's key says once to which address a device's earnings go. The
//! coordinator checks it; it never reaches the chain.

use alloy::primitives::{B256, U256};
use alloy::sol_types::SolStruct;
use serde::{Deserialize, Serialize};

use crate::{Address, Contracts, Hash32, Signature, SignatureError, Signer, SignerError, abi};

/// Earnings of the device `node_id` go to `payout`. The EIP-712 domain is the distributor's, so a bond made for one
/// network means nothing on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindNode {
    /// The device's ed25519 public key.
    pub node_id: Hash32,
    pub payout: Address,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds; the coordinator takes the bond only before this. A bond once taken stays.
    pub expires_at: u64,
    /// Rises with each bond of the device, so that an old one cannot be replayed over a newer one.
    pub nonce: u64,
}

impl BindNode {
    /// The EIP-712 digest.
    #[must_use]
    pub fn digest(&self, contracts: &Contracts) -> Hash32 {
        let message = abi::BindNode {
            nodeId: B256::from(self.node_id.0),
            payout: self.payout.to_alloy(),
            issuedAt: U256::from(self.issued_at),
            expiresAt: U256::from(self.expires_at),
            nonce: U256::from(self.nonce),
        };
        let domain = abi::distributor_domain(contracts.chain_id, contracts.distributor);
        Hash32::from_b256(message.eip712_signing_hash(&domain))
    }

    /// Signs with the key of `payout`.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(&self, contracts: &Contracts, signer: &Signer) -> Result<Signature, SignerError> {
        signer.sign_digest(&self.digest(contracts))
    }

    /// Succeeds when the key of `payout` signed exactly this bond. Times and nonce are the caller's to judge.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, contracts: &Contracts, signature: &Signature) -> Result<(), SignatureError> {
        signature.verify(&self.digest(contracts), self.payout)
    }
}
