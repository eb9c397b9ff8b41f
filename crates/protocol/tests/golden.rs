//! Frozen examples of every message: a change of the wire shows as a diff of `tests/golden/`.
//!
//! `HEARTH_UPDATE_GOLDEN=1 cargo test -p protocol --test golden` writes them anew.

use std::path::PathBuf;

use protocol::delivery::{
    AskDelivery, Deliverable, DeliveryLease, DeliveryOffer, DeliveryReceipt, PeerAddress,
};
use protocol::frames::{Adapter, Pace, Request};
use protocol::id::{BundleId, CoordinatorId, DeliveryId, DeviceId, Hash, LeaseId, NetworkId, Nonce, SliceId};
use protocol::manifest::{
    Buffer, Cost, Family, Feature, InputRange, Kernel, Manifest, Module, Program, Role, SlicePlan, Stage,
    UnitPlan, Validator, Vector,
};
use protocol::profile::{ChainProfile, Coordinator, Parameters, Profile};
use protocol::receipt::Receipt;
use protocol::sign::{Envelope, Key, Message};
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::{
    Accepted, Bind, Enroll, Enrolled, EpochNotice, Heartbeat, HeartbeatAnswer, KernelAnswer, KnownAnswers,
    NoWork, Relay, Relayed, Upload, WithdrawIntent,
};
use protocol::work::{Commit, SliceRef, WorkLease, WorkResult};
use protocol::{cbor, credit::CreditKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

fn key(n: u8) -> Key {
    Key::from_seed(&Zeroizing::new([n; 32]))
}

fn network() -> NetworkId {
    NetworkId::of_root_key(&key(1).public())
}

fn program() -> Program {
    Program {
        format: 1,
        title: "Signal search".into(),
        purpose: "Looking for narrow radio signals in a telescope recording.".into(),
        family: Family::SignalSearch,
        modules: vec![Module { blob: Hash::of(b"wgsl"), bytes: 4 }],
        kernels: vec![Kernel { module: 0, entry: "drift".into(), workgroup: [64, 1, 1] }],
        buffers: vec![
            Buffer { name: "samples".into(), role: Role::Input, bytes: 64 },
            Buffer { name: "params".into(), role: Role::Params, bytes: 8 },
            Buffer { name: "best".into(), role: Role::Output, bytes: 16 },
        ],
        stages: vec![Stage { kernel: 0, bindings: vec![0, 1, 2], groups: 1, repeat: 3 }],
        features: Vec::new(),
        cost: Cost { operations: 1000, memory_bytes: 88, max_millis: 4000 },
        validator: Validator::Bitwise,
    }
}

fn manifest() -> Manifest {
    let slice = SlicePlan {
        inputs: vec![InputRange { blob: Hash::of(b"tile"), offset_bytes: 0, bytes: 64 }],
        params: vec![1, 2],
    };
    Manifest {
        publisher: key(3).publisher(),
        program: Hash::of(b"program envelope"),
        body: program(),
        units: vec![UnitPlan { slices: vec![slice; 64] }],
        price_per_slice: BaseUnits(1_000_000_000_000_000),
        vectors: (0..8).map(|slice| Vector { unit: 0, slice, digest: Hash::of(&[slice as u8]) }).collect(),
        notes: "{}".into(),
    }
}

fn receipt() -> Receipt {
    Receipt {
        network: network(),
        coordinator: key(2).coordinator(),
        device: key(4).device(),
        sequence: 1,
        previous: Hash([0; 32]),
        kind: CreditKind::Computed,
        bundle: BundleId([5; 32]),
        slices: 64,
        amount: BaseUnits(64_000_000_000_000_000),
        total: BaseUnits(64_000_000_000_000_000),
        issued_at: UnixMillis(1_763_900_000_000),
        matures_at: UnixMillis(1_764_504_800_000),
        title: "Signal search".into(),
    }
}

/// Compares with the committed bytes, and checks that they read back as the same value.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let bytes = cbor::encode(value);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let text = hex::encode(&bytes)
        .as_bytes()
        .chunks(120)
        .map(|line| String::from_utf8_lossy(line).into_owned() + "\n")
        .collect::<String>();
    if std::env::var_os("HEARTH_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).expect("write the golden file");
    }
    let golden = std::fs::read_to_string(&path).expect("a golden file for every message");
    assert_eq!(text, golden, "the wire form of {name} changed: other builds in the field cannot read it");
    let back: T = cbor::decode(&bytes, usize::MAX).expect("our own bytes are canonical");
    assert_eq!(&back, value, "{name} survives the way over the wire");
}

