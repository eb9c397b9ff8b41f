//! A network's profile: the one file that says which coordinators, chain, contracts and parameters make a network.
//!
//! It is signed by the network's root key, whose hash is the network's id. A newer profile needs the same key, a
//! higher counter and an expiry in the future; [`accept`] is the only door.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{CoordinatorId, NetworkId, PublisherId};
use crate::sign::{Envelope, Message, Signed, VerifyError};
use crate::units::{BaseUnits, UnixMillis};

/// Signed by the network's root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Name for people.
    pub name: String,
    /// Grows with each update.
    pub counter: u64,
    /// From when it is refused.
    pub expires_at: UnixMillis,
    /// Coordinators with their base addresses, for example `http://127.0.0.1:8470`.
    pub coordinators: Vec<Coordinator>,
    /// EVM chain.
    pub chain: ChainProfile,
    /// Publishers that this network lets in, with their names.
    pub publishers: BTreeMap<String, PublisherId>,
    /// Time spans and shares.
    pub parameters: Parameters,
    /// Relays through which devices reach each other, for example `https://relay.example/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<String>,
    /// Only on a network that lives on one machine: software renderers are let in and times are compressed.
    pub local: bool,
}

/// A coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordinator {
    /// Its key.
    pub id: CoordinatorId,
    /// Base address.
    pub url: String,
}

/// The chain that pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainProfile {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// RPC endpoints.
    pub rpc: Vec<String>,
    /// Checksummed address of the ERC-3009 token.
    pub token: String,
    /// Unit of the token, for example `EMBER`.
    pub token_symbol: String,
    /// Decimals of the token.
    pub token_decimals: u8,
    /// Checksummed address of the distributor.
    pub distributor: String,
}

/// Parameters of verification and settlement, in milliseconds and thousandths (DESIGN.md §8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// How long credit stays provisional.
    pub maturity_millis: u64,
    /// How often an epoch closes.
    pub epoch_millis: u64,
    /// How long a lease lasts.
    pub lease_millis: u64,
    /// Audited slices per unit in tiers 0, 1 and 2.
    pub audits_per_unit: [u16; 3],
    /// Share of audits that the trusted verifier runs, in thousandths.
    pub trusted_permille: u16,
    /// The network's fee on a publisher's payment, in thousandths.
    pub fee_permille: u16,
    /// Fee of the coordinator's relayer for one withdrawal.
    pub withdrawal_fee: BaseUnits,
    /// Pay for [`crate::delivery::PRICED_BYTES`] that were delivered to another device and verified there. Zero: deliveries are not
    /// brokered.
    #[serde(default, skip_serializing_if = "BaseUnits::is_zero")]
    pub delivery_price: BaseUnits,
}

impl Message for Profile {
    const TYPE: &'static str = "profile";
    const MAX_BYTES: usize = 64 * 1024;
}

/// Why a profile is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The signature does not fit the signer, or the body is no profile.
    #[error("the network profile cannot be verified")]
    Verify(#[from] VerifyError),
    /// Another root key than the network's.
    #[error("the profile is signed for another network")]
    WrongNetwork,
    /// An older or equal counter.
    #[error("the profile has counter {found}, this device already knows {known}")]
    Counter {
        /// Counter known here.
        known: u64,
        /// Counter found.
        found: u64,
    },
    /// Past its expiry.
    #[error("the profile has expired")]
    Expired,
}

/// Verifies a profile read from a file. `known` is the network and counter already joined, if any.
///
/// # Errors
/// [`AcceptError`]: wrong signature or network, an old counter, or past its expiry.
pub fn accept(
    envelope: Envelope,
    known: Option<(NetworkId, u64)>,
    now: UnixMillis,
) -> Result<(NetworkId, Signed<Profile>), AcceptError> {
    let network = NetworkId::of_root_key(envelope.signer());
    if known.is_some_and(|(id, _)| id != network) {
        return Err(AcceptError::WrongNetwork);
    }
    let profile: Signed<Profile> = envelope.verify_any(&network)?;
    if let Some((_, counter)) = known
        && profile.message().counter <= counter
    {
        return Err(AcceptError::Counter { known: counter, found: profile.message().counter });
    }
    if profile.message().expires_at <= now {
        return Err(AcceptError::Expired);
    }
    Ok((network, profile))
}
