//! Gone when you are back: somebody touches the machine, and the card is free, seen from outside the worker.

use std::time::Duration;

use protocol::local::{ReasonCode, State};
use world::{ScriptedHome, World};

/// A worker that has not answered by then had nothing in hand: the hard kill comes after 2 s.
const HANDED_BACK_WITHIN: Duration = Duration::from_millis(2500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_touched_mouse_takes_the_card_back_and_the_work_goes_on_afterwards() {
    let (world, publication, tones) = tokio::task::spawn_blocking(|| {
        let world = World::start();
        let (recording, tones) = world.recording(131_072, 31);
        let publication = world.publish(&recording);
        (world, publication, tones)
    })
    .await
    .expect("a network");
    let home = ScriptedHome::start(&world, "scripted").await;
    home.until(|s| s.state == State::Sharing && s.card.slices_today >= 2).await;

    // Between two slices there is nothing to hand back, and so nothing to measure: come back until one was interrupted, each
    // time a little later after the end of the one before it. A slice takes some 70 ms here and there are 256, so the work
    // does not run out first.
    let mut later = Duration::from_millis(20);
    let paused = loop {
        let before = home.until(|s| s.state == State::Sharing).await.card.slices_today;
        home.until(|s| s.state == State::Sharing && s.card.slices_today > before).await;
        tokio::time::sleep(later).await;
        later += Duration::from_millis(7);
        home.touch();
        home.until(|s| s.state == State::Paused).await;
        let handed_back = home.until(|s| s.card.yielded_in_millis.is_some());
        match tokio::time::timeout(HANDED_BACK_WITHIN, handed_back).await {
            Ok(paused) => break paused,
            Err(_) => home.leave(),
        }
    };
    assert_eq!(paused.reasons[0].code, ReasonCode::UserActive, "the headline is who came back");
    assert!(!paused.card.sharing, "the card is not shared while somebody is here");
    // The figure is measured by the engine from outside the worker; here only that it is a real one. The
    // distribution against the promise is `cargo xtask bench yield`, on a machine that is not shared.
    let millis = paused.card.yielded_in_millis.expect("a measured hand-back");
    assert!(millis > 0.0 && millis < 2000.0, "handed back before the hard kill at 2 s: {millis} ms");

    home.leave();
    home.until(|s| s.state == State::Sharing).await;
    let answer =
        tokio::task::spawn_blocking(move || publication.lines().wait(|line| line["hits"].is_array()));
    let answer = answer.await.expect("the publisher is heard").expect("the job is done");
    assert_eq!(
        answer["hits"].as_array().map(Vec::len),
        tones["tones"].as_array().map(Vec::len),
        "the interruption changed nothing in the result"
    );
    home.end().await;
    // A world ends its programs by blocking on them.
    tokio::task::spawn_blocking(move || drop(world)).await.expect("the network ends");
}
