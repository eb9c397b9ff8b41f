//! Deliveries: drawn by the coordinator, paid from the publisher's deposit for what a stranger signed, and not one unit more.

use std::net::{IpAddr, Ipv4Addr};

use protocol::delivery::{DeliveryLease, PeerAddress};
use protocol::id::DeliveryId;

use super::*;
use crate::delivery::{LEASE_FOR, MAX_SHORT, MIN_BYTES, RECEIPTS_FOR};

/// Where everybody calls from.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
/// A whole blob of these jobs: 64 units of 64 slices with two matrices of 16 bytes.
const BLOB_BYTES: u64 = 64 * 64 * 32;

/// A job whose one input is large enough to be delivered, on a network of many homes; and that input.
fn scene() -> (Scene, Hash) {
    let mut scene = Scene::with(Play {
        validator: Validator::Freivalds { rounds: 2, rows: SIDE, inner: SIDE, columns: SIDE },
        ..Play::new(64, 4)
    });
    scene.coordinator.office.profile.local = false;
    let lease = scene.lease(0);
    (scene, lease.slices[0].inputs[0].blob)
}

fn at(port: u16) -> PeerAddress {
    PeerAddress { relay: None, direct: vec![format!("203.0.113.7:{port}")] }
}

impl Scene {
    fn announce(
        &mut self,
        n: u8,
        address: Option<PeerAddress>,
        blobs: Vec<Hash>,
        receipts: &[Signed<DeliveryReceipt>],
    ) {
        let message = Deliverable {
            coordinator: key(1).coordinator(),
            nonce: self.nonce(),
            sent_at: self.now(),
            address,
            blobs,
            receipts: Vec::new(),
        };
        self.coordinator.deliverable(device(10 + n), &message, receipts, HOME).expect("a sound announcement");
    }

    fn ask(&mut self, n: u8, blob: Hash) -> Option<(DeliveryLease, PeerAddress)> {
        let message =
            AskDelivery { coordinator: key(1).coordinator(), nonce: self.nonce(), sent_at: self.now(), blob };
        let offer = self.coordinator.ask_delivery(device(10 + n), &message, &[n; 32]).expect("an answer");
        offer.lease.map(|(envelope, address)| {
            let lease: Signed<DeliveryLease> =
                envelope.verify(&self.coordinator.office.network, &key(1).public()).expect("signed");
            (lease.into_message(), address)
        })
    }

    fn receipt(&self, n: u8, delivery: DeliveryId, verified_bytes: u64) -> Signed<DeliveryReceipt> {
        let said = DeliveryReceipt { coordinator: key(1).coordinator(), delivery, verified_bytes };
        key(10 + n).sign(&self.coordinator.office.network, said)
    }

    fn account(&self) -> ledger::Account {
        ledger::publisher(self.coordinator.store.read(), &key(2).publisher())
            .expect("readable")
            .expect("there")
    }

    fn delivered(&mut self, n: u8) -> usize {
        self.receipts(n).iter().filter(|(kind, _)| kind == "Delivered").count()
    }
}

#[test]
fn a_delivery_is_paid_for_what_its_consumer_signed_from_what_was_held_for_it() {
    let (mut scene, blob) = scene();
    let before = scene.account();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    let (lease, address) = scene.ask(0, blob).expect("somebody has it");
    assert_eq!((lease.provider, lease.consumer, lease.blob_bytes), (device(11), device(10), BLOB_BYTES));
    assert_eq!(address, at(4433), "where it can be found");
    assert_eq!(
        scene.account().reserved.0 - before.reserved.0,
        10_000 + 526,
        "pay and fee are held before a byte moves"
    );
    scene.check_books();

    let half = scene.receipt(0, lease.delivery, 65_536);
    scene.announce(1, Some(at(4433)), vec![blob], &[half]);
    assert_eq!(scene.delivered(1), 0, "the rest may still come");
    let whole = scene.receipt(0, lease.delivery, BLOB_BYTES);
    scene.announce(1, Some(at(4433)), vec![blob], &[whole.clone(), whole.clone()]);
    scene.announce(1, Some(at(4433)), vec![blob], &[whole]);
    assert_eq!(scene.delivered(1), 1, "however often a receipt is shown, it pays once");
    let after = scene.account();
    assert_eq!(after.reserved, before.reserved, "nothing is held any more");
    assert_eq!(after.spent.0 - before.spent.0, 10_526);
    scene.check_books();
}

