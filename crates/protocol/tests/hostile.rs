//! Bytes from outside: nothing but the canonical form of a message is read, nothing panics, nothing is believed twice.

use proptest::prelude::*;
use protocol::cbor::{self, DecodeError};
use protocol::credit::CreditKind;
use protocol::delivery::{Deliverable, DeliveryLease};
use protocol::frames::{self, Pace, ReadFrameError, Reply, Request};
use protocol::id::{BundleId, Hash, NetworkId, Nonce, SliceId};
use protocol::manifest::{CheckError, Manifest, Program};
use protocol::profile::{self, AcceptError, Profile};
use protocol::receipt::{Chain, ChainError, Receipt};
use protocol::sign::{Envelope, Key, Signed, VerifyError};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{Enrolled, Heartbeat, Relayed};
use zeroize::Zeroizing;

fn key(n: u8) -> Key {
    Key::from_seed(&Zeroizing::new([n; 32]))
}

const NETWORK: NetworkId = NetworkId([1; 32]);

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("golden file");
    hex::decode(text.split_whitespace().collect::<String>()).expect("hex")
}

fn receipt(chain: &Chain, kind: CreditKind, amount: u128, coordinator: &Key) -> Signed<Receipt> {
    let amount = BaseUnits(amount);
    coordinator.sign(
        &NETWORK,
        Receipt {
            network: NETWORK,
            coordinator: coordinator.coordinator(),
            device: chain.device,
            sequence: chain.sequence + 1,
            previous: chain.tip,
            kind,
            bundle: BundleId([0; 32]),
            slices: 1,
            amount,
            total: chain.total_after(kind, amount).unwrap_or(BaseUnits::ZERO),
            issued_at: UnixMillis(1),
            matures_at: UnixMillis(2),
            title: "t".into(),
        },
    )
}

#[test]
fn a_signature_does_not_stand_for_another_type_network_or_signer() {
    let signed = key(2).sign(&NETWORK, Relayed { nonce: Nonce([3; 32]), transaction: Hash([4; 32]) });
    let envelope = signed.envelope().clone();
    assert!(
        matches!(envelope.clone().verify_any::<Enrolled>(&NETWORK), Err(VerifyError::BadSignature)),
        "the type is part of what is signed"
    );
    assert!(
        matches!(envelope.clone().verify_any::<Relayed>(&NetworkId([2; 32])), Err(VerifyError::BadSignature)),
        "the network is part of what is signed"
    );
    assert!(
        matches!(envelope.verify::<Relayed>(&NETWORK, &key(3).public()), Err(VerifyError::WrongSigner)),
        "somebody else's signature is not the expected one"
    );
}

#[test]
fn only_the_canonical_form_is_read() {
    let canonical = cbor::encode(&Pace::AWAY);
    assert!(cbor::decode::<Pace>(&canonical, 1000).is_ok(), "our own form is read");
    let mut trailing = canonical.clone();
    trailing.push(0);
    assert!(cbor::decode::<Pace>(&trailing, 1000).is_err(), "trailing bytes are refused");
    // The same map with its first two entries exchanged.
    let swapped: Vec<u8> = {
        let mut value: ciborium::Value = ciborium::from_reader(canonical.as_slice()).expect("cbor");
        if let ciborium::Value::Map(entries) = &mut value {
            entries.swap(0, 1);
        }
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).expect("memory");
        bytes
    };
    assert!(
        matches!(cbor::decode::<Pace>(&swapped, 1000), Err(DecodeError::NotCanonical)),
        "another order of fields would be a second byte string for the same value"
    );
    assert!(
        matches!(cbor::decode::<Pace>(&canonical, 3), Err(DecodeError::TooLarge { .. })),
        "the limit is checked before anything is read"
    );
}

#[test]
fn deep_nesting_is_refused_without_overflowing_the_stack() {
    let bomb = vec![0x81; 1_000_000];
    assert!(cbor::decode::<Manifest>(&bomb, usize::MAX).is_err(), "a million nested arrays are no manifest");
}

#[test]
fn a_receipt_chain_grows_only_by_its_own_next_link() {
    let coordinator = key(2);
    let empty = Chain::new(NETWORK, coordinator.coordinator(), key(4).device());
    let first = receipt(&empty, CreditKind::Computed, 100, &coordinator);
    let one = empty.append(&first).expect("the first link");
    assert_eq!(
        one.append(&first),
        Err(ChainError::Sequence { expected: 2, found: 1 }),
        "a replay is refused"
    );
    let forged = receipt(&one, CreditKind::Computed, 5, &key(9));
    assert_eq!(one.append(&forged), Err(ChainError::Foreign), "only the coordinator owes");
    let revoked = receipt(&one, CreditKind::Revoked, 40, &coordinator);
    let two = one.append(&revoked).expect("a revocation within the total");
    assert_eq!(two.total, BaseUnits(60), "what is revoked is subtracted");
    let too_much = receipt(&two, CreditKind::Revoked, 61, &coordinator);
    assert_eq!(two.append(&too_much), Err(ChainError::Total), "a total never falls below zero");
    let other_history = Chain { tip: Hash([7; 32]), ..two.clone() };
    let next = receipt(&other_history, CreditKind::Computed, 1, &coordinator);
    assert_eq!(two.append(&next), Err(ChainError::Previous), "history cannot be rewritten");
}