fn check_signed<T: Message + PartialEq + std::fmt::Debug + Clone>(signer: u8, message: T) {
    let signed = key(signer).sign(&network(), message.clone());
    check(T::TYPE, signed.envelope());
    let bytes = signed.envelope().to_bytes();
    let envelope = Envelope::from_bytes::<T>(&bytes).expect("an envelope within its limit");
    let verified = envelope.verify::<T>(&network(), &key(signer).public()).expect("our own signature");
    assert_eq!(verified.message(), &message, "a verified message is the one that was signed");
}

#[test]
fn every_message_keeps_its_bytes() {
    let coordinator = key(2).coordinator();
    let adapter = Adapter {
        name: "llvmpipe".into(),
        backend: "vulkan".into(),
        driver: "llvmpipe 22.3.6".into(),
        vendor_id: 0x10005,
        device_id: 0,
        software: true,
        max_binding_bytes: 134_217_728,
        memory_bytes: None,
        features: vec![Feature::F16],
    };
    let lease = WorkLease {
        network: network(),
        coordinator,
        device: key(4).device(),
        lease: LeaseId([6; 32]),
        bundle: BundleId([5; 32]),
        program: Hash::of(b"program envelope"),
        slices: vec![SliceRef {
            slice: SliceId([7; 32]),
            inputs: vec![InputRange { blob: Hash::of(b"tile"), offset_bytes: 0, bytes: 64 }],
            params: vec![1, 2],
        }],
        price_per_slice: BaseUnits(1_000_000_000_000_000),
        granted_at: UnixMillis(1_763_900_000_000),
        deadline_at: UnixMillis(1_763_900_600_000),
    };
    let intent = WithdrawIntent {
        account: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".into(),
        to: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
        amount: BaseUnits(10),
        fee: BaseUnits(1),
        relayer: "0x0000000000000000000000000000000000000000".into(),
        nonce: 9,
        deadline_seconds: 1_763_986_400,
    };
    check_signed(3, program());
    check_signed(3, manifest());
    check_signed(2, receipt());
    check_signed(2, lease.clone());
    check_signed(
        4,
        Commit {
            coordinator,
            lease: LeaseId([6; 32]),
            bundle: BundleId([5; 32]),
            digests: vec![(SliceId([7; 32]), Hash::of(b"output"))],
            device_millis: 1234,
        },
    );
    check_signed(
        4,
        WorkResult {
            coordinator,
            lease: LeaseId([6; 32]),
            bundle: BundleId([5; 32]),
            outputs: vec![(SliceId([7; 32]), serde_bytes::ByteBuf::from(b"output".to_vec()))],
        },
    );
    let sent_at = UnixMillis(1_763_900_000_000);
    let nonce = Nonce([8; 32]);
    let answers = KnownAnswers {
        suite: Hash::of(b"suite"),
        class: adapter.class(),
        checked_at: sent_at,
        kernels: vec![KernelAnswer { kernel: "bits".into(), right: true, digest: Hash::of(b"outputs") }],
    };
    check_signed(
        4,
        Enroll { coordinator, protocol: 1, nonce, sent_at, adapter: adapter.clone(), answers: Some(answers) },
    );
    check_signed(2, Enrolled { nonce, at: sent_at, last_sequence: 0 });
    check_signed(
        4,
        Heartbeat {
            coordinator,
            nonce,
            sent_at,
            holding: vec![LeaseId([6; 32])],
            returned: vec![],
            wants_work: true,
            last_sequence: 0,
        },
    );
    check_signed(
        2,
        HeartbeatAnswer {
            nonce,
            at: sent_at,
            leases: vec![key(2).sign(&network(), lease).envelope().clone()],
            receipts: vec![key(2).sign(&network(), receipt()).envelope().clone()],
            next_in_millis: 5000,
            no_work: Some(NoWork::NoneOffered),
        },
    );
    check_signed(
        4,
        Bind {
            coordinator,
            nonce,
            sent_at,
            payout: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".into(),
            issued_at_seconds: 1_763_900_000,
            expires_at_seconds: 1_763_986_400,
            wallet_signature: vec![1; 65],
        },
    );
    check_signed(
        4,
        Relay {
            coordinator,
            nonce,
            sent_at,
            intent,
            signature: vec![2; 65],
            cumulative: BaseUnits(11),
            proof: vec![Hash::of(b"sibling")],
        },
    );
    check_signed(2, Relayed { nonce, transaction: Hash::of(b"transaction") });
    check_signed(2, Accepted { request: Hash::of(b"request"), at: sent_at });
    check_signed(
        2,
        EpochNotice {
            epoch: 3,
            root: Hash::of(b"root"),
            total: BaseUnits(11),
            list: Hash::of(b"list"),
            active: true,
            relayer: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
            withdrawal_fee: BaseUnits(1),
            at: sent_at,
        },
    );
    check_signed(3, Upload { coordinator, blob: Hash::of(b"tile"), bytes: 64 });
    check_signed(
        1,
        Profile {
            name: "Local network".into(),
            counter: 1,
            expires_at: UnixMillis(1_795_436_000_000),
            coordinators: vec![Coordinator { id: coordinator, url: "http://127.0.0.1:8470".into() }],
            chain: ChainProfile {
                chain_id: 31337,
                rpc: vec!["http://127.0.0.1:8545".into()],
                token: "0x5FbDB2315678afecb367f032d93F642f64180aa3".into(),
                token_symbol: "EMBER".into(),
                token_decimals: 18,
                distributor: "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512".into(),
            },
            publishers: [("Local sky".to_owned(), key(3).publisher())].into(),
            parameters: Parameters {
                maturity_millis: 1000,
                epoch_millis: 5000,
                lease_millis: 600_000,
                audits_per_unit: [16, 4, 2],
                trusted_permille: 1000,
                fee_permille: 50,
                withdrawal_fee: BaseUnits(3),
                delivery_price: BaseUnits::ZERO,
            },
            relays: Vec::new(),
            local: true,
        },
    );
    let lease = DeliveryLease {
        coordinator,
        delivery: DeliveryId([11; 32]),
        provider: key(4).device(),
        consumer: key(5).device(),
        blob: Hash::of(b"tile"),
        blob_bytes: 1_048_576,
        price: BaseUnits(25),
        granted_at: UnixMillis(1_795_436_000_000),
        expires_at: UnixMillis(1_795_436_600_000),
    };
    let receipt = DeliveryReceipt { coordinator, delivery: lease.delivery, verified_bytes: 65_536 };
    let address = PeerAddress {
        relay: Some("https://relay.example./".into()),
        direct: vec!["192.0.2.7:4433".into(), "[2001:db8::7]:4433".into()],
    };
    let (nonce, sent_at) = (Nonce([12; 32]), UnixMillis(1_795_436_000_000));
    check_signed(2, lease.clone());
    check_signed(5, receipt.clone());
    check_signed(5, AskDelivery { coordinator, nonce, sent_at, blob: lease.blob });
    let signed = key(2).sign(&network(), lease.clone()).envelope().clone();
    check_signed(2, DeliveryOffer { nonce, at: sent_at, lease: Some((signed, address.clone())) });
    let receipts = vec![key(5).sign(&network(), receipt).envelope().clone()];
    let address = Some(address);
    check_signed(4, Deliverable { coordinator, nonce, sent_at, address, blobs: vec![lease.blob], receipts });
    check(
        "frame-run",
        &Request::Run {
            slice: SliceId([7; 32]),
            inputs: vec![serde_bytes::ByteBuf::from(vec![1, 2, 3, 4])],
            params: vec![1, 2],
            resume_from: None,
            pace: Pace::AWAY,
        },
    );
    check("frame-load", &Request::Load { program: Box::new(program()), sources: vec!["wgsl".into()] });
}

#[test]
fn the_sample_package_passes_its_own_checks() {
    manifest().check().expect("the golden manifest is a valid package");
}

#[test]
fn identifiers_are_what_the_design_says() {
    assert_eq!(
        network().0,
        *blake3::hash(&key(1).public()).as_bytes(),
        "a network is the hash of its root key"
    );
    assert_eq!(DeviceId(key(4).public()), key(4).device(), "a device is its public key");
    assert_eq!(CoordinatorId(key(2).public()), key(2).coordinator(), "a coordinator is its public key");
}
