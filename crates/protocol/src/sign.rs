//! Signatures: ed25519 over `hearth/<type>/v1`, NUL, the network id, and the body bytes exactly as sent.
//!
//! The domain keeps a signature of one kind of message from standing for another, and the network id keeps it inside
//! its network. A body is never re-serialised before it is checked: [`Signed`] carries the bytes.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cbor::{self, DecodeError};
use crate::id::{CoordinatorId, DeviceId, Hash, NetworkId, PublisherId};

/// A kind of message that is signed.
pub trait Message: Serialize + DeserializeOwned {
    /// Name of the type inside the signature's domain, for example `receipt`.
    const TYPE: &'static str;
    /// Largest accepted body.
    const MAX_BYTES: usize;
}

/// Why a signed message is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The signer is not the expected key.
    #[error("message is signed by another key than expected")]
    WrongSigner,
    /// The 32 bytes are no ed25519 public key.
    #[error("signer is not an ed25519 public key")]
    BadKey,
    /// The signature does not fit.
    #[error("signature does not match")]
    BadSignature,
    /// The signature fits, the body is no message of this type.
    #[error("signed body cannot be read")]
    Body(#[from] DecodeError),
}

/// A message body with its signer and signature; what travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// ed25519 public key of the signer.
    #[serde(with = "serde_bytes")]
    signer: [u8; 32],
    /// ed25519 signature over the domain, the network and `body`.
    #[serde(with = "serde_bytes")]
    signature: [u8; 64],
    /// Canonical bytes of the message.
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
}

/// A message whose signature has been verified (or was made here), together with the bytes that prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    message: T,
    envelope: Envelope,
}

impl<T> Signed<T> {
    /// The verified message.
    pub fn message(&self) -> &T {
        &self.message
    }
    /// The message by value.
    pub fn into_message(self) -> T {
        self.message
    }
    /// What travels, and what is stored as evidence.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
    /// BLAKE3 hash of the body: the identity of the message in a chain of messages.
    pub fn body_hash(&self) -> Hash {
        Hash::of(&self.envelope.body)
    }
    /// Public key of the signer.
    pub fn signer(&self) -> &[u8; 32] {
        &self.envelope.signer
    }
}

impl Envelope {
    /// Largest overhead of an envelope over its body.
    const OVERHEAD_BYTES: usize = 256;

    /// Canonical bytes of the envelope.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads an envelope that should hold a `T`; the signature is not checked yet.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are too many or not canonical.
    pub fn from_bytes<T: Message>(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(bytes, T::MAX_BYTES + Self::OVERHEAD_BYTES)
    }

    /// The public key that the envelope claims as its signer.
    pub fn signer(&self) -> &[u8; 32] {
        &self.signer
    }

    /// Checks the signature by `signer` in `network` and reads the body.
    ///
    /// # Errors
    /// [`VerifyError`]: another signer, a wrong signature, or a body that is not a `T`.
    pub fn verify<T: Message>(
        self,
        network: &NetworkId,
        signer: &[u8; 32],
    ) -> Result<Signed<T>, VerifyError> {
        if self.signer != *signer {
            return Err(VerifyError::WrongSigner);
        }
        self.verify_any(network)
    }

    /// Like [`Self::verify`] for a signer that is not known beforehand: the caller decides what the key may do.
    ///
    /// # Errors
    /// [`VerifyError`]: a wrong signature, or a body that is not a `T`.
    pub fn verify_any<T: Message>(self, network: &NetworkId) -> Result<Signed<T>, VerifyError> {
        let key = VerifyingKey::from_bytes(&self.signer).map_err(|_| VerifyError::BadKey)?;
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&signed_bytes::<T>(network, &self.body), &signature)
            .map_err(|_| VerifyError::BadSignature)?;
        let message = cbor::decode(&self.body, T::MAX_BYTES)?;
        Ok(Signed { message, envelope: self })
    }
}

/// An ed25519 key of a device, coordinator, publisher or network root. Wiped when dropped; never printed.
pub struct Key(SigningKey);

impl Key {
    /// The key whose secret seed is `seed`.
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The secret seed, for writing it to the owner's disk.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public key as a device.
    pub fn device(&self) -> DeviceId {
        DeviceId(self.public())
    }

    /// The public key as a coordinator.
    pub fn coordinator(&self) -> CoordinatorId {
        CoordinatorId(self.public())
    }

    /// The public key as a publisher.
    pub fn publisher(&self) -> PublisherId {
        PublisherId(self.public())
    }

    /// Signs `message` for `network`.
    pub fn sign<T: Message>(&self, network: &NetworkId, message: T) -> Signed<T> {
        let body = cbor::encode(&message);
        let signature = self.0.sign(&signed_bytes::<T>(network, &body)).to_bytes();
        Signed { message, envelope: Envelope { signer: self.public(), signature, body } }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(public {})", hex::encode(&self.public()[..4]))
    }
}

fn signed_bytes<T: Message>(network: &NetworkId, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48 + T::TYPE.len() + body.len());
    bytes.extend_from_slice(b"hearth/");
    bytes.extend_from_slice(T::TYPE.as_bytes());
    bytes.extend_from_slice(b"/v1\0");
    bytes.extend_from_slice(network.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}
