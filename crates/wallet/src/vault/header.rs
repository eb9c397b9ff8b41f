//! Bytes of the vault file: 268 of them, each either checked or encrypted. PURE.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | `HEARTHV1` |
//! | 8 | 2 | version, little-endian: 1 |
//! | 10 | 1 | key derivation: 1 = argon2id, version 0x13 |
//! | 11 | 1 | recovery words: 12 or 24 |
//! | 12 | 4+4+4 | argon2 memory in KiB, passes, lanes, little-endian |
//! | 24 | 16 | salt |
//! | 40 | 24 | nonce of the wrapped key |
//! | 64 | 24 | nonce of the payload |
//! | 88 | 32 | network id |
//! | 120 | 20 | address of the account |
//! | 140 | 48 | data key under the key from the passphrase: XChaCha20-Poly1305, bytes 0 to 139 as associated data |
//! | 188 | 48 | entropy under the data key, filled up to 32 bytes, the same associated data |
//! | 236 | 32 | BLAKE3 hash of all before it |
//!
//! The hash tells a damaged file from a wrong passphrase without the passphrase; it protects nothing, the authenticated
//! encryption does. The address is readable without the passphrase, so that a balance can be shown, and is
//! authenticated when the vault is unlocked.

use std::ops::RangeInclusive;

use protocol::id::{Hash, NetworkId};
use settlement::Address;

use crate::secret::WordCount;

pub(super) const MAGIC: &[u8; 8] = b"HEARTHV1";
pub(super) const HEADER_BYTES: usize = 140;
pub(super) const FILE_BYTES: usize = 268;
pub(super) const SEALED_BYTES: usize = 48;
const HASHED_BYTES: usize = FILE_BYTES - 32;
const VERSION: u16 = 1;
const ARGON2ID: u8 = 1;

/// Bounds of the parameters: below, the file would be cheap to guess at; above, opening it would exhaust the machine.
pub(super) const MEMORY_KIB: RangeInclusive<u32> = 8 * 1024..=1024 * 1024;
const PASSES: RangeInclusive<u32> = 1..=10;
const LANES: RangeInclusive<u32> = 1..=4;

/// How hard it is to try a passphrase: parameters of argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strength {
    /// Memory in KiB.
    pub(super) memory_kib: u32,
    /// Passes over it.
    pub(super) passes: u32,
    /// Lanes.
    pub(super) lanes: u32,
}

impl Strength {
    /// 256 MiB, three passes, one lane: about two seconds.
    pub const STANDARD: Self = Self { memory_kib: 256 * 1024, passes: 3, lanes: 1 };
    /// 64 MiB, three passes, one lane: for machines with less than 4 GiB.
    pub const SMALL_MACHINE: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// The least that a vault file may have: for tests.
    pub const LEAST: Self = Self { memory_kib: *MEMORY_KIB.start(), passes: *PASSES.start(), lanes: 1 };

    /// What fits a machine with this much memory.
    pub const fn for_memory(total_bytes: u64) -> Self {
        if total_bytes < 4 * 1024 * 1024 * 1024 { Self::SMALL_MACHINE } else { Self::STANDARD }
    }
}

/// A parsed vault file.
#[derive(Clone)]
pub(super) struct Parsed {
    pub(super) header: Header,
    /// The header's bytes as found: associated data.
    pub(super) header_bytes: [u8; HEADER_BYTES],
    pub(super) sealed_key: [u8; SEALED_BYTES],
    pub(super) sealed_entropy: [u8; SEALED_BYTES],
}

/// What stands in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) words: WordCount,
    pub(super) strength: Strength,
    pub(super) salt: [u8; 16],
    pub(super) key_nonce: [u8; 24],
    pub(super) entropy_nonce: [u8; 24],
    pub(super) network: NetworkId,
    pub(super) address: Address,
}

/// Why bytes are no vault file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParseError {
    /// They do not begin like one.
    Foreign,
    /// They begin like one of a later version.
    Version(u16),
    /// They begin like one, and are damaged.
    Corrupt(&'static str),
}

impl Header {
    pub(super) fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(MAGIC);
        put(&VERSION.to_le_bytes());
        put(&[ARGON2ID, self.words.words()]);
        put(&self.strength.memory_kib.to_le_bytes());
        put(&self.strength.passes.to_le_bytes());
        put(&self.strength.lanes.to_le_bytes());
        put(&self.salt);
        put(&self.key_nonce);
        put(&self.entropy_nonce);
        put(self.network.as_bytes());
        put(self.address.as_bytes());
        out
    }
}

