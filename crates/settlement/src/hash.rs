//! Fixed-size byte strings that travel as hexadecimal text: hashes, transaction hashes and signatures. Nothing here
//! computes; these are the names under which other rooms hold such bytes.

use std::fmt;
use std::str::FromStr;

use alloy::primitives::{B256, keccak256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a hexadecimal text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    #[error("expected 0x followed by {expected} hexadecimal digits")]
    Length { expected: usize },
    #[error("not a hexadecimal digit in the text")]
    Digit,
}

/// Reads exactly `N` bytes written as `0x` and 2·N hexadecimal digits.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = text.strip_prefix("0x").ok_or(HexError::Length { expected: 2 * N })?;
    if digits.len() != 2 * N {
        return Err(HexError::Length { expected: 2 * N });
    }
    let mut bytes = [0u8; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| HexError::Digit)?;
    Ok(bytes)
}

macro_rules! hex_bytes {
    ($name:ident, $len:expr) => {
        impl $name {
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// Any 32-byte hash: Merkle roots and nodes, digests, block hashes, manifests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash32(pub [u8; 32]);

/// The hash of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxHash(pub [u8; 32]);

/// A secp256k1 signature as the contracts read it: r, s, v with v 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 65]);

hex_bytes!(Hash32, 32);
hex_bytes!(TxHash, 32);
hex_bytes!(Signature, 65);

impl Hash32 {
    /// All zero: what a contract reads as "none".
    pub const ZERO: Self = Self([0; 32]);

    /// Keccak-256 of `bytes`, the hash of the EVM.
    #[must_use]
    pub fn keccak(bytes: &[u8]) -> Self {
        Self(keccak256(bytes).0)
    }

    pub(crate) fn from_b256(value: B256) -> Self {
        Self(value.0)
    }

    pub(crate) fn to_b256(self) -> B256 {
        B256::from(self.0)
    }
}

/// Why a signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature is malformed or not canonical")]
    Malformed,
    #[error("the signature is by {found}, not by {expected}")]
    WrongSigner { expected: crate::Address, found: crate::Address },
}

impl Signature {
    /// The address whose key signed `digest`.
    ///
    /// # Errors
    /// `Malformed` when no key could have made it, or when s lies in the upper half (the contract refuses those too,
    /// because each would have a twin).
    pub fn recover(&self, digest: &Hash32) -> Result<crate::Address, SignatureError> {
        let v = self.0[64];
        if v != 27 && v != 28 {
            return Err(SignatureError::Malformed);
        }
        let signature =
            alloy::primitives::Signature::from_raw_array(&self.0).map_err(|_| SignatureError::Malformed)?;
        if signature.normalize_s().is_some() {
            return Err(SignatureError::Malformed);
        }
        let address = signature
            .recover_address_from_prehash(&digest.to_b256())
            .map_err(|_| SignatureError::Malformed)?;
        Ok(crate::Address::from_alloy(address))
    }

    /// Succeeds when `expected` signed `digest`.
    ///
    /// # Errors
    /// `Malformed` as in [`Signature::recover`], `WrongSigner` when another key signed.
    pub fn verify(&self, digest: &Hash32, expected: crate::Address) -> Result<(), SignatureError> {
        let found = self.recover(digest)?;
        if found == expected { Ok(()) } else { Err(SignatureError::WrongSigner { expected, found }) }
    }
}
