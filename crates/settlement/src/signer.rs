//! One secp256k1 key, held only while it is needed. It signs the typed intents of this room and transactions to our own
//! contracts; there is no way to have it sign bytes of somebody else's choosing. The wallet makes one from the key that
//! it derives and drops it after one signature; operators (poster, relayer, publisher) keep theirs for a run.

use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use zeroize::Zeroizing;

use crate::{Address, Hash32, Signature};

/// A key and its address. The key is wiped on drop and never shown by `Debug`.
pub struct Signer {
    inner: PrivateKeySigner,
    address: Address,
}

/// Why a key is unusable or a signature failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Zero, or not below the order of the curve.
    #[error("the key is outside the range of the curve")]
    InvalidKey,
    #[error("signing failed")]
    Sign,
}

impl Signer {
    /// Takes a 32-byte private key. The copy that is passed in is wiped on return.
    ///
    /// # Errors
    /// `InvalidKey` when the bytes are not a secp256k1 scalar.
    pub fn from_key(key: Zeroizing<[u8; 32]>) -> Result<Self, SignerError> {
        let inner = PrivateKeySigner::from_slice(key.as_slice()).map_err(|_| SignerError::InvalidKey)?;
        let address = Address::from_alloy(inner.address());
        Ok(Self { inner, address })
    }

    /// A fresh key from a generator that the operating system seeds, for operators of a local network and for tests.
    #[must_use]
    pub fn random() -> Self {
        let inner = PrivateKeySigner::random();
        let address = Address::from_alloy(inner.address());
        Self { inner, address }
    }

    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    /// The private key, for operators that keep theirs in a file of mode 0600.
    #[must_use]
    pub fn secret_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.inner.to_bytes().0)
    }

    /// Signs a digest that this room computed itself. Deterministic (RFC 6979), s in the lower half.
    pub(crate) fn sign_digest(&self, digest: &Hash32) -> Result<Signature, SignerError> {
        let signature = self.inner.sign_hash_sync(&digest.to_b256()).map_err(|_| SignerError::Sign)?;
        Ok(Signature(signature.as_bytes()))
    }

    pub(crate) fn alloy(&self) -> &PrivateKeySigner {
        &self.inner
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("address", &self.address).finish_non_exhaustive()
    }
}