#[test]
fn a_delivery_that_stays_in_the_middle_is_paid_in_part_when_its_time_is_over() {
    let (mut scene, blob) = scene();
    let before = scene.account();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    let (lease, _) = scene.ask(0, blob).expect("somebody has it");
    let half = scene.receipt(0, lease.delivery, BLOB_BYTES / 2);
    scene.announce(1, Some(at(4433)), vec![blob], &[half]);
    scene.pass((LEASE_FOR + RECEIPTS_FOR).as_millis() as u64);
    scene.coordinator.settle_deliveries().expect("settled");
    assert_eq!(scene.delivered(1), 0, "to the last moment a receipt may come");
    scene.pass(1);
    scene.coordinator.settle_deliveries().expect("settled");
    assert_eq!(scene.delivered(1), 1);
    let after = scene.account();
    assert_eq!(
        (after.reserved, after.spent.0 - before.spent.0),
        (before.reserved, 5_000 + 263),
        "half of it"
    );
    let late = scene.receipt(0, lease.delivery, BLOB_BYTES);
    scene.announce(1, Some(at(4433)), vec![blob], &[late]);
    assert_eq!(scene.account(), after, "what is settled stays so");
    scene.check_books();
}

#[test]
fn nobody_is_paid_for_what_others_did_not_sign() {
    let (mut scene, blob) = scene();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    let (lease, _) = scene.ask(0, blob).expect("somebody has it");
    let before = scene.account();
    let by_itself = scene.receipt(1, lease.delivery, BLOB_BYTES);
    let too_much = scene.receipt(0, lease.delivery, BLOB_BYTES + 1);
    let of_nothing = scene.receipt(0, DeliveryId([9; 32]), BLOB_BYTES);
    scene.announce(1, Some(at(4433)), vec![blob], &[by_itself, too_much, of_nothing]);
    let others = scene.receipt(0, lease.delivery, BLOB_BYTES);
    scene.announce(2, Some(at(4434)), vec![blob], &[others]);
    assert_eq!((scene.account(), scene.delivered(1), scene.delivered(2)), (before, 0, 0));
    scene.check_books();
}

#[test]
fn demand_of_ones_own_making_is_served_by_nobody() {
    let (mut scene, blob) = scene();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    assert!(scene.ask(3, blob).is_none(), "it holds no work that needs the blob");
    let other =
        scene.coordinator.office.blobs.store(&vec![7; MIN_BYTES as usize], Nonce([8; 32])).expect("space");
    scene.announce(1, Some(at(4433)), vec![blob, other], &[]);
    assert!(scene.ask(0, other).is_none(), "its work does not need this one");
    scene.announce(0, Some(at(4435)), vec![blob], &[]);
    scene.announce(1, None, Vec::new(), &[]);
    assert!(scene.ask(0, blob).is_none(), "nobody delivers to himself");
    scene.check_books();
}

#[test]
fn a_question_that_is_asked_again_gets_the_same_lease_and_holds_no_more_money() {
    let (mut scene, blob) = scene();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    let (first, _) = scene.ask(0, blob).expect("somebody has it");
    let held = scene.account();
    let (again, _) = scene.ask(0, blob).expect("the same");
    assert_eq!((first.delivery, scene.account()), (again.delivery, held));
}

#[test]
fn a_device_that_has_not_announced_itself_for_long_is_not_called() {
    let (mut scene, blob) = scene();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    scene.pass(crate::delivery::PRESENT_FOR.as_millis() as u64 + 1);
    scene.lease(0);
    assert!(scene.ask(0, blob).is_none());
}

