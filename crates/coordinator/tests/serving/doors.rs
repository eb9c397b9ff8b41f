//! What comes through the doors: replays, strangers, other versions, oversize bodies.

use network::{Purpose, Request};
use protocol::id::Hash;
use protocol::sign::Message;
use protocol::wire::{Accepted, Enroll, Enrolled, Heartbeat, HeartbeatAnswer, RefusalCode, Upload};
use protocol::work::{Commit, WorkResult};

use crate::world::{Device, World, code, key};

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_signed_request_is_refused_or_changes_nothing() {
    let world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    let mut device = Device::new(&world, 10);
    let hello = device.hello(&world);
    let _: Enrolled = world.say(&device.key, "/v1/enroll", hello.clone()).await.expect("first");
    assert_eq!(code(world.say::<_, Enrolled>(&device.key, "/v1/enroll", hello).await), RefusalCode::Replay);

    let beat = device.sign_of_life(&world, true);
    let (_, leases) = device.beat_with(&world, beat.clone()).await;
    let again = world.say::<_, HeartbeatAnswer>(&device.key, "/v1/heartbeat", beat).await;
    assert_eq!(code(again), RefusalCode::Replay);

    let outputs = device.compute(&world, &leases[0], |_| false).await;
    let first = device.commit(&world, &leases[0], &outputs).await.expect("a commit");
    let second = device.commit(&world, &leases[0], &outputs).await.expect("the same commit");
    assert_eq!(first, second);
    device.hand_in(&world, &leases[0], &outputs).await.expect("a result");
    device.hand_in(&world, &leases[0], &outputs).await.expect("the same result");
    world.verifier_rests().await;
    device.hand_in(&world, &leases[0], &outputs).await.expect("the same result after the verdict");
    device.commit(&world, &leases[0], &outputs).await.expect("the same commit after the verdict");
    device.beat(&world, false).await;
    assert_eq!(device.receipts.len(), 1, "paid once");
    assert_eq!(world.progress(job).await.accepted, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_far_off_is_refused() {
    let world = World::new([4, 2, 1]).await;
    let device = Device::new(&world, 10);
    for wrong in [0, world.now().0 + 301_000, world.now().0 - 301_000] {
        let mut hello = device.hello(&world);
        hello.sent_at.0 = wrong;
        assert_eq!(
            code(world.say::<_, Enrolled>(&device.key, "/v1/enroll", hello).await),
            RefusalCode::Replay
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_another_device_is_not_found() {
    let world = World::new([4, 2, 1]).await;
    world.publish(1).await;
    let mut owner = Device::enrolled(&world, 10).await;
    let thief = Device::enrolled(&world, 11).await;
    let lease = owner.lease(&world).await;
    let outputs = owner.compute(&world, &lease, |_| false).await;
    assert_eq!(code(thief.commit(&world, &lease, &outputs).await), RefusalCode::NotFound);
    owner.commit(&world, &lease, &outputs).await.expect("the owner's commit");
    assert_eq!(code(thief.hand_in(&world, &lease, &outputs).await), RefusalCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_version_is_refused_with_both_numbers() {
    let world = World::new([4, 2, 1]).await;
    let device = Device::new(&world, 10);
    let hello = Enroll { protocol: 2, ..device.hello(&world) };
    let refusal = world.say::<_, Enrolled>(&device.key, "/v1/enroll", hello).await.expect_err("refused");
    assert_eq!(refusal.code, RefusalCode::ProtocolVersion);
    assert!(refusal.detail.contains('1') && refusal.detail.contains('2'), "{}", refusal.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_has_not_enrolled_is_told_so() {
    let world = World::new([4, 2, 1]).await;
    let device = Device::new(&world, 10);
    let beat = device.sign_of_life(&world, true);
    let refused = world.say::<Heartbeat, HeartbeatAnswer>(&device.key, "/v1/heartbeat", beat).await;
    assert_eq!(code(refused), RefusalCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_another_coordinator_network_or_type_are_refused() {
    let world = World::new([4, 2, 1]).await;
    let device = Device::new(&world, 10);
    let hello = Enroll { coordinator: key(77).coordinator(), ..device.hello(&world) };
    assert_eq!(
        code(world.say::<_, Enrolled>(&device.key, "/v1/enroll", hello).await),
        RefusalCode::Signature
    );
    let elsewhere = protocol::id::NetworkId([3; 32]);
    let body = device.key.sign(&elsewhere, device.hello(&world)).envelope().to_bytes();
    assert_eq!(code(world.post("/v1/enroll", body).await), RefusalCode::Signature);
    let beat = device.key.sign(&world.network, device.sign_of_life(&world, true)).envelope().to_bytes();
    assert_eq!(code(world.post("/v1/enroll", beat).await), RefusalCode::Signature, "signed as another type");
    assert_eq!(code(world.post("/v1/enroll", b"nonsense".to_vec()).await), RefusalCode::Malformed);
    assert_eq!(code(world.post("/v1/nowhere", Vec::new()).await), RefusalCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_their_limit_are_refused_unread() {
    let world = World::new([4, 2, 1]).await;
    for (path, limit) in [
        ("/v1/enroll", Enroll::MAX_BYTES),
        ("/v1/heartbeat", Heartbeat::MAX_BYTES),
        ("/v1/commit", Commit::MAX_BYTES),
        ("/v1/bind", protocol::wire::Bind::MAX_BYTES),
        ("/v1/relay", protocol::wire::Relay::MAX_BYTES),
    ] {
        let body = vec![0; limit + 1024];
        assert_eq!(code(world.post(path, body).await), RefusalCode::Malformed, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_must_be_those_that_were_committed() {
    let world = World::new([4, 2, 1]).await;
    world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    let outputs = device.compute(&world, &lease, |_| false).await;
    assert_eq!(code(device.hand_in(&world, &lease, &outputs).await), RefusalCode::Commit, "no commit yet");
    device.commit(&world, &lease, &outputs).await.expect("a commit");
    let mut changed = outputs.clone();
    changed[0].1[0] ^= 1;
    assert_eq!(code(device.hand_in(&world, &lease, &changed).await), RefusalCode::Commit, "another output");
    assert_eq!(code(device.hand_in(&world, &lease, &outputs[1..]).await), RefusalCode::Commit, "one missing");
    let mut longer = outputs.clone();
    longer[0].1.push(0);
    assert_eq!(code(device.hand_in(&world, &lease, &longer).await), RefusalCode::Commit, "another size");
    assert_eq!(code(device.commit(&world, &lease, &changed).await), RefusalCode::Commit, "a second commit");
    device.hand_in(&world, &lease, &outputs).await.expect("the committed outputs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_names_leased_slices_once_each() {
    let world = World::new([4, 2, 1]).await;
    world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    let outputs = device.compute(&world, &lease, |_| false).await;
    let commit = device.commitment(&lease, &outputs);
    let mut foreign = commit.clone();
    foreign.digests[0].0 = protocol::id::SliceId([5; 32]);
    let mut twice = commit.clone();
    twice.digests[0].0 = twice.digests[1].0;
    for wrong in [foreign, twice] {
        let refused = world.say::<_, Accepted>(&device.key, "/v1/commit", wrong).await;
        assert_eq!(code(refused), RefusalCode::Commit);
    }
    let accepted: Accepted = world.say(&device.key, "/v1/commit", commit).await.expect("nothing was kept");
    assert_eq!(accepted.at, world.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_publishers_upload_and_only_what_they_announced() {
    let world = World::new([4, 2, 1]).await;
    let upload = |bytes: u64| Upload { coordinator: key(1).coordinator(), blob: Hash::of(b"hello"), bytes };
    assert_eq!(code(world.put(&key(3), upload(5), b"hello").await), RefusalCode::Publisher);
    assert_eq!(code(world.put(&key(2), upload(4), b"hello").await), RefusalCode::Malformed, "longer");
    assert_eq!(code(world.put(&key(2), upload(5), b"olleh").await), RefusalCode::Malformed, "another hash");
    let path = format!("/v1/blob/{}", Hash::of(b"hello"));
    assert_eq!(code(world.get(&path).await), RefusalCode::NotFound, "nothing was kept");
    world.put(&key(2), upload(5), b"hello").await.expect("as announced");
    world.put(&key(2), upload(5), b"hello").await.expect("again");
    assert_eq!(world.get(&path).await.expect("stored"), b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_needs_its_blobs_its_checks_and_its_deposit() {
    let world = World::new([4, 2, 1]).await;
    let good = world.toy(1).await;
    let mut no_input = good.clone();
    no_input.units[0].slices[0].inputs[0].blob = Hash([7; 32]);
    assert_eq!(code(world.submit(no_input).await), RefusalCode::Package);
    let mut other_body = good.clone();
    other_body.body.title = "Another".into();
    assert_eq!(code(world.submit(other_body).await), RefusalCode::Package, "not the signed program");
    let mut short = good.clone();
    short.units[0].slices.pop();
    assert_eq!(code(world.submit(short).await), RefusalCode::Package);
    let mut dear = good.clone();
    dear.price_per_slice.0 = 1_000_000;
    assert_eq!(code(world.submit(dear).await), RefusalCode::Publisher, "more than is deposited");
    let first = world.submit(good.clone()).await.expect("a good package");
    assert_eq!(world.submit(good).await.expect("the same again"), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_is_bounded_both_ways() {
    let world = World::new([4, 2, 1]).await;
    assert_eq!(world.get("/v1/measure/down/100000").await.expect("filler").len(), 100_000);
    assert_eq!(code(world.get("/v1/measure/down/25000001").await), RefusalCode::Malformed);
    assert_eq!(world.post("/v1/measure/up", vec![7; 70_000]).await.expect("counted"), b"70000");
    let url = format!("{}/v1/measure/up", world.running().url());
    let request = Request::post(Purpose::Measurement, "up", url, vec![0; 26_000_000]);
    // The refusal may arrive while the sender is still writing, which breaks the connection off.
    if let Ok(answer) = world.net.request(request).await {
        assert_eq!(answer.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_result_after_an_empty_commit_is_a_return() {
    let world = World::new([4, 2, 1]).await;
    let job = world.publish(1).await;
    let mut device = Device::enrolled(&world, 10).await;
    let lease = device.lease(&world).await;
    device.commit(&world, &lease, &[]).await.expect("nothing was computed");
    assert_eq!(world.progress(job).await.queued, 64);
    let result =
        world.say::<WorkResult, Accepted>(&device.key, "/v1/result", device.handing_in(&lease, &[])).await;
    assert_eq!(code(result), RefusalCode::Expired, "the lease is over");
}
