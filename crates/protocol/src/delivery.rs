//! Deliveries: the coordinator's word that one device may fetch a blob from another, and the fetcher's word for what came.
//!
//! A [`DeliveryLease`] names both ends, so neither can choose the other, and a [`DeliveryReceipt`] counts bytes that were
//! verified against the blob's hash, cumulatively, so the last one says everything. [`may_send`] and [`receipt_due`] are the
//! two halves of one promise: a provider that keeps to the first loses at most [`MAX_UNSIGNED_BYTES`] to a fetcher that stops
//! signing, and a fetcher that keeps to the second never makes an honest provider wait.

use serde::{Deserialize, Serialize};

use crate::id::{CoordinatorId, DeliveryId, DeviceId, Hash, Nonce};
use crate::sign::{Envelope, Message, Signed};
use crate::units::{BaseUnits, UnixMillis};

/// Bytes of the first step.
const FIRST_STEP_BYTES: u64 = 64 * 1024;
/// The most that a provider sends beyond the last receipt.
pub const MAX_UNSIGNED_BYTES: u64 = 4 * 1024 * 1024;
/// Prices are for this many bytes.
pub const PRICED_BYTES: u64 = 1024 * 1024;
/// Longest address of a relay.
const MAX_RELAY_BYTES: usize = 256;

/// Lets one device fetch one blob from another. Signed by the coordinator, which drew the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryLease {
    /// Who signs, and who settles.
    pub coordinator: CoordinatorId,
    /// Drawn at random for this delivery alone.
    pub delivery: DeliveryId,
    /// Who sends.
    pub provider: DeviceId,
    /// Who receives.
    pub consumer: DeviceId,
    /// What is fetched.
    pub blob: Hash,
    /// Its length.
    pub blob_bytes: u64,
    /// Pay of the provider for each [`PRICED_BYTES`], fixed before the first byte.
    pub price: BaseUnits,
    /// When it was granted.
    pub granted_at: UnixMillis,
    /// From when a provider refuses it.
    pub expires_at: UnixMillis,
}

/// What has arrived and was verified so far. Signed by the consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReceipt {
    /// Who settles.
    pub coordinator: CoordinatorId,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Bytes of the blob, from its start, that were verified; not the bytes on the wire.
    pub verified_bytes: u64,
}

/// Where a device can be found by those to whom the coordinator sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAddress {
    /// Its relay, for example `https://relay.example./`; one of those that the profile names.
    pub relay: Option<String>,
    /// Socket addresses that it is likely to answer at, at most [`PeerAddress::MAX_DIRECT`]. Empty for a device that hides
    /// its address from peers.
    pub direct: Vec<String>,
}

impl PeerAddress {
    /// Most socket addresses.
    pub const MAX_DIRECT: usize = 4;

    /// Whether it is within its bounds and every entry can be read.
    pub fn is_sound(&self) -> bool {
        self.direct.len() <= Self::MAX_DIRECT
            && self.direct.iter().all(|direct| direct.parse::<core::net::SocketAddr>().is_ok())
            && self.relay.as_ref().is_none_or(|relay| !relay.is_empty() && relay.len() <= MAX_RELAY_BYTES)
    }
}

/// Asks from whom a blob may be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskDelivery {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// Never used twice.
    pub nonce: Nonce,
    /// The sender's clock.
    pub sent_at: UnixMillis,
    /// The blob.
    pub blob: Hash,
}

/// Answer to [`AskDelivery`]. Without a lease the blob is fetched from the coordinator itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryOffer {
    /// Nonce of the request.
    pub nonce: Nonce,
    /// The coordinator's clock.
    pub at: UnixMillis,
    /// Envelope of a [`DeliveryLease`], and where its provider can be found.
    pub lease: Option<(Envelope, PeerAddress)>,
}

/// What a device could deliver, where it can be found, and what it has delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliverable {
    /// The coordinator addressed.
    pub coordinator: CoordinatorId,
    /// Never used twice.
    pub nonce: Nonce,
    /// The sender's clock.
    pub sent_at: UnixMillis,
    /// Where it can be found; `None` while it does not deliver.
    pub address: Option<PeerAddress>,
    /// All the blobs that it would deliver, at most [`Deliverable::MAX_BLOBS`].
    pub blobs: Vec<Hash>,
    /// Envelopes of the last [`DeliveryReceipt`] of each delivery that has moved, at most [`Deliverable::MAX_RECEIPTS`].
    pub receipts: Vec<Envelope>,
}

impl Deliverable {
    /// Most blobs in one message.
    pub const MAX_BLOBS: usize = 4096;
    /// Most receipts in one message.
    pub const MAX_RECEIPTS: usize = 256;
}