#[test]
fn strangers_addresses_are_not_passed_on() {
    let (mut scene, blob) = scene();
    let victim = PeerAddress {
        relay: Some("https://elsewhere.example/".into()),
        direct: vec!["198.51.100.1:443".into(), "203.0.113.7:4433".into()],
    };
    scene.announce(1, Some(victim), vec![blob], &[]);
    let (_, address) = scene.ask(0, blob).expect("somebody has it");
    assert_eq!(
        address,
        at(4433),
        "only where it calls from itself, and no relay that the profile does not name"
    );
    let message = Deliverable {
        coordinator: key(1).coordinator(),
        nonce: scene.nonce(),
        sent_at: scene.now(),
        address: Some(PeerAddress { relay: None, direct: vec!["home.example:1".into()] }),
        blobs: Vec::new(),
        receipts: Vec::new(),
    };
    let refused = scene.coordinator.deliverable(device(12), &message, &[], HOME);
    assert!(
        matches!(refused, Err(Failure::Refused(r)) if r.code == RefusalCode::Malformed),
        "a name is no address"
    );
}

#[test]
fn bringing_a_blob_to_a_device_is_paid_once() {
    let (mut scene, blob) = scene();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    let (lease, _) = scene.ask(0, blob).expect("somebody has it");
    let whole = scene.receipt(0, lease.delivery, BLOB_BYTES);
    scene.announce(1, Some(at(4433)), vec![blob], &[whole]);
    let after = scene.account();
    assert!(
        scene.ask(0, blob).is_none(),
        "two in league cannot carry it to and fro until the deposit is gone"
    );
    assert_eq!(scene.account(), after);
    scene.lease(9);
    assert!(scene.ask(9, blob).is_some(), "another device needs it as well");
    scene.check_books();
}

#[test]
fn a_consumer_that_too_often_signed_for_a_part_only_fetches_from_the_coordinator() {
    let (mut scene, blob) = scene();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    // Deliveries of other blobs, each signed for in part: what would be left of a day of taking without signing.
    let lease = scene.ask(0, blob).expect("somebody has it").0;
    let job = scene.job;
    let signed: Vec<_> = (0..MAX_SHORT)
        .map(|n| {
            let other = DeliveryLease {
                delivery: DeliveryId([100 + n as u8; 32]),
                blob: Hash([n as u8; 32]),
                expires_at: scene.now(),
                ..lease.clone()
            };
            scene
                .coordinator
                .store
                .write(|t| crate::store::deliveries::add(t, &other, &job, BaseUnits::ZERO))
                .expect("kept");
            other
        })
        .collect();
    let record = |scene: &Scene| {
        let since = UnixMillis(scene.now().0 - 1);
        crate::store::deliveries::record(scene.coordinator.store.read(), &device(10), since)
            .expect("readable")
    };
    assert_eq!(record(&scene), (MAX_SHORT + 1, 0), "open ones are not yet short ones");
    for other in signed {
        let little = scene.receipt(0, other.delivery, 65_536);
        scene
            .coordinator
            .store
            .write(|t| {
                crate::store::deliveries::sign(t, &little, 65_536)?;
                crate::store::deliveries::settle(t, &other.delivery)
            })
            .expect("kept");
    }
    assert_eq!(record(&scene), (1, MAX_SHORT));
    // The lease in hand ends unsigned, and the next question meets the record.
    scene.pass((LEASE_FOR + RECEIPTS_FOR).as_millis() as u64 + 1);
    scene.coordinator.settle_deliveries().expect("settled");
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    scene.lease(0);
    assert!(scene.ask(0, blob).is_none(), "whoever takes and does not sign gets no more from homes");
    scene.pass(24 * 3_600_000);
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    scene.lease(0);
    assert!(scene.ask(0, blob).is_some(), "after a day it is trusted anew");
    scene.check_books();
}

#[test]
fn without_free_deposit_there_is_no_delivery() {
    let (mut scene, blob) = scene();
    scene.announce(1, Some(at(4433)), vec![blob], &[]);
    scene.coordinator.office.profile.parameters.delivery_price = BaseUnits(1_000_000_000_000);
    let before = scene.account();
    assert!(scene.ask(0, blob).is_none());
    assert_eq!(scene.account(), before);
    scene.coordinator.office.profile.parameters.delivery_price = BaseUnits::ZERO;
    assert!(scene.ask(0, blob).is_none(), "a network without a price brokers nothing");
}
