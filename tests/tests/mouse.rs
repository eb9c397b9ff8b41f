//! Gone when you are back: somebody touches the machine, and the card is free, seen from outside the worker.

use std::sync::Arc;
use std::time::Duration;

use contributor::engine::WorkerSpec;
use contributor::journal::SqliteJournal;
use contributor::signals::scripted::{Script, quiet_slow};
use contributor::signals::{Change, Input, Reading};
use contributor::{Engine, Request, Setup, identity};
use protocol::local::{ReasonCode, State, Status};
use protocol::profile::Profile;
use protocol::sign::Envelope;
use protocol::units::UnixMillis;
use world::{PATIENCE, World, binary, software_driver};

/// The first status for which `wanted` holds.
async fn until(
    status: &mut tokio::sync::watch::Receiver<Status>,
    wanted: impl FnMut(&Status) -> bool,
) -> Status {
    let waiting = tokio::time::timeout(PATIENCE, status.wait_for(wanted));
    waiting.await.expect("the status comes in time").expect("the engine goes on").clone()
}

#[test]
fn a_touched_mouse_takes_the_card_back_and_the_work_goes_on_afterwards() {
    let world = World::start();
    let (recording, tones) = world.recording(131_072, 31);
    let publication = world.publish(&recording);
    let home = world.folder().join("scripted");
    std::fs::create_dir(&home).expect("a folder");
    let bytes = std::fs::read(world.founded("profile")).expect("the profile");
    let envelope = Envelope::from_bytes::<Profile>(&bytes).expect("a profile");
    let (network, profile) =
        protocol::profile::accept(envelope, None, UnixMillis(0)).expect("a profile to join");

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let clock = network::system_clock();
        let key = identity::load_or_create(&home).expect("a device key");
        let journal = Arc::new(SqliteJournal::open(&home, clock()).expect("a journal"));
        let script = Script::default();
        let long_ago = UnixMillis(clock().0 - 3_600_000);
        script.tell(Change::Input(Reading::Known(Input::IdleSince(long_ago))));
        script.tell(Change::Fullscreen(Reading::Known(false)));
        script.tell(Change::Slow(Box::new(quiet_slow())));
        let mut setup = Setup::new(home.clone(), network, profile, key, journal, binary("worker"));
        setup.signals = Box::new(script.source());
        setup.worker = WorkerSpec::new(binary("worker"));
        setup.worker.env = vec![("VK_ICD_FILENAMES".into(), software_driver().into())];
        let engine = Engine::start(setup).expect("the engine starts");
        let client = engine.client();
        client
            .ask(|reply| Request::FinishWelcome { autostart: false, reply })
            .await
            .expect("Welcome is done");
        let mut status = engine.status();
        until(&mut status, |s| s.state == State::Sharing && s.card.slices_today >= 2).await;

        script.tell(Change::Input(Reading::Known(Input::Active)));
        let paused =
            until(&mut status, |s| s.card.yielded_in_millis.is_some() && s.state != State::Sharing).await;
        assert_eq!(paused.reasons[0].code, ReasonCode::UserActive, "the headline is who came back");
        assert!(!paused.card.sharing, "the card is not shared while somebody is here");
        // The figure is measured by the engine from outside the worker; here only that it is a real one. The
        // distribution against the promise is `cargo xtask bench yield`, on a machine that is not shared.
        let millis = paused.card.yielded_in_millis.expect("a measured hand-back");
        assert!(millis > 0.0 && millis < 2000.0, "handed back before the hard kill at 2 s: {millis} ms");

        script.tell(Change::Input(Reading::Known(Input::IdleSince(long_ago))));
        until(&mut status, |s| s.state == State::Sharing).await;
        let answer =
            tokio::task::spawn_blocking(move || publication.lines().wait(|line| line["hits"].is_array()));
        let answer = answer.await.expect("the publisher is heard").expect("the job is done");
        assert_eq!(
            answer["hits"].as_array().map(Vec::len),
            tones["tones"].as_array().map(Vec::len),
            "the interruption changed nothing in the result"
        );
        tokio::time::timeout(Duration::from_secs(10), engine.shutdown())
            .await
            .expect("everything is joined in time");
    });
}
