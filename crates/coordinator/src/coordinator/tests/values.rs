//! Validators that compare values: products by algebra, floats within bounds.

use super::*;

const PRODUCTS: Validator = Validator::Freivalds { rounds: 2, rows: SIDE, inner: SIDE, columns: SIDE };

fn flip_a_bit(mut output: Vec<u8>) -> Vec<u8> {
    output[17] ^= 0x40;
    output
}

#[test]
fn an_honest_product_is_accepted_without_running_anything() {
    let mut scene = Scene::with(Play { validator: PRODUCTS, ..Play::new(2, 16) });
    let vectors = scene.truth.runs;
    assert_eq!(vectors, 8, "the known answers were computed");
    scene.work(0, |_| false);
    assert_eq!(scene.work(1, |_| false).len(), 64, "no stranger is asked either");
    assert_eq!(scene.verify(), 0);
    for n in [0, 1] {
        assert_eq!(scene.receipts(n), [("Computed".to_owned(), 64)]);
    }
    let progress = scene.coordinator.progress(scene.job).expect("known");
    assert_eq!((progress.state.as_str(), progress.audits), ("done", 32), "all drawn slices were checked");
    scene.check_books();
}

#[test]
fn one_flipped_bit_in_a_product_is_found_and_only_then_is_a_slice_run() {
    let mut scene = Scene::with(Play { validator: PRODUCTS, ..Play::new(1, 64) });
    scene.work_as(0, |param, right| if param == 20 { flip_a_bit(right) } else { right });
    assert_eq!(scene.verify(), 1, "the one that fails, to say what is right");
    assert!(scene.receipts(0).is_empty());
    let progress = scene.coordinator.progress(scene.job).expect("known");
    assert_eq!((progress.queued, progress.accepted), (64, 0), "the bundle is offered again");
    let blamed = devices::device(scene.coordinator.store.read(), &device(10)).expect("readable");
    assert_eq!(blamed.map(|device| (device.faults, device.suspended)), Some((1, false)));
    scene.work(1, |_| false);
    assert_eq!(scene.verify(), 0);
    assert_eq!(scene.receipts(1), [("Computed".to_owned(), 64)]);
    scene.check_books();
}

#[test]
fn a_verifier_whose_own_product_fails_blames_nobody() {
    struct Broken;
    impl Verifier for Broken {
        fn compute(
            &mut self,
            _: &Program,
            _: &[String],
            slices: &mut dyn Iterator<Item = SliceInputs>,
        ) -> Result<Vec<Vec<u8>>, VerifierError> {
            Ok(slices.map(|slice| flip_a_bit(output(&slice.inputs, &slice.params))).collect())
        }
    }
    let mut scene = Scene::with(Play { validator: PRODUCTS, ..Play::new(1, 64) });
    scene.work_as(0, |param, right| if param == 20 { flip_a_bit(right) } else { right });
    scene.coordinator.feed_verifier();
    let mut ran = false;
    while let Ok(batch) = scene.batches.try_recv() {
        let office = &scene.coordinator.office;
        let outcome = verifier::carry_out(&mut Broken, &office.blobs, &office.network, &batch);
        if matches!(batch.kind, BatchKind::Audits(..)) {
            assert!(matches!(outcome, Err(VerifierError::Program(_))), "{outcome:?}");
            ran = true;
        }
        scene.coordinator.verifying = false;
        scene.coordinator.verified(batch.kind, outcome).expect("noted");
        scene.coordinator.feed_verifier();
    }
    assert!(ran, "the failing slice was run");
    let device = devices::device(scene.coordinator.store.read(), &device(10)).expect("readable");
    assert_eq!(device.map(|device| device.faults), Some(0), "there is no verdict without a right reference");
}

fn tolerance() -> Validator {
    Validator::Tolerance { abs_nano: 1000, rel_nano: 1000, rms_nano: 1000 }
}

fn a_nan_at(place: usize) -> fn(usize) -> u32 {
    match place {
        3 => |n| if n == 3 { f32::NAN.to_bits() } else { (n as f32).to_bits() },
        _ => |n| if n == 40 { f32::NAN.to_bits() } else { (n as f32).to_bits() },
    }
}

#[test]
fn a_known_answer_without_a_number_refuses_the_job() {
    let scene = Scene::with(Play { validator: tolerance(), param: a_nan_at(3), ..Play::new(1, 16) });
    let progress = scene.coordinator.progress(scene.job).expect("known");
    assert_eq!((progress.state.as_str(), progress.reserved), ("refused", BaseUnits(0)));
    assert!(progress.reason.contains("slice 3 of unit 0 computes a NaN"), "{}", progress.reason);
}

#[test]
fn a_slice_without_a_number_stops_the_job_and_blames_nobody() {
    let mut scene = Scene::with(Play { validator: tolerance(), param: a_nan_at(40), ..Play::new(2, 64) });
    // Everybody computes some NaN; their bits differ from card to card.
    scene.work_as(0, |param, right| if f32::from_bits(param).is_nan() { vec![0xff; 4] } else { right });
    scene.pass(120_001);
    scene.verify();
    let progress = scene.coordinator.progress(scene.job).expect("known");
    assert_eq!(progress.state, "held", "{}", progress.reason);
    assert_eq!(scene.receipts(0), [("Computed".to_owned(), 64)], "the device did what it was asked to");
    scene.check_books();
}

#[test]
fn a_nan_in_place_of_a_number_is_a_fault() {
    let number = |n: usize| (n as f32 + 1.0).to_bits();
    let mut scene = Scene::with(Play { validator: tolerance(), param: number, ..Play::new(1, 64) });
    scene.work_as(0, |_, _| f32::NAN.to_le_bytes().to_vec());
    scene.pass(120_001);
    scene.verify();
    assert!(scene.receipts(0).is_empty());
    assert_eq!(scene.beat(0, true).no_work, Some(NoWork::Suspended));
    scene.check_books();
}
