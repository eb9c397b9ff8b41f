//! Cheats, and audits by other contributors.

use protocol::credit::CreditKind;
use protocol::wire::NoWork;

use crate::world::{Device, PRICE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_slice_that_is_audited_costs_the_whole_bundle() {
    let world = World::new([64, 64, 64]).await;
    let job = world.publish(1).await;
    let mut cheat = Device::enrolled(&world, 10).await;
    cheat.work(&world, |n| n == 17).await;
    cheat.beat(&world, false).await;
    assert_eq!(cheat.chain.sequence, 0, "no receipt");
    let progress = world.progress(job).await;
    assert_eq!((progress.queued, progress.accepted), (64, 0), "the unit is offered again");
    let mut honest = Device::enrolled(&world, 11).await;
    honest.work(&world, |_| false).await;
    honest.beat(&world, false).await;
    assert_eq!(honest.chain.total.0, 64 * PRICE.0);
    assert_eq!(world.progress(job).await.state, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_soft_fault_suspends_the_device() {
    let world = World::new([64, 64, 64]).await;
    world.publish(1).await;
    let mut flaky = Device::enrolled(&world, 10).await;
    flaky.work(&world, |n| n == 0).await;
    flaky.work(&world, |n| n == 0).await;
    let (answer, _) = flaky.beat(&world, true).await;
    assert_eq!(answer.no_work, Some(NoWork::Suspended));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliberate_cheating_forfeits_what_is_not_mature_and_returns_the_money_to_the_job() {
    let world = World::new([64, 64, 64]).await;
    let job = world.publish(2).await;
    let mut sleeper = Device::enrolled(&world, 10).await;
    sleeper.work(&world, |_| false).await;
    sleeper.beat(&world, false).await;
    assert_eq!(sleeper.chain.total.0, 64 * PRICE.0);
    sleeper.work(&world, |n| n < 5).await;
    let (answer, _) = sleeper.beat(&world, true).await;
    assert_eq!(answer.no_work, Some(NoWork::Suspended));
    assert_eq!(sleeper.receipts.last().map(|r| r.message().kind), Some(CreditKind::Revoked));
    assert_eq!(sleeper.chain.total.0, 0, "the chain shows the revocation, it is not rewritten");
    let progress = world.progress(job).await;
    assert_eq!((progress.queued, progress.spent.0), (128, 0), "everything it computed is offered again");
    let ledger = world.running().ledger().await.expect("it runs");
    assert_eq!(ledger.totals, ledger.recounted);
    let mut honest = Device::enrolled(&world, 11).await;
    honest.work(&world, |_| false).await;
    honest.work(&world, |_| false).await;
    assert_eq!(world.progress(job).await.state, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_with_a_wrong_known_answer_is_refused_and_its_money_released() {
    let world = World::new([4, 2, 1]).await;
    let mut manifest = world.toy(1).await;
    manifest.vectors[3].digest = protocol::id::Hash([0; 32]);
    let job = world.submit(manifest).await.expect("taken in, then checked");
    let progress = world.progress(job).await;
    assert_eq!((progress.state.as_str(), progress.reserved.0), ("refused", 0));
    assert!(progress.reason.contains("slice 3 of unit 0"), "{}", progress.reason);
}
