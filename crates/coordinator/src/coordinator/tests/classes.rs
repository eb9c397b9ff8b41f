//! Classes of devices: drivers that compute wrongly, and cheats that hide behind them.

use protocol::frames::Class;
use protocol::wire::KernelAnswer;

use super::*;
use crate::audit::classes::Standing;
use crate::status::{self, HeldClass, UnblockError};
use crate::store::classes;

/// A driver that nobody has computed with yet.
const NEW: &str = "2";

/// What the faulty driver makes of a slice: the same wrong answer on every card.
fn faulty(param: u32, right: Vec<u8>) -> Vec<u8> {
    if param.is_multiple_of(3) { vec![0xee; right.len()] } else { right }
}

fn right(_: u32, right: Vec<u8>) -> Vec<u8> {
    right
}

impl Scene {
    fn class(driver: &str) -> Class {
        adapter(driver).class()
    }

    fn standing(&self, driver: &str) -> Standing {
        let db = self.coordinator.store.read();
        let job = crate::store::work::job(db, &self.job).expect("readable").expect("known");
        classes::standing(db, &job.program, &Self::class(driver).hash()).expect("readable")
    }

    fn device(&self, n: u8) -> devices::Device {
        devices::device(self.coordinator.store.read(), &device(10 + n)).expect("readable").expect("known")
    }

    fn held(&self) -> Vec<HeldClass> {
        status::read(self.folder.path()).expect("readable").held_classes
    }

    fn no_work(&mut self, n: u8) -> Option<NoWork> {
        self.beat(n, true).no_work
    }

    /// Audits that wait for strangers go to the verifier, as if nobody had come.
    fn audit_by_verifier(&mut self) {
        let write =
            |t: &rusqlite::Transaction<'_>| crate::store::work::give_up_waiting(t, UnixMillis(u64::MAX / 4));
        self.coordinator.store.write(write).expect("writable");
        self.verify();
    }

    fn queued(&self) -> u64 {
        self.coordinator.progress(self.job).expect("known").queued
    }
}

#[test]
fn a_driver_that_computes_wrongly_is_held_and_its_owner_is_not_blamed() {
    let mut scene = Scene::new(2, 16);
    scene.enroll(0, NEW, None);
    scene.enroll(1, NEW, None);
    scene.work_as(0, faulty);
    assert!(scene.verify() >= 16, "a class that nobody knows is audited by the verifier alone");
    assert!(scene.receipts(0).is_empty(), "a wrong bundle is not paid");
    assert_eq!(scene.queued(), 128, "its slices are offered again");
    let blamed = scene.device(0);
    assert_eq!((blamed.faults, blamed.suspended), (0, false), "a driver's fault is nobody's");
    assert_eq!(scene.standing(NEW), Standing::Blocked);
    assert_eq!(scene.no_work(0), Some(NoWork::ClassHeld));
    assert_eq!(scene.no_work(1), Some(NoWork::ClassHeld), "nor does another card with this driver get work");

    let held = scene.held();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].described, "vulkan 0001:0001 2");
    assert_eq!(held[0].device, device(10));
    assert_eq!(held[0].found, Hash::of(&[0xee; 4]));
    assert_ne!(held[0].expected, held[0].found, "both digests are there to compare");
    assert!(held[0].mismatches > 1, "every wrong slice is on record");

    scene.enroll(0, DRIVER, None);
    scene.work_as(0, right);
    scene.work_as(0, right);
    scene.pass(120_001);
    scene.verify();
    assert_eq!(scene.queued(), 0, "with another driver the same card computes on");
    assert_eq!(scene.receipts(0).len(), 2);
    scene.check_books();
}

#[test]
fn an_operator_takes_a_hold_off_and_the_class_is_tried_again() {
    let mut scene = Scene::new(2, 16);
    scene.enroll(0, NEW, None);
    scene.enroll(1, NEW, None);
    scene.work_as(0, faulty);
    scene.verify();
    let held = scene.held().remove(0);
    let (program, class) = (held.program.to_string(), held.class.to_string());
    let folder = scene.folder.path().to_owned();
    let now = scene.now();
    let unknown = status::unblock(&folder, "zz", &class, now);
    assert!(matches!(unknown, Err(UnblockError::None { .. })), "{unknown:?}");
    assert_eq!(scene.held().len(), 1, "nothing has changed");
    assert_eq!(status::unblock(&folder, &program[..8], &class[..8], now).expect("one hold fits"), held);
    assert!(scene.held().is_empty());
    assert_eq!(scene.standing(NEW), Standing::NEW);
    scene.work_as(1, right);
    scene.verify();
    assert_eq!(scene.standing(NEW), Standing::Qualified, "sixteen audited slices agreed");
    scene.check_books();
}

#[test]
fn a_new_class_has_one_bundle_in_flight_until_eight_audited_slices_agreed() {
    let mut scene = Scene::new(4, 2);
    scene.enroll(0, NEW, None);
    scene.enroll(1, NEW, None);
    let lease = scene.lease(0);
    assert_eq!(scene.no_work(1), Some(NoWork::NoneOffered), "one of the class at a time");
    assert_eq!(scene.lease(2).slices.len(), 64, "other classes are not held up");
    scene.hand_in(0, &lease, right);
    assert_eq!(scene.no_work(1), Some(NoWork::NoneOffered), "handed in is not judged yet");
    assert_eq!(scene.verify(), 8, "the device's tier alone would have had two audits");
    assert_eq!(scene.standing(NEW), Standing::Qualified);
    scene.lease(0);
    scene.lease(1);
    scene.check_books();
}

