//! Identifiers: 32 bytes each, shown as lower-case hex, one type per thing so that they cannot be mixed up.
//!
//! A content address is the BLAKE3 hash of the bytes it names. A key identifier is the ed25519 public key itself.
//! Bundle, slice, unit and lease identifiers are drawn at random by the coordinator and reveal nothing.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// The text is not 64 hexadecimal digits.
    #[error("an identifier is 64 hexadecimal digits")]
    NotHex,
}

/// Writes 32 bytes as a CBOR byte string, or as hex where the format is meant for people.
fn serialize_32<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&hex::encode(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

fn deserialize_32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    struct Bytes;
    impl<'de> Visitor<'de> for Bytes {
        type Value = [u8; 32];
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("32 bytes")
        }
        fn visit_bytes<E: serde::de::Error>(self, v: &[u8]) -> Result<[u8; 32], E> {
            v.try_into().map_err(|_| E::invalid_length(v.len(), &self))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; 32], A::Error> {
            let mut out = [0; 32];
            for (i, slot) in out.iter_mut().enumerate() {
                *slot = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(i, &"32 bytes"))?;
            }
            Ok(out)
        }
    }
    if deserializer.is_human_readable() {
        let text = String::deserialize(deserializer)?;
        parse_32(&text).map_err(D::Error::custom)
    } else {
        deserializer.deserialize_bytes(Bytes)
    }
}

fn parse_32(text: &str) -> Result<[u8; 32], ParseIdError> {
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).map_err(|_| ParseIdError::NotHex)?;
    Ok(out)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
            /// The first four bytes as hex: for logs and captions, never for comparison.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }
        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_32(text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_32(&self.0, serializer)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_32(deserializer).map(Self)
            }
        }
    };
}

id!(
    /// BLAKE3 hash of some bytes: their content address.
    Hash
);
id!(
    /// A network: BLAKE3 hash of its root public key.
    NetworkId
);
id!(
    /// A contributor's device: its ed25519 public key.
    DeviceId
);
id!(
    /// A coordinator: its ed25519 public key.
    CoordinatorId
);
id!(
    /// A publisher: its ed25519 public key.
    PublisherId
);
id!(
    /// A job: content address of its manifest.
    JobId
);
id!(
    /// A work unit, known to the coordinator and the publisher, never to the contributor.
    UnitId
);
id!(
    /// A slice as the contributor sees it: opaque, drawn anew for each lease.
    SliceId
);
id!(
    /// A device's time-limited right to compute one bundle.
    LeaseId
);
id!(
    /// A set of opaque slices that is leased, committed and answered together.
    BundleId
);
id!(
    /// One device's right to fetch one blob from another.
    DeliveryId
);
id!(
    /// Drawn at random by the sender of a request, so that a copy of the request is recognised.
    Nonce
);

impl Hash {
    /// The content address of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl NetworkId {
    /// The network whose root key is `root`.
    pub fn of_root_key(root: &[u8; 32]) -> Self {
        Self(*blake3::hash(root).as_bytes())
    }
}