impl Message for DeliveryLease {
    const TYPE: &'static str = "delivery-lease";
    const MAX_BYTES: usize = 1024;
}
impl Message for DeliveryReceipt {
    const TYPE: &'static str = "delivery-receipt";
    const MAX_BYTES: usize = 256;
}
impl Message for AskDelivery {
    const TYPE: &'static str = "ask-delivery";
    const MAX_BYTES: usize = 4 * 1024;
}
impl Message for DeliveryOffer {
    const TYPE: &'static str = "delivery-offer";
    const MAX_BYTES: usize = 8 * 1024;
}
impl Message for Deliverable {
    const TYPE: &'static str = "deliverable";
    const MAX_BYTES: usize = 512 * 1024;
}

/// Up to which byte a provider sends while the last receipt says `signed_bytes`.
pub fn may_send(signed_bytes: u64) -> u64 {
    let unsigned = signed_bytes.saturating_mul(2).clamp(2 * FIRST_STEP_BYTES, MAX_UNSIGNED_BYTES);
    signed_bytes.saturating_add(unsigned)
}

/// From how many verified bytes on the next receipt is due after one for `signed_bytes`: first at 64 KiB, then at each
/// doubling, then every 2 MiB, half of what [`may_send`] allows, so that a receipt is on its way while the rest still flows.
pub fn receipt_due(signed_bytes: u64) -> u64 {
    let step = signed_bytes.clamp(FIRST_STEP_BYTES, MAX_UNSIGNED_BYTES / 2);
    signed_bytes.saturating_add(step)
}

/// Why a provider does not serve a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseRefusal {
    /// Signed by a coordinator that this device does not know.
    #[error("the lease is from another coordinator")]
    Coordinator,
    /// It names another provider, or whoever calls is not its consumer.
    #[error("the lease is for others")]
    Parties,
    /// Its time is over.
    #[error("the lease has expired")]
    Expired,
}

/// Whether `provider` serves this lease to whoever proved to be `caller`.
///
/// # Errors
/// [`LeaseRefusal`].
pub fn check_lease(
    lease: &Signed<DeliveryLease>,
    coordinator: &CoordinatorId,
    provider: &DeviceId,
    caller: &DeviceId,
    now: UnixMillis,
) -> Result<(), LeaseRefusal> {
    let terms = lease.message();
    if lease.signer() != coordinator.as_bytes() || terms.coordinator != *coordinator {
        return Err(LeaseRefusal::Coordinator);
    }
    if terms.provider != *provider || terms.consumer != *caller {
        return Err(LeaseRefusal::Parties);
    }
    if now >= terms.expires_at {
        return Err(LeaseRefusal::Expired);
    }
    Ok(())
}

/// Why a delivery receipt says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptRefusal {
    /// It is not signed by the lease's consumer, or speaks of another delivery.
    #[error("the receipt belongs to another delivery")]
    Foreign,
    /// It takes back bytes that were signed before.
    #[error("the receipt takes back what was signed")]
    Backwards,
    /// It speaks of more than the blob has, or than was sent.
    #[error("the receipt speaks of bytes that were never sent")]
    TooMuch,
}

/// The bytes that `receipt` signs for, given the last receipt and what has been sent (for the coordinator: the blob's length).
///
/// # Errors
/// [`ReceiptRefusal`].
pub fn check_receipt(
    lease: &DeliveryLease,
    receipt: &Signed<DeliveryReceipt>,
    signed_bytes: u64,
    sent_bytes: u64,
) -> Result<u64, ReceiptRefusal> {
    let said = receipt.message();
    let foreign = receipt.signer() != lease.consumer.as_bytes()
        || said.delivery != lease.delivery
        || said.coordinator != lease.coordinator;
    if foreign {
        return Err(ReceiptRefusal::Foreign);
    }
    if said.verified_bytes < signed_bytes {
        return Err(ReceiptRefusal::Backwards);
    }
    if said.verified_bytes > lease.blob_bytes.min(sent_bytes) {
        return Err(ReceiptRefusal::TooMuch);
    }
    Ok(said.verified_bytes)
}

