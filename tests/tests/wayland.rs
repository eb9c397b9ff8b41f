//! Gone when you are back, under Wayland: a compositor tells of a moved pointer, and the worker rests.

use std::time::{Duration, Instant};

use serde_json::Value;
use world::{Compositor, Contributor, PATIENCE, World};

/// The worker is killed if it has not given the card back by then.
const HARD_KILL: Duration = Duration::from_secs(2);

/// Asks for the status until `wanted` holds. Each answer needs a start of a program, so nothing spins.
fn status_until(home: &Contributor, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = home.status();
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}; the status is {status}");
    }
}

#[test]
fn a_pointer_moved_in_a_wayland_session_takes_the_card_back() {
    let Some(mut compositor) = Compositor::start() else { return };
    let world = World::start();
    let (recording, _) = world.recording(131_072, 61);
    let _publication = world.publish(&recording);
    let home = world.contributor_under("home", &compositor);
    status_until(&home, "work", |status| status["state"] == "sharing");
    let moved = Instant::now();
    compositor.move_pointer();
    let paused = status_until(&home, "the pause", |status| status["state"] == "paused");
    assert!(moved.elapsed() < HARD_KILL, "the pause is known within {:?}", moved.elapsed());
    assert_eq!(paused["reasons"][0]["code"], "user_active", "the headline is who came back: {paused}");
    assert_eq!(paused["card"]["sharing"], false);
    status_until(&home, "work again", |status| status["state"] != "paused");
    drop(compositor);
    let unseen = status_until(&home, "the end of the session", |status| {
        status["reasons"].as_array().into_iter().flatten().any(|reason| reason["code"] == "input_unknown")
    });
    assert_eq!(unseen["card"]["sharing"], false, "nobody works on unseen: {unseen}");
}
