//! PURE. Who delivers a blob to whom, and what that costs.
//!
//! A consumer never chooses its provider: the draw is the coordinator's, among devices that announced the blob, of other networks
//! than the consumer's, so that two machines of one owner cannot pay each other. It stores nothing and knows no address; the loop
//! brings the candidates and keeps the outcome.

use std::time::Duration;

use protocol::delivery;
use protocol::id::DeviceId;
use protocol::units::BaseUnits;

use crate::credit::{Cost, LedgerError, Terms};

/// A blob below this is fetched from the coordinator: a handshake with a peer would cost more than it spares.
pub const MIN_BYTES: u64 = 64 * 1024;
/// How long a device that announced itself is believed to be there.
pub const PRESENT_FOR: Duration = Duration::from_secs(900);
/// How long a delivery lease is served.
pub const LEASE_FOR: Duration = Duration::from_secs(600);
/// How long after that its provider may still show receipts.
pub const RECEIPTS_FOR: Duration = Duration::from_secs(3600);
/// Deliveries that one consumer has open at a time: the unsigned bytes of all of them are what providers risk.
pub const MAX_OPEN: u32 = 4;
/// Deliveries that one provider serves at a time.
const MAX_SERVED: u32 = 4;
/// Deliveries of a day that a consumer signed for only in part before it gets no more of them.
pub const MAX_SHORT: u32 = 8;

/// A device that announced the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The device.
    pub device: DeviceId,
    /// Salted hash of the network that it calls from.
    pub origin: [u8; 32],
    /// Deliveries that it serves at present.
    pub open: u32,
}

/// Draws a provider for `consumer`: an index into `candidates`. On the local network everybody calls from one network.
pub fn draw(
    candidates: &[Candidate],
    consumer: &DeviceId,
    consumer_origin: &[u8; 32],
    local_network: bool,
    random: &[u8; 32],
) -> Option<usize> {
    let fit: Vec<usize> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| {
            candidate.device != *consumer
                && (local_network || candidate.origin != *consumer_origin)
                && candidate.open < MAX_SERVED
        })
        .map(|(index, _)| index)
        .collect();
    let [a, b, c, d, e, f, g, h, ..] = *random;
    let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    // A remainder of 64 bits favours nobody among a few thousand by more than one in 10^15.
    let chosen = number.checked_rem(fit.len() as u64)?;
    fit.get(usize::try_from(chosen).ok()?).copied()
}

/// What delivering so many bytes costs the publisher: the provider's pay and the network's fee on it.
///
/// # Errors
/// [`LedgerError::Overflow`].
pub fn cost(price: BaseUnits, verified_bytes: u64, fee_permille: u16) -> Result<Cost, LedgerError> {
    let pay = delivery::pay(price, verified_bytes).ok_or(LedgerError::Overflow)?;
    Terms { price: pay, fee_permille }.cost(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(device: u8, origin: u8, open: u32) -> Candidate {
        Candidate { device: DeviceId([device; 32]), origin: [origin; 32], open }
    }

    fn drawn(candidates: &[Candidate], local: bool, seed: u64) -> Option<u8> {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&seed.to_le_bytes());
        let index = draw(candidates, &DeviceId([1; 32]), &[1; 32], local, &random)?;
        Some(candidates[index].device.0[0])
    }

    #[test]
    fn neither_oneself_nor_a_neighbour_nor_a_busy_device_is_drawn() {
        let candidates =
            [candidate(1, 9, 0), candidate(2, 1, 0), candidate(3, 3, MAX_SERVED), candidate(4, 4, 3)];
        for seed in 0..50 {
            assert_eq!(
                drawn(&candidates, false, seed),
                Some(4),
                "the only one that is of another network and free"
            );
        }
        assert_eq!(
            drawn(&candidates[..3], false, 7),
            None,
            "better the coordinator itself than one of these"
        );
        assert_eq!(drawn(&candidates[..2], true, 7), Some(2), "the local network is one network");
    }

    #[test]
    fn everybody_fit_is_drawn_about_as_often() {
        let candidates: Vec<Candidate> = (2..12).map(|n| candidate(n, n, 0)).collect();
        let mut counts = [0_u32; 12];
        for seed in 0..10_000_u64 {
            // The loop's random numbers are random; multiples of an odd number stand for them here.
            let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            counts[usize::from(drawn(&candidates, false, seed).expect("somebody"))] += 1;
        }
        assert!(counts[2..].iter().all(|&n| (800..1200).contains(&n)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn what_was_reserved_for_a_whole_blob_covers_every_part_of_it(
            price in 0..1u128 << 70, bytes in 0..1u64 << 33, part in 0..1u64 << 33, fee in 0..999u16
        ) {
            let of = |bytes| cost(BaseUnits(price), bytes, fee).and_then(Cost::gross).expect("small numbers");
            prop_assert!(of(part.min(bytes)) <= of(bytes));
        }
    }
}