#[test]
fn a_profile_needs_its_root_key_a_higher_counter_and_time_left() {
    let root = key(1);
    let network = NetworkId::of_root_key(&root.public());
    let golden = Envelope::from_bytes::<Profile>(&golden("profile")).expect("golden profile");
    let signed: Signed<Profile> = golden.clone().verify_any(&network).expect("golden signature");
    let soon = UnixMillis(signed.message().expires_at.0 - 1);
    assert!(
        profile::accept(golden.clone(), None, soon).is_ok(),
        "a first profile before its expiry is accepted"
    );
    assert!(
        matches!(
            profile::accept(golden.clone(), None, signed.message().expires_at),
            Err(AcceptError::Expired)
        ),
        "at its expiry it is void"
    );
    assert!(
        matches!(profile::accept(golden.clone(), Some((network, 1)), soon), Err(AcceptError::Counter { .. })),
        "the same counter is no update"
    );
    let newer = Profile { counter: 2, ..signed.message().clone() };
    let stranger = key(8).sign(&NetworkId::of_root_key(&key(8).public()), newer.clone());
    assert!(
        matches!(
            profile::accept(stranger.envelope().clone(), Some((network, 1)), soon),
            Err(AcceptError::WrongNetwork)
        ),
        "another root key is another network"
    );
    let update = root.sign(&network, newer);
    assert!(
        profile::accept(update.envelope().clone(), Some((network, 1)), soon).is_ok(),
        "a real update is taken"
    );
}

#[test]
fn a_manifest_with_impossible_numbers_is_refused() {
    let envelope = Envelope::from_bytes::<Program>(&golden("program")).expect("golden program");
    let network = NetworkId::of_root_key(&key(1).public());
    let program: Signed<Program> = envelope.verify_any(&network).expect("golden signature");
    let good = program.into_message();
    let mut huge = good.clone();
    huge.buffers[0].bytes = u32::MAX - 3;
    assert!(matches!(huge.check(), Err(CheckError::OutOfBounds { .. })), "a 4 GiB buffer is refused");
    let mut dangling = good.clone();
    dangling.stages[0].bindings = vec![9];
    assert!(matches!(dangling.check(), Err(CheckError::NoSuch { .. })), "a binding to nothing is refused");
    let mut twice = good.clone();
    twice.stages[0].bindings = vec![0, 0];
    assert!(twice.check().is_err(), "one buffer bound twice would alias");
    let mut threads = good.clone();
    threads.kernels[0].workgroup = [65_536, 65_536, 65_536];
    assert!(threads.check().is_err(), "the product of a workgroup does not overflow into acceptance");
    let mut groups = good;
    groups.stages[0].groups = 0;
    assert!(groups.check().is_err(), "a stage of zero groups is refused");
}

#[test]
fn a_lying_frame_length_neither_allocates_nor_hangs() {
    let mut bytes = 200_000_000u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0; 16]);
    let result = frames::read_reply(&mut bytes.as_slice(), frames::MAX_REPLY_BYTES);
    assert!(matches!(result, Err(ReadFrameError::Io(_))), "the stream ended inside the frame: {result:?}");
    let over = u32::MAX.to_le_bytes();
    assert!(
        matches!(frames::read_reply(&mut over.as_slice(), 1024), Err(ReadFrameError::Decode(_))),
        "a length over the limit is refused before anything is read"
    );
    assert!(
        matches!(frames::read_reply(&mut [].as_slice(), 1024), Err(ReadFrameError::Closed)),
        "a clean end"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(cbor::decode::<Manifest>(&bytes, 600).is_err(), "600 random bytes are no manifest");
        drop(cbor::decode::<Heartbeat>(&bytes, 600));
        drop(Envelope::from_bytes::<Receipt>(&bytes));
        drop(cbor::decode::<DeliveryLease>(&bytes, 600));
        drop(cbor::decode::<Deliverable>(&bytes, 600));
        drop(frames::read_reply(&mut bytes.as_slice(), 600));
    }

    #[test]
    fn a_damaged_message_is_refused_or_the_same(index in 0usize..5000, flip in 1u8..=255) {
        for name in ["manifest", "work-lease", "heartbeat-answer", "receipt", "delivery-lease", "delivery-receipt"] {
            let mut bytes = golden(name);
            let at = index % bytes.len();
            bytes[at] ^= flip;
            let network = NetworkId::of_root_key(&key(1).public());
            if let Ok(envelope) = cbor::decode::<Envelope>(&bytes, usize::MAX) {
                prop_assert!(envelope.verify_any::<Manifest>(&network).is_err(), "a flipped bit breaks the signature");
            }
        }
    }

    #[test]
    fn amounts_survive_text_exactly(value in any::<u128>()) {
        let text = BaseUnits(value).to_string();
        prop_assert_eq!(text.parse::<BaseUnits>(), Ok(BaseUnits(value)), "no digit is lost");
    }

    #[test]
    fn a_frame_written_is_the_frame_read(permille in 0u16..=1000, id in any::<[u8; 32]>()) {
        let frame = Reply::Progress { slice: SliceId(id), permille };
        let mut bytes = Vec::new();
        frames::write_frame(&mut bytes, &frame).expect("memory");
        let back = frames::read_reply(&mut bytes.as_slice(), 1024).expect("our own frame");
        prop_assert_eq!(back, frame, "frames survive the pipe");
        let request = Request::Resume { pace: Pace::NEAR };
        let mut bytes = Vec::new();
        frames::write_frame(&mut bytes, &request).expect("memory");
        prop_assert_eq!(frames::read_request(&mut bytes.as_slice()).expect("our own frame"), request, "both ways");
    }
}

#[test]
fn amounts_that_are_not_plain_digits_are_refused() {
    for text in ["", "-1", "+1", "1.0", "1e3", "0x10", " 1", "01", "340282366920938463463374607431768211456"]
    {
        assert!(text.parse::<BaseUnits>().is_err(), "{text:?} is no amount in base units");
    }
}
