//! Honest work, late work, and everything that only looks like work.

use protocol::credit::CreditKind;
use protocol::wire::{NoWork, RefusalCode};

use crate::world::{Device, LEASE_MILLIS, PRICE, World, code, truth};

#[tokio::test(flavor = "multi_thread")]
async fn honest_work_becomes_a_verified_receipt_and_an_output_for_the_publisher() {
    let world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    assert_eq!(world.progress(job).await.state, "open", "its known answers hold");
    let mut device = Device::enrolled(&world, 10).await;
    device.work(&world, |_| false).await;
    device.beat(&world, false).await;
    let receipt = device.receipts[0].message();
    assert_eq!((receipt.kind, receipt.slices), (CreditKind::Computed, 64));
    assert_eq!(receipt.amount.0, 64 * PRICE.0);
    assert_eq!(device.chain.total, receipt.amount);
    let progress = world.progress(job).await;
    assert_eq!((progress.state.as_str(), progress.accepted, progress.audits), ("done", 64, 4));
    assert_eq!(progress.spent.0, 64 * PRICE.0 * 1000 / 950, "pay and a fee of 5 % of the gross");
    assert_eq!(progress.reserved.0, 0, "what was not needed went back");

    let body = world.get(&format!("/v1/jobs/{job}/outputs/0")).await.expect("outputs");
    let outputs: Vec<(u32, serde_bytes::ByteBuf)> = protocol::cbor::decode(&body, body.len()).expect("CBOR");
    let input: Vec<u8> = (0..=255).collect();
    assert_eq!(outputs.len(), 64);
    for (slice, output) in &outputs {
        assert_eq!(
            output.as_ref(),
            truth(&input, &[*slice]),
            "slices are told apart again for the publisher"
        );
    }
    let index = world.get(&format!("/v1/jobs/{job}/outputs")).await.expect("an index");
    let index: Vec<coordinator::OutputIndex> = serde_json::from_slice(&index).expect("JSON");
    assert_eq!(index.len(), 64);
    let ledger = world.running().ledger().await.expect("it runs");
    assert_eq!(ledger.totals, ledger.recounted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_shows_nothing_of_unit_or_order() {
    let world = World::new([4, 2, 1]).await;
    world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    assert_eq!(lease.slices.len(), 64);
    assert!(!lease.slices.is_sorted_by_key(|slice| slice.params[0]), "the order of the unit is gone");
    assert_eq!(lease.price_per_slice, PRICE, "the price is fixed before dispatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_finds_the_same_leases_again_up_to_the_cap() {
    let world = World::new([4, 2, 1]).await;
    world.publish(3).await;
    let mut device = Device::enrolled(&world, 10).await;
    let (_, first) = device.beat(&world, true).await;
    let (_, second) = device.beat(&world, true).await;
    let (answer, third) = device.beat(&world, true).await;
    assert_eq!((first.len(), second.len(), third.len()), (1, 2, 2));
    assert_eq!(first[0], second[0]);
    assert_eq!(second, third, "leases are found again, not granted anew");
    assert_eq!(answer.no_work, Some(NoWork::EnoughLeased));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_software_renderer_gets_no_work_outside_a_local_network() {
    let world = World::with(|profile| profile.local = false).await;
    world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let (answer, leases) = device.beat(&world, true).await;
    assert_eq!((answer.no_work, leases.len()), (Some(NoWork::DeviceClass), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_job_a_heartbeat_says_so() {
    let world = World::new([4, 2, 1]).await;
    let mut device = Device::enrolled(&world, 10).await;
    let (answer, _) = device.beat(&world, true).await;
    assert_eq!(answer.no_work, Some(NoWork::NoneOffered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_is_refused_and_its_slices_go_to_another_device() {
    let world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    let mut slow = Device::enrolled(&world, 10).await;
    let lease = slow.lease(&world).await;
    let outputs = slow.compute(&world, &lease, |_| false).await;
    world.pass(LEASE_MILLIS + 1);
    assert_eq!(code(slow.commit(&world, &lease, &outputs).await), RefusalCode::Expired);
    assert_eq!(world.progress(job).await.queued, 64);
    let mut other = Device::enrolled(&world, 11).await;
    other.work(&world, |_| false).await;
    assert_eq!(world.progress(job).await.accepted, 64);
    let (_, leases) = slow.beat(&world, false).await;
    assert_eq!((slow.chain.sequence, leases.len()), (0, 0), "late work is not paid and not held any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_never_follow_their_commit_cost_only_the_lease() {
    let world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    let outputs = device.compute(&world, &lease, |_| false).await;
    device.commit(&world, &lease, &outputs).await.expect("in time");
    world.pass(LEASE_MILLIS + 1);
    device.beat(&world, false).await;
    assert_eq!(
        world.progress(job).await.leased,
        64,
        "between commit and result there is half a lease of grace"
    );
    world.pass(LEASE_MILLIS / 2);
    assert_eq!(code(device.hand_in(&world, &lease, &outputs).await), RefusalCode::Expired);
    assert_eq!(world.progress(job).await.queued, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_slices_of_a_partial_commit_count_and_the_rest_is_offered_again() {
    let world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    let mut outputs = device.compute(&world, &lease, |_| false).await;
    outputs.truncate(20);
    device.commit(&world, &lease, &outputs).await.expect("a partial commit");
    device.hand_in(&world, &lease, &outputs).await.expect("the committed outputs");
    world.verifier_rests().await;
    let progress = world.progress(job).await;
    assert_eq!((progress.accepted, progress.queued), (20, 44));
    device.work(&world, |_| false).await;
    device.beat(&world, false).await;
    let slices: Vec<u32> = device.receipts.iter().map(|r| r.message().slices).collect();
    assert_eq!(slices, [20, 44]);
    assert_eq!(world.progress(job).await.state, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returned_lease_is_offered_again_at_once() {
    let world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    let mut beat = device.sign_of_life(&world, false);
    beat.returned = vec![lease.lease];
    let (_, leases) = device.beat_with(&world, beat).await;
    assert!(leases.is_empty());
    assert_eq!(world.progress(job).await.queued, 64);
    let other = Device::enrolled(&world, 11).await.lease(&world).await;
    assert_ne!(other.bundle, lease.bundle);
    let mut again = device.sign_of_life(&world, false);
    again.returned = vec![lease.lease, other.lease];
    device.beat_with(&world, again).await;
    assert_eq!(world.progress(job).await.leased, 64, "nobody hands back another device's lease");
}