/// The provider's pay for so many bytes, rounded down; `None` past the end of the numbers.
pub fn pay(price: BaseUnits, verified_bytes: u64) -> Option<BaseUnits> {
    price.0.checked_mul(u128::from(verified_bytes)).map(|sum| BaseUnits(sum / u128::from(PRICED_BYTES)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::id::NetworkId;
    use crate::sign::Key;

    const NETWORK: NetworkId = NetworkId([9; 32]);

    fn key(seed: u8) -> Key {
        Key::from_seed(&Zeroizing::new([seed; 32]))
    }

    fn lease() -> DeliveryLease {
        DeliveryLease {
            coordinator: key(1).coordinator(),
            delivery: DeliveryId([4; 32]),
            provider: key(2).device(),
            consumer: key(3).device(),
            blob: Hash([5; 32]),
            blob_bytes: 10_000_000,
            price: BaseUnits(1_000),
            granted_at: UnixMillis(100),
            expires_at: UnixMillis(200),
        }
    }

    #[test]
    fn a_lease_is_served_by_its_provider_to_its_consumer_in_its_time() {
        let signed = key(1).sign(&NETWORK, lease());
        let check = |signed: &_, provider: u8, caller: u8, now: u64| {
            let (coordinator, provider, caller) =
                (key(1).coordinator(), key(provider).device(), key(caller).device());
            check_lease(signed, &coordinator, &provider, &caller, UnixMillis(now))
        };
        assert_eq!(check(&signed, 2, 3, 199), Ok(()));
        assert_eq!(check(&signed, 2, 3, 200), Err(LeaseRefusal::Expired));
        assert_eq!(
            check(&signed, 2, 4, 150),
            Err(LeaseRefusal::Parties),
            "a copied lease is of no use to a third device"
        );
        assert_eq!(check(&signed, 3, 3, 150), Err(LeaseRefusal::Parties));
        let forged = key(3).sign(&NETWORK, lease());
        assert_eq!(
            check(&forged, 2, 3, 150),
            Err(LeaseRefusal::Coordinator),
            "the consumer cannot write its own"
        );
    }

    #[test]
    fn a_receipt_counts_only_forward_and_only_what_was_sent() {
        let receipt = |who: u8, verified_bytes| {
            let said = DeliveryReceipt {
                coordinator: key(1).coordinator(),
                delivery: DeliveryId([4; 32]),
                verified_bytes,
            };
            key(who).sign(&NETWORK, said)
        };
        let check = |signed: &_| check_receipt(&lease(), signed, 1000, 5000);
        assert_eq!(check(&receipt(3, 5000)), Ok(5000));
        assert_eq!(check(&receipt(3, 1000)), Ok(1000), "the same again does no harm");
        assert_eq!(check(&receipt(3, 999)), Err(ReceiptRefusal::Backwards));
        assert_eq!(check(&receipt(3, 5001)), Err(ReceiptRefusal::TooMuch));
        assert_eq!(
            check(&receipt(2, 5000)),
            Err(ReceiptRefusal::Foreign),
            "a provider cannot sign for itself"
        );
    }

    #[test]
    fn receipts_come_at_64_kib_then_at_each_doubling_then_every_2_mib() {
        let kib = 1024;
        let mut signed = 0;
        let due: Vec<u64> = (0..9)
            .map(|_| {
                signed = receipt_due(signed);
                signed / kib
            })
            .collect();
        assert_eq!(due, [64, 128, 256, 512, 1024, 2048, 4096, 6144, 8192]);
    }

    #[test]
    fn an_address_that_cannot_be_read_is_not_sound() {
        let direct = |text: &str| PeerAddress { relay: None, direct: vec![text.to_owned()] };
        assert!(direct("192.0.2.1:4433").is_sound() && direct("[2001:db8::1]:4433").is_sound());
        assert!(
            !direct("192.0.2.1").is_sound() && !direct("home.example:1").is_sound(),
            "names are not looked up"
        );
        let many = PeerAddress { relay: None, direct: vec!["192.0.2.1:1".to_owned(); 5] };
        assert!(!many.is_sound());
        assert!(!PeerAddress { relay: Some(String::new()), direct: Vec::new() }.is_sound());
    }

    proptest! {
        #[test]
        fn an_honest_consumer_never_stalls_an_honest_provider_and_neither_risks_more_than_the_bound(signed in 0..u64::MAX / 4) {
            prop_assert!(receipt_due(signed) > signed);
            prop_assert!(receipt_due(signed) < may_send(signed), "the receipt is due before the provider has to stop");
            prop_assert!(may_send(signed) - signed <= MAX_UNSIGNED_BYTES);
        }

        #[test]
        fn pay_in_parts_never_exceeds_pay_for_the_whole(price in 0..1u128 << 80, bytes in 0..1u64 << 40, cut in 0..1u64 << 40) {
            let cut = cut.min(bytes);
            let paid = |bytes| pay(BaseUnits(price), bytes).expect("below the end of the numbers").0;
            prop_assert!(paid(cut) + paid(bytes - cut) <= paid(bytes));
        }
    }
}