#[test]
fn a_class_on_trial_is_not_asked_about_the_work_of_others() {
    let mut scene = Scene::new(3, 4);
    scene.work(0, |_| false);
    scene.enroll(1, NEW, None);
    assert_eq!(scene.work_as(1, right).len(), 64, "its own unit and none of the four waiting audits");
    assert_eq!(scene.work(2, |_| false).len(), 64 + 4, "a qualified class gets them");
}

#[test]
fn a_trial_that_expires_lets_others_try_before_it_is_repeated() {
    let mut scene = Scene::new(2, 8);
    scene.enroll(0, NEW, None);
    scene.enroll(1, NEW, None);
    scene.lease(0);
    scene.pass(60_001);
    scene.coordinator.tick();
    assert_eq!(scene.no_work(0), Some(NoWork::NoneOffered), "it sat on the only trial");
    scene.work_as(1, right);
    scene.verify();
    scene.lease(0);
}

#[test]
fn a_fault_in_a_qualified_class_is_the_devices_own() {
    let mut scene = Scene::new(2, 64);
    scene.work(0, |n| n == 5);
    scene.audit_by_verifier();
    let device = scene.device(0);
    assert_eq!((device.faults, device.suspended), (1, false), "one wrong slice could be hardware");
    assert_eq!(scene.queued(), 128);
    assert_eq!(scene.standing(DRIVER), Standing::Qualified, "the class stays in");
    assert!(scene.held().is_empty());
}

#[test]
fn the_same_wrong_answer_from_two_unrelated_devices_is_the_drivers() {
    let mut scene = Scene::new(2, 64);
    scene.work_as(0, faulty);
    scene.audit_by_verifier();
    let first = scene.device(0);
    assert_eq!((first.faults, first.suspended), (1, true), "alone, it looks like a cheat");
    assert!(scene.held().is_empty());
    scene.work_as(1, faulty);
    scene.audit_by_verifier();
    assert_eq!(scene.standing(DRIVER), Standing::Blocked, "two cards in two networks do not err alike");
    for n in [0, 1] {
        let device = scene.device(n);
        assert_eq!((device.faults, device.suspended), (0, false), "device {n} is cleared");
    }
    assert!(scene.receipts(1).is_empty(), "and still not paid for it");
    scene.check_books();
}

#[test]
fn another_lie_than_the_first_ones_blames_the_liar() {
    let mut scene = Scene::new(2, 64);
    for n in [0, 1] {
        scene.work(n, |_| true);
        let write =
            |t: &rusqlite::Transaction<'_>| crate::store::work::give_up_waiting(t, UnixMillis(u64::MAX / 4));
        scene.coordinator.store.write(write).expect("writable");
        scene.verify();
        assert!(scene.device(n).suspended, "device {n} lies in its own way");
    }
    assert_eq!(scene.standing(DRIVER), Standing::Qualified);
}

#[test]
fn a_cheat_that_invents_classes_is_never_paid_and_soon_tried_no_more() {
    let mut scene = Scene::new(2, 16);
    let mut handed_in = 0;
    for n in 0..5 {
        scene.enroll(0, &format!("invented {n}"), None);
        match scene.no_work(0) {
            None => {
                let lease = scene.lease(0);
                scene.hand_in(0, &lease, |_, right| vec![0; right.len()]);
                scene.verify();
                handed_in += 1;
            }
            reason => assert_eq!(reason, Some(NoWork::ClassHeld)),
        }
    }
    assert_eq!(handed_in, crate::audit::classes::MAX_DEVICE_HOLDS);
    assert!(scene.receipts(0).is_empty());
    assert_eq!(scene.device(0).clean_units, 0);
    scene.enroll(1, "a real one", None);
    scene.work_as(1, right);
    scene.verify();
    assert_eq!(scene.standing("a real one"), Standing::Qualified, "others are not held up by it");
    scene.check_books();
}

#[test]
fn another_class_neither_resets_trust_nor_takes_a_lease_out_of_its_own() {
    let mut scene = Scene::new(2, 64);
    let lease = scene.lease(0);
    // Before the verdict it claims to be something that nobody can blame it for.
    scene.enroll(0, NEW, None);
    scene.hand_in(0, &lease, |_, right| vec![0; right.len()]);
    scene.audit_by_verifier();
    let cheat = scene.device(0);
    assert_eq!((cheat.faults, cheat.suspended), (1, true), "the class at the grant counts");
    scene.enroll(0, "3", None);
    assert_eq!(scene.no_work(0), Some(NoWork::Suspended), "its record stays with its key");
}

#[test]
fn a_device_that_reports_wrong_known_answers_gets_no_work_until_it_reports_right_ones() {
    let mut scene = Scene::new(1, 16);
    let report = |driver: &str, right| KnownAnswers {
        suite: Hash([1; 32]),
        class: adapter(driver).class(),
        checked_at: UnixMillis(START),
        kernels: vec![KernelAnswer { kernel: "bits".into(), right, digest: Hash([2; 32]) }],
    };
    scene.enroll(0, DRIVER, Some(report(DRIVER, false)));
    assert_eq!(scene.no_work(0), Some(NoWork::ClassHeld));
    assert_eq!(status::read(scene.folder.path()).expect("readable").miscomputing, 1);
    assert_eq!((scene.device(0).faults, scene.device(0).suspended), (0, false));
    scene.enroll(0, "updated", Some(report(DRIVER, false)));
    assert_eq!(scene.no_work(0), None, "a report of the driver before says nothing of this one");
    scene.enroll(0, "updated", Some(report("updated", true)));
    assert_eq!(status::read(scene.folder.path()).expect("readable").miscomputing, 0);
}
