//! Addresses of accounts and contracts. A mistyped address loses money for good, so text becomes an [`Address`] only
//! through [`Address::parse_checksummed`] (what a person typed) or serde (what our own files and frames hold).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hash::{HexError, parse_hex};

/// A 20-byte EVM address. Displays with the EIP-55 checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

/// An address as a person gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedAddress {
    pub address: Address,
    /// False when the text was all lower or all upper case and so carried no checksum: worth a warning, because a typing
    /// mistake cannot be seen in it.
    pub checksummed: bool,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address cannot be empty")]
    Empty,
    #[error("an address starts with 0x")]
    Prefix,
    #[error("an address has 40 hexadecimal digits after 0x, this one has {found}")]
    Length { found: usize },
    #[error("an address has only the digits 0-9 and a-f")]
    Digit,
    #[error("the checksum does not match: at least one character is wrong")]
    Checksum,
}

impl Address {
    /// The address without an owner.
    pub const ZERO: Self = Self([0; 20]);

    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Reads what a person typed or pasted. Surrounding white space is not forgiven: the caller trims if it wants to.
    ///
    /// # Errors
    /// See [`AddressError`]; mixed case must carry the right EIP-55 checksum.
    pub fn parse_checksummed(text: &str) -> Result<ParsedAddress, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let digits = text.strip_prefix("0x").ok_or(AddressError::Prefix)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(AddressError::Digit);
        }
        if digits.len() != 40 {
            return Err(AddressError::Length { found: digits.len() });
        }
        let mut bytes = [0u8; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| AddressError::Digit)?;
        let address = Self(bytes);
        let lower = digits.bytes().any(|b| b.is_ascii_lowercase());
        let upper = digits.bytes().any(|b| b.is_ascii_uppercase());
        if lower && upper && address.to_string() != text {
            return Err(AddressError::Checksum);
        }
        // An address of decimal digits only is its own checksum, and one of a single case may happen to carry it.
        Ok(ParsedAddress { address, checksummed: address.to_string() == text })
    }

    /// The checksummed address in groups of four characters, for comparing by eye: `0x52 9084 …` is harder to skim over.
    #[must_use]
    pub fn grouped(&self) -> Vec<String> {
        let text = self.to_string();
        let mut groups = vec!["0x".to_owned()];
        groups.extend(text.as_bytes()[2..].chunks(4).map(|c| String::from_utf8_lossy(c).into_owned()));
        groups
    }

    pub(crate) fn from_alloy(address: alloy::primitives::Address) -> Self {
        Self(address.into_array())
    }

    pub(crate) fn to_alloy(self) -> alloy::primitives::Address {
        alloy::primitives::Address::from(self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_alloy().to_checksum(None))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// For texts that programs wrote. A wrong checksum is refused here as well.
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse_checksummed(text).map(|parsed| parsed.address)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl TryFrom<&[u8]> for Address {
    type Error = HexError;

    fn try_from(bytes: &[u8]) -> Result<Self, HexError> {
        bytes.try_into().map(Self).map_err(|_| HexError::Length { expected: 40 })
    }
}

/// Reads the 20 bytes of an address in JSON-RPC answers, which carry no checksum.
pub(crate) fn parse_rpc_address(text: &str) -> Result<Address, HexError> {
    parse_hex(text).map(Address)
}
