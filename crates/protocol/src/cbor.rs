//! The one encoding of messages: CBOR (RFC 8949) with definite lengths, shortest integers, and the fields of a
//! structure in declared order.
//!
//! [`decode`] accepts exactly what [`encode`] would write for the same value and nothing else, so a value has one
//! byte string: unknown fields, reordered fields, long integer forms, indefinite lengths and trailing bytes are refused.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Nesting deeper than this is refused; the deepest message of ours has nine levels.
const MAX_DEPTH: usize = 32;

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than this kind of message may have.
    #[error("message of {actual_bytes} bytes is over the limit of {limit_bytes}")]
    TooLarge {
        /// Size of what arrived.
        actual_bytes: usize,
        /// Largest size accepted here.
        limit_bytes: usize,
    },
    /// Not CBOR, or not of the expected shape.
    #[error("malformed message: {0}")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Decodes, but is not the canonical encoding of its value.
    #[error("message is not in canonical form")]
    NotCanonical,
}

/// The canonical bytes of `value`.
///
/// # Panics
/// Never for the types of this crate: all their fields have a CBOR form and the sink is memory.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("a protocol type always encodes into memory");
    bytes
}

/// The value whose canonical form is `bytes`, of at most `limit_bytes`.
///
/// # Errors
/// [`DecodeError`] for anything that [`encode`] would not have written.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit_bytes {
        return Err(DecodeError::TooLarge { actual_bytes: bytes.len(), limit_bytes });
    }
    let value: T = ciborium::de::from_reader_with_recursion_limit(bytes, MAX_DEPTH)
        .map_err(|e| DecodeError::Malformed(Box::new(e)))?;
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}