/// The whole file.
pub(super) fn assemble(
    header: &[u8; HEADER_BYTES],
    sealed_key: &[u8; SEALED_BYTES],
    sealed_entropy: &[u8; SEALED_BYTES],
) -> Vec<u8> {
    let mut file = Vec::with_capacity(FILE_BYTES);
    file.extend_from_slice(header);
    file.extend_from_slice(sealed_key);
    file.extend_from_slice(sealed_entropy);
    let hash = Hash::of(&file);
    file.extend_from_slice(hash.as_bytes());
    file
}

/// Reads a vault file; parameters outside the bounds are refused.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    if !bytes.starts_with(MAGIC) {
        return Err(ParseError::Foreign);
    }
    let mut reader = Reader { rest: &bytes[MAGIC.len()..] };
    let version = u16::from_le_bytes(reader.take()?);
    let whole =
        bytes.len() == FILE_BYTES && Hash::of(&bytes[..HASHED_BYTES]).as_bytes() == &bytes[HASHED_BYTES..];
    if version > VERSION && !whole {
        return Err(ParseError::Version(version));
    }
    if !whole {
        return Err(ParseError::Corrupt("its length or checksum is wrong"));
    }
    if version != VERSION {
        return Err(ParseError::Version(version));
    }
    let [kdf, words] = reader.take()?;
    if kdf != ARGON2ID {
        return Err(ParseError::Corrupt("its key derivation is unknown"));
    }
    let words = WordCount::of(words).ok_or(ParseError::Corrupt("its number of words is wrong"))?;
    let strength = Strength {
        memory_kib: u32::from_le_bytes(reader.take()?),
        passes: u32::from_le_bytes(reader.take()?),
        lanes: u32::from_le_bytes(reader.take()?),
    };
    let bounded = MEMORY_KIB.contains(&strength.memory_kib)
        && PASSES.contains(&strength.passes)
        && LANES.contains(&strength.lanes);
    if !bounded {
        return Err(ParseError::Corrupt("its key derivation is outside the bounds"));
    }
    let header = Header {
        words,
        strength,
        salt: reader.take()?,
        key_nonce: reader.take()?,
        entropy_nonce: reader.take()?,
        network: NetworkId(reader.take()?),
        address: Address::from_bytes(reader.take()?),
    };
    let mut header_bytes = [0; HEADER_BYTES];
    header_bytes.copy_from_slice(&bytes[..HEADER_BYTES]);
    Ok(Parsed { header, header_bytes, sealed_key: reader.take()?, sealed_entropy: reader.take()? })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or(ParseError::Corrupt("it is too short"))?;
        self.rest = rest;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(strength: Strength) -> Vec<u8> {
        let header = Header {
            words: WordCount::Twelve,
            strength,
            salt: [1; 16],
            key_nonce: [2; 24],
            entropy_nonce: [3; 24],
            network: NetworkId([4; 32]),
            address: Address::from_bytes([5; 20]),
        };
        assemble(&header.to_bytes(), &[6; SEALED_BYTES], &[7; SEALED_BYTES])
    }

    #[test]
    fn file_reads_back_as_written() {
        let bytes = file(Strength::STANDARD);
        assert_eq!(bytes.len(), FILE_BYTES);
        let parsed = parse(&bytes).ok().unwrap();
        assert_eq!(parsed.header.strength, Strength::STANDARD);
        assert_eq!(parsed.header.address, Address::from_bytes([5; 20]));
        assert_eq!(assemble(&parsed.header_bytes, &parsed.sealed_key, &parsed.sealed_entropy), bytes);
    }

    #[test]
    fn parameters_outside_the_bounds_are_refused_before_memory_is_taken() {
        let wild = |memory_kib, passes, lanes| Strength { memory_kib, passes, lanes };
        for strength in [
            wild(8 * 1024 - 1, 3, 1),
            wild(1024 * 1024 + 1, 3, 1),
            wild(u32::MAX, 3, 1),
            wild(8 * 1024, 0, 1),
            wild(8 * 1024, 11, 1),
            wild(8 * 1024, 3, 0),
            wild(8 * 1024, 3, 5),
        ] {
            let refused = parse(&file(strength)).err();
            assert_eq!(
                refused,
                Some(ParseError::Corrupt("its key derivation is outside the bounds")),
                "{strength:?}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = file(Strength::LEAST);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_err(), "bit {bit} of byte {} went unnoticed", bit / 8);
        }
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_err(), "a file of {length} bytes was taken");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(parse(&longer).is_err());
    }
}
