//! The coordinator ends in the middle: no lease lost, none paid twice.

use crate::world::{Device, MATURITY_MILLIS, PRICE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_survives_a_restart_before_its_commit() {
    let mut world = World::new([4, 2, 1]).await;
    world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    world.restart().await;
    let (_, leases) = device.beat(&world, true).await;
    assert_eq!(leases, std::slice::from_ref(&lease), "the same lease is found again");
    let outputs = device.compute(&world, &lease, |_| false).await;
    device.commit(&world, &lease, &outputs).await.expect("in time");
    device.hand_in(&world, &lease, &outputs).await.expect("committed");
    world.verifier_rests().await;
    device.beat(&world, false).await;
    assert_eq!(device.chain.total.0, 64 * PRICE.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_commit_and_result_loses_nothing() {
    let mut world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    let outputs = device.compute(&world, &lease, |_| false).await;
    device.commit(&world, &lease, &outputs).await.expect("in time");
    world.restart().await;
    device.commit(&world, &lease, &outputs).await.expect("the answer may have been lost: said again");
    device.hand_in(&world, &lease, &outputs).await.expect("committed");
    world.verifier_rests().await;
    device.beat(&world, false).await;
    assert_eq!((device.receipts.len(), device.chain.total.0), (1, 64 * PRICE.0));
    assert_eq!(world.progress(job).await.state, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_the_verdict_pays_once() {
    let mut world = World::new([4, 2, 1]).await;
    world.publish(2).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    let outputs = device.compute(&world, &lease, |_| false).await;
    device.commit(&world, &lease, &outputs).await.expect("in time");
    device.hand_in(&world, &lease, &outputs).await.expect("committed");
    world.verifier_rests().await;
    world.restart().await;
    device.hand_in(&world, &lease, &outputs).await.expect("said again");
    world.verifier_rests().await;
    world.restart().await;
    device.beat(&world, false).await;
    assert_eq!((device.receipts.len(), device.chain.total.0), (1, 64 * PRICE.0));
    // The chain of receipts goes on where it stood.
    device.work(&world, |_| false).await;
    device.beat(&world, false).await;
    assert_eq!(device.chain.total.0, 128 * PRICE.0);
    world.pass(MATURITY_MILLIS);
    world.restart().await;
    let ledger = world.running().ledger().await.expect("it runs");
    assert_eq!(ledger.totals, ledger.recounted);
    assert_eq!(ledger.totals.payable.0, 128 * PRICE.0, "credit matures across restarts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_remembered_across_a_restart() {
    let mut world = World::new([4, 2, 1]).await;
    let mut device = Device::enrolled(&world, 10).await;
    let beat = device.sign_of_life(&world, false);
    device.beat_with(&world, beat.clone()).await;
    world.restart().await;
    let again = world.say::<_, protocol::wire::HeartbeatAnswer>(&device.key, "/v1/heartbeat", beat).await;
    assert_eq!(crate::world::code(again), protocol::wire::RefusalCode::Replay);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_coordinator_in_the_same_folder_is_refused() {
    let world = World::new([4, 2, 1]).await;
    let file = std::fs::File::open(world.data().join("lock")).expect("the lock is there");
    assert!(file.try_lock().is_err(), "the folder is locked while a coordinator runs");
}
